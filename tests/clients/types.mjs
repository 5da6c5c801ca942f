// Writes the types of schema/schema.json and the methods of schema/openrpc.json as a TypeScript declaration file.
//
//   node types.mjs OUT.d.ts
//
// The page is checked against it, so it speaks the contract as it is now: what the daemon renames, the compiler finds.
import fs from 'node:fs'
import path from 'node:path'
import { checkout } from './support/places.mjs'

const read = (name) => JSON.parse(fs.readFileSync(path.join(checkout, 'schema', name), 'utf8'))
const { $defs: types } = read('schema.json')
const { methods } = read('openrpc.json')

const nameOf = (reference) => reference.split('/').pop()

function unionOf(schemas) {
  return [...new Set(schemas.map(typeOf))].map((type) => (type.includes(' ') ? `(${type})` : type)).join(' | ')
}

function typeOf(schema) {
  if (schema === undefined || schema === true) return 'unknown'
  const parts = []
  if (schema.$ref) parts.push(nameOf(schema.$ref))
  if (schema.const !== undefined) parts.push(JSON.stringify(schema.const))
  if (schema.enum) parts.push(schema.enum.map((value) => JSON.stringify(value)).join(' | '))
  if (schema.oneOf ?? schema.anyOf) parts.push(unionOf(schema.oneOf ?? schema.anyOf))
  for (const member of schema.allOf ?? []) parts.push(typeOf(member))
  if (schema.properties) parts.push(objectOf(schema))
  if (parts.length === 0) return plain(schema)
  return parts.map((part) => (parts.length > 1 && part.includes('|') ? `(${part})` : part)).join(' & ')
}

function plain(schema) {
  const names = { integer: 'number', number: 'number', string: 'string', boolean: 'boolean', null: 'null' }
  const one = (type) => {
    if (type === 'array') return `Array<${typeOf(schema.items)}>`
    if (type === 'object') return `Record<string, ${typeOf(schema.additionalProperties || undefined)}>`
    return names[type] ?? 'unknown'
  }
  return [schema.type].flat().map(one).join(' | ')
}

function objectOf(schema) {
  const fields = Object.entries(schema.properties).map(([name, field]) => {
    const optional = (schema.required ?? []).includes(name) ? '' : '?'
    const comment = field.description ? `/** ${field.description.replaceAll('*/', '* /')} */ ` : ''
    return `${comment}${JSON.stringify(name)}${optional}: ${typeOf(field)}`
  })
  return fields.length ? `{ ${fields.join('; ')} }` : '{}'
}

const lines = ['// Generated from schema/ for the checks of the page.']
for (const [name, schema] of Object.entries(types)) lines.push(`export type ${name} = ${typeOf(schema)}`)
lines.push("export type AnyEvent = Omit<Event, 'type' | 'properties'> & EventPayload")
lines.push('export interface Methods {')
for (const method of methods) {
  const params = method['x-params'] ? typeOf(method['x-params']) : '{}'
  lines.push(`  ${JSON.stringify(method.name)}: { params: ${params}; result: ${typeOf(method.result.schema)} }`)
}
lines.push('}')

const out = process.argv[2]
fs.mkdirSync(path.dirname(out), { recursive: true })
fs.writeFileSync(out, lines.join('\n') + '\n')
