/*
 * Pages and what mutators take from them.
 *
 * A mutator takes CHUNK_PAGES pages at a time and fills them one after another. Objects that do not fit into the rest
 * of a page go to the next; a zero word marks where a page's objects end. Chunks are aligned, and chunk_free counts the
 * free pages of each, so a whole free one is found quickly; large objects are placed from the other end of the heap.
 */
#include "heap.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stats.h"
#include "threads.h"
#include "vm.h"

struct heap heap = {.collect_lock = PTHREAD_MUTEX_INITIALIZER, .pages_lock = PTHREAD_MUTEX_INITIALIZER};

static size_t chunk_hint, large_hint;

int heap_open(enum collector collector, size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES / CHUNK_PAGES * CHUNK_PAGES;
    void *base, *view;

    if (vm_page_size() != PAGE_BYTES) {
        errno = ENOTSUP;
        return -1;
    }
    if (vm_map2(pages * PAGE_BYTES, PROT_READ | PROT_WRITE, &base, PROT_READ | PROT_WRITE, &view) < 0)
        return -1;
    heap.collector = collector;
    heap.base = base;
    heap.view = view;
    heap.page_count = heap.free_pages = pages;
    heap.pages = calloc(pages, sizeof(*heap.pages));
    heap.chunk_free = malloc(pages / CHUNK_PAGES);
    heap.chunk_touched = calloc(pages / CHUNK_PAGES, 1);
    copier.queue = malloc(pages * sizeof(*copier.queue));
    if (!heap.pages || !heap.chunk_free || !heap.chunk_touched || !copier.queue)
        return -1;
    memset(heap.chunk_free, CHUNK_PAGES, pages / CHUNK_PAGES);
    heap.to_space = SPACE_A;
    large_hint = pages;
    heap.trigger = pages / 2;
    for (size_t i = 0; i < pages; i++)
        heap.pages[i].prot = FULL_ACCESS;
    if (collector != GENERATIONAL)
        heap.nursery_pages = 0;
    if (collector == CONCURRENT)
        concurrent_open();
    if (collector == GENERATIONAL)
        generational_open();
    return 0;
}

void heap_exhausted(void)
{
    fprintf(stderr, "gc: the heap of %zu MiB is full: see --heap\n", heap.page_count * PAGE_BYTES >> 20);
    fflush(NULL);
    _exit(70);
}

size_t heap_used(void) { return heap.page_count - heap.free_pages; }

/* --- Pages --- */

void protect(const struct vm_range *ranges, size_t count)
{
    if (vm_protect_ranges(ranges, count) == 0)
        return;
    /* On Linux each run of pages with a protection of its own is a mapping, and there is a most. */
    perror(errno == ENOMEM ? "gc: protecting pages (see vm.max_map_count)" : "gc: protecting pages");
    _exit(70);
}

static void set_prot(size_t first, size_t count, int prot)
{
    for (size_t i = first; i < first + count;) {
        size_t same = i;
        while (same < first + count && heap.pages[same].prot == prot)
            same++;
        size_t other = same;
        while (other < first + count && heap.pages[other].prot != prot)
            heap.pages[other++].prot = prot;
        if (other > same) {
            struct vm_range range = {page_address(same), (other - same) * PAGE_BYTES, prot};
            protect(&range, 1);
            if (heap.collector == GENERATIONAL && prot == FULL_ACCESS)
                generational_opened(same, other - same);
        }
        i = other;
    }
}

/*
 * Gives a chunk its memory at its first use, in both views at once: otherwise every page would cost two more faults,
 * many of them within a stop. It is only a hint; errors do not matter. Old pages of the generational collector are not
 * made writable in the mutators' view: that would count as written to.
 */
