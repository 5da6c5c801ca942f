// The commands of package.json that act on a session: choose, rename, archive, undo, copy, summarise, export, steer.
import * as vscode from 'vscode'
import type { Session } from '@polytree/protocol'
import { type Add, type Api, plainText } from './commands'
import { parsePrompt } from './context'
import { choosePrompt, undo } from './undo'
import { age, cost } from './webview/format'

/** What the commands take from key bindings, menus and other extensions. */
interface Target {
  sessionID?: string
  /** Without it the prompt is chosen from a list. */
  messageID?: string
}

export function sessionCommands(add: Add, { client, project, chat }: Api): void {
  /** The session that is named, or the one that is shown. A list hands over the session itself. */
  const sessionOf = (given: Target | Session | undefined): string => {
    const id = given && 'projectID' in given ? given.id : (given?.sessionID ?? chat.sessionID)
    if (!id) throw new Error('no session is shown')
    return id
  }

  const choose = async (sessions: Session[]) => {
    const items = sessions.map((session) => ({ label: plainText(session.title) || 'Untitled', description: [project.statuses.get(session.id)?.type, age(session.time.updated), cost(session.cost)].filter(Boolean).join(' · '), detail: session.directory, session }))
    const chosen = await vscode.window.showQuickPick(items, { placeHolder: 'Session', matchOnDetail: true })
    if (chosen) await vscode.commands.executeCommand('polytree.open', { sessionID: chosen.session.id })
  }
  add('sessions', async () => {
    await project.open()
    await project.read()
    await choose(project.list())
  })
  add('allSessions', async () => {
    const all = await client.request('session.list', { scope: 'all', limit: 500 })
    await choose(all.filter((session) => !session.parentID && !session.time.archived))
  })
  /** Opens a folder in a window of its own. */
  const openFolder = async (items: vscode.QuickPickItem[], placeHolder: string) => {
    const chosen = await vscode.window.showQuickPick(items, { placeHolder })
    if (chosen) await vscode.commands.executeCommand('vscode.openFolder', vscode.Uri.file(chosen.label), { forceNewWindow: true })
  }
  add('worktree', async () => {
    const { worktrees } = await client.request('vcs.get', { directory: client.directory })
    await openFolder(worktrees.map(({ directory, branch }) => ({ label: directory, description: branch ?? 'no branch' })), 'Open a worktree of the repository')
  })
  add('project', async () => {
    const projects = await client.request('project.list', {})
    await openFolder(projects.map(({ worktree }) => ({ label: worktree })), 'Open a project')
  })
  add('rename', async (session: Session | undefined = chat.sessionID ? project.sessions.get(chat.sessionID) : undefined) => {
    if (!session) return
    const title = await vscode.window.showInputBox({ prompt: 'Title of the session', value: session.title })
    if (title) await client.request('session.update', { sessionID: session.id, title })
  })
  add('archive', async (session: Session | undefined = chat.sessionID ? project.sessions.get(chat.sessionID) : undefined) => {
    if (!session) return
    await client.request('session.update', { sessionID: session.id, archived: true })
    if (chat.sessionID === session.id) chat.fresh()
  })

  add('steer', async (given?: { text?: string; sessionID?: string }) => {
    const sessionID = sessionOf(given)
    const text = given?.text ?? (await vscode.window.showInputBox({ prompt: 'Tell the running turn. The model reads it before its next step.' }))
    if (text) return { sessionID: await chat.steer(await parsePrompt(client.directory, text), sessionID) }
    return undefined
  })
  add('revert', async (given?: Target & { confirm?: boolean }) => {
    const sessionID = sessionOf(given)
    const prompt = await choosePrompt(client, sessionID, given?.messageID, 'Undo from which prompt on')
    if (!prompt || !(await undo(client, { sessionID, messageID: prompt.messageID }, given?.confirm ?? true))) return false
    if (chat.sessionID === sessionID && prompt.text) await chat.compose(prompt.text)
    return true
  })
  add('unrevert', async (given?: Target & { confirm?: boolean }) => await undo(client, { sessionID: sessionOf(given) }, given?.confirm ?? true))
  add('fork', async (given?: Target | Session) => {
    const sessionID = sessionOf(given)
    const messageID = given && 'messageID' in given ? given.messageID : undefined
    const copy = await client.request('session.fork', { sessionID, ...(messageID ? { messageID } : {}) })
    await vscode.commands.executeCommand('polytree.open', { sessionID: copy.id })
    if (messageID) {
      const prompt = await choosePrompt(client, sessionID, messageID, '')
      if (prompt?.text) await chat.compose(prompt.text)
    }
    return { sessionID: copy.id }
  })
  add('compact', async (given?: Target | Session) => {
    const sessionID = sessionOf(given)
    const title = 'polytree: summarising the conversation'
    const location = { viewId: 'polytree.chat' }
    await vscode.window.withProgress({ location, title }, async () => await client.request('session.compact', { sessionID }))
    return true
  })
  add('export', async (given?: (Target & { file?: vscode.Uri }) | Session) => {
    const sessionID = sessionOf(given)
    const named = given && 'file' in given ? given.file : undefined
    const name = (project.sessions.get(sessionID)?.title || 'session').replace(/[^\w-]+/g, '-').slice(0, 60)
    const proposed = vscode.Uri.joinPath(vscode.Uri.file(client.directory), `${name}.json`)
    const file = named ?? (await vscode.window.showSaveDialog({ defaultUri: proposed, filters: { JSON: ['json'] } }))
    if (!file) return
    const whole = await client.request('session.export', { sessionID })
    await vscode.workspace.fs.writeFile(file, new TextEncoder().encode(`${JSON.stringify(whole)}\n`))
  })
  add('todo', async (given?: Target | Session) => {
    const todos = await client.request('session.todo', { sessionID: sessionOf(given) })
    const signs: Record<string, string> = { completed: '$(pass)', in_progress: '$(play)', cancelled: '$(circle-slash)' }
    const items = todos.map(({ content, status, priority }) => ({ label: `${signs[status] ?? '$(circle-large-outline)'} ${plainText(content)}`, description: `${status.replace('_', ' ')} · ${priority}` }))
    await vscode.window.showQuickPick(items, { placeHolder: items.length > 0 ? 'Tasks of the session' : 'The session has no task list' })
  })
}
