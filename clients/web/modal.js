// The dialog: one at a time, with a title, some content, and the buttons at its end.
/** @import { Child } from './dom.js' */
import { h, say } from './dom.js'
import { messageOf } from './format.js'

/**
 * Opens a dialog. `act` makes it a form; after an error it shows the message and stays open.
 * @param {string} title
 * @param {Child[]} content
 * @param {{ label: string, kind?: string, act: () => Promise<void> }} [action]
 * @param {string} [kind] a class of the dialog
 */
export function open(title, content, action, kind = '') {
  const problem = h('p', { class: 'error', role: 'alert', hidden: true })
  const close = h('button', { type: 'button', onclick: () => dialog.close() }, action ? 'Cancel' : 'Close')
  const act = action ? h('button', { type: 'submit', class: action.kind ?? 'primary' }, action.label) : null
  const form = h('form', {}, h('h2', { id: 'dialog-title' }, title), ...content, problem, h('div', { class: 'dialog-buttons' }, close, act))
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title', class: kind }, form)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    if (!action || !act || act.disabled) return
    act.disabled = true
    problem.hidden = true
    action.act().then(
      () => dialog.close(),
      (error) => {
        act.disabled = false
        problem.hidden = false
        say(problem, messageOf(error))
      },
    )
  })
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
  return { dialog, problem, act }
}
