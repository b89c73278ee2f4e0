/*
 * Changing extended attributes: all of an inode's are gathered in memory, the one is changed, and the area that differs
 * is written anew. A new value goes to the inode's own space if it fits there, else to the attribute block, which is
 * copied first if other inodes share it.
 */
#include "fs/ext3/xattr.h"
#include "vm/kmalloc.h"

struct attribute {
    u8 index, name_length;
    bool in_block;
    const char *name;
    const void *value;
    u32 size;
};

struct attributes_of {
    struct inode *inode;
    struct attribute *list;
    unsigned n, max;
    bool in_block; /* being gathered */
    u8 *copies[2]; /* of the areas, which the list points into */
};

/* ---- gathering ---- */

static ssize_t gather(const struct xattr_area *area, const struct ext3_xattr_entry *e, void *arg)
{
    struct attributes_of *all = arg;

    if (all->n == all->max)
        return -ENOSPC;
    all->list[all->n++] = (struct attribute){
        e->name_index,           e->name_length, all->in_block, e->name, area->base + from_le16(e->value_offset),
        from_le32(e->value_size)};
    return 0;
}

/* Like AREA, but in a copy of its own, *COPY. */
static int copy_area(struct xattr_area *area, u8 **copy)
{
    size_t size = (size_t)(area->end - area->base), entries_at = (size_t)(area->entries - area->base);

    *copy = kmalloc(size);
    if (*copy == NULL)
        return -ENOMEM;
    memcpy(*copy, area->base, size);
    *area = (struct xattr_area){*copy, *copy + entries_at, *copy + size};
    return 0;
}

static int gather_all(struct attributes_of *all, const struct ext3_disk_inode *disk, struct buffer *block)
{
    struct ext3 *fs = ext3_of(all->inode);
    struct xattr_area area;
    ssize_t error = 0;

    all->max = 2 * fs->block_size / (u32)sizeof(struct ext3_xattr_entry) + 1;
    all->list = kmalloc(all->max * sizeof(*all->list));
    if (all->list == NULL)
        return -ENOMEM;
    if (ext3_xattr_in_inode(fs, ext3_i(all->inode), disk, &area)) {
        error = copy_area(&area, &all->copies[0]);
        if (error == 0)
            error = ext3_xattr_each(all->inode, &area, gather, all);
    }
    if (error == 0 && block != NULL) {
        area = ext3_xattr_block_area(block);
        all->in_block = true;
        error = copy_area(&area, &all->copies[1]);
        if (error == 0)
            error = ext3_xattr_each(all->inode, &area, gather, all);
    }
    return (int)error;
}

static void free_gathered(struct attributes_of *all)
{
    kfree(all->list);
    kfree(all->copies[0]);
    kfree(all->copies[1]);
}

/* ---- room ---- */

static u32 padded(u32 size) { return ALIGN_UP(size, 4u); }
static u32 entry_bytes(const struct attribute *a)
{
    return padded((u32)sizeof(struct ext3_xattr_entry) + a->name_length);
}

/* Bytes that the attributes of the block (or of the inode) take, with the zeros at the end of the list. */
static u32 bytes_used(const struct attributes_of *all, bool in_block)
{
    u32 bytes = 4;

    for (unsigned i = 0; i < all->n; i++)
        if (all->list[i].in_block == in_block)
            bytes += entry_bytes(&all->list[i]) + padded(all->list[i].size);
    return bytes;
}

static u32 bytes_there(const struct ext3 *fs, const struct ext3_inode *ei, bool in_block)
{
    u32 used = EXT3_OLD_INODE_SIZE + ei->extra_isize + 4; /* 4: the magic */

    if (in_block)
        return fs->block_size - (u32)sizeof(struct ext3_xattr_header);
    return ei->extra_isize == 0 || fs->inode_size < used ? 0 : fs->inode_size - used;
}

static bool has_any(const struct attributes_of *all, bool in_block)
{
    for (unsigned i = 0; i < all->n; i++)
        if (all->list[i].in_block == in_block)
            return true;
    return false;
}

/* ---- writing an area ---- */

static u32 hash_entry(const struct attribute *a)
{
    u32 hash = 0, word;

    for (unsigned i = 0; i < a->name_length; i++)
        hash = (hash << 5 | hash >> 27) ^ (u32)(u8)a->name[i];
    for (u32 at = 0; at < a->size; at += 4) {
        word = 0;
        memcpy(&word, (const u8 *)a->value + at, MIN(4u, a->size - at));
        hash = (hash << 16 | hash >> 16) ^ word;
    }
    return hash;
}

