import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { run } from '../e2e/stage/program.ts'
import { SHEEPFSD } from '../e2e/stage/sheepfsd.ts'

test(
  'a command line that is not understood ends sheepfsd with status 2, in one line',
  { timeout: 60_000 },
  async () => {
    for (const [args, complaint] of [
      [['--nosuch'], "unknown option '--nosuch'"],
      [['a', 'b'], 'expected the name of one instance: sheepfsd INSTANCE'],
      [
        ['../x'],
        'name of an instance: found "../x", expected a name of up to 64 letters, digits, "_", "." and "-" that starts ' +
          'with a letter or digit',
      ],
    ] as const) {
      const { status, stdout, stderr } = await run(process.execPath, [SHEEPFSD, ...args])
      assert.deepEqual({ status, stdout, stderr }, { status: 2, stdout: '', stderr: `sheepfsd: ${complaint}\n` })
    }
  },
)

/** Prints what is sent to a socket, until it is killed. */
const LISTENER = `
my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die; $| = 1; print "listens\\n";
while (defined $socket->recv(my $text, 65536)) { print $text }`

test(
  'a start that fails tells systemd why; without a configuration it is not tried again',
  { timeout: 60_000 },
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'sheepfsd-'))
    t.after(() => rm(directory, { recursive: true, force: true }))
    const listener = spawn('perl', ['-MIO::Socket::UNIX', '-MSocket', '-e', LISTENER, join(directory, 'notify')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.after(() => listener.kill())
    await once(listener.stdout, 'data')
    const told = once(listener.stdout, 'data')
    const env = {
      PATH: process.env['PATH'],
      NOTIFY_SOCKET: join(directory, 'notify'),
      SHEEPFS_RUNTIME_DIR: directory,
      SHEEPFS_CONFIG: join(directory, 'none.toml'),
    }
    const { status, stderr } = await run(process.execPath, [SHEEPFSD, 'cluster1'], { env })
    assert.equal(status, 2)
    assert.match(stderr, /^sheepfsd: .*none\.toml does not exist: expected the configuration there\n$/)
    assert.match(String((await told)[0]), /^STATUS=failed: .*none\.toml does not exist/)
  },
)

test('the clean-up of a start that failed does not say once more what is wrong', { timeout: 60_000 }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'sheepfsd-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const config = join(directory, 'bad.toml')
  await writeFile(config, 'sheeps = 1')
  const env = { PATH: process.env['PATH'], SHEEPFS_RUNTIME_DIR: directory, SHEEPFS_CONFIG: config }
  const outcome = await run(process.execPath, ['dist/src/cli/sheepfs-clean-up.js', 'cluster1'], { env })
  assert.deepEqual(outcome, { status: 0, stdout: '', stderr: '' })
})
