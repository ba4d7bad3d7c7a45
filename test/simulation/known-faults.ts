import type { Finding } from './finding.ts'

/** A fault of the client that is known and not mended yet, and by what a finding is told to be one of it. */
interface KnownFault {
  readonly name: string
  /** A seed that finds it, and nothing else before. */
  readonly seed: number
  readonly isShownBy: (finding: Finding) => boolean
}

const after =
  (cause: string) =>
  ({ circumstance }: Finding): boolean =>
    circumstance.includes(cause)

/** Why a replica may not answer. */
const UNREACHED = ['partition', 'node death', 'rack outage', 'strain']

/**
 * What the simulation has found and has still to be mended, most telling first: the first that fits is the one. A fault
 * that is mended goes from here to `MENDED_SEEDS`.
 */
export const KNOWN_FAULTS: readonly KnownFault[] = [
  {
    // a limit, not to be mended here (docs/guarantees.md): only a question tells of it, and it takes its time
    name: 'a disk that is unplugged or plugged in undoes what was written just before that was seen',
    seed: 943,
    isShownBy: after('fetch before a disk change was seen'),
  },
  {
    name: 'a removal that takes longer than 30 s takes away what was created meanwhile',
    seed: 5130,
    isShownBy: (finding) =>
      finding.past.includes('slow removals') &&
      (finding.symptom === 'rule 8 broken' || after('removal of a new object')(finding)),
  },
  {
    name: 'removals hold creates up without a bound',
    seed: 1529,
    isShownBy: (finding) => finding.symptom === 'waits' && after('an object without an entry')(finding),
  },
  {
    name: 'a short node list, or none in a successor, leaves nobody to ask when the configured sheep are away',
    seed: 8322,
    isShownBy: (finding) => finding.symptom === 'waits' && after('no other sheep known')(finding),
  },
  {
    name: 'what a snapshot has lost of the index is not repaired when the worker is killed before its next look',
    seed: 1017,
    isShownBy: (finding) => after('publish lost to a snapshot')(finding) && finding.past.includes('worker killed'),
  },
  {
    name: 'an index update is sent again though a late fetch has brought it back meanwhile',
    seed: 23525,
    isShownBy: (finding) => finding.symptom === 'rule 5 broken' && after('late fetch')(finding),
  },
  {
    // a limit, not to be mended here (docs/guarantees.md): nobody can tell when a stopped gateway goes on
    name: 'a gateway that is stopped for longer than a deadline still has what was sent again elsewhere',
    seed: 17324,
    isShownBy: ({ symptom, past }) => /^rule [456] broken$/.test(symptom) && past.includes('freeze'),
  },
  {
    // harmless: what belongs to the inode goes with it
    name: 'an index update that is under way when the VDI is rolled back comes to an inode that is deleted',
    seed: 3879,
    isShownBy: ({ symptom, past }) => /^rule [56] broken$/.test(symptom) && past.includes('rollback'),
  },
  {
    // a limit: sheep that recover undo what a snapshot wrote, as any write; nothing of ours is lost by it
    name: 'a snapshot that was taken while nodes die is not there to be rolled back to',
    seed: 11049,
    isShownBy: ({ symptom, past }) =>
      symptom === 'error not-found' && past.includes('rollback') && past.includes('node death'),
  },
  {
    // a limit, not to be mended here (docs/guarantees.md): sheep execute after a format what they were sent before
    name: 'what is under way while the cluster is formatted is executed in what it has become',
    seed: 1234,
    isShownBy: ({ symptom, message, past }) =>
      past.includes('format') &&
      (symptom === 'foreign bytes' || symptom === 'rule 5 broken' || message.includes('formatter')),
  },
  {
    // harmless: an own entry of a working VDI has no reference to lose (docs/sheepdog-protocol.md#5.5)
    name: 'a replica that cannot be reached is given an update that it has, or has got from others meanwhile',
    seed: 3194,
    isShownBy: ({ symptom, past }) => symptom === 'rule 5 broken' && UNREACHED.some((cause) => past.includes(cause)),
  },
  {
    // a limit, not to be mended here (docs/guarantees.md): the nodes that are left cannot know of the newer copies
    name: 'when all holders of the latest copy are away, one that was away before brings back its older copy',
    seed: 1025131,
    isShownBy: after('older copy'),
  },
  {
    // a limit, not to be mended here (docs/guarantees.md): a lock names a sheep, not a client
    name: 'a rival that locks through the same sheep after a restart of all is taken for us, or has the lock before us',
    seed: 17938,
    isShownBy: ({ symptom, message, past }) =>
      past.includes('restart of all') &&
      (symptom === 'two writers' || message.includes('its lock was broken, or lost')),
  },
  {
    name: 'NO_VDI and a removal are believed while holders are away, and strips that more nodes took than there is parity',
    seed: 3780,
    isShownBy: (finding) =>
      (finding.symptom !== 'waits' && after('holders away')(finding)) ||
      (finding.symptom.startsWith('error io') && after('stale strip')(finding)),
  },
  {
    // a limit, not to be mended here (docs/guarantees.md): sheep mark the inode first, and make the next one then
    name: 'a snapshot that all sheep die under leaves the VDI without an inode that takes writes',
    seed: 1103081,
    isShownBy: ({ message }) => message.includes('it was cloned without a snapshot'),
  },
  {
    // a limit, not to be mended here (docs/guarantees.md): until it goes over it works on the snapshot, which is whole
    name: 'a volume that was not written to since a snapshot notices a rollback past it with its next write',
    seed: 1119038,
    isShownBy: ({ message, past }) => message.includes('attached anew') && past.includes('rollback'),
  },
  {
    // a limit, not to be mended here (docs/guarantees.md): what nobody refers to is removed; fsync says that it is lost
    name: 'a snapshot that is deleted before the volume goes over takes with it what it has lost of the index',
    seed: 14869,
    isShownBy: (finding) => after('deletion of a snapshot')(finding) && after('publish lost to a snapshot')(finding),
  },
]

