// What the chat's page is told of a conversation that goes on. Deltas are collected for FLUSH_MS. No editor, no connection.
import type { AnyEvent } from '@polytree/protocol'
import type { Change, Conversation } from './conversation'
import type { EntryView, ToPage } from './webview/messages'

const FLUSH_MS = 30

export interface FeedTarget {
  send(message: ToPage): void
  /** Title, status or usage have changed. */
  sessionChanged(): void
  /** A long text of the message travelled as a reference: the message must be read. */
  unresolved(messageID: string): void
}

export class Feed {
  private readonly pieces = new Map<string, { messageID: string; text: string[] }>()
  private timer: ReturnType<typeof setTimeout> | undefined
  /** Longest run of our handling of an event, in milliseconds, for those who measure. */
  slowest = 0

  constructor(private readonly target: FeedTarget) {}

  take(conversation: Conversation, event: AnyEvent): void {
    const started = performance.now()
    const change = conversation.apply(event)
    if (change?.type === 'append') {
      const piece = this.pieces.get(change.partID) ?? { messageID: change.messageID, text: [] }
      piece.text.push(change.text)
      this.pieces.set(change.partID, piece)
      this.timer ??= setTimeout(() => this.flush(), FLUSH_MS)
    } else if (change) {
      this.flush()
      this.tell(conversation, change)
    }
    this.slowest = Math.max(this.slowest, performance.now() - started)
  }

  private tell(conversation: Conversation, change: Exclude<Change, { type: 'append' }>): void {
    switch (change.type) {
      case 'message': {
        const entry = conversation.entry(change.messageID)
        if (entry) this.target.send({ type: 'entry', entry: shown(entry) })
        return
      }
      case 'part': {
        const part = conversation.entry(change.messageID)?.parts.find((one) => one.id === change.partID)
        if (part) this.target.send({ type: 'part', messageID: change.messageID, part })
        if (change.unresolved) this.target.unresolved(change.messageID)
        return
      }
      case 'removed':
        this.target.send({ type: 'removed', messageID: change.messageID, ...(change.partID ? { partID: change.partID } : {}) })
        return
      case 'session':
      case 'status':
        this.target.sessionChanged()
    }
  }

  /** Sends what was collected. */
  flush(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    for (const [partID, { messageID, text }] of this.pieces) this.target.send({ type: 'append', messageID, partID, text: text.join('') })
    this.pieces.clear()
  }

  /** Forgets what was collected: it belongs to a conversation that is not shown any more. */
  clear(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    this.pieces.clear()
  }
}

export function shown({ info, parts }: EntryView): EntryView {
  return { info, parts }
}
