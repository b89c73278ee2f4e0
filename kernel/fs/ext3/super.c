/*
 * Mounting, syncing and unmounting ext3.
 *
 * While it is mounted for writing, the super block says that the journal needs recovery (without a journal: that the
 * state is not clean), so that a power failure is seen at the next mount; unmounting and remounting read-only take that
 * back, once nothing is left in the journal. The totals in the super block are brought up to date then, too. Copies of
 * the super block are left alone.
 */
#include "fs/ext3/features.h"
#include "vm/kmalloc.h"

static const struct super_ops super_ops;

static u32 now_seconds(void) { return (u32)((time_ns() + time_realtime_offset()) / NSEC_PER_SEC); }

int ext3_corrupt(struct ext3 *fs, const char *fmt, ...)
{
    char text[sizeof(fs->last_complaint)];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (strncmp(fs->last_complaint, text, sizeof(fs->last_complaint)) != 0) /* the same is not told again and again */
        kprintf("ext3 %s: %s; run e2fsck", fs->device->name, text);
    copy_string(fs->last_complaint, text, sizeof(fs->last_complaint));
    if (!fs->super->read_only && !fs->told_corrupt) {
        fs->told_corrupt = true;
        fs->disk->state |= to_le16(EXT3_ERROR_FS); /* any copy of the super block may have it, at any time */
        if (fs->journal == NULL)
            buffer_mark_dirty(fs->super_buffer);
    }
    if (fs->options.on_error == EXT3_ON_ERROR_READ_ONLY && !fs->super->read_only) {
        if (fs->journal_runs) {
            journal_abort(fs->journal, -EUCLEAN);
        } else {
            fs->super->read_only = true;
            ext3_mark_error(fs);
        }
    }
    if (fs->options.on_error == EXT3_ON_ERROR_PANIC && !fs->super->read_only)
        panic("ext3 %s: %s", fs->device->name, text);
    return -EUCLEAN;
}

/* Totals into the super block's buffer. */
static void update_totals(struct ext3 *fs)
{
    fs->disk->free_blocks = to_le32((u32)load_relaxed(&fs->free_blocks));
    fs->disk->free_inodes = to_le32((u32)load_relaxed(&fs->free_inodes));
    fs->disk->write_time = to_le32(now_seconds());
}

/* ---- mounting ---- */

static int refuse(const struct ext3 *fs, const char *why)
{
    kprintf("ext3 %s: %s", fs->device->name, why);
    return -EUCLEAN;
}

/* Takes what is constant from the super block; checks that its numbers fit together. */
static int read_geometry(struct ext3 *fs, const struct ext3_disk_super *d)
{
    u32 log = from_le32(d->log_block_size);
    u64 groups;

    if (log > 2 || from_le32(d->log_cluster_size) != log)
        return refuse(fs, "block sizes other than 1, 2 and 4 KiB are not supported");
    fs->block_bits = 10 + log;
    fs->block_size = 1u << fs->block_bits;
    fs->addr_bits = fs->block_bits - 2;
    fs->addr_per_block = 1u << fs->addr_bits;
    fs->desc_per_block = fs->block_size / (u32)sizeof(struct ext3_disk_group);
    fs->blocks_count = from_le32(d->blocks_count);
    fs->inodes_count = from_le32(d->inodes_count);
    fs->first_data_block = from_le32(d->first_data_block);
    fs->blocks_per_group = from_le32(d->blocks_per_group);
    fs->inodes_per_group = from_le32(d->inodes_per_group);
    fs->reserved_blocks = MIN(from_le32(d->reserved_blocks), fs->blocks_count);
    fs->reserved_uid = from_le16(d->default_reserved_uid);
    fs->inode_size = from_le32(d->revision) == 0 ? EXT3_OLD_INODE_SIZE : from_le16(d->inode_size);
    fs->first_ino = from_le32(d->revision) == 0 ? EXT3_OLD_FIRST_INO : from_le32(d->first_ino);
    if (fs->device->logical_block > fs->block_size)
        return refuse(fs, "blocks are smaller than the disk's");
    if (fs->first_data_block != (log == 0 ? 1u : 0u) || fs->blocks_count <= fs->first_data_block)
        return refuse(fs, "bad block count");
    if (fs->blocks_count > fs->device->sectors / (fs->block_size / SECTOR_SIZE))
        return refuse(fs, "the file system is larger than the disk");
    if (fs->blocks_per_group == 0 || fs->blocks_per_group > 8 * fs->block_size || fs->blocks_per_group % 8 != 0)
        return refuse(fs, "bad number of blocks per group");
    if (fs->inode_size < EXT3_OLD_INODE_SIZE || fs->inode_size > fs->block_size ||
        (fs->inode_size & (fs->inode_size - 1)) != 0)
        return refuse(fs, "bad inode size");
    if (fs->inodes_per_group == 0 || fs->inodes_per_group > 8 * fs->block_size ||
        fs->inodes_per_group % (fs->block_size / fs->inode_size) != 0)
        return refuse(fs, "bad number of inodes per group");
    groups = DIV_ROUND_UP((u64)fs->blocks_count - fs->first_data_block, fs->blocks_per_group);
    if (groups * fs->inodes_per_group != fs->inodes_count || fs->first_ino < EXT3_OLD_FIRST_INO ||
        fs->first_ino > fs->inodes_count)
        return refuse(fs, "bad number of inodes");
    fs->n_groups = (u32)groups;
    fs->inode_blocks_per_group = fs->inodes_per_group / (fs->block_size / fs->inode_size);
    fs->gdt_blocks = DIV_ROUND_UP(fs->n_groups, fs->desc_per_block);
    if (fs->gdt_blocks + from_le16(d->reserved_gdt_blocks) > fs->blocks_per_group)
        return refuse(fs, "bad number of descriptor blocks");
    return 0;
}

