/*
 * Stores found by the kernel: asynchronous write protection by userfaultfd, asked for with PAGEMAP_SCAN. A store costs
 * one fault inside the kernel, and no signal; finding and arming again are one step per page.
 *
 * Source: Linux's Documentation/admin-guide/mm/pagemap.rst, ioctl_userfaultfd(2). The names below are that interface's;
 * older headers lack them.
 */
#include "internal.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

struct scan_region {
    uint64_t start, end, categories;
};

struct scan_argument {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN _IOWR('f', 16, struct scan_argument)
#define SCAN_ARM 1         /* PM_SCAN_WP_MATCHING */
#define SCAN_CHECK_ASYNC 2 /* PM_SCAN_CHECK_WPASYNC */
#define PAGE_WAS_WRITTEN 2 /* PAGE_IS_WRITTEN */

static int uffd = -1, pagemap = -1;

/* One scan: up to MAX regions to FOUND; *NEXT is where it stopped. */
static long scan(uintptr_t start, uintptr_t end, struct scan_region *found, size_t max, bool rearm, uintptr_t *next)
{
    struct scan_argument argument = {
        .size = sizeof(argument),
        .flags = SCAN_CHECK_ASYNC | (rearm ? SCAN_ARM : 0),
        .start = start,
        .end = end,
        .vec = (uintptr_t)found,
        .vec_len = max,
        .category_mask = PAGE_WAS_WRITTEN,
        .return_mask = PAGE_WAS_WRITTEN,
    };
    long count = ioctl(pagemap, SCAN, &argument);

    *next = argument.walk_end;
    return count;
}

/* By trying: a page is armed, stored to, found, and not found again. */
static bool try_it(void)
{
    size_t page = vm_page_size();
    volatile char *at = vm_pages(2 * page);
    struct scan_region found[2];
    uintptr_t start = (uintptr_t)at, next;
    bool works = false;

    if (!at)
        return false;
    if (pagemap_open(start, 2 * page) == 0) {
        at[page] = 1;
        works = scan(start, start + 2 * page, found, 2, true, &next) == 1 && found[0].start == start + page &&
                found[0].end == start + 2 * page && next == start + 2 * page &&
                scan(start, start + 2 * page, found, 2, true, &next) == 0;
        at[page] = 2;
        works = works && scan(start, start + 2 * page, found, 2, true, &next) == 1;
        pagemap_close(start, 2 * page);
    }
    vm_pages_free((void *)at, 2 * page);
    return works;
}

static bool start_it(void)
{
    struct uffdio_api api = {.api = UFFD_API,
                             .features =
                                 UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_HUGETLBFS_SHMEM};

    uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (uffd >= 0 && pagemap >= 0 && ioctl(uffd, UFFDIO_API, &api) == 0 && try_it())
        return true;
    if (uffd >= 0)
        close(uffd);
    if (pagemap >= 0)
        close(pagemap);
    return false;
}

/* Both belong to one space: a child of fork asks again. */
bool pagemap_works(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static pid_t asked_by;
    static bool works;
    bool result;

    pthread_mutex_lock(&lock);
    if (asked_by != getpid()) {
        if (works) {
            close(uffd);
            close(pagemap);
        }
        works = start_it();
        asked_by = getpid();
    }
    result = works;
    pthread_mutex_unlock(&lock);
    return result;
}

int pagemap_open(uintptr_t start, size_t length)
{
    struct uffdio_register range = {.range = {start, length}, .mode = UFFDIO_REGISTER_MODE_WP};
    struct uffdio_writeprotect arm = {.range = {start, length}, .mode = UFFDIO_WRITEPROTECT_MODE_WP};
    int saved;

    if (ioctl(uffd, UFFDIO_REGISTER, &range))
        return -1;
    if (ioctl(uffd, UFFDIO_WRITEPROTECT, &arm) == 0)
        return 0;
    saved = errno;
    pagemap_close(start, length);
    return vm_fail(saved);
}

int pagemap_close(uintptr_t start, size_t length)
{
    struct uffdio_range range = {start, length};

    return ioctl(uffd, UFFDIO_UNREGISTER, &range);
}

ssize_t pagemap_dirty(uintptr_t start, uintptr_t end, struct vm_range *out, size_t max, bool rearm, uintptr_t *next)
{
    struct scan_region found[64];
    size_t done = 0;

    *next = start;
    while (*next < end && done < max) {
        size_t room = max - done < 64 ? max - done : 64;
        long count = scan(*next, end, found, room, rearm, next);

        if (count < 0)
            return -1;
        for (long i = 0; i < count; i++) {
            struct vm_range *last = done ? &out[done - 1] : NULL;

            /* Two calls may cut one range in two. */
            if (last && (uintptr_t)last->start + last->length == found[i].start)
                last->length += found[i].end - found[i].start;
            else
                out[done++] = (struct vm_range){(void *)(uintptr_t)found[i].start, found[i].end - found[i].start, 0};
        }
    }
    return (ssize_t)done;
}
