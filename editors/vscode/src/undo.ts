// Undoing a part of a conversation with what it changed in files, taking that back, and copies of conversations.
import * as vscode from 'vscode'
import type { Session } from '@polytree/protocol'
import type { Client } from './client'
import { typed } from './queue'
import { RpcError } from './rpc'
import { undoneFiles } from './webview/format'

export interface PromptOf {
  messageID: string
  text: string
}

/** The prompts of a session that are not undone, the newest first. */
async function prompts(client: Client, sessionID: string): Promise<PromptOf[]> {
  const { revert } = await client.request('session.get', { sessionID })
  const read = await client.request('session.messages', { sessionID, limit: 200 })
  const first = read.findIndex(({ info }) => info.id === revert?.messageID)
  const kept = first < 0 ? read : read.slice(0, first)
  return kept.flatMap(({ info, parts }) => (info.role === 'user' ? [{ messageID: info.id, text: typed(parts) }] : [])).reverse()
}

/** A prompt that is chosen, or the one that is named. */
export async function choosePrompt(client: Client, sessionID: string, messageID: string | undefined, placeHolder: string): Promise<PromptOf | undefined> {
  if (messageID) {
    const { parts } = await client.request('session.message', { sessionID, messageID })
    return { messageID, text: typed(parts) }
  }
  const items = (await prompts(client, sessionID)).map((prompt) => ({ label: prompt.text.replace(/[\s$]+/g, ' ').slice(0, 100) || 'a prompt without text', prompt }))
  return (await vscode.window.showQuickPick(items, { placeHolder }))?.prompt
}

/** What is said of an undo that is refused, with the files because of which. */
function withFiles(error: unknown, directory: string): unknown {
  if (!(error instanceof RpcError) || !Array.isArray(error.data['files'])) return error
  return new Error([error.message, ...undoneFiles({ files: error.data['files'] }, directory)].join('; '))
}

/** Shows what would happen, asks where `confirm` says so, and does it. Answers whether it was done. */
export async function undo(client: Client, target: { sessionID: string; messageID?: string }, confirm: boolean): Promise<boolean> {
  const run = async (more: { preview?: boolean; partial?: boolean }): Promise<Session> => {
    const { sessionID, messageID } = target
    try {
      return await (messageID ? client.request('session.revert', { sessionID, messageID, ...more }) : client.request('session.unrevert', { sessionID, ...more }))
    } catch (error) {
      throw withFiles(error, client.directory)
    }
  }
  const { revert } = await run({ preview: true })
  const conflicts = (revert?.files ?? []).filter(({ action }) => action === 'conflict').length
  if (confirm) {
    const verb = target.messageID ? 'Undo' : 'Take Back'
    const detail = (revert ? undoneFiles(revert, client.directory) : []).join('\n') || 'No file changes.'
    const rest = conflicts > 0 ? `\n\n${conflicts === 1 ? 'The file in conflict stays' : `The ${conflicts} files in conflict stay`} as ${conflicts === 1 ? 'it is' : 'they are'}.` : ''
    const question = target.messageID ? 'Undo the conversation from this prompt on, with its changes of files?' : 'Take the undo back?'
    if ((await vscode.window.showWarningMessage(question, { modal: true, detail: detail + rest }, verb)) !== verb) return false
  }
  await run(conflicts > 0 ? { partial: true } : {})
  return true
}
