import { SheepfsError } from '../errors.ts'

/**
 * The mount that is meant: the one that is named; without a name the one that is called like its instance, or the only one.
 * Errors: not-found; invalid when one has to be named, `how` says by what.
 */
export function chooseMount<M extends { readonly name: string }>(
  mounts: readonly M[],
  { instance, named, how }: { readonly instance: string; readonly named: string | undefined; readonly how: string },
): M {
  const names = mounts.map(({ name }) => name).join(', ')
  const chosen = mounts.find(({ name }) => name === (named ?? instance))
  if (chosen) return chosen
  if (named !== undefined) {
    const expected = names === '' ? 'there is none' : `expected ${names}`
    throw new SheepfsError('not-found', `instance "${instance}" has no mount "${named}": ${expected}`)
  }
  const [only, ...others] = mounts
  if (only === undefined) throw new SheepfsError('not-found', `instance "${instance}" has no mounts`)
  if (others.length === 0) return only
  throw new SheepfsError('invalid', `instance "${instance}" has several mounts: choose one with ${how}, of ${names}`)
}
