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
 * When old pages run low, everything is copied from one space to the other: with `dirty` by the concurrent collector
 * (concurrent.c). A minor collection empties the nursery, and in the same stop the spaces flip; while that cycle runs,
 * new objects go to old pages, so there is nothing young that an old one could refer to, and closed pages trap. When it
 * has ended, one more short stop forgets which pages were written to, and the nursery is used again. With `log` and
 * `protect`, which want the pages' protection for themselves, all of it is one stop.
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

static void *old_start(void) { return page_address(heap.nursery_pages); }
static size_t old_bytes(void) { return (heap.page_count - heap.nursery_pages) * PAGE_BYTES; }

/* --- Pages that were written to --- */

static void note_write(size_t page)
{
    uint8_t clean = OPEN;
    if (atomic_compare_exchange_strong(&heap.pages[page].state, &clean, UNSCANNED))
        written[atomic_fetch_add(&written_count, 1)] = page;
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

/* Nothing is young, so nothing that was written refers to it. */
static void forget_writes(void)
{
    struct vm_range ranges[64];
    void *end = (char *)old_start() + old_bytes();

    for (void *at = old_start(); at != end;)
        if (vm_dirty(at, (char *)end - (char *)at, ranges, 64, VM_REARM, &at) < 0)
            heap_exhausted();
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
        vm_log_rearm(log_of_writes, ranges, n);
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
                page->closed = true;
                ranges[n++] = (struct vm_range){page_address(written[i]), PAGE_BYTES, PROT_READ};
            }
        }
        if (n)
            vm_protect_ranges(ranges, n);
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
    scan_remembered();
    forward_roots();
    scan_all();
    copier_end();
    nursery_next = 0;
    stats_collection();
    pthread_mutex_unlock(&heap.collect_lock);
    stats_pause(thread, PAUSE_MINOR, stats_now() - begun);
}

/* A full collection, in one stop. */
static void major(struct thread *thread)
{
    uint64_t begun = stats_now();
    collect_begin();
    forward_roots();
    scan_all();
    copier_end();
    free_from_space();
    nursery_next = 0;
    scan_remembered(); /* all that it finds is settled; this makes it clean */
    set_trigger_of_semispaces(thread);
    stats_collection();
    stats_pause(thread, PAUSE_FULL, stats_now() - begun);
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

static bool is_major_concurrent(void) { return heap.barrier == BARRIER_DIRTY; }

/* The beginning of a full collection; or all of it. */
static void begin_major(struct thread *thread)
{
    uint64_t begun = stats_now();
    if (!is_major_concurrent()) {
        major(thread);
        return;
    }
    minor(thread);
    concurrent_flip();
    nursery_is_closed = true;
    stats_pause(thread, PAUSE_FLIP, stats_now() - begun);
}

ptrdiff_t generational_chunk(struct thread *thread, size_t *count)
{
    (void)thread;
    ptrdiff_t first = nursery_is_closed ? -1 : take_nursery(count);
    return first >= 0 ? first : take_chunk(count, heap.to_space, heap.barrier == BARRIER_PROTECT);
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
    switch (heap.barrier) {
    case BARRIER_DIRTY:
        concurrent_open();
        failed = vm_track(old_start(), old_bytes());
        break;
    case BARRIER_LOG:
        log_of_writes = vm_log_open(old_start(), old_bytes(), old_bytes() / PAGE_BYTES);
        failed = !log_of_writes;
        break;
    case BARRIER_PROTECT:
        heap.closed_prot = PROT_READ;
        copier.closes = true;
        written = malloc(heap.page_count * sizeof(*written));
        failed = !written || trap_open(note_write);
        break;
    }
    if (failed) {
        perror("gc: the write barrier");
        _exit(70);
    }
}
