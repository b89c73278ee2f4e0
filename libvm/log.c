/*
 * Logs of first stores: the kernel's, on Quire, where a store to a page that may only be read opens it and takes a
 * place in a ring, without an entry into the program; else a shadow's.
 *
 *     head -->  taken by the kernel, then filled in: 0 is a place that is about to be filled
 *     tail -->  read next by vm_log_read, which makes it 0 again
 *
 * A store that finds the ring full is a fault: the page is opened here, and counted as lost.
 */
#include "internal.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

struct vm_log {
    struct shadow *shadow; /* or NULL and the rest */
    uintptr_t start, end;
    struct vmtrap_log *ring;
    size_t entries;
    unsigned number;
    atomic_size_t lost;
};

#define MOST_ENTRIES (1UL << 20)

struct areas vm_logs;

unsigned log_number(const void *argument) { return ((const struct vm_log *)argument)->number; }

bool log_fault(const struct vm_fault *fault)
{
    struct area area;
    bool is_logged = false;

    if (fault->access != VM_WRITE || areas_empty(&vm_logs))
        return false;
    areas_enter();
    if (areas_find(&vm_logs, (uintptr_t)fault->address, &area)) {
        struct vm_log *log = area.argument;

        atomic_fetch_add(&log->lost, 1);
        is_logged =
            mprotect((void *)((uintptr_t)fault->address & -PAGE_BYTES), PAGE_BYTES, PROT_READ | PROT_WRITE) == 0;
    }
    areas_leave();
    return is_logged;
}

/* Out of the table, memory as it was. */
static int end_by_kernel(struct vm_log *log)
{
    struct area none = {.start = log->start, .end = log->end};
    int result = mprotect((void *)log->start, log->end - log->start, PROT_READ | PROT_WRITE);

    areas_change(&vm_logs, &none);
    quire_arm(log->start, log->end, false);
    areas_quiesce();
    syscall(VMTRAP_LOG, log->number, 0, 0);
    vm_pages_free(log->ring, VMTRAP_LOG_SIZE(log->entries));
    return result;
}

static bool start_by_kernel(struct vm_log *log)
{
    struct area area = {log->start, log->end, NULL, log};
    long number;

    if (vm_way() != WAY_QUIRE || log->entries > MOST_ENTRIES || vm_signals_start())
        return false;
    log->ring = vm_pages(VMTRAP_LOG_SIZE(log->entries));
    if (!log->ring)
        return false;
    number = syscall(VMTRAP_LOG, 0, log->ring, log->entries);
    log->number = (unsigned)number;
    if (number <= 0 || areas_change(&vm_logs, &area)) {
        if (number > 0)
            syscall(VMTRAP_LOG, number, 0, 0);
        vm_pages_free(log->ring, VMTRAP_LOG_SIZE(log->entries));
        return false;
    }
    if (quire_arm(log->start, log->end, false) == 0 &&
        mprotect((void *)log->start, log->end - log->start, PROT_READ) == 0)
        return true;
    end_by_kernel(log);
    return false;
}

struct vm_log *vm_log_open(void *start, size_t length, size_t entries)
{
    size_t bytes = vm_whole_pages(start, length), places = 1;
    struct vm_log *log;
    int saved;

    if (bytes == 0 || entries == 0 || entries > SIZE_MAX / 4 / sizeof(void *)) {
        errno = EINVAL;
        return NULL;
    }
    if (vm_is_tracked((uintptr_t)start, bytes)) {
        errno = EBUSY;
        return NULL;
    }
    while (places < entries)
        places *= 2;
    log = calloc(1, sizeof(*log));
    if (!log)
        return NULL;
    log->start = (uintptr_t)start;
    log->end = log->start + bytes;
    log->entries = places;
    if (start_by_kernel(log))
        return log;
    log->shadow = shadow_open(log->start, bytes, places);
    if (log->shadow)
        return log;
    saved = errno;
    free(log);
    errno = saved;
    return NULL;
}

ssize_t vm_log_read(struct vm_log *log, void **pages, size_t max)
{
    size_t done = 0;

    if (log->shadow)
        return shadow_read(log->shadow, pages, max);
    for (; done < max && __atomic_load_n(&log->ring->head, __ATOMIC_ACQUIRE) != log->ring->tail; done++) {
        uint64_t *entry = &VMTRAP_ENTRIES(log->ring)[log->ring->tail & (log->entries - 1)], page;

        while ((page = __atomic_exchange_n(entry, 0, __ATOMIC_ACQ_REL)) == 0)
            sched_yield();
        __atomic_store_n(&log->ring->tail, log->ring->tail + 1, __ATOMIC_RELEASE);
        pages[done] = (void *)page;
    }
    return (ssize_t)done;
}

size_t vm_log_lost(const struct vm_log *log)
{
    return log->shadow ? shadow_lost(log->shadow) : atomic_load(&log->lost);
}

int vm_log_rearm(struct vm_log *log, const struct vm_range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uintptr_t start = (uintptr_t)ranges[i].start;
        size_t bytes = vm_whole_pages(ranges[i].start, ranges[i].length);

        if (bytes == 0 || start < log->start || start + bytes > log->end)
            return vm_fail(EINVAL);
        if (log->shadow ? shadow_rearm(log->shadow, start, start + bytes) : mprotect((void *)start, bytes, PROT_READ))
            return -1;
    }
    return 0;
}

int vm_log_close(struct vm_log *log)
{
    int result = log->shadow ? shadow_close(log->shadow) : end_by_kernel(log);

    free(log);
    return result;
}
