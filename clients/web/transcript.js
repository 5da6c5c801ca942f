// The messages of the chosen session. Draws only changes, once per frame; the view follows the end while it is visible,
// and does not move otherwise.
/** @import { SessionRevert } from 'polytree' */
/** @import { Entry, History } from './history.js' */
/** @import { Model } from './model.js' */
/** @import { Item } from './menu.js' */
/** @import { PartView } from './parts.js' */
import { arrange, atNextFrame, byId, fill, h, say } from './dom.js'
import { clock, compact, duration, money } from './format.js'
import { textOf } from './session/inputs.js'
import { opensMenu } from './menu.js'
import { inTurns, undoneFrom } from './session/order.js'
import { failure, partView } from './parts.js'

/** `isAll`: the first message that is undone is among them. @typedef {{ messages: Entry[], parts: Set<string>, isAll: boolean }} Undone */
/** @typedef {{ element: HTMLElement, body: HTMLElement, foot: HTMLElement, parts: Map<string, PartView | null> }} MessageView */

// The distance to the end within which the view follows it.
const AT_END = 60
// The limit of messages in the page while the view follows the end.
const KEPT = 300
/** @type {Undone} */
const NOTHING = { messages: [], parts: new Set(), isAll: true }

export class Transcript {
  #scroller = byId('transcript')
  #list = byId('messages')
  #older = byId('older')
  #jump = byId('jump')
  #state = byId('turn-state')
  /** @type {Map<string, MessageView>} */
  #views = new Map()
  /** @type {History | null} */
  #shown = null
  #follows = true
  #top = 0
  #drawn = false
  /** What decides which messages are shown, besides the messages. */
  #filter = ''
  /** @type {Undone} */
  #undone = NOTHING
  /** Undone messages are shown. */
  showsUndone = false

