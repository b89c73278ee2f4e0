/*
 * MADV_FREE: memory that may vanish until it is stored to. MADV_PAGEOUT stands for memory that is low: it takes what
 * may go at once. Sources: madvise(2), proc_pid_smaps(5).
 */
#include "tap.h"

#include <pthread.h>

#ifndef MADV_FREE
#define MADV_FREE 8
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define RW (PROT_READ | PROT_WRITE)
#define N 64 /* pages */

static long lazy_kb(volatile void *at)
{
    unsigned long start, end;
    char *text = slurp("/proc/self/smaps"), *line = text;
    long kb = -1;

    for (; line && *line && kb < 0; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2 && start <= (unsigned long)at && (unsigned long)at < end)
            kb = strtol(strstr(line, "LazyFree:") + 9, NULL, 10);
    free(text);
    return kb;
}

static volatile char *fresh(void)
{
    volatile char *at = anon((N + 2) * PAGE, PROT_NONE);

    at += PAGE;
    NEED(mprotect((void *)at, N * PAGE, RW));
    NEED(madvise((void *)at, N * PAGE, MADV_NOHUGEPAGE));
    for (int i = 0; i < N; i++)
        at[i * PAGE] = at[i * PAGE + PAGE - 1] = (char)(i + 1);
    return at;
}

static void done(volatile char *at) { NEED(munmap((void *)(at - PAGE), (N + 2) * PAGE)); }

static int is_old(volatile char *at, int i)
{
    return at[i * PAGE] == (char)(i + 1) && at[i * PAGE + PAGE - 1] == (char)(i + 1);
}
static int is_zero(volatile char *at, int i) { return at[i * PAGE] == 0 && at[i * PAGE + PAGE - 1] == 0; }

static void basics(void)
{
    volatile char *at = fresh();
    long marked = proc_value("/proc/vmstat", "pglazyfree");
    int bad = 0, kept = 0;

    IS(lazy_kb(at), 0, "nothing is free to go");
    OKAY(madvise((void *)at, N * PAGE, MADV_FREE), "MADV_FREE");
    CHECK(lazy_kb(at) > (long)(N * PAGE / 1024 / 4 * 3), "smaps: LazyFree"); /* Linux is late with the last ones */
    CHECK(proc_value("/proc/vmstat", "pglazyfree") > marked + N / 2, "vmstat: pglazyfree");
    for (int i = 0; i < N; i++)
        bad += !is_old(at, i) && !is_zero(at, i);
    IS(bad, 0, "each page has its old bytes, or zeros");
    for (int i = 0; i < N; i += 2)
        at[i * PAGE] = at[i * PAGE + PAGE - 1] = (char)(i + 1);
    CHECK(lazy_kb(at) <= (long)(N * PAGE / 1024 / 2), "what is stored to stays");
    OKAY(madvise((void *)at, N * PAGE, MADV_PAGEOUT), "MADV_PAGEOUT");
    for (int i = 0; i < N; i += 2)
        bad += !is_old(at, i);
    IS(bad, 0, "what was stored to is there");
    for (int i = 1; i < N; i += 2)
        kept += !is_zero(at, i);
    IS(kept, 0, "the rest is zero");
    IS(lazy_kb(at), 0, "nothing is free to go any more");
    OKAY(madvise((void *)at, N * PAGE, MADV_FREE), "once more");
    OKAY(madvise((void *)at, N * PAGE, MADV_FREE), "twice changes nothing");
    at[3 * PAGE] = 'x';
    NEED(madvise((void *)at, N * PAGE, MADV_PAGEOUT));
    IS(at[3 * PAGE], 'x', "one byte keeps its page");
    CHECK(is_zero(at, 4), "and no other");
    done(at);
}

/* Stores by system calls count as stores. */
static void by_the_kernel(void)
{
    volatile char *at = fresh();
    int fd = NEED(open("/proc/self/mem", O_RDWR)), pipes[2];

    NEED(pipe(pipes));
    NEED(write(pipes[1], "abc", 3));
    NEED(madvise((void *)at, N * PAGE, MADV_FREE));
    IS(read(pipes[0], (void *)(at + 5 * PAGE), 3), 3, "read() into a page that may go");
    IS(pwrite(fd, "d", 1, (long)(at + 6 * PAGE)), 1, "a write to it by /proc/self/mem");
    NEED(madvise((void *)at, N * PAGE, MADV_PAGEOUT));
    CHECK(at[5 * PAGE] == 'a' && at[5 * PAGE + 2] == 'c', "read()'s bytes stay");
    CHECK(at[6 * PAGE] == 'd', "so do the others");
    close(fd);
    close(pipes[0]);
    close(pipes[1]);
    done(at);
}

