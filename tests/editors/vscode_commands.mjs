// Every command of the VS Code extension, from the palette and with arguments from key bindings. Part of vscode.mjs.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { call, say } from './model_server.mjs'
import { until } from './workbench.mjs'

/** Commands that the tests use by buttons, keys and the light bulb alone. */
const NOT_FROM_THE_PALETTE = ['promptSelection', 'fix', 'keepFile', 'undoFile', 'figures']

/** What the user has bound to keys, with arguments. */
export const KEY_BINDINGS = [
  { key: 'ctrl+alt+f1', command: 'polytree.mode', args: { mode: 'ask' } },
  { key: 'ctrl+alt+f2', command: 'polytree.prompt', args: { text: 'asked by a key' } },
  { key: 'ctrl+alt+f3', command: 'polytree.answer', args: { response: 'once' } },
  { key: 'ctrl+alt+f4', command: 'polytree.steer', args: { text: 'steered by a key' } },
  { key: 'ctrl+alt+f5', command: 'polytree.abort' },
  { key: 'ctrl+alt+f6', command: 'polytree.revert', args: { confirm: false } },
]

export async function commandTests({ test, where, page, chat, said, command, palette, configure, commandsRun, ask, questions, fresh, openFile }) {
  const { project, model, turns, file } = where
  const bash = (line) => call('bash', { command: line, description: 'Touch' })
  const exists = (name) => fs.existsSync(path.join(project, name))
  const idle = () => chat().locator('#abort').waitFor({ state: 'hidden' })
  const chip = (text) => chat().locator('.chip', { hasText: text }).waitFor()

  /** Runs a command that opens a list, and chooses a row of it. */
  async function choose(title, placeHolder, row) {
    await command(title)
    const input = page.locator(`.quick-input-widget .quick-input-box input[placeholder^="${placeHolder}"]`)
    await input.fill(row)
    await page.locator('.quick-input-list .monaco-list-row', { hasText: row }).first().waitFor()
    await input.press('Enter')
    await input.waitFor({ state: 'hidden' })
  }

  /** Runs a command that asks for a text. */
  async function type(title, prompt, text) {
    await command(title)
    await page.locator('.quick-input-message', { hasText: prompt }).waitFor()
    const input = page.locator('.quick-input-widget .quick-input-box input')
    await input.fill(text)
    await input.press('Enter')
  }

  /** Answers the dialog that is open. */
  async function confirm(text, button) {
    await page.locator('.monaco-dialog-box', { hasText: text }).locator('.monaco-button', { hasText: button }).click()
  }

  await test('questions are answered by commands', async () => {
    await fresh('ask')
    model.script(bash('touch c1'), bash('touch c2'), bash('touch c3'), bash('touch c4'))
    await ask('touch four files')
    const asks = (name) => questions().filter({ hasText: `touch ${name}` }).waitFor()
    await asks('c1')
    await command('Allow Once')
    await asks('c2')
    await command('Always Allow')
    await asks('c3')
    await choose('Answer Question…', 'Answer', 'Allow Once')
    await asks('c4')
    await command('Reject')
    await idle()
    assert.deepEqual(['c1', 'c2', 'c3', 'c4'].map(exists), [true, true, true, false])
  })

  await test('sessions are named, chosen and archived by commands', async () => {
    await fresh()
    model.script(say('To be found again.'))
    await ask('remember this')
    await said('To be found again.').waitFor()
    await idle()
    await type('Rename Session…', 'Title of the session', 'A name of its own')
    await page.locator('.pane-header .description', { hasText: 'A name of its own' }).waitFor()
    for (const title of ['Choose Session…', 'Choose Session of All Projects…']) {
      await fresh()
      await choose(title, 'Session', 'A name of its own')
      await said('To be found again.').waitFor()
    }
    await command('Archive Session')
    await chat().locator('.empty').waitFor()
    await command('Choose Session…')
    await page.locator('.quick-input-list .monaco-list-row').first().waitFor()
    assert.equal(await page.locator('.quick-input-list .monaco-list-row', { hasText: 'A name of its own' }).count(), 0)
    await page.keyboard.press('Escape')
  })

  await test('worktrees and projects are offered', async () => {
    for (const [title, placeHolder] of [['Open Worktree…', 'Open a worktree'], ['Open Project…', 'Open a project']]) {
      await command(title)
      await page.locator(`.quick-input-widget .quick-input-box input[placeholder^="${placeHolder}"]`).waitFor()
      await page.locator('.quick-input-list .monaco-list-row', { hasText: project }).first().waitFor()
      await page.keyboard.press('Escape')
    }
  })

  await test('a missing program is said, with what to do', async () => {
    await fresh()
    configure({ 'polytree.command': ['/nonexistent/polytree', 'stdio'] })
    const problem = chat().locator('.problem', { hasText: 'Install polytree, or name it in the setting polytree.command.' })
    // The settings are read a moment after they were written.
    await until('the problem', async () => {
      await command('Restart Connection')
      return await problem.waitFor({ timeout: 3000 }).then(() => true, () => false)
    })
    await page.locator('.statusbar-item .codicon-error').first().waitFor()
    configure()
    await until('the connection', async () => {
      await problem.locator('button', { hasText: 'Connect again' }).click({ timeout: 2000 }).catch(() => {})
      return await problem.waitFor({ state: 'detached', timeout: 3000 }).then(() => true, () => false)
    })
    model.script(say('Here again.'))
    await ask('are you back?')
    await said('Here again.').waitFor()
  })

  await test('files and problems go along by commands', async () => {
    where.write('project/data.json', '{"wrong": }\n')
    await fresh()
    await openFile('data.json')
    await page.locator('.squiggly-error').first().waitFor({ state: 'attached' })
    await command('Add to Prompt')
    await chip('data.json')
    await command('Ask About Problems of This File…')
    await chip('problems of data.json')
    await until('the text', async () => (await chat().locator('#text').inputValue()) === 'Fix these problems.')
    model.script(say('I see the problems.'))
    await command('Ask…')
    await chat().locator('#text:focus').waitFor()
    await page.keyboard.press('Enter')
    await said('I see the problems.').waitFor()
    const asked = turns().at(-1).messages.map(({ content }) => JSON.stringify(content)).join('\n')
    assert.match(asked, /Value expected/)
    assert.match(asked, /1: \{\\"wrong/)
    await page.keyboard.press('Control+W')
  })

  await test('a problem is fixed from the light bulb', async () => {
    where.write('project/data.json', '{"wrong": }\n')
    await fresh()
    const lines = await openFile('data.json')
    await page.locator('.squiggly-error').first().waitFor({ state: 'attached' })
    model.script(say('I would fix it.'))
    await lines.click()
    await page.keyboard.press('Control+Home')
    await palette('Go to Next Problem (Error, Warning, Info)')
    await page.keyboard.press('Escape')
    await until('the fix', async () => {
      if ((await said('I would fix it.').count()) > 0) return true
      await page.keyboard.press('Control+.')
      await page.locator('.action-widget .monaco-list-row', { hasText: 'Fix with polytree' }).click({ timeout: 2000 }).catch(() => {})
      return false
    })
    assert.ok(JSON.stringify(turns().at(-1)).includes('Value expected'))
    await page.keyboard.press('Control+W')
  })

  await test('a turn is steered and aborted by commands', async () => {
    await fresh()
    model.script((reply) => reply.text('Walking'))
    await ask('walk')
    await said('Walking').waitFor()
    await type('Steer Turn…', 'Tell the running turn', 'to the left')
    await chat().locator('#queue li', { hasText: 'to the left' }).waitFor()
    await command('Abort Turn')
    await chat().locator('.failure', { hasText: 'MessageAbortedError' }).waitFor()
    await idle()
  })

  await test('a prompt is undone and taken back, written to a file, and its tasks are listed, by commands', async () => {
    await fresh('edits')
    model.script(call('todowrite', { todos: [{ content: 'look around', status: 'in_progress', priority: 'high' }] }), call('write', { filePath: 'undone.txt', content: 'x\n' }), say('It is written.'))
    await ask('write undone.txt')
    await said('It is written.').waitFor()
    await idle()
    await command('Show Task List')
    await page.locator('.quick-input-list .monaco-list-row', { hasText: 'look around' }).waitFor()
    await page.keyboard.press('Escape')
    await choose('Undo From Prompt…', 'Undo from which prompt on', 'write undone.txt')
    await confirm('Undo the conversation', 'Undo')
    await until('the undo', () => !exists('undone.txt'))
    await command('Take Undo Back')
    await confirm('Take the undo back?', 'Take Back')
    await until('the file', () => exists('undone.txt'))
    await command('Export Session…')
    const name = page.locator('.quick-input-widget .quick-input-box input')
    await until('the name of the file', async () => (await name.inputValue()).endsWith('A-title.json'))
    await name.press('Enter')
    await until('the exported session', () => exists('A-title.json') && file('A-title.json').includes('It is written.'))
    await chat().locator('#text').fill('')
  })

  await test('hunks are kept and undone by commands', async () => {
    const text = (changed = {}) => Array.from({ length: 20 }, (_, index) => `${changed[index + 1] ?? `row ${index + 1}`}\n`).join('')
    where.write('project/rows.txt', text())
    await fresh('edits')
    const edit = (old, now) => call('edit', { filePath: 'rows.txt', oldString: `${old}\n`, newString: `${now}\n` })
    model.script(call('read', { filePath: 'rows.txt' }), edit('row 2', 'ROW 2'), edit('row 9', 'ROW 9'), edit('row 16', 'ROW 16'), say('Rows are changed.'))
    await ask('change rows')
    await said('Rows are changed.').waitFor()
    const lines = await openFile('rows.txt')
    const lenses = page.locator('.codelens-decoration a', { hasText: 'Keep' })
    await until('three hunks', async () => (await lenses.count()) === 3)
    await lines.click()
    await page.keyboard.press('Control+End')
    await command('Previous Hunk')
    await page.locator('.statusbar-item', { hasText: 'Ln 16,' }).waitFor()
    await command('Keep Hunk')
    await until('two hunks', async () => (await lenses.count()) === 2)
    await command('Undo All Hunks…')
    await confirm('Undo 2 hunks', 'Undo')
    await until('the old rows', () => file('rows.txt') === text({ 16: 'ROW 16' }))
    model.script(call('read', { filePath: 'rows.txt' }), edit('row 5', 'ROW 5'), say('Changed once more.'))
    await ask('change another row')
    await said('Changed once more.').waitFor()
    await until('one hunk', async () => (await lenses.count()) === 1)
    await command('Keep All Hunks')
    await until('no hunk', async () => (await lenses.count()) === 0)
    assert.equal(file('rows.txt'), text({ 5: 'ROW 5', 16: 'ROW 16' }))
    await command('Refresh')
    await page.keyboard.press('Control+W')
  })

  await test('agent, model and mode are chosen, and the connection is opened anew, by commands', async () => {
    await fresh()
    await choose('Choose Agent…', 'Agent of the session', 'plan')
    await chat().locator('#agent', { hasText: 'plan' }).waitFor()
    await choose('Choose Model…', 'Model of the session', 'local/small')
    await chat().locator('#model', { hasText: 'local/small' }).waitFor()
    await choose('Choose Mode…', 'What is done without a question', 'edits')
    await chat().locator('#mode', { hasText: 'edits' }).waitFor()
    await command('Restart Connection')
    model.script(say('After the new connection.'))
    await ask('are you there?')
    await said('After the new connection.').waitFor()
    await chat().locator('article.assistant h2', { hasText: 'plan · small' }).first().waitFor({ state: 'attached' })
    await command('Show Log')
    await page.locator('.part.panel .view-lines', { hasText: 'connected to polytree' }).waitFor()
    await palette('View: Hide Panel')
  })

  await test('commands take arguments from key bindings', async () => {
    await fresh('edits')
    await until('the bindings', async () => {
      await page.keyboard.press('Control+Alt+F1')
      return await chat().locator('#mode', { hasText: 'ask' }).waitFor({ timeout: 1000 }).then(() => true, () => false)
    })
    model.script(bash('touch by-binding'), (reply) => reply.text('and then on'))
    await page.keyboard.press('Control+Alt+F2')
    await questions().filter({ hasText: 'touch by-binding' }).waitFor()
    await page.keyboard.press('Control+Alt+F3')
    await said('and then on').waitFor()
    assert.ok(exists('by-binding'))
    await page.keyboard.press('Control+Alt+F4')
    await chat().locator('#queue li', { hasText: 'steered by a key' }).waitFor()
    await page.keyboard.press('Control+Alt+F5')
    await chat().locator('.failure', { hasText: 'MessageAbortedError' }).waitFor()
    await idle()
  })

  if (process.env.POLYTREE_TEST) return
  await test('every command was run', async () => {
    const manifest = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../editors/vscode/package.json')
    const { commands } = JSON.parse(fs.readFileSync(manifest, 'utf8')).contributes
    const left = commands.filter(({ command: name, title }) => !commandsRun.has(title) && !NOT_FROM_THE_PALETTE.includes(name.replace('polytree.', '')))
    assert.deepEqual(left.map(({ title }) => title), [])
  })
}
