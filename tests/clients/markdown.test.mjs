// The page's Markdown in Chromium: what it makes of what models write, and of texts that are meant to stop it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fixture, skip } from './support/browser.mjs'

/** What the page makes of a Markdown text. */
const drawn = (page, text) =>
  page.evaluate(async (source) => {
    const { drawMarkdown } = await import('/markdown.js')
    const parent = document.createElement('div')
    drawMarkdown(parent, source)
    return parent.innerHTML.replaceAll(/ (class|tabindex|target|rel|title|scope|role|aria-\w+)="[^"]*"/g, '')
  }, text)

test('Markdown is shown as models write it', { skip }, async (t) => {
  const { page } = await fixture(t)
  for (const [text, wanted] of [
    ['1. one\n   - a\n   - b\n2. two', '<ol start="1"><li>one<ul><li>a</li><li>b</li></ul></li><li>two</li></ol>'],
    ['1. a\n  - b\n    - c\n      - d\n2. e', '<ol start="1"><li>a<ul><li>b<ul><li>c<ul><li>d</li></ul></li></ul></li></ul></li><li>e</li></ol>'],
    ['1. a\n   ```js\n   x\n     y\n   ```\n2. b', '<ol start="1"><li>a<pre data-language="js"><code>x\n  y</code></pre></li><li>b</li></ol>'],
    ['1. a\n```\nx\n```\n2. b', '<ol start="1"><li>a</li></ol><pre><code>x</code></pre><ol start="2"><li>b</li></ol>'],
    ['- a\n\n- b\n\n  c', '<ul><li><p>a</p></li><li><p>b</p><p>c</p></li></ul>'],
    ['- [x] a\n- [ ] b', '<ul><li><span>☑</span> a</li><li><span>☐</span> b</li></ul>'],
    ['~~a~~ **b *c* d** __e__ a_b_c 2*3*4 **f:**g', '<p><s>a</s> <strong>b <em>c</em> d</strong> <strong>e</strong> a_b_c 2*3*4 <strong>f:</strong>g</p>'],
    ['`a*b*` \\*c\\* ``d`e`` ***f***', '<p><code>a*b*</code> *c* <code>d`e</code> <em><strong>f</strong></em></p>'],
    ['[a [b] `]`](https://c.d/e_(f)) [g](javascript:h) ![i](https://j.k)', '<p><a href="https://c.d/e_(f)">a [b] <code>]</code></a> [g](javascript:h) <a href="https://j.k">i</a></p>'],
    ['<https://a.b> https://c.d/e_f. **[0, 10)**', '<p><a href="https://a.b">https://a.b</a> <a href="https://c.d/e_f">https://c.d/e_f</a>. <strong>[0, 10)</strong></p>'],
    ['> a\n> - b\n>\n> c', '<blockquote><p>a</p><ul><li>b</li></ul><p>c</p></blockquote>'],
    ['see:\n| a | b |\n|---|--:|\n| `c\\|d` |\nend', '<p>see:</p><div><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td><code>c|d</code></td><td></td></tr></tbody></table></div><p>end</p>'],
    ['# a #\nb\n---\n\n---\n#c', '<p>a</p><p>b</p><hr><p>#c</p>'],
    ['in\n1984. No list.\n- but this', '<p>in\n1984. No list.</p><ul><li>but this</li></ul>'],
    ['<b>a</b> &amp;', '<p>&lt;b&gt;a&lt;/b&gt; &amp;amp;</p>'],
  ]) assert.equal(await drawn(page, text), wanted, text)
})

