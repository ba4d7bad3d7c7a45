import { readFileSync } from 'node:fs'

/** The version of the package, whose package.json is two levels above what is compiled. */
export function programVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** What `--version` prints: the program, and the Node.js that runs it, which may be one of the package's own. */
export function versionLine(program: string): string {
  return `${program} ${programVersion()} (Node.js ${process.versions.node})\n`
}
