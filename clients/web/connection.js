// JSON-RPC over one WebSocket: calls with answers, and notifications. It lives until the socket closes; who wants
// another one opens it (follow.js).
/** @import { Methods, AnyEvent } from 'polytree' */

/** A call that the daemon has refused, or that its connection did not survive (`kind` is then `disconnected`). */
export class RpcError extends Error {
  /**
   * @param {string} message
   * @param {string} kind
   * @param {{ hint?: string }} [data]
   */
  constructor(message, kind, data = {}) {
    super(message)
    this.name = 'RpcError'
    this.kind = kind
    this.hint = data.hint
  }
}

// The daemon says something every 10 seconds; when it has been silent this long, the line is dead.
const SILENCE = 25_000

/** Where the WebSocket is: beside the page, wherever a proxy has put that. */
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
   * Opens the one stream of events.
   * @param {number} since
   */
  async subscribe(since) {
    this.#subscription = await this.call('event.subscribe', { since, blobs: 'inline' })
  }

  close() {
    this.#socket.close()
    // A dead line may keep the closing handshake waiting for minutes.
    this.#ended()
  }

  /** @param {string} text */
  #receive(text) {
    this.#heard = Date.now()
    const message = JSON.parse(text)
    if (message.method === 'event') {
      // Events may overtake the answer that tells the subscription's number.
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
