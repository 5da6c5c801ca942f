// The lists of the activity bar: sessions, open questions, changed files.
import * as path from 'node:path'
import * as vscode from 'vscode'
import type { File, Permission, Session } from '@polytree/protocol'
import type { Client } from './client'
import type { Project } from './project'
import type { Review } from './review'
import { age, visible } from './webview/format'

/** Sessions, below their worktree where there are several. */
export class SessionTree implements vscode.TreeDataProvider<Session | string> {
  private readonly changed = new vscode.EventEmitter<void>()
  readonly onDidChangeTreeData = this.changed.event

  constructor(
    private readonly client: Client,
    private readonly project: Project,
  ) {
    project.onChange(() => this.changed.fire())
  }

  getChildren(element?: Session | string): (Session | string)[] {
    const sessions = this.project.list()
    if (typeof element === 'string') return sessions.filter(({ directory }) => directory === element)
    if (element) return []
    const directories = [...new Set(sessions.map(({ directory }) => directory))]
    if (directories.length < 2) return sessions
    // The one of this window comes first.
    return directories.sort((a, b) => Number(b === this.client.directory) - Number(a === this.client.directory))
  }

  getTreeItem(session: Session | string): vscode.TreeItem {
    if (typeof session === 'string') {
      const group = new vscode.TreeItem(path.basename(session), vscode.TreeItemCollapsibleState.Expanded)
      group.id = session
      group.description = path.dirname(session)
      group.iconPath = new vscode.ThemeIcon(session === this.client.directory ? 'root-folder-opened' : 'root-folder')
      group.contextValue = 'worktree'
      return group
    }
    const status = this.project.statuses.get(session.id)
    const item = new vscode.TreeItem(session.title || 'Untitled')
    item.id = session.id
    item.description = [status?.type, session.branch, age(session.time.updated)].filter(Boolean).join(' · ')
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
    const item = new vscode.TreeItem(visible(question.patterns[0] ?? question.type))
    item.id = question.id
    item.description = `${question.type} · ${this.project.sessions.get(question.sessionID)?.title ?? ''}`
    item.tooltip = visible(question.patterns.join('\n'))
    item.iconPath = new vscode.ThemeIcon('question')
    item.contextValue = 'question'
    item.command = { command: 'polytree.open', title: 'Open', arguments: [{ sessionID: question.sessionID }] }
    return item
  }
}

/** A heading of the changed files. */
interface Group {
  group: 'session' | 'commit'
}

/** A file that the session has changed. */
interface Reviewed {
  file: string
}

type Changed = Group | Reviewed | File

/** What the session has changed, to be reviewed, and what differs from the last commit. Read while it is looked at. */
export class ChangeTree implements vscode.TreeDataProvider<Changed> {
  private readonly changed = new vscode.EventEmitter<void>()
  readonly onDidChangeTreeData = this.changed.event
  private timer: NodeJS.Timeout | undefined

  constructor(
    private readonly client: Client,
    project: Project,
    private readonly review: Review,
  ) {
    project.onFile(() => {
      clearTimeout(this.timer)
      this.timer = setTimeout(() => this.changed.fire(), 300)
    })
    review.onChange(() => this.changed.fire())
    client.onState((state) => state === 'ready' && this.changed.fire())
  }

  refresh(): void {
    this.changed.fire()
  }

  async getChildren(element?: Changed): Promise<Changed[]> {
    if (this.client.state !== 'ready') return []
    const reviewed = this.review.paths().map((file) => ({ file }))
    if (!element && reviewed.length > 0) return [{ group: 'session' }, { group: 'commit' }]
    if (element && 'group' in element && element.group === 'session') return reviewed
    if (element && !('group' in element)) return []
    return await this.client.request('file.status', { directory: this.client.directory })
  }

  getTreeItem(element: Changed): vscode.TreeItem {
    if ('group' in element) {
      const item = new vscode.TreeItem(element.group === 'session' ? 'Changed by the Session' : 'Since the Last Commit', vscode.TreeItemCollapsibleState.Expanded)
      const open = this.review.count()
      if (element.group === 'session') item.description = open === 0 ? 'all reviewed' : `${open} hunk${open === 1 ? '' : 's'} to review`
      item.contextValue = `polytree.${element.group}`
      return item
    }
    return 'file' in element ? this.reviewed(element) : this.differing(element)
  }

  private reviewed({ file }: Reviewed): vscode.TreeItem {
    const item = new vscode.TreeItem(vscode.Uri.file(file))
    const hunks = this.review.hunks(file)
    const count = (state: string) => hunks.filter((hunk) => hunk.state === state).length
    const folder = path.relative(this.client.directory, path.dirname(file))
    const words = ['open', 'kept', 'undone'].flatMap((state) => (count(state) > 0 ? [`${count(state)} ${state}`] : []))
    item.id = `session ${file}`
    item.description = [folder, words.join(', ')].filter(Boolean).join(' · ')
    item.contextValue = count('open') > 0 ? 'polytree.reviewable' : 'polytree.reviewed'
    item.command = { command: 'polytree.review', title: 'Compare', arguments: [{ path: file }] }
    return item
  }

  private differing(file: File): vscode.TreeItem {
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
