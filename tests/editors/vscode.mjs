// The extension in a real VS Code workbench (code-server in Chromium), with the real daemon and a model server:
//
//   node vscode.mjs CODE_SERVER VSIX OUT NVIM
//
// CODE_SERVER is the folder of its installation, OUT a folder for pictures, NVIM the Neovim that joins in. It ends with "N passed, N failed".
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { call, say } from './model_server.mjs'
import { connect } from './rpc.mjs'
import { Screen } from './screen.mjs'
import { suite } from './suite.mjs'
import { choiceTests } from './vscode_choices.mjs'
import { hunkTests } from './vscode_hunks.mjs'
import { sessionTests } from './vscode_session.mjs'
import { place, until, workbench } from './workbench.mjs'

const [codeServer, vsix, out, nvim] = process.argv.slice(2).map((name) => path.resolve(name))
const where = await place()
const { project, model, turns, daemon, env, executable } = where
// Files that tests write anew: the list of files to open is read once.
for (const name of ['long.txt', 'data.json']) where.write(`project/${name}`, '')
const opened = await workbench(where, { codeServer, vsix, out })
const { page, chat, said, picture, choose, fresh, openPane, command, palette, ask, questions, answer, openFile, close, reload, useTheme } = opened

/** The processes `polytree stdio` of this place. */
function connections() {
  return fs.readdirSync('/proc').map(Number).filter((pid) => {
    try {
      const read = (name) => fs.readFileSync(`/proc/${pid}/${name}`, 'utf8')
      return pid > 0 && read('cmdline').startsWith(`${executable}\0stdio`) && read('environ').includes(daemon.POLYTREE_RUNTIME_DIR)
    } catch {
      return false
    }
  })
}

// ---- the tests: one user's first quarter of an hour, in order

/** A test that failed leaves no question, no waiting answer of the model, no dialog and no unsaved text to the next one. */
async function recover(number) {
  await picture(`failed-${number}`).catch(() => {})
  model.clear()
  const other = await connect(where)
  for (const sessionID of Object.keys(await other.request('session.status', {}))) await other.request('session.abort', { sessionID })
  other.leave()
  await reload()
  await command('Open Chat')
  await fresh()
}

const { test, end } = suite(`VS Code of ${path.basename(codeServer)}`, { recover })

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

await test('a change is asked for beside its file, on a dark and on a light screen', async () => {
  where.write('project/src/main.rs', 'fn main() {\n    println!("Hello");\n}\n')
  const lines = await openFile('src/main.rs')
  model.script(
    (reply) => {
      reply.text('The greeting is in `src/main.rs`. I change it so that it names the **whole world**:\n\n```rust\nfn main() {\n    println!("Hello, world");\n}\n```\n')
      reply.call('read', { filePath: 'src/main.rs' })
      reply.finish()
    },
    call('edit', { filePath: 'src/main.rs', oldString: '"Hello"', newString: '"Hello, world"' }),
    say('Done.'),
  )
  await fresh()
  await ask('Greet the whole world')
  await chat().locator('.ask .added').waitFor()
  await page.locator('.statusbar-item', { hasText: '1 question' }).waitFor()
  await picture('vscode-dark')
  await useTheme('Default Light Modern', 'vs')
  await picture('vscode-light')
  await useTheme('Default Dark Modern', 'vs-dark')
  await answer('once')
  await said('Done.').waitFor()
  await lines.filter({ hasText: 'Hello, world' }).waitFor()
  await page.keyboard.press('Control+W')
})

await test('a question is shown whole, answered in the chat, and the command runs', async () => {
  model.script(call('bash', { command: 'echo from the tool > made.txt', description: 'Make a file' }), say('It is made.'))
  await ask('make it')
  const question = chat().locator('.ask')
  await question.waitFor()
  assert.match(await question.locator('pre').innerText(), /echo from the tool > made\.txt/)
  await page.locator('.statusbar-item', { hasText: '1 question' }).waitFor()
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
  await chat().locator('.ask pre', { hasText: 'touch one' }).waitFor()
  // The second click comes as soon as the second question is there.
  await chat().locator('#questions').evaluate((element) =>
    new MutationObserver((_, observer) => {
      if (!element.textContent.includes('touch two')) return
      observer.disconnect()
      element.querySelector('.ask button.once').click()
      element.dataset.clicked = 'true'
    }).observe(element, { childList: true }),
  )
  await answer('once')
  await chat().locator('#questions[data-clicked]').waitFor()
  // Had the second click been taken, the question were gone.
  await questions().filter({ hasText: 'touch two' }).waitFor()
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
  assert.equal(await page.locator('.notifications-toasts .notification-list-item-message a').count(), 0, 'a link of the model is in a notification')
  await page.locator('.pane-header', { hasText: 'Questions' }).waitFor()
  await page.locator('.monaco-list-row', { hasText: 'echo' }).first().click()
  await answer('reject')
  await chat().locator('.ask').waitFor({ state: 'detached' })
})

