/*
 * Faults and mappings: what a first touch costs by kind of page, and mmap, munmap and their relatives, among few and
 * many mappings.
 */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include "measure.h"

#define MIB (1UL << 20)

/* ---- A page mapped twice ---- */

static void map_twice(int fd, char **one, char **two)
{
    *one = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    *two = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    must(*one != MAP_FAILED && *two != MAP_FAILED, "mmap of a memfd");
    *(volatile char *)*one = 1;
    *(volatile char *)*two = 2;
}

static double map_pairs(int unmap_timed)
{
    enum { PAIRS = 100 };
    char *pairs[PAIRS][2];
    int fd = memfd_create("map2", 0);
    double result;

    must(fd >= 0 && ftruncate(fd, PAGE) == 0, "memfd_create");
#define UNMAP_PAIR(i) unmap_pages(pairs[i][0], 1), unmap_pages(pairs[i][1], 1)
    result = REPEAT(
        7, PAIRS, {},
        {
            for (int i = 0; i < PAIRS; i++) {
                map_twice(fd, &pairs[i][0], &pairs[i][1]);
                if (unmap_timed)
                    UNMAP_PAIR(i);
            }
        },
        {
            for (int i = 0; i < PAIRS && !unmap_timed; i++)
                UNMAP_PAIR(i);
        });
#undef UNMAP_PAIR
    close(fd);
    return result;
}

MEASURE(map2, "pair", "a memfd page mapped twice and touched both ways") { return map_pairs(0); }

MEASURE(map2_cycle, "pair", "the same with both munmaps") { return map_pairs(1); }

/* ---- Anonymous faults ---- */

static double first_touch(int write, int small)
{
    size_t pages = 16 * MIB / PAGE;
    char *at = NULL;

    return REPEAT(
        5, pages, at = small ? map_small(pages, RW) : map_pages(pages, RW),
        {
            if (write)
                store_all(at, pages);
            else
                load_all(at, pages);
        },
        unmap_pages(at, pages));
}

MEASURE(fault_anon_read, "page", "first load, each 4 KiB of 16 MiB, default THP") { return first_touch(0, 0); }

MEASURE(fault_anon_read_nothp, "page", "the same with MADV_NOHUGEPAGE") { return first_touch(0, 1); }

MEASURE(fault_anon_write, "page", "first store, each 4 KiB of 16 MiB, default THP") { return first_touch(1, 0); }

MEASURE(fault_anon_write_nothp, "page", "the same with MADV_NOHUGEPAGE") { return first_touch(1, 1); }

/* ---- Copy on write ---- */

#define COW_PAGES 1024

static double touch_in_child(char *at)
{
    static double *answer;
    double began;
    pid_t pid;

    if (!answer)
        answer = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid = fork();
    if (pid == 0) {
        began = begin_stretch();
        store_all(at, COW_PAGES);
        *answer = end_stretch(began);
        _exit(0);
    }
    wait_for(pid);
    return *answer / COW_PAGES;
}

MEASURE(fault_cow, "page", "child's first store after fork")
{
    char *at = map_small(COW_PAGES, RW);
    double samples[7];

    divide_by(COW_PAGES);
    store_all(at, COW_PAGES);
    touch_in_child(at);
    for (int i = 0; i < 7; i++)
        samples[i] = touch_in_child(at);
    unmap_pages(at, COW_PAGES);
    return median(samples, 7);
}

static void fork_and_wait(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    wait_for(pid);
}

MEASURE(fault_cow_reuse, "page", "parent's first store after the child has gone")
{
    char *at = map_small(COW_PAGES, RW);
    double result;

    store_all(at, COW_PAGES);
    result = REPEAT(7, COW_PAGES, fork_and_wait(), store_all(at, COW_PAGES), {});
    unmap_pages(at, COW_PAGES);
    return result;
}

/* ---- Files ---- */

#define FILE_PAGES 1024 /* 4 MiB */

/* A file of PAGES whose pages are all cached and clean. */
static int warm_file(const char *name, size_t pages)
{
    static char block[65536];
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

    must(fd >= 0, name);
    memset(block, 'w', sizeof(block));
    for (size_t i = 0; i < pages * PAGE; i += sizeof(block))
        must(write(fd, block, sizeof(block)) == sizeof(block), name);
    fsync(fd);
    return fd;
}

enum access { LOAD_EACH, LOAD_64K, STORE_EACH };

static double touch_file(int flags, enum access access)
{
    int fd = warm_file("vmbench.file", FILE_PAGES), step = access == LOAD_64K ? 16 : 1;
    char *at = NULL;
    double result = REPEAT(
        7, FILE_PAGES / step,
        {
            fsync(fd);
            at = mmap(NULL, FILE_PAGES * PAGE, RW, flags, fd, 0);
            must(at != MAP_FAILED, "mmap of a file");
        },
        {
            for (int i = 0; i < FILE_PAGES; i += step)
                if (access == STORE_EACH)
                    *(volatile char *)(at + i * PAGE) = 1;
                else
                    (void)*(volatile char *)(at + i * PAGE);
        },
        unmap_pages(at, FILE_PAGES));

    close(fd);
    unlink("vmbench.file");
    return result;
}

MEASURE(fault_file_read, "page", "MAP_PRIVATE load, warm, each page of 4 MiB")
{
    return touch_file(MAP_PRIVATE, LOAD_EACH);
}

MEASURE(fault_file_read_64k, "fault", "MAP_PRIVATE load, warm, one page of each 64 KiB")
{
    return touch_file(MAP_PRIVATE, LOAD_64K);
}

MEASURE(fault_file_private_write, "page", "MAP_PRIVATE store, warm") { return touch_file(MAP_PRIVATE, STORE_EACH); }

