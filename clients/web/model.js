// The page's model of the daemon: projects, sessions, statuses, open questions, and the chosen session's messages. Pure:
// takes events and answers, and calls `on...`. No elements, no network.
/** @import { AnyEvent, Part, Permission, Project, QueuedPrompt, Session, SessionStatus, Todo } from 'polytree' */
import { History, withoutReferences } from './history.js'

/** @typedef {{ sessions: Session[], projects: Project[], status: Record<string, SessionStatus>, permissions: Permission[] }} Lists */

/** @type {SessionStatus} */
const IDLE = { type: 'idle' }

export class Model {
  /** @type {Map<string, Session>} */
  sessions = new Map()
  /** @type {Map<string, Project>} */
  projects = new Map()
  /** Those that are not idle. @type {Map<string, SessionStatus>} */
  #status = new Map()
  /** @type {Map<string, string[]>} */
  #queues = new Map()
  /** Sessions whose queue has been read or told. @type {Set<string>} */
  #known = new Set()
  /** The parts of prompts that wait, where no message has them. @type {Map<string, Part[]>} */
  waiting = new Map()
  /** Prompts that this page has sent into a running turn. @type {Set<string>} */
  steering = new Set()
  /** The task list of the chosen session. @type {Todo[]} */
  todos = []
  /** What is being read and no event has told meanwhile. @type {Set<string>} */
  #awaited = new Set()
  /** Open questions, oldest first. @type {Map<string, Permission>} */
  permissions = new Map()
  /** The chosen session. @type {History | null} */
  history = null
  /** The cursor of the last read of the lists. */
  #listed = 0
  /** There are more sessions. */
  moreSessions = false

  /** Sessions, projects, status, queues have changed. */
  onLists = () => {}
  /** Open questions have changed. */
  onAsks = () => {}
  /** The chosen session's messages have changed. */
  onHistory = () => {}
  /** The chosen session's task list has changed. */
  onTodos = () => {}
  /** Something worth telling to who cannot see it. @type {(event: AnyEvent) => void} */
  onNews = () => {}

  /** @param {string} sessionID @returns {SessionStatus} */
  status(sessionID) {
    return this.#status.get(sessionID) ?? IDLE
  }

  /** @param {string} sessionID */
  knowsQueue(sessionID) {
    return this.#known.has(sessionID)
  }

  /** @param {string} sessionID @returns {string[]} */
  queue(sessionID) {
    return this.#queues.get(sessionID) ?? []
  }

  /**
   * Sets lists that were read at or after `cursor`; earlier events are already contained.
   * @param {Lists} lists
   * @param {number} cursor
   */
  takeLists(lists, cursor) {
    this.sessions = new Map(lists.sessions.map((session) => [session.id, session]))
    this.projects = new Map(lists.projects.map((project) => [project.id, project]))
    this.#status = new Map(Object.entries(lists.status))
    this.permissions = new Map(lists.permissions.map((permission) => [permission.id, permission]))
    this.#listed = cursor
    this.onLists()
    this.onAsks()
  }

  /** Takes sessions of a further page or a search. @param {Session[]} sessions */
  addSessions(sessions) {
    for (const session of sessions) {
      const known = this.sessions.get(session.id)
      if (!known || known.time.updated <= session.time.updated) this.sessions.set(session.id, session)
    }
    this.onLists()
  }

  /**
   * Reads what events tell as a whole too: an event that arrives meanwhile is newer.
   * @template T
   * @param {string} key
   * @param {() => Promise<T>} read
   * @param {(result: T) => void} take
   */
  async refresh(key, read, take) {
    this.#awaited.add(key)
    const result = await read()
    if (this.#awaited.delete(key)) take(result)
  }

  /** @param {string} sessionID @param {QueuedPrompt[]} prompts */
  takeQueue(sessionID, prompts) {
    for (const { messageID, parts } of prompts) this.waiting.set(messageID, parts)
    this.setQueue(sessionID, prompts.map(({ messageID }) => messageID))
  }

  /** @param {string} sessionID @param {Todo[]} todos */
  setTodos(sessionID, todos) {
    if (this.history?.sessionID !== sessionID) return
    this.todos = todos
    this.onTodos()
  }

  /** @param {string} sessionID @param {string[]} queue */
  setQueue(sessionID, queue) {
    this.#known.add(sessionID)
    for (const id of this.queue(sessionID)) if (!queue.includes(id)) for (const known of [this.waiting, this.steering]) known.delete(id)
    if (queue.length) this.#queues.set(sessionID, queue)
    else this.#queues.delete(sessionID)
    this.onLists()
    if (this.history?.sessionID === sessionID) this.onHistory()
  }

  /** Chooses the session whose messages are kept. @param {string | null} sessionID */
  choose(sessionID) {
    if (this.history?.sessionID !== sessionID) this.todos = []
    this.history = sessionID ? new History(sessionID) : null
    this.onTodos()
    this.onHistory()
    return this.history
  }

  /** @param {AnyEvent} event */
  apply(event) {
    if (event.type.startsWith('message.')) {
      if (this.history && event.sessionID === this.history.sessionID) {
        this.history.apply(event)
        this.onHistory()
      }
    } else if (event.type === 'session.queue.updated') {
      const { sessionID, queue } = event.properties
      this.#awaited.delete(`queue ${sessionID}`)
      this.setQueue(sessionID, queue)
    } else if (event.type === 'todo.updated') {
      const { sessionID, todos } = event.properties
      withoutReferences(todos)
      this.#awaited.delete(`todos ${sessionID}`)
      this.setTodos(sessionID, /** @type {Todo[]} */ (todos))
    } else if (event.cursor > this.#listed) {
      this.#applyToLists(event)
    }
  }

  /** @param {AnyEvent} event */
  #applyToLists(event) {
    switch (event.type) {
      case 'project.updated':
        this.projects.set(event.properties.info.id, event.properties.info)
        break
      case 'session.created':
      case 'session.updated':
        this.sessions.set(event.properties.info.id, event.properties.info)
        break
      case 'session.deleted': {
        const id = event.properties.info.id
        this.sessions.delete(id)
        this.#status.delete(id)
        this.#queues.delete(id)
        break
      }
      case 'session.status': {
        const { sessionID, status } = event.properties
        if (status.type === 'idle') this.#status.delete(sessionID)
        else this.#status.set(sessionID, status)
        if (this.history?.sessionID === sessionID) this.onHistory()
        break
      }
      case 'permission.asked':
        // Questions are always complete: their texts do not change.
        this.permissions.set(event.properties.id, /** @type {Permission} */ (event.properties))
        this.onAsks()
        break
      case 'permission.replied':
        this.permissions.delete(event.properties.permissionID)
        this.onAsks()
        break
      case 'session.idle':
      case 'session.error':
        break
      default:
        return
    }
    this.onNews(event)
    this.onLists()
  }
}
