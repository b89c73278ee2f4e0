/*
 * From blocks of a file to blocks of the disk. With n block numbers to a block:
 *
 *   block[0..11] --------------------------------> data 0..11
 *   block[12] -> n numbers ----------------------> the next n
 *   block[13] -> n numbers -> n numbers ---------> the next n^2
 *   block[14] -> n numbers -> n numbers -> n ----> the next n^3          0 = a hole
 *
 * map_lock: readers look up, writers change. Faults come here without inode->lock.
 */
#include "fs/ext3/ext3.h"

unsigned ext3_map_path(const struct ext3 *fs, u32 logical, u32 path[4])
{
    u64 n = fs->addr_per_block, at = logical;

    if (at < EXT3_N_DIRECT) {
        path[0] = (u32)at;
        return 1;
    }
    at -= EXT3_N_DIRECT;
    for (unsigned depth = 2; depth <= 4; depth++) {
        u64 span = 1ull << (depth - 1) * fs->addr_bits;

        if (at < span) {
            path[0] = EXT3_N_DIRECT + depth - 2;
            for (unsigned i = 1; i < depth; i++)
                path[i] = (u32)(at >> (depth - 1 - i) * fs->addr_bits & (n - 1));
            return depth;
        }
        at -= span;
    }
    return 0;
}

/* Bounded by the pointers, and by the inode's count of 512-byte sectors, indirect blocks included. */
u64 ext3_max_size(const struct ext3 *fs)
{
    u64 n = fs->addr_per_block;
    u64 by_map = EXT3_N_DIRECT + n + n * n + n * n * n;
    u64 by_count = UINT32_MAX / ext3_sectors_per_block(fs);

    by_count -= by_count / n + by_count / n / n + 4;
    return MIN(by_map, by_count) << fs->block_bits;
}

void ext3_chain_put(struct ext3_chain *chain)
{
    for (unsigned i = 1; i <= chain->level; i++)
        buffer_put(chain->buffer[i]);
}

static bool is_usable(const struct ext3 *fs, u32 first, u32 count)
{
    return ext3_block_is_sane(fs, first) && count <= fs->blocks_count - first &&
           !ext3_blocks_are_metadata(fs, first, count);
}

int ext3_walk(struct inode *inode, u32 logical, struct ext3_chain *chain)
{
    struct ext3 *fs = ext3_of(inode);

    chain->level = 0;
    chain->buffer[0] = NULL;
    chain->depth = ext3_map_path(fs, logical, chain->path);
    if (chain->depth == 0)
        return -EFBIG;
    chain->slot[0] = &ext3_i(inode)->block[chain->path[0]];
    while (chain->level + 1 < chain->depth && *chain->slot[chain->level] != 0) {
        u32 block = from_le32(*chain->slot[chain->level]);
        struct buffer *b;

        if (!is_usable(fs, block, 1)) {
            ext3_chain_put(chain);
            return ext3_corrupt(fs, "inode %lu: bad indirect block %u", (unsigned long)inode->ino, block);
        }
        b = ext3_bread(fs, block);
        if (IS_ERR(b)) {
            ext3_chain_put(chain);
            return (int)PTR_ERR(b);
        }
        chain->level++;
        chain->buffer[chain->level] = b;
        chain->slot[chain->level] = (le32 *)b->data + chain->path[chain->level];
    }
    return 0;
}

u32 ext3_chain_slots(const struct ext3 *fs, const struct ext3_chain *chain)
{
    return chain->depth == 1 ? EXT3_N_DIRECT - chain->path[0] : fs->addr_per_block - chain->path[chain->depth - 1];
}

u32 ext3_chain_hole(const struct ext3 *fs, const struct ext3_chain *chain)
{
    u64 offset = 0;

    for (unsigned i = chain->level + 1; i < chain->depth; i++)
        offset = (offset << fs->addr_bits) + chain->path[i];
    return (u32)((1ull << (chain->depth - 1 - chain->level) * fs->addr_bits) - offset);
}

