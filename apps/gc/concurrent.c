/*
 * The concurrent collector: Baker's algorithm by page protection, after Appel, Ellis and Li, "Real-time concurrent
 * collection on stock multiprocessors" (PLDI 1988).
 *
 *       mutators                                  collector thread
 *          |   roots forwarded: the flip              |
 *          |   (the world stops for this only)        |
 *          |  - - - - - - - - - - - - - - - - - - ->  |
 *          |                                          |  scans pages in order, through the second view,
 *          |  touches a closed page: trap             |  and opens them
 *          |    scans it, opens it, goes on           |
 *          |                                          |
 *          |  takes a page: if the collector is       |  none left: from-space is free
 *          |  late, scans some itself                 |
 *
 * The invariant: a mutator sees to-space pointers only. Its registers are forwarded at the flip; what it can load is on
 * open pages, and a page is opened when all on it has been forwarded. Pages of new objects are open from the beginning:
 * they can only get to-space pointers.
 *
 * One thread at a time scans, with collect_lock; a trap waits for at most BATCH pages of others. How late the collector
 * is follows from two shares: of the room for new objects that has been used since the flip, and of the pages expected
 * to be scanned that have been. A mutator that takes a page while the first is ahead of the second scans until it is
 * not, or HELP_PAGES have been: so the room lasts, and no stop is long. When all has been scanned, collect_lock is held
 * once more, while from-space becomes free; nobody waits for that who still finds a page.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap.h"
#include "stats.h"
#include "threads.h"
#include "trap.h"
#include "vm.h"

#define BATCH 8
#define BATCH_TIME 150000 /* ns; of instructions, where a nanosecond is one */
#define HELP_PAGES 6

static _Atomic bool active;                             /* a collection is under way */
static _Atomic bool freeing;                            /* nothing is left to scan; from-space becomes free */
static _Atomic int waiting;                             /* mutators that want collect_lock */
static pthread_cond_t begun = PTHREAD_COND_INITIALIZER; /* collect_lock */
static size_t expected;                                 /* pages to scan */
static size_t free_at_flip;
static pthread_t collector;

/* --- Scanning --- */

/* With collect_lock. Up to COUNT pages, opened in one call. False when there was none left: all has been forwarded. */
static bool scan_batch(size_t count, bool yielding)
{
    struct vm_range ranges[BATCH];
    size_t pages[BATCH], n = 0;
    uint64_t start = stats_now();

    while (n < count && n < BATCH && (!n || stats_now() - start < BATCH_TIME) &&
           !(yielding && n && atomic_load_explicit(&waiting, memory_order_relaxed))) {
        ptrdiff_t page = next_to_scan();
        if (page < 0)
            break;
        scan_page(page);
        pages[n] = page;
        ranges[n++] = (struct vm_range){page_address(page), PAGE_BYTES, FULL_ACCESS};
    }
    if (!n)
        return false;
    protect(ranges, n);
    for (size_t i = 0; i < n; i++) {
        heap.pages[pages[i]].prot = FULL_ACCESS;
        atomic_store_explicit(&heap.pages[pages[i]].state, OPEN, memory_order_release);
    }
    return true;
}

/* With collect_lock, when nothing is left to scan. */
static void end_cycle(void)
{
    size_t live = copier.copied_words / PAGE_WORDS + copier.kept_pages + 1;

    atomic_store(&freeing, true);
    copier_end();
    free_from_space();
    expected = live + live / 4;
    size_t room = heap.page_count / 16 > live / 2 ? heap.page_count / 16 : live / 2;
    size_t latest = heap.free_pages / 8 * 7;
    heap.trigger = expected + room < latest ? expected + room : latest;
    stats_collection();
    atomic_store(&active, false);
    atomic_store(&freeing, false);
}

static void *collect(void *argument)
{
    (void)argument;
    for (;;) {
        pthread_mutex_lock(&heap.collect_lock);
        while (!atomic_load(&active))
            pthread_cond_wait(&begun, &heap.collect_lock);
        if (!scan_batch(BATCH, true))
            end_cycle();
        pthread_mutex_unlock(&heap.collect_lock);
        do
            sched_yield();
        while (atomic_load_explicit(&waiting, memory_order_relaxed));
    }
    return NULL;
}

static void lock_as_mutator(void)
{
    atomic_fetch_add(&waiting, 1);
    pthread_mutex_lock(&heap.collect_lock);
    atomic_fetch_sub(&waiting, 1);
}

