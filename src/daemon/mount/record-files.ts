import { closeSync, openSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { readRecord } from './mount-record.ts'
import { parseRecord, type RecordedMount } from './recorded-mount.ts'

const ENDING = '.record'

/** The record of a mount has this name while the mount is there: when all who serve it are killed, it says what they had locked. */
export function recordPath(directory: string, mount: string): string {
  return join(directory, mount + ENDING)
}

/** The mounts that have records in a directory. */
export function recordedMounts(directory: string): string[] {
  const files = readdirSync(directory).filter((name) => name.endsWith(ENDING))
  return files.map((name) => name.slice(0, -ENDING.length))
}

/** Takes the record of a mount away, and tells what it says; undefined: nothing that can be read. */
export function takeRecord(directory: string, mount: string): RecordedMount | undefined {
  const path = recordPath(directory, mount)
  const fd = openSync(path, 'r')
  try {
    rmSync(path)
    const recorded = readRecord(fd)
    return recorded && parseRecord(recorded)
  } finally {
    closeSync(fd)
  }
}
