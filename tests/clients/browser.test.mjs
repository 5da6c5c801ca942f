// The page in Chromium, against the daemon that serves it. Pictures of it are left in the artifact folder.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { Client } from './support/client.mjs'
import { afterwards, Daemon, PATIENCE, repository, until } from './support/daemon.mjs'
import { tool } from './support/places.mjs'

const { chromium } = tool('playwright-core')
const artifacts = process.env.POLYTREE_ARTIFACTS ?? path.join(os.tmpdir(), 'polytree-artifacts')
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((place) => fs.existsSync(place))

const skip = !executablePath && 'there is no Chromium'

let browser
before(async () => {
  if (skip) return
  fs.mkdirSync(artifacts, { recursive: true })
  const quiet = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', ...quiet] })
})
after(() => browser?.close())

/** Opens a page that fails its test when the browser finds anything wrong with it. */
async function open(t, daemon, { fragment = `#token=${daemon.token}`, at = daemon.page, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options })
  context.setDefaultTimeout(PATIENCE)
  const page = await context.newPage()
  const wrong = []
  page.on('pageerror', (error) => wrong.push(String(error)))
  page.on('console', (message) => {
    // What the network does is what some tests are about; a broken policy is not.
    const isNetwork = /WebSocket connection to|Failed to load resource|ERR_/.test(message.text())
    if (['error', 'warning'].includes(message.type()) && !isNetwork) wrong.push(message.text())
  })
  afterwards(t, async () => {
    await context.close()
    assert.deepEqual(wrong, [], 'the browser complains')
  })
  await page.goto(at + fragment)
  return page
}

const isLive = (page) => page.locator('#link[data-state=live]').waitFor()
const isIdle = (page) => page.locator('#turn-state[data-status=idle]').waitFor()

async function choose(page, sessionID) {
  await page.locator(`#sessions a[href="#session=${sessionID}"]`).click()
  await page.locator('#reading').waitFor({ state: 'hidden' })
}

async function send(page, text) {
  await page.locator('#prompt').fill(text)
  await page.locator('#prompt').press('Enter')
}

