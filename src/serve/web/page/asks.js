// Open questions of the whole daemon: those of the chosen session first, the others with the way to them.
/** @import { Permission } from 'polytree' */
/** @import { Model } from './model.js' */
import { arrange, atNextFrame, byId, h, say } from './dom.js'
import { ago, shortPath } from './format.js'
import { diffView } from './parts.js'

/** @typedef {(permission: Permission, response: 'once' | 'always' | 'reject', message?: string) => Promise<void>} Reply */

export class Asks {
  #region = byId('asks')
  #list = byId('ask-list')
  #badge = byId('ask-count')
  /** @type {Map<string, { element: HTMLElement, where: HTMLElement }>} */
  #cards = new Map()
  /** The chosen session. @type {string | null} */
  chosen = null

  /**
   * @param {Model} model
   * @param {Reply} reply
   */
  constructor(model, reply) {
    this.model = model
    this.reply = reply
    this.#badge.addEventListener('click', () => this.focus())
  }

  draw() {
    atNextFrame(this, () => this.#draw())
  }

  /** Goes to the first question. */
  focus() {
    this.#list.querySelector('button')?.focus()
  }

  #draw() {
    const open = [...this.model.permissions.values()]
    const isHere = (/** @type {Permission} */ { sessionID }) => (sessionID === this.chosen ? 0 : 1)
    open.sort((a, b) => isHere(a) - isHere(b) || a.time.created - b.time.created)
    const hadFocus = this.#list.contains(document.activeElement)
    for (const id of this.#cards.keys()) if (!this.model.permissions.has(id)) this.#cards.delete(id)
    arrange(this.#list, open.map((permission) => this.#card(permission)))
    this.#region.hidden = open.length === 0
    this.#badge.hidden = open.length === 0
    say(this.#badge, open.length === 1 ? '1 question' : `${open.length} questions`)
    document.title = open.length ? `(${open.length}) polytree` : 'polytree'
    // Who answers by keyboard goes on with the next question, or back to writing.
    if (hadFocus && !this.#list.contains(document.activeElement)) {
      if (open.length) this.focus()
      else byId('prompt').focus()
    }
  }

  /** @param {Permission} permission */
  #card(permission) {
    let card = this.#cards.get(permission.id)
    if (!card) {
      card = this.#newCard(permission)
      this.#cards.set(permission.id, card)
    }
    const elsewhere = permission.sessionID !== this.chosen
    card.element.classList.toggle('elsewhere', elsewhere)
    card.where.hidden = !elsewhere
    const session = this.model.sessions.get(permission.sessionID)
    say(card.where, session ? `${session.title} · ${shortPath(session.directory)}` : permission.sessionID)
    return card.element
  }

  /** @param {Permission} permission */
  #newCard(permission) {
    const where = h('a', { class: 'where', href: `#session=${permission.sessionID}` })
    const reason = h('input', { type: 'text', placeholder: 'Why not, or what instead (optional)', 'aria-label': 'Reason for the refusal', autocomplete: 'off' })
    const problem = h('p', { class: 'error', role: 'alert', hidden: true })
    /** @type {HTMLButtonElement[]} */
    const buttons = []
    const answer = (/** @type {'once' | 'always' | 'reject'} */ response) => async () => {
      for (const button of buttons) button.setAttribute('aria-disabled', 'true')
      try {
        const message = reason.value.trim()
        await this.reply(permission, response, response === 'reject' && message ? message : undefined)
      } catch (error) {
        for (const button of buttons) button.removeAttribute('aria-disabled')
        problem.hidden = false
        say(problem, error instanceof Error ? error.message : String(error))
      }
    }
    const button = (/** @type {string} */ label, /** @type {'once' | 'always' | 'reject'} */ response, /** @type {string} */ kind) => {
      const made = h('button', { type: 'button', class: kind, onclick: answer(response) }, label)
      buttons.push(made)
      return made
    }
    const always = permission.always.join(', ')
    const alwaysLabel = `Always allow ${always === '*' ? permission.type : always}`
    const element = h(
      'article',
      { class: 'ask', 'aria-label': `Question: ${permission.title}` },
      h('p', { class: 'ask-head' }, h('span', { class: 'kind' }, permission.type), h('strong', {}, permission.title), h('span', { class: 'quiet' }, ago(permission.time.created)), where),
      detail(permission),
      h(
        'div',
        { class: 'answers' },
        button('Allow once', 'once', 'primary'),
        always ? button(alwaysLabel, 'always', '') : null,
        h('span', { class: 'refusal' }, button('Reject', 'reject', 'danger'), reason),
      ),
      problem,
    )
    reason.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') void answer('reject')()
    })
    return { element, where }
  }
}

/** What is about to happen: the command, the change, the patterns. @param {Permission} permission */
function detail({ metadata, patterns }) {
  const { command, diff, filePath } = /** @type {Record<string, unknown>} */ (metadata ?? {})
  if (typeof diff === 'string' && diff) return diffView(diff)
  if (typeof command === 'string') return h('pre', { class: 'command', tabIndex: 0 }, command)
  return h('p', { class: 'path' }, typeof filePath === 'string' ? filePath : patterns.join(', '))
}
