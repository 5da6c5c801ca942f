// Records what the daemon says of a few conversations, for the replays into both renderers:
//
//   POLYTREE_EXECUTABLE=... POLYTREE_EDITOR_PACKAGES=... node record.mjs [NAME...]
//
// Each transcript is {session, events, messages}: the session as it was created, every event of it, and what
// `session.messages` answers in the end. Paths are made the same on every machine.
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { call, say } from './model_server.mjs'
import { connect } from './rpc.mjs'
import { place, until } from './workbench.mjs'

const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), 'transcripts')

/** Runs `play` in a session of its own and writes its transcript. */
async function record(name, play) {
  const wanted = process.argv.slice(2)
  if (wanted.length > 0 && !wanted.includes(name)) return
  const where = await place()
  const daemon = await connect(where)
  const session = await daemon.request('session.create', { directory: where.project })
  const events = []
  daemon.listen((event) => event.sessionID === session.id && events.push(event))
  const answers = []
  daemon.listen(async (event) => {
    if (event.type !== 'permission.asked') return
    const { response, message } = answers.shift() ?? { response: 'once' }
    await daemon.request('permission.reply', { sessionID: session.id, permissionID: event.properties.id, response, ...(message ? { message } : {}) })
  })
  await daemon.request('event.subscribe', { sessionID: session.id, blobs: 'inline' })
  const idle = () => until('idle', async () => Object.keys(await daemon.request('session.status', {})).length === 0)
  const ask = async (parts, more = {}) => {
    const sent = await daemon.request('session.submit', { sessionID: session.id, parts, ...more })
    if (more.wait !== false) await idle()
    return sent
  }
  await play({ ask: (parts, { wait, ...more } = {}) => ask(parts, more), model: where.model, answers, daemon, session, where, idle })
  await idle()
  const messages = await daemon.request('session.messages', { sessionID: session.id, limit: 100 })
  await daemon.close()
  where.model.close()
  // One event and one message on each line.
  const lines = (all) => `[\n${all.map((one) => JSON.stringify(one)).join(',\n')}\n]`
  const text = `{"session": ${JSON.stringify(session)},\n"events": ${lines(events)},\n"messages": ${lines(messages)}}\n`
  fs.writeFileSync(path.join(folder, `${name}.json`), text.replaceAll(where.project, '/project').replaceAll(where.root, '/root'))
  fs.rmSync(where.root, { recursive: true, force: true })
  console.log(`${name}: ${events.length} events`)
}

await record('answer', async ({ ask, model, where }) => {
  const words = [
    '# Heading\n\nHello, *wor', 'ld* and **more**, `code` and a [link](src/main.txt#L2).\n\n', '- one\n- two\n  - three\n\n1. first\n2. sec', 'ond\n\n',
    '```rust\nfn main() {\n    println!("hi");', '\n}\n```\n\n| a | b |\n|---|---|\n', '| 1 | 2 |\n\n> quoted\n\n<b>no HTML</b> \u202eright to left\n', '\n---\n\nThe end',
  ]
  model.script(async (reply) => {
    for (const word of words) {
      reply.text(word)
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
    reply.text('.\n')
    reply.finish()
  }, say('Lines\r\nwith\rreturns and \u0000 zero\n\n\n'))
  await ask('say hello')
  await ask([{ type: 'text', text: 'and again\nwith two lines' }, { type: 'file', mime: 'text/plain', filename: 'notes.txt', url: `file://${where.project}/notes.txt?start=1&end=2` }])
})

await record('tools', async ({ ask, model, answers }) => {
  model.script(
    (reply) => {
      reply.text('I look first.')
      reply.call('read', { filePath: 'src/main.txt' })
      reply.call('grep', { pattern: 'two', path: '.' })
      reply.finish()
    },
    call('edit', { filePath: 'src/main.txt', oldString: 'two', newString: '2\n2.5' }),
    call('bash', { command: 'printf "a\\nb\\n"; exit 3', description: 'Fail' }),
    call('todowrite', { todos: [{ content: 'look', status: 'completed', priority: 'high' }, { content: 'change', status: 'in_progress', priority: 'low' }] }),
    call('bash', { command: 'rm -rf src', description: 'Clean' }),
    call('write', { filePath: 'new.txt', content: 'first\nsecond\n' }),
    call('no_such_tool', { a: 1 }),
    say('Done: `src/main.txt` and `new.txt` changed.'),
  )
  answers.push({ response: 'once' }, { response: 'reject', message: 'keep the sources' })
  await ask([{ type: 'text', text: 'change it' }])
})

await record('sandbox', async ({ ask, model }) => {
  model.script(
    call('bash', { command: `perl -e 'open(F, ">", "/usr/polytree") or die "$!\\n"'`, description: 'Write' }),
    call('bash', { command: 'echo inside > made.txt; cat made.txt', description: 'Write inside' }),
    say('Only one of them.'),
  )
  await ask('write both', { mode: 'edits' })
})

await record('undo', async ({ ask, model, daemon, session }) => {
  model.script(
    call('write', { filePath: 'made.txt', content: 'made\n' }),
    say('It is made.'),
    call('read', { filePath: 'src/main.txt' }),
    call('edit', { filePath: 'src/main.txt', oldString: 'two', newString: '2' }),
    say('It is changed.'),
  )
  await ask('make a file', { mode: 'edits' })
  const { messageID } = await ask('change the other', { mode: 'edits' })
  await daemon.request('session.revert', { sessionID: session.id, messageID })
})

await record('compaction', async ({ ask, model, daemon, session }) => {
  model.script(say('Hello.'), say('Hello again.'), say('After the summary.'))
  await ask('say hello')
  await ask('say it again')
  await daemon.request('session.compact', { sessionID: session.id })
  await ask('go on')
})

await record('ends', async ({ ask, model, daemon, session, idle }) => {
  model.script((reply) => reply.text('This goes on and on'), say('Not reached.'))
  await daemon.request('session.submit', { sessionID: session.id, parts: 'talk' })
  await until('the text', async () => JSON.stringify(await daemon.request('session.messages', { sessionID: session.id, limit: 10 })).includes('on and on'))
  await daemon.request('session.submit', { sessionID: session.id, parts: 'and then this' })
  await daemon.request('session.abort', { sessionID: session.id })
  await idle()
  model.clear()
  model.script((reply) => {
    reply.response.write('data: {"error": {"message": "the service is out of order", "code": "context_length_exceeded"}}\n\n')
    reply.response.end()
  })
  await ask('fail')
  model.script((reply) => {
    reply.chunk({ reasoning_content: 'Let me ' })
    reply.chunk({ reasoning_content: 'think.' })
    reply.text('Thought.')
    reply.finish()
  })
  await ask('think')
})
