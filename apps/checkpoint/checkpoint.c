/*
 * Checkpoints beside the running program: the states of pages are drawn in internal.h.
 *
 * All pages that were not stored to since the last checkpoint are closed for stores. The first store to one is a trap,
 * which opens it: so the dirty pages are found. checkpoint_take stops the threads, queues the dirty pages and closes
 * them with one call; the threads run on, and the writer (writer.c) saves the queued ones. A store to a queued page is
 * a trap, too: it copies the page aside first.
 *
 * Locks: lock, of the threads' comings and goings and the writer's. Traps take none; they change states atomically.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <vm.h>

#include "internal.h"

/* Where a new file's memory is: far from what the C library and the kernel place, in every paging mode of RISC-V. */
#ifdef __riscv
#define ADDRESS 0x1000000000ull
#else
#define ADDRESS 0x200000000000ull
#endif

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- The first store to a page --- */

/* Keeps the queued content of PAGE, which is SAVING by us. */
static void copy_aside(struct checkpoint *c, uint64_t page)
{
    uint64_t i = __atomic_fetch_add(&c->n_copies, 1, __ATOMIC_ACQ_REL);

    memcpy(c->copies + i * PAGE, c->memory + page * PAGE, PAGE);
    __atomic_store_n(&c->copied[i], page + 1, __ATOMIC_RELEASE);
}

/* Makes PAGE dirty, whatever it was. It may be opened then. */
static void make_dirty(struct checkpoint *c, uint64_t page)
{
    uint8_t was = __atomic_load_n(&c->state[page], __ATOMIC_ACQUIRE);

    while (was != DIRTY) {
        if (was == SAVING) {
            sched_yield();
            was = __atomic_load_n(&c->state[page], __ATOMIC_ACQUIRE);
            continue;
        }
        if (!__atomic_compare_exchange_n(&c->state[page], &was, was == QUEUED ? SAVING : DIRTY, false, __ATOMIC_ACQ_REL,
                                         __ATOMIC_ACQUIRE))
            continue;
        if (was != QUEUED)
            break;
        copy_aside(c, page);
        __atomic_store_n(&c->state[page], DIRTY, __ATOMIC_RELEASE);
        break;
    }
}

/* How many pages are opened at once: programs that store to very many would take too many traps, and mappings on Linux.
 */
static uint64_t pages_at_once(const struct checkpoint *c)
{
    uint64_t opened = __atomic_load_n(&c->opened, __ATOMIC_RELAXED);

    if (opened < 8192)
        return 1;
    return opened < 65536 ? 16 : 256;
}

static void first_store(struct vm_fault *fault, void *argument)
{
    struct checkpoint *c = argument;
    uint64_t page = (uint64_t)((char *)fault->address - c->memory) / PAGE, unit = pages_at_once(c);
    uint64_t first = page / unit * unit, end = first + unit < c->pages ? first + unit : c->pages;

    for (uint64_t at = first; at < end; at++)
        make_dirty(c, at);
    __atomic_fetch_add(&c->opened, end - first, __ATOMIC_RELAXED);
    __atomic_fetch_add(&c->stats.traps, 1, __ATOMIC_RELAXED);
    vm_fault_protect(fault, c->memory + first * PAGE, (end - first) * PAGE, PROT_READ | PROT_WRITE);
}

/* --- Threads --- */

/* Under LOCK: nobody stores now, by our account. */
static void begin_running(struct checkpoint *c)
{
    while (c->stopping)
        pthread_cond_wait(&c->changed, &c->lock);
    c->running++;
}

static void end_running(struct checkpoint *c)
{
    c->running--;
    if (c->stopping && c->running == 0)
        pthread_cond_broadcast(&c->changed);
}

void checkpoint_resume(struct checkpoint *c)
{
    pthread_mutex_lock(&c->lock);
    begin_running(c);
    pthread_mutex_unlock(&c->lock);
}

void checkpoint_pause(struct checkpoint *c)
{
    pthread_mutex_lock(&c->lock);
    end_running(c);
    pthread_mutex_unlock(&c->lock);
}

int checkpoint_enter(struct checkpoint *c)
{
    if (vm_thread_enter() < 0)
        return -1;
    checkpoint_resume(c);
    return 0;
}

void checkpoint_exit(struct checkpoint *c)
{
    checkpoint_pause(c);
    vm_thread_leave();
}

void checkpoint_point(struct checkpoint *c)
{
    if (!__atomic_load_n(&c->stopping, __ATOMIC_RELAXED))
        return;
    pthread_mutex_lock(&c->lock);
    end_running(c);
    begin_running(c);
    pthread_mutex_unlock(&c->lock);
}

/* --- Taking --- */

/* Queues the dirty and stale pages, and closes the dirty ones. No thread runs. */
static uint64_t queue_dirty(struct checkpoint *c)
{
    size_t n = 0;
    uint64_t queued = 0;

    for (uint64_t page = 0; page < c->pages; page++) {
        uint64_t eight = 0;

        if (page % 8 == 0 && page + 8 <= c->pages)
            memcpy(&eight, &c->state[page], 8);
        if (page % 8 == 0 && page + 8 <= c->pages && eight == 0) {
            page += 7;
            continue;
        }
        if (c->state[page] == CLEAN)
            continue;
        if (c->state[page] == DIRTY) {
            char *at = c->memory + page * PAGE;

            if (n > 0 && (char *)c->ranges[n - 1].start + c->ranges[n - 1].length == at)
                c->ranges[n - 1].length += PAGE;
            else
                c->ranges[n++] = (struct vm_range){at, PAGE, PROT_READ};
        }
        c->state[page] = QUEUED;
        queued++;
    }
    if (n > 0 && vm_protect_ranges(c->ranges, n) < 0)
        abort(); /* an open page could be changed unseen */
    return queued;
}

