// The prompts of a session that wait for the running turn to end.
import type { PartInput, QueuedPrompt } from '@polytree/protocol'
import type { Client } from './client'
import type { ToPage, Waiting } from './webview/messages'

/** What the user typed of some parts. */
export function typed(parts: readonly { type: string; text?: unknown; synthetic?: boolean }[]): string {
  return parts.flatMap((part) => (part.type === 'text' && !part.synthetic && typeof part.text === 'string' ? [part.text] : [])).join('\n')
}

function oneLine({ messageID, parts }: QueuedPrompt): Waiting {
  const text = typed(parts).replace(/\s+/g, ' ').trim()
  const files = parts.flatMap((part) => (part.type === 'file' && part.filename && !text.includes(`@${part.filename}`) ? [`@${part.filename}`] : []))
  return { messageID, text: [text, ...files].join(' ') }
}

/** The daemon says so before the text of a file that it has read for a prompt. */
const READ_FOR_PROMPT = /^Called the \w+ tool with \{/

/** The parts of a prompt whose text was changed: what went along still does. Its files are read again. */
function replaced(prompt: QueuedPrompt, parts: PartInput[]): PartInput[] {
  const known = new Set(parts.map((part) => ('url' in part ? part.url : undefined)))
  const wasRead = (index: number) => {
    const part = prompt.parts[index]
    return part?.type === 'text' && part.synthetic === true && READ_FOR_PROMPT.test(part.text)
  }
  const kept = prompt.parts.flatMap((part, index): PartInput[] => {
    if (wasRead(index) || wasRead(index - 1)) return []
    if (part.type === 'file' && !known.has(part.url)) return [{ type: 'file', mime: part.mime, url: part.url, ...(part.filename ? { filename: part.filename } : {}) }]
    return part.type === 'text' && part.synthetic ? [{ type: 'text', text: part.text, synthetic: true }] : []
  })
  return [...parts, ...kept]
}

export class Queue {
  private waiting: QueuedPrompt[] = []
  /** The prompt whose text stands in the chat's prompt. */
  private editing: string | undefined

  constructor(
    private readonly client: Client,
    private readonly send: (message: ToPage) => void,
  ) {}

  show(): void {
    this.send({ type: 'queue', queue: this.waiting.map(oneLine), ...(this.editing ? { editing: this.editing } : {}) })
  }

  /** Forgets the queue of a session that is not shown any more. */
  clear(): void {
    this.waiting = []
    this.editing = undefined
    this.show()
  }

  /** Reads the queue anew. */
  async read(sessionID: string, isCurrent: () => boolean): Promise<void> {
    const waiting = await this.client.request('session.queue', { sessionID })
    if (!isCurrent()) return
    this.waiting = waiting
    if (!waiting.some(({ messageID }) => messageID === this.editing)) this.editing = undefined
    this.show()
  }

  /** Begins to edit a prompt; answers its text. */
  edit(messageID: string): string {
    const prompt = this.waiting.find((one) => one.messageID === messageID)
    if (!prompt) throw new Error('its turn has begun')
    this.editing = messageID
    this.show()
    return typed(prompt.parts)
  }

  /** Puts the parts in place of the prompt that is edited; false where none is. */
  async replace(sessionID: string, parts: PartInput[]): Promise<boolean> {
    const prompt = this.waiting.find(({ messageID }) => messageID === this.editing)
    if (!prompt) return false
    await this.client.request('session.queue.replace', { sessionID, messageID: prompt.messageID, parts: replaced(prompt, parts) })
    this.editing = undefined
    this.show()
    return true
  }

  async remove(sessionID: string, messageID: string): Promise<void> {
    if (!(await this.client.request('session.queue.remove', { sessionID, messageID }))) throw new Error('its turn has begun')
  }

  async move(sessionID: string, messageID: string, before: string | undefined): Promise<void> {
    const moved = await this.client.request('session.queue.move', { sessionID, messageID, ...(before ? { before } : {}) })
    if (!moved) throw new Error('its turn has begun')
  }
}
