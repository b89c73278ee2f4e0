/* pidfd_open(2), pidfd_getfd(2), process_mrelease(2). (pidfd_send_signal is among the signals, waitid in proc/wait.c.)
 */
#include "fs/fdtable.h"
#include "fs/procfs/internal.h"
#include "proc/internal.h"
#include "proc/pidfd.h"
#include "sys/syscall.h"
#include "vm/space.h"

DEFINE_SYSCALL(sys_pidfd_open)
{
    struct process *p;
    int pid = (int)a0, fd;

    if ((a1 & ~(u64)O_NONBLOCK) || pid <= 0)
        return -EINVAL;
    p = process_find(pid);
    if (p == NULL)
        return -ESRCH;
    fd = process_pid(p) == pid ? pidfd_install(p, (u32)a1) : -EINVAL; /* -EINVAL: a thread's number */
    process_put(p);
    return fd;
}

/* A duplicate, in the caller's table, of descriptor FD of the process. */
static int copy_descriptor(struct process *p, int fd)
{
    struct task *leader = process_leader(p);
    struct fd_table *files;
    struct file *file;

    if (leader == NULL)
        return -ESRCH;
    if (!may_trace(leader)) {
        task_put(leader);
        return -EPERM;
    }
    files = task_files(leader);
    task_put(leader);
    if (files == NULL)
        return -ESRCH;
    file = fd_table_file(files, fd);
    fd_table_put(files);
    return file == NULL ? -EBADF : fd_give(file, true);
}

DEFINE_SYSCALL(sys_pidfd_getfd)
{
    struct process *p;
    int fd;

    if ((u32)a2 != 0)
        return -EINVAL;
    p = pidfd_process((int)a0, NULL);
    if (IS_ERR(p))
        return PTR_ERR(p);
    fd = copy_descriptor(p, (int)a1);
    process_put(p);
    return fd;
}

/* All processes that use SPACE are being killed. */
static bool is_dying_space(const struct space *space)
{
    struct process *p;
    bool dying = true;

    for (int pid = 0; dying && (p = process_next(&pid)) != NULL; pid++) {
        struct space *its = process_space(p);

        if (its != NULL) {
            dying = its != space || load_relaxed(&p->is_group_exit);
            space_put(its);
        }
        process_put(p);
    }
    return dying;
}

DEFINE_SYSCALL(sys_process_mrelease)
{
    struct process *p;
    struct space *space;
    long result = 0;

    if ((u32)a1 != 0)
        return -EINVAL;
    p = pidfd_process((int)a0, NULL);
    if (IS_ERR(p))
        return PTR_ERR(p);
    space = process_space(p);
    if (space == NULL)
        result = -ESRCH;
    else if (!is_dying_space(space))
        result = -EINVAL;
    else
        space_reap(space);
    if (space != NULL)
        space_put(space);
    process_put(p);
    return result;
}
