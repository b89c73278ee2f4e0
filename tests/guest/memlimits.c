/* How much memory a process may have: RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK, vm.max_map_count, vm.overcommit_memory. */
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)
#define MIB (1UL << 20)

static void set_limit(int which, rlim_t value)
{
    struct rlimit limit = {value, RLIM_INFINITY};

    if (setrlimit(which, &limit))
        _exit(100);
}

static unsigned long kib_of(const char *name) { return (unsigned long)proc_value("/proc/self/status", name) * 1024; }

static int maps(size_t length, int prot, int flags)
{
    void *at = mmap(NULL, length, prot, flags, -1, 0);

    if (at == MAP_FAILED)
        return 0;
    munmap(at, length);
    return 1;
}

static int with_as_limit(void *unused UNUSED)
{
    char *at = anon(4 * MIB, PROT_NONE), *p;

    set_limit(RLIMIT_AS, kib_of("VmSize") + 4 * MIB);
    if (!maps(3 * MIB, PROT_NONE, PRIVATE))
        return 1;
    if (maps(5 * MIB, PROT_NONE, PRIVATE) || errno != ENOMEM)
        return 2;
    if (maps(5 * MIB, RW, MAP_SHARED | MAP_ANONYMOUS) || errno != ENOMEM)
        return 3;
    p = mmap(at, 4 * MIB, RW, PRIVATE | MAP_FIXED, -1, 0);
    if (p != at || mmap(at, 8 * MIB, RW, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED)
        return 4;
    if (mremap(at, 4 * MIB, 9 * MIB, MREMAP_MAYMOVE) != MAP_FAILED || errno != ENOMEM)
        return 5;
    at = mremap(at, 4 * MIB, 7 * MIB, MREMAP_MAYMOVE);
    if (at == MAP_FAILED)
        return 6;
    if (sbrk(2 * MIB) != (void *)-1)
        return 7;
    p = mmap(at, 7 * MIB, PROT_READ, PRIVATE | MAP_FIXED, -1, 0);
    return p == at ? 0 : 8; /* what is replaced does not count */
}

static int with_data_limit(void *unused UNUSED)
{
    char *none = anon(16 * MIB, PROT_NONE), *p;

    set_limit(RLIMIT_DATA, kib_of("VmData") + 4 * MIB);
    if (!maps(3 * MIB, RW, PRIVATE) || maps(5 * MIB, RW, PRIVATE) || errno != ENOMEM)
        return 1;
    if (!maps(16 * MIB, PROT_READ, PRIVATE) || !maps(16 * MIB, PROT_NONE, PRIVATE))
        return 2;
    if (!maps(16 * MIB, RW, MAP_SHARED | MAP_ANONYMOUS))
        return 3;
    if (mprotect(none, 3 * MIB, RW))
        return 4;
    if (mprotect(none + 4 * MIB, 3 * MIB, RW) != -1 || errno != ENOMEM)
        return 5;
    if (mprotect(none, 3 * MIB, PROT_READ) || mprotect(none + 4 * MIB, 3 * MIB, RW))
        return 6;
    if (mprotect(none + 4 * MIB, 3 * MIB, PROT_NONE))
        return 7;
    if (sbrk(5 * MIB) != (void *)-1 || errno != ENOMEM)
        return 8;
    p = mmap(NULL, 2 * MIB, RW, PRIVATE, -1, 0);
    if (p == MAP_FAILED || mremap(p, 2 * MIB, 6 * MIB, MREMAP_MAYMOVE) != MAP_FAILED || errno != ENOMEM)
        return 9;
    return 0;
}

static int use_stack(void *size)
{
    volatile char here[1 << 16];

    here[0] = here[65535] = 1;
    return (uintptr_t)size < sizeof(here) ? here[0] - 1
                                          : use_stack((void *)((uintptr_t)size - sizeof(here))) + here[0] - 1;
}

static int with_stack_limit(void *size)
{
    set_limit(RLIMIT_STACK, MIB);
    return use_stack(size);
}

static void test_rlimits(void)
{
    EXITS(with_as_limit, NULL, 0, "RLIMIT_AS");
    EXITS(with_data_limit, NULL, 0, "RLIMIT_DATA");
    EXITS(with_stack_limit, (MIB / 2), 0, "a stack below RLIMIT_STACK");
    DIES(with_stack_limit, (2 * MIB), SIGSEGV, ANY_CODE, 0, "and one that outgrows it");
}

/* ---- /proc/sys/vm ---- */

static int write_setting(const char *name, const char *value)
{
    char path[80];
    ssize_t n;
    int fd, saved;

    snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
    fd = open(path, O_WRONLY);
    if (fd < 0)
        return -1;
    n = write(fd, value, strlen(value));
    saved = errno;
    close(fd);
    errno = saved;
    return n < 0 ? -1 : 0;
}

static long setting(const char *name)
{
    char path[80], *text;
    long value;

    snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
    text = slurp(path);
    value = text ? strtol(text, NULL, 10) : -1;
    free(text);
    return value;
}

static int many_maps(void *unused UNUSED)
{
    char *at = mmap(NULL, 2000 * PAGE, PROT_NONE, PRIVATE, -1, 0);
    int n = 0;

    while (n < 1000 && mmap(at + (size_t)n * 2 * PAGE, PAGE, n % 2 ? PROT_READ : RW,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
        n++;
    if (n == 1000 || errno != ENOMEM)
        return 1;
    if (munmap(at + 1999 * PAGE, PAGE))
        return 2;
    return n > 60 && n < 110 ? 0 : 3;
}

static void test_map_count(void)
{
    IS(setting("max_map_count"), 65530, "vm.max_map_count");
    OKAY(write_setting("max_map_count", "200\n"), "set to 200");
    IS(setting("max_map_count"), 200, "reads as 200");
    EXITS(many_maps, NULL, 0, "no process has more mappings");
    FAILS(write_setting("max_map_count", "-1\n"), EINVAL, "a negative number");
    OKAY(write_setting("max_map_count", "65530\n"), "and back");
}

static unsigned long meminfo(const char *name) { return (unsigned long)proc_value("/proc/meminfo", name) * 1024; }

static int never_overcommit(void *unused UNUSED)
{
    unsigned long limit = meminfo("CommitLimit"), now = meminfo("Committed_AS");
    char *at;

    if (maps(limit, RW, PRIVATE) || errno != ENOMEM)
        return 1;
    if (maps(limit, RW, PRIVATE | MAP_NORESERVE) || errno != ENOMEM)
        return 2;
    if (maps(limit, RW, MAP_SHARED | MAP_ANONYMOUS) || errno != ENOMEM)
        return 3;
    if (!maps(limit, PROT_NONE, PRIVATE) || !maps(limit, PROT_READ, PRIVATE))
        return 4;
    at = mmap(NULL, 8 * MIB, RW, PRIVATE, -1, 0);
    if (at == MAP_FAILED || meminfo("Committed_AS") < now + 7 * MIB)
        return 5;
    munmap(at, 8 * MIB);
    if (meminfo("Committed_AS") > now + 4 * MIB)
        return 6;
    at = mmap(NULL, limit, PROT_NONE, PRIVATE, -1, 0);
    if (mprotect(at, limit, RW) != -1 || errno != ENOMEM)
        return 7;
    if (mprotect(at, 8 * MIB, RW))
        return 8;
    if (meminfo("Committed_AS") < now + 7 * MIB)
        return 9;
    return 0;
}

static void test_overcommit(void)
{
    unsigned long total = meminfo("MemTotal"), huge = 2 * (total + meminfo("SwapTotal")), limit;

    IS(setting("overcommit_memory"), 0, "vm.overcommit_memory");
    IS(setting("overcommit_ratio"), 50, "vm.overcommit_ratio");
    IS(setting("overcommit_kbytes"), 0, "vm.overcommit_kbytes");
    CHECK(maps(total / 2, RW, PRIVATE), "0: what might fit is promised");
    CHECK(!maps(huge, RW, PRIVATE) && errno == ENOMEM, "what never fits is not");
    CHECK(!maps(huge, RW, MAP_SHARED | MAP_ANONYMOUS) && errno == ENOMEM, "nor as shared memory");
    CHECK(maps(huge, RW, PRIVATE | MAP_NORESERVE), "unless with MAP_NORESERVE");
    CHECK(maps(huge, PROT_NONE, PRIVATE), "or without permission to write");
    OKAY(write_setting("overcommit_memory", "1\n"), "1:");
    CHECK(maps(huge, RW, PRIVATE), "everything is promised");
    limit = meminfo("CommitLimit");
    CHECK(limit > total / 4 && limit < total, "CommitLimit is half of memory");
    OKAY(write_setting("overcommit_kbytes", "600000\n"), "vm.overcommit_kbytes");
    IS(setting("overcommit_ratio"), 0, "takes the ratio's place");
    CHECK(meminfo("CommitLimit") >= 600000UL * 1024, "CommitLimit follows it");
    OKAY(write_setting("overcommit_ratio", "50\n"), "vm.overcommit_ratio");
    IS(setting("overcommit_kbytes"), 0, "takes it back");
    OKAY(write_setting("overcommit_memory", "2\n"), "2:");
    EXITS(never_overcommit, NULL, 0, "promises are counted and kept below CommitLimit");
    OKAY(write_setting("overcommit_memory", "0\n"), "and back");
    FAILS(write_setting("overcommit_memory", "3\n"), EINVAL, "there is no 3");
    FAILS(write_setting("overcommit_memory", "x\n"), EINVAL, "nor x");
}

static void test_shared_put_elsewhere(void)
{
    unsigned long before, after;
    void *at = (void *)NEED((long)mmap(NULL, 8 * MIB, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0));

    memset(at, 'x', 8 * MIB);
    before = meminfo("Committed_AS");
    madvise(at, 8 * MIB, 21); /* MADV_PAGEOUT */
    after = meminfo("Committed_AS");
    CHECK(after + 2 * MIB > before, "shared memory that is swapped out is promised still (%lu KiB, was %lu)",
          after / 1024, before / 1024);
    munmap(at, 8 * MIB);
}

static void body(void)
{
    test_rlimits();
    test_map_count();
    test_overcommit();
    test_shared_put_elsewhere();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
