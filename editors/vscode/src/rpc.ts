// JSON-RPC 2.0 with a child process, one JSON message on each line of its standard streams.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { StringDecoder } from 'node:string_decoder'
import type { AnyEvent, Methods } from '@polytree/protocol'

export type Method = keyof Methods
/** What a method takes. */
export type Params<M extends Method> = Methods[M]['params']
/** What a method answers. */
export type Result<M extends Method> = Methods[M]['result']

/** An error that the daemon answers; `kind` is the stable word to test. */
export class RpcError extends Error {
  constructor(
    readonly code: number,
    message: string,
    readonly data: { kind?: string; hint?: string; [key: string]: unknown } = {},
  ) {
    super(data.hint ? `${message} (${data.hint})` : message)
  }

  get kind(): string {
    return this.data.kind ?? 'internal'
  }
}

/** The notification `event`; without a subscription it is for this connection alone. */
export interface EventNotification {
  subscription?: number
  result: AnyEvent
}

export interface Listener {
  event(notification: EventNotification): void
  /** The child has ended; `stderr` is the end of what it complained about. */
  ended(code: number | null, stderr: string): void
  log(line: string): void
}

/** How much of the child's complaints is kept, in characters. */
const MAX_STDERR = 4000

interface Pending {
  resolve(result: unknown): void
  reject(error: RpcError): void
}

export class Connection {
  private readonly pending = new Map<number, Pending>()
  private readonly decoder = new StringDecoder('utf8')
  private partial: string[] = []
  private nextId = 0
  private stderr = ''
  private closed = false

  private constructor(
    private readonly child: ChildProcessWithoutNullStreams,
    private readonly listener: Listener,
  ) {
    child.stdout.on('data', (data: Buffer) => this.received(this.decoder.write(data)))
    child.stderr.on('data', (data: Buffer) => {
      this.stderr = (this.stderr + data.toString()).slice(-MAX_STDERR)
    })
    // A write after the child's end is told by its end.
    child.stdin.on('error', () => {})
    child.on('close', (code) => {
      this.closed = true
      const error = new RpcError(1009, 'the connection to polytree has ended', { kind: 'unavailable' })
      for (const { reject } of this.pending.values()) reject(error)
      this.pending.clear()
      this.listener.ended(code, this.stderr.trim())
    })
  }

  /** Starts the command; rejects when it cannot be started. */
  static start(command: readonly string[], cwd: string, env: NodeJS.ProcessEnv, listener: Listener): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const child = spawn(command[0] ?? '', command.slice(1), { cwd, env, windowsHide: true })
      child.once('error', reject)
      child.once('spawn', () => {
        child.off('error', reject)
        child.on('error', (error) => listener.log(`the child: ${error.message}`))
        resolve(new Connection(child, listener))
      })
    })
  }

  get pid(): number | undefined {
    return this.child.pid
  }

  private received(text: string): void {
    let from = 0
    for (let end = text.indexOf('\n', from); end >= 0; end = text.indexOf('\n', from)) {
      this.partial.push(text.slice(from, end))
      const line = this.partial.join('')
      this.partial = []
      from = end + 1
      if (line) this.handle(line)
    }
    if (from < text.length) this.partial.push(text.slice(from))
  }

  private handle(line: string): void {
    let message: { id?: number; method?: string; params?: EventNotification; result?: unknown; error?: RpcError }
    try {
      message = JSON.parse(line)
    } catch {
      this.listener.log(`not JSON-RPC: ${line.slice(0, 200)}`)
      return
    }
    if (message.method === 'event' && message.params) {
      this.listener.event(message.params)
      return
    }
    const pending = message.id === undefined ? undefined : this.pending.get(message.id)
    if (message.id === undefined || !pending) return
    this.pending.delete(message.id)
    if (message.error) pending.reject(new RpcError(message.error.code, message.error.message, message.error.data))
    else pending.resolve(message.result)
  }

  /**
   * Sends a request. `answered` is called before the next message is handled: a promise would be told after it, too late
   * for the first notification of a subscription.
   */
  request<M extends Method>(method: M, params: Params<M>, answered?: (result: Result<M>) => void): Promise<Result<M>> {
    if (this.closed) return Promise.reject(new RpcError(1009, 'polytree is not running', { kind: 'unavailable' }))
    const id = ++this.nextId
    return new Promise((resolve, reject) => {
      const settle = (result: unknown) => {
        answered?.(result as Result<M>)
        resolve(result as Result<M>)
      }
      this.pending.set(id, { resolve: settle, reject })
      this.child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`)
    })
  }

  /** Ends the child's input, on which it leaves. */
  close(): void {
    this.child.stdin.end()
  }
}
