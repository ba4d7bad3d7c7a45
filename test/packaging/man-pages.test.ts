import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { renderMetrics } from '../../src/api/metrics.ts'
import { InstanceFile, MountDefaulted } from '../../src/api/schema/config.ts'
import { EventType } from '../../src/api/schema/event.ts'
import { EXIT, EXIT_TEXT } from '../../src/cli/exit-code.ts'
import { MOUNT_USAGE } from '../../src/cli/mount/mount-arguments.ts'
import { parseCommandLine } from '../../src/cli/sheepfsctl-arguments.ts'
import { COMMANDS } from '../../src/cli/sheepfsctl-program.ts'
import { parseSheepfsOptions } from '../../src/cli/sheepfs-options.ts'
import { parseConfig } from '../../src/daemon/config/config.ts'
import { EnvironmentVariables } from '../../src/daemon/config/environment.ts'
import { parseArguments } from '../../src/lamb/arguments.ts'
import { FakeSupervisor } from '../api/fake-supervisor.ts'
import { missing } from '../e2e/stage/ability.ts'
import { run, succeed } from '../e2e/stage/program.ts'

const FOLDER = join(import.meta.dirname, '../../../packaging/man')
const PAGES = readdirSync(FOLDER)
const PROGRAMS = join(import.meta.dirname, '../../src')
/** What reads the command line of a program; it throws when that is wrong. */
const PARSERS: Readonly<Record<string, (args: readonly string[]) => unknown>> = {
  lamb: parseArguments,
  sheepfs: parseSheepfsOptions,
  sheepfsctl: parseCommandLine,
}
const skip = missing('mandoc', 'groff')
const limit = { timeout: 60_000 }

/** What mandoc says of a machine without the pages of others. */
const OTHER_PAGES = /referenced manual not found|outdated mandoc\.db/

const sourceOf = (page: string): string => readFileSync(join(FOLDER, page), 'utf8')

/** Options that a page marks as such: -x and --long. */
function optionsOf(source: string): string[] {
  const found = source.matchAll(/\bFl (-?[\w-]+)(?: , (-?[\w-]+))?/g)
  const names = Array.from(found, ([, first = '', second = '']) => [first, second]).flat()
  return unique(names.filter((name) => name.length === 1 || name.startsWith('-')).map((name) => `-${name}`))
}

/** Options at the beginning of a line of a help text. */
function optionsIn(help: string): string[] {
  const heads = help.split('\n').flatMap((line) => /^ +(-.*?)(?: {2}|$)/.exec(line)?.[1] ?? [])
  return unique(heads.flatMap((head) => head.match(/(?<=^|, )--?[A-Za-z][a-z-]*/g) ?? []))
}

const unique = (names: readonly string[]): string[] => [...new Set(names)].toSorted()

for (const page of PAGES) {
  test(`mandoc and groff find nothing wrong with ${page}`, { ...limit, skip }, async () => {
    const { stdout, stderr } = await run('mandoc', ['-Tlint', join(FOLDER, page)])
    const lines = `${stdout}${stderr}`.split('\n').filter((line) => line !== '' && !OTHER_PAGES.test(line))
    assert.deepEqual(lines, [])
    const groff = await run('groff', ['-mandoc', '-Tutf8', '-ww', '-z', join(FOLDER, page)])
    assert.deepEqual([groff.status, groff.stderr], [0, ''])
  })
}

test('docs/man has the pages as they are now: npm run man', { ...limit, skip }, async () => {
  const program = `import { manMarkdown } from ${JSON.stringify(join(FOLDER, '../man-markdown.mjs'))}
    console.log(JSON.stringify([...manMarkdown()]))`
  const output = await succeed(process.execPath, ['--input-type=module', '--eval', program])
  const wanted = JSON.parse(output) as [name: string, text: string][]
  const folder = join(FOLDER, '../../docs/man')
  assert.deepEqual(readdirSync(folder).toSorted(), wanted.map(([name]) => name).toSorted())
  for (const [name, text] of wanted) {
    assert.equal(readFileSync(join(folder, name), 'utf8'), text, name)
    for (const [, target = ''] of text.matchAll(/\]\(([^)]+)\)/g)) assert.ok(existsSync(join(folder, target)), target)
  }
})

test('every page of a program says how it ends and shows examples, and what it refers to is there', () => {
  for (const page of PAGES) {
    const source = sourceOf(page)
    const wanted = page.endsWith('.5') ? ['EXAMPLES', 'SEE ALSO'] : ['EXIT STATUS', 'EXAMPLES', 'SEE ALSO']
    for (const section of wanted) assert.match(source, new RegExp(`^\\.Sh ${section}$`, 'm'), page)
    for (const [, name = '', chapter = ''] of source.matchAll(/^\.Xr (\S*(?:sheepfs|lamb)\S*) (\d)/gm)) {
      assert.ok(PAGES.includes(`${name}.${chapter}`), `${page} refers to ${name}(${chapter})`)
    }
  }
})

