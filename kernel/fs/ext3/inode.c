/*
 * Inodes between the disk and memory, and their end.
 *
 * Times have 32-bit signed seconds in the old part of the disk inode and, where it is larger than 128 bytes, 2 more
 * bits of seconds and 30 bits of nanoseconds behind. Fields there exist if they lie within extra_isize.
 */
#include "fs/ext3/ext3.h"
#include "vm/cache.h"
#include "vm/kmalloc.h"

struct buffer *ext3_inode_buffer(struct ext3 *fs, u64 ino, struct ext3_disk_inode **disk)
{
    u32 group = (u32)(ino - 1) / fs->inodes_per_group, index = (u32)(ino - 1) % fs->inodes_per_group;
    u32 per_block = fs->block_size / fs->inode_size;
    struct buffer *b = ext3_bread(fs, fs->groups[group].inode_table + index / per_block);

    if (!IS_ERR(b))
        *disk = (struct ext3_disk_inode *)(b->data + index % per_block * fs->inode_size);
    return b;
}

/* ---- times ---- */

#define EPOCH_BITS 2
#define EPOCH_MASK 3u

static bool has_extra(const struct ext3_inode *ei, size_t end) { return EXT3_OLD_INODE_SIZE + ei->extra_isize >= end; }
#define HAS_EXTRA(ei, field) has_extra(ei, offsetof(struct ext3_disk_inode, field) + sizeof(le32))

static struct timespec64 decode_time(le32 seconds, le32 extra)
{
    struct timespec64 t = {(s32)from_le32(seconds), from_le32(extra) >> EPOCH_BITS};

    t.sec += (s64)(from_le32(extra) & EPOCH_MASK) << 32;
    if (t.nsec >= (s64)NSEC_PER_SEC)
        t.nsec = 0;
    return t;
}

static le32 encode_seconds(struct timespec64 t) { return to_le32((u32)t.sec); }

static le32 encode_extra(struct timespec64 t)
{
    u32 epoch = (u32)((u64)(t.sec - (s32)(u32)t.sec) >> 32) & EPOCH_MASK;

    return to_le32((u32)t.nsec << EPOCH_BITS | epoch);
}

/* ---- from the disk ---- */

static bool is_known_type(u32 mode)
{
    return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode) ||
           S_ISSOCK(mode);
}

bool ext3_is_fast_symlink(const struct inode *inode)
{
    u64 xattr_blocks = ext3_i(inode)->file_acl != 0 ? ext3_sectors_per_block(ext3_of(inode)) : 0;

    return S_ISLNK(inode->mode) && inode->blocks == xattr_blocks;
}

static void decode_extra(struct ext3_inode *ei, const struct ext3_disk_inode *d)
{
    struct inode *inode = &ei->vfs;

    inode->atime = decode_time(d->atime, HAS_EXTRA(ei, atime_extra) ? d->atime_extra : 0);
    inode->mtime = decode_time(d->mtime, HAS_EXTRA(ei, mtime_extra) ? d->mtime_extra : 0);
    inode->ctime = decode_time(d->ctime, HAS_EXTRA(ei, ctime_extra) ? d->ctime_extra : 0);
    if (HAS_EXTRA(ei, crtime_extra))
        inode->btime = decode_time(d->crtime, d->crtime_extra);
}

static u32 decode_rdev(const struct ext3_disk_inode *d)
{
    u32 old = from_le32(d->block[0]);

    return old != 0 ? makedev(old >> 8 & 0xff, old & 0xff) : from_le32(d->block[1]);
}

