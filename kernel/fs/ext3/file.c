/*
 * Regular files: moving pages to and from their blocks, giving blocks to what is about to be written, and the calls on
 * open files.
 *
 * Blocks are allocated in prepare_write, so write-back never allocates: it writes the blocks that exist and passes
 * holes by.
 */
#include "fs/ext3/ext3.h"
#include "fs/page_io.h"

/* ---- pages ---- */

/* What the buffer of block PHYSICAL has, if there is one, into the page: the disk may not have it yet. */
static bool copy_from_buffer(struct ext3 *fs, struct page_io *io, unsigned page, unsigned offset, u32 physical)
{
    struct buffer *b = buffer_find(fs->device, physical);
    bool has = b != NULL && buffer_is_uptodate(b);

    if (has)
        page_io_copy(io, page, offset, b->data, fs->block_size);
    buffer_put(b);
    return has;
}

/* Reading blocks [logical, logical + count) of a file whose data go through the journal. */
static void add_journalled_run(struct ext3 *fs, struct page_io *io, u32 first, u32 logical, u32 count, u32 physical)
{
    u32 per_page = (u32)PAGE_SIZE >> fs->block_bits;

    for (u32 i = 0; i < count; i++) {
        u32 at = logical - first + i, offset = at % per_page << fs->block_bits;

        if (!copy_from_buffer(fs, io, at / per_page, offset, physical + i))
            page_io_add(io, at / per_page, offset, fs->block_size, (u64)(physical + i) * ext3_sectors_per_block(fs));
    }
}

/* Blocks [logical, logical + count) of the batch that begins with block FIRST; PHYSICAL 0: a hole. */
static void add_run(struct ext3 *fs, struct page_io *io, enum block_op op, u32 first, u32 logical, u32 count,
                    u32 physical)
{
    u32 per_page = (u32)PAGE_SIZE >> fs->block_bits;

    while (count > 0) {
        u32 at = logical - first, in_page = at % per_page, n = MIN(count, per_page - in_page);

        if (physical != 0)
            page_io_add(io, at / per_page, in_page << fs->block_bits, n << fs->block_bits,
                        (u64)physical * ext3_sectors_per_block(fs));
        else if (op == BLOCK_READ)
            page_io_zero(io, at / per_page, in_page << fs->block_bits, n << fs->block_bits);
        logical += n;
        count -= n;
        physical += physical != 0 ? n : 0;
    }
}

static void fail_run(struct ext3 *fs, struct page_io *io, u32 first, u32 logical, u32 count, int error)
{
    u32 per_page = (u32)PAGE_SIZE >> fs->block_bits;

    for (u32 i = (logical - first) / per_page; i <= (logical - first + count - 1) / per_page; i++)
        page_io_fail(io, i, error);
}

static void transfer(struct object *o, enum block_op op, struct page **batch, unsigned n)
{
    struct inode *inode = object_inode(o);
    struct ext3 *fs = ext3_of(inode);
    struct page_io *io = page_io_begin(fs->device, op, batch, n);
    u32 per_page_bits = PAGE_SHIFT - fs->block_bits;
    u64 first = batch[0]->index << per_page_bits, end = (batch[0]->index + n) << per_page_bits;
    u64 size_end = DIV_ROUND_UP(inode_size(inode), (u64)fs->block_size);
    u32 physical, count;

    if (io == NULL)
        return;
    for (u64 at = first; at < end; at += count) {
        int error = 0;

        count = (u32)(end - at);
        physical = 0;
        if (at < size_end) {
            count = (u32)(MIN(end, size_end) - at);
            error = ext3_map(inode, (u32)at, count, &physical, &count);
        }
        if (error == 0 && physical != 0 && ext3_journals_data(inode)) {
            add_journalled_run(fs, io, (u32)first, (u32)at, count, physical);
        } else if (error == 0) {
            add_run(fs, io, op, (u32)first, (u32)at, count, physical);
        } else {
            count = 1;
            fail_run(fs, io, (u32)first, (u32)at, count, error == -ENOMEM ? -ENOMEM : -EIO);
        }
    }
    page_io_end(io);
}

