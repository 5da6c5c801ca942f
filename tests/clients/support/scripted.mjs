// A daemon whose model is a script, a session in which nothing is asked, and a page that shows it.
import { modelServer } from '../../editors/model_server.mjs'
import fs from 'node:fs'
import path from 'node:path'
import { choose, isIdle, isLive, open, send } from './browser.mjs'
import { Client } from './client.mjs'
import { afterwards, Daemon, repository, temporary } from './daemon.mjs'

export { call, say } from '../../editors/model_server.mjs'

/** Several calls of tools in one answer. */
export const calls = (...all) => (reply) => {
  for (const [name, input] of all) reply.call(name, input)
  reply.finish()
}

/** An answer that ends when `go` is called. */
export function held(text = 'half') {
  let go
  const gate = new Promise((resolve) => (go = resolve))
  const play = async (reply) => {
    reply.text(text)
    await gate
    reply.finish()
  }
  return Object.assign(play, { go: () => go() })
}

export async function scripted(t, { title = 'work', ...options } = {}) {
  const folder = temporary(t)
  const model = await modelServer()
  afterwards(t, () => model.close())
  const provider = { api: 'openai', options: { baseURL: `http://127.0.0.1:${model.port}/v1`, apiKey: 'test' }, models: { small: { limit: { context: 1_000_000, output: 8000 } } } }
  fs.mkdirSync(path.join(folder, 'config'))
  fs.writeFileSync(path.join(folder, 'config/polytree.json'), JSON.stringify({ model: 'local/small', small_model: 'local/small', provider: { local: provider } }))
  const daemon = await Daemon.start(t, { folder })
  const directory = repository(folder)
  const client = await Client.open(daemon)
  afterwards(t, () => client.close())
  const { id } = await client.call('session.create', { directory, title, mode: 'all' })
  /** A turn from another client, to its end. */
  const turn = async (prompt, ...answers) => {
    model.script(...answers)
    await client.call('session.prompt', { sessionID: id, parts: prompt })
  }
  const file = (name) => path.join(directory, name)
  return { folder, daemon, directory, client, model, id, turn, file, read: (name) => fs.readFileSync(file(name), 'utf8'), show: () => show(t, daemon, id, options) }
}

/** A page that shows a session. */
export async function show(t, daemon, id, options) {
  const page = await open(t, daemon, options)
  await isLive(page)
  await choose(page, id)
  return page
}

export { isIdle, send }
