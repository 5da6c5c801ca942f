// Undo: a dialog that says for each file what would happen, before anything does, and a line that says what is undone.
/** @import { RevertAction, RevertedFile, Session, SessionRevert } from 'polytree' */
/** @import { Follower } from '../follow.js' */
/** @import { Model } from '../model.js' */
/** @import { Child } from '../dom.js' */
import { RpcError } from '../connection.js'
import { folded } from './changes.js'
import { fill, h, say } from '../dom.js'
import { counted, messageOf, relative } from '../format.js'
import { open } from '../modal.js'
import { exactLine } from '../visible.js'

/** What is told of each kind of outcome, what needs attention first. @type {[RevertAction | 'uncovered', string][]} */
const KINDS = [
  ['conflict', 'In conflict, left as they are'],
  ['uncovered', 'Not covered, left as they are'],
  ['merge', 'Merged with what others changed'],
  ['delete', 'Deleted'],
  ['create', 'Created again'],
  ['restore', 'Given back their content'],
  ['skip', 'Nothing to do'],
]

/** @param {RevertedFile[]} files */
const inConflict = (files) => files.filter(({ action }) => action === 'conflict').length
/** @param {RevertedFile[]} files */
const written = (files) => files.filter(({ action }) => action !== 'conflict' && action !== 'skip').length

/**
 * What happens, or has happened, to each file.
 * @param {Pick<SessionRevert, 'files' | 'uncovered'>} revert
 * @param {string} directory
 */
export function plan({ files = [], uncovered = [] }, directory) {
  const rows = [...files, ...uncovered.map((path) => ({ path, action: /** @type {const} */ ('uncovered'), reason: 'no copy of it was kept' }))]
  const sections = KINDS.map(([kind, title]) => {
    const own = rows.filter(({ action }) => action === kind)
    if (own.length === 0) return null
    const items = own.map(({ path, reason }) => h('li', {}, h('span', { class: 'path' }, exactLine(relative(path, directory))), reason ? h('span', { class: 'quiet' }, ` ${exactLine(reason)}`) : null))
    return h('section', { 'data-kind': kind }, h('h3', {}, title, ' ', h('span', { class: 'count' }, own.length)), h('ul', { class: 'files' }, ...items))
  })
  return h('div', { class: 'plan', tabIndex: 0, role: 'group', 'aria-label': 'Files' }, ...(rows.length ? sections : [h('p', { class: 'quiet' }, 'No file is affected.')]))
}

/**
 * @typedef {object} Undo
 * @property {string} title
 * @property {Child[]} about
 * @property {HTMLElement} [more] below the files
 * @property {string} label of the button that does it
 * @property {Session} session
 * @property {(how: { preview?: boolean, partial?: boolean }) => Promise<Session>} call
 * @property {(session: Session) => boolean} isDone whether the session is as it is wanted
 * @property {(session: Session) => void} done
 */

/**
 * Shows what would happen, and does it when it is wanted.
 * @param {Model} model
 * @param {Follower} follower
 * @param {Undo} undo
 */
