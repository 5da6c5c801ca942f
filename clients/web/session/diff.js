// A unified diff as an element: lines are marked by colour and sign, and numbered.
import { h } from '../dom.js'
import { exact } from '../visible.js'

// Longer diffs are cut until the user asks for all of it.
const SHOWN = 20_000
const KINDS = /** @type {Record<string, string>} */ ({ '+': 'added', '-': 'removed', '@': 'place', '\\': 'place' })

/**
 * Invisible characters are spelled out.
 * @param {string} diff
 * @param {number} [most] so many characters are shown at first
 */
export function diffView(diff, most = SHOWN) {
  const element = h('pre', { class: 'diff', tabIndex: 0 }, ...rows(diff.slice(0, most)))
  if (diff.length > most) {
    const all = () => element.replaceChildren(...rows(diff))
    element.append(h('button', { type: 'button', class: 'small', onclick: all }, `Show all ${diff.split('\n').length.toLocaleString()} lines`))
  }
  return element
}

/** @param {string} diff */
function rows(diff) {
  let [before, after] = [0, 0]
  // How much of a hunk is left: inside of one, what looks like a header is a line of the file.
  let [old, now] = [0, 0]
  return diff.trimEnd().split('\n').map((line) => {
    const sign = line.charAt(0)
    const row = (/** @type {string | undefined} */ kind, /** @type {number | string} */ number) => h('span', { class: kind, 'data-line': number }, `${exact(line)}\n`)
    if (old <= 0 && now <= 0) {
      const place = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))?/.exec(line)
      if (place) [before, old, after, now] = [Number(place[1]), Number(place[2] ?? 1), Number(place[3]), Number(place[4] ?? 1)]
      return row(/^(\+\+\+|---) /.test(line) ? 'place' : KINDS[sign], '')
    }
    if (sign === '\\') return row('place', '')
    const number = sign === '-' ? before : after
    if (sign !== '+') [before, old] = [before + 1, old - 1]
    if (sign !== '-') [after, now] = [after + 1, now - 1]
    return row(KINDS[sign], number)
  })
}
