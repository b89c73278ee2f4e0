/*
 * Page protection and traps: what Appel & Li's primitives cost through mprotect, SIGSEGV, userfaultfd and pagemap.
 */
#ifndef BENCH_TRAPS_H
#define BENCH_TRAPS_H

#include "measure.h"

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <ucontext.h>

#define POOL 100 /* pages, as in Appel & Li's benchmark */

static char *pool;
static int pool_order[POOL];
static char *pool_pages[POOL]; /* in that order */
static char *previous_page;
static int trapped_pages;

static void on_segv(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

    sigaction(SIGSEGV, &action, NULL);
}

static char *page_of(siginfo_t *info) { return (char *)((uintptr_t)info->si_addr & -PAGE); }

static void step_over(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)info;
    ((ucontext_t *)context)->uc_mcontext.__gregs[REG_PC] += 4; /* the faulting instructions below are not compressed */
}

static void open_page(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)context;
    trapped_pages++;
    mprotect(page_of(info), PAGE, RW);
}

static void close_previous_open_this(int signo, siginfo_t *info, void *context)
{
    char *page = page_of(info);

    (void)signo, (void)context;
    mprotect(previous_page, PAGE, PROT_NONE);
    mprotect(page, PAGE, RW);
    previous_page = page;
}

static void new_pool(void)
{
    enum { ROOM = 128 }; /* aligned to that, the pool has one page table, wherever it lies */
    char *room = map_small(2 * ROOM, RW);

    pool = (char *)(((uintptr_t)room + ROOM * PAGE - 1) & -(ROOM * PAGE));
    if (pool != room)
        unmap_pages(room, (size_t)(pool - room) / PAGE);
    unmap_pages(pool + POOL * PAGE, 2 * ROOM - POOL - (size_t)(pool - room) / PAGE);
    store_all(pool, POOL);
    shuffle(pool_order, POOL);
    for (int i = 0; i < POOL; i++)
        pool_pages[i] = pool + pool_order[i] * PAGE;
}

static void drop_pool(void)
{
    unmap_pages(pool, POOL);
    signal(SIGSEGV, SIG_DFL);
}

static void load_pool(void)
{
    for (int i = 0; i < POOL; i++)
        (void)*(volatile char *)pool_pages[i];
}

static double trap_by(int write)
{
    char *at = map_pages(1, write ? PROT_READ : PROT_NONE);
    double result;

    on_segv(step_over);
    if (write)
        (void)*(volatile char *)at;
    result = TIMES(9, 200, {
        if (write)
            __asm__ volatile(".option push\n.option norvc\nsb zero, 0(%0)\n.option pop" ::"r"(at) : "memory");
        else
            __asm__ volatile(".option push\n.option norvc\nlb t0, 0(%0)\n.option pop" ::"r"(at) : "t0", "memory");
    });
    signal(SIGSEGV, SIG_DFL);
    unmap_pages(at, 1);
    return result;
}

MEASURE(trap_only, "trap", "load from a no-access page, handler steps over it, sigreturn") { return trap_by(0); }

MEASURE(trap_only_write, "trap", "the same, a store to a read-only page") { return trap_by(1); }

MEASURE(trap_unprot1, "trap", "load from a no-access page, handler opens it, load retried")
{
    double result;

    new_pool();
    on_segv(open_page);
    result = REPEAT(15, POOL, mprotect(pool, POOL * PAGE, PROT_NONE), load_pool(), {});
    drop_pool();
    return result;
}

/* 200 one-page mappings with nothing beside them, in random order. */
static double protect_lone_pages(int opening)
{
    enum { PAGES = 200 };
    char *at = map_small(PAGES * 2, RW);
    int order[PAGES], from = opening ? PROT_READ : RW, to = opening ? RW : PROT_READ;
    double result;

    store_all(at, PAGES * 2);
    for (int i = 0; i < PAGES; i++)
        unmap_pages(at + (2 * i + 1) * PAGE, 1);
    shuffle(order, PAGES);
    for (int i = 0; i < PAGES; i++)
        mprotect(at + 2 * i * PAGE, PAGE, from);
    result = REPEAT(
        9, PAGES, {},
        {
            for (int i = 0; i < PAGES; i++)
                mprotect(at + 2 * order[i] * PAGE, PAGE, to);
        },
        {
            for (int i = 0; i < PAGES; i++)
                mprotect(at + 2 * order[i] * PAGE, PAGE, from);
        });
    unmap_pages(at, PAGES * 2);
    return result;
}

