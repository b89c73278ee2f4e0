/* User traps: which pages were stored to (VMTRAP_DIRTY), without a fault. */
#include "vmtrap.h"

#define PAGES 1500UL /* several tables */
#define MAX 600

static char *pool;
static struct vmtrap_range found[MAX];

static void store(unsigned long page) { *(volatile char *)(pool + page * PAGE) = 1; }

static struct vmtrap_dirty request(struct vmtrap_range *range, uint64_t max, uint64_t flags)
{
    *range = (struct vmtrap_range){(uintptr_t)pool, PAGES * PAGE, 0};
    return (struct vmtrap_dirty){
        .ranges = (uintptr_t)range, .n_ranges = 1, .found = (uintptr_t)found, .max = max, .flags = flags};
}

static long look(uint64_t max, uint64_t flags)
{
    struct vmtrap_range range;
    struct vmtrap_dirty d = request(&range, max, flags);

    return syscall(VMTRAP_DIRTY, &d);
}

static void new_pool(void)
{
    pool = anon(PAGES * PAGE, RW);
    madvise(pool, PAGES * PAGE, MADV_NOHUGEPAGE);
    for (unsigned long i = 0; i < PAGES; i++)
        store(i);
    NEED(syscall(VMTRAP_ARM, pool, PAGES * PAGE, VMTRAP_TRACK));
}

static void drop_pool(void) { munmap(pool, PAGES * PAGE); }

static int is_run(int i, unsigned long first, unsigned long n)
{
    return found[i].start == (uintptr_t)pool + first * PAGE && found[i].length == n * PAGE && found[i].prot == 0;
}

static void runs(void)
{
    new_pool();
    IS(look(MAX, 0), 0, "memory that is tracked is clean at first");
    store(3);
    store(4);
    store(7);
    store(1200);
    IS(look(MAX, 0), 3, "runs of stores are found");
    CHECK(is_run(0, 3, 2) && is_run(1, 7, 1) && is_run(2, 1200, 1), "where they are");
    IS(look(MAX, VMTRAP_REARM), 3, "again, as they were not made clean");
    IS(look(MAX, VMTRAP_REARM), 0, "but then they were");
    store(3);
    IS(look(MAX, VMTRAP_REARM), 1, "and the next store is found");
    *(volatile char *)(pool + 9 * PAGE);
    mprotect(pool, PAGES * PAGE, PROT_READ);
    mprotect(pool, PAGES * PAGE, RW);
    IS(look(MAX, VMTRAP_REARM), 0, "loads and changes of protection are no stores");
    for (unsigned long i = 0; i < PAGES; i++)
        store(i);
    IS(look(MAX, VMTRAP_REARM), 1, "all pages are one run");
    CHECK(is_run(0, 0, PAGES), "of all");
    drop_pool();
}

static void in_steps(void)
{
    struct vmtrap_range range;
    struct vmtrap_dirty d;
    unsigned long n = 0, got = 0, in_order = 1;
    long more;

    new_pool();
    for (unsigned long i = 0; i < PAGES; i += 2)
        store(i);
    d = request(&range, 100, VMTRAP_REARM);
    while ((more = syscall(VMTRAP_DIRTY, &d)) > 0) {
        for (long i = 0; i < more; i++, n++)
            in_order &= found[i].start == (uintptr_t)pool + 2 * n * PAGE;
        got++;
        if (d.range == d.n_ranges)
            break;
    }
    IS(n, PAGES / 2, "a small list is filled again and again");
    CHECK(in_order && got == (n + 99) / 100, "in order, and full (%lu times)", got);
    IS(look(MAX, 0), 0, "all is clean then");
    drop_pool();
}

static void many_ranges(void)
{
    struct vmtrap_range ranges[50];
    struct vmtrap_dirty d = {
        .ranges = (uintptr_t)ranges, .n_ranges = 50, .found = (uintptr_t)found, .max = MAX, .flags = VMTRAP_REARM};

    new_pool();
    for (unsigned long i = 0; i < 50; i++) {
        ranges[i] = (struct vmtrap_range){(uintptr_t)pool + i * 20 * PAGE, 10 * PAGE, 0};
        store(i * 20 + 5);
        store(i * 20 + 15);
    }
    IS(syscall(VMTRAP_DIRTY, &d), 50, "many ranges at once");
    IS(look(MAX, 0), 50, "and what is between them is left alone");
    IS(d.range, 50, "the end is told");
    drop_pool();
}

