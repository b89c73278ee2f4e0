/*
 * Adding names to an indexed directory.
 *
 *   leaf has room: done. Else the upper half of its hashes moves to a new leaf, which gets an entry behind the old
 * one's in the index; before that, if that part of the index is full, it is split (a node) or gets a level more (the
 * root). Then it starts over, with room now.
 */
#include "fs/ext3/htree.h"
#include "vm/kmalloc.h"

/* ---- entries of a leaf ---- */

static bool is_dots(const struct ext3_disk_dirent *de)
{
    return de->name[0] == '.' && (de->name_length == 1 || (de->name_length == 2 && de->name[1] == '.'));
}

int ext3_htree_collect(struct inode *dir, struct buffer *b, u32 logical, unsigned hash_version,
                       struct htree_item *items, unsigned sequence)
{
    struct ext3 *fs = ext3_of(dir);
    int n = 0;

    for (u32 offset = 0; offset < fs->block_size;) {
        struct ext3_disk_dirent *de = (struct ext3_disk_dirent *)(b->data + offset);

        if (!ext3_dirent_is_sane(fs, dir, de, offset, logical))
            return -EUCLEAN;
        if (de->ino != 0 && !is_dots(de)) {
            items[n].de = de;
            items[n].sequence = sequence + (unsigned)n;
            if (!ext3_hash(hash_version, fs->hash_seed, de->name, de->name_length, &items[n].hash))
                return -EBADF;
            n++;
        }
        offset += from_le16(de->length);
    }
    return n;
}

static bool comes_before(const struct htree_item *a, const struct htree_item *b)
{
    return a->hash != b->hash ? a->hash < b->hash : a->sequence < b->sequence;
}

void ext3_htree_sort(struct htree_item *items, unsigned n)
{
    for (unsigned gap = n / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11) { /* Shell's */
        for (unsigned i = gap; i < n; i++) {
            struct htree_item item = items[i];
            unsigned at = i;

            for (; at >= gap && comes_before(&item, &items[at - gap]); at -= gap)
                items[at] = items[at - gap];
            items[at] = item;
        }
    }
}

/* Writes the entries ITEMS, which point elsewhere, into DATA, one behind the other; the last one gets the rest of the
 * block. */
static void write_entries(u8 *data, u32 block_size, const struct htree_item *items, unsigned n)
{
    struct ext3_disk_dirent *last = (struct ext3_disk_dirent *)data;
    u32 at = 0;

    memset(data, 0, block_size);
    for (unsigned i = 0; i < n; i++) {
        u32 size = ext3_dirent_size(items[i].de->name_length);

        last = (struct ext3_disk_dirent *)(data + at);
        memcpy(last, items[i].de, EXT3_DIRENT_HEADER + items[i].de->name_length);
        last->length = to_le16((u16)size);
        at += size;
    }
    last->length = to_le16((u16)(block_size - (u32)((u8 *)last - data)));
}

/* How many of the sorted ITEMS stay: about half of their bytes. */
static unsigned split_point(const struct htree_item *items, unsigned n)
{
    u32 total = 0, below = 0;
    unsigned i;

    for (i = 0; i < n; i++)
        total += ext3_dirent_size(items[i].de->name_length);
    for (i = 0; i < n - 1 && below < total / 2; i++)
        below += ext3_dirent_size(items[i].de->name_length);
    return MAX(i, 1u);
}

/* ---- the index ---- */

/* (HASH, BLOCK) behind the entry that was followed. There is room. */
static void insert_entry(struct ext3_handle *h, struct htree_level *level, u32 hash, u32 block)
{
    u32 count = htree_count(level), at = level->at + 1;

    ext3_access(h, level->buffer);
    memmove(&level->entries[at + 1], &level->entries[at], (count - at) * sizeof(struct htree_entry));
    level->entries[at] = (struct htree_entry){to_le32(hash), to_le32(block)};
    htree_set(level->entries, htree_limit(level), count + 1);
    ext3_dirty(h, level->buffer);
}

