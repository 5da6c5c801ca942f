// The chat's page. It holds nothing that the extension does not: what it shows comes in messages.
import type { Permission, SessionRevert } from '@polytree/protocol'
import { cost, tokens } from './format'
import { renderGrowing } from './markdown'
import type { EntryView, Found, FromPage, ToPage } from './messages'
import { element, entryElement, partElement, updateEntry } from './parts'
import { queueElement } from './queue'
import { questionElement } from './question'
import { showUndone } from './undone'

declare function acquireVsCodeApi(): { postMessage(message: FromPage): void; getState(): unknown; setState(state: unknown): void }

const editor = acquireVsCodeApi()
const find = <T extends HTMLElement>(id: string) => document.getElementById(id) as T
const messages = find('messages')
const questions = find('questions')
const prompt = find<HTMLFormElement>('prompt')
const input = find<HTMLTextAreaElement>('text')
const files = find<HTMLUListElement>('files')
const attached = find('attached')
const status = find('status')
const abort = find<HTMLButtonElement>('abort')
const steer = find<HTMLButtonElement>('steer')
const queue = find('queue')

const send = (message: FromPage) => editor.postMessage(message)

/** Longest run of our handlers, in milliseconds, for those who measure. */
let slowest = 0
/** When a session was last shown whole, in milliseconds since 1970. */
let lastShown = 0
function timed(run: () => void): void {
  const started = performance.now()
  run()
  slowest = Math.max(slowest, performance.now() - started)
}

// ---- the conversation

/** Texts that grow, by part: rendered at most once a frame. */
const growing = new Map<string, { text: string; scheduled: boolean }>()
const entries = new Map<string, EntryView>()

function atEnd(): boolean {
  return messages.scrollHeight - messages.scrollTop - messages.clientHeight < 60
}

/** Changes the conversation; who reads its end goes on seeing it. */
function changing(change: () => void): void {
  const follow = atEnd()
  change()
  if (follow) messages.scrollTop = messages.scrollHeight
}

// Who reads the end goes on seeing it when a question, a list or another view takes room.
let readsEnd = true
messages.addEventListener('scroll', () => (readsEnd = atEnd()), { passive: true })
new ResizeObserver(() => {
  if (readsEnd) messages.scrollTop = messages.scrollHeight
}).observe(messages)

const article = (id: string) => messages.querySelector<HTMLElement>(`article[data-message="${CSS.escape(id)}"]`)

function showAll(all: EntryView[], complete: boolean): void {
  entries.clear()
  growing.clear()
  messages.replaceChildren()
  if (!complete) messages.append(olderButton())
  for (const entry of all) {
    entries.set(entry.info.id, entry)
    messages.append(entryElement(entry))
  }
  if (all.length === 0) messages.append(element('p', { class: 'empty' }, 'Ask about this project, or have something changed. polytree asks before it does anything.'))
  messages.scrollTop = messages.scrollHeight
}

function olderButton(): HTMLElement {
  const button = element('button', { type: 'button', class: 'older' }, 'Load older messages')
  button.addEventListener('click', () => {
    button.setAttribute('disabled', '')
    send({ type: 'older' })
  })
  return button
}

function showOlder(older: EntryView[], complete: boolean): void {
  const height = messages.scrollHeight
  messages.querySelector('.older')?.remove()
  messages.prepend(...(complete ? [] : [olderButton()]), ...older.map(entryElement))
  for (const entry of older) entries.set(entry.info.id, entry)
  messages.scrollTop += messages.scrollHeight - height
}

function showEntry(entry: EntryView): void {
  entries.set(entry.info.id, entry)
  for (const part of entry.parts) growing.delete(part.id)
  const known = article(entry.info.id)
  if (known) return updateEntry(known, entry)
  messages.querySelector('.empty')?.remove()
  messages.append(entryElement(entry))
}

function showPart(messageID: string, part: EntryView['parts'][number]): void {
  const entry = entries.get(messageID)
  const list = article(messageID)?.querySelector('.parts')
  if (!entry || !list) return
  const index = entry.parts.findIndex((one) => one.id === part.id)
  if (index < 0) entry.parts.push(part)
  else entry.parts[index] = part
  growing.delete(part.id)
  const known = list.querySelector<HTMLElement>(`[data-part="${CSS.escape(part.id)}"]`)
  const made = partElement(part, entry.info.role, known ?? undefined)
  if (known && made) known.replaceWith(made)
  else if (known) known.remove()
  else if (made) list.append(made)
}

