// Undo on the page in Chromium: the look at the files before, what is undone, and how it is taken back.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { isIdle, isLive, send, skip } from './support/browser.mjs'
import { until } from './support/daemon.mjs'
import { call, calls, held, say, scripted, show } from './support/scripted.mjs'

const write = (filePath, content) => call('write', { filePath, content })
const item = (page, name) => page.getByRole('menuitem', { name })
const dialog = (page) => page.locator('dialog')

/** Opens the menu of the prompt with this text. */
async function menuOf(page, text) {
  await page.locator('.message.user', { hasText: text }).getByRole('button', { name: 'What to do with the prompt' }).click()
}

async function rows(page, kind) {
  return page.locator(`.plan [data-kind=${kind}] li`).allTextContents()
}

test('a prompt is undone after a look at the files, and the undo is taken back', { skip }, async (t) => {
  const { client, id, turn, file, read, show } = await scripted(t)
  await turn('say hello', say('Hello.'))
  await turn('write it', call('read', { filePath: file('notes.txt') }), calls(['write', { filePath: file('notes.txt'), content: 'changed\n' }], ['write', { filePath: file('new.txt'), content: 'new\n' }]), say('Written.'))
  await turn('remove it', call('bash', { command: 'rm new.txt' }), say('Removed.'))
  const page = await show()
  await menuOf(page, 'write it')
  await item(page, 'Revert to here…').click()
  await dialog(page).locator('.excerpt', { hasText: 'write it' }).waitFor()
  await dialog(page).getByText('2 prompts').waitFor()
  await page.locator('.plan').waitFor()
  assert.deepEqual(await rows(page, 'restore'), ['notes.txt'])
  // What would be lost can be read, prompt by prompt.
  await page.getByText('Show what they have changed').click()
  await page.locator('.changes .added', { hasText: '+changed' }).waitFor()
  assert.deepEqual(await page.locator('.changes h3').allTextContents(), ['write it', 'remove it'])
  assert.equal(read('notes.txt'), 'changed\n', 'a look changes nothing')
  await dialog(page).getByRole('button', { name: 'Revert' }).click()
  await dialog(page).waitFor({ state: 'detached' })
  assert.equal(read('notes.txt'), 'hello\n')
  await page.locator('#undone', { hasText: '2 prompts with their answers undone, 1 file changed back' }).waitFor()
  await page.locator('.message.user', { hasText: 'write it' }).waitFor({ state: 'detached' })
  assert.equal(await page.locator('.message.user').count(), 1)
  // The prompt is offered for a change.
  assert.equal(await page.locator('#prompt').inputValue(), 'write it')
  await page.getByRole('button', { name: 'Show messages' }).click()
  await page.locator('.message.undone', { hasText: 'remove it' }).waitFor()
  await page.getByRole('button', { name: 'Show messages' }).click()
  await page.locator('.message.undone').first().waitFor({ state: 'detached' })
  await page.getByRole('button', { name: 'View changes' }).click()
  assert.deepEqual(await rows(page, 'restore'), ['notes.txt'])
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Unrevert' }).click()
  await page.locator('.plan').waitFor()
  await dialog(page).getByRole('button', { name: 'Take it back' }).click()
  await page.locator('#undone').waitFor({ state: 'hidden' })
  assert.equal(read('notes.txt'), 'changed\n')
  assert.equal(await page.locator('#prompt').inputValue(), '')
  await page.locator('.message.user', { hasText: 'remove it' }).waitFor()
  assert.equal((await client.call('session.get', { sessionID: id })).revert, undefined)
})

test('undo by keyboard, live in a second tab, and the next prompt removes what is undone', { skip }, async (t) => {
  const world = await scripted(t)
  const { client, daemon, id, turn, file, read, model } = world
  await turn('first', say('One.'))
  await turn('write it', call('write', { filePath: file('made.txt'), content: 'made\n' }), say('Written.'))
  const page = await world.show()
  const other = await show(t, daemon, id)
  await page.locator('#transcript').focus()
  await page.keyboard.press('u')
  await dialog(page).locator('.plan [data-kind=delete]', { hasText: 'made.txt' }).waitFor()
  // The focus is on what one comes for, and Enter does it.
  await page.keyboard.press('Tab')
  await dialog(page).getByRole('button', { name: 'Revert' }).focus()
  await page.keyboard.press('Enter')
  await page.locator('#prompt:focus').waitFor()
  assert.equal(fs.existsSync(file('made.txt')), false)
  await other.locator('#undone', { hasText: '1 prompt with its answer undone' }).waitFor()
  await other.locator('#news', { hasText: '1 prompt with its answer undone, 1 file changed back.' }).waitFor({ state: 'attached' })
  await until(async () => (await other.locator('.message.user').count()) === 1, 'the other tab shows it')
  // By the menu of a prompt too: the arrow opens it, letters and arrows walk in it.
  await page.locator('.message.user .more').focus()
  await page.keyboard.press('ArrowDown')
  await page.locator('[role=menuitem]:focus', { hasText: 'Revert to here…' }).waitFor()
  await page.keyboard.press('f')
  await page.locator('[role=menuitem]:focus', { hasText: 'Fork from here' }).waitFor()
  await page.keyboard.press('Escape')
  await page.locator('.message.user .more:focus').waitFor()
  await page.locator('[role=menu]').waitFor({ state: 'detached' })
  model.script(say('Another.'))
  await page.locator('#prompt').fill('something else')
  await page.keyboard.press('Enter')
  for (const one of [page, other]) {
    await one.locator('#undone').waitFor({ state: 'hidden' })
    await one.locator('.markdown', { hasText: 'Another.' }).waitFor()
    assert.deepEqual(await one.locator('.message.user .plain').allTextContents(), ['first', 'something else'])
  }
  await isIdle(page)
  assert.equal((await client.call('session.messages', { sessionID: id })).length, 4)
  assert.equal(read('notes.txt'), 'hello\n')
})

