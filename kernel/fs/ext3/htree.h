/* Inside a directory's index: htree.c reads it, htree_add.c changes it. The picture is in htree.c. */
#ifndef FS_EXT3_HTREE_H
#define FS_EXT3_HTREE_H

#include "fs/ext3/ext3.h"

struct htree_entry {
    le32 hash; /* the first one's holds limit and count, 16 bits each */
    le32 block;
};
struct htree_root {
    le32 dot_ino;
    le16 dot_length;
    u8 dot_name_length, dot_type;
    char dot_name[4];
    le32 dotdot_ino;
    le16 dotdot_length;
    u8 dotdot_name_length, dotdot_type;
    char dotdot_name[4];
    le32 reserved;
    u8 hash_version, info_length, indirect_levels, unused_flags;
};
static_assert(sizeof(struct htree_root) == 32, "fixed by the format");
#define HTREE_INFO_LENGTH 8
#define HTREE_NODE_OFFSET 8 /* behind the unused entry's header */
#define HTREE_BLOCK_MASK 0x0fffffffu

struct htree_level {
    struct buffer *buffer;
    struct htree_entry *entries;
    u32 at; /* the entry that was followed */
};
struct htree_path {
    struct htree_level level[2];
    unsigned n_levels;
    unsigned hash_version;
};

static inline u32 htree_limit(const struct htree_level *l) { return from_le32(l->entries[0].hash) & 0xffff; }
static inline u32 htree_count(const struct htree_level *l) { return from_le32(l->entries[0].hash) >> 16; }
static inline void htree_set(struct htree_entry *entries, u32 limit, u32 count)
{
    entries[0].hash = to_le32(limit | count << 16);
}
static inline u32 htree_block(const struct htree_entry *e) { return from_le32(e->block) & HTREE_BLOCK_MASK; }

static inline unsigned ext3_default_hash_version(const struct ext3 *fs)
{
    return (fs->disk->default_hash_version <= EXT3_HASH_TEA ? fs->disk->default_hash_version : EXT3_HASH_HALF_MD4) +
           fs->hash_unsigned;
}

/* The way to the leaf where HASH, or NAME, belongs. 0; -EBADF (nothing to put then), -EIO... */
int ext3_htree_walk_hash(struct inode *dir, u32 hash, struct htree_path *path);
int ext3_htree_walk(struct inode *dir, struct name name, u32 *hash, struct htree_path *path);
void ext3_htree_put(struct htree_path *path);
u32 ext3_htree_leaf(const struct htree_path *path);

struct htree_item {
    u32 hash;
    unsigned sequence;
    struct ext3_disk_dirent *de;
};
/* The entries of block B, without "." and "..": how many, or -EUCLEAN. ITEMS has room for all. SEQUENCE: the first
 * one's. */
int ext3_htree_collect(struct inode *dir, struct buffer *b, u32 logical, unsigned hash_version,
                       struct htree_item *items, unsigned sequence);
/* By hash, then sequence. */
void ext3_htree_sort(struct htree_item *items, unsigned n);

#endif
