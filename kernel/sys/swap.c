/*
 * swapon(2) and swapoff(2): finding out what a file or disk offers. The format is mkswap(8)'s:
 *
 *     page 0:  1024 bytes for a boot loader | version 1, last page, number of bad pages, UUID, label | ... bad pages
 * ... its last ten bytes: SWAPSPACE2 page 1 to the last page: ours
 *
 * The pages of a swap file are looked up once, then used directly on the disk; so nobody else may write to it or give
 * its blocks away meanwhile.
 */
#include "dev/block.h"
#include "lib/cred.h"
#include "fs/file.h"
#include "fs/path.h"
#include "fs/super.h"
#include "lib/print.h"
#include "lib/string.h"
#include "sys/syscall.h"
#include "vm/kmalloc.h"
#include "vm/swapdev.h"
#include "vm/uaccess.h"

#define SWAP_FLAG_PREFER 0x8000
#define SWAP_FLAG_PRIO_MASK 0x7fff
#define SWAP_FLAG_DISCARD 0x10000 /* discarding is for the device to do or not: this kernel's disks do not */
#define SWAP_FLAG_DISCARD_ONCE 0x20000
#define SWAP_FLAG_DISCARD_PAGES 0x40000
#define SWAP_FLAGS \
    (SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK | SWAP_FLAG_DISCARD | SWAP_FLAG_DISCARD_ONCE | SWAP_FLAG_DISCARD_PAGES)

#define MAX_BAD_PAGES 637
struct swap_header {
    u8 boot[1024];
    le32 version, last_page, n_bad;
    u8 uuid[16], label[16];
    le32 padding[117];
    le32 bad[MAX_BAD_PAGES];
    u8 unused[PAGE_SIZE - 1536 - MAX_BAD_PAGES * 4 - 10];
    u8 magic[10];
};
static_assert(offsetof(struct swap_header, bad) == 1536, "the list of bad pages");
static_assert(sizeof(struct swap_header) == PAGE_SIZE, "one page");

/* One at a time goes on or off: nobody finds a file unused that another one is about to use, or still gives up. */
static struct mutex turning = MUTEX_INIT(turning);

static bool is_valid(const struct swap_header *h)
{
    return memcmp(h->magic, "SWAPSPACE2", 10) == 0 && h->version == 1 && h->last_page != 0 && h->n_bad <= MAX_BAD_PAGES;
}

/* Whether FILE is, or is on, the same thing as the swap device AREA. */
static bool is_same(const struct swap_area *area, const struct inode *inode)
{
    const struct inode *other = area->file->inode;

    return other == inode || (S_ISBLK(inode->mode) && S_ISBLK(other->mode) && other->rdev == inode->rdev);
}

/* The number of the swap device that INODE is; -EINVAL. */
static int find_device(const struct inode *inode)
{
    for (unsigned i = 0; i < MAX_SWAP_DEVICES; i++) {
        struct swap_area area;
        bool found;

        if (!swapdev_get(i, &area))
            continue;
        found = is_same(&area, inode);
        file_put(area.file);
        if (found)
            return (int)i;
    }
    return -EINVAL;
}

/* Adds [first, first + n) of the file; the array grows by doubling. */
static int add_extent(struct swap_area *area, u64 first, u64 n, u64 sector)
{
    struct swap_extent *last = area->n_extents > 0 ? &area->extents[area->n_extents - 1] : NULL, *more;

    if (last != NULL && last->sector + last->n * (PAGE_SIZE / SECTOR_SIZE) == sector) {
        last->n += n;
        return 0;
    }
    if ((area->n_extents & (area->n_extents - 1)) == 0) { /* 0, 1, 2, 4, 8... are full */
        more = kmalloc(MAX(area->n_extents * 2, 1u) * sizeof(*more));
        if (more == NULL)
            return -ENOMEM;
        if (last != NULL)
            memcpy(more, area->extents, area->n_extents * sizeof(*more));
        kfree(area->extents);
        area->extents = more;
    }
    area->extents[area->n_extents++] = (struct swap_extent){first, n, sector};
    return 0;
}

/* Where all pages of the file are. -EINVAL: it has holes, or pages that are not in one piece. */
static int find_extents(struct swap_area *area)
{
    struct inode *inode = area->file->inode;
    u64 sector, at = 0;
    unsigned n;
    int error = 0;

    if (!area->is_file)
        return add_extent(area, 0, area->pages, 0);
    if (inode->ops->find_pages == NULL)
        return -EINVAL;
    for (; error == 0 && at < area->pages; at += n) {
        n = (unsigned)MIN(area->pages - at, 65536ul);
        error = inode->ops->find_pages(inode, at, &n, &sector);
        if (error == 0)
            error = n == 0 ? -EINVAL : add_extent(area, at, n, sector);
    }
    return error;
}

