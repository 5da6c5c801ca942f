// Keeps the model up to date across connections: reconnects, reads the lists, and continues with the events after the
// last one, so that none is lost or repeated.
/** @import { AnyEvent, Methods, ServerInfoResult } from 'polytree' */
import { Connection, RpcError } from './connection.js'
import { Model } from './model.js'

/** @typedef {'connecting' | 'live' | 'lost' | 'refused'} LinkState */

/** The number of sessions per request. */
export const SESSIONS = 200
/** The number of messages per request. */
export const MESSAGES = 50
// Replaying more events than this takes longer than reading everything again.
const LONG_GAP = 20_000
const FIRST_DELAY = 250
const LONGEST_DELAY = 5000

export class Follower {
  /** @type {Connection | null} */
  #connection = null
  /** The last event seen. @type {number | null} */
  #cursor = null
  /** Events that wait for the lists. @type {AnyEvent[] | null} */
  #held = null
  #delay = FIRST_DELAY
  /** @type {{ wake: () => void, timer: number } | null} */
  #pause = null
  #token = ''
  /** Incremented by each `start`, so that an older loop ends. */
  #generation = 0
  /** @type {(() => void)[]} */
  #waiters = []
  /** @type {LinkState} */
  state = 'connecting'
  /** @type {ServerInfoResult | null} */
  info = null
  connectionID = 0
  /** Why the state is `refused`, for the user. */
  refusal = ''
  directory = ''
  onState = () => {}

  /** @param {Model} model */
  constructor(model) {
    this.model = model
  }

  /** @param {string} token */
  start(token) {
    this.#token = token
    this.#connection?.close()
    void this.#run(++this.#generation)
  }

  /** Retries now instead of after the delay. */
  hurry() {
    this.#delay = FIRST_DELAY
    this.#pause?.wake()
  }

  /**
   * @template {keyof Methods} M
   * @param {M} method
   * @param {Methods[M]['params']} params
   * @returns {Promise<Methods[M]['result']>}
   */
  async call(method, params) {
    if (!this.#connection) throw new RpcError('not connected', 'disconnected')
    return this.#connection.call(method, params)
  }

  /**
   * An idempotent call, which only reads or has an id of its own: it is repeated after a reconnect.
   * @template {keyof Methods} M
   * @param {M} method
   * @param {Methods[M]['params']} params
   * @returns {Promise<Methods[M]['result']>}
   */
  async callUntilAnswered(method, params) {
    for (;;) {
      try {
        return await this.call(method, params)
      } catch (error) {
        if (!(error instanceof RpcError) || error.kind !== 'disconnected') throw error
        await this.#live()
      }
    }
  }

  /** @returns {Promise<void>} when the connection is there */
  #live() {
    if (this.state === 'live' && this.#connection) return Promise.resolve()
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  /** @param {number} generation */
  async #run(generation) {
    this.#set('connecting')
    while (generation === this.#generation) {
      try {
        await this.#attach(generation)
      } catch {
        this.#connection = null
        if (generation !== this.#generation) return
        this.refusal = await this.#whyRefused()
        if (this.refusal) {
          this.#set('refused')
          return
        }
      }
      if (generation !== this.#generation) return
      this.#set('lost')
      await this.#sleep()
    }
  }

  /** Connects, catches up, and returns when the connection has ended. @param {number} generation */
  async #attach(generation) {
    const connection = await Connection.open(this.#token)
    if (generation !== this.#generation) {
      connection.close()
      return
    }
    const ended = new Promise((resolve) => (connection.onClose = () => resolve(undefined)))
    connection.onEvent = (event) => this.#take(event)
    this.#held = []
    this.#connection = connection
    try {
      const fresh = await this.#catchUp(connection)
      this.#set('live')
      this.#delay = FIRST_DELAY
      for (const wake of this.#waiters.splice(0)) wake()
      if (fresh) void this.#readQueues()
      if (fresh || !this.model.history?.loaded) void this.reload()
      await ended
    } finally {
      connection.close()
      if (this.#connection === connection) this.#connection = null
    }
  }

  /** @param {Connection} connection @returns {Promise<boolean>} whether everything is to be read anew */
  async #catchUp(connection) {
    const hello = await connection.call('server.initialize', { clientInfo: { name: 'polytree page' } })
    this.connectionID = hello.connectionID
    this.directory = hello.directory ?? ''
    const gap = this.#cursor === null ? -1 : hello.cursor - this.#cursor
    // A daemon with a smaller cursor than the last event has another store.
    let fresh = gap < 0 || gap > LONG_GAP
    if (!fresh) {
      try {
        await connection.subscribe(this.#cursor ?? 0)
      } catch (error) {
        if (!(error instanceof RpcError) || error.kind !== 'cursor_expired') throw error
        fresh = true
      }
    }
    if (fresh) await connection.subscribe(hello.cursor)
    const [sessions, projects, status, permissions, info] = await Promise.all([
      connection.call('session.list', { scope: 'all', limit: SESSIONS }),
      connection.call('project.list', {}),
      connection.call('session.status', {}),
      connection.call('permission.list', {}),
      connection.call('server.info', {}),
    ])
    this.info = info
    this.model.moreSessions = sessions.length === SESSIONS
    this.model.takeLists({ sessions, projects, status, permissions }, hello.cursor)
    if (fresh) this.#cursor = hello.cursor
    const held = this.#held ?? []
    this.#held = null
    for (const event of held) this.#take(event)
    return fresh
  }

  /** @param {AnyEvent} event */
  #take(event) {
    if (this.#held) {
      this.#held.push(event)
      return
    }
    this.#cursor = Math.max(this.#cursor ?? 0, event.cursor)
    this.model.apply(event)
    const incomplete = this.model.history?.incomplete
    if (incomplete?.size) void this.#complete()
  }

  /** Reads the messages again whose texts were too long for events. */
  async #complete() {
    const history = this.model.history
    if (!history) return
    const wanted = [...history.incomplete]
    history.incomplete.clear()
    for (const messageID of wanted) {
      try {
        const params = { sessionID: history.sessionID, messageID }
        await history.read(() => this.callUntilAnswered('session.message', params), (message) => history.replace(message))
      } catch (error) {
        // Removed meanwhile; there is an event for this.
        if (!(error instanceof RpcError)) throw error
      }
    }
    this.model.onHistory()
    if (history.incomplete.size) void this.#complete()
  }

  /** Reads the newest messages of the chosen session. */
  async reload() {
    const old = this.model.history
    if (!old) return
    const history = this.model.choose(old.sessionID)
    if (!history) return
    const { sessionID } = history
    void this.#readQueue(sessionID)
    const todos = () => this.callUntilAnswered('session.todo', { sessionID })
    void this.model.refresh(`todos ${sessionID}`, todos, (list) => this.model.setTodos(sessionID, list)).catch(ignoreRefusal)
    await this.#readPage(history, undefined, MESSAGES)
  }

  /** Reads the messages before the loaded ones. @param {number} [limit] */
  async older(limit = MESSAGES) {
    const history = this.model.history
    if (history?.loaded && history.more) await this.#readPage(history, history.entries[0]?.info.id, limit)
  }

  /** @param {import('./history.js').History} history @param {string | undefined} before @param {number} limit */
  async #readPage(history, before, limit) {
    const params = { sessionID: history.sessionID, limit, before }
    await history.read(() => this.call('session.messages', params), (messages) => history.prepend(messages, messages.length === limit))
    if (this.model.history === history) this.model.onHistory()
  }

  /** The queues of busy sessions, for the list; that of the chosen one is read with its messages. */
  async #readQueues() {
    for (const sessionID of this.model.sessions.keys()) if (this.model.status(sessionID).type !== 'idle') await this.#readQueue(sessionID)
  }

  /** @param {string} sessionID */
  async #readQueue(sessionID) {
    const read = () => this.callUntilAnswered('session.queue', { sessionID })
    await this.model.refresh(`queue ${sessionID}`, read, (prompts) => this.model.takeQueue(sessionID, prompts)).catch(ignoreRefusal)
  }

