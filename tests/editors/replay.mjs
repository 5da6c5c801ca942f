// Recorded conversations (`transcripts`), played into the chat of the VS Code extension in Chromium: node replay.mjs EXTENSION
//
// EXTENSION is the folder in which the extension was built. With POLYTREE_UPDATE=1 what is expected is written anew.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { suite } from './suite.mjs'
import { launchChromium } from './workbench.mjs'

const extension = path.resolve(process.argv[2])
const transcripts = path.join(path.dirname(fileURLToPath(import.meta.url)), 'transcripts')
const { build } = createRequire(path.join(extension, 'package.json'))('esbuild')
const bundle = async (entry, format = 'iife') =>
  (await build({ entryPoints: [path.join(extension, entry)], bundle: true, write: false, format, target: 'es2022', legalComments: 'none' })).outputFiles[0].text

const html = await import(`data:text/javascript,${encodeURIComponent(await bundle('src/webview/page.ts', 'esm'))}`)
const [page, replay] = [await bundle('src/webview/main.ts'), await bundle('tests/replay.ts')]
const browser = await launchChromium()
const { test, end } = suite("the chat's page")

/** The chat's page, with the program that plays. */
async function open() {
  const context = await browser.newContext({ timezoneId: 'UTC' })
  const tab = await context.newPage()
  const errors = []
  tab.on('pageerror', (error) => errors.push(error.message))
  await tab.setContent(html.pageHtml({ policy: "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'", style: '', script: 'data:,', nonce: '' }))
  await tab.evaluate('globalThis.acquireVsCodeApi = () => ({ postMessage() {}, getState() {}, setState() {} })')
  await tab.evaluate(page)
  await tab.evaluate(replay)
  return { tab, context, errors }
}

/** Runs a test with the chat's page. */
const testPage = (title, run) =>
  test(title, async () => {
    const opened = await open()
    try {
      await run(opened)
      assert.deepEqual(opened.errors, [])
    } finally {
      await opened.context.close()
    }
  })

for (const name of ['answer', 'tools', 'sandbox', 'undo', 'compaction', 'ends']) {
  await testPage(`the transcript \`${name}\` is shown the same event by event, at once, and as it was recorded`, async ({ tab }) => {
    const transcript = JSON.parse(fs.readFileSync(path.join(transcripts, `${name}.json`), 'utf8'))
    const grown = await tab.evaluate((recorded) => window.replay.grow(recorded), transcript)
    const whole = await tab.evaluate((recorded) => window.replay.whole(recorded), transcript)
    assert.deepEqual(grown.split('\n'), whole.split('\n'))
    const golden = path.join(transcripts, `${name}.vscode.html`)
    if (process.env.POLYTREE_UPDATE) fs.writeFileSync(golden, whole)
    assert.deepEqual(whole.split('\n'), fs.readFileSync(golden, 'utf8').split('\n'), 'set POLYTREE_UPDATE=1 to write it anew')
  })
}

await testPage('a text that grows looks at every moment as if it were rendered anew', async ({ tab }) => {
  const text = `# One

Text with *emphasis*
over lines.

- a
- b

  still b

      code of b

Not of the list. A line
----
1. first

2. second

\`\`\`rust
fn a() {}

fn b() {}
\`\`\`

- loose

- list

> quote

> another
continued

(round) and "quoted"

**bold** begins

~~~
\`\`\`

x
~~~
| a | b |
|---|---|
| 1 | 2 |

Last — äöü.
`
  assert.equal(await tab.evaluate((whole) => window.replay.prefixes(whole), text), undefined)
})

await browser.close()
end()
