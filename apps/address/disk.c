/* See disk.h. The caller sees to it that one thread at a time is here. */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "QuAddr1"
#define VOLUME_BITS 28 /* of a page's number: 2^40 bytes */
#define SPREAD 16      /* volumes that new pages go to, in turn */
#define VOLUME_STEP 0xfffffull
#define AREA 1024          /* pages of a volume that lie together, and */
#define AREA_STEP 40000ull /* how far from the next ones */

int disk_open(struct disk *disk, const char *folder, struct disk_super *super)
{
    ssize_t n;

    disk->folder = disk->super = -1;
    disk->n_volumes = 0;
    if (mkdir(folder, 0777) < 0 && errno != EEXIST)
        return -1;
    disk->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (disk->folder < 0)
        return -1;
    disk->super = openat(disk->folder, "super", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (disk->super < 0)
        return -1;
    if (flock(disk->super, LOCK_EX | LOCK_NB) < 0) {
        errno = errno == EWOULDBLOCK ? EBUSY : errno;
        return -1;
    }
    n = pread(disk->super, super, sizeof(*super), 0);
    if (n == 0)
        *super = (struct disk_super){.magic = MAGIC};
    else if (n != sizeof(*super) || memcmp(super->magic, MAGIC, sizeof(super->magic)) != 0) {
        errno = n < 0 ? errno : EINVAL;
        return -1;
    }
    return 0;
}

int disk_write_super(struct disk *disk, const struct disk_super *super)
{
    return pwrite(disk->super, super, sizeof(*super), 0) == sizeof(*super) ? 0 : -1;
}

int disk_sync(struct disk *disk)
{
    for (unsigned i = 0; i < disk->n_volumes; i++)
        if (fsync(disk->volumes[i].fd) < 0)
            return -1;
    return fsync(disk->super) < 0 ? -1 : fsync(disk->folder);
}

void disk_close(struct disk *disk)
{
    for (unsigned i = 0; i < disk->n_volumes; i++)
        close(disk->volumes[i].fd);
    if (disk->super >= 0)
        close(disk->super);
    if (disk->folder >= 0)
        close(disk->folder);
}

uint64_t disk_page(uint64_t n)
{
    uint64_t volume = n % SPREAD * VOLUME_STEP + 1, at = n / SPREAD;

    return volume << VOLUME_BITS | (at / AREA * AREA_STEP + at % AREA);
}

/* The file of PAGE's volume. */
static int volume_of(struct disk *disk, uint64_t page)
{
    uint64_t number = page >> VOLUME_BITS;
    char name[32];
    int fd;

    for (unsigned i = 0; i < disk->n_volumes; i++)
        if (disk->volumes[i].number == number)
            return disk->volumes[i].fd;
    if (disk->n_volumes == VOLUMES) {
        errno = EMFILE;
        return -1;
    }
    snprintf(name, sizeof(name), "%06llx", (unsigned long long)number);
    fd = openat(disk->folder, name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return -1;
    disk->volumes[disk->n_volumes].number = number;
    disk->volumes[disk->n_volumes++].fd = fd;
    return fd;
}

static off_t offset_of(uint64_t page) { return (off_t)((page & ((1ull << VOLUME_BITS) - 1)) * PAGE); }

int disk_read(struct disk *disk, uint64_t page, void *to)
{
    int fd = volume_of(disk, page);
    ssize_t n;

    if (fd < 0)
        return -1;
    n = pread(fd, to, PAGE, offset_of(page));
    if (n == (ssize_t)PAGE)
        return 0;
    if (n >= 0)
        errno = EIO; /* what has a name has been written: the file has lost its end */
    return -1;
}

int disk_write(struct disk *disk, uint64_t page, const void *from)
{
    int fd = volume_of(disk, page);
    ssize_t n;

    if (fd < 0)
        return -1;
    n = pwrite(fd, from, PAGE, offset_of(page));
    if (n == (ssize_t)PAGE)
        return 0;
    if (n >= 0)
        errno = ENOSPC;
    return -1;
}
