/*
 * Directories as a sequence of entries, which is what they are for a reader that ignores the index (htree.c).
 *
 *   block: | ino, length, name_length, type, name | ino ... | ...          lengths fill the block; ino 0 = unused space
 *
 * An entry is removed by lengthening the one before it. => dir->lock, for writing where something changes.
 */
#include "fs/ext3/ext3.h"

#define READ_AHEAD 8

/* ---- entries ---- */

bool ext3_dirent_is_sane(struct ext3 *fs, const struct inode *dir, const struct ext3_disk_dirent *de, u32 offset,
                         u32 logical)
{
    u32 length = from_le16(de->length), left = fs->block_size - offset;
    const char *bad = NULL;

    if (left < ext3_dirent_size(1) || length < ext3_dirent_size(1))
        bad = "too short";
    else if (length % 4 != 0 || length > left)
        bad = "bad length";
    else if (length < ext3_dirent_size(de->name_length) || (de->ino != 0 && de->name_length == 0))
        bad = "bad name length";
    else if (from_le32(de->ino) > fs->inodes_count)
        bad = "bad inode number";
    if (bad == NULL)
        return true;
    ext3_corrupt(fs, "directory %lu, block %u, offset %u: %s", (unsigned long)dir->ino, logical, offset, bad);
    return false;
}

static unsigned type_of_mode(u32 mode)
{
    static const u8 types[16] = {
        [DT_FIFO] = EXT3_FT_FIFO, [DT_CHR] = EXT3_FT_CHR,     [DT_DIR] = EXT3_FT_DIR,  [DT_BLK] = EXT3_FT_BLK,
        [DT_REG] = EXT3_FT_REG,   [DT_LNK] = EXT3_FT_SYMLINK, [DT_SOCK] = EXT3_FT_SOCK};

    return types[mode_to_dt(mode)];
}

void ext3_dirent_set_type(const struct ext3 *fs, struct ext3_disk_dirent *de, u32 mode)
{
    de->type = fs->has_filetype ? (u8)type_of_mode(mode) : 0;
}

unsigned ext3_dirent_type(const struct ext3 *fs, const struct ext3_disk_dirent *de)
{
    static const u8 types[EXT3_FT_MAX] = {DT_UNKNOWN, DT_REG, DT_DIR, DT_CHR, DT_BLK, DT_FIFO, DT_SOCK, DT_LNK};

    return fs->has_filetype && de->type < EXT3_FT_MAX ? types[de->type] : DT_UNKNOWN;
}

static struct ext3_disk_dirent *entry_at(const struct buffer *b, u32 offset)
{
    return (struct ext3_disk_dirent *)(b->data + offset);
}

/* ---- blocks ---- */

struct buffer *ext3_dir_bread(struct inode *dir, u32 logical)
{
    u32 physical, count;
    int error = ext3_map(dir, logical, READ_AHEAD, &physical, &count);

    if (error != 0)
        return ERR_PTR(error);
    if (physical == 0)
        return ERR_PTR(
            ext3_corrupt(ext3_of(dir), "directory %lu: block %u is a hole", (unsigned long)dir->ino, logical));
    if (logical % READ_AHEAD == 0 && count > 1)
        buffer_read_ahead(ext3_of(dir)->device, physical, count, ext3_of(dir)->block_size);
    return ext3_bread(ext3_of(dir), physical);
}

struct buffer *ext3_dir_block(struct inode *dir, u32 logical)
{
    struct buffer *b = ext3_i(dir)->kept_block;

    /* On a damaged disk the block may be another file's, too, which has freed it or writes to it. */
    if (b == NULL || ext3_i(dir)->kept_logical != logical ||
        (load_acquire(&b->state) & (BUFFER_UPTODATE | BUFFER_DATA)) != BUFFER_UPTODATE)
        return ext3_dir_bread(dir, logical);
    buffer_hold(b);
    return b;
}

/* A directory's blocks stay where they are until it goes. */
void ext3_dir_keep(struct inode *dir, struct buffer *b, u32 logical)
{
    struct ext3_inode *ei = ext3_i(dir);

    if (likely(ei->kept_block == b))
        return;
    buffer_hold(b);
    buffer_put(ei->kept_block);
    ei->kept_block = b;
    ei->kept_logical = logical;
}

