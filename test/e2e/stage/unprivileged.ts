import { missing } from './ability.ts'

export const NOBODY = 65534

/** Goes before a command. Root runs as nobody, who may read the clone wherever it lies but has no other privilege; others have none anyway. */
export const UNPRIVILEGED = missing('root')
  ? ['env']
  : [
      'setpriv',
      `--reuid=${NOBODY}`,
      `--regid=${NOBODY}`,
      '--clear-groups',
      '--inh-caps=-all,+dac_read_search',
      '--ambient-caps=-all,+dac_read_search',
    ]