/* The run of at most MAX slots that starts at SLOT: all empty, or numbers that follow each other. */
static u32 run_length(const le32 *slot, u32 max)
{
    u32 first = from_le32(slot[0]), n = 1;

    while (n < max && from_le32(slot[n]) == (first == 0 ? 0 : first + n))
        n++;
    return n;
}

/* What the finished walk found. => map_lock */
static int result_of(struct inode *inode, const struct ext3_chain *chain, u32 max, u32 *physical, u32 *count)
{
    struct ext3 *fs = ext3_of(inode);
    const le32 *slot = chain->slot[chain->level];

    *physical = from_le32(*slot);
    if (chain->level + 1 < chain->depth) {
        *count = MIN(max, ext3_chain_hole(fs, chain));
        return 0;
    }
    *count = run_length(slot, MIN(max, ext3_chain_slots(fs, chain)));
    if (*physical != 0 && !is_usable(fs, *physical, *count))
        return ext3_corrupt(fs, "inode %lu: bad block %u", (unsigned long)inode->ino, *physical);
    return 0;
}

int ext3_find_pages(struct inode *inode, u64 index, unsigned *n, u64 *sector)
{
    struct ext3 *fs = ext3_of(inode);
    u32 per_page = (u32)PAGE_SIZE >> fs->block_bits, physical, count;
    int error;

    if (ext3_journals_data(inode)) /* the log may have what would be written over it later */
        return -EINVAL;
    error = ext3_map(inode, (u32)index * per_page, *n * per_page, &physical, &count);

    if (error != 0)
        return error;
    *n = physical == 0 ? 0 : count / per_page;
    *sector = (u64)physical * ext3_sectors_per_block(fs);
    return 0;
}

int ext3_map_locked(struct inode *inode, u32 logical, u32 max, u32 *physical, u32 *count)
{
    struct ext3_chain chain;
    int error = ext3_walk(inode, logical, &chain);

    if (error == 0) {
        error = result_of(inode, &chain, max, physical, count);
        ext3_chain_put(&chain);
    }
    return error;
}

int ext3_map(struct inode *inode, u32 logical, u32 max, u32 *physical, u32 *count)
{
    struct ext3_inode *ei = ext3_i(inode);
    int error;

    read_lock(&ei->map_lock);
    error = ext3_map_locked(inode, logical, max, physical, count);
    read_unlock(&ei->map_lock);
    return error;
}

/* ---- allocating ---- */

/* Where LOGICAL's block should be: behind the block before it, else behind what points to it, else anywhere (0). */
static u32 find_goal(const struct inode *inode, const struct ext3_chain *chain, u32 logical)
{
    const struct ext3_inode *ei = ext3_i(inode);
    const le32 *slot = chain->slot[chain->level];

    if (ei->last_physical != 0 && logical == ei->last_logical + 1)
        return ei->last_physical + 1;
    for (u32 i = chain->path[chain->level]; i-- > 0;) {
        slot--;
        if (*slot != 0)
            return from_le32(*slot) + 1;
    }
    return chain->level > 0 ? from_le32(*chain->slot[chain->level - 1]) + 1 : 0;
}

/* The numbers [first, first + count) into the chain's current slots. */
static void set_slots(struct ext3_handle *h, struct ext3_chain *chain, u32 first, u32 count)
{
    struct buffer *b = chain->buffer[chain->level];

    if (b != NULL)
        ext3_access(h, b);
    for (u32 i = 0; i < count; i++)
        chain->slot[chain->level][i] = to_le32(first + i);
    if (b != NULL)
        ext3_dirty(h, b);
}

/* One more indirect block at the chain's end. */
static int add_level(struct ext3_handle *h, struct inode *inode, struct ext3_chain *chain, u32 *goal)
{
    u32 count = 1, block;
    struct buffer *b;
    int error = ext3_alloc_blocks(h, inode, *goal, &count, &block);

    if (error != 0)
        return error;
    b = ext3_bnew(h, block);
    if (IS_ERR(b)) {
        ext3_free_blocks(h, block, 1, false);
        return (int)PTR_ERR(b);
    }
    ext3_dirty(h, b);
    set_slots(h, chain, block, 1);
    inode->blocks += ext3_sectors_per_block(h->fs);
    chain->level++;
    chain->buffer[chain->level] = b;
    chain->slot[chain->level] = (le32 *)b->data + chain->path[chain->level];
    *goal = block + 1;
    return 0;
}

