/*
 * Descriptors that stand for a process: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2), CLONE_PIDFD and
 * waitid(P_PIDFD). One holds struct process, which outlives its number, so it never means another process. It polls
 * readable once the process has no thread left.
 */
#include "proc/pidfd.h"
#include "fs/fdtable.h"
#include "fs/file.h"
#include "fs/poll.h"
#include "lib/print.h"
#include "proc/internal.h"

static unsigned pidfd_poll(struct file *file, struct poll_table *table)
{
    struct process *p = file->private;

    if (table != NULL)
        poll_wait(table, &p->ended);
    return (load_acquire(&p->is_zombie) ? POLLIN | POLLRDNORM : 0) | (load_acquire(&p->is_reaped) ? POLLHUP : 0);
}

static void pidfd_release(struct file *file) { process_put(file->private); }

/* The lines of /proc/PID/fdinfo (proc_pid_fdinfo(5)): who was reaped has no number any more. */
static size_t pidfd_describe(struct file *file, char *buf, size_t size)
{
    struct process *p = file->private;
    int pid = load_acquire(&p->is_reaped) ? 0 : process_pid(p);

    pid = pid == 0 ? -1 : pid;
    return (size_t)snprintf(buf, size, "Pid:\t%d\nNSpid:\t%d\n", pid, pid);
}

static const struct file_ops pidfd_ops = {.release = pidfd_release, .poll = pidfd_poll, .describe = pidfd_describe};

int pidfd_install(struct process *p, u32 flags)
{
    struct file *file = file_create(anon_inode_shared(), O_RDWR | (flags & O_NONBLOCK), &pidfd_ops);

    if (IS_ERR(file))
        return (int)PTR_ERR(file);
    process_get(p);
    file->private = p;
    file->anon_name = "anon_inode:[pidfd]";
    return fd_give(file, true);
}

struct process *pidfd_or_folder_process(int fd)
{
    struct process *p = pidfd_process(fd, NULL);
    struct file *folder = IS_ERR(p) ? fd_get(fd) : NULL;

    if (folder == NULL)
        return p;
    p = proc_folder_process(folder);
    file_put(folder);
    return p != NULL ? p : ERR_PTR(-EBADF);
}

struct process *pidfd_process(int fd, bool *nonblock)
{
    struct file *file = fd_get(fd);
    struct process *p = NULL;

    if (file != NULL && file->ops == &pidfd_ops) {
        p = file->private;
        process_get(p);
        if (nonblock != NULL)
            *nonblock = (file->flags & O_NONBLOCK) != 0;
    }
    if (file != NULL)
        file_put(file);
    return p != NULL ? p : ERR_PTR(-EBADF);
}
