// The list of the sessions of all projects: title, directory, and status.
/** @import { Session } from 'polytree' */
/** @import { Model } from './model.js' */
import { arrange, atNextFrame, byId, fill, h, say } from './dom.js'
import { ago, counted, shortPath } from './format.js'

/** @typedef {{ element: HTMLElement, link: HTMLAnchorElement, title: HTMLElement, place: HTMLElement, when: HTMLElement, badge: HTMLElement }} Row */

export const WORDS = { idle: '', busy: 'working', waiting: 'waiting', retry: 'retrying' }

export class SessionList {
  #list = byId('sessions')
  #search = /** @type {HTMLInputElement} */ (byId('search'))
  #filter = /** @type {HTMLSelectElement} */ (byId('filter'))
  #more = byId('more-sessions')
  #count = byId('session-count')
  /** @type {Map<string, Row>} */
  #rows = new Map()
  #searching = 0
  #options = ''

  /**
   * @param {Model} model
   * @param {{ search: (text: string) => Promise<void>, more: () => Promise<void> }} read asks the daemon for sessions that are not here yet
   */
  constructor(model, read) {
    this.model = model
    this.#search.addEventListener('input', () => {
      this.draw()
      clearTimeout(this.#searching)
      this.#searching = window.setTimeout(() => void read.search(this.#search.value.trim()), 250)
    })
    this.#filter.addEventListener('change', () => this.draw())
    this.#more.addEventListener('click', () => void read.more())
    this.#list.addEventListener('keydown', (event) => this.#move(event))
    this.#search.addEventListener('keydown', (event) => {
      if (event.key !== 'ArrowDown' && event.key !== 'Enter') return
      // The last input may not be drawn yet.
      this.#draw()
      if (event.key === 'ArrowDown') this.#list.querySelector('a')?.focus()
      else this.#list.querySelector('a')?.click()
      event.preventDefault()
    })
    // "3 min" becomes "4 min".
    setInterval(() => this.draw(), 30_000)
  }

  /** The chosen session. @type {string | null} */
  chosen = null

  draw() {
    atNextFrame(this, () => this.#draw())
  }

  /** Moves to the session before or after the chosen one. @param {1 | -1} step */
  step(step) {
    const links = [...this.#list.querySelectorAll('a')]
    const at = links.findIndex((link) => link.getAttribute('aria-current') === 'page')
    links[Math.min(links.length - 1, Math.max(0, at + step))]?.click()
  }

  #draw() {
    this.#drawFilter()
    const sessions = this.#wanted()
    for (const id of this.#rows.keys()) if (!this.model.sessions.has(id)) this.#rows.delete(id)
    arrange(this.#list, sessions.map((session) => this.#row(session).element))
    this.#more.hidden = !this.model.moreSessions
    byId('no-sessions').hidden = sessions.length > 0
    say(this.#count, counted(sessions.length, 'session'))
  }

  /** In the order of their last use, children below their parents. @returns {Session[]} */
  #wanted() {
    const text = this.#search.value.trim().toLowerCase()
    const [kind, projectID] = this.#filter.value.split(':')
    const all = [...this.model.sessions.values()].filter((session) => {
      if (kind === 'archived' ? !session.time.archived : session.time.archived && session.id !== this.chosen) return false
      if (kind === 'active' && this.model.status(session.id).type === 'idle') return false
      if (kind === 'project' && session.projectID !== projectID) return false
      return !text || session.title.toLowerCase().includes(text) || session.directory.toLowerCase().includes(text)
    })
    all.sort((a, b) => b.time.updated - a.time.updated || (a.id < b.id ? 1 : -1))
    const here = new Set(all.map(({ id }) => id))
    /** @type {Map<string, Session[]>} */
    const children = new Map()
    for (const session of all) {
      if (session.parentID && here.has(session.parentID)) children.set(session.parentID, [session, ...(children.get(session.parentID) ?? [])])
    }
    /** @type {Session[]} */
    const ordered = []
    const add = (/** @type {Session} */ session) => {
      ordered.push(session)
      children.get(session.id)?.forEach(add)
    }
    for (const session of all) if (!session.parentID || !here.has(session.parentID)) add(session)
    return ordered
  }

  #drawFilter() {
    const projects = [...this.model.projects.values()]
    const options = projects.map(({ id, name, worktree }) => `${id} ${name ?? shortPath(worktree)}`).join('\n')
    if (options === this.#options) return
    this.#options = options
    const value = this.#filter.value
    const group = h('optgroup', { label: 'Project' }, ...projects.map(({ id, name, worktree }) => h('option', { value: `project:${id}`, title: worktree }, name ?? shortPath(worktree))))
    const fixed = [...this.#filter.querySelectorAll(':scope > option')]
    fill(this.#filter, ...fixed, projects.length ? group : null)
    this.#filter.value = value
    if (this.#filter.selectedIndex < 0) this.#filter.selectedIndex = 0
  }

  /** @param {Session} session */
  #row(session) {
    let row = this.#rows.get(session.id)
    if (!row) {
      row = emptyRow(session.id)
      this.#rows.set(session.id, row)
    }
    const status = this.model.status(session.id)
    const queued = this.model.queue(session.id).length
    const project = this.model.projects.get(session.projectID)
    row.element.className = session.parentID ? 'child' : ''
    row.element.dataset.status = status.type
    if (session.id === this.chosen) row.link.setAttribute('aria-current', 'page')
    else row.link.removeAttribute('aria-current')
    row.link.title = session.directory
    say(row.title, session.title)
    say(row.place, (project?.name ? `${project.name} · ` : '') + shortPath(session.directory) + (session.missing ? ' (gone)' : ''))
    say(row.when, ago(session.time.updated))
    say(row.badge, [WORDS[status.type], queued ? `${queued} queued` : ''].filter(Boolean).join(', '))
    return row
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const links = [...this.#list.querySelectorAll('a')]
    const at = links.indexOf(/** @type {HTMLAnchorElement} */ (document.activeElement))
    const target = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key]
    if (target === undefined || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    if (target < 0) this.#search.focus()
    else links[Math.min(target, links.length - 1)]?.focus()
  }
}

/** @param {string} id @returns {Row} */
function emptyRow(id) {
  const title = h('span', { class: 'title' })
  const place = h('span', { class: 'place' })
  const when = h('span', { class: 'when' })
  const badge = h('span', { class: 'badge' })
  const link = h('a', { href: `#session=${id}` }, title, badge, place, when)
  return { element: h('li', {}, link), link, title, place, when, badge }
}
