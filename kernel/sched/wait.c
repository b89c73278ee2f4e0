/* Wait queues. A waiter is in its queue from wait_prepare to wait_finish; being woken does not take it out. */
#include "sched/wait.h"
#include "sched/timer.h"

/* => q->lock held. Those who wait for a turn of their own go behind those who only watch. */
static void enqueue(struct wait_queue *q, struct waiter *w)
{
    w->queue = q;
    if (w->exclusive)
        list_add_tail(&q->waiters, &w->link);
    else
        list_add(&q->waiters, &w->link);
}

void wait_prepare(struct wait_queue *q, struct waiter *w, enum thread_state state)
{
    u64 flags = spin_lock_irqsave(&q->lock);

    if (w->queue == NULL)
        enqueue(q, w);
    store_relaxed(&current->state, state);
    spin_unlock_irqrestore(&q->lock, flags);
    memory_barrier(); /* the state before the condition: the waker writes in the other order */
}

void wait_add(struct wait_queue *q, struct waiter *w)
{
    u64 flags = spin_lock_irqsave(&q->lock);

    if (w->queue == NULL)
        enqueue(q, w);
    spin_unlock_irqrestore(&q->lock, flags);
    memory_barrier();
}

void wait_finish(struct waiter *w)
{
    struct wait_queue *q = w->queue;
    u64 flags;

    if (w->thread == current)
        store_relaxed(&current->state, THREAD_RUNNABLE);
    if (q == NULL)
        return;
    flags = spin_lock_irqsave(&q->lock);
    list_remove(&w->link);
    w->queue = NULL;
    spin_unlock_irqrestore(&q->lock, flags);
}

/* True if the waiter took notice. => queue lock held */
static bool notify(struct waiter *w)
{
    if (w->wake != NULL) {
        w->wake(w);
        return true;
    }
    return thread_wake(w->thread, WAKE_ANY);
}

static void wake(struct wait_queue *q, bool all)
{
    struct waiter *w, *next;
    u64 flags;

    memory_barrier(); /* the condition before the look at the list */
    if (wait_queue_is_idle(q))
        return;
    flags = spin_lock_irqsave(&q->lock);
    list_for_each_safe(w, next, &q->waiters, link) {
        if (notify(w) && w->exclusive && !all)
            break;
    }
    spin_unlock_irqrestore(&q->lock, flags);
}

void wake_all(struct wait_queue *q) { wake(q, true); }
void wake_one(struct wait_queue *q) { wake(q, false); }

struct sleep_timer {
    struct timer timer;
    struct thread *thread;
};

static void sleep_is_over(struct timer *t)
{
    thread_wake(container_of(t, struct sleep_timer, timer)->thread, WAKE_ANY);
}

int schedule_until(u64 deadline)
{
    struct sleep_timer sleep = {.thread = current};

    if (deadline == NO_DEADLINE) {
        schedule();
        return 0;
    }
    if (time_ns() >= deadline) {
        store_relaxed(&current->state, THREAD_RUNNABLE);
        return -ETIMEDOUT;
    }
    timer_init(&sleep.timer, sleep_is_over);
    timer_start(&sleep.timer, deadline);
    schedule();
    return timer_stop(&sleep.timer) ? 0 : -ETIMEDOUT;
}

int schedule_until_wall(u64 wall)
{
    struct sleep_timer sleep = {.thread = current};

    timer_init(&sleep.timer, sleep_is_over);
    timer_start_wall(&sleep.timer, wall); /* even if it is due: the hart's interrupt comes at once */
    schedule();
    return timer_stop(&sleep.timer) ? 0 : -ETIMEDOUT;
}