MEASURE(fault_file_shared_write, "page", "MAP_SHARED store, warm, clean") { return touch_file(MAP_SHARED, STORE_EACH); }

/* ---- Mapping and unmapping ---- */

static double populate_pages(int small)
{
    char *at = NULL;
    double result;

    if (small && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
        small = 0; /* a kernel without huge pages need not be told */
    result = REPEAT(
        7, 1024, {}, { at = mmap(NULL, 4 * MIB, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0); },
        unmap_pages(at, 1024));
    if (small)
        prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
    return result;
}

MEASURE(populate, "page", "MAP_POPULATE of 4 MiB, default THP") { return populate_pages(0); }

MEASURE(populate_nothp, "page", "MAP_POPULATE of 4 MiB, THP off") { return populate_pages(1); }

MEASURE(mmap_munmap, "op", "mmap + munmap 1 page, untouched")
{
    return TIMES(9, 200, unmap_pages(map_pages(1, RW), 1));
}

MEASURE(mmap_touch_munmap, "op", "mmap + store + munmap 1 page")
{
    return TIMES(9, 200, {
        char *at = map_pages(1, RW);

        store_all(at, 1);
        unmap_pages(at, 1);
    });
}

static double touch_16m(int small)
{
    size_t pages = 16 * MIB / PAGE;

    return TIMES(3, 1, {
        char *at = small ? map_small(pages, RW) : map_pages(pages, RW);

        store_all(at, pages);
        unmap_pages(at, pages);
    });
}

MEASURE(mmap_touch_munmap_16m, "op", "mmap + touch all + munmap 16 MiB, default THP") { return touch_16m(0); }

MEASURE(mmap_touch_munmap_16m_nothp, "op", "the same with THP off") { return touch_16m(1); }

static double make_holes(int touch)
{
    enum { HOLES = 100 };
    char *at = NULL;

    return REPEAT(
        9, HOLES,
        {
            at = map_small(2 * HOLES + 1, RW);
            if (touch)
                store_all(at, 2 * HOLES + 1);
        },
        {
            for (int i = 0; i < HOLES; i++)
                munmap(at + (2 * i + 1) * PAGE, PAGE);
        },
        unmap_pages(at, 2 * HOLES + 1));
}

MEASURE(munmap_hole, "op", "munmap one untouched page amid a mapping") { return make_holes(0); }

MEASURE(munmap_hole_touched, "op", "munmap one touched page amid a mapping") { return make_holes(1); }

MEASURE(dontneed100, "op", "MADV_DONTNEED of 100 touched pages")
{
    char *at = map_small(100, RW);
    double result = REPEAT(9, 1, store_all(at, 100), madvise(at, 100 * PAGE, MADV_DONTNEED), {});

    unmap_pages(at, 100);
    return result;
}

MEASURE(mremap_move100, "op", "mremap 100 touched pages to another address")
{
    char *range = map_small(300, PROT_NONE), *here = range, *there = range + 150 * PAGE;
    double result;

    must(mmap(here, 100 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == here, "mmap");
    madvise(here, 100 * PAGE, MADV_NOHUGEPAGE);
    store_all(here, 100);
    result = TIMES(9, 20, {
        char *swap = here;

        must(mremap(here, 100 * PAGE, 100 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there) == there, "mremap");
        here = there;
        there = swap;
    });
    unmap_pages(range, 300);
    return result;
}

/* ---- Among many mappings ---- */

#define CROWD_PAGES 60000UL

/* COUNT mappings side by side that cannot become one. */
static char *crowd(size_t count)
{
    size_t pages = CROWD_PAGES / count;
    char *at = map_pages(CROWD_PAGES, PROT_NONE);

    for (size_t i = 0; i < count; i++)
        if (mmap(at + i * pages * PAGE, pages * PAGE, i % 2 ? PROT_READ : RW,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
            die("many mappings");
    return at;
}

static double map_in_crowd(size_t count)
{
    char *at = crowd(count);
    double result = TIMES(9, 100, unmap_pages(map_pages(1, RW), 1));

    unmap_pages(at, CROWD_PAGES);
    return result;
}

/* Read faults at 2000 places; one page of each 2 MiB was touched before, so that page tables are there. */
static double fault_in_crowd(size_t count)
{
    enum { FAULTS = 2000 };
    static int order[CROWD_PAGES];
    char *at = crowd(count);
    double result;

    madvise(at, CROWD_PAGES * PAGE, MADV_NOHUGEPAGE);
    shuffle(order, CROWD_PAGES);
    for (size_t i = 0; i < CROWD_PAGES; i += 256)
        load_all(at + i * PAGE, 1);
    result = REPEAT(5, FAULTS, {},
                    {
                        for (int i = 0; i < FAULTS; i++)
                            load_all(at + order[round * FAULTS + i] * PAGE, 1);
                    },
                    {});
    unmap_pages(at, CROWD_PAGES);
    return result;
}

MEASURE(vmas1_mmap_munmap, "op", "mmap + munmap 1 page with 1 other mapping") { return map_in_crowd(1); }

MEASURE(vmas1000_mmap_munmap, "op", "with 1000") { return map_in_crowd(1000); }

MEASURE(vmas30000_mmap_munmap, "op", "with 30000") { return map_in_crowd(30000); }

MEASURE(vmas1_fault, "fault", "anonymous read fault at random places, 1 mapping") { return fault_in_crowd(1); }

MEASURE(vmas1000_fault, "fault", "over 1000 mappings") { return fault_in_crowd(1000); }

MEASURE(vmas30000_fault, "fault", "over 30000 mappings") { return fault_in_crowd(30000); }

#endif
