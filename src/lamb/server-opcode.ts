/** Operations that clients must not send, but administrators' tools and sheep do. */
export const ServerOpcode = { MAKE_FS: 0x84, INODE_COHERENCE: 0xc8 } as const
