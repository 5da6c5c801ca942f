// Text with escapes for invisible characters: what a user is asked to allow must be what is executed.

// Control, format and unassigned characters, blanks except the common one, and letters and marks that look blank.
const UNSEEN = /[\p{C}\p{Z}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\u{e0100}-\u{e01ef}]/gu

/**
 * The text with invisible characters, and those that change the direction of writing, as `\u{202e}`. Keeps newlines and tabs.
 * @param {string} text
 */
export function exact(text) {
  return text.replace(UNSEEN, (character) => {
    if (character === ' ' || character === '\n' || character === '\t') return character
    if (character === '\r') return '\\r'
    if (character === '\0') return '\\0'
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
  })
}

/** The same for what stands in one line: a file's name may have newlines. @param {string} text */
export const exactLine = (text) => exact(text).replaceAll('\n', '\\n').replaceAll('\t', '\\t')