await test('a rejection with its reason is told to the model', async () => {
  model.script(call('bash', { command: 'rm -rf src', description: 'Clean' }), say('I leave it.'))
  await ask('clean up')
  const question = chat().locator('.ask')
  await question.locator('input[type=text]').fill('keep the sources')
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
  assert.ok(JSON.stringify(turns().at(-1)).includes('UNSAVED one'), 'the unsaved text was not read')
  assert.equal(fs.readFileSync(path.join(project, 'src/main.txt'), 'utf8'), 'one\n2\nthree\n')
  await page.locator('.tab.dirty').waitFor()
  await lines.click()
  await palette('File: Revert File')
  await page.locator('.tab.dirty').waitFor({ state: 'detached' })
  await lines.filter({ hasNotText: 'UNSAVED' }).waitFor()
})

await test('changed files are listed and compared in the diff editor', async () => {
  where.write('project/src/main.txt', 'one\n2\nthree\n')
  await openFile('src/main.txt')
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
  await chat().locator('.failure', { hasText: 'MessageAbortedError' }).last().waitFor()
})

await test('a daemon that is killed in mid-stream is found again, and nothing is missing or doubled', async () => {
  model.script((reply) => reply.text('before the end'), say('after the restart'))
  await ask('talk again')
  await said('before the end').waitFor()
  const info = spawnSync(executable, ['doctor', '--json'], { env: { ...env, ...daemon }, encoding: 'utf8', cwd: project })
  const pid = JSON.parse(info.stdout).daemon?.pid ?? JSON.parse(info.stdout).pid
  process.kill(pid, 'SIGKILL')
  await chat().locator('.failure', { hasText: 'MessageInterruptedError' }).last().waitFor()
  await ask('go on')
  await said('after the restart').waitFor()
  assert.equal(await chat().locator('article.assistant', { hasText: 'before the end' }).count(), 1)
})

