/*
 * POSIX timers (timer_create(2)). Each owns the one queue entry of its signal: while that is pending, further
 * expirations only count as overrun. Timers on CPU time look from time to time, as interval timers do (itimer.c).
 *
 * Lock: signal_lock of the process, for the list and all fields. A timer's function takes it; so a timer is stopped
 * without it, after it has been taken out of the list.
 */
#include "proc/ptimer.h"
#include "proc/internal.h"
#include "proc/itimer.h"
#include "vm/kmalloc.h"

#define OVERRUN_MAX INT32_MAX
#define TIMERS_MAX 4096

struct ptimer {
    struct timer timer;
    struct list link; /* process->ptimers */
    struct process *process;
    struct user *user; /* to whose RLIMIT_SIGPENDING its signal counts, pending or not */
    int id;
    struct clock clock;
    struct task *target; /* SIGEV_THREAD_ID: referenced */
    int notify;
    struct siginfo info;
    struct sigqueue entry;
    u64 value, interval; /* on its clock; value 0: not armed */
    u64 overrun, last_overrun;
    bool is_relative; /* VALUE is on the monotonic clock, unless it is CPU time: who sets CLOCK_REALTIME does not move
                         it */
};

/* ---- clocks ---- */

/* clockid_t of a CPU clock: ~pid << 3 | per_thread << 2 | which. */
static int clock_get_cpu(int id, struct clock *c)
{
    int pid = ~(id >> 3), which = id & 3;
    bool per_thread = id & 4;

    if (which > 2)
        return -EINVAL;
    c->is_cpu = true;
    c->user_only = which == 1;
    if (per_thread) {
        c->task = pid == 0 ? current_task() : task_find(pid);
        if (pid == 0)
            task_get(c->task);
        if (c->task != NULL && c->task->process != current_process()) {
            task_put(c->task);
            c->task = NULL;
        }
    } else {
        c->process = pid == 0 ? current_process() : process_find(pid);
        if (pid == 0)
            process_get(c->process);
    }
    return c->task == NULL && c->process == NULL ? -EINVAL : 0;
}

int clock_get(int id, struct clock *c)
{
    *c = (struct clock){.id = id};
    if (id < 0)
        return clock_get_cpu(id, c);
    if (id > CLOCK_TAI || id == 10)
        return -EINVAL;
    if (id == CLOCK_PROCESS_CPUTIME_ID) {
        c->process = current_process();
        process_get(c->process);
        c->is_cpu = true;
    } else if (id == CLOCK_THREAD_CPUTIME_ID) {
        c->task = current_task();
        task_get(c->task);
        c->is_cpu = true;
    }
    return 0;
}

void clock_put(struct clock *c)
{
    if (c->process != NULL)
        process_put(c->process);
    if (c->task != NULL)
        task_put(c->task);
}

u64 clock_read(const struct clock *c)
{
    u64 user, system;

    if (c->process != NULL)
        return process_cpu_ns(c->process, true, !c->user_only);
    if (c->task != NULL) {
        sched_account(&c->task->thread, &user, &system);
        return user + (c->user_only ? 0 : system);
    }
    switch (c->id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_TAI:
        return time_ns() + time_realtime_offset();
    default:
        return time_ns();
    }
}

/* ---- expiry; => signal_lock ---- */

/* The time on the clock that T's value is on. CPU_TIME: if that is CPU time, its reading. */
static u64 timer_now(const struct ptimer *t, u64 cpu_time)
{
    return t->clock.is_cpu ? cpu_time : t->is_relative ? time_ns() : clock_read(&t->clock);
}

/* An absolute time on CLOCK_REALTIME or its like. */
static bool is_wall_time(const struct ptimer *t)
{
    return !t->is_relative &&
           (t->clock.id == CLOCK_REALTIME || t->clock.id == CLOCK_REALTIME_ALARM || t->clock.id == CLOCK_TAI);
}

/* In HOLD ns at the earliest. */
static void arm(struct ptimer *t, u64 now, u64 hold)
{
    u64 left;

    if (t->value == 0)
        return;
    left = t->value > now ? t->value - now : 0;
    left = MAX(left, hold);
    if (is_wall_time(t))
        timer_start_wall(&t->timer, now + left);
    else
        timer_start(&t->timer, t->clock.is_cpu ? cpu_timer_next_look(left) : time_ns() + left);
}

static bool is_queued(const struct ptimer *t) { return !list_empty(&t->entry.link); }

static void notify(struct ptimer *t, u64 expirations)
{
    if (t->notify == SIGEV_NONE)
        return;
    if (is_queued(t)) {
        t->overrun += expirations;
        return;
    }
    t->overrun = expirations - 1;
    t->entry.ptimer = t;
    signal_queue_locked(t->process, t->target, &t->info, &t->entry);
}