function append(messageID: string, partID: string, more: string): void {
  const part = entries.get(messageID)?.parts.find((one) => one.id === partID)
  if (!part || !('text' in part)) return
  const growth = growing.get(partID) ?? { text: String(part.text), scheduled: false }
  growth.text += more
  growing.set(partID, growth)
  if (growth.scheduled) return
  growth.scheduled = true
  // A longer text is rendered less often: its cost grows with its length.
  const wait = Math.min(150, growth.text.length / 200)
  setTimeout(() => requestAnimationFrame(() => timed(() => changing(() => grow(messageID, partID, growth)))), wait)
}

function grow(messageID: string, partID: string, growth: { text: string; scheduled: boolean }): void {
  growth.scheduled = false
  if (growing.get(partID) !== growth) return
  const entry = entries.get(messageID)
  const part = entry?.parts.find((one) => one.id === partID)
  if (!entry || !part || !('text' in part)) return
  part.text = growth.text
  const known = article(messageID)?.querySelector<HTMLElement>(`[data-part="${CSS.escape(partID)}"]`)
  if (known?.classList.contains('text')) renderGrowing(growth.text, known)
  else showPart(messageID, part)
  growing.set(partID, growth)
}

function remove(messageID: string, partID?: string): void {
  if (!partID) {
    entries.delete(messageID)
    article(messageID)?.remove()
    return
  }
  const entry = entries.get(messageID)
  if (entry) entry.parts = entry.parts.filter((part) => part.id !== partID)
  article(messageID)?.querySelector(`[data-part="${CSS.escape(partID)}"]`)?.remove()
}

/** What is undone of the conversation. */
let revert: SessionRevert | undefined
let directory = ''
function markUndone(): void {
  if (revert || messages.querySelector('.undone-note')) showUndone(messages, revert, directory, () => send({ type: 'command', command: 'unrevert' }))
}

