/*
 * The self-test: kernel threads that use every part of sched/ and arch/ against each other on all harts, and say what
 * they found as TAP.
 */
#include "selftest.h"
#include "lib/print.h"
#include "lib/string.h"
#include "sched/timer.h"
#include "sched/wait.h"
#include "vm/kmalloc.h"

#define N_WORKERS 16
#define ROUNDS 2000

static unsigned count, failures;

static void check(bool ok, const char *name)
{
    count++;
    if (!ok)
        failures++;
    kprintf("%sok %u - %s", ok ? "" : "not ", count, name);
}

/* ---- a set of workers that the test waits for ---- */

static struct wait_queue done_queue = WAIT_QUEUE_INIT(done_queue);
static u32 workers_left;

struct worker {
    void (*fn)(unsigned number);
    unsigned number;
};

static void work(void *arg)
{
    struct worker *w = arg;

    w->fn(w->number);
    kfree(w);
    if (atomic_sub(&workers_left, 1) == 0)
        wake_all(&done_queue);
}

static void run_workers(unsigned n, void (*fn)(unsigned number))
{
    workers_left = n;
    for (unsigned i = 0; i < n; i++) {
        struct worker *w = kmalloc(sizeof(*w));

        ASSERT_ALWAYS(w != NULL);
        *w = (struct worker){fn, i};
        ASSERT_ALWAYS(!IS_ERR(kernel_thread("worker", work, w)));
    }
    wait_event(&done_queue, load_acquire(&workers_left) == 0);
}

/* ---- locks ---- */

static struct mutex mutex = MUTEX_INIT(mutex);
static struct rwlock rwlock = RWLOCK_INIT(rwlock);
static u64 guarded, mirror;
static u32 torn_reads;

static void add_under_mutex(unsigned number)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        mutex_lock(&mutex);
        u64 value = guarded;

        if (i % 64 == number)
            schedule(); /* others must find it locked */
        guarded = value + 1;
        mutex_unlock(&mutex);
    }
}

static void read_or_write(unsigned number)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (number % 4 == 0) {
            write_lock(&rwlock);
            guarded++;
            if (i % 32 == 0)
                schedule();
            mirror++;
            if (i % 2 == 0)
                write_downgrade(&rwlock), read_unlock(&rwlock);
            else
                write_unlock(&rwlock);
        } else {
            read_lock(&rwlock);
            if (load_relaxed(&guarded) != load_relaxed(&mirror))
                atomic_add(&torn_reads, 1);
            if (i % 128 == number)
                schedule();
            read_unlock(&rwlock);
        }
    }
}

static void test_locks(void)
{
    guarded = 0;
    run_workers(N_WORKERS, add_under_mutex);
    check(guarded == N_WORKERS * ROUNDS, "a mutex keeps counters exact");
    guarded = 0;
    run_workers(N_WORKERS, read_or_write);
    check(torn_reads == 0 && guarded == N_WORKERS / 4 * ROUNDS && mirror == guarded,
          "a reader-writer lock separates readers from writers");
}

/* ---- wake-ups: pairs that hand a token to and fro ---- */

static struct wait_queue turn_queue[N_WORKERS];
static u32 turn[N_WORKERS];

static void play_ping_pong(unsigned number)
{
    unsigned self = number, other = number ^ 1;

    for (u32 i = 1; i <= ROUNDS; i++) {
        wait_event(&turn_queue[self], load_acquire(&turn[self]) == i);
        store_release(&turn[other], (number & 1) ? i + 1 : i);
        wake_all(&turn_queue[other]);
    }
}

static void test_wakes(void)
{
    for (unsigned i = 0; i < N_WORKERS; i++) {
        wait_queue_init(&turn_queue[i]);
        turn[i] = (i & 1) ? 0 : 1;
    }
    run_workers(N_WORKERS, play_ping_pong);
    check(true, "no wake-up is lost between pairs of threads");
}

/* ---- timers ---- */

static u32 fired, early;

static void sleep_in_steps(unsigned number)
{
    for (unsigned i = 0; i < 20; i++) {
        struct wait_queue nobody = WAIT_QUEUE_INIT(nobody);
        u64 deadline = time_ns() + (number * 7 + i % 5) * 100 * NSEC_PER_USEC;
        int err = wait_event_state(&nobody, false, THREAD_SLEEPING, deadline);

        if (err != -ETIMEDOUT || time_ns() < deadline)
            atomic_add(&early, 1);
    }
}

static void count_firing(struct timer *t)
{
    if (time_ns() < t->deadline)
        atomic_add(&early, 1);
    atomic_add(&fired, 1);
}

static void start_and_stop(unsigned number)
{
    struct timer t;
    unsigned stopped = 0;

    timer_init(&t, count_firing);
    for (unsigned i = 0; i < 200; i++) {
        timer_start(&t, time_ns() + (i % 7) * 10 * NSEC_PER_USEC);
        for (unsigned spin = 0; spin < (i * number) % 500; spin++)
            cpu_relax();
        stopped += timer_stop(&t);
    }
    atomic_add(&fired, stopped);
}

