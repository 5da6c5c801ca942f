// The page: connects the daemon's state with the elements. The fragment of the address contains the chosen session; a
// token in it is removed immediately.
/** @import { AnyEvent, Session } from 'polytree' */
import { Actions } from './session/actions.js'
import { Asks } from './asks.js'
import * as dialogs from './dialogs.js'
import { atNextFrame, byId, fill, h, say } from './dom.js'
import * as exports from './session/exports.js'
import { Follower, SESSIONS } from './follow.js'
import { compact, messageOf, money } from './format.js'
import { opensMenu } from './menu.js'
import { Model } from './model.js'
import { Prompt } from './prompt.js'
import { Queue } from './session/queue.js'
import { RpcError } from './connection.js'
import { SessionList } from './sessions.js'
import { summarise } from './session/compaction.js'
import { drawTodos } from './session/todos.js'
import { Transcript } from './transcript.js'

// One origin may have several daemons below different paths.
const TOKEN = `polytree.token ${new URL('./', location.href).pathname}`
const LETTERS = 'polytree.letters'

const model = new Model()
const follower = new Follower(model)
const transcript = new Transcript(model, {
  readOlder: () => attempt(() => follower.older()),
  sendAgain: (entry) => prompt.sendAgain(entry),
  menu: (entry) => actions.menuOf(entry),
  told: (undone) => actions.drawUndone(undone),
})
const list = new SessionList(model, {
  search: (text) => attempt(() => readSessions(text ? { search: text } : null)),
  more: () => attempt(() => readSessions({ before: oldest() })),
})
const asks = new Asks(model, async (permission, response, message) => {
  const { sessionID, id: permissionID } = permission
  try {
    await follower.call('permission.reply', { sessionID, permissionID, response, message })
  } catch (error) {
    // Another client was faster, or the turn has ended: the event removes the question.
    if (!(error instanceof RpcError) || !['conflict', 'not_found'].includes(error.kind)) throw error
    model.permissions.delete(permissionID)
    asks.draw()
  }
})
const prompt = new Prompt(model, follower, problem, () => transcript.toEnd())
const actions = new Actions(model, follower, prompt, { announce, tell: problem, attempt })
const queue = new Queue(model, follower, {
  steer: (parts) => prompt.submit(parts, true),
  submit: (parts) => prompt.submit(parts, false),
  tell: problem,
  announce,
})

/** @type {string | null} */
let chosen = null
let wasLive = false

model.onLists = () => {
  list.draw()
  asks.draw()
  prompt.drawChoices()
  prompt.draw()
  queue.draw()
  transcript.draw()
  seekUndone()
  drawSession()
}
model.onAsks = () => asks.draw()
model.onHistory = () => {
  transcript.draw()
  queue.draw()
  seekUndone()
}
model.onTodos = () => drawTodos(model)
model.onNews = news
follower.onState = drawLink

// ---- what is shown

/** @param {string} text */
function announce(text) {
  say(byId('news'), text)
}

/** @param {string} text */
function problem(text) {
  const element = byId('problem')
  element.hidden = text === ''
  fill(element, text, h('button', { type: 'button', class: 'plain-button', 'aria-label': 'Dismiss', onclick: () => problem('') }, '×'))
}

/** @param {() => Promise<unknown>} act */
async function attempt(act) {
  try {
    await act()
  } catch (error) {
    if (error instanceof RpcError && error.kind === 'disconnected') return
    problem(messageOf(error))
  }
}

function drawLink() {
  const { state } = follower
  const words = { connecting: 'connecting…', live: 'connected', lost: 'no connection, trying again…', refused: 'not allowed' }
  byId('link').dataset.state = state
  say(byId('link-word'), words[state])
  byId('retry').hidden = state !== 'lost'
  byId('gate').hidden = state !== 'refused'
  byId('columns').hidden = state === 'refused'
  if (state === 'refused') askForToken(follower.refusal)
  if (state === 'live') {
    announce(wasLive ? 'Connected again' : 'Connected')
    wasLive = true
    void prompt.offer()
    if (chosen && !model.sessions.has(chosen)) void attempt(() => readSession(chosen))
  } else if (state === 'lost' && wasLive) announce('The connection was lost')
  prompt.draw()
  drawSession()
}

function drawSession() {
  atNextFrame(drawSession, () => {
    const session = chosen ? model.sessions.get(chosen) : undefined
    byId('session').hidden = byId('prompt-form').hidden = !chosen
    byId('empty').hidden = chosen !== null
    document.body.dataset.view = chosen ? 'session' : 'list'
    if (!chosen) return
    say(byId('title'), session?.title ?? 'Session')
    say(byId('place'), session ? placeOf(session) : '')
    const status = model.status(chosen).type
    byId('stop').hidden = status === 'idle'
    const project = session && model.projects.get(session.projectID)
    byId('trust').hidden = !project?.pending?.length
  })
}

