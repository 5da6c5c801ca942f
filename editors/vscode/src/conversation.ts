// What is known of one conversation, kept current by events. Pure: no editor, no connection.
//
// Messages are read with the cursor at which they were read; events of a message up to that cursor are already in it and
// are passed over, so that reading and following never doubles or loses a delta.
import type { AnyEvent, EventMessage, EventPart, MessageWithParts, Session, SessionStatus } from '@polytree/protocol'

export interface Entry {
  info: EventMessage
  parts: EventPart[]
  cursor: number
}

/** What an event has changed. */
export type Change =
  | { type: 'message'; messageID: string }
  | { type: 'part'; messageID: string; partID: string; unresolved: boolean }
  | { type: 'append'; messageID: string; partID: string; text: string }
  | { type: 'removed'; messageID: string; partID?: string }
  | { type: 'session' }
  | { type: 'status' }

export class Conversation {
  session: Session | undefined
  status: SessionStatus = { type: 'idle' }
  entries: Entry[] = []
  /** The first message of the session is loaded. */
  complete = false
  private cursor = 0
  private readonly byId = new Map<string, Entry>()

  constructor(readonly sessionID: string) {}

  /** Puts messages that were read before those that are known. `complete`: nothing is older. */
  prepend(read: MessageWithParts[], complete: boolean): void {
    const fresh: Entry[] = []
    for (const { info, parts, cursor } of read) {
      if (this.entries.length === 0) this.cursor = Math.max(this.cursor, cursor)
      if (this.byId.has(info.id)) continue
      const entry = { info, parts, cursor }
      this.byId.set(info.id, entry)
      fresh.push(entry)
    }
    this.entries = [...fresh, ...this.entries]
    this.complete ||= complete
  }

  /** Replaces one message by what was read anew. */
  replace({ info, parts, cursor }: MessageWithParts): void {
    const known = this.byId.get(info.id)
    if (known) Object.assign(known, { info, parts, cursor })
  }

  entry(messageID: string): Entry | undefined {
    return this.byId.get(messageID)
  }

  /** Takes one event in; undefined when it was known or is none of this conversation's. */
  apply(event: AnyEvent): Change | undefined {
    switch (event.type) {
      case 'message.updated': {
        const { info } = event.properties
        const known = this.byId.get(info.id)
        if (known) {
          if (event.cursor > known.cursor) known.info = info
          return { type: 'message', messageID: info.id }
        }
        // An older message that is not loaded: its id, a ULID, says so.
        const oldest = this.entries[0]?.info.id
        if (event.cursor <= this.cursor || (oldest !== undefined && !this.complete && info.id < oldest)) return undefined
        const entry: Entry = { info, parts: [], cursor: 0 }
        this.byId.set(info.id, entry)
        this.entries.push(entry)
        return { type: 'message', messageID: info.id }
      }
      case 'message.part.updated': {
        const { part } = event.properties
        const entry = this.byId.get(part.messageID)
        if (!entry || event.cursor <= entry.cursor) return undefined
        const index = entry.parts.findIndex((known) => known.id === part.id)
        if (index < 0) entry.parts.push(part)
        else entry.parts[index] = part
        return { type: 'part', messageID: part.messageID, partID: part.id, unresolved: hasReference(part) }
      }
      case 'message.part.delta': {
        const { messageID, partID, field, delta } = event.properties
        const entry = this.byId.get(messageID)
        const part = entry?.parts.find((known) => known.id === partID)
        if (!entry || !part || event.cursor <= entry.cursor) return undefined
        if (field !== 'text' || !('text' in part)) return undefined
        if (typeof part.text === 'string') part.text += delta
        return { type: 'append', messageID, partID, text: delta }
      }
      case 'message.part.removed': {
        const { messageID, partID } = event.properties
        const entry = this.byId.get(messageID)
        if (!entry) return undefined
        entry.parts = entry.parts.filter((part) => part.id !== partID)
        return { type: 'removed', messageID, partID }
      }
      case 'message.removed': {
        const { messageID } = event.properties
        if (!this.byId.delete(messageID)) return undefined
        this.entries = this.entries.filter((entry) => entry.info.id !== messageID)
        return { type: 'removed', messageID }
      }
      case 'session.status':
        this.status = event.properties.status
        return { type: 'status' }
      case 'session.updated':
        this.session = event.properties.info
        return { type: 'session' }
      default:
        return undefined
    }
  }
}

/** Whether a long text of the part travelled as a reference, which `session.message` resolves. */
function hasReference(part: EventPart): boolean {
  const values: unknown[] = 'text' in part ? [part.text] : []
  if (part.type === 'tool') values.push(...Object.values(part.state))
  return values.some(isReference)
}

/** Whether a value is a `BlobRef`: a text that is too long for an event. */
export function isReference(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'ref' in value && 'bytes' in value
}
