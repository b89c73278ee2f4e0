/*
 * Files whose data go through the journal (data=journal): bytes, blocks and sizes change in one order, and a crash
 * leaves what some moment held.
 *
 *     write(2) ----> page --+
 *                           | copied within a handle          commit            checkpoint
 *     mapping --W--> page --+------------------------> buffer --------> the log ----------> the block
 *               (at write-back)                          |
 *     reading a page that is not cached <----------------+  (if there is a buffer: it may be newer than the disk)
 *
 * The journal has copies in buffers of its own, so stores through mappings never change what is on its way to the log,
 * and pages may go while the disk does not have them yet. Freed blocks are revoked like metadata (ext3_journals_data in
 * truncate.c).
 *
 * Locks: handle -> data_lock -> map_lock. data_lock makes "the page changes" and "it is copied" one step against others
 * who copy the same page; map_lock is held from the look at the map until the block is the transaction's, so that who
 * frees it comes before or after. PG_WRITEBACK is set and waited for within handles only: who has it needs no other.
 */
#include "fs/ext3/ext3.h"
#include "vm/page.h"

#define BATCH 16 /* pages in one handle */

bool ext3_journals_data(const struct inode *inode) { return inode->object.ops == &ext3_journalled_object_ops; }

/* The buffer of a block of which nothing is wanted: a change that has begun waits for memory. */
static struct buffer *get_buffer(struct ext3 *fs, u32 physical)
{
    struct buffer *b;

    while ((b = buffer_get(fs->device, physical, fs->block_size)) == NULL)
        sched_yield();
    return b;
}

/* Block LOGICAL, which lies at PHYSICAL, has the bytes of PAGE (NULL: zeros); there are zeros behind the file's end. */
static int log_block(struct ext3_handle *h, struct inode *inode, struct page *page, u32 logical, u32 physical)
{
    struct ext3 *fs = h->fs;
    u64 offset = (u64)logical << fs->block_bits, size = inode_size(inode);
    size_t below = page == NULL || size <= offset ? 0 : MIN(size - offset, (u64)fs->block_size);
    struct buffer *b = get_buffer(fs, physical);

    if (!ext3_claim_for_data(b)) {
        buffer_put(b);
        return ext3_corrupt(fs, "inode %lu: block %u is the file system's", (unsigned long)inode->ino, physical);
    }
    if (journal_access(&h->journal, b) == 0) {
        if (below > 0)
            memcpy(b->data, (const char *)page_address(page) + (offset & PAGE_MASK), below);
        memset(b->data + below, 0, fs->block_size - below);
        buffer_set_uptodate(b);
        ext3_dirty(h, b);
    }
    buffer_put(b);
    return 0;
}

/* => data_lock */
static int log_blocks(struct ext3_handle *h, struct inode *inode, struct page *page, u64 at, u64 end)
{
    struct ext3_inode *ei = ext3_i(inode);
    u32 physical, count;
    int error = 0;

    read_lock(&ei->map_lock);
    for (; at < end && error == 0; at += count) {
        error = ext3_map_locked(inode, (u32)at, (u32)(end - at), &physical, &count);
        for (u32 i = 0; error == 0 && physical != 0 && i < count; i++)
            error = log_block(h, inode, page, (u32)at + i, physical + i);
    }
    read_unlock(&ei->map_lock);
    return error;
}

/* fsync and fdatasync must wait for the handle's transaction. */
static void note_transaction(struct ext3_handle *h, struct ext3_inode *ei)
{
    if (h->journal.transaction == NULL)
        return;
    spin_lock(&h->fs->copy_lock);
    ei->sync_tid = ei->datasync_tid = journal_tid(&h->journal);
    spin_unlock(&h->fs->copy_lock);
}

int ext3_log_data(struct ext3_handle *h, struct inode *inode, struct page *page, u64 at, u64 end)
{
    struct ext3_inode *ei = ext3_i(inode);
    int error;

    mutex_lock(&ei->data_lock);
    error = log_blocks(h, inode, page, at, end);
    mutex_unlock(&ei->data_lock);
    note_transaction(h, ei);
    return error;
}

void ext3_publish_data(struct ext3_handle *h, struct inode *inode, struct page *page, u64 at, u64 end, int error,
                       void (*publish)(void *arg, int error), void *arg)
{
    struct ext3_inode *ei = ext3_i(inode);

    mutex_lock(&ei->data_lock);
    publish(arg, error);
    if (log_blocks(h, inode, page, at, end) != 0)
        page_set_dirty(page); /* the map cannot be read: write-back will find out, and tell */
    mutex_unlock(&ei->data_lock);
    note_transaction(h, ei);
}

/* ---- pages that mappings made dirty ---- */

static unsigned pages_in_handle(const struct ext3 *fs)
{
    unsigned most = journal_max_credits(fs->journal) / (unsigned)(PAGE_SIZE >> fs->block_bits);

    return most > 4 ? MIN((unsigned)BATCH, most - 3) : 1;
}

int ext3_log_page(struct ext3_handle *h, struct inode *inode, struct page *page)
{
    u32 bits = PAGE_SHIFT - h->fs->block_bits;
    u64 size_end = DIV_ROUND_UP(inode_size(inode), (u64)h->fs->block_size), at = page->index << bits;

    return ext3_log_data(h, inode, page, at, MAX(at, MIN(size_end, at + (1u << bits))));
}

/* A journal that takes nothing any more: what mappings stored is lost. */
static void fail_range(struct object *o, u64 index, u64 last, bool wait, int error)
{
    struct page *page;

    while (object_take_dirty(o, &index, last, wait, &page, 1) > 0)
        page_write_done(page, error);
}

void ext3_write_range(struct object *o, u64 first, u64 last, bool wait)
{
    struct inode *inode = object_inode(o);
    struct ext3 *fs = ext3_of(inode);
    unsigned most = pages_in_handle(fs), n;
    struct page *batch[BATCH];
    u64 index = first;

    do {
        struct ext3_handle h;
        int error;

        if (load_relaxed(&o->nr_dirty) == 0)
            return;
        error = ext3_begin(&h, fs, most << (PAGE_SHIFT - fs->block_bits));
        if (error != 0) {
            fail_range(o, index, last, wait, -EIO);
            return;
        }
        if (!ext3_journals_data(inode)) { /* not any more (flags.c), which cannot change within a handle */
            ext3_end(&h);
            object_writeback(o, index << PAGE_SHIFT, last << PAGE_SHIFT, wait);
            return;
        }
        n = object_take_dirty(o, &index, last, wait, batch, most);
        for (unsigned i = 0; i < n; i++) {
            error = ext3_log_page(&h, inode, batch[i]);
            if (error == -ENOMEM) /* not the disk's fault: there will be another try */
                page_set_dirty(batch[i]);
            page_write_done(batch[i], error);
        }
        ext3_end(&h);
        cond_resched();
    } while (n > 0);
}
