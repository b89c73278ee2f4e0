/*
 * Handles: every change of metadata is made within one, so that the journal, when it comes, has all of them: it will
 * reserve log space in ext3_begin, copy buffers that a committing transaction still needs in ext3_access, record them
 * in ext3_dirty and revoke in ext3_forget. Without it, changes go to the buffer cache and reach the disk in any order.
 */
#include "fs/ext3/ext3.h"

int ext3_begin(struct ext3_handle *h, struct ext3 *fs, unsigned credits)
{
    h->fs = fs;
    h->credits = credits;
    h->error = fs->super->read_only ? -EROFS : 0;
    return h->error;
}

int ext3_restart(struct ext3_handle *h, unsigned credits)
{
    h->credits = credits;
    return h->error;
}

int ext3_end(struct ext3_handle *h) { return h->error; }

int ext3_access(struct ext3_handle *h, struct buffer *b)
{
    ASSERT(buffer_is_uptodate(b));
    return 0;
}

int ext3_access_new(struct ext3_handle *h, struct buffer *b) { return 0; }

void ext3_dirty(struct ext3_handle *h, struct buffer *b) { buffer_mark_dirty(b); }

void ext3_forget(struct ext3_handle *h, u32 block) { buffer_forget(h->fs->device, block); }

struct buffer *ext3_bread(struct ext3 *fs, u32 block) { return buffer_read(fs->device, block, fs->block_size); }

struct buffer *ext3_bnew(struct ext3_handle *h, u32 block)
{
    struct buffer *b = buffer_get(h->fs->device, block, h->fs->block_size);

    if (b == NULL)
        return ERR_PTR(-ENOMEM);
    ext3_access_new(h, b);
    memset(b->data, 0, b->size);
    buffer_set_uptodate(b);
    return b;
}
