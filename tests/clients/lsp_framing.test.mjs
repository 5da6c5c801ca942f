// vscode-jsonrpc, which editors use, over the headers of LSP.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { afterwards, environment, repository, temporary, until } from './support/daemon.mjs'
import { polytree, tool, tools } from './support/places.mjs'

/** The ways to a daemon by standard input and output. */
const COMMANDS = [['stdio', '--standalone'], ['stdio']]

const rpc = tool('vscode-jsonrpc/node')
const { version } = JSON.parse(fs.readFileSync(path.join(tools, 'npm/node_modules/vscode-jsonrpc/package.json'), 'utf8'))

for (const command of COMMANDS) {
  test(`vscode-jsonrpc ${version} over polytree ${command.join(' ')}`, async (t) => {
    const folder = temporary(t)
    const directory = repository(folder)
    const child = spawn(polytree, command, { cwd: directory, env: environment(folder), stdio: ['pipe', 'pipe', 'inherit'] })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    const connection = rpc.createMessageConnection(new rpc.StreamMessageReader(child.stdout), new rpc.StreamMessageWriter(child.stdin))
    const problems = []
    connection.onError(([error]) => problems.push(String(error)))
    const events = []
    connection.onNotification('event', ({ result }) => events.push(result))
    connection.listen()
    afterwards(t, async () => {
      child.kill('SIGKILL')
      await ended
    })

    const hello = await connection.sendRequest('server.initialize', { clientInfo: { name: 'vscode-jsonrpc' } })
    assert.equal(hello.directory, directory)
    const { pid } = await connection.sendRequest('server.info')
    if (pid !== child.pid) afterwards(t, () => stop(pid))
    await connection.sendRequest('event.subscribe', { since: 0 })
    const session = await connection.sendRequest('session.create', { title: 'Grüße, 世界 🌳' })
    assert.equal(session.title, 'Grüße, 世界 🌳', 'lengths are counted in bytes')
    const prompt = connection.sendRequest('session.prompt', { sessionID: session.id, parts: 'run echo Grüße 世界' })
    const asked = await until(() => events.find(({ type }) => type === 'permission.asked'), 'a question')
    await connection.sendRequest('permission.reply', { sessionID: session.id, permissionID: asked.properties.id, response: 'once' })
    const { info, parts } = await prompt
    assert.equal(info.finish, 'stop')
    assert.match(parts.map(({ text }) => text ?? '').join(''), /Grüße 世界/)

    // Cancelling ends the wait, not the turn.
    const source = new rpc.CancellationTokenSource()
    const waiting = connection.sendRequest('session.prompt', { sessionID: session.id, parts: 'run touch made' }, source.token)
    const again = await until(() => events.find(({ type, properties }) => type === 'permission.asked' && properties.id !== asked.properties.id), 'a question')
    source.cancel()
    await assert.rejects(waiting, ({ code }) => code === -32800)
    assert.equal((await connection.sendRequest('session.status'))[session.id].type, 'waiting')
    await connection.sendRequest('permission.reply', { sessionID: session.id, permissionID: again.properties.id, response: 'once' })
    await until(() => events.filter(({ type }) => type === 'session.idle').length === 2, 'the end of the second turn')

    await assert.rejects(connection.sendRequest('no.such.method'), ({ code }) => code === -32601)
    await assert.rejects(connection.sendRequest('session.get', { session: 1 }), ({ code, message }) => code === -32602 && /session/.test(message))
    await assert.rejects(connection.sendRequest('session.list', 'by position'), ({ code }) => code === -32602)
    connection.sendNotification('log.write', { service: 'test', level: 'info', message: 'a notification has no answer' })
    assert.equal(typeof (await connection.sendRequest('server.info')).version, 'string')
    const cursors = events.map(({ cursor }) => cursor)
    assert.deepEqual(cursors, [...cursors].sort((a, b) => a - b), 'events come in order')
    child.stdin.end()
    assert.equal(await ended, 0)
    assert.deepEqual(problems, [])
    connection.dispose()
  })
}

/** Ends the daemon that a relay has started. */
async function stop(pid) {
  const signal = (name) => {
    try {
      return process.kill(pid, name)
    } catch (error) {
      assert.equal(error.code, 'ESRCH')
      return false
    }
  }
  signal('SIGTERM')
  await until(() => !signal(0), 'the daemon ends')
}