/* Fills the hole at the chain's end. => map_lock for writing */
static int fill(struct ext3_handle *h, struct inode *inode, struct ext3_chain *chain, u32 logical, u32 max,
                u32 *physical, u32 *count)
{
    struct ext3_inode *ei = ext3_i(inode);
    u32 goal = find_goal(inode, chain, logical);
    int error = 0;

    if (ext3_available_blocks(h->fs) < chain->depth - chain->level)
        return -ENOSPC; /* before half of the indirect blocks are made for nothing */
    while (chain->level + 1 < chain->depth && error == 0)
        error = add_level(h, inode, chain, &goal);
    if (error != 0)
        return error;
    *count = run_length(chain->slot[chain->level], MIN(max, ext3_chain_slots(h->fs, chain)));
    error = ext3_alloc_blocks(h, inode, goal, count, physical);
    if (error != 0)
        return error;
    set_slots(h, chain, *physical, *count);
    inode->blocks += (u64)*count * ext3_sectors_per_block(h->fs);
    ei->last_logical = logical + *count - 1;
    ei->last_physical = *physical + *count - 1;
    if ((u64)(logical + *count) << h->fs->block_bits > inode_size(inode) && S_ISREG(inode->mode))
        ei->past_end = MAX(ei->past_end, logical + *count);
    return 0;
}

/* *MAX becomes how many of the blocks from LOGICAL on the file's size takes; -ERANGE: none. => map_lock: who makes the
 * file shorter frees its blocks under it after the size has changed */
static int cut_to_size(const struct inode *inode, u32 logical, u32 *max)
{
    u64 end = DIV_ROUND_UP(inode_size(inode), (u64)ext3_of(inode)->block_size);

    if (logical >= end)
        return -ERANGE;
    *max = (u32)MIN((u64)*max, end - logical);
    return 0;
}

int ext3_map_allocate(struct ext3_handle *h, struct inode *inode, u32 logical, u32 max, bool below_size, u32 *physical,
                      u32 *count, bool *fresh)
{
    struct ext3_inode *ei = ext3_i(inode);
    struct ext3_chain chain;
    u64 before = inode->blocks;
    int error;

    *fresh = false;
    write_lock(&ei->map_lock);
    error = below_size ? cut_to_size(inode, logical, &max) : 0;
    if (error == 0)
        error = ext3_walk(inode, logical, &chain);
    if (error == 0) {
        error = result_of(inode, &chain, max, physical, count);
        if (error == 0 && *physical == 0) {
            error = fill(h, inode, &chain, logical, max, physical, count);
            *fresh = error == 0;
        }
        ext3_chain_put(&chain);
    }
    write_unlock(&ei->map_lock);
    if (error != 0 && inode->blocks != before) /* indirect blocks that lead nowhere yet */
        ext3_write_inode(h, inode);
    return error;
}

/* ---- */

int ext3_map_replace(struct ext3_handle *h, struct inode *inode, u32 logical)
{
    struct ext3_inode *ei = ext3_i(inode);
    struct ext3_chain chain;
    u32 old = 0, new, count = 1;
    int error;

    write_lock(&ei->map_lock);
    error = ext3_walk(inode, logical, &chain);
    if (error == 0) {
        if (chain.level + 1 == chain.depth)
            old = from_le32(*chain.slot[chain.level]);
        if (old != 0)
            error = ext3_alloc_blocks(h, inode, old, &count, &new);
        if (old != 0 && error == 0)
            set_slots(h, &chain, new, 1);
        ext3_chain_put(&chain);
    }
    ei->last_physical = 0;
    write_unlock(&ei->map_lock);
    if (error != 0 || old == 0)
        return error;
    ext3_free_blocks(h, old, 1, false);
    return 1;
}
