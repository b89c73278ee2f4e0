/*
 * Who stored: vm_track and vm_dirty against a model, with re-arming, protections and traps beside them, with threads
 * that store meanwhile; logs of first stores.
 */
#include "tap.h"
#include "vm.h"

#include <pthread.h>
#include <stdatomic.h>

#define RW (PROT_READ | PROT_WRITE)
enum { PAGES = 200 };

static size_t page;

/* Accesses happen, and in this order. */
#define V(at) ((volatile char *)(at))

static char *fresh(void)
{
    char *at = vm_alloc(PAGES * page, RW);

    for (int i = 0; i < PAGES; i += 2)
        V(at)[i * page] = 1; /* half of them have been there before */
    return at;
}

/* The dirty pages among all of AT, as a map of bytes; how many ranges. */
static int dirty_map(char *at, unsigned char *map, int flags, size_t max)
{
    struct vm_range ranges[64];
    char *end = at + PAGES * page;
    void *next = at;
    char *before = NULL;
    int total = 0;

    memset(map, 0, PAGES);
    while (next != end) {
        ssize_t count = vm_dirty(next, end - (char *)next, ranges, max, flags, &next);

        if (count < 0)
            return -1;
        for (ssize_t i = 0; i < count; i++) {
            size_t first = ((char *)ranges[i].start - at) / page;

            total += ranges[i].start != before; /* one that was cut counts once */
            before = (char *)ranges[i].start + ranges[i].length;
            for (size_t k = 0; k < ranges[i].length / page; k++)
                map[first + k]++;
        }
    }
    return total;
}

static void test_simple(void)
{
    unsigned char map[PAGES];
    struct vm_range range[4];
    char *at = fresh();
    void *next;

    diag("dirty pages by %s, traps by %s", vm_dirty_backend(), vm_backend());
    FAILS(vm_dirty(at, PAGES * page, range, 4, 0, &next), EINVAL, "not tracked yet");
    OKAY(vm_track(at, PAGES * page), "vm_track");
    FAILS(vm_track(at + 3 * page, page), EBUSY, "only once");
    IS(dirty_map(at, map, 0, 64), 0, "at first all is clean");
    V(at)[5 * page] = 2;
    V(at)[6 * page + 9] = 2;
    V(at)[70 * page] = 2;
    IS(V(at)[8 * page], 1, "a load is none");
    IS(dirty_map(at, map, 0, 64), 2, "two ranges were stored to");
    CHECK(map[5] && map[6] && map[70], "these");
    IS(dirty_map(at, map, VM_REARM, 1), 2, "asked one by one, and armed again");
    CHECK(map[5] == 1 && map[6] == 1 && map[70] == 1, "the same");
    IS(dirty_map(at, map, 0, 64), 0, "they are clean then");
    V(at)[6 * page] = 3;
    IS(dirty_map(at, map, VM_REARM, 64), 1, "another store");
    CHECK(map[6] && V(at)[6 * page] == 3 && V(at)[6 * page + 9] == 2, "is found, and nothing lost");
    V(at)[100 * page] = V(at)[101 * page] = V(at)[102 * page] = 1;
    IS(vm_dirty(at + 101 * page, page, range, 4, VM_REARM, &next), 1, "a part of what is tracked");
    CHECK(range[0].start == at + 101 * page && range[0].length == page && next == at + 102 * page,
          "is looked at alone");
    IS(dirty_map(at, map, 0, 64), 2, "the rest is still dirty");
    FAILS(vm_dirty(at, PAGES * page, range, 4, 64, &next), EINVAL, "unknown flags");
    FAILS(vm_untrack(at + page), EINVAL, "vm_untrack of something else");
    OKAY(vm_untrack(at), "vm_untrack");
    V(at)[7 * page] = 9;
    OKAY(vm_track(at, PAGES * page), "and once more");
    IS(dirty_map(at, map, 0, 64), 0, "from the beginning");
    OKAY(vm_untrack(at), "vm_untrack");
    vm_free(at, PAGES * page);
}

static volatile int trapped;

static void open_it(struct vm_fault *fault, void *argument)
{
    (void)argument;
    trapped++;
    vm_fault_protect(fault, (void *)((uintptr_t)fault->address & -page), page, RW);
}

/* Protections and traps of the program's own go on as if nobody looked. */
static void test_protected(void)
{
    unsigned char map[PAGES];
    char *at = fresh();

    trapped = 0;
    vm_trap(at, PAGES * page, open_it, NULL);
    OKAY(vm_track(at, PAGES * page), "trapped memory is tracked");
    OKAY(vm_protect(at + 10 * page, 10 * page, PROT_READ), "a part is closed to stores");
    V(at)[12 * page] = 1;
    V(at)[30 * page] = 1;
    IS(trapped, 1, "the store there is a trap, the other is none");
    dirty_map(at, map, VM_REARM, 64);
    CHECK(map[12] && map[30], "both are found");
    V(at)[12 * page] = 2;
    IS(trapped, 1, "an open page stays open when it is armed");
    dirty_map(at, map, VM_REARM, 64);
    CHECK(map[12] && !map[30], "and is found");
    vm_protect(at + 12 * page, page, PROT_NONE);
    IS(V(at)[12 * page], 2, "closed to loads, it is opened by a load");
    IS(trapped, 2, "with a trap");
    IS(dirty_map(at, map, VM_REARM, 64), 0, "and is clean");
    V(at)[12 * page] = 2;
    IS(trapped, 2, "the handler has opened it for stores, too");
    IS(dirty_map(at, map, VM_REARM, 64), 1, "and they are noticed");
    OKAY(vm_untrack(at), "vm_untrack");
    V(at)[15 * page] = 1;
    IS(trapped, 3, "what was closed is closed still");
    vm_free(at, PAGES * page);
}