/* Whether what was read can be this file system's: 0 or -EUCLEAN. */
static int check(const struct inode *inode)
{
    struct ext3 *fs = ext3_of(inode);
    const struct ext3_inode *ei = ext3_i(inode);
    const char *bad = NULL;

    if (!is_known_type(inode->mode))
        bad = "unknown type";
    else if (inode->flags & EXT3_FOREIGN_FL)
        bad = "features of other formats";
    else if (inode_size(inode) > fs->super->max_size)
        bad = "bad size";
    else if (S_ISDIR(inode->mode) && (inode_size(inode) % fs->block_size != 0 || inode_size(inode) > INT32_MAX))
        bad = "bad directory size";
    else if (S_ISLNK(inode->mode) &&
             inode_size(inode) >= (ext3_is_fast_symlink(inode) ? sizeof(ei->block) : fs->block_size))
        bad = "bad symbolic link size";
    else if (ei->file_acl != 0 && !ext3_block_is_sane(fs, ei->file_acl))
        bad = "bad attribute block";
    else if (fs->inode_size > EXT3_OLD_INODE_SIZE &&
             (ei->extra_isize > fs->inode_size - EXT3_OLD_INODE_SIZE || ei->extra_isize % 4 != 0))
        bad = "bad extra size";
    return bad == NULL ? 0 : ext3_corrupt(fs, "inode %lu: %s", (unsigned long)inode->ino, bad);
}

static int decode(struct inode *inode, const struct ext3_disk_inode *d)
{
    struct ext3 *fs = ext3_of(inode);
    struct ext3_inode *ei = ext3_i(inode);
    u64 size = from_le32(d->size);

    inode->mode = from_le16(d->mode);
    inode->uid = from_le16(d->uid) | (u32)from_le16(d->uid_high) << 16;
    inode->gid = from_le16(d->gid) | (u32)from_le16(d->gid_high) << 16;
    inode->nlink = from_le16(d->links);
    inode->generation = from_le32(d->generation);
    inode->blocks = from_le32(d->blocks);
    if (S_ISREG(inode->mode))
        size |= (u64)from_le32(d->size_high) << 32;
    inode->object.size = size;
    inode->flags = from_le32(d->flags);
    ei->file_acl = from_le32(d->file_acl);
    ei->dtime = from_le32(d->dtime);
    ei->group = (u32)(inode->ino - 1) / fs->inodes_per_group;
    ei->extra_isize = fs->inode_size > EXT3_OLD_INODE_SIZE ? from_le16(d->extra_isize) : 0;
    memcpy(ei->block, d->block, sizeof(ei->block));
    decode_extra(ei, d);
    if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
        inode->rdev = decode_rdev(d);
    return check(inode);
}

static bool has_journalled_data(const struct inode *inode)
{
    const struct ext3 *fs = ext3_of(inode);

    return fs->options.data == EXT3_DATA_JOURNAL || (fs->journal != NULL && (inode->flags & FS_JOURNAL_DATA_FL));
}

void ext3_set_ops(struct inode *inode)
{
    if (S_ISREG(inode->mode)) {
        inode->ops = &ext3_file_inode_ops;
        inode->file_ops = &ext3_file_ops;
        inode->object.ops = has_journalled_data(inode) ? &ext3_journalled_object_ops : &ext3_object_ops;
    } else if (S_ISDIR(inode->mode)) {
        inode->ops = &ext3_dir_inode_ops;
        inode->file_ops = &ext3_dir_file_ops;
    } else {
        inode->ops = S_ISLNK(inode->mode) ? &ext3_symlink_inode_ops : &ext3_special_inode_ops;
    }
}

static int load(struct inode *inode, bool may_be_deleted)
{
    struct ext3_disk_inode *disk;
    struct buffer *b = ext3_inode_buffer(ext3_of(inode), inode->ino, &disk);
    int error;

    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    error = disk->links == 0 && (!may_be_deleted || disk->mode == 0) ? -ESTALE : decode(inode, disk);
    buffer_put(b);
    return error;
}

static struct inode *get(struct super *super, u64 ino, bool may_be_deleted)
{
    struct ext3 *fs = super->private;
    struct inode *inode;
    bool is_new;
    int error;

    if (ino > UINT32_MAX || !ext3_ino_is_sane(fs, (u32)ino))
        return ERR_PTR(ext3_corrupt(fs, "bad inode number %lu", (unsigned long)ino));
    inode = inode_get(super, ino, &is_new);
    if (IS_ERR(inode) || !is_new)
        return inode;
    error = load(inode, may_be_deleted);
    if (fs->journal_runs) /* what changed it before it left the cache may not be durable yet */
        ext3_i(inode)->sync_tid = ext3_i(inode)->datasync_tid = journal_current_tid(fs->journal);
    if (error != 0) {
        inode_failed(inode);
        return ERR_PTR(error);
    }
    ext3_set_ops(inode);
    inode_ready(inode);
    return inode;
}

