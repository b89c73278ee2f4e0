/*
 * futex_waitv: a thread that waits for one of several words. Which was woken, words that are not what they should be,
 * time-outs on either clock, signals, words in shared memory, errors. Source: the kernel's documentation of futex2.
 */
#include "tap.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>

#define SYS_waitv 449
#define MOST 128
#define U32 2       /* the size of a word */
#define PRIVATE 128 /* only this process's threads wake it */
#define SECOND 1000000000L

struct waitv {
    uint64_t value, address;
    uint32_t flags, reserved;
};

static uint32_t words[MOST];

static struct waitv *list_of(uint32_t flags)
{
    static struct waitv list[MOST + 1];

    for (unsigned i = 0; i <= MOST; i++)
        list[i] = (struct waitv){0, (uintptr_t)&words[i % MOST], flags, 0};
    memset(words, 0, sizeof(words));
    return list;
}

static long waitv(void *list, unsigned n, unsigned flags, const void *until, int clock)
{
    return syscall(SYS_waitv, list, n, flags, until, clock);
}

static long wake(uint32_t *word, int flags) { return syscall(SYS_futex, word, FUTEX_WAKE | flags, 1); }

static void errors(void)
{
    struct waitv *list = list_of(U32 | PRIVATE);
    struct timespec past = {1, 0}, wrong = {1, SECOND}, negative = {-1, 0};
    uint32_t *readable = anon(PAGE, PROT_READ);

    FAILS(waitv(list, 0, 0, NULL, 0), EINVAL, "no words");
    FAILS(waitv(list, MOST + 1, 0, NULL, 0), EINVAL, "129 words");
    FAILS(waitv(NULL, 1, 0, NULL, 0), EINVAL, "no list");
    FAILS(waitv(list, 1, 1, NULL, 0), EINVAL, "flags of the call");
    FAILS(waitv((void *)8, 1, 0, NULL, 0), EFAULT, "a list that is not there");
    FAILS(waitv(list, 1, 0, (void *)8, CLOCK_MONOTONIC), EFAULT, "a time that is not there");
    FAILS(waitv(list, 1, 0, &past, CLOCK_BOOTTIME), EINVAL, "another clock");
    FAILS(waitv(list, 1, 0, &wrong, CLOCK_MONOTONIC), EINVAL, "a time that is none");
    FAILS(waitv(list, 1, 0, &negative, CLOCK_MONOTONIC), EINVAL, "a negative one");
    list[0].flags = 0;
    FAILS(waitv(list, 1, 0, NULL, 0), EINVAL, "a word of 8 bits");
    list[0].flags = 1;
    FAILS(waitv(list, 1, 0, NULL, 0), EINVAL, "of 16");
    list[0].flags = 3;
    FAILS(waitv(list, 1, 0, NULL, 0), EINVAL, "of 64");
    list[0].flags = U32 | 4;
    FAILS(waitv(list, 1, 0, NULL, 0), EINVAL, "a flag that is not known");
    list[0].flags = U32 | FUTEX_CLOCK_REALTIME;
    FAILS(waitv(list, 1, 0, NULL, 0), EINVAL, "one of futex's");
    list[0] = (struct waitv){0, (uintptr_t)words, U32, 1};
    FAILS(waitv(list, 1, 0, NULL, 0), EINVAL, "what is reserved");
    list[0] = (struct waitv){1UL << 32, (uintptr_t)words, U32, 0};
    FAILS(waitv(list, 1, 0, NULL, 0), EINVAL, "a value that does not fit");
    list[0] = (struct waitv){0, (uintptr_t)words + 2, U32, 0};
    FAILS(waitv(list, 1, 0, NULL, 0), EINVAL, "a word that is not aligned");
    list[0] = (struct waitv){0, 8, U32 | PRIVATE, 0};
    FAILS(waitv(list, 1, 0, NULL, 0), EFAULT, "a word that is not there");
    list[0] = (struct waitv){1, (uintptr_t)words, U32, 0};
    FAILS(waitv(list, 1, 0, NULL, 0), EAGAIN, "another value");
    list = list_of(U32);
    list[MOST - 1].value = 1;
    FAILS(waitv(list, MOST, 0, NULL, 0), EAGAIN, "of the last");
    list[MOST - 1] = (struct waitv){0, 8, U32 | PRIVATE, 0};
    FAILS(waitv(list, MOST, 0, NULL, 0), EFAULT, "the last is not there");
    list = list_of(U32 | PRIVATE);
    list[3].address = (uintptr_t)readable;
    FAILS(waitv(list, MOST, 0, &past, CLOCK_MONOTONIC), ETIMEDOUT, "a time that is past; one word was never touched");
    FAILS(waitv(list, MOST, 0, &past, CLOCK_REALTIME), ETIMEDOUT, "on the other clock");
}

static void times_out(void)
{
    static const int clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME};
    struct waitv *list = list_of(U32 | PRIVATE);

    for (unsigned i = 0; i < 2; i++) {
        struct timespec until, now;

        NEED(clock_gettime(clocks[i], &until));
        until.tv_nsec += 50000000;
        until.tv_sec += until.tv_nsec / SECOND;
        until.tv_nsec %= SECOND;
        FAILS(waitv(list, 5, 0, &until, clocks[i]), ETIMEDOUT, "nobody wakes it");
        NEED(clock_gettime(clocks[i], &now));
        CHECK(now.tv_sec > until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec), "it was time");
    }
}

/* ---- being woken ---- */

struct sleeper {
    struct waitv *list;
    unsigned n;
    long result;
    int error;
};

static void *sleeps(void *argument)
{
    struct sleeper *s = argument;

    s->result = waitv(s->list, s->n, 0, NULL, 0);
    s->error = errno;
    return NULL;
}

