// What the next prompt of the session that is shown uses, and how full its context is: read when that may have changed.
import * as vscode from 'vscode'
import type { SessionContext, SessionDefaults } from '@polytree/protocol'
import type { Client } from './client'
import { tokens } from './webview/format'

/** Changes that come together cost one read, in milliseconds. */
const WAIT = 150

export class Usage implements vscode.Disposable {
  private sessionID: string | undefined
  private timer: NodeJS.Timeout | undefined
  defaults: SessionDefaults | undefined
  context: SessionContext | undefined

  constructor(
    private readonly client: Client,
    private readonly log: vscode.LogOutputChannel,
    private readonly changed: () => void,
  ) {}

  /** Follows a session, or what a new one would use. */
  follow(sessionID: string | undefined): void {
    this.sessionID = sessionID
    this.defaults = this.context = undefined
    this.readSoon()
  }

  /** Something has changed that these follow from. */
  readSoon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      this.read().catch((error: Error) => this.log.warn(`session.defaults: ${error.message}`))
    }, WAIT)
  }

  private async read(): Promise<void> {
    const { sessionID } = this
    if (this.client.state !== 'ready' || !this.client.has('session.defaults')) return
    const { directory } = this.client
    const defaults = await this.client.request('session.defaults', sessionID ? { sessionID } : { directory })
    const context = sessionID ? await this.client.request('session.context', { sessionID }) : undefined
    if (sessionID !== this.sessionID) return
    this.defaults = defaults
    this.context = context
    this.changed()
  }

  /** How full the context is, in words; empty where that is not known. */
  words(): string {
    if (!this.context || this.context.used === 0) return ''
    const { used, limit } = this.context
    return limit === 0 ? `${tokens(used)} context` : `${Math.round((100 * used) / limit)}% of ${tokens(limit)} context`
  }

  dispose(): void {
    clearTimeout(this.timer)
  }
}
