/* pidfd_open(2), pidfd_getfd(2). (pidfd_send_signal is among the signals, waitid in proc/wait.c.) */
#include "fs/fdtable.h"
#include "fs/procfs/internal.h"
#include "proc/internal.h"
#include "proc/pidfd.h"
#include "sys/syscall.h"

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
    int result;

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
    if (file == NULL)
        return -EBADF;
    result = fd_install(file, true);
    if (result < 0)
        file_put(file);
    return result;
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
