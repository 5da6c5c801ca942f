// Open questions: those of the chosen session and its children with buttons, all others as one line with links.
/** @import { Permission } from 'polytree' */
/** @import { Model } from './model.js' */
import { diffView } from './session/diff.js'
import { arrange, atNextFrame, byId, fill, h, say } from './dom.js'
import { ago, counted } from './format.js'
import { exact } from './visible.js'

/** @typedef {(permission: Permission, response: 'once' | 'always' | 'reject', message?: string) => Promise<void>} Reply */

export class Asks {
  #region = byId('asks')
  #list = byId('ask-list')
  #elsewhere = byId('elsewhere')
  #badge = byId('ask-count')
  /** @type {Map<string, HTMLElement>} */
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
    this.#badge.addEventListener('click', () => {
      if (this.#list.childElementCount) this.focus()
      else this.#elsewhere.querySelector('a')?.click()
    })
  }

  draw() {
    atNextFrame(this, () => this.#draw())
  }

  /** Goes to the first question of the chosen session. */
  focus() {
    this.#list.querySelector('button')?.focus()
  }

  /** Whether a session is the chosen one or one of its children. @param {string | undefined} sessionID */
  #isHere(sessionID) {
    for (let id = sessionID; id; id = this.model.sessions.get(id)?.parentID ?? undefined) if (id === this.chosen) return true
    return false
  }

  #draw() {
    const open = [...this.model.permissions.values()].sort((a, b) => a.time.created - b.time.created)
    const here = open.filter(({ sessionID }) => this.#isHere(sessionID))
    const hadFocus = this.#list.contains(document.activeElement)
    for (const id of this.#cards.keys()) if (!this.model.permissions.has(id)) this.#cards.delete(id)
    arrange(this.#list, here.map((permission) => this.#card(permission)))
    this.#region.hidden = here.length === 0
    this.#drawElsewhere(open.filter((permission) => !here.includes(permission)))
    this.#badge.hidden = open.length === 0
    say(this.#badge, counted(open.length, 'question'))
    document.title = open.length ? `(${open.length}) polytree` : 'polytree'
    // After an answer by keyboard the focus moves to the next question, or back to the prompt.
    if (hadFocus && !this.#list.contains(document.activeElement)) {
      if (here.length) this.focus()
      else byId('prompt').focus()
    }
  }

  /** @param {Permission[]} open */
  #drawElsewhere(open) {
    const sessions = [...new Set(open.map(({ sessionID }) => sessionID))].map((id) => ({ id, title: this.model.sessions.get(id)?.title ?? id }))
    const shown = JSON.stringify([this.chosen !== null, open.length, sessions])
    if (this.#elsewhere.dataset.shown === shown) return
    this.#elsewhere.dataset.shown = shown
    const links = sessions.map(({ id, title }) => h('a', { href: `#session=${id}` }, title))
    this.#elsewhere.hidden = open.length === 0
    fill(this.#elsewhere, `${counted(open.length, 'question')}${this.chosen === null ? '' : ' elsewhere'}: `, ...links.flatMap((link, index) => (index ? [', ', link] : [link])))
  }

  /** @param {Permission} permission */
  #card(permission) {
    const card = this.#cards.get(permission.id) ?? this.#newCard(permission)
    this.#cards.set(permission.id, card)
    return card
  }

  /** @param {Permission} permission */
  #newCard(permission) {
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
    const always = exact(permission.always.join(', '))
    const title = exact(permission.title)
    const alwaysLabel = `Always allow ${always === '*' ? permission.type : always}`
    const element = h(
      'article',
      { class: 'ask', 'aria-label': `Question: ${title}` },
      h('p', { class: 'ask-head' }, h('span', { class: 'kind' }, permission.type), h('strong', {}, title), h('span', { class: 'quiet' }, ago(permission.time.created))),
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
    return element
  }
}

/** The subject of a question: the command and its directory, the change, the patterns. @param {Permission} permission */
function detail({ type, metadata, patterns }) {
  const { command, diff, filePath, workdir, directories, understood } = /** @type {Record<string, unknown>} */ (metadata ?? {})
  if (typeof diff === 'string' && diff) return [diffView(diff, Infinity)]
  if (typeof command !== 'string') return [path(typeof filePath === 'string' ? filePath : patterns.join(', '))]
  const outside = type === 'bash' && Array.isArray(directories) ? directories.join(', ') : ''
  return [
    type === 'bash' ? null : path(patterns.join(', ')),
    h('pre', { class: 'command', tabIndex: 0 }, exact(command)),
    typeof workdir === 'string' ? path(workdir, 'in ') : null,
    outside ? path(outside, 'it also works in ') : null,
    understood === false ? h('p', { class: 'warning' }, 'It cannot be told what this line runs.') : null,
  ].filter((child) => child !== null)
}

/** @param {string} text @param {string} [before] */
const path = (text, before = '') => h('p', { class: 'path' }, before, exact(text))
