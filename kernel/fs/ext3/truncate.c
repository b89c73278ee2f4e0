/*
 * Freeing blocks of a file. One piece at a time: what one block of numbers (or the inode) points to, and the indirect
 * blocks that have become empty by it; the file is consistent between pieces, so each may be a transaction of its own.
 * The orphan list remembers a truncation that did not end.
 */
#include "fs/ext3/ext3.h"

static bool is_empty(const struct buffer *b)
{
    for (u32 i = 0; i < b->size / sizeof(u64); i++)
        if (((const u64 *)b->data)[i] != 0)
            return false;
    return true;
}

static void uncount(struct inode *inode, u32 blocks)
{
    inode->blocks -= MIN(inode->blocks, (u64)blocks * ext3_sectors_per_block(ext3_of(inode)));
}

#define RUN_CREDITS                                                                                                    \
    8                   /* of one run: bitmaps and descriptors of two groups, twice: the run's and an indirect block's \
                         */
#define KEPT_CREDITS 24 /* of what follows: indirect blocks that have become empty, the inode */

/* Frees what the N slots from SLOT on point to, in runs, as far as the handle's credits reach: how many slots. */
static u32 free_slots(struct ext3_handle *h, struct inode *inode, le32 *slot, u32 n)
{
    bool was_metadata = !S_ISREG(inode->mode) || ext3_journals_data(inode);
    u32 i, run;

    for (i = 0; i < n; i += run) {
        u32 first = from_le32(slot[i]), credits, most;

        run = 1;
        if (first == 0)
            continue;
        credits = ext3_credits(h);
        if (credits < RUN_CREDITS + KEPT_CREDITS)
            break;
        most = was_metadata ? credits - KEPT_CREDITS - RUN_CREDITS + 1 : n; /* each block that was metadata is one */
        for (run = 1; i + run < n && run < most && from_le32(slot[i + run]) == first + run;)
            run++;
        memset(&slot[i], 0, run * sizeof(*slot));
        ext3_free_blocks(h, first, run, was_metadata);
        uncount(inode, run);
    }
    return i;
}

/* Frees the blocks of numbers on the chain that are empty, from its end up. One that leads nowhere is also what a write
 * leaves that found no room for its data. */
static void free_empty(struct ext3_handle *h, struct inode *inode, struct ext3_chain *chain)
{
    for (unsigned level = chain->level; level > 0 && is_empty(chain->buffer[level]); level--) {
        u32 block = from_le32(*chain->slot[level - 1]);
        struct buffer *above = chain->buffer[level - 1];

        if (above != NULL)
            ext3_access(h, above);
        *chain->slot[level - 1] = 0;
        if (above != NULL)
            ext3_dirty(h, above);
        ext3_free_blocks(h, block, 1, true);
        uncount(inode, 1);
    }
}

/* Frees the slots from the chain's end on, at most N, then what is empty above: how many slots. */
static u32 free_piece(struct ext3_handle *h, struct inode *inode, struct ext3_chain *chain, u32 n)
{
    struct buffer *b = chain->buffer[chain->level];

    if (b != NULL)
        ext3_access(h, b);
    n = free_slots(h, inode, chain->slot[chain->level], n);
    if (b != NULL)
        ext3_dirty(h, b);
    free_empty(h, inode, chain);
    return n;
}

/* The piece at *AT: 0 with *AT behind it. => map_lock for writing */
static int free_some(struct ext3_handle *h, struct inode *inode, u32 *at, u32 end)
{
    struct ext3_chain chain;
    int error = ext3_walk(inode, *at, &chain);
    u32 n;

    if (error != 0)
        return error;
    if (chain.level + 1 < chain.depth) {
        n = ext3_chain_hole(h->fs, &chain);
        n = MIN(n, end - *at);
        free_empty(h, inode, &chain);
    } else {
        n = MIN(ext3_chain_slots(h->fs, &chain), end - *at);
        n = free_piece(h, inode, &chain, n);
    }
    ext3_chain_put(&chain);
    *at += n;
    return 0;
}

int ext3_free_range(struct ext3_handle *h, struct inode *inode, u32 first, u32 end)
{
    struct ext3_inode *ei = ext3_i(inode);
    int error = 0;

    ext3_discard_window(inode);
    while (first < end && error == 0) {
        u64 before = inode->blocks;
        bool is_empty;

        write_lock(&ei->map_lock);
        error = free_some(h, inode, &first, end);
        ei->last_physical = 0;
        write_unlock(&ei->map_lock);
        if (error == -ENOMEM) { /* nobody would find these blocks again */
            sched_yield();
            error = 0;
            continue;
        }
        if (error == -EFBIG)
            return 0;                             /* past the last block that a file can have */
        if (error == -EUCLEAN || error == -EIO) { /* an unreadable branch: leave it, free the rest */
            h->error = error;
            first = MIN(end, first + h->fs->addr_per_block);
            error = 0;
        }
        if (inode->blocks != before)
            error = ext3_write_inode(h, inode);
        is_empty = inode->blocks == (ei->file_acl != 0 ? ext3_sectors_per_block(h->fs) : 0) && h->error == 0;
        if (error == 0 && !(is_empty && ext3_credits(h) >= EXT3_TRUNCATE_CREDITS / 2))
            error = ext3_restart(h, EXT3_TRUNCATE_CREDITS) == -EROFS ? -EROFS : 0;
        if (is_empty)
            break;
        cond_resched();
    }
    return error;
}

static u32 blocks_below_size(const struct inode *inode)
{
    return (u32)DIV_ROUND_UP(inode_size(inode), (u64)ext3_of(inode)->block_size);
}

int ext3_truncate(struct inode *inode)
{
    struct ext3_handle h;
    bool orphan = inode->nlink > 0;
    int error = ext3_begin(&h, ext3_of(inode), EXT3_TRUNCATE_CREDITS);

    if (error != 0)
        return error;
    if (orphan)
        error = ext3_orphan_add(&h, inode);
    if (error == 0)
        error = ext3_free_range(&h, inode, blocks_below_size(inode), UINT32_MAX);
    ext3_i(inode)->past_end = 0;
    if (orphan)
        ext3_orphan_remove(&h, inode);
    ext3_end(&h);
    return error != 0 ? error : h.error;
}

void ext3_trim(struct inode *inode)
{
    struct ext3_inode *ei = ext3_i(inode);

    if (load_relaxed(&ei->past_end) <= blocks_below_size(inode)) {
        store_relaxed(&ei->past_end, 0);
        return;
    }
    if (!inode->super->read_only)
        ext3_truncate(inode);
}