struct buffer *ext3_dir_append(struct ext3_handle *h, struct inode *dir, u32 *logical)
{
    u32 physical, count;
    bool fresh;
    struct buffer *b;
    int error;

    *logical = ext3_dir_blocks(dir);
    if (inode_size(dir) + h->fs->block_size > INT32_MAX)
        return ERR_PTR(-ENOSPC);
    error = ext3_map_allocate(h, dir, *logical, 1, false, &physical, &count, &fresh);
    if (error != 0)
        return ERR_PTR(error);
    b = ext3_bnew(h, physical);
    if (IS_ERR(b))
        return b;
    store_relaxed(&dir->object.size, inode_size(dir) + h->fs->block_size);
    return b;
}

/* ---- finding ---- */

struct buffer *ext3_dir_find_in_block(struct inode *dir, struct buffer *b, u32 logical, struct name name,
                                      struct ext3_disk_dirent **found)
{
    struct ext3 *fs = ext3_of(dir);

    for (u32 offset = 0; offset < fs->block_size;) {
        struct ext3_disk_dirent *de = entry_at(b, offset);

        if (!ext3_dirent_is_sane(fs, dir, de, offset, logical))
            return ERR_PTR(-EUCLEAN);
        if (ext3_name_is(de, name)) {
            *found = de;
            return b;
        }
        offset += from_le16(de->length);
    }
    return NULL;
}

/* A damaged block does not hide names in others: its error is reported if the name is in none of them. */
static struct buffer *find_linear(struct inode *dir, struct name name, struct ext3_disk_dirent **de)
{
    struct buffer *result = NULL;

    for (u32 i = 0; i < ext3_dir_blocks(dir); i++) {
        struct buffer *b = ext3_dir_block(dir, i), *found;

        if (IS_ERR(b)) {
            result = b;
            continue;
        }
        found = ext3_dir_find_in_block(dir, b, i, name, de);
        if (found == b)
            return b;
        if (IS_ERR(found))
            result = found;
        buffer_put(b);
    }
    return result;
}

struct buffer *ext3_dir_find(struct inode *dir, struct name name, struct ext3_disk_dirent **de)
{
    struct buffer *b;

    if (name.length > NAME_MAX)
        return ERR_PTR(-ENAMETOOLONG);
    if (ext3_is_indexed(dir)) {
        b = ext3_htree_find(dir, name, de);
        if (!IS_ERR(b) || PTR_ERR(b) != -EBADF)
            return b;
    }
    return find_linear(dir, name, de);
}

/* ---- changing ---- */

static void fill_entry(const struct ext3 *fs, struct ext3_disk_dirent *de, struct name name, u32 ino, u32 mode)
{
    de->ino = to_le32(ino);
    de->name_length = (u8)name.length;
    ext3_dirent_set_type(fs, de, mode);
    memcpy(de->name, name.s, name.length);
}

int ext3_dir_add_to_block(struct ext3_handle *h, struct inode *dir, struct buffer *b, struct name name, u32 ino,
                          u32 mode)
{
    struct ext3 *fs = h->fs;
    u32 need = ext3_dirent_size(name.length);

    for (u32 offset = 0; offset < fs->block_size;) {
        struct ext3_disk_dirent *de = entry_at(b, offset);
        u32 used, length;

        if (!ext3_dirent_is_sane(fs, dir, de, offset, 0))
            return -EUCLEAN;
        length = from_le16(de->length);
        used = de->ino != 0 ? ext3_dirent_size(de->name_length) : 0;
        if (length - used >= need) {
            ext3_access(h, b);
            if (used != 0) {
                de->length = to_le16((u16)used);
                de = entry_at(b, offset + used);
                de->length = to_le16((u16)(length - used));
            }
            fill_entry(fs, de, name, ino, mode);
            ext3_dirty(h, b);
            return 0;
        }
        offset += length;
    }
    return -ENOSPC;
}

