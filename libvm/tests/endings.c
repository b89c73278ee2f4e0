/*
 * Ends and new beginnings: threads that end with or without leaving, in a handler, cancelled while a page is fetched
 * for them; children of fork while other threads change the library's tables; handlers that are replaced under fire.
 */
#include "tap.h"
#include "vm.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#define RW (PROT_READ | PROT_WRITE)
#define ROUNDS 40

static size_t page;

static void open_it(struct vm_fault *fault, void *argument)
{
    (void)argument;
    vm_fault_protect(fault, (void *)((uintptr_t)fault->address & -page), page, RW);
}

/* --- Threads that end ------------------------------------------------------------------------------------------------
 */

static char *memory;

static void *touch_and_end(void *unused)
{
    vm_thread_enter();
    memory[0] = 1;
    return unused;
}

static void leave_here(struct vm_fault *fault, void *argument)
{
    (void)fault;
    pthread_exit(argument);
}

static void in_thread(void *(*function)(void *), void *argument)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, function, argument) == 0)
        pthread_join(thread, NULL);
}

static long mappings(void)
{
    FILE *maps = NULL;
    long lines = 0;

#ifndef __SANITIZE_THREAD__ /* it maps memory for each thread */
    maps = fopen("/proc/self/maps", "r");
#endif
    if (!maps)
        return 0;
    for (int c; (c = getc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

static void test_threads_that_end(void)
{
    long before;

    memory = vm_alloc(page, PROT_NONE);
    OKAY(vm_trap(memory, page, open_it, NULL), "vm_trap");
    in_thread(touch_and_end, NULL);
    before = mappings();
    for (int i = 0; i < ROUNDS; i++) {
        vm_protect(memory, page, PROT_NONE);
        in_thread(touch_and_end, NULL);
    }
    CHECK(mappings() < before + ROUNDS / 2, "a thread that ends gives back its stack: %ld mappings, then %ld", before,
          mappings());
#ifndef __SANITIZE_THREAD__ /* it forbids what pthread_exit does there */
    vm_trap(memory, page, leave_here, NULL);
    vm_protect(memory, page, PROT_NONE);
    in_thread(touch_and_end, NULL);
    vm_trap(memory, page, open_it, NULL);
    memory[0] = 2;
#else
    (void)leave_here;
    memory[0] = 2;
#endif
    IS(memory[0], 2, "a thread ended in its handler, others go on");
    vm_free(memory, page);
}

/* --- Cancelled while a page is fetched -------------------------------------------------------------------------------
 */

static atomic_int fetching;
static atomic_bool go_on;

static int fetch_slowly(void *unused, size_t number, void *to)
{
    (void)unused;
    atomic_store(&fetching, 1);
    while (!atomic_load(&go_on))
        usleep(1000); /* a thread may be cancelled here */
    *(size_t *)to = number;
    return 0;
}

static void *touch_budget(void *at)
{
    vm_thread_enter();
    return *(volatile char *)at ? at : NULL;
}

static void test_cancelled(void)
{
    struct vm_pager pager = {.fetch = fetch_slowly};
    struct vm_budget *budget = vm_budget_open(8, VM_BUDGET_LEAST, &pager);
    pthread_t thread;
    char *base;

    CHECK(budget != NULL, "vm_budget_open");
    if (!budget)
        return;
    base = vm_budget_base(budget);
    if (pthread_create(&thread, NULL, touch_budget, base + 3 * page) == 0) {
        while (!atomic_load(&fetching))
            sched_yield();
        pthread_cancel(thread);
        usleep(20000);
        atomic_store(&go_on, true);
        pthread_join(thread, NULL);
    }
    IS(*(volatile size_t *)(base + 3 * page), 3, "the page of a thread that was cancelled");
    for (size_t i = 0; i < 8; i++)
        fetching += *(volatile size_t *)(base + i * page) != i;
    OKAY(vm_budget_resize(budget, VM_BUDGET_LEAST), "nobody holds the region's lock");
    vm_budget_close(budget);
}

/* --- fork ------------------------------------------------------------------------------------------------------------
 */

static atomic_bool stop;

static void *change_tables(void *unused)
{
    char *at = vm_alloc(2 * page, PROT_NONE);

    vm_thread_enter();
    while (!atomic_load(&stop)) {
        vm_trap(at, page, open_it, NULL);
        at[0] = 1;
        vm_protect(at, page, PROT_NONE);
        vm_untrap(at, 2 * page);
    }
    vm_free(at, 2 * page);
    return unused;
}

/* In the child. */
static int uses_the_library(char *at)
{
    alarm(60);
    at[0] = 1;
    if (vm_trap(at + page, page, open_it, NULL) || vm_protect(at, 2 * page, PROT_NONE))
        return 1;
    at[page] = 1;
    at[0] = 1;
    if (vm_track(at + 2 * page, page) || vm_untrack(at + 2 * page))
        return 2;
    return vm_free(at, 3 * page) ? 3 : 0;
}

static void test_fork(void)
{
    char *at = vm_alloc(3 * page, PROT_NONE);
    pthread_t threads[3];
    int bad = 0;

#ifdef __SANITIZE_THREAD__
    skip("fork of a program with threads", "ThreadSanitizer forbids it");
    return;
#endif
    vm_trap(at, page, open_it, NULL);
    vm_protect(at + 2 * page, page, RW);
    atomic_store(&stop, false);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, change_tables, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        pid_t pid = fork();
        int status = 0;

        if (pid == 0)
            _exit(uses_the_library(at));
        waitpid(pid, &status, 0);
        bad += status != 0;
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    IS(bad, 0, "children of a program whose threads change tables");
    vm_free(at, 3 * page);
}

/* --- A handler that is replaced --------------------------------------------------------------------------------------
 */

static atomic_long newest;  /* a handler that is entered from now on has this as its argument, or more */
static __thread long least; /* what it was before the access */
static atomic_int stale;

static void compare(struct vm_fault *fault, void *argument)
{
    stale += (intptr_t)argument < least;
    open_it(fault, NULL);
}

static void *fault_all_the_time(void *own)
{
    volatile char *at = own;

    vm_thread_enter();
    while (!atomic_load(&stop)) {
        least = atomic_load(&newest);
        *at = 1;
        vm_protect(own, page, PROT_NONE);
    }
    return NULL;
}

static void test_replaced(void)
{
    char *at = vm_alloc(3 * page, PROT_NONE);
    pthread_t threads[3];

    atomic_store(&stop, false);
    vm_trap(at, 3 * page, compare, NULL);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, fault_all_the_time, at + (size_t)i * page);
    for (intptr_t i = 1; i < 50 * ROUNDS; i++) {
        vm_trap(at, 3 * page, compare, (void *)i);
        atomic_store(&newest, i);
        if (i % 8 == 0)
            sched_yield();
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    IS(stale, 0, "no handler is called after another has taken its place");
    vm_free(at, 3 * page);
}

static void body(void)
{
    page = vm_page_size();
    test_threads_that_end();
    test_cancelled();
    test_fork();
    test_replaced();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
