// Creates elements without markup in strings: data of the daemon only becomes text nodes or properties.

/** @typedef {Node | string | number | null | undefined | false | (Node | string)[]} Child */

/**
 * Creates an element. Properties that begin with `on` are listeners; `class`, names with a dash, and names without a
 * property are attributes; `null`, `undefined` and `false` are omitted.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (name in element && !name.includes('-')) Reflect.set(element, name, value)
    else element.setAttribute(name, value === true ? '' : String(value))
  }
  add(element, children)
  return element
}

/** One by one: a call with hundreds of thousands of arguments fails. @param {Element} element @param {Child[]} children */
function add(element, children) {
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) element.append(child instanceof Node ? child : String(child))
  }
}

/**
 * Replaces what an element contains.
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren()
  add(element, children)
}

/**
 * Sets the text if it differs, to avoid a layout without a change.
 * @param {Node} node
 * @param {string} text
 */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/**
 * An element of index.html.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const element = document.getElementById(id)
  if (!element) throw new Error(`the page has no element ${id}`)
  return /** @type {T} */ (element)
}

/**
 * Sets the children of `parent` to `wanted`, in this order, moving as few as possible and keeping the focus.
 * @param {Element} parent
 * @param {Element[]} wanted
 */
export function arrange(parent, wanted) {
  const focused = document.activeElement
  const keep = new Set(wanted)
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove()
  wanted.forEach((child, index) => {
    const there = parent.children[index]
    if (there !== child) parent.insertBefore(child, there ?? null)
  })
  if (focused instanceof HTMLElement && focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true })
}

/** @type {Map<object, () => void>} */
const due = new Map()

/**
 * Draws at the next frame, once for any number of requests.
 * @param {object} key
 * @param {() => void} draw
 */
export function atNextFrame(key, draw) {
  if (due.size === 0) requestAnimationFrame(drawAll)
  due.set(key, draw)
}

function drawAll() {
  const draws = [...due.values()]
  due.clear()
  for (const draw of draws) draw()
}
