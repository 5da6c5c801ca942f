// A browser for the tests of the page, and what they do with it again and again.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { after, before } from 'node:test'
import { Client } from './client.mjs'
import { afterwards, Daemon, PATIENCE, repository, until } from './daemon.mjs'
import { tool } from './places.mjs'

const { chromium } = tool('playwright-core')
export const artifacts = process.env.POLYTREE_ARTIFACTS ?? path.join(os.tmpdir(), 'polytree-artifacts')
export const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((place) => fs.existsSync(place))

export const skip = !executablePath && 'there is no Chromium'

/** Set before the first test. */
export let browser
before(async () => {
  if (skip) return
  fs.mkdirSync(artifacts, { recursive: true })
  const quiet = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
  // A page that does not come from the network may not connect to it.
  const more = process.env.POLYTREE_PAGE ? ['--disable-features=LocalNetworkAccessChecks'] : []
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', ...quiet, ...more] })
})
after(() => browser?.close())

/** Opens a page that fails its test when the browser finds anything wrong with it. */
export async function open(t, daemon, { fragment = `#token=${daemon.token}`, at = daemon.page, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options })
  context.setDefaultTimeout(PATIENCE)
  await useFiles(context)
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

/** With POLYTREE_PAGE the page is made of the files of that folder, under the daemon's policy. */
async function useFiles(context) {
  const folder = process.env.POLYTREE_PAGE
  if (!folder) return
  /** The end of an address that is a file of the page: it may be below a base path. */
  const nameOf = ({ pathname }) => {
    const names = pathname.split('/').slice(1)
    const ends = names.map((_, index) => names.slice(index).join('/') || 'index.html')
    return ends.find((end) => fs.existsSync(path.join(folder, end)) && fs.statSync(path.join(folder, end)).isFile())
  }
  await context.route((url) => nameOf(url) !== undefined, async (route) => {
    if (route.request().method() !== 'GET') return route.fallback()
    const { headers } = await fetch(new URL('/', route.request().url())).catch(() => ({}))
    if (!headers) return route.abort()
    const types = { html: 'text/html', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' }
    const name = nameOf(new URL(route.request().url()))
    const policy = headers.get('content-security-policy') ?? ''
    return route.fulfill({ body: fs.readFileSync(path.join(folder, name)), contentType: `${types[name.split('.').pop()]}; charset=utf-8`, headers: { 'content-security-policy': policy } })
  })
}

export const isLive = (page) => page.locator('#link[data-state=live]').waitFor()
export const isIdle = (page) => page.locator('#turn-state[data-status=idle]').waitFor()

export async function choose(page, sessionID) {
  await page.locator(`#sessions a[href="#session=${sessionID}"]`).click()
  await page.locator('#reading').waitFor({ state: 'hidden' })
}

export async function send(page, text) {
  await page.locator('#prompt').fill(text)
  await page.locator('#prompt').press('Enter')
}

/** Makes the page show what the daemon has: the same messages, in turns, with the same text. */
export async function showsWhatIs(page, client, sessionID) {
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

export async function fixture(t, options) {
  const daemon = await Daemon.start(t)
  const directory = repository(daemon.folder)
  const client = await Client.open(daemon)
  afterwards(t, () => client.close())
  const page = await open(t, daemon, options)
  return { daemon, directory, client, page }
}

/** Stands between page and daemon, and can cut all lines, or keep back what the daemon says on them. */
export async function wire(t, daemon) {
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
