// One part of a message as an element that can be drawn again: text, thinking, a tool call, a file.
/** @import { Part, ToolPart, MessageError } from 'polytree' */
/** @import { Entry } from './history.js' */
import { diffView } from './session/diff.js'
import { fill, h, say } from './dom.js'
import { counted, duration } from './format.js'
import { drawMarkdown } from './markdown.js'
import { exactLine } from './visible.js'

/** @typedef {{ element: HTMLElement, draw: (part: any, entry: Entry) => void }} PartView */

// Longer texts are truncated until the user expands them.
const SHOWN = 20_000

/**
 * The view of a part; null for parts that are not shown.
 * @param {Part} part
 * @param {Entry} entry
 * @returns {PartView | null}
 */
export function partView(part, entry) {
  switch (part.type) {
    case 'text':
      if (part.synthetic) return attachedText()
      return entry.info.role === 'user' ? plainText() : markdownText()
    case 'reasoning':
      return reasoning()
    case 'tool':
      return toolCall()
    case 'file':
      return fixed(file(part.mime, part.url, part.filename ?? part.url))
    case 'agent':
      return fixed(h('p', { class: 'chip' }, `@${part.name}`))
    case 'subtask':
      return fixed(h('p', { class: 'quiet' }, `Asked the agent ${part.agent}: ${part.description}`))
    case 'patch':
      return patch()
    case 'retry':
      return fixed(h('p', { class: 'warning' }, `Attempt ${part.attempt} failed: ${part.error.data.message}. It was tried again.`))
    case 'compaction':
      return fixed(h('p', { class: 'divider' }, 'What came before was summarised'))
    default:
      return null
  }
}

/** The files of all calls of a message, at the first of them. @returns {PartView} */
function patch() {
  const element = h('details', { class: 'fold' })
  const list = (/** @type {string[]} */ paths) => h('ul', {}, ...paths.map((path) => h('li', { class: 'path' }, exactLine(path))))
  let shown = ''
  return {
    element,
    draw(part, entry) {
      const all = entry.parts.filter(({ type }) => type === 'patch')
      element.hidden = all[0]?.id !== part.id
      const files = pathsOf(all, 'files')
      const uncovered = pathsOf(all, 'uncovered')
      const now = JSON.stringify([files, uncovered])
      if (now === shown) return
      shown = now
      const title = [files.length ? `Changed ${counted(files.length, 'file')}` : '', uncovered.length ? `${counted(uncovered.length, 'path')} that cannot be undone` : ''].filter(Boolean).join(', ')
      const more = uncovered.length ? [h('p', { class: 'warning' }, 'These may have changed too, and no copy of them was kept:'), list(uncovered)] : []
      fill(element, h('summary', {}, title), files.length ? list(files) : null, ...more)
    },
  }
}

/** @param {Part[]} parts @param {'files' | 'uncovered'} name */
const pathsOf = (parts, name) => [...new Set(parts.flatMap((part) => (part.type === 'patch' ? (part[name] ?? []) : [])))]

/** @param {HTMLElement} element @returns {PartView} */
const fixed = (element) => ({ element, draw: () => {} })

/** @returns {PartView} */
function plainText() {
  const element = h('div', { class: 'plain' })
  return { element, draw: (part) => say(element, part.text) }
}

/** @returns {PartView} */
function markdownText() {
  const element = h('div', { class: 'markdown' })
  return { element, draw: (part) => drawMarkdown(element, part.text) }
}

/** @returns {PartView} */
function attachedText() {
  const body = h('pre', { tabIndex: 0 })
  const element = h('details', { class: 'fold' }, h('summary', {}, 'Read for the model'), body)
  return { element, draw: (part) => drawLong(body, part.text) }
}

/** @returns {PartView} */
function reasoning() {
  const title = h('summary')
  const body = h('div', { class: 'plain quiet' })
  const element = h('details', { class: 'fold' }, title, body)
  return {
    element,
    draw(part) {
      say(title, part.time.end ? `Thought for ${duration(part.time.end - part.time.start)}` : 'Thinking…')
      say(body, part.text)
    },
  }
}

/**
 * @param {string} mime
 * @param {string} url
 * @param {string} name
 */
function file(mime, url, name) {
  if (mime.startsWith('image/') && url.startsWith(`data:${mime}`)) {
    return h('figure', {}, h('img', { src: url, alt: name }), h('figcaption', { class: 'quiet' }, name))
  }
  return h('p', { class: 'chip' }, name.startsWith('data:') ? mime : name)
}

const STATES = {
  pending: { mark: '○', word: 'waiting to run' },
  running: { mark: '◐', word: 'running' },
  completed: { mark: '✓', word: 'done' },
  error: { mark: '✕', word: 'failed' },
}

