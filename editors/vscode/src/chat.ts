// The chat: a webview that shows one session.
import { randomBytes } from 'node:crypto'
import * as path from 'node:path'
import * as vscode from 'vscode'
import type { AnyEvent, Mode, PartInput } from '@polytree/protocol'
import type { Client } from './client'
import { parsePrompt } from './context'
import { Conversation } from './conversation'
import { Feed, shown } from './feed'
import type { Project } from './project'
import { Queue } from './queue'
import { Usage } from './usage'
import type { Choice, FromPage, ToPage } from './webview/messages'
import { pageHtml } from './webview/page'

/** How many messages are read at a time. */
const PAGE = 50

export interface PromptChoice {
  agent?: string
  model?: { providerID: string; modelID: string }
  variant?: string
  /** Of the next session that is begun. */
  mode?: Mode
}

export class Chat implements vscode.WebviewViewProvider, vscode.Disposable {
  private view: vscode.WebviewView | undefined
  private isReady = false
  private conversation: Conversation | undefined
  private following: vscode.Disposable | undefined
  private early: AnyEvent[] | undefined
  /** A new session was asked for: the last one is not shown in its place. */
  private isFresh = false
  /** When a session was last asked for. */
  private asked = 0
  readonly feed = new Feed({
    send: (message) => this.send(message),
    sessionChanged: () => this.sendProject(),
    unresolved: (messageID) => void this.resolve(messageID),
  })
  private readonly queue: Queue
  private readonly usage: Usage
  private attached: { name: string; part: PartInput }[] = []
  private draft = { text: '', focus: false }
  private readonly listening: vscode.Disposable[] = []
  private readonly changed = new vscode.EventEmitter<void>()
  /** Which session is shown, or whether it can be seen, may have changed. */
  readonly onChange = this.changed.event
  choice: PromptChoice = {}
  /** How long the extension took to be loaded and activated, in milliseconds, for those who measure. */
  activation = 0

  constructor(
    private readonly extension: vscode.Uri,
    private readonly client: Client,
    private readonly project: Project,
    private readonly log: vscode.LogOutputChannel,
  ) {
    this.queue = new Queue(client, (message) => this.send(message))
    this.usage = new Usage(client, log, () => this.sendProject())
    this.listening.push(
      this.usage,
      client.onState(() => this.sendState()),
      project.onChange(() => {
        this.usage.readSoon()
        this.sendProject()
      }),
      project.onSettings(() => this.usage.readSoon()),
    )
  }

  get sessionID(): string | undefined {
    return this.conversation?.sessionID
  }

  get visible(): boolean {
    return this.view?.visible ?? false
  }