MEASURE(prot1, "op", "mprotect a one-page mapping RW->R") { return protect_lone_pages(0); }

MEASURE(unprot1, "op", "mprotect a one-page mapping R->RW") { return protect_lone_pages(1); }

/* Every other page amid one mapping, in random order. */
static double protect_amid(int opening)
{
    enum { PAGES = 50 };
    char *at = map_small(PAGES * 2 + 1, RW);
    int order[PAGES];
    double result;

    store_all(at, PAGES * 2 + 1);
    shuffle(order, PAGES);
#define PROTECT_EACH(protection)    \
    for (int i = 0; i < PAGES; i++) \
    mprotect(at + (2 * order[i] + 1) * PAGE, PAGE, protection)
    if (opening)
        result = REPEAT(9, PAGES, PROTECT_EACH(PROT_READ), PROTECT_EACH(RW), {});
    else
        result = REPEAT(9, PAGES, {}, PROTECT_EACH(PROT_READ), PROTECT_EACH(RW));
#undef PROTECT_EACH
    unmap_pages(at, PAGES * 2 + 1);
    return result;
}

MEASURE(prot1_split, "op", "mprotect one page amid a mapping RW->R, random order") { return protect_amid(0); }

MEASURE(unprot1_merge, "op", "and back R->RW") { return protect_amid(1); }

static void protect_each(char **ranges, int count, int protection)
{
    for (int i = 0; i < count; i++)
        mprotect(ranges[i], POOL * PAGE, protection);
}

/* 20 ranges at a time, so that the clock's tick does not matter. */
static double protect_ranges(int opening)
{
    enum { RANGES = 20 };
    char *ranges[RANGES];
    double result;

    for (int i = 0; i < RANGES; i++) {
        char *at = map_small(POOL + 2, RW);

        unmap_pages(at, 1);
        unmap_pages(at + (POOL + 1) * PAGE, 1);
        ranges[i] = at + PAGE;
        store_all(ranges[i], POOL);
    }
    if (opening)
        result = REPEAT(9, RANGES, protect_each(ranges, RANGES, PROT_READ), protect_each(ranges, RANGES, RW), {});
    else
        result = REPEAT(9, RANGES, {}, protect_each(ranges, RANGES, PROT_READ), protect_each(ranges, RANGES, RW));
    for (int i = 0; i < RANGES; i++)
        unmap_pages(ranges[i], POOL);
    return result;
}

MEASURE(prot100, "op", "mprotect 100 touched pages RW->R in one call") { return protect_ranges(0); }

MEASURE(unprot100, "op", "and back R->RW") { return protect_ranges(1); }

MEASURE(appel1, "trap", "Appel & Li prot1 + trap + unprot, random page of 100")
{
    double result;

    new_pool();
    mprotect(pool, POOL * PAGE, PROT_NONE);
    previous_page = pool + pool_order[POOL - 1] * PAGE;
    mprotect(previous_page, PAGE, RW);
    on_segv(close_previous_open_this);
    result = REPEAT(15, POOL, {}, load_pool(), {});
    drop_pool();
    return result;
}

MEASURE(appel2, "page", "Appel & Li prot100 + 100 x (trap + unprot), per page")
{
    double result;

    new_pool();
    on_segv(open_page);
    result = REPEAT(15, POOL, {},
                    {
                        mprotect(pool, POOL * PAGE, PROT_NONE);
                        load_pool();
                    },
                    {});
    drop_pool();
    return result;
}

