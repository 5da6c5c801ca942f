// The prompts of the chosen session that wait: edited, moved, removed, sent into the running turn. An edit is kept when
// its prompt begins meanwhile, and across a reload.
/** @import { Part, PartInput } from 'polytree' */
/** @import { Follower } from '../follow.js' */
/** @import { Model } from '../model.js' */
import { RpcError } from '../connection.js'
import { arrange, atNextFrame, byId, h, say } from '../dom.js'
import { counted, messageOf } from '../format.js'
import { inputsOf, textOf } from './inputs.js'
import { exact, exactLine } from '../visible.js'

/** @typedef {{ element: HTMLElement, text: HTMLElement, files: HTMLElement, edit: HTMLTextAreaElement | null, draw: (place: number, count: number) => void }} Row */
/** @typedef {{ steer: (parts: PartInput[]) => Promise<void>, submit: (parts: PartInput[]) => Promise<void>, tell: (problem: string) => void, announce: (news: string) => void }} Acts */


export class Queue {
  #region = byId('queue')
  #head = byId('queue-head')
  #list = byId('queue-list')
  /** @type {Map<string, Row>} */
  #rows = new Map()
  /** @type {string | null} */
  #sessionID = null
  #resumed = false

  /**
   * @param {Model} model
   * @param {Follower} follower
   * @param {Acts} acts
   */
  constructor(model, follower, acts) {
    this.model = model
    this.follower = follower
    this.acts = acts
  }

  /** @param {string | null} sessionID */
  choose(sessionID) {
    this.#sessionID = sessionID
    this.#rows.clear()
    this.#resumed = false
    this.draw()
  }

