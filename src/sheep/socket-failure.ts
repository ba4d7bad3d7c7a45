import { errorText } from '../errors.ts'

/** What the failures of a socket mean to somebody who does not know their names. */
const TEXTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there: is the sheep running, and is this its port?',
  ECONNRESET: 'the sheep closed the connection',
  EPIPE: 'the sheep closed the connection',
  EHOSTUNREACH: 'the host cannot be reached',
  EHOSTDOWN: 'the host is down',
  ENETUNREACH: 'no network leads to the host',
  ETIMEDOUT: 'the host does not answer',
  ENOTFOUND: 'no host has that name',
  EAI_AGAIN: 'the name of the host cannot be looked up now',
}

/** Why a connection failed, for a message. */
export function socketFailureText(error: Error): string {
  const text = 'code' in error ? TEXTS[String(error.code)] : undefined
  return text === undefined ? errorText(error) : `${text} (${errorText(error)})`
}
