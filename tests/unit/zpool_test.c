/* The compressed store, with LZ4 before it: random objects of all sizes keep their bytes, little is left over, and all
 * pages come back. */
#include <stdlib.h>
#include <string.h>

#include "lib/lz4.h"
#include "tests/unit/tap.h"
#include "vm/zpool.h"

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
bool reclaim_wait(unsigned round, bool for_user)
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
        held[i].handle = zpool_store(data, held[i].size);
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
        handles[n] = zpool_store(data, 2500);
        if (handles[n] == 0)
            break;
    }
    CHECK(page_free_count() < 4, "the last page is used");
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
    test_full();
    test_lz4();
    return tap_done();
}
