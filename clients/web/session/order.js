// The order of a conversation, as the daemon has it, and what of it is undone. No elements, no network.
/** @import { SessionRevert } from 'polytree' */
/** @import { Entry } from '../history.js' */

/**
 * Every prompt with its answers below it, in the order in which the prompts were taken up; those that wait come last. A
 * prompt that is answered with another one stands before it. A prompt that was cancelled stays where it was sent.
 * @param {Entry[]} entries as they were stored
 * @returns {Entry[]}
 */
export function inTurns(entries) {
  /** `begun`: where the conversation stood when the prompt was taken up. @type {{ begun: number, entries: Entry[] }[]} */
  const turns = []
  /** @type {Map<string, { begun: number, entries: Entry[] }>} */
  const prompts = new Map()
  entries.forEach((entry, index) => {
    const { info } = entry
    const turn = info.role === 'assistant' ? prompts.get(info.parentID) : undefined
    if (turn) {
      if (turn.entries.length === 1) turn.begun = index
      turn.entries.push(entry)
      return
    }
    // An answer without its prompt stands where it is.
    const waits = info.role === 'user' && (info.state === 'queued' || info.state === 'running')
    const begun = info.role === 'assistant' ? index : waits ? Infinity : -1
    const made = { begun, entries: [entry] }
    turns.push(made)
    if (info.role === 'user') prompts.set(info.id, made)
  })
  for (const turn of turns) {
    const info = turn.entries[0]?.info
    if (info?.role === 'user' && info.answeredWith) turn.begun = prompts.get(info.answeredWith)?.begun ?? -1
  }
  let last = 0
  for (const turn of turns) {
    if (turn.begun < 0) turn.begun = last
    else if (turn.begun !== Infinity) last = turn.begun
  }
  // Not by subtraction: two infinities have no difference.
  turns.sort((a, b) => (a.begun === b.begun ? 0 : a.begun < b.begun ? -1 : 1))
  return turns.flatMap((turn) => turn.entries)
}

/**
 * What a revert to a message or a part undoes. Of a message whose first parts stay, `parts` are undone.
 * @param {Entry[]} ordered the conversation in its order
 * @param {Pick<SessionRevert, 'messageID' | 'partID'>} from
 * @returns {{ messages: Entry[], parts: Set<string> } | null} null when the message is not among them
 */
export function undoneFrom(ordered, { messageID, partID }) {
  const at = ordered.findIndex(({ info }) => info.id === messageID)
  const first = ordered[at]
  if (!first) return null
  if (!partID) return { messages: ordered.slice(at), parts: new Set() }
  const from = first.parts.findIndex(({ id }) => id === partID)
  if (from < 0) return null
  const calls = new Set(first.parts.slice(0, from).map((part) => (part.type === 'tool' ? part.callID : undefined)))
  // What a call that stays has changed stays too.
  const parts = first.parts.slice(from).filter((part) => part.type !== 'patch' || !part.callID || !calls.has(part.callID))
  return { messages: ordered.slice(at + 1), parts: new Set(parts.map(({ id }) => id)) }
}
