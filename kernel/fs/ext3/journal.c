/*
 * The file system's side of its journal: where the log lies, recovery at mount, what an abort means, and fsync.
 *
 * The log is inode 8's data. It is found before anything else is read, for until it is replayed, whatever it has
 * copies of may be stale: but inode 8, the descriptor of its group and where the inode table lies never change.
 */
#include "fs/ext3/features.h"
#include "vm/kmalloc.h"

#define MAX_EXTENTS 65536

/* ---- the log's blocks ---- */

struct extent_list {
    struct ext3 *fs;
    struct log_extent *extents;
    unsigned n, room;
    u32 logical, end;
    unsigned room_runs; /* of fs->log_runs */
};

/* BLOCK is nobody's but the journal's. */
static int note_block(struct extent_list *list, u32 block)
{
    struct ext3 *fs = list->fs;
    struct ext3_log_run *last = fs->n_log_runs > 0 ? &fs->log_runs[fs->n_log_runs - 1] : NULL;

    fs->log_start = last == NULL ? block : MIN(fs->log_start, block);
    fs->log_end = last == NULL ? block + 1 : MAX(fs->log_end, block + 1);
    if (last != NULL && last->first + last->count == block) {
        last->count++;
        return 0;
    }
    if (fs->n_log_runs == list->room_runs) {
        unsigned room = list->room_runs * 2 + 16;
        struct ext3_log_run *more = room <= MAX_EXTENTS ? kmalloc(room * sizeof(*more)) : NULL;

        if (more == NULL)
            return -ENOMEM;
        if (last != NULL)
            memcpy(more, fs->log_runs, fs->n_log_runs * sizeof(*more));
        kfree(fs->log_runs);
        fs->log_runs = more;
        list->room_runs = room;
    }
    fs->log_runs[fs->n_log_runs++] = (struct ext3_log_run){block, 1};
    return 0;
}

static int add_block(struct extent_list *list, u32 block)
{
    struct log_extent *last = list->n > 0 ? &list->extents[list->n - 1] : NULL;

    if (!ext3_block_is_sane(list->fs, block))
        return -EUCLEAN;
    if (last != NULL && last->block + last->count == block) {
        last->count++;
    } else {
        if (list->n == list->room) {
            unsigned room = list->room * 2 + 16;
            struct log_extent *more = room <= MAX_EXTENTS ? kmalloc(room * sizeof(*more)) : NULL;

            if (more == NULL)
                return -ENOMEM;
            if (list->n > 0)
                memcpy(more, list->extents, list->n * sizeof(*more));
            kfree(list->extents);
            list->extents = more;
            list->room = room;
        }
        list->extents[list->n++] = (struct log_extent){list->logical, 1, block};
    }
    list->logical++;
    return note_block(list, block);
}

/* The blocks that number BLOCK leads to over LEVELS blocks of numbers. */
static int add_branch(struct extent_list *list, u32 block, unsigned levels)
{
    struct buffer *b;
    int error;

    if (levels == 0)
        return add_block(list, block);
    if (!ext3_block_is_sane(list->fs, block))
        return -EUCLEAN;
    error = note_block(list, block);
    if (error != 0)
        return error;
    b = ext3_bread(list->fs, block);
    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    for (u32 i = 0; i < list->fs->addr_per_block && list->logical < list->end && error == 0; i++)
        error = add_branch(list, from_le32(((const le32 *)b->data)[i]), levels - 1);
    buffer_put(b);
    return error;
}

/* Inode 8 as the disk has it; the buffer it is in. */
static struct buffer *read_inode(struct ext3 *fs, struct ext3_disk_inode **disk)
{
    struct buffer *descriptors = ext3_bread(fs, EXT3_SUPER_OFFSET / fs->block_size + 1), *b;
    u32 per_block = fs->block_size / fs->inode_size, index = EXT3_JOURNAL_INO - 1, table;

    if (IS_ERR(descriptors))
        return descriptors;
    table = from_le32(((struct ext3_disk_group *)descriptors->data)->inode_table);
    buffer_put(descriptors);
    if (index >= fs->inodes_per_group || !ext3_block_is_sane(fs, table + index / per_block))
        return ERR_PTR(-EUCLEAN);
    b = ext3_bread(fs, table + index / per_block);
    if (!IS_ERR(b))
        *disk = (struct ext3_disk_inode *)(b->data + index % per_block * fs->inode_size);
    return b;
}