struct inode *ext3_iget(struct super *super, u64 ino) { return get(super, ino, false); }
struct inode *ext3_iget_orphan(struct super *super, u64 ino) { return get(super, ino, true); }

/* ---- to the disk ----
 *
 * An inode is copied to its disk inode once in a transaction, however often it changes:
 *
 *   ext3_write_inode     the transaction takes the buffer, the inode is entered in fs->changed
 *   ext3_copy_inodes     the transaction's last handle has ended, the next one's first has not begun: all that are
 *                        entered are copied
 *   copy_last            or before, when the inode leaves the cache
 *
 * So what a handle changes in an inode belongs to its transaction, also when another call has entered it before: fields
 * other than times change within handles only, and are right whenever a handle ends or restarts.
 */

static void encode_rdev(struct ext3_disk_inode *d, u32 rdev)
{
    bool is_old = dev_major(rdev) < 256 && dev_minor(rdev) < 256;

    memset(d->block, 0, sizeof(d->block));
    d->block[0] = to_le32(is_old ? dev_major(rdev) << 8 | dev_minor(rdev) : 0);
    d->block[1] = to_le32(is_old ? 0 : rdev);
}

static void encode_extra_part(const struct ext3_inode *ei, struct ext3_disk_inode *d)
{
    d->extra_isize = to_le16((u16)ei->extra_isize);
    if (likely(HAS_EXTRA(ei, crtime_extra))) { /* the last one */
        d->ctime_extra = encode_extra(ei->vfs.ctime);
        d->mtime_extra = encode_extra(ei->vfs.mtime);
        d->atime_extra = encode_extra(ei->vfs.atime);
        d->crtime = encode_seconds(ei->vfs.btime);
        d->crtime_extra = encode_extra(ei->vfs.btime);
        return;
    }
    if (HAS_EXTRA(ei, ctime_extra))
        d->ctime_extra = encode_extra(ei->vfs.ctime);
    if (HAS_EXTRA(ei, mtime_extra))
        d->mtime_extra = encode_extra(ei->vfs.mtime);
    if (HAS_EXTRA(ei, atime_extra))
        d->atime_extra = encode_extra(ei->vfs.atime);
}

/* In units of 8 bytes. */
static inline void copy_block_numbers(le32 *to, const le32 *from)
{
    __builtin_memcpy(__builtin_assume_aligned(to, 8), __builtin_assume_aligned(from, 8), EXT3_N_BLOCKS * sizeof(le32));
}
static_assert(offsetof(struct ext3_disk_inode, block) % 8 == 0, "disk inodes lie at multiples of their size");

/* => copy_lock */
static void encode(const struct inode *inode, struct ext3_disk_inode *d)
{
    const struct ext3 *fs = ext3_of(inode);
    const struct ext3_inode *ei = ext3_i(inode);

    d->mode = to_le16((u16)inode->mode);
    d->uid = to_le16((u16)inode->uid);
    d->uid_high = to_le16((u16)(inode->uid >> 16));
    d->gid = to_le16((u16)inode->gid);
    d->gid_high = to_le16((u16)(inode->gid >> 16));
    d->links = to_le16((u16)inode->nlink);
    d->size = to_le32((u32)inode_size(inode));
    if (S_ISREG(inode->mode))
        d->size_high = to_le32((u32)(inode_size(inode) >> 32));
    d->blocks = to_le32((u32)inode->blocks);
    d->flags = to_le32(inode->flags);
    d->generation = to_le32(inode->generation);
    d->file_acl = to_le32(ei->file_acl);
    d->dtime = to_le32(list_empty(&ei->orphan_link) ? ei->dtime : ei->orphan_next);
    d->atime = encode_seconds(inode->atime);
    d->mtime = encode_seconds(inode->mtime);
    d->ctime = encode_seconds(inode->ctime);
    if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
        encode_rdev(d, inode->rdev);
    else
        copy_block_numbers(d->block, ei->block);
    if (fs->inode_size > EXT3_OLD_INODE_SIZE)
        encode_extra_part(ei, d);
}

