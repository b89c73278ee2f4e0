/*
 * The scheduler: a queue of runnable threads per hart, round robin by time slices.
 *
 *                       tail: slice used up                          head: new or woken, slice not used up
 *   schedule ---------------------v                                          v----------- thread_start, thread_wake
 *                              [ thread  thread  thread  thread  thread  thread ] ---> runs
 *
 * A thread that wakes goes before the others, and takes the hart at once, as long as something is left of its slice (a
 * sleep as long as a slice fills it up again): who sleeps much is served quickly, and nobody gets more than a slice per
 * round. A new thread starts with half of what its parent has left. A hart without work takes threads from other harts'
 * queues; one with work takes one from a queue that is longer by two, now and then. The tick (10 ms) runs only while a
 * hart is not idle: it ends slices and samples whether user mode or the kernel runs.
 *
 * A thread may be switched to only when it is off its old stack (!on_cpu). Who leaves a hart is off when the next
 * thread has called sched_finish_switch there; until then a wake-up puts it into that same hart's queue, where it
 * cannot be picked earlier, and thieves pass it by. If it may not run there any more, it is moved when the hart looks
 * for its next thread.
 *
 * Locks: hart->queue.lock (irqsave) guards the queue, current_thread and the state and `hart` of the threads that
 * belong to that hart; a thread's hart changes only while it is in no queue or under the lock. Never two queue locks at
 * once.
 */
#include "sched/internal.h"
#include "lib/errno.h"
#include "lib/kmsg.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/page.h"

#define TICK_NS (10 * NSEC_PER_MSEC)
#define TICKS_PER_BALANCE 8

unsigned hart_id(void) { return current->hart->id; }

/* 10 ms at nice 0; 50 ms at -20, 0.5 ms at 19. */
static s64 full_slice(const struct thread *t)
{
    s64 step = t->nice < 0 ? 2 * (s64)NSEC_PER_MSEC : (s64)NSEC_PER_MSEC / 2;

    return (s64)TICK_NS - t->nice * step;
}

static bool may_run_on(const struct thread *t, const struct hart *hart)
{
    return (load_relaxed(&t->hart_mask) & BIT(hart->id)) != 0;
}
static bool is_free(const struct hart *hart)
{
    return load_relaxed(&hart->is_idle) && load_relaxed(&hart->queue.count) == 0;
}

/* ---- queues; => the queue's lock held ---- */

static void enqueue(struct runqueue *q, struct thread *t)
{
    if (t->slice_left > 0) {
        list_add(&q->threads, &t->run_link);
    } else {
        t->slice_left = full_slice(t);
        list_add_tail(&q->threads, &t->run_link);
    }
    q->count++;
}

static void dequeue(struct runqueue *q, struct thread *t)
{
    list_remove(&t->run_link);
    q->count--;
}

/* Makes HART look at its queue: T is new in it. => its lock held, so current_thread stays */
static void notify(struct hart *hart, bool preempt)
{
    struct thread *running = hart->current_thread;

    if (running == hart->idle) {
        if (hart != this_hart())
            arch_kick(hart->id);
        return;
    }
    if (!preempt || (load_relaxed(&running->flags) & THREAD_RESCHED))
        return;
    atomic_or(&running->flags, THREAD_RESCHED);
    if (hart != this_hart())
        arch_kick(hart->id);
}

/* ---- placing ---- */

/* Its last hart if that is free or nothing better is; else one that is idle. */
static struct hart *choose_hart(const struct thread *t)
{
    struct hart *last = t->hart, *fallback = NULL;

    if (machine.harts == 1 || (may_run_on(t, last) && is_free(last)))
        return last;
    for (unsigned i = 0; i < machine.harts; i++) {
        if (!may_run_on(t, &harts[i]))
            continue;
        if (is_free(&harts[i]))
            return &harts[i];
        fallback = &harts[i];
    }
    return may_run_on(t, last) || fallback == NULL ? last : fallback;
}

/* Puts T, RUNNABLE, off its stack and in no queue, into one; PREEMPT: it may take the hart. => interrupts off */
static void place(struct thread *t, bool preempt)
{
    struct hart *hart = choose_hart(t);

    spin_lock(&hart->queue.lock);
    t->hart = hart;
    enqueue(&hart->queue, t);
    notify(hart, preempt);
    spin_unlock(&hart->queue.lock);
}

