/* The compressed store, with LZ4 before it: random objects of all sizes keep their bytes, little is left over, what is
 * left after random frees is packed closely, and all pages come back. */
#include <stdlib.h>
#include <string.h>

#include "lib/lz4.h"
#include "tests/unit/tap.h"
#include "vm/zpool.h"

#include "vm/buddy.c"
#include "vm/page.c"

#define MEMORY (32 * MIB)

struct machine machine = {.harts = 1, .paging_levels = 3};
struct hart harts[MAX_HARTS];
static struct thread thread = {.hart = &harts[0]};
struct thread *current = &thread;
char *host_memory;

void panic(const char *fmt, ...)
{
    printf("Bail out! panic: %s\n", fmt);
    exit(1);
}
void clear_page(void *p) { memset(p, 0, PAGE_SIZE); }
void reclaim_kick(void) {}
bool reclaim_wait(unsigned round, unsigned order, bool for_user)
{
    (void)round;
    return false;
}

static struct {
    u64 handle;
    unsigned size, seed;
} held[4000];

static void fill(u8 *p, unsigned size, unsigned seed)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (u8)(seed + i * 7);
}

static bool holds(u64 handle, unsigned size, unsigned seed)
{
    u8 expected[PAGE_SIZE], bounce[PAGE_SIZE];

    fill(expected, size, seed);
    return memcmp(zpool_load(handle, size, bounce), expected, size) == 0;
}

static unsigned random_size(void) { return (unsigned)rand() % (rand() % 2 ? 300 : ZPOOL_LARGEST) + 1; }

static void test_random(void)
{
    u64 before = page_free_count(), bytes = 0;
    struct zpool_stats stats;
    bool whole = true, stored = true;
    u8 data[PAGE_SIZE];

    srand(5);
    for (unsigned step = 0; step < 60000; step++) {
        unsigned i = (unsigned)rand() % ARRAY_SIZE(held);

        if (held[i].handle != 0) {
            whole = whole && holds(held[i].handle, held[i].size, held[i].seed);
            zpool_free(held[i].handle);
            bytes -= held[i].size;
            held[i].handle = 0;
            continue;
        }
        held[i].size = random_size();
        held[i].seed = (unsigned)rand();
        fill(data, held[i].size, held[i].seed);
        held[i].handle = zpool_store(data, held[i].size, i);
        stored = stored && held[i].handle != 0;
        bytes += held[i].size;
    }
    zpool_stats(&stats);
    CHECK(whole, "every object keeps its bytes");
    CHECK(stored, "there is room for all");
    CHECK(stats.pages * PAGE_SIZE < bytes * 3 / 2, "%lu bytes of objects take %lu pages", (unsigned long)bytes,
          (unsigned long)stats.pages);
    for (unsigned i = 0; i < ARRAY_SIZE(held); i++)
        if (held[i].handle != 0)
            zpool_free(held[i].handle);
    zpool_stats(&stats);
    CHECK(stats.pages == 0 && stats.objects == 0, "nothing is left");
    CHECK(page_free_count() == before, "all pages are free again");
}

/* ---- packing ---- */

static unsigned n_moved, n_stale;
static bool others_free; /* while objects move, others go */

static void drop(unsigned i)
{
    zpool_free(held[i].handle);
    held[i].handle = 0;
}

/* The object next to HANDLE's goes, if there is one. */
static void drop_next_to(u64 handle)
{
    for (unsigned i = 0; i < ARRAY_SIZE(held); i++)
        if (held[i].handle == handle + 1)
            drop(i);
}

static void move_held(u64 owner, u64 handle)
{
    if (others_free && rand() % 4 == 0)
        drop_next_to(handle);
    if (held[owner].handle != handle) {
        n_stale++;
    } else if (rand() % 50 != 0) { /* some stay */
        u64 moved = zpool_move(handle);

        n_moved += moved != 0;
        held[owner].handle = moved != 0 ? moved : handle;
    }
}

static void hold_all(void)
{
    u8 data[PAGE_SIZE];

    for (unsigned i = 0; i < ARRAY_SIZE(held); i++) {
        held[i].size = random_size();
        held[i].seed = (unsigned)rand();
        fill(data, held[i].size, held[i].seed);
        held[i].handle = zpool_store(data, held[i].size, i);
    }
}

