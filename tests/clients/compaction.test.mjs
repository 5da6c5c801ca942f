// A conversation is summarised from the page in Chromium.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { skip } from './support/browser.mjs'
import { say, scripted } from './support/scripted.mjs'

test('how full the context is stands beside the offer of a summary, which is folded and hides nothing', { skip }, async (t) => {
  const { client, id, turn, show } = await scripted(t)
  await turn('first', say('One.'))
  await turn('second', say('Two.'))
  const page = await show()
  const open = async () => {
    await page.getByRole('button', { name: 'More about this session' }).click()
    await page.getByRole('menuitem', { name: 'Summarise…' }).click()
  }
  const dialog = page.locator('dialog')
  await open()
  assert.equal(await dialog.locator('.context').textContent(), 'In use: 110 of 1,000,000 tokens (0 %) of local/small.')
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  assert.equal((await client.call('session.messages', { sessionID: id })).length, 4)
  await open()
  await dialog.getByRole('button', { name: 'Summarise' }).click()
  await dialog.waitFor({ state: 'detached' })
  const summary = page.locator('details.fold', { hasText: 'Summary' })
  await summary.waitFor()
  await page.locator('.divider', { hasText: 'What came before was summarised' }).waitFor()
  assert.equal(await summary.locator('.markdown').isVisible(), false)
  await summary.locator('summary').click()
  await summary.locator('.markdown', { hasText: 'Greet the world' }).waitFor()
  assert.deepEqual(await page.locator('.message.user .plain').allTextContents(), ['first', 'second'])
})

test('a summary that cannot be written is said where it was asked for', { skip }, async (t) => {
  const { daemon, client, id, turn, model, show } = await scripted(t)
  await turn('first', say('One.'))
  const page = await show()
  await page.getByRole('button', { name: 'More about this session' }).click()
  await page.getByRole('menuitem', { name: 'Summarise…' }).click()
  await client.call('session.delete', { sessionID: id })
  await page.locator('dialog').getByRole('button', { name: 'Summarise' }).click()
  await page.locator('dialog [role=alert]', { hasText: 'session' }).waitFor()
})
