/* User traps that are interrupted: signals at any instruction of code that traps, of handlers and of the way between
 * them; and handlers that end otherwise than by a resume. */
#include "vmtrap.h"

#include <setjmp.h>
#include <sys/time.h>

#define PAGES 64UL

static char *pool;
static volatile long ticks;

static void new_pool(void)
{
    pool = anon(PAGES * PAGE, RW);
    memset(pool, 1, PAGES * PAGE);
    NEED(trap_arm(pool, PAGES * PAGE));
    trap_count = ticks = 0;
}

/* SIGALRM comes again and again, each time after another few microseconds; not for ever, since on a slow machine they
 * may not suffice to get anywhere. */
static void wind_up(void)
{
    static unsigned turn;
    struct itimerval soon = {.it_value = {.tv_usec = 1 + turn++ * 7 % 61}};

    if (ticks < 20000)
        setitimer(ITIMER_REAL, &soon, NULL);
}

static void run_down(void)
{
    struct itimerval never = {.it_value = {0, 0}};

    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, SIG_IGN);
}

static void on_signal(int signo, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};

    sigaction(signo, &action, NULL);
}

/* ---- signals that return ---- */

static volatile double sink = 1;

static void tick(int signo UNUSED)
{
    ticks++;
    sink = sink * 1.5 - sink / 2;
    wind_up();
}

/* A user of floating point whose every register is checked, over traps and signals. */
static int interrupted(void *unused UNUSED)
{
    double a = sink, b = a * 3, c = a * 7;
    uint64_t wrong = 0;
    long want = 0;

    new_pool();
    trap_register(trap_open);
    on_signal(SIGALRM, tick);
    wind_up();
    for (int round = 0; round < 300 || (ticks < 200 && round < 20000); round++) {
        mprotect(pool, PAGES * PAGE, round & 1 ? PROT_READ : PROT_NONE);
        for (unsigned long i = 0; i < PAGES; i++) {
            __asm__ volatile("" : "+f"(a), "+f"(b), "+f"(c));
#ifdef __riscv
            wrong |= registers_across_trap(pool + i * PAGE);
#endif
            __asm__ volatile("" : "+f"(a), "+f"(b), "+f"(c));
        }
        want += (long)PAGES;
    }
    run_down();
    if (wrong != 0)
        return 3;
    if (a != 1 || b != 3 || c != 7)
        return 4;
    return trap_count == want ? ticks > 20 ? 0 : 6 : 5;
}

/* ---- signals that trap ---- */

static void trapping_tick(int signo UNUSED)
{
    ticks++;
    if (!trap_area->busy) { /* what interrupts a handler may not trap */
        mprotect(pool + (PAGES - 1) * PAGE, PAGE, PROT_NONE);
        *(volatile char *)(pool + (PAGES - 1) * PAGE) = 1;
    }
    wind_up();
}

static int trapping_signals(void *unused UNUSED)
{
    uint64_t wrong = 0;

    new_pool();
    trap_register(trap_open);
    on_signal(SIGALRM, trapping_tick);
    wind_up();
    for (int round = 0; round < 300 || (ticks < 200 && round < 20000); round++) {
        mprotect(pool, (PAGES - 1) * PAGE, PROT_NONE);
        for (unsigned long i = 0; i < PAGES - 1; i++) {
#ifdef __riscv
            wrong |= registers_across_trap(pool + i * PAGE);
#endif
        }
    }
    run_down();
    return wrong != 0 ? 3 : ticks > 20 ? 0 : 6;
}

/* ---- signals that jump out of whatever they interrupt ---- */

static sigjmp_buf out;

static void jumping_tick(int signo UNUSED)
{
    ticks++;
    trap_area->busy = 0;
    siglongjmp(out, 1);
}

static int jumping_signals(void *unused UNUSED)
{
    volatile unsigned long next = 0;
    volatile long rounds = 0;

    new_pool();
    trap_register(trap_open);
    on_signal(SIGALRM, jumping_tick);
    sigsetjmp(out, 1);
    while (rounds < 2000 || (ticks < 200 && rounds < 100000)) {
        wind_up();
        mprotect(pool, PAGES * PAGE, PROT_NONE);
        for (unsigned long i = 0; i < PAGES; i++) {
            *(volatile char *)(pool + (next++ % PAGES) * PAGE) += 1;
            sink = sink * 1.5 - sink / 2;
        }
        rounds++;
    }
    run_down();
    for (unsigned long i = 0; i < PAGES; i++)
        *(volatile char *)(pool + i * PAGE) = 5;
    return ticks <= 20 ? 6 : trap_area->busy ? 7 : sink != 1 ? 8 : 0;
}

/* ---- signals and logged stores ---- */

