/*
 * Stores found by mprotect: what works on every kernel. A shadowed range has a byte for each page:
 *
 *     bits 0-2  the protection that the program wants (PROT_*)
 *     bit 3     ARMED: nobody stored yet, so the page is without PROT_WRITE whatever is wanted
 *
 * vm_protect of a shadowed range changes what is wanted. A store to an armed page faults; if it is wanted, the page
 * loses ARMED, gets what is wanted, and nobody else hears of it; if not, the fault is a trap of the program's own.
 *
 * Invariant, under the shadow's lock: a page is writable in the page table only if it is not ARMED and PROT_WRITE is
 * wanted. Hence no store is missed. The lock is taken by the handler, so whoever holds it holds all signals back and
 * touches no memory of the program.
 *
 * A log is a shadow with a ring: the handler adds the page under the same lock.
 */
#include "internal.h"

#include <sched.h>
#include <string.h>

#define WANTED 7
#define ARMED 8

struct shadow {
    uintptr_t start, end;
    atomic_flag lock;
    size_t entries; /* of the ring, a power of two; 0: no log */
    void **ring;    /* the rest under lock */
    size_t in, out; /* count up */
    atomic_size_t lost;
    size_t bytes;    /* of this mapping */
    uint8_t pages[]; /* the bytes above; then the ring */
};

struct areas vm_shadows;

/* --- The lock --------------------------------------------------------------------------------------------------------
 */

static void lock_in_handler(struct shadow *shadow)
{
    while (atomic_flag_test_and_set_explicit(&shadow->lock, memory_order_acquire))
        sched_yield();
}

static void unlock_in_handler(struct shadow *shadow)
{
    atomic_flag_clear_explicit(&shadow->lock, memory_order_release);
}

static void lock(struct shadow *shadow, sigset_t *mask)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, mask);
    lock_in_handler(shadow);
}

static void unlock(struct shadow *shadow, const sigset_t *mask)
{
    unlock_in_handler(shadow);
    pthread_sigmask(SIG_SETMASK, mask, NULL);
}

/* --- Pages -----------------------------------------------------------------------------------------------------------
 */

static size_t page_index(const struct shadow *shadow, uintptr_t address)
{
    return (address - shadow->start) / vm_page_size();
}

static uintptr_t page_address(const struct shadow *shadow, size_t index)
{
    return shadow->start + index * vm_page_size();
}

/* What the page table has for a page of this STATE. */
static int effective(uint8_t state) { return state & ARMED ? state & WANTED & ~PROT_WRITE : state & WANTED; }

/* The page table gets what the bytes of [FROM, TO) say, one mprotect for each run of equal ones. */
static int apply(struct shadow *shadow, size_t from, size_t to)
{
    while (from < to) {
        int prot = effective(shadow->pages[from]);
        size_t end = from + 1;

        while (end < to && effective(shadow->pages[end]) == prot)
            end++;
        if (mprotect((void *)page_address(shadow, from), (end - from) * vm_page_size(), prot))
            return -1;
        from = end;
    }
    return 0;
}

/* Takes pages back to ARMED; those that nobody stored to need nothing. */
static int arm(struct shadow *shadow, size_t from, size_t to)
{
    while (from < to) {
        size_t end;

        for (; from < to && shadow->pages[from] & ARMED; from++)
            ;
        for (end = from; end < to && !(shadow->pages[end] & ARMED); end++)
            shadow->pages[end] |= ARMED;
        if (apply(shadow, from, end))
            return -1;
        from = end;
    }
    return 0;
}

/* --- Opening and closing ---------------------------------------------------------------------------------------------
 */

static size_t power_of_two(size_t least)
{
    size_t power = 1;

    while (power < least)
        power *= 2;
    return power;
}

struct shadow *shadow_open(uintptr_t start, size_t length, size_t entries)
{
    size_t pages = length / vm_page_size();
    size_t ring = (sizeof(struct shadow) + pages + sizeof(void *) - 1) & -sizeof(void *);
    struct area area = {.start = start, .end = start + length}, other;
    struct shadow *shadow;
    size_t bytes;
    int error = vm_signals_start();

    entries = entries ? power_of_two(entries) : 0;
    bytes = ring + entries * sizeof(void *);
    if (error) {
        errno = error;
        return NULL;
    }
    if (areas_next(&vm_shadows, start, &other) && other.start < start + length) {
        errno = EBUSY;
        return NULL;
    }
    shadow = vm_pages(bytes);
    if (!shadow)
        return NULL;
    shadow->start = start;
    shadow->end = start + length;
    shadow->bytes = bytes;
    shadow->entries = entries;
    shadow->ring = (void **)((char *)shadow + ring);
    atomic_flag_clear(&shadow->lock);
    memset(shadow->pages, PROT_READ | PROT_WRITE | ARMED, pages);
    area.argument = shadow;
    error = areas_change(&vm_shadows, &area);
    if (!error && mprotect((void *)start, length, PROT_READ)) {
        error = errno;
        area.argument = NULL;
        areas_change(&vm_shadows, &area);
        areas_quiesce();
        mprotect((void *)start, length, PROT_READ | PROT_WRITE);
    }
    if (error) {
        vm_pages_free(shadow, bytes);
        errno = error;
        return NULL;
    }
    return shadow;
}

int shadow_close(struct shadow *shadow)
{
    struct area area = {.start = shadow->start, .end = shadow->end};
    size_t pages = page_index(shadow, shadow->end);
    sigset_t mask;
    int result;

    /* First everything is open, so that nobody faults who would not find the shadow any more. */
    lock(shadow, &mask);
    for (size_t i = 0; i < pages; i++)
        shadow->pages[i] &= ~ARMED;
    result = apply(shadow, 0, pages);
    unlock(shadow, &mask);
    if (areas_change(&vm_shadows, &area))
        return vm_fail(ENOMEM);
    areas_quiesce();
    vm_pages_free(shadow, shadow->bytes);
    return result;
}

