#!/usr/bin/env node
import { resolve } from 'node:path'
import { errorText, isSheepfsError } from '../errors.ts'
import type { SheepfsRequest } from '../daemon/standalone/sheepfs-process.ts'
import { tellError } from '../journal.ts'
import { startInBackground } from './background.ts'
import { parseSheepfsOptions, type SheepfsOptions } from './sheepfs-options.ts'

const FAILURE = 1
const USAGE_FAILURE = 2

function fail(status: number, message: string): void {
  tellError(`sheepfs: ${message}\n`)
  process.exitCode = status
}

function readOptions(): SheepfsOptions | string | undefined {
  try {
    return parseSheepfsOptions(process.argv.slice(2))
  } catch (error) {
    fail(USAGE_FAILURE, `${errorText(error)} (try sheepfs --help)`)
    return undefined
  }
}

async function mount(options: SheepfsOptions): Promise<void> {
  const request = { ...options, mountpoint: resolve(options.mountpoint) }
  try {
    await (options.foreground ? serveHere(request) : startInBackground(request))
  } catch (error) {
    fail(isSheepfsError(error, 'invalid') ? USAGE_FAILURE : FAILURE, errorText(error))
  }
}

/** Loaded only here: it takes longer than what else the command does. */
async function serveHere(request: SheepfsRequest): Promise<void> {
  const { runSheepfs } = await import('../daemon/standalone/sheepfs-process.ts')
  await runSheepfs(request, () => undefined)
}

const options = readOptions()
if (typeof options === 'string') process.stdout.write(options)
else if (options) await mount(options)