static int interrupted_log(void *places)
{
    static struct {
        struct vmtrap_log ring;
        uint64_t entries[2048];
    } log __attribute__((aligned(4096)));
    uint32_t n = (uint32_t)(uintptr_t)places;
    long number = syscall(VMTRAP_LOG, 0, &log.ring, n), wrong = 0;

    new_pool();
    trap_register(trap_open);
    NEED(syscall(VMTRAP_ARM, pool, PAGES * PAGE, VMTRAP_FAULTS | VMTRAP_LOGGED(number)));
    on_signal(SIGALRM, tick);
    wind_up();
    for (int round = 0; round < 300 || (ticks < 200 && round < 20000); round++) {
        uint64_t seen = 0;

        mprotect(pool, PAGES * PAGE, PROT_READ);
        for (unsigned long i = 0; i < PAGES; i++) {
#ifdef __riscv
            wrong |= registers_across_trap(pool + i * PAGE) != 0;
#endif
        }
        for (; log.ring.tail != log.ring.head; log.ring.tail++) {
            uint64_t *entry = &log.entries[log.ring.tail % n];

            seen |= 1UL << (*entry - (uintptr_t)pool) / PAGE % 64;
            *entry = 0;
        }
        wrong |= seen != UINT64_MAX;
    }
    run_down();
    return wrong ? 3 : trap_count != 0 ? 4 : ticks > 20 ? 0 : 6;
}

/* ---- handlers that do not resume ---- */

static uint64_t exit_in_it(struct vmtrap_area *area UNUSED, uintptr_t address UNUSED, uint64_t cause UNUSED,
                           uintptr_t pc UNUSED)
{
    _exit(12);
}

static uint64_t exec_in_it(struct vmtrap_area *area UNUSED, uintptr_t address UNUSED, uint64_t cause UNUSED,
                           uintptr_t pc UNUSED)
{
    execl("/proc/self/exe", "vmtrap_signals", "exec", NULL);
    _exit(13);
}

static uint64_t end_thread_in_it(struct vmtrap_area *area UNUSED, uintptr_t address UNUSED, uint64_t cause UNUSED,
                                 uintptr_t pc UNUSED)
{
    trap_count++;
    syscall(SYS_exit, 0);
    return 0;
}

static uint64_t register_in_it(struct vmtrap_area *area, uintptr_t address, uint64_t cause UNUSED, uintptr_t pc UNUSED)
{
    trap_count++;
    syscall(VMTRAP_REGISTER, area, trap_entry, trap_stack + TRAP_STACK, 0); /* the area is free, and its own */
    return resume_with(area, (void *)(address & -PAGE), PAGE, RW);
}

static uint64_t signal_in_it(struct vmtrap_area *area UNUSED, uintptr_t address UNUSED, uint64_t cause UNUSED,
                             uintptr_t pc UNUSED)
{
    raise(SIGKILL);
    return 0;
}

static int touch_with(void *function)
{
    new_pool();
    trap_register(function);
    for (unsigned long i = 0; i < PAGES; i++) {
        mprotect(pool + i * PAGE, PAGE, PROT_NONE);
        *(volatile char *)(pool + i * PAGE) = 1;
    }
    return trap_count == (long)PAGES ? 0 : 1;
}

static void *thread_that_ends(void *unused UNUSED)
{
    trap_register(end_thread_in_it);
    *(volatile char *)pool = 1;
    return NULL;
}

static int threads_that_end(void *unused UNUSED)
{
    new_pool();
    mprotect(pool, PAGE, PROT_NONE);
    for (int i = 0; i < 50; i++) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, thread_that_ends, NULL))
            return 1;
        while (trap_count != i + 1)
            sched_yield();
        pthread_detach(thread);
    }
    return 0;
}

static uint64_t fork_in_it(struct vmtrap_area *area, uintptr_t address, uint64_t cause UNUSED, uintptr_t pc UNUSED)
{
    area->program[1] = (uint64_t)fork();
    if (area->program[1] == 0)
        trap_count += 1000;
    return resume_with(area, (void *)(address & -PAGE), PAGE, RW);
}

/* Each page forks once; both sides go on from inside the handler, and the child ends. */
static int forks(void *unused UNUSED)
{
    int status, bad = 0;

    new_pool();
    trap_register(fork_in_it);
    mprotect(pool, PAGES * PAGE, PROT_NONE);
    for (unsigned long i = 0; i < PAGES; i++) {
        *(volatile char *)(pool + i * PAGE) += 1;
        if (trap_count >= 1000)
            _exit(*(volatile char *)(pool + i * PAGE) == 2 ? 0 : 1);
        if (waitpid((pid_t)trap_area->program[1], &status, 0) < 0 || status != 0)
            bad++;
    }
    return bad;
}

static void vmtrap_test(void)
{
    EXITS(interrupted, NULL, 0, "signals at any instruction change nothing");
    EXITS(trapping_signals, NULL, 0, "signals that trap between a program's traps");
    EXITS(jumping_signals, NULL, 0, "signals that jump out of code, traps and handlers");
    EXITS(interrupted_log, 128, 0, "signals beside logged stores");
    EXITS(interrupted_log, 2048, 0, "and with a ring of many pages");
    EXITS(touch_with, (void *)exit_in_it, 12, "a handler exits");
    EXITS(touch_with, (void *)exec_in_it, 14, "a handler executes another program");
    DIES(touch_with, (void *)signal_in_it, SIGKILL, ANY_CODE, 0, "a handler is killed");
    EXITS(touch_with, (void *)register_in_it, 0, "a handler registers itself");
    EXITS(threads_that_end, NULL, 0, "threads end in handlers");
    EXITS(forks, NULL, 0, "a fork in each handler");
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "exec"))
        return 14;
    return tap_main(argc, argv, vmtrap_body);
}
