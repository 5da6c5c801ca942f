// The schemas with the tools of others: types by json-schema-to-typescript; for the OpenRPC document its makers'
// validator, and a TypeScript client from their generator that talks to the daemon over WebSocket and checks every call
// against the document first.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { afterwards, Daemon, repository, temporary, until } from './support/daemon.mjs'
import { checkout, tool, tools } from './support/places.mjs'

const file = path.join(checkout, 'schema/openrpc.json')
const read = () => JSON.parse(fs.readFileSync(file, 'utf8'))
const { version } = tool('@open-rpc/generator/package.json')

/** Their libraries tell their opinions on the console. */
function quietly(act) {
  const kept = { log: console.log, warn: console.warn }
  console.log = console.warn = () => {}
  try {
    return act()
  } finally {
    Object.assign(console, kept)
  }
}

test('the document is valid', () => {
  const { validateOpenRPCDocument } = tool('@open-rpc/schema-utils-js')
  assert.equal(quietly(() => validateOpenRPCDocument(read())), true)
  const broken = read()
  delete broken.methods[0].params[0].schema
  assert.notEqual(quietly(() => validateOpenRPCDocument(broken)), true, 'the validator can say no')
})

test('required params stand before optional ones', () => {
  for (const { name, params } of read().methods) {
    const flags = params.map(({ required }) => Boolean(required))
    assert.deepEqual(flags, [...flags].sort((a, b) => Number(b) - Number(a)), name)
  }
})

/** What reads messages and events without a cast: it compiles only when the types have all fields. */
const READER = `
import type { BashMetadata, EditInput, EventPayload, MessageWithParts, Permission, SessionDefaults, SessionStatus, TextItem, UsageTotal } from './polytree'
export function said(messages: MessageWithParts[]): string {
  let all = ''
  for (const { info, parts } of messages) {
    const id: string = info.id
    const state: 'queued' | 'running' | 'answered' | 'cancelled' | undefined = info.role === 'user' ? info.state : undefined
    const cost: number = info.role === 'assistant' ? info.cost : 0
    all += [id, state, cost].join()
    for (const part of parts) {
      if (part.type === 'text') all += part.text.trim()
      else if (part.type === 'tool' && part.state.status === 'completed') all += part.callID + part.state.output.trim()
      else if (part.type === 'tool' && part.state.status === 'error') all += part.state.error.trim()
    }
  }
  return all
}
export function bytes(event: EventPayload): number {
  if (event.type === 'message.part.updated') {
    const { part } = event.properties
    if (part.type === 'text') return typeof part.text === 'string' ? part.text.length : part.text.bytes
  }
  return event.type === 'message.part.delta' ? event.properties.delta.length : 0
}
export const line = (asked: Permission): string => asked.metadata.command ?? asked.metadata.filePath ?? ''
export const edited = (input: EditInput): string => input.filePath + input.newString
export const exit = (metadata: BashMetadata): number | null | undefined => metadata.exit
export const uses = ({ model, mode, source }: SessionDefaults): string => model.providerID + mode + source.model
export const spent = (totals: UsageTotal[]): number => totals.reduce((sum, { cost }) => sum + cost, 0)
export const wakes = (status: SessionStatus): number => (status.type === 'retry' ? status.next : 0)
export const path = (item: TextItem): string => (item.type === 'match' ? item.path : '')
// @ts-expect-error a field that is not there
export const wrong = (message: MessageWithParts) => message.info.nothing
`

test('types from the schema are complete', async (t) => {
  const { compile } = tool('json-schema-to-typescript')
  const folder = temporary(t)
  const schema = JSON.parse(fs.readFileSync(path.join(checkout, 'schema/schema.json'), 'utf8'))
  const options = { unreachableDefinitions: true, additionalProperties: false, format: false }
  fs.writeFileSync(path.join(folder, 'polytree.ts'), await compile(schema, 'Polytree', options))
  fs.writeFileSync(path.join(folder, 'reader.ts'), READER)
  const typescript = path.join(tools, 'npm/node_modules/typescript/bin/tsc')
  const checked = spawnSync(process.execPath, [typescript, '--strict', '--noEmit', '--target', 'es2022', 'reader.ts'], { encoding: 'utf8', cwd: folder })
  assert.equal(checked.stdout + checked.stderr, '')
})

