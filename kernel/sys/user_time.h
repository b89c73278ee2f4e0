/* struct timespec and struct timeval of programs, as nanoseconds here. */
#ifndef SYS_USER_TIME_H
#define SYS_USER_TIME_H

#include "arch/riscv/arch.h"
#include "lib/errno.h"
#include "sched/wait.h"
#include "vm/uaccess.h"

#define TIMER_ABSTIME 1 /* flags of clock_nanosleep(2), timer_settime(2) */

struct user_time { /* seconds, and nano- or microseconds */
    s64 sec, fraction;
};

/* As the kernel's clocks: what is too far away is for ever (NO_DEADLINE). -EINVAL: negative, or not normalised. */
static inline int ns_from_timespec(u64 *ns, const struct user_time *t)
{
    if (t->sec < 0 || t->fraction < 0 || t->fraction >= (s64)NSEC_PER_SEC)
        return -EINVAL;
    *ns = (u64)t->sec >= INT64_MAX / NSEC_PER_SEC ? NO_DEADLINE : (u64)t->sec * NSEC_PER_SEC + (u64)t->fraction;
    return 0;
}

static inline int ns_from_timeval(u64 *ns, const struct user_time *t)
{
    if (t->fraction < 0 || t->fraction >= 1000000)
        return -EINVAL;
    return ns_from_timespec(ns, &(struct user_time){t->sec, t->fraction * 1000});
}

/* -EFAULT, -EINVAL */
static inline int get_user_timespec(u64 *ns, u64 user)
{
    struct user_time t;

    if (copy_from_user(&t, (const void *)user, sizeof(t)) != 0)
        return -EFAULT;
    return ns_from_timespec(ns, &t);
}

/* The moment that the struct timespec at USER names, NO_MOMENT for NULL. -EFAULT, -EINVAL */
static inline int get_user_deadline(struct deadline *d, u64 user, bool on_wall_clock)
{
    *d = NO_MOMENT;
    d->on_wall_clock = on_wall_clock;
    return user == 0 ? 0 : get_user_timespec(&d->at, user);
}

static inline int put_user_timespec(u64 ns, u64 user)
{
    struct user_time t = {(s64)(ns / NSEC_PER_SEC), (s64)(ns % NSEC_PER_SEC)};

    return copy_to_user((void *)user, &t, sizeof(t));
}

static inline struct user_time timeval_of(u64 ns)
{
    return (struct user_time){(s64)(ns / NSEC_PER_SEC), (s64)(ns % NSEC_PER_SEC / NSEC_PER_USEC)};
}

/* The monotonic time TIMEOUT ns from now. */
static inline u64 deadline_after(u64 timeout)
{
    u64 now = time_ns();

    return timeout > NO_DEADLINE - now ? NO_DEADLINE : now + timeout;
}

#endif