for (const [page, program] of [
  ['sheepfs.8', 'cli/sheepfs.js'],
  ['sheepfsd.8', 'cli/sheepfsd.js'],
  ['lamb.1', 'lamb/lamb.js'],
] as const) {
  test(`${page} has the options that --help tells, and no others`, limit, async () => {
    const help = await succeed(process.execPath, [join(PROGRAMS, program), '--help'])
    assert.deepEqual(optionsOf(sourceOf(page)), optionsIn(help))
  })
}

test('sheepfsctl.8 has all commands, options and exit codes', () => {
  const source = sourceOf('sheepfsctl.8')
  const lines = [['help'], ...COMMANDS.map(({ name }) => ['help', ...name.split(' ')])]
  const helps = lines.map(parseCommandLine)
  const texts = helps.map((line) => (line.kind === 'text' ? line.text : ''))
  assert.deepEqual(optionsOf(source), optionsIn(texts.join('\n')))
  const entries = source.split(/^\.(?=It|Ss|Sh)/m)
  for (const { name, options = [] } of COMMANDS) {
    const entry = entries.find((text) => new RegExp(`^It Cm ${name}(?:\\s|$)`).test(text)) ?? assert.fail(`no ${name}`)
    const own = optionsOf(entry).filter((option) => option.startsWith('--'))
    assert.deepEqual(own, unique(options.map(([flags]) => flags.replace(/ .*/, ''))), name)
  }
  const codes = entries.flatMap((text) => /^It (\d)\n(.*)\n/.exec(text)?.slice(1) ?? [])
  const known = Object.keys(EXIT) as (keyof typeof EXIT)[]
  assert.deepEqual(
    codes,
    known.flatMap((name) => [String(EXIT[name]), EXIT_TEXT[name]]),
  )
})

test('the configurations and command lines of EXAMPLES are understood', () => {
  const examples = (page: string) =>
    Array.from(sourceOf(page).matchAll(/^\.Bd -literal.*\n([^]*?)^\.Ed$/gm), ([, text = '']) => text)
  for (const text of examples('sheepfs.toml.5')) {
    parseConfig(text, { file: 'sheepfs.toml.5', instance: 'cluster1' })
  }
  const lines = PAGES.flatMap(examples).flatMap((text) => text.split('\n'))
  const read = lines.map((line) => {
    const [program = '', ...args] = line.replace(/ [|&].*| '.*/, '').split(' ')
    return { program, args, parse: PARSERS[program] }
  })
  for (const { args, parse } of read) parse?.(args)
  assert.deepEqual(
    unique(read.filter(({ parse }) => parse).map(({ program }) => program)),
    Object.keys(PARSERS).toSorted(),
  )
})

test('sheepfsctl.8 tells of no event that there is not', () => {
  const [, types = ''] = /^The types are\n([^.]*)\./m.exec(sourceOf('sheepfsctl.8')) ?? []
  const unknown = types.split(/,\s+| and /).filter((type) => !EventType.enum.some((known) => known === type))
  assert.deepEqual(unknown, [])
})

test('mount.sheepfs.8 has the options that the helper knows', () => {
  const [, table = ''] = MOUNT_USAGE.split(/^Options .*:\n/m)
  const names = table.split('\n').flatMap((line) => line.trim().split(/ {2,}/)[0]?.split(/, ?/) ?? [])
  const source = sourceOf('mount.sheepfs.8')
  for (const name of names.filter((text) => text !== '')) {
    assert.match(source, new RegExp(`^\\.It Cm .*\\b${name.replace(/=.*/, '')}\\b`, 'm'))
  }
})

test('sheepfs.toml.5 has every key of the configuration, and no others', () => {
  const entries = sourceOf('sheepfs.toml.5').matchAll(/^\.It Cm (.*?) Pq /gm)
  const shown = Array.from(entries, ([, names = '']) => names.split(' , ')).flat()
  const known = [...Object.keys(InstanceFile.properties), ...Object.keys(MountDefaulted.properties)]
  assert.deepEqual(shown.toSorted(), known.toSorted())
})

test('the pages have every variable of the environment, and no others', () => {
  const known = Object.keys(EnvironmentVariables.properties)
  const variables = (page: string) =>
    [...sourceOf(page).matchAll(/^\.It Ev (SHEEPFS_\w+)/gm)].map(([, name = '']) => name).toSorted()
  assert.deepEqual(variables('sheepfsd.8'), known.toSorted())
  for (const page of PAGES) {
    assert.deepEqual(
      variables(page).filter((name) => !known.includes(name)),
      [],
      page,
    )
  }
})

test('sheepfsd.8 has every metric, and no others', async () => {
  const shown = sourceOf('sheepfsd.8')
    .split('\n')
    .filter((line) => line.startsWith('.It Cm sheepfs_'))
    .flatMap((line) => line.slice('.It Cm '.length).split(' , '))
  const text = await renderMetrics(await new FakeSupervisor().metrics(), '0')
  const known = Array.from(text.matchAll(/^# TYPE (\S+)/gm), ([, name = '']) => name)
  assert.deepEqual(shown.toSorted(), known.toSorted())
})