/* Drops what is held but one in KEEP; whether that was whole. */
static bool drop_most(unsigned keep)
{
    bool whole = true;

    for (unsigned i = 0; i < ARRAY_SIZE(held); i++)
        if (held[i].handle != 0 && (keep == 0 || (unsigned)rand() % keep != 0)) {
            whole = whole && holds(held[i].handle, held[i].size, held[i].seed);
            drop(i);
        }
    return whole;
}

static void test_compact(void)
{
    u64 before = page_free_count(), freed;
    struct zpool_stats full, loose, packed;

    for (unsigned round = 0; round < 6; round++) {
        others_free = round % 2;
        hold_all();
        zpool_stats(&full);
        CHECK(round > 0 || zpool_compact(move_held, UINT64_MAX) == 0, "what is full is left alone");
        drop_most(5);
        zpool_stats(&loose);
        freed = zpool_compact(move_held, round < 2 ? 10 : UINT64_MAX);
        zpool_stats(&packed);
        CHECK(round >= 2 || (freed >= 10 && freed < 20), "as many pages as wanted: %lu", (unsigned long)freed);
        CHECK(others_free || loose.pages - packed.pages == freed, "it says how many");
        zpool_compact(move_held, UINT64_MAX);
        zpool_stats(&packed);
        CHECK(packed.pages < full.pages * 35 / 100, "%lu pages were full, %lu after a fifth is left, %lu packed",
              (unsigned long)full.pages, (unsigned long)loose.pages, (unsigned long)packed.pages);
        CHECK(drop_most(0), "every object that is left keeps its bytes");
        zpool_stats(&packed);
        CHECK(packed.pages == 0 && packed.objects == 0 && page_free_count() == before, "all pages are free again");
    }
    CHECK(n_moved > 1000 && n_stale > 0, "%u objects moved, %u had gone", n_moved, n_stale);
}

/* Until no page is left: then 0, and all that was stored is whole. */
static void test_full(void)
{
    static u64 handles[MEMORY / 2048];
    u64 before = page_free_count();
    unsigned n = 0;
    u8 data[PAGE_SIZE];
    bool whole = true;

    for (;; n++) {
        fill(data, 2500, n);
        handles[n] = zpool_store(data, 2500, n);
        if (handles[n] == 0)
            break;
    }
    CHECK(page_free_count() < 8, "the last page is used");
    for (unsigned i = 0; i < n; i++) {
        whole = whole && holds(handles[i], 2500, i);
        zpool_free(handles[i]);
    }
    CHECK(whole && n > 11000, "%u objects of 2500 bytes in 32 MiB", n);
    CHECK(page_free_count() == before, "all pages are free again");
}

static void test_lz4(void)
{
    static u64 work[LZ4_WORK_SIZE / 8];
    u8 page[PAGE_SIZE], packed[PAGE_SIZE], again[PAGE_SIZE];
    bool same = true, small = true;

    for (unsigned round = 0; round < 500; round++) {
        size_t size;

        for (unsigned i = 0; i < PAGE_SIZE; i++)
            page[i] = i % 8 == 0 ? (u8)rand() : (u8)(i / 8 * round);
        size = lz4_compress(packed, ZPOOL_LARGEST, page, PAGE_SIZE, work);
        small = small && size > 0 && size <= ZPOOL_LARGEST;
        same = same && lz4_decompress(again, PAGE_SIZE, packed, size) && memcmp(page, again, PAGE_SIZE) == 0;
        CHECK(size > 1 && !lz4_decompress(again, PAGE_SIZE, packed, size - 1), "half a block is found out");
        if (round > 3)
            break;
    }
    CHECK(small && same, "pages come back from LZ4 as they were");
    for (unsigned i = 0; i < PAGE_SIZE; i++)
        page[i] = (u8)rand();
    CHECK(lz4_compress(packed, ZPOOL_LARGEST, page, PAGE_SIZE, work) == 0, "noise does not fit");
}

int main(void)
{
    struct phys_range reserved = {0, 2 * MIB};

    host_memory = aligned_alloc(PAGE_SIZE << MAX_ORDER, MEMORY);
    page_init((struct phys_range){0, MEMORY}, &reserved, 1);
    test_random();
    test_compact();
    test_full();
    test_lz4();
    return tap_done();
}
