// Dialogs: a new session, the daemon and its clients, a project with its trust and grants, names, keys.
/** @import { Diagnosis, Session } from 'polytree' */
/** @import { Follower } from './follow.js' */
/** @import { Model } from './model.js' */
/** @import { Child } from './dom.js' */
import { fill, h, say } from './dom.js'
import { ago, messageOf, newId, shortPath, size } from './format.js'
import { open } from './modal.js'

/** @param {...[string, Child]} rows */
const facts = (...rows) => h('dl', { class: 'facts' }, ...rows.filter(([, value]) => value !== '').flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]))

/**
 * @param {Model} model
 * @param {Follower} follower
 * @param {string} directory what is offered first
 * @param {(session: Session) => void} made
 */
export function newSession(model, follower, directory, made) {
  const places = new Set([...model.projects.values()].filter(({ missing }) => !missing).map(({ worktree }) => worktree))
  for (const session of model.sessions.values()) if (!session.missing) places.add(session.directory)
  const path = h('input', { type: 'text', value: directory, required: true, autocomplete: 'off', spellcheck: false, placeholder: '/path/to/project', 'aria-label': 'Directory' })
  const list = h('select', { 'aria-label': 'Known directories', size: Math.min(8, Math.max(2, places.size)) }, ...[...places].map((place) => h('option', { value: place }, place)))
  list.addEventListener('change', () => (path.value = list.value))
  const title = h('input', { type: 'text', autocomplete: 'off', placeholder: 'named by the first prompt' })
  const make = h('input', { type: 'checkbox' })
  const content = [
    h('label', {}, 'Directory', path),
    places.size ? h('label', {}, 'Known directories', list) : null,
    h('label', {}, 'Title', title),
    h('label', { class: 'check' }, make, 'Make the directory and a git repository if there is none'),
  ]
  open('New session', content, {
    label: 'Start',
    act: async () => {
      const wanted = path.value.trim()
      if (make.checked) await follower.callUntilAnswered('project.init', { directory: wanted, git: true })
      const params = { id: newId('ses'), directory: wanted, title: title.value.trim() || undefined }
      const session = await follower.callUntilAnswered('session.create', params)
      model.addSessions([session])
      made(session)
    },
  })
  path.select()
}

/** @param {Follower} follower */
export function daemon(follower) {
  const more = h('div')
  const { info } = follower
  const about = info
    ? facts(
        ['Version', `${info.version}, protocol ${info.protocolVersion}`],
        ['Process', String(info.pid)],
        ['Running', `since ${new Date(info.started).toLocaleString()}`],
        ['Data', info.dataDirectory],
        ['Listens', h('ul', { class: 'bare' }, ...info.listen.map((address) => h('li', {}, address)))],
        ['This page', `connection ${follower.connectionID}`],
      )
    : h('p', {}, 'The daemon has not answered yet.')
  open('Daemon', [about, more])
  say(more, 'Asking…')
  follower.call('server.diagnose', {}).then(
    (diagnosis) => fill(more, clients(diagnosis), ...advice(diagnosis)),
    (error) => say(more, messageOf(error)),
  )
}

/** @param {Diagnosis} diagnosis */
function clients({ clients: connected, memory }) {
  const rows = connected.map(({ id, door, name, version, directory, since, asks }) =>
    h(
      'tr',
      {},
      h('td', {}, asks ? 'this page' : [name ?? 'a client', version].filter(Boolean).join(' ')),
      h('td', {}, `${door} ${id}`),
      h('td', { title: directory ?? '' }, directory ? shortPath(directory) : ''),
      h('td', {}, ago(since)),
    ),
  )
  const head = h('tr', {}, ...['Who', 'Connection', 'Directory', 'Since'].map((name) => h('th', { scope: 'col' }, name)))
  return h(
    'section',
    {},
    h('h3', {}, `Connected: ${connected.length}`),
    h('div', { class: 'scrolls' }, h('table', {}, h('thead', {}, head), h('tbody', {}, ...rows))),
    memory.resident ? h('p', { class: 'quiet' }, `The daemon uses ${size(memory.resident)} of memory.`) : null,
  )
}