/* Entries from ENTRIES on, values down from END; offsets count from BASE. Returns the hash of all. */
static u32 write_area(const struct attributes_of *all, bool in_block, u8 *base, u8 *entries, u8 *end)
{
    u32 hash = 0;

    memset(entries, 0, (size_t)(end - entries));
    for (unsigned i = 0; i < all->n; i++) {
        const struct attribute *a = &all->list[i];
        struct ext3_xattr_entry *e = (struct ext3_xattr_entry *)entries;

        if (a->in_block != in_block)
            continue;
        end -= padded(a->size);
        memcpy(end, a->value, a->size);
        e->name_length = a->name_length;
        e->name_index = a->index;
        e->value_offset = to_le16(a->size > 0 ? (u16)(end - base) : 0);
        e->value_size = to_le32(a->size);
        e->hash = to_le32(in_block ? hash_entry(a) : 0);
        memcpy(e->name, a->name, a->name_length);
        entries += entry_bytes(a);
        hash = (hash << 16 | hash >> 16) ^ from_le32(e->hash);
    }
    return hash;
}

static void write_to_inode(struct ext3_handle *h, const struct attributes_of *all, struct buffer *b,
                           struct ext3_disk_inode *disk)
{
    u8 *start = (u8 *)disk + EXT3_OLD_INODE_SIZE + ext3_i(all->inode)->extra_isize,
       *end = (u8 *)disk + h->fs->inode_size;
    le32 magic = to_le32(has_any(all, false) ? EXT3_XATTR_MAGIC : 0);

    ext3_access(h, b);
    memcpy(start, &magic, sizeof(magic));
    write_area(all, false, start + sizeof(magic), start + sizeof(magic), end);
    ext3_dirty(h, b);
}

/* A block of its own for INODE's attributes. => xattr_lock */
static struct buffer *new_block(struct ext3_handle *h, struct inode *inode)
{
    struct ext3_inode *ei = ext3_i(inode);
    u32 count = 1, block = 0;
    struct buffer *b;
    int error;

    write_lock(&ei->map_lock);
    error = ext3_alloc_blocks(h, inode, 0, &count, &block);
    b = error == 0 ? ext3_bnew(h, block) : ERR_PTR(error);
    if (!IS_ERR(b)) {
        ei->file_acl = block;
        inode->blocks += ext3_sectors_per_block(h->fs);
    } else if (error == 0) {
        ext3_free_blocks(h, block, 1, false);
    }
    write_unlock(&ei->map_lock);
    if (IS_ERR(b))
        return b;
    *(struct ext3_xattr_header *)b->data =
        (struct ext3_xattr_header){to_le32(EXT3_XATTR_MAGIC), to_le32(1), to_le32(1), 0, 0, {0}};
    return b;
}

/* BLOCK: the present one, or NULL. => xattr_lock */
static int write_to_block(struct ext3_handle *h, const struct attributes_of *all, struct buffer *block)
{
    struct ext3_xattr_header *header;
    struct buffer *b = block;
    struct xattr_area area;

    if (!has_any(all, true)) {
        if (block != NULL)
            ext3_xattr_put_block(h, all->inode, block);
        return 0;
    }
    if (block == NULL || from_le32(((struct ext3_xattr_header *)block->data)->refcount) > 1) {
        u32 shared = ext3_i(all->inode)->file_acl;

        b = new_block(h, all->inode);
        if (IS_ERR(b))
            return (int)PTR_ERR(b);
        if (shared != 0) { /* the others keep it */
            header = (struct ext3_xattr_header *)block->data;
            ext3_access(h, block);
            header->refcount = to_le32(from_le32(header->refcount) - 1);
            ext3_dirty(h, block);
            write_lock(&ext3_i(all->inode)->map_lock); /* faults count blocks, too */
            all->inode->blocks -= ext3_sectors_per_block(h->fs);
            write_unlock(&ext3_i(all->inode)->map_lock);
        }
    }
    header = (struct ext3_xattr_header *)b->data;
    area = ext3_xattr_block_area(b);
    ext3_access(h, b);
    header->hash = to_le32(write_area(all, true, b->data, b->data + (area.entries - area.base), b->data + b->size));
    ext3_dirty(h, b);
    if (b != block)
        buffer_put(b);
    return 0;
}

/* ---- the change ---- */

static int find(const struct attributes_of *all, const struct attribute *a)
{
    for (unsigned i = 0; i < all->n; i++)
        if (all->list[i].index == a->index && all->list[i].name_length == a->name_length &&
            memcmp(all->list[i].name, a->name, a->name_length) == 0)
            return (int)i;
    return -1;
}

static int order(const struct attribute *a, const struct attribute *b)
{
    if (a->index != b->index)
        return a->index - b->index;
    return a->name_length != b->name_length ? a->name_length - b->name_length
                                            : memcmp(a->name, b->name, a->name_length);
}

/* Into the list, which is kept in the order that blocks need. */
static void insert(struct attributes_of *all, struct attribute a)
{
    unsigned at = all->n;

    for (; at > 0 && order(&all->list[at - 1], &a) > 0; at--)
        all->list[at] = all->list[at - 1];
    all->list[at] = a;
    all->n++;
}