static void test_model(void)
{
    unsigned char map[PAGES], model[PAGES] = {0};
    char *at = fresh();
    uint32_t random = 1;
    int wrong = 0;

    vm_track(at, PAGES * page);
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 20; i++) {
            int where;

            random = random * 1664525 + 1013904223;
            where = (random >> 10) % PAGES;
            V(at)[where * page + (random >> 20)]++;
            model[where] = 1;
        }
        if (dirty_map(at, map, round % 3 ? VM_REARM : 0, 1 + round % 7) < 0)
            wrong++;
        wrong += memcmp(map, model, PAGES) != 0;
        if (round % 3)
            memset(model, 0, PAGES);
    }
    IS(wrong, 0, "sixty rounds of random stores, each found exactly");
    vm_untrack(at);
    vm_free(at, PAGES * page);
}

/* Threads count in pages; whoever collects copies dirty pages after arming them, so in the end the copy is up to date.
 */
static char *racy;

static void *store_always(void *seed)
{
    uint64_t random = (uintptr_t)seed;

    vm_thread_enter();
    for (int i = 0; i < 20000; i++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        __atomic_fetch_add((uint64_t *)(racy + (random >> 33) % PAGES * page), 1, __ATOMIC_RELAXED);
    }
    vm_thread_leave();
    return NULL;
}

static void test_race(void)
{
    enum { THREADS = 3 };
    static uint64_t copy[PAGES];
    unsigned char map[PAGES];
    pthread_t threads[THREADS];
    int wrong = 0, rounds = 0;

    racy = vm_alloc(PAGES * page, RW);
    memset(copy, 0, sizeof(copy));
    vm_track(racy, PAGES * page);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, store_always, (void *)(i + 1));
    for (int last = 0; last < 2;) {
        if (rounds++ > 100) {
            for (int i = 0; !last && i < THREADS; i++)
                pthread_join(threads[i], NULL);
            last++;
        }
        if (dirty_map(racy, map, VM_REARM, 64) < 0)
            wrong++;
        for (int i = 0; i < PAGES; i++)
            if (map[i])
                copy[i] = __atomic_load_n((uint64_t *)(racy + i * page), __ATOMIC_RELAXED);
    }
    for (int i = 0; i < PAGES; i++)
        wrong += copy[i] != *(uint64_t *)(racy + i * page);
    IS(wrong, 0, "no store is missed while three threads store");
    vm_untrack(racy);
    vm_free(racy, PAGES * page);
}

static void test_log(void)
{
    char *at = fresh();
    struct vm_log *log;
    void *pages[PAGES];
    struct vm_range range;

    CHECK(vm_log_open(at, PAGES * page, 0) == NULL && errno == EINVAL, "a log without entries");
    log = vm_log_open(at, PAGES * page, PAGES);
    CHECK(log != NULL, "vm_log_open");
    CHECK(vm_log_open(at, page, 1) == NULL && errno == EBUSY, "only one");
    IS(vm_log_read(log, pages, PAGES), 0, "nothing was stored");
    V(at)[9 * page] = 1;
    V(at)[3 * page + 8] = 1;
    V(at)[9 * page] = 2;
    V(at)[50 * page] = 2;
    IS(vm_log_read(log, pages, 2), 2, "the first two");
    CHECK(pages[0] == at + 9 * page && pages[1] == at + 3 * page, "in order");
    IS(vm_log_read(log, pages, PAGES), 1, "the third");
    CHECK(pages[0] == at + 50 * page, "is right");
    range = (struct vm_range){at + 9 * page, page, 0};
    OKAY(vm_log_rearm(log, &range, 1), "vm_log_rearm of one");
    V(at)[3 * page] = V(at)[50 * page] = 5;
    V(at)[9 * page] = 6;
    IS(vm_log_read(log, pages, PAGES), 1, "only it is recorded again");
    CHECK(pages[0] == at + 9 * page, "right");
    range = (struct vm_range){at - page, 2 * page, 0};
    FAILS(vm_log_rearm(log, &range, 1), EINVAL, "outside");
    range = (struct vm_range){at, PAGES * page, 0};
    OKAY(vm_log_rearm(log, &range, 1), "all");
    for (int i = 0; i < PAGES; i++)
        V(at)[i * page]++;
    IS(vm_log_read(log, pages, PAGES), PAGES, "and all are recorded");
    IS(vm_log_lost(log), 0, "none is lost");
    OKAY(vm_log_close(log), "vm_log_close");

    log = vm_log_open(at, PAGES * page, 4);
    for (int i = 0; i < PAGES; i++)
        V(at)[i * page]++;
    CHECK(vm_log_lost(log) > 0, "a log that is too short says so");
    OKAY(vm_log_close(log), "and is closed");
    V(at)[0] = 1;
    vm_free(at, PAGES * page);
}

static void body(void)
{
    page = vm_page_size();
    test_simple();
    test_protected();
    test_model();
    test_race();
    test_log();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
