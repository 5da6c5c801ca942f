// What a session uses in VS Code, and what the editor tells and does for the daemon. Part of vscode.mjs.
import assert from 'node:assert/strict'
import { call, say } from './model_server.mjs'
import { connect } from './rpc.mjs'

export async function choiceTests({ test, where, page, chat, said, command, ask, answer, pick, openFile }) {
  const { model } = where
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
