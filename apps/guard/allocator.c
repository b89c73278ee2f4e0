/*
 * malloc and its family with each block in pages of its own: the page behind a block is closed, and so are the pages of
 * what has been freed. A wrong access is a trap, and the trap's handler tells what is known of the block.
 *
 *     malloc   the run's pages are opened, the block is put at their end           UNPROT
 *     free     they are closed, their memory is given back                         PROT1
 *     a wrong access                                                               TRAP
 *
 * Addresses are used again as late as possible: only when the whole heap has been used once, and then the run of that
 * length that was freed first. Where the kernel allows no more mappings (Linux: 65,530, and each open run is one),
 * blocks come from a heap without guards; `guard --statistics` says how many.
 *
 * Locks: `lock`, for everything here. The handler takes none: the block that it tells of may be changing, but then the
 * program is wrong in more than one way.
 */
#define _GNU_SOURCE
#include "blocks.h"
#include "vm.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define MOST_BYTES (1UL << 46)
#define LONGEST 64 /* runs of so many pages or more have one list */

char *heap;
struct record *records;
size_t heap_pages, used_pages = 1;
bool go_on;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool ready, at_begin, wants_statistics;
static size_t alignment = 16;
static struct list {
    uint32_t first, last;
} freed[LONGEST + 1];
static struct {
    size_t allocations, live, most, unguarded, wrong;
} statistics;

/* --- Start -----------------------------------------------------------------------------------------------------------
 */

static size_t number_from(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    size_t number = 0;

    if (!text || !*text)
        return otherwise;
    for (; *text >= '0' && *text <= '9'; text++)
        number = number * 10 + (size_t)(*text - '0');
    return number;
}

/* The one handler: tells, then lets the access fail for good, or opens the page. */
static void on_fault(struct vm_fault *fault, void *argument)
{
    char *page = (char *)((uintptr_t)fault->address & -PAGE);

    (void)argument;
    __atomic_fetch_add(&statistics.wrong, 1, __ATOMIC_RELAXED);
    report_access((uintptr_t)fault->address, fault->access == VM_WRITE, (uintptr_t)fault->pc);
    if (go_on && vm_protect(page, PAGE, PROT_READ | PROT_WRITE) == 0)
        return;
    vm_untrap(page, PAGE); /* the access is tried again, and is an ordinary SIGSEGV */
}

static void lock_for_fork(void) { pthread_mutex_lock(&lock); }
static void unlock_after_fork(void) { pthread_mutex_unlock(&lock); }

/* => lock. */
static bool start(void)
{
    size_t gigabytes = number_from("GUARD_HEAP", 16);

    if (ready)
        return true;
    alignment = number_from("GUARD_ALIGN", 16);
    if (alignment == 0 || (alignment & (alignment - 1)) || alignment > PAGE)
        alignment = 16;
    at_begin = number_from("GUARD_BELOW", 0);
    go_on = number_from("GUARD_CONTINUE", 0);
    wants_statistics = number_from("GUARD_STATISTICS", 0);
    heap_pages = (gigabytes == 0 ? 1 : gigabytes > 1024 ? 1024 : gigabytes) << 18;
    heap = vm_alloc(heap_pages * PAGE, PROT_NONE);
    records = vm_alloc(heap_pages * sizeof(struct record), PROT_READ | PROT_WRITE);
    if (!heap || !records || vm_trap(heap, heap_pages * PAGE, on_fault, NULL)) {
        say("guard: no memory for a heap of %zu GiB\n", gigabytes);
        return false;
    }
    ready = true;
    return true;
}

__attribute__((constructor)) static void at_start(void)
{
    pthread_atfork(lock_for_fork, unlock_after_fork, unlock_after_fork);
}

__attribute__((destructor)) static void at_end(void)
{
    if (wants_statistics)
        say("guard: process %d: %zu blocks, at most %zu at once, %zu of them without guards, %zu wrong accesses, %zu "
            "MiB of addresses\n",
            (int)getpid(), statistics.allocations, statistics.most, statistics.unguarded, statistics.wrong,
            used_pages * PAGE >> 20);
}

/* --- Runs ------------------------------------------------------------------------------------------------------------
 */

static struct list *list_for(size_t pages) { return &freed[pages < LONGEST ? pages : LONGEST]; }

