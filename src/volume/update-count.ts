/** Updates of an inode that were acknowledged, and how many of them no snapshot by others can have lost any more. */
export class UpdateCount {
  #acknowledged = 0
  #confirmed = 0

  get acknowledged(): number {
    return this.#acknowledged
  }

  acknowledge(updates: number): void {
    this.#acknowledged += updates
  }

  /** Whether so many are confirmed; all acknowledged ones by default. */
  areConfirmed(updates = this.#acknowledged): boolean {
    return this.#confirmed >= updates
  }

  confirm(updates: number): void {
    this.#confirmed = Math.max(this.#confirmed, updates)
  }
}
