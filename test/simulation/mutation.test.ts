import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'
import { MUTATIONS, type Mutation } from './mutations.ts'

const ROOT = join(import.meta.dirname, '../../..')
/** Far more than a minute on two processors plays. */
const SCHEDULES = 20_000
const LIMIT = { timeout: 600_000 }

/** A copy of the compiled client with one rule broken. */
async function mutated(context: TestContext, { from, to }: Mutation): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sheepfs-mutation-'))
  context.after(() => rm(folder, { recursive: true }))
  for (const part of ['src', 'test/simulation', 'test/sheep']) {
    await cp(join(ROOT, 'dist', part), join(folder, 'dist', part), { recursive: true })
  }
  await cp(join(ROOT, 'package.json'), join(folder, 'package.json'))
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const source = join(folder, 'dist/src')
  const hits: string[] = []
  for (const path of await readdir(source, { recursive: true })) {
    if (!path.endsWith('.js') || !existsSync(join(ROOT, 'src', path.replace(/\.js$/, '.ts')))) continue
    const code = await readFile(join(source, path), 'utf8')
    if (!code.includes(from)) continue
    hits.push(path)
    await writeFile(
      join(source, path),
      code.replace(from, () => to),
    )
  }
  assert.equal(hits.length, 1, `the text to mutate, ${from}, is in ${hits.length} files: expected 1`)
  return folder
}

for (const mutation of MUTATIONS) {
  test(`a broken rule is found: ${mutation.rule}`, LIMIT, async (context) => {
    const folder = await mutated(context, mutation)
    const args = ['dist/test/simulation/simulate.js', '--seed', '1', '--schedules', String(SCHEDULES), '--stop']
    const began = performance.now()
    const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
    const [output] = await Promise.all([text(child.stdout), once(child, 'exit')])
    context.diagnostic(
      `${Math.round((performance.now() - began) / 1000)} s: ${/^new: .*/m.exec(output)?.[0] ?? output}`,
    )
    assert.equal(child.exitCode, 1, output)
    assert.match(output, /^new: /m)
  })
}
