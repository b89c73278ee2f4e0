/*
 * The index of a directory: a tree of one or two levels over its blocks, sorted by the hash of names.
 *
 *   block 0: "." ".." | root info | limit, count | (hash, block)...          the root, inside ".."'s entry
 *   node:    an unused entry over the whole block | limit, count | (hash, block)...
 *   leaf:    ordinary entries, in any order, whose hashes are >= the leaf's hash and < (or, bit 0 of the next hash set,
 * <=) the next leaf's
 *
 * The first entry of root and nodes has no hash (it counts as 0); limit and count lie in its place. Readers that know
 * nothing of this see empty entries. What looks wrong gives -EBADF, and the directory is treated as one without an
 * index.
 */
#include "fs/ext3/htree.h"
#include "vm/kmalloc.h"

/* ---- the tree ---- */

void ext3_htree_put(struct htree_path *path)
{
    for (unsigned i = 0; i < path->n_levels; i++)
        buffer_put(path->level[i].buffer);
    path->n_levels = 0;
}

/* Checks the array of index entries in the block of LEVEL, which begins at OFFSET. */
static bool has_sane_array(const struct inode *dir, struct htree_level *level, u32 offset)
{
    level->entries = (struct htree_entry *)(level->buffer->data + offset);
    return htree_limit(level) == (ext3_of(dir)->block_size - offset) / sizeof(struct htree_entry) &&
           htree_count(level) >= 1 && htree_count(level) <= htree_limit(level);
}

