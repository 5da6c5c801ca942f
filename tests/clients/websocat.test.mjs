// websocat: what a person with a terminal does.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { afterwards, Daemon, repository, until } from './support/daemon.mjs'
import { tools } from './support/places.mjs'

const websocat = path.join(tools, 'websocat/bin/websocat')
const skip = !fs.existsSync(websocat) && 'websocat is not installed'

/** Starts it and reads the messages that come, one on each line. */
function start(t, args) {
  const child = spawn(websocat, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  afterwards(t, () => child.kill('SIGKILL'))
  let [out, errors] = ['', '']
  child.stdout.on('data', (data) => (out += data))
  child.stderr.on('data', (data) => (errors += data))
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const messages = () => out.split('\n').slice(0, -1).map((line) => JSON.parse(line))
  return { child, ended, messages, errors: () => errors, say: (line) => child.stdin.write(`${line}\n`) }
}

test('websocat asks and listens', { skip }, async (t) => {
  t.diagnostic(execFileSync(websocat, ['--version'], { encoding: 'utf8' }).trim())
  const daemon = await Daemon.start(t)
  const directory = repository(daemon.folder)
  const { messages, say } = start(t, ['--jsonrpc', '--protocol', 'polytree.v1', `-H=Authorization: Bearer ${daemon.token}`, daemon.socket])
  say('server.initialize {"clientInfo":{"name":"websocat"}}')
  const hello = await until(() => messages().find(({ id }) => id === 1), 'an answer')
  assert.equal(hello.result.serverInfo.name, 'polytree')
  say(`event.subscribe {"since":${hello.result.cursor}}`)
  say(`session.prompt {"directory":${JSON.stringify(directory)},"parts":"read notes.txt"}`)
  const answer = await until(() => messages().find(({ id }) => id === 3), 'the answer of the prompt')
  assert.match(JSON.stringify(answer.result.parts), /hello/)
  await until(() => messages().some(({ params }) => params?.result.type === 'session.idle'), 'its events')
})

test('websocat with the token in the address, and without one', { skip }, async (t) => {
  const daemon = await Daemon.start(t)
  const good = start(t, [`${daemon.socket}?token=${daemon.token}`])
  good.say('{"jsonrpc":"2.0","id":"one","method":"server.info"}')
  const { id, result } = await until(() => good.messages()[0], 'an answer')
  assert.deepEqual([id, result.protocolVersion], ['one', 1])
  for (const address of [daemon.socket, `${daemon.socket}?token=${daemon.token.slice(1)}x`]) {
    const bad = start(t, [address])
    assert.notEqual(await bad.ended, 0)
    assert.match(bad.errors(), /401/)
  }
  const foreign = start(t, ['--origin', 'https://elsewhere.example', `${daemon.socket}?token=${daemon.token}`])
  assert.notEqual(await foreign.ended, 0)
  assert.match(foreign.errors(), /403/)
})
