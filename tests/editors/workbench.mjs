// A real VS Code workbench (code-server in Chromium) with the extension, a project, a daemon and a model server.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { createRequire } from 'node:module'
import { modelServer } from './model_server.mjs'

// The packages are installed outside of the checkout.
const require = createRequire(path.join(process.env.POLYTREE_EDITOR_PACKAGES, 'package.json'))
const { chromium } = require('playwright-core')
const TIMEOUT = Number(process.env.POLYTREE_TIMEOUT ?? 60_000)

export async function until(what, check, timeout = TIMEOUT) {
  const deadline = Date.now() + timeout
  for (;;) {
    const value = await check()
    if (value) return value
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

export async function launchChromium() {
  return await chromium.launch({
    executablePath: ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((name) => fs.existsSync(name)),
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
}

const freePort = () =>
  new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })

/** A repository with one commit, settings that name the model server, and the daemon's own directories. */
export async function place() {
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'polytree-vscode-')))
  const project = path.join(root, 'project')
  const model = await modelServer()
  const write = (name, text) => {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true })
    fs.writeFileSync(path.join(root, name), text)
  }
  const git = (...words) => {
    const done = spawnSync('git', ['-c', 'user.name=Test', '-c', 'user.email=test@example.com', ...words], { cwd: project, encoding: 'utf8' })
    assert.equal(done.status, 0, done.stderr)
  }
  write('project/src/main.txt', 'one\ntwo\nthree\n')
  write('project/notes.txt', 'alpha\nbeta\n')
  git('init', '-q', '-b', 'main')
  git('add', '.')
  git('commit', '-q', '-m', 'first')
  const provider = {
    api: 'openai',
    options: { baseURL: `http://127.0.0.1:${model.port}/v1`, apiKey: 'test' },
    models: { small: { limit: { context: 100000, output: 8000 } } },
  }
  write('config/polytree.json', JSON.stringify({ model: 'local/small', small_model: 'local/small', provider: { local: provider } }))
  const daemon = {
    POLYTREE_DATA_DIR: path.join(root, 'data'),
    POLYTREE_CONFIG_DIR: path.join(root, 'config'),
    POLYTREE_RUNTIME_DIR: path.join(root, 'run'),
  }
  const env = { ...process.env, HOME: root, XDG_CONFIG_HOME: path.join(root, 'xdg-config'), XDG_DATA_HOME: path.join(root, 'xdg-data') }
  /** The text of a file of the project. */
  const file = (name) => fs.readFileSync(path.join(project, name), 'utf8')
  /** What the model was asked by turns, not for titles. */
  const turns = () => model.requests.filter(({ tools }) => tools?.length)
  return { root, project, model, write, file, turns, git, daemon, env, executable: process.env.POLYTREE_EXECUTABLE }
}

/** Starts the workbench on a place. `out` is a folder for pictures and the server's log. */
export async function workbench(where, { codeServer, vsix, out, theme = 'Default Dark Modern' }) {
  const { root, project, daemon, executable } = where
  fs.mkdirSync(out, { recursive: true })
  const settings = {
    'workbench.startupEditor': 'none',
    'files.autoSave': 'off',
    'telemetry.telemetryLevel': 'off',
    'extensions.autoCheckUpdates': false,
    'extensions.ignoreRecommendations': true,
    'chat.disableAIFeatures': true,
    'workbench.secondarySideBar.defaultVisibility': 'hidden',
    'workbench.colorTheme': theme,
    'polytree.command': [executable, 'stdio'],
    'polytree.environment': daemon,
  }
  const write = (more = {}) => ['User', 'Machine'].forEach((kind) => where.write(`user/${kind}/settings.json`, JSON.stringify({ ...settings, ...more })))
  write()

  // The newest versions bring their own Node.
  const node = path.join(codeServer, 'node/bin')
  const env = { ...where.env, PATH: fs.existsSync(node) ? `${node}:${process.env.PATH}` : process.env.PATH }
  const common = ['--config', path.join(root, 'code-server.yaml'), '--user-data-dir', path.join(root, 'user'), '--extensions-dir', path.join(root, 'extensions')]
  const program = path.join(codeServer, 'node_modules/.bin/code-server')
  const installed = spawnSync(program, [...common, '--install-extension', vsix], { env, encoding: 'utf8' })
  assert.equal(installed.status, 0, installed.stdout + installed.stderr)
  const port = await freePort()
  const server = spawn(
    program,
    [...common, '--auth', 'none', '--bind-addr', `127.0.0.1:${port}`, '--disable-telemetry', '--disable-update-check', '--disable-workspace-trust', project],
    { env, stdio: ['ignore', fs.openSync(path.join(out, 'server.log'), 'w'), 'inherit'] },
  )
  // Whatever fails, nothing is left running.
  process.on('exit', () => server.kill())
  const url = `http://127.0.0.1:${port}/`
  await until('code-server', () => fetch(`${url}healthz`).then((answer) => answer.ok, () => false))
  const browser = await launchChromium()
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } })
  page.setDefaultTimeout(TIMEOUT)
  page.on('crash', () => console.log('Chromium has lost the page'))
  browser.on('disconnected', () => isOpen && console.log('Chromium has ended'))
  let isOpen = true
  const ready = async () => {
    await page.locator('.monaco-workbench').waitFor()
    await page.locator('.statusbar-item', { hasText: 'polytree' }).waitFor()
  }
  await page.goto(url)
  await ready()

  /** The workbench as it is after its start: no dialog, no unsaved text, no editor. */
  async function reload() {
    await page.reload()
    await ready()
    await driver(page, out).palette('View: Close All Editors')
    await until('a workbench without editors', async () => {
      // Unsaved text outlives the page.
      await page.locator('.monaco-dialog-box .monaco-button', { hasText: "Don't Save" }).click({ timeout: 500 }).catch(() => {})
      return (await page.locator('.tab').count()) === 0
    })
  }

  /** Another theme, while the workbench runs. `kind` is `vs` for a light one, `vs-dark` for a dark one. */
  async function useTheme(name, kind) {
    write({ 'workbench.colorTheme': name })
    await page.locator(`.monaco-workbench.${kind}`).waitFor()
  }

  async function close() {
    isOpen = false
    await browser.close()
    server.kill()
    spawnSync(executable, ['stop', '--now'], { env: { ...env, ...daemon } })
    where.model.close()
    await new Promise((resolve) => (server.exitCode === null && server.signalCode === null ? server.on('exit', resolve) : resolve()))
    // Its extension hosts go a few seconds later than itself.
    await until('the end of what code-server has started', () => {
      try {
        fs.rmSync(root, { recursive: true, force: true })
        return true
      } catch {
        return false
      }
    })
  }
  return { page, browser, url, close, reload, useTheme, ...driver(page, out) }
}