static void expired(struct timer *timer)
{
    struct ptimer *t = container_of(timer, struct ptimer, timer);
    u64 cpu_time = t->clock.is_cpu ? clock_read(&t->clock) : 0;
    u64 flags = spin_lock_irqsave(&t->process->signal_lock), now = timer_now(t, cpu_time), expirations = 1, hold = 0;

    if (t->value != 0 && now >= t->value) {
        bool was_queued = is_queued(t);

        if (t->interval == 0) {
            t->value = 0;
        } else {
            expirations = (now - t->value) / t->interval + 1;
            t->value += expirations * t->interval;
        }
        notify(t, expirations);
        hold = was_queued || !is_queued(t) ? TIMER_UNHEARD_NS : 0;
    }
    if (!list_empty(&t->link))
        arm(t, now, hold);
    spin_unlock_irqrestore(&t->process->signal_lock, flags);
}

void ptimer_signal_taken(struct ptimer *t, struct siginfo *info)
{
    t->last_overrun = MIN(t->overrun, (u64)OVERRUN_MAX);
    t->overrun = 0;
    info->timer.overrun = (s32)t->last_overrun;
}

/* ---- the calls ---- */

static struct ptimer *find(struct process *p, int id)
{
    struct ptimer *t;

    list_for_each(t, &p->ptimers, link) {
        if (t->id == id)
            return t;
    }
    return NULL;
}

/* The current process's timer ID, with its signal_lock held; NULL without. */
static struct ptimer *lock_timer(int id, u64 *flags)
{
    struct process *p = current_process();
    struct ptimer *t;

    *flags = spin_lock_irqsave(&p->signal_lock);
    t = find(p, id);
    if (t == NULL)
        spin_unlock_irqrestore(&p->signal_lock, *flags);
    return t;
}

/* The limit is that of queued signals: each timer has the entry of one (timer_create(2)). */
static int charge_user(struct ptimer *t)
{
    t->user = user_of(t->process);
    return atomic_add(&t->user->signals, 1) <= t->process->limits.limit[RLIMIT_SIGPENDING].soft ? 0 : -EAGAIN;
}

static void uncharge_user(struct ptimer *t)
{
    atomic_sub(&t->user->signals, 1);
    user_put(t->user);
}

/* Out of all lists and stopped. */
static void destroy(struct ptimer *t)
{
    timer_stop(&t->timer);
    timer_stop(&t->timer); /* its function may have started it again before it saw that the timer has left the list */
    clock_put(&t->clock);
    if (t->target != NULL)
        task_put(t->target);
    uncharge_user(t);
    process_put(t->process);
    kfree(t);
}

/* Nobody gets T's signal, if it is pending. => signal_lock */
static void forget_signal(struct ptimer *t)
{
    struct sigpending *pending = t->target != NULL ? &t->target->pending : &t->process->pending;
    struct sigqueue *q;
    bool others = false;

    if (!is_queued(t))
        return;
    list_remove(&t->entry.link);
    list_for_each(q, &pending->queue, link)
        others |= q->info.signo == t->info.signo;
    if (!others)
        pending->set &= ~SIGNAL_BIT(t->info.signo);
}

/* => signal_lock */
static void unlink_timer(struct ptimer *t)
{
    list_remove(&t->link);
    t->value = 0;
    forget_signal(t);
}

static int check_event(const struct sigevent *e)
{
    int notify_kind = e->notify & ~SIGEV_THREAD_ID;

    if (notify_kind != SIGEV_SIGNAL && notify_kind != SIGEV_NONE && notify_kind != SIGEV_THREAD)
        return -EINVAL;
    if ((e->notify & SIGEV_THREAD_ID) && notify_kind != SIGEV_SIGNAL)
        return -EINVAL;
    if (notify_kind != SIGEV_NONE && (e->signo < 1 || e->signo > SIGNAL_MAX))
        return -EINVAL;
    return 0;
}

static struct task *find_target(const struct sigevent *e)
{
    struct task *t;

    if (!(e->notify & SIGEV_THREAD_ID))
        return NULL;
    t = task_find(e->tid);
    if (t != NULL && t->process == current_process())
        return t;
    if (t != NULL)
        task_put(t);
    return ERR_PTR(-EINVAL);
}

/* Enters T under the next free id: that, or -EAGAIN. */
static int enter(struct ptimer *t)
{
    struct process *p = t->process;
    u64 flags = spin_lock_irqsave(&p->signal_lock);
    int result = -EAGAIN;

    for (int i = 0; i < TIMERS_MAX && result < 0; i++) {
        int id = p->next_ptimer;

        p->next_ptimer = id == INT32_MAX ? 0 : id + 1;
        if (find(p, id) == NULL)
            result = id;
    }
    t->id = result;
    t->info.timer.timer = result;
    if (result >= 0)
        list_add(&p->ptimers, &t->link);
    spin_unlock_irqrestore(&p->signal_lock, flags);
    return result;
}

