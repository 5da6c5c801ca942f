// Markdown to elements: CommonMark with tables, code highlighted, no HTML of the model's own, links only to the web and to
// files of the workspace.
import hljs from 'highlight.js/lib/core'
import bash from 'highlight.js/lib/languages/bash'
import c from 'highlight.js/lib/languages/c'
import cpp from 'highlight.js/lib/languages/cpp'
import csharp from 'highlight.js/lib/languages/csharp'
import css from 'highlight.js/lib/languages/css'
import diff from 'highlight.js/lib/languages/diff'
import go from 'highlight.js/lib/languages/go'
import java from 'highlight.js/lib/languages/java'
import javascript from 'highlight.js/lib/languages/javascript'
import json from 'highlight.js/lib/languages/json'
import lua from 'highlight.js/lib/languages/lua'
import php from 'highlight.js/lib/languages/php'
import python from 'highlight.js/lib/languages/python'
import ruby from 'highlight.js/lib/languages/ruby'
import rust from 'highlight.js/lib/languages/rust'
import sql from 'highlight.js/lib/languages/sql'
import typescript from 'highlight.js/lib/languages/typescript'
import xml from 'highlight.js/lib/languages/xml'
import yaml from 'highlight.js/lib/languages/yaml'
import MarkdownIt from 'markdown-it'

const languages = { bash, c, cpp, csharp, css, diff, go, java, javascript, json, lua, php, python, ruby, rust, sql, typescript, xml, yaml }
for (const [name, language] of Object.entries(languages)) hljs.registerLanguage(name, language)

/** Longer code is not highlighted, in characters. */
const MAX_HIGHLIGHTED = 100_000
/** Longer texts are shown as they are, in characters. */
const MAX_MARKDOWN = 1_000_000

const markdown = new MarkdownIt({
  html: false,
  linkify: false,
  highlight: (code, language) => {
    if (code.length > MAX_HIGHLIGHTED || !hljs.getLanguage(language)) return ''
    return hljs.highlight(code, { language, ignoreIllegals: true }).value
  },
})
// A picture of a model's choice would tell its server that somebody looks.
markdown.disable('image')
markdown.validateLink = (url) => /^(https?:|mailto:|[^:]*$)/i.test(url)

/** Renders into an element. The text is never trusted: markdown-it escapes it, and HTML is off. */
export function render(text: string, into: HTMLElement): void {
  if (text.length > MAX_MARKDOWN) {
    const plain = document.createElement('pre')
    plain.textContent = text
    into.replaceChildren(plain)
    return
  }
  into.innerHTML = markdown.render(text)
  for (const code of into.querySelectorAll('pre')) code.append(copyButton(code))
}

/** What of a growing text is rendered for good: so many characters, up to this node. */
const settled = new WeakMap<HTMLElement, { length: number; last: ChildNode | null }>()

/** Renders a text that grows: only what comes after its last complete block is rendered again. */
export function renderGrowing(text: string, into: HTMLElement): void {
  const known = settled.get(into)
  const state = known && known.length <= text.length ? known : { length: 0, last: null }
  if (!state.last) into.replaceChildren()
  while (into.lastChild && into.lastChild !== state.last) into.lastChild.remove()
  const add = (piece: string) => {
    const block = document.createElement('div')
    render(piece, block)
    into.append(...block.childNodes)
  }
  const complete = completeLength(text.slice(state.length))
  if (complete > 0) {
    add(text.slice(state.length, state.length + complete))
    state.length += complete
    state.last = into.lastChild
  }
  if (text.length > state.length) add(text.slice(state.length))
  settled.set(into, state)
}

/**
 * How much of a text no later text can change: up to an empty line outside of a fence, before a line that begins a paragraph,
 * a heading or a fence and so continues no list and no quote.
 */
function completeLength(text: string): number {
  let complete = 0
  let at = 0
  let fence = ''
  let isAfterEmpty = false
  for (const line of text.split('\n')) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1]
    if (isAfterEmpty && !fence && at > 0 && /^(?:[\p{L}`~"(]|\*\*|#{1,6} )/u.test(line)) complete = at
    if (mark && !fence) fence = mark
    else if (mark && fence && mark.startsWith(fence) && line.trim() === mark) fence = ''
    isAfterEmpty = line.trim() === ''
    at += line.length + 1
  }
  return complete
}

function copyButton(code: HTMLElement): HTMLElement {
  const button = document.createElement('button')
  button.type = 'button'
  button.className = 'copy'
  button.textContent = 'Copy'
  const text = code.textContent ?? ''
  button.addEventListener('click', () => void navigator.clipboard.writeText(text))
  return button
}
