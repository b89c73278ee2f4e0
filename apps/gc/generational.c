/*
 * The generational collector: objects begin in a nursery, and those that a minor collection finds alive are copied to
 * old pages, for good.
 *
 *     +-------------------+---------------------------------------------------------+
 *     | nursery           | old pages: space A or B, large objects, free pages      |
 *     +-------------------+---------------------------------------------------------+
 *       new objects          ^                        |
 *           |                |                        | which were written to since the last time?
 *           +--- survivors --+ <---- roots: threads, --+
 *                                    global variables
 *
 * A minor collection needs the old objects that point into the nursery. No code of the interpreter looks after that:
 * the pages that were written to since the last collection are found by
 *
 *     dirty     the hardware's notes in the page table, read and cleared by one call (vm_dirty)
 *     log       a record of first writes that the kernel makes without entering the program (vm_log)
 *     protect   protection: old pages are read-only, the first write to one is a trap that notes it and opens it
 *
 * and scanned from end to end. The collector writes through its own view, so what it does is not noted. A page that
 * mutators allocate outside the nursery, for a large object or when collections are held off, is written to by that,
 * and so found in the same way.
 *
 * When old pages run low, everything is copied from one space to the other by the concurrent collector (concurrent.c).
 * A minor collection empties the nursery, and in the same stop the spaces flip; while that cycle runs, new objects go
 * to old pages, so there is nothing young that an old one could refer to, and closed pages trap and are opened wholly.
 * When it has ended, one more short stop forgets which pages were written to, and the nursery is used again: `log` and
 * `protect` close to stores again what the cycle opened.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap.h"
#include "stats.h"
#include "threads.h"
#include "trap.h"
#include "vm.h"

static atomic_size_t nursery_next; /* changes with pages_lock, or with the world stopped */
static bool nursery_is_closed;     /* since a cycle began; changes with the world stopped */
static struct vm_log *log_of_writes;
static uint32_t *written; /* pages, for `protect` */
static _Atomic size_t written_count;

#define ARM_RANGES 64 /* at once */

static void *old_start(void) { return page_address(heap.nursery_pages); }
static size_t old_bytes(void) { return (heap.page_count - heap.nursery_pages) * PAGE_BYTES; }

/* --- Pages that were written to --- */

/* `protect`: a mutator touched a closed page: it is one that a cycle has not scanned, or it has been written to. */
static void open_or_note(size_t page)
{
    uint8_t state = OPEN;
    if (atomic_compare_exchange_strong(&heap.pages[page].state, &state, WRITTEN)) {
        heap.pages[page].prot = FULL_ACCESS;
        written[atomic_fetch_add(&written_count, 1)] = page;
    } else if (state == UNSCANNED) {
        concurrent_open_page(page);
    }
}

static void scan_if_old(size_t page)
{
    if (heap.pages[page].space == heap.to_space)
        scan_page(page);
}

static void scan_dirty(void)
{
    struct vm_range ranges[64];
    void *end = (char *)old_start() + old_bytes();

    for (void *at = old_start(); at != end;) {
        ssize_t n = vm_dirty(at, (char *)end - (char *)at, ranges, 64, VM_REARM, &at);
        for (ssize_t i = 0; i < n; i++)
            for (size_t j = 0; j < ranges[i].length / PAGE_BYTES; j++)
                scan_if_old(page_number((value)ranges[i].start) + j);
        if (n < 0)
            heap_exhausted();
    }
}

static void arm_log(const struct vm_range *ranges, size_t count)
{
    if (vm_log_rearm(log_of_writes, ranges, count) < 0) {
        perror("gc: the log of writes");
        _exit(70);
    }
}

static void scan_log(void)
{
    void *pages[64];
    struct vm_range ranges[64];

    for (ssize_t n; (n = vm_log_read(log_of_writes, pages, 64)) > 0;) {
        for (ssize_t i = 0; i < n; i++) {
            scan_if_old(page_number((value)pages[i]));
            ranges[i] = (struct vm_range){pages[i], PAGE_BYTES, 0};
        }
        arm_log(ranges, n);
    }
}

