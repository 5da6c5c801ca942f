// A model server on loopback that speaks OpenAI's Chat Completions as a stream of events, from a script.
import http from 'node:http'

/** What it answers when it is asked for a summary of a conversation. */
export const SUMMARY = '## Goal\n\nGreet the *world*.\n\n## Done\n\n- said `hello`\n'

/** Starts a server whose calls with tools are answered by `answers`, in order: functions of a reply. */
export async function modelServer() {
  const requests = []
  const answers = []
  const server = http.createServer(async (request, response) => {
    let body = ''
    for await (const piece of request) body += piece
    const asked = JSON.parse(body)
    requests.push(asked)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const reply = new Reply(response, requests.length)
    if (!asked.tools?.length) {
      reply.text(body.includes('You summarise conversations') ? SUMMARY : 'A title')
      return reply.finish()
    }
    const play = answers.shift()
    if (play) return play(reply, asked)
    reply.text('The script has ended.')
    reply.finish()
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: server.address().port, requests, script: (...more) => answers.push(...more), clear: () => answers.splice(0), close: () => server.close() }
}

class Reply {
  #index = 0

  constructor(response, number) {
    this.response = response
    this.number = number
  }

  chunk(delta, more = {}) {
    const chunk = { id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta, ...more }] }
    this.response.write(`data: ${JSON.stringify(chunk)}\n\n`)
  }

  text(content) {
    this.chunk({ content })
  }

  call(name, input) {
    const index = this.#index++
    this.chunk({ tool_calls: [{ index, id: `call_${this.number}_${index}`, type: 'function', function: { name, arguments: JSON.stringify(input) } }] })
  }

  finish(reason = this.#index > 0 ? 'tool_calls' : 'stop') {
    this.chunk({}, { finish_reason: reason })
    const usage = { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 }
    this.response.end(`data: ${JSON.stringify({ id: 'c', choices: [], usage })}\n\ndata: [DONE]\n\n`)
  }
}

/** An answer of text alone. */
export const say = (text) => (reply) => {
  reply.text(text)
  reply.finish()
}

/** An answer that calls one tool. */
export const call = (name, input) => (reply) => {
  reply.call(name, input)
  reply.finish()
}
