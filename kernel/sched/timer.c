/*
 * One-shot timers: two trees per hart, one for each clock, ordered by deadline, and the hart's hardware timer set to
 * the earliest of their first timers and the scheduler's next tick. Setting the wall clock changes no tree: it only
 * moves the moment at which the first timer of the second is due.
 *
 * Lock: timer_queue.lock (irqsave) guards the trees, timer->hart of the timers in them, and `running`. Functions run
 * without it.
 */
#include "sched/timer.h"
#include "sched/internal.h"

struct timer_base {
    struct tree tree;
    struct tree_node *first; /* leftmost */
};

struct timer_queue {
    struct spinlock lock;
    struct timer_base monotonic, wall;
    struct timer *running; /* its function runs now */
    u64 tick;              /* when the scheduler wants sched_tick; UINT64_MAX = not */
    bool wall_was_set;     /* the hart shall set its hardware timer anew */
};

static struct timer_queue queues[MAX_HARTS];

static struct timer *to_timer(struct tree_node *n) { return n == NULL ? NULL : container_of(n, struct timer, node); }

static struct timer_base *base_of(struct timer_queue *q, const struct timer *t)
{
    return t->on_wall_clock ? &q->wall : &q->monotonic;
}

/* When the wall clock will show WALL, on the monotonic one. */
static u64 monotonic_time(u64 wall)
{
    u64 offset = time_realtime_offset();

    return wall > offset ? wall - offset : 0;
}

/* => q locked, on its own hart */
static void program_hardware(struct hart *hart, struct timer_queue *q)
{
    u64 deadline = q->tick;

    if (q->monotonic.first != NULL)
        deadline = MIN(deadline, to_timer(q->monotonic.first)->deadline);
    if (q->wall.first != NULL)
        deadline = MIN(deadline, monotonic_time(to_timer(q->wall.first)->deadline));
    if (deadline == hart->timer_deadline)
        return;
    hart->timer_deadline = deadline;
    arch_set_timer(deadline);
}

/* => q locked */
static void enqueue(struct timer_queue *q, struct timer *t)
{
    struct timer_base *base = base_of(q, t);
    struct tree_node *parent = NULL, **link = &base->tree.root;
    bool is_first = true;

    while (*link != NULL) {
        parent = *link;
        if (t->deadline < to_timer(parent)->deadline) {
            link = &parent->left;
        } else {
            link = &parent->right;
            is_first = false;
        }
    }
    tree_insert(&base->tree, &t->node, parent, link);
    if (is_first)
        base->first = &t->node;
}

/* => q locked, t in it */
static void dequeue(struct timer_queue *q, struct timer *t)
{
    struct timer_base *base = base_of(q, t);

    if (base->first == &t->node)
        base->first = tree_next(&t->node);
    tree_remove(&base->tree, &t->node);
    t->hart = NULL;
}

void timer_init(struct timer *t, void (*fn)(struct timer *))
{
    t->hart = NULL;
    t->fn = fn;
}

/* Locks the queue that T is in; NULL when it is in none. */
static struct timer_queue *lock_queue_of(struct timer *t)
{
    for (;;) {
        struct hart *hart = load_acquire(&t->hart);

        if (hart == NULL)
            return NULL;
        spin_lock(&hart->timers->lock);
        if (t->hart == hart)
            return hart->timers;
        spin_unlock(&hart->timers->lock);
    }
}

/* Takes T out if it is in a queue. => interrupts off */
static bool cancel(struct timer *t)
{
    struct timer_queue *q = lock_queue_of(t);

    if (q == NULL)
        return false;
    dequeue(q, t);
    spin_unlock(&q->lock);
    return true;
}

static void start(struct timer *t, u64 deadline_ns, bool on_wall_clock)
{
    u64 flags = irq_save();
    struct hart *hart = this_hart();
    struct timer_queue *q = hart->timers;

    cancel(t);
    spin_lock(&q->lock);
    t->deadline = deadline_ns;
    t->on_wall_clock = on_wall_clock;
    enqueue(q, t);
    store_release(&t->hart, hart);
    if (base_of(q, t)->first == &t->node)
        program_hardware(hart, q);
    spin_unlock(&q->lock);
    irq_restore(flags);
}

void timer_start(struct timer *t, u64 deadline_ns) { start(t, deadline_ns, false); }
void timer_start_wall(struct timer *t, u64 wall_ns) { start(t, wall_ns, true); }

void timers_wall_clock_was_set(void)
{
    for (unsigned i = 0; i < machine.harts; i++) {
        store_release(&queues[i].wall_was_set, true);
        arch_kick(i);
    }
}

void timer_follow_wall_clock(struct hart *hart)
{
    struct timer_queue *q = hart->timers;

    if (!load_acquire(&q->wall_was_set))
        return;
    store_relaxed(&q->wall_was_set, false);
    memory_barrier(); /* before it reads the clock's offset: who sets the clock now will set the mark once more */
    spin_lock(&q->lock);
    program_hardware(hart, q);
    spin_unlock(&q->lock);
}

/* Whether another hart is in T's function just now. */
static bool runs_elsewhere(const struct timer *t)
{
    for (unsigned i = 0; i < machine.harts; i++)
        if (load_acquire(&queues[i].running) == t && i != hart_id())
            return true;
    return false;
}

bool timer_stop(struct timer *t)
{
    u64 flags = irq_save();
    bool stopped = cancel(t);

    irq_restore(flags);
    while (runs_elsewhere(t)) /* even if stopped: a function may have started its own timer again */
        cpu_relax();
    return stopped;
}

/* => interrupts off, on the hart itself; NOW: on BASE's clock */
static void run_expired(struct timer_queue *q, struct timer_base *base, u64 now)
{
    struct timer *t;

    spin_lock(&q->lock);
    while ((t = to_timer(base->first)) != NULL && t->deadline <= now) {
        void (*fn)(struct timer *) = t->fn;

        q->running = t; /* before T leaves the queue: timer_stop sees one or the other */
        dequeue(q, t);
        spin_unlock(&q->lock);
        fn(t);
        spin_lock(&q->lock);
        store_release(&q->running, NULL);
    }
    spin_unlock(&q->lock);
}

void timer_set_tick(struct hart *hart, u64 at)
{
    struct timer_queue *q = hart->timers;

    spin_lock(&q->lock);
    q->tick = at;
    program_hardware(hart, q);
    spin_unlock(&q->lock);
}

bool timer_tick_is_set(const struct hart *hart) { return hart->timers->tick != UINT64_MAX; }

void sched_timer_interrupt(void)
{
    struct hart *hart = this_hart();
    struct timer_queue *q = hart->timers;
    u64 now = time_ns(), next_tick = q->tick;

    hart->timer_deadline = UINT64_MAX; /* arch/ has switched it off */
    run_expired(q, &q->monotonic, now);
    if (q->wall.first != NULL)
        run_expired(q, &q->wall, now + time_realtime_offset());
    if (next_tick <= now)
        next_tick = sched_tick(hart, now);
    timer_set_tick(hart, next_tick);
}

void timer_init_hart(struct hart *hart)
{
    hart->timers = &queues[hart->id];
    hart->timers->tick = UINT64_MAX;
    hart->timer_deadline = UINT64_MAX;
}