/** @param {Session} session */
function placeOf(session) {
  const used = session.tokens.input + session.tokens.output + session.tokens.reasoning
  const facts = [session.directory, session.agent, session.model ? `${session.model.providerID}/${session.model.modelID}` : '', used ? `${compact(used)} tokens` : '', money(session.cost)]
  return facts.filter(Boolean).join(' · ')
}

/** Announces events to screen readers. @param {AnyEvent} event */
function news(event) {
  if (event.type === 'permission.asked') announce(`Question: ${event.properties.title}`)
  else if (event.sessionID !== chosen) return
  else if (event.type === 'session.error') announce(`Failed: ${event.properties.error.data.message}`)
  else if (event.type === 'session.idle') {
    const last = model.history?.entries.at(-1)?.parts.findLast((part) => part.type === 'text')
    announce(last?.type === 'text' ? `Answer: ${last.text.slice(0, 500)}` : 'The turn has ended')
  }
}

// ---- sessions

/** @param {{ search?: string, before?: string } | null} params */
async function readSessions(params) {
  if (!params) return
  const sessions = await follower.call('session.list', { scope: 'all', limit: SESSIONS, ...params })
  if (params.before) model.moreSessions = sessions.length === SESSIONS
  model.addSessions(sessions)
}

/** The last loaded session in the daemon's order. */
function oldest() {
  const all = [...model.sessions.values()].sort((a, b) => a.time.updated - b.time.updated || (a.id < b.id ? -1 : 1))
  return all[0]?.id
}

/** @param {string | null} sessionID */
async function readSession(sessionID) {
  if (!sessionID) return
  model.addSessions([await follower.call('session.get', { sessionID })])
  void prompt.offer()
  await readProject(sessionID)
}

/** Which files wait for trust depends on the session's directory, and files change by themselves. @param {string} sessionID */
async function readProject(sessionID) {
  const session = model.sessions.get(sessionID)
  if (!session || session.missing) return
  const project = await follower.call('project.current', { directory: session.directory })
  model.projects.set(project.id, project)
  model.onLists()
}

/** @param {string | null} sessionID */
function choose(sessionID) {
  if (sessionID === chosen) return
  chosen = list.chosen = asks.chosen = sessionID
  problem('')
  model.choose(sessionID)
  prompt.choose(sessionID)
  queue.choose(sessionID)
  drawUndoneButton()
  if (sessionID && follower.state === 'live') {
    void attempt(() => follower.reload())
    if (!model.sessions.has(sessionID)) void attempt(() => readSession(sessionID))
    else void attempt(() => readProject(sessionID))
  }
  list.draw()
  asks.draw()
  drawSession()
}

let seeking = false

/** Reads the messages up to the first one that is undone, and some that are not. */
function seekUndone() {
  const { history } = model
  const revert = model.sessions.get(history?.sessionID ?? '')?.revert
  if (seeking || !revert || !history?.loaded || !history.more || follower.state !== 'live') return
  const first = history.entries[0]
  if (history.get(revert.messageID) && first?.info.id !== revert.messageID) return
  seeking = true
  const read = attempt(() => follower.older(500))
  void read.finally(() => {
    seeking = false
    // Without an answer this would never end.
    if (history.entries[0] !== first) seekUndone()
  })
}

function drawUndoneButton() {
  byId('undone-show').setAttribute('aria-pressed', String(transcript.showsUndone))
}

function startSession() {
  const directory = model.sessions.get(chosen ?? '')?.directory ?? (follower.directory || [...model.projects.values()][0]?.worktree)
  dialogs.newSession(model, follower, directory ?? '', ({ id }) => {
    location.hash = `session=${id}`
    setTimeout(() => prompt.focus())
  })
}

function stop() {
  const sessionID = chosen
  if (sessionID) void attempt(() => follower.call('session.abort', { sessionID }))
}

/** @param {(session: Session) => void} act */
const withSession = (act) => () => {
  const session = model.sessions.get(chosen ?? '')
  if (session) act(session)
}

const archive = withSession((session) => attempt(() => follower.call('session.update', { sessionID: session.id, archived: !session.time.archived })))

const showProject = withSession((session) => dialogs.project(model, follower, session))
fill(byId('trust'), 'This project has settings of its own that are not used before you trust them. ', h('button', { type: 'button', class: 'small', onclick: showProject }, 'Look'))
opensMenu(/** @type {HTMLButtonElement} */ (byId('menu')), () => [
  { label: 'Changed files', act: () => actions.changes() },
  { label: 'Undo the last prompt…', act: () => actions.revertLast() },
  { label: 'Fork', act: () => actions.fork() },
  { label: 'Summarise…', act: withSession((session) => attempt(() => summarise(follower, session, announce))) },
  { label: 'Export…', act: withSession((session) => exports.save(follower, session)) },
  { label: 'Rename', act: withSession((session) => dialogs.rename(follower, session)) },
  { label: 'Project, trust, grants', act: showProject },
  { label: actions.session?.time.archived ? 'Take out of the archive' : 'Archive', act: archive },
  { label: 'Delete', kind: 'danger', act: withSession((session) => dialogs.remove(follower, session)) },
])

