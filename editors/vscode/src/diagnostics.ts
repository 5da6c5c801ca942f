// What language servers of this window say about announced documents, told to the daemon: the model reads it after its edits.
import * as vscode from 'vscode'
import type { Diagnostic } from '@polytree/protocol'
import type { Buffers } from './buffers'
import type { Client } from './client'

/** Servers that report in several steps cost one message, in milliseconds. */
const WAIT = 100
/**
 * What is reported so soon after a change may be about the text before it, in milliseconds. Without another report it is taken
 * for the new text after SETTLED.
 */
const EARLY = 200
const SETTLED = 1000
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
  /** By document: the last report, of which the daemon is told soon. */
  private readonly reports = new Map<string, NodeJS.Timeout>()
  /** By document: when its text has changed last. */
  private readonly changed = new Map<string, number>()
  private readonly listening: vscode.Disposable[]

  constructor(
    private readonly client: Client,
    private readonly buffers: Buffers,
    private readonly log: vscode.LogOutputChannel,
  ) {
    this.listening = [
      vscode.languages.onDidChangeDiagnostics(({ uris }) => {
        for (const uri of uris) this.tellSoon(uri)
      }),
      vscode.workspace.onDidChangeTextDocument(({ document }) => this.changed.set(document.uri.toString(), Date.now())),
      vscode.workspace.onDidCloseTextDocument(({ uri }) => {
        this.forget(uri.toString())
        this.changed.delete(uri.toString())
      }),
    ]
    buffers.onAnnounced = (uri) => vscode.languages.getDiagnostics(uri).length > 0 && this.tellSoon(uri)
  }

  private forget(key: string): void {
    clearTimeout(this.reports.get(key))
    this.reports.delete(key)
  }

  private tellSoon(uri: vscode.Uri): void {
    const version = this.buffers.version(uri)
    if (version === undefined) return
    const key = uri.toString()
    const since = Date.now() - (this.changed.get(key) ?? 0)
    this.forget(key)
    const tell = () => {
      this.reports.delete(key)
      // Of another text than the one that was reported about nothing is known.
      if (this.buffers.version(uri) === version) this.tell(uri, version)
    }
    this.reports.set(key, setTimeout(tell, since < EARLY ? SETTLED - since : WAIT))
  }

  private tell(uri: vscode.Uri, version: number): void {
    if (!this.client.has('diagnostics.set')) return
    const items = vscode.languages.getDiagnostics(uri).slice(0, MAX).map(itemOf)
    this.client
      .sendNow('diagnostics.set', { path: uri.fsPath, version, items })
      ?.catch((error: Error) => this.log.debug(`diagnostics.set ${uri.fsPath}: ${error.message}`))
  }

  dispose(): void {
    for (const key of [...this.reports.keys()]) this.forget(key)
    for (const one of this.listening) one.dispose()
  }
}
