/*
 * Threads store and load at random in a region of many times its budget; every word is compared with what was stored
 * last. Their words lie on the same pages, so pages leave and come back while others use them.
 */
#include "tap.h"

#include <pthread.h>
#include <vm.h>

#include "pager.h"
#include "pool.h"

#define THREADS 4
#define PAGES 600
#define BUDGET 40
#define WORDS (PAGES * 512ul)
#define SHORT 8000 /* steps of each thread; an argument says another number */

static uint64_t *memory;
static uint64_t *expected; /* of each word; a word belongs to thread number % THREADS */
static int wrong[THREADS], steps = SHORT;

static void *worker(void *argument)
{
    uint64_t me = (uint64_t)(uintptr_t)argument, state = me + 1;

    vm_thread_enter();
    for (int i = 0; i < steps; i++) {
        uint64_t at;

        state = state * 6364136223846793005ull + 1442695040888963407ull;
        at = (state >> 33) % (WORDS / THREADS) * THREADS + me;
        if (memory[at] != expected[at])
            wrong[me]++;
        if (state >> 60 < 9) /* some pages compress, some do not, some become zero again */
            memory[at] = expected[at] = at / 512 % 3 == 0 ? state : at / 512 % 3 == 1 ? state >> 62 : 0;
        if (i % 64 == 0) /* near each other, as programs do */
            for (uint64_t next = at; next < WORDS && next < at + 512 * THREADS; next += THREADS)
                memory[next] = expected[next] = state ^ (at / 512 % 2 ? next * state : 0);
    }
    vm_thread_leave();
    return NULL;
}

static void run(const struct pager_options *options, const char *name)
{
    struct pager *p = pager_open(PAGES, BUDGET, options);
    pthread_t ids[THREADS];
    struct pager_stats s;
    int bad = 0;

    if (p == NULL) {
        CHECK(0, "pager_open: %s", errno_name(errno));
        return;
    }
    memory = pager_memory(p);
    expected = calloc(WORDS, sizeof(*expected));
    for (uintptr_t t = 0; t < THREADS; t++)
        pthread_create(&ids[t], NULL, worker, (void *)t);
    for (int t = 0; t < THREADS; t++) {
        pthread_join(ids[t], NULL);
        bad += wrong[t];
        wrong[t] = 0;
    }
    for (size_t i = 0; i < WORDS; i++)
        bad += memory[i] != expected[i];
    IS(bad, 0, "%s: every word is what was stored", name);
    pager_stats(p, &s);
    CHECK(s.most_resident <= BUDGET && s.evictions > PAGES, "%s: never more than the budget in memory", name);
    diag("%llu faults, %llu evictions, %llu to the file, %llu from it", (unsigned long long)s.faults,
         (unsigned long long)s.evictions, (unsigned long long)s.to_file, (unsigned long long)s.from_file);
    free(expected);
    pager_close(p);
}

/* Pieces of random sizes do not overlap, and all memory comes back. */
static void test_pool(void)
{
    struct pool pool;
    static uint32_t pieces[400];
    static size_t sizes[400];
    unsigned seed = 1;
    int bad = 0, got = 0;

    NEED(pool_open(&pool, 20 * POOL_SLAB));
    for (int i = 0; i < 400; i++)
        pieces[i] = POOL_NONE;
    for (int step = 0; step < 20000; step++) {
        int i = rand_r(&seed) % 400;

        if (pieces[i] != POOL_NONE) {
            for (size_t b = 0; b < sizes[i]; b++)
                bad += ((unsigned char *)pool_at(&pool, pieces[i]))[b] != (unsigned char)i;
            pool_put(&pool, pieces[i]);
            pieces[i] = POOL_NONE;
            continue;
        }
        sizes[i] = 1 + (size_t)rand_r(&seed) % (step % 7000 < 3500 ? 300 : POOL_LARGEST);
        pieces[i] = pool_get(&pool, sizes[i]);
        if (pieces[i] != POOL_NONE)
            memset(pool_at(&pool, pieces[i]), i, sizes[i]);
    }
    IS(bad, 0, "pieces of the pool are what was put there");
    for (int i = 0; i < 400; i++)
        if (pieces[i] != POOL_NONE)
            pool_put(&pool, pieces[i]);
    while (pool_get(&pool, POOL_LARGEST) != POOL_NONE)
        got++;
    IS(got, 20 * (int)(POOL_SLAB / POOL_LARGEST), "and all slabs are empty at the end");
    pool_close(&pool);
}

static void body(void)
{
    struct pager_options plenty = {.compressed = PAGES * 4096 * 2, .folder = "."};
    struct pager_options little = {.compressed = 1 << 17, .folder = "."};

    if (tap_arguments[0] != NULL)
        steps = atoi(tap_arguments[0]);
    test_pool();
    run(&plenty, "mostly in memory");
    run(&little, "mostly in the file");
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
