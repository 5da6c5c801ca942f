// The questions of tool calls on the page in Chromium: shown whole, answered where they belong.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { choose, fixture, isIdle, isLive, send, showsWhatIs, skip } from './support/browser.mjs'
import { repository } from './support/daemon.mjs'

test('questions are answered: once, always, and no with a reason', { skip }, async (t) => {
  const { directory, client, page } = await fixture(t)
  const { id } = await client.call('session.create', { directory })
  await isLive(page)
  await choose(page, id)
  await send(page, 'run git status --short')
  await page.locator('.ask .command', { hasText: 'git status --short' }).waitFor()
  await page.getByRole('button', { name: 'Allow once' }).click()
  await page.locator('.tool[data-status=completed]').waitFor()
  await isIdle(page)
  await page.locator('.tool summary').click()
  await page.locator('.tool .output', { hasText: '?? notes.txt' }).waitFor()

  await send(page, 'run git status --short')
  await page.getByRole('button', { name: 'Always allow git status *' }).click()
  await page.locator('.tool[data-status=completed]').nth(1).waitFor()
  await isIdle(page)
  assert.equal((await client.call('permission.grants', { directory })).length, 1)
  await send(page, 'run git status --short')
  await page.locator('.tool[data-status=completed]').nth(2).waitFor()
  await isIdle(page)

  await send(page, 'run rm notes.txt')
  await page.locator('.ask input').fill('it is still needed')
  await page.locator('.ask input').press('Enter')
  await page.locator('.tool[data-status=error]').waitFor()
  await isIdle(page)
  assert.ok(fs.existsSync(path.join(directory, 'notes.txt')))
  await page.locator('.tool[data-status=error] summary').click()
  await page.locator('.tool .output', { hasText: 'it is still needed' }).waitFor()
  await showsWhatIs(page, client, id)
})

test('questions of other sessions are one line, and are answered where they belong', { skip }, async (t) => {
  const { daemon, directory, client, page } = await fixture(t)
  await isLive(page)
  const other = repository(daemon.folder, 'other')
  const { id } = await client.call('session.create', { directory, title: 'mine' })
  const { id: sessionID } = await client.call('session.create', { directory: other, title: 'theirs' })
  await client.call('event.subscribe', {})
  await client.call('session.submit', { sessionID, parts: 'replace "hello" with "bye" in notes.txt' })
  await page.locator('#ask-count', { hasText: '1 question' }).waitFor()
  await choose(page, id)
  await page.locator('#elsewhere', { hasText: '1 question elsewhere: theirs' }).waitFor()
  assert.ok((await page.locator('#elsewhere').boundingBox()).height < 50, 'it is one line')
  await page.locator(`#sessions a[href="#session=${sessionID}"] .badge`, { hasText: 'waiting' }).waitFor()
  // The keys that answer a question of this session do nothing to one elsewhere.
  await page.locator('#transcript').focus()
  await page.keyboard.press('q')
  await page.keyboard.press('Enter')
  await send(page, 'run touch made')
  await page.locator('.ask').waitFor()
  assert.equal(await page.locator('.ask').count(), 1)
  assert.equal((await client.call('permission.list')).length, 2)
  await page.locator('#elsewhere a').click()
  await page.locator('.ask .diff .added', { hasText: '+bye' }).waitFor()
  await page.getByRole('button', { name: 'Allow once' }).click()
  await client.event(({ type, sessionID: of }) => type === 'session.idle' && of === sessionID)
  await page.locator('#asks').waitFor({ state: 'hidden' })
  assert.equal(fs.readFileSync(path.join(other, 'notes.txt'), 'utf8'), 'bye\n')
  // Somebody else answers: the question goes away here as well.
  const [{ id: permissionID }] = await client.call('permission.list')
  await client.call('permission.reply', { sessionID: id, permissionID, response: 'reject' })
  await page.locator('#elsewhere').waitFor({ state: 'hidden' })
  // A child's question is one of its session.
  const { id: child } = await client.call('session.create', { directory: other, parentID: sessionID, title: 'child' })
  await client.call('session.submit', { sessionID: child, parts: 'run touch made' })
  await page.locator('.ask .command', { hasText: 'touch made' }).waitFor()
  assert.equal(await page.locator('#elsewhere').isHidden(), true)
})

test('a question whose command is very long is shown whole', { skip }, async (t) => {
  const { directory, client, page } = await fixture(t)
  const { id } = await client.call('session.create', { directory })
  await isLive(page)
  await choose(page, id)
  await client.call('session.submit', { sessionID: id, parts: `run echo ${'x'.repeat(70_000)}; echo last` })
  await page.locator('.ask .command', { hasText: /; echo last$/ }).waitFor()
})

test('a question shows what cannot be seen, and where the command runs', { skip }, async (t) => {
  const { directory, client, page } = await fixture(t)
  const { id } = await client.call('session.create', { directory })
  await isLive(page)
  await choose(page, id)
  await client.call('session.submit', { sessionID: id, parts: 'run echo \u202ea\u200bb' })
  await page.locator('.ask .command', { hasText: 'echo \\u{202e}a\\u{200b}b' }).waitFor()
  await page.locator('.ask .path', { hasText: `in ${fs.realpathSync(directory)}` }).waitFor()
  // The buttons come after the whole command, which is no box with a bar of its own.
  assert.equal(await page.locator('.ask .command').evaluate((box) => box.scrollHeight - box.clientHeight), 0)
})
