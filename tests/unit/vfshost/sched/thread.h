/* The one thread of the file system's unit tests. Shadows kernel/sched/thread.h. */
#ifndef SCHED_THREAD_H
#define SCHED_THREAD_H

#include "lib/list.h"
#include "sched/spinlock.h"

enum thread_state {
    THREAD_RUNNABLE,
    THREAD_SLEEPING,
    THREAD_KILLABLE,
    THREAD_INTERRUPTIBLE,
    THREAD_STOPPED,
    THREAD_DEAD
};
#define THREAD_SIGNAL 1
#define THREAD_KILLED 2
#define THREAD_RESCHED 4
#define THREAD_USER 8
struct thread {
    u32 flags;
    struct hart *hart;
    struct space *space;
    struct fd_table *files;
    struct fs_context *fs;
    struct cred *cred;
    struct rlimits *limits;
};
extern struct thread *current;
static inline bool signal_pending(void) { return false; }
static inline bool fatal_signal_pending(void) { return false; }
struct thread *kernel_thread(const char *name, void (*fn)(void *), void *arg);

#endif
