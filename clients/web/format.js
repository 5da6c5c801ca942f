// Formats values for users, and creates ids. No state, no elements.

const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/**
 * A new id: the prefix, an underscore and a ULID.
 * @param {'ses' | 'msg'} prefix
 * @param {number} [now]
 */
export function newId(prefix, now = Date.now()) {
  let time = ''
  for (let rest = now, place = 0; place < 10; place++, rest = Math.floor(rest / 32)) time = DIGITS.charAt(rest % 32) + time
  const random = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => DIGITS.charAt(byte % 32)).join('')
  return `${prefix}_${time}${random}`
}

/**
 * The end of a path, its most specific part.
 * @param {string} path
 * @param {number} [names]
 */
export function shortPath(path, names = 2) {
  const parts = path.split(/[/\\]/).filter(Boolean)
  return parts.length <= names ? path : parts.slice(-names).join('/')
}

/** A path as seen from a directory. @param {string} path @param {string} directory */
export const relative = (path, directory) => (directory && path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : path)

/** @param {number} ms since 1970 @param {number} [now] */
export function ago(ms, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - ms) / 1000))
  if (seconds < 45) return 'now'
  if (seconds < 45 * 60) return `${Math.max(1, Math.round(seconds / 60))} min`
  if (seconds < 22 * 3600) return `${Math.max(1, Math.round(seconds / 3600))} h`
  if (seconds < 30 * 86400) return `${Math.max(1, Math.round(seconds / 86400))} d`
  return new Date(ms).toLocaleDateString()
}

/** @param {number} ms */
export function duration(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`
}

/** @param {number} count */
export function compact(count) {
  if (count < 1000) return String(count)
  return count < 1_000_000 ? `${(count / 1000).toFixed(count < 10_000 ? 1 : 0)} k` : `${(count / 1_000_000).toFixed(1)} M`
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(0)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}

/** @param {number} dollars */
export const money = (dollars) => (dollars > 0 ? `$${dollars.toFixed(dollars < 1 ? 4 : 2)}` : '')

/** @param {number} count @param {string} noun */
export const counted = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`

/** @param {number} ms */
export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })

/** @param {unknown} error */
export function messageOf(error) {
  const text = error instanceof Error ? error.message : String(error)
  const hint = /** @type {{ hint?: string }} */ (error)?.hint
  return hint ? `${text}. ${hint}` : text
}
