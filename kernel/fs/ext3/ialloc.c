/*
 * Allocating and freeing inodes. Directories are spread over the groups, so that each has room for its files: those at
 * the top by picking a group with few directories, those below near their parent while its group has room. Files go to
 * their directory's group, where their blocks then go, too.
 *
 * inode_lock guards bitmaps and counts.
 */
#include "fs/ext3/ext3.h"
#include "vm/kmalloc.h"

static u32 free_inodes_of(const struct ext3 *fs, u32 g)
{
    return fs->groups[g].bitmap_is_bad ? 0 : from_le16(fs->groups[g].disk->free_inodes);
}
static u32 free_blocks_of(const struct ext3 *fs, u32 g) { return from_le16(fs->groups[g].disk->free_blocks); }
static u32 used_dirs_of(const struct ext3 *fs, u32 g) { return from_le16(fs->groups[g].disk->used_dirs); }

/* Of the groups with at least average room, the one with the fewest directories. */
static u32 group_for_top_directory(const struct ext3 *fs)
{
    u32 best = 0, average_inodes = (u32)(fs->free_inodes / fs->n_groups),
        average_blocks = (u32)(fs->free_blocks / fs->n_groups);
    bool found = false;

    for (u32 g = 0; g < fs->n_groups; g++) {
        if (free_inodes_of(fs, g) == 0 || free_inodes_of(fs, g) < average_inodes ||
            free_blocks_of(fs, g) < average_blocks)
            continue;
        if (!found || used_dirs_of(fs, g) < used_dirs_of(fs, best)) {
            best = g;
            found = true;
        }
    }
    return best;
}

static bool has_room_for_directory(const struct ext3 *fs, u32 g)
{
    u32 most_dirs = (u32)(fs->used_dirs / fs->n_groups) + fs->inodes_per_group / 16;
    u32 least_inodes =
        (u32)(fs->free_inodes / fs->n_groups) - MIN((u32)(fs->free_inodes / fs->n_groups), fs->inodes_per_group / 4);

    return free_inodes_of(fs, g) > 0 && free_inodes_of(fs, g) >= least_inodes && used_dirs_of(fs, g) < most_dirs &&
           free_blocks_of(fs, g) > 0;
}

static u32 preferred_group(const struct ext3 *fs, const struct inode *dir, u32 mode)
{
    u32 parent = (u32)(dir->ino - 1) / fs->inodes_per_group;

    if (!S_ISDIR(mode))
        return parent;
    if (dir->ino == EXT3_ROOT_INO || (dir->flags & EXT3_TOPDIR_FL))
        return group_for_top_directory(fs);
    for (u32 i = 0; i < fs->n_groups; i++)
        if (has_room_for_directory(fs, (parent + i) % fs->n_groups))
            return (parent + i) % fs->n_groups;
    return parent;
}

/* Inode BIT of group G is about to be written: when it is the only one of its block of the table, there is nothing in
 * that block to be read before. => inode_lock */
static void spare_reading(struct ext3 *fs, u32 g, const u8 *bitmap, u32 bit)
{
    u32 per_block = fs->block_size / fs->inode_size, first = bit - bit % per_block;
    struct buffer *b;

    for (u32 i = first; i < first + per_block; i++)
        if (i != bit && (bitmap[i / 8] >> i % 8 & 1))
            return;
    b = buffer_get(fs->device, fs->groups[g].inode_table + bit / per_block, fs->block_size);
    if (b != NULL && !buffer_is_uptodate(b)) {
        memset(b->data, 0, b->size);
        buffer_set_uptodate(b);
    }
    buffer_put(b);
}

/* Takes a free inode of group G: its number; 0 when there is none, or *ERROR tells why it cannot be known. =>
 * inode_lock */
static u32 take_inode(struct ext3_handle *h, u32 g, bool directory, int *error)
{
    struct ext3 *fs = h->fs;
    struct ext3_disk_group *disk = fs->groups[g].disk;
    struct buffer *bitmap;
    u32 from = g == 0 ? fs->first_ino - 1 : 0, bit;

    if (free_inodes_of(fs, g) == 0)
        return 0;
    bitmap = ext3_bitmap(fs, &fs->last_inode_bitmap, fs->groups[g].inode_bitmap);
    if (IS_ERR(bitmap)) {
        *error = (int)PTR_ERR(bitmap);
        return 0;
    }
    bit = ext3_find_clear(bitmap->data, fs->inodes_per_group, from);
    if (bit == fs->inodes_per_group) {
        ext3_corrupt(fs, "group %u has no free inode, against its count", g);
        fs->groups[g].bitmap_is_bad = true;
        return 0;
    }
    ext3_access(h, bitmap);
    ext3_access(h, ext3_descriptor_buffer(fs, g));
    bitmap->data[bit / 8] |= (u8)(1 << bit % 8);
    disk->free_inodes = to_le16((u16)(from_le16(disk->free_inodes) - 1));
    if (directory)
        disk->used_dirs = to_le16((u16)(from_le16(disk->used_dirs) + 1));
    store_relaxed(&fs->free_inodes, fs->free_inodes - 1);
    fs->used_dirs += directory;
    ext3_dirty(h, bitmap);
    ext3_dirty(h, ext3_descriptor_buffer(fs, g));
    spare_reading(fs, g, bitmap->data, bit);
    return g * fs->inodes_per_group + bit + 1;
}