/* ---- Which of 100 pages were written, 10 of them being so ---- */

static void write_ten(void)
{
    for (int i = 0; i < 10; i++)
        *(volatile char *)(pool + pool_order[i * 10] * PAGE) = 1;
}

MEASURE(dirty_mprotect, "round", "protect 100, 10 written, found by trap")
{
    double result;

    new_pool();
    on_segv(open_page);
    result = REPEAT(15, 10, {},
                    {
                        for (int turn = 0; turn < 10; turn++) {
                            mprotect(pool, POOL * PAGE, PROT_READ);
                            write_ten();
                        }
                    },
                    {});
    drop_pool();
    return result;
}

static int soft_dirty_round(int clear, int pagemap)
{
    uint64_t entries[POOL];
    int dirty = 0;

    must(pwrite(clear, "4", 1, 0) == 1, "clear_refs");
    write_ten();
    must(pread(pagemap, entries, sizeof(entries), (off_t)((uintptr_t)pool / PAGE * 8)) == sizeof(entries), "pagemap");
    for (int i = 0; i < POOL; i++)
        dirty += entries[i] >> 55 & 1;
    return dirty;
}

MEASURE(dirty_softdirty, "round", "clear_refs, 10 of 100 written, pagemap")
{
    int clear = open("/proc/self/clear_refs", O_WRONLY), pagemap = open("/proc/self/pagemap", O_RDONLY);
    double result = NONE;

    if (clear >= 0 && pagemap >= 0 && pwrite(clear, "4", 1, 0) == 1) {
        new_pool();
        if (soft_dirty_round(clear, pagemap) == 10)
            result = TIMES(9, 20, soft_dirty_round(clear, pagemap));
        drop_pool();
    }
    close(clear);
    close(pagemap);
    return result;
}

/* ---- userfaultfd ---- */

static int uffd_open(uint64_t features, uint64_t mode, char *at, size_t pages)
{
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    struct uffdio_register range = {.range = {(uintptr_t)at, pages * PAGE}, .mode = mode};
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

    if (fd < 0)
        return -1;
    if (ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &range) == 0)
        return fd;
    close(fd);
    return -1;
}

#define UFFD_PAGES 500

static int uffd;
static char *uffd_range;
static char uffd_source[PAGE] __attribute__((aligned(4096))) = {1};

static void uffd_give(uintptr_t address)
{
    struct uffdio_copy copy = {.dst = address & -PAGE, .src = (uintptr_t)uffd_source, .len = PAGE};

    ioctl(uffd, UFFDIO_COPY, &copy);
}

static void *uffd_serve(void *unused)
{
    struct uffd_msg message;

    while (read(uffd, &message, sizeof(message)) == sizeof(message) &&
           message.arg.pagefault.address != (uintptr_t)uffd_range)
        uffd_give(message.arg.pagefault.address);
    uffd_give((uintptr_t)uffd_range); /* the first page ends the service */
    return unused;
}

static void uffd_on_sigbus(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)context;
    uffd_give((uintptr_t)info->si_addr);
}

static double uffd_faults(void)
{
    return REPEAT(7, UFFD_PAGES - 1, madvise(uffd_range, UFFD_PAGES * PAGE, MADV_DONTNEED),
                  load_all(uffd_range + PAGE, UFFD_PAGES - 1), {});
}

MEASURE(uffd_missing, "fault", "missing page given by UFFDIO_COPY from a second thread")
{
    double result = NONE;
    pthread_t thread;

    uffd_range = map_small(UFFD_PAGES, RW);
    uffd = uffd_open(0, UFFDIO_REGISTER_MODE_MISSING, uffd_range, UFFD_PAGES);
    if (uffd >= 0) {
        pthread_create(&thread, NULL, uffd_serve, NULL);
        result = uffd_faults();
        load_all(uffd_range, 1);
        pthread_join(thread, NULL);
        close(uffd);
    }
    unmap_pages(uffd_range, UFFD_PAGES);
    return result;
}

