import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SharedQuestions } from '../../src/api/shared-questions.ts'
import { SheepfsError } from '../../src/errors.ts'

const stays = () => ({ waits: false, gone: new AbortController().signal })

/** A question whose answers come when the test says so. */
class Question {
  readonly #open: { answer: (text: string) => void; fail: (error: Error) => void; gone: AbortSignal }[] = []
  asked = 0

  readonly ask = ({ gone }: { gone: AbortSignal }): Promise<string> => {
    this.asked++
    return new Promise((answer, fail) => {
      this.#open.push({ answer, fail, gone })
      gone.addEventListener('abort', () => {
        fail(new SheepfsError('closed', 'gone'))
      })
    })
  }

  answer(text: string): void {
    this.#open.shift()?.answer(text)
  }

  fail(text: string): void {
    this.#open.shift()?.fail(new Error(text))
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a question that costs much', () => {
  test('is under way once, and who comes meanwhile gets the next answer', async () => {
    const questions = new SharedQuestions()
    const question = new Question()
    const first = questions.ask('k', stays(), question.ask)
    const later = Array.from({ length: 200 }, () => questions.ask('k', stays(), question.ask))
    assert.equal(question.asked, 1)
    question.answer('old')
    assert.equal(await first, 'old')
    await turn()
    assert.equal(question.asked, 2)
    question.answer('new')
    assert.deepEqual(new Set(await Promise.all(later)), new Set(['new']))
    void questions.ask('k', stays(), question.ask)
    assert.equal(question.asked, 3)
  })

  test('is asked once in a while where all ask again at once, and at once by who is alone', async () => {
    const questions = new SharedQuestions({ pauseMs: 100 })
    let asked = 0
    const ask = () => questions.ask('k', stays(), () => Promise.resolve(++asked))
    await ask()
    await ask()
    assert.equal(asked, 2)
    const since = performance.now()
    const askAgain = async (): Promise<void> => {
      for (let i = 0; i < 5; i++) await ask()
    }
    await Promise.all(Array.from({ length: 50 }, askAgain))
    const pauses = (performance.now() - since) / 100
    assert.ok(asked - 2 <= 2 * (pauses + 1), `${asked} in ${pauses} pauses`)
    assert.ok(pauses >= 2, String(pauses))
  })

  test('is another one for another mount, and for who waits longer', () => {
    const questions = new SharedQuestions()
    const question = new Question()
    void questions.ask('a', stays(), question.ask)
    void questions.ask('b', stays(), question.ask)
    void questions.ask('a', { ...stays(), waits: true }, question.ask)
    assert.equal(question.asked, 3)
  })

  test('fails for all who wait for it, and is asked again by the next', async () => {
    const questions = new SharedQuestions()
    const question = new Question()
    const all = [questions.ask('k', stays(), question.ask), questions.ask('k', stays(), question.ask)]
    const settled = Promise.allSettled(all)
    question.fail('no sheep answers')
    for (const end of await settled) assert.match(String(end.status === 'rejected' && end.reason), /no sheep/)
    const again = questions.ask('k', stays(), question.ask)
    question.answer('x')
    assert.equal(await again, 'x')
  })

  test('is given up when all have gone, not sooner', async () => {
    const questions = new SharedQuestions({ keptMs: 60_000 })
    const question = new Question()
    const [one, other] = [new AbortController(), new AbortController()]
    const first = questions.ask('k', { waits: false, gone: one.signal }, question.ask)
    const second = questions.ask('k', { waits: false, gone: other.signal }, question.ask)
    first.catch(() => undefined)
    one.abort()
    assert.equal(question.asked, 1)
    question.answer('x')
    assert.equal(await second, 'x')
  })

  test('is asked anew by who comes after all have gone', async () => {
    for (const keptMs of [0, 60_000]) {
      const questions = new SharedQuestions({ keptMs })
      const question = new Question()
      const gone = new AbortController()
      const left = questions.ask('k', { waits: false, gone: gone.signal }, question.ask)
      const queued = keptMs === 0 ? questions.ask('k', { waits: false, gone: gone.signal }, question.ask) : left
      const ends = Promise.allSettled([left, queued])
      gone.abort()
      const next = questions.ask('k', stays(), question.ask)
      for (const { status } of await ends) assert.equal(status, 'rejected')
      await turn()
      assert.equal(question.asked, 2)
      question.answer('')
      question.answer('x')
      assert.equal(await next, 'x')
    }
  })

  test('is answered from what is known for as long as that is kept', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const questions = new SharedQuestions({ keptMs: 1000 })
    const question = new Question()
    const both = [questions.ask('k', stays(), question.ask), questions.ask('k', stays(), question.ask)]
    question.answer('x')
    assert.deepEqual(await Promise.all(both), ['x', 'x'])
    t.mock.timers.tick(999)
    assert.equal(await questions.ask('k', stays(), question.ask), 'x')
    assert.equal(question.asked, 1)
    t.mock.timers.tick(1)
    void questions.ask('k', stays(), question.ask)
    assert.equal(question.asked, 2)
  })
})
