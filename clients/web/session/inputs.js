// What a stored prompt was made of, to send it again. No elements, no network.
/** @import { Part, PartInput } from 'polytree' */

/** The parts as they were sent: without what the daemon has added. @param {Part[]} stored @returns {PartInput[]} */
export function inputsOf(stored) {
  /** @type {PartInput[]} */
  const parts = []
  for (const part of stored) {
    if (part.type === 'text' && !part.synthetic) parts.push({ type: 'text', text: part.text })
    else if (part.type === 'file') parts.push({ type: 'file', mime: part.mime, url: part.url, filename: part.filename })
    else if (part.type === 'agent') parts.push({ type: 'agent', name: part.name })
  }
  return parts
}

/** What was typed. @param {Part[]} stored */
export function textOf(stored) {
  return stored.flatMap((part) => (part.type === 'text' && !part.synthetic ? [part.text] : [])).join('\n\n')
}
