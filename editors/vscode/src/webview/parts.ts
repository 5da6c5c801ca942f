// A message and its parts as elements.
import type { EventPart, EventToolPart } from '@polytree/protocol'
import { details, findings, heading, outcome, remark, subject, text, visible } from './format'
import { render } from './markdown'
import type { EntryView } from './messages'

const ICONS = { pending: '…', running: '▶', completed: '✓', error: '✗' }
/** More lines of an output or a diff are left out. */
const MAX_LINES = 400

export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  made.append(...children)
  return made
}

/** A diff, or plain output, line by line. */
export function lines(kind: 'diff' | 'text', content: string, limit = MAX_LINES): HTMLElement {
  const all = content.replace(/\n$/, '').split('\n')
  let inHead = kind === 'diff' && /^(---|diff |index )/.test(all[0] ?? '')
  const shown = all.slice(0, limit).map((line) => {
    if (line.startsWith('@@')) inHead = false
    const mark = kind !== 'diff' ? undefined : inHead ? 'hunk' : { '+': 'added', '-': 'removed', '@': 'hunk' }[line.charAt(0)]
    return element('div', mark ? { class: mark } : {}, visible(line) || ' ')
  })
  if (all.length > limit) shown.push(element('div', { class: 'more' }, `… ${all.length - limit} more lines`))
  return element('pre', { class: `lines ${kind}` }, ...shown)
}

function tool(part: EventToolPart, wasOpen: boolean | undefined): HTMLElement {
  const how = outcome(part)
  const summary = element('summary', {}, element('span', { class: `icon ${how}`, 'aria-label': how }, ICONS[how]), ` ${part.tool} `)
  const about = subject(part)
  if (about) summary.append(element('code', {}, visible(about)))
  const more = remark(part)
  if (more) summary.append(element('span', { class: 'remark' }, ` ${more}`))
  const block = element('details', { class: `tool ${how}` }, summary)
  const metadata = 'metadata' in part.state ? part.state.metadata : undefined
  const todos = (metadata as { todos?: { content: string; status: string }[] } | undefined)?.todos
  if (Array.isArray(todos)) {
    const items = todos.map((todo) => element('li', { class: text(todo.status) }, text(todo.content)))
    block.append(element('ul', { class: 'todos' }, ...items))
    block.open = wasOpen ?? true
    return block
  }
  const found = findings(part)
  if (found.length > 0) block.append(element('ul', { class: 'findings' }, ...found.map((line) => element('li', {}, line))))
  const content = details(part)
  if (content) {
    block.append(lines(content.kind, content.text))
    block.open = wasOpen ?? (content.kind === 'diff' || found.length > 0)
  }
  return block
}

/** The element of a part; undefined where there is nothing to see. */
export function partElement(part: EventPart, role: string, before?: HTMLElement): HTMLElement | undefined {
  const made = partContent(part, role, before)
  if (made) made.dataset['part'] = part.id
  return made
}

function partContent(part: EventPart, role: string, before?: HTMLElement): HTMLElement | undefined {
  switch (part.type) {
    case 'text': {
      if (part.synthetic) return undefined
      const block = element('div', { class: 'text' })
      if (role === 'user') {
        block.classList.add('plain')
        block.textContent = text(part.text)
      } else {
        render(text(part.text), block)
      }
      return block
    }
    case 'reasoning': {
      const wasOpen = before instanceof HTMLDetailsElement && before.open
      const block = element('details', { class: 'reasoning' }, element('summary', {}, part.time.end ? 'Thought' : 'Thinking…'))
      block.append(element('div', { class: 'plain' }, text(part.text)))
      block.open = wasOpen
      return text(part.text) ? block : undefined
    }
    case 'tool':
      return tool(part, before instanceof HTMLDetailsElement && before.dataset['touched'] ? before.open : undefined)
    case 'file': {
      const range = /[?&]start=(\d+)(?:&end=(\d+))?/.exec(text(part.url))
      const place = range ? `:${range[1]}-${range[2] ?? ''}` : ''
      return role === 'user' ? element('div', { class: 'file' }, `@${text(part.filename) || text(part.url).slice(0, 60)}${place}`) : undefined
    }
    case 'patch':
      // What cannot be undone later must be known now.
      return part.uncovered?.length ? element('div', { class: 'uncovered' }, `cannot be undone: ${visible(part.uncovered.join(', '))}`) : undefined
    case 'retry':
      return element('div', { class: 'retry' }, `trying again: ${part.error.data.message}`)
    case 'compaction':
      return element('div', { class: 'compaction' }, `The conversation up to here is summarised${summaryReason(part)}.`)
    default:
      return undefined
  }
}

function summaryReason(part: { auto: boolean; overflow?: boolean }): string {
  if (part.overflow) return ', because the service refused it as too long'
  return part.auto ? ', to make room' : ''
}

function isSummary(info: EntryView['info']): boolean {
  return info.role === 'assistant' && info.summary === true
}

/** Whether a message only asks for a summary. */
function isRequestForSummary(parts: EventPart[]): boolean {
  return parts.length > 0 && parts.every(({ type }) => type === 'compaction')
}

/** The element of a message. */
export function entryElement({ info, parts }: EntryView): HTMLElement {
  const article = element('article', { class: info.role, 'data-message': info.id }, element('h2', {}, heading(info)))
  if (info.role === 'user') {
    const button = (action: string, label: string, sign: string) => element('button', { type: 'button', 'data-action': action, title: label, 'aria-label': label }, sign)
    article.append(element('div', { class: 'actions' }, button('revert', 'Undo from here on', '↶'), button('fork', 'Copy what is before this', '⑂')))
  }
  const list = element('div', { class: 'parts' })
  // A summary is long, and for the model.
  article.append(isSummary(info) ? element('details', { class: 'summary' }, element('summary', {}, 'Summary'), list) : list)
  updateEntry(article, { info, parts })
  return article
}

/** Brings an element up to a message as it is now. */
export function updateEntry(article: HTMLElement, { info, parts }: EntryView): void {
  const title = article.querySelector('h2')
  if (title) title.textContent = heading(info)
  article.classList.toggle('request', isRequestForSummary(parts))
  // The list of waiting prompts shows it.
  article.classList.toggle('queued', info.role === 'user' && info.state === 'queued')
  const list = article.querySelector<HTMLElement>('.parts')
  if (!list) return
  const known = new Map([...list.children].map((child) => [(child as HTMLElement).dataset['part'], child as HTMLElement]))
  const shown = parts.map((part) => partElement(part, info.role, known.get(part.id))).filter((child) => child !== undefined)
  list.replaceChildren(...shown)
  article.querySelector('.failure')?.remove()
  if (info.role === 'assistant' && info.error) {
    const { name, data } = info.error
    const hint = data.hint ? element('div', { class: 'hint' }, data.hint) : ''
    article.append(element('div', { class: 'failure', role: 'alert' }, element('strong', {}, name), ` ${data.message}`, hint))
  }
}
