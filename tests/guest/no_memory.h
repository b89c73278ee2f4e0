/*
 * Every allocation of a call fails once (no_memory.c, no_memory_more.c): the call returns an error that its manual page
 * has, nothing is half done or leaks, and the call works the next time. Needs a kernel that can be told to fail
 * (/proc/thread-self/fail-nth, as in Linux with fault injection; Quire's debug kernel has it).
 *
 * A call is a function that returns 0, or -1 with errno, and undoes what succeeded. What must not fail on the way is
 * done after set_failure(0), or between failures_left and set_failure.
 */
#ifndef NO_MEMORY_H
#define NO_MEMORY_H

#include "tap.h"

#define PAGES 64UL
#define MOST_ALLOCATIONS 400

static int fail_file; /* an open fail-nth */
static char *area;    /* PAGES pages, page I full of I + 1 */
static int data_file; /* the same bytes */

UNUSED static void set_failure(int n)
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%d", n);

    if (pwrite(fail_file, text, length, 0) != length && pwrite(fail_file, text, length, 0) != length)
        _exit(9); /* the first may have failed as it was told to */
}

UNUSED static int failures_left(void)
{
    char text[16] = "";

    return pread(fail_file, text, sizeof(text) - 1, 0) < 1 ? 1 : atoi(text); /* it failed as it was told to */
}

static void fill_area(void)
{
    for (unsigned long i = 0; i < PAGES; i++)
        memset(area + i * PAGE, (int)i + 1, PAGE);
}

static int area_is_intact(void)
{
    for (unsigned long i = 0; i < PAGES; i++)
        if (area[i * PAGE] != (char)(i + 1) || area[(i + 1) * PAGE - 1] != (char)(i + 1))
            return 0;
    return 1;
}

UNUSED static int unmapped(void *p, size_t n) { return p == MAP_FAILED ? -1 : munmap(p, n); }
UNUSED static int closed(int fd) { return fd < 0 ? -1 : close(fd); }

struct failing_call {
    const char *name;
    int (*call)(void);
};

static int is_no_memory(int error)
{
    return error == ENOMEM || error == EAGAIN || error == ENFILE || error == EFAULT || error == EIO;
}

static void fail_each(const char *name, int (*call)(void))
{
    int n, bad = 0, error = 0, result = 0, left = 0;

    for (n = 1; n <= MOST_ALLOCATIONS; n++) {
        set_failure(n);
        result = call();
        error = errno;
        left = failures_left();
        set_failure(0);
        if (result != 0 && !is_no_memory(error)) {
            bad = n;
            break;
        }
        if (!area_is_intact()) {
            error = 0;
            bad = n;
            break;
        }
        if (left != 0)
            break;
    }
    CHECK(bad == 0, "%s: each failed allocation is an error or does not matter (%d of them; the %d. gives %s)", name,
          n - 1, bad, errno_name(error));
    CHECK(call() == 0, "%s: works afterwards", name);
}

static void fail_all(const struct failing_call *calls, size_t n)
{
    fail_file = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
    if (fail_file < 0) {
        skip("allocations that fail", "this kernel cannot be told to fail allocations");
        return;
    }
    data_file = open("data", O_RDWR | O_CREAT, 0600);
    area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill_area();
    if (write(data_file, area, PAGES * PAGE) != (ssize_t)(PAGES * PAGE))
        _exit(8);
    for (size_t i = 0; i < n; i++) {
        if (calls[i].call() != 0) { /* what is looked up for the first time is cached then */
            CHECK(0, "%s works to begin with: %s", calls[i].name, errno_name(errno));
            continue;
        }
        fail_each(calls[i].name, calls[i].call);
    }
    CHECK(area_is_intact(), "the memory is as it was");
}

#endif