static void read_pages(struct object *o, struct page **batch, unsigned n) { transfer(o, BLOCK_READ, batch, n); }
static void write_pages(struct object *o, struct page **batch, unsigned n) { transfer(o, BLOCK_WRITE, batch, n); }

/* Of write-back that took them before the file's data came to go through the journal (flags.c): they are for
 * write_range, which object_writeback calls next. */
static void give_pages_back(struct object *o, struct page **batch, unsigned n)
{
    (void)o;
    for (unsigned i = 0; i < n; i++) {
        page_set_dirty(batch[i]);
        page_write_done(batch[i], 0);
    }
}

/* Fresh blocks among [at, end) of page INDEX hold another file's past: the page must reach them before the transaction
 * is durable. */
static void fill_fresh(struct ext3_handle *h, struct inode *inode, u64 index, u64 at, u64 end)
{
    struct page *page = object_find_page(&inode->object, index);

    if (ext3_journals_data(inode))
        ext3_log_data(h, inode, page, at, end);
    else
        ext3_order(h, inode);
    if (page == NULL)
        return;
    page_set_dirty(page);
    page_put(page);
}

/* The blocks of the page that bytes [from, to) lie in: [*AT, *END). -EROFS, -EFBIG. */
static int blocks_of(struct inode *inode, u64 index, unsigned from, unsigned to, u64 *at, u64 *end)
{
    struct ext3 *fs = ext3_of(inode);

    *at = ((index << PAGE_SHIFT) + from) >> fs->block_bits;
    *end = ((index << PAGE_SHIFT) + to + fs->block_size - 1) >> fs->block_bits;
    if (unlikely(inode->super->read_only))
        return -EROFS;
    return *end << fs->block_bits > inode->super->max_size + fs->block_size ? -EFBIG : 0;
}

/* Whether blocks [at, end) exist: 1, 0, -errno. */
static int have_blocks(struct inode *inode, u64 at, u64 end)
{
    u32 physical, count;

    for (; at < end; at += count) {
        int error = ext3_map(inode, (u32)at, (u32)(end - at), &physical, &count);

        if (error != 0 || physical == 0)
            return error;
    }
    return 1;
}

/* One page may have up to four blocks, on two branches of the map; their data may be logged. */
#define PLACE_CREDITS (2 * EXT3_MAP_CREDITS + 4 * EXT3_ALLOC_CREDITS + 2 * EXT3_INODE_CREDITS + 4)

/* Blocks [at, end) get what they lack. *FRESH: some are new. BELOW_SIZE: -ERANGE where they lie past the file's end. */
static int allocate(struct ext3_handle *h, struct inode *inode, u64 at, u64 end, bool below_size, bool *fresh)
{
    int error = 0;

    *fresh = false;
    while (at < end && error == 0) {
        u32 physical, count;
        bool new;

        error = ext3_map_allocate(h, inode, (u32)at, (u32)(end - at), below_size, &physical, &count, &new);
        *fresh |= error == 0 && new;
        at += error == 0 ? count : 0;
    }
    return error;
}

/* For a mapping: the page is in the cache and complete. */
static int prepare_write(struct object *o, u64 index, unsigned from, unsigned to)
{
    struct inode *inode = object_inode(o);
    struct ext3_handle h;
    unsigned attempts = 0;
    u64 at, end;
    int error = blocks_of(inode, index, from, to, &at, &end), placed;

    if (error != 0)
        return error;
    placed = have_blocks(inode, at, end);
    if (placed != 0)
        return MIN(placed, 0);
    do {
        bool fresh;

        error = ext3_begin(&h, ext3_of(inode), PLACE_CREDITS);
        if (error != 0)
            return error;
        error = allocate(&h, inode, at, end, true, &fresh);
        if (fresh) {
            ext3_write_inode(&h, inode);
            fill_fresh(&h, inode, index, at, end);
        }
        ext3_end(&h);
    } while (ext3_retry(ext3_of(inode), error, &attempts));
    return error;
}

