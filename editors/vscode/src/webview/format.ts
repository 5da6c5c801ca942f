// Words about parts of a conversation. Pure.
import type { EventMessage, EventToolPart } from '@polytree/protocol'

export function cost(dollars: number): string {
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

/** The most telling argument of a call, on one line. */
export function subject({ tool, state }: EventToolPart): string {
  const input = bag(state.input)
  const named = tool === 'bash' ? input['command'] : (input['filePath'] ?? input['path'] ?? input['pattern'] ?? input['description'])
  const title = 'title' in state ? text(state.title) : ''
  return (text(named) || title).replace(/\s+/g, ' ').trim()
}

/** What stands behind the subject: changed lines, an exit code, the first line of an error. */
export function remark({ state }: EventToolPart): string {
  const metadata = 'metadata' in state ? bag(state.metadata) : {}
  if ('additions' in metadata || 'deletions' in metadata) return `+${Number(metadata['additions'] ?? 0)} −${Number(metadata['deletions'] ?? 0)}`
  if (typeof metadata['exit'] === 'number' && metadata['exit'] !== 0) return `exit code ${metadata['exit']}`
  return state.status === 'error' ? (text(state.error).split('\n')[0] ?? '') : ''
}

/** What a person wants to see of a call: its diff, else its output. */
export function details({ tool, state }: EventToolPart): { kind: 'diff' | 'text'; text: string } | undefined {
  const metadata = 'metadata' in state ? bag(state.metadata) : {}
  if (text(metadata['diff'])) return { kind: 'diff', text: text(metadata['diff']) }
  if (state.status === 'error') return { kind: 'text', text: text(state.error) }
  const output = state.status === 'completed' ? text(metadata['preview']) || text(state.output) : text(metadata['output'])
  if (tool === 'bash' && text(metadata['output'])) return { kind: 'text', text: text(metadata['output']) }
  return output ? { kind: 'text', text: output } : undefined
}

/** Control and bidirectional characters as what they are: they would hide what is really asked. */
export function visible(value: string): string {
  return value.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, (character) => {
    return `<${character.codePointAt(0)?.toString(16).padStart(4, '0')}>`
  })
}
