// A conversation of two thousand messages on the page in Chromium: opened, read to its beginning, and used.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { choose, isIdle, skip } from './support/browser.mjs'
import { until } from './support/daemon.mjs'
import { say, scripted } from './support/scripted.mjs'

test('two thousand messages can be read to the first one, and worked with', { skip }, async (t) => {
  const { client, directory, id, turn, model, show } = await scripted(t)
  await turn('first', say('One.'))
  const exported = await client.call('session.export', { sessionID: id })
  const [prompt, answer] = exported.messages
  const numbered = (message, number) => {
    const idOf = (text) => `${text.slice(0, 4)}01ARZ3NDEKTSV4RRFFQ69G${String(number).padStart(4, '0')}`
    const copy = structuredClone(message)
    copy.info.id = idOf(copy.info.id)
    if (copy.info.parentID) copy.info.parentID = idOf('msg_').replace(/\d{4}$/, String(number - 1).padStart(4, '0'))
    copy.parts.forEach((part, index) => {
      part.id = `prt_01ARZ3NDEKTSV4RRF${String(index).padStart(5, '0')}${String(number).padStart(4, '0')}`
      part.messageID = copy.info.id
      if (part.type === 'text') part.text = copy.info.role === 'user' ? `question ${number / 2}` : `**Answer** ${number}\n\n- with\n- a list\n\n\`\`\`js\nlet x = ${number}\n\`\`\``
    })
    return copy
  }
  exported.messages = Array.from({ length: 1000 }, (_, index) => [numbered(prompt, 2 * index), numbered(answer, 2 * index + 1)]).flat()
  const long = await client.call('session.import', { session: exported, directory })
  await client.call('session.update', { sessionID: long.id, title: 'long' })
  const page = await show()
  const started = Date.now()
  await choose(page, long.id)
  await page.locator('.message.user', { hasText: 'question 999' }).waitFor()
  t.diagnostic(`shown after ${Date.now() - started} ms`)
  const count = () => page.locator('#messages article').count()
  const reading = Date.now()
  for (let shown = await count(); shown < 2000; ) {
    await page.locator('#older').evaluate((button) => button.click())
    shown = await until(async () => ((now) => now > shown && now)(await count()), `more than ${shown} messages`)
  }
  t.diagnostic(`read to the beginning after ${Date.now() - reading} ms`)
  await page.locator('.message.user', { hasText: /question 0$/ }).waitFor()
  await page.locator('.message.user').first().scrollIntoViewIfNeeded()
  await page.locator('#jump').waitFor({ state: 'hidden' })
  // Frames while an answer streams and while one types.
  await page.evaluate(() => {
    window.longest = 0
    new PerformanceObserver((list) => (window.longest = Math.max(window.longest, ...list.getEntries().map(({ duration }) => duration)))).observe({ type: 'longtask' })
  })
  model.script(async (reply) => {
    for (let word = 0; word < 100; word++) {
      reply.text(`word ${word} `)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    reply.finish()
  })
  await page.locator('#prompt').fill('go on')
  await page.locator('#prompt').press('Enter')
  await page.locator('#prompt').pressSequentially('typed while it works')
  await page.locator('.markdown', { hasText: 'word 99' }).waitFor()
  await isIdle(page)
  // Who sends a prompt is at the end again, wherever they have read.
  assert.ok(await page.locator('#transcript').evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight < 80))
  t.diagnostic(`longest task ${Math.round(await page.evaluate(() => window.longest))} ms`)
  assert.equal(await page.locator('#prompt').inputValue(), 'typed while it works')
  // The menu of an old prompt, and what it would undo.
  await page.locator('#transcript').focus()
  await page.keyboard.press('u')
  await page.locator('.plan', { hasText: 'No file is affected' }).waitFor()
  await page.getByRole('button', { name: 'Revert', exact: true }).click()
  await page.locator('#undone', { hasText: '1 prompt with its answer undone' }).waitFor()
  // What is being written is not replaced by the undone prompt.
  assert.equal(await page.locator('#prompt').inputValue(), 'typed while it works')
})
