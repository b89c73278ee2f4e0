/*
 * Copy-on-write: trees of processes that share pages until they store, whoever stores, in whatever order they leave;
 * the last one left takes pages over instead of copying them. Source: fork(2), mmap(2).
 */
#include "tap.h"

#include <pthread.h>

#define RW (PROT_READ | PROT_WRITE)
#define PAGES 64

static volatile char *shared_pages; /* private memory that all of a tree's processes begin with */

static int pages_are(volatile char *at, size_t from, size_t to, char value)
{
    for (size_t i = from; i < to; i++)
        if (at[i * PAGE] != value || at[i * PAGE + PAGE - 1] != value)
            return 0;
    return 1;
}

static void set_pages(volatile char *at, size_t from, size_t to, char value)
{
    for (size_t i = from; i < to; i++)
        at[i * PAGE] = at[i * PAGE + PAGE - 1] = value;
}

/* Each node owns the slice of its depth; three children see what the path above them wrote and nothing of their
 * siblings. */
static int tree(void *argument)
{
    long depth = (long)argument;
    pid_t children[3];
    int status, bad = 0;

    for (long above = 0; above < depth; above++)
        bad |= !pages_are(shared_pages, above * 8, above * 8 + 8, (char)('a' + above));
    bad |= !pages_are(shared_pages, depth * 8, PAGES, '.');
    set_pages(shared_pages, depth * 8, depth * 8 + 8, (char)('a' + depth));
    if (depth < 3) {
        for (int i = 0; i < 3; i++) {
            children[i] = fork();
            if (children[i] == 0)
                _exit(tree((void *)(depth + 1)));
            bad |= children[i] < 0;
        }
        for (int i = 0; i < 3; i++)
            bad |= waitpid(children[i], &status, 0) != children[i] || status != 0;
    }
    bad |= !pages_are(shared_pages, depth * 8, depth * 8 + 8, (char)('a' + depth));
    bad |= !pages_are(shared_pages, depth * 8 + 8, PAGES, '.');
    return bad;
}

static void trees(void)
{
    shared_pages = anon(PAGES * PAGE, RW);
    set_pages(shared_pages, 0, PAGES, '.');
    EXITS(tree, 0, 0, "a tree of forty processes, each with its own view");
    CHECK(pages_are(shared_pages, 0, PAGES, '.'), "the root's pages are untouched by it");
    NEED(munmap((void *)shared_pages, PAGES * PAGE));
}

/* The parent unmaps its half of the memory while the child waits; the child rewrites all: it must fit, so no page may
 * be copied. */
static void last_reference(void)
{
    struct sysinfo info;
    size_t length, pages;
    volatile char *at;
    int go[2], status;
    char byte;
    pid_t pid;

    sysinfo(&info);
    length = info.freeram * info.mem_unit / 5 * 3;
    if (length > 200UL << 20)
        length = 200UL << 20;
    length &= -PAGE;
    pages = length / PAGE;
    at = anon(length, RW);
    madvise((void *)at, length, MADV_NOHUGEPAGE);
    set_pages(at, 0, pages, 'o');
    NEED(pipe(go));
    pid = (pid_t)NEED(fork());
    if (pid == 0) {
        if (read(go[0], &byte, 1) != 1 || !pages_are(at, 0, pages, 'o'))
            _exit(1);
        set_pages(at, 0, pages, 'n');
        _exit(pages_are(at, 0, pages, 'n') ? 0 : 2);
    }
    NEED(munmap((void *)at, length));
    NEED(write(go[1], "g", 1));
    waitpid(pid, &status, 0);
    IS(status, 0, "a child left alone with most of the memory stores to all of it");
    close(go[0]);
    close(go[1]);
}

static int store_all(void *at)
{
    set_pages(at, 0, PAGES, 'c');
    return pages_are(at, 0, PAGES, 'c') ? 0 : 1;
}

static int drop_all(void *at)
{
    if (madvise(at, PAGES * PAGE, MADV_DONTNEED) || !pages_are(at, 0, PAGES, 0))
        return 1;
    return 0;
}

static int read_only_child(void *at) { return pages_are(at, 0, PAGES, 's') ? 0 : 1; }

static void kinds_of_pages(void)
{
    volatile char *at = anon(PAGES * PAGE, RW);
    char data[64];
    int fd;

    EXITS(store_all, at, 0, "a child stores to pages that nobody touched before");
    CHECK(pages_are(at, 0, PAGES, 0), "the parent's are still zero");
    EXITS(store_all, at, 0, "and to pages that the parent has only read");
    CHECK(pages_are(at, 0, PAGES, 0), "the parent's are still zero, again");
    set_pages(at, 0, PAGES, 's');
    for (int i = 0; i < 3; i++) {
        EXITS(read_only_child, at, 0, "a child that only reads, %d", i);
        set_pages(at, 0, PAGES / 2, 's');
    }
    EXITS(drop_all, at, 0, "a child drops its pages with MADV_DONTNEED");
    CHECK(pages_are(at, 0, PAGES, 's'), "the parent's stay");
    NEED(munmap((void *)at, PAGES * PAGE));

    fd = make_file("file", "f", 1);
    NEED(ftruncate(fd, PAGES * PAGE));
    at = (volatile char *)NEED((long)mmap(NULL, PAGES * PAGE, RW, MAP_PRIVATE, fd, 0));
    set_pages(at, 0, PAGES / 2, 's'); /* half of the file's pages are private copies, half are the cache's */
    EXITS(store_all, at, 0, "a child stores to private pages of a file, copied and not");
    CHECK(pages_are(at, 0, PAGES / 2, 's') && pages_are(at, PAGES / 2, PAGES, 0), "the parent's view stays");
    IS(pread(fd, data, 1, 0), 1, "read the file");
    IS(data[0], 'f', "and so does the file");
    NEED(munmap((void *)at, PAGES * PAGE));
    close(fd);
}