/* --- Faults and protections ------------------------------------------------------------------------------------------
 */

static void add_to_log(struct shadow *shadow, size_t index)
{
    if (shadow->in - shadow->out == shadow->entries)
        atomic_fetch_add(&shadow->lost, 1);
    else
        shadow->ring[shadow->in++ & (shadow->entries - 1)] = (void *)page_address(shadow, index);
}

/* True: the page is what the program wants, let it try again. */
static bool store_to(struct shadow *shadow, size_t index)
{
    uint8_t state;

    lock_in_handler(shadow);
    state = shadow->pages[index];
    if ((state & PROT_WRITE) && (state & ARMED)) {
        shadow->pages[index] &= ~ARMED;
        if (shadow->entries)
            add_to_log(shadow, index);
        apply(shadow, index, index + 1);
    }
    unlock_in_handler(shadow);
    return state & PROT_WRITE;
}

bool shadow_fault(const struct vm_fault *fault)
{
    struct area area;
    bool done = false;

    if (fault->access != VM_WRITE || fault->cause != VM_PROTECTION || areas_empty(&vm_shadows))
        return false;
    areas_enter();
    if (areas_find(&vm_shadows, (uintptr_t)fault->address, &area)) {
        struct shadow *shadow = area.argument;

        done = store_to(shadow, page_index(shadow, (uintptr_t)fault->address));
    }
    areas_leave();
    return done;
}

static int protect_shadowed(struct shadow *shadow, uintptr_t start, uintptr_t end, int prot)
{
    size_t from = page_index(shadow, start), to = page_index(shadow, end);
    sigset_t mask;
    int result;

    lock(shadow, &mask);
    for (size_t i = from; i < to; i++)
        shadow->pages[i] = (shadow->pages[i] & ~WANTED) | prot;
    result = apply(shadow, from, to);
    unlock(shadow, &mask);
    return result;
}

int shadow_protect(uintptr_t start, size_t length, int prot)
{
    uintptr_t end = start + length, stop;
    int result = 0;

    areas_enter();
    while (start < end && result == 0) {
        struct area area;

        if (!areas_next(&vm_shadows, start, &area) || area.start >= end)
            area.start = area.end = end;
        if (area.start > start) {
            stop = area.start;
            result = mprotect((void *)start, stop - start, prot);
        } else {
            stop = area.end < end ? area.end : end;
            result = protect_shadowed(area.argument, start, stop, prot);
        }
        start = stop;
    }
    areas_leave();
    return result;
}

/* --- Asking ----------------------------------------------------------------------------------------------------------
 */

/* The first page of [FROM, TO) that is (not) ARMED, or TO; a word at a time over what is equal. */
static size_t skip(const struct shadow *shadow, size_t from, size_t to, bool armed)
{
    const uint64_t all = 0x0101010101010101 * ARMED;

    while (from < to) {
        uint64_t word;

        if (from + sizeof(word) <= to) {
            memcpy(&word, &shadow->pages[from], sizeof(word));
            if ((word & all) == (armed ? all : 0)) {
                from += sizeof(word);
                continue;
            }
        }
        if (!(shadow->pages[from] & ARMED) == armed)
            break;
        from++;
    }
    return from;
}

/* OUT may lie in the range, where a store would wait for the lock: what is found goes there after it is given up. */
ssize_t shadow_dirty(struct shadow *shadow, uintptr_t start, uintptr_t end, struct vm_range *out, size_t max,
                     bool rearm, uintptr_t *next)
{
    struct vm_range found[64];
    size_t at = page_index(shadow, start), to = page_index(shadow, end), done = 0;
    sigset_t mask;

    while (at < to && done < max) {
        size_t count = 0;

        lock(shadow, &mask);
        while (count < sizeof(found) / sizeof(found[0]) && done + count < max) {
            size_t first = skip(shadow, at, to, true);

            at = first;
            if (first == to)
                break;
            at = skip(shadow, first, to, false);
            found[count++] = (struct vm_range){(void *)page_address(shadow, first), (at - first) * vm_page_size(), 0};
            if (rearm && arm(shadow, first, at)) {
                unlock(shadow, &mask);
                return -1;
            }
        }
        unlock(shadow, &mask);
        memcpy(out + done, found, count * sizeof(*found));
        done += count;
    }
    *next = page_address(shadow, at);
    return (ssize_t)done;
}

int shadow_rearm(struct shadow *shadow, uintptr_t start, uintptr_t end)
{
    sigset_t mask;
    int result;

    if (start < shadow->start || end > shadow->end)
        return vm_fail(EINVAL);
    lock(shadow, &mask);
    result = arm(shadow, page_index(shadow, start), page_index(shadow, end));
    unlock(shadow, &mask);
    return result;
}

ssize_t shadow_read(struct shadow *shadow, void **pages, size_t max)
{
    void *taken[64];
    size_t done = 0, count = 1;
    sigset_t mask;

    while (done < max && count) {
        lock(shadow, &mask);
        for (count = 0; count < 64 && done + count < max && shadow->out != shadow->in; count++)
            taken[count] = shadow->ring[shadow->out++ & (shadow->entries - 1)];
        unlock(shadow, &mask);
        memcpy(pages + done, taken, count * sizeof(*taken));
        done += count;
    }
    return (ssize_t)done;
}

size_t shadow_lost(const struct shadow *shadow) { return atomic_load(&shadow->lost); }
