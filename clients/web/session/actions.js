// What can be done with a session and its prompts beside talking: undo, fork, changes, export; and the line that says
// what is undone.
/** @import { Session } from 'polytree' */
/** @import { Entry } from '../history.js' */
/** @import { Follower } from '../follow.js' */
/** @import { Item } from '../menu.js' */
/** @import { Model } from '../model.js' */
/** @import { Prompt } from '../prompt.js' */
/** @import { Undone } from '../transcript.js' */
import { changes } from './changes.js'
import { byId, say } from '../dom.js'
import { newId } from '../format.js'
import { textOf } from './inputs.js'
import { inTurns } from './order.js'
import * as reverts from './revert.js'

export class Actions {
  /** What was said last about what is undone. */
  #said = ''

  /**
   * @param {Model} model
   * @param {Follower} follower
   * @param {Prompt} prompt
   * @param {{ announce: (news: string) => void, tell: (problem: string) => void, attempt: (act: () => Promise<unknown>) => Promise<void> }} page
   */
  constructor(model, follower, prompt, page) {
    this.model = model
    this.follower = follower
    this.prompt = prompt
    this.page = page
    byId('unrevert').addEventListener('click', () => this.unrevert())
    byId('undone-files').addEventListener('click', () => {
      const { session } = this
      if (session) reverts.outcome(session)
    })
  }

  /** The chosen session. @returns {Session | undefined} */
  get session() {
    return this.model.sessions.get(this.model.history?.sessionID ?? '')
  }

  /** What can be done with a prompt. @param {Entry} entry @returns {Item[]} */
  menuOf(entry) {
    const off = this.session ? undefined : 'The session is still being read'
    const copy = { label: 'Copy the text', act: () => void this.page.attempt(() => navigator.clipboard.writeText(textOf(entry.parts))) }
    return [
      { label: 'Revert to here…', act: () => this.revert(entry), off },
      { label: 'Fork from here', act: () => this.fork(entry), off },
      { label: 'Changes of this prompt', act: () => this.changes(entry.info.id), off },
      // Browsers have no clipboard for pages of plain HTTP from another machine.
      ...(navigator.clipboard ? [copy] : []),
    ]
  }

  /** Undoes the last prompt that is not undone. */
  revertLast() {
    const { history } = this.model
    const { session } = this
    if (!history || !session) return
    const ordered = inTurns(history.entries)
    const end = session.revert ? ordered.findIndex(({ info }) => info.id === session.revert?.messageID) : ordered.length
    const last = ordered.slice(0, Math.max(0, end)).findLast(({ info }) => info.role === 'user' && info.state !== 'queued')
    if (last) this.revert(last)
    else this.page.tell('There is no prompt to undo.')
  }

  /** @param {Entry} entry a prompt */
  revert(entry) {
    const { session } = this
    const { history } = this.model
    if (!session || !history) return
    const ordered = inTurns(history.entries)
    const undone = ordered.slice(ordered.indexOf(entry)).filter(({ info }) => info.role === 'user')
    const prompts = undone.map(({ info, parts: own }) => ({ messageID: info.id, text: textOf(own) }))
    const parts = [...entry.parts]
    const done = (/** @type {Session} */ { id }) => {
      this.prompt.take(id, parts)
      this.prompt.focus()
    }
    void reverts.revert(this.model, this.follower, { session, prompts, done })
  }

  unrevert() {
    const { session } = this
    if (!session?.revert) return
    const parts = this.model.history?.get(session.revert.messageID)?.parts ?? []
    const done = (/** @type {Session} */ { id }) => {
      this.prompt.untake(id, parts)
      this.page.announce('The undo was taken back')
      this.prompt.focus()
    }
    void reverts.unrevert(this.model, this.follower, session, done)
  }

  /** Goes on in a copy: of the whole session, or of what comes before a prompt, which is offered again. @param {Entry} [entry] */
  fork(entry) {
    const { session } = this
    if (!session) return
    const { id: sessionID } = session
    const parts = [...(entry?.parts ?? [])]
    void this.page.attempt(async () => {
      const made = await this.follower.callUntilAnswered('session.fork', { sessionID, messageID: entry?.info.id, id: newId('ses') })
      this.model.addSessions([made])
      location.hash = `session=${made.id}`
      setTimeout(() => {
        this.prompt.take(made.id, parts)
        this.prompt.focus()
        this.page.announce(`Forked: ${made.title}`)
      })
    })
  }

  /** @param {string} [messageID] */
  changes(messageID) {
    const { session } = this
    if (session) changes(this.follower, session, messageID)
  }

  /** @param {Undone} undone */
  drawUndone({ messages, parts, isAll }) {
    const revert = this.session?.revert
    byId('undone').hidden = !revert
    if (!revert) {
      this.#said = ''
      return
    }
    const prompts = messages.filter(({ info }) => info.role === 'user').length
    const text = reverts.summary(revert, prompts, isAll)
    say(byId('undone-what'), text)
    // Also when it was done elsewhere.
    if (isAll && text !== this.#said) {
      this.#said = text
      this.page.announce(text)
    }
    byId('undone-show').hidden = messages.length + parts.size === 0
    byId('undone-files').hidden = !revert.files?.length && !revert.uncovered?.length
  }
}