/** @param {Diagnosis} diagnosis */
function advice({ advice: all }) {
  return all.map(({ severity, text, hint }) => h('p', { class: severity === 'info' ? 'quiet' : severity }, text, hint ? h('span', { class: 'hint' }, hint) : null))
}

/**
 * @param {Model} model
 * @param {Follower} follower
 * @param {Session} session
 */
export function project(model, follower, session) {
  const { directory } = session
  const trust = h('div')
  const grants = h('div')
  const draw = () => {
    const known = model.projects.get(session.projectID)
    if (!known) return
    const pending = known.pending ?? []
    const set = (/** @type {boolean} */ trusted) => () =>
      follower.call('project.trust', { directory, trusted }).then(
        (answer) => {
          model.projects.set(answer.id, answer)
          model.onLists()
          draw()
        },
        (error) => say(problem, messageOf(error)),
      )
    fill(
      trust,
      facts(['Directory', known.worktree], ['Kind', known.vcs === 'git' ? 'git repository' : 'directory'], ['Its own settings', known.trusted ? 'trusted' : 'not trusted, and not read']),
      pending.length ? h('p', {}, 'Waiting for trust, because they are new or have changed:') : null,
      pending.length ? h('ul', {}, ...pending.map((path) => h('li', { class: 'path' }, path))) : null,
      h(
        'p',
        {},
        !known.trusted || pending.length ? h('button', { type: 'button', onclick: set(true) }, 'Trust these settings') : null,
        known.trusted ? h('button', { type: 'button', onclick: set(false) }, 'Trust no longer') : null,
      ),
    )
  }
  const drawGrants = () =>
    follower.call('permission.grants', { directory }).then(
      (all) => {
        const row = (/** @type {import('polytree').Grant} */ { id, type, pattern }) => {
          const revoke = () => void follower.call('permission.revoke', { id, directory }).then(drawGrants, (error) => say(problem, messageOf(error)))
          return h('li', {}, h('span', { class: 'kind' }, type), h('code', {}, pattern), h('button', { type: 'button', class: 'small', onclick: revoke }, 'Take back'))
        }
        fill(grants, h('h3', {}, 'Always allowed'), all.length ? h('ul', { class: 'bare' }, ...all.map(row)) : h('p', { class: 'quiet' }, 'Nothing yet.'))
      },
      (error) => say(problem, messageOf(error)),
    )
  const { problem } = open('Project', [trust, grants])
  problem.hidden = false
  draw()
  void drawGrants()
}

/** @param {Follower} follower @param {Session} session */
export function rename(follower, session) {
  const input = h('input', { type: 'text', value: session.title, required: true, autocomplete: 'off' })
  open('Rename', [h('label', {}, 'Title', input)], {
    label: 'Rename',
    act: async () => void (await follower.call('session.update', { sessionID: session.id, title: input.value.trim() })),
  })
  input.select()
}

/** @param {Follower} follower @param {Session} session */
export function remove(follower, session) {
  open('Delete this session?', [h('p', {}, `“${session.title}” and all its messages will be gone. A running turn ends.`)], {
    label: 'Delete',
    kind: 'danger',
    act: async () => void (await follower.call('session.delete', { sessionID: session.id })),
  })
}

/**
 * @param {[string, string][]} all
 * @param {boolean} on whether single keys act
 * @param {(on: boolean) => void} set
 */
export function keys(all, on, set) {
  const box = h('input', { type: 'checkbox', checked: on, onchange: () => set(box.checked) })
  open('Keys', [
    h('dl', { class: 'keys' }, ...all.flatMap(([key, what]) => [h('dt', {}, ...key.split(' ').map((name) => h('kbd', {}, name))), h('dd', {}, what)])),
    h('label', { class: 'check' }, box, 'Single letters act where nothing is being written'),
  ])
}
