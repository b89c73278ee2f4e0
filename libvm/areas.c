/*
 * A table of ranges that is searched by handlers, at any moment and in any thread, and changed rarely.
 *
 *     areas ---> table: [start,end) [start,end) ...  sorted, never changed once it is published
 *                  ^
 *     who changes it builds a new table, publishes it with one store, and retires the old one. Who searches counts
 * himself in `readers` first, so when the count was zero after the publication, nobody has an old table in his hands.
 *
 * Searching takes no lock and does not wait. Tables come from mmap: malloc may be what was interrupted. One lock and
 * one count serve all tables.
 */
#include "internal.h"

#include <sched.h>
#include <string.h>

struct areas_table {
    struct areas_table *next; /* retired */
    size_t bytes;             /* of this mapping */
    size_t count;
    struct area areas[];
};

atomic_ulong vm_generation;

static atomic_int readers;
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;
static struct areas_table *all_retired; /* under it */

void areas_enter(void) { atomic_fetch_add(&readers, 1); }

void areas_leave(void) { atomic_fetch_sub(&readers, 1); }

void areas_quiesce(void)
{
    while (atomic_load(&readers) != 0)
        sched_yield();
}

/* --- fork: in the child there are no other threads, neither those that hold a lock nor those that search ---
 */

static void before_fork(void)
{
    pthread_mutex_lock(&changing);
    quire_lock_threads();
}

static void in_parent(void)
{
    quire_unlock_threads();
    pthread_mutex_unlock(&changing);
}

static void in_child(void)
{
    atomic_store(&readers, 0);
    in_parent();
}

static void watch_forks(void) { pthread_atfork(before_fork, in_parent, in_child); }

/* --- Searching ---
 */

/* The first area that ends above ADDRESS: its index, or the count. */
static size_t search(const struct areas_table *table, uintptr_t address)
{
    size_t low = 0, high = table->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (table->areas[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

bool areas_next(struct areas *areas, uintptr_t address, struct area *found)
{
    const struct areas_table *table;
    bool is_there = false;

    areas_enter();
    table = atomic_load(&areas->current);
    if (table) {
        size_t at = search(table, address);

        is_there = at < table->count;
        if (is_there)
            *found = table->areas[at];
    }
    areas_leave();
    return is_there;
}

bool areas_find(struct areas *areas, uintptr_t address, struct area *found)
{
    return areas_next(areas, address, found) && found->start <= address;
}

/* What is left of OLD outside [START, END) goes to TO; returns how many pieces: 0 to 2. */
static size_t outside(const struct area *old, uintptr_t start, uintptr_t end, struct area *to)
{
    size_t count = 0;

    if (old->start < start) {
        to[count] = *old;
        if (to[count].end > start)
            to[count].end = start;
        count++;
    }
    if (old->end > end) {
        to[count] = *old;
        if (to[count].start < end)
            to[count].start = end;
        count++;
    }
    return count;
}

static int by_start(const struct area *left, const struct area *right) { return left->start > right->start; }

/* Puts the last of COUNT areas where it belongs. */
static void sift(struct area *list, size_t count)
{
    for (size_t i = count - 1; i > 0 && by_start(&list[i - 1], &list[i]); i--) {
        struct area swap = list[i];

        list[i] = list[i - 1];
        list[i - 1] = swap;
    }
}

/* => changing */
static void retire(struct areas_table *table)
{
    if (table) {
        table->next = all_retired;
        all_retired = table;
    }
    if (atomic_load(&readers) != 0)
        return;
    while (all_retired) {
        struct areas_table *gone = all_retired;

        all_retired = gone->next;
        vm_pages_free(gone, gone->bytes);
    }
}

int areas_change(struct areas *areas, const struct area *area)
{
    bool adds = area->handler || area->argument;
    struct areas_table *old, *new = NULL;
    size_t bytes, count = 0;
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&changing);
    old = atomic_load(&areas->current);
    if (adds || old) {
        bytes = sizeof(*new) + ((old ? old->count : 0) + 2) * sizeof(struct area);
        new = vm_pages(bytes);
        if (!new) {
            pthread_mutex_unlock(&changing);
            return ENOMEM;
        }
        new->bytes = bytes;
        for (size_t i = 0; old && i < old->count; i++)
            count += outside(&old->areas[i], area->start, area->end, &new->areas[count]);
        if (adds) {
            new->areas[count++] = *area;
            sift(new->areas, count);
        }
        new->count = count;
        if (count == 0) {
            vm_pages_free(new, bytes);
            new = NULL;
        }
    }
    atomic_store(&areas->current, new);
    atomic_fetch_add(&vm_generation, 1);
    quire_forget();
    retire(old);
    pthread_mutex_unlock(&changing);
    return 0;
}
