/* Descriptors that stand for a process: pidfd_open(2), CLONE_PIDFD. */
#ifndef PROC_PIDFD_H
#define PROC_PIDFD_H

#include "proc/task.h"

struct file;

/* A new descriptor of the current process for P, close-on-exec; FLAGS: O_NONBLOCK. -EMFILE, -ENOMEM ... */
int pidfd_install(struct process *p, u32 flags);
/* The process that FD is about, referenced: ERR_PTR(-EBADF) when it is no such descriptor. *NONBLOCK: its flag; may be
 * NULL. */
struct process *pidfd_process(int fd, bool *nonblock);
/* The same, or by an open /proc/PID: for pidfd_send_signal(2). */
struct process *pidfd_or_folder_process(int fd);

#endif