static void touch(size_t chunk)
{
    if (heap.chunk_touched[chunk])
        return;
    heap.chunk_touched[chunk] = true;
    size_t offset = chunk * CHUNK_PAGES * PAGE_BYTES;
    madvise(heap.view + offset, CHUNK_PAGES * PAGE_BYTES, MADV_POPULATE_WRITE);
    madvise(heap.base + offset, CHUNK_PAGES * PAGE_BYTES,
            heap.collector == GENERATIONAL ? MADV_POPULATE_READ : MADV_POPULATE_WRITE);
}

static void claim(size_t first, size_t count, uint8_t space)
{
    for (size_t i = first; i < first + count; i++) {
        heap.pages[i].space = space;
        heap.pages[i].kind = SMALL;
        heap.chunk_free[i / CHUNK_PAGES]--;
        touch(i / CHUNK_PAGES);
    }
    heap.free_pages -= count;
}

static bool is_free(size_t page) { return heap.pages[page].space == FREE; }

/* The first of up to CHUNK_PAGES free pages in a row, their number in *COUNT; or -1. */
static ptrdiff_t find_chunk(size_t *count)
{
    size_t chunks = heap.page_count / CHUNK_PAGES;

    for (size_t least = CHUNK_PAGES; least > 0; least = least == CHUNK_PAGES ? 1 : 0) {
        for (size_t i = 0; i < chunks; i++) {
            size_t chunk = (chunk_hint + i) % chunks;
            if (heap.chunk_free[chunk] < least)
                continue;
            chunk_hint = chunk;
            size_t first = chunk * CHUNK_PAGES, end = first + CHUNK_PAGES;
            while (!is_free(first))
                first++;
            *count = 1;
            while (first + *count < end && is_free(first + *count))
                ++*count;
            return first;
        }
    }
    return -1;
}

/* COUNT free pages in a row, from the end of the heap; or -1. */
static ptrdiff_t find_run(size_t count)
{
    for (int pass = 0; pass < 2; pass++) {
        size_t free = 0;
        for (size_t i = large_hint; i-- > 0;) {
            if (!heap.chunk_free[i / CHUNK_PAGES]) {
                i = i / CHUNK_PAGES * CHUNK_PAGES;
                free = 0;
                continue;
            }
            free = is_free(i) ? free + 1 : 0;
            if (free == count) {
                large_hint = i;
                return i;
            }
        }
        large_hint = heap.page_count;
    }
    return -1;
}

ptrdiff_t take_pages(size_t count, uint8_t space, int prot)
{
    pthread_mutex_lock(&heap.pages_lock);
    ptrdiff_t first = find_run(count);
    if (first >= 0) {
        claim(first, count, space);
        set_prot(first, count, prot);
    }
    pthread_mutex_unlock(&heap.pages_lock);
    return first;
}

ptrdiff_t take_chunk(size_t *count, uint8_t space, int prot)
{
    pthread_mutex_lock(&heap.pages_lock);
    ptrdiff_t first = find_chunk(count);
    if (first >= 0) {
        claim(first, *count, space);
        set_prot(first, *count, prot);
    }
    pthread_mutex_unlock(&heap.pages_lock);
    return first;
}

void give_back(size_t first, size_t end)
{
    pthread_mutex_lock(&heap.pages_lock);
    for (size_t i = first; i < end; i++) {
        heap.pages[i].space = FREE;
        heap.chunk_free[i / CHUNK_PAGES]++;
        heap.free_pages++;
    }
    pthread_mutex_unlock(&heap.pages_lock);
}

void free_from_space(void)
{
    const size_t step = 4096;
    uint8_t from = heap.to_space ^ SPACE_A ^ SPACE_B;

    for (size_t first = 0; first < heap.page_count; first += step) {
        size_t freed = 0;
        pthread_mutex_lock(&heap.pages_lock);
        for (size_t i = first; i < first + step && i < heap.page_count; i++) {
            if (heap.pages[i].space == from) {
                heap.pages[i].space = FREE;
                heap.chunk_free[i / CHUNK_PAGES]++;
                freed++;
                if (heap.paranoid)
                    set_prot(i, 1, NO_ACCESS);
            }
        }
        heap.free_pages += freed;
        pthread_mutex_unlock(&heap.pages_lock);
        if (heap.collector != STOP)
            sched_yield();
    }
}

