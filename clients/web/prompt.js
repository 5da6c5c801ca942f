// The prompt of the chosen session: text, files, agent and model. A prompt arrives exactly once, also across reconnects,
// because the page creates the message's id. Drafts survive a reload.
/** @import { Agent, Config, ModelRef, PartInput, ProviderListResult, SessionSubmitParams } from 'polytree' */
/** @import { Entry } from './history.js' */
/** @import { Follower } from './follow.js' */
/** @import { Model } from './model.js' */
import { byId, fill, h } from './dom.js'
import { messageOf, newId, size } from './format.js'

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
  /** @type {Attached[]} */
  #attached = []
  #sending = 0
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
   */
  constructor(model, follower, tell) {
    this.model = model
    this.follower = follower
    this.tell = tell
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault()
      void this.#send()
    })
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
    this.#input.value = sessionID ? (sessionStorage.getItem(`draft.${sessionID}`) ?? '') : ''
    this.#offered = ''
    this.#picked = { agent: '', model: '' }
    void this.offer()
  }

  focus() {
    this.#input.focus()
  }

  draw() {
    const lost = this.follower.state !== 'live'
    let hint = 'Enter sends, Shift+Enter begins a line'
    if (this.#sending) hint = lost ? 'Will be sent when the connection is back' : 'Sending…'
    if (this.#hint.textContent !== hint) this.#hint.textContent = hint
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
      void this.#send()
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
    if (!this.#sessionID) return
    if (this.#input.value) sessionStorage.setItem(`draft.${this.#sessionID}`, this.#input.value)
    else sessionStorage.removeItem(`draft.${this.#sessionID}`)
  }

  async #send() {
    const text = this.#input.value
    const sessionID = this.#sessionID
    if (!sessionID || (!text.trim() && this.#attached.length === 0)) return
    /** @type {PartInput[]} */
    const parts = this.#attached.map(({ name, mime, url }) => ({ type: 'file', filename: name, mime, url }))
    if (text.trim()) parts.push({ type: 'text', text })
    /** @type {SessionSubmitParams} */
    const params = { sessionID, messageID: newId('msg'), parts }
    const { agent, model } = this.#picked
    if (agent) params.agent = agent
    const slash = model.indexOf('/')
    if (slash > 0) params.model = { providerID: model.slice(0, slash), modelID: model.slice(slash + 1) }
    this.#picked = { agent: '', model: '' }
    const attached = this.#attached
    this.#attached = []
    this.#drawAttached()
    this.#input.value = ''
    this.#sending++
    this.draw()
    try {
      await this.follower.callUntilAnswered('session.submit', params)
      if (sessionStorage.getItem(`draft.${sessionID}`) === text) sessionStorage.removeItem(`draft.${sessionID}`)
    } catch (error) {
      this.tell(messageOf(error))
      if (this.#sessionID === sessionID && this.#input.value === '') {
        this.#picked = { agent, model }
        this.drawChoices()
        this.#input.value = text
        this.#attached = attached
        this.#drawAttached()
      }
    } finally {
      this.#sending--
      this.draw()
    }
  }

  /** Sends what a cancelled prompt had, to the same agent and model. @param {Entry} entry */
  async sendAgain({ info, parts: stored }) {
    if (info.role !== 'user') return
    const { sessionID, agent, model, variant } = info
    /** @type {PartInput[]} */
    const parts = []
    for (const part of stored) {
      if (part.type === 'text' && !part.synthetic) parts.push({ type: 'text', text: part.text })
      else if (part.type === 'file') parts.push({ type: 'file', mime: part.mime, url: part.url, filename: part.filename })
      else if (part.type === 'agent') parts.push({ type: 'agent', name: part.name })
    }
    try {
      await this.follower.callUntilAnswered('session.submit', { sessionID, messageID: newId('msg'), parts, agent, model, variant })
    } catch (error) {
      this.tell(messageOf(error))
    }
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
      h('li', { class: 'chip' }, `${file.name} (${size(file.bytes)})`, h('button', { type: 'button', class: 'plain-button', 'aria-label': `Remove ${file.name}`, onclick: () => remove(file) }, '×')),
    )
    fill(byId('attached'), ...items)
  }
}

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
