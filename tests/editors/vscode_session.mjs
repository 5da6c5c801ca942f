// What a person does with a session in VS Code beside prompts: the queue, steering, undo, copies. Part of vscode.mjs.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { call, say } from './model_server.mjs'
import { until } from './workbench.mjs'

export async function sessionTests({ test, where, page, chat, said, command, ask, answer, fresh, picture }) {
  const { project, model, turns, file } = where
  const asked = (text) => chat().locator('article.user', { hasText: text }).last()
  const waiting = () => chat().locator('#queue li')

  await test('the queue is seen, edited, moved and emptied while a turn runs', async () => {
    await fresh()
    let reply
    model.script((started) => {
      reply = started
      reply.text('working ')
    }, say('answer one'), say('answer two'))
    await ask('begin')
    await said('working').waitFor()
    for (const text of ['leave-me-out', 'change @notes.txt now', 'to stay']) {
      await ask(text)
      await waiting().filter({ hasText: text }).waitFor()
    }
    assert.deepEqual(await chat().locator('#queue .waiting').allInnerTexts(), ['leave-me-out', 'change @notes.txt now', 'to stay'])
    await picture('queue')
    // By keyboard: a button has the focus, Enter presses it.
    await waiting().nth(0).locator('button.remove').press('Enter')
    await until('two waiting prompts', async () => (await waiting().count()) === 2)
    await waiting().nth(1).locator('button.up').press('Enter')
    await waiting().nth(0).filter({ hasText: 'to stay' }).waitFor()
    await waiting().nth(1).locator('button.edit').press('Enter')
    await chat().locator('#send', { hasText: 'Replace' }).waitFor()
    await until('the text', async () => (await chat().locator('#text').inputValue()) === 'change @notes.txt now')
    await ask('changed @notes.txt now')
    await waiting().nth(1).filter({ hasText: 'changed @notes.txt now' }).waitFor()
    reply.text('done')
    reply.finish()
    await said('answer two').waitFor()
    const [first, second] = turns().slice(-2).map((request) => JSON.stringify(request))
    assert.ok(first.includes('to stay') && !first.includes('changed @notes.txt now'))
    assert.ok(second.includes('changed @notes.txt now'))
    assert.equal(second.split('1: alpha').length, 2, 'the file is read once')
    await until('an empty queue', async () => (await waiting().count()) === 0)
  })

  await test('a running turn is steered', async () => {
    await fresh()
    model.script(call('bash', { command: 'touch steered', description: 'Touch' }), say('As you say.'))
    await ask('begin again')
    await chat().locator('.ask').waitFor()
    await chat().locator('#text').fill('rather in French')
    await chat().locator('#text').press('Control+Enter')
    await waiting().filter({ hasText: 'rather in French' }).waitFor()
    await answer('once')
    await said('As you say.').waitFor()
    assert.ok(JSON.stringify(turns().at(-1)).includes('rather in French'))
  })

  await test('an undo shows what would happen, does it, and is taken back', async () => {
    await fresh()
    where.write('project/undo.txt', 'one\ntwo\n')
    const edit = call('edit', { filePath: 'undo.txt', oldString: 'two', newString: '2' })
    model.script(say('Nothing to do.'), call('read', { filePath: 'undo.txt' }), edit, say('It is changed.'))
    await ask('think first')
    await said('Nothing to do.').waitFor()
    await ask('change undo.txt')
    await answer('once')
    await said('It is changed.').waitFor()
    await chat().locator('#abort').waitFor({ state: 'hidden' })

    const undo = async (button) => {
      await asked('change undo.txt').locator('[data-action=revert]').press('Enter')
      const dialog = page.locator('.monaco-dialog-box', { hasText: 'Undo the conversation' })
      await dialog.getByText('undo.txt: restored').waitFor()
      await dialog.locator('.monaco-button', { hasText: button }).click()
    }
    await undo('Cancel')
    assert.equal(file('undo.txt'), 'one\n2\n')
    await undo('Undo')
    await chat().locator('.undone-note', { hasText: '1 prompt and its answer are undone.' }).waitFor()
    assert.equal(file('undo.txt'), 'one\ntwo\n')
    assert.ok(!(await said('It is changed.').isVisible()))
    await until('the prompt as a draft', async () => (await chat().locator('#text').inputValue()) === 'change undo.txt')
    await picture('undone')
    await chat().locator('.unrevert').press('Enter')
    const dialog = page.locator('.monaco-dialog-box', { hasText: 'Take the undo back?' })
    await dialog.locator('.monaco-button', { hasText: 'Take Back' }).click()
    await said('It is changed.').waitFor()
    assert.equal(file('undo.txt'), 'one\n2\n')
    // The next prompt removes it for good.
    await undo('Undo')
    await chat().locator('.undone-note').waitFor()
    model.script(say('Begun anew.'))
    await ask('think again')
    await said('Begun anew.').waitFor()
    await chat().locator('.undone-note').waitFor({ state: 'detached' })
    assert.equal(await asked('change undo.txt').count(), 0)
  })

  await test('what differs from the last commit goes along', async () => {
    await fresh()
    where.write('project/src/differs.txt', 'differs\n')
    await command('Ask About Changes Since the Last Commit')
    await chat().locator('.chip', { hasText: 'changes since the last commit' }).waitFor()
    model.script(say('I see what differs.'))
    await ask('what is this?')
    await said('I see what differs.').waitFor()
    assert.ok(JSON.stringify(turns().at(-1)).includes('src/differs.txt: added, +1 -0'))
    fs.rmSync(path.join(project, 'src/differs.txt'))
  })

  await test('a session is copied up to a prompt', async () => {
    await fresh()
    model.script(say('answer A'), say('answer B'))
    await ask('question A')
    await said('answer A').waitFor()
    await ask('question B')
    await said('answer B').waitFor()
    await asked('question B').locator('[data-action=fork]').press('Enter')
    await until('the copy', async () => (await said('answer A').count()) === 1 && (await said('answer B').count()) === 0)
    await until('the prompt as a draft', async () => (await chat().locator('#text').inputValue()) === 'question B')
    await chat().locator('#text').fill('')
    await command('Fork Session')
    await said('answer A').waitFor()
  })
  await test('a conversation is summarised on request; the summary is folded', async () => {
    await fresh()
    model.script(say('answer one'), say('answer two'), say('answer three'))
    for (const name of ['one', 'two']) {
      await ask(`question ${name}`)
      await said(`answer ${name}`).waitFor()
      await chat().locator('#abort').waitFor({ state: 'hidden' })
    }
    await command('Summarise the Conversation')
    await chat().locator('article.request .compaction', { hasText: 'The conversation up to here is summarised.' }).waitFor()
    const summary = chat().locator('article.assistant details.summary')
    await summary.locator('> summary').click()
    await summary.locator('em', { hasText: 'world' }).waitFor()
    await picture('summary')
    await summary.locator('> summary').click()
    await summary.locator('em').waitFor({ state: 'hidden' })
    await ask('go on')
    await said('answer three').waitFor()
    assert.ok(JSON.stringify(turns().at(-1)).includes('Greet the *world*'), 'the model does not read the summary')
  })
}
