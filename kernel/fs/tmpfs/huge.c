/*
 * Files of huge pages (memfd_create(2), MFD_HUGETLB). No huge pages are ever set aside for them, as on a Linux whose
 * vm.nr_hugepages is 0: such a file has a size, seals and holes, but to fill or map it there is no memory. Programs
 * that ask for huge pages so find out at the same place as there, and go on without.
 *
 * Each size of pages has a super of its own, whose block size it is.
 */
#include "fs/file.h"
#include "fs/super.h"
#include "fs/tmpfs/tmpfs.h"

#define HUGETLBFS_MAGIC 0x958458f6
#define DEFAULT_SIZE_BITS 21

static const struct fs_type hugetlbfs = {.name = "hugetlbfs", .magic = HUGETLBFS_MAGIC, .mount = tmpfs_mount};
static const u8 size_bits[] = {DEFAULT_SIZE_BITS, 30};
static struct super supers[ARRAY_SIZE(size_bits)];

static int fallocate_huge(struct file *file, int mode, u64 offset, u64 length)
{
    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
        return -EOPNOTSUPP;
    return mode & FALLOC_FL_PUNCH_HOLE ? tmpfs_file_ops.fallocate(file, mode, offset, length) : -ENOSPC;
}

static struct object *map_huge(struct file *file, bool shared)
{
    (void)file;
    (void)shared;
    return ERR_PTR(-ENOMEM);
}

static int fsync_huge(struct file *file, u64 from, u64 to, bool data_only)
{
    return tmpfs_file_ops.fsync(file, from, to, data_only);
}

static const struct file_ops huge_file_ops = {
    .read = generic_read, .seek = generic_seek, .map = map_huge, .fsync = fsync_huge, .fallocate = fallocate_huge};

bool inode_is_hugetlb(const struct inode *inode) { return inode->file_ops == &huge_file_ops; }

struct file *tmpfs_huge_memfd_create(const char *name, unsigned bits, bool may_seal)
{
    for (unsigned i = 0; i < ARRAY_SIZE(size_bits); i++)
        if (size_bits[i] == (bits != 0 ? bits : DEFAULT_SIZE_BITS))
            return tmpfs_memfd_on(&supers[i], &huge_file_ops, name, may_seal);
    return ERR_PTR(-ENODEV);
}

void tmpfs_huge_init(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(size_bits); i++) {
        tmpfs_init_internal(&supers[i], &hugetlbfs, 0xff0 + i);
        supers[i].block_size = 1u << size_bits[i];
    }
}
