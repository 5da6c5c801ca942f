// Where things are: the checkout, the executable under test, the tools.
import os from 'node:os'
import path from 'node:path'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

export const checkout = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..')

/** The executable under test. */
export const polytree = path.resolve(process.env.POLYTREE_EXECUTABLE ?? path.join(checkout, 'target/debug/polytree'))

/** What `run` has installed. */
export const tools = path.join(process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'), 'polytree/tools')

/** Loads an installed npm package. */
export const tool = createRequire(path.join(tools, 'npm/'))
