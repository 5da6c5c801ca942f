// The prompts that wait for the running turn to end.
import type { FromPage, Waiting } from './messages'
import { element } from './parts'

/** The list of waiting prompts; `send` tells the extension what a person wants of one. */
export function queueElement(queue: Waiting[], send: (message: FromPage) => void): HTMLElement[] {
  if (queue.length === 0) return []
  const items = queue.map(({ messageID, text }, index) => {
    const button = (label: string, name: string, run: () => void) => {
      const made = element('button', { type: 'button', class: name, title: label, 'aria-label': `${label}: ${text.slice(0, 60)}` }, { edit: '✎', up: '↑', down: '↓', remove: '×' }[name] ?? name)
      made.addEventListener('click', run)
      return made
    }
    const move = (before: string | undefined) => send({ type: 'move', messageID, ...(before ? { before } : {}) })
    const buttons = [button('Edit', 'edit', () => send({ type: 'edit', messageID }))]
    if (index > 0) buttons.push(button('Move up', 'up', () => move(queue[index - 1]?.messageID)))
    if (index < queue.length - 1) buttons.push(button('Move down', 'down', () => move(queue[index + 2]?.messageID)))
    buttons.push(button('Remove', 'remove', () => send({ type: 'remove', messageID })))
    return element('li', { 'data-message': messageID }, element('span', { class: 'waiting' }, text), ...buttons)
  })
  return [element('h3', {}, queue.length === 1 ? '1 prompt waits' : `${queue.length} prompts wait`), element('ol', {}, ...items)]
}
