// The part of Markdown that models write, as elements: headings, lists, quotes, tables, code, emphasis, links. Nothing is
// ever parsed as markup; links are plain http(s), pictures are not loaded. The text may be hostile: every step takes time
// in proportion to its length, and nothing nests deeper than the limits below. A text that grows is drawn again only from
// the first block that differs.
import { h } from './dom.js'

/** @typedef {HTMLElement & { source?: string }} Drawn */
/** @typedef {'code' | 'heading' | 'rule' | 'quote' | 'list' | 'table' | 'paragraph'} Kind */
/** @typedef {{ kind: Kind, lines: string[] }} Block */
/** @typedef {string | Node} Inline */

/** The limit of nested lists and quotes; deeper ones are shown as text. */
const MOST_NESTED = 12
/** The limit of open emphasis; the oldest is dropped. */
const MOST_OPEN = 32
/** The limit of cells; a line with more is not a table. */
const MOST_CELLS = 200

const FENCE = /^( *)(`{3,}|~{3,})([^`]*)$/
const HEADING = /^ {0,3}(#{1,6})(?=[ \t]|$)/
const UNDERLINE = /^ {0,3}(?:=+|-+) *$/
const QUOTE = /^ {0,3}> ?/
const ITEM = /^( *)([-*+]|\d{1,9}[.)])( +|$)/

// ---- blocks

/**
 * Makes `parent` show the text.
 * @param {HTMLElement} parent
 * @param {string} text
 */
export function drawMarkdown(parent, text) {
  let there = /** @type {Drawn | null} */ (parent.firstElementChild)
  for (const source of blocksOf(text)) {
    const next = /** @type {Drawn | null} */ (there?.nextElementSibling ?? null)
    if (there?.source !== source) {
      const drawn = /** @type {Drawn} */ (elements(source.split('\n'), 0)[0])
      drawn.source = source
      if (there) there.replaceWith(drawn)
      else parent.append(drawn)
    }
    there = next
  }
  while (there) {
    const next = /** @type {Drawn | null} */ (there.nextElementSibling)
    there.remove()
    there = next
  }
}

/**
 * Cuts a text into its outermost blocks. While a text grows, all but the last stay as they are.
 * @param {string} text
 * @returns {string[]}
 */
export function blocksOf(text) {
  return cut(text.split('\n')).map(({ lines }) => lines.join('\n'))
}

/** @param {string[]} lines @returns {Block[]} */
function cut(lines) {
  /** @type {Block[]} */
  const blocks = []
  let at = 0
  while (at < lines.length) {
    if (isBlank(lines[at])) {
      at++
      continue
    }
    const kind = kindOf(lines, at)
    const end = ENDS[kind](lines, at)
    blocks.push({ kind, lines: lines.slice(at, end) })
    at = end
  }
  return blocks
}

/** @param {string | undefined} line */
const isBlank = (line) => line === undefined || line.trim() === ''

/** @param {string} line */
const indentOf = (line) => line.length - line.trimStart().length

/** @param {string} line */
function isRule(line) {
  return /^ {0,3}[-*_]/.test(line) && /^([-*_])\1{2,}$/.test(line.replaceAll(' ', ''))
}

/** @param {string[]} lines @param {number} at @returns {Kind} */
function kindOf(lines, at) {
  const line = lines[at] ?? ''
  if (FENCE.test(line)) return 'code'
  if (HEADING.test(line)) return 'heading'
  if (isRule(line)) return 'rule'
  if (QUOTE.test(line)) return 'quote'
  if (ITEM.test(line)) return 'list'
  return isTable(line, lines[at + 1]) ? 'table' : 'paragraph'
}

/** Where a block of each kind ends. @type {Record<Kind, (lines: string[], at: number) => number>} */
const ENDS = {
  code: codeEnd,
  heading: (_, at) => at + 1,
  rule: (_, at) => at + 1,
  quote: (lines, at) => whileTrue(lines, at, (line) => QUOTE.test(line)),
  list: (lines, at) => readList(lines, at).end,
  table: (lines, at) => whileTrue(lines, at, (line) => line.includes('|')),
  paragraph: paragraphEnd,
}