/** What a person does with a page of the workbench. What may be missed is tried again: keys get lost while a view is loaded. */
export function driver(page, out) {
  const chat = () => page.frameLocator('iframe.webview.ready[src*="extensionId=polytree.polytree"]').frameLocator('#active-frame')
  const said = (text) => chat().locator('article.assistant', { hasText: text }).last()
  const picture = (name) => page.screenshot({ path: path.join(out, `${name}.png`) })

  async function pick(row) {
    await page.locator('.quick-input-list .monaco-list-row', { hasText: row }).first().waitFor()
    await page.keyboard.press('Enter')
  }

  /** Runs a command by its whole title. A view that is just being loaded passes no keys on, or takes the focus: tried again. */
  async function palette(title) {
    const input = page.locator('.quick-input-widget .quick-input-box input')
    const row = page.locator('.quick-input-list .monaco-list-row', { hasText: title.replace(/^.*?: /, '') }).first()
    await until(`the command ${title}`, async () => {
      await page.keyboard.press('F1')
      try {
        await input.fill(`>${title}`, { timeout: 2000 })
        await row.waitFor({ timeout: 5000 })
        return true
      } catch {
        await page.keyboard.press('Escape')
        return false
      }
    })
    await page.keyboard.press('Enter')
  }

  const command = (title) => palette(`polytree: ${title}`)

  /** Chooses a row of the list that is open. */
  async function choose(row) {
    await page.locator('.quick-input-widget .quick-input-box input').fill(row)
    await pick(row)
  }

  /** Begins a session, and sets its mode where one is named. */
  async function fresh(mode) {
    await until('a new session', async () => {
      await command('New Session')
      return await chat().locator('.empty').waitFor({ timeout: 5000 }).then(() => true, () => false)
    })
    if (!mode) return
    await chat().locator('#mode').click()
    await choose(mode)
    await chat().locator('#mode', { hasText: mode }).waitFor()
  }

  /** Opens a list of the side bar. */
  async function openPane(title) {
    const header = page.locator('.pane-header', { hasText: title })
    await until(`the list ${title}`, async () => {
      if ((await header.getAttribute('aria-expanded')) === 'true') return true
      await header.click({ timeout: 2000 }).catch(() => {})
      return false
    })
  }

  /** Presses a button that a row of a list has only while the pointer is on it; lists are drawn anew under the pointer. */
  async function pressInRow(row, label) {
    await until(`the button ${label}`, async () => {
      await row.hover({ timeout: 2000 }).catch(() => {})
      return await row.locator(`.action-label[aria-label^="${label}"]`).click({ timeout: 1000 }).then(() => true, () => false)
    })
  }

  async function ask(text) {
    const input = chat().locator('#text')
    await input.fill(text)
    await input.press('Enter')
  }

  /** The questions of the chat, once an answer is taken: one that comes at once is not. */
  const questions = () => chat().locator('#questions:not(.settling) .ask')

  async function answer(response) {
    await questions().locator(`button.${response}`).click()
  }

  async function openFile(name) {
    const input = page.locator('.quick-input-widget .quick-input-box input')
    await until('the list of files', async () => {
      await page.keyboard.press('Control+P')
      return await input.fill(name, { timeout: 2000 }).then(() => true, () => false)
    })
    await pick(path.basename(name))
    const lines = page.locator(`.monaco-editor[data-uri$="/${name}"] .view-lines`)
    await lines.waitFor()
    return lines
  }

  return { chat, said, picture, pick, choose, fresh, openPane, pressInRow, command, palette, ask, questions, answer, openFile }
}