void concurrent_open_page(size_t page)
{
    if (atomic_load(&heap.pages[page].state) != UNSCANNED)
        return; /* somebody else was first */
    lock_as_mutator();
    if (atomic_load(&heap.pages[page].state) == UNSCANNED) {
        scan_page(page);
        heap.pages[page].prot = FULL_ACCESS;
        atomic_store_explicit(&heap.pages[page].state, OPEN, memory_order_release);
    }
    pthread_mutex_unlock(&heap.collect_lock);
}

/* --- Mutators --- */

/*
 * With collect_lock: how many pages a mutator that takes one should scan: none while the collector is ahead of the
 * share of the room that has been used; otherwise as many as must be scanned for each page that is left.
 */
static size_t quota(void)
{
    size_t queued = copier.queue_last - copier.queue_first, scanned = copier.scanned_pages;
    size_t left = scanned + queued > expected ? queued : expected - scanned;
    size_t used_by_copies = copier.copied_words / PAGE_WORDS;
    size_t copies = expected > used_by_copies ? expected - used_by_copies : 0;
    size_t room_left = heap.free_pages > copies ? heap.free_pages - copies : 1;
    size_t room = free_at_flip > expected ? free_at_flip - expected : 1;

    if (scanned >= expected || (room_left < room && scanned < expected / 8 * ((room - room_left) * 8 / room)))
        return left / room_left + 1 < HELP_PAGES ? left / room_left + 1 : HELP_PAGES;
    return 0;
}

/*
 * Who finds somebody else at it waits: with several mutators, those that went on would use up the room that the one who
 * scans, or a collector that has lost its hart, cannot make free in time.
 */
static void help(struct thread *thread)
{
    bool waits = pthread_mutex_trylock(&heap.collect_lock) != 0;
    uint64_t start = waits ? stats_now() : 0;
    size_t count;

    if (waits && atomic_load(&freeing)) {
        sched_yield(); /* the collector goes on for a part of it, also where there are more mutators than harts */
        stats_pause(thread, PAUSE_HELP, stats_now() - start);
        return;
    }
    if (waits)
        lock_as_mutator();
    count = atomic_load(&active) ? quota() : 0;
    if (count) {
        start = waits ? start : stats_now();
        scan_batch(count, false);
    }
    pthread_mutex_unlock(&heap.collect_lock);
    if (count || waits)
        stats_pause(thread, PAUSE_HELP, stats_now() - start);
}

bool concurrent_is_active(void) { return atomic_load(&active); }

void concurrent_finish(struct thread *thread)
{
    uint64_t start = stats_now();
    if (!atomic_load(&active))
        return;
    lock_as_mutator();
    if (atomic_load(&active)) {
        while (scan_batch(BATCH, false))
            ;
        end_cycle();
    }
    pthread_mutex_unlock(&heap.collect_lock);
    stats_pause(thread, PAUSE_FULL, stats_now() - start);
}

void concurrent_flip(void)
{
    pthread_mutex_lock(&heap.collect_lock);
    copier.prot = NO_ACCESS;
    collect_begin();
    free_at_flip = heap.free_pages;
    forward_roots();
    atomic_store(&active, true);
    pthread_mutex_unlock(&heap.collect_lock);
}

/* The collector may take this hart at once. */
void concurrent_wake(void) { pthread_cond_signal(&begun); }

static void flip(struct thread *thread)
{
    uint64_t start = stats_now();
    if (!world_stop(thread))
        return;
    concurrent_flip();
    world_start(thread);
    stats_pause(thread, PAUSE_FLIP, stats_now() - start);
    concurrent_wake();
}

void concurrent_help(struct thread *thread)
{
    help(thread);
    if (paranoia(thread))
        concurrent_finish(thread);
}

void concurrent_need(struct thread *thread)
{
    if (atomic_load(&active)) {
        concurrent_help(thread);
    } else if (paranoia(thread) || heap.free_pages <= heap.trigger + thread->wanted_pages) {
        flip(thread);
    }
}

void concurrent_fully(struct thread *thread)
{
    concurrent_finish(thread);
    flip(thread);
    concurrent_finish(thread);
}

void concurrent_open(void)
{
    /* Nothing is known yet of how much lives. */
    expected = heap.page_count * 3 / 8;
    heap.trigger = heap.page_count - expected;
    if (trap_open(concurrent_open_page) < 0 || pthread_create(&collector, NULL, collect, NULL)) {
        perror("gc: the collector");
        _exit(70);
    }
}
