/** A rule of the protocol broken on purpose: this text of the compiled client, which is there once, becomes that. */
export interface Mutation {
  /** Of docs/sheepdog-protocol.md#0. */
  readonly rule: string
  readonly from: string
  readonly to: string
}

export const MUTATIONS: readonly Mutation[] = [
  {
    rule: '1: responses are matched to the oldest request, not by id',
    from: 'const pending = this.#pending.get(id);',
    to: 'const [pending] = this.#pending.values();',
  },
  {
    rule: '2: reads carry the flag WRITE',
    from: 'withObject(newMessage(Opcode.READ_OBJ, { wanted: length }), oid, offset)',
    to: 'withObject(Object.assign(newMessage(Opcode.READ_OBJ, { wanted: length, payload: new Uint8Array(1) })), oid, offset)',
  },
  {
    rule: '3: the payload of an error is taken for the next response',
    from: 'const result = Rsp.result.get(header);\n        if (opcode !== pending.opcode)',
    to: 'const result = Rsp.result.get(header);\n        if (result !== 0) return 0;\n        if (opcode !== pending.opcode)',
  },
  {
    rule: '4: the first writes of an object are sent at once',
    from: ': core.locks.acquire(index, 0, core.objectSize);\n    try {',
    to: ': { start: 0, end: core.objectSize, narrow() {}, release() {} };\n    try {',
  },
  {
    rule: '5: an entry that has not changed is published beside one that has',
    from: 'const vids = publishes.map((publish) => publish.vid);',
    to: 'const vids = [...publishes.map((publish) => publish.vid), this.#entries.get(first + publishes.length)];',
  },
  {
    rule: '6: an index update whose answer was lost is sent again without a look',
    from: 'return this.#undone(publishes, patience);',
    to: 'return [{ publishes }];',
  },
  {
    rule: '7: what a snapshot has lost of the index is not repaired',
    from: 'return [...lost];',
    to: 'return [];',
  },
  {
    rule: '8: an object is created again before its removal is over',
    from: 'async ended(index, patience) {',
    to: 'async ended(index, patience) { return false;',
  },
  {
    rule: '10: a node list is asked for with room for one node',
    from: '{ wanted: MAX_NODE_LIST_SIZE }',
    to: '{ wanted: 80 }',
  },
  {
    rule: '12: an object that is missing reads as zeros',
    from: 'const failure = resultError(result, `${core.text}: read of object ${index}`);',
    to: 'const failure = resultError(result, `${core.text}: read of object ${index}`);\n        if (result === Result.NO_OBJ) return void into.fill(0);',
  },
]