/* Everything that was written through the file is on the disk, and the cache remembers none of it. */
static int flush_cache(struct file *file)
{
    struct object *o = file->ops->map != NULL ? file->ops->map(file, true) : ERR_PTR(-EINVAL);
    int error;

    if (IS_ERR(o) || o == NULL)
        return -EINVAL;
    error = file_fsync(file, 0, OBJECT_END, false);
    if (error == 0)
        object_drop_clean(o);
    return error;
}

/* From now on nobody writes to the file or takes its blocks away. -EBUSY: somebody has it open for that. */
static int keep_others_off(struct swap_area *area)
{
    struct inode *inode = area->file->inode;

    if (!area->is_file)
        return 0;
    if (inode_deny_write(inode) != 0)
        return -EBUSY;
    area->file->denies_write = true;
    atomic_or(&inode->state, INODE_SWAP);
    return 0;
}

/* Reads the header, checks it against the size of FILE, and finds the pages. */
static int examine(struct swap_area *area, struct swap_header *h, u64 size)
{
    ssize_t n = file_read(area->file, h, sizeof(*h), 0);
    int error;

    if (n < 0)
        return (int)n;
    if (n < (ssize_t)sizeof(*h) || !is_valid(h))
        return -EINVAL;
    area->pages = (u64)h->last_page + 1;
    if (area->pages > size / PAGE_SIZE || (h->n_bad > 0 && area->is_file))
        return -EINVAL;
    error = keep_others_off(area);
    if (error == 0)
        error = flush_cache(area->file);
    return error != 0 ? error : find_extents(area);
}

/* What FILE is: its disk, and that nobody else uses it. */
static int claim(struct swap_area *area, u64 *size)
{
    struct inode *inode = area->file->inode;

    area->is_file = S_ISREG(inode->mode);
    area->disk = S_ISBLK(inode->mode) ? block_by_dev(inode->rdev) : inode->super->device;
    if ((!area->is_file && !S_ISBLK(inode->mode)) || area->disk == NULL)
        return -EINVAL;
    if (find_device(inode) >= 0 || (!area->is_file && super_uses(area->disk)))
        return -EBUSY;
    *size = area->is_file ? inode_size(inode) : area->disk->sectors * SECTOR_SIZE;
    return area->disk->read_only || (area->is_file && inode->super->read_only) ? -EROFS : 0;
}

/* FILE, no swap file any more or never one, is closed. */
static void give_up(struct file *file)
{
    if (file->denies_write)
        atomic_and(&file->inode->state, ~(u32)INODE_SWAP);
    file_put(file);
}

static long turn_on(struct file *file, unsigned flags)
{
    struct swap_header *h = kmalloc(sizeof(*h));
    struct swap_area area = {.file = file, .priority = flags & SWAP_FLAG_PRIO_MASK};
    u64 size, usable;
    char *name;
    int error = h == NULL ? -ENOMEM : claim(&area, &size);

    if (error == 0)
        error = examine(&area, h, size);
    if (error == 0)
        error = swapdev_add(&area, (flags & SWAP_FLAG_PREFER) != 0, h->bad, h->n_bad, &usable);
    if (error != 0) {
        kfree(area.extents);
        kfree(h);
        give_up(file);
        return error;
    }
    name = path_name(&file->path, (char *)h, sizeof(*h));
    kprintf("%s: %lu KiB of swap, priority %d", IS_ERR(name) ? "?" : name, usable * (PAGE_SIZE / KIB), area.priority);
    kfree(h);
    return 0;
}

DEFINE_SYSCALL(sys_swapon)
{
    struct user_path path;
    struct file *file;
    long error;

    if (a1 & ~(u64)SWAP_FLAGS)
        return -EINVAL;
    if (!capable(current->cred, CAP_SYS_ADMIN))
        return -EPERM;
    error = user_path_get(&path, (const char *)a0);
    if (error != 0)
        return error;
    file = file_open(path.s, O_RDONLY | O_LARGEFILE, 0);
    user_path_put(&path);
    if (IS_ERR(file))
        return PTR_ERR(file);
    mutex_lock(&turning);
    error = turn_on(file, (unsigned)a1);
    mutex_unlock(&turning);
    return error;
}

DEFINE_SYSCALL(sys_swapoff)
{
    struct path path;
    struct file *file;
    int error, device;

    if (!capable(current->cred, CAP_SYS_ADMIN))
        return -EPERM;
    error = path_lookup_user(AT_FDCWD, (const char *)a0, LOOKUP_FOLLOW, &path);
    if (error != 0)
        return error;
    mutex_lock(&turning);
    device = find_device(path_inode(&path));
    path_put(&path);
    error = device < 0 ? device : swapdev_remove((unsigned)device, &file);
    if (error == 0)
        give_up(file);
    mutex_unlock(&turning);
    return error;
}
