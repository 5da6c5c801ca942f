// Unsaved text: what is open is announced to the daemon, which reads it before the disk and asks us to make the edits of
// tools, so that they can be undone here.
import * as vscode from 'vscode'
import type { BufferEditInfo } from '@polytree/protocol'
import type { Client } from './client'

/** Documents above this size are not announced, in characters. */
const MAX_LENGTH = 4 * 1024 * 1024

export class Buffers implements vscode.Disposable {
  /** The announced version of each document. */
  private readonly announced = new Map<vscode.TextDocument, number>()
  private readonly listening: vscode.Disposable[] = []
  /** Called with each document that is announced. */
  onAnnounced: (uri: vscode.Uri) => void = () => {}

  constructor(
    private readonly client: Client,
    private readonly log: vscode.LogOutputChannel,
  ) {
    this.listening.push(
      vscode.workspace.onDidOpenTextDocument((document) => this.open(document)),
      vscode.workspace.onDidCloseTextDocument((document) => this.close(document)),
      vscode.workspace.onDidChangeTextDocument((change) => this.change(change)),
      client.onState((state) => {
        this.announced.clear()
        if (state === 'ready') for (const document of vscode.workspace.textDocuments) this.open(document)
      }),
    )
    client.onDirect('buffer.edit', (event) => void this.edit(event.properties))
    client.onDirect('buffer.reset', (event) => this.reset(event.properties.paths))
    if (client.state === 'ready') for (const document of vscode.workspace.textDocuments) this.open(document)
  }

  private send(what: Promise<unknown> | undefined, document: vscode.TextDocument): void {
    what?.catch((error: Error) => {
      this.log.warn(`${document.uri.fsPath}: ${error.message}`)
      // Not known any more: told whole.
      if (this.announced.has(document) && !document.isClosed) {
        this.announced.delete(document)
        this.open(document)
      }
    })
  }

  private open(document: vscode.TextDocument): void {
    if (this.client.state !== 'ready' || this.announced.has(document) || !this.eligible(document)) return
    this.announced.set(document, document.version)
    const text = document.getText()
    this.client
      .sendNow('buffer.open', { path: document.uri.fsPath, version: document.version, text })
      ?.catch((error: Error) => this.log.warn(`buffer.open ${document.uri.fsPath}: ${error.message}`))
    this.onAnnounced(document.uri)
  }

  private eligible(document: vscode.TextDocument): boolean {
    const wanted = vscode.workspace.getConfiguration('polytree').get('announceUnsavedText', true)
    if (!wanted || document.uri.scheme !== 'file') return false
    const end = document.lineCount > 0 ? document.offsetAt(document.lineAt(document.lineCount - 1).range.end) : 0
    return end <= MAX_LENGTH
  }

  private change({ document, contentChanges }: vscode.TextDocumentChangeEvent): void {
    const version = this.announced.get(document)
    if (version === undefined || contentChanges.length === 0 || document.version <= version) return
    this.announced.set(document, document.version)
    // The ranges are those of the text before all of the changes: from the last place to the first each fits.
    const edits = [...contentChanges]
      .sort((a, b) => b.rangeOffset - a.rangeOffset)
      .map(({ range, text }) => ({ range: plain(range), text }))
    this.send(this.client.sendNow('buffer.change', { path: document.uri.fsPath, version: document.version, edits }), document)
  }

  private close(document: vscode.TextDocument): void {
    if (this.announced.delete(document)) {
      this.client.sendNow('buffer.close', { path: document.uri.fsPath })?.catch(() => {})
    }
  }

  private find(path: string): vscode.TextDocument | undefined {
    const wanted = vscode.Uri.file(path).toString()
    return [...this.announced.keys()].find((document) => document.uri.toString() === wanted)
  }

  /** The version of a document that was announced last. */
  version(uri: vscode.Uri): number | undefined {
    const document = this.find(uri.fsPath)
    return document && this.announced.get(document)
  }

  /** Makes the edits of a tool, as one step of undo, and answers. */
  private async edit({ editID, path, version, edits }: BufferEditInfo): Promise<void> {
    const refuse = (message: string) => this.client.sendNow('buffer.reply', { editID, applied: false, message })?.catch(() => {})
    const document = this.find(path)
    if (!document || document.isClosed) return void refuse('the editor has closed the file')
    if (document.version !== version) return void refuse('the user is editing the file; read it again')
    const wasDirty = document.isDirty
    const change = new vscode.WorkspaceEdit()
    for (const { range, text } of edits) {
      if (range) change.replace(document.uri, new vscode.Range(range.start.line, range.start.character, range.end.line, range.end.character), text)
    }
    if (!(await vscode.workspace.applyEdit(change))) return void refuse('the edit could not be made in the editor')
    const edited = document.version
    // The file on the disk was the same as the text: it stays so.
    const saved = !wasDirty && (await document.save())
    await this.client.sendNow('buffer.reply', { editID, applied: true, version: edited, saved })?.catch((error: Error) => this.log.warn(error.message))
  }

  private reset(paths: string[]): void {
    for (const path of paths) {
      const document = this.find(path)
      if (document) {
        this.announced.delete(document)
        this.open(document)
      } else {
        this.client.sendNow('buffer.close', { path })?.catch(() => {})
      }
    }
  }

  dispose(): void {
    for (const one of this.listening) one.dispose()
  }
}

function plain(range: vscode.Range): { start: { line: number; character: number }; end: { line: number; character: number } } {
  const place = ({ line, character }: vscode.Position) => ({ line, character })
  return { start: place(range.start), end: place(range.end) }
}
