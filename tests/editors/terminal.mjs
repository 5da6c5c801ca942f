// The Neovim plugin as a person sees and uses it, in a terminal: node terminal.mjs NVIM PLUGIN OUT
//
// OUT is a folder for pictures. It ends with "N passed, N failed".
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { call, say } from './model_server.mjs'
import { Screen } from './screen.mjs'
import { suite } from './suite.mjs'
import { launchChromium, place } from './workbench.mjs'

const [nvim, plugin, out] = process.argv.slice(2).map((name) => path.resolve(name))
fs.mkdirSync(out, { recursive: true })
const browser = await launchChromium()
const { test, end } = suite("Neovim's screen")

async function open(background, keep = {}) {
  const where = keep.where ?? (await place())
  where.write('project/src/main.rs', 'fn main() {\n    println!("Hello");\n}\n')
  const xdg = Object.fromEntries(['CONFIG', 'DATA', 'STATE', 'CACHE'].map((name) => [`XDG_${name}_HOME`, path.join(where.root, name)]))
  const setup = `lua require("polytree").setup({ command = { "${where.executable}", "stdio" } })`
  const command = `${nvim} --clean --cmd 'set rtp^=${plugin} termguicolors background=${background}' -c '${setup}' src/main.rs`
  const screen = new Screen(command, { cwd: where.project, env: { ...where.env, ...where.daemon, ...xdg } })
  await screen.shows('println')
  return { where, screen }
}

async function close({ where, screen }) {
  screen.close()
  spawnSync(where.executable, ['stop', '--now'], { env: { ...where.env, ...where.daemon } })
  where.model.close()
  fs.rmSync(where.root, { recursive: true, force: true })
}

/** Runs a test with a Neovim in a terminal. */
const testIn = (background, name, run) =>
  test(name, async () => {
    const opened = await open(background)
    try {
      await run(opened)
    } finally {
      await close(opened)
    }
  })

const ANSWER = `The greeting is in \`src/main.rs\`. I change it so that it names the **whole world**:

\`\`\`rust
fn main() {
    println!("Hello, world");
}
\`\`\`

| file | lines |
|---|---|
| src/main.rs | 1 |
`

for (const background of ['dark', 'light']) {
  await testIn(background, `a prompt, an answer and a question on a ${background} screen; the cursor stays where it is`, async ({ where, screen }) => {
    where.model.script(
      (reply) => {
        reply.text(ANSWER)
        reply.call('read', { filePath: 'src/main.rs' })
        reply.finish()
      },
      call('edit', { filePath: 'src/main.rs', oldString: '"Hello"', newString: '"Hello, world"' }),
      say('Done.'),
    )
    screen.type(':Polytree prompt Greet the whole world')
    screen.keys('Enter')
    await screen.shows(/edit: may it do this\?[^]*\+ +println!\("Hello, world"\);[^]*ga allow/)
    await screen.picture(browser, path.join(out, `neovim-${background}.png`), background)
    // The person goes on typing in the file.
    screen.type('Go// typed')
    screen.keys('Escape')
    await screen.shows('// typed')
    screen.type('u:Polytree allow')
    screen.keys('Enter')
    await screen.shows('Done.')
    await screen.shows('println!("Hello, world")')
    assert.match(fs.readFileSync(path.join(where.project, 'src/main.rs'), 'utf8'), /Hello, world/)
    await screen.picture(browser, path.join(out, `neovim-answered-${background}.png`), background)
  })
}

await testIn('dark', 'a draft outlives Neovim, and goes when it is sent', async (opened) => {
  opened.screen.type(':Polytree prompt')
  opened.screen.keys('Enter')
  await opened.screen.shows('prompt to a new session')
  opened.screen.type('a long thought')
  opened.screen.keys('Escape')
  opened.screen.type(':qa!')
  opened.screen.keys('Enter')
  await opened.screen.ended()
  opened.screen = (await open('dark', opened)).screen
  opened.where.model.script(say('Thought through.'))
  opened.screen.type(':Polytree prompt')
  opened.screen.keys('Enter')
  await opened.screen.shows('a long thought')
  opened.screen.keys('C-s')
  await opened.screen.shows('Thought through.')
  opened.screen.type(':qa!')
  opened.screen.keys('Enter')
  await opened.screen.ended()
  const state = path.join(opened.where.root, 'STATE/nvim/polytree')
  assert.deepEqual(fs.readdirSync(state), [], 'a draft that was sent is kept')
})

await browser.close()
end()
