/*
 * Block groups: their descriptors, which stay in memory, what of a group is metadata, and searching bitmaps.
 *
 * Every location in a descriptor is checked at mount, so that later code may trust it.
 */
#include "fs/ext3/ext3.h"
#include "vm/kmalloc.h"

u32 ext3_group_blocks(const struct ext3 *fs, u32 group)
{
    u32 first = ext3_group_first_block(fs, group);

    return MIN(fs->blocks_per_group, fs->blocks_count - first);
}

struct buffer *ext3_descriptor_buffer(const struct ext3 *fs, u32 group)
{
    return fs->descriptors[group / fs->desc_per_block];
}

static bool is_power_of(u32 n, u32 base)
{
    while (n > 1 && n % base == 0)
        n /= base;
    return n == 1;
}

bool ext3_group_has_super(const struct ext3 *fs, u32 group)
{
    return group <= 1 || !fs->sparse_super || is_power_of(group, 3) || is_power_of(group, 5) || is_power_of(group, 7);
}

bool ext3_block_is_sane(const struct ext3 *fs, u32 block)
{
    return block >= fs->first_data_block && block < fs->blocks_count && block != 0;
}

static bool overlaps(u32 a, u32 a_len, u32 b, u32 b_len) { return a < b + b_len && b < a + a_len; }

/* The log's, and the blocks of numbers that lead to them. */
static bool are_log(const struct ext3 *fs, u32 block, u32 n)
{
    for (unsigned i = 0; i < fs->n_log_runs; i++)
        if (overlaps(block, n, fs->log_runs[i].first, fs->log_runs[i].count))
            return true;
    return false;
}

bool ext3_blocks_are_metadata(const struct ext3 *fs, u32 block, u32 n)
{
    u32 last = ext3_group_of_block(fs, block + n - 1);

    for (u32 g = ext3_group_of_block(fs, block); g <= last; g++) {
        const struct ext3_group *group = &fs->groups[g];

        if (overlaps(block, n, group->block_bitmap, 1) || overlaps(block, n, group->inode_bitmap, 1) ||
            overlaps(block, n, group->inode_table, fs->inode_blocks_per_group))
            return true;
        if (group->super_blocks != 0 && overlaps(block, n, ext3_group_first_block(fs, g), group->super_blocks))
            return true;
    }
    return block < fs->log_end && block + n > fs->log_start && are_log(fs, block, n);
}

static bool lies_inside(const struct ext3 *fs, u32 block, u32 n)
{
    return ext3_block_is_sane(fs, block) && n <= fs->blocks_count - block;
}

static int load_group(struct ext3 *fs, u32 g)
{
    struct ext3_group *group = &fs->groups[g];

    group->disk = (struct ext3_disk_group *)ext3_descriptor_buffer(fs, g)->data + g % fs->desc_per_block;
    group->block_bitmap = from_le32(group->disk->block_bitmap);
    group->inode_bitmap = from_le32(group->disk->inode_bitmap);
    group->inode_table = from_le32(group->disk->inode_table);
    if (ext3_group_has_super(fs, g))
        group->super_blocks = 1 + fs->gdt_blocks + from_le16(fs->disk->reserved_gdt_blocks);
    if (!lies_inside(fs, group->block_bitmap, 1) || !lies_inside(fs, group->inode_bitmap, 1) ||
        !lies_inside(fs, group->inode_table, fs->inode_blocks_per_group) ||
        from_le16(group->disk->free_blocks) > ext3_group_blocks(fs, g) ||
        from_le16(group->disk->free_inodes) > fs->inodes_per_group) {
        kprintf("ext3 %s: descriptor of group %u is damaged, run e2fsck", fs->device->name, g);
        return -EUCLEAN;
    }
    fs->free_blocks += from_le16(group->disk->free_blocks);
    fs->free_inodes += from_le16(group->disk->free_inodes);
    fs->used_dirs += from_le16(group->disk->used_dirs);
    return 0;
}

int ext3_load_groups(struct ext3 *fs)
{
    u32 super_block = EXT3_SUPER_OFFSET / fs->block_size;

    fs->descriptors = kzalloc(fs->gdt_blocks * sizeof(struct buffer *));
    fs->groups = kzalloc(fs->n_groups * sizeof(struct ext3_group));
    if (fs->descriptors == NULL || fs->groups == NULL)
        return -ENOMEM;
    for (u32 i = 0; i < fs->gdt_blocks; i++) {
        struct buffer *b = ext3_bread(fs, super_block + 1 + i);

        if (IS_ERR(b))
            return (int)PTR_ERR(b);
        fs->descriptors[i] = b;
    }
    for (u32 g = 0; g < fs->n_groups; g++) {
        int error = load_group(fs, g);

        if (error != 0)
            return error;
    }
    return 0;
}

void ext3_free_groups(struct ext3 *fs)
{
    for (u32 i = 0; fs->descriptors != NULL && i < fs->gdt_blocks; i++)
        buffer_put(fs->descriptors[i]);
    for (u32 g = 0; fs->groups != NULL && g < fs->n_groups; g++)
        kfree(fs->groups[g].pending);
    buffer_put(fs->last_block_bitmap);
    buffer_put(fs->last_inode_bitmap);
    fs->last_block_bitmap = fs->last_inode_bitmap = NULL;
    kfree(fs->descriptors);
    kfree(fs->groups);
    fs->descriptors = NULL;
    fs->groups = NULL;
}

/* ---- bitmaps ---- */

struct buffer *ext3_bitmap(struct ext3 *fs, struct buffer **last, u32 block)
{
    struct buffer *b = *last;

    if (likely(b != NULL && b->block == block))
        return b;
    b = ext3_bread(fs, block);
    if (!IS_ERR(b)) {
        buffer_put(*last);
        *last = b;
    }
    return b;
}

/* The 64 bits from bit AT (a multiple of 64; bitmaps are aligned, and whole blocks) on; bits from LEN on are those of
 * FILL. */
static u64 load_bits(const u8 *bitmap, u32 at, u32 len, u64 fill)
{
    u64 bits = *(const u64 *)(bitmap + at / 8);

    if (likely(len - at >= 64))
        return bits;
    return (bits & (BIT(len - at) - 1)) | (fill & ~(BIT(len - at) - 1));
}

static u32 find_bit(const u8 *bitmap, u32 len, u32 from, u64 invert)
{
    for (u32 at = from & ~63u; at < len; at += 64) { /* aligned: one load each */
        u64 bits = load_bits(bitmap, at, len, invert) ^ invert;

        if (at < from)
            bits &= ~(BIT(from - at) - 1);
        if (bits != 0)
            return MIN(len, at + (u32)__builtin_ctzll(bits));
    }
    return len;
}

u32 ext3_find_set(const u8 *bitmap, u32 len, u32 from) { return from >= len ? len : find_bit(bitmap, len, from, 0); }
u32 ext3_find_clear(const u8 *bitmap, u32 len, u32 from)
{
    return from >= len ? len : find_bit(bitmap, len, from, UINT64_MAX);
}
