/*
 * Where threads run: sched_setaffinity(2) holds from the next instruction of a thread that sleeps or is about to, busy
 * harts share work, what sched_setattr(2) makes of structures that are longer or shorter than its own, and the
 * priorities of disk requests that ioprio_set(2) takes.
 */
#include "tap.h"

#include <linux/futex.h>
#include <linux/ioprio.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- a thread that wakes runs where it may ---- */

#define MOVES 3000

static volatile int told, done, where, wrong;
static pid_t sleeper;

static long futex(volatile int *word, int operation, int value)
{
    return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

static void wait_until(volatile int *word, int value)
{
    for (int seen; (seen = *word) < value;)
        futex(word, FUTEX_WAIT_PRIVATE, seen);
}

static void set_to(volatile int *word, int value)
{
    *word = value;
    futex(word, FUTEX_WAKE_PRIVATE, 1);
}

static void *sleep_and_look(void *unused)
{
    sleeper = (pid_t)syscall(SYS_gettid);
    set_to(&done, 1);
    for (int i = 1; i <= MOVES; i++) {
        wait_until(&told, i);
        wrong += sched_getcpu() != where;
        set_to(&done, i + 1);
    }
    return unused;
}

static void allow_only(pid_t tid, int hart)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(hart, &set);
    NEED(sched_setaffinity(tid, sizeof(set), &set));
}

static void waking_elsewhere(int harts)
{
    pthread_t thread;

    NEED(-pthread_create(&thread, NULL, sleep_and_look, NULL));
    for (int i = 1; i <= MOVES; i++) {
        if (i % 2) /* it sleeps by then, or is just falling asleep */
            wait_until(&done, i);
        while (done < i)
            ;
        where = i % harts;
        allow_only(sleeper, where);
        set_to(&told, i);
    }
    pthread_join(thread, NULL);
    IS(wrong, 0, "a thread that wakes runs on the processor that it was given while it slept");
}

/* ---- busy processors share ---- */

static volatile int stop_spinning;
static volatile int seen_on[32];

static void *spin(void *slot)
{
    while (!stop_spinning)
        seen_on[(long)slot] |= 1 << sched_getcpu();
    return NULL;
}

/* HARTS: at most eight */
static void sharing(int harts)
{
    int crowd = 3 * harts, moved = 0;
    pthread_t threads[3 * 8 + 1];
    cpu_set_t all;

    CPU_ZERO(&all);
    for (int i = 0; i < harts; i++)
        CPU_SET(i, &all);
    allow_only(0, 1);
    NEED(-pthread_create(&threads[crowd], NULL, spin, (void *)(long)crowd));
    allow_only(0, 0);
    for (long i = 0; i < crowd; i++)
        NEED(-pthread_create(&threads[i], NULL, spin, (void *)i));
    for (int i = 0; i < crowd; i++)
        pthread_setaffinity_np(threads[i], sizeof(all), &all);
    for (int turn = 0; turn < 500 && !moved; turn++) {
        sleep_ms(20);
        for (int i = 0; i < crowd; i++)
            moved += (seen_on[i] & 2) != 0;
    }
    stop_spinning = 1;
    for (int i = 0; i <= crowd; i++)
        pthread_join(threads[i], NULL);
    CHECK(moved > 0, "of many busy threads some move to a processor where there is only one");
    NEED(sched_setaffinity(0, sizeof(all), &all));
}

/* ---- sched_setattr ---- */

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t least, most; /* since version 1 */
    uint64_t later[4];
};

static long set_attributes(struct attributes *a) { return syscall(SYS_sched_setattr, 0, a, 0); }

