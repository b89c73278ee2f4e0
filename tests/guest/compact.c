/*
 * Memory in pieces is brought together for huge pages, and what is moved for that keeps its bytes, while threads store
 * to it and children share it. Source: madvise(2), Linux's admin-guide/mm/transhuge.rst (defrag).
 */
#include "huge.h"

#include <pthread.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define ONE_OF 64 /* pages that stay */

static volatile char *pieces;
static size_t n_pages;

static unsigned mark(size_t i) { return (unsigned)(i * 2654435761u) | 1; }
static volatile unsigned *piece(size_t i) { return (volatile unsigned *)(pieces + i * PAGE); }

/* Most of what is free is taken, and nearly all of it given back: few blocks are left without a page of ours. */
static void scatter(void)
{
    n_pages = (size_t)proc_value("/proc/meminfo", "MemFree") / 4 * 8 / 10;
    pieces = anon(n_pages * PAGE, RW);
    NEED(madvise((void *)pieces, n_pages * PAGE, MADV_NOHUGEPAGE));
    for (size_t i = 0; i < n_pages; i++)
        *piece(i) = mark(i);
    for (size_t i = 0; i < n_pages; i += ONE_OF)
        NEED(madvise((void *)(pieces + (i + 1) * PAGE), (MIN(i + ONE_OF, n_pages) - i - 1) * PAGE, MADV_DONTNEED));
}

static int are_there(void)
{
    for (size_t i = 0; i < n_pages; i += ONE_OF)
        if (*piece(i) != mark(i))
            return 0;
    return 1;
}

static volatile int stop;
static int lost;

/* Every eighth of them is stored to all the time. */
static void *storing(void *unused UNUSED)
{
    for (unsigned n = 1; !stop; n++)
        for (size_t i = 0; i < n_pages && !stop; i += 8 * ONE_OF) {
            volatile unsigned *at = piece(i) + 1;

            if (n > 1 && *at != n - 1)
                lost++;
            *at = n;
        }
    return NULL;
}

static int child(void *go)
{
    char byte;

    return read(*(int *)go, &byte, 1) == 0 && are_there() ? 0 : 1;
}

static void body(void)
{
    size_t spans, got = 0, length;
    volatile char *at, *reserved;
    pthread_t thread;
    int go[2], status;
    pid_t pid;

    if (proc_value("/proc/meminfo", "MemFree") < 180 << 10) {
        skip("compaction", "too little memory");
        return;
    }
    scatter();
    CHECK(are_there(), "pages here and there");
    NEED(pipe(go));
    pid = NEED(fork());
    if (pid == 0) {
        close(go[1]);
        _exit(child(go));
    }
    close(go[0]);
    pthread_create(&thread, NULL, storing, NULL);
    spans = n_pages / HUGE_PAGES / 2;
    length = (spans + 1) * HUGE;
    reserved = anon(length, RW);
    at = (volatile char *)(((unsigned long)reserved + HUGE - 1) & -HUGE);
    NEED(madvise((void *)reserved, length, MADV_NOHUGEPAGE));
    for (size_t i = 0; i < spans; i++)
        at[i * HUGE] = (char)i;
    NEED(madvise((void *)reserved, length, 14 /* MADV_HUGEPAGE */));
    for (size_t i = 0; i < spans; i++)
        got += madvise((void *)(at + i * HUGE), HUGE, MADV_COLLAPSE) == 0;
    diag("%zu of %zu", got, spans);
    CHECK(got >= spans * 9 / 10, "half of memory becomes huge pages all the same");
    stop = 1;
    pthread_join(thread, NULL);
    IS(lost, 0, "no store is lost");
    CHECK(are_there(), "all bytes are there");
    close(go[1]);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0, "and a child has its own");
    NEED(munmap((void *)reserved, length));
    NEED(munmap((void *)pieces, n_pages * PAGE));
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
