/* signalfd(2), below its system call, and what sending a signal tells it. */
#ifndef PROC_SIGNALFD_H
#define PROC_SIGNALFD_H

#include "lib/types.h"
#include "sched/wait.h"

struct file;

void signalfd_init(void);
struct file *signalfd_create(u64 mask, u32 flags);  /* O_NONBLOCK */
int signalfd_set_mask(struct file *file, u64 mask); /* -EINVAL: it is none */

extern u32 n_signalfds;
extern struct wait_queue signalfd_wait;
/* A signal has become pending. => signal_lock */
static inline void signalfd_notice(void)
{
    if (unlikely(load_relaxed(&n_signalfds) > 0))
        wake_all(&signalfd_wait);
}

#endif