/* Locks the queue of T's hart. => interrupts off */
static struct hart *lock_hart_of(struct thread *t)
{
    for (;;) {
        struct hart *hart = load_acquire(&t->hart);

        spin_lock(&hart->queue.lock);
        if (t->hart == hart)
            return hart;
        spin_unlock(&hart->queue.lock);
    }
}

/* Who has slept for a slice or longer has not had more than its share, whatever it used before. */
static void refill_after_sleep(struct thread *t)
{
    if ((s64)(time_ns() - t->slept_at) >= full_slice(t))
        store_relaxed(&t->slice_left, full_slice(t));
}

bool thread_wake(struct thread *t, unsigned state_mask)
{
    u64 flags = irq_save();
    struct hart *hart = lock_hart_of(t);

    if ((BIT(t->state) & state_mask) == 0) {
        spin_unlock_irqrestore(&hart->queue.lock, flags);
        return false;
    }
    t->state = THREAD_RUNNABLE;
    if (unlikely(load_relaxed(&t->slice_left) <= 0))
        refill_after_sleep(t);
    if (hart->current_thread == t) { /* it has not given its hart away yet and will not */
        spin_unlock_irqrestore(&hart->queue.lock, flags);
        return true;
    }
    if (machine.harts == 1 || load_acquire(&t->on_cpu)) {
        bool preempt = load_relaxed(&t->slice_left) > 0;

        enqueue(&hart->queue, t);
        if (unlikely(!may_run_on(t, hart)))
            hart->queue.has_strangers = true;
        notify(hart, preempt);
        spin_unlock_irqrestore(&hart->queue.lock, flags);
        return true;
    }
    spin_unlock(&hart->queue.lock);
    place(t, load_relaxed(&t->slice_left) > 0);
    irq_restore(flags);
    return true;
}

void thread_start(struct thread *t)
{
    u64 flags = irq_save();

    t->state = THREAD_RUNNABLE;
    t->slice_left = current->slice_left / 2; /* what an interactive program starts answers quickly, too */
    place(t, false);                         /* but the parent goes on */
    irq_restore(flags);
}

void thread_kick(struct thread *t)
{
    struct hart *hart = load_relaxed(&t->hart);

    if (load_relaxed(&hart->current_thread) == t && t != current)
        arch_kick(hart->id);
}

/* To have come out of wfi or user mode is what most kicks are for. */
void sched_ipi(void) { timer_follow_wall_clock(this_hart()); }

/* ---- accounting ---- */

/* Charges the time since the last call to the running thread. => interrupts off */
static void account(struct hart *hart, struct thread *t, u64 now)
{
    u64 ran = now - hart->run_start;

    hart->run_start = now;
    if (t == hart->idle) {
        store_relaxed(&hart->idle_ns, hart->idle_ns + ran);
        return;
    }
    store_relaxed(&t->slice_left, load_relaxed(&t->slice_left) - (s64)ran);
    if (load_relaxed(&t->sampled_in_user)) {
        t->user_ns += ran;
        store_relaxed(&hart->user_ns, hart->user_ns + ran);
    } else {
        t->system_ns += ran;
    }
}

void sched_interrupted_user(bool user)
{
    struct hart *hart = this_hart();

    store_relaxed(&current->sampled_in_user, user);
    account(hart, current, time_ns());
}

void sched_account(struct thread *t, u64 *user_ns, u64 *system_ns)
{
    struct hart *hart = load_relaxed(&t->hart);
    u64 now = time_ns(), since = load_relaxed(&hart->run_start), running = 0;
    bool in_user = load_relaxed(&t->sampled_in_user);

    if (load_relaxed(&hart->current_thread) == t && now > since)
        running = now - since;
    *user_ns = load_relaxed(&t->user_ns) + (in_user ? running : 0);
    *system_ns = load_relaxed(&t->system_ns) + (in_user ? 0 : running);
}

