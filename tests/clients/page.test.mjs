// The page without a browser: its types against the schema, and what of it is pure.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { before, test } from 'node:test'
import { temporary } from './support/daemon.mjs'
import { checkout, tools } from './support/places.mjs'

const page = path.join(checkout, 'clients/web')

test('the page fits the types of the schema', (t) => {
  const folder = temporary(t)
  const types = path.join(checkout, 'schema/polytree.d.ts')
  const compilerOptions = {
    strict: true,
    noUncheckedIndexedAccess: true,
    noImplicitReturns: true,
    noUnusedLocals: true,
    noUnusedParameters: true,
    allowJs: true,
    checkJs: true,
    noEmit: true,
    target: 'es2023',
    module: 'esnext',
    moduleResolution: 'bundler',
    lib: ['es2023', 'dom', 'dom.iterable'],
    types: [],
    paths: { polytree: [types] },
  }
  const project = path.join(folder, 'tsconfig.json')
  fs.writeFileSync(project, JSON.stringify({ compilerOptions, include: [path.join(page, '**/*.js'), types] }))
  const checked = spawnSync(process.execPath, [path.join(tools, 'npm/node_modules/typescript/bin/tsc'), '-p', project], { encoding: 'utf8' })
  assert.equal(checked.stdout + checked.stderr, '')
  assert.equal(checked.status, 0)
})

let modules
before(async () => {
  // Node takes .js files for modules only where a package.json says so.
  const copy = path.join(fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'polytree-page-'))), 'page')
  fs.cpSync(page, copy, { recursive: true })
  fs.writeFileSync(path.join(copy, 'package.json'), '{"type":"module"}')
  const load = (name) => import(path.join(copy, name))
  modules = { ...(await load('history.js')), ...(await load('format.js')), ...(await load('markdown.js')), ...(await load('session/order.js')) }
  fs.rmSync(path.dirname(copy), { recursive: true })
})

