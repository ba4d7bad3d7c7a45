import { errorText, SheepfsError } from '../errors.ts'
import { addressText, type Address } from './address.ts'

/** Whoever has answered: one sheep, or what home of a cluster is now. */
type Answerer = { readonly address: Address } | { readonly homePeer: Address | undefined }

export function answererText(who: Answerer): string {
  const address = 'address' in who ? who.address : who.homePeer
  return address === undefined ? 'the cluster' : `sheep ${addressText(address)}`
}

/** An answer that cannot be what a sheep says; `what` is in it. */
export function breach(who: Answerer, what: string, cause?: unknown): SheepfsError {
  return new SheepfsError('protocol', `${answererText(who)}: ${what}`, { cause })
}

/** What `parse` makes of an answer. Errors: protocol, when it cannot be what a sheep says. */
export function parseAnswer<T>(who: Answerer, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw breach(who, errorText(cause), cause)
  }
}
