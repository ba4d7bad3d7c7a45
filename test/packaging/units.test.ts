import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { missing } from '../e2e/stage/ability.ts'
import { succeed } from '../e2e/stage/program.ts'

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
