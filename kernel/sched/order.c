/*
 * The order of locks (order.h): a graph of classes. An edge from A to B: B was taken while A was held. An edge that
 * would close a circle is the end of the machine, with all edges of the circle and where each was first seen.
 *
 * Lock: graph_busy, a bare word, for whoever adds a class or an edge; looking needs none.
 */
#include "sched/order.h"
#include "arch/riscv/layout.h"
#include "sched/sched.h"

#ifdef DEBUG

#define CLASSES 160 /* 0: no class */

static struct {
    const char *name;
    const void *lock;                   /* of a static one */
    u64 after[(CLASSES + 63) / 64];     /* bits of classes that were taken while it was held */
    void *place[CLASSES];               /* where an edge was seen first */
    void *in_interrupt, *interruptible; /* where it was first taken so; NULL: never */
} graph[CLASSES];

static unsigned n_classes = 1;
static u32 graph_busy;
static bool is_over; /* a report is being made: it takes locks, too */

static u64 graph_lock(void)
{
    u64 flags = irq_save();

    while (__atomic_exchange_n(&graph_busy, 1, __ATOMIC_ACQUIRE) != 0)
        cpu_relax();
    return flags;
}

static void graph_unlock(u64 flags)
{
    store_release(&graph_busy, 0);
    irq_restore(flags);
}

/* ---- classes ---- */

/* => graph_busy */
static unsigned new_class(const char *name, const void *lock)
{
    unsigned n = n_classes;

    if (n == CLASSES)
        return 0;
    graph[n].name = name;
    graph[n].lock = lock;
    store_release(&n_classes, n + 1);
    return n;
}

unsigned order_number(struct order_class *class)
{
    u64 flags;

    if (likely(load_relaxed(&class->number) != 0))
        return class->number;
    flags = graph_lock();
    if (class->number == 0)
        class->number = new_class(class->name, NULL);
    graph_unlock(flags);
    return class->number;
}

static unsigned find_static(const void *lock)
{
    for (unsigned i = 1; i < load_acquire(&n_classes); i++)
        if (graph[i].lock == lock)
            return i;
    return 0;
}

unsigned order_of_static(const void *lock)
{
    unsigned found;
    u64 flags;

    if ((u64)lock < KERNEL_IMAGE)
        return 0;
    found = find_static(lock);
    if (found != 0)
        return found;
    flags = graph_lock();
    found = find_static(lock);
    if (found == 0)
        found = new_class("static", lock);
    graph_unlock(flags);
    return found;
}

/* ---- edges ---- */

static bool has_edge(unsigned from, unsigned to) { return load_relaxed(&graph[from].after[to / 64]) & BIT(to % 64); }

/* Fills CAME_FROM with a way from FROM to TO, read from its end. False: there is none. => graph_busy */
static bool find_way(unsigned from, unsigned to, u8 came_from[CLASSES])
{
    u8 queue[CLASSES];
    unsigned first = 0, last = 0;

    for (unsigned i = 0; i < CLASSES; i++)
        came_from[i] = 0;
    queue[last++] = (u8)from;
    while (first < last) {
        unsigned at = queue[first++];

        for (unsigned next = 1; next < n_classes; next++) {
            if (!has_edge(at, next) || came_from[next] != 0 || next == from)
                continue;
            came_from[next] = (u8)at;
            if (next == to)
                return true;
            queue[last++] = (u8)next;
        }
    }
    return false;
}
static_assert(CLASSES <= 256, "numbers of classes in bytes");

static void print_edge(unsigned from, unsigned to, void *place)
{
    kprintf("  %s %p, then %s %p: at %p", graph[from].name, graph[from].lock, graph[to].name, graph[to].lock, place);
}

/* => graph_busy, which is given up */
noreturn_fn static void report_circle(unsigned held, unsigned wanted, const u8 came_from[CLASSES], void *place)
{
    store_relaxed(&is_over, true);
    store_release(&graph_busy, 0);
    kprintf("order of locks:");
    for (unsigned at = held; at != wanted; at = came_from[at])
        print_edge(came_from[at], at, graph[came_from[at]].place[at]);
    print_edge(held, wanted, place);
    panic("%s is taken while %s is held, against the order of locks", graph[wanted].name, graph[held].name);
}

static void add_edge(unsigned held, unsigned wanted, void *place)
{
    u8 came_from[CLASSES];
    u64 flags = graph_lock();

    if (find_way(wanted, held, came_from))
        report_circle(held, wanted, came_from, place);
    graph[held].place[wanted] = place;
    store_relaxed(&graph[held].after[wanted / 64], graph[held].after[wanted / 64] | BIT(wanted % 64));
    graph_unlock(flags);
}

/* ---- what threads hold ---- */

static void take(const void *lock, unsigned class, void *place)
{
    struct thread *t = current;
    u64 flags;

    if (class == 0 || load_relaxed(&is_over))
        return;
    for (unsigned i = 0; i < t->n_held; i++)
        if (t->held[i].class != class && !has_edge(t->held[i].class, class))
            add_edge(t->held[i].class, class, place);
    flags = irq_save();
    if (t->n_held < ORDER_HELD_MAX)
        t->held[t->n_held++] = (struct order_held){lock, class};
    irq_restore(flags);
}

void order_take(const void *lock, unsigned class, void *place)
{
    ASSERT(load_relaxed(&is_over) || (current->spinlocks_held == 0 && !this_hart()->in_interrupt));
    take(lock, class != 0 ? class : order_of_static(lock), place != NULL ? place : __builtin_return_address(0));
}

void order_take_spin(const void *lock, unsigned class, void *place)
{
    if (class != 0 && !load_relaxed(&is_over)) {
        if (this_hart()->in_interrupt)
            graph[class].in_interrupt = place;
        else if (irqs_enabled())
            graph[class].interruptible = place;
        if (graph[class].in_interrupt != NULL && graph[class].interruptible != NULL) {
            store_relaxed(&is_over, true);
            panic("%s %p is taken in interrupts (%p), and with interrupts on (%p)", graph[class].name, lock,
                  graph[class].in_interrupt, graph[class].interruptible);
        }
    }
    take(lock, class, place);
}

void order_drop(const void *lock)
{
    struct thread *t = current;
    u64 flags = irq_save();

    for (unsigned i = t->n_held; i-- > 0;) {
        if (t->held[i].lock != lock)
            continue;
        t->n_held--;
        for (; i < t->n_held; i++)
            t->held[i] = t->held[i + 1];
        break;
    }
    irq_restore(flags);
}

#endif
