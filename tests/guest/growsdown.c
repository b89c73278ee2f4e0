/*
 * Memory that grows down: the main stack up to RLIMIT_STACK, MAP_GROWSDOWN mappings, and the gap kept below them.
 * Source: mmap(2) (MAP_GROWSDOWN), getrlimit(2).
 */
#include "tap.h"

#include <alloca.h>

#define RW (PROT_READ | PROT_WRITE)

/* Use BYTES of stack, a page at a time. */
static __attribute__((noinline)) int descend(long bytes)
{
    volatile char block[PAGE];

    block[0] = (char)bytes;
    if (bytes > (long)PAGE && descend(bytes - (long)PAGE) == 77)
        return 78;
    return block[0] == (char)bytes ? 0 : 1;
}

static int descend_child(void *bytes) { return descend((long)bytes); }

/* The range of the line of /proc/self/maps that holds ADDRESS. */
static void mapping_of(const void *address, unsigned long *start, unsigned long *end)
{
    char *maps = slurp("/proc/self/maps"), *line = maps;

    *start = *end = 0;
    for (; line && *line; line = (line = strchr(line, '\n')) ? line + 1 : NULL) {
        unsigned long from, to;

        if (sscanf(line, "%lx-%lx", &from, &to) == 2 && from <= (unsigned long)address && (unsigned long)address < to)
            *start = from, *end = to;
    }
    free(maps);
}

static int limited(void *bytes)
{
    struct rlimit limit = {256 << 10, RLIM_INFINITY};

    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = 256 << 10;
    if (setrlimit(RLIMIT_STACK, &limit))
        return 9;
    return descend((long)bytes);
}

static void main_stack(void)
{
    unsigned long start, end, later_start, later_end;
    char here;

    mapping_of(&here, &start, &end);
    CHECK(start && end - start < 1 << 20, "the stack is small at first (%lu KiB)", (end - start) >> 10);
    IS(descend(2 << 20), 0, "and grows by 2 MiB as it is used");
    mapping_of(&here, &later_start, &later_end);
    CHECK(later_end == end && later_start + (2 << 20) <= end, "which maps shows (%lu KiB)",
          (later_end - later_start) >> 10);
    EXITS(descend_child, 4 << 20, 0, "a child's stack grows too");
    IS(in_child(descend_child, (void *)(64L << 20)).signal, SIGSEGV, "past RLIMIT_STACK it is SIGSEGV");
    IS(in_child(limited, (void *)(64L << 10)).status, 0, "within a lower limit it works");
}

/* A page below the stack pointer, but not below the limit, may be touched as well. */
static int far_below(void *unused UNUSED)
{
    volatile char *here = (volatile char *)__builtin_frame_address(0);

    here[-(5L << 20)] = 1;
    return here[-(5L << 20)] == 1 && here[-(3L << 20)] == 0 ? 0 : 1;
}

static int store(void *at)
{
    *(volatile char *)at = 1;
    return 0;
}

static void grows_down(void)
{
    const size_t gap = 256 * PAGE; /* Linux's stack_guard_gap */
    char *range = anon(4 * gap, PROT_NONE), *at = range + 3 * gap;

    NEED(munmap(range, 4 * gap));
    NEED((long)mmap(range, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    if (OKAY((long)mmap(at, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0),
             "MAP_GROWSDOWN") == -1)
        return;
    at[0] = at[PAGE] = 'g';
    at[-1] = 'a';
    at[-(long)PAGE - 1] = 'b';
    CHECK(at[-1] == 'a' && at[-(long)PAGE - 1] == 'b' && at[-(long)PAGE] == 0, "grows page by page when touched below");
    at[-10 * (long)PAGE] = 'c';
    CHECK(at[-10 * (long)PAGE] == 'c' && at[-5 * (long)PAGE] == 0, "and by many at once");
    DIES(store, range + gap - PAGE, SIGSEGV, SEGV_MAPERR, range + gap - PAGE,
         "not into the guard gap above another mapping");
    EXITS(store, range + gap + 2 * PAGE, 0, "but up to it");
    DIES(store, range + 2 * PAGE, SIGSEGV, SEGV_MAPERR, range + 2 * PAGE, "nor next to that mapping");
    NEED(munmap(range, 4 * gap));
    DIES(store, at - PAGE, SIGSEGV, SEGV_MAPERR, at - PAGE, "an unmapped one grows no more");
}

static int with_small_limit(void *at)
{
    struct rlimit limit;

    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = 16 * PAGE;
    setrlimit(RLIMIT_STACK, &limit);
    ((volatile char *)at)[-8 * (long)PAGE] = 1;
    ((volatile char *)at)[-30 * (long)PAGE] = 1;
    return 0;
}

static int read_below(void *at)
{
    static int fd;

    fd = open("/dev/zero", O_RDONLY);
    return read(fd, (char *)at - PAGE - 5, 10) == 10 ? 0 : 1;
}

static void rules_of_growth(void)
{
    char *range = anon(4UL << 20, PROT_NONE), *at = range + (3UL << 20);

    NEED(munmap(range, 4UL << 20));
    NEED((long)mmap(at, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0));
    EXITS(read_below, at, 0, "a system call that stores below it makes it grow");
    DIES(with_small_limit, at, SIGSEGV, SEGV_MAPERR, at - 30 * PAGE, "RLIMIT_STACK bounds it too");
    NEED(munmap(range, 4UL << 20));
    EXITS(far_below, NULL, 0, "the main stack grows over any distance within its limit");
}

static void body(void)
{
    main_stack();
    grows_down();
    rules_of_growth();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