/** @param {string[]} lines @param {number} at @param {(line: string) => boolean} holds */
function whileTrue(lines, at, holds) {
  let end = at + 1
  while (end < lines.length && holds(lines[end] ?? '')) end++
  return end
}

/** Whether a line closes the fence that another has opened. @param {string} line @param {string} fence */
function closes(line, fence) {
  const mark = line.trim()
  return mark.startsWith(fence) && FENCE.exec(mark)?.[2] === mark
}

/** @param {string[]} lines @param {number} at */
function codeEnd(lines, at) {
  const fence = FENCE.exec(lines[at] ?? '')?.[2] ?? ''
  const end = whileTrue(lines, at, (line) => !closes(line, fence))
  return Math.min(end + 1, lines.length)
}

/** @param {string[]} lines @param {number} at */
function paragraphEnd(lines, at) {
  for (let end = at + 1; end < lines.length; end++) {
    const line = lines[end] ?? ''
    if (isBlank(line)) return end
    if (UNDERLINE.test(line)) return end + 1
    const kind = kindOf(lines, end)
    // "in the year\n1984. What a year" is not a list.
    const isList = kind === 'list' && /^ *(?:[-*+]|1[.)]) /.test(line)
    if (isList || (kind !== 'list' && kind !== 'paragraph')) return end
  }
  return lines.length
}

/**
 * Reads a list: the lines of each item without the marker and the indentation.
 * @param {string[]} lines
 * @param {number} at
 */
function readList(lines, at) {
  /** @type {string[][]} */
  const items = []
  const isOrdered = (/** @type {string} */ marker) => /^\d/.test(marker)
  const ordered = isOrdered(ITEM.exec(lines[at] ?? '')?.[2] ?? '')
  let isLoose = false
  let wasBlank = false
  let fence = ''
  // The column of the current item's text, and the least one of what belongs to it: models indent by two below "1.".
  let column = 0
  let least = 0
  let end = at
  for (; end < lines.length; end++) {
    const line = lines[end] ?? ''
    const item = items.at(-1)
    if (isBlank(line)) {
      item?.push('')
      wasBlank = true
      continue
    }
    const indent = indentOf(line)
    const inside = item && (fence !== '' || indent >= least)
    const marker = inside ? null : ITEM.exec(line)
    if (inside) {
      if (fence === '') column = Math.min(column, indent)
      item.push(line.slice(Math.min(column, indent)))
    } else if (marker && isOrdered(marker[2] ?? '') === ordered && !isRule(line)) {
      const [all, , sign = '', space = ''] = marker
      column = space.length > 4 ? indent + sign.length + 1 : all.length + (space ? 0 : 1)
      least = Math.min(column, indent + 2)
      items.push([line.slice(column)])
    } else if (item && !wasBlank && kindOf(lines, end) === 'paragraph') item.push(line.trim())
    else break
    if (wasBlank) isLoose = true
    wasBlank = false
    const text = items.at(-1)?.at(-1) ?? ''
    if (fence) fence = closes(text, fence) ? '' : fence
    else fence = FENCE.exec(text)?.[2] ?? ''
  }
  while (isBlank(lines[end - 1])) end--
  return { items, ordered, isLoose, end }
}

/** @param {string} line @returns {string[]} */
function cellsOf(line) {
  const cells = ['']
  for (const piece of line.trim().split('|')) {
    const last = cells.length - 1
    cells[last] += piece
    if (piece.endsWith('\\')) cells[last] = `${cells[last]?.slice(0, -1)}|`
    else cells.push('')
  }
  cells.pop()
  if (cells[0] === '') cells.shift()
  if (cells.length > 1 && cells.at(-1) === '') cells.pop()
  return cells.map((cell) => cell.trim())
}

