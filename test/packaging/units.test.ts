import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { missing } from '../e2e/stage/ability.ts'
import { succeed } from '../e2e/stage/program.ts'
import { Stage } from '../e2e/stage/stage.ts'

const ROOT = join(import.meta.dirname, '../../..')

interface Line {
  readonly name: string
  /** Of the whole; null: there is nothing to say against it. */
  readonly exposure: string | null
}

async function weaknesses(unit: string): Promise<string[]> {
  const args = ['security', '--offline=true', '--json=short', join(ROOT, 'systemd', unit)]
  const lines = JSON.parse(await succeed('systemd-analyze', args)) as readonly Line[]
  assert.ok(lines.length > 50)
  return lines.flatMap(({ name, exposure }) => (exposure === null ? [] : [name]))
}

describe('what systemd holds against the units', { skip: missing('systemdAnalyze') }, () => {
  const table = readFileSync(join(ROOT, 'docs/security.md'), 'utf8').replaceAll('\\|', '|')
  const explained = Array.from(table.matchAll(/^\| `([^`]+=[^`]*)`/gm), ([, name]) => name ?? '')

  for (const unit of ['sheepfs@.service', 'sheepfs-outage@.service']) {
    test(`of ${unit} is explained, line by line`, async () => {
      const unexplained = (await weaknesses(unit)).filter((name) => !explained.includes(name))
      assert.deepEqual(unexplained, [])
    })
  }

  test('is all that is explained', async () => {
    const [service, outage] = [await weaknesses('sheepfs@.service'), await weaknesses('sheepfs-outage@.service')]
    assert.deepEqual(
      explained.filter((name) => !service.includes(name) && !outage.includes(name)),
      [],
    )
  })
})

test('the cluster is not waited for any more when the service stops, and is in a restart, which starts no Node.js for that', async (t) => {
  const stage = new Stage()
  t.after(() => stage.close())
  const folder = await stage.folder()
  const place = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), `#!/bin/sh\n${text}\n`)
    await chmod(join(folder, name), 0o755)
    return join(folder, name)
  }
  const program = await place('end', 'echo "ends for $1"')
  const unit = readFileSync(join(ROOT, 'systemd/sheepfs-outage@.service'), 'utf8')
  const [, script = ''] = /^ExecStop=-\/bin\/sh -c '(.*)' sh %i$/m.exec(unit) ?? []
  const command = script.replaceAll('$$', '$').replace('/usr/lib/sheepfs/sheepfs-end-waiting', program)
  const stop = async (job: string): Promise<string> => {
    await place('systemctl', `[ "$1 $5" = "list-jobs sheepfs@c1.service" ] && printf '${job}'`)
    return succeed('sh', ['-c', command, 'sh', 'c1'], { env: { ...process.env, PATH: `${folder}:/usr/bin:/bin` } })
  }
  assert.equal(await stop('7 sheepfs@c1.service restart waiting\\n'), '')
  assert.equal(await stop('7 sheepfs@c1.service stop    waiting\\n'), 'ends for c1\n')
  assert.equal(await stop(''), 'ends for c1\n')
})