  /**
   * @param {Model} model
   * @param {object} acts
   * @param {() => Promise<void>} acts.readOlder
   * @param {(entry: Entry) => void} acts.sendAgain
   * @param {(entry: Entry) => Item[]} acts.menu what can be done with a prompt
   * @param {(undone: Undone) => void} acts.told
   */
  constructor(model, { readOlder, sendAgain, menu, told }) {
    this.model = model
    this.sendAgain = sendAgain
    this.menu = menu
    this.told = told
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true })
    this.#jump.addEventListener('click', () => this.toEnd())
    this.#older.addEventListener('click', () => {
      // Whoever reads the beginning does not follow the end, which would forget what is far from it.
      this.#follows = false
      this.#older.setAttribute('aria-busy', 'true')
      void readOlder().finally(() => this.#older.removeAttribute('aria-busy'))
    })
    // Updates the countdown to the next attempt.
    setInterval(() => this.#drawState(), 1000)
    // Messages get their real height when they become visible, and the window may be resized.
    const sizes = new ResizeObserver(() => this.#follows && this.#scrollToEnd())
    sizes.observe(this.#scroller)
    sizes.observe(this.#list)
  }

  draw() {
    atNextFrame(this, () => this.#draw())
  }

  toEnd() {
    this.#follows = true
    this.#scrollToEnd()
    this.#jump.hidden = true
  }

  #scrollToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight
  }

  #scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.#scroller
    // Only scrolling up leaves the end; growth below moves the end.
    if (scrollHeight - scrollTop - clientHeight < AT_END) this.#follows = true
    else if (scrollTop < this.#top) this.#follows = false
    this.#top = scrollTop
    if (this.#follows) this.#jump.hidden = true
  }

  #draw() {
    const { history } = this.model
    if (history !== this.#shown) this.#begin(history)
    if (!history) {
      this.told(NOTHING)
      return
    }
    const revert = this.model.sessions.get(history.sessionID)?.revert
    // What is undone has to be known from its first message on.
    if (this.#follows && !revert && history.entries.length > KEPT + 50) history.trim(KEPT)
    // Browsers have scroll anchoring, but not at the top, and some do not have it.
    if (!this.#follows && this.#scroller.scrollTop < 1) this.#scroller.scrollTop = 1
    const anchor = this.#follows ? undefined : this.#anchor()
    const filter = JSON.stringify([revert?.messageID, revert?.partID, this.showsUndone, this.model.queue(history.sessionID)])
    if (history.changed.size || filter !== this.#filter) {
      this.#filter = filter
      this.#filterBy(history, revert ?? null)
      for (const id of history.changed) this.#drawMessage(id)
      this.#arrange(history)
      history.changed.clear()
    }
    for (const entry of history.entries) this.#drawPrompt(entry, history)
    this.#older.hidden = !history.more
    byId('no-messages').hidden = !history.loaded || history.entries.length > 0
    byId('reading').hidden = history.loaded
    this.#drawState()
    if (this.#follows) this.#scrollToEnd()
    else if (anchor) this.#scroller.scrollTop += anchor.element.getBoundingClientRect().top - anchor.top
  }

  /** @param {History | null} history */
  #begin(history) {
    const again = history && this.#shown?.sessionID === history.sessionID
    this.#shown = history
    this.#views.clear()
    fill(this.#list)
    if (!again) this.#follows = true
    if (history) for (const { info } of history.entries) history.changed.add(info.id)
    this.#jump.hidden = true
    this.#drawn = false
    this.#filter = ''
    if (!again) this.showsUndone = false
  }

  /** The first visible message, and its position. */
  #anchor() {
    const edge = this.#scroller.getBoundingClientRect().top
    for (const element of this.#list.children) {
      const { top, bottom } = element.getBoundingClientRect()
      if (bottom > edge) return { element, top }
    }
    return undefined
  }

  /** Finds what is undone. @param {History} history @param {SessionRevert | null} revert */
  #filterBy(history, revert) {
    const before = this.#undone
    const found = revert && undoneFrom(inTurns(history.entries), revert)
    if (found) this.#undone = { ...found, isAll: true }
    else this.#undone = revert ? { messages: history.entries, parts: new Set(), isAll: false } : NOTHING
    // Messages of which only a part is shown now, or was until now.
    for (const parts of [before.parts, this.#undone.parts]) {
      if (parts.size) for (const { info, parts: own } of history.entries) if (own.some(({ id }) => parts.has(id))) history.changed.add(info.id)
    }
    this.told(this.#undone)
  }

  /** @param {History} history */
  #arrange(history) {
    const before = this.#list.childElementCount
    const queue = this.model.queue(history.sessionID)
    const undone = new Set(this.#undone.messages)
    const shown = inTurns(history.entries).filter((entry) => !queue.includes(entry.info.id) && (this.showsUndone || !undone.has(entry)))
    const elements = shown.flatMap((entry) => {
      const view = this.#views.get(entry.info.id)
      view?.element.classList.toggle('undone', undone.has(entry))
      return view?.element ?? []
    })
    arrange(this.#list, elements)
    if (!this.#follows && this.#drawn && this.#list.childElementCount >= before) this.#jump.hidden = false
    this.#drawn = true
  }

  /** @param {string} id */
  #drawMessage(id) {
    const entry = this.#shown?.get(id)
    if (!entry) {
      this.#views.delete(id)
      return
    }
    let view = this.#views.get(id)
    if (!view) {
      view = messageView(entry, () => this.menu(this.#shown?.get(id) ?? entry))
      this.#views.set(id, view)
    }
    drawParts(view, entry, this.showsUndone ? NOTHING.parts : this.#undone.parts)
    drawFoot(view, entry)
  }

  /** Says of a prompt that it waits for the turns before it, or will never be answered. @param {Entry} entry @param {History} history */
  #drawPrompt(entry, history) {
    const { info } = entry
    const view = this.#views.get(info.id)
    if (info.role !== 'user' || !view) return
    const place = this.model.queue(history.sessionID).indexOf(info.id)
    const isQueued = place >= 0 || info.state === 'queued'
    const isCancelled = !isQueued && info.state === 'cancelled'
    view.element.classList.toggle('queued', isQueued)
    view.element.classList.toggle('cancelled', isCancelled)
    if (!isCancelled) say(view.foot, isQueued ? 'queued' : '')
    else if (!view.foot.childElementCount) {
      const again = h('button', { type: 'button', class: 'small', onclick: () => this.sendAgain(entry) }, 'Send again')
      fill(view.foot, 'cancelled before it was answered ', again)
    }
  }

  #drawState() {
    const { history } = this.model
    if (!history) return
    const status = this.model.status(history.sessionID)
    this.#state.dataset.status = status.type
    let text = ''
    if (status.type === 'busy') text = 'Working…'
    if (status.type === 'waiting') text = 'Waiting for your answer'
    if (status.type === 'retry') {
      const seconds = Math.max(0, Math.ceil((status.next - Date.now()) / 1000))
      text = `Attempt ${status.attempt} failed: ${status.message}. Next try ${seconds ? `in ${seconds} s` : 'now'}.`
    }
    say(this.#state, text)
  }
}

/** @param {Entry} entry @param {() => Item[]} items @returns {MessageView} */
function messageView({ info }, items) {
  const body = h('div', { class: 'message-body' })
  const foot = h('p', { class: 'foot' })
  const { created } = info.time
  const more = () => opensMenu(h('button', { type: 'button', class: 'plain-button more' }, '⋯'), items)
  const head =
    info.role === 'user'
      ? h('div', { class: 'who' }, h('strong', {}, 'You'), h('time', { dateTime: new Date(created).toISOString() }, clock(created)), h('span', { class: 'grow' }), more())
      : h('p', { class: 'unseen' }, `${info.agent} (${info.modelID})`)
  const element = h('article', { class: `message ${info.role}`, id: info.id, 'aria-label': info.role === 'user' ? `You, ${clock(created)}` : info.agent }, head, body, foot)
  return { element, body, foot, parts: new Map() }
}

/** @param {MessageView} view @param {Entry} entry @param {Set<string>} hidden parts that are not shown */
function drawParts(view, entry, hidden) {
  /** @type {HTMLElement[]} */
  const wanted = []
  for (const part of entry.parts) {
    let drawn = view.parts.get(part.id)
    if (drawn === undefined) {
      drawn = partView(part, entry)
      view.parts.set(part.id, drawn)
    }
    if (!drawn || hidden.has(part.id)) continue
    drawn.draw(part, entry)
    if (part.type !== 'text' || part.text !== '') wanted.push(drawn.element)
  }
  // Prompts of the same minute are told apart by what they say.
  view.element.querySelector('.more')?.setAttribute('aria-label', `What to do with the prompt: ${textOf(entry.parts).slice(0, 60)}`)
  if (entry.info.role === 'assistant' && entry.info.error) wanted.push(failure(entry.info.error))
  arrange(view.body, wanted)
}

/** @param {MessageView} view @param {Entry} entry */
function drawFoot(view, { info }) {
  if (info.role !== 'assistant') return
  const { time, tokens, cost, finish } = info
  // Intermediate steps need no summary.
  if (!time.completed || finish === 'tool-calls') {
    say(view.foot, '')
    return
  }
  const used = tokens.input + tokens.cache.read + tokens.cache.write
  const facts = [`${info.providerID}/${info.modelID}`, info.agent === 'build' ? '' : info.agent, duration(time.completed - time.created)]
  if (used || tokens.output) facts.push(`${compact(used)} in, ${compact(tokens.output + tokens.reasoning)} out`)
  facts.push(money(cost))
  if (finish === 'length') facts.push('cut at the length limit')
  say(view.foot, facts.filter(Boolean).join(' · '))
}