// What a person has opened or closed stays so when the part changes.
messages.addEventListener('click', (event) => {
  const target = event.target as HTMLElement
  const block = target.closest('summary')?.parentElement
  if (block) block.dataset['touched'] = 'true'
  const action = target.closest<HTMLElement>('[data-action]')?.dataset['action']
  const messageID = target.closest<HTMLElement>('article')?.dataset['message']
  if (messageID && (action === 'revert' || action === 'fork')) send({ type: action, messageID })
  const link = target.closest('a')
  const address = link?.getAttribute('href') ?? ''
  if (link && !/^[a-z]+:/i.test(address)) {
    event.preventDefault()
    const [, path = '', line] = /^([^#]*)(?:#L?(\d+))?/.exec(decodeURIComponent(address)) ?? []
    if (path) send({ type: 'open', path, ...(line ? { line: Number(line) } : {}) })
  }
})

// ---- questions

function askElement(question: Permission): HTMLElement {
  return questionElement(question, (response, more) => {
    if (!questions.classList.contains('settling')) send({ type: 'answer', permissionID: question.id, response, ...more })
  })
}

function showQuestions(own: Permission[], elsewhere: number): void {
  const known = new Map([...questions.querySelectorAll<HTMLElement>('.ask')].map((box) => [box.dataset['question'], box]))
  const boxes: HTMLElement[] = own.map((question) => known.get(question.id) ?? askElement(question))
  if (elsewhere > 0) {
    const link = element('button', { type: 'button', class: 'elsewhere' }, `${elsewhere} question${elsewhere === 1 ? '' : 's'} in other sessions`)
    link.addEventListener('click', () => send({ type: 'command', command: 'questions' }))
    boxes.push(link)
  }
  questions.replaceChildren(...boxes)
}

// An answer goes to the question that was read: for a moment after a question has taken the place of another one, none is taken.
const SETTLE_MS = 300
/** A question that comes as late as this after another one does not take its place. */
const RECENT_MS = 2000
let closedAt = Number.NEGATIVE_INFINITY
let shownID: string | undefined
let settling: ReturnType<typeof setTimeout> | undefined
new MutationObserver(() => {
  const id = questions.querySelector<HTMLElement>('.ask')?.dataset['question']
  if (id === shownID) return
  if (shownID) closedAt = performance.now()
  shownID = id
  clearTimeout(settling)
  questions.classList.toggle('settling', id !== undefined && performance.now() - closedAt < RECENT_MS)
  settling = setTimeout(() => questions.classList.remove('settling'), SETTLE_MS)
}).observe(questions, { childList: true })

document.addEventListener('keydown', (event) => {
  if (!event.altKey || event.ctrlKey || event.metaKey) return
  const key = `Alt+${event.code.replace('Key', '')}`
  const button = questions.querySelector<HTMLButtonElement>(`.ask:first-child button[data-key="${CSS.escape(key)}"]`)
  if (!button) return
  event.preventDefault()
  button.click()
})

// ---- the prompt

function grown(): void {
  input.style.height = 'auto'
  input.style.height = `${Math.min(input.scrollHeight, 300)}px`
  editor.setState({ draft: input.value })
}

/** The `@word` that the cursor stands behind. */
function mention(): { start: number; query: string } | undefined {
  const match = /(?:^|[\s("'`])@([^\s"'`]*)$/.exec(input.value.slice(0, input.selectionStart))
  return match ? { start: input.selectionStart - (match[1] ?? '').length, query: match[1] ?? '' } : undefined
}

function hideFiles(): void {
  files.hidden = true
  files.replaceChildren()
  input.removeAttribute('aria-activedescendant')
}

function take(path: string): void {
  const at = mention()
  if (!at) return
  input.setRangeText(path, at.start, input.selectionStart, 'end')
  if (path.endsWith('/')) send({ type: 'find', query: path })
  else {
    input.setRangeText(' ', input.selectionStart, input.selectionStart, 'end')
    hideFiles()
  }
  input.focus()
  grown()
}

/** A path with the characters that fit what was typed. */
function marked({ path, positions }: Found): (string | Node)[] {
  const fits = new Set(positions)
  const runs = [...path].reduce<{ at: number; runs: { text: string; fits: boolean }[] }>(
    ({ at, runs }, character) => {
      const last = runs.at(-1)
      if (last && last.fits === fits.has(at)) last.text += character
      else runs.push({ text: character, fits: fits.has(at) })
      return { at: at + character.length, runs }
    },
    { at: 0, runs: [] },
  ).runs
  return runs.map((run) => (run.fits ? element('mark', {}, run.text) : run.text))
}

function showFiles(query: string, found: Found[]): void {
  if (mention()?.query !== query) return
  const items = found.map((file, index) => {
    const { path } = file
    const item = element('li', { role: 'option', id: `file-${index}`, 'aria-selected': String(index === 0) }, ...marked(file))
    item.addEventListener('mousedown', (event) => {
      event.preventDefault()
      take(path)
    })
    return item
  })
  files.replaceChildren(...items)
  files.hidden = items.length === 0
  if (items.length > 0) input.setAttribute('aria-activedescendant', 'file-0')
}

function move(step: number): void {
  const items = [...files.children]
  const index = items.findIndex((item) => item.getAttribute('aria-selected') === 'true')
  const next = (index + step + items.length) % items.length
  items.forEach((item, at) => item.setAttribute('aria-selected', String(at === next)))
  items[next]?.scrollIntoView({ block: 'nearest' })
  input.setAttribute('aria-activedescendant', `file-${next}`)
}

input.addEventListener('input', () => {
  grown()
  const at = mention()
  if (at) send({ type: 'find', query: at.query })
  else hideFiles()
})

input.addEventListener('keydown', (event) => {
  if (!files.hidden) {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault()
      return move(event.key === 'ArrowDown' ? 1 : -1)
    }
    if (event.key === 'Tab' || (event.key === 'Enter' && !event.shiftKey)) {
      event.preventDefault()
      return take(files.querySelector('[aria-selected="true"]')?.textContent ?? '')
    }
    if (event.key === 'Escape') return hideFiles()
  }
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault()
    if ((event.ctrlKey || event.metaKey) && !steer.hidden) submit(true)
    else prompt.requestSubmit()
  }
})

let sending = ''
function submit(isSteering: boolean): void {
  const text = input.value.trim()
  if (!text || sending) return
  sending = input.value
  send({ type: 'submit', text, ...(isSteering ? { steer: true } : {}) })
}
prompt.addEventListener('submit', (event) => {
  event.preventDefault()
  submit(false)
})
steer.addEventListener('click', () => submit(true))

abort.addEventListener('click', () => send({ type: 'abort' }))
find('agent').addEventListener('click', () => send({ type: 'command', command: 'agent' }))
find('model').addEventListener('click', () => send({ type: 'command', command: 'model' }))
find('mode').addEventListener('click', () => send({ type: 'command', command: 'mode' }))

// ---- what the extension says

function receive(message: ToPage): void {
  switch (message.type) {
    case 'state': {
      const isDown = message.connection === 'failed'
      document.body.classList.toggle('down', isDown)
      document.querySelector('.problem')?.remove()
      if (isDown) {
        const again = element('button', { type: 'button' }, 'Connect again')
        again.addEventListener('click', () => send({ type: 'command', command: 'restart' }))
        prompt.before(element('div', { class: 'problem', role: 'alert' }, message.problem, ' ', again))
      }
      return
    }
    case 'session': {
      const { session, status: now, choice } = message
      const words: string[] = [now.type === 'retry' ? `trying again: ${now.message}` : now.type]
      if (session) {
        const { input: read, output, reasoning, cache } = session.tokens
        if (message.context) words.push(message.context)
        words.push(`${tokens(read + cache.read + cache.write)} in, ${tokens(output + reasoning)} out`, cost(session.cost))
      }
      status.textContent = status.title = words.join(' · ')
      abort.hidden = now.type === 'idle'
      steer.hidden = now.type === 'idle'
      if (JSON.stringify(session?.revert ?? undefined) !== JSON.stringify(revert)) {
        revert = session?.revert ?? undefined
        directory = session?.directory ?? ''
        changing(markUndone)
      }
      find('agent').textContent = choice.agent
      find('model').textContent = choice.model
      find('mode').textContent = choice.mode
      find('mode').dataset['mode'] = choice.mode
      return
    }
    case 'all':
      showAll(message.entries, message.complete)
      markUndone()
      // Once it is on the screen.
      requestAnimationFrame(() => requestAnimationFrame(() => (lastShown = Date.now())))
      return
    case 'older':
      return showOlder(message.entries, message.complete)
    case 'entry':
      return changing(() => {
        showEntry(message.entry)
        markUndone()
      })
    case 'part':
      return changing(() => {
        showPart(message.messageID, message.part)
        markUndone()
      })
    case 'append':
      return append(message.messageID, message.partID, message.text)
    case 'removed':
      return changing(() => {
        remove(message.messageID, message.partID)
        markUndone()
      })
    case 'queue': {
      const sign = document.getElementById('send')
      if (sign) sign.textContent = message.editing ? 'Replace' : 'Send'
      return changing(() => queue.replaceChildren(...queueElement(message.queue, send)))
    }
    case 'questions':
      return changing(() => showQuestions(message.own, message.elsewhere))
    case 'attached': {
      const chips = message.attached.map(({ name }, index) => {
        const away = element('button', { type: 'button', 'aria-label': `Remove ${name}` }, '×')
        away.addEventListener('click', () => send({ type: 'detach', index }))
        return element('span', { class: 'chip' }, name, away)
      })
      return attached.replaceChildren(...chips)
    }
    case 'draft':
      if (message.text) input.value = message.text
      if (message.focus) input.focus()
      return grown()
    case 'figures':
      send({ type: 'figures', slowest, lastShown })
      slowest = 0
      return
    case 'files':
      return showFiles(message.query, message.files)
    case 'sent':
      // The draft is kept when it could not be sent, and when it was changed meanwhile.
      if (message.ok && input.value === sending) input.value = ''
      sending = ''
      grown()
  }
}

window.addEventListener('message', (event: MessageEvent<ToPage>) => timed(() => receive(event.data)))
const kept = editor.getState() as { draft?: string } | undefined
input.value = kept?.draft ?? ''
send({ type: 'ready' })