/* NEW's value NULL: it goes. *IN_INODE, *IN_BLOCK: which areas have changed. */
static int change_list(struct attributes_of *all, struct attribute new, int flags, bool *in_inode, bool *in_block)
{
    struct ext3 *fs = ext3_of(all->inode);
    struct ext3_inode *ei = ext3_i(all->inode);
    int old = find(all, &new);

    if (old < 0 && (new.value == NULL || (flags & XATTR_REPLACE)))
        return -ENODATA;
    if (old >= 0 && (flags & XATTR_CREATE))
        return -EEXIST;
    if (old >= 0) {
        *(all->list[old].in_block ? in_block : in_inode) = true;
        memmove(&all->list[old], &all->list[old + 1], (all->n - (unsigned)old - 1) * sizeof(*all->list));
        all->n--;
    }
    if (new.value == NULL)
        return 0;
    if (all->n == all->max)
        return -ENOSPC;
    new.in_block = bytes_used(all, false) + entry_bytes(&new) + padded(new.size) > bytes_there(fs, ei, false);
    if (new.in_block && bytes_used(all, true) + entry_bytes(&new) + padded(new.size) > bytes_there(fs, ei, true))
        return -ENOSPC;
    *(new.in_block ? in_block : in_inode) = true;
    insert(all, new);
    return 0;
}

/* On a damaged disk several names may share the bytes of a value, which need room of their own when written. */
static int check_room(const struct attributes_of *all, bool in_block)
{
    struct ext3 *fs = ext3_of(all->inode);

    if (bytes_used(all, in_block) <= bytes_there(fs, ext3_i(all->inode), in_block) || !has_any(all, in_block))
        return 0;
    return ext3_corrupt(fs, "inode %lu: extended attributes overlap", (unsigned long)all->inode->ino);
}

static void sort(struct attributes_of *all)
{
    unsigned n = all->n;

    all->n = 0;
    for (unsigned i = 0; i < n; i++)
        insert(all, all->list[i]);
}

static int change(struct ext3_handle *h, struct inode *inode, struct attribute new, int flags)
{
    struct attributes_of all = {.inode = inode};
    struct ext3_disk_inode *disk;
    struct buffer *b = ext3_inode_buffer(h->fs, inode->ino, &disk), *block = NULL;
    bool in_inode = false, in_block = false;
    int error;

    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    block = ext3_i(inode)->file_acl != 0 ? ext3_xattr_block(inode) : NULL;
    if (IS_ERR(block)) {
        buffer_put(b);
        return (int)PTR_ERR(block);
    }
    error = gather_all(&all, disk, block);
    if (error == 0) {
        sort(&all);
        error = change_list(&all, new, flags, &in_inode, &in_block);
    }
    if (error == 0 && in_inode)
        error = check_room(&all, false);
    if (error == 0 && in_block)
        error = check_room(&all, true);
    if (error == 0 && in_block)
        error = write_to_block(h, &all, block);
    if (error == 0 && in_inode)
        write_to_inode(h, &all, b, disk);
    free_gathered(&all);
    buffer_put(block);
    buffer_put(b);
    return error;
}

static int try_set(struct inode *inode, const char *name, const void *value, size_t size, int flags)
{
    struct ext3 *fs = ext3_of(inode);
    struct ext3_handle h;
    const char *rest = name;
    u8 index = ext3_xattr_index(name, &rest);
    int error;

    if (index == 0 || strncmp(name, "system.", 7) == 0) /* access control lists, which nobody would look at */
        return -EOPNOTSUPP;
    if (*rest == '\0')
        return -EINVAL;
    error = ext3_begin(&h, fs, 2 * EXT3_ALLOC_CREDITS + 6);
    if (error != 0)
        return error;
    mutex_lock(&fs->xattr_lock);
    error = change(&h, inode, (struct attribute){index, (u8)strlen(rest), false, rest, value, (u32)size}, flags);
    mutex_unlock(&fs->xattr_lock);
    if (error == 0) {
        if (!(from_le32(fs->disk->feature_compat) & EXT3_COMPAT_EXT_ATTR)) {
            ext3_access(&h, fs->super_buffer);
            fs->disk->feature_compat |= to_le32(EXT3_COMPAT_EXT_ATTR);
            ext3_dirty(&h, fs->super_buffer);
        }
        inode_touch(inode, ATTR_CTIME);
        error = ext3_write_inode(&h, inode);
    }
    ext3_end_inode(&h, inode);
    return error;
}

static int set(struct inode *inode, const char *name, const void *value, size_t size, int flags)
{
    unsigned attempts = 0;
    int error;

    do
        error = try_set(inode, name, value, size, flags);
    while (ext3_retry(ext3_of(inode), error, &attempts));
    return error;
}

int ext3_setxattr(struct inode *inode, const char *name, const void *value, size_t size, int flags)
{
    return set(inode, name, value != NULL ? value : "", size, flags);
}

int ext3_removexattr(struct inode *inode, const char *name) { return set(inode, name, NULL, 0, 0); }
