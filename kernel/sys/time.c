/* System calls on clocks and sleeping: clock_gettime(2), clock_nanosleep(2), gettimeofday(2), times(2). */
#include "fs/events.h"
#include "proc/internal.h"
#include "proc/itimer.h"
#include "proc/ptimer.h"
#include "proc/vdso/vdso.h"
#include "sched/timer.h"
#include "sys/syscall.h"
#include "sys/user_time.h"

#define TICK_NS (NSEC_PER_SEC / 100) /* sysconf(_SC_CLK_TCK) is 100 */
#define COARSE_RESOLUTION_NS (4 * NSEC_PER_MSEC)

/* ---- reading and setting ---- */

DEFINE_SYSCALL(sys_clock_gettime)
{
    struct clock c;
    int error = clock_get((int)a0, &c);
    u64 now;

    if (error != 0)
        return error;
    now = clock_read(&c);
    clock_put(&c);
    return put_user_timespec(now, a1);
}

DEFINE_SYSCALL(sys_clock_getres)
{
    struct clock c;
    int error = clock_get((int)a0, &c);

    if (error != 0)
        return error;
    clock_put(&c);
    if (a1 == 0)
        return 0;
    return put_user_timespec(
        (int)a0 == CLOCK_REALTIME_COARSE || (int)a0 == CLOCK_MONOTONIC_COARSE ? COARSE_RESOLUTION_NS : 1, a1);
}

static int set_wall_clock(u64 ns)
{
    if (!capable(current->cred, CAP_SYS_TIME))
        return -EPERM;
    if (ns == NO_DEADLINE || ns < time_ns())
        return -EINVAL; /* before the machine was started, as it were */
    time_set_realtime(ns);
    vdso_update_realtime();
    timers_wall_clock_was_set();
    timerfds_wall_clock_was_set();
    return 0;
}

DEFINE_SYSCALL(sys_clock_settime)
{
    struct clock c;
    int error = clock_get((int)a0, &c);
    u64 ns;

    if (error != 0)
        return error;
    clock_put(&c);
    if (c.is_cpu)
        return (int)a0 < 0 ? -EPERM : -EINVAL;
    if (c.id != CLOCK_REALTIME)
        return -EINVAL;
    error = get_user_timespec(&ns, a1);
    return error != 0 ? error : set_wall_clock(ns);
}

struct timezone {
    s32 minutes_west, dst;
};

DEFINE_SYSCALL(sys_gettimeofday)
{
    struct user_time t = timeval_of(time_ns() + time_realtime_offset());
    struct timezone zone = {0, 0};

    if (a0 != 0 && copy_to_user((void *)a0, &t, sizeof(t)) != 0)
        return -EFAULT;
    return a1 != 0 ? copy_to_user((void *)a1, &zone, sizeof(zone)) : 0;
}

DEFINE_SYSCALL(sys_settimeofday)
{
    struct user_time t;
    struct timezone zone;
    u64 ns;
    int error;

    if (a1 != 0 && copy_from_user(&zone, (const void *)a1, sizeof(zone)) != 0)
        return -EFAULT;
    if (a0 == 0)
        return capable(current->cred, CAP_SYS_TIME) ? 0 : -EPERM;
    if (copy_from_user(&t, (const void *)a0, sizeof(t)) != 0)
        return -EFAULT;
    error = ns_from_timeval(&ns, &t);
    return error != 0 ? error : set_wall_clock(ns);
}

struct user_tms {
    s64 user, system, children_user, children_system;
};

DEFINE_SYSCALL(sys_times)
{
    struct process *p = current_process();
    struct user_tms t = {
        .user = (s64)(process_cpu_ns(p, true, false) / TICK_NS),
        .system = (s64)(process_cpu_ns(p, false, true) / TICK_NS),
        .children_user = (s64)(p->children_usage.time.user_ns / TICK_NS),
        .children_system = (s64)(p->children_usage.time.system_ns / TICK_NS),
    };

    if (a0 != 0 && copy_to_user((void *)a0, &t, sizeof(t)) != 0)
        return -EFAULT;
    return (long)(time_ns() / TICK_NS);
}

