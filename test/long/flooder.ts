import { Flood, FLOODS } from '../adversary/flood.ts'

/** Floods a socket when it is told "on", and until it is told "off". */
const [path = '', what = '', connections] = process.argv.slice(2)
let flood: Flood | undefined
process.on('message', (state) => {
  flood?.stop()
  flood = state === 'on' ? new Flood(path, FLOODS[what as keyof typeof FLOODS], Number(connections)) : undefined
  process.send?.(0)
})