u64 sched_idle_ns(const struct hart *hart)
{
    u64 now = time_ns(), since = load_relaxed(&hart->run_start), idle = load_relaxed(&hart->idle_ns);

    if (load_relaxed(&hart->current_thread) == hart->idle && now > since)
        idle += now - since;
    return idle;
}

/* Moves a thread from VICTIM's queue into SELF's. => interrupts off */
static bool pull(struct hart *victim, struct hart *self)
{
    struct thread *t, *found = NULL;

    if (!spin_trylock(&victim->queue.lock))
        return false;
    list_for_each(t, &victim->queue.threads, run_link) {
        if (!load_acquire(&t->on_cpu) && may_run_on(t, self)) {
            found = t;
            break;
        }
    }
    if (found != NULL) {
        dequeue(&victim->queue, found);
        found->hart = self;
    }
    spin_unlock(&victim->queue.lock);
    if (found == NULL)
        return false;
    spin_lock(&self->queue.lock);
    enqueue(&self->queue, found);
    spin_unlock(&self->queue.lock);
    return true;
}

/* Busy harts do not steal, so a queue could stay long beside short ones. => interrupts off */
static void balance(struct hart *self)
{
    struct hart *busiest = self;

    for (unsigned i = 0; i < machine.harts; i++)
        if (load_relaxed(&harts[i].queue.count) > load_relaxed(&busiest->queue.count))
            busiest = &harts[i];
    if (load_relaxed(&busiest->queue.count) >= load_relaxed(&self->queue.count) + 2)
        (void)pull(busiest, self);
}

u64 sched_tick(struct hart *hart, u64 now)
{
    struct thread *t = current;

    load_update(now);
    kmsg_wake_readers();
    if (t == hart->idle)
        return UINT64_MAX;
    if (++hart->ticks % TICKS_PER_BALANCE == 0)
        balance(hart);
    if (t->slice_left <= 0) {
        if (load_relaxed(&hart->queue.count) > 0)
            atomic_or(&t->flags, THREAD_RESCHED);
        else
            t->slice_left = full_slice(t);
    }
    return now + TICK_NS;
}

/* ---- switching ---- */

/* Those in the queue that may not run here go elsewhere. => queue lock held; it is given up meanwhile */
static noinline_fn void expel_strangers(struct hart *hart)
{
    struct runqueue *q = &hart->queue;
    struct thread *t;

    q->has_strangers = false;
    for (;;) {
        struct thread *stranger = NULL;

        list_for_each(t, &q->threads, run_link) {
            if (!may_run_on(t, hart))
                stranger = t;
        }
        if (stranger == NULL)
            return;
        ASSERT(!stranger->on_cpu);
        dequeue(q, stranger);
        spin_unlock(&q->lock);
        place(stranger, false);
        spin_lock(&q->lock);
    }
}

/* Takes PREV's place in the queue, or none, and says who runs next. => queue lock held */
static struct thread *pick_next(struct hart *hart, struct thread *prev)
{
    struct runqueue *q = &hart->queue;
    bool goes_on = prev->state == THREAD_RUNNABLE && prev != hart->idle;
    struct thread *next = hart->idle;

    if (goes_on && unlikely(!may_run_on(prev, hart))) {
        hart->emigrant = prev;
        goes_on = false;
    }
    if (list_empty(&q->threads))
        return goes_on ? prev : next;
    next = list_first(&q->threads, struct thread, run_link);
    dequeue(q, next);
    if (goes_on)
        enqueue(q, prev);
    return next;
}

static void switch_to(struct hart *hart, struct thread *prev, struct thread *next)
{
    ASSERT(!next->on_cpu);
    next->on_cpu = true;
    memory_barrier(); /* current_thread before NEXT's look at its flags: thread_kick goes the other way round */
    hart->switches++;
    if (next->space != NULL && next->space != hart->space)
        space_switch(hart, next->space);
    if (next != hart->idle && unlikely(!timer_tick_is_set(hart)))
        timer_set_tick(hart, hart->run_start + TICK_NS);
    sched_finish_switch(arch_switch(prev, next));
}

