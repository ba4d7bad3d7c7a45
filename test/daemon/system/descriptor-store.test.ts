import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inheritedDescriptors, openDescriptorStore } from '../../../src/daemon/system/descriptor-store.ts'
import { type Libc, libcOnDemand } from '../../../src/daemon/system/libc.ts'
import { silentLogger } from '../../../src/log.ts'

const log = silentLogger()

function notAsked(): never {
  throw new Error('the library was asked for')
}

describe('the descriptor store', () => {
  const sent: unknown[] = []
  const libc: Libc = {
    sendDescriptors: (...message) => void sent.push(message),
    prctl: () => undefined,
  }

  test('is told to keep descriptors under one name, and to drop them', () => {
    const store = openDescriptorStore('@notify', 10, { getLibc: () => libc, log })
    assert.equal(store.lack, undefined)
    store.keep('m.45', [7, 8])
    store.drop('m.45')
    assert.deepEqual(sent, [
      ['@notify', 'FDSTORE=1\nFDNAME=m.45\nFDPOLL=0\n', [7, 8]],
      ['@notify', 'FDSTOREREMOVE=1\nFDNAME=m.45\n', []],
    ])
  })

  test('is none without a service manager, room in it, or a way to tell it, and says so', () => {
    const lackOf = (socket: string | undefined, room: number, getLibc: () => Libc): string => {
      const { lack } = openDescriptorStore(socket, room, { getLibc, log })
      assert.match(lack?.matters ?? '', /end with the daemon/)
      return lack?.missing ?? ''
    }
    const none = libcOnDemand(() => {
      throw new Error("Cannot find module 'koffi'\nRequire stack: …")
    })
    assert.match(lackOf(undefined, 10, notAsked), /systemd/)
    assert.match(lackOf('/run/notify', 0, notAsked), /FileDescriptorStoreMax/)
    assert.equal(lackOf('/run/notify', 10, none), "koffi cannot be loaded: Cannot find module 'koffi'")
  })

  test('that cannot be reached does not end the daemon', () => {
    const broken: Libc = {
      ...libc,
      sendDescriptors: () => {
        throw new Error('ECONNREFUSED')
      },
    }
    openDescriptorStore('/run/notify', 10, { getLibc: () => broken, log }).keep('m.45', [7])
  })
})

describe('inherited descriptors', () => {
  test('are those meant for this process, by their names', () => {
    const env = { LISTEN_PID: '12', LISTEN_FDS: '4', LISTEN_FDNAMES: 'a.1:b.2:a.1:b.2' }
    assert.deepEqual(
      [...inheritedDescriptors(env, 12)],
      [
        ['a.1', [3, 5]],
        ['b.2', [4, 6]],
      ],
    )
    assert.equal(inheritedDescriptors(env, 13).size, 0)
    assert.equal(inheritedDescriptors({}, 12).size, 0)
  })
})
