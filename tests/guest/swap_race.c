/*
 * Pages that are taken away by one thread while others take the same range away, or its permissions, and go on at once:
 * what was evicted, or truncated, and is not in the page table any more may not be in a TLB either. With one hart none
 * of this can happen. Sources: madvise(2), munmap(2), mprotect(2).
 */
#include "tap.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define RW (PROT_READ | PROT_WRITE)
#define N 64     /* pages */
#define OWNERS 1 /* more of them would flush each other's TLBs all the time */
#define MILLISECONDS 700

static volatile char *arena;
static volatile int stop;
static int file;
/* Gives page AT another meaning: its bytes are zeros, or what they were (KEEPS). */
static void (*renew)(volatile char *at);
static bool keeps;

static void *evict(void *unused UNUSED)
{
    while (!stop)
        madvise((void *)arena, N * PAGE, MADV_PAGEOUT);
    return NULL;
}

static void *truncate_again(void *unused UNUSED)
{
    while (!stop) {
        NEED(ftruncate(file, 0));
        NEED(ftruncate(file, N * PAGE));
    }
    return NULL;
}

static void *own(void *argument)
{
    size_t me = (size_t)argument;
    long bad = 0;

    for (unsigned round = 1; !stop; round++) {
        for (size_t i = me; i < N; i += OWNERS) {
            volatile unsigned *at = (volatile unsigned *)(arena + i * PAGE);

            renew((volatile char *)at);
            bad += *at != (keeps ? round - 1 : 0);
            *at = round;
        }
        for (size_t i = me; i < N; i += OWNERS)
            bad += *(volatile unsigned *)(arena + i * PAGE) != round;
    }
    return (void *)bad;
}

/* What owners find wrong while TAKER is at work. */
static long race(void (*new)(volatile char *at), bool keeps_bytes, void *(*taker)(void *))
{
    pthread_t thread[OWNERS + 1];
    struct timespec a_while = {.tv_nsec = MILLISECONDS * 1000000l};
    void *result;
    long bad = 0;

    renew = new;
    keeps = keeps_bytes;
    stop = 0;
    arena = anon(N * PAGE, RW);
    NEED(madvise((void *)arena, N * PAGE, MADV_NOHUGEPAGE));
    for (size_t i = 0; i < N; i++)
        arena[i * PAGE + PAGE - 1] = 1;
    for (size_t i = 0; i <= OWNERS; i++)
        NEED(-pthread_create(&thread[i], NULL, i < OWNERS ? own : taker, (void *)i));
    nanosleep(&a_while, NULL);
    stop = 1;
    for (size_t i = 0; i <= OWNERS; i++) {
        pthread_join(thread[i], &result);
        bad += i < OWNERS ? (long)result : 0;
    }
    NEED(munmap((void *)arena, N * PAGE));
    return bad;
}

static void drop(volatile char *at) { madvise((void *)at, PAGE, MADV_DONTNEED); }

static void map_anew(volatile char *at) { mmap((void *)at, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); }

/* The page goes elsewhere, another one takes its place, and it comes back. */
static void move_away(volatile char *at)
{
    volatile unsigned *there = mremap((void *)at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
    unsigned before = *there;

    *(volatile unsigned *)at = ~0u; /* to another page */
    if (*there != before)
        *there = ~0u;
    mremap((void *)there, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at);
}

static __thread sigjmp_buf refused;

static void refuse(int sig UNUSED) { siglongjmp(refused, 1); }

static void protect(volatile char *at)
{
    volatile unsigned before = *(volatile unsigned *)at;

    mprotect((void *)at, PAGE, PROT_READ);
    if (sigsetjmp(refused, 0) == 0) {
        *(volatile unsigned *)at = ~0u;
        before = ~0u; /* it went through */
    }
    mprotect((void *)at, PAGE, RW);
    *(volatile unsigned *)at = before;
}

/* A page of a file, stored to if it is not truncated just now, is private memory a moment later. */
static void map_file_first(volatile char *at)
{
    mmap((void *)at, PAGE, RW, MAP_SHARED | MAP_FIXED, file, at - arena);
    if (sigsetjmp(refused, 0) == 0)
        *at = 1;
    map_anew(at);
}

static void body(void)
{
    struct sigaction action = {.sa_handler = refuse, .sa_flags = SA_NODEFER};

    IS(race(drop, false, evict), 0, "MADV_DONTNEED beside eviction: zeros, and stores stay");
    IS(race(map_anew, false, evict), 0, "mmap beside eviction: zeros, and stores stay");
    IS(race(move_away, true, evict), 0, "mremap beside eviction: each page has its own bytes");
    sigaction(SIGSEGV, &action, NULL);
    IS(race(protect, true, evict), 0, "mprotect beside eviction: no store goes through");
    signal(SIGSEGV, SIG_DFL);
    sigaction(SIGBUS, &action, NULL);
    file = NEED(memfd_create("file", 0));
    NEED(ftruncate(file, N * PAGE));
    IS(race(map_file_first, false, evict), 0, "mmap over a file's page beside eviction: zeros, and stores stay");
    IS(race(map_file_first, false, truncate_again), 0, "the same beside truncation");
    close(file);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
