// Review in VS Code of what a session has changed, hunk by hunk. Part of vscode.mjs.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { call, say } from './model_server.mjs'
import { until } from './workbench.mjs'

const lines = (changed = {}) => Array.from({ length: 30 }, (_, index) => `${changed[index + 1] ?? `line ${index + 1}`}\n`).join('')

export async function hunkTests({ test, where, page, said, command, ask, fresh, openPane, pressInRow, picture, openFile }) {
  const { project, model, turns, file } = where
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
    where.write('project/long.txt', lines())
    await fresh('edits')
    model.script(call('read', { filePath: 'long.txt' }), edit('line 3\n', 'LINE 3\n'), edit('line 25\n', ''), call('write', { filePath: 'newer.txt', content: 'newer\n' }), say('Changed again.'))
    await ask('change long.txt again')
    await said('Changed again.').waitFor()
    await openFile('long.txt')
    await page.locator('.codelens-decoration a', { hasText: 'Keep' }).first().waitFor()
    await command('Review Changes of the Session')
    const tab = page.locator('.tab', { hasText: 'before the session' })
    await tab.waitFor()
    await page.locator('.monaco-diff-editor').first().waitFor()
    await page.locator('.monaco-diff-editor .line-insert, .monaco-diff-editor .char-insert').first().waitFor({ state: 'attached' })
    await picture('review-diff')
    await openPane('Changed Files')
    await rows('long.txt').filter({ hasText: '2 open' }).waitFor()
    await picture('review-files')
    await pressInRow(rows('newer.txt').filter({ hasText: '1 open' }), 'Undo All Hunks of the File')
    await until('the end of the file', () => !fs.existsSync(path.join(project, 'newer.txt')))
    await pressInRow(rows('long.txt').filter({ hasText: '2 open' }), 'Keep All Hunks of the File')
    await rows('all reviewed').waitFor()
    assert.equal(file('long.txt'), lines({ 3: 'LINE 3', 25: '' }).replace('\n\n', '\n'))
  })
}
