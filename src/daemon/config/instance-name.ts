import { explainInvalid } from '../../api/explain-invalid.ts'
import { Name } from '../../api/schema/scalars.ts'
import { SheepfsError } from '../../errors.ts'

/** Whether a text can name an instance: files, a unit and, unless it has a name of its own, a mount are called by it. */
export function isInstanceName(text: string): boolean {
  return explainInvalid(Name, text).length === 0
}

/** The text, when it can name an instance. Errors: invalid. */
export function parseInstanceName(text: string): string {
  const [flaw] = explainInvalid(Name, text)
  if (flaw) throw new SheepfsError('invalid', `name of an instance: ${flaw.text}`)
  return text
}