test('files that others have changed are named, and the rest can be undone', { skip }, async (t) => {
  const { client, id, turn, file, read, show } = await scripted(t)
  fs.writeFileSync(file('other.txt'), 'other\n')
  await turn('write', call('read', { filePath: file('notes.txt') }), call('read', { filePath: file('other.txt') }), calls(['write', { filePath: file('notes.txt'), content: 'agent\n' }], ['write', { filePath: file('other.txt'), content: 'agent\n' }]), say('Written.'))
  fs.writeFileSync(file('notes.txt'), 'mine\n')
  const page = await show()
  await menuOf(page, 'write')
  await item(page, 'Revert to here…').click()
  await dialog(page).getByText('One file was changed by somebody else').waitFor()
  assert.match((await rows(page, 'conflict'))[0], /^notes\.txt/)
  await dialog(page).getByRole('button', { name: 'Cancel' }).click()
  assert.equal(read('other.txt'), 'agent\n')
  assert.equal((await client.call('session.get', { sessionID: id })).revert, undefined)
  await menuOf(page, 'write')
  await item(page, 'Revert to here…').click()
  await dialog(page).getByRole('button', { name: 'Revert: the other 1 file' }).click()
  await page.locator('#undone', { hasText: '1 file changed back, 1 file left as it is' }).waitFor()
  assert.deepEqual([read('notes.txt'), read('other.txt')], ['mine\n', 'hello\n'.replace('hello', 'other')])
})

test('a file that is changed while the dialog is open is looked at again', { skip }, async (t) => {
  const { turn, file, read, show } = await scripted(t)
  await turn('write', call('read', { filePath: file('notes.txt') }), call('write', { filePath: file('notes.txt'), content: 'agent\n' }), say('Written.'))
  const page = await show()
  await menuOf(page, 'write')
  await item(page, 'Revert to here…').click()
  await page.locator('.plan [data-kind=restore]').waitFor()
  fs.writeFileSync(file('notes.txt'), 'mine\n')
  await dialog(page).getByRole('button', { name: 'Revert' }).click()
  await dialog(page).getByText('A file was changed meanwhile').waitFor()
  await page.locator('.plan [data-kind=conflict]', { hasText: 'notes.txt' }).waitFor()
  assert.equal(read('notes.txt'), 'mine\n')
  await dialog(page).getByRole('button', { name: 'Revert: only the messages' }).waitFor()
})

test('a running turn is stopped first', { skip }, async (t) => {
  const { turn, file, model, show } = await scripted(t)
  await turn('write', call('write', { filePath: file('a.txt'), content: 'a\n' }), say('Written.'))
  const page = await show()
  const answer = held()
  model.script(answer)
  await send(page, 'go on')
  await page.locator('.markdown', { hasText: 'half' }).waitFor()
  await menuOf(page, 'write')
  await item(page, 'Revert to here…').click()
  await dialog(page).getByText('Its turn has to end first').waitFor()
  assert.equal(await dialog(page).getByRole('button', { name: 'Revert', exact: true }).isVisible(), false)
  await dialog(page).getByRole('button', { name: 'Stop the turn' }).click()
  await page.locator('.plan [data-kind=delete]', { hasText: 'a.txt' }).waitFor()
  await dialog(page).getByRole('button', { name: 'Revert', exact: true }).click()
  await page.locator('#undone', { hasText: '2 prompts' }).waitFor()
  answer.go()
  assert.equal(fs.existsSync(file('a.txt')), false)
})