static void scan_written(void)
{
    size_t count = atomic_load(&written_count);

    for (size_t i = 0; i < count;) {
        struct vm_range ranges[64];
        size_t n = 0;
        for (; i < count && n < 64; i++) {
            struct page *page = &heap.pages[written[i]];
            scan_if_old(written[i]);
            atomic_store(&page->state, OPEN);
            if (page->space == heap.to_space) {
                page->prot = READ_ONLY;
                ranges[n++] = (struct vm_range){page_address(written[i]), PAGE_BYTES, READ_ONLY};
            }
        }
        protect(ranges, n);
    }
    atomic_store(&written_count, 0);
}

static void scan_remembered(void)
{
    /* Kept by a collection that had no room for copies. */
    for (size_t i = 0; i < heap.nursery_pages; i++)
        scan_if_old(i);
    switch (heap.barrier) {
    case BARRIER_DIRTY:
        scan_dirty();
        break;
    case BARRIER_LOG:
        scan_log();
        break;
    case BARRIER_PROTECT:
        scan_written();
        break;
    }
}

/* --- Forgetting them: nothing is young, so nothing that was written refers to it. The world is stopped --- */

static void forget_dirty(void)
{
    struct vm_range ranges[64];
    void *end = (char *)old_start() + old_bytes();

    for (void *at = old_start(); at != end;)
        if (vm_dirty(at, (char *)end - (char *)at, ranges, 64, VM_REARM, &at) < 0)
            heap_exhausted();
}

/* Runs of old pages that mutators may store to; free ones, too, where FREE_TOO. Each is handed to ARM, many at a time.
 */
static void each_writable_run(bool free_too, void (*arm)(const struct vm_range *ranges, size_t count))
{
    struct vm_range ranges[ARM_RANGES];
    size_t n = 0;

    for (size_t i = heap.nursery_pages, end; i < heap.page_count; i = end + 1) {
        for (end = i; end < heap.page_count && heap.pages[end].prot == FULL_ACCESS &&
                      (free_too || heap.pages[end].space == heap.to_space);
             end++)
            ;
        if (end == i)
            continue;
        ranges[n++] = (struct vm_range){page_address(i), (end - i) * PAGE_BYTES, READ_ONLY};
        if (n == ARM_RANGES) {
            arm(ranges, n);
            n = 0;
        }
    }
    arm(ranges, n);
}

static void forget_log(void)
{
    void *pages[64];

    while (vm_log_read(log_of_writes, pages, 64) > 0)
        ;
    each_writable_run(true, arm_log);
}

static void close_to_writes(const struct vm_range *ranges, size_t count)
{
    protect(ranges, count);
    for (size_t i = 0; i < count; i++) {
        size_t first = page_number((value)ranges[i].start);
        for (size_t j = first; j < first + ranges[i].length / PAGE_BYTES; j++) {
            heap.pages[j].prot = READ_ONLY;
            atomic_store_explicit(&heap.pages[j].state, OPEN, memory_order_relaxed);
        }
    }
}

static void forget_writes(void)
{
    switch (heap.barrier) {
    case BARRIER_DIRTY:
        forget_dirty();
        break;
    case BARRIER_LOG:
        forget_log();
        break;
    case BARRIER_PROTECT:
        each_writable_run(false, close_to_writes);
        atomic_store(&written_count, 0);
        break;
    }
}

/* --- Collections, the world stopped --- */

static void retire_all(void)
{
    for (struct thread *t = all_threads; t; t = t->next_thread)
        retire_chunk(t);
}

static void minor(struct thread *thread)
{
    uint64_t begun = stats_now();
    pthread_mutex_lock(&heap.collect_lock); /* after what the collector's thread did last */
    retire_all();
    copier_reset();
    copier.prot = heap.barrier == BARRIER_PROTECT ? READ_ONLY : FULL_ACCESS;
    scan_remembered();
    forward_roots();
    scan_all();
    copier_end();
    nursery_next = 0;
    stats_collection();
    pthread_mutex_unlock(&heap.collect_lock);
    stats_pause(thread, PAUSE_MINOR, stats_now() - begun);
}

/* The first of up to CHUNK_PAGES pages of the nursery, or -1. */
static ptrdiff_t take_nursery(size_t *count)
{
    pthread_mutex_lock(&heap.pages_lock);
    while (nursery_next < heap.nursery_pages && heap.pages[nursery_next].space != NURSERY)
        nursery_next++; /* kept by a collection that had no room for copies */
    ptrdiff_t first = nursery_next;
    while (nursery_next < heap.nursery_pages && heap.pages[nursery_next].space == NURSERY &&
           nursery_next - first < CHUNK_PAGES)
        nursery_next++;
    *count = nursery_next - first;
    pthread_mutex_unlock(&heap.pages_lock);
    return *count ? first : -1;
}

