// The files that a session, or one prompt with its answers, has changed, with their diffs.
/** @import { FileDiff, Session } from 'polytree' */
/** @import { Follower } from '../follow.js' */
import { diffView } from './diff.js'
import { fill, h, say } from '../dom.js'
import { counted, messageOf, relative } from '../format.js'
import { open } from '../modal.js'
import { exactLine } from '../visible.js'

const WORDS = { added: 'new', deleted: 'deleted', modified: '', renamed: 'renamed' }
// So many lines are shown without being asked for.
const OPENED = 400
// The changes of so many prompts are read at once.
const MOST = 50

/**
 * @param {Follower} follower
 * @param {Session} session
 * @param {string} [messageID] only the changes of this prompt
 */
export function changes(follower, session, messageID) {
  const body = h('div', { class: 'changes' }, h('p', { class: 'quiet', role: 'status' }, 'Reading…'))
  open(messageID ? 'Changes of this prompt' : 'Changed files', [body], undefined, 'large')
  follower.callUntilAnswered('session.diff', { sessionID: session.id, messageID }).then(
    (diffs) => fill(body, ...view(diffs, session.directory)),
    (error) => fill(body, h('p', { class: 'error', role: 'alert' }, messageOf(error))),
  )
}

/**
 * What each of these prompts has changed, read when it is opened.
 * @param {Follower} follower
 * @param {Session} session
 * @param {{ messageID: string, text: string }[]} prompts
 */
export function folded(follower, session, prompts) {
  const body = h('div', { class: 'changes' })
  const element = h('details', { class: 'fold' }, h('summary', {}, 'Show what they have changed'), body)
  const read = async () => {
    fill(body, h('p', { class: 'quiet', role: 'status' }, 'Reading…'))
    /** @type {HTMLElement[]} */
    const sections = []
    for (const { messageID, text } of prompts.slice(-MOST)) {
      const diffs = await follower.callUntilAnswered('session.diff', { sessionID: session.id, messageID })
      if (diffs.length) sections.push(h('h3', { class: 'excerpt' }, exactLine(text.slice(0, 80))), ...view(diffs, session.directory))
    }
    const left = prompts.length - MOST
    fill(body, left > 0 ? h('p', { class: 'quiet' }, `Of the last ${MOST} prompts; ${left} more are undone.`) : null, ...(sections.length ? sections : [h('p', { class: 'quiet' }, 'No file.')]))
  }
  element.addEventListener('toggle', () => {
    if (element.open && !body.childElementCount) read().catch((error) => fill(body, h('p', { class: 'error', role: 'alert' }, messageOf(error))))
  })
  return element
}

/** @param {FileDiff[]} diffs @param {string} directory */
function view(diffs, directory) {
  if (diffs.length === 0) return [h('p', { class: 'quiet' }, 'No file is changed.')]
  const added = diffs.reduce((sum, diff) => sum + diff.added, 0)
  const removed = diffs.reduce((sum, diff) => sum + diff.removed, 0)
  let shown = 0
  const files = diffs.map((diff) => {
    shown += diff.added + diff.removed
    return file(diff, directory, shown <= OPENED)
  })
  const all = h('button', { type: 'button', class: 'small' })
  const name = () => say(all, files.every(({ open: isOpen }) => isOpen) ? 'Fold all' : 'Unfold all')
  all.addEventListener('click', () => {
    const unfold = files.some(({ open: isOpen }) => !isOpen)
    for (const element of files) element.open = unfold
    name()
  })
  for (const element of files) element.addEventListener('toggle', name)
  name()
  return [h('p', { class: 'changes-head' }, h('span', {}, `${counted(diffs.length, 'file')} `, counts(added, removed)), files.length > 1 ? all : null), ...files]
}

/** @param {number} added @param {number} removed */
const counts = (added, removed) => h('span', { class: 'counts' }, h('span', { class: 'added' }, `+${added}`, h('span', { class: 'unseen' }, ' lines added,')), ' ', h('span', { class: 'removed' }, `−${removed}`, h('span', { class: 'unseen' }, ' lines removed')))

/** @param {FileDiff} diff @param {string} directory @param {boolean} isOpen */
function file({ path, patch, added, removed, status }, directory, isOpen) {
  const summary = h('summary', {}, h('span', { class: 'path' }, exactLine(relative(path, directory))), WORDS[status] ? h('span', { class: 'quiet' }, WORDS[status]) : null, patch ? counts(added, removed) : null)
  const element = h('details', { class: 'file', open: isOpen }, summary)
  const fillIt = () => {
    if (!element.open || element.childElementCount > 1) return
    element.append(patch ? diffView(withoutHead(patch)) : h('p', { class: 'quiet' }, 'There is nothing to show: it is not text, too large, or no copy of it is kept any more.'))
  }
  element.addEventListener('toggle', fillIt)
  fillIt()
  return element
}

/** Without the two lines that name the file. @param {string} patch */
const withoutHead = (patch) => patch.replace(/^--- [^\n]*\n\+\+\+ [^\n]*\n/, '')
