// Prompts on their way. Each has an id of its own, so it can be sent again without being asked twice; a reload does not lose it.
/** @import { SessionSubmitParams } from 'polytree' */
/** @import { Follower } from '../follow.js' */

/** @typedef {{ steers: boolean, params: SessionSubmitParams & { sessionID: string, messageID: string } }} Letter */

const KEY = 'outbox'
const LARGEST = 500_000

export class Outbox {
  /** @type {Map<string, Letter>} */
  #letters = new Map()
  /** What was sent to a session last: prompts are accepted in the order in which they were written. @type {Map<string, Promise<unknown>>} */
  #last = new Map()

  /** @param {Follower} follower */
  constructor(follower) {
    this.follower = follower
  }

  /** Those of a session that the daemon has not accepted yet. @param {string} sessionID */
  of(sessionID) {
    return [...this.#letters.values()].filter(({ params }) => params.sessionID === sessionID)
  }

  /** Sends a prompt until it has been accepted or refused. @param {Letter} letter */
  async send(letter) {
    const { steers, params } = letter
    this.#letters.set(params.messageID, letter)
    this.#keep()
    const { sessionID, messageID, parts } = params
    const before = this.#last.get(sessionID) ?? Promise.resolve()
    const call = () =>
      steers
        ? this.follower.callUntilAnswered('session.steer', { sessionID, messageID, parts })
        : this.follower.callUntilAnswered('session.submit', params)
    const sent = before.then(call, call)
    this.#last.set(sessionID, sent)
    try {
      await sent
    } finally {
      if (this.#last.get(sessionID) === sent) this.#last.delete(sessionID)
      this.#letters.delete(messageID)
      this.#keep()
    }
  }

  /** What this tab had not sent when it was reloaded. @returns {Letter[]} */
  unsent() {
    try {
      return JSON.parse(sessionStorage.getItem(KEY) ?? '[]')
    } catch {
      return []
    }
  }

  #keep() {
    // Files may be larger than the browser's store; a reload loses prompts with such files.
    const texts = [...this.#letters.values()].map((letter) => JSON.stringify(letter)).filter(({ length }) => length < LARGEST)
    try {
      if (texts.length) sessionStorage.setItem(KEY, `[${texts.join()}]`)
      else sessionStorage.removeItem(KEY)
    } catch {
      // It is full: they are sent all the same, if there is no reload.
    }
  }
}
