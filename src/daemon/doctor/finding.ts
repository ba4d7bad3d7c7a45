/** What a check found. A warning costs something; a problem keeps mounts from working. */
export interface Finding {
  readonly check: string
  readonly status: 'ok' | 'warning' | 'problem'
  readonly detail: string
  /** What to do about it; undefined when all is well. */
  readonly mend?: string
}

export function ok(check: string, detail: string): Finding {
  return { check, status: 'ok', detail }
}

export function warning(check: string, detail: string, mend: string): Finding {
  return { check, status: 'warning', detail, mend }
}

export function problem(check: string, detail: string, mend: string): Finding {
  return { check, status: 'problem', detail, mend }
}
