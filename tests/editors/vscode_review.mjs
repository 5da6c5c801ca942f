// Review in VS Code of what a session has changed, and what a session uses. Part of vscode.mjs.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { call, say } from './model_server.mjs'
import { connect } from './rpc.mjs'
import { until } from './workbench.mjs'

const lines = (changed = {}) => Array.from({ length: 30 }, (_, index) => `${changed[index + 1] ?? `line ${index + 1}`}\n`).join('')

export async function reviewTests({ test, where, page, chat, said, command, ask, answer, pick, picture, openFile }) {
  const { project, model } = where
  const file = (name) => fs.readFileSync(path.join(project, name), 'utf8')
  const turns = () => model.requests.filter(({ tools }) => tools?.length)
  const filter = page.locator('.quick-input-widget .quick-input-box input')
  const choose = async (row) => {
    await filter.fill(row)
    await pick(row)
  }
  const fresh = async (mode) => {
    await command('New Session')
    await chat().locator('.empty').waitFor()
    await chat().locator('#mode').click()
    await choose(mode)
    await chat().locator('#mode', { hasText: mode }).waitFor()
  }
  const edit = (old, now) => call('edit', { filePath: 'long.txt', oldString: old, newString: now })
  const rows = (text) => page.locator('.monaco-list-row', { hasText: text })

  await test('of a changed file one hunk is kept and one undone, in the editor, and the model is told', async () => {
    where.write('project/long.txt', lines())
    await fresh('edits')
    model.script(call('read', { filePath: 'long.txt' }), edit('line 3\n', 'LINE 3\nand more\n'), edit('line 25\n', ''), call('write', { filePath: 'fresh.txt', content: 'fresh\n' }), say('All done.'))
    await ask('change long.txt')
    await said('All done.').waitFor()
    assert.equal(file('long.txt'), lines({ 3: 'LINE 3\nand more', 25: '' }).replace('\n\n', '\n'))
    const text = await openFile('long.txt')
    await page.locator('.codelens-decoration a', { hasText: 'Keep' }).first().waitFor()
    await picture('review')
    await text.click()
    await page.keyboard.press('Control+Home')
    const line = (number) => page.locator('.statusbar-item', { hasText: `Ln ${number},` }).waitFor()
    await command('Next Hunk')
    await line(3)
    await page.keyboard.press('Control+Alt+Enter')
    await until('one hunk with a lens', async () => (await page.locator('.codelens-decoration a', { hasText: 'Keep' }).count()) <= 1)
    await command('Next Hunk')
    await line(26)
    await command('Undo Hunk')
    await until('the old line', () => file('long.txt') === lines({ 3: 'LINE 3\nand more' }))
    await page.locator('.codelens-decoration a', { hasText: 'Undo' }).first().waitFor({ state: 'detached' })
    model.script(say('I see.'))
    await ask('go on after the review')
    await said('I see.').waitFor()
    const told = JSON.stringify(turns().at(-1).messages)
    assert.ok(told.includes('Undone: these changes') && told.includes('long.txt'), 'the model was not told')
  })

  await test('a file is compared with what it was before the session, and undone as a whole', async () => {
    await command('Review Changes of the Session')
    const tab = page.locator('.tab', { hasText: 'before the session' })
    await tab.waitFor()
    await page.locator('.monaco-diff-editor').first().waitFor()
    await page.locator('.monaco-diff-editor .line-insert, .monaco-diff-editor .char-insert').first().waitFor({ state: 'attached' })
    await picture('review-diff')
    await page.locator('.pane-header', { hasText: 'Changed Files' }).click()
    await rows('1 kept, 1 undone').waitFor()
    await rows('fresh.txt').filter({ hasText: '1 open' }).hover()
    await picture('review-files')
    await rows('fresh.txt').filter({ hasText: '1 open' }).locator('.action-label[aria-label^="Undo"]').click()
    await until('the end of the file', () => !fs.existsSync(path.join(project, 'fresh.txt')))
    await rows('all reviewed').waitFor()
    await page.locator('.pane-header', { hasText: 'Changed Files' }).click()
  })

  await test('agent and model are chosen for a session and stay; the context is shown', async () => {
    await fresh('ask')
    model.script(say('one'), say('two'))
    await ask('first of a choice')
    await said('one').waitFor()
    await chat().locator('#status', { hasText: 'of 100.0k context' }).waitFor()
    await chat().locator('#agent').click()
    await choose('plan')
    await chat().locator('#agent', { hasText: 'plan' }).waitFor()
    await ask('second of a choice')
    await said('two').waitFor()
    await chat().locator('article.assistant h2', { hasText: 'plan · small' }).first().waitFor({ state: 'attached' })
  })

  await test('what a language server says of the text after an edit is told to the model', async () => {
    where.write('project/data.json', '{"a": }\n')
    await fresh('edits')
    await openFile('data.json')
    await page.locator('.squiggly-error').first().waitFor({ state: 'attached' })
    // Told a little later than it is shown.
    await new Promise((resolve) => setTimeout(resolve, 500))
    model.script(call('read', { filePath: 'data.json' }), call('edit', { filePath: 'data.json', oldString: '"a": ', newString: '"a": 1' }), say('It is valid.'))
    await ask('make data.json valid')
    await said('It is valid.').waitFor()
    assert.match(JSON.stringify(turns().at(-1).messages.at(-1)), /Diagnostics of the new text: none/)
    await page.keyboard.press('Control+W')
  })

  await test('a file is shown when another client asks for it', async () => {
    const other = await connect(where)
    assert.equal(await other.request('editor.open', { path: 'src/main.txt', range: { start: { line: 1, character: 0 }, end: { line: 1, character: 1 } } }), true)
    other.leave()
    await page.locator('.tab.active', { hasText: 'main.txt' }).waitFor()
    await page.locator('.statusbar-item', { hasText: 'Ln 2, Col 2' }).waitFor()
  })

  await test('“always” holds in the session alone', async () => {
    await fresh('ask')
    const bash = (line) => call('bash', { command: line, description: 'Touch' })
    model.script(bash('touch again'), bash('touch again'), bash('touch other'), say('Touched.'))
    await ask('touch twice')
    await chat().locator('.ask select').selectOption('session')
    await answer('always')
    await chat().locator('.ask pre', { hasText: 'touch other' }).waitFor()
    await answer('once')
    await said('Touched.').waitFor()
  })
}
