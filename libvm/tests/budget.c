/*
 * Regions under a budget: what the pager is asked, in one thread and in many, and what happens when it fails. The pager
 * keeps pages in an array and checks that each is in at most one pair of hands, and comes back as it went.
 */
#include "tap.h"
#include "vm.h"

#include <pthread.h>
#include <setjmp.h>
#include <sched.h>
#include <stdatomic.h>

enum { PAGES = 96, THREADS = 4, WORDS = 512 };

static size_t page;

struct backing {
    uint64_t pages[PAGES][WORDS];
    atomic_int hands[PAGES];  /* in fetch or evict now */
    atomic_int inside[PAGES]; /* fetched and not evicted */
    atomic_int wrong;
    atomic_int fail_fetch, fail_evict; /* so many times */
    atomic_int fetches, evicts, dirty_evicts;
    int slow;
};

static struct backing backing;

static int take(atomic_int *count)
{
    int left = atomic_load(count);

    while (left > 0)
        if (atomic_compare_exchange_weak(count, &left, left - 1))
            return 1;
    return 0;
}

static int fetch(void *argument, size_t number, void *to)
{
    struct backing *back = argument;
    volatile uint64_t *words = to;

    if (atomic_fetch_add(&back->hands[number], 1) || atomic_load(&back->inside[number]))
        back->wrong++;
    back->fetches++;
    for (int i = 0; i < WORDS; i++) {
        words[i] = back->pages[number][i];
        if (back->slow && i == WORDS / 2)
            sched_yield();
    }
    atomic_fetch_sub(&back->hands[number], 1);
    if (take(&back->fail_fetch))
        return EIO;
    back->inside[number] = 1;
    return 0;
}

static int evict(void *argument, size_t number, const void *from, int dirty)
{
    struct backing *back = argument;
    int bad;

    if (atomic_fetch_add(&back->hands[number], 1) || !atomic_load(&back->inside[number]))
        back->wrong++;
    back->evicts++;
    bad = take(&back->fail_evict);
    if (!bad && dirty) {
        back->dirty_evicts++;
        memcpy(back->pages[number], from, page);
        if (back->slow)
            sched_yield();
        if (memcmp(back->pages[number], from, page))
            back->wrong++; /* somebody stored meanwhile */
    } else if (!bad && memcmp(back->pages[number], from, page)) {
        back->wrong++; /* clean, but not the same */
    }
    if (!bad)
        back->inside[number] = 0;
    atomic_fetch_sub(&back->hands[number], 1);
    return bad ? ENOSPC : 0;
}

/* Flush hands out pages that stay. */
static int write_out(void *argument, size_t number, const void *from, int dirty)
{
    struct backing *back = argument;
    int result = evict(argument, number, from, dirty);

    back->inside[number] = 0;
    return result;
}

static const struct vm_pager pager = {fetch, evict, &backing};

static struct vm_budget *fresh(size_t resident)
{
    memset(&backing, 0, sizeof(backing));
    for (int i = 0; i < PAGES; i++)
        for (int k = 0; k < WORDS; k++)
            backing.pages[i][k] = i;
    return vm_budget_open(PAGES, resident, &pager);
}

static volatile uint64_t *word(struct vm_budget *budget, size_t number, size_t index)
{
    return (volatile uint64_t *)((char *)vm_budget_base(budget) + number * page) + index;
}

static void test_one_thread(void)
{
    struct vm_budget *budget = fresh(8);
    struct vm_budget_stats stats;
    int right = 0;

    CHECK(budget != NULL, "vm_budget_open");
    for (int i = 0; i < PAGES; i++)
        right += *word(budget, i, i) == (uint64_t)i;
    IS(right, PAGES, "all pages come from fetch");
    vm_budget_stats(budget, &stats);
    IS(stats.fetches, PAGES, "each once");
    IS(stats.resident, 8, "as many as there may be are in memory");
    IS(stats.most, 8, "never more");
    IS(stats.evictions, PAGES - 8, "the others were evicted");
    IS(stats.dirty_evictions, 0, "clean");
    for (int i = 0; i < PAGES; i++)
        *word(budget, i, 3) = i + 1000;
    right = 0;
    for (int i = 0; i < PAGES; i++)
        right += *word(budget, i, 3) == (uint64_t)i + 1000 && *word(budget, i, 4) == (uint64_t)i;
    IS(right, PAGES, "stores come back");
    CHECK(backing.dirty_evicts >= PAGES - 8, "as dirty pages");
    IS(backing.wrong, 0, "the pager saw nothing wrong");
    vm_budget_close(budget);
}