static void read_hashing(struct ext3 *fs, const struct ext3_disk_super *d)
{
    for (unsigned i = 0; i < ARRAY_SIZE(fs->hash_seed); i++)
        fs->hash_seed[i] = from_le32(d->hash_seed[i]);
    fs->hash_unsigned = from_le32(d->flags) & EXT3_FLAGS_UNSIGNED_HASH ? 3 : 0;
    fs->has_dir_index = (from_le32(d->feature_compat) & EXT3_COMPAT_DIR_INDEX) != 0;
    fs->has_filetype = (from_le32(d->feature_incompat) & EXT3_INCOMPAT_FILETYPE) != 0;
    fs->sparse_super = (from_le32(d->feature_ro_compat) & EXT3_RO_COMPAT_SPARSE_SUPER) != 0;
}

/* Reads the super block for the first time, when the block size is not known. */
static int probe(struct ext3 *fs)
{
    struct ext3_disk_super *d = kmalloc(sizeof(*d));
    u32 at = ALIGN_DOWN((u32)EXT3_SUPER_OFFSET, MAX(fs->device->logical_block, 1u));
    u8 *block = kmalloc(EXT3_MAX_BLOCK_SIZE);
    int error = d != NULL && block != NULL ? 0 : -ENOMEM;

    if (fs->device->logical_block > EXT3_MAX_BLOCK_SIZE || fs->device->sectors < EXT3_MAX_BLOCK_SIZE / SECTOR_SIZE)
        error = -EINVAL;
    if (error == 0)
        error = block_transfer(fs->device, BLOCK_READ, at / SECTOR_SIZE, block, EXT3_MAX_BLOCK_SIZE - at);
    if (error == 0) {
        memcpy(d, block + (EXT3_SUPER_OFFSET - at), sizeof(*d));
        if (from_le16(d->magic) != EXT3_MAGIC)
            error = -EINVAL;
    }
    if (error == 0)
        error = ext3_check_features(fs, d);
    if (error == 0)
        error = read_geometry(fs, d);
    if (error == 0)
        read_hashing(fs, d);
    kfree(d);
    kfree(block);
    return error;
}

/* The buffer that holds the super block from now on. */
static int pin_super(struct ext3 *fs)
{
    struct buffer *b = ext3_bread(fs, EXT3_SUPER_OFFSET / fs->block_size);

    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    fs->super_buffer = b;
    fs->disk = (struct ext3_disk_super *)(b->data + EXT3_SUPER_OFFSET % fs->block_size);
    return 0;
}

/* The super block's buffer, durably. => no transaction has it */
static int write_super(struct ext3 *fs)
{
    int error;

    buffer_mark_dirty(fs->super_buffer);
    error = buffer_write(fs->super_buffer);
    return error != 0 ? error : block_flush(fs->device);
}