/* Stores that the kernel makes for the child, and those that are more than a plain store. */
static int other_stores(void *argument)
{
    volatile char *at = argument;
    struct timespec *time = (struct timespec *)(at + PAGE - 8);
    int fds[2], *counter = (int *)(at + 4 * PAGE);

    if (pipe(fds) || write(fds[1], "0123456789", 10) != 10)
        return 1;
    if (read(fds[0], (char *)at + 3 * PAGE - 5, 10) != 10 || memcmp((char *)at + 3 * PAGE - 5, "0123456789", 10))
        return 2;
    if (syscall(SYS_clock_gettime, CLOCK_REALTIME, time))
        return 3;
    if (__sync_fetch_and_add(counter, 1) != 0x73737373)
        return 4;
    if (!__sync_bool_compare_and_swap(counter, 0x73737374, 7) || *counter != 7)
        return 5;
    *(volatile uint64_t *)(at + 6 * PAGE - 4) = 0x1122334455667788; /* one store, two pages */
    return *(volatile uint64_t *)(at + 6 * PAGE - 4) == 0x1122334455667788 ? 0 : 6;
}

static void ways_of_storing(void)
{
    char *at = anon(8 * PAGE, RW);
    int good = 1;

    memset(at, 's', 8 * PAGE);
    EXITS(other_stores, at, 0, "pipe reads, calls' results, atomics and misaligned stores break sharing");
    for (size_t i = 0; i < 8 * PAGE; i++)
        good &= at[i] == 's';
    CHECK(good, "and the parent sees none of it");
    NEED(munmap(at, 8 * PAGE));
}

/* ---- Threads that store to the same shared pages at once ---- */

static volatile long *counters;
static pthread_barrier_t barrier;

static void *store_as_thread(void *argument)
{
    long id = (long)argument;

    for (int page = 0; page < PAGES; page++) {
        if (page % 8 == 0)
            pthread_barrier_wait(&barrier);
        counters[page * (PAGE / 8) + id] = id + page;
    }
    return NULL;
}

static int store_by_threads(void *unused UNUSED)
{
    pthread_t threads[4];

    pthread_barrier_init(&barrier, NULL, 4);
    for (long i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, store_as_thread, (void *)i))
            return 1;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int page = 0; page < PAGES; page++) {
        for (long id = 0; id < 4; id++)
            if (counters[page * (PAGE / 8) + id] != id + page)
                return 2;
        if (counters[page * (PAGE / 8) + 5] != 1234)
            return 3;
    }
    return 0;
}

static void threads(void)
{
    int good = 1;

    counters = anon(PAGES * PAGE, RW);
    for (int round = 0; round < 5; round++) {
        for (int page = 0; page < PAGES; page++)
            for (int i = 0; i < 6; i++)
                counters[page * (PAGE / 8) + i] = 1234;
        good &= in_child(store_by_threads, NULL).status == 0;
    }
    CHECK(good, "four threads store to each page at once and lose nothing");
    for (int page = 0; page < PAGES; page++)
        good &= counters[page * (PAGE / 8)] == 1234;
    CHECK(good, "and the parent's pages stay");
    NEED(munmap((void *)counters, PAGES * PAGE));
}

/* Parent and child store at the same time, over and over. */
static void racing(void)
{
    volatile char *at = anon(PAGES * PAGE, RW);
    int bad = 0, status;

    for (int round = 0; round < 20; round++) {
        pid_t pid;

        set_pages(at, 0, PAGES, 'r');
        pid = (pid_t)NEED(fork());
        if (pid == 0) {
            set_pages(at, 0, PAGES, 'c');
            _exit(pages_are(at, 0, PAGES, 'c') ? 0 : 1);
        }
        set_pages(at, 0, PAGES, 'p');
        bad += !pages_are(at, 0, PAGES, 'p');
        bad += waitpid(pid, &status, 0) != pid || status != 0;
    }
    IS(bad, 0, "parent and child storing at once keep apart");
    NEED(munmap((void *)at, PAGES * PAGE));
}

static void shared_is_not_copied(void)
{
    volatile char *at = mmap(NULL, PAGES * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(at != MAP_FAILED, "shared anonymous memory");
    set_pages(at, 0, PAGES / 2, 's');
    EXITS(store_all, at, 0, "a child stores to all of it");
    CHECK(pages_are(at, 0, PAGES, 'c'), "and the parent sees all of it");
    NEED(munmap((void *)at, PAGES * PAGE));
}

static void body(void)
{
    trees();
    last_reference();
    kinds_of_pages();
    ways_of_storing();
    threads();
    racing();
    shared_is_not_copied();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
