// Shows sheepfs at work on one machine: an embedded sheep, a mounted tree, a volume with an ext4 file system in it. Stays
// until Ctrl-C (or SIGTERM) and then leaves nothing behind. Without root it does what is possible without it.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { missing } from '../dist/test/e2e/stage/ability.js'
import { attachLoop, mountDevice } from '../dist/test/e2e/stage/loop.js'
import { succeed } from '../dist/test/e2e/stage/program.js'
import { startLamb } from '../dist/test/e2e/stage/sheep.js'
import { control, startSheepfs } from '../dist/test/e2e/stage/sheepfs.js'
import { Stage } from '../dist/test/e2e/stage/stage.js'

const VOLUME_SIZE = 1024 ** 3
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP']
const say = (text) => console.log(`\n== ${text}`)

async function showVolume(stage) {
  const sheep = await startLamb(stage)
  say(`lamb, a cluster of one sheep, serves at ${sheep.address.host}:${sheep.address.port}`)
  await sheep.createVdi(VOLUME_SIZE, { name: 'test' })
  const engine = missing('root') ? 'fuse-native' : 'kernel'
  const sheepfs = await startSheepfs(stage, { sheep, engine })
  say(`sheepfs mounted it on ${sheepfs.mountpoint} with the ${engine} engine`)
  await control(sheepfs, 'vdi/mount', 'test')
  say('echo test > vdi/mount attached the volume "test"')
  return sheepfs
}

async function showFileSystem(stage, volume) {
  const impossible = missing('root', 'loop', 'mkfs')
  if (impossible) {
    say(`no file system on the volume: ${impossible}. A file written to it directly instead:`)
    await writeFile(volume, 'hello from a volume\n', { flag: 'r+' })
    console.log(await succeed('head', ['-n', '1', volume]))
    return undefined
  }
  const { device } = await attachLoop(stage, volume)
  await succeed('mkfs.ext4', ['-q', device])
  const directory = await mountDevice(stage, device)
  say(`losetup --direct-io=on gave ${device}, mkfs.ext4 made a file system, mounted on ${directory}`)
  await writeFile(join(directory, 'hello'), 'hello from a file system on a volume\n')
  await succeed('sync', ['--file-system', directory])
  say(`written and read back: ${(await readFile(join(directory, 'hello'), 'utf8')).trim()}`)
  return directory
}

function showCommands(sheepfs, directory) {
  say('go on by hand, in another terminal')
  console.log(`  cat ${sheepfs.path('cluster/info')} ${sheepfs.path('vdi/list')}`)
  console.log(`  dd if=${sheepfs.volume('test')} of=/dev/null bs=1M`)
  if (!missing('root')) console.log(`  echo 1 > ${sheepfs.path('config/page_cache')}`)
  if (directory !== undefined) console.log(`  cp -r /etc ${directory}; df -h ${directory}`)
}

async function demonstrate(stage) {
  const impossible = missing('fuse') || (missing('root') && missing('fusermount'))
  if (impossible) throw new Error(`nothing can be mounted here: ${impossible}`)
  const sheepfs = await showVolume(stage)
  const directory = await showFileSystem(stage, sheepfs.volume('test'))
  say('the tree')
  console.log(await succeed('ls', ['-lR', sheepfs.mountpoint]))
  showCommands(sheepfs, directory)
  say('Ctrl-C ends the demo and removes all of it')
}

const stage = new Stage({ ignoresTerminal: true })
const ended = new Promise((resolve) => ENDING.forEach((signal) => process.on(signal, resolve)))
try {
  await demonstrate(stage)
  await ended
} catch (error) {
  console.error(`demo: ${error.message}`)
  process.exitCode = 1
} finally {
  say('taking everything down')
  await stage.close()
}