/* The state on the disk, durably, before anything else changes. */
static int mark_mounted(struct ext3 *fs)
{
    u16 state = from_le16(fs->disk->state);

    fs->was_valid = (state & EXT3_VALID_FS) != 0;
    if (!fs->was_valid || (state & EXT3_ERROR_FS))
        kprintf("ext3 %s: %s, running e2fsck is recommended", fs->device->name,
                state & EXT3_ERROR_FS ? "errors were found earlier" : "was not cleanly unmounted");
    if (fs->journal == NULL)
        fs->disk->state = to_le16(state & (u16)~EXT3_VALID_FS);
    else
        fs->disk->feature_incompat |= to_le32(EXT3_INCOMPAT_RECOVER);
    fs->disk->mount_count = to_le16((u16)(from_le16(fs->disk->mount_count) + 1));
    fs->disk->mount_time = to_le32(now_seconds());
    update_totals(fs);
    return write_super(fs);
}

static int mark_unmounted(struct ext3 *fs)
{
    int error, result;

    if (fs->journal != NULL) {
        error = journal_empty(fs->journal);
        if (error != 0)
            return error; /* the next mount recovers what is in the journal */
        fs->disk->feature_incompat &= ~to_le32(EXT3_INCOMPAT_RECOVER);
    } else {
        error = buffer_sync(fs->device);
        if (error == 0)
            error = block_flush(fs->device);
        if (error == 0 && fs->was_valid)
            fs->disk->state |= to_le16(EXT3_VALID_FS);
    }
    update_totals(fs);
    result = write_super(fs);
    return error != 0 ? error : result;
}

/* What was read, and everything that depends on it, goes. */
static void forget_disk(struct ext3 *fs)
{
    ext3_free_groups(fs);
    buffer_put(fs->super_buffer);
    fs->super_buffer = NULL;
    buffer_drop(fs->device);
}

static void release(struct ext3 *fs)
{
    if (fs->journal != NULL)
        journal_close(fs->journal);
    forget_disk(fs);
    fs->super->private = NULL;
    kfree(fs->log_runs);
    kfree(fs);
}

static void init_fields(struct ext3 *fs, struct super *super)
{
    fs->super = super;
    fs->device = super->device;
    mutex_init(&fs->alloc_lock);
    mutex_init(&fs->inode_lock);
    mutex_init(&fs->orphan_lock);
    mutex_init(&fs->xattr_lock);
    spin_init(&fs->copy_lock);
    list_init(&fs->changed);
    spin_init(&fs->window_lock);
    list_init(&fs->orphans);
    list_init(&fs->windows);
    fs->next_generation = (u32)(time_ns() + time_realtime_offset());
}

static void init_super(struct super *super, struct ext3 *fs)
{
    super->private = fs;
    super->ops = &super_ops;
    super->block_size = fs->block_size;
    super->keep_unused = true;
    super->time_granularity = fs->inode_size > EXT3_OLD_INODE_SIZE ? 1 : NSEC_PER_SEC;
    super->max_size = ext3_max_size(fs);
}

static int load_root(struct super *super)
{
    struct inode *root = ext3_iget(super, EXT3_ROOT_INO);

    if (IS_ERR(root))
        return (int)PTR_ERR(root);
    if (!S_ISDIR(root->mode) || root->nlink == 0 || inode_size(root) == 0) {
        inode_put(root);
        return ext3_corrupt(super->private, "the root directory is damaged");
    }
    super->root = root;
    return 0;
}

static int read_disk(struct ext3 *fs)
{
    int error = probe(fs);

    return error != 0 ? error : pin_super(fs);
}

/* After a recovery all is read again. */
static int open_journal(struct ext3 *fs)
{
    bool recovered = false;
    int error = ext3_open_journal(fs, &recovered);

    if (error != 0 || !recovered)
        return error;
    forget_disk(fs);
    return read_disk(fs);
}