/* Under LOCK, all others stopped. */
static void begin_checkpoint(struct checkpoint *c)
{
    uint64_t began = now(), took;

    c->n_copies = 0;
    c->opened = 0;
    c->queued = queue_dirty(c);
    took = now() - began;
    c->stats.taken++;
    c->stats.stop_total += took;
    if (took > c->stats.stop_longest)
        c->stats.stop_longest = took;
}

int checkpoint_take(struct checkpoint *c)
{
    int error;

    pthread_mutex_lock(&c->lock);
    end_running(c);
    while (c->writing || c->stopping)
        pthread_cond_wait(&c->changed, &c->lock);
    error = c->error;
    __atomic_store_n(&c->stopping, true, __ATOMIC_RELAXED);
    while (c->running > 0)
        pthread_cond_wait(&c->changed, &c->lock);
    begin_checkpoint(c);
    c->writing = true;
    __atomic_store_n(&c->stopping, false, __ATOMIC_RELAXED);
    c->running++;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    errno = error;
    return error == 0 ? 0 : -1;
}

int checkpoint_wait(struct checkpoint *c)
{
    int error;

    pthread_mutex_lock(&c->lock);
    while (c->writing)
        pthread_cond_wait(&c->changed, &c->lock);
    error = c->error;
    pthread_mutex_unlock(&c->lock);
    errno = error;
    return error == 0 ? 0 : -1;
}

/* --- Opening and closing --- */

static void *reserve_memory(size_t length)
{
    void *start = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return start == MAP_FAILED ? NULL : start;
}

static int put_page(void *argument, uint64_t page, const void *bytes)
{
    struct checkpoint *c = argument;

    memcpy(c->memory + page * PAGE, bytes, PAGE);
    return 0;
}

/* The memory, at its address, with what the file has, closed for stores. */
static int map_memory(struct checkpoint *c)
{
    void *at = (void *)(uintptr_t)c->image.address;
    void *start = mmap(at, c->image.length, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (start == MAP_FAILED) {
        if (errno == EEXIST)
            errno = EADDRINUSE;
        return -1;
    }
    c->memory = start;
    if (image_index(&c->image, put_page, c) < 0)
        return -1;
    c->restored = c->image.sequence > 0;
    c->stats.sequence = c->image.sequence;
    c->stats.file_bytes = (uint64_t)c->image.end;
    if (vm_protect(c->memory, c->image.length, PROT_READ) < 0)
        return -1;
    return vm_trap(c->memory, c->image.length, first_store, c);
}

static int get_tables(struct checkpoint *c)
{
    c->state = reserve_memory(c->pages);
    c->index = reserve_memory(c->pages * sizeof(*c->index));
    c->copies = reserve_memory(c->pages * PAGE);
    c->copied = reserve_memory(c->pages * sizeof(*c->copied));
    c->ranges = reserve_memory((c->pages + 1) / 2 * sizeof(*c->ranges));
    return c->state && c->index && c->copies && c->copied && c->ranges ? 0 : -1;
}

static void unmap(void *start, size_t length)
{
    if (start != NULL)
        munmap(start, length);
}

static void give_back(struct checkpoint *c)
{
    if (c->memory != NULL)
        vm_untrap(c->memory, c->image.length);
    unmap(c->memory, c->image.length);
    unmap(c->state, c->pages);
    unmap(c->index, c->pages * sizeof(*c->index));
    unmap(c->copies, c->pages * PAGE);
    unmap(c->copied, c->pages * sizeof(*c->copied));
    unmap(c->ranges, (c->pages + 1) / 2 * sizeof(*c->ranges));
    image_close(&c->image);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    free(c);
}

struct checkpoint *checkpoint_open(const char *path, size_t length)
{
    struct checkpoint *c = calloc(1, sizeof(*c));
    int error;

    if (c == NULL)
        return NULL;
    c->image.fd = -1;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    if (vm_page_size() != PAGE) {
        errno = EINVAL;
    } else if (image_open(&c->image, path, ADDRESS, (length + PAGE - 1) / PAGE * PAGE) == 0) {
        c->pages = c->image.length / PAGE;
        error = get_tables(c) == 0 && map_memory(c) == 0 ? pthread_create(&c->writer, NULL, writer_main, c) : errno;
        if (error == 0)
            return c;
        errno = error;
    }
    error = errno;
    give_back(c);
    errno = error;
    return NULL;
}

int checkpoint_close(struct checkpoint *c)
{
    int result = checkpoint_wait(c), saved = errno;

    pthread_mutex_lock(&c->lock);
    c->ending = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->writer, NULL);
    give_back(c);
    errno = saved;
    return result;
}

void *checkpoint_memory(const struct checkpoint *c) { return c->memory; }
size_t checkpoint_length(const struct checkpoint *c) { return c->image.length; }
bool checkpoint_restored(const struct checkpoint *c) { return c->restored; }

void checkpoint_stats(struct checkpoint *c, struct checkpoint_stats *stats)
{
    pthread_mutex_lock(&c->lock);
    *stats = c->stats;
    pthread_mutex_unlock(&c->lock);
}
