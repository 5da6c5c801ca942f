// Words about parts of a conversation. Pure.
import type { EventMessage, EventToolPart, SessionRevert } from '@polytree/protocol'

export function cost(dollars: number): string {
  if (dollars === 0) return '$0'
  return `$${dollars >= 0.01 ? dollars.toFixed(2) : dollars.toFixed(4)}`
}

export function tokens(count: number): string {
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)}M`
  return count >= 1000 ? `${(count / 1000).toFixed(1)}k` : String(count)
}

export function clock(time: number): string {
  const date = new Date(time)
  return `${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}`
}

/** How long ago, in one unit. */
export function age(time: number, now = Date.now()): string {
  const minutes = Math.floor((now - time) / 60_000)
  if (minutes < 1) return 'now'
  if (minutes < 60) return `${minutes} min`
  return minutes < 24 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 60 / 24)} d`
}

export function heading(info: EventMessage): string {
  if (info.role === 'assistant') return [info.agent, info.modelID, info.variant, clock(info.time.created)].filter(Boolean).join(' · ')
  const state = info.state === 'queued' || info.state === 'cancelled' ? ` · ${info.state}` : ''
  return `You · ${clock(info.time.created)}${state}`
}

type Bag = Record<string, unknown>

export function bag(value: unknown): Bag {
  return typeof value === 'object' && value !== null ? (value as Bag) : {}
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** How a call stands, for its icon. A command that ended with another exit code than 0 has failed. */
export function outcome({ state }: EventToolPart): 'pending' | 'running' | 'completed' | 'error' {
  const exit = 'metadata' in state ? bag(state.metadata)['exit'] : undefined
  return state.status === 'completed' && typeof exit === 'number' && exit !== 0 ? 'error' : state.status
}

/** What a call is about, on one line. */
export function subject(part: EventToolPart): string {
  const title = 'title' in part.state ? text(part.state.title) : ''
  return (part.subject || title).replace(/\s+/g, ' ').trim()
}

/**
 * What the daemon adds to the output of a command for the model, such as why the sandbox may have refused something: lines
 * in brackets at its end.
 */
function notes({ state }: EventToolPart): string[] {
  const all = state.status === 'completed' ? text(state.output).trimEnd().split('\n') : []
  let first = all.length
  while (first > 0 && /^\[.*\]$/.test(all[first - 1] ?? '')) first -= 1
  return all.slice(first).filter((line) => !line.startsWith('[exit code '))
}

function sandboxOf({ state }: EventToolPart): Bag {
  return bag('metadata' in state ? bag(state.metadata)['sandbox'] : undefined)
}

/** What the sandbox has found after a command. */
export function findings(part: EventToolPart): string[] {
  const sandbox = sandboxOf(part)
  const say = (field: string, words: string) => {
    const paths = sandbox[field]
    return Array.isArray(paths) ? paths.map((path) => `${visible(String(path))} ${words}`) : []
  }
  return [...say('restored', 'was put back as it was'), ...say('repositories', 'is a new git repository')]
}

/** Where a command that has failed ran, when that was a sandbox. */
function sandboxWords(part: EventToolPart): string {
  const sandbox = sandboxOf(part)
  const policy = text(sandbox['policy'])
  if (!policy || policy === 'off') return ''
  // Calls of older daemons only have the words for the model.
  const refused = sandbox['refused']
  const mayBeWhy = (Array.isArray(refused) && refused.length > 0) || notes(part).some((line) => line.startsWith('[The command ran in the sandbox'))
  return mayBeWhy ? `, the sandbox ${policy} may be why` : `, in the sandbox ${policy}`
}

/** What stands behind the subject: changed lines, an exit code, the first line of an error. */
export function remark(part: EventToolPart): string {
  const { state } = part
  const metadata = 'metadata' in state ? bag(state.metadata) : {}
  if ('additions' in metadata || 'deletions' in metadata) return `+${Number(metadata['additions'] ?? 0)} −${Number(metadata['deletions'] ?? 0)}`
  if (typeof metadata['exit'] === 'number' && metadata['exit'] !== 0) return `exit code ${metadata['exit']}${sandboxWords(part)}`
  return state.status === 'error' ? (text(state.error).split('\n')[0] ?? '') : ''
}

/** What a person wants to see of a call: its diff, else its output. */
export function details(part: EventToolPart): { kind: 'diff' | 'text'; text: string } | undefined {
  const { tool, state } = part
  const metadata = 'metadata' in state ? bag(state.metadata) : {}
  if (text(metadata['diff'])) return { kind: 'diff', text: text(metadata['diff']) }
  if (state.status === 'error') return { kind: 'text', text: text(state.error) }
  const output = text(metadata['output'])
  if (tool === 'bash' && (output || notes(part).length > 0)) return { kind: 'text', text: [output.replace(/\n$/, ''), ...notes(part)].join('\n').trim() }
  const whole = state.status === 'completed' ? text(metadata['preview']) || text(state.output) : output
  return whole ? { kind: 'text', text: whole } : undefined
}

/** Text of a model as it can be judged: what is invisible, or reverses the direction of writing, as `\u{202e}`. */
export function visible(value: string): string {
  const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu
  return value.replace(hidden, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)
}

const ACTIONS: Record<string, string> = {
  restore: 'restored',
  create: 'created again',
  delete: 'deleted',
  merge: 'merged with later changes',
  skip: 'not changed',
  conflict: 'in conflict',
}

/** What happens to the files of an undo, one in each line; paths are relative to the directory where they are in it. */
export function undoneFiles(revert: Pick<SessionRevert, 'files' | 'uncovered'>, directory = ''): string[] {
  const name = (path: string) => (directory && path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : path)
  const lines = (revert.files ?? []).map(({ path, action, reason }) => `${name(path)}: ${ACTIONS[action] ?? action}${reason ? ` (${reason})` : ''}`)
  for (const path of revert.uncovered ?? []) lines.push(`${name(path)}: may have changed and stays as it is`)
  return lines.map(visible)
}
