// The connection to the daemon: started when it is first needed, started again when it ends.
//
// The child is a relay that survives restarts of the daemon by itself. When the relay ends, subscriptions are opened
// again after the last cursor that was seen: nothing is missed.
import * as vscode from 'vscode'
import type { AnyEvent, EventSubscribeParams, ServerInitializeResult } from '@polytree/protocol'
import { Connection, type EventNotification, type Method, type Params, type Result, RpcError } from './rpc'

/** The protocol that the extension speaks. */
const PROTOCOL_VERSION = 1
/** Waits between attempts to start, in milliseconds. */
const BACKOFF = [500, 2000, 5000, 10000, 30000]

export type ConnectionState = 'idle' | 'starting' | 'ready' | 'failed'

/** What a subscription is told: events, and that what is known must be read anew. */
export interface Follower {
  event(event: AnyEvent): void
  gap(): void
}

interface Subscription {
  params: EventSubscribeParams
  follower: Follower
  id?: number
  cursor?: number
  opening: boolean
  ended: boolean
}

export class Client implements vscode.Disposable {
  private connection: Connection | undefined
  private starting: Promise<void> | undefined
  private attempts = 0
  private disposed = false
  private timer: NodeJS.Timeout | undefined
  private readonly subscriptions = new Set<Subscription>()
  private readonly direct = new Map<string, (event: AnyEvent) => void>()
  private readonly changed = new vscode.EventEmitter<ConnectionState>()
  readonly onState = this.changed.event
  state: ConnectionState = 'idle'
  problem = ''
  server: ServerInitializeResult | undefined

  constructor(
    readonly directory: string,
    private readonly log: vscode.LogOutputChannel,
  ) {}

  /** Whether the daemon has a method: an older one lacks newer ones. */
  has(method: string): boolean {
    return this.server?.methods.includes(method) ?? false
  }

  private become(state: ConnectionState): void {
    this.state = state
    void vscode.commands.executeCommand('setContext', 'polytree.state', state)
    this.changed.fire(state)
  }

  /** Sends a request, connecting first where needed. */
  async request<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> {
    await this.connect()
    if (!this.connection) throw new RpcError(1009, this.problem || 'polytree is not running', { kind: 'unavailable' })
    return this.connection.request(method, params)
  }

  /** Sends a request at once if there is a connection: for what has no meaning later. */
  sendNow<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> | undefined {
    return this.state === 'ready' ? this.connection?.request(method, params) : undefined
  }

  /** Connects. Never rejects: `state` and `problem` tell. */
  connect(): Promise<void> {
    if (this.state === 'ready' || this.disposed) return Promise.resolve()
    this.starting ??= this.start().finally(() => {
      this.starting = undefined
    })
    return this.starting
  }

  private async start(): Promise<void> {
    clearTimeout(this.timer)
    this.become('starting')
    const settings = vscode.workspace.getConfiguration('polytree')
    // Only what the user has set: a workspace must never say which program runs.
    const command = machineValue<string[]>(settings, 'command') ?? ['polytree', 'stdio']
    const environment = machineValue<Record<string, string>>(settings, 'environment') ?? {}
    try {
      this.connection = await Connection.start(command, this.directory, { ...process.env, ...environment }, {
        event: (notification) => this.received(notification),
        ended: (code, stderr) => this.ended(code, stderr),
        log: (line) => this.log.warn(line),
      })
    } catch (error) {
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
      this.fail(
        missing
          ? `Cannot start \`${command[0]}\`: it is not on PATH. Install polytree, or name it in the setting polytree.command.`
          : `Cannot start \`${command[0]}\`: ${(error as Error).message}`,
      )
      return
    }
    try {
      this.server = await this.connection.request('server.initialize', {
        clientInfo: { name: 'polytree-vscode', version: vscode.version },
        protocolVersion: PROTOCOL_VERSION,
        directory: this.directory,
        capabilities: { open: true, edits: settings.get('announceUnsavedText', true), diffs: true },
      })
    } catch (error) {
      const old = error instanceof RpcError && error.kind === 'unsupported_version'
      const problem = old ? `polytree and its extension do not fit, update both: ${error.message}` : (error as Error).message
      this.connection?.close()
      this.connection = undefined
      this.fail(problem)
      return
    }
    this.attempts = 0
    this.log.info(`connected to ${this.server.serverInfo.name} ${this.server.serverInfo.version}, process ${this.connection.pid}`)
    for (const subscription of this.subscriptions) void this.open(subscription)
    this.become('ready')
  }

