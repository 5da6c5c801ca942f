// What the page shows of characters that cannot be seen, as the program itself does (src/stdx/visible.rs).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exact } from '../../clients/web/visible.js'

test('what cannot be seen is spelled out', () => {
  assert.equal(exact('rm "a" \'b\' \\ é e\u0301 漢\n\t'), 'rm "a" \'b\' \\ é e\u0301 漢\n\t')
  for (const [text, shown] of [
    ['a\x1b[8mb\u200b\u202e\u00a0\r\0', 'a\\u{1b}[8mb\\u{200b}\\u{202e}\\u{a0}\\r\\0'],
    ['\u2066x\u2069\ufeff\u00ad\u2028\u3000', '\\u{2066}x\\u{2069}\\u{feff}\\u{ad}\\u{2028}\\u{3000}'],
    ['\u3164\u115f\u2800\ufe0f\u034f\u{e0041}\x7f', '\\u{3164}\\u{115f}\\u{2800}\\u{fe0f}\\u{34f}\\u{e0041}\\u{7f}'],
  ]) {
    assert.equal(exact(text), shown)
    assert.equal(exact(shown), shown)
  }
})