/* 0 and *NUMBER, -ENOSPC, -ENOMEM, -EIO. */
static int allocate_number(struct ext3_handle *h, const struct inode *dir, u32 mode, u32 *number)
{
    struct ext3 *fs = h->fs;
    u32 ino = 0, group;
    int error = -ENOSPC;

    mutex_lock(&fs->inode_lock);
    group = preferred_group(fs, dir, mode);
    for (u32 i = 0; i < fs->n_groups && ino == 0; i++)
        ino = take_inode(h, (group + i) % fs->n_groups, S_ISDIR(mode), &error);
    mutex_unlock(&fs->inode_lock);
    *number = ino;
    return ino != 0 ? 0 : error;
}

void ext3_free_inode_number(struct ext3_handle *h, u32 ino, bool was_directory)
{
    struct ext3 *fs = h->fs;
    u32 g = (ino - 1) / fs->inodes_per_group, bit = (ino - 1) % fs->inodes_per_group;
    struct ext3_disk_group *disk = fs->groups[g].disk;
    struct buffer *bitmap;

    mutex_lock(&fs->inode_lock);
    bitmap = ext3_bitmap(fs, &fs->last_inode_bitmap, fs->groups[g].inode_bitmap);
    if (IS_ERR(bitmap)) {
        h->error = (int)PTR_ERR(bitmap);
    } else if (!(bitmap->data[bit / 8] >> bit % 8 & 1)) {
        ext3_corrupt(fs, "inode %u was free already", ino);
    } else {
        ext3_access(h, bitmap);
        ext3_access(h, ext3_descriptor_buffer(fs, g));
        bitmap->data[bit / 8] &= (u8) ~(1 << bit % 8);
        if (from_le16(disk->free_inodes) < fs->inodes_per_group) {
            disk->free_inodes = to_le16((u16)(from_le16(disk->free_inodes) + 1));
            store_relaxed(&fs->free_inodes, fs->free_inodes + 1);
        }
        if (was_directory && from_le16(disk->used_dirs) > 0) {
            disk->used_dirs = to_le16((u16)(from_le16(disk->used_dirs) - 1));
            fs->used_dirs--;
        }
        ext3_dirty(h, bitmap);
        ext3_dirty(h, ext3_descriptor_buffer(fs, g));
    }
    mutex_unlock(&fs->inode_lock);
}

int ext3_ino_in_use(struct ext3 *fs, u32 ino)
{
    u32 bit = (ino - 1) % fs->inodes_per_group;
    struct buffer *bitmap = ext3_bread(fs, fs->groups[(ino - 1) / fs->inodes_per_group].inode_bitmap);
    int used;

    if (IS_ERR(bitmap))
        return (int)PTR_ERR(bitmap);
    used = bitmap->data[bit / 8] >> bit % 8 & 1;
    buffer_put(bitmap);
    return used;
}

struct inode *ext3_new_inode(struct ext3_handle *h, struct inode *dir, u32 mode)
{
    struct ext3 *fs = h->fs;
    struct inode *inode = inode_new(dir->super);
    struct ext3_inode *ei;
    u32 number;
    int error;

    if (IS_ERR(inode))
        return inode;
    ei = ext3_i(inode);
    error = allocate_number(h, dir, mode, &number);
    inode->ino = number;
    ei->is_fresh = true;
    inode_init_owner(inode, dir, mode);
    inode->btime = inode->ctime;
    inode->flags = ext3_inherited_flags(dir, mode);
    ei->group = inode->ino == 0 ? 0 : (u32)(inode->ino - 1) / fs->inodes_per_group;
    ei->extra_isize = fs->inode_size > EXT3_OLD_INODE_SIZE
                          ? MIN((u32)EXT3_WANT_EXTRA_ISIZE, fs->inode_size - EXT3_OLD_INODE_SIZE)
                          : 0;
    inode->generation = atomic_add_relaxed(&fs->next_generation, 1);
    inode->nlink = 1;
    ext3_set_ops(inode);
    if (error == 0)
        error = ext3_write_inode(h, inode);
    if (error == 0) {
        inode_insert(inode);
        return inode;
    }
    if (inode->ino != 0)
        ext3_free_inode_number(h, (u32)inode->ino, S_ISDIR(mode));
    inode->ino = 0; /* evicted without a trace */
    inode->nlink = 0;
    inode_put(inode);
    return ERR_PTR(error);
}