/** @returns {PartView} */
function toolCall() {
  const mark = h('span', { class: 'mark', 'aria-hidden': 'true' })
  const word = h('span', { class: 'unseen' })
  const name = h('span', { class: 'tool-name' })
  const title = h('span', { class: 'tool-title' })
  const problem = h('span', { class: 'tool-problem' })
  const time = h('span', { class: 'quiet' })
  const body = h('div', { class: 'tool-body' })
  const element = h('details', { class: 'fold tool' }, h('summary', {}, mark, word, name, title, problem, time), body)
  /** @type {(() => void) | null} */
  let drawBody = null
  element.addEventListener('toggle', () => element.open && drawBody?.())
  return {
    element,
    draw(/** @type {ToolPart} */ part, entry) {
      const { state } = part
      const wrong = problemOf(state)
      const shown = STATES[wrong ? 'error' : state.status]
      element.dataset.status = state.status
      element.classList.toggle('failed', wrong !== '')
      say(mark, shown.mark)
      say(word, `${shown.word}: `)
      say(problem, wrong)
      say(name, part.tool)
      say(title, titleOf(part))
      say(time, 'time' in state && state.time.end ? duration(state.time.end - state.time.start) : '')
      // Folded content is created when it is opened, to keep long sessions small.
      drawBody = () => drawTool(body, part, entry.output.get(part.id) ?? '')
      if (element.open) drawBody()
    },
  }
}

/** Why a call has failed, in a few words; empty when it has not. @param {ToolPart['state']} state */
export function problemOf(state) {
  if (state.status === 'error') return state.error.trimStart().split('\n', 1)[0]?.slice(0, 300) || 'failed'
  const { exit } = metadataOf(state)
  return state.status === 'completed' && typeof exit === 'number' && exit !== 0 ? `exit code ${exit}` : ''
}

/** @param {ToolPart['state']} state */
function metadataOf(state) {
  return /** @type {Record<string, unknown>} */ ('metadata' in state && state.metadata ? state.metadata : {})
}

/** @param {ToolPart} part */
function titleOf({ tool, subject, state }) {
  if ('title' in state && state.title) return state.title
  if (typeof subject === 'string') return subject
  const input = /** @type {Record<string, unknown>} */ (state.input ?? {})
  const telling = input.description ?? input.command ?? input.filePath ?? input.path ?? input.pattern ?? input.url
  return typeof telling === 'string' && telling !== tool ? telling : ''
}

/**
 * @param {HTMLElement} body
 * @param {ToolPart} part
 * @param {string} streamed output so far
 */
function drawTool(body, { state }, streamed) {
  const metadata = metadataOf(state)
  const input = Object.entries(/** @type {Record<string, unknown>} */ (state.input ?? {}))
  /** @type {(HTMLElement | null)[]} */
  const sections = []
  const diff = typeof metadata.diff === 'string' ? metadata.diff : ''
  if (input.length) sections.push(h('dl', { class: 'input' }, ...input.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, valueOf(value))])))
  if (diff) sections.push(diffView(diff))
  const { preview } = metadata
  if (state.status === 'completed' && typeof preview === 'string') sections.push(long(preview, 'output'), forModel(state.output))
  else if (state.status === 'completed') sections.push(state.output && !diff ? long(state.output, 'output') : null)
  else if (state.status === 'error') sections.push(long(state.error, 'output error'))
  else sections.push(long(streamed || (typeof metadata.output === 'string' ? metadata.output : ''), 'output'))
  if (state.status === 'completed') for (const { mime, url, filename } of state.attachments ?? []) sections.push(file(mime, url, filename ?? mime))
  fill(body, ...sections)
}

/** What was written for the model, made when it is opened. @param {string} text */
function forModel(text) {
  const body = h('pre', { tabIndex: 0 })
  const element = h('details', { class: 'fold' }, h('summary', {}, 'As the model reads it'), body)
  element.addEventListener('toggle', () => element.open && drawLong(body, text))
  return element
}

/** @param {unknown} value */
function valueOf(value) {
  return typeof value === 'string' ? long(value, 'value') : h('code', {}, JSON.stringify(value))
}

/** @param {string} text @param {string} kind */
function long(text, kind) {
  if (!text) return null
  const element = h('pre', { class: kind, tabIndex: 0 })
  drawLong(element, text)
  return element
}

/** @param {HTMLElement} element @param {string} text */
function drawLong(element, text) {
  if (text.length <= SHOWN) {
    say(element, text)
    return
  }
  const rest = h('button', { type: 'button', class: 'small', onclick: () => say(element, text) }, `Show all ${text.length.toLocaleString()} characters`)
  fill(element, text.slice(0, SHOWN), '\n', rest)
}

/** @param {MessageError} error */
export function failure({ name, data }) {
  const calm = name === 'MessageAbortedError' || name === 'MessageInterruptedError'
  const text = name === 'MessageAbortedError' ? 'Stopped.' : data.message
  return h('p', { class: calm ? 'quiet' : 'error' }, text, data.hint ? h('span', { class: 'hint' }, data.hint) : null)
}