  // ---- the page

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view
    this.isReady = false
    view.webview.options = { enableScripts: true, localResourceRoots: [vscode.Uri.joinPath(this.extension, 'dist'), vscode.Uri.joinPath(this.extension, 'media')] }
    view.webview.onDidReceiveMessage((message: FromPage) => {
      this.receive(message).catch((error: Error) => {
        this.log.error(error.message)
        void vscode.window.showErrorMessage(`polytree: ${error.message.replace(/[[\]()]/g, ' ')}`)
      })
    })
    view.onDidChangeVisibility(() => this.changed.fire())
    view.onDidDispose(() => {
      this.view = undefined
      this.isReady = false
    })
    view.webview.html = this.html(view.webview)
  }

  private html(webview: vscode.Webview): string {
    const nonce = randomBytes(16).toString('base64')
    const file = (...parts: string[]) => webview.asWebviewUri(vscode.Uri.joinPath(this.extension, ...parts)).toString()
    return pageHtml({
      policy: `default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'; img-src ${webview.cspSource} data:`,
      style: file('media', 'chat.css'),
      script: file('dist', 'webview.js'),
      nonce,
    })
  }

  private send(message: ToPage): void {
    if (this.isReady) void this.view?.webview.postMessage(message)
  }

  private async receive(message: FromPage): Promise<void> {
    switch (message.type) {
      case 'ready':
        this.isReady = true
        this.sendState()
        await this.project.open().catch((error: Error) => this.log.warn(error.message))
        this.sendAll()
        this.sendProject()
        this.sendAttached()
        this.queue.show()
        this.send({ type: 'draft', ...this.draft })
        this.draft = { text: '', focus: false }
        await this.showLast()
        return
      case 'submit': {
        const sent = await this.write(await parsePrompt(this.client.directory, message.text), message.steer).catch((error: Error) => {
          this.send({ type: 'sent', ok: false })
          throw error
        })
        this.send({ type: 'sent', ok: Boolean(sent) })
        return
      }
      case 'abort':
        return void (await this.abort())
      case 'figures': {
        const figures = { activation: this.activation, extension: this.feed.slowest, page: message.slowest, shown: message.lastShown - this.asked }
        this.log.info(`figures ${JSON.stringify(figures)}`)
        this.feed.slowest = 0
        return
      }
      case 'older':
        return await this.older()
      case 'answer': {
        const question = this.project.questions.find((one) => one.id === message.permissionID)
        if (question) await this.project.answer(question, message.response, message)
        return
      }
      case 'edit': {
        const text = this.queue.edit(message.messageID)
        return this.send({ type: 'draft', text, focus: true })
      }
      case 'remove':
        return await this.queue.remove(this.sessionID ?? '', message.messageID)
      case 'move':
        return await this.queue.move(this.sessionID ?? '', message.messageID, message.before)
      case 'revert':
      case 'fork':
        return void (await vscode.commands.executeCommand(`polytree.${message.type}`, { sessionID: this.sessionID, messageID: message.messageID }))
      case 'detach':
        this.attached.splice(message.index, 1)
        this.sendAttached()
        return
      case 'find': {
        const files = await this.client.request('file.match', { directory: this.client.directory, query: message.query, limit: 20 })
        this.send({ type: 'files', query: message.query, files })
        return
      }
      case 'open': {
        // A link of a model leads to files of the workspace and nowhere else.
        const uri = vscode.Uri.file(path.resolve(this.client.directory, message.path))
        const inside = path.relative(this.client.directory, uri.fsPath)
        if (inside.startsWith('..') || path.isAbsolute(inside)) return
        const at = message.line ? { selection: new vscode.Range(message.line - 1, 0, message.line - 1, 0) } : {}
        await vscode.window.showTextDocument(uri, { preview: true, ...at })
        return
      }
      case 'command':
        await vscode.commands.executeCommand(message.command === 'questions' ? 'polytree.questions.focus' : `polytree.${message.command}`)
    }
  }

  private sendState(): void {
    this.send({ type: 'state', connection: this.client.state, problem: this.client.problem })
  }

  private sendProject(): void {
    const id = this.conversation?.sessionID
    const session = (id && this.project.sessions.get(id)) || this.conversation?.session
    const status = (id && this.project.statuses.get(id)) || ({ type: 'idle' } as const)
    const context = { busy: status.type !== 'idle', hasSession: Boolean(session), undone: Boolean(session?.revert) }
    for (const [name, value] of Object.entries(context)) void vscode.commands.executeCommand('setContext', `polytree.${name}`, value)
    if (this.view) this.view.description = session?.title ?? ''
    this.send({ type: 'session', ...(session ? { session } : {}), status, choice: this.words(), context: this.usage.words() })
    const own = id ? this.project.questionsOf(id) : []
    this.send({ type: 'questions', own, elsewhere: this.project.questions.length - own.length })
    this.changed.fire()
  }

  private sendAttached(): void {
    this.send({ type: 'attached', attached: this.attached.map(({ name }) => ({ name })) })
  }

  private sendAll(): void {
    // What was about to be appended is in it.
    this.feed.flush()
    const { entries = [], complete = true } = this.conversation ?? {}
    this.send({ type: 'all', entries: entries.map(shown), complete })
  }

  /** What was chosen, or the settings name, for a session that is begun. */
  private forNew(): PromptChoice {
    const settings = vscode.workspace.getConfiguration('polytree')
    const agent = this.choice.agent || settings.get('agent', '')
    const [, providerID, modelID] = /^([^/]+)\/(.+)$/.exec(settings.get('model', '')) ?? []
    const model = this.choice.model ?? (providerID && modelID ? { providerID, modelID } : undefined)
    const { variant, mode } = this.choice
    return { ...(agent ? { agent } : {}), ...(model ? { model } : {}), ...(variant ? { variant } : {}), ...(mode ? { mode } : {}) }
  }

  /** What the next prompt will use, in words. */
  private words(): Choice {
    const { defaults } = this.usage
    const { agent, model, variant, mode } = this.conversation ? {} : this.forNew()
    const session = this.conversation?.session
    const used = model ?? defaults?.model ?? session?.model
    return {
      agent: agent ?? defaults?.agent ?? session?.agent ?? 'build',
      model: [used ? `${used.providerID}/${used.modelID}` : 'default model', model ? variant : (variant ?? defaults?.variant)].filter(Boolean).join(' '),
      mode: mode ?? this.project.mode(this.sessionID),
    }
  }

  /** Sets what the session that is shown uses from its next prompt on, or the next session where none is shown. */
  async choose(choice: Omit<PromptChoice, 'mode'>): Promise<void> {
    if (this.sessionID) await this.client.request('session.update', { sessionID: this.sessionID, ...choice })
    else {
      const { variant: _, ...before } = this.choice
      this.choice = choice.model ? { ...before, ...choice } : { ...this.choice, ...choice }
    }
    this.usage.readSoon()
    this.sendProject()
  }

  /** Sets what a session does without a question, or the next one where none is shown. */
  async setMode(mode: Mode, sessionID = this.sessionID): Promise<void> {
    if (sessionID) await this.client.request('session.update', { sessionID: this.project.root(sessionID), mode })
    else this.choice.mode = mode
    this.sendProject()
  }

  // ---- the session

  /** Shows a session. */
  async show(sessionID: string): Promise<void> {
    if (this.conversation?.sessionID === sessionID) return
    this.asked = Date.now()
    this.isFresh = false
    this.following?.dispose()
    const conversation = new Conversation(sessionID)
    this.conversation = conversation
    this.early = []
    this.feed.clear()
    this.usage.follow(sessionID)
    this.queue.clear()
    this.sendAll()
    this.sendProject()
    this.following = this.client.subscribe(
      { sessionID, blobs: 'inline' },
      {
        event: (event) => {
          if (this.conversation !== conversation) return
          if (event.type === 'server.connected') {
            // Read only once the events are coming: what is in both is known by its cursor.
            if (this.early) void this.load(conversation)
          } else if (event.sessionID === sessionID) {
            if (event.type === 'session.queue.updated') this.readQueue(conversation)
            if (this.early) this.early.push(event)
            else this.feed.take(conversation, event)
          }
        },
        gap: () => {
          this.early = []
          void this.load(conversation)
        },
      },
    )
  }

  private async load(conversation: Conversation): Promise<void> {
    const { sessionID } = conversation
    try {
      const session = await this.client.request('session.get', { sessionID })
      const read = await this.client.request('session.messages', { sessionID, limit: PAGE })
      if (this.conversation !== conversation) return
      const fresh = Object.assign(conversation, new Conversation(sessionID), { session })
      fresh.prepend(read, read.length < PAGE)
      const early = this.early ?? []
      this.early = undefined
      this.sendAll()
      this.sendProject()
      this.readQueue(conversation)
      for (const event of early) this.feed.take(conversation, event)
    } catch (error) {
      this.log.error(`reading the session: ${(error as Error).message}`)
    }
  }

  private readQueue(conversation: Conversation): void {
    const isCurrent = () => this.conversation === conversation
    this.queue.read(conversation.sessionID, isCurrent).catch((error: Error) => this.log.warn(`reading the queue: ${error.message}`))
  }

  private async older(): Promise<void> {
    const conversation = this.conversation
    const before = conversation?.entries[0]?.info.id
    if (!conversation || !before || conversation.complete) return
    const read = await this.client.request('session.messages', { sessionID: conversation.sessionID, limit: PAGE, before })
    if (this.conversation !== conversation) return
    const known = new Set(conversation.entries.map((entry) => entry.info.id))
    conversation.prepend(read, read.length < PAGE)
    const entries = conversation.entries.filter((entry) => !known.has(entry.info.id)).map(shown)
    this.send({ type: 'older', entries, complete: conversation.complete })
  }

  /** Reads a message whose long texts travelled as references. */
  private async resolve(messageID: string): Promise<void> {
    const conversation = this.conversation
    if (!conversation) return
    const read = await this.client.request('session.message', { sessionID: conversation.sessionID, messageID }).catch(() => undefined)
    if (!read || this.conversation !== conversation) return
    this.feed.flush()
    conversation.replace(read)
    this.send({ type: 'entry', entry: shown(read) })
  }

  private async showLast(): Promise<void> {
    if (this.conversation || this.isFresh) return
    if (this.project.sessions.size === 0 && this.client.state === 'ready') await this.project.read()
    const last = this.project.list().find((session) => session.directory === this.client.directory)
    if (last && !this.conversation && !this.isFresh) await this.show(last.id)
  }

  /** Sends what was written in the chat: as a prompt, in place of one that waits, or to the running turn. */
  private async write(parts: PartInput[], isSteering = false): Promise<string | undefined> {
    const sessionID = this.sessionID
    if (sessionID && (await this.queue.replace(sessionID, parts))) return sessionID
    return sessionID && isSteering ? await this.steer(parts, sessionID) : await this.submit(parts)
  }

  /** Tells the running turn something, which the model reads before its next step. */
  async steer(parts: PartInput[], sessionID = this.sessionID): Promise<string | undefined> {
    if (!sessionID) return await this.submit(parts)
    await this.client.request('session.steer', { sessionID, parts: [...parts, ...this.attached.map(({ part }) => part)] })
    this.attached = []
    this.sendAttached()
    await this.show(sessionID)
    return sessionID
  }

  /** Sends a prompt to the session that is shown, or to a new one. Answers the session. */
  async submit(parts: PartInput[], sessionID = this.conversation?.sessionID): Promise<string | undefined> {
    // A session that is there knows what it uses; of a new one the turn alone has it, until the session does.
    const choice = sessionID ? {} : this.forNew()
    const result = await this.client.request('session.submit', {
      ...(sessionID ? { sessionID } : { directory: this.client.directory }),
      parts: [...parts, ...this.attached.map(({ part }) => part)],
      ...choice,
    })
    if (!sessionID) {
      const { mode, model, variant } = choice
      this.choice = {}
      const kept = { ...(mode ? { mode } : {}), ...(variant ? { ...(model ? { model } : {}), variant } : {}) }
      if (Object.keys(kept).length > 0) await this.client.request('session.update', { sessionID: result.sessionID, ...kept })
    }
    this.attached = []
    this.sendAttached()
    await this.show(result.sessionID)
    return result.sessionID
  }

  async abort(sessionID = this.sessionID): Promise<boolean> {
    return sessionID ? await this.client.request('session.abort', { sessionID }) : false
  }

  /** Writes the longest run of a handler, here and in the page, and how long the last session took to be shown, to the log. */
  figures(): void {
    this.send({ type: 'figures' })
  }

  /** Begins a new session with the next prompt. */
  fresh(): void {
    this.following?.dispose()
    this.following = undefined
    this.conversation = undefined
    this.isFresh = true
    this.usage.follow(undefined)
    this.queue.clear()
    this.sendAll()
    this.sendProject()
  }

  /** Puts a part beside the next prompt. */
  attach(name: string, part: PartInput): void {
    this.attached.push({ name, part })
    this.sendAttached()
  }

  /** Shows the chat with a draft in its prompt. */
  async compose(text = ''): Promise<void> {
    this.draft = { text, focus: true }
    await vscode.commands.executeCommand('polytree.chat.focus')
    if (this.isReady) {
      this.send({ type: 'draft', ...this.draft })
      this.draft = { text: '', focus: false }
    }
  }

  dispose(): void {
    this.feed.clear()
    this.following?.dispose()
    for (const one of this.listening) one.dispose()
  }
}
