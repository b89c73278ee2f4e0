/*
 * The memory devices: null(4), zero, full(4), random(4), urandom, and mem(4), which shows nothing: what is RAM belongs
 * to the kernel and to programs, as on Linux with CONFIG_STRICT_DEVMEM, and devices belong to their drivers.
 */
#include "fs/devfs/devfs.h"
#include "lib/random.h"
#include "lib/string.h"
#include "vm/page.h"

static ssize_t read_nothing(struct file *file, struct uio *uio, u64 *pos)
{
    (void)file;
    (void)uio;
    (void)pos;
    return 0;
}

static ssize_t write_away(struct file *file, struct uio *uio, u64 *pos)
{
    ssize_t n = (ssize_t)uio->left;

    (void)file;
    (void)pos;
    uio->left = 0;
    return n;
}

static ssize_t write_full(struct file *file, struct uio *uio, u64 *pos)
{
    (void)file;
    (void)pos;
    return uio->left == 0 ? 0 : -ENOSPC;
}

static ssize_t read_zeros(struct file *file, struct uio *uio, u64 *pos)
{
    size_t total = 0;

    (void)file;
    (void)pos;
    while (uio->left > 0) {
        size_t n = MIN(uio->left, 64 * KIB), done = uio_clear_out(uio, n);

        total += done;
        if (done < n)
            return total > 0 ? (ssize_t)total : -EFAULT;
        if (signal_pending())
            break;
        cond_resched();
    }
    return (ssize_t)total;
}

static ssize_t read_random(struct file *file, struct uio *uio, u64 *pos)
{
    u8 buffer[256];
    size_t total = 0;

    (void)file;
    (void)pos;
    while (uio->left > 0) {
        size_t n = MIN(uio->left, sizeof(buffer)), done;

        random_bytes(buffer, n);
        done = uio_copy_out(uio, buffer, n);
        total += done;
        if (done < n) {
            total = total > 0 ? total : (size_t)-EFAULT;
            break;
        }
        if (total % PAGE_SIZE == 0) {
            if (signal_pending())
                break;
            cond_resched();
        }
    }
    memset(buffer, 0, sizeof(buffer));
    return (ssize_t)total;
}

/* Bytes written to the random devices would be mixed in; the generator does not need them, so they are accepted and
 * dropped. */
static s64 seek_to_0(struct file *file, s64 offset, int whence)
{
    (void)offset;
    (void)whence;
    file->pos = 0;
    return 0;
}

static struct object *map_zero(struct file *file, bool shared)
{
    (void)file;
    (void)shared;
    return NULL; /* anonymous memory */
}

static long random_ioctl(struct file *file, unsigned command, u64 argument)
{
    (void)file;
    (void)command;
    (void)argument;
    return -EINVAL;
}

static ssize_t deny_bytes(struct file *file, struct uio *uio, u64 *pos)
{
    (void)file;
    if (uio->left == 0)
        return 0;
    return *pos >= first_pfn << PAGE_SHIFT && *pos < end_pfn << PAGE_SHIFT ? -EPERM : -EFAULT;
}

static s64 seek_anywhere(struct file *file, s64 offset, int whence)
{
    if (whence != SEEK_SET && whence != SEEK_CUR)
        return -EINVAL;
    if (whence == SEEK_CUR && __builtin_add_overflow((s64)file->pos, offset, &offset))
        return -EOVERFLOW;
    file->pos = (u64)offset;
    return offset;
}

static struct object *deny_map(struct file *file, bool shared)
{
    (void)file;
    (void)shared;
    return ERR_PTR(-EPERM);
}

static const struct file_ops mem_ops = {
    .read = deny_bytes, .write = deny_bytes, .seek = seek_anywhere, .map = deny_map};
static const struct file_ops null_ops = {.read = read_nothing, .write = write_away, .seek = seek_to_0};
static const struct file_ops zero_ops = {.read = read_zeros, .write = write_away, .seek = seek_to_0, .map = map_zero};
static const struct file_ops full_ops = {.read = read_zeros, .write = write_full, .seek = seek_to_0};
static const struct file_ops random_ops = {
    .read = read_random, .write = write_away, .seek = seek_to_0, .ioctl = random_ioctl};

int mem_devices_add(void)
{
    static const struct {
        const char *name;
        unsigned minor, permissions;
        const struct file_ops *ops;
    } devices[] = {{"mem", 1, 0640, &mem_ops},   {"null", 3, 0666, &null_ops},     {"zero", 5, 0666, &zero_ops},
                   {"full", 7, 0666, &full_ops}, {"random", 8, 0666, &random_ops}, {"urandom", 9, 0666, &random_ops}};
    int error = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(devices) && error == 0; i++)
        error = devfs_add(devices[i].name, S_IFCHR | devices[i].permissions, makedev(1, devices[i].minor),
                          devices[i].ops, NULL);
    return error;
}
