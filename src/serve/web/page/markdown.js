// The little of Markdown that makes a model's answer readable, as elements. A text that grows is drawn again only from
// the first block that differs. Nothing is ever parsed as markup; links are plain http(s), pictures are not loaded.
import { h } from './dom.js'

/** @typedef {HTMLElement & { source?: string }} Block */

/**
 * Cuts a text into blocks: at empty lines, headings and fences.
 * @param {string} text
 * @returns {string[]}
 */
export function blocksOf(text) {
  /** @type {string[]} */
  const blocks = []
  /** @type {string[]} */
  let lines = []
  let fence = ''
  const end = () => {
    if (lines.length) blocks.push(lines.join('\n'))
    lines = []
  }
  for (const line of text.split('\n')) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1] ?? ''
    if (fence) {
      lines.push(line)
      if (mark.startsWith(fence) && line.trim() === mark) {
        fence = ''
        end()
      }
    } else if (mark) {
      end()
      fence = mark
      lines.push(line)
    } else if (line.trim() === '') end()
    else if (/^#{1,6} /.test(line)) {
      end()
      blocks.push(line)
    } else {
      const isItem = ITEM.test(line)
      const first = lines[0]
      // A list follows a paragraph without an empty line between them.
      if (isItem && first !== undefined && !ITEM.test(first)) end()
      lines.push(line)
    }
  }
  end()
  return blocks
}

const ITEM = /^\s*(?:[-*+]|\d+[.)])\s+/

/**
 * Makes `parent` show the text.
 * @param {HTMLElement} parent
 * @param {string} text
 */
export function drawMarkdown(parent, text) {
  const wanted = blocksOf(text)
  wanted.forEach((source, index) => {
    const there = /** @type {Block | undefined} */ (parent.children[index])
    if (there?.source === source) return
    /** @type {Block} */
    const block = element(source)
    block.source = source
    if (there) there.replaceWith(block)
    else parent.append(block)
  })
  while (parent.children.length > wanted.length) parent.lastElementChild?.remove()
}

/** @param {string} source @returns {HTMLElement} */
function element(source) {
  const lines = source.split('\n')
  const first = lines[0] ?? ''
  const fence = /^ {0,3}(`{3,}|~{3,})\s*(\S*)/.exec(first)
  if (fence) {
    const closed = lines.length > 1 && /^ {0,3}(`{3,}|~{3,})\s*$/.test(lines.at(-1) ?? '')
    return h('pre', { class: 'code', 'data-language': fence[2] || null, tabIndex: 0 }, h('code', {}, lines.slice(1, closed ? -1 : undefined).join('\n')))
  }
  const heading = /^(#{1,6}) +(.*?)(?: +#+)?$/.exec(first)
  if (heading) return h('p', { class: 'heading', role: 'heading', 'aria-level': String((heading[1] ?? '').length + 2) }, ...inline(heading[2] ?? ''))
  if (/^ {0,3}([-*_])( *\1){2,} *$/.test(source)) return h('hr')
  if (ITEM.test(first)) return list(lines)
  if (lines.every((line) => line.startsWith('>'))) return h('blockquote', {}, ...inline(lines.map((line) => line.replace(/^> ?/, '')).join('\n')))
  if (lines.length > 1 && lines.every((line) => line.includes('|')) && /^[\s|:-]+$/.test(lines[1] ?? '')) return table(lines)
  return h('p', {}, ...inline(source))
}

/** @param {string[]} lines */
function list(lines) {
  const ordered = /^\s*\d/.test(lines[0] ?? '')
  /** @type {{ depth: number, text: string }[]} */
  const items = []
  for (const line of lines) {
    const last = items.at(-1)
    if (ITEM.test(line) || !last) items.push({ depth: /^\s*/.exec(line)?.[0].length ?? 0, text: line.replace(ITEM, '') })
    else last.text += `\n${line.trim()}`
  }
  const entries = items.map(({ depth, text }) => h('li', { class: depth >= 2 ? 'deeper' : null }, ...inline(text)))
  return ordered ? h('ol', {}, ...entries) : h('ul', {}, ...entries)
}

/** @param {string[]} lines */
function table(lines) {
  const cells = (/** @type {string} */ line) => line.trim().replace(/^\||\|$/g, '').split('|').map((cell) => cell.trim())
  const [head = '', , ...rows] = lines
  return h(
    'div',
    { class: 'scrolls', tabIndex: 0 },
    h(
      'table',
      {},
      h('thead', {}, h('tr', {}, ...cells(head).map((cell) => h('th', { scope: 'col' }, ...inline(cell))))),
      h('tbody', {}, ...rows.map((row) => h('tr', {}, ...cells(row).map((cell) => h('td', {}, ...inline(cell)))))),
    ),
  )
}

const INLINE = /(`+)(?!`)(.+?)(?<!`)\1(?!`)|\*\*(?=\S)(.+?)\*\*|(?<![\w*])\*(?=[^\s*])([^*\n]+?)\*(?![\w*])|\[([^\]\n]+)\]\((https?:\/\/[^\s)]+)\)|(https?:\/\/[^\s<>()`"']*[^\s<>()`"'.,;:!?])/gs

/**
 * @param {string} text
 * @returns {(Node | string)[]}
 */
export function inline(text) {
  /** @type {(Node | string)[]} */
  const nodes = []
  let end = 0
  for (const match of text.matchAll(INLINE)) {
    if (match.index > end) nodes.push(text.slice(end, match.index))
    end = match.index + match[0].length
    const [, , code, strong, emphasis, label, target, bare] = match
    if (code !== undefined) nodes.push(h('code', {}, code.trim() || code))
    else if (strong !== undefined) nodes.push(h('strong', {}, ...inline(strong)))
    else if (emphasis !== undefined) nodes.push(h('em', {}, ...inline(emphasis)))
    else nodes.push(h('a', { href: target ?? bare, target: '_blank', rel: 'noopener noreferrer', title: target ?? null }, label ?? bare ?? ''))
  }
  if (end < text.length) nodes.push(text.slice(end))
  return nodes
}
