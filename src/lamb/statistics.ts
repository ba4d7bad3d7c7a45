import { u64, viewOf, type WideField } from '../wire/field.ts'
import { Opcode } from '../wire/sd-proto.ts'

/** struct sd_stat: what a sheep counts, 15 u64 (order seen on a real one). A lone node has no use for the peers'. */
const Stat = {
  gatewayActive: u64(0),
  gatewayTotal: u64(16),
  gatewayReceived: u64(32),
  gatewaySent: u64(40),
  gatewayRemoves: u64(64),
  gatewayReads: u64(72),
  gatewayWrites: u64(80),
  gatewayFlushes: u64(88),
} as const

/** Bytes of struct sd_stat. */
export const STAT_SIZE = 120

/** Counters of object requests since the start. A request is active from its last byte until its answer. */
export class Statistics {
  readonly #bytes = new Uint8Array(STAT_SIZE)
  readonly #view = viewOf(this.#bytes)

  begin(opcode: number, bytes: number): void {
    this.#add(Stat.gatewayActive, 1)
    this.#add(Stat.gatewayTotal, 1)
    if (opcode === Opcode.READ_OBJ) {
      this.#add(Stat.gatewayReads, 1)
      this.#add(Stat.gatewaySent, bytes)
    } else if (opcode === Opcode.REMOVE_OBJ) {
      this.#add(Stat.gatewayRemoves, 1)
    } else if (opcode === Opcode.FLUSH_VDI) {
      this.#add(Stat.gatewayFlushes, 1)
    } else if (opcode !== Opcode.DISCARD_OBJ) {
      this.#add(Stat.gatewayWrites, 1)
      this.#add(Stat.gatewayReceived, bytes)
    }
  }

  end(): void {
    this.#add(Stat.gatewayActive, -1)
  }

  toBytes(): Uint8Array {
    return this.#bytes.slice()
  }

  #add(field: WideField, amount: number): void {
    field.set(this.#view, field.get(this.#view) + amount)
  }
}
