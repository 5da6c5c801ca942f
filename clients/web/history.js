// The messages of one session: the last read, and the events since. No elements, no network.
//
// Each message has the cursor of its state, from its snapshot or its last event; older events are already contained in it
// and dropped. So a replay repeats nothing, and events that arrive during a read are kept and applied afterwards.
/** @import { AnyEvent, Message, MessageWithParts, Part } from 'polytree' */

/** @typedef {{ info: Message, parts: Part[], cursor: number, output: Map<string, string> }} Entry */

/**
 * Marks texts that are too long for an event; returns whether there were any.
 * @param {any} value
 * @returns {boolean}
 */
export function withoutReferences(value) {
  let found = false
  for (const [name, field] of Object.entries(value)) {
    if (typeof field !== 'object' || field === null) continue
    if (typeof field.ref === 'string' && typeof field.bytes === 'number' && Object.keys(field).length === 2) {
      value[name] = '…'
      found = true
    } else if (withoutReferences(field)) found = true
  }
  return found
}

export class History {
  /** @type {Entry[]} oldest first */
  entries = []
  /** @type {Map<string, Entry>} */
  #byId = new Map()
  /** @type {AnyEvent[]} */
  #kept = []
  #reading = 0
  /** The cursor of the newest read: a message that it did not contain did not exist, or is on an older page. */
  #floor = 0
  loaded = false
  /** There are older messages that are not loaded. */
  more = false
  /** Messages to be drawn again. @type {Set<string>} */
  changed = new Set()
  /** Messages to be read again, because an event could not carry them whole. @type {Set<string>} */
  incomplete = new Set()

  /** @param {string} sessionID */
  constructor(sessionID) {
    this.sessionID = sessionID
  }

  /** @param {string} id */
  get(id) {
    return this.#byId.get(id)
  }

  /**
   * Reads messages; events that arrive meanwhile are applied afterwards.
   * @template T
   * @param {() => Promise<T>} read
   * @param {(result: T) => void} take
   */
  async read(read, take) {
    this.#reading++
    try {
      take(await read())
    } finally {
      if (--this.#reading === 0) {
        const kept = this.#kept
        this.#kept = []
        for (const event of kept) this.apply(event)
      }
    }
  }

  /**
   * Adds a page of messages before the loaded ones.
   * @param {MessageWithParts[]} messages
   * @param {boolean} more whether there are still older ones
   */
  prepend(messages, more) {
    const entries = messages.filter((message) => !this.#byId.has(message.info.id)).map((message) => ({ ...message, output: new Map() }))
    this.entries.unshift(...entries)
    for (const entry of entries) {
      this.#floor = Math.max(this.#floor, entry.cursor)
      this.#byId.set(entry.info.id, entry)
      this.changed.add(entry.info.id)
    }
    this.more = more
    this.loaded = true
  }

  /**
   * Replaces one message that was read again. If it is older than the known state, it is read once more.
   * @param {MessageWithParts} message
   */
  replace(message) {
    const entry = this.#byId.get(message.info.id)
    if (!entry) return
    if (message.cursor < entry.cursor) {
      this.incomplete.add(message.info.id)
      return
    }
    Object.assign(entry, message)
    this.changed.add(message.info.id)
  }

  /** Drops the oldest messages; they can be read again. @param {number} keep how many stay */
  trim(keep) {
    for (const entry of this.entries.splice(0, Math.max(0, this.entries.length - keep))) {
      this.#byId.delete(entry.info.id)
      this.changed.add(entry.info.id)
      this.more = true
    }
  }

  /** @param {AnyEvent} event */
  apply(event) {
    if (event.sessionID !== this.sessionID) return
    if (this.#reading > 0) this.#kept.push(event)
    if (this.loaded) this.#apply(event)
  }

  /** @param {AnyEvent} event */
  #apply(event) {
    switch (event.type) {
      case 'message.updated': {
        const long = withoutReferences(event.properties.info)
        const info = /** @type {Message} */ (event.properties.info)
        const entry = this.#byId.get(info.id)
        if (entry) this.#change(entry, event, long, () => (entry.info = info))
        else this.#append(info, event.cursor, long)
        break
      }
      case 'message.removed':
        this.#remove(event.properties.messageID, event.cursor)
        break
      case 'message.part.updated': {
        const long = withoutReferences(event.properties.part)
        const part = /** @type {Part} */ (event.properties.part)
        const entry = this.#byId.get(part.messageID)
        if (entry) this.#change(entry, event, long, () => this.#setPart(entry, part))
        break
      }
      case 'message.part.delta': {
        const { messageID, partID, field, delta } = event.properties
        const entry = this.#byId.get(messageID)
        if (entry) this.#change(entry, event, false, () => this.#grow(entry, partID, field, delta))
        break
      }
      case 'message.part.removed': {
        const { messageID, partID } = event.properties
        const entry = this.#byId.get(messageID)
        if (entry) this.#change(entry, event, false, () => (entry.parts = entry.parts.filter((part) => part.id !== partID)))
        break
      }
    }
  }

  /**
   * @param {Entry} entry
   * @param {AnyEvent} event
   * @param {boolean} long
   * @param {() => void} change
   */
  #change(entry, event, long, change) {
    if (event.cursor <= entry.cursor) return
    change()
    entry.cursor = event.cursor
    this.changed.add(entry.info.id)
    if (long) this.incomplete.add(entry.info.id)
  }

  /**
   * @param {Message} info
   * @param {number} cursor
   * @param {boolean} long
   */
  #append(info, cursor, long) {
    const first = this.entries[0]
    // A message on a page that is not loaded is read with that page.
    if (cursor <= this.#floor || (this.more && first && info.time.created < first.info.time.created)) return
    const entry = { info, parts: [], cursor, output: new Map() }
    this.entries.push(entry)
    this.#byId.set(info.id, entry)
    this.changed.add(info.id)
    if (long) this.incomplete.add(info.id)
  }

  /** @param {string} id @param {number} cursor */
  #remove(id, cursor) {
    const entry = this.#byId.get(id)
    if (!entry || cursor <= entry.cursor) return
    this.#byId.delete(id)
    this.entries.splice(this.entries.indexOf(entry), 1)
    this.changed.add(id)
  }

  /** @param {Entry} entry @param {Part} part */
  #setPart(entry, part) {
    const index = entry.parts.findIndex((known) => known.id === part.id)
    if (index < 0) entry.parts.push(part)
    else entry.parts[index] = part
    if (part.type === 'tool' && part.state.status !== 'running') entry.output.delete(part.id)
  }

  /**
   * @param {Entry} entry
   * @param {string} partID
   * @param {string} field
   * @param {string} delta
   */
  #grow(entry, partID, field, delta) {
    const part = entry.parts.find((known) => known.id === partID)
    if (part && field === 'text' && 'text' in part) part.text += delta
    else if (part && field === 'output') entry.output.set(partID, (entry.output.get(partID) ?? '') + delta)
  }
}