/* The beginning of a full collection. */
static void begin_major(struct thread *thread)
{
    uint64_t begun = stats_now();
    minor(thread);
    concurrent_flip();
    nursery_is_closed = true;
    stats_pause(thread, PAUSE_FLIP, stats_now() - begun);
}

ptrdiff_t generational_chunk(struct thread *thread, size_t *count)
{
    (void)thread;
    ptrdiff_t first = nursery_is_closed ? -1 : take_nursery(count);
    return first >= 0 ? first : take_chunk(count, heap.to_space, generational_prot());
}

/* With `protect`, what is written to a new page is noted as any write; but while nothing is young. */
int generational_prot(void) { return heap.barrier == BARRIER_PROTECT && !nursery_is_closed ? READ_ONLY : FULL_ACCESS; }

/* They had no access, and have all: the log is to have their first stores. */
void generational_opened(size_t first, size_t count)
{
    size_t from = first > heap.nursery_pages ? first : heap.nursery_pages, end = first + count;
    struct vm_range range = {page_address(from), (end - from) * PAGE_BYTES, 0};

    if (heap.barrier == BARRIER_LOG && !nursery_is_closed && from < end)
        arm_log(&range, 1);
}

/* For tests: each fourth collection is a full one. */
static bool paranoid_major(void)
{
    static _Atomic unsigned turn;

    return heap.paranoid && atomic_fetch_add(&turn, 1) % 4 == 3;
}

/* The cycle has ended. */
static void open_nursery(struct thread *thread)
{
    uint64_t begun = stats_now();
    if (!world_stop(thread))
        return;
    if (nursery_is_closed && !concurrent_is_active()) {
        retire_all();
        forget_writes();
        nursery_is_closed = false;
    }
    world_start(thread);
    stats_pause(thread, PAUSE_FLIP, stats_now() - begun);
}

void generational_need(struct thread *thread)
{
    if (concurrent_is_active()) {
        concurrent_help(thread);
        return;
    }
    if (nursery_is_closed) {
        open_nursery(thread);
        return;
    }
    bool old_is_low = heap.free_pages <= heap.trigger + heap.nursery_pages + thread->wanted_pages;
    bool nursery_is_full = !thread->chunk_pages && nursery_next >= heap.nursery_pages;

    if (!nursery_is_full && !paranoia(thread) && !(thread->wanted_pages && old_is_low))
        return;
    if (!world_stop(thread))
        return;
    if (concurrent_is_active())
        ; /* another mutator was first */
    else if (old_is_low || paranoid_major())
        begin_major(thread);
    else
        minor(thread);
    world_start(thread);
    concurrent_wake();
}

void generational_fully(struct thread *thread)
{
    concurrent_finish(thread);
    if (!world_stop(thread))
        return;
    if (!concurrent_is_active())
        begin_major(thread);
    world_start(thread);
    concurrent_finish(thread);
}

void generational_open(void)
{
    int failed = 0;

    if (heap.nursery_pages > heap.page_count / 4)
        heap.nursery_pages = heap.page_count / 4;
    heap.nursery_pages = (heap.nursery_pages + CHUNK_PAGES - 1) / CHUNK_PAGES * CHUNK_PAGES;
    for (size_t i = 0; i < heap.nursery_pages; i++)
        heap.pages[i].space = NURSERY;
    for (size_t i = 0; i < heap.nursery_pages / CHUNK_PAGES; i++)
        heap.chunk_free[i] = 0;
    heap.free_pages -= heap.nursery_pages;
    concurrent_open();
    switch (heap.barrier) {
    case BARRIER_DIRTY:
        failed = vm_track(old_start(), old_bytes());
        break;
    case BARRIER_LOG:
        log_of_writes = vm_log_open(old_start(), old_bytes(), old_bytes() / PAGE_BYTES);
        failed = !log_of_writes;
        break;
    case BARRIER_PROTECT:
        written = malloc(heap.page_count * sizeof(*written));
        failed = !written || trap_open(open_or_note);
        break;
    }
    if (failed) {
        perror("gc: the write barrier");
        _exit(70);
    }
}
