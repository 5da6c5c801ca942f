// The lists of the activity bar: sessions, open questions, changed files.
import * as path from 'node:path'
import * as vscode from 'vscode'
import type { File, Permission, Session } from '@polytree/protocol'
import type { Client } from './client'
import type { Project } from './project'

/** Sessions, by their directory where there are several. */
export class SessionTree implements vscode.TreeDataProvider<Session> {
  private readonly changed = new vscode.EventEmitter<void>()
  readonly onDidChangeTreeData = this.changed.event

  constructor(
    private readonly client: Client,
    private readonly project: Project,
  ) {
    project.onChange(() => this.changed.fire())
  }

  getChildren(element?: Session): Session[] {
    return element ? [] : this.project.list()
  }

  getTreeItem(session: Session): vscode.TreeItem {
    const status = this.project.statuses.get(session.id)
    const item = new vscode.TreeItem(session.title || 'Untitled')
    const words = [status?.type, session.directory === this.client.directory ? '' : path.basename(session.directory)]
    item.id = session.id
    item.description = words.filter(Boolean).join(' · ')
    item.tooltip = `${session.title}\n${session.directory}\n$${session.cost.toFixed(4)}`
    item.iconPath = new vscode.ThemeIcon(!status ? 'comment' : status.type === 'waiting' ? 'question' : 'sync~spin')
    item.contextValue = 'session'
    item.command = { command: 'polytree.open', title: 'Open', arguments: [{ sessionID: session.id }] }
    return item
  }
}

/** Questions of tools that wait for an answer. */
export class QuestionTree implements vscode.TreeDataProvider<Permission> {
  private readonly changed = new vscode.EventEmitter<void>()
  readonly onDidChangeTreeData = this.changed.event

  constructor(private readonly project: Project) {
    project.onChange(() => this.changed.fire())
  }

  getChildren(element?: Permission): Permission[] {
    return element ? [] : this.project.questions
  }

  getTreeItem(question: Permission): vscode.TreeItem {
    const item = new vscode.TreeItem(question.patterns[0] ?? question.type)
    item.id = question.id
    item.description = `${question.type} · ${this.project.sessions.get(question.sessionID)?.title ?? ''}`
    item.tooltip = question.patterns.join('\n')
    item.iconPath = new vscode.ThemeIcon('question')
    item.contextValue = 'question'
    item.command = { command: 'polytree.open', title: 'Open', arguments: [{ sessionID: question.sessionID }] }
    return item
  }
}

/** Files that differ from the last commit. Read when the list is looked at, and when files change while it is. */
export class ChangeTree implements vscode.TreeDataProvider<File> {
  private readonly changed = new vscode.EventEmitter<void>()
  readonly onDidChangeTreeData = this.changed.event
  private timer: NodeJS.Timeout | undefined

  constructor(
    private readonly client: Client,
    project: Project,
  ) {
    project.onFile(() => {
      clearTimeout(this.timer)
      this.timer = setTimeout(() => this.changed.fire(), 300)
    })
    client.onState((state) => state === 'ready' && this.changed.fire())
  }

  refresh(): void {
    this.changed.fire()
  }

  async getChildren(element?: File): Promise<File[]> {
    if (element || this.client.state !== 'ready') return []
    return await this.client.request('file.status', { directory: this.client.directory })
  }

  getTreeItem(file: File): vscode.TreeItem {
    const uri = vscode.Uri.file(path.join(this.client.directory, file.path))
    const item = new vscode.TreeItem(uri)
    item.description = `${path.dirname(file.path) === '.' ? '' : `${path.dirname(file.path)} `}+${file.added} -${file.removed}`
    item.tooltip = `${file.path}: ${file.status}`
    item.command = { command: 'polytree.diff', title: 'Compare', arguments: [uri, file.status] }
    return item
  }
}

/** The text of files in the last commit, for the left side of a diff: `polytree-head:/absolute/path`. */
export class HeadTexts implements vscode.TextDocumentContentProvider {
  static readonly SCHEME = 'polytree-head'

  constructor(private readonly client: Client) {}

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const read = await this.client.request('file.read', { directory: this.client.directory, path: uri.fsPath })
    return read.type === 'patch' ? oldSide(read.content) : read.content
  }
}

/** The old side of a patch that holds every line of its file. */
export function oldSide(patch: string): string {
  const lines: string[] = []
  let isBody = false
  let isOpenEnded = false
  for (const line of patch.split('\n')) {
    if (line.startsWith('@@ ')) isBody = true
    else if (isBody && (line.startsWith(' ') || line.startsWith('-'))) {
      lines.push(line.slice(1))
      isOpenEnded = false
    } else if (isBody && line.startsWith('\\')) isOpenEnded = true
  }
  return lines.join('\n') + (lines.length > 0 && !isOpenEnded ? '\n' : '')
}