MEASURE(uffd_missing_sigbus, "fault", "missing page given by UFFDIO_COPY in a SIGBUS handler")
{
    struct sigaction action = {.sa_sigaction = uffd_on_sigbus, .sa_flags = SA_SIGINFO};
    double result = NONE;

    uffd_range = map_small(UFFD_PAGES, RW);
    uffd = uffd_open(UFFD_FEATURE_SIGBUS, UFFDIO_REGISTER_MODE_MISSING, uffd_range, UFFD_PAGES);
    if (uffd >= 0) {
        sigaction(SIGBUS, &action, NULL);
        result = uffd_faults();
        signal(SIGBUS, SIG_DFL);
        close(uffd);
    }
    unmap_pages(uffd_range, UFFD_PAGES);
    return result;
}

static void uffd_protect(uintptr_t at, size_t pages, int on)
{
    struct uffdio_writeprotect range = {.range = {at, pages * PAGE}, .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0};

    must(ioctl(uffd, UFFDIO_WRITEPROTECT, &range) == 0, "UFFDIO_WRITEPROTECT");
}

static void *uffd_release(void *unused)
{
    struct uffd_msg message;

    while (read(uffd, &message, sizeof(message)) == sizeof(message)) {
        uffd_protect(message.arg.pagefault.address & -PAGE, 1, 0);
        if (message.arg.pagefault.address == (uintptr_t)uffd_range)
            break;
    }
    return unused;
}

MEASURE(uffd_wp, "fault", "write-protect fault released by a second thread")
{
    double result = NONE;
    pthread_t thread;

    uffd_range = map_small(UFFD_PAGES, RW);
    store_all(uffd_range, UFFD_PAGES);
    uffd = uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP, UFFDIO_REGISTER_MODE_WP, uffd_range, UFFD_PAGES);
    if (uffd >= 0) {
        pthread_create(&thread, NULL, uffd_release, NULL);
        result = REPEAT(7, UFFD_PAGES - 1, uffd_protect((uintptr_t)uffd_range, UFFD_PAGES, 1),
                        store_all(uffd_range + PAGE, UFFD_PAGES - 1), {});
        store_all(uffd_range, 1);
        pthread_join(thread, NULL);
        close(uffd);
    }
    unmap_pages(uffd_range, UFFD_PAGES);
    return result;
}

/* ---- PAGEMAP_SCAN, younger than some headers ---- */

struct scan_region {
    uint64_t start, end, categories;
};

struct scan_argument {
    uint64_t size, flags, start, end, walk_end, vector, vector_length, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_REQUEST _IOWR('f', 16, struct scan_argument)
#define SCAN_IS_WRITTEN 2
#define SCAN_WP_MATCHING 1
#define SCAN_CHECK_WPASYNC 2
#define UFFD_WP_ASYNC (1 << 15)

static long scan_pool(int pagemap)
{
    static struct scan_region regions[POOL];
    struct scan_argument argument = {.size = sizeof(argument),
                                     .flags = SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC,
                                     .start = (uintptr_t)pool,
                                     .end = (uintptr_t)pool + POOL * PAGE,
                                     .vector = (uintptr_t)regions,
                                     .vector_length = POOL,
                                     .category_mask = SCAN_IS_WRITTEN,
                                     .return_mask = SCAN_IS_WRITTEN};

    return ioctl(pagemap, SCAN_REQUEST, &argument);
}

MEASURE(dirty_pagemap_scan, "round", "10 of 100 written, PAGEMAP_SCAN get-and-rearm")
{
    int pagemap = open("/proc/self/pagemap", O_RDONLY);
    double result = NONE;

    new_pool();
    uffd = uffd_open(UFFD_WP_ASYNC, UFFDIO_REGISTER_MODE_WP, pool, POOL);
    if (pagemap >= 0 && uffd >= 0 && scan_pool(pagemap) >= 0)
        result = TIMES(9, 20, {
            write_ten();
            scan_pool(pagemap);
        });
    close(uffd);
    close(pagemap);
    drop_pool();
    return result;
}

#endif