/** Generates the client and returns its class. */
function generate(t) {
  const folder = temporary(t)
  const settings = path.join(folder, 'generate.json')
  const component = { type: 'client', name: 'client', language: 'typescript' }
  fs.writeFileSync(settings, JSON.stringify({ openrpcDocument: file, outDir: folder, components: [component] }))
  const made = spawnSync(process.execPath, [path.join(tools, 'npm/node_modules/@open-rpc/generator/build/cli.js'), 'generate', '-c', settings], { encoding: 'utf8' })
  assert.equal(made.status, 0, made.stderr)
  // Version 1.22.3 writes names with dots and stars without the quotation marks that TypeScript wants, and checks params
  // by position where it then sends them by name.
  const source = fs
    .readFileSync(path.join(folder, 'client/typescript/src/index.ts'), 'utf8')
    .replace(/^ {2}public (\w+(?:\.\w+)+): /gm, "  public '$1': ")
    .replace(/^ {2}\*\?: /gm, "  '*'?: ")
    .replace('this.validator.validate(methodName, params)', 'this.validator.validate(methodName, _.zipObject(_.map(methodObject.params, "name"), params))')
  const typescript = tool('typescript')
  const { outputText, diagnostics } = typescript.transpileModule(source, { reportDiagnostics: true, compilerOptions: { module: 'commonjs', target: 'es2022', esModuleInterop: true } })
  assert.deepEqual(diagnostics.map(({ messageText }) => messageText), [])
  const module = { exports: {} }
  new Function('require', 'module', 'exports', outputText)(tool, module, module.exports)
  return module.exports.default ?? module.exports.Polytree
}

test('a generated client converses', async (t) => {
  t.diagnostic(`@open-rpc/generator ${version}`)
  const Polytree = generate(t)
  const daemon = await Daemon.start(t)
  const directory = repository(daemon.folder)
  const client = quietly(() => new Polytree({ transport: { type: 'websocket', host: '127.0.0.1', port: daemon.port, path: `/?token=${daemon.token}` } }))
  afterwards(t, () => client.rpc.close())
  const events = []
  client.onNotification(({ method, params }) => method === 'event' && events.push(params.result))

  const hello = await client['server.initialize']({ name: 'generated', version: '1' }, undefined, 1)
  assert.deepEqual([...hello.methods].sort(), read().methods.map(({ name }) => name).sort())
  assert.equal(typeof (await client['event.subscribe'](undefined, undefined, hello.cursor)), 'number')
  const session = await client['session.create'](undefined, undefined, 'from a generator', undefined, undefined, undefined, undefined, undefined, directory)
  assert.equal(session.directory, directory)
  const { sessionID, messageID, queued } = await client['session.submit']('run git status --short', session.id)
  assert.deepEqual([sessionID, queued], [session.id, false])
  const { properties: asked } = await until(() => events.find(({ type }) => type === 'permission.asked'), 'a question')
  assert.deepEqual((await client['permission.list']()).map(({ id }) => id), [asked.id])
  assert.equal((await client['permission.reply'](session.id, asked.id, 'once')).id, session.id)
  await until(() => events.find(({ type, sessionID: of }) => type === 'session.idle' && of === session.id), 'the end of the turn')
  const messages = await client['session.messages'](session.id)
  assert.equal(messages[0].info.id, messageID)
  assert.ok(messages.some(({ parts }) => parts.some(({ type, state }) => type === 'tool' && state.status === 'completed' && state.output.includes('?? notes.txt'))))
  const streamed = events.filter(({ type, properties }) => type === 'message.part.delta' && properties.field === 'text').map(({ properties }) => properties.delta).join('')
  const said = messages.flatMap(({ info, parts }) => (info.role === 'assistant' ? parts : [])).filter(({ type }) => type === 'text')
  assert.equal(streamed, said.map(({ text }) => text).join(''), 'the deltas are the text')

  // The client checks by the document before it sends; the daemon checks again.
  await assert.rejects(client['session.get'](7))
  await assert.rejects(client['session.get']('ses_01ARYZ6S410000000000000000'), ({ code, data }) => code === 1001 && data.kind === 'not_found')
  client.startBatch()
  const both = Promise.all([client['server.info'](), client['project.list']()])
  client.stopBatch()
  const [info, projects] = await both
  assert.equal(info.protocolVersion, 1)
  assert.deepEqual(projects.map(({ worktree }) => worktree), [directory])
})
