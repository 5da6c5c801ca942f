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
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
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
  return { root, project, model, write, git, daemon, env, executable: process.env.POLYTREE_EXECUTABLE }
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
  await page.goto(url)
  await page.locator('.monaco-workbench').waitFor()
  await page.locator('.statusbar-item', { hasText: 'polytree' }).waitFor()

  /** Another theme, while the workbench runs. `kind` is `vs` for a light one, `vs-dark` for a dark one. */
  async function useTheme(name, kind) {
    write({ 'workbench.colorTheme': name })
    await page.locator(`.monaco-workbench.${kind}`).waitFor()
  }

  async function close() {
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
  return { page, browser, url, close, useTheme, ...driver(page, out) }
}

/** What a person does with a page of the workbench. */
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
    await until('the command palette', async () => {
      await page.keyboard.press('F1')
      return await input.fill(`>${title}`, { timeout: 2000 }).then(() => true, () => false)
    })
    await pick(title.replace(/^.*?: /, ''))
  }

  const command = (title) => palette(`polytree: ${title}`)

  async function ask(text) {
    const input = chat().locator('#text')
    await input.fill(text)
    await input.press('Enter')
  }

  /** Answers the question that is shown, as late as a person who has read it: an answer that comes at once is not taken. */
  async function answer(response) {
    const button = chat().locator(`.ask button.${response}`)
    await button.waitFor()
    await new Promise((resolve) => setTimeout(resolve, 400))
    await button.click()
  }

  async function openFile(name) {
    await page.keyboard.press('Control+P')
    await page.locator('.quick-input-widget .quick-input-box input').fill(name)
    await pick(path.basename(name))
    const lines = page.locator(`.monaco-editor[data-uri$="/${name}"] .view-lines`)
    await lines.waitFor()
    return lines
  }

  return { chat, said, picture, pick, command, palette, ask, answer, openFile }
}