static void test_timers(void)
{
    run_workers(N_WORKERS, sleep_in_steps);
    check(early == 0, "sleeps end by time-out and never early");
    run_workers(N_WORKERS, start_and_stop);
    check(fired == N_WORKERS * 200 && early == 0, "a timer either fires or is stopped");
}

/* ---- harts ---- */

static u32 visits[MAX_HARTS];

static void visit(void *arg)
{
    (void)arg;
    atomic_add(&visits[hart_id()], 1);
}

static void call_all(unsigned number)
{
    (void)number;
    for (unsigned i = 0; i < 100; i++)
        arch_call_harts(BIT(machine.harts) - 1, visit, NULL);
}

static void run_on_each(unsigned number)
{
    for (unsigned i = 0; i < 50; i++) {
        unsigned hart = (number + i) % machine.harts;

        sched_set_affinity(current, BIT(hart));
        if (hart_id() != hart)
            atomic_add(&early, 1);
    }
}

static void test_harts(void)
{
    bool all = true;

    run_workers(N_WORKERS, call_all);
    for (unsigned i = 0; i < machine.harts; i++)
        all = all && visits[i] == N_WORKERS * 100;
    check(all, "every hart answers every call of every other");
    early = 0;
    run_workers(N_WORKERS, run_on_each);
    check(early == 0, "threads run where their affinity says");
}

static u32 hart_seen;

static void spin_long(unsigned number)
{
    u64 end = time_ns() + 30 * NSEC_PER_MSEC;

    (void)number;
    while (time_ns() < end) {
        atomic_or(&hart_seen, 1u << hart_id());
        cond_resched();
    }
}

static void test_spreading(void)
{
    run_workers(2 * machine.harts, spin_long);
    check(hart_seen == BIT(machine.harts) - 1, "idle harts take work");
}

/* ---- memory functions ---- */

static void test_strings(void)
{
    static char a[256], b[256], want[256];
    bool ok = true;

    for (unsigned i = 0; i < sizeof(a); i++)
        a[i] = (char)(i * 7 + 1);
    for (unsigned to = 0; to < 16; to++) {
        for (unsigned from = 0; from < 16; from++) {
            for (unsigned n = 0; n < 100; n += n < 20 ? 1 : 13) {
                for (unsigned i = 0; i < sizeof(b); i++)
                    b[i] = want[i] = a[i];
                for (unsigned i = 0; i < n; i++)
                    want[to + i] = a[from + i];
                memmove(b + to, b + from, n);
                ok = ok && memcmp(b, want, sizeof(b)) == 0;
                for (unsigned i = 0; i < sizeof(b); i++)
                    b[i] = want[i] = 0;
                for (unsigned i = 0; i < n; i++)
                    want[to + i] = a[from + i];
                memcpy(b + to, a + from, n);
                ok = ok && memcmp(b, want, sizeof(b)) == 0;
                memset(b + to, 3, n);
                for (unsigned i = 0; i < n; i++)
                    want[to + i] = 3;
                ok = ok && memcmp(b, want, sizeof(b)) == 0;
            }
        }
    }
    check(ok, "memcpy, memmove and memset for every alignment");
}

/* ---- panics on purpose ---- */

static u64 overflow(u64 depth)
{
    volatile char frame[512];

    frame[depth % sizeof(frame)] = (char)depth;
    return depth == UINT64_MAX ? 0 : overflow(depth + 1) + (u64)frame[0];
}

/* The debug kernel sees that the second half could wait for the first one without end. */
static void take_against_order(void)
{
    static struct mutex one = MUTEX_INIT(one), other = MUTEX_INIT(other), between = MUTEX_INIT(between);
    struct mutex *const order[] = {&one, &between, &between, &other, &other, &one};

    for (unsigned i = 0; i < ARRAY_SIZE(order); i += 2) {
        mutex_lock(order[i]);
        mutex_lock(order[i + 1]);
        mutex_unlock(order[i + 1]);
        mutex_unlock(order[i]);
    }
}

static void fail_on_purpose(const char *what)
{
    static u32 return_instruction = 0x00008067;

    if (strcmp(what, "overflow") == 0)
        kprintf("%lu", overflow(0));
    if (strcmp(what, "order") == 0)
        take_against_order();
    if (strcmp(what, "write-text") == 0)
        *(volatile u32 *)(void *)selftest_run = 0;
    if (strcmp(what, "execute-data") == 0)
        ((void (*)(void))(void *)&return_instruction)();
    panic("asked to by selftest=%s", what);
}

void selftest_run(const char *what)
{
    if (*what != '\0')
        fail_on_purpose(what);
    test_strings();
    test_locks();
    test_wakes();
    test_timers();
    test_harts();
    test_spreading();
    kprintf("1..%u", count);
    arch_poweroff(failures != 0);
}