static struct htree_entry *init_node(struct buffer *b, u32 block_size)
{
    struct ext3_disk_dirent *unused = (struct ext3_disk_dirent *)b->data;

    unused->length = to_le16((u16)block_size);
    return (struct htree_entry *)(b->data + HTREE_NODE_OFFSET);
}

/* Makes room in the index, whose last level on PATH is full. */
static int grow_index(struct ext3_handle *h, struct inode *dir, struct htree_path *path)
{
    struct htree_level *root = &path->level[0], *last = &path->level[path->n_levels - 1];
    u32 count = htree_count(last), kept = path->n_levels == 1 ? 0 : count / 2, block;
    u32 node_limit = (h->fs->block_size - HTREE_NODE_OFFSET) / (u32)sizeof(struct htree_entry);
    struct htree_entry *entries;
    struct buffer *b;

    if (path->n_levels == 2 && htree_count(root) == htree_limit(root)) {
        kprintf("ext3 %s: the index of directory %lu is full", h->fs->device->name, (unsigned long)dir->ino);
        return -ENOSPC;
    }
    b = ext3_dir_append(h, dir, &block);
    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    entries = init_node(b, h->fs->block_size);
    memcpy(entries, &last->entries[kept], (count - kept) * sizeof(*entries));
    htree_set(entries, node_limit, count - kept);
    ext3_dirty(h, b);
    buffer_put(b);
    ext3_access(h, last->buffer);
    if (path->n_levels == 1) { /* all of the root's entries moved one level down */
        ((struct htree_root *)root->buffer->data)->indirect_levels = 1;
        root->entries[0].block = to_le32(block);
        htree_set(root->entries, htree_limit(root), 1);
        ext3_dirty(h, last->buffer);
    } else {
        u32 hash = from_le32(last->entries[kept].hash);

        htree_set(last->entries, htree_limit(last), kept);
        ext3_dirty(h, last->buffer);
        insert_entry(h, root, hash, block);
    }
    return ext3_write_inode(h, dir);
}

/* Moves the upper half of leaf B to a new one. The index has room. */
static int split_leaf(struct ext3_handle *h, struct inode *dir, struct htree_path *path, struct buffer *b)
{
    u32 block_size = h->fs->block_size, block, hash;
    struct htree_item *items = kmalloc(block_size / ext3_dirent_size(1) * sizeof(*items));
    u8 *copy = kmalloc(block_size);
    struct buffer *other = NULL;
    unsigned kept;
    int n = -ENOMEM;

    if (items == NULL || copy == NULL)
        goto out;
    n = ext3_htree_collect(dir, b, ext3_htree_leaf(path), path->hash_version, items, 0);
    if (n < 0)
        goto out;
    if (n < 2) {
        n = -EUCLEAN;
        goto out;
    }
    other = ext3_dir_append(h, dir, &block);
    if (IS_ERR(other)) {
        n = (int)PTR_ERR(other);
        goto out;
    }
    memcpy(copy, b->data, block_size);
    for (int i = 0; i < n; i++)
        items[i].de = (struct ext3_disk_dirent *)(copy + ((u8 *)items[i].de - b->data));
    ext3_htree_sort(items, (unsigned)n);
    kept = split_point(items, (unsigned)n);
    hash = items[kept].hash | (items[kept].hash == items[kept - 1].hash);
    ext3_access(h, b);
    write_entries(b->data, block_size, items, kept);
    ext3_dirty(h, b);
    write_entries(other->data, block_size, items + kept, (unsigned)n - kept);
    ext3_dirty(h, other);
    buffer_put(other);
    insert_entry(h, &path->level[path->n_levels - 1], hash, block);
    n = ext3_write_inode(h, dir);
out:
    kfree(items);
    kfree(copy);
    return n;
}