void schedule(void)
{
    u64 flags = irq_save();
    struct thread *prev = current, *next;
    struct hart *hart = prev->hart;

    ASSERT(prev->spinlocks_held == 0 && (hart->readings & 1) == 0);
    account(hart, prev, time_ns());
    spin_lock(&hart->queue.lock);
    if (load_relaxed(&prev->flags) & THREAD_RESCHED)
        atomic_and(&prev->flags, ~(u32)THREAD_RESCHED);
    if (prev->state == THREAD_RUNNABLE) {
        prev->switches_forced++;
    } else {
        prev->switches_voluntary++;
        prev->slept_at = hart->run_start;
    }
    if (unlikely(hart->queue.has_strangers))
        expel_strangers(hart);
    next = pick_next(hart, prev);
    hart->current_thread = next;
    spin_unlock(&hart->queue.lock);
    if (next != prev)
        switch_to(hart, prev, next);
    irq_restore(flags);
}

void sched_finish_switch(struct thread *prev)
{
    struct hart *hart = this_hart();
    bool is_dead = load_relaxed(&prev->state) == THREAD_DEAD && (prev->flags & THREAD_USER) == 0;

    if (unlikely(hart->emigrant == prev)) {
        hart->emigrant = NULL;
        store_release(&prev->on_cpu, false);
        place(prev, false);
        return;
    }
    store_release(&prev->on_cpu, false); /* from here on PREV may run elsewhere, or be freed */
    if (is_dead) {
        thread_release(prev);
        kfree(prev);
    }
}

void sched_yield(void)
{
    store_relaxed(&current->slice_left, 0);
    schedule();
}

void thread_exit(void)
{
    irq_disable();
    current->state = THREAD_DEAD;
    schedule();
    panic("a dead thread goes on");
}

int sched_set_affinity(struct thread *t, u64 mask)
{
    u64 flags;
    struct hart *hart;
    bool move;

    if ((mask & (BIT(machine.harts) - 1)) == 0)
        return -EINVAL;
    flags = irq_save();
    hart = lock_hart_of(t);
    store_relaxed(&t->hart_mask, mask);
    if (hart->current_thread == t && !may_run_on(t, hart))
        notify(hart, true);
    move = !list_empty(&t->run_link) && !may_run_on(t, hart);
    if (move && load_acquire(&t->on_cpu)) {
        hart->queue.has_strangers = true;
        move = false;
    }
    if (move)
        dequeue(&hart->queue, t);
    spin_unlock(&hart->queue.lock);
    if (move)
        place(t, false);
    irq_restore(flags);
    if (t == current)
        cond_resched();
    return 0;
}

/* ---- idle ---- */

/* => interrupts off */
static bool steal(struct hart *self)
{
    for (unsigned i = 1; i < machine.harts; i++) {
        struct hart *victim = &harts[(self->id + i) % machine.harts];

        if (load_relaxed(&victim->queue.count) > 0 && pull(victim, self))
            return true;
    }
    return false;
}

void sched_idle(void)
{
    struct hart *hart = this_hart();

    for (;;) {
        irq_disable();
        if (load_relaxed(&hart->queue.count) > 0 || steal(hart)) {
            schedule();
        } else if (!page_zero_one()) {
            kmsg_wake_readers();
            store_relaxed(&hart->is_idle, true);
            memory_barrier(); /* a waker that sees us busy has left its thread in the queue before this look */
            if (load_relaxed(&hart->queue.count) == 0)
                arch_wait_for_interrupt();
            store_relaxed(&hart->is_idle, false);
        }
        irq_enable();
    }
}

void sched_init_hart(void) { this_hart()->run_start = time_ns(); }

void sched_init(void)
{
    for (unsigned i = 0; i < machine.harts; i++) {
        struct hart *hart = &harts[i];
        char name[16];

        list_init(&hart->queue.threads);
        timer_init_hart(hart);
        if (i == 0)
            continue;
        hart->idle = kmalloc(sizeof(*hart->idle));
        snprintf(name, sizeof(name), "idle/%u", i);
        if (hart->idle == NULL || thread_init(hart->idle, name) != 0)
            panic("no memory for hart %u", i);
        hart->idle->hart = hart;
        hart->idle->state = THREAD_RUNNABLE;
        hart->idle->on_cpu = true;
        hart->current_thread = hart->idle;
    }
    sched_init_hart();
}