/* A file of 2 GiB and more: older systems must not touch this disk for writing. */
static void need_large_file(struct ext3_handle *h)
{
    if (from_le32(h->fs->disk->feature_ro_compat) & EXT3_RO_COMPAT_LARGE_FILE)
        return;
    ext3_access(h, h->fs->super_buffer);
    h->fs->disk->feature_ro_compat |= to_le32(EXT3_RO_COMPAT_LARGE_FILE);
    ext3_dirty(h, h->fs->super_buffer);
}

/* INODE's new state, which is not in its disk inode yet, is part of the handle's transaction: who waits for that. =>
 * copy_lock */
static void note_transaction(const struct ext3_handle *h, struct ext3_inode *ei)
{
    const struct ext3_disk_inode *old = ei->disk; /* as the transaction before left it */
    u32 tid = journal_tid(&h->journal);

    ei->sync_tid = tid;
    /* a directory's data are its names, which change with its times */
    if (inode_size(&ei->vfs) != (from_le32(old->size) | (u64)from_le32(old->size_high) << 32) ||
        from_le32(old->blocks) != (u32)ei->vfs.blocks || S_ISDIR(ei->vfs.mode))
        ei->datasync_tid = tid;
}

/* All that ext3_write_inode would do is done: the handle keeps the transaction, and with it the list, from moving on.
 */
static bool is_noted(const struct ext3_handle *h, const struct ext3_inode *ei)
{
    return h->journal.transaction != NULL && load_relaxed(&ei->changed_link.next) != &ei->changed_link &&
           load_relaxed(&ei->datasync_tid) == journal_tid(&h->journal);
}

/* The buffer with the disk inode stays with INODE: 0 or -errno. */
static noinline_fn int find_home(struct ext3_handle *h, struct inode *inode)
{
    struct ext3_inode *ei = ext3_i(inode);
    struct ext3_disk_inode *disk;
    struct buffer *b = ext3_inode_buffer(h->fs, inode->ino, &disk), *other = NULL;

    if (IS_ERR(b)) {
        h->error = (int)PTR_ERR(b);
        return h->error;
    }
    store_relaxed(&ei->disk, disk); /* for all who come at once it is the same */
    if (!atomic_cas(&ei->home, &other, b))
        buffer_put(b);
    return 0;
}

/* An inode was just created where another had been. */
static noinline_fn void clear_home(struct ext3_handle *h, struct ext3_inode *ei)
{
    ext3_access(h, ei->home);
    memset(ei->disk, 0, h->fs->inode_size);
    ei->is_fresh = false;
}

/* On an image without a journal. */
static noinline_fn void copy_at_once(struct ext3 *fs, struct ext3_inode *ei)
{
    spin_lock(&fs->copy_lock);
    encode(&ei->vfs, ei->disk);
    spin_unlock(&fs->copy_lock);
    buffer_mark_dirty(ei->home);
}

int ext3_write_inode(struct ext3_handle *h, struct inode *inode)
{
    struct ext3 *fs = h->fs;
    struct ext3_inode *ei = ext3_i(inode);
    int error;
    bool is_listed;

    if (S_ISREG(inode->mode) && unlikely(inode_size(inode) > INT32_MAX))
        need_large_file(h);
    if (is_noted(h, ei))
        return 0;
    error = likely(load_acquire(&ei->home) != NULL) ? 0 : find_home(h, inode);
    if (unlikely(error != 0))
        return error;
    if (unlikely(ei->is_fresh))
        clear_home(h, ei);
    if (unlikely(h->journal.transaction == NULL)) {
        if (fs->journal == NULL)
            copy_at_once(fs, ei);
        return 0;
    }
    spin_lock(&fs->copy_lock);
    note_transaction(h, ei);
    is_listed = !list_empty(&ei->changed_link);
    if (!is_listed)
        list_add_tail(&fs->changed, &ei->changed_link);
    spin_unlock(&fs->copy_lock);
    if (!is_listed) { /* else it is done, or will be before that one's handle, and so the transaction, ends */
        ext3_access(h, ei->home);
        ext3_dirty(h, ei->home);
    }
    return 0;
}