/* One attempt: 0 done, 1 try again. */
static int try_add(struct ext3_handle *h, struct inode *dir, struct name name, const struct inode *inode)
{
    struct htree_path path;
    struct htree_level *last;
    struct buffer *b;
    u32 hash;
    int error = ext3_htree_walk(dir, name, &hash, &path);

    if (error != 0)
        return error;
    ext3_dir_keep(dir, path.level[0].buffer, 0);
    b = ext3_dir_bread(dir, ext3_htree_leaf(&path));
    if (IS_ERR(b)) {
        ext3_htree_put(&path);
        return (int)PTR_ERR(b);
    }
    last = &path.level[path.n_levels - 1];
    error = ext3_dir_add_to_block(h, dir, b, name, (u32)inode->ino, inode->mode);
    if (error == -ENOSPC) {
        error = htree_count(last) == htree_limit(last) ? grow_index(h, dir, &path) : split_leaf(h, dir, &path, b);
        if (error == 0)
            error = 1;
    }
    buffer_put(b);
    ext3_htree_put(&path);
    return error;
}

int ext3_htree_add(struct ext3_handle *h, struct inode *dir, struct name name, const struct inode *inode)
{
    int result = 1;

    for (unsigned attempt = 0; attempt < 5 && result == 1; attempt++)
        result = try_add(h, dir, name, inode);
    return result == 1 ? -ENOSPC : result;
}

/* ---- the first index ---- */

/* Whether block B begins with "." and "..", where a root has them. */
static bool has_dots_in_place(const struct ext3 *fs, const struct buffer *b)
{
    const struct htree_root *root = (const struct htree_root *)b->data;

    return from_le16(root->dot_length) == ext3_dirent_size(1) && root->dot_name_length == 1 &&
           root->dot_name[0] == '.' && root->dotdot_name_length == 2 && root->dotdot_name[0] == '.' &&
           root->dotdot_name[1] == '.' && from_le16(root->dotdot_length) >= ext3_dirent_size(2) &&
           from_le16(root->dotdot_length) <= fs->block_size - ext3_dirent_size(1);
}

static void make_root(const struct ext3 *fs, struct buffer *b, u32 leaf)
{
    struct htree_root *root = (struct htree_root *)b->data;
    struct htree_entry *entries = (struct htree_entry *)(root + 1);

    memset((u8 *)&root->reserved, 0, fs->block_size - offsetof(struct htree_root, reserved));
    root->dotdot_length = to_le16((u16)(fs->block_size - ext3_dirent_size(1)));
    root->hash_version = (u8)(ext3_default_hash_version(fs) - fs->hash_unsigned);
    root->info_length = HTREE_INFO_LENGTH;
    htree_set(entries, (fs->block_size - (u32)sizeof(*root)) / (u32)sizeof(*entries), 1);
    entries[0].block = to_le32(leaf);
}

int ext3_htree_create(struct ext3_handle *h, struct inode *dir, struct name name, const struct inode *inode)
{
    struct ext3 *fs = h->fs;
    struct htree_item *items = kmalloc(fs->block_size / ext3_dirent_size(1) * sizeof(*items));
    struct buffer *root = ext3_dir_bread(dir, 0), *leaf;
    u32 block;
    int n = items == NULL ? -ENOMEM : IS_ERR(root) ? (int)PTR_ERR(root) : 0;

    if (n == 0)
        n = has_dots_in_place(fs, root) ? ext3_htree_collect(dir, root, 0, ext3_default_hash_version(fs), items, 0)
                                        : -EBADF;
    if (n >= 0) {
        leaf = ext3_dir_append(h, dir, &block);
        if (IS_ERR(leaf)) {
            n = (int)PTR_ERR(leaf);
        } else {
            write_entries(leaf->data, fs->block_size, items, (unsigned)n);
            ext3_dirty(h, leaf);
            buffer_put(leaf);
            ext3_access(h, root);
            make_root(fs, root, block);
            ext3_dirty(h, root);
            dir->flags |= EXT3_INDEX_FL;
        }
    }
    if (!IS_ERR(root))
        buffer_put(root);
    kfree(items);
    return n < 0 ? n : ext3_htree_add(h, dir, name, inode);
}
