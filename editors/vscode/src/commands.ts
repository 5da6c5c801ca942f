// The commands of package.json that ask, answer and choose. `session_commands.ts` has those that act on a session.
import * as vscode from 'vscode'
import type { Mode, Permission } from '@polytree/protocol'
import type { Chat } from './chat'
import type { Client } from './client'
import { changesPart, diagnosticsPart, filePart, parsePrompt, selectedLines, selectionPart } from './context'
import type { AnswerMore, Project } from './project'
import { type ChangeTree, HeadTexts } from './trees'
import { visible } from './webview/format'

/** What `polytree.prompt` takes from key bindings and other extensions. */
interface PromptArguments {
  text?: string
  sessionID?: string
  context?: 'selection' | 'file' | 'diagnostics' | 'changes'
}

/** What other extensions get from `activate`. */
export interface Api {
  client: Client
  project: Project
  chat: Chat
}

/** Defines a command; what it throws is shown and logged. */
export type Add = (name: string, run: (...given: never[]) => unknown) => void

const MODES: { label: Mode; description: string }[] = [
  { label: 'ask', description: 'asks for all that the rules do not allow' },
  { label: 'edits', description: 'edits in the worktree, and commands in the sandbox, without a question' },
  { label: 'all', description: 'everything without a question, but for what is denied' },
]

/** Text of others for a notification or a list, which take `[a](b)` for a link and `$(a)` for an icon. Nothing in it is invisible. */
export function plainText(text: string): string {
  return visible(text.replace(/[[\]()$]/g, ' ').slice(0, 200))
}

