// A button with a menu: opened and walked with the keyboard, closed by Escape, Tab or a click elsewhere.
import { h } from './dom.js'

/** `off`: why it cannot be done now. @typedef {{ label: string, act: () => void, kind?: string, off?: string }} Item */

/**
 * @param {HTMLButtonElement} button
 * @param {() => Item[]} items asked for when the menu is opened
 */
export function opensMenu(button, items) {
  button.setAttribute('aria-haspopup', 'menu')
  button.setAttribute('aria-expanded', 'false')
  // A click on the button of an open menu closes it before the click arrives.
  let wasOpen = false
  button.addEventListener('pointerdown', () => (wasOpen = button.getAttribute('aria-expanded') === 'true'))
  button.addEventListener('click', () => {
    if (!wasOpen) show(button, items())
    wasOpen = false
  })
  button.addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowDown') return
    event.preventDefault()
    show(button, items())
  })
  return button
}

/** @param {HTMLButtonElement} button @param {Item[]} items */
function show(button, items) {
  const menu = h('div', { class: 'menu', role: 'menu', popover: 'auto', 'aria-label': button.getAttribute('aria-label') })
  const choose = (/** @type {Item} */ item) => {
    if (item.off) return
    menu.hidePopover()
    item.act()
  }
  for (const item of items) {
    const off = item.off ? h('small', {}, item.off) : null
    menu.append(h('button', { type: 'button', role: 'menuitem', tabIndex: -1, class: item.kind, 'aria-disabled': item.off ? 'true' : null, onclick: () => choose(item) }, item.label, off))
  }
  menu.addEventListener('keydown', (event) => walk(event, menu))
  menu.addEventListener('toggle', (event) => {
    if (event.newState === 'open') return
    button.setAttribute('aria-expanded', 'false')
    removeEventListener('resize', hide)
    if (menu.contains(document.activeElement)) button.focus()
    menu.remove()
  })
  // Its place is not the right one any more.
  const hide = () => menu.hidePopover()
  addEventListener('resize', hide)
  document.body.append(menu)
  menu.showPopover()
  button.setAttribute('aria-expanded', 'true')
  place(menu, button.getBoundingClientRect())
  menu.querySelector('button')?.focus()
}

/** Below the button, or above it where there is no room, and inside of the window. @param {HTMLElement} menu @param {DOMRect} at */
function place(menu, at) {
  const { offsetWidth: width, offsetHeight: height } = menu
  const below = at.bottom + 4
  const top = below + height <= innerHeight ? below : Math.max(4, at.top - height - 4)
  menu.style.top = `${top}px`
  menu.style.left = `${Math.max(4, Math.min(at.right - width, innerWidth - width - 4))}px`
}

/** @param {KeyboardEvent} event @param {HTMLElement} menu */
function walk(event, menu) {
  const items = [...menu.querySelectorAll('button')]
  const at = items.findIndex((item) => item === document.activeElement)
  const { length } = items
  let next = { ArrowDown: (at + 1) % length, ArrowUp: (at - 1 + length) % length, Home: 0, End: length - 1 }[event.key]
  if (event.key === 'Tab') menu.hidePopover()
  else if (event.key.length === 1 && event.key !== ' ') {
    const letter = event.key.toLowerCase()
    const following = [...items.keys()].map((index) => (at + 1 + index) % length)
    next = following.find((index) => items[index]?.textContent.toLowerCase().startsWith(letter))
  }
  // Single keys do something else on the page.
  if (event.key !== 'Enter' && event.key !== ' ') event.stopPropagation()
  if (next === undefined) return
  event.preventDefault()
  items[next]?.focus()
}
