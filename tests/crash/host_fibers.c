/*
 * The host with several threads and a disk that takes its time. Part of ext3host/host.c with HOST_FIBERS.
 *
 * One fiber runs at a time; where the kernel would sleep or may be preempted, another one goes on. Requests wait in a
 * queue; each time that fibers change, some of it may be done, in any order. `disk_record`, if set, learns of all.
 */
#include "tests/crash/fibers.h"

struct hart harts[MAX_HARTS];
unsigned hart_id(void) { return 0; }
void *kmalloc(size_t n) { return malloc(n); }
void *kzalloc(size_t n) { return calloc(1, n); }
void kfree(void *p) { free(p); }
static long locks_held;

#define MAX_THREADS 16

static struct thread threads[MAX_THREADS] = {[0 ... MAX_THREADS - 1] = {.hart = &harts[0], .flags = THREAD_RESCHED}};
struct thread *current = &threads[0];
static u64 idle_yields;

/* ---- the disk ---- */

struct disk_observer {
    void (*submitted)(struct block_request *r);
    void (*completed)(struct block_request *r); /* before its data count */
};
static const struct disk_observer *observer;
static u8 *memory_disk; /* what reading gives */
static u64 memory_disk_size;
static struct list in_flight = LIST_INIT(in_flight);
static bool disk_is_async;

static void perform(struct block_request *r)
{
    u64 at = r->sector * SECTOR_SIZE;

    r->error = host_fail_after == 0 ? -EIO : 0;
    if (host_fail_after != UINT64_MAX && host_fail_after > 0)
        host_fail_after--;
    for (unsigned i = 0; i < r->n_segments && r->error == 0 && r->op != BLOCK_FLUSH; i++) {
        struct block_segment *s = &r->segments[i];

        if (r->op == BLOCK_READ)
            memcpy(s->address, memory_disk + at, s->length);
        else
            memcpy(memory_disk + at, s->address, s->length);
        at += s->length;
    }
    if (observer != NULL)
        observer->completed(r);
    block_complete(r);
}

static void submit(struct block_request *r)
{
    if (observer != NULL)
        observer->submitted(r);
    if (disk_is_async && r->op != BLOCK_READ)
        list_add_tail(&in_flight, &r->link);
    else
        perform(r);
}

/* A request that nobody waits for yet; the N-th of them. */
static bool complete_one(unsigned n)
{
    struct block_request *r;
    unsigned i = 0;

    if (list_empty(&in_flight))
        return false;
    list_for_each(r, &in_flight, link)
        if (i++ == n)
            break;
    if (&r->link == &in_flight)
        r = list_first(&in_flight, struct block_request, link);
    list_remove(&r->link);
    perform(r);
    return true;
}

/* ---- giving way ---- */

static void switch_fiber(void)
{
    int me = fiber_self();

    fiber_yield();
    current = &threads[me];
}

/* Somebody waits: the disk works, the clock goes on, others run. */
static void give_way(void)
{
    unsigned chance = fiber_random() % 8;

    if (chance < 3 || (fiber_alive() == 0 && disk_is_async))
        complete_one(fiber_random() % 6);
    if (chance == 7)
        host_clock += 20 * NSEC_PER_MSEC;
    if (++idle_yields > 3000000)
        panic("nothing moves any more");
    if (fiber_alive() > 0 || fiber_self() != 0)
        switch_fiber();
}

static void maybe_give_way(void)
{
    idle_yields = 0;
    if (disk_is_async && fiber_random() % 4 == 0)
        give_way();
}

void schedule(void) { maybe_give_way(); }
unsigned sched_runnable(void) { return 1 + fiber_random() % 2; }
int schedule_until(u64 deadline)
{
    give_way();
    return host_clock >= deadline ? -ETIMEDOUT : 0;
}
void sched_yield(void) /* libc's leak checker calls it, too */
{
    if (disk_is_async)
        give_way();
}

struct start {
    void (*fn)(void *);
    void *arg;
};

static void run_thread(void *arg)
{
    struct start start = *(struct start *)arg;

    free(arg);
    current = &threads[fiber_self()];
    start.fn(start.arg);
}

struct thread *kernel_thread(const char *name, void (*fn)(void *), void *arg)
{
    struct start *start = malloc(sizeof(*start));

    if (!disk_is_async) {
        free(start);
        return NULL;
    }
    *start = (struct start){fn, arg};
    return &threads[fiber_start(run_thread, start)];
}

/* ---- locks and waits ---- */

void mutex_lock(struct mutex *m)
{
    maybe_give_way();
    while (m->state != 0)
        give_way();
    m->state = 1;
    m->holder = current;
    locks_held++;
}
bool mutex_trylock(struct mutex *m)
{
    if (m->state != 0)
        return false;
    mutex_lock(m);
    return true;
}
void mutex_unlock(struct mutex *m)
{
    m->state = 0;
    m->holder = NULL;
    locks_held--;
    maybe_give_way();
}
void read_lock_contended(struct rwlock *l)
{
    l->state--;
    while (l->state & RWLOCK_WRITER)
        give_way();
    l->state++;
}
void read_unlock_contended(struct rwlock *l) { panic("nobody waits"); }
void write_lock_contended(struct rwlock *l)
{
    while (l->state != 0)
        give_way();
    l->state = RWLOCK_WRITER;
}
bool write_trylock(struct rwlock *l)
{
    if (l->state != 0)
        return false;
    write_lock(l);
    return true;
}
void write_unlock_contended(struct rwlock *l) { panic("nobody waits"); }
void wait_prepare(struct wait_queue *q, struct waiter *w, enum thread_state state) {}
void wait_finish(struct waiter *w) {}
void wake_all(struct wait_queue *q) { idle_yields = 0; }

void memory_stats(struct memory_stats *stats) { memset(stats, 0, sizeof(*stats)); }