test('names and contents of files stay texts, and show what cannot be seen', { skip }, async (t) => {
  const { turn, file, show } = await scripted(t)
  const name = '<img src=x onerror=alert(1)>\u202etxt.a\nb'
  await turn('<b>bold</b>\u202e', call('write', { filePath: file(name), content: '<script>alert(2)</script>\u200b\n' }), say('Written.'))
  const page = await show()
  page.on('dialog', () => assert.fail('a script ran'))
  await page.locator('.message.user .more').click()
  await item(page, 'Revert to here…').click()
  await page.locator('.plan').waitFor()
  assert.deepEqual(await rows(page, 'delete'), ['<img src=x onerror=alert(1)>\\u{202e}txt.a\\nb'])
  assert.equal(await page.locator('.excerpt').textContent(), '<b>bold</b>\\u{202e}')
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Changes', exact: true }).click()
  assert.equal(await page.locator('.file .path').textContent(), '<img src=x onerror=alert(1)>\\u{202e}txt.a\\nb')
  await page.locator('.file .added', { hasText: '<script>alert(2)</script>\\u{200b}' }).waitFor()
  assert.equal(await page.locator('dialog img, dialog script').count(), 0)
})

test('the line is cut while an undo is on its way: it is done once', { skip }, async (t) => {
  const { daemon, client, id, turn, file, show } = await scripted(t)
  await turn('write', call('write', { filePath: file('a.txt'), content: 'a\n' }), say('Written.'))
  const page = await show()
  await menuOf(page, 'write')
  await item(page, 'Revert to here…').click()
  await page.locator('.plan [data-kind=delete]').waitFor()
  await page.evaluate(() => {
    // The answer is lost: the daemon does it, and the page learns nothing.
    const { send } = WebSocket.prototype
    WebSocket.prototype.send = function (text) {
      send.call(this, text)
      if (!text.includes('session.revert')) return
      WebSocket.prototype.send = send
      this.onmessage = null
      setTimeout(() => this.close(), 300)
    }
  })
  await dialog(page).getByRole('button', { name: 'Revert' }).click()
  await page.locator('#undone', { hasText: '1 prompt' }).waitFor()
  await dialog(page).waitFor({ state: 'detached' })
  await isLive(page)
  assert.equal(fs.existsSync(file('a.txt')), false)
  assert.ok((await client.call('session.get', { sessionID: id })).revert)
  assert.ok(daemon.port)
})

test('undo in a narrow window: the dialog, the menu and the line fit in', { skip }, async (t) => {
  const { turn, file, show } = await scripted(t, { viewport: { width: 390, height: 700 }, hasTouch: true })
  await turn('write', call('write', { filePath: file('a/very/long/path/that/does/not/fit/into/a/narrow/window/at/all.txt'), content: 'a\n' }), say('Written.'))
  const page = await show()
  const fits = async (place) => {
    const { x, y, width, height } = await page.locator(place).boundingBox()
    assert.ok(x >= 0 && y >= 0 && x + width <= 390 && y + height <= 700, `${place} fits: ${[x, y, width, height]}`)
  }
  await page.locator('.message.user .more').tap()
  await fits('.menu')
  await item(page, 'Revert to here…').tap()
  await page.locator('.plan [data-kind=delete]').waitFor()
  await fits('dialog')
  await dialog(page).getByRole('button', { name: 'Revert' }).tap()
  await page.locator('#undone').waitFor()
  for (const place of ['#undone', '#unrevert', '#undone-show', '#prompt', '#send']) await fits(place)
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true)
})

test('an undo of two hundred files and a long conversation is quick to look at', { skip }, async (t) => {
  const { client, id, turn, file, show } = await scripted(t)
  for (let index = 0; index < 60; index++) await turn(`before ${index}`, say(`${index}`))
  await turn('many', call('bash', { command: 'for i in $(seq 200); do echo $i > many$i.txt; done' }), say('Done.'))
  for (let index = 0; index < 60; index++) await turn(`after ${index}`, say(`${index}`))
  await client.call('session.revert', { sessionID: id, messageID: (await client.call('session.messages', { sessionID: id })).find(({ parts }) => parts[0]?.text === 'many').info.id })
  const page = await show()
  // The first message that is undone is not on the newest page: it is read too, and some before it.
  await page.locator('#undone', { hasText: '61 prompts with their answers undone, 200 files changed back' }).waitFor()
  await page.locator('.message.user', { hasText: 'before 59' }).waitFor()
  await page.locator('#undone-files').click()
  assert.equal((await rows(page, 'delete')).length, 200)
  await page.keyboard.press('Escape')
  await page.locator('#unrevert').click()
  const started = Date.now()
  await page.locator('.plan [data-kind=create] li').nth(199).waitFor()
  t.diagnostic(`200 files shown after ${Date.now() - started} ms`)
  await dialog(page).getByRole('button', { name: 'Take it back' }).click()
  await page.locator('#undone').waitFor({ state: 'hidden' })
  assert.ok(fs.existsSync(file('many200.txt')))
})
