// The task list of the chosen session: how far it is in one line, and the tasks when it is opened.
/** @import { Todo } from 'polytree' */
import { atNextFrame, byId, fill, h, say } from '../dom.js'
/** @import { Model } from '../model.js' */

const STATES = /** @type {Record<string, [string, string]>} */ ({
  completed: ['✓', 'done'],
  in_progress: ['◐', 'in progress'],
  pending: ['○', 'to do'],
  cancelled: ['✕', 'dropped'],
})

/** @param {Model} model */
export function drawTodos(model) {
  atNextFrame(drawTodos, () => {
    const todos = model.todos
    byId('todos').hidden = todos.length === 0
    const of = todos.filter(({ status }) => status !== 'cancelled')
    const done = of.filter(({ status }) => status === 'completed').length
    const now = todos.find(({ status }) => status === 'in_progress') ?? todos.find(({ status }) => status === 'pending')
    say(byId('todos-head'), `Tasks: ${done} of ${of.length}${now ? ` · ${now.content}` : ' · all done'}`)
    fill(byId('todo-list'), ...todos.map(row))
  })
}

/** @param {Todo} todo */
function row({ content, status, priority }) {
  const [mark, word] = STATES[status] ?? ['○', status]
  return h('li', { 'data-status': status }, h('span', { class: 'mark', 'aria-hidden': 'true' }, mark), h('span', { class: 'unseen' }, `${word}: `), h('span', {}, content), priority === 'high' && status !== 'completed' ? h('span', { class: 'quiet' }, 'important') : null)
}