static void of_others(void)
{
    int fd = (int)NEED(memfd_create("pages", 0)), status;
    char *shared;

    new_pool();
    NEED(pread(open("/dev/zero", O_RDONLY), pool + 20 * PAGE, 10, 0));
    IS(look(MAX, VMTRAP_REARM), 1, "a store by the kernel is one");
    if (fork() == 0) {
        store(8);
        _exit(look(MAX, VMTRAP_REARM) == 1 && is_run(0, 8, 1) ? 7 : 8);
    }
    wait(&status);
    IS(WEXITSTATUS(status), 7, "a child finds its own");
    IS(look(MAX, VMTRAP_REARM), 0, "and the parent does not");
    store(8);
    IS(look(MAX, VMTRAP_REARM), 1, "but its own");
    drop_pool();
    NEED(ftruncate(fd, 16 * PAGE));
    shared = mmap(NULL, 16 * PAGE, RW, MAP_SHARED, fd, 0);
    NEED(syscall(VMTRAP_ARM, shared, 16 * PAGE, VMTRAP_TRACK));
    shared[5 * PAGE] = 1;
    {
        struct vmtrap_range range = {(uintptr_t)shared, 16 * PAGE, 0};
        struct vmtrap_dirty d = {
            .ranges = (uintptr_t)&range, .n_ranges = 1, .found = (uintptr_t)found, .max = MAX, .flags = 1};

        IS(syscall(VMTRAP_DIRTY, &d), 1, "shared memory is tracked");
        IS(found[0].start, (uintptr_t)shared + 5 * PAGE, "by page");
        IS((d.range = 0, syscall(VMTRAP_DIRTY, &d)), 0, "and made clean");
    }
    munmap(shared, 16 * PAGE);
    close(fd);
}

static void huge_pages(void)
{
    char *at = anon(6UL << 20, RW), *huge = (char *)(((uintptr_t)at + (2UL << 20)) & -(2UL << 20));
    struct vmtrap_range range = {(uintptr_t)huge, 2UL << 20, 0};
    struct vmtrap_dirty d = {
        .ranges = (uintptr_t)&range, .n_ranges = 1, .found = (uintptr_t)found, .max = MAX, .flags = 1};

    madvise(huge, 2UL << 20, MADV_HUGEPAGE);
    memset(huge, 1, 2UL << 20);
    NEED(syscall(VMTRAP_ARM, huge, 2UL << 20, VMTRAP_TRACK));
    huge[77 * PAGE] = 1;
    IS(syscall(VMTRAP_DIRTY, &d), 1, "in what was a huge page");
    IS(found[0].length, PAGE, "single pages are found");
    munmap(at, 6UL << 20);
}

static volatile int stop;

static void *storing(void *seed)
{
    unsigned long x = (unsigned long)seed;

    while (!stop) {
        x = x * 6364136223846793005 + 1442695040888963407;
        __atomic_fetch_add((uint32_t *)(pool + (x >> 33) % 200 * PAGE), 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* What was counted in each page when it was found last, and whether it has changed since without being found. */
static void beside_threads(void)
{
    static uint32_t at_last[200];
    pthread_t thread[3];
    int missed = 0;

    new_pool();
    for (unsigned long i = 0; i < 200; i++)
        *(uint32_t *)(pool + i * PAGE) = 0;
    look(MAX, VMTRAP_REARM);
    stop = 0;
    for (unsigned long i = 0; i < 3; i++)
        pthread_create(&thread[i], NULL, storing, (void *)(i + 1));
    for (int round = 0; round < 300; round++) {
        long n = look(MAX, VMTRAP_REARM);

        for (long i = 0; i < n; i++)
            for (uintptr_t va = found[i].start; va < found[i].start + found[i].length; va += PAGE)
                at_last[(va - (uintptr_t)pool) / PAGE] = __atomic_load_n((uint32_t *)va, __ATOMIC_RELAXED);
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    for (int round = 0; round < 2; round++) {
        long n = look(MAX, VMTRAP_REARM);

        for (long i = 0; i < n; i++)
            for (uintptr_t va = found[i].start; va < found[i].start + found[i].length; va += PAGE)
                at_last[(va - (uintptr_t)pool) / PAGE] = *(uint32_t *)va;
    }
    for (unsigned long i = 0; i < 200; i++)
        missed += at_last[i] != *(uint32_t *)(pool + i * PAGE);
    IS(missed, 0, "no store beside it goes unnoticed");
    drop_pool();
}

static void errors(void)
{
    struct vmtrap_range range;
    struct vmtrap_dirty d;

    new_pool();
    d = request(&range, MAX, 8);
    FAILS(syscall(VMTRAP_DIRTY, &d), EINVAL, "unknown flags");
    d = request(&range, MAX, 0);
    range.start++;
    FAILS(syscall(VMTRAP_DIRTY, &d), EINVAL, "ranges are of pages");
    d = request(&range, MAX, 0);
    d.ranges = 8;
    FAILS(syscall(VMTRAP_DIRTY, &d), EFAULT, "and the program's memory");
    d = request(&range, MAX, 0);
    d.found = 8;
    store(0);
    FAILS(syscall(VMTRAP_DIRTY, &d), EFAULT, "as is the list");
    FAILS(syscall(VMTRAP_DIRTY, 8), EFAULT, "and the request");
    d = request(&range, MAX, 0);
    d.range = 2;
    FAILS(syscall(VMTRAP_DIRTY, &d), EINVAL, "it begins within the ranges");
    NEED(syscall(VMTRAP_ARM, pool, PAGE, 0));
    FAILS(look(MAX, 0), EINVAL, "what is not tracked cannot be asked for");
    NEED(munmap(pool, PAGE));
    FAILS(look(MAX, 0), ENOMEM, "nor what is not there");
    drop_pool();
}

static void vmtrap_test(void)
{
    runs();
    in_steps();
    many_ranges();
    of_others();
    huge_pages();
    beside_threads();
    errors();
}

int main(int argc, char **argv) { return tap_main(argc, argv, vmtrap_body); }
