// A daemon of its own for a test: `polytree serve` on a free port of loopback, with its own data, settings and projects.
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { polytree } from './places.mjs'

/** How long anything may take before a test fails; the machine may be busy. */
export const PATIENCE = Number(process.env.POLYTREE_PATIENCE ?? 30_000)

/** What is to be done after a test, by test. */
const ends = new WeakMap()

/** Does something after the test; what was asked for last is done first. */
export function afterwards(test, act) {
  const acts = ends.get(test) ?? []
  acts.push(act)
  if (ends.has(test)) return
  ends.set(test, acts)
  test.after(async () => {
    for (const one of acts.reverse()) await one()
  })
}

/** A folder that is gone after the test. */
export function temporary(test) {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'polytree-clients-')))
  afterwards(test, () => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

/** A git repository with one file that git does not know yet. */
export function repository(folder, name = 'project') {
  const place = path.join(folder, name)
  fs.mkdirSync(place, { recursive: true })
  fs.writeFileSync(path.join(place, 'notes.txt'), 'hello\n')
  const git = spawnSync('git', ['init', '--quiet', place], { encoding: 'utf8' })
  if (git.status !== 0) throw new Error(`git init: ${git.stderr}`)
  return place
}

/** The variables of a user who has nothing yet. */
export function environment(folder) {
  const kept = Object.entries(process.env).filter(([name]) => !/^(POLYTREE_|XDG_)|_API_KEY$/.test(name))
  const own = { HOME: folder, POLYTREE_DATA_DIR: path.join(folder, 'data'), POLYTREE_CONFIG_DIR: path.join(folder, 'config'), POLYTREE_RUNTIME_DIR: path.join(folder, 'run') }
  return { ...Object.fromEntries(kept), ...own }
}

/** Waits until `look` finds something. */
export async function until(look, what) {
  const end = Date.now() + PATIENCE
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > end) throw new Error(`in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

export class Daemon {
  #said = ''

  constructor(folder, port, more) {
    this.folder = folder
    this.more = more
    this.child = spawn(polytree, ['serve', '--listen', `127.0.0.1:${port}`, ...more], { cwd: folder, env: environment(folder), stdio: ['ignore', 'pipe', 'pipe'] })
    this.child.stdout.on('data', (data) => (this.#said += data))
    this.child.stderr.on('data', (data) => (this.#said += data))
    this.ended = new Promise((resolve) => this.child.once('exit', resolve))
  }

  /** Starts one and waits until it listens. */
  static async start(test, { folder = temporary(test), port = 0, more = [] } = {}) {
    const daemon = new Daemon(folder, port, more)
    afterwards(test, () => daemon.kill())
    await daemon.#listens()
    return daemon
  }

  async #listens() {
    const address = await until(() => {
      if (this.child.exitCode !== null) throw new Error(`polytree serve ended with ${this.child.exitCode}: ${this.#said}`)
      return /\b127\.0\.0\.1:([1-9]\d*)/.exec(this.#said)
    }, `an address in what polytree serve says: ${this.#said}`)
    this.port = Number(address[1])
    const file = path.join(this.folder, 'data', 'token')
    this.token = (await until(() => fs.existsSync(file) && fs.readFileSync(file, 'utf8'), 'the token file')).trim()
  }

  get page() {
    return `http://127.0.0.1:${this.port}/`
  }

  get socket() {
    return `ws://127.0.0.1:${this.port}/`
  }

  /** Ends it as a crash would. */
  async kill() {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL')
    await this.ended
  }

  /** Kills it and starts it again at the same address. */
  async restart(test) {
    await this.kill()
    return Daemon.start(test, { folder: this.folder, port: this.port, more: this.more })
  }
}
