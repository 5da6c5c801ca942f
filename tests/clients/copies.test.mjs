// Forks, changed files, tasks and exports on the page in Chromium.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { skip } from './support/browser.mjs'
import { until } from './support/daemon.mjs'
import { call, calls, say, scripted, show } from './support/scripted.mjs'

const item = (page, name) => page.getByRole('menuitem', { name })

test('a fork goes on before a prompt, which is offered for a change; the original stays', { skip }, async (t) => {
  const { client, id, turn, model, show } = await scripted(t)
  await turn('first', say('One.'))
  await turn('second', say('Two.'))
  const page = await show()
  await page.locator('.message.user', { hasText: 'second' }).locator('.more').click()
  await item(page, 'Fork from here').click()
  await page.locator('#title', { hasText: 'work (fork #1)' }).waitFor()
  await page.locator('#prompt:focus').waitFor()
  assert.equal(await page.locator('#prompt').inputValue(), 'second')
  await page.locator('.message.user .plain', { hasText: 'first' }).waitFor()
  assert.equal(await page.locator('.message.user').count(), 1)
  model.script(say('Another two.'))
  await page.keyboard.type(', differently')
  await page.keyboard.press('Enter')
  await page.locator('.markdown', { hasText: 'Another two.' }).waitFor()
  assert.equal((await client.call('session.messages', { sessionID: id })).length, 4)
  // The whole session, by keyboard.
  await page.locator('#menu').focus()
  await page.keyboard.press('Enter')
  await page.locator('[role=menuitem]:focus').waitFor()
  await page.keyboard.press('f')
  await page.keyboard.press('Enter')
  await page.locator('#title', { hasText: 'work (fork #2)' }).waitFor()
  await until(async () => (await page.locator('.message.user').count()) === 2, 'all of it is there')
  assert.equal(await page.locator('#prompt').inputValue(), '')
  assert.equal((await client.call('session.list', { scope: 'all' })).length, 3)
})

test('changed files are shown with their diffs, of the session and of one prompt', { skip }, async (t) => {
  const { turn, file, show } = await scripted(t)
  fs.writeFileSync(file('long.txt'), Array.from({ length: 40 }, (_, index) => `line ${index + 1}\n`).join(''))
  await turn('write', call('read', { filePath: file('notes.txt') }), calls(['write', { filePath: file('notes.txt'), content: 'hello\nworld\n' }], ['write', { filePath: file('sub/new.txt'), content: 'new\n' }]), say('Written.'))
  await turn('edit', call('read', { filePath: file('long.txt') }), call('edit', { filePath: file('long.txt'), oldString: 'line 30\n', newString: '-- thirty\n' }), say('Edited.'))
  await turn('bytes', call('bash', { command: "printf '\\000\\001' > bytes" }), say('Done.'))
  const page = await show()
  await page.locator('#transcript').focus()
  await page.keyboard.press('c')
  await page.locator('.changes-head', { hasText: '4 files +3 lines added, −1 lines removed' }).waitFor()
  assert.deepEqual(await page.locator('.file summary .path').allTextContents(), ['bytes', 'long.txt', 'notes.txt', 'sub/new.txt'])
  const long = page.locator('.file', { hasText: 'long.txt' })
  assert.equal(await long.locator('.removed[data-line="30"]').last().textContent(), '-line 30\n')
  // A line of the file that looks like a header is none.
  assert.equal(await long.locator('.diff .added').textContent(), '+-- thirty\n')
  await page.locator('.file', { hasText: 'bytes' }).getByText('it is not text').waitFor()
  await page.getByRole('button', { name: 'Fold all' }).click()
  assert.equal(await page.locator('.file[open]').count(), 0)
  await page.locator('.file summary').nth(1).focus()
  await page.keyboard.press('Enter')
  await long.locator('.diff').waitFor()
  await page.keyboard.press('Escape')
  await page.locator('.message.user', { hasText: 'edit' }).locator('.more').click()
  await item(page, 'Changes of this prompt').click()
  await page.locator('.changes-head', { hasText: '1 file' }).waitFor()
  assert.deepEqual(await page.locator('.file summary .path').allTextContents(), ['long.txt'])
})

