// A plain client over WebSocket: the second one beside the client that is tested.
import { tool } from './places.mjs'
import { PATIENCE } from './daemon.mjs'

const { WebSocket } = tool('ws')

export class Client {
  #waiting = new Map()
  #last = 0
  events = []
  #watchers = new Set()

  static open(daemon, options = {}) {
    const client = new Client()
    client.socket = new WebSocket(options.url ?? daemon.socket, ['polytree.v1', `polytree.token.${options.token ?? daemon.token}`], options)
    client.socket.on('message', (data) => client.#take(JSON.parse(data)))
    return new Promise((resolve, reject) => {
      client.socket.once('open', () => resolve(client))
      client.socket.once('error', reject)
    })
  }

  #take(message) {
    if (message.method === 'event') {
      this.events.push(message.params.result)
      for (const watcher of this.#watchers) watcher()
      return
    }
    const { resolve, reject } = this.#waiting.get(message.id) ?? {}
    this.#waiting.delete(message.id)
    if (message.error) reject?.(Object.assign(new Error(message.error.message), message.error))
    else resolve?.(message.result)
  }

  call(method, params = {}) {
    const id = ++this.#last
    this.socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }

  /** The first event, of those that have come and those to come, that fits. */
  event(fits) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the event did not come')), PATIENCE)
      const look = () => {
        const found = this.events.find(fits)
        if (!found) return
        clearTimeout(timer)
        this.#watchers.delete(look)
        resolve(found)
      }
      this.#watchers.add(look)
      look()
    })
  }

  close() {
    this.socket.close()
  }
}