static void sizes(void)
{
    struct attributes a = {.size = 48, .nice = 1}, got;

    OKAY(set_attributes(&a), "sched_setattr with the first version's structure");
    a.size = 0;
    OKAY(set_attributes(&a), "size 0 means that one");
    a.size = sizeof(a);
    OKAY(set_attributes(&a), "a longer one, zeros behind what is known");
    a.later[2] = 1;
    FAILS(set_attributes(&a), E2BIG, "something behind it: E2BIG");
    IS(a.size, 56, "and the size that is known");
    a.size = 56;
    OKAY(set_attributes(&a), "which hides it");
    a.size = 40;
    FAILS(set_attributes(&a), E2BIG, "too short");
    IS(a.size, 56, "the size, again");
    a.size = PAGE + 8;
    FAILS(set_attributes(&a), E2BIG, "longer than a page");
    a = (struct attributes){.size = 48, .flags = 1ull << 40};
    FAILS(set_attributes(&a), EINVAL, "unknown flags");
    a = (struct attributes){.size = 48, .policy = UINT32_MAX};
    FAILS(set_attributes(&a), EINVAL, "no policy");
    FAILS(syscall(SYS_sched_setattr, 0, NULL, 0), EINVAL, "no structure");
    FAILS(syscall(SYS_sched_setattr, 0, 8, 0), EFAULT, "not a readable one");
    memset(&got, 0xff, sizeof(got));
    OKAY(syscall(SYS_sched_getattr, 0, &got, sizeof(got), 0), "sched_getattr into a long one");
    CHECK(got.size == 56 && got.nice == 1 && got.policy == SCHED_OTHER && got.later[0] == UINT64_MAX, "what is known");
    memset(&got, 0xff, sizeof(got));
    OKAY(syscall(SYS_sched_getattr, 0, &got, 48, 0), "and into the first version's");
    CHECK(got.size == 48 && got.nice == 1 && got.least == UINT32_MAX, "not more");
    FAILS(syscall(SYS_sched_getattr, 0, &got, 47, 0), EINVAL, "a shorter one is EINVAL");
}

/* ---- priorities of disk requests ---- */

#define BEST_EFFORT(level) IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, level)

static long set_io(int which, int who, int priority) { return syscall(SYS_ioprio_set, which, who, priority); }
static long get_io(int which, int who) { return syscall(SYS_ioprio_get, which, who); }

/* In a group of its own, so that nobody else's priority is seen. */
static int io_in_a_group(void *unused)
{
    pid_t child;
    int status;

    if (unused != NULL || setpgid(0, 0) != 0 || get_io(IOPRIO_WHO_PGRP, 0) != BEST_EFFORT(4))
        return 1;
    if (setpriority(PRIO_PROCESS, 0, 19) != 0 || get_io(IOPRIO_WHO_PGRP, 0) != BEST_EFFORT(7))
        return 2;
    if (set_io(IOPRIO_WHO_PROCESS, 0, BEST_EFFORT(2)) != 0 || get_io(IOPRIO_WHO_PGRP, getpid()) != BEST_EFFORT(2))
        return 3;
    child = fork();
    if (child == 0)
        _exit(get_io(IOPRIO_WHO_PROCESS, 0) == BEST_EFFORT(2) ? 0 : 1);
    if (waitpid(child, &status, 0) != child || status != 0)
        return 4;
    if (setresuid(1000, 1000, 1000) != 0 || set_io(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)) != 0)
        return 5;
    if (set_io(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_RT, 0)) != -1 || errno != EPERM)
        return 6;
    if (set_io(IOPRIO_WHO_PROCESS, 1, BEST_EFFORT(4)) != -1 || errno != EPERM)
        return 7;
    return 0;
}

static void io_priorities(void)
{
    CHECK(get_io(IOPRIO_WHO_PROCESS, 0) == 0, "a thread has no priority of its own for the disk at first");
    EXITS(io_in_a_group, NULL, 0, "it follows from the nice value, is set, inherited, and a user's own is his");
    OKAY(set_io(IOPRIO_WHO_PROCESS, (int)syscall(SYS_gettid), IOPRIO_PRIO_VALUE(IOPRIO_CLASS_RT, 3)),
         "real time, for root");
    CHECK(get_io(IOPRIO_WHO_PROCESS, 0) == IOPRIO_PRIO_VALUE(IOPRIO_CLASS_RT, 3), "and told");
    OKAY(set_io(IOPRIO_WHO_PROCESS, 0, 0), "and none again");
    FAILS(set_io(IOPRIO_WHO_PROCESS, 0, 1), EINVAL, "a level of no class");
    FAILS(set_io(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(5, 0)), EINVAL, "no such class");
    FAILS(set_io(0, 0, BEST_EFFORT(4)), EINVAL, "nobody is meant");
    FAILS(set_io(4, 0, BEST_EFFORT(4)), EINVAL, "nor here");
    FAILS(get_io(4, 0), EINVAL, "nor for reading");
    FAILS(set_io(IOPRIO_WHO_PROCESS, 1 << 22, BEST_EFFORT(4)), ESRCH, "no such thread");
    FAILS(get_io(IOPRIO_WHO_PGRP, 1 << 22), ESRCH, "no such group");
}

static void body(void)
{
    int harts = (int)sysconf(_SC_NPROCESSORS_ONLN);

    sizes();
    io_priorities();
    if (harts > 1) {
        waking_elsewhere(harts);
        sharing(harts);
    } else {
        skip("a thread that wakes runs on the processor that it was given while it slept", "one processor");
        skip("of many busy threads some move to a processor where there is only one", "one processor");
    }
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
