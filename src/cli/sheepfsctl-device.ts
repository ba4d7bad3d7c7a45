import type { Device } from '../api/schema/device.ts'
import { SheepfsError } from '../errors.ts'
import { byteSizeText, parseByteSize } from './byte-size.ts'
import { EXIT } from './exit-code.ts'
import type { Call, Command } from './sheepfsctl-command.ts'
import { tableText } from './table.ts'

const COLUMNS = ['VOLUME', { number: 'SIZE' }, { number: 'SECTOR' }, 'MODE', 'DEVICE', 'NAME', 'USED BY']
const NO_LINK = 'no name below /dev/disk/by-sheepdog, which udev gives'
const SECTOR_SIZES: readonly Device['sector_size'][] = [512, 1024, 2048, 4096]

/** Commands about volumes as block devices. */
export const DEVICE_COMMANDS: readonly Command[] = [
  {
    name: 'map',
    arguments: 'VOLUME...',
    summary: 'makes volumes block devices of this host, until they are unmapped',
    options: [
      ['--read-only', 'refuse writing'],
      ['--sector-size 512|1024|2048|4096', 'of the device (default: that of its partition table, or 512)'],
      ['--break-lock', 'take the lock of the VDI from a client that is gone for good'],
    ],
    run: map,
  },
  {
    name: 'unmap',
    arguments: 'VOLUME...',
    summary: 'flushes block devices that nobody uses and takes them away',
    run: async (call) => {
      const mount = await call.mount()
      return call.forEach(async (volume) => {
        await call.client.unmap(mount, volume)
        call.print({ unmapped: volume }, () => `unmapped ${volume}\n`)
      })
    },
  },
  {
    name: 'mapped',
    arguments: '',
    summary: 'volumes that are block devices, and who uses them',
    run: async (call) => {
      const devices = await call.client.devices(await call.mount())
      call.print(devices, () => tableText(COLUMNS, devices.map(deviceRow)))
      return EXIT.done
    },
  },
]

async function map(call: Call): Promise<number> {
  const sectorSize = parseSectorSize(call.text('sector-size'))
  const mount = await call.mount()
  const how = {
    ...(call.flag('read-only') && { read_only: true }),
    ...(call.flag('break-lock') && { break_lock: true }),
    ...(sectorSize !== undefined && { sector_size: sectorSize }),
  }
  return call.forEach(async (name) => {
    const { device, isNew } = await call.client.map(mount, name, how)
    const what = isNew ? 'mapped' : 'was mapped already:'
    const mode = device.read_only ? ' (read-only)' : ''
    const lasting = device.link ?? NO_LINK
    call.print(device, () => `${what} ${device.volume} to ${device.path}${mode}, ${lasting}\n`)
  })
}

function parseSectorSize(text: string | undefined): Device['sector_size'] | undefined {
  if (text === undefined) return undefined
  const bytes = parseByteSize(text)
  const found = SECTOR_SIZES.find((size) => size === bytes)
  if (found !== undefined) return found
  throw new SheepfsError('invalid', `--sector-size "${text}": expected ${SECTOR_SIZES.join(', ')}`)
}

function deviceRow({ volume, size, sector_size, read_only, path, link, used_by }: Device): string[] {
  const mode = read_only ? 'ro' : 'rw'
  return [volume, byteSizeText(size), String(sector_size), mode, path, link ?? '-', used_by.join(', ') || '-']
}