static void test_second_chance(void)
{
    struct vm_budget *budget = fresh(16);
    struct vm_budget_stats stats;

    for (int round = 0; round < 20; round++)
        for (int i = 0; i < PAGES; i++) {
            (void)*word(budget, 0, 0);
            (void)*word(budget, i, 0);
        }
    vm_budget_stats(budget, &stats);
    CHECK(stats.rescues > 0, "a page in use is rescued");
    CHECK((int)stats.fetches < 20 * PAGES, "and not fetched again (%d)", (int)stats.fetches);
    vm_budget_close(budget);
}

static void test_flush_drop_resize(void)
{
    struct vm_pager writer = {fetch, write_out, &backing};
    struct vm_budget_stats stats;
    struct vm_budget *budget;

    vm_budget_close(fresh(8));
    budget = vm_budget_open(PAGES, 8, &writer);
    for (int i = 0; i < 6; i++)
        *word(budget, i, 0) = i + 7;
    OKAY(vm_budget_flush(budget), "vm_budget_flush");
    IS(backing.dirty_evicts, 6, "each dirty page was written");
    IS(backing.pages[5][0], 12, "with its content");
    OKAY(vm_budget_flush(budget), "again");
    IS(backing.dirty_evicts, 6, "nothing is left to write");
    for (int i = 0; i < 6; i++)
        backing.inside[i] = 1;
    *word(budget, 2, 0) = 50;
    OKAY(vm_budget_flush(budget), "after a store to a flushed page");
    IS(backing.dirty_evicts, 7, "it is dirty again");
    backing.inside[2] = 1;
    backing.fail_evict = 1;
    *word(budget, 2, 0) = 51;
    FAILS(vm_budget_flush(budget), ENOSPC, "a flush that fails");
    backing.inside[2] = 1;
    IS(*word(budget, 2, 0), 51, "keeps the page");
    OKAY(vm_budget_flush(budget), "and writes it the next time");
    IS(backing.pages[2][0], 51, "as it is");
    backing.inside[2] = 1;

    *word(budget, 3, 0) = 99;
    OKAY(vm_budget_drop(budget, 0, PAGES), "vm_budget_drop");
    memset(backing.inside, 0, sizeof(backing.inside));
    vm_budget_stats(budget, &stats);
    IS(stats.resident, 0, "nothing is in memory");
    IS(*word(budget, 3, 0), 10, "what was not written is lost");
    FAILS(vm_budget_drop(budget, 1, PAGES), EINVAL, "more than there is");
    for (int i = 0; i < 8; i++)
        (void)*word(budget, i, 0);
    OKAY(vm_budget_resize(budget, 4), "vm_budget_resize");
    vm_budget_stats(budget, &stats);
    IS(stats.resident, 4, "fewer are in memory");
    OKAY(vm_budget_resize(budget, 20), "and more");
    for (int i = 0; i < PAGES; i++)
        (void)*word(budget, i, 0);
    vm_budget_stats(budget, &stats);
    IS(stats.resident, 20, "may be");
    IS(stats.most, 20, "at most");
    FAILS(vm_budget_resize(budget, 0), EINVAL, "none is too few");
    IS(backing.wrong, 0, "the pager saw nothing wrong");
    vm_budget_close(budget);
}

static void test_without_pager(void)
{
    struct vm_pager none = {NULL, NULL, NULL};
    struct vm_budget *budget = vm_budget_open(PAGES, 8, &none);
    int zero = 0;

    for (int i = 0; i < PAGES; i++)
        *word(budget, i, 0) = 5;
    IS(*word(budget, PAGES - 1, 0), 5, "without fetch and evict pages last while they are in memory");
    for (int i = 0; i < PAGES; i++)
        zero += *word(budget, i, 0) == 0;
    IS(zero, PAGES, "and are zero afterwards");
    vm_budget_close(budget);
}

static sigjmp_buf escape;
static int reported;

static void on_error(void *argument, size_t number, int error)
{
    reported = error;
    if (argument) {
        vm_leave_handler();
        siglongjmp(escape, (int)number);
    }
}

static void test_failures(void)
{
    struct vm_budget *budget = fresh(8);

    vm_budget_on_error(budget, on_error, NULL);
    backing.fail_fetch = 1;
    IS(*word(budget, 5, 0), 5, "a fetch that failed is tried again when the handler returns");
    IS(reported, EIO, "after the handler was told");
    vm_budget_on_error(budget, on_error, budget);
    backing.fail_fetch = 1;
    if (sigsetjmp(escape, 0) == 0)
        (void)*word(budget, 6, 0);
    IS(reported, EIO, "the handler may leave");
    IS(*word(budget, 6, 0), 6, "and the page comes the next time");
    for (int i = 0; i < 8; i++)
        *word(budget, i, 0) = i + 70;
    backing.fail_evict = 3;
    reported = 0;
    IS(*word(budget, 40, 0), 40, "when evict refuses some pages another goes");
    IS(reported, 0, "and nobody is told");
    backing.fail_evict = 1000;
    if (sigsetjmp(escape, 0) == 0)
        (void)*word(budget, 41, 0);
    IS(reported, ENOSPC, "when it refuses all, the handler is told");
    backing.fail_evict = 0;
    IS(*word(budget, 41, 0), 41, "and afterwards it goes on");
    IS(*word(budget, 3, 0), 73, "with nothing lost");
    IS(backing.wrong, 0, "the pager saw nothing wrong");
    vm_budget_close(budget);

    CHECK(vm_budget_open(0, 8, &pager) == NULL && errno == EINVAL, "no pages");
    CHECK(vm_budget_open(9, 3, &pager) == NULL && errno == EINVAL, "too small a budget");
}