static void protections(void)
{
    volatile char *at = fresh();

    NEED(madvise((void *)at, N * PAGE, MADV_FREE));
    NEED(mprotect((void *)at, N * PAGE, PROT_READ));
    NEED(mprotect((void *)at, N * PAGE, RW));
    at[7 * PAGE] = 'p';
    NEED(madvise((void *)at, N * PAGE, MADV_PAGEOUT));
    IS(at[7 * PAGE], 'p', "a store after mprotect keeps the page");
    at[8 * PAGE] = 'q';
    CHECK(at[8 * PAGE] == 'q' && at[8 * PAGE + 1] == 0, "what went can be stored to");
    done(at);

    at = fresh();
    NEED(madvise((void *)at, N * PAGE, MADV_FREE));
    at[9 * PAGE] = 'm';
    volatile char *to = anon(N * PAGE, RW);
    CHECK(mremap((void *)at, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to, "mremap");
    NEED(madvise((void *)to, N * PAGE, MADV_PAGEOUT));
    IS(to[9 * PAGE], 'm', "takes along what was stored to");
    CHECK(is_old(to, 10) || is_zero(to, 10), "and what may go");
    munmap((void *)(at - PAGE), PAGE);
    munmap((void *)(at + N * PAGE), PAGE);
    NEED(munmap((void *)to, N * PAGE));
}

/* Who wants to know of stores from now on takes no page away that was stored to before. */
static void soft_dirty(void)
{
    volatile char *at = fresh();
    int fd = open("/proc/self/clear_refs", O_WRONLY);

    NEED(madvise((void *)at, N * PAGE, MADV_FREE));
    for (int i = 0; i < N; i += 2)
        at[i * PAGE] = 's';
    if (fd < 0 || write(fd, "4", 1) != 1)
        printf("# no soft-dirty bits here\n");
    NEED(madvise((void *)at, N * PAGE, MADV_PAGEOUT));
    int bad = 0;
    for (int i = 0; i < N; i += 2)
        bad += at[i * PAGE] != 's';
    IS(bad, 0, "clear_refs forgets the stores, but not the bytes");
    OKAY(madvise((void *)at, N * PAGE, MADV_FREE), "where stores are watched, too");
    at[PAGE] = 't';
    NEED(madvise((void *)at, N * PAGE, MADV_PAGEOUT));
    IS(at[PAGE], 't', "a store stays");
    close(fd);
    done(at);
}

static volatile char *shared;

static int child(void *unused UNUSED)
{
    for (int i = 0; i < N; i++)
        if (i % 4 == 0 ? shared[i * PAGE] != 'f' : !is_old(shared, i) && !is_zero(shared, i))
            return 1;
    for (int i = 0; i < N; i += 2)
        shared[i * PAGE] = 'c';
    madvise((void *)shared, N * PAGE, MADV_PAGEOUT);
    for (int i = 0; i < N; i += 2)
        if (shared[i * PAGE] != 'c')
            return 2;
    madvise((void *)shared, N * PAGE, MADV_FREE);
    for (int i = 0; i < N; i += 8)
        shared[i * PAGE] = 'd';
    madvise((void *)shared, N * PAGE, MADV_PAGEOUT);
    for (int i = 0; i < N; i += 8)
        if (shared[i * PAGE] != 'd')
            return 3;
    return 0;
}

static void forks(void)
{
    int bad = 0;

    shared = fresh();
    NEED(madvise((void *)shared, N * PAGE, MADV_FREE));
    for (int i = 0; i < N; i += 4)
        shared[i * PAGE] = 'f';
    EXITS(child, NULL, 0, "a child has what was stored to, and what may go in old bytes or zeros");
    for (int i = 0; i < N; i++)
        bad += i % 4 == 0 ? shared[i * PAGE] != 'f' : !is_old(shared, i) && !is_zero(shared, i);
    IS(bad, 0, "its parent, too");
    NEED(madvise((void *)shared, N * PAGE, MADV_PAGEOUT));
    for (int i = 0; i < N; i += 4)
        bad += shared[i * PAGE] != 'f';
    IS(bad, 0, "also when memory was low");
    done(shared);

    shared = fresh(); /* memory that both have since before */
    pid_t pid;
    int go[2], status;
    char byte;
    NEED(pipe(go));
    pid = NEED(fork());
    if (pid == 0) {
        close(go[1]);
        status = (int)read(go[0], &byte, 1);
        for (int i = 0; i < N; i++)
            status |= !is_old(shared, i);
        _exit(status);
    }
    NEED(madvise((void *)shared, N * PAGE, MADV_FREE));
    NEED(madvise((void *)shared, N * PAGE, MADV_PAGEOUT));
    close(go[1]);
    close(go[0]);
    waitpid(pid, &status, 0);
    IS(status, 0, "a child keeps what its parent gives up");
    done(shared);
}

static void errors(void)
{
    volatile char *at = fresh();
    int fd = make_file("file", "x", 1);
    char *file = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);

    FAILS(madvise(file, PAGE, MADV_FREE), EINVAL, "a file's mapping: EINVAL");
    FAILS(madvise((void *)(at + 1), PAGE, MADV_FREE), EINVAL, "not aligned: EINVAL");
    NEED(munmap((void *)(at + N * PAGE - PAGE), PAGE));
    FAILS(madvise((void *)(at + N * PAGE - 2 * PAGE), 2 * PAGE, MADV_FREE), ENOMEM, "a hole: ENOMEM");
    if (mlock((void *)at, PAGE) == 0) {
        FAILS(madvise((void *)at, PAGE, MADV_FREE), EINVAL, "locked: EINVAL");
        munlock((void *)at, PAGE);
    }
    munmap(file, PAGE);
    close(fd);
    done(at);
}

