// The prompt of the chosen session: text, files, agent and model. A prompt arrives exactly once, also across reconnects,
// because the page creates the message's id. Drafts survive a reload. While a turn runs, a prompt waits in the queue, or
// steers the turn.
/** @import { Agent, Config, ModelRef, Part, PartInput, ProviderListResult } from 'polytree' */
/** @import { Entry } from './history.js' */
/** @import { Follower } from './follow.js' */
/** @import { Model } from './model.js' */
/** @import { Letter } from './session/outbox.js' */
import { byId, fill, h, say } from './dom.js'
import { messageOf, newId, size } from './format.js'
import { inputsOf, textOf } from './session/inputs.js'
import { Outbox } from './session/outbox.js'

/** @typedef {{ name: string, mime: string, url: string, bytes: number }} Attached */

// The limit of a message is 32 MiB, and base64 encodes three bytes as four.
const MOST = 20 * 1024 * 1024

export class Prompt {
  #form = byId('prompt-form')
  #input = /** @type {HTMLTextAreaElement} */ (byId('prompt'))
  #files = /** @type {HTMLInputElement} */ (byId('files'))
  #agent = /** @type {HTMLSelectElement} */ (byId('agent'))
  #model = /** @type {HTMLSelectElement} */ (byId('model'))
  #hint = byId('prompt-hint')
  #button = byId('send')
  #steer = byId('steer')
  /** @type {Attached[]} */
  #attached = []
  /** @type {string | null} */
  #sessionID = null
  /** The directory whose agents and models are offered. */
  #offered = ''
  /** @type {{ agents: Agent[], providers: ProviderListResult | null, config: Config | null }} */
  #offer = { agents: [], providers: null, config: null }
  /** The user's choice for the next prompt; empty: the daemon's default. */
  #picked = { agent: '', model: '' }