async function ask(model, follower, { title, about, more, label, session, call, isDone, done }) {
  const { id: sessionID, directory } = session
  const body = h('div', { class: 'undo' })
  let partial = false
  const { dialog, act, problem } = open(
    title,
    [...about, body],
    {
      label,
      act: async () => {
        try {
          finish(await call({ partial }))
        } catch (error) {
          if (!(error instanceof RpcError)) throw error
          if (error.kind === 'conflict' && error.files) {
            // Somebody has changed a file since the preview.
            await look()
            throw new RpcError('A file was changed meanwhile. Nothing was done yet: this is what would happen now.', error.kind)
          }
          if (error.kind !== 'invalid_state') throw error
          // The first try may have arrived although its answer was lost.
          const now = await follower.callUntilAnswered('session.get', { sessionID })
          if (!isDone(now)) throw error
          finish(now)
        }
      },
    },
    'large',
  )
  const finish = (/** @type {Session} */ now) => {
    model.addSessions([now])
    dialog.close()
    done(now)
  }
  const enable = (/** @type {boolean} */ can) => act && (act.hidden = !can)
  const look = async () => {
    enable(false)
    fill(body, h('p', { class: 'quiet', role: 'status' }, 'Looking at the files…'))
    try {
      const { revert } = await call({ preview: true })
      show(revert ?? { messageID: '', files: [], uncovered: [] })
      enable(true)
    } catch (error) {
      fill(body, ...refusal(error))
    }
  }
  const show = (/** @type {SessionRevert} */ revert) => {
    const files = revert.files ?? []
    const conflicts = inConflict(files)
    partial = conflicts > 0
    const rest = written(files)
    if (act) say(act, !partial ? label : rest ? `${label}: the other ${counted(rest, 'file')}` : `${label}: only the messages`)
    const warning = partial
      ? h('p', { class: 'warning' }, `${conflicts === 1 ? 'One file was' : `${conflicts} files were`} changed by somebody else afterwards, and that cannot be merged. You can cancel, or leave ${conflicts === 1 ? 'it' : 'them'} as ${conflicts === 1 ? 'it is' : 'they are'} and do the rest.`)
      : null
    fill(body, warning, plan(revert, directory), written(files) || partial ? (more ?? null) : null)
  }
  const refusal = (/** @type {unknown} */ error) => {
    if (!(error instanceof RpcError) || error.kind !== 'busy') return [h('p', { class: 'error', role: 'alert' }, messageOf(error))]
    const stop = async () => {
      try {
        await follower.callUntilAnswered('session.abort', { sessionID })
        await look()
      } catch (failure) {
        problem.hidden = false
        say(problem, messageOf(failure))
      }
    }
    const isAtWork = model.status(sessionID).type !== 'idle'
    return [
      h('p', {}, isAtWork ? 'The session is at work. Its turn has to end first.' : 'Prompts wait in this session. They have to be answered or removed first.'),
      h('p', {}, h('button', { type: 'button', onclick: stop }, isAtWork ? 'Stop the turn, and look again' : 'Cancel these prompts, and look again')),
    ]
  }
  await look()
}

/**
 * @param {Model} model
 * @param {Follower} follower
 * @param {{ session: Session, prompts: { messageID: string, text: string }[], done: (session: Session) => void }} what the prompts from the first one that is undone on
 */
export function revert(model, follower, { session, prompts, done }) {
  const { id: sessionID } = session
  const [{ messageID, text } = { messageID: '', text: '' }] = prompts
  return ask(model, follower, {
    title: 'Revert to here?',
    about: [h('blockquote', { class: 'excerpt' }, exactLine(text.slice(0, 300))), h('p', {}, `This prompt and everything after it is undone (${counted(prompts.length, 'prompt')}), with the changes that were made to files. It can be taken back until the next prompt.`)],
    more: folded(follower, session, prompts),
    label: 'Revert',
    session,
    call: (how) => follower.callUntilAnswered('session.revert', { sessionID, messageID, ...how }),
    isDone: (now) => now.revert?.messageID === messageID && !now.revert.partID,
    done,
  })
}

/** @param {Model} model @param {Follower} follower @param {Session} session @param {(session: Session) => void} done */
export function unrevert(model, follower, session, done) {
  const { id: sessionID } = session
  return ask(model, follower, {
    title: 'Take the undo back?',
    about: [h('p', {}, 'The undone messages are part of the conversation again, and the files get back what the session had made of them.')],
    label: 'Take it back',
    session,
    call: (how) => follower.callUntilAnswered('session.unrevert', { sessionID, ...how }),
    isDone: (now) => !now.revert,
    done,
  })
}

/** What an undo has done to files. @param {Session} session */
export function outcome(session) {
  if (session.revert) open('Files of the undo', [plan(session.revert, session.directory)], undefined, 'large')
}

/** What is undone, in a few words. @param {SessionRevert} revert @param {number} count the undone prompts @param {boolean} isAll whether these are all */
export function summary({ partID, files = [], uncovered = [] }, count, isAll) {
  const prompts = count === 1 ? '1 prompt with its answer' : `${count}${isAll ? '' : ' or more'} prompts with their answers`
  const what = [partID ? 'A part of an answer' : '', count ? prompts : ''].filter(Boolean).join(' and ')
  const left = inConflict(files) + uncovered.length
  return [`${what || 'Messages'} undone`, written(files) ? `${counted(written(files), 'file')} changed back` : '', left ? `${counted(left, 'file')} left as ${left === 1 ? 'it is' : 'they are'}` : ''].filter(Boolean).join(', ') + '.'
}
