/*
 * System calls on scheduling: nice values, policies, affinity (sched(7)). There is one policy, time sharing; the
 * real-time ones are recorded for who may ask for them and reported back, so that programs which only want to be
 * polite or important go on working. So are the priorities of disk requests.
 */
#include "lib/string.h"
#include "proc/internal.h"
#include "sched/sched.h"
#include "sys/syscall.h"
#include "sys/user_time.h"

enum { SCHED_OTHER = 0, SCHED_FIFO = 1, SCHED_RR = 2, SCHED_BATCH = 3, SCHED_IDLE = 5 };
#define SCHED_DEADLINE 6 /* known, not offered */
#define SCHED_EXT 7
#define SCHED_RESET_ON_FORK 0x40000000
#define RT_PRIORITY_MAX 99
#define TIME_SLICE_NS (100 * NSEC_PER_MSEC)

static bool is_real_time(int policy) { return policy == SCHED_FIFO || policy == SCHED_RR; }
static bool is_policy(int policy)
{
    return is_real_time(policy) || policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

/* Thread TID, or the caller for 0: referenced, or NULL. */
static struct task *get_task(int tid)
{
    if (tid != 0)
        return task_find(tid);
    task_get(current_task());
    return current_task();
}

static bool may_change(struct task *t)
{
    const struct cred *own = current->cred;
    struct cred *other = task_cred(t);
    bool same = own->euid == other->uid || own->euid == other->euid;

    cred_put(other);
    return same || capable(own, CAP_SYS_NICE);
}

/* ---- nice ---- */

enum { PRIO_PROCESS, PRIO_PGRP, PRIO_USER };

static int set_nice(struct task *t, int nice)
{
    u64 limit = t->process->limits.limit[RLIMIT_NICE].soft;

    if (!may_change(t))
        return -EPERM;
    if (nice < t->thread.nice && (u64)(20 - nice) > limit && !capable(current->cred, CAP_SYS_NICE))
        return -EACCES;
    t->thread.nice = nice;
    return 0;
}

static bool is_of_user(struct process *p, u32 uid)
{
    struct user *user = user_of(p);
    bool is = user->uid == uid;

    user_put(user);
    return is;
}

/* Calls FN for every thread that WHICH and WHO mean; -ESRCH if there is none, else FN's last failure or 0. */
static int for_each_meant(int which, int who, int (*fn)(struct task *, int *), int *arg)
{
    int result = -ESRCH, pid = 0;
    struct process *p;
    u32 uid = who == 0 ? current->cred->uid : (u32)who;

    if (which == PRIO_PROCESS) {
        struct task *t = get_task(who);

        if (t == NULL)
            return -ESRCH;
        result = fn(t, arg);
        task_put(t);
        return result;
    }
    if (who == 0)
        who = process_group_id(current_process());
    for (; (p = process_next(&pid)) != NULL; pid++) {
        struct task *t;
        bool meant = which == PRIO_PGRP ? process_group_id(p) == who : is_of_user(p, uid);

        for (int tid = 0; meant && (t = process_next_thread(p, &tid)) != NULL; tid++) {
            int error = fn(t, arg);

            if (error != 0 || result == -ESRCH)
                result = error;
            task_put(t);
        }
        process_put(p);
    }
    return result;
}

static int apply_nice(struct task *t, int *nice) { return set_nice(t, *nice); }

static int find_highest(struct task *t, int *lowest_nice)
{
    *lowest_nice = MIN(*lowest_nice, t->thread.nice);
    return 0;
}

DEFINE_SYSCALL(sys_setpriority)
{
    int nice = (int)a2;

    if ((int)a0 < PRIO_PROCESS || (int)a0 > PRIO_USER)
        return -EINVAL;
    nice = nice < -20 ? -20 : nice > 19 ? 19 : nice;
    return for_each_meant((int)a0, (int)a1, apply_nice, &nice);
}

/* 40..1 for nice -20..19, so that it is never negative. */
DEFINE_SYSCALL(sys_getpriority)
{
    int nice = 19, error;

    if ((int)a0 < PRIO_PROCESS || (int)a0 > PRIO_USER)
        return -EINVAL;
    error = for_each_meant((int)a0, (int)a1, find_highest, &nice);
    return error != 0 ? error : 20 - nice;
}

/* ---- priorities of a thread's disk requests (ioprio_set(2)) ---- */

/* Recorded, inherited and reported: there is one queue, served in order, as by Linux's `none` for virtio disks. */
enum { IO_PRIORITY_PROCESS = 1, IO_PRIORITY_GROUP, IO_PRIORITY_USER };
enum { IO_CLASS_NONE, IO_CLASS_REAL_TIME, IO_CLASS_BEST_EFFORT, IO_CLASS_IDLE };
#define IO_CLASS_SHIFT 13
#define IO_CLASS_MASK 7
#define IO_LEVEL_MASK 7

static int io_class(int priority) { return (priority >> IO_CLASS_SHIFT) & IO_CLASS_MASK; }

static int check_io_priority(int priority)
{
    switch (io_class(priority)) {
    case IO_CLASS_REAL_TIME:
        return capable(current->cred, CAP_SYS_ADMIN) || capable(current->cred, CAP_SYS_NICE) ? 0 : -EPERM;
    case IO_CLASS_BEST_EFFORT:
    case IO_CLASS_IDLE:
        return 0;
    case IO_CLASS_NONE:
        return (priority & IO_LEVEL_MASK) == 0 ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}

/* Not the rule of the other calls here: the real user ID will do. */
static int apply_io_priority(struct task *t, int *priority)
{
    const struct cred *own = current->cred;
    struct cred *other = task_cred(t);
    bool same = other->uid == own->euid || other->uid == own->uid;

    cred_put(other);
    if (!same && !capable(own, CAP_SYS_NICE))
        return -EPERM;
    t->io_priority = (u16)*priority;
    return 0;
}

static int find_io_priority(struct task *t, int *priority)
{
    *priority = t->io_priority;
    return 0;
}

/* The best of several is the smallest; who never asked for one has what follows from nice value and policy. */
static int find_best_io_priority(struct task *t, int *best)
{
    int priority = t->io_priority, class;

    if (io_class(priority) == IO_CLASS_NONE) {
        class = t->policy == SCHED_IDLE        ? IO_CLASS_IDLE
                : is_real_time((int)t->policy) ? IO_CLASS_REAL_TIME
                                               : IO_CLASS_BEST_EFFORT;
        priority = class << IO_CLASS_SHIFT | (t->thread.nice + 20) / 5;
    }
    *best = MIN(*best, priority);
    return 0;
}

DEFINE_SYSCALL(sys_ioprio_set)
{
    int priority = (int)a2, error = check_io_priority(priority);

    if (error != 0)
        return error;
    if ((int)a0 < IO_PRIORITY_PROCESS || (int)a0 > IO_PRIORITY_USER)
        return -EINVAL;
    return for_each_meant((int)a0 - IO_PRIORITY_PROCESS + PRIO_PROCESS, (int)a1, apply_io_priority, &priority);
}

DEFINE_SYSCALL(sys_ioprio_get)
{
    int priority = IO_CLASS_MASK << IO_CLASS_SHIFT, error; /* above all that there are */

    if ((int)a0 < IO_PRIORITY_PROCESS || (int)a0 > IO_PRIORITY_USER)
        return -EINVAL;
    error = for_each_meant((int)a0 - IO_PRIORITY_PROCESS + PRIO_PROCESS, (int)a1,
                           (int)a0 == IO_PRIORITY_PROCESS ? find_io_priority : find_best_io_priority, &priority);
    return error != 0 ? error : priority;
}

/* ---- policies ---- */

static int set_policy(int tid, int policy, bool reset_on_fork, unsigned priority, const int *nice)
{
    struct task *t;
    int error = 0;

    if (tid < 0)
        return -EINVAL;
    t = get_task(tid);
    if (t == NULL)
        return -ESRCH;
    if (!is_policy(policy) || (is_real_time(policy) ? priority < 1 || priority > RT_PRIORITY_MAX : priority != 0)) {
        task_put(t);
        return -EINVAL;
    }
    if (!may_change(t))
        error = -EPERM;
    else if (is_real_time(policy) && priority > t->process->limits.limit[RLIMIT_RTPRIO].soft &&
             !capable(current->cred, CAP_SYS_NICE))
        error = -EPERM;
    if (error == 0 && nice != NULL && !is_real_time(policy))
        error = set_nice(t, *nice);
    if (error == 0) {
        t->policy = (unsigned)policy;
        t->rt_priority = priority;
        t->reset_on_fork = reset_on_fork;
    }
    task_put(t);
    return error == -EACCES ? -EPERM : error;
}

DEFINE_SYSCALL(sys_sched_setscheduler)
{
    u32 priority;

    if (a2 == 0 || (int)a1 < 0)
        return -EINVAL;
    if (get_user_u32(&priority, (const u32 *)a2) != 0)
        return -EFAULT;
    return set_policy((int)a0, (int)a1 & ~SCHED_RESET_ON_FORK, a1 & SCHED_RESET_ON_FORK, priority, NULL);
}

DEFINE_SYSCALL(sys_sched_setparam)
{
    struct task *t;
    u32 priority;
    int policy;
    bool reset;

    if (a1 == 0 || (int)a0 < 0)
        return -EINVAL;
    if (get_user_u32(&priority, (const u32 *)a1) != 0)
        return -EFAULT;
    t = get_task((int)a0);
    if (t == NULL)
        return -ESRCH;
    policy = (int)t->policy;
    reset = t->reset_on_fork;
    task_put(t);
    return set_policy((int)a0, policy, reset, priority, NULL);
}

DEFINE_SYSCALL(sys_sched_getscheduler)
{
    struct task *t = (int)a0 < 0 ? NULL : get_task((int)a0);
    long policy;

    if (t == NULL)
        return (int)a0 < 0 ? -EINVAL : -ESRCH;
    policy = t->policy | (t->reset_on_fork ? SCHED_RESET_ON_FORK : 0);
    task_put(t);
    return policy;
}

DEFINE_SYSCALL(sys_sched_getparam)
{
    struct task *t;
    u32 priority;

    if ((int)a0 < 0 || a1 == 0)
        return -EINVAL;
    t = get_task((int)a0);
    if (t == NULL)
        return -ESRCH;
    priority = t->rt_priority;
    task_put(t);
    return put_user_u32(priority, (u32 *)a1);
}

struct sched_attr { /* the ABI's second version; the first ends before least_use */
    u32 size, policy;
    u64 flags;
    s32 nice;
    u32 priority;
    u64 runtime, deadline, period;
    u32 least_use, most_use;
};
#define SCHED_ATTR_SIZE_MIN 48
static_assert(offsetof(struct sched_attr, least_use) == SCHED_ATTR_SIZE_MIN && sizeof(struct sched_attr) == 56,
              "struct sched_attr");

/* Whether N bytes of user memory at AT are all zero: 0, -E2BIG, -EFAULT. */
static int check_zeros(u64 at, u64 n)
{
    for (; n > 0; at++, n--) {
        u8 byte;

        if (copy_from_user(&byte, (const void *)at, 1) != 0)
            return -EFAULT;
        if (byte != 0)
            return -E2BIG;
    }
    return 0;
}

/* The structure says its own size. -E2BIG: it is none of ours, and says now which size is. */
static int get_attributes(struct sched_attr *attr, u64 user)
{
    u32 size;
    int error;

    memset(attr, 0, sizeof(*attr));
    if (get_user_u32(&size, (const u32 *)user) != 0)
        return -EFAULT;
    if (size == 0)
        size = SCHED_ATTR_SIZE_MIN;
    error = size < SCHED_ATTR_SIZE_MIN || size > PAGE_SIZE ? -E2BIG : 0;
    if (error == 0 && size > sizeof(*attr))
        error = check_zeros(user + sizeof(*attr), size - sizeof(*attr));
    if (error == 0)
        error = copy_from_user(attr, (const void *)user, MIN(size, (u32)sizeof(*attr)));
    if (error == -E2BIG && put_user_u32(sizeof(*attr), (u32 *)user) != 0)
        return -EFAULT;
    return error;
}

DEFINE_SYSCALL(sys_sched_setattr)
{
    struct sched_attr attr;
    struct task *t;
    int error;

    if (a1 == 0 || (int)a0 < 0 || a2 != 0)
        return -EINVAL;
    error = get_attributes(&attr, a1);
    if (error != 0)
        return error;
    if ((int)attr.policy < 0)
        return -EINVAL;
    t = get_task((int)a0); /* whether there is one comes before what is wanted of it */
    if (t == NULL)
        return -ESRCH;
    task_put(t);
    if (attr.flags & ~1ull)
        return -EINVAL;
    attr.nice = attr.nice < -20 ? -20 : attr.nice > 19 ? 19 : attr.nice;
    return set_policy((int)a0, (int)attr.policy, attr.flags & 1, attr.priority, &attr.nice);
}

DEFINE_SYSCALL(sys_sched_getattr)
{
    struct sched_attr attr = {.size = (u32)MIN(a2, sizeof(attr))};
    struct task *t;

    if (a1 == 0 || (int)a0 < 0 || a2 < SCHED_ATTR_SIZE_MIN || a2 > PAGE_SIZE || a3 != 0)
        return -EINVAL;
    t = get_task((int)a0);
    if (t == NULL)
        return -ESRCH;
    attr.policy = t->policy;
    attr.flags = t->reset_on_fork;
    attr.nice = t->thread.nice;
    attr.priority = t->rt_priority;
    task_put(t);
    return copy_to_user((void *)a1, &attr, attr.size);
}

/* Also of policies that cannot be had. */
static bool has_priorities(int policy) { return is_policy(policy) || policy == SCHED_DEADLINE || policy == SCHED_EXT; }

DEFINE_SYSCALL(sys_sched_get_priority_max)
{
    return !has_priorities((int)a0) ? -EINVAL : is_real_time((int)a0) ? RT_PRIORITY_MAX : 0;
}
DEFINE_SYSCALL(sys_sched_get_priority_min)
{
    return !has_priorities((int)a0) ? -EINVAL : is_real_time((int)a0) ? 1 : 0;
}

DEFINE_SYSCALL(sys_sched_rr_get_interval)
{
    struct task *t = (int)a0 < 0 ? NULL : get_task((int)a0);
    u64 slice;

    if (t == NULL)
        return (int)a0 < 0 ? -EINVAL : -ESRCH;
    slice = t->policy == SCHED_FIFO ? 0 : TIME_SLICE_NS;
    task_put(t);
    return put_user_timespec(slice, a1);
}

DEFINE_SYSCALL(sys_sched_yield)
{
    sched_yield();
    return 0;
}

/* ---- affinity ---- */

DEFINE_SYSCALL(sys_sched_setaffinity)
{
    struct task *t;
    u64 mask = 0;
    int error;

    if (copy_from_user(&mask, (const void *)a2, MIN(a1, sizeof(mask))) != 0)
        return -EFAULT;
    t = (int)a0 < 0 ? NULL : get_task((int)a0);
    if (t == NULL)
        return -ESRCH;
    error = may_change(t) ? sched_set_affinity(&t->thread, mask) : -EPERM;
    task_put(t);
    return error;
}

/* Returns how many bytes of the mask there are. */
DEFINE_SYSCALL(sys_sched_getaffinity)
{
    struct task *t;
    u64 mask;

    if (a1 * 8 < machine.harts || (a1 & (sizeof(mask) - 1)) != 0)
        return -EINVAL;
    t = (int)a0 < 0 ? NULL : get_task((int)a0);
    if (t == NULL)
        return -ESRCH;
    mask = t->thread.hart_mask & (BIT(machine.harts) - 1);
    task_put(t);
    return copy_to_user((void *)a2, &mask, sizeof(mask)) != 0 ? -EFAULT : (long)sizeof(mask);
}

DEFINE_SYSCALL(sys_getcpu)
{
    if (a0 != 0 && put_user_u32(hart_id(), (u32 *)a0) != 0)
        return -EFAULT;
    return a1 != 0 ? put_user_u32(0, (u32 *)a1) : 0;
}