/* The last entry whose hash is not above HASH. */
static u32 find_entry(const struct htree_level *level, u32 hash)
{
    u32 low = 0, high = htree_count(level); /* entries[low] <= hash < entries[high] */

    while (high - low > 1) {
        u32 middle = (low + high) / 2;

        if (from_le32(level->entries[middle].hash) <= hash)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int push(struct inode *dir, struct htree_path *path, u32 block, u32 offset)
{
    struct htree_level *level = &path->level[path->n_levels];
    struct buffer *b = ext3_dir_block(dir, block);

    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    level->buffer = b;
    path->n_levels++;
    return has_sane_array(dir, level, offset) ? 0 : -EBADF;
}

static int read_root(struct inode *dir, struct htree_path *path, unsigned *indirect)
{
    const struct htree_root *root;
    int error = push(dir, path, 0, sizeof(struct htree_root));

    if (error != 0)
        return error;
    root = (const struct htree_root *)path->level[0].buffer->data;
    if (root->reserved != 0 || root->hash_version > EXT3_HASH_TEA || root->info_length != HTREE_INFO_LENGTH ||
        root->indirect_levels > 1)
        return -EBADF;
    path->hash_version = root->hash_version + ext3_of(dir)->hash_unsigned;
    *indirect = root->indirect_levels;
    return 0;
}

u32 ext3_htree_leaf(const struct htree_path *path)
{
    const struct htree_level *last = &path->level[path->n_levels - 1];

    return htree_block(&last->entries[last->at]);
}

int ext3_htree_walk_hash(struct inode *dir, u32 hash, struct htree_path *path)
{
    unsigned indirect;
    int error;

    path->n_levels = 0;
    error = read_root(dir, path, &indirect);
    while (error == 0) {
        struct htree_level *last = &path->level[path->n_levels - 1];

        last->at = find_entry(last, hash);
        if (htree_block(&last->entries[last->at]) == 0 || htree_block(&last->entries[last->at]) >= ext3_dir_blocks(dir))
            error = -EBADF;
        else if (indirect-- == 0)
            return 0;
        else
            error = push(dir, path, htree_block(&last->entries[last->at]), HTREE_NODE_OFFSET);
    }
    ext3_htree_put(path);
    return error;
}

int ext3_htree_walk(struct inode *dir, struct name name, u32 *hash, struct htree_path *path)
{
    struct buffer *b = ext3_dir_block(dir, 0);
    const struct htree_root *root;
    bool known;

    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    root = (const struct htree_root *)b->data;
    known = root->hash_version <= EXT3_HASH_TEA && ext3_hash(root->hash_version + ext3_of(dir)->hash_unsigned,
                                                             ext3_of(dir)->hash_seed, name.s, name.length, hash);
    buffer_put(b);
    return known ? ext3_htree_walk_hash(dir, *hash, path) : -EBADF;
}

/* Moves PATH on to the next leaf: 1 and where its hashes begin (bit 0: the last leaf's last hash goes on), 0 after the
 * last, -errno. */
static int next_leaf(struct inode *dir, struct htree_path *path, u32 *start)
{
    struct htree_level *level = &path->level[path->n_levels - 1];

    if (level->at + 1 == htree_count(level) && path->n_levels == 2) {
        struct htree_level *root = &path->level[0];
        int error;

        if (root->at + 1 == htree_count(root))
            return 0;
        root->at++;
        *start = from_le32(root->entries[root->at].hash);
        buffer_put(level->buffer);
        path->n_levels = 1;
        error = push(dir, path, htree_block(&root->entries[root->at]), HTREE_NODE_OFFSET);
        path->level[1].at = 0;
        return error != 0 ? error : 1;
    }
    if (level->at + 1 == htree_count(level))
        return 0;
    level->at++;
    *start = from_le32(level->entries[level->at].hash);
    return 1;
}

static struct buffer *read_leaf(struct inode *dir, const struct htree_path *path)
{
    u32 block = ext3_htree_leaf(path);

    return block != 0 && block < ext3_dir_blocks(dir) ? ext3_dir_bread(dir, block) : ERR_PTR(-EBADF);
}

/* ---- finding ---- */

struct buffer *ext3_htree_find(struct inode *dir, struct name name, struct ext3_disk_dirent **de)
{
    struct htree_path path;
    struct buffer *result = NULL;
    u32 hash, start;
    int error;

    if (name.length == 1 && name.s[0] == '.')
        return ERR_PTR(-EBADF);
    if (name.length == 2 && name.s[0] == '.' && name.s[1] == '.')
        return ERR_PTR(-EBADF);
    error = ext3_htree_walk(dir, name, &hash, &path);
    if (error != 0)
        return ERR_PTR(error);
    do {
        struct buffer *b = read_leaf(dir, &path);

        result = IS_ERR(b) ? b : ext3_dir_find_in_block(dir, b, ext3_htree_leaf(&path), name, de);
        if (result != NULL) {
            if (IS_ERR(result) && !IS_ERR(b))
                buffer_put(b);
            break;
        }
        buffer_put(b);
        error = next_leaf(dir, &path, &start);
    } while (error == 1 && (start & ~1u) == hash);
    ext3_htree_put(&path);
    return result == NULL && error < 0 ? ERR_PTR(error) : result;
}

/* ---- reading in the order of hashes ---- */

/*
 * An entry's cookie is FIRST_COOKIE + (hash << 8) + how many entries of the same hash come before it: it stays right
 * while other entries come and go and leaves are split. 0 is ".", 1 is "..".
 */
#define FIRST_COOKIE 2
#define TIE_BITS 8
#define MAX_LEAVES 8 /* of one batch: leaves that share a hash */

bool ext3_reads_by_hash(const struct inode *dir)
{
    return ext3_is_indexed(dir) || (ext3_of(dir)->has_dir_index && ext3_dir_blocks(dir) == 1);
}

struct batch {
    struct htree_item *items;
    unsigned n, max, n_leaves;
    struct buffer *leaves[MAX_LEAVES];
};

static void batch_free(struct batch *batch)
{
    for (unsigned i = 0; i < batch->n_leaves; i++)
        buffer_put(batch->leaves[i]);
    kfree(batch->items);
}

/* Adds the entries of leaf B, whose reference the batch takes over. */
static int batch_add(struct inode *dir, struct batch *batch, struct buffer *b, u32 logical, unsigned hash_version)
{
    unsigned most = ext3_of(dir)->block_size / ext3_dirent_size(1);
    struct htree_item *items;
    int n;

    batch->leaves[batch->n_leaves++] = b;
    if (batch->n + most > batch->max) {
        items = kmalloc((batch->n + most) * sizeof(*items));
        if (items == NULL)
            return -ENOMEM;
        if (batch->n > 0)
            memcpy(items, batch->items, batch->n * sizeof(*items));
        kfree(batch->items);
        batch->items = items;
        batch->max = batch->n + most;
    }
    n = ext3_htree_collect(dir, b, logical, hash_version, batch->items + batch->n, batch->n);
    if (n < 0)
        return n;
    batch->n += (unsigned)n;
    return 0;
}

/* The leaf of HASH, and those that share its last hash. *NEXT: the hash to go on with, EXT3_HASH_EOF at the end. */
static int read_batch(struct inode *dir, u32 hash, struct batch *batch, u32 *next)
{
    struct htree_path path;
    u32 start = 0;
    int error, more = 1;

    *next = EXT3_HASH_EOF;
    if (!ext3_is_indexed(dir)) {
        struct buffer *b = ext3_dir_bread(dir, 0);
        unsigned version = ext3_default_hash_version(ext3_of(dir));

        return IS_ERR(b) ? (int)PTR_ERR(b) : batch_add(dir, batch, b, 0, version);
    }
    error = ext3_htree_walk_hash(dir, hash, &path);
    if (error != 0)
        return error;
    do {
        struct buffer *b = read_leaf(dir, &path);

        error = IS_ERR(b) ? (int)PTR_ERR(b) : batch_add(dir, batch, b, ext3_htree_leaf(&path), path.hash_version);
        more = error == 0 ? next_leaf(dir, &path, &start) : error;
    } while (more == 1 && (start & 1) != 0 && batch->n_leaves < MAX_LEAVES);
    if (more == 1)
        *next = start & ~1u;
    ext3_htree_put(&path);
    return more < 0 ? more : 0;
}

/* 1 all emitted, 0 the buffer is full. */
static int emit_batch(struct inode *dir, const struct batch *batch, struct dir_context *ctx)
{
    u32 tie = 0;

    for (unsigned i = 0; i < batch->n; i++) {
        const struct htree_item *item = &batch->items[i];
        u64 cookie;

        tie = i > 0 && batch->items[i - 1].hash == item->hash ? tie + 1 : 0;
        cookie = FIRST_COOKIE + ((u64)item->hash << TIE_BITS) + MIN(tie, 255u);
        if (cookie < ctx->pos)
            continue;
        ctx->pos = cookie;
        if (!ctx->emit(ctx, item->de->name, item->de->name_length, from_le32(item->de->ino),
                       ext3_dirent_type(ext3_of(dir), item->de), cookie + 1))
            return 0;
        ctx->pos = cookie + 1;
    }
    return 1;
}

/* "." and "..": 1, 0, -errno */
static int emit_dots(struct inode *dir, struct dir_context *ctx)
{
    struct ext3_disk_dirent *de;
    struct buffer *b;
    u32 parent;

    if (ctx->pos == 0) {
        if (!ctx->emit(ctx, ".", 1, dir->ino, DT_DIR, 1))
            return 0;
        ctx->pos = 1;
    }
    if (ctx->pos != 1)
        return 1;
    b = ext3_dir_bread(dir, 0);
    if (IS_ERR(b))
        return (int)PTR_ERR(b);
    de = (struct ext3_disk_dirent *)(b->data + ext3_dirent_size(1));
    parent = from_le32(de->ino);
    buffer_put(b);
    if (!ctx->emit(ctx, "..", 2, parent, DT_DIR, FIRST_COOKIE))
        return 0;
    ctx->pos = FIRST_COOKIE;
    return 1;
}

int ext3_htree_read_dir(struct inode *dir, struct dir_context *ctx)
{
    const u64 end = FIRST_COOKIE + ((u64)EXT3_HASH_EOF << TIE_BITS);
    int result = emit_dots(dir, ctx);

    while (result == 1 && ctx->pos < end) {
        struct batch batch = {.items = NULL};
        u32 next;

        result = read_batch(dir, (u32)((ctx->pos - FIRST_COOKIE) >> TIE_BITS), &batch, &next);
        if (result == 0) {
            ext3_htree_sort(batch.items, batch.n);
            result = emit_batch(dir, &batch, ctx);
            if (result == 1)
                ctx->pos = MAX(ctx->pos, FIRST_COOKIE + ((u64)next << TIE_BITS));
        }
        batch_free(&batch);
    }
    return MIN(result, 0);
}
