/* /proc (proc(5)): registers the file system "proc". */
#ifndef FS_PROCFS_PROCFS_H
#define FS_PROCFS_PROCFS_H

#include "lib/types.h"

struct task;

/* Whether the current thread may look at TASK's memory (ptrace(2), PTRACE_MODE_READ_FSCREDS). */
bool may_trace(struct task *task);
enum sysvipc { SYSVIPC_MSG, SYSVIPC_SEM, SYSVIPC_SHM, SYSVIPC_KINDS };
/* What /proc/sysvipc/KIND shows: SHOW writes the line of the first object at *INDEX or after, and sets it
 * behind; false when there is none. */
void procfs_set_sysvipc(enum sysvipc kind, bool (*show)(unsigned *index, char *line, size_t size));
/* /proc/sys/fs/mqueue (mq_overview(7)): what sys/mqueue.c keeps to. */
struct mqueue_settings {
    unsigned msg_default, msg_max, msgsize_default, msgsize_max, queues_max;
};
extern struct mqueue_settings mqueue_settings;
void procfs_init(void); /* boot: before it is mounted */

#endif
