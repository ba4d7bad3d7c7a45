import { createInterface } from 'node:readline'
import { errorText, isSheepfsError } from '../../../src/errors.ts'
import type { Mounted, MountOptions } from '../../../src/fuse/engine.ts'
import { fuseNativeEngine } from '../../../src/fuse/native/fuse-native-engine.ts'
import { createLogger } from '../../../src/log.ts'
import { MemoryTree } from '../memory-tree.ts'

/**
 * Serves a MemoryTree with the engine fuse-native in a process of its own, so that a test may touch the mount. Argument: the
 * options of the mount as JSON. Commands come as lines, each is answered by one line of JSON.
 */
const tree = new MemoryTree(64 << 20)
const options = JSON.parse(process.argv[2] ?? '{}') as Omit<MountOptions, 'log'>
const log = createLogger({ name: 'native-server', level: 'warn' })

const COMMANDS: Readonly<Record<string, (mounted: Mounted, argument: string) => unknown>> = {
  unmount: (mounted) => mounted.unmount(),
  abort: (mounted) => mounted.abort(),
  latency: (_, milliseconds) => (tree.volume.latencyMs = Number(milliseconds)),
  detach: () => {
    tree.volumes.remove('test')
  },
  attach: () => {
    tree.volumes.add('test', tree.volume)
  },
  text: (_, text) => {
    tree.list.text = text
  },
  'change-content': (_, text) => {
    tree.volume.content.write(text)
    tree.emit({ kind: 'content', node: tree.volume.id })
  },
  counts: () => ({ ...tree.parallelism, syncs: tree.volume.syncs, opens: tree.volume.opens }),
}

function tell(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function tellError(error: unknown): void {
  tell({ code: isSheepfsError(error) ? error.code : 'defect', message: errorText(error) })
}

async function obey(mounted: Mounted, line: string): Promise<void> {
  const [name = '', argument = ''] = line.split('=', 2)
  try {
    tell({ value: (await COMMANDS[name]?.(mounted, argument)) ?? null })
  } catch (error) {
    tellError(error)
  }
}

try {
  const mounted = await fuseNativeEngine.mount(tree, { ...options, log })
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => void obey(mounted, line))
  tell({ value: 'mounted' })
  await mounted.ended
  tell({ value: 'ended' })
  lines.close()
  process.stdin.destroy()
} catch (error) {
  tellError(error)
  process.exitCode = 1
}