/* --- Many threads ----------------------------------------------------------------------------------------------------
 */

static struct vm_budget *shared;
static atomic_int half_pages;
static long rounds;

/* Adds to counters in random pages; now and then looks whether a page is whole. */
static void *work(void *seed)
{
    uint64_t random = (uintptr_t)seed * 0x9e3779b97f4a7c15;

    vm_thread_enter();
    for (long i = 0; i < rounds; i++) {
        size_t number;

        random = random * 6364136223846793005 + 1442695040888963407;
        number = (random >> 33) % PAGES;
        if ((random >> 60) < 6)
            __atomic_fetch_add((uint64_t *)word(shared, number, 1 + (random >> 50) % 8), 1, __ATOMIC_RELAXED);
        else if (*word(shared, number, 20) != number || *word(shared, number, WORDS - 1) != number)
            half_pages++;
    }
    vm_thread_leave();
    return NULL;
}

static void *flush_often(void *stop)
{
    while (!atomic_load((atomic_int *)stop)) {
        vm_budget_flush(shared);
        vm_budget_resize(shared, 12);
        sched_yield();
        vm_budget_resize(shared, 24);
    }
    return NULL;
}

static int keep(void *argument, size_t number, const void *from, int dirty)
{
    struct backing *back = argument;

    if (take(&back->fail_evict))
        return ENOSPC;
    if (dirty) {
        memcpy(back->pages[number], from, page);
        sched_yield();
        if (memcmp(back->pages[number], from, page))
            back->wrong++;
    }
    return 0;
}

static int bring(void *argument, size_t number, void *to)
{
    struct backing *back = argument;
    int result = fetch(argument, number, to);

    back->inside[number] = 0;
    return result;
}

static void count_error(void *argument, size_t number, int error)
{
    (void)number, (void)error;
    atomic_fetch_add((atomic_int *)argument, 1);
}

static uint64_t total(int in_backing)
{
    uint64_t sum = 0;

    for (int i = 0; i < PAGES; i++)
        for (int k = 1; k < 9; k++)
            sum += (in_backing ? backing.pages[i][k] : *word(shared, i, k)) - i;
    return sum;
}

static void test_threads(int failing, int flushing)
{
    struct vm_pager threaded = {bring, keep, &backing};
    pthread_t threads[THREADS], flusher;
    struct vm_budget_stats stats;
    atomic_int stop = 0, errors = 0;
    uint64_t want = 0;

    vm_budget_close(fresh(8));
    backing.slow = 1;
    shared = vm_budget_open(PAGES, 12, &threaded);
    vm_budget_on_error(shared, count_error, &errors);
    rounds = tap_arguments[0] ? atol(tap_arguments[0]) : 4000;
    if (failing)
        backing.fail_fetch = backing.fail_evict = 100;
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)(i + 1));
    if (flushing)
        pthread_create(&flusher, NULL, flush_often, &stop);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    stop = 1;
    if (flushing)
        pthread_join(flusher, NULL);
    /* The same random numbers say how many additions there were. */
    for (long seed = 1; seed <= THREADS; seed++) {
        uint64_t random = (uint64_t)seed * 0x9e3779b97f4a7c15;

        for (long i = 0; i < rounds; i++) {
            random = random * 6364136223846793005 + 1442695040888963407;
            want += (random >> 60) < 6;
        }
    }
    backing.fail_fetch = backing.fail_evict = 0;
    IS(total(0), want, "no addition is lost%s%s", failing ? ", failing" : "", flushing ? ", flushing" : "");
    OKAY(vm_budget_flush(shared), "flush");
    IS(total(1), want, "and all are outside after a flush");
    IS(half_pages, 0, "nobody saw half a page");
    IS(backing.wrong, 0, "no store went to a page on its way out");
    vm_budget_stats(shared, &stats);
    CHECK(stats.most <= (flushing ? 24 : 12), "never more pages than allowed (%d)", (int)stats.most);
    vm_budget_close(shared);
}

static void body(void)
{
    page = vm_page_size();
    test_one_thread();
    test_second_chance();
    test_flush_drop_resize();
    test_without_pager();
    test_failures();
    test_threads(0, 0);
    test_threads(1, 0);
    test_threads(1, 1);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
