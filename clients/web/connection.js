// JSON-RPC over one WebSocket: calls with answers, and notifications. It ends when the socket closes; follow.js opens the
// next one.
/** @import { Methods, AnyEvent } from 'polytree' */

/** The error of a call: from the daemon, or `disconnected` if the connection was lost. */
export class RpcError extends Error {
  /**
   * @param {string} message
   * @param {string} kind
   * @param {{ hint?: string, files?: unknown[] }} [data]
   */
  constructor(message, kind, data = {}) {
    super(message)
    this.name = 'RpcError'
    this.kind = kind
    this.hint = data.hint
    /** The files that are in the way. */
    this.files = data.files
  }
}

// The daemon sends a heartbeat every 10 seconds; after this time without one the connection is lost.
const SILENCE = 25_000

/** The address of the WebSocket, relative to the page, also behind a proxy. */
export function socketAddress() {
  const address = new URL('./', location.href)
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:'
  address.search = ''
  address.hash = ''
  return address.href
}

export class Connection {
  /** @type {Map<number, { resolve: (result: any) => void, reject: (error: Error) => void }>} */
  #waiting = new Map()
  #last = 0
  #heard = Date.now()
  #subscription = -1
  /** @type {WebSocket} */
  #socket
  #watch = 0
  /** @type {(event: AnyEvent) => void} */
  onEvent = () => {}
  /** @type {() => void} */
  onClose = () => {}

  /** @param {WebSocket} socket an open one */
  constructor(socket) {
    this.#socket = socket
    socket.onmessage = (message) => this.#receive(String(message.data))
    socket.onclose = () => this.#ended()
    this.#watch = window.setInterval(() => {
      if (Date.now() - this.#heard > SILENCE) this.close()
    }, 5000)
  }

  /**
   * @param {string} token
   * @returns {Promise<Connection>}
   */
  static open(token) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(socketAddress(), ['polytree.v1', `polytree.token.${token}`])
      socket.onopen = () => resolve(new Connection(socket))
      socket.onclose = () => reject(new RpcError('the daemon cannot be reached', 'disconnected'))
    })
  }

  /**
   * @template {keyof Methods} M
   * @param {M} method
   * @param {Methods[M]['params']} params
   * @returns {Promise<Methods[M]['result']>}
   */
  call(method, params) {
    return new Promise((resolve, reject) => {
      if (this.#socket.readyState !== WebSocket.OPEN) {
        reject(new RpcError('not connected', 'disconnected'))
        return
      }
      const id = ++this.#last
      this.#waiting.set(id, { resolve, reject })
      this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
    })
  }

  /**
   * Opens the subscription to events.
   * @param {number} since
   */
  async subscribe(since) {
    this.#subscription = await this.call('event.subscribe', { since, blobs: 'inline' })
  }

  close() {
    this.#socket.close()
    // On a lost connection the closing handshake may take minutes.
    this.#ended()
  }

  /** @param {string} text */
  #receive(text) {
    this.#heard = Date.now()
    const message = JSON.parse(text)
    if (message.method === 'event') {
      // Events may overtake the answer with the subscription's number.
      if (this.#subscription < 0 || message.params.subscription === this.#subscription) this.onEvent(message.params.result)
      return
    }
    const waiting = this.#waiting.get(message.id)
    if (!waiting) return
    this.#waiting.delete(message.id)
    if (message.error) waiting.reject(new RpcError(message.error.message, message.error.data?.kind ?? String(message.error.code), message.error.data))
    else waiting.resolve(message.result)
  }

  #ended() {
    if (!this.#watch) return
    clearInterval(this.#watch)
    this.#watch = 0
    this.#socket.onclose = this.#socket.onmessage = null
    for (const { reject } of this.#waiting.values()) reject(new RpcError('the connection was lost', 'disconnected'))
    this.#waiting.clear()
    this.onClose()
  }
}
