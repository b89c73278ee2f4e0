/*
 * Extended attributes: read from the inode's own space and from its attribute block, which several inodes may share;
 * released with the inode.
 *
 *   inode: ... 128 + extra_isize: magic | entry | entry | 0 ......... value value |          offsets of values count
 * from the first entry block: header (magic, references) | entry | entry | 0 ........... value value |          ...
 * from the block's start
 *
 * The inode's lock guards its attributes; xattr_lock the counts in blocks, which inodes share.
 */
#include "fs/ext3/xattr.h"

struct prefix {
    u8 index;
    const char *text;
};
static const struct prefix prefixes[] = {
    {1, "user."},   {2, "system.posix_acl_access"}, {3, "system.posix_acl_default"}, {4, "trusted."}, {6, "security."},
    {7, "system."},
};

static const char *prefix_text(u8 index)
{
    for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (prefixes[i].index == index)
            return prefixes[i].text;
    return NULL;
}

u8 ext3_xattr_index(const char *name, const char **rest)
{
    for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++) {
        size_t length = strlen(prefixes[i].text);

        if (strncmp(name, prefixes[i].text, length) == 0) {
            *rest = name + length;
            return prefixes[i].index;
        }
    }
    return 0;
}

static const struct ext3_xattr_entry *entry_at(const u8 *p) { return (const struct ext3_xattr_entry *)p; }
static u32 entry_size(const struct ext3_xattr_entry *e) { return ALIGN_UP((u32)sizeof(*e) + e->name_length, 4u); }

/* The list ends with four zero bytes, or where no entry fits any more. */
static bool is_last(const struct xattr_area *area, const u8 *p)
{
    u32 word;

    if ((size_t)(area->end - p) < sizeof(struct ext3_xattr_entry))
        return true;
    memcpy(&word, p, sizeof(word));
    return word == 0;
}

static bool is_sane(const struct xattr_area *area, const struct ext3_xattr_entry *e)
{
    size_t room = (size_t)(area->end - area->base), size = from_le32(e->value_size),
           offset = from_le16(e->value_offset);

    return (const u8 *)e + entry_size(e) <= area->end && e->value_inode == 0 &&
           (size == 0 || (offset <= room && size <= room - offset));
}

ssize_t ext3_xattr_each(struct inode *inode, const struct xattr_area *area, xattr_fn fn, void *arg)
{
    for (const u8 *p = area->entries; !is_last(area, p); p += entry_size(entry_at(p))) {
        ssize_t result;

        if (!is_sane(area, entry_at(p)))
            return ext3_corrupt(ext3_of(inode), "inode %lu: bad extended attribute", (unsigned long)inode->ino);
        result = fn(area, entry_at(p), arg);
        if (result != 0)
            return result;
    }
    return 0;
}

bool ext3_xattr_in_inode(struct ext3 *fs, const struct ext3_inode *ei, const struct ext3_disk_inode *disk,
                         struct xattr_area *area)
{
    const u8 *start = (const u8 *)disk + EXT3_OLD_INODE_SIZE + ei->extra_isize,
             *end = (const u8 *)disk + fs->inode_size;
    le32 magic;

    if (fs->inode_size == EXT3_OLD_INODE_SIZE || ei->extra_isize == 0 || end - start < (ssize_t)sizeof(magic))
        return false;
    memcpy(&magic, start, sizeof(magic));
    *area = (struct xattr_area){start + sizeof(magic), start + sizeof(magic), end};
    return from_le32(magic) == EXT3_XATTR_MAGIC;
}

struct buffer *ext3_xattr_block(struct inode *inode)
{
    struct ext3 *fs = ext3_of(inode);
    u32 block = ext3_i(inode)->file_acl;
    struct buffer *b;

    if (!ext3_block_is_sane(fs, block) || ext3_blocks_are_metadata(fs, block, 1))
        return ERR_PTR(ext3_corrupt(fs, "inode %lu: bad attribute block %u", (unsigned long)inode->ino, block));
    b = ext3_bread(fs, block);
    if (IS_ERR(b))
        return b;
    if (from_le32(((struct ext3_xattr_header *)b->data)->magic) == EXT3_XATTR_MAGIC)
        return b;
    buffer_put(b);
    return ERR_PTR(ext3_corrupt(fs, "inode %lu: attribute block %u is damaged", (unsigned long)inode->ino, block));
}

struct xattr_area ext3_xattr_block_area(const struct buffer *b)
{
    return (struct xattr_area){b->data, b->data + sizeof(struct ext3_xattr_header), b->data + b->size};
}

