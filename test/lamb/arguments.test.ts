import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Faults } from '../../src/lamb/faults.ts'
import { parseArguments, parseSize } from '../../src/lamb/arguments.ts'
import { systemClock } from '../../src/system-clock.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'

test('sizes are numbers with a binary unit', () => {
  assert.deepEqual(['4096', '512M', '1g', '4T'].map(parseSize), [4096, 512 * 2 ** 20, 2 ** 30, 2 ** 42])
  for (const wrong of ['', '1X', '-1', '1.5G', '99999999P']) assert.throws(() => parseSize(wrong), /size/)
})

test('a command line becomes options and faults', () => {
  const line = '--store D --port 0 --vdi a:b:1G --copies 2 --locking --delay 5 --pieces 100:3'.split(' ')
  const rule = ['--fault', 'result=NO_OBJ,op=READ_OBJ,kind=data,count=2']
  const command = parseArguments([...line, ...rule])
  assert.ok(command.command === 'serve')
  assert.deepEqual(command.options.vdis, [{ name: 'a:b', size: 2 ** 30 }])
  assert.deepEqual(command.options.format, { copies: 2, flags: 0x0c })
  assert.equal(command.options.port, 0)
  const faults = new Faults(systemClock, 1)
  command.setFaults(faults)
  assert.deepEqual([faults.delayMs, faults.pieceBytes, faults.pieceDelayMs], [5, 100, 3])
  const header = new DataView(new ArrayBuffer(48))
  const request = { header, opcode: Opcode.READ_OBJ, flags: 0, dataLength: 0, payload: new Uint8Array(0), gateway: 0 }
  assert.deepEqual(faults.matchRule(request), { result: Result.NO_OBJ })
})

test('mistakes are named', () => {
  const cases: [string, RegExp][] = [
    ['', /--store is missing/],
    ['--store D --port x', /--port x/],
    ['--store D --vdi test', /NAME:SIZE/],
    ['--store D --release 2', /0\.7, 0\.9, 1\.0/],
    ['--store D --fault explode', /drop-before/],
    ['--store D --fault silence,op=READ', /READ_OBJ/],
    ['--store D --fault silence,probability=often', /from 0 to 1/],
    ['--store D --block-size-shift 9', /--block-size-shift 9: expected 20 to 31/],
    ['--store D --port 65536', /--port 65536: expected 0 to 65535/],
    ['--store D --port 65535 --gateways 2', /--gateways 2: expected 1 to 1/],
    ['--store D --gateways 0', /--gateways 0: expected 1 to/],
    ['--store D --copies 0', /--copies 0: expected 1 to 31/],
    ['--stroe D', /--stroe/],
  ]
  for (const [line, message] of cases) {
    assert.throws(() => parseArguments(line.split(' ').filter((word) => word !== '')), message)
  }
})