/* ---- sleeping ---- */

/* 0, or -EINTR with a signal pending. */
static int sleep_until_moment(struct deadline d)
{
    int result = 0;

    while (result == 0) {
        if (time_ns() + (d.on_wall_clock ? time_realtime_offset() : 0) >= d.at)
            return 0;
        store_relaxed(&current->state, THREAD_INTERRUPTIBLE);
        memory_barrier();
        if (signal_pending()) {
            store_relaxed(&current->state, THREAD_RUNNABLE);
            return -EINTR;
        }
        result = schedule_until_moment(d);
    }
    return 0;
}

static int sleep_until(u64 deadline) { return sleep_until_moment((struct deadline){deadline, false}); }

/* The rest of an interrupted relative sleep. */
static long sleep_again(const u64 args[RESTART_ARGS])
{
    u64 deadline = args[0], user_left = args[1], now;

    if (sleep_until(deadline) == 0)
        return 0;
    now = time_ns();
    if (user_left != 0 && put_user_timespec(deadline > now ? deadline - now : 0, user_left) != 0)
        return -EFAULT;
    return restart_later(sleep_again, deadline, user_left, 0, 0, 0);
}

static long sleep_for(u64 ns, u64 user_left)
{
    u64 args[RESTART_ARGS] = {deadline_after(ns), user_left};

    return sleep_again(args);
}

DEFINE_SYSCALL(sys_nanosleep)
{
    u64 ns;
    int error = get_user_timespec(&ns, a0);

    return error != 0 ? error : sleep_for(ns, a1);
}

/* On CPU time there is nothing to be woken by but looking. */
static long sleep_on_cpu_clock(const struct clock *c, u64 until, bool is_absolute, u64 user_left)
{
    for (;;) {
        u64 now = clock_read(c), left = until > now ? until - now : 0;

        if (left == 0)
            return 0;
        if (sleep_until(cpu_timer_next_look(left)) == 0)
            continue;
        if (is_absolute)
            return -ERESTARTNOHAND;
        now = clock_read(c);
        if (user_left != 0 && put_user_timespec(until > now ? until - now : 0, user_left) != 0)
            return -EFAULT;
        return -EINTR;
    }
}

static bool can_sleep_on(const struct clock *c)
{
    if (c->is_cpu)
        return c->id != CLOCK_THREAD_CPUTIME_ID;
    return c->id != CLOCK_MONOTONIC_RAW && c->id != CLOCK_REALTIME_COARSE && c->id != CLOCK_MONOTONIC_COARSE;
}

/* => can_sleep_on it */
static long sleep_on(const struct clock *c, bool is_absolute, u64 ns, u64 user_left)
{
    if (c->is_cpu) {
        if (c->task == current_task())
            return -EINVAL; /* it stands still while one sleeps */
        if (!is_absolute && __builtin_add_overflow(clock_read(c), ns, &ns))
            ns = UINT64_MAX;
        return sleep_on_cpu_clock(c, ns, is_absolute, user_left);
    }
    switch (c->id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_TAI:
        if (!is_absolute)
            return sleep_for(ns, user_left);
        return sleep_until_moment((struct deadline){ns, true}) == 0 ? 0 : -ERESTARTNOHAND;
    default:
        if (!is_absolute)
            return sleep_for(ns, user_left);
        return sleep_until(ns) == 0 ? 0 : -ERESTARTNOHAND;
    }
}

DEFINE_SYSCALL(sys_clock_nanosleep)
{
    struct clock c;
    int error = clock_get((int)a0, &c);
    long result;
    u64 ns;

    if (error != 0)
        return error;
    result = can_sleep_on(&c) ? get_user_timespec(&ns, a2) : -EOPNOTSUPP;
    if (result == 0)
        result = sleep_on(&c, a1 & TIMER_ABSTIME, ns, a3);
    clock_put(&c);
    return result;
}
