// The commands of package.json that review what the session has changed.
import * as vscode from 'vscode'
import type { Add } from './commands'
import type { Decision, Review } from './review'

/** What a list, a tab or another extension names: a decision, a file, or an entry of the list Changed Files. */
type Named = Decision | vscode.Uri | { file: string } | undefined

function decisionOf(given: Named): Decision | undefined {
  if (given instanceof vscode.Uri) return { path: given.fsPath }
  return given && 'file' in given ? { path: given.file } : given
}

export function reviewCommands(add: Add, review: Review): void {
  const active = () => vscode.window.activeTextEditor?.document.uri.fsPath
  add('review', async (given?: Named) => {
    const { path, sessionID } = decisionOf(given) ?? {}
    const own = active()
    const file = path ?? (own && review.hunks(own).length > 0 ? own : review.paths()[0])
    if (!file) return void vscode.window.showInformationMessage('polytree: the session has changed no file.')
    await review.compare(file, sessionID)
  })
  add('keep', async (given?: Named) => await review.decide('hunk.keep', decisionOf(given)))
  add('undo', async (given?: Named) => await review.decide('hunk.undo', decisionOf(given)))
  const whole = (method: 'hunk.keep' | 'hunk.undo') => async (given?: Named) => {
    const path = decisionOf(given)?.path ?? active()
    return path ? await review.decide(method, { path }) : 0
  }
  add('keepFile', whole('hunk.keep'))
  add('undoFile', whole('hunk.undo'))
  add('keepAll', async () => await review.decide('hunk.keep', { all: true }))
  add('undoAll', async () => {
    const count = review.count()
    const question = `Undo ${count} hunk${count === 1 ? '' : 's'} of this session?`
    if ((await vscode.window.showWarningMessage(question, { modal: true }, 'Undo')) === 'Undo') return await review.decide('hunk.undo', { all: true })
    return 0
  })
  add('nextHunk', async () => await review.go(1))
  add('previousHunk', async () => await review.go(-1))
}
