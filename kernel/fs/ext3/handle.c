/*
 * Handles: every change of metadata is made within one, so that the journal has all of them. On an image without a
 * journal, changes go to the buffer cache and reach the disk in any order.
 */
#include "fs/ext3/ext3.h"

int ext3_begin(struct ext3_handle *h, struct ext3 *fs, unsigned credits)
{
    h->fs = fs;
    h->journal.transaction = NULL;
    h->error = unlikely(fs->super->read_only) ? -EROFS : 0;
    if (likely(h->error == 0 && fs->journal != NULL))
        h->error = journal_start(&h->journal, fs->journal, credits);
    return h->error;
}

int ext3_restart(struct ext3_handle *h, unsigned credits)
{
    int error = h->fs->journal != NULL && h->journal.transaction != NULL ? journal_restart(&h->journal, credits) : 0;

    if (error != 0)
        h->error = error;
    return h->error;
}

static int end(struct ext3_handle *h, bool durably)
{
    struct ext3 *fs = h->fs;
    u32 tid;

    if (fs->journal == NULL || h->journal.transaction == NULL)
        return h->error;
    tid = journal_tid(&h->journal);
    journal_stop(&h->journal);
    if (unlikely(durably)) {
        int error = journal_commit(fs->journal, tid);

        h->error = h->error != 0 ? h->error : error;
    }
    return h->error;
}

int ext3_end(struct ext3_handle *h) { return end(h, h->fs->super->synchronous); }

int ext3_end_inode(struct ext3_handle *h, const struct inode *inode) { return end(h, inode_is_synchronous(inode)); }

int ext3_end_names(struct ext3_handle *h, const struct inode *dir) { return end(h, inode_has_synchronous_names(dir)); }

int ext3_access_new(struct ext3_handle *h, struct buffer *b)
{
    return h->fs->journal != NULL ? journal_access_new(&h->journal, b) : 0;
}

int ext3_forget(struct ext3_handle *h, u32 block)
{
    if (h->fs->journal != NULL)
        return journal_forget(&h->journal, block);
    buffer_forget(h->fs->device, block);
    return 0;
}

unsigned ext3_credits(const struct ext3_handle *h)
{
    if (h->fs->journal == NULL || h->journal.transaction == NULL)
        return 1u << 20;
    return (unsigned)MAX(h->journal.credits, 0);
}

bool ext3_retry(struct ext3 *fs, long error, unsigned *attempts)
{
    if (likely(error != -ENOSPC) || fs->journal == NULL || load_relaxed(&fs->n_pending) == 0 || (*attempts)++ >= 3)
        return false;
    return journal_commit_all(fs->journal) == 0;
}

struct buffer *ext3_bread(struct ext3 *fs, u32 block)
{
    struct buffer *b = buffer_read(fs->device, block, fs->block_size);

    if (IS_ERR(b) || likely(!(load_relaxed(&b->state) & BUFFER_DATA)))
        return b;
    buffer_put(b);
    return ERR_PTR(ext3_corrupt(fs, "block %u is a file's and the file system's", block));
}

bool ext3_claim_for_data(struct buffer *b)
{
    u32 old = atomic_or(&b->state, BUFFER_DATA);

    if ((old & (BUFFER_UPTODATE | BUFFER_DATA)) != BUFFER_UPTODATE)
        return true;
    atomic_and(&b->state, ~(u32)BUFFER_DATA);
    return false;
}

struct buffer *ext3_bnew(struct ext3_handle *h, u32 block)
{
    struct buffer *b = buffer_get(h->fs->device, block, h->fs->block_size);

    if (b == NULL)
        return ERR_PTR(-ENOMEM);
    ext3_access_new(h, b);
    atomic_and(&b->state, ~(u32)BUFFER_DATA);
    memset(b->data, 0, b->size);
    buffer_set_uptodate(b);
    return b;
}
