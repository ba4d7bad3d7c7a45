import { SheepfsError } from '../errors.ts'
import type { ClusterFacts } from './cluster-facts.ts'

export interface CacheOptions {
  /** At the start. */
  readonly pageCache: boolean
  /** Called before the page cache is switched; throws when the engine cannot do that while mounted. */
  readonly beforePageCache?: (isOn: boolean) => void
}

type CacheFacts = Pick<ClusterFacts, 'objectCache' | 'setObjectCache'>

/** The two switches of a mount. Files that are open keep the page cache as it was when they were opened. */
export class Caches {
  readonly #facts: CacheFacts
  readonly #options: CacheOptions
  #pageCache: boolean

  constructor(facts: CacheFacts, options: CacheOptions) {
    this.#facts = facts
    this.#options = options
    this.#pageCache = options.pageCache
  }

  get pageCache(): boolean {
    return this.#pageCache
  }

  /** Errors: not-supported by the engine; then nothing has changed. */
  setPageCache(isOn: boolean): void {
    if (isOn === this.#pageCache) return
    this.#options.beforePageCache?.(isOn)
    this.#pageCache = isOn
  }

  /** False also when the cluster has said that it has none. */
  get objectCache(): boolean {
    return this.#facts.objectCache
  }

  /** Errors: unreachable, timeout, io; then nothing has changed. */
  setObjectCache(isOn: boolean): Promise<void> {
    return this.#facts.setObjectCache(isOn)
  }
}

/** Reads what is written to a switch: 0, or any other number for 1. Errors: invalid. */
export function parseSwitch(path: string, line: Uint8Array): boolean {
  const text = Buffer.from(line).toString().trim()
  if (!/^[+-]?\d+$/.test(text)) throw new SheepfsError('invalid', `${path} is 0 or 1, not ${JSON.stringify(text)}`)
  return Number(text) !== 0
}

export function switchText(isOn: boolean): string {
  return isOn ? '1\n' : '0\n'
}
