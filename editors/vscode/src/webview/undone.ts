// What is undone: hidden until the undo is taken back, with what happened to files in its place.
import type { SessionRevert } from '@polytree/protocol'
import { undoneFiles } from './format'
import { element } from './parts'

/** Hides what is undone of the messages, and says so below them. Nothing is undone without `revert`. */
export function showUndone(messages: HTMLElement, revert: SessionRevert | undefined, directory: string, takeBack: () => void): void {
  messages.querySelector('.undone-note')?.remove()
  for (const hidden of messages.querySelectorAll<HTMLElement>('.undone')) hidden.classList.remove('undone')
  if (!revert) return
  const articles = [...messages.querySelectorAll<HTMLElement>('article')]
  const first = articles.findIndex((article) => article.dataset['message'] === revert.messageID)
  let prompts = 0
  // A message that is not loaded is older than those that are.
  articles.slice(Math.max(first, 0)).forEach((article, index) => {
    const parts = index === 0 && first >= 0 && revert.partID ? [...article.querySelectorAll<HTMLElement>('[data-part]')] : []
    const from = parts.findIndex((part) => part.dataset['part'] === revert.partID)
    if (from >= 0) for (const part of parts.slice(from)) part.classList.add('undone')
    else article.classList.add('undone')
    if (from < 0 && article.classList.contains('user')) prompts += 1
  })
  const what =
    prompts === 0 ? 'The rest of this answer is undone.' : prompts === 1 ? '1 prompt and its answer are undone.' : `${prompts} prompts and their answers are undone.`
  const button = element('button', { type: 'button', class: 'unrevert' }, 'Take back')
  button.addEventListener('click', takeBack)
  const list = undoneFiles(revert, directory).map((line) => element('li', {}, line))
  messages.append(
    element('div', { class: 'undone-note', role: 'status' }, `${what} The next prompt removes it for good. `, button, ...(list.length > 0 ? [element('ul', {}, ...list)] : [])),
  )
}
