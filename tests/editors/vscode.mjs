// The extension in a real VS Code workbench (code-server in Chromium), with the real daemon and a model server:
//
//   node vscode.mjs CODE_SERVER VSIX OUT
//
// CODE_SERVER is the folder of its installation, OUT a folder for pictures. It ends with "N passed, N failed".
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { createRequire } from 'node:module'
import { call, modelServer, say } from './model_server.mjs'

const [codeServer, vsix, out] = process.argv.slice(2).map((name) => path.resolve(name))
const executable = process.env.POLYTREE_EXECUTABLE
// The packages are installed outside of the checkout.
const require = createRequire(path.join(process.env.POLYTREE_EDITOR_PACKAGES, 'package.json'))
const { chromium } = require('playwright-core')
const TIMEOUT = Number(process.env.POLYTREE_TIMEOUT ?? 60_000)

const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'polytree-vscode-')))
const project = path.join(root, 'project')
const model = await modelServer()
fs.mkdirSync(out, { recursive: true })

function write(name, text) {
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
write(
  'config/polytree.json',
  JSON.stringify({
    model: 'local/small',
    small_model: 'local/small',
    provider: {
      local: {
        api: 'openai',
        options: { baseURL: `http://127.0.0.1:${model.port}/v1`, apiKey: 'test' },
        models: { small: { limit: { context: 100000, output: 8000 } } },
      },
    },
  }),
)
const daemon = {
  POLYTREE_DATA_DIR: path.join(root, 'data'),
  POLYTREE_CONFIG_DIR: path.join(root, 'config'),
  POLYTREE_RUNTIME_DIR: path.join(root, 'run'),
}
const settings = JSON.stringify({
  'workbench.startupEditor': 'none',
  'files.autoSave': 'off',
  'telemetry.telemetryLevel': 'off',
  'extensions.autoCheckUpdates': false,
  'extensions.ignoreRecommendations': true,
  'workbench.colorTheme': process.env.POLYTREE_THEME ?? 'Default Dark Modern',
  'polytree.command': [executable, 'stdio'],
  'polytree.environment': daemon,
})
write('user/User/settings.json', settings)
write('user/Machine/settings.json', settings)

// ---- the workbench

const env = { ...process.env, HOME: root, XDG_CONFIG_HOME: path.join(root, 'xdg-config'), XDG_DATA_HOME: path.join(root, 'xdg-data') }
const common = ['--config', path.join(root, 'code-server.yaml'), '--user-data-dir', path.join(root, 'user'), '--extensions-dir', path.join(root, 'extensions')]
const program = path.join(codeServer, 'node_modules/.bin/code-server')
const installed = spawnSync(program, [...common, '--install-extension', vsix], { env, encoding: 'utf8' })
assert.equal(installed.status, 0, installed.stdout + installed.stderr)

const freePort = () =>
  new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
const port = await freePort()
const server = spawn(
  program,
  [...common, '--auth', 'none', '--bind-addr', `127.0.0.1:${port}`, '--disable-telemetry', '--disable-update-check', '--disable-workspace-trust', project],
  { env, stdio: ['ignore', fs.openSync(path.join(out, 'server.log'), 'w'), 'inherit'] },
)
const url = `http://127.0.0.1:${port}/`

async function until(what, check, timeout = TIMEOUT) {
  const deadline = Date.now() + timeout
  for (;;) {
    const value = await check()
    if (value) return value
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

await until('code-server', () => fetch(`${url}healthz`).then((answer) => answer.ok, () => false))
const browser = await chromium.launch({
  executablePath: ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((name) => fs.existsSync(name)),
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } })
page.setDefaultTimeout(TIMEOUT)
await page.goto(url)
await page.locator('.monaco-workbench').waitFor()
await page.locator('.statusbar-item', { hasText: 'polytree' }).waitFor()

const chat = () => page.frameLocator('iframe.webview.ready[src*="extensionId=polytree.polytree"]').frameLocator('#active-frame')
const said = (text) => chat().locator('article.assistant', { hasText: text }).last()
const picture = (name) => page.screenshot({ path: path.join(out, `${name}.png`) })

async function command(title) {
  await page.keyboard.press('F1')
  const box = page.locator('.quick-input-widget .quick-input-box input')
  await box.fill(`>polytree: ${title}`)
  await page.locator('.quick-input-list .monaco-list-row', { hasText: title }).first().waitFor()
  await page.keyboard.press('Enter')
}

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
  await page.locator('.quick-input-list .monaco-list-row', { hasText: path.basename(name) }).first().waitFor()
  await page.keyboard.press('Enter')
  const lines = page.locator(`.monaco-editor[data-uri$="/${name}"] .view-lines`)
  await lines.waitFor()
  return lines
}

// ---- the tests: one user's first quarter of an hour, in order

let passed = 0
let failed = 0
async function test(name, run) {
  const started = Date.now()
  try {
    await run()
    passed += 1
    console.log(`ok      ${name} (${Date.now() - started} ms)`)
  } catch (error) {
    failed += 1
    console.log(`FAILED  ${name}\n${error.stack}`)
    await picture(`failed-${failed}`).catch(() => {})
  }
}

await test('a prompt streams its answer into the chat', async () => {
  model.script((reply) => {
    reply.text('Hello, *wor')
    reply.text('ld*.\n\n```rust\nfn main() {}\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<img src=x onerror=alert(1)>\n')
    reply.finish()
  })
  await command('Open Chat')
  await chat().locator('#text').waitFor()
  await ask('say hello')
  await said('Hello').waitFor()
  await said('Hello').locator('em', { hasText: 'world' }).waitFor()
  await said('Hello').locator('pre .hljs-keyword', { hasText: 'fn' }).waitFor()
  await said('Hello').locator('td', { hasText: '2' }).waitFor()
  assert.equal(await said('Hello').locator('img').count(), 0, 'HTML of the model became an element')
  await picture('chat')
})

await test('a question is shown whole, answered in the chat, and the command runs', async () => {
  model.script(call('bash', { command: 'echo from the tool > made.txt', description: 'Make a file' }), say('It is made.'))
  await ask('make it')
  const question = chat().locator('.ask')
  await question.waitFor()
  assert.match(await question.locator('pre').innerText(), /echo from the tool > made\.txt/)
  await page.locator('.statusbar-item', { hasText: '1 question' }).waitFor()
  await picture('question')
  await answer('once')
  await said('It is made.').waitFor()
  assert.equal(fs.readFileSync(path.join(project, 'made.txt'), 'utf8'), 'from the tool\n')
  await question.waitFor({ state: 'detached' })
})

await test('two quick clicks answer one question', async () => {
  model.script(
    call('bash', { command: 'touch one', description: 'One' }),
    call('bash', { command: 'touch two', description: 'Two' }),
    say('Both are there.'),
  )
  await ask('make two')
  const button = chat().locator('.ask button.once')
  await chat().locator('.ask pre', { hasText: 'touch one' }).waitFor()
  await answer('once')
  await chat().locator('.ask pre', { hasText: 'touch two' }).waitFor()
  await button.dispatchEvent('click')
  await new Promise((resolve) => setTimeout(resolve, 500))
  assert.ok(!fs.existsSync(path.join(project, 'two')), 'the second click was taken for the second question')
  await answer('once')
  await said('Both are there.').waitFor()
})

await test('a question of another session is told without what the model has written', async () => {
  model.script(call('bash', { command: 'echo [Show more](command:workbench.action.closeWindow)', description: 'x' }))
  await ask('ask me later')
  await chat().locator('.ask').waitFor()
  await command('New Session')
  await chat().locator('.elsewhere', { hasText: '1 question in other sessions' }).waitFor()
  assert.equal(await page.locator('.notifications-toasts a').count(), 0, 'a link of the model is in a notification')
  await page.locator('.pane-header', { hasText: 'Questions' }).waitFor()
  await page.locator('.monaco-list-row', { hasText: 'echo' }).first().click()
  await answer('reject')
  await chat().locator('.ask').waitFor({ state: 'detached' })
})

await test('a rejection with its reason is told to the model', async () => {
  model.script(call('bash', { command: 'rm -rf src', description: 'Clean' }), say('I leave it.'))
  await ask('clean up')
  const question = chat().locator('.ask')
  await question.locator('input').fill('keep the sources')
  await answer('reject')
  await said('I leave it.').waitFor()
  assert.ok(JSON.stringify(model.requests).includes('keep the sources'), 'the reason was not told')
  assert.ok(fs.existsSync(path.join(project, 'src/main.txt')))
})

await test('an edit of an open file is made in the editor and saved; unsaved text is read and stays', async () => {
  const lines = await openFile('src/main.txt')
  model.script(
    call('read', { filePath: 'src/main.txt' }),
    call('edit', { filePath: 'src/main.txt', oldString: 'two', newString: '2' }),
    say('Edited.'),
  )
  await ask('change it')
  const question = chat().locator('.ask')
  await question.locator('.added', { hasText: '+2' }).waitFor()
  await answer('once')
  await said('Edited.').waitFor()
  await lines.filter({ hasText: '2' }).waitFor()
  await until('the file', () => fs.readFileSync(path.join(project, 'src/main.txt'), 'utf8') === 'one\n2\nthree\n')

  await lines.click()
  await page.keyboard.press('Control+Home')
  await page.keyboard.type('UNSAVED ')
  await lines.filter({ hasText: 'UNSAVED' }).waitFor()
  model.script(call('read', { filePath: 'src/main.txt' }), say('I see it.'))
  await ask('look at it')
  await said('I see it.').waitFor()
  assert.ok(JSON.stringify(model.requests.at(-1)).includes('UNSAVED one'), 'the unsaved text was not read')
  assert.equal(fs.readFileSync(path.join(project, 'src/main.txt'), 'utf8'), 'one\n2\nthree\n')
  await page.locator('.tab.dirty').waitFor()
  await lines.click()
  await page.keyboard.press('Control+Z')
  await page.keyboard.press('Control+S')
  await page.locator('.tab.dirty').waitFor({ state: 'detached' })
})

await test('changed files are listed and compared in the diff editor', async () => {
  await command('Compare With Last Commit')
  await page.locator('.monaco-diff-editor').first().waitFor()
  await page.locator('.tab', { hasText: 'last commit' }).waitFor()
  await page.locator('.monaco-diff-editor .line-insert, .monaco-diff-editor .char-insert').first().waitFor({ state: 'attached' })
  await picture('diff')
  await page.keyboard.press('Control+W')
})

await test('abort ends the turn', async () => {
  model.script((reply) => reply.text('This goes on and on'))
  await ask('talk')
  await said('on and on').waitFor()
  await chat().locator('#abort').click()
  await chat().locator('.failure', { hasText: 'MessageAbortedError' }).waitFor()
})

await test('a daemon that is killed in mid-stream is found again, and nothing is missing or doubled', async () => {
  model.script((reply) => reply.text('before the end'), say('after the restart'))
  await ask('talk again')
  await said('before the end').waitFor()
  const info = spawnSync(executable, ['doctor', '--json'], { env: { ...env, ...daemon }, encoding: 'utf8', cwd: project })
  const pid = JSON.parse(info.stdout).daemon?.pid ?? JSON.parse(info.stdout).pid
  process.kill(pid, 'SIGKILL')
  await chat().locator('.failure', { hasText: 'MessageInterruptedError' }).waitFor()
  await ask('go on')
  await said('after the restart').waitFor()
  assert.equal(await chat().locator('article.assistant', { hasText: 'before the end' }).count(), 1)
})

await test('2,000 deltas arrive whole', async () => {
  model.script(async (reply) => {
    for (let number = 0; number < 2000; number += 1) {
      reply.text(`word${number} `)
      if (number % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    reply.finish()
  })
  await ask('talk a lot')
  await said('word1999').waitFor()
  const words = (await said('word1999').locator('.text').innerText()).trim().split(/\s+/)
  assert.deepEqual(words, Array.from({ length: 2000 }, (_, number) => `word${number}`))
})

await test('`@` offers files, and a file that is taken goes along', async () => {
  model.script(say('I have read the notes.'))
  const input = chat().locator('#text')
  await input.pressSequentially('read @note')
  await chat().locator('#files li', { hasText: 'notes.txt' }).waitFor()
  await input.press('Tab')
  await input.press('Enter')
  await said('I have read the notes.').waitFor()
  assert.ok(JSON.stringify(model.requests.at(-1)).includes('1: alpha'), 'the file did not go along')
})

await test('sessions are listed, and a new one begins empty', async () => {
  await page.locator('.pane-header', { hasText: 'Sessions' }).click()
  await page.locator('.monaco-list-row', { hasText: 'A title' }).first().waitFor()
  await command('New Session')
  await chat().locator('.empty').waitFor()
  await picture('new-session')
})

await browser.close()
server.kill()
spawnSync(executable, ['stop', '--now'], { env: { ...env, ...daemon } })
model.close()
await new Promise((resolve) => server.on('exit', resolve))
// Its extension hosts go a few seconds later than itself.
await until('the end of what code-server has started', () => {
  try {
    fs.rmSync(root, { recursive: true, force: true })
    return true
  } catch {
    return false
  }
})
console.log(`VS Code: ${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
