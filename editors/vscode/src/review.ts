// Review of what the session that is shown has changed, hunk by hunk: in the editor, in the diff editor, and as a list. The
// hunks and what was decided about them are the daemon's: other clients show the same.
import * as path from 'node:path'
import * as vscode from 'vscode'
import type { Hunk } from '@polytree/protocol'
import type { Chat } from './chat'
import type { Client } from './client'
import type { Project } from './project'
import { RpcError } from './rpc'
import { undoneFiles } from './webview/format'

/** Changes that come together cost one read, in milliseconds. */
const WAIT = 200

/** What is decided about: a hunk, a file, or all that is open. */
export interface Decision {
  sessionID?: string
  hunkID?: string
  path?: string
  all?: boolean
}

export function isOpen(hunk: Hunk): boolean {
  return hunk.state === 'open'
}

function rangeOf({ range: { start, end } }: Hunk): vscode.Range {
  return new vscode.Range(start.line, start.character, end.line, end.character)
}

/** The last line that a hunk has something to do with. */
function lastLine(hunk: Hunk): number {
  const { start, end } = rangeOf(hunk)
  return end.character === 0 && end.line > start.line ? end.line - 1 : end.line
}

export class Review implements vscode.CodeLensProvider, vscode.Disposable {
  private sessionID: string | undefined
  private files = new Map<string, Hunk[]>()
  private timer: NodeJS.Timeout | undefined
  private readonly changed = new vscode.EventEmitter<void>()
  /** The hunks, or what was decided about them, may have changed. */
  readonly onChange = this.changed.event
  readonly onDidChangeCodeLenses = this.changed.event
  private readonly listening: vscode.Disposable[] = []
  private readonly mark = vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    borderWidth: '0 0 0 3px',
    borderStyle: 'solid',
    borderColor: new vscode.ThemeColor('editorGutter.modifiedBackground'),
    overviewRulerColor: new vscode.ThemeColor('editorOverviewRuler.modifiedForeground'),
    overviewRulerLane: vscode.OverviewRulerLane.Left,
  })

  constructor(
    private readonly client: Client,
    project: Project,
    private readonly chat: Chat,
    private readonly log: vscode.LogOutputChannel,
  ) {
    this.listening.push(
      chat.onChange(() => this.follow()),
      project.onHunks((sessionID) => sessionID === this.sessionID && this.readSoon()),
      // Ranges are those of the text as it is: it moves them.
      vscode.workspace.onDidChangeTextDocument(({ document }) => this.files.has(document.uri.fsPath) && this.readSoon()),
      vscode.window.onDidChangeVisibleTextEditors(() => this.decorate()),
      vscode.window.onDidChangeActiveTextEditor(() => this.decorate()),
      vscode.window.onDidChangeTextEditorSelection(() => this.tellContext()),
    )
  }

  private follow(): void {
    if (this.chat.sessionID === this.sessionID) return
    this.sessionID = this.chat.sessionID
    this.take([])
    if (this.sessionID) this.readSoon()
  }

  private readSoon(): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => {
      this.read().catch((error: Error) => this.log.warn(`hunk.list: ${error.message}`))
    }, WAIT)
  }

  /** Reads the hunks of the session that is shown. */
  async read(): Promise<void> {
    const { sessionID } = this
    if (!sessionID || !this.client.has('hunk.list')) return
    const hunks = await this.client.request('hunk.list', { sessionID })
    if (sessionID === this.sessionID) this.take(hunks)
  }

  private take(hunks: Hunk[]): void {
    this.files = new Map()
    for (const hunk of hunks) this.files.set(hunk.path, [...(this.files.get(hunk.path) ?? []), hunk])
    this.decorate()
    this.changed.fire()
  }

  /** The hunks of a file, from its top. */
  hunks(file: string): Hunk[] {
    return this.files.get(file) ?? []
  }

  /** The files that the session has changed, by path. */
  paths(): string[] {
    return [...this.files.keys()].sort()
  }

  count(): number {
    return [...this.files.values()].flat().filter(isOpen).length
  }

  private open(file: string): Hunk[] {
    return this.hunks(file).filter(isOpen)
  }

  private decorate(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      const hunks = editor.document.uri.scheme === 'file' ? this.open(editor.document.uri.fsPath) : []
      editor.setDecorations(this.mark, hunks.map((hunk) => new vscode.Range(hunk.range.start.line, 0, lastLine(hunk), 0)))
    }
    this.tellContext()
  }

  private tellContext(): void {
    const editor = vscode.window.activeTextEditor
    const set = (name: string, value: unknown) => void vscode.commands.executeCommand('setContext', `polytree.${name}`, value)
    set('reviewable', editor !== undefined && this.open(editor.document.uri.fsPath).length > 0)
    set('onHunk', this.atCursor() !== undefined)
    set('openHunks', this.count() > 0)
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    const { sessionID } = this
    return this.open(document.uri.fsPath).flatMap((hunk) => {
      const place = new vscode.Range(hunk.range.start.line, 0, hunk.range.start.line, 0)
      const lens = (title: string, command: string, argument: unknown) => new vscode.CodeLens(place, { title, command: `polytree.${command}`, arguments: [argument] })
      const decision = { sessionID, hunkID: hunk.hunkID }
      return [lens('Keep', 'keep', decision), lens('Undo', 'undo', decision), lens('Compare', 'review', { sessionID, path: hunk.path })]
    })
  }

  /** The open hunk under the cursor. */
  private atCursor(): Hunk | undefined {
    const editor = vscode.window.activeTextEditor
    const line = editor?.selection.active.line ?? -1
    return editor && this.open(editor.document.uri.fsPath).find((hunk) => hunk.range.start.line <= line && line <= lastLine(hunk))
  }

  /** Keeps or undoes: what is named, else the hunk under the cursor. Answers how many hunks changed. */
  async decide(method: 'hunk.keep' | 'hunk.undo', decision: Decision = {}): Promise<number> {
    const sessionID = decision.sessionID ?? this.sessionID
    if (!sessionID) throw new Error('no session is shown')
    const hunkID = decision.hunkID ?? (decision.path || decision.all ? undefined : this.atCursor()?.hunkID)
    if (!hunkID && !decision.path && !decision.all) throw new Error('no open hunk is under the cursor')
    const params = { sessionID, ...(hunkID ? { hunkID } : decision.path ? { path: decision.path } : {}) }
    let changed: Hunk[]
    try {
      changed = await this.client.request(method, params)
    } catch (error) {
      if (method === 'hunk.keep' || !(error instanceof RpcError) || !Array.isArray(error.data['files'])) throw error
      const detail = undoneFiles({ files: error.data['files'] }, this.client.directory).join('\n')
      if ((await vscode.window.showWarningMessage(error.message, { modal: true, detail }, 'Undo the Rest')) !== 'Undo the Rest') return 0
      changed = await this.client.request('hunk.undo', { ...params, partial: true })
    }
    await this.read()
    return changed.length
  }

  /** Goes to the next open hunk (or the one before), in this file or another one. */
  async go(step: 1 | -1): Promise<void> {
    const editor = vscode.window.activeTextEditor
    const own = editor?.document.uri.fsPath ?? ''
    const line = editor?.selection.active.line ?? 0
    const ordered = (file: string) => (step > 0 ? this.open(file) : this.open(file).reverse())
    const here = ordered(own).find((hunk) => (hunk.range.start.line - line) * step > 0)
    const others = this.paths().filter((file) => this.open(file).length > 0)
    if (step < 0) others.reverse()
    const file = here ? own : (others.find((other) => (other > own ? 1 : other < own ? -1 : 0) === step) ?? others[0])
    const hunk = here ?? (file ? ordered(file)[0] : undefined)
    if (!file || !hunk) return void vscode.window.showInformationMessage('polytree: no hunk is open.')
    const place = new vscode.Position(hunk.range.start.line, 0)
    if (here && editor) {
      editor.selection = new vscode.Selection(place, place)
      editor.revealRange(new vscode.Range(place, place), vscode.TextEditorRevealType.InCenterIfOutsideViewport)
    } else await vscode.window.showTextDocument(vscode.Uri.file(file), { selection: new vscode.Range(place, place) })
  }

  /** Compares a file with what it was before the session changed it. */
  async compare(file: string, sessionID = this.sessionID): Promise<void> {
    if (!sessionID) throw new Error('no session is shown')
    const uri = vscode.Uri.file(file)
    const left = uri.with({ scheme: BeforeTexts.SCHEME, query: sessionID })
    await vscode.commands.executeCommand('vscode.diff', left, uri, `${path.basename(file)} (before the session)`, { preview: true })
  }

  dispose(): void {
    clearTimeout(this.timer)
    this.mark.dispose()
    this.changed.dispose()
    for (const one of this.listening) one.dispose()
  }
}

/** The text of files before a session changed them, for the left side of a diff: `polytree-before:/absolute/path?SESSION`. */
export class BeforeTexts implements vscode.TextDocumentContentProvider {
  static readonly SCHEME = 'polytree-before'

  constructor(private readonly client: Client) {}

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const diffs = await this.client.request('session.diff', { sessionID: uri.query })
    return diffs.find((diff) => diff.path === uri.fsPath)?.before ?? ''
  }
}
