import { parseArgs, type ParseArgsConfig } from 'node:util'
import { SheepfsError, errorText } from '../errors.ts'

/** As parseArgs, which may find positional arguments too. Errors: invalid, in one sentence. */
export function parseOptions<T extends NonNullable<ParseArgsConfig['options']>>(args: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options })
  } catch (error) {
    // further sentences explain at length what a positional argument with a dash would look like
    const [first = ''] = errorText(error).split(/\. |\n/)
    throw new SheepfsError('invalid', first.charAt(0).toLowerCase() + first.slice(1), { cause: error })
  }
}
