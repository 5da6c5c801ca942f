// Runs tests one after the other, and counts them. POLYTREE_TEST picks some: parts of their names, divided by `|`.
//
// tests/editors/run reads what is printed: "FAILED  NAME" with the reason on the next line, and the count at the end.

/** No test takes as long as this, in milliseconds, even where each of its waits has a limit of its own. */
const LIMIT = 240_000

/** A suite of tests. `recover` is called after a test that failed, with its number: the next one must begin as if it had passed. */
export function suite(title, { recover } = {}) {
  const only = process.env.POLYTREE_TEST?.split('|')
  let passed = 0
  let failed = 0

  async function test(name, run) {
    if (only && !only.some((part) => name.includes(part))) return
    const started = Date.now()
    try {
      await limited(run())
      passed += 1
      console.log(`ok      ${name} (${Date.now() - started} ms)`)
    } catch (error) {
      failed += 1
      console.log(`FAILED  ${name}\n${error.stack}\n(after ${Date.now() - started} ms)`)
      await limited(recover?.(failed)).catch((problem) => console.log(`the next tests begin in an unknown state: ${problem.stack}`))
    }
  }

  /** Prints the count and ends the process. */
  function end() {
    console.log(`${title}: ${passed} passed, ${failed} failed`)
    process.exit(failed ? 1 : 0)
  }
  return { test, end }
}

async function limited(work) {
  let timer
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not finished after ${LIMIT / 1000} s`)), LIMIT)
  })
  try {
    return await Promise.race([work, limit])
  } finally {
    clearTimeout(timer)
  }
}
