/* System calls on timers: setitimer(2), timer_create(2) and its family. */
#include "proc/itimer.h"
#include "proc/ptimer.h"
#include "sys/syscall.h"
#include "sys/user_time.h"

struct user_itimer {
    struct user_time interval, value;
};

/* ---- interval timers ---- */

static struct user_itimer itimerval(u64 left, u64 interval)
{
    struct user_itimer t = {timeval_of(interval), timeval_of(left)};

    if (left != 0 && t.value.sec == 0 && t.value.fraction == 0)
        t.value.fraction = 1; /* 0 would say that it is off */
    return t;
}

DEFINE_SYSCALL(sys_getitimer)
{
    struct user_itimer t;
    u64 left, interval;

    if (a0 > ITIMER_PROF)
        return -EINVAL;
    itimer_get(current_process(), (int)a0, &left, &interval);
    t = itimerval(left, interval);
    return copy_to_user((void *)a1, &t, sizeof(t));
}

DEFINE_SYSCALL(sys_setitimer)
{
    struct user_itimer new = {0}, old;
    u64 value, interval, left, old_interval;

    if (a1 != 0 && copy_from_user(&new, (const void *)a1, sizeof(new)) != 0)
        return -EFAULT;
    if (ns_from_timeval(&value, &new.value) != 0 || ns_from_timeval(&interval, &new.interval) != 0)
        return -EINVAL;
    if (a0 > ITIMER_PROF)
        return -EINVAL;
    itimer_get(current_process(), (int)a0, &left, &old_interval);
    itimer_set(current_process(), (int)a0, value, interval);
    old = itimerval(left, old_interval);
    return a2 != 0 ? copy_to_user((void *)a2, &old, sizeof(old)) : 0;
}

/* ---- POSIX timers ---- */

DEFINE_SYSCALL(sys_timer_create)
{
    struct {
        struct sigevent event;
        u8 rest[64 - sizeof(struct sigevent)];
    } user;
    int id;

    if (a1 != 0 && copy_from_user(&user, (const void *)a1, sizeof(user)) != 0)
        return -EFAULT;
    id = ptimer_create((int)a0, a1 != 0 ? &user.event : NULL);
    if (id < 0)
        return id;
    if (put_user_u32((u32)id, (u32 *)a2) == 0)
        return 0;
    ptimer_delete(id);
    return -EFAULT;
}

DEFINE_SYSCALL(sys_timer_delete) { return ptimer_delete((int)a0); }
DEFINE_SYSCALL(sys_timer_getoverrun) { return ptimer_overrun((int)a0); }

static int put_itimerspec(u64 user, u64 left, u64 interval)
{
    struct user_itimer t = {
        .interval = {(s64)(interval / NSEC_PER_SEC), (s64)(interval % NSEC_PER_SEC)},
        .value = {(s64)(left / NSEC_PER_SEC), (s64)(left % NSEC_PER_SEC)},
    };

    return copy_to_user((void *)user, &t, sizeof(t));
}

DEFINE_SYSCALL(sys_timer_gettime)
{
    u64 left, interval;
    int error = ptimer_get((int)a0, &left, &interval);

    return error != 0 ? error : put_itimerspec(a1, left, interval);
}

DEFINE_SYSCALL(sys_timer_settime)
{
    struct user_itimer new;
    u64 value, interval, left, old_interval;
    int error;

    if (a2 == 0)
        return -EINVAL;
    if (copy_from_user(&new, (const void *)a2, sizeof(new)) != 0)
        return -EFAULT;
    if (ns_from_timespec(&value, &new.value) != 0 || ns_from_timespec(&interval, &new.interval) != 0)
        return -EINVAL;
    error = ptimer_set((int)a0, a1 & TIMER_ABSTIME, value, interval, &left, &old_interval);
    if (error != 0)
        return error;
    return a3 != 0 ? put_itimerspec(a3, left, old_interval) : 0;
}
