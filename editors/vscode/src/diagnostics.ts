// What language servers of this window say about announced documents, told to the daemon: the model reads it after its edits.
import * as vscode from 'vscode'
import type { Diagnostic } from '@polytree/protocol'
import type { Buffers } from './buffers'
import type { Client } from './client'

/** Servers that report in several steps cost one message, in milliseconds. */
const WAIT = 100
/** More are not told. */
const MAX = 1000

function plain({ line, character }: vscode.Position): { line: number; character: number } {
  return { line, character }
}

function itemOf({ range, severity, code, source, message }: vscode.Diagnostic): Diagnostic {
  const word = typeof code === 'object' ? code.value : code
  return {
    range: { start: plain(range.start), end: plain(range.end) },
    severity: severity + 1,
    message,
    ...(word === undefined ? {} : { code: word }),
    ...(source ? { source } : {}),
  }
}

export class Diagnostics implements vscode.Disposable {
  private readonly waiting = new Set<string>()
  private timer: NodeJS.Timeout | undefined
  private readonly listening: vscode.Disposable

  constructor(
    private readonly client: Client,
    private readonly buffers: Buffers,
    private readonly log: vscode.LogOutputChannel,
  ) {
    this.listening = vscode.languages.onDidChangeDiagnostics(({ uris }) => {
      for (const uri of uris) this.waiting.add(uri.toString())
      this.timer ??= setTimeout(() => this.tell(), WAIT)
    })
  }

  private tell(): void {
    this.timer = undefined
    const uris = [...this.waiting]
    this.waiting.clear()
    for (const uri of uris.map((text) => vscode.Uri.parse(text))) {
      const version = this.buffers.version(uri)
      if (version === undefined) continue
      const items = vscode.languages.getDiagnostics(uri).slice(0, MAX).map(itemOf)
      this.client
        .sendNow('diagnostics.set', { path: uri.fsPath, version, items })
        ?.catch((error: Error) => this.log.debug(`diagnostics.set ${uri.fsPath}: ${error.message}`))
    }
  }

  dispose(): void {
    clearTimeout(this.timer)
    this.listening.dispose()
  }
}