static int after_recovery(struct ext3 *fs)
{
    int earlier = fs->journal != NULL ? journal_earlier_error(fs->journal) : 0;

    if (earlier != 0) {
        kprintf("ext3 %s: the journal was aborted earlier, error %u", fs->device->name, 0u - (u32)earlier);
        fs->disk->state |= to_le16(EXT3_ERROR_FS);
        journal_clear_error(fs->journal);
    }
    if (fs->device->read_only || !(from_le32(fs->disk->feature_incompat) & EXT3_INCOMPAT_RECOVER) ||
        fs->options.no_load)
        return 0;
    fs->disk->feature_incompat &= ~to_le32(EXT3_INCOMPAT_RECOVER);
    return write_super(fs);
}

static void apply_options(struct ext3 *fs)
{
    if (fs->journal == NULL)
        return;
    journal_set_barrier(fs->journal, fs->options.barrier);
    journal_set_interval(fs->journal, fs->options.commit_seconds * NSEC_PER_SEC);
}

static int begin_writing(struct ext3 *fs)
{
    int error = ext3_run_journal(fs);

    if (error == 0) {
        error = mark_mounted(fs);
        if (error != 0)
            kprintf("ext3 %s: the super block cannot be written, error %d", fs->device->name, -error);
    }
    if (error == 0 && fs->journal != NULL)
        journal_admit(fs->journal);
    fs->is_writing = error == 0;
    return error;
}

/* Back to a disk that is clean. If that fails with a journal, what is in it stays to be recovered: no more changes.
 * That nobody can write any more is not told then, for it is wanted; the journal tells of its abort, put_super of the
 * rest. */
static int end_writing(struct ext3 *fs)
{
    int error;

    fs->super->read_only = true; /* first: whoever begins to change something now would be too late */
    error = mark_unmounted(fs);
    if (error != 0 && fs->journal != NULL)
        journal_abort(fs->journal, error);
    fs->is_writing = error != 0 && fs->journal == NULL;
    fs->super->read_only = !fs->is_writing;
    return error;
}

static int fill(struct ext3 *fs)
{
    struct super *super = fs->super;
    int error = read_disk(fs);

    if (error == 0)
        error = open_journal(fs);
    if (error == 0)
        error = ext3_complete_options(fs);
    if (error == 0)
        error = after_recovery(fs);
    if (error == 0)
        error = ext3_load_groups(fs);
    if (error == 0) {
        init_super(super, fs);
        apply_options(fs);
        error = load_root(super);
    }
    if (error == 0 && !super->read_only)
        error = begin_writing(fs);
    return error;
}

static int mount(struct super *super, const char *options)
{
    struct ext3 *fs = kzalloc(sizeof(*fs));
    int error;

    if (fs == NULL)
        return -ENOMEM;
    fs->is_ext2 = strcmp(super->type->name, "ext2") == 0;
    fs->options = (struct ext3_options){.barrier = true, .commit_seconds = EXT3_COMMIT_SECONDS};
    error = ext3_parse_options(options, &fs->options);
    if (error != 0) {
        kfree(fs);
        return error;
    }
    init_fields(fs, super);
    if (super->device->read_only)
        super->read_only = true;
    buffer_drop(fs->device); /* what others wrote to the disk meanwhile counts */
    error = fill(fs);
    if (error != 0) {
        if (super->root != NULL)
            inode_put(super->root);
        super->root = NULL;
        release(fs);
        return error;
    }
    if (!super->read_only)
        ext3_process_orphans(fs);
    return 0;
}

/* ---- mounted ---- */

static int write_data(struct journal_data *data, bool wait)
{
    struct ext3_inode *ei = container_of(data, struct ext3_inode, data);
    int error;

    /* Pages for whose requests there was no memory are still dirty. The transaction must not go before them. */
    while ((error = object_writeback(&ei->vfs.object, 0, OBJECT_END, wait)) == -ENOMEM && wait)
        sched_yield();
    return error;
}

static struct inode *alloc_inode(struct super *super)
{
    struct ext3_inode *ei = kzalloc(sizeof(*ei));

    if (ei == NULL)
        return NULL;
    rwlock_init(&ei->map_lock);
    mutex_init(&ei->data_lock);
    list_init(&ei->orphan_link);
    list_init(&ei->changed_link);
    list_init(&ei->window_link);
    journal_data_init(&ei->data, write_data);
    return &ei->vfs;
}

static void free_inode(struct inode *inode) { kfree(ext3_i(inode)); }