// ---- keys

/** @type {Record<string, [string, () => void]>} */
const KEYS = {
  '?': ['shows these keys', showKeys],
  '/': ['searches sessions', () => byId('search').focus()],
  n: ['starts a session', startSession],
  i: ['writes a prompt', () => prompt.focus()],
  j: ['goes to the next session', () => list.step(1)],
  k: ['goes to the session before', () => list.step(-1)],
  q: ['goes to the first question of this session', () => asks.focus()],
  s: ['stops the turn', stop],
  w: ['goes to the prompts that wait', () => queue.focus()],
  c: ['shows the changed files', () => actions.changes()],
  u: ['undoes the last prompt, after a look at the files', () => actions.revertLast()],
  e: ['goes to the end of the conversation', () => transcript.toEnd()],
  d: ['tells about the daemon and who is connected', () => dialogs.daemon(follower)],
}

function showKeys() {
  /** @type {[string, string][]} */
  const all = Object.entries(KEYS).map(([key, [what]]) => [key, what])
  all.push(['↑ ↓', 'in the list: moves; Enter opens'], ['Enter', 'in the prompt: sends, or queues while a turn runs; Shift+Enter begins a line'], ['Ctrl+Enter', 'in the prompt: steers the running turn'], ['Alt+↑ Alt+↓', 'on a prompt that waits: moves it'], ['↑', 'in the empty prompt: the last one again'], ['Esc', 'leaves the prompt, closes a dialog'])
  dialogs.keys(all, localStorage.getItem(LETTERS) !== 'off', (on) => localStorage.setItem(LETTERS, on ? 'on' : 'off'))
}

document.addEventListener('keydown', (event) => {
  const target = /** @type {HTMLElement} */ (event.target)
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
  if (target.closest('input, textarea, select, dialog, #gate')) return
  if (event.key !== '?' && localStorage.getItem(LETTERS) === 'off') return
  const found = KEYS[event.key]
  if (!found) return
  event.preventDefault()
  found[1]()
})

// ---- beginning

/** @param {string} text */
function askForToken(text) {
  sessionStorage.removeItem(TOKEN)
  say(byId('gate-text'), text)
  byId('gate').hidden = false
  byId('columns').hidden = true
  byId('token').focus()
}

/** Reads token and session from the address, and removes the token. */
function readAddress() {
  const fragment = new URLSearchParams(location.hash.slice(1))
  const token = fragment.get('token')
  const sessionID = fragment.get('session')
  if (token !== null) {
    sessionStorage.setItem(TOKEN, token)
    history.replaceState(null, '', sessionID ? `#session=${encodeURIComponent(sessionID)}` : location.pathname + location.search)
    connect()
  }
  choose(sessionID)
}

function connect() {
  const token = sessionStorage.getItem(TOKEN)
  if (!token) {
    byId('link').dataset.state = 'refused'
    say(byId('link-word'), 'no token')
    askForToken('This daemon wants to know that you may talk to it.')
    return
  }
  byId('gate').hidden = true
  byId('columns').hidden = false
  follower.start(token)
}

byId('gate-form').addEventListener('submit', (event) => {
  event.preventDefault()
  const input = /** @type {HTMLInputElement} */ (byId('token'))
  sessionStorage.setItem(TOKEN, input.value.trim())
  input.value = ''
  connect()
})
byId('new').addEventListener('click', startSession)
byId('stop').addEventListener('click', stop)
byId('changes').addEventListener('click', () => actions.changes())
byId('undone-show').addEventListener('click', () => {
  transcript.showsUndone = !transcript.showsUndone
  drawUndoneButton()
  transcript.draw()
})
byId('help').addEventListener('click', showKeys)
byId('link').addEventListener('click', () => dialogs.daemon(follower))
byId('retry').addEventListener('click', () => follower.hurry())
byId('back').addEventListener('click', () => (location.hash = ''))
byId('skip').addEventListener('click', (event) => {
  event.preventDefault()
  if (chosen) prompt.focus()
  else byId('search').focus()
})
addEventListener('online', () => follower.hurry())
document.addEventListener('visibilitychange', () => !document.hidden && follower.hurry())
addEventListener('hashchange', readAddress)

prompt.resume()
const given = new URLSearchParams(location.hash.slice(1)).has('token')
readAddress()
if (!given) connect()
