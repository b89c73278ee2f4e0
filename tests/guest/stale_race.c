/*
 * Two who take the same thing away at the same time. The first one has taken a page's W, or the page, out of the page
 * table, but other harts' TLBs have it still; the second one finds nothing to take, and what he concludes - nobody
 * stores to this any more - must be true nevertheless when he goes on. With one hart none of this can happen.
 *
 *     writer  stores 1, 2, 3... to a page as long as he may, and looks whether each is still there
 *     taker   takes the page's W, or the page, and gives it back, all the time
 *     the test itself is the second one
 *
 * Sources: mprotect(2), msync(2), madvise(2), mremap(2), ioctl_userfaultfd(2), Linux's admin-guide/mm/pagemap.
 */
#include "uffd.h"

#include <setjmp.h>
#include <stdbool.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define MILLISECONDS 1500
#define SPINS 3000

static volatile unsigned *at, *elsewhere; /* a page, and where it may go */
static volatile int stop;
static volatile unsigned last; /* the writer has stored it */
static volatile long lost;
static int file;
static __thread sigjmp_buf refused;

static void refuse(int sig UNUSED) { siglongjmp(refused, 1); }

static void spin(void)
{
    for (volatile int i = 0; i < SPINS; i++)
        ;
}

static void *write_on(void *unused UNUSED)
{
    while (!stop) {
        if (sigsetjmp(refused, 0) != 0)
            continue;
        lost += *at != last;
        *at = last + 1;
        last = last + 1;
    }
    return NULL;
}

/* ---- takers ---- */

static void *close_and_open(void *unused UNUSED)
{
    while (!stop) {
        mprotect((void *)at, PAGE, PROT_READ);
        mprotect((void *)at, PAGE, RW);
    }
    return NULL;
}

static void *close_only(void *unused UNUSED)
{
    while (!stop) {
        mprotect((void *)at, PAGE, PROT_READ);
        spin();
    }
    return NULL;
}

static void *drop(void *unused UNUSED)
{
    while (!stop) {
        madvise((void *)at, PAGE, MADV_DONTNEED);
        spin();
    }
    return NULL;
}

static void *move_and_back(void *unused UNUSED)
{
    while (!stop) {
        mremap((void *)at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere);
        mremap((void *)elsewhere, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at);
    }
    return NULL;
}

static void *map_again(void *unused UNUSED)
{
    while (!stop) {
        mmap((void *)at, PAGE, RW, MAP_SHARED | MAP_FIXED, file, 0);
        spin();
    }
    return NULL;
}

/* ---- races ---- */

static pthread_t threads[2];

static void begin(void *(*taker)(void *), void *(*writer)(void *))
{
    stop = 0;
    last = *at;
    lost = 0;
    NEED(-pthread_create(&threads[0], NULL, taker, NULL));
    if (writer != NULL)
        NEED(-pthread_create(&threads[1], NULL, writer, NULL));
}

static void end(bool has_writer)
{
    stop = 1;
    pthread_join(threads[0], NULL);
    if (has_writer)
        pthread_join(threads[1], NULL);
}

static bool is_time_up(const struct timespec *since)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000 > MILLISECONDS;
}

/* A page of a shared mapping is written back and leaves memory whenever it is clean: no store is lost. */
static void write_back(void *(*taker)(void *), const char *name)
{
    struct timespec since;

    clock_gettime(CLOCK_MONOTONIC, &since);
    file = NEED(open("file", O_RDWR | O_CREAT | O_TRUNC, 0600));
    NEED(ftruncate(file, PAGE));
    elsewhere = anon(PAGE, RW);
    at = mmap(NULL, PAGE, RW, MAP_SHARED, file, 0);
    NEED(at == MAP_FAILED ? -1 : 0);
    begin(taker, write_on);
    while (!is_time_up(&since)) {
        fdatasync(file);
        madvise((void *)at, PAGE, MADV_PAGEOUT);
        madvise((void *)elsewhere, PAGE, MADV_PAGEOUT);
    }
    end(true);
    CHECK(last > 0, "%s: the writer has stored", name);
    IS(lost, 0, "%s: no store is lost", name);
    munmap((void *)at, PAGE);
    munmap((void *)elsewhere, PAGE);
    close(file);
}

/* How often something was stored meanwhile, although SHUT had come back; REOPEN undoes it. */
static long shut_while(void *(*taker)(void *), bool (*shut)(void), void (*reopen)(void))
{
    struct timespec since;
    long bad = 0;

    clock_gettime(CLOCK_MONOTONIC, &since);
    begin(taker, write_on);
    while (!is_time_up(&since)) {
        unsigned before;

        if (!shut())
            continue;
        before = *at;
        spin();
        bad += *at != before;
        reopen();
        spin();
    }
    end(true);
    return bad;
}

