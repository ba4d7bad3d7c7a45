/** What a check found. A warning costs something; a problem keeps mounts from working. */
export interface Finding {
  readonly check: string
  readonly status: 'ok' | 'warning' | 'problem'
  readonly detail: string
  /** What to do about it; undefined when all is well. */
  readonly mend?: string
}

export function ok(check: string, detail: string): Finding {
  return { check, status: 'ok', detail: detailOf(check, detail) }
}

export function warning(check: string, detail: string, mend: string): Finding {
  return { check, status: 'warning', detail: detailOf(check, detail), mend }
}

export function problem(check: string, detail: string, mend: string): Finding {
  return { check, status: 'problem', detail: detailOf(check, detail), mend }
}

/** Messages name their object, and so does a check: once is enough. */
function detailOf(check: string, detail: string): string {
  const lead = `${check}: `
  return detail.startsWith(lead) ? detail.slice(lead.length) : detail
}

const MARK = { ok: 'ok     ', warning: 'WARNING', problem: 'PROBLEM' } as const

/** For people: a line, and one below that says how to mend it. */
export function findingText({ check, status, detail, mend }: Finding): string {
  const line = `${MARK[status]}  ${check}: ${detail.replaceAll('\n', '\n         ')}\n`
  return mend === undefined ? line : `${line}         -> ${mend}\n`
}