  /** Where an unfinished edit is kept. @param {string} messageID */
  #draftOf(messageID) {
    return `edit.${this.#sessionID}.${messageID}`
  }

  /** Goes on with the edits that a reload has interrupted, once it is known which prompts still wait. */
  #resume() {
    if (this.#resumed || this.#sessionID === null || !this.model.knowsQueue(this.#sessionID)) return
    this.#resumed = true
    const before = this.#draftOf('')
    for (const key of Object.keys(sessionStorage)) if (key.startsWith(before)) this.#edit(key.slice(before.length), false)
  }

  draw() {
    atNextFrame(this, () => this.#draw())
  }

  /** Goes to the first prompt that waits. */
  focus() {
    const first = this.#list.querySelector('button')
    if (first) first.focus()
    else this.acts.announce('No prompt waits')
  }

  #draw() {
    this.#resume()
    const ids = this.#sessionID ? this.model.queue(this.#sessionID) : []
    for (const [id, row] of this.#rows) if (!ids.includes(id) && !row.edit) this.#rows.delete(id)
    const hadFocus = this.#list.contains(document.activeElement)
    const shown = ids.map((id, index) => {
      const row = this.#rows.get(id) ?? this.#newRow(id)
      row.draw(index, ids.length)
      return row.element
    })
    // The prompt of an edit has begun, or somebody has removed it.
    const left = [...this.#rows].filter(([id]) => !ids.includes(id)).map(([, row]) => row)
    for (const row of left) row.draw(-1, ids.length)
    arrange(this.#list, [...shown, ...left.map(({ element }) => element)])
    this.#region.hidden = shown.length + left.length === 0
    const isIdle = this.#sessionID !== null && this.model.status(this.#sessionID).type === 'idle'
    say(this.#head, `${counted(ids.length, 'prompt')} ${ids.length === 1 ? 'waits' : 'wait'}${isIdle && ids.length ? ' for the next prompt you send' : ''}`)
    if (hadFocus && !this.#list.contains(document.activeElement)) {
      if (this.#list.childElementCount) this.focus()
      else byId('prompt').focus()
    }
  }

  /** @param {string} id @returns {Part[]} */
  #parts(id) {
    return this.model.history?.get(id)?.parts ?? this.model.waiting.get(id) ?? []
  }

  /** @param {string} id @returns {Row} */
  #newRow(id) {
    const number = h('span', { class: 'number', 'aria-hidden': 'true' })
    const text = h('div', { class: 'queue-text' })
    const files = h('span', { class: 'quiet' })
    const note = h('p', { class: 'warning', hidden: true })
    const button = (/** @type {string} */ label, /** @type {string} */ shown, /** @type {() => unknown} */ act) => h('button', { type: 'button', class: 'small', title: label, 'aria-label': label, onclick: act }, shown)
    const steer = button('Send into the running turn', 'Steer', () => this.#attempt(element, () => this.#steer(id)))
    const edit = button('Edit', 'Edit', () => this.#edit(id))
    const up = button('Move up', '↑', () => this.#move(id, -1))
    const down = button('Move down', '↓', () => this.#move(id, 1))
    const remove = button('Remove', '×', () => this.#attempt(element, () => this.#remove(id)))
    const buttons = h('div', { class: 'queue-buttons' }, steer, edit, up, down, remove)
    const element = h('li', {}, number, h('div', { class: 'queue-body' }, text, files, note), buttons)
    element.addEventListener('keydown', (event) => {
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key]
      if (step === undefined || !event.altKey || row.edit) return
      event.preventDefault()
      void this.#move(id, step)
    })
    const draw = (/** @type {number} */ place, /** @type {number} */ count) => {
      const parts = this.#parts(id)
      const own = textOf(parts)
      const isSteering = this.model.steering.has(id)
      const name = exactLine(own.slice(0, 60))
      say(number, isSteering ? '↳' : String(place + 1))
      if (!row.edit) say(text, exact(own))
      const attached = parts.filter(({ type }) => type === 'file').length
      say(files, [attached ? counted(attached, 'file') : '', isSteering ? 'read before the next step of this turn' : ''].filter(Boolean).join(', '))
      element.setAttribute('aria-label', isSteering ? `For the running turn: ${name}` : `${place + 1} of ${count}: ${name}`)
      for (const [made, label] of /** @type {const} */ ([[edit, 'Edit'], [up, 'Move up'], [down, 'Move down'], [remove, 'Remove'], [steer, 'Send into the running turn']])) made.setAttribute('aria-label', `${label}: ${name}`)
      steer.hidden = isSteering || this.#sessionID === null || this.model.status(this.#sessionID).type === 'idle'
      // Not disabled: a button that has the focus would lose it.
      up.setAttribute('aria-disabled', String(place <= 0))
      down.setAttribute('aria-disabled', String(place >= count - 1))
      up.hidden = down.hidden = isSteering || count < 2
      buttons.hidden = row.edit !== null
      note.hidden = place >= 0
      say(note, 'This prompt has begun, or was removed. Your text is still here.')
      element.classList.toggle('left', place < 0)
    }
    /** @type {Row} */
    const row = { element, text, files, edit: null, draw }
    this.#rows.set(id, row)
    return row
  }

  /** @param {HTMLElement} element @param {() => Promise<unknown>} act */
  async #attempt(element, act) {
    if (element.getAttribute('aria-busy') === 'true') return
    element.setAttribute('aria-busy', 'true')
    try {
      await act()
    } catch (error) {
      this.acts.tell(messageOf(error))
    } finally {
      element.removeAttribute('aria-busy')
      this.draw()
    }
  }

  /** @param {string} messageID @returns {Promise<boolean>} whether it was still waiting */
  async #remove(messageID) {
    const sessionID = this.#sessionID
    if (!sessionID) return false
    const removed = await this.follower.callUntilAnswered('session.queue.remove', { sessionID, messageID })
    // The first try may have arrived although its answer was lost.
    const info = removed ? null : (await this.#stored(sessionID, messageID))?.info
    if (removed || (info?.role === 'user' && info.state === 'cancelled')) {
      this.acts.announce('Removed')
      return true
    }
    this.acts.tell('The prompt does not wait any more: its turn has begun.')
    return false
  }

  /** A prompt as the daemon has it; null when it is gone. @param {string} sessionID @param {string} messageID */
  #stored(sessionID, messageID) {
    return this.follower.callUntilAnswered('session.message', { sessionID, messageID }).catch(() => null)
  }

  /** @param {string} messageID */
  async #steer(messageID) {
    const parts = inputsOf(this.#parts(messageID))
    if (parts.length && (await this.#remove(messageID))) await this.acts.steer(parts)
  }

  /** @param {string} messageID @param {number} step */
  async #move(messageID, step) {
    const sessionID = this.#sessionID
    const row = this.#rows.get(messageID)
    if (!sessionID || !row) return
    const ids = this.model.queue(sessionID)
    const at = ids.indexOf(messageID)
    const to = at + step
    if (at < 0 || to < 0 || to >= ids.length) return
    const before = step < 0 ? ids[to] : ids[to + 1]
    await this.#attempt(row.element, async () => {
      const moved = await this.follower.callUntilAnswered('session.queue.move', { sessionID, messageID, before })
      this.acts.announce(moved ? `Moved to place ${to + 1} of ${ids.length}` : 'It does not wait any more')
    })
  }

  // ---- edits

  /** @param {string} id @param {boolean} [focus] */
  #edit(id, focus = true) {
    const row = this.#rows.get(id) ?? this.#newRow(id)
    if (row.edit) return
    const before = textOf(this.#parts(id))
    const area = h('textarea', { rows: 2, 'aria-label': 'The prompt that waits', value: sessionStorage.getItem(this.#draftOf(id)) ?? before })
    const save = h('button', { type: 'button', class: 'small primary', onclick: () => this.#attempt(row.element, () => this.#save(id)) }, 'Save')
    const cancel = h('button', { type: 'button', class: 'small', onclick: () => this.#endEdit(id) }, 'Cancel')
    area.addEventListener('input', () => keep(this.#draftOf(id), area.value))
    area.addEventListener('keydown', (event) => {
      if (event.isComposing) return
      if (event.key === 'Enter' && !event.shiftKey) save.click()
      else if (event.key === 'Escape') cancel.click()
      else return
      event.preventDefault()
      event.stopPropagation()
    })
    row.edit = area
    row.text.replaceChildren(area, h('div', { class: 'queue-buttons' }, save, cancel))
    if (focus) area.focus()
    this.draw()
  }

  /** @param {string} id @param {boolean} [focus] */
  #endEdit(id, focus = true) {
    const row = this.#rows.get(id)
    if (!row) return
    sessionStorage.removeItem(this.#draftOf(id))
    row.edit = null
    row.text.replaceChildren()
    this.#draw()
    if (focus) row.element.querySelector('button')?.focus()
  }

  /** @param {string} messageID */
  async #save(messageID) {
    const sessionID = this.#sessionID
    const text = this.#rows.get(messageID)?.edit?.value ?? ''
    if (!sessionID || !text.trim()) return
    const before = this.#parts(messageID)
    /** @type {PartInput[]} */
    const parts = [{ type: 'text', text }, ...inputsOf(before).filter(({ type }) => type !== 'text')]
    if (!this.model.queue(sessionID).includes(messageID)) {
      // What it was an edit of is gone: it is a prompt of its own now.
      this.#endEdit(messageID)
      await this.acts.submit(parts)
      return
    }
    try {
      if (text !== textOf(before)) await this.follower.callUntilAnswered('session.queue.replace', { sessionID, messageID, parts })
    } catch (error) {
      // The first try may have arrived although its answer was lost.
      if (!(error instanceof RpcError) || error.kind !== 'conflict') throw error
      const stored = await this.#stored(sessionID, messageID)
      if (textOf(stored?.parts ?? []) !== text) throw error
    }
    this.acts.announce('Saved')
    this.#endEdit(messageID)
  }
}

/** @param {string} key @param {string} text */
function keep(key, text) {
  try {
    sessionStorage.setItem(key, text)
  } catch {
    // The browser's store is full: the text is still in its box.
  }
}
