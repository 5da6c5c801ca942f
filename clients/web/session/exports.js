// A conversation as a file.
/** @import { Session } from 'polytree' */
/** @import { Follower } from '../follow.js' */
import { h } from '../dom.js'
import { open } from '../modal.js'

/** @param {Follower} follower @param {Session} session */
export function save(follower, session) {
  const command = `polytree sessions export ${session.id} --format markdown`
  open(
    'Export this conversation',
    [
      h('p', {}, 'The whole conversation as JSON: all messages with their tool calls, and the tasks. ', h('code', {}, 'polytree sessions import'), ' makes a session of it again.'),
      h('p', { class: 'quiet' }, 'The command line writes it as Markdown, or as HTML with ', h('code', {}, '--format html'), ', also where it is too long for this page:'),
      h('pre', { class: 'command', tabIndex: 0 }, command),
    ],
    {
      label: 'Download JSON',
      act: async () => {
        const answer = await follower.callExactly('session.export', { sessionID: session.id })
        download(`${nameOf(session.title) || session.id}.json`, `${answer}\n`)
      },
    },
  )
}

/** A file's name of a title that anybody may have written. @param {string} title */
export function nameOf(title) {
  return title.normalize('NFKC').replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 60).replace(/^-+|-+$/g, '')
}

/** @param {string} name @param {string} text */
function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  h('a', { href: address, download: name }).click()
  // The browser has to have begun to read it.
  setTimeout(() => URL.revokeObjectURL(address), 60_000)
}
