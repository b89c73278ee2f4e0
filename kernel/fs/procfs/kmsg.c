/* /proc/kmsg: the unread kernel messages, each delivered once (proc(5)). */
#include "dev/syslog.h"
#include "fs/procfs/internal.h"
#include "lib/kmsg.h"

static int kmsg_open(struct inode *inode, struct file *file)
{
    return capable(current->cred, CAP_SYS_ADMIN) ? 0 : -EPERM;
}

static ssize_t kmsg_file_read(struct file *file, struct uio *uio, u64 *pos)
{
    return syslog_read(uio, (file->flags & O_NONBLOCK) != 0);
}

static unsigned kmsg_poll(struct file *file, struct poll_table *table)
{
    if (table != NULL)
        poll_wait(table, &kmsg_readers);
    return syslog_has_unread() ? POLLIN | POLLRDNORM : 0;
}

const struct file_ops proc_kmsg_ops = {.open = kmsg_open, .read = kmsg_file_read, .poll = kmsg_poll};