  /**
   * @param {Model} model
   * @param {Follower} follower
   * @param {(problem: string) => void} tell
   * @param {() => void} sent what was written goes to the end of the conversation
   */
  constructor(model, follower, tell, sent) {
    this.model = model
    this.follower = follower
    this.outbox = new Outbox(follower)
    this.tell = tell
    this.sent = sent
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault()
      void this.#send(false)
    })
    this.#steer.addEventListener('click', () => void this.#send(true))
    this.#input.addEventListener('keydown', (event) => this.#key(event))
    this.#input.addEventListener('input', () => this.#keepDraft())
    this.#input.addEventListener('paste', (event) => {
      const files = event.clipboardData?.files
      if (!files?.length) return
      event.preventDefault()
      void this.#attach(files)
    })
    this.#agent.addEventListener('change', () => {
      this.#picked.agent = this.#agent.value
      this.drawChoices()
    })
    this.#model.addEventListener('change', () => (this.#picked.model = this.#model.value))
    byId('attach').addEventListener('click', () => this.#files.click())
    this.#files.addEventListener('change', () => {
      void this.#attach(this.#files.files)
      this.#files.value = ''
    })
    this.#form.addEventListener('dragover', (event) => event.preventDefault())
    this.#form.addEventListener('drop', (event) => {
      event.preventDefault()
      void this.#attach(event.dataTransfer?.files)
    })
  }

  /** @param {string | null} sessionID */
  choose(sessionID) {
    this.#sessionID = sessionID
    this.#form.hidden = sessionID === null
    this.#attached = []
    this.#drawAttached()
    this.#input.value = sessionID ? draftOf(sessionID) : ''
    this.#offered = ''
    this.#picked = { agent: '', model: '' }
    this.draw()
    void this.offer()
  }

  focus() {
    this.#input.focus()
  }

  /** Whether a turn of the chosen session runs. */
  get #isBusy() {
    return this.#sessionID !== null && this.model.status(this.#sessionID).type !== 'idle'
  }

  draw() {
    const lost = this.follower.state !== 'live'
    const sending = this.#sessionID ? this.outbox.of(this.#sessionID).length : 0
    let hint = this.#isBusy ? 'Enter queues, Ctrl+Enter steers the running turn' : 'Enter sends, Shift+Enter begins a line'
    if (sending) hint = lost ? `${sending > 1 ? `${sending} prompts will` : 'Will'} be sent when the connection is back` : 'Sending…'
    say(this.#hint, hint)
    this.#hint.classList.toggle('urgent', sending > 0)
    say(this.#button, this.#isBusy ? 'Queue' : 'Send')
    this.#button.title = this.#isBusy ? 'It becomes a turn of its own when this one has ended' : ''
    // Whoever is on the button goes on writing when the turn has ended.
    if (!this.#isBusy && document.activeElement === this.#steer) this.focus()
    this.#steer.hidden = !this.#isBusy
  }

  /** Fills the lists of agents and models for the session's directory. */
  async offer() {
    const session = this.model.sessions.get(this.#sessionID ?? '')
    if (!session || this.follower.state !== 'live' || this.#offered === session.directory) return
    this.#offered = session.directory
    const { directory } = session
    const [agents, providers, config] = await Promise.all([
      this.follower.call('agent.list', { directory }).catch(() => []),
      this.follower.call('provider.list', { directory }).catch(() => null),
      this.follower.call('config.get', { directory }).catch(() => null),
    ])
    if (this.#offered !== directory) return
    this.#offer = { agents, providers, config }
    const own = agents.filter(({ mode }) => mode !== 'subagent')
    fill(this.#agent, ...own.map(({ name, description }) => h('option', { value: name, title: description }, name)))
    const usable = (providers?.providers ?? []).filter(({ id }) => providers?.connected.includes(id))
    fill(this.#model, ...usable.map(({ id, name, models }) => h('optgroup', { label: name }, ...Object.values(models).map((model) => h('option', { value: `${id}/${model.id}` }, model.name)))))
    this.drawChoices()
  }

  /** Shows the agent and the model that the next prompt will have. */
  drawChoices() {
    const session = this.model.sessions.get(this.#sessionID ?? '')
    if (!session || this.#offered !== session.directory) return
    const { agents, providers, config } = this.#offer
    const agent = this.#picked.agent || session.agent || config?.default_agent || 'build'
    const usable = providers?.connected.find((id) => providers.default[id] && !providers.providers.some((provider) => provider.id === id && provider.local))
    const first = usable ? `${usable}/${providers?.default[usable]}` : ''
    const model = this.#picked.model || written(agents.find(({ name }) => name === agent)?.model ?? session.model) || config?.model || first
    select(this.#agent, agent)
    select(this.#model, model)
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault()
      void this.#send((event.ctrlKey || event.metaKey) && this.#isBusy)
    } else if (event.key === 'Escape') {
      byId('transcript').focus()
      event.stopPropagation()
    } else if (event.key === 'ArrowUp' && this.#input.value === '') {
      const last = this.model.history?.entries.findLast(({ info }) => info.role === 'user')
      const text = last?.parts.find((part) => part.type === 'text' && !part.synthetic)
      if (text?.type !== 'text') return
      event.preventDefault()
      this.#input.value = text.text
      this.#keepDraft()
    }
  }

  #keepDraft() {
    if (this.#sessionID) keepDraft(this.#sessionID, this.#input.value)
  }

  /** @param {boolean} steers into the running turn */
  async #send(steers) {
    const text = this.#input.value
    const sessionID = this.#sessionID
    if (!sessionID || (!text.trim() && this.#attached.length === 0)) return
    /** @type {PartInput[]} */
    const parts = this.#attached.map(({ name, mime, url }) => ({ type: 'file', filename: name, mime, url }))
    if (text.trim()) parts.push({ type: 'text', text })
    /** @type {Letter['params']} */
    const params = { sessionID, messageID: newId('msg'), parts }
    const { agent, model } = this.#picked
    if (!steers) {
      if (agent) params.agent = agent
      const slash = model.indexOf('/')
      if (slash > 0) params.model = { providerID: model.slice(0, slash), modelID: model.slice(slash + 1) }
      this.#picked = { agent: '', model: '' }
    }
    const attached = this.#attached
    this.#attached = []
    this.#drawAttached()
    this.#input.value = ''
    this.#keepDraft()
    if (!this.#isBusy) this.sent()
    const failed = await this.#deliver({ steers, params })
    if (!failed || this.#sessionID !== sessionID || this.#input.value !== '') return
    if (!steers) this.#picked = { agent, model }
    this.drawChoices()
    this.#attached = attached
    this.#drawAttached()
  }

  /** Sends a prompt; if it is refused its text is in the box again. @param {Letter} letter @returns {Promise<boolean>} whether it was refused */
  async #deliver(letter) {
    const { sessionID, messageID, parts } = letter.params
    if (letter.steers) this.model.steering.add(messageID)
    try {
      const sent = this.outbox.send(letter)
      this.draw()
      await sent
      return false
    } catch (error) {
      this.tell(messageOf(error))
      this.model.steering.delete(messageID)
      const text = typeof parts === 'string' ? parts : parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n\n')
      if (!draftOf(sessionID)) this.keep(sessionID, text)
      return true
    } finally {
      this.draw()
    }
  }

  /** Sends what this tab had not sent when it was reloaded. */
  resume() {
    for (const letter of this.outbox.unsent()) void this.#deliver(letter)
  }

  /** @param {PartInput[]} parts @param {boolean} steers */
  async submit(parts, steers) {
    const sessionID = this.#sessionID
    if (sessionID) await this.#deliver({ steers, params: { sessionID, messageID: newId('msg'), parts } })
  }

  /** Sends what a cancelled prompt had, to the same agent and model. @param {Entry} entry */
  async sendAgain({ info, parts }) {
    if (info.role !== 'user') return
    const { sessionID, agent, model, variant } = info
    await this.#deliver({ steers: false, params: { sessionID, messageID: newId('msg'), parts: inputsOf(parts), agent, model, variant } })
  }

  /** Sets what is in the box of a session. @param {string} sessionID @param {string} text */
  keep(sessionID, text) {
    keepDraft(sessionID, text)
    if (sessionID === this.#sessionID) this.#input.value = text
  }

  /** Offers a prompt for a change, where nothing is being written. @param {string} sessionID @param {Part[]} parts */
  take(sessionID, parts) {
    if (draftOf(sessionID) || (sessionID === this.#sessionID && this.#attached.length)) return
    this.keep(sessionID, textOf(parts))
    if (sessionID !== this.#sessionID) return
    this.#attached = inputsOf(parts).flatMap((part) => {
      if (part.type !== 'file') return []
      const { url, mime, filename } = part
      return [{ name: filename ?? (url.startsWith('data:') ? mime : url), mime, url, bytes: bytesOf(url) }]
    })
    this.#drawAttached()
  }

  /** Takes an offered prompt back, if nobody has changed it. @param {string} sessionID @param {Part[]} parts */
  untake(sessionID, parts) {
    if (draftOf(sessionID) !== textOf(parts)) return
    this.keep(sessionID, '')
    if (sessionID !== this.#sessionID) return
    this.#attached = []
    this.#drawAttached()
  }

  /** @param {FileList | null | undefined} files */
  async #attach(files) {
    for (const file of files ?? []) {
      const total = this.#attached.reduce((sum, { bytes }) => sum + bytes, file.size)
      if (total > MOST) {
        this.tell(`${file.name} was not attached: all files of a prompt together may have ${size(MOST)}`)
        continue
      }
      const url = await dataAddress(file)
      const mime = /^data:([^;,]+)/.exec(url)?.[1] ?? 'application/octet-stream'
      this.#attached.push({ name: file.name, mime, url, bytes: file.size })
    }
    this.#drawAttached()
    this.focus()
  }

  #drawAttached() {
    const remove = (/** @type {Attached} */ gone) => {
      this.#attached = this.#attached.filter((file) => file !== gone)
      this.#drawAttached()
      this.focus()
    }
    const items = this.#attached.map((file) =>
      h('li', { class: 'chip' }, file.bytes ? `${file.name} (${size(file.bytes)})` : file.name, h('button', { type: 'button', class: 'plain-button', 'aria-label': `Remove ${file.name}`, onclick: () => remove(file) }, '×')),
    )
    fill(byId('attached'), ...items)
  }
}

/** @param {string} sessionID */
const draftOf = (sessionID) => sessionStorage.getItem(`draft.${sessionID}`) ?? ''

/** @param {string} sessionID @param {string} text */
function keepDraft(sessionID, text) {
  try {
    if (text) sessionStorage.setItem(`draft.${sessionID}`, text)
    else sessionStorage.removeItem(`draft.${sessionID}`)
  } catch {
    // The browser's store is full: the text is still in its box.
  }
}

/** The size of what a `data:` address holds; 0 for a file elsewhere. @param {string} url */
const bytesOf = (url) => (url.startsWith('data:') ? Math.floor(((url.length - url.indexOf(',') - 1) * 3) / 4) : 0)

/** @param {ModelRef | null | undefined} model */
const written = (model) => (model ? `${model.providerID}/${model.modelID}` : '')

/** Chooses what need not be in the list: a service may be gone. @param {HTMLSelectElement} list @param {string} value */
function select(list, value) {
  if (value && ![...list.options].some((option) => option.value === value)) list.prepend(h('option', { value }, value))
  list.value = value
}

/** @param {File} file @returns {Promise<string>} */
function dataAddress(file) {
  // Browsers have many media types for source code; for the model all are text.
  const isText = file.type.startsWith('text/') || /^application\/(json|xml|javascript|x-sh|toml|x-yaml)$/.test(file.type) || file.type === ''
  const blob = isText ? new Blob([file], { type: 'text/plain' }) : file
  return new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(String(reader.result))
    reader.onerror = () => reject(reader.error ?? new Error('the file cannot be read'))
    reader.readAsDataURL(blob)
  })
}
