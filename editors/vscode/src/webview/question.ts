// A question of a tool: everything that an answer is about, and the buttons.
import type { Permission } from '@polytree/protocol'
import { bag, text, visible } from './format'
import { element, lines } from './parts'

export type Response = 'once' | 'always' | 'reject'

/** What the types of questions are about. */
const SUBJECTS: Record<string, string> = { read: 'it reads', edit: 'it writes', external_directory: 'it works in' }

function list(value: unknown): string {
  return Array.isArray(value) ? visible(value.join(', ')) : ''
}

/** What is asked, whole: nothing is folded away. */
function about(question: Permission): HTMLElement[] {
  const metadata = bag(question.metadata)
  const made: HTMLElement[] = []
  const say = (label: string, value: string, kind = '') => {
    if (value) made.push(element('p', kind ? { class: kind } : {}, label ? `${label} ${value}` : value))
  }
  const command = text(metadata['command'])
  const workdir = text(metadata['workdir'])
  const policy = text(bag(metadata['sandbox'])['policy'])
  if (workdir) say('in', `${visible(workdir)}${policy === 'off' ? ' (it runs as you, in no sandbox)' : ''}`)
  if (command) made.push(lines('text', text(metadata['shown']) || command, Number.POSITIVE_INFINITY))
  else if (text(metadata['diff'])) made.push(lines('diff', text(metadata['diff']), Number.POSITIVE_INFINITY))
  else made.push(lines('text', question.patterns.join('\n'), Number.POSITIVE_INFINITY))
  const subject = SUBJECTS[question.type]
  if (command && subject) say(subject, list(question.patterns), 'warning')
  if (question.type !== 'external_directory') say('outside of the worktree:', list(metadata['directories']), 'warning')
  if (metadata['understood'] === false) {
    say('', 'It cannot be told what this line runs.', 'warning')
    say('rules deny:', list(metadata['denies']), 'warning')
  }
  if (policy && policy !== 'off') {
    const reason = text(metadata['reason'])
    say('', `It would leave the sandbox ${policy}${reason ? `: ${visible(reason)}` : '.'}`, 'warning')
  }
  if (command) say('the model says:', visible(text(metadata['description'])), 'quiet')
  return made
}

/** What an answer says beside yes and no. */
export interface More {
  message?: string
  scope?: 'session' | 'project'
  always?: string[]
}

/** What "always" would allow: each pattern can be left out, and it may hold in the session alone. */
function alwaysElement(question: Permission, scope: HTMLSelectElement): HTMLElement {
  const patterns = question.always.map((pattern) => {
    const box = element('input', { type: 'checkbox', name: 'pattern', value: pattern, checked: '' })
    return element('label', {}, box, ' ', element('code', {}, visible(pattern)))
  })
  return element('div', { class: 'always' }, `“Always” would allow ${question.type}: `, ...patterns, ' ', scope)
}

/** The element of a question; `answer` is called with what a person has chosen for this very question. */
export function questionElement(question: Permission, answer: (response: Response, more: More) => void): HTMLElement {
  const box = element('div', { class: 'ask', role: 'group', 'aria-label': `Question: ${question.type}`, 'data-question': question.id })
  box.append(element('h3', {}, `${question.type}: may it do this?`), ...about(question))
  const reason = element('input', { type: 'text', placeholder: 'Why not? (told to the model)', 'aria-label': 'Reason for the rejection' })
  const scope = element('select', { 'aria-label': 'Where it is allowed' }, element('option', { value: 'project' }, 'in this project'), element('option', { value: 'session' }, 'in this session'))
  const more = (response: Response): More => {
    if (response === 'reject') return reason.value ? { message: reason.value } : {}
    if (response === 'once') return {}
    const kept = [...box.querySelectorAll<HTMLInputElement>('input[name=pattern]:checked')].map(({ value }) => value)
    return { ...(scope.value === 'session' ? { scope: 'session' } : {}), ...(kept.length < question.always.length ? { always: kept } : {}) }
  }
  const button = (label: string, response: Response, key: string) => {
    const made = element('button', { type: 'button', class: response, title: `${label} (${key})`, 'data-key': key }, label)
    made.addEventListener('click', () => answer(response, more(response)))
    return made
  }
  const buttons = [button('Allow once', 'once', 'Alt+Y')]
  if (question.always.length > 0) {
    const always = button('Always', 'always', 'Alt+A')
    const tell = () => {
      const none = box.querySelector('input[name=pattern]:checked') === null
      always.toggleAttribute('disabled', none)
      always.title = `Always allow what is ticked, ${scope.selectedOptions[0]?.textContent ?? ''} (Alt+A)`
    }
    box.append(alwaysElement(question, scope))
    box.addEventListener('change', tell)
    tell()
    buttons.push(always)
  }
  buttons.push(button('Reject', 'reject', 'Alt+N'))
  reason.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.isComposing) answer('reject', more('reject'))
  })
  box.append(element('div', { class: 'buttons' }, ...buttons, reason))
  return box
}
