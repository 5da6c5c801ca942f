// polytree for VS Code: what is defined by package.json, put together.
import { started } from './started'
import { homedir } from 'node:os'
import * as vscode from 'vscode'
import { Buffers } from './buffers'
import { Chat } from './chat'
import { Client } from './client'
import { Diagnostics } from './diagnostics'
import { type Api, commands, plainText } from './commands'
import { Project } from './project'
import { BeforeTexts, Review } from './review'
import { reviewCommands } from './review_commands'
import { sessionCommands } from './session_commands'
import { cost } from './webview/format'
import { ChangeTree, HeadTexts, QuestionTree, SessionTree } from './trees'

/** How long all modules took to be evaluated, in milliseconds. */
const loading = performance.now() - started

export function activate(context: vscode.ExtensionContext): Api {
  const begun = performance.now()
  const log = vscode.window.createOutputChannel('polytree', { log: true })
  const directory = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? homedir()
  const client = new Client(directory, log)
  const project = new Project(client)
  const chat = new Chat(context.extensionUri, client, project, log)
  const buffers = new Buffers(client, log)
  const review = new Review(client, project, chat, log)
  const changes = new ChangeTree(client, project, review)
  context.subscriptions.push(
    log,
    client,
    project,
    chat,
    review,
    buffers,
    new Diagnostics(client, buffers, log),
    vscode.window.registerWebviewViewProvider('polytree.chat', chat, { webviewOptions: { retainContextWhenHidden: true } }),
    vscode.window.registerTreeDataProvider('polytree.sessions', new SessionTree(client, project)),
    vscode.window.registerTreeDataProvider('polytree.questions', new QuestionTree(project)),
    vscode.window.registerTreeDataProvider('polytree.changes', changes),
    vscode.workspace.registerTextDocumentContentProvider(HeadTexts.SCHEME, new HeadTexts(client)),
    vscode.workspace.registerTextDocumentContentProvider(BeforeTexts.SCHEME, new BeforeTexts(client)),
    vscode.languages.registerCodeLensProvider({ scheme: 'file' }, review),
    vscode.languages.registerCodeActionsProvider({ scheme: 'file' }, new FixProblems(), {
      providedCodeActionKinds: [vscode.CodeActionKind.QuickFix],
    }),
    statusBar(client, project, chat),
    questionNotices(project, chat),
  )
  // Another client, or a tool, asks to see a file.
  client.onDirect('editor.open', ({ properties: { path, range } }) => {
    const selection = range && new vscode.Range(range.start.line, range.start.character, range.end.line, range.end.character)
    vscode.window.showTextDocument(vscode.Uri.file(path), { preview: true, ...(selection ? { selection } : {}) }).then(undefined, (error: Error) => log.warn(error.message))
  })
  const api = { client, project, chat }
  const add = commands(context, api, changes, log)
  sessionCommands(add, api)
  reviewCommands(add, review)
  chat.activation = loading + performance.now() - begun
  return api
}

function statusBar(client: Client, project: Project, chat: Chat): vscode.Disposable {
  const item = vscode.window.createStatusBarItem('polytree.status', vscode.StatusBarAlignment.Left, 10)
  item.name = 'polytree'
  item.command = 'polytree.open'
  const update = () => {
    const waiting = project.questions.length
    const busy = [...project.statuses.values()].filter((status) => status.type !== 'idle').length
    const own = chat.visible && chat.sessionID ? project.questionsOf(chat.sessionID).length : 0
    void vscode.commands.executeCommand('setContext', 'polytree.hasQuestions', waiting > 0)
    // The chat shows its own: the list is for those of other sessions.
    void vscode.commands.executeCommand('setContext', 'polytree.hasQuestionsElsewhere', waiting > own)
    item.backgroundColor = waiting > 0 ? new vscode.ThemeColor('statusBarItem.warningBackground') : undefined
    const session = chat.sessionID ? project.sessions.get(chat.sessionID) : undefined
    const spent = session ? ` ${cost(session.cost)}` : ''
    if (client.state === 'failed') item.text = '$(error) polytree'
    else if (waiting > 0) item.text = `$(question) polytree: ${waiting} question${waiting === 1 ? '' : 's'}`
    else if (busy > 0) item.text = `$(sync~spin) polytree: ${busy} busy${spent}`
    else item.text = `$(comment-discussion) polytree${spent}`
    item.tooltip = client.state === 'failed' ? client.problem : 'polytree: open the chat'
  }
  update()
  item.show()
  return vscode.Disposable.from(item, client.onState(update), project.onChange(update), chat.onChange(update))
}

/** Tells of questions that cannot be seen: the chat shows its own. */
function questionNotices(project: Project, chat: Chat): vscode.Disposable {
  const told = new Set<string>()
  return project.onChange(() => {
    if (!vscode.workspace.getConfiguration('polytree').get('notifyQuestions', true)) return
    for (const question of project.questions) {
      if (told.has(question.id)) continue
      told.add(question.id)
      if (chat.visible && chat.sessionID === question.sessionID) continue
      // What is asked is looked at in the chat, whole: a notification is short, and takes Markdown for links.
      const title = plainText(project.sessions.get(question.sessionID)?.title ?? '')
      const message = `polytree: a tool (${plainText(question.type)}) asks for permission in "${title}"`
      void vscode.window.showWarningMessage(message, 'Show').then(async (choice) => {
        if (choice === 'Show') await vscode.commands.executeCommand('polytree.open', { sessionID: question.sessionID })
      }, () => {})
    }
  })
}

/** "Fix with polytree" for problems that language servers report. */
class FixProblems implements vscode.CodeActionProvider {
  provideCodeActions(document: vscode.TextDocument, _range: vscode.Range, { diagnostics }: vscode.CodeActionContext): vscode.CodeAction[] {
    if (diagnostics.length === 0) return []
    const action = new vscode.CodeAction('Fix with polytree', vscode.CodeActionKind.QuickFix)
    action.diagnostics = [...diagnostics]
    action.command = { command: 'polytree.fix', title: 'Fix with polytree', arguments: [document.uri, diagnostics] }
    return [action]
  }
}
