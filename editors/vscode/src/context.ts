// What goes along with a prompt: the selection, files, diagnostics.
import * as path from 'node:path'
import * as vscode from 'vscode'
import type { PartInput } from '@polytree/protocol'
import type { Client } from './client'

/** More diagnostics are counted, not listed. */
const MAX_DIAGNOSTICS = 50

/** A file, or some lines of it (from 1), as a part of a prompt. */
export function filePart(directory: string, uri: vscode.Uri, lines?: [number, number], isDirectory = false): PartInput {
  const url = `file://${uri.fsPath.split(path.sep).map(encodeURIComponent).join('/')}`
  return {
    type: 'file',
    mime: isDirectory ? 'application/x-directory' : 'text/plain',
    filename: path.relative(directory, uri.fsPath) || '.',
    url: lines ? `${url}?start=${lines[0]}&end=${lines[1]}` : url,
  }
}

/** The first and the last selected line, from 1. A selection that ends before a line does not have that line. */
export function selectedLines({ start, end }: vscode.Selection): [number, number] {
  return [start.line + 1, end.character === 0 && end.line > start.line ? end.line : end.line + 1]
}

/** The selected lines. Of a file they are read by the daemon, with their unsaved text; of anything else the text goes along. */
export function selectionPart(directory: string, editor: vscode.TextEditor): PartInput {
  const { selection, document } = editor
  const [first, last] = selectedLines(selection)
  if (document.uri.scheme === 'file') return filePart(directory, document.uri, [first, last])
  const text = document.getText(selection)
  return { type: 'text', synthetic: true, text: `Lines ${first} to ${last} of ${document.uri.toString()}:\n${text}` }
}

const SEVERITY = ['error', 'warning', 'information', 'hint']

/** The problems of a file (or some of them) as text for the model; undefined where there are none. */
export function diagnosticsPart(directory: string, uri: vscode.Uri, only?: readonly vscode.Diagnostic[]): PartInput | undefined {
  const found = [...(only ?? vscode.languages.getDiagnostics(uri))].sort((a, b) => a.severity - b.severity)
  if (found.length === 0) return undefined
  const name = path.relative(directory, uri.fsPath)
  const lines = found.slice(0, MAX_DIAGNOSTICS).map((item) => {
    const place = `${name}:${item.range.start.line + 1}:${item.range.start.character + 1}`
    const source = item.source ? ` [${item.source}]` : ''
    return `${place}: ${SEVERITY[item.severity] ?? 'problem'}: ${item.message.replaceAll('\n', ' ')}${source}`
  })
  if (found.length > MAX_DIAGNOSTICS) lines.push(`… and ${found.length - MAX_DIAGNOSTICS} more`)
  return { type: 'text', synthetic: true, text: ['Diagnostics of the editor:', ...lines].join('\n') }
}

/** Lines around a change that are told with it. */
const AROUND = 3
/** Longer changes are cut, in characters. */
const MAX_CHANGES = 64 * 1024

/** A patch that shows every line of its file, with only some lines around each change. */
export function narrow(patch: string): string {
  const lines = patch.split('\n')
  const begin = lines.findIndex((line) => line.startsWith('@@ '))
  const near = new Set<number>()
  lines.forEach((line, index) => {
    if (index <= begin || !/^[+-]/.test(line)) return
    for (let around = index - AROUND; around <= index + AROUND; around += 1) near.add(around)
  })
  const kept = lines.slice(0, begin)
  let [old, now] = [0, 0]
  lines.forEach((line, index) => {
    const numbers = index >= begin ? /^@@ -(\d+)\S* \+(\d+)/.exec(line) : null
    if (numbers) [old, now] = [Number(numbers[1]), Number(numbers[2])]
    if (numbers || index < begin) return
    const isFirst = !near.has(index - 1) || lines[index - 1]?.startsWith('@@ ')
    if (near.has(index)) kept.push(...(isFirst ? [`@@ -${old} +${now} @@`, line] : [line]))
    if (/^[ -]/.test(line)) old += 1
    if (/^[ +]/.test(line)) now += 1
  })
  return kept.join('\n')
}

/** What differs from the last commit, as text for the model; undefined where nothing does. */
export async function changesPart(client: Client): Promise<PartInput | undefined> {
  const { directory } = client
  const changed = await client.request('file.status', { directory })
  if (changed.length === 0) return undefined
  const lines = ['Changes since the last commit:']
  let length = 0
  for (const file of changed) {
    lines.push(`${file.path}: ${file.status}, +${file.added} -${file.removed}`)
    if (file.status === 'deleted' || length > MAX_CHANGES) continue
    const read = await client.request('file.read', { directory, path: path.join(directory, file.path) }).catch(() => undefined)
    const patch = read?.type === 'patch' ? narrow(read.content) : ''
    length += patch.length
    if (patch && length <= MAX_CHANGES) lines.push(patch)
  }
  return { type: 'text', synthetic: true, text: lines.join('\n') }
}

/** The parts of a prompt: its text, and a file for each `@path` in it that exists. `@path:3-9` names lines. */
export async function parsePrompt(directory: string, text: string): Promise<PartInput[]> {
  const parts: PartInput[] = [{ type: 'text', text }]
  const seen = new Set<string>()
  for (const match of text.matchAll(/(?<=^|[\s("'`])@([^\s"'`]+)/g)) {
    const word = (match[1] ?? '').replace(/[.,;:!?)]+$/, '')
    const [, name = '', first, last] = /^(.+?)(?::(\d+)(?:-(\d+))?)?$/.exec(word) ?? []
    if (!name || seen.has(word)) continue
    seen.add(word)
    const uri = vscode.Uri.file(path.resolve(directory, name))
    try {
      const stat = await vscode.workspace.fs.stat(uri)
      const lines: [number, number] | undefined = first ? [Number(first), Number(last ?? first)] : undefined
      parts.push(filePart(directory, uri, lines, stat.type === vscode.FileType.Directory))
    } catch {
      // Not a file: an address, a name, a decorator.
    }
  }
  return parts
}
