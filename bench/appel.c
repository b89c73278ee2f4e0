/*
 * Appel & Li's table: what a fault that a program handles itself costs, with the protection changes that go with it.
 *
 *     appel signals|libvm      prints NAME, tab, nanoseconds per operation, for each row
 *
 * 100 pages are touched in a fixed random order, as in the paper:
 *
 *     trap     a store to a read-only page; the handler steps over the instruction
 *     unprot   a trap whose handler opens the page; the store is tried again
 *     appel1   prot1+trap+unprot: the handler closes the page of the previous trap and opens this one
 *     appel2   protN+trap+unprot: 100 pages are closed at once, each is opened by its trap; per page
 *     dirty    of 100 tracked pages 10 are stored to, found, and armed again; the stores included
 *     log      the first store to a page that is recorded in a log
 *
 * With `signals` a SIGSEGV handler and mprotect do the first four, written out here as a program of its own would; the
 * others are libvm's on its way by signals. With `libvm` all are libvm's, by whichever way it takes. Under -icount a
 * nanosecond is an instruction.
 *
 * Source: A. W. Appel, K. Li, "Virtual Memory Primitives for User Programs", ASPLOS 1991, section 4.
 */
#define _GNU_SOURCE
#include "libvm/include/vm.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

enum { PAGES = 100, ROOM = 128, ROUNDS = 15 }; /* aligned to its room, the pool has one page table, wherever it lies */
#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)

static char *pool, *previous;
static char *order[PAGES]; /* the pages */

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void shuffle(void)
{
    uint32_t seed = 12345;

    for (int i = 0; i < PAGES; i++)
        order[i] = pool + i * PAGE;
    for (int i = PAGES - 1; i > 0; i--) {
        char *swap = order[i];
        int k;

        seed = seed * 1664525 + 1013904223;
        k = (int)((seed >> 8) % (uint32_t)(i + 1));
        order[i] = order[k];
        order[k] = swap;
    }
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* One byte of each page, in order; the instruction is four bytes long. */
static void touch(int count)
{
    for (int i = 0; i < count; i++)
        __asm__ volatile(".option push\n.option norvc\nsb zero, 0(%0)\n.option pop" ::"r"(order[i]) : "memory");
}

/* --- Two ways to handle a fault --------------------------------------------------------------------------------------
 */

static char *page_of(const void *address) { return (char *)((uintptr_t)address & -PAGE); }

static void on_signal(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

    if (sigaction(SIGSEGV, &action, NULL))
        fail("sigaction");
}

static void signal_step(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)info;
    ((ucontext_t *)context)->uc_mcontext.__gregs[REG_PC] += 4;
}

static void signal_open(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)context;
    mprotect(page_of(info->si_addr), PAGE, RW);
}

static void signal_move(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)context;
    mprotect(previous, PAGE, PROT_READ);
    previous = page_of(info->si_addr);
    mprotect(previous, PAGE, RW);
}

static void trap_step(struct vm_fault *fault, void *argument)
{
    (void)argument;
    fault->pc = (char *)fault->pc + 4;
}

static void trap_open(struct vm_fault *fault, void *argument)
{
    (void)argument;
    vm_fault_protect(fault, page_of(fault->address), PAGE, RW);
}

static void trap_move(struct vm_fault *fault, void *argument)
{
    (void)argument;
    vm_fault_protect(fault, previous, PAGE, PROT_READ);
    previous = page_of(fault->address);
    vm_fault_protect(fault, previous, PAGE, RW);
}

static bool by_libvm;

static void handle(void (*by_signal)(int, siginfo_t *, void *), vm_handler *by_trap)
{
    if (!by_libvm)
        on_signal(by_signal);
    else if (vm_trap(pool, PAGES * PAGE, by_trap, NULL))
        fail("vm_trap");
}

static void protect_all(int prot)
{
    struct vm_range all = {pool, PAGES * PAGE, prot};

    if (by_libvm ? vm_protect_ranges(&all, 1) : mprotect(pool, PAGES * PAGE, prot))
        fail("protect");
}

/* --- Rows ------------------------------------------------------------------------------------------------------------
 */

/* The median of ROUNDS after one more; BEFORE is not timed. */
#define MEASURE(name, units, before, body)                                 \
    do {                                                                   \
        double samples[ROUNDS];                                            \
        for (int round = -1; round < ROUNDS; round++) {                    \
            double began;                                                  \
            before;                                                        \
            began = now();                                                 \
            body;                                                          \
            if (round >= 0)                                                \
                samples[round] = (now() - began - clock_cost()) / (units); \
        }                                                                  \
        qsort(samples, ROUNDS, sizeof(*samples), by_size);                 \
        printf("%s\t%.1f\n", name, samples[ROUNDS / 2]);                   \
        fflush(stdout);                                                    \
    } while (0)

static double clock_cost(void)
{
    double began = now();

    return now() - began;
}

static void start_moving(void)
{
    protect_all(PROT_READ);
    previous = order[PAGES - 1];
}

static void measure_traps(void)
{
    handle(signal_step, trap_step);
    MEASURE("trap", PAGES, protect_all(PROT_READ), touch(PAGES));
    handle(signal_open, trap_open);
    MEASURE("unprot", PAGES, protect_all(PROT_READ), touch(PAGES));
    handle(signal_move, trap_move);
    MEASURE("appel1", PAGES, start_moving(), touch(PAGES));
    handle(signal_open, trap_open);
    MEASURE("appel2", PAGES, protect_all(RW), {
        protect_all(PROT_READ);
        touch(PAGES);
    });
    protect_all(RW);
    if (by_libvm)
        vm_untrap(pool, PAGES * PAGE);
    else
        signal(SIGSEGV, SIG_DFL);
}

static void collect(void)
{
    struct vm_range found[PAGES];
    void *next;

    if (vm_dirty(pool, PAGES * PAGE, found, PAGES, VM_REARM, &next) < 0)
        fail("vm_dirty");
}

static void measure_stores(void)
{
    struct vm_range all = {pool, PAGES * PAGE, 0};
    void *pages[PAGES];
    struct vm_log *log;

    if (vm_track(pool, PAGES * PAGE))
        fail("vm_track");
    MEASURE("dirty", ROUNDS, collect(), {
        for (int i = 0; i < ROUNDS; i++) {
            touch(10);
            collect();
        }
    });
    vm_untrack(pool);
    log = vm_log_open(pool, PAGES * PAGE, PAGES);
    if (!log)
        fail("vm_log_open");
    MEASURE(
        "log", PAGES,
        {
            vm_log_read(log, pages, PAGES);
            vm_log_rearm(log, &all, 1);
        },
        touch(PAGES));
    vm_log_close(log);
}

int main(int argc, char **argv)
{
    by_libvm = argc == 2 && strcmp(argv[1], "libvm") == 0;
    if (argc != 2 || (!by_libvm && strcmp(argv[1], "signals") != 0)) {
        fprintf(stderr, "usage: appel signals|libvm\n");
        return 2;
    }
    if (!by_libvm)
        setenv("VM_BACKEND", "signals", 1);
    pool = vm_alloc(2 * ROOM * PAGE, RW);
    if (!pool)
        fail("vm_alloc");
    pool = (char *)(((uintptr_t)pool + ROOM * PAGE - 1) & -(ROOM * PAGE));
    madvise(pool, PAGES * PAGE, MADV_NOHUGEPAGE);
    memset(pool, 1, PAGES * PAGE);
    shuffle();
    measure_traps();
    measure_stores();
    printf("#%s\t%s\n", vm_backend(), vm_dirty_backend());
    return 0;
}
