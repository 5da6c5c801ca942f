// Formats Lua files with StyLua, or with --check names those that are not formatted: node stylua.mjs [--check] DIRECTORY
import fs from 'node:fs'
import path from 'node:path'
import { createRequire } from 'node:module'

// The packages are installed outside of the checkout.
const require = createRequire(path.join(process.env.POLYTREE_EDITOR_PACKAGES, 'package.json'))
const { Config, IndentType, OutputVerification, formatCode } = require('@johnnymorganz/stylua')

const check = process.argv.includes('--check')
const folder = process.argv.at(-1)
// A configuration serves one call.
function configuration() {
  const config = Config.new()
  config.column_width = 120
  config.indent_type = IndentType.Spaces
  config.indent_width = 2
  return config
}

let stale = 0
for (const name of fs.readdirSync(folder, { recursive: true })) {
  const file = path.join(folder, name)
  if (!file.endsWith('.lua') || file.endsWith('lua/polytree/protocol.lua')) continue
  const before = fs.readFileSync(file, 'utf8')
  const after = formatCode(before, configuration(), undefined, OutputVerification.Full)
  if (before === after) continue
  if (check) {
    console.log(`not formatted: ${file}`)
    stale += 1
  } else {
    fs.writeFileSync(file, after)
    console.log(`formatted: ${file}`)
  }
}
process.exit(stale ? 1 : 0)
