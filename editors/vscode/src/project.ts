// What is going on in the directory's project: sessions, what each is doing, and the questions that wait.
import * as vscode from 'vscode'
import type { AnyEvent, Mode, Permission, Session, SessionStatus } from '@polytree/protocol'
import type { Client } from './client'
import { isReference } from './conversation'
import { RpcError } from './rpc'

/** Not the deltas: a conversation that is shown follows its own messages. */
const TYPES = [
  'session.created',
  'session.updated',
  'session.deleted',
  'session.status',
  'permission.asked',
  'permission.replied',
  'file.edited',
  'file.changed',
]
/** Types that older daemons do not know, by a method that came with them. */
const NEWER_TYPES = { 'hunk.updated': 'hunk.list', 'config.changed': 'session.defaults' } as const

/** What an answer may say beside yes and no. */
export interface AnswerMore {
  /** With a rejection: told to the model. */
  message?: string
  /** Where "always" holds; default: in the project. */
  scope?: 'session' | 'project'
  /** What "always" allows in place of all that is offered: some of it, or something narrower. */
  always?: string[]
}

export class Project implements vscode.Disposable {
  readonly sessions = new Map<string, Session>()
  readonly statuses = new Map<string, SessionStatus>()
  /** The mode of sessions that have none of their own. */
  private defaultMode: Mode = 'ask'
  /** Open questions, oldest first. */
  questions: Permission[] = []
  private following: vscode.Disposable | undefined
  private reading: Promise<void> | undefined
  private readonly changed = new vscode.EventEmitter<void>()
  /** Sessions, statuses or questions have changed. */
  readonly onChange = this.changed.event
  private readonly files = new vscode.EventEmitter<string>()
  /** A file was changed, by a tool or by anybody. */
  readonly onFile = this.files.event

  private readonly hunks = new vscode.EventEmitter<string>()
  /** What a session has changed, or what was decided about it, is another now. */
  readonly onHunks = this.hunks.event
  private readonly settings = new vscode.EventEmitter<void>()
  /** Settings of the daemon have changed. */
  readonly onSettings = this.settings.event

  constructor(private readonly client: Client) {}

  /** Reads the project and follows it. */
  async open(): Promise<void> {
    await this.client.connect()
    if (this.client.state !== 'ready') throw new Error(this.client.problem)
    const newer = Object.entries(NEWER_TYPES).flatMap(([type, method]) => (this.client.has(method) ? [type] : []))
    this.following ??= this.client.subscribe(
      { directory: this.client.directory, types: [...TYPES, ...newer], blobs: 'inline' },
      { event: (event) => this.take(event), gap: () => void this.read() },
    )
  }

  read(): Promise<void> {
    this.reading ??= this.readAll().finally(() => {
      this.reading = undefined
    })
    return this.reading
  }

  private async readAll(): Promise<void> {
    const directory = this.client.directory
    const list = await this.client.request('session.list', { directory, scope: 'project', limit: 200 })
    const statuses = await this.client.request('session.status', {})
    const questions = await this.client.request('permission.list', {})
    await this.readSettings()
    this.sessions.clear()
    for (const session of list) this.sessions.set(session.id, session)
    this.statuses.clear()
    for (const [id, status] of Object.entries(statuses)) this.statuses.set(id, status)
    this.questions = questions.filter((question) => this.sessions.has(question.sessionID))
    this.changed.fire()
  }

  private async readSettings(): Promise<void> {
    const { directory } = this.client
    // Settings that cannot be read are told by the prompt; until then `ask` is a safe thing to show.
    this.defaultMode = await this.client.request('config.get', { directory }).then(({ mode }) => mode ?? 'ask', () => 'ask' as const)
  }

  private take(event: AnyEvent): void {
    switch (event.type) {
      case 'hunk.updated':
        if (event.sessionID) this.hunks.fire(event.sessionID)
        return
      case 'server.connected':
        // Read only once the events are coming, so that none falls between.
        void this.read().catch(() => {})
        return
      case 'session.created':
      case 'session.updated':
        this.sessions.set(event.properties.info.id, event.properties.info)
        break
      case 'session.deleted':
        this.sessions.delete(event.properties.info.id)
        break
      case 'session.status':
        if (event.properties.status.type === 'idle') this.statuses.delete(event.properties.sessionID)
        else this.statuses.set(event.properties.sessionID, event.properties.status)
        break
      case 'permission.asked':
        if (!this.sessions.has(event.properties.sessionID)) return
        this.forget(event.properties.id)
        // A question is shown whole or not at all.
        if (holdsReference(event.properties)) return void this.read().catch(() => {})
        this.questions.push(event.properties as Permission)
        break
      case 'permission.replied':
        this.forget(event.properties.permissionID)
        break
      case 'config.changed':
        void this.readSettings().then(() => this.changed.fire())
        this.settings.fire()
        return
      case 'file.edited':
      case 'file.changed':
        this.files.fire(event.properties.path)
        return
      default:
        return
    }
    this.changed.fire()
  }

  private forget(id: string): void {
    this.questions = this.questions.filter((question) => question.id !== id)
  }

  /** The sessions of the project, the most recently updated first; children and archived ones left out. */
  list(): Session[] {
    const shown = [...this.sessions.values()].filter((session) => !session.parentID && !session.time.archived)
    return shown.sort((a, b) => b.time.updated - a.time.updated)
  }

  /** The session that began the one that is named, or itself: a child has the mode of its root. */
  root(sessionID: string): string {
    for (let id = sessionID; ; ) {
      const parent = this.sessions.get(id)?.parentID
      if (!parent || !this.sessions.has(parent)) return id
      id = parent
    }
  }

  /** What a session does without a question; of a session to come, as the settings have it. */
  mode(sessionID: string | undefined): Mode {
    return (sessionID && this.sessions.get(this.root(sessionID))?.mode) || this.defaultMode
  }

  /** The open questions of a session and its children. */
  questionsOf(sessionID: string): Permission[] {
    return this.questions.filter((question) => {
      for (let id: string | null | undefined = question.sessionID; id; id = this.sessions.get(id)?.parentID) {
        if (id === sessionID) return true
      }
      return false
    })
  }

  /** Answers a question; what somebody else has answered meanwhile is taken off the list and told. */
  async answer(question: Permission, response: 'once' | 'always' | 'reject', more: AnswerMore = {}): Promise<void> {
    const { message, scope, always } = more
    const params = {
      sessionID: question.sessionID,
      permissionID: question.id,
      response,
      ...(message ? { message } : {}),
      ...(response === 'always' && scope ? { scope } : {}),
      ...(response === 'always' && always ? { always } : {}),
    }
    let isOpen = false
    try {
      await this.client.request('permission.reply', params)
    } catch (error) {
      // Such as a pattern that is wider than what was offered: the question is still open.
      isOpen = error instanceof RpcError && error.kind === 'invalid_params'
      throw error
    } finally {
      if (!isOpen) this.forget(question.id)
      this.changed.fire()
    }
  }

  dispose(): void {
    this.following?.dispose()
    this.changed.dispose()
    this.files.dispose()
    this.hunks.dispose()
    this.settings.dispose()
  }
}

/** Whether a text of a question, however deep, travelled as a reference. */
function holdsReference(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return isReference(value) || Object.values(value).some(holdsReference)
}
