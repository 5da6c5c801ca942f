// How full the context of a session's model is, and a summary on request.
/** @import { Session, SessionContext } from 'polytree' */
/** @import { Follower } from '../follow.js' */
import { h } from '../dom.js'
import { open } from '../modal.js'

/**
 * @param {Follower} follower
 * @param {Session} session
 * @param {(news: string) => void} announce
 */
export async function summarise(follower, { id: sessionID }, announce) {
  const context = await follower.callUntilAnswered('session.context', { sessionID })
  open(
    'Summarise this conversation',
    [
      h('p', { class: 'context' }, use(context)),
      h('p', {}, 'The model writes a summary of the older part, and from then on reads the summary in its place. Nothing is deleted: the page and exports still show everything.'),
      h('p', { class: 'quiet' }, 'Near the limit of the context this happens by itself, unless the settings switch it off.'),
    ],
    {
      label: 'Summarise',
      act: async () => {
        await follower.call('session.compact', { sessionID })
        announce('The conversation was summarised')
      },
    },
  )
}

/** @param {SessionContext} context */
export function use({ used, limit, model: { providerID, modelID } }) {
  const tokens = used.toLocaleString('en')
  if (!used) return 'How much of the context is used is not known yet.'
  if (!limit) return `In use: ${tokens} tokens. The context of ${providerID}/${modelID} is not known.`
  return `In use: ${tokens} of ${limit.toLocaleString('en')} tokens (${Math.round((100 * used) / limit)} %) of ${providerID}/${modelID}.`
}