/** @param {string} head @param {string | undefined} line */
function isTable(head, line) {
  if (!head.includes('|') || !line?.includes('-') || !/^[\s|:-]+$/.test(line)) return false
  const cells = cellsOf(line)
  return cells.length <= MOST_CELLS && cells.every((cell) => /^:?-+:?$/.test(cell)) && cellsOf(head).length === cells.length
}

// ---- elements

/** @param {string[]} lines @param {number} depth @returns {HTMLElement[]} */
function elements(lines, depth) {
  if (depth > MOST_NESTED) return [h('p', {}, lines.join('\n'))]
  return cut(lines).map((block) => MAKERS[block.kind](block.lines, depth))
}

/** @type {Record<Kind, (lines: string[], depth: number) => HTMLElement>} */
const MAKERS = {
  code(lines) {
    const [, indent = '', fence = '', info = ''] = FENCE.exec(lines[0] ?? '') ?? []
    const isClosed = lines.length > 1 && closes(lines.at(-1) ?? '', fence)
    const body = lines.slice(1, isClosed ? -1 : undefined).map((line) => line.slice(Math.min(indent.length, indentOf(line))))
    const language = info.trim().split(/\s/)[0]
    return h('pre', { class: 'code', 'data-language': language || null, tabIndex: 0 }, h('code', {}, body.join('\n')))
  },
  heading(lines) {
    const line = lines[0] ?? ''
    const level = HEADING.exec(line)?.[1]?.length ?? 1
    return heading(level, line.trim().slice(level).trim())
  },
  rule: () => h('hr'),
  quote: (lines, depth) => h('blockquote', {}, elements(lines.map((line) => line.replace(QUOTE, '')), depth + 1)),
  list(lines, depth) {
    const { items, ordered, isLoose } = readList(lines, 0)
    const entries = items.map((item) => entry(item, isLoose, depth))
    return ordered ? h('ol', { start: Number.parseInt(lines[0]?.trim() ?? '1') }, entries) : h('ul', {}, entries)
  },
  table(lines) {
    const columns = cellsOf(lines[0] ?? '')
    const sides = cellsOf(lines[1] ?? '').map((cell) => (cell.endsWith(':') ? (cell.startsWith(':') ? 'middle' : 'right') : null))
    const row = (/** @type {string} */ line) => {
      const cells = cellsOf(line)
      return h('tr', {}, columns.map((_, index) => h('td', { class: sides[index] }, inline(cells[index] ?? ''))))
    }
    const head = h('tr', {}, columns.map((cell, index) => h('th', { scope: 'col', class: sides[index] }, inline(cell))))
    return h('div', { class: 'scrolls', tabIndex: 0 }, h('table', {}, h('thead', {}, head), h('tbody', {}, lines.slice(2).map(row))))
  },
  paragraph(lines) {
    const last = lines.at(-1) ?? ''
    if (lines.length > 1 && UNDERLINE.test(last)) return heading(last.includes('=') ? 1 : 2, lines.slice(0, -1).join('\n').trim())
    return h('p', {}, inline(lines.map((line) => line.trim()).join('\n')))
  },
}

/** @param {number} level @param {string} text */
function heading(level, text) {
  let end = text.length
  while (text[end - 1] === '#') end--
  const closed = end < text.length && (end === 0 || /\s/.test(text[end - 1] ?? ''))
  return h('p', { class: 'heading', role: 'heading', 'aria-level': String(level + 2) }, inline(closed ? text.slice(0, end).trimEnd() : text))
}

/** @param {string[]} lines @param {boolean} isLoose @param {number} depth */
function entry(lines, isLoose, depth) {
  const task = /^\[([ xX])\] /.exec(lines[0] ?? '')
  if (task) lines = [lines[0]?.slice(4) ?? '', ...lines.slice(1)]
  /** @type {Node[]} */
  const children = elements(lines, depth + 1)
  const first = children[0]
  if (!isLoose && first instanceof HTMLParagraphElement && !first.className) children.splice(0, 1, ...first.childNodes)
  const done = task?.[1] !== ' '
  const box = task ? h('span', { role: 'img', 'aria-label': done ? 'done' : 'to do' }, done ? '☑' : '☐') : null
  return h('li', { class: task ? 'task' : null }, box, task ? ' ' : null, children)
}