static bool may_have_timers(const struct clock *c)
{
    return c->id != CLOCK_MONOTONIC_RAW && c->id != CLOCK_REALTIME_COARSE && c->id != CLOCK_MONOTONIC_COARSE;
}

int ptimer_create(int clock_id, const struct sigevent *event)
{
    struct clock clock;
    struct ptimer *t;
    struct task *target = NULL;
    int error = clock_get(clock_id, &clock), id;

    if (error != 0)
        return error;
    error = !may_have_timers(&clock) ? -EOPNOTSUPP : event != NULL ? check_event(event) : 0;
    if (error == 0 && event != NULL)
        target = find_target(event);
    if (IS_ERR(target)) {
        error = (int)PTR_ERR(target);
        target = NULL;
    }
    t = error == 0 ? kzalloc(sizeof(*t)) : NULL;
    if (t == NULL) {
        clock_put(&clock);
        if (target != NULL)
            task_put(target);
        return error != 0 ? error : -EAGAIN;
    }
    timer_init(&t->timer, expired);
    list_init(&t->link);
    list_init(&t->entry.link);
    t->process = current_process();
    process_get(t->process);
    t->clock = clock;
    t->target = target;
    t->notify = event != NULL ? event->notify : SIGEV_SIGNAL;
    t->info.signo = event != NULL ? event->signo : SIGALRM;
    t->info.code = SI_TIMER;
    id = charge_user(t);
    if (id == 0)
        id = enter(t);
    if (id < 0) {
        destroy(t);
        return id;
    }
    t->info.timer.value = event != NULL ? event->value : (u64)id;
    return id;
}

int ptimer_delete(int id)
{
    u64 flags;
    struct ptimer *t = lock_timer(id, &flags);

    if (t == NULL)
        return -EINVAL;
    unlink_timer(t);
    spin_unlock_irqrestore(&current_process()->signal_lock, flags);
    destroy(t);
    return 0;
}

void ptimers_delete_all(struct process *p)
{
    for (;;) {
        u64 flags = spin_lock_irqsave(&p->signal_lock);
        struct ptimer *t = list_empty(&p->ptimers) ? NULL : list_first(&p->ptimers, struct ptimer, link);

        if (t != NULL)
            unlink_timer(t);
        spin_unlock_irqrestore(&p->signal_lock, flags);
        if (t == NULL)
            return;
        destroy(t);
    }
}

/* Time left on its clock at NOW; 1 ns when it is due. => signal_lock */
static u64 time_left(const struct ptimer *t, u64 now)
{
    return t->value == 0 ? 0 : t->value > now ? t->value - now : 1;
}

/* The clock of timer ID now; its reading may need signal_lock itself, so it is taken before. */
static int read_clock_of(int id, u64 *now)
{
    u64 flags;
    struct ptimer *t = lock_timer(id, &flags);
    struct clock c;

    if (t == NULL)
        return -EINVAL;
    c = t->clock;
    if (c.process != NULL)
        process_get(c.process);
    if (c.task != NULL)
        task_get(c.task);
    spin_unlock_irqrestore(&current_process()->signal_lock, flags);
    *now = clock_read(&c);
    clock_put(&c);
    return 0;
}

int ptimer_get(int id, u64 *left, u64 *interval)
{
    u64 now, flags;
    int error = read_clock_of(id, &now);
    struct ptimer *t = error == 0 ? lock_timer(id, &flags) : NULL;

    if (t == NULL)
        return -EINVAL;
    *left = time_left(t, timer_now(t, now));
    *interval = t->interval;
    spin_unlock_irqrestore(&current_process()->signal_lock, flags);
    return 0;
}

int ptimer_set(int id, bool is_absolute, u64 value, u64 interval, u64 *old_left, u64 *old_interval)
{
    u64 now, flags;
    int error = read_clock_of(id, &now);
    struct ptimer *t = error == 0 ? lock_timer(id, &flags) : NULL;

    if (t == NULL)
        return -EINVAL;
    *old_left = time_left(t, timer_now(t, now));
    *old_interval = t->interval;
    t->interval = MIN(interval, INTERVAL_MAX);
    t->overrun = 0;
    forget_signal(t); /* which the setting before had sent */
    if (value == 0) {
        t->value = 0;
    } else {
        t->is_relative = !is_absolute;
        now = timer_now(t, now);
        t->value = is_absolute ? value : now + value < now ? UINT64_MAX : now + value;
        arm(t, now, 0);
    }
    spin_unlock_irqrestore(&current_process()->signal_lock, flags);
    return 0;
}

int ptimer_overrun(int id)
{
    u64 flags;
    struct ptimer *t = lock_timer(id, &flags);
    int overrun;

    if (t == NULL)
        return -EINVAL;
    overrun = (int)t->last_overrun;
    spin_unlock_irqrestore(&current_process()->signal_lock, flags);
    return overrun;
}
