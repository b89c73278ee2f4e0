/* /proc (proc(5)): registers the file system "proc". */
#ifndef FS_PROCFS_PROCFS_H
#define FS_PROCFS_PROCFS_H

#include "lib/types.h"

struct task;

/* Whether the current thread may look at TASK's memory (ptrace(2), PTRACE_MODE_READ_FSCREDS). */
bool may_trace(struct task *task);
void procfs_init(void); /* boot: before it is mounted */

#endif
