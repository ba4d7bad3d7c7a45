import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { buildControlApp } from '../../src/api/control-app.ts'
import { ControlClient } from '../../src/api/client.ts'
import { listenUnix } from '../../src/api/listen-unix.ts'
import type { Command } from 'commander'
import { COMMANDS, sheepfsctlProgram, subcommand } from '../../src/cli/sheepfsctl-program.ts'
import { sheepfsProgram } from '../../src/cli/sheepfs-options.ts'
import { silentLogger } from '../../src/log.ts'
import { FakeSupervisor } from '../api/fake-supervisor.ts'
import { missing } from '../e2e/stage/ability.ts'
import { succeed } from '../e2e/stage/program.ts'

const GENERATOR = join(import.meta.dirname, '../../../packaging/completions.mjs')
const SHEEPFSCTL = join(import.meta.dirname, '../../src/cli/sheepfsctl.js')
const longOptions = ({ options }: Command): string[] => [...options.map(({ long }) => long ?? ''), '--help'].toSorted()
const limit = { timeout: 120_000 }

/** Completes each line of its arguments, split as readline does it, and prints what is offered between blank lines. */
const IN_BASH = `
source "$1"; shift
compopt() { :; }
while (($#)); do
  COMP_LINE=$1 COMP_POINT=\${#1} COMPREPLY=()
  mapfile -t COMP_WORDS < <(grep -oE '[@:=]+|([^@:= \\\\]|\\\\.)+' <<< "$1")
  [[ $1 == *' ' ]] && COMP_WORDS+=('')
  COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
  "_\${COMP_WORDS[0]}"
  printf '%s\\n' "\${COMPREPLY[@]}" ''
  shift
done`

/** Types a line and a tab into an interactive shell; what is offered comes after <>. */
const IN_ZSH = `
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PROMPT= RPROMPT=; fpath=($1 \\$fpath); autoload -Uz compinit; compinit -D -u"
zpty -w shell '
  compadd() {
    local -a offered
    builtin compadd -O offered "$@"
    print -rl -- "<>"$^offered"<>"
  }
  show() { _main_complete; exit }
  zle -C show complete-word show; bindkey "^I" show; print REA""DY'
zpty -r shell output '*READY*'
zpty -w -n shell "$2"$'\\t'
while zpty -r shell output; do print -r -- "$output"; done`

interface Stage {
  readonly env: NodeJS.ProcessEnv
  /** Where the scripts are, as packages install them. */
  readonly folder: string
}

async function scripts(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sheepfs-completion-scripts-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const program = `import { writeFileSync } from 'node:fs'
    import { completionScripts } from ${JSON.stringify(GENERATOR)}
    for (const [name, text] of completionScripts()) writeFileSync(${JSON.stringify(folder)} + '/' + name, text)`
  await succeed(process.execPath, ['--input-type=module', '--eval', program])
  return folder
}

