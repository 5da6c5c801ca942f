// What the chat's page and the extension say to each other.
import type { EventMessage, EventPart, Mode, Permission, Session, SessionStatus } from '@polytree/protocol'

export interface EntryView {
  info: EventMessage
  parts: EventPart[]
}

/** A part that goes along with the next prompt, by its name. */
export interface Attached {
  name: string
}

export interface Choice {
  agent: string
  model: string
  /** What the session does without a question. */
  mode: Mode
}

/** To the page. */
export type ToPage =
  | { type: 'state'; connection: string; problem: string }
  | { type: 'session'; session?: Session; status: SessionStatus; choice: Choice }
  | { type: 'all'; entries: EntryView[]; complete: boolean }
  | { type: 'older'; entries: EntryView[]; complete: boolean }
  | { type: 'entry'; entry: EntryView; after?: string }
  | { type: 'part'; messageID: string; part: EventPart }
  | { type: 'append'; messageID: string; partID: string; text: string }
  | { type: 'removed'; messageID: string; partID?: string }
  | { type: 'questions'; own: Permission[]; elsewhere: number }
  | { type: 'attached'; attached: Attached[] }
  | { type: 'draft'; text: string; focus: boolean }
  | { type: 'files'; query: string; paths: string[] }
  | { type: 'sent'; ok: boolean }
  | { type: 'figures' }

/** From the page. */
export type FromPage =
  | { type: 'ready' }
  | { type: 'submit'; text: string }
  | { type: 'abort' }
  | { type: 'figures'; slowest: number; lastShown: number }
  | { type: 'older' }
  | { type: 'answer'; permissionID: string; response: 'once' | 'always' | 'reject'; message?: string }
  | { type: 'detach'; index: number }
  | { type: 'find'; query: string }
  | { type: 'open'; path: string; line?: number }
  | { type: 'command'; command: 'model' | 'agent' | 'mode' | 'sessions' | 'new' | 'restart' | 'log' | 'questions' }
