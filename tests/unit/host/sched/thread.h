/* The one thread of unit tests: there will be no others. Shadows kernel/sched/thread.h. */
#ifndef SCHED_THREAD_H
#define SCHED_THREAD_H

#include "lib/list.h"
#include "sched/spinlock.h"
#include "sched/trap_state.h"

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
#define THREAD_LEAVING 16
#define THREAD_USER 8
#define THREAD_LEAVES 8u
struct leaf_hint {
    u64 generation, span;
    u64 *entries;
    u64 unused;
};
struct thread {
    u32 flags;
    enum thread_state state;
    struct hart *hart;
    struct space *space;
    struct leaf_hint leaves[THREAD_LEAVES];
    struct trap_state trap;
    struct rlimits *limits;
    struct cred *cred;
    struct fd_table *files;
    struct fs_context *fs;
};
extern struct thread *current;
static inline bool signal_pending(void) { return false; }
static inline bool fatal_signal_pending(void) { return false; }
#ifdef HOST_FIBERS
struct thread *kernel_thread(const char *name, void (*fn)(void *), void *arg);
#else
static inline struct thread *kernel_thread(const char *name, void (*fn)(void *), void *arg) { return NULL; }
#endif

#endif
