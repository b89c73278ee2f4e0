/* The PAGEMAP_SCAN ioctl: categories, masks, limits, errors; with userfaultfd's asynchronous write protection: who
 * wrote since the last scan. */
#include "tap.h"

#include <pthread.h>
#include <sys/ioctl.h>

#define RW (PROT_READ | PROT_WRITE)

struct region {
    uint64_t start, end, categories;
};
struct argument {
    uint64_t size, flags, start, end, walk_end, vector, vector_length, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN _IOWR('f', 16, struct argument)
enum {
    WPALLOWED = 1,
    WRITTEN = 2,
    FILE_PAGE = 4,
    PRESENT = 8,
    SWAPPED = 16,
    PFNZERO = 32,
    HUGE = 64,
    SOFT_DIRTY = 128,
    ALL = 255
};
enum { WP_MATCHING = 1, CHECK_WPASYNC = 2 };

struct uffd_range {
    uint64_t start, length;
};
struct uffd_register {
    struct uffd_range range;
    uint64_t mode, ioctls;
};
struct uffd_api {
    uint64_t api, features, ioctls;
};
#define UFFD_API_IOCTL _IOWR(0xaa, 0x3f, struct uffd_api)
#define UFFD_REGISTER_IOCTL _IOWR(0xaa, 0, struct uffd_register)
#define UFFD_MODE_WP 2
#define UFFD_WP_ASYNC (1 << 15)

static int pagemap;
static struct region found[4096];

/* A scan of PAGES pages from AT on for those that are all of MASK; all categories are told. */
static struct argument scan_for(const volatile void *at, size_t pages, uint64_t mask)
{
    return (struct argument){.size = sizeof(struct argument),
                             .start = (uintptr_t)at,
                             .end = (uintptr_t)at + pages * PAGE,
                             .vector = (uintptr_t)found,
                             .vector_length = 4096,
                             .category_mask = mask,
                             .return_mask = ALL & ~SOFT_DIRTY};
}

static long scan(struct argument *a) { return ioctl(pagemap, SCAN, a); }

static long find(const volatile void *at, size_t pages, uint64_t mask)
{
    struct argument a = scan_for(at, pages, mask);

    return scan(&a);
}

/* What the one page at AT is, without SOFT_DIRTY, which some kernels do not know. */
static long categories(const volatile void *at)
{
    found[0].categories = 0;
    return find(at, 1, 0) == 1 ? (long)found[0].categories : -1;
}

static int region_is(int i, const volatile char *at, size_t pages)
{
    return found[i].start == (uintptr_t)at && found[i].end == (uintptr_t)at + pages * PAGE;
}

static void test_categories(void)
{
    volatile char *at = anon(16 * PAGE, RW), *shared, *file, *zero;
    char bytes[PAGE] = "file";
    int fd = make_file("data", bytes, sizeof(bytes));
    long expected = PRESENT | WRITTEN;

    at[0] = at[PAGE] = at[5 * PAGE] = 1;
    IS(find(at, 16, PRESENT), 2, "two runs of present pages");
    CHECK(region_is(0, at, 2) && region_is(1, at + 5 * PAGE, 1), "are where they were written");
    IS(categories(at), expected, "a written page is present and written");
    zero = anon(PAGE, RW);
    (void)zero[0];
    CHECK((categories(zero) & (PRESENT | PFNZERO)) == (PRESENT | PFNZERO), "a page that was read is the page of zeros");
    IS(categories(at + 9 * PAGE) & ~WRITTEN, 0, "an untouched page is nothing");
    shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared[0] = 1;
    IS(categories(shared), expected | FILE_PAGE, "shared memory is of a file");
    file = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
    (void)file[0];
    IS(categories(file), expected | FILE_PAGE, "so is a file's page");
    file[0] = 1;
    IS(categories(file), expected, "a private copy is not");
    at[7 * PAGE] = 1;
    mprotect((void *)(at + 7 * PAGE), PAGE, PROT_NONE);
    IS(categories(at + 7 * PAGE) & PRESENT, PRESENT, "a page without permissions is present");
    close(fd);
}

static void test_masks(void)
{
    volatile char *at = anon(16 * PAGE, RW);
    struct argument a;

    for (int i = 0; i < 16; i += 4)
        at[i * PAGE] = 1;
    (void)at[PAGE];
    a = scan_for(at, 16, PRESENT);
    a.category_inverted = PFNZERO;
    a.category_mask = PRESENT | PFNZERO;
    IS(scan(&a), 4, "present and not the page of zeros");
    a = scan_for(at, 16, 0);
    a.category_anyof_mask = PFNZERO | SWAPPED;
    IS(scan(&a), 1, "the page of zeros, or swapped");
    CHECK(region_is(0, at + PAGE, 1), "is found");
    a = scan_for(at, 16, PRESENT);
    a.category_inverted = PRESENT;
    IS(scan(&a), 4, "absent pages: between those that are there");
    CHECK(region_is(0, at + 2 * PAGE, 2) && region_is(3, at + 13 * PAGE, 3), "in runs");
    a = scan_for(at, 16, PRESENT);
    a.return_mask = PRESENT;
    IS(scan(&a), 4, "what is not asked for");
    IS(found[0].categories, PRESENT, "does not tell runs apart");
    CHECK(region_is(0, at, 2), "so they join");
    IS(find(at, 16, FILE_PAGE), 0, "nothing to find");
    IS(find(at, 16, HUGE), 0, "no huge pages here");
    IS(find(at, 16, WPALLOWED), 0, "nor is anything write-protected asynchronously");
}

static void test_huge(void)
{
    char *area = anon(6 << 20, RW), *at = (char *)(((uintptr_t)area + (2 << 20) - 1) & -(uintptr_t)(2 << 20));
    struct argument a;

    madvise(at, 4 << 20, MADV_HUGEPAGE);
    memset(at, 1, 4 << 20);
    if (find(at, 1024, HUGE) == 0) {
        skip("huge pages", "this memory got none");
        return;
    }
    IS(find(at, 1024, HUGE | PRESENT | WRITTEN), 1, "huge pages are one run");
    a = scan_for(at, 1024, HUGE);
    a.max_pages = 700;
    IS(scan(&a), 1, "cut at max_pages");
    CHECK(region_is(0, at, 700), "within a huge page");
    munmap(area, 6 << 20);
}

static void test_limits(void)
{
    volatile char *at = anon(600 * PAGE, RW);
    struct argument a;

    madvise((void *)at, 600 * PAGE, MADV_NOHUGEPAGE);
    for (int i = 0; i < 600; i += 2)
        at[i * PAGE] = 1;
    a = scan_for(at, 600, PRESENT);
    IS(scan(&a), 300, "many runs");
    IS(a.walk_end, (uintptr_t)at + 600 * PAGE, "walk_end is the end");
    CHECK(region_is(299, at + 598 * PAGE, 1), "the last one is right");
    a = scan_for(at, 600, PRESENT);
    a.vector_length = 10;
    IS(scan(&a), 10, "no more than there is room for");
    CHECK(a.walk_end > (uintptr_t)at + 18 * PAGE && a.walk_end <= (uintptr_t)at + 20 * PAGE, "walk_end is behind them");
    a.start = a.walk_end;
    IS(scan(&a), 10, "the scan goes on from there");
    CHECK(region_is(0, at + 20 * PAGE, 1), "with the next one");
    a = scan_for(at, 600, PRESENT);
    a.max_pages = 5;
    IS(scan(&a), 5, "no more than max_pages");
    CHECK(a.walk_end >= (uintptr_t)at + 9 * PAGE && a.walk_end <= (uintptr_t)at + 10 * PAGE,
          "walk_end is behind those");
    memset((void *)at, 1, 600 * PAGE);
    a = scan_for(at, 600, PRESENT);
    a.max_pages = 7;
    IS(scan(&a), 1, "a run is cut");
    CHECK(region_is(0, at, 7) && a.walk_end == (uintptr_t)at + 7 * PAGE, "at max_pages");
    a = scan_for(at, 600, PRESENT);
    a.vector = a.vector_length = 0;
    IS(scan(&a), 0, "without a vector nothing is told");
    a = scan_for(at, 600, PRESENT);
    a.end -= 100;
    IS(scan(&a), 1, "an end within a page");
    CHECK(region_is(0, at, 600), "takes all of the page");
    a = scan_for(at, 0, 0);
    IS(scan(&a), 0, "an empty range");
    munmap((void *)(at + 100 * PAGE), PAGE);
    IS(find(at, 600, 0), 2, "what is not mapped is passed by");
}

static void test_errors(void)
{
    char *at = anon(4 * PAGE, RW);
    struct argument a, good = scan_for(at, 4, PRESENT);

    FAILS(ioctl(pagemap, SCAN + 1, &good), EINVAL, "another ioctl");
    FAILS(ioctl(pagemap, SCAN, 8), EFAULT, "a bad argument");
#define BAD(field, value, error, name) a = good, a.field = (value), FAILS(scan(&a), error, name)
    BAD(size, 88, EINVAL, "another size");
    BAD(flags, 4, EINVAL, "an unknown flag");
    BAD(category_mask, 1 << 20, EINVAL, "an unknown category in category_mask");
    BAD(category_inverted, 1 << 20, EINVAL, "in category_inverted");
    BAD(category_anyof_mask, 1 << 20, EINVAL, "in category_anyof_mask");
    BAD(return_mask, 1 << 20, EINVAL, "in return_mask");
    BAD(start, (uintptr_t)at + 1, EINVAL, "an odd start");
    BAD(end, UINT64_MAX, EFAULT, "an end past user memory");
    BAD(end, (uintptr_t)at - PAGE, EFAULT, "an end before the start");
    BAD(vector, 0, EINVAL, "no vector but a length");
    BAD(vector, UINT64_MAX - 100, EFAULT, "a vector past user memory");
    memset(at, 1, PAGE);
    BAD(vector, (uintptr_t)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EFAULT,
        "a read-only vector");
    BAD(flags, CHECK_WPASYNC, EPERM, "CHECK_WPASYNC where nothing is registered");
    a = good;
    a.flags = WP_MATCHING;
    IS(scan(&a), 0, "WP_MATCHING passes such memory by");
}

/* ---- with userfaultfd ---- */

static int protect_async(void *at, size_t pages)
{
    struct uffd_api api = {.api = 0xaa, .features = UFFD_WP_ASYNC};
    struct uffd_register range = {.range = {(uintptr_t)at, pages * PAGE}, .mode = UFFD_MODE_WP};
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

    if (fd < 0 || ioctl(fd, UFFD_API_IOCTL, &api) || ioctl(fd, UFFD_REGISTER_IOCTL, &range)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* What was written since the last call, which is protected again. */
static long rearm(const volatile void *at, size_t pages)
{
    struct argument a = scan_for(at, pages, WRITTEN);

    a.flags = WP_MATCHING | CHECK_WPASYNC;
    a.return_mask = WRITTEN;
    return scan(&a);
}

static int child_rearms(void *at) { return ((volatile char *)at)[PAGE] != 9; }

static void test_written(volatile char *at, const char *kind)
{
    struct argument a;
    int fd;

    rearm(at, 64);
    IS(rearm(at, 64), 0, "%s: nothing is written once all is protected", kind);
    at[3 * PAGE] = at[4 * PAGE] = at[20 * PAGE] = 1;
    IS(find(at, 64, WRITTEN), 2, "%s: stores are found", kind);
    IS(find(at, 64, WRITTEN), 2, "%s: again, as long as they are not protected", kind);
    IS(rearm(at, 64), 2, "%s: get and protect", kind);
    CHECK(region_is(0, at + 3 * PAGE, 2) && region_is(1, at + 20 * PAGE, 1), "%s: tells the right pages", kind);
    IS(rearm(at, 64), 0, "%s: and then nothing is written", kind);
    (void)at[3 * PAGE];
    IS(find(at, 64, WRITTEN), 0, "%s: reading is not writing", kind);
    CHECK(categories(at + 3 * PAGE) & WPALLOWED, "%s: such memory is told by WPALLOWED", kind);
    fd = (int)NEED(open("/dev/zero", O_RDONLY));
    NEED(read(fd, (void *)(at + 30 * PAGE), 8));
    close(fd);
    IS(rearm(at, 64), 1, "%s: read(2) writes, too", kind);
    at[5 * PAGE] = 1;
    mprotect((void *)at, 64 * PAGE, PROT_READ);
    IS(find(at, 64, WRITTEN), 1, "%s: mprotect forgets nothing", kind);
    mprotect((void *)at, 64 * PAGE, RW);
    IS(rearm(at, 64), 1, "%s: nor does it write", kind);
    at[6 * PAGE] = 1;
    IS(rearm(at, 64), 1, "%s: a store after mprotect is found", kind);
    CHECK(region_is(0, at + 6 * PAGE, 1), "%s: where it was", kind);
    at[PAGE] = 9;
    EXITS(child_rearms, at, 0, "%s: a child sees the memory", kind);
    IS(rearm(at, 64), 1, "%s: fork forgets nothing", kind);
    at[PAGE] = 10;
    IS(rearm(at, 64), 1, "%s: a store after a fork is found", kind);
    at[7 * PAGE] = at[9 * PAGE] = 1;
    a = scan_for(at, 64, WRITTEN);
    a.flags = WP_MATCHING;
    a.vector_length = 1;
    IS(scan(&a), 1, "%s: room for one", kind);
    IS(find(at, 64, WRITTEN), 1, "%s: protects one", kind);
    CHECK(region_is(0, at + 9 * PAGE, 1), "%s: not the other", kind);
    a = scan_for(at, 64, WRITTEN);
    a.flags = WP_MATCHING;
    a.vector = a.vector_length = 0;
    IS(scan(&a), 0, "%s: protecting without a vector", kind);
    IS(find(at, 64, WRITTEN), 0, "%s: protects all", kind);
}

/* A large range with little in it. */
static void test_sparse(void)
{
    size_t pages = (1UL << 30) / PAGE;
    volatile char *at = mmap(NULL, pages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int fd;

    madvise((void *)at, pages * PAGE, MADV_NOHUGEPAGE);
    at[100 * PAGE] = 1;
    fd = protect_async((void *)(at + PAGE), pages - 3);
    rearm(at + PAGE, pages - 3);
    IS(rearm(at + PAGE, pages - 3), 0, "sparse: nothing is written");
    at[2 * PAGE] = at[100 * PAGE] = at[pages / 2 * PAGE] = at[(pages - 4) * PAGE] = 1;
    IS(rearm(at + PAGE, pages - 3), 4, "sparse: four stores are found");
    CHECK(region_is(2, at + pages / 2 * PAGE, 1) && region_is(3, at + (pages - 4) * PAGE, 1), "sparse: exactly");
    IS(rearm(at + PAGE, pages - 3), 0, "sparse: and protected again");
    close(fd);
    munmap((void *)at, pages * PAGE);
}

/* A part of a hole that is larger than one table's span: told once, while it is protected. */
static void test_part_of_hole(void)
{
    size_t gigabyte = 1UL << 30;
    char *area = mmap(NULL, 3 * gigabyte, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    volatile char *at = (char *)(((uintptr_t)area + gigabyte - 1) & -gigabyte) + PAGE;
    int fd = protect_async(area, 3 * gigabyte / PAGE);
    struct argument a = scan_for(at, 2000, 0);

    a.flags = WP_MATCHING;
    a.return_mask = 0;
    IS(scan(&a), 1, "a part of a large hole is one run");
    CHECK(region_is(0, at, 2000), "as long as it is");
    at[1000 * PAGE] = 1;
    IS(rearm(at, 2000), 1, "a store to it is found");
    CHECK(region_is(0, at + 1000 * PAGE, 1), "alone");
    close(fd);
    munmap(area, 3 * gigabyte);
}

static int clear_soft_dirty(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY);
    ssize_t n = write(fd, "4", 1);

    close(fd);
    return n == 1 ? 0 : -1;
}

/* Both ways to find what was written, side by side. */
static void test_beside_soft_dirty(void)
{
    volatile char *at = anon(64 * PAGE, RW);
    int fd;

    memset((void *)at, 1, 64 * PAGE);
    fd = protect_async((void *)at, 64);
    rearm(at, 64);
    at[PAGE] = 2;
    NEED(clear_soft_dirty());
    IS(find(at, 64, WRITTEN), 1, "clear_refs does not forget what was written since the last scan");
    if (find(at, 1, SOFT_DIRTY) == 0) {
        at[2 * PAGE] = 2;
        IS(find(at, 64, WRITTEN), 1, "a store after clear_refs is written");
        IS(find(at, 64, SOFT_DIRTY), 1, "and soft-dirty");
        IS(rearm(at, 64), 1, "protecting it again");
        IS(find(at, 64, WRITTEN), 0, "makes it not written");
        IS(find(at, 64, SOFT_DIRTY), 1, "but it stays soft-dirty");
        at[2 * PAGE] = 3;
        at[40 * PAGE] = 3;
        IS(rearm(at, 64), 2, "later stores are found");
        IS(find(at, 64, SOFT_DIRTY), 2, "both ways");
        NEED(clear_soft_dirty());
        IS(find(at, 64, SOFT_DIRTY), 0, "clear_refs forgets");
        IS(find(at, 64, WRITTEN), 0, "and writes nothing");
    }
    test_written(at, "tracked");
    close(fd);
    at[8 * PAGE] = 1;
    CHECK(!(categories(at) & WPALLOWED), "closing the userfaultfd ends it");
    munmap((void *)at, 64 * PAGE);
}

/* Stores on one thread while the other one gets and protects: what changed is found. */
#define RACE_PAGES 64
static volatile uint32_t *race_page[RACE_PAGES];
static volatile int race_over;

static void *race_writer(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;

    while (!race_over) {
        seed = seed * 1103515245 + 12345;
        race_page[seed >> 16 & (RACE_PAGES - 1)][(uintptr_t)argument]++;
    }
    return NULL;
}

static void test_race(void)
{
    char *at = anon(RACE_PAGES * PAGE, RW), *copy = anon(RACE_PAGES * PAGE, RW);
    int fd = protect_async(at, RACE_PAGES), missed = 0;
    pthread_t threads[2];
    long regions = 0;

    for (int i = 0; i < RACE_PAGES; i++)
        race_page[i] = (uint32_t *)(at + i * PAGE);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, race_writer, (void *)(uintptr_t)(i + 1));
    for (int round = 0; round < 300; round++) {
        long n;

        if (round == 299) {
            race_over = 1;
            for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        }
        n = rearm(at, RACE_PAGES);
        regions += n;
        for (long i = 0; i < n; i++)
            memcpy(copy + (found[i].start - (uintptr_t)at), (char *)found[i].start, found[i].end - found[i].start);
    }
    for (int i = 0; i < RACE_PAGES; i++)
        missed += memcmp(copy + i * PAGE, at + i * PAGE, PAGE) != 0;
    CHECK(regions > 0, "stores are found while they go on");
    IS(missed, 0, "the copies that follow them are complete in the end");
    close(fd);
    munmap(at, RACE_PAGES * PAGE);
    munmap(copy, RACE_PAGES * PAGE);
}

/* ---- stores, swapping out and scans at the same time ---- */

#define EVICTED_PAGES 48

static volatile char *evicted_at;
static volatile int evicted_over;

static volatile uint64_t *evicted_word(size_t page) { return (volatile uint64_t *)(evicted_at + page * PAGE); }

static void *evicted_stores(void *unused)
{
    uint64_t n = 0;

    while (!evicted_over)
        for (size_t i = 0; i < EVICTED_PAGES; i++)
            *evicted_word(i) = ++n;
    return unused;
}

static void *evicted_evictions(void *unused)
{
    while (!evicted_over)
        madvise((void *)evicted_at, EVICTED_PAGES * PAGE, 21); /* MADV_PAGEOUT */
    return unused;
}

/* Each page as it was after the last scan that told of it: in the end, as it is. */
static void test_race_with_eviction(void)
{
    static uint64_t seen[EVICTED_PAGES];
    pthread_t threads[2];
    size_t stale = 0;
    int fd;

    evicted_at = anon(EVICTED_PAGES * PAGE, RW);
    fd = (int)NEED(protect_async((void *)evicted_at, EVICTED_PAGES));
    pthread_create(&threads[0], NULL, evicted_stores, NULL);
    pthread_create(&threads[1], NULL, evicted_evictions, NULL);
    for (int round = 0; round <= 1500; round++) {
        long n;

        if (round == 1500) {
            evicted_over = 1;
            pthread_join(threads[0], NULL);
            pthread_join(threads[1], NULL);
        }
        n = rearm(evicted_at, EVICTED_PAGES);
        for (long i = 0; i < n; i++)
            for (uint64_t va = found[i].start; va < found[i].end; va += PAGE)
                seen[(va - (uintptr_t)evicted_at) / PAGE] = *(volatile uint64_t *)va;
    }
    for (size_t i = 0; i < EVICTED_PAGES; i++)
        stale += seen[i] != *evicted_word(i);
    IS(stale, 0, "no store is missed while pages are swapped out");
    close(fd);
}

static void body(void)
{
    volatile char *at;
    int fd, file;

    pagemap = (int)NEED(open("/proc/self/pagemap", O_RDONLY));
    {
        struct argument probe = scan_for(anon(PAGE, RW), 1, 0);

        if (scan(&probe) < 0) {
            skip("PAGEMAP_SCAN", "this kernel is older");
            return;
        }
    }
    test_categories();
    test_masks();
    test_huge();
    test_limits();
    test_errors();
    at = anon(64 * PAGE, RW);
    fd = protect_async((void *)at, 64);
    if (fd < 0) {
        skip("asynchronous write protection", "this kernel has none");
        return;
    }
    test_written(at, "untouched");
    close(fd);
    at = anon(64 * PAGE, RW);
    memset((void *)at, 1, 64 * PAGE);
    fd = protect_async((void *)at, 64);
    test_written(at, "private");
    close(fd);
    file = memfd_create("m", 0);
    NEED(ftruncate(file, 64 * PAGE));
    at = mmap(NULL, 64 * PAGE, RW, MAP_SHARED, file, 0);
    fd = protect_async((void *)at, 64);
    if (fd >= 0)
        test_written(at, "shared");
    else
        skip("asynchronous write protection of shared memory", "this kernel has none");
    close(fd);
    close(file);
    test_sparse();
    test_part_of_hole();
    test_race();
    test_race_with_eviction();
    test_beside_soft_dirty();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
