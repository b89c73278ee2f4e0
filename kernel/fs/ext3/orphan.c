/*
 * The orphan list: inodes that must not survive a restart as they are, because they have no name but users, or are
 * being truncated.
 *
 *   super block's last_orphan -> inode -> (its dtime field) inode -> ... -> 0
 *
 * fs->orphans holds the same inodes in the same order. orphan_lock guards both.
 */
#include "fs/ext3/ext3.h"

static void set_head(struct ext3_handle *h, u32 ino)
{
    ext3_access(h, h->fs->super_buffer);
    h->fs->disk->last_orphan = to_le32(ino);
    ext3_dirty(h, h->fs->super_buffer);
}

int ext3_orphan_add(struct ext3_handle *h, struct inode *inode)
{
    struct ext3 *fs = h->fs;
    struct ext3_inode *ei = ext3_i(inode);
    int error = 0;

    mutex_lock(&fs->orphan_lock);
    if (list_empty(&ei->orphan_link)) {
        ei->orphan_next = from_le32(fs->disk->last_orphan);
        list_add(&fs->orphans, &ei->orphan_link);
        error = ext3_write_inode(h, inode);
        if (error == 0)
            set_head(h, (u32)inode->ino);
        else
            list_remove(&ei->orphan_link);
    }
    mutex_unlock(&fs->orphan_lock);
    return error;
}

int ext3_orphan_remove(struct ext3_handle *h, struct inode *inode)
{
    struct ext3 *fs = h->fs;
    struct ext3_inode *ei = ext3_i(inode);
    struct list *before;
    int error = 0;

    mutex_lock(&fs->orphan_lock);
    if (!list_empty(&ei->orphan_link)) {
        before = ei->orphan_link.prev;
        list_remove(&ei->orphan_link);
        if (before == &fs->orphans) {
            set_head(h, ei->orphan_next);
        } else {
            struct ext3_inode *previous = list_entry(before, struct ext3_inode, orphan_link);

            previous->orphan_next = ei->orphan_next;
            error = ext3_write_inode(h, &previous->vfs);
        }
        ei->orphan_next = 0;
        if (error == 0)
            error = ext3_write_inode(h, inode);
    }
    mutex_unlock(&fs->orphan_lock);
    return error;
}

/* One inode off the disk's list: deleted or truncated. False: the list cannot be followed. */
static bool process_one(struct ext3 *fs, u32 ino, u32 *next, unsigned *deleted, unsigned *truncated)
{
    struct inode *inode;
    struct ext3_inode *ei;

    if (!ext3_ino_is_sane(fs, ino) || ext3_ino_in_use(fs, ino) != 1)
        return false;
    inode = ext3_iget_orphan(fs->super, ino);
    if (IS_ERR(inode))
        return false;
    ei = ext3_i(inode);
    *next = ei->dtime;
    ei->orphan_next = ei->dtime;
    ei->dtime = 0;
    list_add(&fs->orphans, &ei->orphan_link);
    if (inode->nlink > 0) {
        (*truncated)++;
        if (S_ISREG(inode->mode)) {
            struct ext3_handle h;

            ext3_truncate(inode);
            if (ext3_begin(&h, fs, EXT3_INODE_CREDITS + 1) == 0) {
                ext3_orphan_remove(&h, inode);
                ext3_end(&h);
            }
        }
    } else {
        (*deleted)++;
    }
    inode_put(inode); /* without links: gone, and off the list */
    return true;
}

static void forget_list(struct ext3 *fs)
{
    struct ext3_handle h;

    if (ext3_begin(&h, fs, 1) != 0)
        return;
    set_head(&h, 0);
    ext3_end(&h);
}

void ext3_process_orphans(struct ext3 *fs)
{
    unsigned deleted = 0, truncated = 0;
    u32 ino = from_le32(fs->disk->last_orphan), next = 0;

    if (!list_empty(&fs->orphans)) /* a remount: they are in use */
        return;
    while (ino != 0 && deleted + truncated < fs->inodes_count) {
        if (!process_one(fs, ino, &next, &deleted, &truncated)) {
            ext3_corrupt(fs, "the orphan list leads to inode %u", ino);
            forget_list(fs);
            break;
        }
        ino = next;
    }
    if (deleted + truncated > 0)
        kprintf("ext3 %s: %u unlinked files deleted, %u truncations completed", fs->device->name, deleted, truncated);
}