/** The fault that a finding shows; undefined: a new one. */
export function knownFault(finding: Finding): KnownFault | undefined {
  return KNOWN_FAULTS.find(({ isShownBy }) => isShownBy(finding))
}

/** Seeds of faults that are mended: they find nothing any more. */
export const MENDED_SEEDS: readonly { readonly seed: number; readonly name: string }[] = [
  { seed: 1243, name: 'with fewer zones than strips, recovery took stale strips' },
  { seed: 12, name: 'NO_OBJ while holders were away was believed' },
  { seed: 116, name: 'locks that are lost when the whole cluster restarts were not taken again' },
  { seed: 97, name: 'a VDI of which a snapshot was taken while it was being attached was attached as the snapshot' },
  { seed: 1280, name: 'attached for reading, a discard elsewhere was an error, or new ranges were zeros' },
  { seed: 737, name: 'two snapshots at once rolled the VDI back' },
  { seed: 1079336, name: 'a volume that was detached while it took the lock of its next inode left that lock' },
  {
    seed: 40,
    name: 'the lock of an inode that became a snapshot stayed when the worker was killed before it went over',
  },
  { seed: 1115, name: 'a successor gave a volume up when no node that had its inode was there' },
  { seed: 222, name: 'a format underneath, or a move to a cluster of a lower epoch, let requests wait for ever' },
  { seed: 2, name: 'another cluster at the same address, or a format, was taken for the same' },
  { seed: 57, name: 'a rollback underneath was not noticed by every request, nor by a successor' },
  { seed: 210, name: 'an empty STAT_CLUSTER of a sheep that starts was taken for a cluster without locks' },
  { seed: 15, name: 'a snapshot that was deleted before the volume went over to the next inode made it stale' },
  { seed: 7544, name: 'publishes ignored io_timeout' },
  { seed: 18941, name: 'a successor that does not reach the cluster let requests wait, whatever io_timeout says' },
  { seed: 44691, name: 'who waited for zones while the cluster was formatted waited for ever' },
  { seed: 1108667, name: 'holders that do not answer were asked three times, whatever io_timeout says' },
  { seed: 17289, name: 'a recovery that began while another one was not over undid what was written' },
  {
    seed: 503553,
    name: 'home was taken over a connection from before the cluster was formatted: a write waited for ever',
  },
  {
    seed: 525800,
    name: 'home was taken over a connection from before the cluster was formatted: written to the other one',
  },
  { seed: 1589, name: 'a successor looked for what it had before the cluster was formatted, and waited for a node' },
  { seed: 20172, name: 'a VDI that was made with the vid of a snapshot was opened in its place' },
  { seed: 21195, name: 'a successor with an io_timeout gave its volumes up while the cluster had too few nodes' },
]
