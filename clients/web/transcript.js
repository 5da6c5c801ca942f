// The messages of the chosen session. Draws only changes, once per frame; the view follows the end while it is visible,
// and does not move otherwise.
/** @import { Entry, History } from './history.js' */
/** @import { Model } from './model.js' */
/** @import { PartView } from './parts.js' */
import { arrange, atNextFrame, byId, fill, h, say } from './dom.js'
import { clock, compact, duration, money } from './format.js'
import { failure, partView } from './parts.js'

/** @typedef {{ element: HTMLElement, body: HTMLElement, foot: HTMLElement, parts: Map<string, PartView | null> }} MessageView */

// The distance to the end within which the view follows it.
const AT_END = 60
// The limit of messages in the page while the view follows the end.
const KEPT = 300

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

  /**
   * @param {Model} model
   * @param {() => Promise<void>} readOlder
   * @param {(entry: Entry) => void} sendAgain
   */
  constructor(model, readOlder, sendAgain) {
    this.model = model
    this.sendAgain = sendAgain
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true })
    this.#jump.addEventListener('click', () => this.toEnd())
    this.#older.addEventListener('click', () => {
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
    if (!history) return
    if (this.#follows && history.entries.length > KEPT + 50) history.trim(KEPT)
    // Browsers have scroll anchoring, but not at the top, and some do not have it.
    if (!this.#follows && this.#scroller.scrollTop < 1) this.#scroller.scrollTop = 1
    const anchor = this.#follows ? undefined : this.#anchor()
    for (const id of history.changed) this.#drawMessage(id)
    if (history.changed.size) this.#arrange(history)
    history.changed.clear()
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

  /** @param {History} history */
  #arrange(history) {
    const before = this.#list.childElementCount
    arrange(this.#list, inTurns(history.entries).flatMap(({ info }) => this.#views.get(info.id)?.element ?? []))
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
      view = messageView(entry)
      this.#views.set(id, view)
    }
    drawParts(view, entry)
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
    if (!isCancelled) say(view.foot, place >= 0 ? `queued, number ${place + 1}` : isQueued ? 'queued' : '')
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

/**
 * Answers below their prompts: a prompt that was queued is stored before the turn that it waits for has ended.
 * @param {Entry[]} entries
 * @returns {Entry[]}
 */
export function inTurns(entries) {
  /** @type {Map<string, Entry[]>} */
  const turns = new Map()
  for (const entry of entries) {
    const { info } = entry
    const turn = info.role === 'assistant' ? turns.get(info.parentID) : undefined
    if (turn) turn.push(entry)
    else turns.set(info.id, [entry])
  }
  return [...turns.values()].flat()
}

/** @param {Entry} entry @returns {MessageView} */
function messageView({ info }) {
  const body = h('div', { class: 'message-body' })
  const foot = h('p', { class: 'foot' })
  const head =
    info.role === 'user'
      ? h('p', { class: 'who' }, h('strong', {}, 'You'), h('time', { dateTime: new Date(info.time.created).toISOString() }, clock(info.time.created)))
      : h('p', { class: 'unseen' }, `${info.agent} (${info.modelID})`)
  const element = h('article', { class: `message ${info.role}`, id: info.id }, head, body, foot)
  return { element, body, foot, parts: new Map() }
}

/** @param {MessageView} view @param {Entry} entry */
function drawParts(view, entry) {
  /** @type {HTMLElement[]} */
  const wanted = []
  for (const part of entry.parts) {
    let drawn = view.parts.get(part.id)
    if (drawn === undefined) {
      drawn = partView(part, entry)
      view.parts.set(part.id, drawn)
    }
    if (!drawn) continue
    drawn.draw(part, entry)
    if (part.type !== 'text' || part.text !== '') wanted.push(drawn.element)
  }
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
