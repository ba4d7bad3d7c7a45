import { become } from '../system/become.ts'
import type { ClusterQuestion } from './ask-clusters.ts'
import { checkClusters } from './check-sheep.ts'

/** Gives up root, then asks clusters, and prints what was found, as JSON. */
const { account, uses } = JSON.parse(process.argv[2] ?? '') as ClusterQuestion
become(account)
process.stdout.write(JSON.stringify(await checkClusters(uses)))