// ---- text

/** An open `*`, `**`, `_`, `~~` or `[`, and what has come since. @typedef {{ sign: string, count: number, nodes: Inline[], end: number, url: string }} Open */

const SPECIAL = /[\\`*_~[\]<]|!\[|https?:\/\//g
const BARE = /https?:\/\/[^\s<>()`"'*]*[^\s<>()`"'*.,;:!?_~\]]/y
const ANGLED = /<(https?:\/\/[^\s<>]+)>/y
const BREAK = /<br ?\/?>/y
const TARGET = /\(<?(https?:\/\/[^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*)>?(?: +["'][^"'\n()]*["'])?\)/y

/** @param {RegExp} pattern a sticky one @param {string} text @param {number} at */
function matchAt(pattern, text, at) {
  pattern.lastIndex = at
  return pattern.exec(text)
}

/** Where each run of backticks that opens a code span is closed. @param {string} text */
function codeSpans(text) {
  const runs = [...text.matchAll(/`+/g)]
  /** @type {Map<number, number>} */
  const next = new Map()
  /** @type {Map<number, { from: number, to: number, end: number }>} */
  const spans = new Map()
  for (const { index, 0: run } of runs.reverse()) {
    const to = next.get(run.length)
    if (to !== undefined) spans.set(index, { from: index + run.length, to, end: to + run.length })
    next.set(run.length, index)
  }
  return spans
}

/**
 * The brackets that begin a link: where its text ends, where the link ends, and where it leads.
 * @param {string} text
 * @param {ReturnType<typeof codeSpans>} spans
 */
function linksOf(text, spans) {
  /** @type {Map<number, { close: number, end: number, url: string }>} */
  const links = new Map()
  if (!text.includes('](')) return links
  /** @type {number[]} */
  const open = []
  for (let at = 0; at < text.length; at++) {
    const sign = text[at]
    if (sign === '\\') at++
    else if (sign === '`') {
      const end = spans.get(at)?.end
      while (end === undefined && text[at + 1] === '`') at++
      if (end !== undefined) at = end - 1
    } else if (sign === '[') open.push(at)
    else if (sign === ']') {
      const from = open.pop()
      const target = from !== undefined && text[at + 1] === '(' ? matchAt(TARGET, text, at + 1) : null
      if (from === undefined || !target) continue
      links.set(from, { close: at, end: at + 1 + target[0].length, url: target[1] ?? '' })
      // Links are not nested.
      open.length = 0
    }
  }
  return links
}

/**
 * @param {string} text
 * @returns {Inline[]}
 */
export function inline(text) {
  const spans = codeSpans(text)
  const links = linksOf(text, spans)
  /** @type {Open[]} */
  const stack = [{ sign: '', count: 0, nodes: [], end: 0, url: '' }]
  const top = () => /** @type {Open} */ (stack.at(-1))
  const put = (/** @type {Inline} */ node, { nodes } = top()) => {
    const last = nodes.length - 1
    if (typeof node === 'string' && typeof nodes[last] === 'string') nodes[last] += node
    else if (node !== '') nodes.push(node)
  }
  /** What was open at this place of the stack is text after all. */
  const giveUp = (/** @type {number} */ index) => {
    const [{ sign, count, nodes } = top()] = stack.splice(index, 1)
    const below = /** @type {Open} */ (stack[index - 1])
    put(sign.repeat(count), below)
    for (const node of nodes) put(node, below)
  }
  const begin = (/** @type {string} */ sign, /** @type {number} */ count, end = 0, url = '') => {
    if (stack.length > MOST_OPEN) giveUp(1)
    stack.push({ sign, count, nodes: [], end, url })
  }
  let at = 0
  while (at < text.length) {
    SPECIAL.lastIndex = at
    const found = SPECIAL.exec(text)
    if (!found) break
    put(text.slice(at, found.index))
    at = found.index
    const sign = text[at] ?? ''
    if (sign === '\\') {
      const isEscape = /[!-/:-@[-`{-~]/.test(text[at + 1] ?? '')
      put(isEscape ? (text[at + 1] ?? '') : sign)
      at += isEscape ? 2 : 1
    } else if (sign === '`') {
      const span = spans.get(at)
      const body = span ? text.slice(span.from, span.to) : ''
      let end = span?.end ?? at + 1
      while (!span && text[end] === '`') end++
      put(span ? h('code', {}, body.trim() || body) : text.slice(at, end))
      at = end
    } else if (sign === '[' || sign === '!') {
      const bracket = sign === '!' ? at + 1 : at
      const link = links.get(bracket)
      // Images are not loaded, but shown as links.
      if (link) begin('[', 1, link.close, link.url)
      else put(text.slice(at, bracket + 1))
      at = bracket + 1
    } else if (sign === ']') {
      const open = stack.findLastIndex((one) => one.sign === '[' && one.end === at)
      const end = open > 0 ? at + 1 + (matchAt(TARGET, text, at + 1)?.[0].length ?? 0) : at + 1
      if (open < 1) put(sign)
      else {
        while (stack.length - 1 > open) giveUp(stack.length - 1)
        const { nodes, url } = /** @type {Open} */ (stack.pop())
        put(anchor(url, nodes.length ? nodes : [url]))
      }
      at = end
    } else if (sign === '<' || sign === 'h') {
      const angled = sign === '<' ? matchAt(ANGLED, text, at) : null
      const newLine = sign === '<' ? matchAt(BREAK, text, at) : null
      const bare = sign === 'h' ? matchAt(BARE, text, at) : null
      const url = angled?.[1] ?? bare?.[0]
      put(url ? anchor(url, [url]) : newLine ? '\n' : sign)
      at += (angled ?? newLine ?? bare)?.[0].length ?? 1
    } else {
      let end = at + 1
      while (text[end] === sign) end++
      emphasis(sign, at, end)
      at = end
    }
  }
  put(text.slice(at))
  while (stack.length > 1) giveUp(stack.length - 1)
  return top().nodes

  /** A run of `*`, `_` or `~` closes what is open, and opens what is not. @param {string} sign @param {number} from @param {number} to */
  function emphasis(sign, from, to) {
    let count = to - from
    const [before, after] = [text[from - 1] ?? ' ', text[to] ?? ' ']
    const [isSpaceBefore, isSpaceAfter] = [/\s/.test(before), /\s/.test(after)]
    const [isWordBefore, isWordAfter] = [/[\p{L}\p{N}_]/u.test(before), /[\p{L}\p{N}_]/u.test(after)]
    // "**Note:**text" is meant; "2*3*4" and "a_b_c" are not.
    const isStrong = count > 1 && sign !== '_'
    const canClose = !isSpaceBefore && (isStrong || !isWordAfter)
    const canOpen = !isSpaceAfter && (isStrong || !isWordBefore)
    const isMark = sign === '~' ? count === 2 : count <= 3
    while (isMark && canClose && count > 0) {
      const open = stack.findLastIndex((one) => one.sign === sign || one.sign === '[')
      const start = stack[open]
      if (open < 1 || start?.sign !== sign || (start.nodes.length === 0 && open === stack.length - 1)) break
      while (stack.length - 1 > open) giveUp(stack.length - 1)
      const used = Math.min(2, start.count, count)
      const element = h(sign === '~' ? 's' : used === 2 ? 'strong' : 'em', {}, start.nodes)
      count -= used
      start.count -= used
      if (start.count === 0) {
        stack.pop()
        put(element)
      } else start.nodes = [element]
    }
    if (isMark && canOpen && count > 0) begin(sign, count)
    else put(sign.repeat(count))
  }
}

/** @param {string} url @param {Inline[]} label */
function anchor(url, label) {
  return h('a', { href: url, target: '_blank', rel: 'noopener noreferrer', title: label.length === 1 && label[0] === url ? null : url }, label)
}