/** A running daemon with a volume whose name takes quoting, and the environment in which its sheepfsctl is found. */
async function stage(t: TestContext): Promise<Stage> {
  const directory = await mkdtemp(join(tmpdir(), 'sheepfs-completion-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  await mkdir(join(directory, 'cluster1'))
  const socket = join(directory, 'cluster1', 'control.sock')
  const app = await buildControlApp({ supervisor: new FakeSupervisor(), log: silentLogger(), version: '0' })
  const listening = await listenUnix(app, { path: socket, mode: 0o600 })
  t.after(() => listening.close())
  const client = new ControlClient(socket)
  await client.createVdi('cluster1', { name: 'a "b"', size: 512 })
  await client.attach('cluster1', 'a "b"', {})
  await writeFile(join(directory, 'sheepfsctl'), `#!/bin/sh\nexec "${process.execPath}" "${SHEEPFSCTL}" "$@"\n`, {
    mode: 0o755,
  })
  const folder = await scripts(t)
  const env = { ...process.env, PATH: `${directory}:${process.env['PATH'] ?? ''}`, SHEEPFS_RUNTIME_DIR: directory }
  return { env, folder }
}

/** What fish offers for each line, without what it says of each. */
const IN_FISH = `
source $argv[1]/sheepfs.fish
for line in $argv[2..]
  complete -C $line | string replace -r '\\t.*' ''
  echo ---
end`

/** What is offered for each line. */
async function inBash({ env, folder }: Stage, lines: readonly string[]): Promise<string[][]> {
  const script = join(folder, 'sheepfs.bash')
  const output = await succeed('bash', ['--norc', '-c', IN_BASH, 'bash', script, ...lines], { env, limitMs: 100_000 })
  const offers = output.split('\n\n').slice(0, lines.length)
  return offers.map((offer) => offer.split('\n').filter((name) => name !== ''))
}

type Expected = readonly (readonly [line: string, offered: readonly string[]])[]

/** What every shell offers, and in which order it names more than one is its own affair. */
const EVERYWHERE: Expected = [
  ['sheepfsctl det', ['detach']],
  ['sheepfsctl help vdi d', ['delete']],
  ['sheepfsctl vdi ', ['create', 'delete', 'info', 'list', 'rollback', 'snapshot']],
  ['sheepfsctl --instance ', ['cluster1']],
  ['sheepfsctl -i cluster1 restart cl', ['cluster1']],
  ['sheepfsctl snapshot w', ['web01']],
  ['sheepfsctl vdi snapshot w', ['web01']],
  ['sheepfsctl --mount=cluster1 snapshot create w', ['web01']],
  ['sheepfsctl snapshot delete ', ['db01@nightly']],
  ['sheepfsctl clone ', ['db01@nightly']],
  ['sheepfsctl vdi rollback ', ['db01@nightly']],
  ['sheepfsctl map --sector-size 1', ['1024']],
  ['sheepfsctl cache --page ', ['off', 'on']],
  ['sheepfs --engine f', ['fuse-native']],
  ['sheepfsd --v', ['--version']],
  ['lamb --release ', ['0.7', '0.9', '1.0']],
  ['lamb --removal', ['--removal-delay']],
]

function compare(offered: readonly (readonly string[])[], expected: Expected): void {
  assert.deepEqual(
    expected.map(([line], i) => [line, offered[i]?.toSorted()]),
    expected,
  )
}

test('bash is offered what runs, what is attached and what the cluster has', limit, async (t) => {
  const expected: Expected = [
    ...EVERYWHERE,
    ['sheepfsctl -m cluster1 detach ', [String.raw`a\ \"b\"`]],
    ['sheepfsctl --instance=cl', ['cluster1']],
    ['sheepfsctl cache --page=', ['off', 'on']],
    ['sheepfs --engine=f', ['fuse-native']],
    ['sheepfsctl clone db01@n', ['nightly']],
  ]
  const lines = expected.map(([line]) => line)
  compare(await inBash(await stage(t), lines), expected)
})

test('fish is offered the same', { ...limit, skip: missing('fish') }, async (t) => {
  const expected: Expected = [
    ...EVERYWHERE,
    ['sheepfsctl -m cluster1 detach ', ['a "b"']],
    ['sheepfsctl --instance=cl', ['--instance=cluster1']],
    ['sheepfsctl cache --page=', ['--page=off', '--page=on']],
    ['sheepfs --engine=f', ['--engine=fuse-native']],
    ['sheepfsctl clone db01@n', ['db01@nightly']],
  ]
  const { env, folder } = await stage(t)
  const args = ['--no-config', '-c', IN_FISH, folder, ...expected.map(([line]) => line)]
  const output = await succeed('fish', args, { env, limitMs: 100_000 })
  const offers = output.split('---\n').map((offer) => offer.split('\n').filter((name) => name !== ''))
  compare(offers, expected)
})

test('bash is offered every command and every long option that there is', limit, async (t) => {
  const lines = COMMANDS.map(({ name }) => `sheepfsctl ${name} --`)
  const offered = await inBash({ env: process.env, folder: await scripts(t) }, ['sheepfsctl ', 'sheepfs --', ...lines])
  const [commands = [], sheepfs = [], ...options] = offered
  const verbs = new Set(['help', ...COMMANDS.map(({ name }) => name.split(' ')[0] ?? '')])
  assert.deepEqual(commands.toSorted(), [...verbs].toSorted())
  assert.deepEqual(sheepfs.toSorted(), longOptions(sheepfsProgram()))
  const program = sheepfsctlProgram()
  for (const [i, { name }] of COMMANDS.entries()) {
    const command = name.split(' ').reduce((at, word) => subcommand(at, word) ?? assert.fail(name), program)
    const known = ['--version', ...longOptions(command)]
    assert.deepEqual(options[i]?.toSorted(), known.toSorted(), name)
  }
})

test('zsh is offered the same', { ...limit, skip: missing('zsh') }, async (t) => {
  const { env, folder } = await stage(t)
  const expected: Expected = [
    ['sheepfsctl det', ['detach']],
    ['sheepfsctl help snapshot ', ['create', 'delete', 'list']],
    ['sheepfsctl vdi ', ['create', 'delete', 'info', 'list', 'rollback', 'snapshot']],
    ['sheepfsctl -i ', ['cluster1']],
    ['sheepfsctl --instance=', ['cluster1']],
    ['sheepfsctl restart ', ['cluster1']],
    ['sheepfsctl -m cluster1 detach ', ['a "b"']],
    ['sheepfsctl --mount=cluster1 snapshot delete ', ['db01@nightly']],
    ['sheepfsctl snapshot w', ['web01']],
    ['sheepfs --engine f', ['fuse-native']],
    ['sheepfsd --v', ['--version']],
    ['lamb --release ', ['0.7', '0.9', '1.0']],
  ]
  for (const [line, names] of expected) {
    const output = await succeed('zsh', ['-f', '-c', IN_ZSH, 'zsh', folder, line], { env, limitMs: 30_000 })
    const offered = new Set(Array.from(output.matchAll(/<>(.*?)<>/g), ([, name]) => name))
    assert.deepEqual([...offered].toSorted(), names, line)
  }
})
