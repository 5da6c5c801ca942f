// Plays recorded conversations into the chat's page, in a plain browser; see tests/editors/replay.mjs.
import type { AnyEvent, MessageWithParts, Session } from '@polytree/protocol'
import { Conversation } from '../src/conversation'
import { Feed, shown } from '../src/feed'
import { render, renderGrowing } from '../src/webview/markdown'
import type { ToPage } from '../src/webview/messages'

interface Transcript {
  session: Session
  events: AnyEvent[]
  messages: MessageWithParts[]
}

declare global {
  interface Window {
    replay: { grow(transcript: Transcript): Promise<string>; whole(transcript: Transcript): Promise<string>; prefixes(text: string): string | undefined }
  }
}

const sessionMessage = (session: Session): ToPage => ({ type: 'session', session, status: { type: 'idle' }, choice: { agent: 'build', model: 'local/small', mode: 'ask' } })
// As `postMessage` does, which copies.
const say = (message: ToPage) => window.dispatchEvent(new MessageEvent('message', { data: structuredClone(message) }))
/** Longer than what collects deltas, and than the page waits before it renders a short text. */
const settled = () => new Promise((resolve) => setTimeout(() => requestAnimationFrame(() => setTimeout(resolve, 60)), 60))

function text(): string {
  const messages = document.getElementById('messages')
  // One element on each line, so that a difference is a line.
  return `${messages?.innerHTML.replace(/(<\/(?:article|h2|div|p|pre|details|summary|li|ul|ol|table|tr|th|td|blockquote)>)/g, '$1\n')}`
}

window.replay = {
  async grow({ session, events, messages }) {
    const conversation = new Conversation(session.id)
    conversation.prepend([], true)
    say({ type: 'all', entries: [], complete: true })
    const feed = new Feed({
      send: say,
      sessionChanged: () => say(sessionMessage(conversation.session ?? session)),
      unresolved: (messageID) => {
        const read = messages.find(({ info }) => info.id === messageID)
        if (!read) return
        conversation.replace(read)
        say({ type: 'entry', entry: shown(read) })
      },
    })
    for (const event of structuredClone(events)) {
      const part = event.type === 'message.part.updated' && event.properties.part.type === 'text' ? event.properties.part.id : undefined
      const element = () => document.querySelector(`[data-part="${part}"]`)?.innerHTML
      if (part) await settled()
      const before = part && element()
      feed.take(conversation, event)
      if (part && before) {
        // What deltas have made of a text is what it is when it is sent whole.
        await settled()
        if (element() !== before) throw new Error(`the deltas made\n${before}\nthe text is\n${element()}`)
      }
      // Some are rendered by themselves, some with others.
      if (event.cursor % 4 === 0) await settled()
    }
    feed.flush()
    await settled()
    return text()
  },
  /** Renders every beginning of a text, once growing and once anew; answers the first beginning that differs. */
  prefixes(text) {
    const [grown, anew] = [document.createElement('div'), document.createElement('div')]
    for (let length = 1; length <= text.length; length += 1) {
      renderGrowing(text.slice(0, length), grown)
      render(text.slice(0, length), anew)
      if (grown.innerHTML !== anew.innerHTML) return text.slice(0, length)
    }
    return undefined
  },
  async whole({ session, messages, events }) {
    const conversation = new Conversation(session.id)
    conversation.prepend(structuredClone(messages), true)
    say({ type: 'all', entries: conversation.entries.map(shown), complete: true })
    const last = events.filter((event) => event.type === 'session.updated').at(-1)
    say(sessionMessage(last?.properties.info ?? session))
    await settled()
    return text()
  },
}
