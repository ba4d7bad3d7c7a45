import { readFileSync } from 'node:fs'

/** The version of the package, whose package.json is three levels above the compiled programs. */
export function programVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