static int map_log(struct extent_list *list)
{
    struct ext3_disk_inode *disk;
    struct buffer *b = read_inode(list->fs, &disk);
    int error = 0;

    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    list->end = from_le32(disk->size) >> list->fs->block_bits;
    if (!S_ISREG(from_le16(disk->mode)) || disk->links == 0 || disk->size_high != 0 ||
        list->end > list->fs->blocks_count || (from_le32(disk->flags) & EXT3_FOREIGN_FL))
        error = -EUCLEAN;
    for (unsigned i = 0; i < EXT3_N_BLOCKS && list->logical < list->end && error == 0; i++)
        error = add_branch(list, from_le32(disk->block[i]), i < EXT3_N_DIRECT ? 0 : i - EXT3_N_DIRECT + 1);
    buffer_put(b);
    return error;
}

/* ---- what the journal tells ---- */

void ext3_mark_error(struct ext3 *fs)
{
    u8 *block = kmalloc(fs->block_size);
    u64 sector = EXT3_SUPER_OFFSET / fs->block_size * ext3_sectors_per_block(fs);
    struct ext3_disk_super *d = (struct ext3_disk_super *)(block + EXT3_SUPER_OFFSET % fs->block_size);

    if (block != NULL && block_transfer(fs->device, BLOCK_READ, sector, block, fs->block_size) == 0 &&
        from_le16(d->magic) == EXT3_MAGIC) {
        d->state |= to_le16(EXT3_ERROR_FS);
        block_transfer(fs->device, BLOCK_WRITE, sector, block, fs->block_size);
        block_flush(fs->device);
    }
    kfree(block);
}

static void aborted(void *owner, int error)
{
    struct ext3 *fs = owner;

    if (!fs->super->read_only)
        kprintf("ext3 %s: the journal cannot be written: read-only from now on", fs->device->name);
    fs->super->read_only = true;
    ext3_mark_error(fs);
    if (fs->options.on_error == EXT3_ON_ERROR_PANIC)
        panic("ext3 %s: the journal cannot be written", fs->device->name);
}

static size_t describe(void *owner, char *buf, size_t size)
{
    struct ext3 *fs = owner;
    char options[128];

    ext3_show_options(fs, options, sizeof(options), true);
    return (size_t)snprintf(buf, size,
                            "options: %s%s%s\n"
                            "blocks: %u of %u bytes, %lu free, %lu of them once their transaction is durable\n"
                            "inodes: %u, %lu free\ndirectories: %lu\n",
                            fs->super->read_only ? "ro" : "rw", fs->super->synchronous ? ",sync" : "", options,
                            fs->blocks_count, fs->block_size, (unsigned long)fs->free_blocks,
                            (unsigned long)fs->n_pending, fs->inodes_count, (unsigned long)fs->free_inodes,
                            (unsigned long)fs->used_dirs);
}

static const struct journal_ops journal_ops = {
    .locked = ext3_copy_inodes, .aborted = aborted, .committed = ext3_release_freed, .describe = describe};

/* ---- at mount ---- */

static int open_log(struct ext3 *fs)
{
    struct extent_list list = {.fs = fs};
    struct journal_config config = {
        .device = fs->device, .block_size = fs->block_size, .ops = &journal_ops, .owner = fs};
    struct journal *journal = NULL;
    int error = map_log(&list);

    copy_string(config.name, fs->device->name, sizeof(config.name));
    config.extents = list.extents;
    config.n_extents = list.n;
    if (error == 0)
        journal = journal_open(&config);
    if (error != 0)
        kprintf("ext3 %s: the journal's inode is damaged; run e2fsck", fs->device->name);
    else if (IS_ERR(journal))
        error = (int)PTR_ERR(journal);
    if (error == 0)
        fs->journal = journal;
    kfree(list.extents);
    return error;
}

static int recover(struct ext3 *fs, bool *recovered)
{
    int error;

    if (fs->device->read_only) {
        kprintf("ext3 %s: not mounted, the journal needs recovery, but the disk cannot be written", fs->device->name);
        return -EROFS;
    }
    error = journal_recover(fs->journal);
    *recovered = true;
    if (error != 0)
        kprintf("ext3 %s: not mounted, recovery failed; run e2fsck", fs->device->name);
    return error;
}