/** Makes the page show what the daemon has: the same messages, in turns, with the same text. */
async function showsWhatIs(page, client, sessionID) {
  const messages = await client.call('session.messages', { sessionID })
  const wanted = messages.map(({ info }) => info.id).sort()
  await until(async () => {
    const ids = await page.locator('#messages article').evaluateAll((all) => all.map(({ id }) => id))
    return JSON.stringify(ids.sort()) === JSON.stringify(wanted)
  }, `the page shows ${wanted.length} messages`)
  for (const { info, parts } of messages) {
    const text = parts.filter(({ type, synthetic }) => type === 'text' && !synthetic).map((part) => part.text).join('')
    const plain = (all) => all.replace(/[\s`#*-]+/g, '')
    const body = page.locator(`[id="${info.id}"] :is(.markdown, .plain:not(.quiet))`)
    await until(async () => plain((await body.allTextContents()).join('')) === plain(text), `the text of ${info.id}`)
  }
}

async function fixture(t, options) {
  const daemon = await Daemon.start(t)
  const directory = repository(daemon.folder)
  const client = await Client.open(daemon)
  afterwards(t, () => client.close())
  const page = await open(t, daemon, options)
  return { daemon, directory, client, page }
}

test('the token leaves the address and outlives a reload', { skip }, async (t) => {
  const { daemon, page } = await fixture(t)
  await isLive(page)
  assert.equal(page.url(), daemon.page)
  assert.equal(await page.evaluate(() => document.body.innerText.includes('token=')), false)
  await page.reload()
  await isLive(page)
})

test('a wrong token is told, and the right one can be given', { skip }, async (t) => {
  const { daemon, page } = await fixture(t, { fragment: '#token=wrong' })
  await page.getByText('did not accept the token').waitFor()
  await page.getByLabel('Token').fill(daemon.token)
  await page.getByRole('button', { name: 'Connect' }).click()
  await isLive(page)
  const asked = await open(t, daemon, { fragment: '' })
  await asked.getByLabel('Token').fill(daemon.token)
  await asked.keyboard.press('Enter')
  await isLive(asked)
})

test('a session is begun, asked, and streams its answer', { skip }, async (t) => {
  const { directory, client, page } = await fixture(t)
  await isLive(page)
  await page.getByRole('button', { name: 'New session' }).click()
  await page.getByLabel('Directory', { exact: true }).fill(directory)
  await page.getByRole('button', { name: 'Start' }).click()
  await send(page, 'help')
  await page.locator('.foot', { hasText: 'offline/guide' }).waitFor()
  const [session] = await client.call('session.list', { scope: 'all' })
  assert.equal(session.directory, directory)
  await showsWhatIs(page, client, session.id)
  await page.locator('#title', { hasText: 'help' }).waitFor()
  // What was typed is sent once, and the box is free again.
  assert.equal(await page.locator('#prompt').inputValue(), '')
})

test('output of a running tool arrives while it runs', { skip }, async (t) => {
  const { daemon, directory, client, page } = await fixture(t)
  const { id } = await client.call('session.create', { directory })
  await isLive(page)
  await choose(page, id)
  const gate = path.join(daemon.folder, 'gate')
  await send(page, `run echo begun; until test -e '${gate}'; do sleep 0.05; done; echo over`)
  await page.getByRole('button', { name: 'Allow once' }).click()
  await page.locator('.tool[data-status=running] summary').click()
  await page.locator('.tool .output', { hasText: 'begun' }).waitFor()
  assert.equal(await page.locator('.tool .output', { hasText: 'over' }).count(), 0)
  fs.writeFileSync(gate, '')
  await page.locator('.tool[data-status=completed] .output', { hasText: 'over' }).waitFor()
  await isIdle(page)
})

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

test('a question of any session is seen and answered from anywhere', { skip }, async (t) => {
  const { daemon, directory, client, page } = await fixture(t)
  await isLive(page)
  const other = repository(daemon.folder, 'other')
  const { id } = await client.call('session.create', { directory, title: 'mine' })
  await client.call('event.subscribe', {})
  const { sessionID } = await client.call('session.submit', { directory: other, parts: 'replace "hello" with "bye" in notes.txt' })
  await page.locator('#ask-count', { hasText: '1 question' }).waitFor()
  await choose(page, id)
  const ask = page.locator('.ask.elsewhere')
  await ask.locator('.diff .added', { hasText: '+bye' }).waitFor()
  await page.locator(`#sessions a[href="#session=${sessionID}"] .badge`, { hasText: 'waiting' }).waitFor()
  await ask.getByRole('button', { name: 'Allow once' }).click()
  await client.event(({ type, sessionID: of }) => type === 'session.idle' && of === sessionID)
  await page.locator('#asks').waitFor({ state: 'hidden' })
  assert.equal(fs.readFileSync(path.join(other, 'notes.txt'), 'utf8'), 'bye\n')
  // Somebody else answers: the question goes away here as well.
  await client.call('session.submit', { sessionID, parts: 'run true' })
  await page.locator('.ask').waitFor()
  const [{ id: permissionID }] = await client.call('permission.list')
  await client.call('permission.reply', { sessionID, permissionID, response: 'reject' })
  await page.locator('#asks').waitFor({ state: 'hidden' })
})

test('prompts queue up, and stopping takes them back', { skip }, async (t) => {
  const { directory, client, page } = await fixture(t)
  const { id } = await client.call('session.create', { directory })
  await isLive(page)
  await choose(page, id)
  await send(page, 'run true')
  await page.locator('.ask').waitFor()
  await send(page, 'help')
  await send(page, 'what changed')
  await page.locator('.queued .foot', { hasText: 'number 2' }).waitFor()
  await page.locator('#sessions .badge', { hasText: 'waiting, 2 queued' }).waitFor()
  // Who comes later sees the queue too.
  const later = await open(t, { page: page.url().split('#')[0], token: await page.evaluate(() => Object.values(sessionStorage)[0]) })
  await isLive(later)
  await later.locator('#sessions .badge', { hasText: 'waiting, 2 queued' }).waitFor()
  await page.getByRole('button', { name: 'Stop' }).click()
  await isIdle(page)
  await page.locator('#messages', { hasText: 'Stopped.' }).waitFor()
  await page.locator('.queued').first().waitFor({ state: 'detached' })
  await showsWhatIs(page, client, id)
})

test('a daemon that dies and comes back loses nothing and doubles nothing', { skip }, async (t) => {
  const { daemon, directory, client, page } = await fixture(t)
  const { id } = await client.call('session.create', { directory })
  await isLive(page)
  await choose(page, id)
  await send(page, 'help')
  await page.locator('.foot', { hasText: 'offline/guide' }).waitFor()
  await daemon.kill()
  await page.locator('#link[data-state=lost]').waitFor()
  await send(page, 'what can you do')
  await page.locator('#prompt-hint', { hasText: 'when the connection is back' }).waitFor()
  const again = await daemon.restart(t)
  await isLive(page)
  const second = await Client.open(again)
  afterwards(t, () => second.close())
  await until(async () => (await second.call('session.messages', { sessionID: id })).length >= 4, 'the prompt arrives')
  await isIdle(page)
  const messages = await second.call('session.messages', { sessionID: id })
  assert.deepEqual(messages.map(({ info }) => info.role), ['user', 'assistant', 'user', 'assistant'])
  await showsWhatIs(page, second, id)
})

/** Stands between page and daemon, and can cut all lines, or keep back what the daemon says on them. */
async function wire(t, daemon) {
  const lines = new Set()
  const daemons = new Set()
  const server = net.createServer((near) => {
    const far = net.connect(daemon.port, '127.0.0.1')
    daemons.add(far)
    for (const [from, to] of [[near, far], [far, near]]) {
      lines.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        lines.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => lines.forEach((line) => line.destroy())
  afterwards(t, () => {
    cut()
    server.close()
  })
  const mute = () => daemons.forEach((far) => far.unpipe())
  return { cut, mute, address: `http://127.0.0.1:${server.address().port}/` }
}

test('lines that break in the middle of a stream lose nothing and double nothing', { skip }, async (t) => {
  const daemon = await Daemon.start(t)
  const directory = repository(daemon.folder)
  const client = await Client.open(daemon)
  afterwards(t, () => client.close())
  const { cut, address } = await wire(t, daemon)
  const page = await open(t, daemon, { at: address })
  await client.call('event.subscribe', {})
  const { id } = await client.call('session.create', { directory })
  await isLive(page)
  await choose(page, id)
  for (let turn = 0; turn < 6; turn++) {
    const { messageID } = await client.call('session.submit', { sessionID: id, parts: turn % 2 ? 'help' : 'read notes.txt' })
    if (turn % 3 === 0) cut()
    await client.event(({ type, properties }) => type === 'message.part.delta' && properties.messageID > messageID)
    cut()
    await client.event(({ type, properties }) => type === 'message.updated' && properties.info.parentID === messageID && properties.info.finish === 'stop')
  }
  await isLive(page)
  await showsWhatIs(page, client, id)
})

test('a prompt whose answer was lost is sent again and asked once', { skip }, async (t) => {
  const daemon = await Daemon.start(t)
  const directory = repository(daemon.folder)
  const client = await Client.open(daemon)
  afterwards(t, () => client.close())
  const { cut, mute, address } = await wire(t, daemon)
  const page = await open(t, daemon, { at: address })
  await client.call('event.subscribe', {})
  const { id } = await client.call('session.create', { directory })
  await isLive(page)
  await choose(page, id)
  mute()
  await send(page, 'help')
  await client.event(({ type, sessionID }) => type === 'session.idle' && sessionID === id)
  await page.locator('#prompt-hint', { hasText: 'Sending' }).waitFor()
  cut()
  await page.locator('#prompt-hint', { hasText: 'Enter sends' }).waitFor()
  await showsWhatIs(page, client, id)
  assert.equal((await client.call('session.messages', { sessionID: id })).length, 2)
})

test('below a base path, as a proxy may want it', { skip }, async (t) => {
  const daemon = await Daemon.start(t, { more: ['--base-path', '/tools/polytree'] })
  const page = await open(t, daemon, { at: `${daemon.page}tools/polytree/` })
  await isLive(page)
  assert.equal(new URL(page.url()).pathname, '/tools/polytree/')
})

test('a page from elsewhere gets nothing, even with the token', { skip }, async (t) => {
  const { daemon } = await fixture(t)
  const server = http.createServer((_, answer) => answer.setHeader('content-type', 'text/html').end('<!doctype html><title>elsewhere</title>'))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterwards(t, () => server.close())
  const context = await browser.newContext()
  afterwards(t, () => context.close())
  const page = await context.newPage()
  await page.goto(`http://127.0.0.1:${server.address().port}/`)
  const opened = await page.evaluate(
    ([address, token]) =>
      new Promise((resolve) => {
        const socket = new WebSocket(address, ['polytree.v1', `polytree.token.${token}`])
        socket.onopen = () => resolve('open')
        socket.onclose = ({ code }) => resolve(code)
      }),
    [daemon.socket, daemon.token],
  )
  assert.equal(opened, 1006)
  const posted = await page.evaluate(
    ([address, token]) => {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'server.info' })
      return fetch(address, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body }).then(({ status }) => status, String)
    },
    [daemon.page, daemon.token],
  )
  assert.match(String(posted), /TypeError|403/)
})

test('what a model or a tool says never becomes part of the page', { skip }, async (t) => {
  const { directory, client, page } = await fixture(t)
  const hostile = '<img src=x onerror=alert(1)><script>alert(2)</script>'
  const { id } = await client.call('session.create', { directory, title: hostile })
  page.on('dialog', () => assert.fail('a script ran'))
  await isLive(page)
  await choose(page, id)
  fs.writeFileSync(path.join(directory, 'notes.txt'), `${hostile}\n`)
  await send(page, 'read notes.txt')
  await page.locator('.foot', { hasText: 'offline/guide' }).waitFor()
  await page.locator('.markdown', { hasText: '<script>alert(2)</script>' }).waitFor()
  await send(page, hostile)
  await page.locator('.message.user').nth(1).waitFor()
  await isIdle(page)
  assert.equal(await page.locator('main img, main script, nav img').count(), 0)
  assert.equal(await page.locator('#title').textContent(), hostile)
})

test('a long session opens with its end and gives more when asked', { skip }, async (t) => {
  const { directory, client, page } = await fixture(t)
  const { id } = await client.call('session.create', { directory, title: 'long' })
  for (let turn = 0; turn < 70; turn++) await client.call('session.prompt', { sessionID: id, parts: `read lines ${turn + 1} to ${turn + 1} of notes.txt` })
  await isLive(page)
  const count = () => page.locator('#messages article').count()
  const started = Date.now()
  await choose(page, id)
  await until(async () => (await count()) === 50, '50 messages')
  t.diagnostic(`50 messages shown after ${Date.now() - started} ms`)
  const atEnd = () => page.locator('#transcript').evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight < 80)
  await until(atEnd, 'the end is in sight')
  const first = page.locator('#messages article').first()
  const id50 = await first.getAttribute('id')
  await page.locator('#older').scrollIntoViewIfNeeded()
  const before = (await first.boundingBox()).y
  await page.locator('#older').click()
  await until(async () => (await count()) === 100, '100 messages')
  const moved = Math.abs((await page.locator(`[id="${id50}"]`).boundingBox()).y - before)
  assert.ok(moved < 60, `what was read stays in its place, moved by ${moved}`)
  // Who reads far up is not pulled down by what arrives.
  await client.call('session.prompt', { sessionID: id, parts: 'help' })
  await page.locator('#jump').waitFor()
  assert.equal(await atEnd(), false)
  await page.locator('#jump').click()
  await until(atEnd, 'the end is in sight again')
})

test('a file is attached and read', { skip }, async (t) => {
  const { directory, client, page } = await fixture(t)
  const { id } = await client.call('session.create', { directory })
  await isLive(page)
  await choose(page, id)
  await page.locator('#files').setInputFiles({ name: 'todo.rs', mimeType: 'text/x-rust', buffer: Buffer.from('fn later() {}\n') })
  await page.locator('#attached', { hasText: 'todo.rs (14 bytes)' }).waitFor()
  await send(page, 'help')
  await page.locator('.message.user .chip', { hasText: 'todo.rs' }).waitFor()
  await isIdle(page)
  const [{ parts }] = await client.call('session.messages', { sessionID: id })
  assert.ok(parts.some((part) => part.type === 'file' && part.filename === 'todo.rs'), JSON.stringify(parts))
  assert.ok(parts.some((part) => part.type === 'text' && part.text.includes('fn later')), 'the daemon has read it to the model')
})

test('everything is done by keyboard, and where the focus is can be seen', { skip }, async (t) => {
  const { directory, client, page } = await fixture(t)
  const keys = page.keyboard
  await isLive(page)
  await keys.press('n')
  await page.locator('dialog').waitFor()
  await keys.type(directory)
  await keys.press('Enter')
  await page.locator('#prompt:focus').waitFor()
  await keys.type('run git status --short')
  await keys.press('Enter')
  await page.locator('.ask').waitFor()
  await keys.press('Escape')
  await page.locator('#transcript:focus').waitFor()
  await keys.press('q')
  await page.locator('.ask button.primary:focus').waitFor()
  await keys.press('Enter')
  await isIdle(page)
  // After the last question one goes on writing.
  await page.locator('#prompt:focus').waitFor()
  await keys.press('ArrowUp')
  assert.equal(await page.locator('#prompt').inputValue(), 'run git status --short')
  await keys.press('Escape')
  await keys.press('?')
  await page.locator('dialog', { hasText: 'starts a session' }).waitFor()
  await keys.press('Escape')
  await page.locator('dialog').waitFor({ state: 'detached' })
  await keys.press('d')
  await page.locator('dialog', { hasText: 'protocol 1' }).waitFor()
  await page.locator('dialog h3', { hasText: 'Connected: 2' }).waitFor()
  await page.locator('dialog td', { hasText: 'this page' }).waitFor()
  await keys.press('Escape')
  await keys.press('/')
  await keys.type('no such session')
  await page.locator('#no-sessions').waitFor()
  for (let letter = 0; letter < 'no such session'.length; letter++) await keys.press('Backspace')
  await keys.press('ArrowDown')
  await page.locator('#sessions a:focus').waitFor()
  await keys.press('Enter')
  // A walk with Tab comes by everything, and always shows where it is.
  const seen = new Set()
  for (let step = 0; step < 40; step++) {
    await keys.press('Tab')
    const at = await page.evaluate(() => {
      const element = document.activeElement
      const { outlineStyle, outlineWidth } = getComputedStyle(element)
      return { name: element.id || element.textContent.trim().slice(0, 30) || element.tagName, shown: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1 }
    })
    if (at.name === 'BODY') continue
    const isBody = await page.evaluate(() => document.activeElement === document.body)
    if (!isBody) assert.ok(at.shown, `${at.name} shows its focus`)
    seen.add(at.name)
  }
  for (const name of ['search', 'filter', 'new', 'help', 'transcript', 'prompt', 'agent', 'model', 'send']) assert.ok(seen.has(name), `${name} is reached: ${[...seen]}`)
  // What a screen reader finds.
  const landmarks = await page.locator('body').ariaSnapshot()
  for (const wanted of ['banner', 'navigation "Sessions"', 'main', 'region "Conversation"', 'textbox "Prompt"', 'status']) assert.ok(landmarks.includes(wanted), `${wanted} in\n${landmarks}`)
  await page.locator('#news', { hasText: 'Answer: ' }).waitFor({ state: 'attached' })
  // Who dictates or mistypes can switch single letters off.
  await keys.press('Escape')
  await page.locator('#transcript').focus()
  await keys.press('?')
  await page.locator('dialog input[type=checkbox]').uncheck()
  await keys.press('Escape')
  await page.locator('dialog').waitFor({ state: 'detached' })
  await keys.press('n')
  await keys.press('?')
  assert.deepEqual(await page.locator('dialog h2').allTextContents(), ['Keys'])
  await client.call('server.info')
})

test('sessions are renamed, archived, found and deleted, and projects trusted', { skip }, async (t) => {
  const { directory, client, page } = await fixture(t)
  fs.writeFileSync(path.join(directory, 'polytree.json'), '{}')
  const { id } = await client.call('session.create', { directory, title: 'first' })
  const { id: other } = await client.call('session.create', { directory, title: 'second' })
  await isLive(page)
  await choose(page, id)
  const act = async (name) => {
    await page.locator('#menu summary').click()
    await page.locator('#menu-items').getByRole('button', { name }).click()
  }
  await act('Rename')
  await page.locator('dialog input').fill('renamed')
  await page.keyboard.press('Enter')
  await page.locator('#title', { hasText: 'renamed' }).waitFor()
  await page.getByRole('searchbox').fill('RENAM')
  await until(async () => (await page.locator('#sessions a').count()) === 1, 'one session is found')
  await page.getByRole('searchbox').fill('')
  await act('Archive')
  await until(async () => (await client.call('session.get', { sessionID: id })).time.archived, 'it is archived')
  await page.locator('#filter').selectOption('archived')
  await until(async () => (await page.locator('#sessions a').count()) === 1, 'one session is archived')
  await page.locator('#filter').selectOption('all')
  await act('Project')
  await page.getByRole('button', { name: 'Trust these settings' }).click()
  await page.getByRole('button', { name: 'Trust no longer' }).waitFor()
  assert.equal((await client.call('project.current', { directory })).trusted, true)
  await page.keyboard.press('Escape')
  await act('Delete')
  await page.locator('dialog').getByRole('button', { name: 'Delete' }).click()
  await until(async () => (await client.call('session.list', { scope: 'all' })).length === 1, 'it is deleted')
  await page.locator(`#sessions a[href="#session=${id}"]`).waitFor({ state: 'detached' })
  await choose(page, other)
})

test('it looks as it should: dark, light, narrow', { skip }, async (t) => {
  const { directory, client, page } = await fixture(t, { colorScheme: 'dark' })
  const { id } = await client.call('session.create', { directory, title: 'Why does the parser test fail?' })
  await client.call('session.create', { directory, title: 'Update the changelog' })
  await client.call('session.prompt', { sessionID: id, parts: 'read notes.txt' })
  await client.call('session.submit', { sessionID: id, parts: 'replace "hello" with "good morning" in notes.txt' })
  await isLive(page)
  await choose(page, id)
  await page.locator('.ask').waitFor()
  const picture = (name) => page.screenshot({ path: path.join(artifacts, `page-${name}.png`) })
  await picture('dark')
  await page.emulateMedia({ colorScheme: 'light' })
  await picture('light')
  await page.setViewportSize({ width: 390, height: 800 })
  await picture('narrow')
  await page.setViewportSize({ width: 1200, height: 800 })
  await page.locator('#link').click()
  await page.locator('dialog h3').waitFor()
  await picture('daemon')
  await page.keyboard.press('Escape')
  await page.setViewportSize({ width: 390, height: 800 })
  const isInside = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)
  assert.ok(await isInside(), 'nothing sticks out')
  await page.getByRole('button', { name: 'All sessions' }).click()
  await page.locator('#sessions a').first().waitFor()
  await picture('narrow-list')
  assert.ok(await isInside(), 'nothing sticks out')
  await page.locator('#sessions a').first().click()
  await page.locator('#transcript').waitFor()
  const files = fs.readdirSync(artifacts).filter((name) => name.startsWith('page-'))
  t.diagnostic(`${files.length} pictures in ${artifacts}; ${spawnSync(executablePath, ['--version'], { encoding: 'utf8' }).stdout.trim()}`)
})
