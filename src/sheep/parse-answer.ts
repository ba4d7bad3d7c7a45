import { errorText, SheepfsError } from '../errors.ts'

/** What `parse` makes of an answer of `who`. Errors: protocol, when it cannot be what a sheep says. */
export function parseAnswer<T>(who: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new SheepfsError('protocol', `${who}: ${errorText(cause)}`, { cause })
  }
}
