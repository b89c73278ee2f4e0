/*
 * Memory with nothing special about it, and with two views.
 */
#include "internal.h"

#include <limits.h>
#include <unistd.h>

#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1U
#endif

int vm_fail(int error)
{
    errno = error;
    return -1;
}

size_t vm_page_size(void) { return PAGE_BYTES; }

void *vm_pages(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return at == MAP_FAILED ? NULL : at;
}

void vm_pages_free(void *at, size_t bytes)
{
    int saved = errno;

    if (at)
        munmap(at, bytes);
    errno = saved;
}

void *vm_alloc(size_t length, int prot)
{
    size_t bytes = vm_whole_pages(NULL, length);
    void *at;

    if (bytes == 0 || !vm_is_protection(prot)) {
        errno = EINVAL;
        return NULL;
    }
    at = mmap(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* Memory of files, which is discarded in another way; the argument only says that one is there. */
static struct areas shared;

static int note_shared(void *start, size_t length, bool is_shared)
{
    struct area area = {(uintptr_t)start, (uintptr_t)start + length, NULL, is_shared ? &shared : NULL};
    int error = !is_shared && areas_empty(&shared) ? 0 : areas_change(&shared, &area);

    return error ? vm_fail(error) : 0;
}

int vm_free(void *start, size_t length)
{
    size_t bytes = vm_whole_pages(start, length);

    if (bytes == 0)
        return vm_fail(EINVAL);
    if (!areas_empty(&vm_traps) && vm_untrap(start, bytes))
        return -1;
    if (note_shared(start, bytes, false))
        return -1;
    return munmap(start, bytes);
}

int vm_map_file2(int fd, off_t offset, size_t length, int prot1, void **view1, int prot2, void **view2)
{
    size_t bytes = vm_whole_pages(NULL, length);
    void *first, *second;

    if (bytes == 0 || !vm_is_protection(prot1) || !vm_is_protection(prot2) || offset < 0)
        return vm_fail(EINVAL);
    first = mmap(NULL, bytes, prot1, MAP_SHARED | MAP_NORESERVE, fd, offset);
    if (first == MAP_FAILED)
        return -1;
    second = mmap(NULL, bytes, prot2, MAP_SHARED | MAP_NORESERVE, fd, offset);
    if (second == MAP_FAILED) {
        vm_pages_free(first, bytes);
        return -1;
    }
    if (note_shared(first, bytes, true) || note_shared(second, bytes, true)) {
        vm_free(first, bytes);
        vm_free(second, bytes);
        return vm_fail(ENOMEM);
    }
    *view1 = first;
    *view2 = second;
    return 0;
}

int vm_map2(size_t length, int prot1, void **view1, int prot2, void **view2)
{
    size_t bytes = vm_whole_pages(NULL, length);
    int fd, result, saved;

    if (bytes == 0 || bytes > (size_t)LONG_MAX)
        return vm_fail(EINVAL);
    fd = memfd_create("vm_map2", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    result = ftruncate(fd, (off_t)bytes) ? -1 : vm_map_file2(fd, 0, bytes, prot1, view1, prot2, view2);
    saved = errno;
    close(fd);
    errno = saved;
    return result;
}

int vm_discard(void *start, size_t length)
{
    size_t bytes = vm_whole_pages(start, length);
    struct area area;
    bool is_shared;

    if (bytes == 0)
        return vm_fail(EINVAL);
    is_shared = areas_next(&shared, (uintptr_t)start, &area) && area.start < (uintptr_t)start + bytes;
    return madvise(start, bytes, is_shared ? MADV_REMOVE : MADV_DONTNEED);
}
