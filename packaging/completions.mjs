// Completes the scripts in packaging/completions with what the programs know of their command lines.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { sheepfsProgram } from '../dist/src/cli/sheepfs-options.js'
import { sheepfsctlProgram } from '../dist/src/cli/sheepfsctl-program.js'
import { sheepfsdProgram } from '../dist/src/cli/sheepfsd-program.js'
import { lambProgram } from '../dist/src/lamb/arguments.js'

const FOLDER = join(import.meta.dirname, 'completions')
export const PROGRAMS = [sheepfsProgram(), sheepfsdProgram(), sheepfsctlProgram(), lambProgram()]

/** What the name of a value stands for, of one command before that of all; the scripts have a function for each. */
const SOURCES = {
  DIR: 'directories',
  FILE: 'files',
  MOUNTPOINT: 'directories',
  INSTANCE: 'running',
  'sheepfsd INSTANCE': 'configured',
  MOUNT: 'mounts',
  'mount MOUNT': 'directories',
  VOLUME: 'volumes',
  'unmap VOLUME': 'mapped',
  'attach VOLUME': 'vdis',
  'map VOLUME': 'vdis',
  'mount VOLUME': 'vdis',
  VDI: 'plain',
  'delete VDI': 'vdis',
  'info VDI': 'vdis',
  'VDI@TAG': 'snapshots',
}

/** Of a value: the words that may stand there, or who knows the names. */
function sourceOf(command, name) {
  const words = name.split('|').filter((word) => /^[a-z0-9.-]+$/.test(word))
  if (words.length > 0) return `words ${words.join(' ')}`
  const known = name.split('|').map((word) => SOURCES[`${command.name()} ${word}`] ?? SOURCES[word])
  return known.find((source) => source !== undefined) ?? 'nothing'
}

/** Rows KIND|COMMAND|NAME|SOURCE|HELP of a command and all below it. An option without a value has no source. */
function rowsOf(command, path = '') {
  const known = command.options.filter(({ long }) => long !== '--version')
  const options = known.flatMap((option) => {
    const [, value] = /<(.*)>$/.exec(option.flags) ?? []
    const source = value === undefined ? '' : sourceOf(command, value)
    const kind = option.hidden ? 'hidden' : 'option'
    return [option.short, option.long].flatMap((name) =>
      name === undefined ? [] : [`${kind}|${path}|${name}|${source}|${option.description}`],
    )
  })
  const args = command.registeredArguments.map(
    (argument, i) => `argument|${path}|${i + 1}${argument.variadic ? '+' : ''}|${sourceOf(command, argument.name())}|`,
  )
  const below = command.commands.flatMap((sub) => [
    `command|${path}|${sub.name()}||${sub.description() || sub.commands.map((next) => next.name()).join(', ')}`,
    ...rowsOf(sub, `${path} ${sub.name()}`.trim()),
  ])
  const always = ['--help', '--version'].map((name) => `option|${path}|${name}||print it and exit`)
  return [...options, ...always, ...args, ...below]
}

/** `help` takes the names of commands, as if they stood below it. */
function helpRows(command, path = 'help') {
  return command.commands.flatMap((sub) =>
    path === 'help' && sub.name() === 'help'
      ? []
      : [`command|${path}|${sub.name()}||${sub.description()}`, ...helpRows(sub, `${path} ${sub.name()}`)],
  )
}

const QUOTED = {
  posix: (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`,
  fish: (text) => `'${text.replace(/['\\]/g, String.raw`\$&`)}'`,
}

function tableOf(program, isFish) {
  const quote = isFish ? QUOTED.fish : QUOTED.posix
  const rows = [...rowsOf(program), ...(program.commands.length > 0 ? helpRows(program) : [])]
  const body = `printf '%s\\n' \\\n${rows.map((row) => `    ${quote(row)}`).join(' \\\n')}`
  const name = `_${program.name()}_table`
  return isFish ? `function ${name}\n  ${body}\nend\n` : `${name}() {\n  ${body}\n}\n`
}

/** The finished scripts, by the names of their files. */
export function completionScripts() {
  return readdirSync(FOLDER).map((name) => {
    const tables = PROGRAMS.map((program) => tableOf(program, name.endsWith('.fish'))).join('\n')
    return [name, readFileSync(join(FOLDER, name), 'utf8').replace(/^# TABLES.*\n/m, () => tables)]
  })
}