static bool protect(void) { return mprotect((void *)at, PAGE, PROT_READ) == 0; }
static void unprotect(void) { mprotect((void *)at, PAGE, RW); }

static void two_protect(void)
{
    at = anon(PAGE, RW);
    *at = 0;
    IS(shut_while(close_only, protect, unprotect), 0, "mprotect beside mprotect: no store once it is back");
    munmap((void *)at, PAGE);
}

static int uffd;

static bool protect_by_uffd(void) { return uffd_protect(uffd, (void *)at, PAGE, true) == 0; }
static void unprotect_by_uffd(void) { uffd_protect(uffd, (void *)at, PAGE, false); }

static void uffd_beside_mprotect(void)
{
    const char *name = "UFFDIO_WRITEPROTECT beside mprotect: no store once it is back";

    if (!has_wp) {
        skip(name, "no write protection by userfaultfd");
        return;
    }
    at = anon(PAGE, RW);
    *at = 0;
    uffd = uffd_new(O_CLOEXEC | O_NONBLOCK, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
    NEED(uffd);
    NEED(uffd_register(uffd, (void *)at, PAGE, WP));
    IS(shut_while(close_and_open, protect_by_uffd, unprotect_by_uffd), 0, "%s", name);
    close(uffd);
    munmap((void *)at, PAGE);
}

/* ---- PAGEMAP_SCAN ---- */

struct scan {
    uint64_t size, flags, start, end, walk_end, vector, vector_length, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN _IOWR('f', 16, struct scan)
#define SCAN_WRITTEN 2
#define SCAN_PROTECTS 1

/* Was the page written to since the last time? */
static bool was_written(int pagemap)
{
    uint64_t region[3];
    struct scan scan = {.size = sizeof(scan),
                        .flags = SCAN_PROTECTS,
                        .start = (uintptr_t)at,
                        .end = (uintptr_t)at + PAGE,
                        .vector = (uintptr_t)region,
                        .vector_length = 1,
                        .category_mask = SCAN_WRITTEN,
                        .return_mask = SCAN_WRITTEN};

    return ioctl(pagemap, SCAN, &scan) != 0;
}

static void scan_beside_mprotect(void)
{
    const char *name = "PAGEMAP_SCAN beside mprotect: tells of each store since the last";
    int pagemap = NEED(open("/proc/self/pagemap", O_RDONLY));
    struct timespec since;
    unsigned before, after;
    long bad = 0;

    uffd = has_wp ? uffd_new(O_CLOEXEC | O_NONBLOCK, UFFD_FEATURE_WP_ASYNC) : -1;
    if (uffd < 0) {
        skip(name, "no asynchronous write protection by userfaultfd");
        close(pagemap);
        return;
    }
    at = anon(PAGE, RW);
    *at = 0;
    NEED(uffd_register(uffd, (void *)at, PAGE, WP));
    clock_gettime(CLOCK_MONOTONIC, &since);
    begin(close_and_open, write_on);
    while (!is_time_up(&since)) {
        (void)was_written(pagemap);
        before = *at;
        spin();
        after = *at;
        bad += !was_written(pagemap) && before != after;
        spin();
    }
    end(true);
    IS(bad, 0, "%s", name);
    close(uffd);
    close(pagemap);
    munmap((void *)at, PAGE);
}

/* ---- MADV_DONTNEED ---- */

static void two_drop(void)
{
    struct timespec since;
    long bad = 0;

    clock_gettime(CLOCK_MONOTONIC, &since);
    at = anon(PAGE, RW);
    begin(drop, NULL);
    for (unsigned round = 1; !is_time_up(&since); round++) {
        *at = round;
        NEED(madvise((void *)at, PAGE, MADV_DONTNEED));
        bad += *at != 0;
    }
    end(false);
    IS(bad, 0, "MADV_DONTNEED beside MADV_DONTNEED: zeros");
    munmap((void *)at, PAGE);
}

static void body(void)
{
    struct sigaction action = {.sa_handler = refuse, .sa_flags = SA_NODEFER};

    sigaction(SIGSEGV, &action, NULL);
    write_back(close_and_open, "write-back beside mprotect");
    write_back(move_and_back, "write-back beside mremap");
    write_back(map_again, "write-back beside mmap");
    write_back(drop, "write-back beside MADV_DONTNEED");
    two_protect();
    two_drop();
    close(uffd_new(O_CLOEXEC, 0)); /* sets has_wp */
    uffd_beside_mprotect();
    scan_beside_mprotect();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