test('a text that grows or changes is drawn as if it had come at once', { skip }, async (t) => {
  const { page } = await fixture(t)
  const text = '# a\n\nsome *words*\n\n1. b\n   - c\n\n   ```\n   d\n   ```\n2. e\n\n> f\n\n|g|h|\n|-|-|\n|i|j|\n\nk\n===\nl'
  const wrong = await page.evaluate(async (whole) => {
    const { drawMarkdown } = await import('/markdown.js')
    const [grown, fresh] = [document.createElement('div'), document.createElement('div')]
    const lengths = [...Array(whole.length + 1).keys(), 3, whole.length, 40, 0]
    return lengths.filter((length) => {
      drawMarkdown(grown, whole.slice(0, length))
      fresh.replaceChildren()
      drawMarkdown(fresh, whole.slice(0, length))
      return grown.innerHTML !== fresh.innerHTML
    })
  }, text)
  assert.deepEqual(wrong, [])
})

test('the time for a hostile text grows with its length only', { skip }, async (t) => {
  const { page } = await fixture(t)
  const pieces = ['`', '`a``', '[', ']', '![', '*', '*a ', '*a* ', '**a*_', '_', '~', '~~a ', '<', '<http://', 'http://', '[a](http://x', '[a](http://x) ', '\\', '|', '|-', 'a|b\n', '>', '> ', '> - ', '- ', '1. ', '-\n', '* a\n', '#', '```\n', '~~~', 'a\n=\n', 'a\n', '\n', ' ']
  const nested = Array.from({ length: 1400 }, (_, depth) => `${' '.repeat(depth)}- a`).join('\n')
  const runs = Array.from({ length: 1400 }, (_, length) => '`'.repeat(length)).join('x')
  const texts = [...pieces.map((piece) => [piece, piece.repeat(1e6 / piece.length)]), ['table', `a|b\n-|-\n${'|'.repeat(1e6)}`], ['heading', `# a${' #'.repeat(5e5)} b`], ['nested', nested], ['runs', runs], ['unclosed', '[a](http://x'.repeat(4e4) + '[a](http://b)'.repeat(4e4)]]
  const took = await page.evaluate(async (all) => {
    const { drawMarkdown, inline } = await import('/markdown.js')
    return all.map(([name, text]) => {
      const began = performance.now()
      drawMarkdown(document.createElement('div'), text)
      inline(text)
      return [name, performance.now() - began]
    })
  }, texts)
  t.diagnostic(took.map(([name, ms]) => `${JSON.stringify(name)} ${Math.round(ms)}`).join(', '))
  // Quadratic ones take minutes.
  for (const [name, ms] of took) assert.ok(ms < 15_000, `${JSON.stringify(name)} took ${ms} ms`)
  // The best of some, since the machine may be busy.
  const best = await page.evaluate(async (text) => {
    const { drawMarkdown } = await import('/markdown.js')
    const times = Array.from({ length: 5 }, () => {
      const began = performance.now()
      drawMarkdown(document.createElement('div'), text)
      return performance.now() - began
    })
    return Math.min(...times)
  }, '`'.repeat(1e6))
  assert.ok(best < 100, `1 MB of backticks took ${best} ms`)
})

test('a wide table on a phone scrolls, and no word is broken', { skip }, async (t) => {
  const { page } = await fixture(t, { viewport: { width: 390, height: 844 } })
  const columns = Array.from({ length: 12 }, (_, index) => `alphabetical${index}`)
  const text = `|${columns.join('|')}|\n|${columns.map(() => '-').join('|')}|\n|${columns.join('|')}|`
  const { lines, scrolls, fits } = await page.evaluate(async (source) => {
    const { drawMarkdown } = await import('/markdown.js')
    const parent = document.createElement('div')
    parent.className = 'markdown'
    document.body.prepend(parent)
    drawMarkdown(parent, source)
    const box = parent.querySelector('.scrolls')
    const range = document.createRange()
    const lines = [...parent.querySelectorAll('th, td')].map((cell) => {
      range.selectNodeContents(cell)
      return range.getClientRects().length
    })
    return { lines: Math.max(...lines), scrolls: box.scrollWidth > box.clientWidth, fits: parent.scrollWidth <= innerWidth }
  }, text)
  assert.deepEqual({ lines, scrolls, fits }, { lines: 1, scrolls: true, fits: true })
})