/** Defines the commands of prompts, questions and settings; answers what defines others. */
export function commands(context: vscode.ExtensionContext, { client, project, chat }: Api, changes: ChangeTree, log: vscode.LogOutputChannel): Add {
  const add: Add = (name: string, run: (...given: never[]) => unknown) => {
    const guarded = async (...given: never[]) => {
      try {
        return await run(...given)
      } catch (error) {
        log.error(`${name}: ${(error as Error).message}`)
        void vscode.window.showErrorMessage(`polytree: ${plainText((error as Error).message)}`)
        return undefined
      }
    }
    context.subscriptions.push(vscode.commands.registerCommand(`polytree.${name}`, guarded))
  }

  add('open', async (given?: { sessionID?: string }) => {
    // Who opens the chat wants to write.
    await chat.compose()
    await project.open()
    if (given?.sessionID) await chat.show(given.sessionID)
  })
  add('new', async () => {
    chat.fresh()
    await chat.compose()
  })
  add('prompt', async ({ text, sessionID, context: about }: PromptArguments = {}) => {
    await project.open()
    const editor = vscode.window.activeTextEditor
    if (about === 'selection' && editor) attachSelection(editor)
    else if (about === 'file' && editor) chat.attach(vscode.workspace.asRelativePath(editor.document.uri), filePart(client.directory, editor.document.uri))
    else if (about === 'diagnostics' && editor) attachProblems(editor.document.uri)
    else if (about === 'changes') await attachChanges()
    if (!text) return void (await chat.compose())
    return { sessionID: await chat.submit(await parsePrompt(client.directory, text), sessionID) }
  })
  add('promptSelection', async () => {
    const editor = vscode.window.activeTextEditor
    if (editor) attachSelection(editor)
    await chat.compose()
  })
  add('promptDiagnostics', async () => {
    const editor = vscode.window.activeTextEditor
    if (!editor || !attachProblems(editor.document.uri)) return void vscode.window.showInformationMessage('polytree: this file has no problems.')
    await chat.compose('Fix these problems.')
  })
  add('promptChanges', async () => {
    await client.connect()
    if (!(await attachChanges())) return void vscode.window.showInformationMessage('polytree: nothing differs from the last commit.')
    await chat.compose()
  })
  add('fix', async (uri: vscode.Uri, diagnostics: vscode.Diagnostic[]) => {
    const part = diagnosticsPart(client.directory, uri, diagnostics)
    if (!part) return
    await vscode.commands.executeCommand('polytree.chat.focus')
    await project.open()
    await chat.submit([{ type: 'text', text: 'Fix this problem.' }, part, filePart(client.directory, uri)])
  })
  add('addFile', async (uri: vscode.Uri | undefined = vscode.window.activeTextEditor?.document.uri) => {
    if (!uri) return
    const { type } = await vscode.workspace.fs.stat(uri)
    chat.attach(vscode.workspace.asRelativePath(uri), filePart(client.directory, uri, undefined, type === vscode.FileType.Directory))
    await chat.compose()
  })
  add('abort', async (given?: { sessionID?: string }) => await chat.abort(given?.sessionID))
  /** The question that is on the screen; where there is none, the oldest is shown and nothing is answered. */
  const onScreen = async (): Promise<Permission | undefined> => {
    const own = chat.visible && chat.sessionID ? project.questionsOf(chat.sessionID)[0] : undefined
    const first = project.questions[0]
    if (own || !first) return own
    await vscode.commands.executeCommand('polytree.open', { sessionID: first.sessionID })
    return undefined
  }
  const reply = (response: 'once' | 'always' | 'reject') => async () => {
    const question = await onScreen()
    if (question) await project.answer(question, response)
  }
  add('allow', reply('once'))
  add('always', reply('always'))
  add('reject', reply('reject'))
  add('answer', async (given?: AnswerMore & { permissionID?: string; response?: 'once' | 'always' | 'reject' }) => {
    const question = given?.permissionID ? project.questions.find((one) => one.id === given.permissionID) : await onScreen()
    if (!question) {
      if (given?.permissionID) throw new Error('that question is not open any more')
      return
    }
    const response = given?.response ?? (await chooseResponse(question.always.length > 0))
    if (response) await project.answer(question, response, given)
  })

  add('model', async (given?: { model?: string; variant?: string }) => {
    const models = await client.request('model.list', { directory: client.directory })
    const items = models.map((model) => ({ label: `${model.providerID}/${model.modelID}`, description: model.info.name, model }))
    const named = given?.model ? items.find(({ label }) => label === given.model) : undefined
    if (given?.model && !named) throw new Error(`there is no model "${given.model}"`)
    const chosen = named ?? (await vscode.window.showQuickPick(items, { placeHolder: 'Model of the session' }))
    if (!chosen) return
    const { providerID, modelID, info } = chosen.model
    const variants = info.variants ?? []
    const isAsked = variants.length > 0 && !named
    const variant = isAsked ? await vscode.window.showQuickPick(['default', ...variants], { placeHolder: 'Variant' }) : given?.variant
    if (isAsked && !variant) return
    await chat.choose({ model: { providerID, modelID }, ...(variant && variant !== 'default' ? { variant } : {}) })
  })
  add('agent', async (given?: { agent?: string }) => {
    const agents = await client.request('agent.list', { directory: client.directory })
    const items = agents.filter((agent) => agent.mode !== 'subagent').map((agent) => ({ label: agent.name, description: agent.description ?? '' }))
    const agent = given?.agent ?? (await vscode.window.showQuickPick(items, { placeHolder: 'Agent of the session' }))?.label
    if (agent) await chat.choose({ agent })
  })
  add('mode', async (given?: { mode?: Mode; sessionID?: string }) => {
    await project.open()
    const now = project.mode(given?.sessionID ?? chat.sessionID)
    const chosen = given?.mode ?? (await vscode.window.showQuickPick(MODES, { placeHolder: `What is done without a question (now ${now})` }))?.label
    if (!chosen) return
    if (!MODES.some(({ label }) => label === chosen)) throw new Error(`there is no mode "${chosen}": ask, edits or all`)
    await chat.setMode(chosen, given?.sessionID)
  })
  add('diff', async (uri: vscode.Uri | undefined = vscode.window.activeTextEditor?.document.uri, status?: string) => {
    if (!uri) return
    await client.connect()
    if (status === 'added') return void (await vscode.window.showTextDocument(uri))
    const left = uri.with({ scheme: HeadTexts.SCHEME })
    await vscode.commands.executeCommand('vscode.diff', left, uri, `${vscode.workspace.asRelativePath(uri)} (last commit)`, { preview: true })
  })
  add('refreshChanges', () => changes.refresh())
  add('restart', async () => {
    await client.restart()
    if (client.state !== 'ready') throw new Error(client.problem)
    await project.open()
  })
  add('log', () => log.show())
  add('figures', () => chat.figures())
  return add

  function attachSelection(editor: vscode.TextEditor): void {
    const [first, last] = selectedLines(editor.selection)
    chat.attach(`${vscode.workspace.asRelativePath(editor.document.uri)}:${first}-${last}`, selectionPart(client.directory, editor))
  }

  async function attachChanges(): Promise<boolean> {
    const part = await changesPart(client)
    if (part) chat.attach('changes since the last commit', part)
    return part !== undefined
  }

  function attachProblems(uri: vscode.Uri): boolean {
    const part = diagnosticsPart(client.directory, uri)
    if (part) chat.attach(`problems of ${vscode.workspace.asRelativePath(uri)}`, part)
    return part !== undefined
  }

  async function chooseResponse(canAlways: boolean): Promise<'once' | 'always' | 'reject' | undefined> {
    const items = [
      { label: 'Allow Once', response: 'once' as const },
      ...(canAlways ? [{ label: 'Always Allow', response: 'always' as const }] : []),
      { label: 'Reject', response: 'reject' as const },
    ]
    return (await vscode.window.showQuickPick(items, { placeHolder: 'Answer' }))?.response
  }
}