/* => lock. Addresses for PAGES pages, the closed one included; 0 when there are none. */
static uint32_t take_run(size_t pages)
{
    struct list *list = list_for(pages);
    uint32_t first = list->first;

    if (used_pages + pages <= heap_pages) {
        first = (uint32_t)used_pages;
        used_pages += pages;
        records[first].pages = (uint32_t)pages;
        for (size_t i = 0; i < pages; i++)
            records[first + i].first = first;
        return first;
    }
    if (!first || records[first].pages < pages)
        return 0;
    list->first = records[first].next;
    if (!list->first)
        list->last = 0;
    return first;
}

/* => lock. */
static void give_run(uint32_t first)
{
    struct list *list = list_for(records[first].pages);

    records[first].next = 0;
    if (list->last)
        records[list->last].next = first;
    else
        list->first = first;
    list->last = first;
}

static struct record *run_at(uintptr_t address)
{
    size_t page = (address - (uintptr_t)heap) / PAGE;

    return ready && address >= (uintptr_t)heap && page < used_pages ? &records[records[page].first] : NULL;
}

static char *run_start(const struct record *run) { return heap + run->first * PAGE; }

static size_t run_bytes(const struct record *run) { return (run->pages - 1) * PAGE; }

/* --- A heap without guards, for when the kernel has no more mappings
 * --------------------------------------------------- */

/* A block is behind its length; blocks of powers of two, never given back to the kernel. */
static void *plain_free[48];

/* The memory they are cut from, the last chunk first; each begins with this. */
static struct chunk {
    struct chunk *previous;
    char *end;
} * chunks;

static bool is_plain(const void *user)
{
    for (const struct chunk *chunk = chunks; chunk; chunk = chunk->previous)
        if ((const char *)user > (const char *)chunk && (const char *)user < chunk->end)
            return true;
    return false;
}

static void *plain_allocate(size_t size, size_t align)
{
    static char *at, *end;
    size_t class = 5, bytes;
    char *block;

    while ((1UL << class) < size + (align > 16 ? align : 0) + 16)
        class ++;
    bytes = 1UL << class;
    block = plain_free[class];
    if (block) {
        plain_free[class] = *(void **)(block + 16);
    } else {
        if ((size_t)(end - at) < bytes) {
            size_t length = bytes >= (1UL << 24) ? bytes + PAGE : 1UL << 24;
            struct chunk *chunk = vm_alloc(length, PROT_READ | PROT_WRITE);

            if (!chunk)
                return NULL;
            end = (char *)chunk + length;
            *chunk = (struct chunk){chunks, end};
            chunks = chunk;
            at = (char *)chunk + 64;
        }
        block = at;
        at += bytes;
    }
    statistics.unguarded++;
    {
        char *user = block + 16;

        if (align > 16)
            user = (char *)(((uintptr_t)user + align - 1) & -align);
        ((size_t *)user)[-1] = class;
        ((size_t *)user)[-2] = (size_t)(user - block);
        return user;
    }
}

static size_t plain_size(const void *user) { return (1UL << ((const size_t *)user)[-1]) - ((const size_t *)user)[-2]; }

static void plain_release(void *user)
{
    size_t class = ((size_t *)user)[-1];
    char *block = (char *)user - ((size_t *)user)[-2];

    *(void **)(block + 16) = plain_free[class];
    plain_free[class] = block;
}

/* --- Blocks ----------------------------------------------------------------------------------------------------------
 */

/* What is between the block and the closed page, filled so that stores there are seen; no more than a page of it. */
static size_t slack_bytes(const struct record *run)
{
    size_t bytes = (size_t)(run_start(run) + run_bytes(run) - (char *)run->address) - run->size;

    return bytes < PAGE ? bytes : PAGE;
}

static bool slack_is_whole(const struct record *run)
{
    const unsigned char *slack = (unsigned char *)run->address + run->size;

    for (size_t i = slack_bytes(run); i > 0; i--)
        if (slack[i - 1] != SLACK)
            return false;
    return true;
}