/* All attributes of INODE. */
static ssize_t walk(struct inode *inode, xattr_fn fn, void *arg)
{
    struct ext3 *fs = ext3_of(inode);
    struct ext3_disk_inode *disk;
    struct buffer *b = ext3_inode_buffer(fs, inode->ino, &disk);
    struct xattr_area area;
    ssize_t result = 0;

    if (IS_ERR(b))
        return PTR_ERR(b);
    if (ext3_xattr_in_inode(fs, ext3_i(inode), disk, &area))
        result = ext3_xattr_each(inode, &area, fn, arg);
    buffer_put(b);
    if (result != 0 || ext3_i(inode)->file_acl == 0)
        return result;
    b = ext3_xattr_block(inode);
    if (IS_ERR(b))
        return PTR_ERR(b);
    area = ext3_xattr_block_area(b);
    result = ext3_xattr_each(inode, &area, fn, arg);
    buffer_put(b);
    return result;
}

struct lookup {
    const char *name;
    void *buf;
    size_t size;
    bool found;
};

static bool is_called(const struct ext3_xattr_entry *e, const char *name)
{
    const char *prefix = prefix_text(e->name_index);
    size_t length = prefix != NULL ? strlen(prefix) : 0;

    return prefix != NULL && strncmp(name, prefix, length) == 0 && strlen(name + length) == e->name_length &&
           memcmp(name + length, e->name, e->name_length) == 0;
}

static ssize_t copy_value(const struct xattr_area *area, const struct ext3_xattr_entry *e, void *arg)
{
    struct lookup *l = arg;
    size_t size = from_le32(e->value_size);

    if (!is_called(e, l->name))
        return 0;
    l->found = true;
    if (l->size == 0)
        return (ssize_t)size;
    if (l->size < size)
        return -ERANGE;
    memcpy(l->buf, area->base + from_le16(e->value_offset), size);
    return (ssize_t)size;
}

ssize_t ext3_getxattr(struct inode *inode, const char *name, void *buf, size_t size)
{
    struct lookup l = {.name = name, .buf = buf, .size = size};
    ssize_t result = walk(inode, copy_value, &l);

    return l.found || result < 0 ? result : -ENODATA;
}

struct listing {
    char *buf;
    size_t size, used;
};

static ssize_t list_name(const struct xattr_area *area, const struct ext3_xattr_entry *e, void *arg)
{
    struct listing *l = arg;
    const char *prefix = prefix_text(e->name_index);
    size_t length = prefix != NULL ? strlen(prefix) : 0, total = length + e->name_length + 1;

    if (prefix == NULL)
        return 0;
    if (l->size != 0) {
        if (l->used + total > l->size)
            return -ERANGE;
        memcpy(l->buf + l->used, prefix, length);
        memcpy(l->buf + l->used + length, e->name, e->name_length);
        l->buf[l->used + total - 1] = '\0';
    }
    l->used += total;
    return 0;
}

ssize_t ext3_listxattr(struct inode *inode, char *buf, size_t size)
{
    struct listing l = {.buf = buf, .size = size};
    ssize_t result = walk(inode, list_name, &l);

    return result < 0 ? result : (ssize_t)l.used;
}

void ext3_xattr_put_block(struct ext3_handle *h, struct inode *inode, struct buffer *b)
{
    struct ext3_inode *ei = ext3_i(inode);
    struct ext3_xattr_header *header = (struct ext3_xattr_header *)b->data;
    u32 block = ei->file_acl, references = from_le32(header->refcount);

    write_lock(&ei->map_lock);
    ei->file_acl = 0;
    inode->blocks -= MIN(inode->blocks, (u64)ext3_sectors_per_block(h->fs));
    write_unlock(&ei->map_lock);
    if (references > 1) {
        ext3_access(h, b);
        header->refcount = to_le32(references - 1);
        ext3_dirty(h, b);
    } else {
        ext3_free_blocks(h, block, 1, true);
    }
}

void ext3_release_xattrs(struct ext3_handle *h, struct inode *inode)
{
    struct buffer *b;

    if (ext3_i(inode)->file_acl == 0)
        return;
    b = ext3_xattr_block(inode);
    if (IS_ERR(b))
        return;
    mutex_lock(&h->fs->xattr_lock);
    ext3_xattr_put_block(h, inode, b);
    mutex_unlock(&h->fs->xattr_lock);
    buffer_put(b);
}