static int changed(struct ext3_handle *h, struct inode *dir)
{
    inode_touch(dir, ATTR_MTIME | ATTR_CTIME);
    return ext3_write_inode(h, dir);
}

static int add_to_new_block(struct ext3_handle *h, struct inode *dir, struct name name, const struct inode *inode)
{
    u32 logical;
    struct buffer *b = ext3_dir_append(h, dir, &logical);
    int error;

    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    entry_at(b, 0)->length = to_le16((u16)h->fs->block_size);
    error = ext3_dir_add_to_block(h, dir, b, name, (u32)inode->ino, inode->mode);
    buffer_put(b);
    ext3_i(dir)->insert_hint = logical;
    return error;
}

static int add_linear(struct ext3_handle *h, struct inode *dir, struct name name, const struct inode *inode)
{
    u32 blocks = ext3_dir_blocks(dir);

    for (u32 i = MIN(ext3_i(dir)->insert_hint, blocks); i < blocks; i++) {
        struct buffer *b = ext3_dir_block(dir, i);
        int error;

        if (IS_ERR(b))
            return (int)PTR_ERR(b);
        error = ext3_dir_add_to_block(h, dir, b, name, (u32)inode->ino, inode->mode);
        if (error == 0)
            ext3_dir_keep(dir, b, i);
        buffer_put(b);
        if (error != -ENOSPC) {
            ext3_i(dir)->insert_hint = i;
            return error;
        }
    }
    if (blocks == 1 && h->fs->has_dir_index) {
        int error = ext3_htree_create(h, dir, name, inode);

        if (error != -EBADF)
            return error;
    }
    return add_to_new_block(h, dir, name, inode);
}

int ext3_dir_add(struct ext3_handle *h, struct inode *dir, struct name name, const struct inode *inode)
{
    int error = -EBADF;

    if (dir->nlink == 0)
        return -ENOENT;
    if (ext3_is_indexed(dir)) {
        error = ext3_htree_add(h, dir, name, inode);
        if (error == -EBADF) /* entries may go anywhere once the index is gone */
            dir->flags &= ~(u32)EXT3_INDEX_FL;
    }
    if (error == -EBADF)
        error = add_linear(h, dir, name, inode);
    return error != 0 ? error : changed(h, dir);
}

int ext3_dir_delete(struct ext3_handle *h, struct inode *dir, struct buffer *b, struct ext3_disk_dirent *victim)
{
    struct ext3_disk_dirent *before = NULL;
    u32 offset = 0, at = (u32)((u8 *)victim - b->data);

    while (offset < at) {
        before = entry_at(b, offset);
        if (!ext3_dirent_is_sane(h->fs, dir, before, offset, 0))
            return -EUCLEAN;
        offset += from_le16(before->length);
    }
    if (offset != at)
        return -EUCLEAN;
    ext3_access(h, b);
    if (before != NULL)
        before->length = to_le16((u16)(from_le16(before->length) + from_le16(victim->length)));
    victim->ino = 0;
    ext3_dirty(h, b);
    ext3_i(dir)->insert_hint = 0;
    return changed(h, dir);
}

int ext3_dir_set(struct ext3_handle *h, struct inode *dir, struct buffer *b, struct ext3_disk_dirent *de,
                 const struct inode *inode)
{
    ext3_access(h, b);
    de->ino = to_le32((u32)inode->ino);
    ext3_dirent_set_type(h->fs, de, inode->mode);
    ext3_dirty(h, b);
    return changed(h, dir);
}

int ext3_dir_make_empty(struct ext3_handle *h, struct inode *dir, u64 parent)
{
    u32 logical;
    struct buffer *b = ext3_dir_append(h, dir, &logical);
    struct ext3_disk_dirent *de;

    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    de = entry_at(b, 0);
    fill_entry(h->fs, de, (struct name){".", 1}, (u32)dir->ino, S_IFDIR);
    de->length = to_le16((u16)ext3_dirent_size(1));
    de = entry_at(b, ext3_dirent_size(1));
    fill_entry(h->fs, de, (struct name){"..", 2}, (u32)parent, S_IFDIR);
    de->length = to_le16((u16)(h->fs->block_size - ext3_dirent_size(1)));
    ext3_dirty(h, b);
    buffer_put(b);
    return 0;
}

