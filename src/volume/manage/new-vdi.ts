import { SheepfsError } from '../../errors.ts'
import type { Requests } from '../../sheep/requests.ts'
import { resultError } from '../../sheep/result-error.ts'
import type { InodeHeader } from '../../wire/inode.ts'
import type { Message } from '../../wire/message.ts'
import { Result } from '../../wire/sd-proto.ts'

/** How often a request whose answer was lost is sent again. */
const ATTEMPTS = 5

/**
 * Sends a NEW_VDI, which must not be executed twice: after a lost answer `findMade` looks whether it was. Resolves with
 * what `findMade` finds. Errors: what the cluster answers.
 */
export async function sendNewVdi(
  cluster: Requests,
  what: string,
  message: () => Message,
  findMade: () => Promise<InodeHeader | undefined>,
): Promise<InodeHeader> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const response = await cluster.changeOnce(message())
    if (response && response.result !== Result.SUCCESS) throw resultError(response.result, what)
    const made = await findMade()
    if (made) return made
    if (response) throw new SheepfsError('io', `${what}: the cluster made it, but does not find it`)
  }
  throw new SheepfsError('io', `${what}: the cluster lost the request ${ATTEMPTS} times`)
}
