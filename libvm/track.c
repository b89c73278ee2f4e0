/*
 * Who stored: vm_track and vm_dirty over whichever way this kernel has, and logs of first stores.
 *
 * Soft-dirty bits are not among the ways: reading them and clearing them are two steps there, for the whole process, so
 * a store by another thread between the two is lost.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum means { MEANS_SHADOW = 1, MEANS_PAGEMAP };

static atomic_int chosen;

/* VM_DIRTY in the environment: "mprotect" forces that. */
static enum means means(void)
{
    int known = atomic_load(&chosen);
    const char *wish;

    if (known)
        return known;
    wish = getenv("VM_DIRTY");
    known = (wish && strcmp(wish, "mprotect") == 0) || !pagemap_works() ? MEANS_SHADOW : MEANS_PAGEMAP;
    atomic_store(&chosen, known);
    return known;
}

const char *vm_dirty_backend(void) { return means() == MEANS_PAGEMAP ? "pagemap-scan" : "mprotect"; }

/* Ranges tracked by other means than shadows; the argument only says that one is there. */
static struct areas tracked = AREAS_INITIALIZER;

static bool is_taken(uintptr_t start, size_t length)
{
    struct area other;

    return (areas_next(&tracked, start, &other) && other.start < start + length) ||
           (areas_next(&vm_shadows, start, &other) && other.start < start + length);
}

int vm_track(void *start, size_t length)
{
    size_t bytes = vm_whole_pages(start, length);
    struct area area = {(uintptr_t)start, (uintptr_t)start + bytes, NULL, &tracked};
    int error;

    if (bytes == 0)
        return vm_fail(EINVAL);
    if (is_taken(area.start, bytes))
        return vm_fail(EBUSY);
    if (means() == MEANS_PAGEMAP && pagemap_open(area.start, bytes) == 0) {
        error = areas_change(&tracked, &area);
        if (!error)
            return 0;
        pagemap_close(area.start, bytes);
        return vm_fail(error);
    }
    /* Also for memory that userfaultfd does not take. */
    return shadow_open(area.start, bytes, 0) ? 0 : -1;
}

int vm_untrack(void *start)
{
    struct area area;

    if (areas_find(&vm_shadows, (uintptr_t)start, &area) && area.start == (uintptr_t)start)
        return shadow_close(area.argument);
    if (!areas_find(&tracked, (uintptr_t)start, &area) || area.start != (uintptr_t)start)
        return vm_fail(EINVAL);
    area.argument = NULL;
    areas_change(&tracked, &area);
    return pagemap_close(area.start, area.end - area.start);
}

ssize_t vm_dirty(void *start, size_t length, struct vm_range *out, size_t max, int flags, void **next)
{
    size_t bytes = vm_whole_pages(start, length);
    uintptr_t first = (uintptr_t)start, end = first + bytes, at = first;
    struct area area;
    ssize_t count;

    if (bytes == 0 || (flags & ~VM_REARM))
        return vm_fail(EINVAL);
    if (areas_find(&vm_shadows, first, &area) && end <= area.end)
        count = shadow_dirty(area.argument, first, end, out, max, flags & VM_REARM, &at);
    else if (areas_find(&tracked, first, &area) && end <= area.end)
        count = pagemap_dirty(first, end, out, max, flags & VM_REARM, &at);
    else
        return vm_fail(EINVAL);
    if (count >= 0 && next)
        *next = (void *)at;
    return count;
}

/* --- Logs ------------------------------------------------------------------------------------------------------------
 */

struct vm_log {
    struct shadow *shadow;
};

struct vm_log *vm_log_open(void *start, size_t length, size_t entries)
{
    size_t bytes = vm_whole_pages(start, length);
    struct vm_log *log;

    if (bytes == 0 || entries == 0 || entries > SIZE_MAX / 4 / sizeof(void *)) {
        errno = EINVAL;
        return NULL;
    }
    if (is_taken((uintptr_t)start, bytes)) {
        errno = EBUSY;
        return NULL;
    }
    log = malloc(sizeof(*log));
    if (!log)
        return NULL;
    log->shadow = shadow_open((uintptr_t)start, bytes, entries);
    if (!log->shadow) {
        int saved = errno;

        free(log);
        errno = saved;
        return NULL;
    }
    return log;
}

ssize_t vm_log_read(struct vm_log *log, void **pages, size_t max) { return shadow_read(log->shadow, pages, max); }

size_t vm_log_lost(const struct vm_log *log) { return shadow_lost(log->shadow); }

int vm_log_rearm(struct vm_log *log, const struct vm_range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t bytes = vm_whole_pages(ranges[i].start, ranges[i].length);

        if (bytes == 0)
            return vm_fail(EINVAL);
        if (shadow_rearm(log->shadow, (uintptr_t)ranges[i].start, (uintptr_t)ranges[i].start + bytes))
            return -1;
    }
    return 0;
}

int vm_log_close(struct vm_log *log)
{
    int result = shadow_close(log->shadow);

    free(log);
    return result;
}
