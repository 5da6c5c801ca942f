// A terminal without a window: a program in a private tmux, its screen as text, and as a picture.
import { spawnSync } from 'node:child_process'
import { until } from './workbench.mjs'

let count = 0

export class Screen {
  constructor(command, { cwd, env, columns = 120, rows = 34 }) {
    this.socket = `polytree-test-${process.pid}-${(count += 1)}`
    this.env = env
    this.tmux('-f', '/dev/null', 'new-session', '-d', '-x', String(columns), '-y', String(rows), '-c', cwd, command)
  }

  tmux(...words) {
    const done = spawnSync('tmux', ['-L', this.socket, ...words], { env: { ...this.env, COLORTERM: 'truecolor', TERM: 'xterm-256color', LANG: 'C.UTF-8' }, encoding: 'utf8' })
    if (done.status !== 0) throw new Error(`tmux ${words[0]}: ${done.stderr}`)
    return done.stdout
  }

  /** Keys by tmux's names, such as `Escape` or `C-s`; anything else is typed. */
  keys(...keys) {
    this.tmux('send-keys', ...keys)
  }

  type(text) {
    this.tmux('send-keys', '-l', text)
  }

  text() {
    return this.tmux('capture-pane', '-p')
  }

  async shows(text) {
    const wanted = typeof text === 'string' ? (screen) => screen.includes(text) : (screen) => text.test(screen)
    return await until(`${text} on the screen`, () => {
      const screen = this.text()
      return wanted(screen) && screen
    }, 20_000).catch((error) => {
      throw new Error(`${error.message}:\n${this.text()}`)
    })
  }

  /** Waits until the program has ended. */
  async ended() {
    await until('the end of the program', () => spawnSync('tmux', ['-L', this.socket, 'has-session'], { env: this.env }).status !== 0, 20_000)
  }

  async picture(browser, file, background) {
    // Highlighting follows the text.
    let screen = ''
    await until('a screen that stays as it is', async () => {
      const before = screen
      screen = this.tmux('capture-pane', '-p', '-e')
      if (screen !== before) await new Promise((resolve) => setTimeout(resolve, 300))
      return screen === before
    })
    const page = await browser.newPage({ viewport: { width: 1000, height: 700 } })
    await page.setContent(html(screen, background))
    await page.locator('pre').screenshot({ path: file })
    await page.close()
  }

  close() {
    spawnSync('tmux', ['-L', this.socket, 'kill-server'])
  }
}

const BASE = ['#000000', '#cd3131', '#0dbc79', '#e5e510', '#2472c8', '#bc3fbc', '#11a8cd', '#e5e5e5']

function indexed(number) {
  if (number < 16) return BASE[number % 8]
  if (number >= 232) return `rgb(${Array(3).fill((number - 232) * 10 + 8)})`
  const step = (value) => (value ? value * 40 + 55 : 0)
  const cube = number - 16
  return `rgb(${[Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(step)})`
}

/** Applies the numbers of one escape sequence. */
function apply(style, numbers) {
  for (let at = 0; at < numbers.length; at += 1) {
    const number = numbers[at]
    const ground = number === 38 || (number >= 30 && number <= 37) || number === 39 ? 'color' : 'background'
    if (number === 0) for (const key of Object.keys(style)) delete style[key]
    else if (number === 1) style.bold = true
    else if (number === 3) style.italic = true
    else if (number === 4) style.underline = true
    else if (number === 7) style.reverse = true
    else if (number === 22) delete style.bold
    else if (number === 23) delete style.italic
    else if (number === 24) delete style.underline
    else if (number === 27) delete style.reverse
    else if (number === 38 || number === 48) {
      if (numbers[at + 1] === 2) style[ground] = `rgb(${numbers.slice(at + 2, at + 5)})`
      else style[ground] = indexed(numbers[at + 2])
      at += numbers[at + 1] === 2 ? 4 : 2
    } else if (number === 39 || number === 49) delete style[ground]
    else if ((number >= 30 && number <= 37) || (number >= 40 && number <= 47)) style[ground] = BASE[number % 10]
  }
}

function html(screen, background) {
  const plain = background === 'light' ? { color: '#14161b', background: '#e0e2ea' } : { color: '#e0e2ea', background: '#14161b' }
  const style = {}
  const spans = []
  for (const piece of screen.replace(/\n$/, '').split(/(\u001b\[[0-9;:]*m|\u001b\(B|\u000e|\u000f)/)) {
    const codes = /^\u001b\[([0-9;:]*)m$/.exec(piece)
    if (codes) {
      apply(style, codes[1].split(/[;:]/).map(Number))
      continue
    }
    if (!piece || /^[\u001b\u000e\u000f]/.test(piece)) continue
    let [color, back] = [style.color ?? plain.color, style.background ?? plain.background]
    if (style.reverse) [color, back] = [back, color]
    const css = `color:${color};background:${back};${style.bold ? 'font-weight:bold;' : ''}${style.italic ? 'font-style:italic;' : ''}${style.underline ? 'text-decoration:underline;' : ''}`
    spans.push(`<span style="${css}">${piece.replace(/&/g, '&amp;').replace(/</g, '&lt;')}</span>`)
  }
  const shell = `margin:0;padding:8px;display:inline-block;font:13px/16px 'DejaVu Sans Mono',monospace;color:${plain.color};background:${plain.background}`
  return `<body style="margin:0"><pre style="${shell}">${spans.join('')}</pre></body>`
}
