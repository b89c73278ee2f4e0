/* Radix trees: random changes against a plain model, tags and searches, indices up to the largest, running out of
 * memory. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

static int allocations_left = -1; /* < 0: no limit */
static long nodes;

static void *limited_calloc(size_t n, size_t size)
{
    if (allocations_left == 0)
        return NULL;
    if (allocations_left > 0)
        allocations_left--;
    nodes++;
    return calloc(n, size);
}
static void counted_free(void *p)
{
    nodes--;
    free(p);
}
#define calloc limited_calloc
#define free counted_free
#include "lib/radix.c"
#undef calloc
#undef free

#define RANGE 5000
#define STEPS 60000

static char entries[RANGE];
static bool present[RANGE], tagged[RANGE];

static u64 spread(unsigned i) { return i < RANGE / 2 ? i : (u64)i << 40; }

static unsigned model_next(unsigned from, const bool *map)
{
    while (from < RANGE && !(present[from] && map[from]))
        from++;
    return from;
}

static bool search_agrees(const struct radix *r, unsigned from, bool by_tag)
{
    unsigned want = model_next(from, by_tag ? tagged : present);
    u64 index = spread(from);
    void *found = by_tag ? radix_next_tagged(r, &index) : radix_next(r, &index);

    if (want == RANGE)
        return found == NULL;
    return found == &entries[want] && index == spread(want);
}

static void test_random(void)
{
    struct radix r = {0};
    bool ok = true, searches = true;

    srand(2);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rand() % RANGE;

        switch (rand() % 4) {
        case 0:
        case 1:
            ok = ok && radix_insert(&r, spread(i), &entries[i]) == (present[i] ? -EEXIST : 0);
            if (!present[i])
                tagged[i] = false;
            present[i] = true;
            break;
        case 2:
            ok = ok && radix_remove(&r, spread(i)) == (present[i] ? &entries[i] : NULL);
            present[i] = tagged[i] = false;
            break;
        default:
            tagged[i] = present[i] && rand() % 2;
            radix_tag(&r, spread(i), tagged[i]);
        }
        ok = ok && radix_get(&r, spread(i)) == (present[i] ? &entries[i] : NULL);
        ok = ok && radix_is_tagged(&r, spread(i)) == (present[i] && tagged[i]);
        if (step % 20 == 0)
            searches = searches && search_agrees(&r, i, false) && search_agrees(&r, i, true);
    }
    CHECK(ok, "insert, get, remove and tag agree with a model");
    CHECK(searches, "searches find the next entry and the next tagged one");
    for (unsigned i = 0; i < RANGE; i++)
        radix_remove(&r, spread(i));
    CHECK(r.root == NULL && nodes == 0, "an emptied tree has no nodes");
}

static void test_limits(void)
{
    struct radix r = {0};
    u64 index = 5;
    char low, high;

    CHECK(radix_get(&r, 0) == NULL && radix_next(&r, &index) == NULL, "an empty tree has nothing");
    CHECK(radix_insert(&r, UINT64_MAX, &high) == 0 && radix_insert(&r, 0, &low) == 0,
          "the largest and the smallest index");
    CHECK(radix_get(&r, UINT64_MAX) == &high && radix_get(&r, UINT64_MAX - 1) == NULL, "only what was put in is there");
    index = 1;
    CHECK(radix_next(&r, &index) == &high && index == UINT64_MAX, "a search crosses the whole range");
    radix_tag(&r, 0, true);
    radix_replace(&r, 0, &high);
    CHECK(radix_get(&r, 0) == &high && radix_is_tagged(&r, 0), "an entry is replaced under its tag");
    radix_destroy(&r);
    CHECK(nodes == 0 && r.root == NULL, "destroy frees every node");
}

static void test_no_memory(void)
{
    struct radix r = {0};
    char item;
    bool clean = true;

    for (int limit = 0; limit < 11; limit++) {
        allocations_left = limit;
        clean = clean && radix_insert(&r, UINT64_MAX - 7, &item) == -ENOMEM && nodes == 0 && r.root == NULL;
    }
    allocations_left = -1;
    CHECK(clean, "a failed insertion into an empty tree leaves nothing behind");
    CHECK(radix_insert(&r, 3, &item) == 0, "a small tree");
    clean = true;
    for (int limit = 0; limit < 10; limit++) {
        allocations_left = limit;
        clean = clean && radix_insert(&r, UINT64_MAX - 7, &item) == -ENOMEM && radix_get(&r, 3) == &item;
    }
    allocations_left = -1;
    CHECK(clean, "a failed insertion leaves the other entries alone");
    CHECK(radix_remove(&r, 3) == &item && nodes == 0, "and no nodes that stay for ever");
}

int main(void)
{
    test_random();
    test_limits();
    test_no_memory();
    return tap_done();
}
