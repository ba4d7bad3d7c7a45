import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { endianness, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import * as abi from '../../src/wire/fuse-abi.ts'
import * as structs from '../../src/wire/fuse-structs.ts'

/** Runs a C program that includes linux/fuse.h; undefined when it does not compile here. */
function runC(body: string): string | undefined {
  const dir = mkdtempSync(join(tmpdir(), 'sheepfs-abi-'))
  try {
    const program = join(dir, 'abi')
    const source = `#include <stdio.h>\n#include <stddef.h>\n#include <linux/fuse.h>\n#include <linux/falloc.h>
int main(void) {\n${body}\nreturn 0; }\n`
    writeFileSync(`${program}.c`, source)
    const compiled = spawnSync('cc', ['-o', program, `${program}.c`], { timeout: 30_000 })
    if (compiled.status !== 0) return undefined
    return spawnSync(program, { encoding: 'utf8', timeout: 10_000 }).stdout
  } finally {
    rmSync(dir, { recursive: true })
  }
}

const noCompiler = runC('') === undefined ? 'no C compiler, or no linux/fuse.h' : false

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

const TABLES = {
  fuse_in_header: structs.FuseInHeader,
  fuse_out_header: structs.FuseOutHeader,
  fuse_attr: structs.FuseAttr,
  fuse_attr_out: structs.FuseAttrOut,
  fuse_entry_out: structs.FuseEntryOut,
  fuse_setattr_in: structs.FuseSetattrIn,
  fuse_open_in: structs.FuseOpenIn,
  fuse_open_out: structs.FuseOpenOut,
  fuse_read_in: structs.FuseReadIn,
  fuse_write_in: structs.FuseWriteIn,
  fuse_write_out: structs.FuseWriteOut,
  fuse_release_in: structs.FuseReleaseIn,
  fuse_fsync_in: structs.FuseFsyncIn,
  fuse_kstatfs: structs.FuseKstatfs,
  fuse_init_in: structs.FuseInitIn,
  fuse_init_out: structs.FuseInitOut,
  fuse_fallocate_in: structs.FuseFallocateIn,
  fuse_lseek_in: structs.FuseLseekIn,
  fuse_lseek_out: structs.FuseLseekOut,
  fuse_dirent: structs.FuseDirent,
  fuse_notify_inval_inode_out: structs.FuseNotifyInvalInodeOut,
  fuse_notify_inval_entry_out: structs.FuseNotifyInvalEntryOut,
}

test('the machine stores integers as the tables do', () => {
  assert.equal(endianness(), 'LE')
})

test('every member stands where the C compiler puts it', { skip: noCompiler }, () => {
  const members = Object.entries(TABLES).flatMap(([struct, table]) =>
    Object.entries(table)
      .filter(([name]) => !/(?:Low|High)$/.test(name))
      .map(([name, field]) => ({ struct, member: snake(name), offset: field.offset, size: field.size })),
  )
  const body = members.map(
    ({ struct, member }) =>
      `printf("${struct}.${member} %zu %zu\\n", offsetof(struct ${struct}, ${member}), sizeof(((struct ${struct} *)0)->${member}));`,
  )
  const ours = members.map(({ struct, member, offset, size }) => `${struct}.${member} ${offset} ${size}\n`)
  assert.equal(ours.join(''), runC(body.join('\n')))
})

test('every struct is as long as the C compiler makes it', { skip: noCompiler }, () => {
  const sizes = Object.entries(structs.FuseSize)
  const body = sizes.map(([name]) => `printf("${name} %zu\\n", sizeof(struct fuse_${snake(name)}));`)
  assert.equal(sizes.map(([name, size]) => `${name} ${size}\n`).join(''), runC(body.join('\n')))
  const attrs = 'printf("%zu %zu", offsetof(struct fuse_attr_out, attr), offsetof(struct fuse_entry_out, attr));'
  assert.equal(runC(attrs), `${structs.FUSE_ATTR_OUT_ATTR} ${structs.FUSE_ENTRY_OUT_ATTR}`)
})

test('every number has the value of linux/fuse.h, as far as that is new enough', { skip: noCompiler }, () => {
  const minor = Number(runC('printf("%d", FUSE_KERNEL_MINOR_VERSION);'))
  const since: Record<string, number> = {
    FUSE_STATX: 39,
    FUSE_COPY_FILE_RANGE_64: 45,
    FUSE_NOTIFY_RESEND: 40,
    FUSE_DIRECT_IO_ALLOW_MMAP: 39,
    FUSE_HAS_RESEND: 40,
  }
  const numbers = [
    ...entries('FUSE_', abi.FuseOpcode),
    ...entries('FUSE_NOTIFY_', abi.FuseNotify),
    ...entries('FUSE_', abi.FuseInit),
    ...Object.entries(abi.FuseInit2).map(([name, bit]) => [`FUSE_${name}`, bit * 2 ** 32] as const),
    ...entries('FOPEN_', abi.Fopen),
    ...entries('FATTR_', abi.Fattr),
    ...entries('FALLOC_FL_', abi.FallocFl),
  ].filter(([name]) => (since[name] ?? 0) <= minor)
  const body = numbers.map(([name]) => `printf("${name} %lld\\n", (long long)${name});`)
  assert.equal(numbers.map(([name, value]) => `${name} ${value}\n`).join(''), runC(body.join('\n')))
})

function entries(prefix: string, table: Readonly<Record<string, number>>): (readonly [string, number])[] {
  return Object.entries(table).map(([name, value]) => [prefix + name, value] as const)
}