  /**
   * An answer as text, with numbers as the daemon wrote them: those of JavaScript have 53 bits.
   * @template {keyof Methods} M
   * @param {M} method
   * @param {Methods[M]['params']} params
   */
  async callExactly(method, params) {
    const answer = await this.#post(method, params).then((response) => response.text()).catch(() => null)
    if (answer === null) throw new RpcError('the daemon cannot be reached', 'disconnected', { hint: 'Try again when the page is connected' })
    const { result, error } = JSON.parse(answer, exactNumber)
    if (error) throw new RpcError(error.message, error.data?.kind ?? String(error.code), error.data)
    return JSON.stringify(result, null, 2)
  }

  /** An ordinary request, beside the WebSocket. @param {string} method @param {unknown} [params] */
  #post(method, params) {
    const headers = { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' }
    return fetch('./', { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }) })
  }

  /** Browsers do not report why a WebSocket was refused, so this sends an ordinary request. */
  async #whyRefused() {
    try {
      const { status } = await this.#post('server.info')
      if (status === 401) return 'The daemon did not accept the token of this page.'
      return status === 403 ? `The daemon does not take requests from pages at ${location.origin}. It has to be started with that address allowed.` : ''
    } catch {
      return ''
    }
  }

  /** @returns {Promise<void>} */
  #sleep() {
    const delay = this.#delay * (0.75 + Math.random() / 2)
    this.#delay = Math.min(this.#delay * 2, LONGEST_DELAY)
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(this.#pause?.timer)
        this.#pause = null
        resolve()
      }
      this.#pause = { wake, timer: window.setTimeout(wake, delay) }
    })
  }

  /** @param {LinkState} state */
  #set(state) {
    this.state = state
    this.onState()
  }
}

/** The session may be gone; there is an event for this. @param {unknown} error */
function ignoreRefusal(error) {
  if (!(error instanceof RpcError)) throw error
}

/** @param {string} _ @param {unknown} value @param {{ source?: string }} [context] missing in older browsers */
function exactNumber(_, value, context) {
  const { rawJSON } = /** @type {{ rawJSON?: (text: string) => unknown }} */ (/** @type {unknown} */ (JSON))
  if (typeof value !== 'number' || !rawJSON || !context?.source || String(value) === context.source) return value
  return rawJSON(context.source)
}
