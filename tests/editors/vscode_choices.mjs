// What a session uses in VS Code, and what the editor tells and does for the daemon. Part of vscode.mjs.
import assert from 'node:assert/strict'
import { call, say } from './model_server.mjs'
import { connect } from './rpc.mjs'
import { until } from './workbench.mjs'

export async function choiceTests({ test, where, page, chat, said, ask, answer, choose, fresh, openFile }) {
  const { model, turns } = where

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
    // The editor tells the daemon of an error a little later than it shows it: edits that leave it there wait for that.
    model.script(call('read', { filePath: 'data.json' }), say('Read.'))
    await ask('read data.json')
    await said('Read.').waitFor()
    const edited = async (old, now) => {
      model.script(call('edit', { filePath: 'data.json', oldString: old, newString: now }), say(`Written: ${now}.`))
      await ask(`write ${now}`)
      await said(`Written: ${now}.`).waitFor()
      return JSON.stringify(turns().at(-1).messages.at(-1))
    }
    let name = 'a'
    await until('diagnostics of the daemon', async () => {
      const before = name
      name += 'a'
      return /Diagnostics of the new text:[^]*data\.json|Value expected/.test(await edited(`{"${before}"`, `{"${name}"`))
    })
    assert.match(await edited(`"${name}": `, `"${name}": 1`), /Diagnostics of the new text: none/)
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
