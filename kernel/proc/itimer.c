/*
 * Interval timers (setitimer(2), alarm(2)) and the limit on CPU time (RLIMIT_CPU).
 *
 * ITIMER_REAL is a timer of the kernel. VIRTUAL and PROF run on the CPU time of the process, which no hardware counts
 * down: a kernel timer looks when they could be due at the earliest (all harts busy for the process) and again until
 * they are.
 *
 * Lock: signal_lock. The timer's function takes it, so timers are stopped without it.
 */
#include "proc/internal.h"
#include "proc/itimer.h"

#define LOOK_MIN_NS (4 * NSEC_PER_MSEC)
#define LOOK_MAX_NS (3600 * NSEC_PER_SEC)

static const int signals[] = {[ITIMER_REAL] = SIGALRM, [ITIMER_VIRTUAL] = SIGVTALRM, [ITIMER_PROF] = SIGPROF};

/* The clock of timer WHICH. => signal_lock not held */
static u64 clock_now(struct process *p, int which)
{
    return which == ITIMER_REAL ? time_ns() : process_cpu_ns(p, true, which == ITIMER_PROF);
}

/* When to look: LEFT ns of the timer's clock are left, which may be nearly all that 64 bits hold. */
u64 cpu_timer_next_look(u64 left) { return time_ns() + MIN(MAX(left / machine.harts, LOOK_MIN_NS), LOOK_MAX_NS); }

/* Not before NOT_BEFORE, though it be due earlier. => signal_lock */
static void arm(struct itimer *i, u64 now, u64 not_before)
{
    if (i->value == 0)
        return;
    if (i->which == ITIMER_REAL)
        timer_start(&i->timer, MAX(i->value, not_before));
    else
        timer_start(&i->timer, cpu_timer_next_look(i->value > now ? i->value - now : 0));
}

static void expired(struct timer *timer)
{
    struct itimer *i = container_of(timer, struct itimer, timer);
    struct process *p = i->process;
    u64 now = clock_now(p, i->which), flags = spin_lock_irqsave(&p->signal_lock), not_before = 0;
    struct siginfo info = {.signo = signals[i->which], .code = SI_KERNEL};

    if (i->value != 0 && now >= i->value) {
        bool was_pending = p->pending.set & SIGNAL_BIT(info.signo);

        signal_queue_locked(p, NULL, &info, NULL);
        if (was_pending || !(p->pending.set & SIGNAL_BIT(info.signo)))
            not_before = time_ns() + TIMER_UNHEARD_NS;
        if (i->interval == 0)
            i->value = 0;
        else
            i->value += DIV_ROUND_UP(now - i->value + 1, i->interval) * i->interval;
    }
    arm(i, now, not_before);
    spin_unlock_irqrestore(&p->signal_lock, flags);
}

void itimer_get(struct process *p, int which, u64 *left, u64 *interval)
{
    struct itimer *i = &p->itimers[which];
    u64 now = clock_now(p, which), flags = spin_lock_irqsave(&p->signal_lock);

    *interval = i->interval;
    *left = i->value == 0 ? 0 : i->value > now ? i->value - now : NSEC_PER_USEC; /* due, but not yet sent */
    spin_unlock_irqrestore(&p->signal_lock, flags);
}

void itimer_set(struct process *p, int which, u64 value, u64 interval)
{
    struct itimer *i = &p->itimers[which];
    u64 now, flags;

    timer_stop(&i->timer);
    now = clock_now(p, which);
    flags = spin_lock_irqsave(&p->signal_lock);
    i->interval = value == 0 && which == ITIMER_REAL ? 0 : MIN(interval, INTERVAL_MAX);
    i->value = value == 0 ? 0 : now + value < now ? UINT64_MAX - 1 : now + value;
    arm(i, now, 0);
    spin_unlock_irqrestore(&p->signal_lock, flags);
}

/* ---- RLIMIT_CPU: SIGXCPU at the soft limit and every second from there, SIGKILL at the hard one ---- */

static void cpu_limit_look(struct timer *timer)
{
    struct process *p = container_of(timer, struct process, cpu_limit_timer);
    u64 used = process_cpu_ns(p, true, true), seconds = used / NSEC_PER_SEC;
    u64 flags = spin_lock_irqsave(&p->signal_lock);
    struct rlimit limit = p->limits.limit[RLIMIT_CPU];
    struct siginfo info = {.code = SI_KERNEL};

    if (seconds >= limit.hard) {
        info.signo = SIGKILL;
    } else if (seconds >= limit.soft && seconds > p->cpu_limit_warned) {
        info.signo = SIGXCPU;
        p->cpu_limit_warned = seconds;
    }
    if (info.signo != 0)
        signal_queue_locked(p, NULL, &info, NULL);
    if (limit.soft != RLIM_INFINITY && info.signo != SIGKILL)
        timer_start(timer, cpu_timer_next_look(NSEC_PER_SEC - used % NSEC_PER_SEC));
    spin_unlock_irqrestore(&p->signal_lock, flags);
}

void cpu_limit_start(struct process *p)
{
    u64 flags;

    timer_stop(&p->cpu_limit_timer);
    flags = spin_lock_irqsave(&p->signal_lock);
    p->cpu_limit_warned = 0;
    /* A zombie has stopped its timers, and nobody would stop this one before it is freed. */
    if (p->limits.limit[RLIMIT_CPU].soft != RLIM_INFINITY && p->n_live > 0)
        timer_start(&p->cpu_limit_timer, cpu_timer_next_look(0));
    spin_unlock_irqrestore(&p->signal_lock, flags);
}

/* ---- */

void itimers_init(struct process *p)
{
    for (int which = 0; which < 3; which++) {
        struct itimer *i = &p->itimers[which];

        i->process = p;
        i->which = which;
        timer_init(&i->timer, expired);
    }
    timer_init(&p->cpu_limit_timer, cpu_limit_look);
}

/* Stopped, and its function has returned: it may have been started again by its own function, which still ran. */
static void stop_for_good(struct timer *t)
{
    bool was_ever_started = t->deadline != 0;

    if (was_ever_started && timer_stop(t))
        timer_stop(t);
}

void itimers_stop(struct process *p)
{
    u64 flags = spin_lock_irqsave(&p->signal_lock);

    for (int which = 0; which < 3; which++)
        p->itimers[which].value = 0;
    p->limits.limit[RLIMIT_CPU].soft = RLIM_INFINITY;
    spin_unlock_irqrestore(&p->signal_lock, flags);
    for (int which = 0; which < 3; which++)
        stop_for_good(&p->itimers[which].timer);
    stop_for_good(&p->cpu_limit_timer);
}