/* ---- stores on one hart while another gives up and takes ---- */

static volatile int stop;
static volatile char *arena;

static void *taker(void *unused UNUSED)
{
    while (!stop)
        madvise((void *)arena, N * PAGE, MADV_PAGEOUT);
    return NULL;
}

static void *owner(void *argument)
{
    size_t me = (size_t)argument;
    long bad = 0;

    for (unsigned round = 1; !stop; round++) {
        for (size_t i = me; i < N; i += 3) {
            volatile unsigned *at = (volatile unsigned *)(arena + i * PAGE);
            unsigned was;

            madvise((void *)at, PAGE, MADV_FREE);
            was = *at; /* once: it may become 0 at any moment */
            bad += was != 0 && was != round - 1;
            *at = round;
            bad += *at != round;
        }
        for (size_t i = me; i < N; i += 3)
            bad += *(volatile unsigned *)(arena + i * PAGE) != round;
    }
    return (void *)bad;
}

static void races(void)
{
    pthread_t thread[4];
    void *result;
    long bad = 0;

    arena = fresh();
    for (int i = 0; i < N; i++)
        *(volatile unsigned *)(arena + i * PAGE) = 0;
    for (size_t i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, i < 3 ? owner : taker, (void *)i);
    sleep(1);
    stop = 1;
    for (size_t i = 0; i < 4; i++) {
        pthread_join(thread[i], &result);
        bad += i < 3 ? (long)result : 0;
    }
    IS(bad, 0, "no store is lost while pages are given up and taken");
    done(arena);
}

/* Memory that is really low; elsewhere it would take long. */
static void under_pressure(void)
{
    size_t memory = (size_t)sysconf(_SC_PHYS_PAGES), lazy = memory / 3, more = memory / 4 * 3;
    volatile char *at, *other;
    int kept = 1, valid = 1;
    long freed;

    if (memory > 100 << 8) {
        skip("pages go when memory is low", "only with 64 MiB");
        return;
    }
    at = anon(lazy * PAGE, RW);
    NEED(madvise((void *)at, lazy * PAGE, MADV_NOHUGEPAGE));
    for (size_t i = 0; i < lazy; i++)
        at[i * PAGE] = (char)(i % 100 + 1);
    freed = proc_value("/proc/vmstat", "pglazyfreed");
    NEED(madvise((void *)at, lazy * PAGE, MADV_FREE));
    for (size_t i = 0; i < lazy; i += 10)
        at[i * PAGE + 8] = 'k';
    other = anon(more * PAGE, RW);
    for (size_t i = 0; i < more; i++)
        other[i * PAGE] = 1;
    CHECK(proc_value("/proc/vmstat", "pglazyfreed") > freed, "pages go when memory is low");
    for (size_t i = 0; i < lazy; i++) {
        char now = at[i * PAGE];

        kept &= i % 10 != 0 || at[i * PAGE + 8] == 'k';
        valid &= now == 0 || now == (char)(i % 100 + 1);
    }
    CHECK(kept, "those that were stored to stay");
    CHECK(valid, "all have their bytes, or zeros");
    NEED(munmap((void *)other, more * PAGE));
    NEED(munmap((void *)at, lazy * PAGE));
}

static void body(void)
{
    basics();
    by_the_kernel();
    protections();
    soft_dirty();
    forks();
    errors();
    under_pressure();
    races();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
