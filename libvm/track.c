/*
 * Who stored: vm_track and vm_dirty over whichever way this kernel has.
 *
 * Soft-dirty bits are not among the ways: reading them and clearing them are two steps there, for the whole process, so
 * a store by another thread between the two is lost.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum means { MEANS_SHADOW = 1, MEANS_PAGEMAP, MEANS_QUIRE };

static atomic_int chosen;

/* VM_DIRTY in the environment names another way than the best. */
static enum means means(void)
{
    int known = atomic_load(&chosen);
    const char *wish;

    if (known)
        return known;
    wish = getenv("VM_DIRTY");
    wish = wish ? wish : "";
    if (strcmp(wish, "mprotect") == 0)
        known = MEANS_SHADOW;
    else if (strcmp(wish, "pagemap-scan") != 0 && quire_has_dirty())
        known = MEANS_QUIRE;
    else
        known = pagemap_works() ? MEANS_PAGEMAP : MEANS_SHADOW;
    atomic_store(&chosen, known);
    return known;
}

const char *vm_dirty_backend(void)
{
    static const char *const names[] = {"", "mprotect", "pagemap-scan", "quire"};

    return names[means()];
}

struct areas vm_tracked;

/* The kernel starts or ends tracking a range that is in the table, or not any more. 0 or an errno. */
static int track_by_kernel(uintptr_t start, uintptr_t end, bool on)
{
    if (means() == MEANS_QUIRE)
        return quire_arm(start, end, true);
    if (on)
        return pagemap_open(start, end - start) ? errno : 0;
    return pagemap_close(start, end - start) ? errno : 0;
}

bool vm_is_tracked(uintptr_t start, size_t length)
{
    struct area other;

    return (areas_next(&vm_tracked, start, &other) && other.start < start + length) ||
           (areas_next(&vm_shadows, start, &other) && other.start < start + length) ||
           (areas_next(&vm_logs, start, &other) && other.start < start + length);
}

int vm_track(void *start, size_t length)
{
    size_t bytes = vm_whole_pages(start, length);
    struct area area = {(uintptr_t)start, (uintptr_t)start + bytes, NULL, &vm_tracked};
    int error;

    if (bytes == 0)
        return vm_fail(EINVAL);
    if (vm_is_tracked(area.start, bytes))
        return vm_fail(EBUSY);
    if (means() != MEANS_SHADOW) {
        error = areas_change(&vm_tracked, &area);
        if (error)
            return vm_fail(error);
        if (track_by_kernel(area.start, area.end, true) == 0)
            return 0;
        area.argument = NULL;
        areas_change(&vm_tracked, &area);
    }
    /* Also for memory that userfaultfd does not take. */
    return shadow_open(area.start, bytes, 0) ? 0 : -1;
}

int vm_untrack(void *start)
{
    struct area area;
    int error;

    if (areas_find(&vm_shadows, (uintptr_t)start, &area) && area.start == (uintptr_t)start)
        return shadow_close(area.argument);
    if (!areas_find(&vm_tracked, (uintptr_t)start, &area) || area.start != (uintptr_t)start)
        return vm_fail(EINVAL);
    area.argument = NULL;
    error = areas_change(&vm_tracked, &area);
    if (!error)
        error = track_by_kernel(area.start, area.end, false);
    return error ? vm_fail(error) : 0;
}

/* [FIRST, END) lies in one range that the kernel tracks; most often in that of the last time. */
static bool is_in_one(uintptr_t first, uintptr_t end)
{
    static THREAD_LOCAL struct {
        uintptr_t start, end;
        unsigned long generation;
    } last;
    unsigned long generation = areas_generation();
    struct area area;

    if (last.generation == generation && last.start <= first && end <= last.end)
        return true;
    if (!areas_find(&vm_tracked, first, &area) || end > area.end)
        return false;
    last.start = area.start;
    last.end = area.end;
    last.generation = generation;
    return true;
}

ssize_t vm_dirty(void *start, size_t length, struct vm_range *out, size_t max, int flags, void **next)
{
    size_t bytes = vm_whole_pages(start, length);
    uintptr_t first = (uintptr_t)start, end = first + bytes, at = first;
    struct area area;
    ssize_t count;

    if (bytes == 0 || (flags & ~VM_REARM))
        return vm_fail(EINVAL);
    if (!areas_empty(&vm_shadows) && areas_find(&vm_shadows, first, &area) && end <= area.end)
        count = shadow_dirty(area.argument, first, end, out, max, flags & VM_REARM, &at);
    else if (!is_in_one(first, end))
        return vm_fail(EINVAL);
    else if (means() == MEANS_QUIRE)
        count = quire_dirty(first, end, out, max, flags & VM_REARM, &at);
    else
        count = pagemap_dirty(first, end, out, max, flags & VM_REARM, &at);
    if (count >= 0 && next)
        *next = (void *)at;
    return count;
}