static bool is_dot_or_dotdot(const struct ext3_disk_dirent *de)
{
    return de->name[0] == '.' && (de->name_length == 1 || (de->name_length == 2 && de->name[1] == '.'));
}

int ext3_dir_is_empty(struct inode *dir)
{
    struct ext3 *fs = ext3_of(dir);

    for (u32 i = 0; i < ext3_dir_blocks(dir); i++) {
        struct buffer *b = ext3_dir_bread(dir, i);

        if (IS_ERR(b))
            return (int)PTR_ERR(b);
        for (u32 offset = 0; offset < fs->block_size;) {
            const struct ext3_disk_dirent *de = entry_at(b, offset);
            bool sane = ext3_dirent_is_sane(fs, dir, de, offset, i);

            if (!sane || (de->ino != 0 && !is_dot_or_dotdot(de))) {
                buffer_put(b);
                return sane ? 0 : -EUCLEAN;
            }
            offset += from_le16(de->length);
        }
        buffer_put(b);
    }
    return 1;
}

/* ---- reading ---- */

/* The entries of block B from ctx->pos on. 1 go on, 0 the buffer is full, -EUCLEAN. */
static int emit_block(struct inode *dir, struct buffer *b, u32 logical, struct dir_context *ctx)
{
    struct ext3 *fs = ext3_of(dir);
    u64 start = (u64)logical << fs->block_bits;

    for (u32 offset = 0; offset < fs->block_size;) {
        const struct ext3_disk_dirent *de = entry_at(b, offset);
        u64 next;

        if (!ext3_dirent_is_sane(fs, dir, de, offset, logical))
            return -EUCLEAN;
        next = start + offset + from_le16(de->length);
        if (start + offset >= ctx->pos && de->ino != 0 &&
            !ctx->emit(ctx, de->name, de->name_length, from_le32(de->ino), ext3_dirent_type(fs, de), next))
            return 0;
        if (next > ctx->pos)
            ctx->pos = next;
        offset += from_le16(de->length);
    }
    return 1;
}

/* The cookie is the entry's place. Entries before a place that is no entry's (any more) have been read. */
static int read_linear(struct inode *dir, struct dir_context *ctx)
{
    struct ext3 *fs = ext3_of(dir);
    int error = 0;

    while (ctx->pos < inode_size(dir)) {
        u32 logical = (u32)(ctx->pos >> fs->block_bits);
        struct buffer *b = ext3_dir_bread(dir, logical);
        int result = IS_ERR(b) ? (int)PTR_ERR(b) : emit_block(dir, b, logical, ctx);

        if (!IS_ERR(b))
            buffer_put(b);
        if (result == 0)
            return 0;
        if (result < 0) { /* the rest of a damaged block is lost, the others are not */
            error = result;
            ctx->pos = (u64)(logical + 1) << fs->block_bits;
        }
    }
    return error;
}

static int read_dir(struct file *file, struct dir_context *ctx)
{
    struct inode *dir = file->inode;

    if (ext3_reads_by_hash(dir)) {
        int error = ext3_htree_read_dir(dir, ctx);

        if (error != -EBADF)
            return error;
    }
    return read_linear(dir, ctx);
}

/* Positions are cookies: any that readdir gave, or 0. Those made of hashes have no size: the end is as far as can be, as
 * on Linux, which a program may see as it likes but must be able to seek back from. */
static s64 seek(struct file *file, s64 offset, int whence)
{
    if (ext3_reads_by_hash(file->inode))
        return generic_seek_within(file, offset, whence, INT64_MAX, INT64_MAX);
    return generic_seek(file, offset, whence);
}

static ssize_t read_is_error(struct file *file, struct uio *uio, u64 *pos) { return -EISDIR; }

const struct file_ops ext3_dir_file_ops = {
    .read = read_is_error, .seek = seek, .read_dir = read_dir, .fsync = ext3_fsync, .ioctl = ext3_ioctl};
