/* The memory devices: null(4), zero, full(4), random(4) and urandom. */
#include "fs/devfs/devfs.h"
#include "lib/random.h"
#include "lib/string.h"

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

static const struct file_ops null_ops = {.read = read_nothing, .write = write_away, .seek = seek_to_0};
static const struct file_ops zero_ops = {.read = read_zeros, .write = write_away, .seek = seek_to_0, .map = map_zero};
static const struct file_ops full_ops = {.read = read_zeros, .write = write_full, .seek = seek_to_0};
static const struct file_ops random_ops = {
    .read = read_random, .write = write_away, .seek = seek_to_0, .ioctl = random_ioctl};

int mem_devices_add(void)
{
    static const struct {
        const char *name;
        unsigned minor;
        const struct file_ops *ops;
    } devices[] = {{"null", 3, &null_ops},
                   {"zero", 5, &zero_ops},
                   {"full", 7, &full_ops},
                   {"random", 8, &random_ops},
                   {"urandom", 9, &random_ops}};
    int error = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(devices) && error == 0; i++)
        error = devfs_add(devices[i].name, S_IFCHR | 0666, makedev(1, devices[i].minor), devices[i].ops, NULL);
    return error;
}
