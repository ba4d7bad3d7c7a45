import { writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { frame } from './frame.ts'

/** What a captured worker can do to its supervisor. */
export type Deed =
  /** Sends a message. */
  | { readonly say: unknown; readonly times?: number }
  /** Writes bytes to the channel, in base64. */
  | { readonly write: string; readonly times?: number }
  /** Writes to stderr. */
  | { readonly complain: string; readonly times?: number }
  | 'close the channel'
  | 'read nothing more'
  /** What follows is done when it hears the next thing. */
  | 'wait for a call'

const CHANNEL_FD = 4

/*
 * The program of a worker that has been captured: as soon as it has been told to start it does what its first argument says,
 * which stands for the name of the mount, and then lives on.
 */
const channel = new Socket({ fd: CHANNEL_FD })
const deeds = JSON.parse(process.argv[2] ?? '[]') as Deed[]
channel.on('data', () => {
  for (let deed = deeds.shift(); deed !== undefined && deed !== 'wait for a call'; deed = deeds.shift()) perform(deed)
})
channel.on('error', () => undefined)
setInterval(() => undefined, 1000)

function perform(deed: Exclude<Deed, 'wait for a call'>): void {
  if (deed === 'close the channel') channel.destroy()
  else if (deed === 'read nothing more') channel.pause()
  else if ('complain' in deed) for (let done = 0; done < (deed.times ?? 1); done++) writeSync(2, deed.complain)
  else {
    const bytes = 'say' in deed ? frame(deed.say) : Buffer.from(deed.write, 'base64')
    for (let done = 0; done < (deed.times ?? 1); done++) channel.write(bytes)
  }
}