/* Mounted as ext2, a file system is used without the journal that it has. */
static int leave_journal(const struct ext3 *fs)
{
    if (!(from_le32(fs->disk->feature_incompat) & EXT3_INCOMPAT_RECOVER))
        return 0;
    kprintf("ext3 %s: not mounted as ext2, its journal needs recovery", fs->device->name);
    return -EINVAL;
}

/* The journal is where it is always. */
static int check_place(const struct ext3 *fs)
{
    u32 ino = from_le32(fs->disk->journal_inum);

    if (ino == EXT3_JOURNAL_INO)
        return 0;
    if (ino == 0 && fs->disk->journal_dev != 0)
        kprintf("ext3 %s: not mounted, its journal is on another disk, which is not supported", fs->device->name);
    else
        kprintf("ext3 %s: not mounted, its journal cannot be inode %u; run e2fsck", fs->device->name, ino);
    return -EINVAL;
}

int ext3_open_journal(struct ext3 *fs, bool *recovered)
{
    int error;

    if (!(from_le32(fs->disk->feature_compat) & EXT3_COMPAT_HAS_JOURNAL)) {
        if (from_le32(fs->disk->feature_incompat) & EXT3_INCOMPAT_RECOVER) {
            kprintf("ext3 %s: not mounted, needs recovery but has no journal; run e2fsck", fs->device->name);
            return -EUCLEAN;
        }
        if (!fs->is_ext2)
            kprintf("ext3 %s: not mounted, it has no journal: its type is ext2", fs->device->name);
        return fs->is_ext2 ? 0 : -EINVAL;
    }
    if (fs->is_ext2)
        return leave_journal(fs);
    error = check_place(fs);
    if (error != 0)
        return error;
    if (fs->options.no_load)
        return fs->super->read_only ? 0 : -EINVAL;
    error = open_log(fs);
    if (error == 0 && journal_needs_recovery(fs->journal))
        error = recover(fs, recovered);
    return error;
}

int ext3_run_journal(struct ext3 *fs)
{
    int error = 0;

    if (fs->journal != NULL && !fs->journal_runs) {
        error = journal_run(fs->journal);
        fs->journal_runs = error == 0;
    }
    return error;
}

/* ---- fsync(2) ---- */

/* The transaction that INODE's changes were last part of: all, or those that reading its data needs. */
static u32 last_change(struct inode *inode, bool data_only)
{
    const struct ext3_inode *ei = ext3_i(inode);

    return load_relaxed(data_only ? &ei->datasync_tid : &ei->sync_tid);
}

/* JOINED: the commit of transaction EXPECTED waits for us. */
static int commit_inode(struct ext3 *fs, struct inode *inode, bool data_only, u32 expected, bool joined)
{
    int error = 0;
    u32 tid;

    /* Sizes and blocks are in a transaction already: only times may not be. */
    if (!data_only && !inode->super->read_only)
        error = inode_write_now(inode);
    tid = last_change(inode, data_only);
    return error != 0 ? error : journal_sync(fs->journal, tid, joined && tid == expected);
}

int ext3_fsync(struct file *file, u64 from, u64 to, bool data_only)
{
    struct inode *inode = file->inode;
    struct ext3 *fs = ext3_of(inode);
    u32 tid = last_change(inode, data_only);
    bool joined = fs->journal_runs && journal_join(fs->journal, tid);
    int error = object_writeback(&inode->object, from, to, true), result;
    u64 mark = block_write_mark(fs->device);

    if (fs->journal_runs) {
        if (journal_is_aborted(fs->journal))
            result = -EIO;
        else
            result = commit_inode(fs, inode, data_only, tid, joined);
    } else {
        result = inode_write_now(inode);
        if (result == 0 && !inode->super->read_only) {
            result = buffer_sync(fs->device);
            mark = block_write_mark(fs->device);
        }
    }
    error = error != 0 ? error : result;
    result = fs->options.barrier ? block_flush_to(fs->device, mark) : 0;
    return error != 0 ? error : result;
}