/** A small generator with a seed, so that what fails can be tried again. */
function random(seed) {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const SESSION = 'ses_1'
const event = (cursor, type, properties) => ({ cursor, time: cursor, type, sessionID: SESSION, properties })

/** What may happen to a session, as the daemon would tell it. */
function story(next, length) {
  const events = []
  const parts = []
  let cursor = 0
  let messages = 0
  while (events.length < length) {
    cursor += 1 + next(3)
    const kind = next(10)
    if (kind === 0 || parts.length === 0) {
      const id = `msg_${++messages}`
      // Several messages may have the same time.
      events.push(event(cursor, 'message.updated', { info: { id, role: 'user', time: { created: cursor >> 5 } } }))
      const part = { id: `prt_${messages}`, messageID: id, type: 'text', text: '' }
      events.push(event(++cursor, 'message.part.updated', { part }))
      parts.push(part)
    } else {
      const part = parts[next(parts.length)]
      const { messageID, id: partID } = part
      if (kind < 8) events.push(event(cursor, 'message.part.delta', { messageID, partID, field: 'text', delta: String.fromCharCode(97 + next(26)) }))
      else if (kind === 8) events.push(event(cursor, 'message.part.updated', { part: { ...part, text: `whole ${cursor} ` } }))
      else if (parts.length > 3) {
        parts.splice(parts.indexOf(part), 1)
        events.push(event(cursor, 'message.removed', { messageID }))
      }
    }
  }
  return events
}

const fresh = (value) => structuredClone(value)
const shown = (history) => history.entries.map(({ info, parts }) => [info.id, parts.map(({ text }) => text).join('')])

/** The session as the daemon would read it after these events. */
function snapshot(History, events, cursor) {
  const history = new History(SESSION)
  history.prepend([], false)
  for (const one of fresh(events)) if (one.cursor <= cursor) history.apply(one)
  return history.entries.map(({ info, parts }) => ({ info: fresh(info), parts: fresh(parts), cursor }))
}

test('however snapshots and replays meet, nothing is lost and nothing doubled', async () => {
  const { History } = modules
  for (let seed = 1; seed <= 300; seed++) {
    const next = random(seed)
    const events = story(next, 10 + next(120))
    const last = events.at(-1).cursor
    const wanted = snapshot(History, events, last).map(({ info, parts }) => [info.id, parts.map(({ text }) => text).join('')])
    const history = new History(SESSION)
    // Events from some point on arrive while the messages are read at a later point; then the line breaks now and then
    // and a replay begins too early.
    const readAt = next(last + 1)
    const from = next(readAt + 1)
    const arriving = events.filter(({ cursor }) => cursor > from)
    let at = next(arriving.length + 1)
    const limit = 1 + next(8)
    let answer
    const reading = history.read(() => new Promise((resolve) => (answer = resolve)), (messages) => history.prepend(messages, messages.length === limit))
    for (const one of arriving.slice(0, at)) history.apply(fresh(one))
    answer(snapshot(History, events, readAt).slice(-limit))
    await reading
    while (at < arriving.length) {
      if (next(6) === 0) at = Math.max(0, at - next(10))
      history.apply(fresh(arriving[at++]))
    }
    for (let page = 0; history.more; page++) {
      assert.ok(page < 1000, `seed ${seed}: reading older messages does not end`)
      const before = history.entries[0]?.info.id
      const all = snapshot(History, events, last)
      const end = before ? all.findIndex(({ info }) => info.id === before) : all.length
      const older = all.slice(Math.max(0, end - limit), end)
      await history.read(async () => older, (messages) => history.prepend(messages, messages.length === limit))
    }
    assert.deepEqual(shown(history), wanted, `seed ${seed}`)
  }
})

test('a text that was too long for an event is read again', () => {
  const { History } = modules
  const history = new History(SESSION)
  history.prepend([{ info: { id: 'msg_1', role: 'user', time: { created: 1 } }, parts: [], cursor: 5 }], false)
  const part = { id: 'prt_1', messageID: 'msg_1', type: 'text', text: { ref: '/part/text', bytes: 70000 } }
  history.apply(event(6, 'message.part.updated', { part }))
  assert.deepEqual([...history.incomplete], ['msg_1'])
  const message = (cursor, text) => ({ info: history.entries[0].info, parts: [{ ...part, text }], cursor })
  history.incomplete.clear()
  history.replace(message(4, 'old'))
  assert.deepEqual([...history.incomplete], ['msg_1'], 'an answer that events have overtaken is asked for again')
  history.replace(message(6, 'long'))
  assert.equal(history.entries[0].parts[0].text, 'long')
})

test('old messages can be forgotten and read again', () => {
  const { History } = modules
  const all = Array.from({ length: 10 }, (_, index) => ({ info: { id: `msg_${index}`, role: 'user', time: { created: index } }, parts: [], cursor: 50 }))
  const history = new History(SESSION)
  history.prepend(all, false)
  history.trim(4)
  assert.equal(history.more, true)
  history.apply(event(51, 'message.updated', { info: all[2].info }))
  assert.equal(history.entries.length, 4, 'an event about a forgotten message does not bring it back at the end')
  history.prepend(all.slice(0, 6), false)
  assert.deepEqual(history.entries.map(({ info }) => info.id), all.map(({ info }) => info.id))
})

test('ids are as the daemon wants them', () => {
  const { newId } = modules
  assert.match(newId('msg'), /^msg_[0-7][0-9A-HJKMNP-TV-Z]{25}$/)
  assert.equal(newId('ses', 1_469_918_176_385).slice(0, 14), 'ses_01ARYZ6S41')
  assert.equal(new Set(Array.from({ length: 1000 }, () => newId('msg'))).size, 1000)
})

test('a text is cut into blocks', () => {
  const { blocksOf } = modules
  assert.deepEqual(blocksOf('one\ntwo\n\n# head\n- a\n- b\n```rs\nlet x;\n\n# no head\n```\nend'), ['one\ntwo', '# head', '- a\n- b', '```rs\nlet x;\n\n# no head\n```', 'end'])
  assert.deepEqual(blocksOf('```\nstill open\n\n'), ['```\nstill open\n\n'])
  assert.deepEqual(blocksOf('1. a\n\n   ```\n   b\n\n   c\n   ```\n2. d\n\nend'), ['1. a\n\n   ```\n   b\n\n   c\n   ```\n2. d', 'end'])
  // What has been drawn stays as it is while the text grows.
  const text = 'Some *words*.\n\n- item\n\n  more\n- item\n\n~~~\ncode\n~~~\n\nTitle\n===\n> quote\n\nsee:\n|a|b|\n|-|-|\n|1|2|\n\nlast'
  for (let end = 0; end < text.length; end++) {
    const [some, more] = [blocksOf(text.slice(0, end)), blocksOf(text)]
    assert.deepEqual(some.slice(0, -1), more.slice(0, Math.max(0, some.length - 1)), `after ${end} characters`)
  }
})

test('answers stand below their prompts', () => {
  const { inTurns } = modules
  const user = (id) => ({ info: { id, role: 'user' } })
  const answer = (id, parentID) => ({ info: { id, role: 'assistant', parentID } })
  const order = inTurns([answer('z', 'gone'), user('a'), answer('b', 'a'), user('queued'), answer('c', 'a'), answer('d', 'queued')])
  assert.deepEqual(order.map(({ info }) => info.id), ['z', 'a', 'b', 'c', 'queued', 'd'])
})

/** `P1` is a prompt, `a1` an answer to it, `Q1` a prompt that waits, `R1` one whose turn has begun. */
const conversation = (words) =>
  words.split(' ').map((word, index) => {
    const number = word.slice(1)
    if (word[0] === 'a') return { info: { id: `a${number}.${index}`, role: 'assistant', parentID: `P${number}` }, parts: [], word }
    return { info: { id: `P${number}`, role: 'user', state: { Q: 'queued', R: 'running' }[word[0]] ?? 'answered' }, parts: [], word }
  })

test('a conversation is in the order in which it was held, as the daemon has it', () => {
  const { inTurns } = modules
  for (const [stored, held] of [
    ['P1 a1 a1 P2 a2', 'P1 a1 a1 P2 a2'],
    ['P1 P2 a1 a1 a2', 'P1 a1 a1 P2 a2'],
    ['P1 a1 P2 P3 a3 a2', 'P1 a1 P3 a3 P2 a2'],
    ['P1 Q2 a1 R3', 'P1 a1 Q2 R3'],
    ['P1 P2 a1 P3 a3', 'P1 a1 P2 P3 a3'],
    ['a9 P1 a1', 'a9 P1 a1'],
  ]) {
    assert.equal(inTurns(conversation(stored)).map(({ word }) => word).join(' '), held)
  }
})

test('what a revert undoes: everything from a prompt on, or from a part of an answer on', () => {
  const { inTurns, undoneFrom } = modules
  const ordered = inTurns(conversation('P1 P2 a1 a2 P3 a3'))
  const words = (from) => undoneFrom(ordered, from)?.messages.map(({ word }) => word).join(' ')
  assert.equal(words({ messageID: 'P2' }), 'P2 a2 P3 a3')
  assert.equal(words({ messageID: 'gone' }), undefined)
  ordered[1].parts = [{ id: 'text' }, { id: 'one', type: 'tool', callID: 'c1' }, { id: 'two', type: 'tool', callID: 'c2' }, { id: 'p1', type: 'patch', callID: 'c1' }, { id: 'p2', type: 'patch', callID: 'c2' }]
  const { messages, parts } = undoneFrom(ordered, { messageID: ordered[1].info.id, partID: 'two' })
  assert.deepEqual([messages.map(({ word }) => word).join(' '), [...parts]], ['P2 a2 P3 a3', ['two', 'p2']])
})
