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

/** A file that fits what was typed, and the characters of its path that fit. */
export interface Found {
  path: string
  positions: number[]
}

/** A prompt that waits. */
export interface Waiting {
  messageID: string
  text: string
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
  | { type: 'session'; session?: Session; status: SessionStatus; choice: Choice; context?: string }
  | { type: 'all'; entries: EntryView[]; complete: boolean }
  | { type: 'older'; entries: EntryView[]; complete: boolean }
  | { type: 'entry'; entry: EntryView; after?: string }
  | { type: 'part'; messageID: string; part: EventPart }
  | { type: 'append'; messageID: string; partID: string; text: string }
  | { type: 'removed'; messageID: string; partID?: string }
  | { type: 'questions'; own: Permission[]; elsewhere: number }
  | { type: 'attached'; attached: Attached[] }
  | { type: 'draft'; text: string; focus: boolean }
  | { type: 'queue'; queue: Waiting[]; editing?: string }
  | { type: 'files'; query: string; files: Found[] }
  | { type: 'sent'; ok: boolean }
  | { type: 'figures' }

/** From the page. */
export type FromPage =
  | { type: 'ready' }
  | { type: 'submit'; text: string; steer?: boolean }
  | { type: 'abort' }
  | { type: 'figures'; slowest: number; lastShown: number }
  | { type: 'older' }
  | { type: 'answer'; permissionID: string; response: 'once' | 'always' | 'reject'; message?: string; scope?: 'session' | 'project'; always?: string[] }
  | { type: 'detach'; index: number }
  /** What to do with a prompt that waits. */
  | { type: 'edit' | 'remove'; messageID: string }
  | { type: 'move'; messageID: string; before?: string }
  /** Undo from this prompt on, or copy what is before it. */
  | { type: 'revert' | 'fork'; messageID: string }
  | { type: 'find'; query: string }
  | { type: 'open'; path: string; line?: number }
  | { type: 'command'; command: 'model' | 'agent' | 'mode' | 'sessions' | 'new' | 'restart' | 'log' | 'questions' | 'unrevert' }