/* ALIGN is a power of two; 0 for malloc's own. */
static void *allocate(size_t size, size_t align, uintptr_t by)
{
    size_t least, pages;
    struct record *run;
    uint32_t first;
    char *block = NULL;
    bool started;

    if (size > MOST_BYTES || align > MOST_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    pthread_mutex_lock(&lock);
    started = start();
    least = align ? align : alignment;
    pages = (size + (least > PAGE ? least : 0) + PAGE - 1) / PAGE;
    if (pages == 0)
        pages = 1;
    first = started ? take_run(pages + 1) : 0;
    run = first ? &records[first] : NULL;
    if (run && vm_protect(run_start(run), run_bytes(run), PROT_READ | PROT_WRITE)) {
        run->state = FREED;
        run->size = 0;
        give_run(first);
        run = NULL;
    }
    if (run) {
        char *low = run_start(run), *high = low + run_bytes(run);

        block =
            at_begin ? (char *)(((uintptr_t)low + least - 1) & -least) : (char *)((uintptr_t)(high - size) & -least);
        run->size = size;
        run->address = (uintptr_t)block;
        memset(block + size, SLACK, slack_bytes(run));
        run->allocated_by = by;
        run->freed_by = 0;
        run->state = LIVE;
        statistics.allocations++;
        if (++statistics.live > statistics.most)
            statistics.most = statistics.live;
    } else if (ready) {
        block = plain_allocate(size, least);
        if (block)
            memset(block, 0, size); /* may have been used before */
    }
    pthread_mutex_unlock(&lock);
    if (!block)
        errno = ENOMEM;
    return block;
}

static void wrong_call(const char *what, uintptr_t address, const struct record *run, uintptr_t by)
{
    statistics.wrong++;
    report_block(what, address, run, by);
    if (!go_on)
        abort();
}

static void release(void *block, uintptr_t by)
{
    uintptr_t address = (uintptr_t)block;
    struct record *run;
    int saved = errno;

    if (!block)
        return;
    pthread_mutex_lock(&lock);
    run = run_at(address);
    if (!run && !is_plain(block)) {
        wrong_call("free of what malloc never gave", address, NULL, by);
    } else if (!run) {
        plain_release(block);
    } else if (run->state == FREED) {
        wrong_call("free of a freed block", address, run, by);
    } else if (run->address != address) {
        wrong_call("free of what is not a block's begin", address, run, by);
    } else {
        if (!slack_is_whole(run))
            wrong_call("a store just past the end of a block, seen when it is freed", address, run, by);
        run->state = FREED;
        run->freed_by = by;
        statistics.live--;
        /* Closed first: nobody's access may find the page empty instead of closed. */
        if (vm_protect(run_start(run), run_bytes(run), PROT_NONE) == 0)
            give_run(run->first);
        vm_discard(run_start(run), run_bytes(run));
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
}

static size_t size_of(void *block)
{
    struct record *run = run_at((uintptr_t)block);

    return run ? run->size : plain_size(block);
}

/* --- The family ------------------------------------------------------------------------------------------------------
 */

#define CALLER ((uintptr_t)__builtin_return_address(0))

EXPORT void *malloc(size_t size) { return allocate(size, 0, CALLER); }

EXPORT void free(void *block) { release(block, CALLER); }

/* Fresh pages are zero, and a run that is used again has been discarded. */
EXPORT void *calloc(size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return allocate(bytes, 0, CALLER);
}

static void *reallocate(void *block, size_t size, uintptr_t by)
{
    void *fresh;
    size_t old;

    if (!block)
        return allocate(size, 0, by);
    if (size == 0) {
        release(block, by);
        return NULL;
    }
    {
        struct record *run = run_at((uintptr_t)block);

        if (run ? run->state != LIVE || run->address != (uintptr_t)block : !is_plain(block)) {
            release(block, by); /* which says what is wrong */
            return NULL;
        }
    }
    old = size_of(block);
    fresh = allocate(size, 0, by);
    if (!fresh)
        return NULL;
    memcpy(fresh, block, old < size ? old : size);
    release(block, by);
    return fresh;
}

EXPORT void *realloc(void *block, size_t size) { return reallocate(block, size, CALLER); }

EXPORT void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return reallocate(block, bytes, CALLER);
}

static bool is_power_of_two(size_t number) { return number && (number & (number - 1)) == 0; }

EXPORT int posix_memalign(void **block, size_t align, size_t size)
{
    int saved = errno;

    if (!is_power_of_two(align) || align % sizeof(void *))
        return EINVAL;
    *block = allocate(size, align, CALLER);
    errno = saved;
    return *block ? 0 : ENOMEM;
}

EXPORT void *memalign(size_t align, size_t size)
{
    if (!is_power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    return allocate(size, align, CALLER);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
    if (!is_power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    return allocate(size, align, CALLER);
}

EXPORT void *valloc(size_t size) { return allocate(size, PAGE, CALLER); }

EXPORT void *pvalloc(size_t size)
{
    return allocate(size > MOST_BYTES ? size : (size + PAGE - 1) & -PAGE, PAGE, CALLER);
}

EXPORT size_t malloc_usable_size(void *block) { return block ? size_of(block) : 0; }
