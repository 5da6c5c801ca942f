// The part of the contract for review by hunk. A daemon that lacks it has no method `hunk.list`.
import type { TextRange } from '@polytree/protocol'
import type { Client } from './client'
import type { Method, Params } from './rpc'

export interface Hunk {
  hunkID: string
  /** The absolute path. */
  path: string
  /** Its place in the current text, unsaved text included. */
  range: TextRange
  before?: string
  after?: string
  state: 'open' | 'kept' | 'undone'
}

export const LIST = 'hunk.list'
export const UPDATED = 'hunk.updated'

/** Calls one of the methods of hunks. */
export async function requestHunks(client: Client, method: 'hunk.list' | 'hunk.keep' | 'hunk.undo', params: object): Promise<Hunk[]> {
  return (await client.request(method as Method, params as Params<Method>)) as unknown as Hunk[]
}
