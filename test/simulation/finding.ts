/** What a run has found to be wrong. `symptom` and `cause` tell faults apart; `detail` is of this run only. */
export class Finding extends Error {
  override readonly name = 'Finding'
  readonly symptom: string
  /** What the model knows of what led there: the last thing it did that can destroy data; empty when it knows nothing. */
  readonly circumstance: string

  /** What else has happened in the run. */
  readonly past: readonly string[]

  constructor(symptom: string, circumstance: string, detail: string, past: readonly string[]) {
    super(`${symptom}${circumstance === '' ? '' : ` after ${circumstance}`}: ${detail}`)
    this.symptom = symptom
    this.circumstance = circumstance
    this.past = past
  }
}
