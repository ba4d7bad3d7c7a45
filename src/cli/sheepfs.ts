#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { runSheepfs } from '../daemon/sheepfs-process.ts'
import { errorText } from '../errors.ts'
import { startInBackground } from './background.ts'
import { parseSheepfsOptions, SHEEPFS_USAGE, type SheepfsOptions } from './sheepfs-options.ts'

const FAILURE = 1
const USAGE_FAILURE = 2

function fail(status: number, message: string): void {
  process.stderr.write(`sheepfs: ${message}\n`)
  process.exitCode = status
}

function readOptions(): SheepfsOptions | 'help' | 'version' | undefined {
  try {
    return parseSheepfsOptions(process.argv.slice(2))
  } catch (error) {
    fail(USAGE_FAILURE, `${errorText(error)} (try sheepfs --help)`)
    return undefined
  }
}

/** Of the package, three levels above this file. */
function version(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

async function mount(options: SheepfsOptions): Promise<void> {
  const request = { ...options, mountpoint: resolve(options.mountpoint) }
  try {
    if (options.foreground) await runSheepfs(request, () => undefined)
    else await startInBackground(request)
  } catch (error) {
    fail(FAILURE, errorText(error))
  }
}

const options = readOptions()
if (options === 'help') process.stdout.write(SHEEPFS_USAGE)
else if (options === 'version') process.stdout.write(`sheepfs ${version()}\n`)
else if (options) await mount(options)