static bool is_placed(struct object *o, u64 index, unsigned from, unsigned to)
{
    struct inode *inode = object_inode(o);
    u64 at, end;

    return (index << PAGE_SHIFT) + to <= inode_size(inode) && blocks_of(inode, index, from, to, &at, &end) == 0 &&
           have_blocks(inode, at, end) == 1;
}

/* Blocks, contents and size appear in one transaction, so a crash leaves all or none of them. */
static int store(struct object *o, struct page *page, unsigned from, unsigned to, void (*publish)(void *arg, int error),
                 void *arg)
{
    struct inode *inode = object_inode(o);
    struct ext3_handle h;
    unsigned attempts = 0;
    bool fresh = false, again, logged = ext3_journals_data(inode); /* stays so: inode->lock is held */
    u64 at, end, old_size = inode_size(inode);
    int error = blocks_of(inode, page->index, from, to, &at, &end);

    if (error != 0) {
        publish(arg, error);
        return error;
    }
    do {
        error = ext3_begin(&h, ext3_of(inode), PLACE_CREDITS);
        if (error != 0) {
            publish(arg, error);
            return error;
        }
        error = allocate(&h, inode, at, end, false, &fresh);
        again = error == -ENOSPC && !fresh && attempts < 3 && load_relaxed(&ext3_of(inode)->n_pending) > 0;
        if (!again && logged)
            ext3_publish_data(&h, inode, page, at, end, error, publish, arg);
        else if (!again)
            publish(arg, error);
        if (fresh || inode_size(inode) > old_size)
            ext3_order(&h, inode);
        if (fresh || error == 0)
            ext3_write_inode(&h, inode);
        ext3_end(&h);
        if (again && !ext3_retry(ext3_of(inode), error, &attempts))
            attempts = 3; /* once more, to publish the failure */
    } while (again);
    return error;
}

static int mapping_stored(struct object *o)
{
    struct inode *inode = object_inode(o);

    if (inode->super->read_only)
        return -EROFS;
    if (unlikely(inode->flags & FS_IMMUTABLE_FL))
        return -EPERM;
    inode_touch(inode, ATTR_MTIME | ATTR_CTIME);
    return 0;
}

const struct object_ops ext3_object_ops = {
    .read_pages = read_pages,
    .write_pages = write_pages,
    .prepare_write = prepare_write,
    .store = store,
    .is_placed = is_placed,
    .mapping_stored = mapping_stored,
    .dirtied = inode_dirty_pages,
};

const struct object_ops ext3_journalled_object_ops = {
    .read_pages = read_pages,
    .write_pages = give_pages_back,
    .write_range = ext3_write_range,
    .prepare_write = prepare_write,
    .store = store,
    .is_placed = is_placed,
    .mapping_stored = mapping_stored,
    .dirtied = inode_dirty_pages,
};

/* ---- calls ---- */

static ssize_t write(struct file *file, struct uio *uio, u64 *pos)
{
    struct inode *inode = file->inode;
    ssize_t done = generic_write(file, uio, pos);

    if (load_relaxed(&ext3_i(inode)->past_end) != 0) {
        write_lock(&inode->lock);
        ext3_trim(inode);
        write_unlock(&inode->lock);
    }
    return done;
}

static void release(struct file *file)
{
    struct inode *inode = file->inode;

    if (!file->can_write)
        return;
    /* Perhaps called from munmap: no waiting for the lock, whose holder may wait for the address space. Who has it is
     * writing, and trims. */
    if (load_relaxed(&ext3_i(inode)->past_end) != 0 && write_trylock(&inode->lock)) {
        ext3_trim(inode);
        write_unlock(&inode->lock);
    }
    ext3_discard_window(inode);
}