test('two hundred changed files with long diffs are shown at once', { skip }, async (t) => {
  const { turn, show } = await scripted(t)
  await turn('many', call('bash', { command: 'for i in $(seq 200); do seq 4500 > many$i.txt; done' }), say('Done.'))
  const page = await show()
  const started = Date.now()
  await page.getByRole('button', { name: 'Changes', exact: true }).click()
  await page.locator('.file').nth(199).waitFor()
  t.diagnostic(`200 files shown after ${Date.now() - started} ms`)
  await page.locator('.file summary').first().click()
  await page.locator('.file .diff').first().getByRole('button', { name: 'Show all' }).click()
  await page.locator('.file .added[data-line="4500"]').waitFor()
})

test('the task list follows the model, in every tab', { skip }, async (t) => {
  const { daemon, id, turn, show: mine } = await scripted(t)
  const todos = (...states) => states.map((status, index) => ({ content: `<b>task</b> ${index + 1}`, status, priority: index ? 'medium' : 'high' }))
  await turn('plan', call('todowrite', { todos: todos('in_progress', 'pending', 'cancelled') }), say('Planned.'))
  const page = await mine()
  const other = await show(t, daemon, id)
  for (const tab of [page, other]) await tab.locator('#todos-head', { hasText: 'Tasks: 0 of 2 · <b>task</b> 1' }).waitFor()
  await page.locator('#todos-head').focus()
  await page.keyboard.press('Enter')
  assert.deepEqual(await page.locator('#todo-list li').allTextContents(), ['◐in progress: <b>task</b> 1important', '○to do: <b>task</b> 2', '✕dropped: <b>task</b> 3'])
  await turn('go on', call('todowrite', { todos: todos('completed', 'completed', 'cancelled') }), say('Done.'))
  for (const tab of [page, other]) await tab.locator('#todos-head', { hasText: 'Tasks: 2 of 2 · all done' }).waitFor()
  await page.reload()
  await page.locator('#todos-head', { hasText: 'Tasks: 2 of 2' }).waitFor()
})

test('a conversation is saved as a file that makes the same session again', { skip }, async (t) => {
  const { client, directory, id, turn, show } = await scripted(t, { title: '../Why? \u202e<b>' })
  // A number that JavaScript's numbers cannot hold.
  const large = (reply) => {
    const input = '{"command":"echo 1","timeout":9007199254740993}'
    reply.chunk({ tool_calls: [{ index: 0, id: 'call_large', type: 'function', function: { name: 'bash', arguments: input } }] })
    reply.finish('tool_calls')
  }
  await turn('first', large, say('One. 漢'))
  const page = await show()
  await page.locator('#menu').click()
  await item(page, 'Export…').click()
  await page.locator('dialog', { hasText: `polytree sessions export ${id} --format markdown` }).waitFor()
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download JSON' }).click()])
  assert.equal(download.suggestedFilename(), 'Why-b.json')
  const text = fs.readFileSync(await download.path(), 'utf8')
  assert.match(text, /"timeout": 9007199254740993\b/)
  const saved = JSON.parse(text)
  assert.deepEqual(saved, await client.call('session.export', { sessionID: id }))
  await page.locator('dialog').waitFor({ state: 'detached' })
  const made = await client.call('session.import', { session: saved, directory })
  assert.equal((await client.call('session.messages', { sessionID: made.id })).length, saved.messages.length)
})

test('what the daemon refuses is said with what to do', { skip }, async (t) => {
  const { daemon, id, turn, show } = await scripted(t)
  await turn('first', say('One.'))
  const page = await show()
  await page.locator('#menu').click()
  await item(page, 'Export…').click()
  await daemon.kill()
  await page.getByRole('button', { name: 'Download JSON' }).click()
  await page.locator('dialog .error', { hasText: 'the daemon cannot be reached. Try again when the page is connected' }).waitFor()
  await daemon.restart(t)
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download JSON' }).click()])
  assert.ok(JSON.parse(fs.readFileSync(await download.path(), 'utf8')).session.id === id)
})