/* => copy_lock */
static void copy(struct ext3_inode *ei)
{
    encode(&ei->vfs, ei->disk);
    list_remove(&ei->changed_link);
}

void ext3_copy_inodes(void *owner)
{
    struct ext3 *fs = owner;
    bool more;

    do { /* who waits for the lock is about to free one */
        spin_lock(&fs->copy_lock);
        more = !list_empty(&fs->changed);
        if (more)
            copy(list_first(&fs->changed, struct ext3_inode, changed_link));
        spin_unlock(&fs->copy_lock);
    } while (more);
}

/* INODE is about to go: its disk inode has what it is to have. */
static void copy_last(struct inode *inode)
{
    struct ext3 *fs = ext3_of(inode);
    struct ext3_inode *ei = ext3_i(inode);

    spin_lock(&fs->copy_lock);
    if (!list_empty(&ei->changed_link))
        copy(ei);
    spin_unlock(&fs->copy_lock);
}

void ext3_order(struct ext3_handle *h, struct inode *inode)
{
    if (h->journal.transaction != NULL && h->fs->options.data == EXT3_DATA_ORDERED && !ext3_journals_data(inode))
        journal_order(&h->journal, &ext3_i(inode)->data);
}

int ext3_write_inode_op(struct inode *inode, bool wait)
{
    struct ext3_handle h;
    int error = ext3_begin(&h, ext3_of(inode), EXT3_INODE_CREDITS + 1), result;

    if (error != 0)
        return error;
    error = ext3_write_inode(&h, inode);
    result = ext3_end(&h);
    return error != 0 ? error : result;
}

/* ---- attributes ---- */

#define SHRINK_CREDITS (2 * EXT3_ALLOC_CREDITS + 4 * EXT3_INODE_CREDITS + 4 + PAGE_SIZE / EXT3_MIN_BLOCK_SIZE)

/* The block in which the file will end keeps its bytes until the transaction is durable: what lies behind the new end
 * becomes zeros in a block of its own. Without room for one, in place. */
static void replace_tail(struct ext3_handle *h, struct inode *inode, struct page *page, u64 size)
{
    if (h->journal.transaction == NULL || h->fs->options.data != EXT3_DATA_ORDERED || ext3_journals_data(inode) ||
        (size & (h->fs->block_size - 1)) == 0 || ext3_map_replace(h, inode, (u32)(size >> h->fs->block_bits)) <= 0)
        return;
    ext3_order(h, inode);
    page_set_dirty(page);
}

/* The size, with zeros behind it in PAGE, which holds the new end (NULL: it is between pages). The page must not be
 * written meanwhile: neither what becomes zeros to its old place, nor blocks that are about to be freed. */
static int cut(struct inode *inode, struct page *page, u64 size)
{
    int error;

    if (page != NULL)
        page_hold_back(page);
    error = object_set_size(&inode->object, size);
    if (page != NULL)
        page_write_done(page, 0);
    return error;
}

/* One handle for the size and the orphan list: a crash afterwards finds the blocks past the new end. */
static int shrink(struct inode *inode, u64 size)
{
    struct page *page = (size & PAGE_MASK) != 0 ? object_get_page(&inode->object, size >> PAGE_SHIFT, NULL) : NULL;
    struct ext3_handle h;
    int error = IS_ERR(page) ? (int)PTR_ERR(page) : ext3_begin(&h, ext3_of(inode), SHRINK_CREDITS);

    if (error == 0) {
        if (inode->nlink > 0)
            error = ext3_orphan_add(&h, inode);
        /* What a commit under way makes reachable it writes to where the blocks are now. */
        if (ext3_of(inode)->journal != NULL)
            journal_data_wait(ext3_of(inode)->journal, &ext3_i(inode)->data);
        if (error == 0 && page != NULL)
            replace_tail(&h, inode, page, size);
        if (error == 0)
            error = cut(inode, page, size);
        if (error == 0 && page != NULL && ext3_journals_data(inode))
            error = ext3_log_page(&h, inode, page);
        ext3_write_inode(&h, inode);
        ext3_end(&h);
    }
    if (page != NULL && !IS_ERR(page))
        page_put(page);
    return error;
}

