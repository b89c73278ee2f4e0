/* The alternate signal stack of a task (sigaltstack(2)). */
#ifndef PROC_SIGALTSTACK_H
#define PROC_SIGALTSTACK_H

#include "proc/task.h"

#define SS_ONSTACK 1
#define SS_DISABLE 2
#define SS_AUTODISARM (1u << 31)
#define MINSIGSTKSZ 2048

/* Whether SP is on it; one that disarms itself is never in use. */
static inline bool altstack_contains(const struct sigaltstack *s, u64 sp)
{
    return !((u32)s->flags & SS_AUTODISARM) && sp > s->base && sp - s->base <= s->size;
}
/* SS_DISABLE, SS_ONSTACK or 0: there, and not in use. */
static inline int altstack_state(const struct sigaltstack *s, u64 sp)
{
    if (s->size == 0)
        return SS_DISABLE;
    return altstack_contains(s, sp) ? SS_ONSTACK : 0;
}

/* Sets the current task's: 0, -EPERM (in use), -EINVAL, -ENOMEM (too small). */
static inline int altstack_set(const struct sigaltstack *new, u64 sp)
{
    struct sigaltstack *s = &current_task()->altstack;
    u32 mode = (u32) new->flags & ~SS_AUTODISARM;

    if (altstack_contains(s, sp))
        return -EPERM;
    if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
        return -EINVAL;
    if (mode == SS_DISABLE) {
        *s = (struct sigaltstack){.flags = new->flags};
        return 0;
    }
    if (new->size < MINSIGSTKSZ)
        return -ENOMEM;
    *s = (struct sigaltstack){.base = new->base, .flags = new->flags, .size = new->size};
    return 0;
}

#endif
