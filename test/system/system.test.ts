import { after, before, describe } from 'node:test'
import { missing } from '../e2e/stage/ability.ts'
import { showAccess } from './access.ts'
import { showBoots } from './boots.ts'
import { showCopies } from './copies.ts'
import { showCrashes } from './crashes.ts'
import { showDevices } from './devices.ts'
import { showImages } from './images.ts'
import { showInstallation } from './installation.ts'
import { showMounting } from './mounting.ts'
import { showNames } from './names.ts'
import { showRemoval } from './removal.ts'
import { cannotBoot } from './stage/can-boot.ts'
import { Site } from './stage/site.ts'

const SET_UP = { timeout: 240_000 }

describe('on a booted system', { skip: (await cannotBoot()) || missing('dh', 'sdNotify') }, () => {
  const site = new Site()
  before(() => site.setUp(), SET_UP)
  after(() => site.destroy(), SET_UP)

  for (const show of [
    showInstallation,
    showAccess,
    showCopies,
    showMounting,
    showNames,
    showImages,
    showCrashes,
    showBoots,
    showDevices,
    showRemoval,
  ]) {
    show(site)
  }
})
