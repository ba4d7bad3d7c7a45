import type { Attributes } from './node.ts'

/** Whom the files of a tree belong to. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** What stat(2) shows of everything that takes no space in the cluster. `validity` defaults to 'until-told'. */
export function plainAttributes(
  owner: Owner,
  rest: Pick<Attributes, 'size' | 'mode' | 'modifiedMs'> & Partial<Pick<Attributes, 'validity'>>,
): Attributes {
  return { allocated: 0, blockSize: 4096, validity: 'until-told', changedMs: rest.modifiedMs, ...owner, ...rest }
}
