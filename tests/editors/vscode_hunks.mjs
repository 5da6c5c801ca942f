// Review in VS Code of what a session has changed, hunk by hunk. Part of vscode.mjs.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { call, say } from './model_server.mjs'
import { until } from './workbench.mjs'

const lines = (changed = {}) => Array.from({ length: 30 }, (_, index) => `${changed[index + 1] ?? `line ${index + 1}`}\n`).join('')

export async function hunkTests({ test, where, page, chat, said, command, ask, pick, picture, openFile }) {
  const { project, model } = where
  const file = (name) => fs.readFileSync(path.join(project, name), 'utf8')
  const turns = () => model.requests.filter(({ tools }) => tools?.length)
  const filter = page.locator('.quick-input-widget .quick-input-box input')
  const choose = async (row) => {
    await filter.fill(row)
    await pick(row)
  }
  const fresh = async (mode) => {
    await command('New Session')
    await chat().locator('.empty').waitFor()
    await chat().locator('#mode').click()
    await choose(mode)
    await chat().locator('#mode', { hasText: mode }).waitFor()
  }
  const edit = (old, now) => call('edit', { filePath: 'long.txt', oldString: old, newString: now })
  const rows = (text) => page.locator('.monaco-list-row', { hasText: text })

  await test('of a changed file one hunk is kept and one undone, in the editor, and the model is told', async () => {
    where.write('project/long.txt', lines())
    await fresh('edits')
    model.script(call('read', { filePath: 'long.txt' }), edit('line 3\n', 'LINE 3\nand more\n'), edit('line 25\n', ''), call('write', { filePath: 'fresh.txt', content: 'fresh\n' }), say('All done.'))
    await ask('change long.txt')
    await said('All done.').waitFor()
    assert.equal(file('long.txt'), lines({ 3: 'LINE 3\nand more', 25: '' }).replace('\n\n', '\n'))
    const text = await openFile('long.txt')
    await page.locator('.codelens-decoration a', { hasText: 'Keep' }).first().waitFor()
    await picture('review')
    await text.click()
    await page.keyboard.press('Control+Home')
    const line = (number) => page.locator('.statusbar-item', { hasText: `Ln ${number},` }).waitFor()
    await command('Next Hunk')
    await line(3)
    // The key works as soon as the extension has told that the cursor is on a hunk; on no hunk it does nothing.
    await until('one hunk with a lens', async () => {
      await page.keyboard.press('Control+Alt+Enter')
      return (await page.locator('.codelens-decoration a', { hasText: 'Keep' }).count()) <= 1
    })
    await command('Next Hunk')
    await line(26)
    await command('Undo Hunk')
    await until('the old line', () => file('long.txt') === lines({ 3: 'LINE 3\nand more' }))
    await page.locator('.codelens-decoration a', { hasText: 'Undo' }).first().waitFor({ state: 'detached' })
    model.script(say('I see.'))
    await ask('go on after the review')
    await said('I see.').waitFor()
    const told = JSON.stringify(turns().at(-1).messages)
    assert.ok(told.includes('Undone: these changes') && told.includes('long.txt'), 'the model was not told')
  })

  await test('a file is compared with what it was before the session, and undone as a whole', async () => {
    await command('Review Changes of the Session')
    const tab = page.locator('.tab', { hasText: 'before the session' })
    await tab.waitFor()
    await page.locator('.monaco-diff-editor').first().waitFor()
    await page.locator('.monaco-diff-editor .line-insert, .monaco-diff-editor .char-insert').first().waitFor({ state: 'attached' })
    await picture('review-diff')
    await page.locator('.pane-header', { hasText: 'Changed Files' }).click()
    await rows('1 kept, 1 undone').waitFor()
    await rows('fresh.txt').filter({ hasText: '1 open' }).hover()
    await picture('review-files')
    await rows('fresh.txt').filter({ hasText: '1 open' }).locator('.action-label[aria-label^="Undo"]').click()
    await until('the end of the file', () => !fs.existsSync(path.join(project, 'fresh.txt')))
    await rows('all reviewed').waitFor()
    await page.locator('.pane-header', { hasText: 'Changed Files' }).click()
  })
}