static int sync(struct super *super, bool wait)
{
    struct ext3 *fs = super->private;
    int error, flush_error;
    u64 mark;

    if (super->read_only)
        return fs->journal_runs && journal_is_aborted(fs->journal) ? -EIO : 0;
    if (fs->journal != NULL) {
        mark = block_write_mark(fs->device);
        error = wait ? journal_commit_all(fs->journal) : 0;
    } else {
        update_totals(fs);
        buffer_mark_dirty(fs->super_buffer);
        error = buffer_sync(fs->device);
        mark = block_write_mark(fs->device);
    }
    flush_error = wait && fs->options.barrier ? block_flush_to(fs->device, mark) : 0;
    return error != 0 ? error : flush_error;
}

static u64 overhead(const struct ext3 *fs)
{
    u64 blocks = fs->first_data_block + (u64)fs->n_groups * (2 + fs->inode_blocks_per_group);

    for (u32 g = 0; g < fs->n_groups; g++)
        if (ext3_group_has_super(fs, g))
            blocks += 1 + fs->gdt_blocks + from_le16(fs->disk->reserved_gdt_blocks);
    return MIN(blocks, (u64)fs->blocks_count);
}

static void get_statfs(struct super *super, struct statfs_info *info)
{
    struct ext3 *fs = super->private;

    info->type = EXT3_MAGIC;
    info->block_size = info->fragment_size = fs->block_size;
    info->blocks = fs->blocks_count - overhead(fs);
    info->free = load_relaxed(&fs->free_blocks);
    info->available = info->free > fs->reserved_blocks ? info->free - fs->reserved_blocks : 0;
    info->files = fs->inodes_count;
    info->files_free = load_relaxed(&fs->free_inodes);
    info->name_max = NAME_MAX;
    memcpy(&info->fsid, fs->disk->uuid, sizeof(info->fsid));
}

/* Between handles, who deletes or truncates something has it on the orphan list. */
static int hold(struct super *super)
{
    struct ext3 *fs = super->private;

    if (fs->journal == NULL)
        return 0;
    journal_hold(fs->journal);
    if (list_empty(&fs->orphans))
        return 0;
    journal_release(fs->journal);
    return -EBUSY;
}

static void release_hold(struct super *super)
{
    struct ext3 *fs = super->private;

    if (fs->journal != NULL)
        journal_release(fs->journal);
}

static int remount(struct super *super, bool read_only, const char *options)
{
    struct ext3 *fs = super->private;
    struct ext3_options new = fs->options;
    int error = ext3_parse_options(options, &new);

    if (error != 0 || new.no_load != fs->options.no_load || new.data != fs->options.data)
        return -EINVAL;
    if (fs->journal_runs && journal_is_aborted(fs->journal) && !read_only)
        return -EROFS;
    if (!read_only && !fs->is_writing && (fs->device->read_only || fs->options.no_load || !ext3_may_write(fs)))
        return -EROFS;
    fs->options = new;
    apply_options(fs);
    if (read_only == !fs->is_writing)
        return 0;
    if (read_only)
        return end_writing(fs);
    error = begin_writing(fs);
    if (error != 0)
        return error;
    super->read_only = false;
    ext3_process_orphans(fs);
    return 0;
}

static void put_super(struct super *super)
{
    struct ext3 *fs = super->private;

    ext3_leave_buffers(super);
    if (!super->read_only && end_writing(fs) != 0)
        kprintf("ext3 %s: writing failed at unmount", fs->device->name);
    release(fs);
}

static void show_options(struct super *super, char *buf, size_t size)
{
    ext3_show_options(super->private, buf, size, false);
}

static const struct super_ops super_ops = {
    .alloc_inode = alloc_inode,
    .free_inode = free_inode,
    .write_inode = ext3_write_inode_op,
    .evict_inode = ext3_evict_inode,
    .sync = sync,
    .statfs = get_statfs,
    .hold = hold,
    .release = release_hold,
    .remount = remount,
    .put_super = put_super,
    .show_options = show_options,
};

void ext3_init(void)
{
    static struct fs_type ext3 = {.name = "ext3", .needs_device = true, .magic = EXT3_MAGIC, .mount = mount};
    static struct fs_type ext2 = {.name = "ext2", .needs_device = true, .magic = EXT3_MAGIC, .mount = mount};

    buffer_init();
    fs_register(&ext3);
    fs_register(&ext2);
}