/* The first data or hole at or after OFFSET; the end of the file is a hole. */
static s64 seek_data_or_hole(struct inode *inode, s64 offset, bool want_data)
{
    struct ext3 *fs = ext3_of(inode);
    u64 size = inode_size(inode), at = (u64)offset >> fs->block_bits, end = DIV_ROUND_UP(size, (u64)fs->block_size);

    if (offset < 0 || (u64)offset >= size)
        return -ENXIO;
    while (at < end) {
        u32 physical, count;
        int error = ext3_map(inode, (u32)at, (u32)(end - at), &physical, &count);

        if (error != 0)
            return error;
        if ((physical != 0) == want_data)
            return MAX(offset, (s64)(at << fs->block_bits));
        at += count;
    }
    return want_data ? -ENXIO : (s64)size;
}

static s64 seek(struct file *file, s64 offset, int whence)
{
    s64 found;

    if (whence != SEEK_DATA && whence != SEEK_HOLE)
        return generic_seek(file, offset, whence);
    found = seek_data_or_hole(file->inode, offset, whence == SEEK_DATA);
    if (found >= 0)
        file->pos = (u64)found;
    return found;
}

/* What object_punch has made zeros at the edges of [offset, end) reaches the disk before blocks there are free. */
static int write_edges(struct ext3_handle *h, struct inode *inode, u64 offset, u64 end)
{
    u64 edges[2] = {offset >> PAGE_SHIFT, (end - 1) >> PAGE_SHIFT};
    int error = 0;

    if (!ext3_journals_data(inode))
        return object_writeback(&inode->object, offset, end - 1, true);
    for (unsigned i = 0; i < 2 && error == 0; i++) {
        struct page *page = object_find_page(&inode->object, edges[i]);

        if (page == NULL)
            continue;
        error = ext3_log_page(h, inode, page);
        page_put(page);
    }
    return error;
}

/* Blocks that are allocated but not written cannot be told on this disk format: only holes can be made. */
static int fallocate(struct file *file, int mode, u64 offset, u64 length)
{
    struct inode *inode = file->inode;
    struct ext3 *fs = ext3_of(inode);
    struct ext3_handle h;
    u64 end = offset + length;
    u32 first_block, end_block;
    int error;

    if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
        return -EOPNOTSUPP;
    end = MIN(end, inode_size(inode));
    if (offset >= end)
        return 0;
    error = ext3_begin(&h, fs, EXT3_TRUNCATE_CREDITS + 2 * (PAGE_SIZE / EXT3_MIN_BLOCK_SIZE));
    if (error != 0)
        return error;
    if (fs->journal != NULL)
        journal_data_wait(fs->journal, &ext3_i(inode)->data);
    error = object_punch(&inode->object, offset, end);
    if (error == 0)
        error = write_edges(&h, inode, offset, end);
    if (error != 0) {
        ext3_end(&h);
        return error;
    }
    first_block = (u32)DIV_ROUND_UP(offset, (u64)fs->block_size);
    end_block = end == inode_size(inode) ? (u32)DIV_ROUND_UP(end, (u64)fs->block_size) : (u32)(end >> fs->block_bits);
    error = ext3_free_range(&h, inode, first_block, MAX(first_block, end_block));
    inode_touch(inode, ATTR_MTIME | ATTR_CTIME);
    ext3_write_inode(&h, inode);
    ext3_end_inode(&h, inode);
    if (error == 0)
        error = object_unplace(&inode->object, offset, end);
    return error != 0 ? error : h.error;
}

const struct file_ops ext3_file_ops = {
    .release = release,
    .read = generic_read,
    .write = write,
    .seek = seek,
    .map = generic_map,
    .fsync = ext3_fsync,
    .fallocate = fallocate,
    .ioctl = ext3_ioctl,
};
