/*
 * /dev/kmsg: each read gives one record of the kernel's log as "priority,sequence,microseconds,-;text\n" (Linux's
 * Documentation/ABI/testing/dev-kmsg); a write adds one, with an optional "<priority>" in front.
 */
#include "fs/devfs/devfs.h"
#include "lib/kmsg.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

struct reader {
    struct mutex lock;
    u64 next; /* sequence number */
};

static int open(struct inode *inode, struct file *file)
{
    struct reader *reader = kzalloc(sizeof(*reader));

    (void)inode;
    if (reader == NULL)
        return -ENOMEM;
    mutex_init(&reader->lock);
    reader->next = kmsg_first();
    file->private = reader;
    return 0;
}

static void release(struct file *file) { kfree(file->private); }

static int wait_for_record(struct file *file, struct reader *reader)
{
    if (reader->next < kmsg_next())
        return 0;
    if (file->flags & O_NONBLOCK)
        return -EAGAIN;
    return wait_event_interruptible(&kmsg_readers, reader->next < kmsg_next()) != 0 ? -ERESTARTSYS : 0;
}

/* => reader->lock */
static ssize_t read_record(struct reader *reader, struct uio *uio, char *text, char *line, size_t line_size)
{
    struct kmsg_record record;
    size_t n;

    if (!kmsg_read(reader->next, &record, text, KMSG_MAX_LENGTH))
        return -EAGAIN;
    if (record.sequence != reader->next) { /* overwritten before we came */
        reader->next = record.sequence;
        return -EPIPE;
    }
    n = (size_t)snprintf(line, line_size, "%u,%lu,%lu,-;%.*s\n", record.level, record.sequence, record.time_ns / 1000,
                         (int)MIN((size_t)record.length, (size_t)KMSG_MAX_LENGTH), text);
    if (n > uio->left)
        return -EINVAL;
    if (uio_copy_out(uio, line, n) != n)
        return -EFAULT;
    reader->next++;
    return (ssize_t)n;
}

static ssize_t read(struct file *file, struct uio *uio, u64 *pos)
{
    struct reader *reader = file->private;
    size_t line_size = KMSG_MAX_LENGTH + 100;
    char *text = kmalloc(KMSG_MAX_LENGTH + line_size);
    ssize_t result = text != NULL ? wait_for_record(file, reader) : -ENOMEM;

    (void)pos;
    if (result == 0) {
        mutex_lock(&reader->lock);
        result = read_record(reader, uio, text, text + KMSG_MAX_LENGTH, line_size);
        mutex_unlock(&reader->lock);
    }
    kfree(text);
    return result;
}

static ssize_t write(struct file *file, struct uio *uio, u64 *pos)
{
    size_t length = uio->left;
    char *text, *rest, *end;
    u8 level = 4;

    (void)file;
    (void)pos;
    if (length > KMSG_MAX_LENGTH)
        return -EINVAL;
    text = kmalloc(length + 1);
    if (text == NULL)
        return -ENOMEM;
    if (uio_copy_in(uio, text, length) != length) {
        kfree(text);
        return -EFAULT;
    }
    text[length] = '\0';
    rest = text;
    if (*text == '<') {
        unsigned long priority = strtoul(text + 1, &end, 10);

        if (end != text + 1 && *end == '>') {
            level = priority & 7;
            rest = end + 1;
        }
    }
    kmsg_write(level, rest, strlen(rest));
    kfree(text);
    return (ssize_t)length;
}

static s64 seek(struct file *file, s64 offset, int whence)
{
    struct reader *reader = file->private;

    if (offset != 0)
        return -ESPIPE;
    if (whence != SEEK_SET && whence != SEEK_END && whence != SEEK_DATA)
        return -EINVAL;
    mutex_lock(&reader->lock);
    reader->next = whence == SEEK_END ? kmsg_next() : kmsg_first();
    mutex_unlock(&reader->lock);
    return 0;
}

static unsigned poll(struct file *file, struct poll_table *table)
{
    struct reader *reader = file->private;

    if (table != NULL)
        poll_wait(table, &kmsg_readers);
    return reader->next < kmsg_next() ? POLLIN | POLLRDNORM : 0;
}

static const struct file_ops kmsg_ops = {
    .open = open, .release = release, .read = read, .write = write, .seek = seek, .poll = poll};

int kmsg_device_add(void) { return devfs_add("kmsg", S_IFCHR | 0644, makedev(1, 11), &kmsg_ops, NULL); }