await test('a connection that is killed in mid-stream is opened again, and nothing is missing or doubled', async () => {
  let reply
  model.script((started) => {
    reply = started
    reply.text('first ')
  })
  await ask('count')
  await said('first').waitFor()
  const [own, ...others] = connections()
  assert.equal(others.length, 0)
  process.kill(own, 'SIGKILL')
  // Said while nobody listens.
  reply.text('second ')
  await until('the next connection', () => connections().some((pid) => pid !== own))
  reply.text('third')
  reply.finish()
  await said('first second third').waitFor()
  assert.equal(await chat().locator('article.assistant', { hasText: 'first second third' }).count(), 1)
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

await test('Neovim and VS Code show one session, and a question is answered in either of them', async () => {
  const plugin = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../editors/nvim')
  const setup = `lua require("polytree").setup({ command = { "${executable}", "stdio" } })`
  const xdg = Object.fromEntries(['CONFIG', 'DATA', 'STATE', 'CACHE'].map((name) => [`XDG_${name}_HOME`, path.join(where.root, 'nvim', name)]))
  await fresh()
  const screen = new Screen(`${nvim} --clean --cmd 'set rtp^=${plugin}' -c '${setup}' notes.txt`, { cwd: project, env: { ...env, ...daemon, ...xdg } })
  try {
    await screen.shows('alpha')
    const bash = (command) => call('bash', { command, description: 'Touch' })
    model.script(bash('touch from-neovim'), bash('touch from-vscode'), say('Both have answered.'))
    await ask('touch two files')
    await chat().locator('.ask pre', { hasText: 'touch from-neovim' }).waitFor()
    screen.type(':Polytree')
    screen.keys('Enter')
    await screen.shows('touch two files')
    await screen.shows(/touch from-neovim[^]*ga allow/)
    screen.type('ga')
    await chat().locator('.ask pre', { hasText: 'touch from-vscode' }).waitFor()
    await screen.shows(/touch from-vscode[^]*ga allow/)
    await answer('once')
    await said('Both have answered.').waitFor()
    await screen.shows('Both have answered.')
    assert.ok(!screen.text().includes('ga allow'), 'the question is still open in Neovim')
    assert.ok(fs.existsSync(path.join(project, 'from-neovim')) && fs.existsSync(path.join(project, 'from-vscode')))
    model.script(say('Asked in Neovim.'))
    screen.type(':Polytree prompt what else?')
    screen.keys('Enter')
    await said('Asked in Neovim.').waitFor()
  } finally {
    screen.close()
  }
})

await test('everything by keyboard: open, ask about a selection, answer, and go on writing while an answer streams', async () => {
  const lines = await openFile('src/main.txt')
  await lines.click()
  await page.keyboard.press('Control+A')
  await page.keyboard.press('Control+Alt+K')
  await chat().locator('.chip', { hasText: 'src/main.txt:1-3' }).waitFor()
  await chat().locator('#text:focus').waitFor()
  model.script(call('bash', { command: 'touch by-keyboard', description: 'Touch' }), async (reply) => {
    for (let number = 0; number < 40; number += 1) {
      reply.text(`key${number} `)
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    reply.finish()
  })
  await page.keyboard.type('what is this?')
  await page.keyboard.press('Enter')
  await questions().waitFor()
  await page.keyboard.press('Alt+Y')
  await said('key3').waitFor()
  await page.keyboard.type('the next prompt')
  await said('key39').waitFor()
  assert.equal(await chat().locator('#text').inputValue(), 'the next prompt')
  assert.ok(JSON.stringify(turns().at(-2)).includes('1: one'), 'the selection did not go along')
  await lines.click()
  await page.keyboard.press('Control+Alt+P')
  await chat().locator('#text:focus').waitFor()
  await chat().locator('#text').fill('')
})

await test('`@` offers files, and a file that is taken goes along', async () => {
  model.script(say('I have read the notes.'))
  const input = chat().locator('#text')
  await input.pressSequentially('read @note')
  await chat().locator('#files li', { hasText: 'notes.txt' }).waitFor()
  await input.press('Tab')
  await input.press('Enter')
  await said('I have read the notes.').waitFor()
  assert.ok(JSON.stringify(turns().at(-1)).includes('1: alpha'), 'the file did not go along')
})

await test('a mode is chosen for a session, shown, and changed while it goes on', async () => {
  await fresh('edits')
  model.script(call('read', { filePath: 'notes.txt' }), call('edit', { filePath: 'notes.txt', oldString: 'beta', newString: 'gamma' }), say('No question.'))
  await ask('change the notes')
  await said('No question.').waitFor()
  assert.equal(fs.readFileSync(path.join(project, 'notes.txt'), 'utf8'), 'alpha\ngamma\n')
  await chat().locator('#mode', { hasText: 'edits' }).click()
  await choose('ask')
  await chat().locator('#mode', { hasText: 'ask' }).waitFor()
  model.script(call('edit', { filePath: 'notes.txt', oldString: 'gamma', newString: 'beta' }), say('After a question.'))
  await ask('change them back')
  await answer('once')
  await said('After a question.').waitFor()
})

await test('the text of a question is whole: what cannot be told, what rules deny, what the model says', async () => {
  model.script(call('bash', { command: '$EDITOR \u202etxt.exe', description: 'Look at a text' }), say('Rejected.'))
  await ask('edit it')
  const question = chat().locator('.ask')
  await question.locator('pre', { hasText: '$EDITOR \\u{202e}txt.exe' }).waitFor()
  await question.locator('p', { hasText: 'It cannot be told what this line runs.' }).waitFor()
  await question.locator('p', { hasText: 'the model says: Look at a text' }).waitFor()
  assert.equal(await question.locator('button.always').count(), 0, 'such a line has no "always"')
  await question.locator('input[type=text]').fill('use no variables')
  await questions().waitFor()
  await question.locator('input[type=text]').press('Enter')
  await said('Rejected.').waitFor()
})

await test('sessions are listed, and a new one begins empty', async () => {
  await openPane('Sessions')
  await page.locator('.monaco-list-row', { hasText: 'A title' }).first().waitFor()
  const left = await chat().locator('#messages').evaluate((list) => list.scrollHeight - list.scrollTop - list.clientHeight)
  assert.ok(left < 60, `the list has pushed ${left} pixels of the conversation's end out of sight`)
  await fresh()
  await picture('new-session')
})

const more = { ...opened, test, where }
await sessionTests(more)
await hunkTests(more)
await choiceTests(more)

await close()
end()
