// The daemon over `polytree stdio`: requests, and events to who listens.
import { spawn, spawnSync } from 'node:child_process'
import readline from 'node:readline'

export async function connect(where) {
  const env = { ...where.env, ...where.daemon }
  const child = spawn(where.executable, ['stdio'], { cwd: where.project, env, stdio: ['pipe', 'pipe', 'inherit'] })
  const pending = new Map()
  const listeners = []
  let last = 0
  const request = (method, params) =>
    new Promise((resolve, reject) => {
      pending.set(++last, { resolve, reject })
      child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: last, method, params })}\n`)
    })
  readline.createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line)
    if (message.method === 'event') return listeners.forEach((listen) => listen(message.params.result))
    const waiting = pending.get(message.id)
    pending.delete(message.id)
    if (message.error) waiting?.reject(new Error(`${message.error.message} (${message.error.data?.kind})`))
    else waiting?.resolve(message.result)
  })
  await request('server.initialize', { clientInfo: { name: 'tests', version: '1' }, protocolVersion: 1, directory: where.project })
  const close = async () => {
    child.stdin.end()
    await new Promise((resolve) => child.on('exit', resolve))
    spawnSync(where.executable, ['stop', '--now'], { env })
  }
  /** Ends this connection; the daemon goes on. */
  const leave = () => child.stdin.end()
  return { request, listen: (done) => listeners.push(done), close, leave }
}