static int cut_to(struct inode *inode, u64 size)
{
    int error = shrink(inode, size);

    if (error != 0) {
        if (!list_empty(&ext3_i(inode)->orphan_link) && inode->nlink > 0)
            ext3_truncate(inode); /* off the list again */
        return error;
    }
    /* The last page may be on its way to blocks that are about to be free. */
    if (ext3_of(inode)->block_size < PAGE_SIZE && (size & PAGE_MASK) != 0 && !ext3_journals_data(inode))
        object_writeback(&inode->object, size, size, true);
    return ext3_truncate(inode);
}

/* What the old last block has behind the old end comes to be read: zeros, once the page is on the disk. */
static void grow(struct ext3_handle *h, struct inode *inode, u64 size)
{
    object_set_size(&inode->object, size);
    ext3_order(h, inode);
}

int ext3_setattr(struct inode *inode, const struct attributes *attr)
{
    struct ext3_handle h;
    int error = 0;

    if ((attr->valid & ATTR_SIZE) && attr->size > inode->super->max_size)
        return -EFBIG;
    if ((attr->valid & ATTR_SIZE) && attr->size < inode_size(inode))
        error = cut_to(inode, attr->size);
    if (error == 0)
        error = ext3_begin(&h, ext3_of(inode), EXT3_INODE_CREDITS + 1);
    if (error != 0)
        return error;
    if ((attr->valid & ATTR_SIZE) && attr->size > inode_size(inode))
        grow(&h, inode, attr->size);
    inode_setattr(inode, attr);
    error = ext3_write_inode(&h, inode);
    ext3_end_inode(&h, inode);
    return error;
}

/* ---- the end ---- */

static bool has_blocks(const struct inode *inode)
{
    return S_ISREG(inode->mode) || S_ISDIR(inode->mode) || (S_ISLNK(inode->mode) && !ext3_is_fast_symlink(inode));
}

/* No directory, or one that nobody reads any more. */
static void leave_kept(struct ext3_inode *ei)
{
    buffer_put(ei->kept_block);
    ei->kept_block = NULL;
}

static void delete_inode(struct inode *inode)
{
    struct ext3 *fs = ext3_of(inode);
    struct ext3_inode *ei = ext3_i(inode);
    struct ext3_handle h;

    object_set_size(&inode->object, 0); /* no pages are on their way to the blocks any more */
    leave_kept(ei);
    if (ext3_begin(&h, fs, EXT3_TRUNCATE_CREDITS) != 0)
        return;
    if (has_blocks(inode))
        ext3_free_range(&h, inode, 0, UINT32_MAX);
    ext3_release_xattrs(&h, inode);
    ext3_orphan_remove(&h, inode);
    inode->nlink = 0;
    ei->dtime = (u32)current_time(inode).sec | 1; /* never 0 */
    ext3_write_inode(&h, inode);
    copy_last(inode); /* before the number, and with it the place, may be another's */
    ext3_free_inode_number(&h, (u32)inode->ino, S_ISDIR(inode->mode));
    ext3_end(&h);
}

static void leave_buffers(struct inode *inode)
{
    struct ext3_inode *ei = ext3_i(inode);

    copy_last(inode);
    buffer_put(ei->home);
    ei->home = NULL;
    leave_kept(ei);
}

void ext3_evict_inode(struct inode *inode)
{
    struct ext3 *fs = ext3_of(inode);

    if (fs == NULL || inode->ino == 0)
        return;
    if (fs->journal != NULL)
        journal_data_forget(fs->journal, &ext3_i(inode)->data, inode->nlink != 0);
    if (inode->nlink == 0)
        delete_inode(inode);
    ext3_discard_window(inode);
    leave_buffers(inode);
}

void ext3_leave_buffers(struct super *super)
{
    struct inode *inode;

    list_for_each(inode, &super->inodes, super_link)
        leave_buffers(inode);
}