/* Until somebody is woken by it. */
static void wake_one_of(uint32_t *word, int flags)
{
    for (int tries = 0; tries < 10000; tries++) {
        if (wake(word, flags) == 1)
            return;
        sleep_ms(1);
    }
}

static void woken(void)
{
    struct sleeper s = {list_of(U32 | PRIVATE), MOST, 0, 0};
    static const unsigned which[] = {0, 77, MOST - 1};
    pthread_t thread;

    for (unsigned i = 0; i < 3; i++) {
        pthread_create(&thread, NULL, sleeps, &s);
        wake_one_of(&words[which[i]], FUTEX_PRIVATE_FLAG);
        pthread_join(thread, NULL);
        IS(s.result, which[i], "woken by one of 128, it says which");
        IS(wake(&words[5], FUTEX_PRIVATE_FLAG), 0, "and waits for the others no longer");
    }
    s.list[9].address = s.list[8].address;
    s.n = 10;
    pthread_create(&thread, NULL, sleeps, &s);
    sleep_ms(50);
    IS(syscall(SYS_futex, &words[8], FUTEX_WAKE_PRIVATE, INT_MAX), 2, "a word that is there twice is woken twice");
    pthread_join(thread, NULL);
    IS(s.result, 9, "the last is told");
}

static void requeued(void)
{
    struct sleeper s = {list_of(U32 | PRIVATE), 3, 0, 0};
    pthread_t thread;

    pthread_create(&thread, NULL, sleeps, &s);
    sleep_ms(50);
    IS(syscall(SYS_futex, &words[1], FUTEX_REQUEUE_PRIVATE, 0, 5, &words[50]), 1, "a waiter is moved to another word");
    IS(wake(&words[1], FUTEX_PRIVATE_FLAG), 0, "no longer at the first");
    wake_one_of(&words[50], FUTEX_PRIVATE_FLAG);
    pthread_join(thread, NULL);
    IS(s.result, 1, "it was the second of the list");
}

static void between_processes(void)
{
    uint32_t *shared =
        (uint32_t *)NEED((long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    struct waitv list[2] = {{0, (uintptr_t)words, U32 | PRIVATE, 0}, {0, (uintptr_t)shared, U32, 0}};
    int status;
    pid_t pid = (pid_t)NEED(fork());

    if (pid == 0)
        _exit(waitv(list, 2, 0, NULL, 0) == 1 ? 0 : 1);
    wake_one_of(shared, 0);
    waitpid(pid, &status, 0);
    IS(status, 0, "a word in shared memory is woken by another process");
    NEED(munmap(shared, PAGE));
}

static volatile int handled;
static void handler(int signo) { handled = signo; }

static void interrupted(void)
{
    struct sleeper s = {list_of(U32 | PRIVATE), 2, 0, 0};
    struct sigaction action = {.sa_handler = handler};
    pthread_t thread;

    for (int restart = 0; restart < 2; restart++) {
        action.sa_flags = restart ? SA_RESTART : 0;
        NEED(sigaction(SIGUSR1, &action, NULL));
        handled = 0;
        pthread_create(&thread, NULL, sleeps, &s);
        sleep_ms(100);
        pthread_kill(thread, SIGUSR1);
        if (restart)
            wake_one_of(&words[1], FUTEX_PRIVATE_FLAG);
        pthread_join(thread, NULL);
        CHECK(handled == SIGUSR1, "a signal comes");
        if (restart)
            IS(s.result, 1, "with SA_RESTART it waits again");
        else
            CHECK(s.result == -1 && s.error == EINTR, "EINTR");
    }
}

/* ---- many at once ---- */

#define THREADS 6
#define TURNS 2000
static uint32_t tokens[THREADS];
static long taken;

/* Takes a token, of whatever sort, TURNS times. */
static void *takes(void *unused)
{
    struct waitv list[THREADS];

    (void)unused;
    for (int turn = 0; turn < TURNS;) {
        int got = 0;

        for (unsigned i = 0; i < THREADS && !got; i++) {
            uint32_t n = __atomic_load_n(&tokens[i], __ATOMIC_SEQ_CST);

            got = n > 0 && __atomic_compare_exchange_n(&tokens[i], &n, n - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
            list[i] = (struct waitv){0, (uintptr_t)&tokens[i], U32 | PRIVATE, 0};
        }
        if (got) {
            turn++;
            __atomic_add_fetch(&taken, 1, __ATOMIC_SEQ_CST);
        } else if (waitv(list, THREADS, 0, NULL, 0) < 0 && errno != EAGAIN) {
            break;
        }
    }
    for (unsigned i = 0; i < THREADS; i++) /* this one may have been woken for two */
        syscall(SYS_futex, &tokens[i], FUTEX_WAKE_PRIVATE, INT_MAX);
    return NULL;
}

static void *gives(void *sort)
{
    uint32_t *token = &tokens[(size_t)sort];

    for (int turn = 0; turn < TURNS; turn++) {
        __atomic_add_fetch(token, 1, __ATOMIC_SEQ_CST);
        wake(token, FUTEX_PRIVATE_FLAG);
    }
    return NULL;
}

static void crowd(void)
{
    pthread_t givers[THREADS], takers[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        pthread_create(&takers[i], NULL, takes, NULL);
        pthread_create(&givers[i], NULL, gives, (void *)i);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(givers[i], NULL);
        pthread_join(takers[i], NULL);
    }
    IS(taken, THREADS * TURNS, "no wake-up is lost");
}

static void body(void)
{
    errors();
    times_out();
    woken();
    requeued();
    between_processes();
    interrupted();
    crowd();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
