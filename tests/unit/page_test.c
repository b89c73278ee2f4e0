/* The page allocator on a buffer of the host: orders, alignment, merging, reserves, the pool of zeroed pages. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

#include "vm/buddy.c"
#include "vm/page.c"

#define MEMORY (32 * MIB)
#define RESERVED_END (3 * MIB + 123)

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

static bool is_zero(const struct page *p)
{
    const u64 *word = page_address(p);

    for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
        if (word[i] != 0)
            return false;
    return true;
}

/* Random allocations of all orders: none overlap, all are aligned, and freeing them all gives everything back. */
static void test_random(void)
{
    static struct {
        struct page *page;
        unsigned order;
    } held[600];
    static u8 owner[MEMORY / PAGE_SIZE];
    bool aligned = true, alone = true, in_bounds = true;
    u64 before = page_free_count();

    srand(7);
    for (unsigned step = 0; step < 50000; step++) {
        unsigned i = (unsigned)rand() % ARRAY_SIZE(held);
        u64 pfn;

        if (held[i].page != NULL) {
            memset(&owner[page_pfn(held[i].page)], 0, 1u << held[i].order);
            page_free_order(held[i].page, held[i].order);
            held[i].page = NULL;
            continue;
        }
        held[i].order = rand() % 8 == 0 ? (unsigned)rand() % 7 : 0;
        held[i].page = page_alloc_order(held[i].order, 0);
        if (held[i].page == NULL)
            continue;
        pfn = page_pfn(held[i].page);
        aligned = aligned && IS_ALIGNED(pfn, 1ul << held[i].order);
        in_bounds = in_bounds && pfn * PAGE_SIZE >= RESERVED_END && pfn + (1ul << held[i].order) <= MEMORY / PAGE_SIZE;
        for (u64 j = pfn; j < pfn + (1ul << held[i].order); j++) {
            alone = alone && owner[j] == 0;
            owner[j] = 1;
        }
        memset(page_address(held[i].page), 0x77, PAGE_SIZE << held[i].order);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(held); i++)
        if (held[i].page != NULL)
            page_free_order(held[i].page, held[i].order);
    CHECK(aligned, "blocks are aligned to their size");
    CHECK(alone, "no page is given out twice");
    CHECK(in_bounds, "reserved memory is never given out");
    CHECK(page_free_count() == before, "everything comes back");
}

static void test_zeroed(void)
{
    struct page *p[100];
    bool zero = true;

    for (unsigned i = 0; i < 100; i++) {
        p[i] = page_alloc(0);
        memset(page_address(p[i]), 0xff, PAGE_SIZE);
    }
    for (unsigned i = 0; i < 100; i++)
        page_put(p[i]);
    while (page_zero_one())
        ;
    for (unsigned i = 0; i < 100; i++) {
        p[i] = page_alloc(ALLOC_ZERO);
        zero = zero && is_zero(p[i]) && p[i]->refs == 1 && p[i]->flags == 0;
    }
    for (unsigned i = 0; i < 100; i++)
        page_put(p[i]);
    CHECK(zero, "ALLOC_ZERO gives zeros from the pool and beyond it");
}

static void test_exhaustion(void)
{
    static struct page *p[MEMORY / PAGE_SIZE];
    u64 before = page_free_count(), user = 0, kernel, all;

    while ((p[user] = page_alloc(ALLOC_USER | ALLOC_NO_WAIT)) != NULL)
        user++;
    kernel = user;
    while ((p[kernel] = page_alloc(ALLOC_NO_WAIT)) != NULL)
        kernel++;
    all = kernel;
    while ((p[all] = page_alloc(ALLOC_NO_WAIT | ALLOC_RESERVE)) != NULL)
        all++;
    CHECK(user < kernel, "user memory leaves a reserve to the kernel");
    CHECK(kernel < all, "the kernel leaves a reserve to write-back");
    CHECK(all == before, "the reserve is usable to the last page");
    CHECK(page_alloc_order(3, ALLOC_NO_WAIT) == NULL, "an empty allocator says so");
    for (u64 i = 0; i < all; i++)
        page_put(p[i]);
    CHECK(page_free_count() == before, "everything comes back after exhaustion");
    p[0] = page_alloc_order(MAX_ORDER - 1, 0);
    CHECK(p[0] != NULL, "and large blocks have merged again");
    page_free_order(p[0], MAX_ORDER - 1);
}

int main(void)
{
    struct phys_range ram = {0, MEMORY}, reserved[] = {{0, 1 * MIB}, {1 * MIB, RESERVED_END}};

    host_memory = aligned_alloc(4 * MIB, MEMORY);
    memset(host_memory, 0xee, MEMORY);
    page_init(ram, reserved, 2);
    CHECK(page_total_count() == (MEMORY - ALIGN_UP(RESERVED_END, PAGE_SIZE)) / PAGE_SIZE -
                                    (MEMORY / PAGE_SIZE) * sizeof(struct page) / PAGE_SIZE,
          "all memory but the reserved and the descriptors is free");
    test_zeroed();
    test_random();
    test_exhaustion();
    free(host_memory);
    return tap_done();
}