  private fail(problem: string): void {
    this.problem = problem
    this.log.error(problem)
    this.become('failed')
  }

  private ended(code: number | null, stderr: string): void {
    const wasReady = this.state === 'ready'
    this.connection = undefined
    for (const subscription of this.subscriptions) {
      delete subscription.id
      subscription.opening = false
    }
    if (this.disposed) return
    this.log.warn(`the connection ended with code ${code}: ${stderr}`)
    if (wasReady) this.become('idle')
    else this.fail(stderr || `polytree ended with code ${code}`)
    const wait = BACKOFF[Math.min(this.attempts++, BACKOFF.length - 1)]
    this.timer = setTimeout(() => void this.connect(), wait)
  }

  private received({ subscription: id, result: event }: EventNotification): void {
    if (id === undefined) {
      this.direct.get(event.type)?.(event)
      return
    }
    for (const subscription of this.subscriptions) {
      if (subscription.id !== id) continue
      subscription.cursor = event.cursor
      subscription.follower.event(event)
      return
    }
  }

  /** Handles an event that is meant for this connection alone, such as `buffer.edit`. */
  onDirect<T extends AnyEvent['type']>(type: T, handle: (event: Extract<AnyEvent, { type: T }>) => void): void {
    this.direct.set(type, handle as (event: AnyEvent) => void)
  }

  private async open(subscription: Subscription): Promise<void> {
    if (subscription.opening || subscription.id !== undefined || !this.connection) return
    subscription.opening = true
    const connection = this.connection
    try {
      const since = subscription.cursor
      const params = { ...subscription.params, ...(since === undefined ? {} : { since }) }
      await connection.request('event.subscribe', params, (id) => {
        subscription.id = id
        subscription.opening = false
      })
      if (subscription.ended && subscription.id !== undefined) void connection.request('event.unsubscribe', { subscription: subscription.id })
    } catch (error) {
      subscription.opening = false
      if (error instanceof RpcError && error.kind === 'cursor_expired') {
        // Too long away: what was missed must be read anew.
        delete subscription.cursor
        subscription.follower.gap()
        await this.open(subscription)
      } else {
        this.log.error(`event.subscribe: ${(error as Error).message}`)
      }
    }
  }

  /** Follows events until the answer is disposed of. */
  subscribe(params: EventSubscribeParams, follower: Follower): vscode.Disposable {
    const subscription: Subscription = { params, follower, opening: false, ended: false }
    this.subscriptions.add(subscription)
    if (this.state === 'ready') void this.open(subscription)
    return new vscode.Disposable(() => {
      subscription.ended = true
      this.subscriptions.delete(subscription)
      if (subscription.id !== undefined) void this.sendNow('event.unsubscribe', { subscription: subscription.id })?.catch(() => {})
    })
  }

  /** Ends the connection and connects again. Turns go on in the daemon. */
  async restart(): Promise<void> {
    this.attempts = 0
    if (this.connection) {
      const ended = new Promise<void>((resolve) => {
        const listening = this.onState((state) => {
          if (state === 'starting') return
          listening.dispose()
          resolve()
        })
      })
      this.connection.close()
      await ended
    }
    await this.connect()
  }

  dispose(): void {
    this.disposed = true
    clearTimeout(this.timer)
    this.connection?.close()
    this.changed.dispose()
  }
}

/** A setting of the user or the machine, whatever a workspace says. */
function machineValue<T>(settings: vscode.WorkspaceConfiguration, name: string): T | undefined {
  return settings.inspect<T>(name)?.globalValue
}