/* --- What mutators take --- */

static void retire_page(struct thread *thread)
{
    if (thread->next < thread->end)
        *thread->next = 0;
    thread->next = thread->end = NULL;
}

void retire_chunk(struct thread *thread)
{
    retire_page(thread);
    /* What was not used has no objects, whatever is still written there. */
    for (; thread->chunk_pages; thread->chunk_pages--, thread->chunk += PAGE_BYTES)
        *collector_words((value)thread->chunk) = 0;
}

static void next_page(struct thread *thread)
{
    thread->next = (value *)thread->chunk;
    thread->end = thread->next + PAGE_WORDS;
    thread->chunk += PAGE_BYTES;
    thread->chunk_pages--;
}

static ptrdiff_t try_pages(struct thread *thread, size_t *count)
{
    if (heap.collector == GENERATIONAL)
        return generational_chunk(thread, count);
    return take_chunk(count, heap.to_space, FULL_ACCESS);
}

static ptrdiff_t find_pages(struct thread *thread, size_t *count)
{
    ptrdiff_t first = try_pages(thread, count);
    if (first < 0 && heap.collector != STOP) {
        concurrent_finish(thread);
        first = try_pages(thread, count);
    }
    if (first < 0 && !thread->hold) {
        collect_fully(thread);
        first = try_pages(thread, count);
    }
    return first;
}

/* Makes room for a small object. */
static void refill(struct thread *thread)
{
    retire_page(thread);
    if (!thread->hold) {
        safepoint(thread);
        collect_when_needed(thread);
    }
    if (!thread->chunk_pages) {
        size_t count;
        ptrdiff_t first = find_pages(thread, &count);
        if (first < 0)
            heap_exhausted();
        thread->chunk = page_address(first);
        thread->chunk_pages = count;
        thread->chunks_taken++;
    }
    next_page(thread);
}

static ptrdiff_t take_large(size_t count)
{
    return take_pages(count, heap.to_space, heap.collector == GENERATIONAL ? generational_prot() : FULL_ACCESS);
}

static value allocate_large(struct thread *thread, enum type type, size_t length)
{
    size_t words = object_words(type, length), count = (words + PAGE_WORDS - 1) / PAGE_WORDS;
    ptrdiff_t first = -1;

    if (!thread->hold) {
        safepoint(thread);
        thread->wanted_pages = count;
        collect_when_needed(thread);
        thread->wanted_pages = 0;
    }
    first = take_large(count);
    if (first < 0 && !thread->hold) {
        collect_fully(thread);
        first = take_large(count);
    }
    if (first < 0)
        heap_exhausted();
    for (size_t i = 0; i < count; i++) {
        heap.pages[first + i].kind = i ? LARGE_REST : LARGE;
        heap.pages[first + i].run = i ? i : count;
    }
    value *p = (value *)page_address(first);
    *p = make_header(type, length);
    if (type < FIRST_RAW)
        memset(p + 1, 0, length * sizeof(value));
    return (value)p;
}

static bool paranoia_is_due(struct thread *thread)
{
    return heap.paranoid && !thread->hold && ++thread->since_collection >= heap.paranoid;
}

value allocate(struct thread *thread, enum type type, size_t length)
{
    size_t words = object_words(type, length);

    if (words * sizeof(value) > LARGE_BYTES)
        return allocate_large(thread, type, length);
    if ((size_t)(thread->end - thread->next) < words || paranoia_is_due(thread))
        refill(thread);
    value *p = thread->next;
    thread->next += words;
    *p = make_header(type, length);
    return (value)p;
}

value allocate_filled(struct thread *thread, enum type type, size_t length, const value *fill)
{
    value v = allocate(thread, type, length);
    for (size_t i = 0; i < length; i++)
        slots(v)[i] = *fill;
    return v;
}
