// Runs frames.py, and takes each of its checks for a test.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { Daemon, repository } from './support/daemon.mjs'
import { checkout, tools } from './support/places.mjs'

const python = path.join(tools, 'venv/bin/python')
const skip = !fs.existsSync(python) && "Python's websockets is not installed"

test("Python's websockets", { skip }, async (t) => {
  const daemon = await Daemon.start(t)
  const directory = repository(daemon.folder)
  const child = spawn(python, [path.join(checkout, 'tests/clients/frames.py'), daemon.socket, daemon.token, directory], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, errors] = ['', '']
  child.stdout.on('data', (data) => (out += data))
  child.stderr.on('data', (data) => (errors += data))
  const status = await new Promise((resolve) => child.once('exit', resolve))
  let count = 0
  for (const line of out.split('\n')) {
    const found = /^(not )?ok ([^:]+)(?:: (.*))?$/.exec(line)
    if (line.startsWith('# ')) t.diagnostic(line.slice(2))
    if (!found) continue
    count++
    await t.test(found[2], () => assert.ok(!found[1], `${found[3]}\n${errors}`))
  }
  assert.equal(status, 0, errors)
  assert.ok(count > 0, 'there are checks')
})
