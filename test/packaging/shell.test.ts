import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { test } from 'node:test'
import { missing } from '../e2e/stage/ability.ts'
import { run } from '../e2e/stage/program.ts'

const ROOT = join(import.meta.dirname, '../../..')
/** What holds shell of ours. */
const FOLDERS = ['.ci', 'packaging', 'systemd', 'test', 'bench', 'scripts', 'etc']
const limit = { timeout: 120_000 }

/** The shell of a file: what runs it; undefined when no shell does. */
function shellOf(path: string): string | undefined {
  if (/\.(?:ts|mjs|md|json|toml)$/.test(path)) return undefined
  const text = readFileSync(path, 'utf8')
  const [, named] = /^#!.*\b(sh|bash|zsh)\n/.exec(text) ?? /^#compdef\b.*()\n/.exec(text) ?? []
  if (named !== undefined) return named || 'zsh'
  return /\.(?:ba)?sh$/.test(path) ? 'bash' : undefined
}

const files = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name)),
)
const scriptsOf = (shell: string): string[] => files.filter((path) => shellOf(path) === shell)

for (const shell of ['sh', 'bash']) {
  test(`shellcheck finds nothing wrong with our ${shell}`, { ...limit, skip: missing('shellcheck') }, async () => {
    const scripts = scriptsOf(shell)
    assert.ok(scripts.length > 4, scripts.join())
    const names = scripts.map((path) => relative(ROOT, path))
    const { stdout, stderr } = await run('shellcheck', ['--shell', shell, ...names], { cwd: ROOT, limitMs: 100_000 })
    assert.equal(stdout + stderr, '')
  })
}

test('zsh, which shellcheck does not know, reads our zsh', { ...limit, skip: missing('zsh') }, async () => {
  const scripts = scriptsOf('zsh')
  assert.ok(scripts.length > 0)
  for (const path of scripts) assert.equal((await run('zsh', ['-n', path])).stderr, '', path)
})

test(
  'shellcheck finds nothing wrong with the scriptlets of the RPM package',
  { ...limit, skip: missing('shellcheck') },
  async () => {
    const spec = readFileSync(join(ROOT, 'packaging/rpm/sheepfs.spec'), 'utf8')
    const sections = spec
      .split(/^%(?=[a-z]+(?:\n| ))/m)
      .filter((text) => /^(?:post|posttrans|preun|postun|install)\n/.test(text))
    assert.equal(sections.length, 5)
    for (const section of sections) {
      const script = section.slice(section.indexOf('\n')).replace(/%\{[^}]*\}/g, 'macro')
      assert.equal((await run('shellcheck', ['--shell', 'sh', '-'], { input: script })).stdout, '')
    }
  },
)
