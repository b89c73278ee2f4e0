/* User traps: faults that enter a handler of the program's own, and the way back (docs/vmtrap.md). */
#include "vmtrap.h"

#include <setjmp.h>

#define PAGES 16

static char *pool;
static volatile struct {
    int count;
    uintptr_t address, pc;
    uint64_t cause;
} seen;

static void note(uintptr_t address, uint64_t cause, uintptr_t pc)
{
    seen.count++;
    seen.address = address;
    seen.cause = cause;
    seen.pc = pc;
}

static uintptr_t page_of(uintptr_t address) { return address & -PAGE; }

static uint64_t open_it(struct vmtrap_area *area UNUSED, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    note(address, cause, pc);
    mprotect((void *)page_of(address), PAGE, cause == VMTRAP_LOAD ? PROT_READ : RW);
    return 0;
}

static uint64_t open_by_resume(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    note(address, cause, pc);
    return resume_with(area, (void *)page_of(address), PAGE, cause == VMTRAP_LOAD ? PROT_READ : RW);
}

static uint64_t open_page(struct vmtrap_area *area UNUSED, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    note(address, cause, pc);
    return VMTRAP_PAGE(page_of(address), cause == VMTRAP_LOAD ? PROT_READ : RW);
}

static uint64_t skip_it(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    note(address, cause, pc);
    area->pc += 4;
    return 0;
}

static char load(const char *at) { return *(const volatile char *)at; }
static void store(char *at, char value) { *(volatile char *)at = value; }

static void new_pool(int prot)
{
    pool = anon(PAGES * PAGE, RW);
    for (int i = 0; i < PAGES; i++)
        memset(pool + i * PAGE, i + 1, PAGE);
    OKAY(trap_arm(pool, PAGES * PAGE), "memory is armed");
    mprotect(pool, PAGES * PAGE, prot);
    seen.count = 0;
}

static void drop_pool(void) { munmap(pool, PAGES * PAGE); }

/* ---- what is delivered ---- */

static void delivered(trap_function *handler, const char *by)
{
    trap_register(handler);
    new_pool(PROT_NONE);
    IS(load(pool + 5), 1, "%s: a load from a page without access sees it opened", by);
    IS(seen.count, 1, "%s: by one trap", by);
    IS(seen.address, (uintptr_t)pool + 5, "%s: with the address", by);
    IS(seen.cause, VMTRAP_LOAD, "%s: and the cause", by);
    CHECK(seen.pc >= (uintptr_t)load - PAGE * 16 && seen.pc != 0, "%s: and a pc", by);
    IS(trap_area->busy, 0, "%s: the area is free again", by);
    store(pool + 6, 77);
    IS(seen.count, 2, "%s: a store to a page that may only be read is another trap", by);
    IS(seen.cause, VMTRAP_STORE, "%s: of another cause", by);
    IS(load(pool + 6), 77, "%s: and done then", by);
    for (int i = 0; i < PAGES; i++)
        store(pool + i * PAGE, 9);
    IS(seen.count, 2 + PAGES - 1, "%s: each page takes its trap", by);
    drop_pool();
}

static int run_page(void)
{
    static const uint32_t code[] = {0x02a00513, 0x00008067}; /* li a0, 42; ret */
    int (*function)(void);
    char *at = anon(PAGE, RW);

    memcpy(at, code, sizeof(code));
    __builtin___clear_cache(at, at + sizeof(code));
    trap_arm(at, PAGE);
    memcpy(&function, &at, sizeof(at));
    return function();
}

static uint64_t make_executable(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    note(address, cause, pc);
    return resume_with(area, (void *)page_of(address), PAGE, PROT_READ | PROT_EXEC);
}

/* ---- registers ---- */

#ifdef __riscv
static uint64_t clobber_all(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    note(address, cause, pc);
    __asm__ volatile(
        "li ra, -1\nli t0, -1\nli t1, -1\nli t2, -1\nli a0, -1\nli a1, -1\nli a2, -1\nli a3, -1\nli a4, -1\n"
        "li a5, -1\nli a6, -1\nli a7, -1\nli t3, -1\nli t4, -1\nli t5, -1\nli t6, -1\n" ::
            : "ra", "t0", "t1", "t2", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "t3", "t4", "t5", "t6");
    return resume_with(area, (void *)page_of(address), PAGE, RW);
}

static void registers(void)
{
    trap_register(clobber_all);
    new_pool(PROT_NONE);
    for (int i = 0; i < 4; i++)
        IS(registers_across_trap(pool + i * PAGE), 0, "all registers are what they were (%d)", i);
    IS(seen.count, 4, "across a trap each");
    drop_pool();
}
#else
static void registers(void) {}
#endif

/* ---- floating point ---- */

static volatile double sink = 3;

static double fp_registers(char *at)
{
    double a = sink, b = sink * 2, c = sink * 4, d = sink * 8;

    __asm__ volatile("sb zero, 0(%4)" : "+f"(a), "+f"(b), "+f"(c), "+f"(d) : "r"(at) : "memory");
    return a + b + c + d;
}

static uint64_t with_fp(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    double x = (double)address;

    note(address, cause, pc);
    for (int i = 0; i < 40; i++) { /* all of the registers, one would hope */
        double y = x * i, z = x / (i + 1), w = x - i, v = x + sink;
        __asm__ volatile("" : "+f"(x), "+f"(y), "+f"(z), "+f"(w), "+f"(v));
        sink = y + z + w + v - (y + z + w + v) + 3;
    }
#ifdef __riscv
    __asm__ volatile("fmv.d.x fa0, zero\nfmv.d.x fa1, zero\nfmv.d.x fa2, zero\nfmv.d.x fa3, zero\nfmv.d.x fa4, zero\n"
                     "fmv.d.x fa5, zero\nfmv.d.x fa6, zero\nfmv.d.x fa7, zero\nfmv.d.x ft0, zero\nfmv.d.x ft1, zero\n"
                     "fmv.d.x ft2, zero\nfmv.d.x ft3, zero\n" ::
                         : "fa0", "fa1", "fa2", "fa3", "fa4", "fa5", "fa6", "fa7", "ft0", "ft1", "ft2", "ft3");
#endif
    sink = 3;
    return resume_with(area, (void *)page_of(address), PAGE, RW);
}

static uint64_t with_fp_and_signal(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    raise(SIGUSR2);
    return with_fp(area, address, cause, pc);
}

static uint64_t with_sleep(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    note(address, cause, pc);
    usleep(2000);
    return resume_with(area, (void *)page_of(address), PAGE, RW);
}

static void fp_signal(int signo UNUSED) { sink = sink * 2 - sink; }

static void *burn_fp(void *stop)
{
    volatile double x = 1;

    while (!*(volatile int *)stop)
        x = x * 1.000001 + 1;
    return NULL;
}

static void floating_point(void)
{
    static trap_function *const handlers[] = {open_by_resume, with_fp, with_sleep, with_fp_and_signal};
    static volatile int stop;
    pthread_t other;

    signal(SIGUSR2, fp_signal);
    pthread_create(&other, NULL, burn_fp, (void *)&stop);
    for (unsigned h = 0; h < sizeof(handlers) / sizeof(handlers[0]); h++) {
        trap_register(handlers[h]);
        new_pool(PROT_NONE);
        for (int i = 0; i < PAGES; i++)
            if (fp_registers(pool + i * PAGE) != 45)
                seen.count = -1000;
        IS(seen.count, PAGES, "floating point stays across handlers of kind %u", h);
        drop_pool();
    }
    stop = 1;
    pthread_join(other, NULL);
}

/* ---- leaving, fork, threads ---- */

static sigjmp_buf out;

static uint64_t jump_out(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    note(address, cause, pc);
    area->busy = 0;
    siglongjmp(out, 1);
}

static void leaving(void)
{
    volatile int left = 0;

    trap_register(jump_out);
    new_pool(PROT_NONE);
    for (volatile int i = 0; i < 3; i++) {
        if (sigsetjmp(out, 0) == 0)
            load(pool + i * PAGE);
        else
            left++;
    }
    IS(left, 3, "a handler may jump away when it has cleared busy");
    drop_pool();
}

static uint64_t fork_in_handler(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    pid_t child = fork();

    note(address, cause, pc);
    area->program[1] = (uint64_t)child;
    return resume_with(area, (void *)page_of(address), PAGE, PROT_READ);
}

static void forking(void)
{
    int status = -1;
    char got;

    trap_register(fork_in_handler);
    new_pool(PROT_NONE);
    got = load(pool + PAGE);
    if (trap_area->program[1] == 0) /* the child has come back from its own handler */
        _exit(got == 2 && seen.count == 1 ? 7 : 8);
    waitpid((pid_t)trap_area->program[1], &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "a child that was forked in a handler resumes there");
    IS(got, 2, "and so does the parent");
    trap_register(open_by_resume);
    if (fork() == 0)
        _exit(load(pool + 2 * PAGE) == 3 && seen.count == 2 && load(pool + 3 * PAGE) == 4 && seen.count == 3 ? 7 : 8);
    wait(&status);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "a child has its parent's handler and armed memory");
    drop_pool();
}

static void *in_thread(void *index)
{
    char *mine = pool + (uintptr_t)index * 4 * PAGE;
    uintptr_t sum = 0;

    trap_register(open_by_resume);
    for (int round = 0; round < 200; round++) {
        mprotect(mine, 4 * PAGE, PROT_NONE);
        for (int i = 0; i < 4; i++)
            sum += (uintptr_t)load(mine + i * PAGE);
    }
    trap_unregister();
    return (void *)sum;
}

static void threads(void)
{
    pthread_t thread[4];
    uintptr_t total = 0;

    new_pool(PROT_NONE);
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, in_thread, (void *)i);
    for (int i = 0; i < 4; i++) {
        void *sum;

        pthread_join(thread[i], &sum);
        total += (uintptr_t)sum;
    }
    IS(total, 200 * PAGES * (PAGES + 1) / 2, "threads trap beside each other");
    drop_pool();
}

/* ---- many ranges ---- */

static volatile int gate, stop;
static volatile long passes[2]; /* of each thread over the pool */

static uint64_t wait_at_gate(struct vmtrap_area *area, uintptr_t address, uint64_t cause UNUSED, uintptr_t pc UNUSED)
{
    while (!gate)
        sched_yield();
    return resume_with(area, (void *)page_of(address), PAGE, RW);
}

static void *store_all_the_time(void *index)
{
    trap_register(wait_at_gate);
    for (; !stop; passes[(uintptr_t)index]++)
        for (int i = 0; i < PAGES; i++)
            ++*(volatile char *)(pool + i * PAGE);
    trap_unregister();
    return NULL;
}

static void many_ranges(void)
{
    struct vmtrap_range ranges[PAGES];
    char before[PAGES];
    int changed = 0, traps = 0;
    pthread_t thread[2];

    trap_register(open_by_resume);
    new_pool(RW);
    for (int i = 0; i < PAGES / 2; i++)
        ranges[i] =
            (struct vmtrap_range){(uintptr_t)pool + (uintptr_t)i * 2 * PAGE, PAGE, i % 2 ? PROT_NONE : PROT_READ};
    IS(syscall(VMTRAP_PROTECT, ranges, PAGES / 2), PAGES / 2, "many ranges are protected at once");
    for (int i = 0; i < PAGES; i++) {
        int was = seen.count;

        store(pool + i * PAGE, 1);
        traps += (seen.count > was) == (i % 2 == 0);
    }
    IS(traps, PAGES, "those and no others");

    stop = gate = 0;
    for (int i = 0; i < PAGES; i++)
        ranges[i] = (struct vmtrap_range){(uintptr_t)pool + (uintptr_t)(i * 5 % PAGES) * PAGE, PAGE, PROT_READ};
    gate = 1;
    for (uintptr_t i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, store_all_the_time, (void *)i);
    for (int round = 0; round < 100; round++) {
        gate = 0;
        changed += syscall(VMTRAP_PROTECT, ranges, PAGES) != PAGES;
        for (int i = 0; i < PAGES; i++)
            before[i] = load(pool + i * PAGE);
        sched_yield();
        for (int i = 0; i < PAGES; i++)
            changed += before[i] != load(pool + i * PAGE);
        gate = 1;
        for (int i = 0; i < 2; i++) /* all is open, and nobody is in a handler */
            for (long seen_passes = passes[i]; passes[i] < seen_passes + 3;)
                sched_yield();
    }
    stop = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    IS(changed, 0, "after the call no thread stores to them any more");
    drop_pool();
}

/* ---- what is not delivered: SIGSEGV with its siginfo ---- */

static int without_handler(void *at)
{
    trap_unregister();
    load(at);
    return 0;
}

static int not_armed(void *at)
{
    trap_register(open_it);
    load(at);
    return 0;
}

static uint64_t fault_again(struct vmtrap_area *area UNUSED, uintptr_t address, uint64_t cause UNUSED,
                            uintptr_t pc UNUSED)
{
    load((char *)address + PAGE);
    return 0;
}

static int fault_in_handler(void *at)
{
    trap_register(fault_again);
    load(at);
    return 0;
}

static int without_area(void *at)
{
    trap_register(open_it);
    munmap(trap_area, PAGE);
    load(at);
    return 0;
}

static int read_only_area(void *at)
{
    trap_register(open_it);
    mprotect(trap_area, PAGE, PROT_READ);
    load(at);
    return 0;
}

static int without_code(void *at)
{
    struct vmtrap_area *area = anon(PAGE, RW);

    syscall(VMTRAP_REGISTER, area, 0x8000, (char *)area + PAGE, 0);
    load(at);
    return 0;
}

static int resume_to_kernel(void *at)
{
    trap_register(skip_it);
    (void)at;
    trap_area->pc = 0xffffffc000000000;
    syscall(VMTRAP_RESUME, 0);
    return 0;
}

static int after_exec(void *at)
{
    (void)at;
    execl("/proc/self/exe", "vmtrap", "after-exec", NULL);
    return 1;
}

/* Pages of a memfd, one in each 2 MiB, closed by one call while a second view stays open; also in a private mapping of
 * it, some of whose pages are copies. */
static void many_ranges_of_files(void)
{
    const size_t span = 2ul << 20, bytes = PAGES * span;
    int fd = (int)NEED(memfd_create("pages", 0)), wrong[4] = {0};
    struct vmtrap_range ranges[PAGES];

    NEED(ftruncate(fd, (off_t)bytes));
    trap_register(open_by_resume);
    for (int flags = MAP_SHARED; flags <= MAP_PRIVATE; flags++) {
        char *second = mmap(NULL, bytes, RW, MAP_SHARED, fd, 0), *at = mmap(NULL, bytes, RW, flags, fd, 0);

        NEED(syscall(VMTRAP_ARM, at, bytes, VMTRAP_FAULTS));
        for (int i = 0; i < PAGES; i++) {
            second[i * span] = (char)(i + 1);
            if (i % 3)
                store(at + i * span, i + 1);
            else if (load(at + i * span) != i + 1)
                wrong[0]++;
            ranges[i] = (struct vmtrap_range){(uintptr_t)at + (uintptr_t)i * span, PAGE, i % 2 ? PROT_NONE : PROT_READ};
        }
        seen.count = 0;
        IS(syscall(VMTRAP_PROTECT, ranges, PAGES), PAGES, "pages of files, all in tables of their own, are protected");
        for (int i = 0; i < PAGES; i++) {
            int was = seen.count;

            wrong[0] += load(at + i * span) != i + 1;
            wrong[1] += seen.count - was != i % 2;
            was = seen.count;
            store(at + i * span, 100 + i);
            wrong[2] += seen.count - was != 1;
            wrong[3] += second[i * span] != (flags == MAP_SHARED ? 100 + i : i + 1);
        }
        munmap(at, bytes);
        munmap(second, bytes);
    }
    IS(wrong[0], 0, "they keep what is on them");
    IS(wrong[1], 0, "those that were closed trap loads");
    IS(wrong[2], 0, "and all trap stores");
    IS(wrong[3], 0, "which the other view sees if the mapping is shared");
    close(fd);
    trap_unregister();
}

static void not_delivered(void)
{
    char *other = anon(PAGE, PROT_NONE);

    trap_register(open_it);
    new_pool(PROT_NONE);
    DIES(without_handler, pool, SIGSEGV, SEGV_ACCERR, pool, "a thread without handler gets a signal");
    DIES(not_armed, other, SIGSEGV, SEGV_ACCERR, other, "so does memory that is not armed");
    DIES(fault_in_handler, pool, SIGSEGV, SEGV_ACCERR, pool + PAGE, "and a fault in a handler");
    DIES(without_area, pool, SIGSEGV, SEGV_ACCERR, pool, "and a thread whose save area is gone");
    DIES(read_only_area, pool, SIGSEGV, SEGV_ACCERR, pool, "or cannot be written");
    DIES(without_code, pool, SIGSEGV, SEGV_MAPERR, 0x8000, "a handler that is not there is itself a fault");
    DIES(resume_to_kernel, pool, SIGSEGV, ANY_CODE, 0, "a resume into the kernel is a fault");
    EXITS(after_exec, NULL, 5, "exec forgets the handler");
    OKAY(syscall(VMTRAP_ARM, pool, PAGES * PAGE, 0), "memory is disarmed");
    DIES(not_armed, pool, SIGSEGV, SEGV_ACCERR, pool, "and faults as ever");
    drop_pool();
    munmap(other, PAGE);
}

/* ---- what is not a trap ---- */

static void filled_as_ever(void)
{
    int fd = (int)NEED(memfd_create("pages", 0)), status;
    char *fresh = anon(PAGES * PAGE, RW), *file;

    trap_register(skip_it);
    seen.count = 0;
    NEED(ftruncate(fd, 4 * PAGE));
    file = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    NEED(trap_arm(fresh, PAGES * PAGE));
    NEED(trap_arm(file, 4 * PAGE));
    for (int i = 0; i < PAGES; i++)
        store(fresh + i * PAGE, 1);
    store(file, 1);
    load(file + PAGE);
    if (fork() == 0) {
        store(fresh, 2);
        _exit(seen.count);
    }
    store(fresh, 3);
    wait(&status);
    IS(status, 0, "a copy on write in a child is no trap");
    IS(seen.count, 0, "nor in the parent, nor are pages that are not there yet");
    madvise(fresh, PAGES * PAGE, MADV_DONTNEED);
    IS(load(fresh), 0, "pages that were dropped are zeros again");
    IS(seen.count, 0, "without a trap");
    munmap(fresh, PAGES * PAGE);
    munmap(file, 4 * PAGE);
    close(fd);
}

static void of_the_kernel(void)
{
    int pair[2];

    trap_register(skip_it);
    new_pool(PROT_NONE);
    NEED(pipe(pair));
    FAILS(write(pair[1], pool, 8), EFAULT, "the kernel's own accesses are EFAULT");
    IS(seen.count, 0, "and no trap");
    close(pair[0]);
    close(pair[1]);
    drop_pool();
}

/* ---- one page by its address alone ---- */

static void store_to_all(char *at, const char *what)
{
    trap_register(open_page);
    NEED(trap_arm(at, PAGES * PAGE));
    for (int round = 0; round < 3; round++) {
        seen.count = 0;
        mprotect(at, PAGES * PAGE, round == 1 ? PROT_READ : PROT_NONE);
        for (int i = 0; i < PAGES; i++)
            store(at + i * PAGE, (char)(i + round));
        IS(seen.count, PAGES, "pages of %s are opened one by one (round %d)", what, round);
    }
    for (int i = 0; i < PAGES; i++)
        seen.count -= load(at + i * PAGE) == i + 2;
    IS(seen.count, 0, "and hold what was stored");
    trap_unregister();
}

static void by_page(void)
{
    char *at = anon(PAGES * PAGE, RW), *span = anon(4UL << 20, RW);
    char *huge = (char *)(((uintptr_t)span + (2UL << 20) - 1) & -(2UL << 20));
    int fd = (int)NEED(memfd_create("pages", 0)), status = -1;
    pid_t child;

    store_to_all(at, "fresh memory");
    memset(at, 1, PAGES * PAGE);
    child = fork();
    if (child == 0) {
        store_to_all(at, "memory shared with the parent");
        _exit(0);
    }
    waitpid(child, &status, 0);
    IS(load(at + PAGE), 1, "what a child stored is its own");
    child = fork();
    if (child == 0)
        _exit(pause());
    store_to_all(at, "memory shared with a child");
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    munmap(at, PAGES * PAGE);
    madvise(huge, 2UL << 20, MADV_HUGEPAGE);
    memset(huge, 1, 2UL << 20);
    store_to_all(huge, "a huge page");
    munmap(span, 4UL << 20);
    NEED(ftruncate(fd, PAGES * PAGE));
    at = mmap(NULL, PAGES * PAGE, RW, MAP_SHARED, fd, 0);
    store_to_all(at, "a file");
    munmap(at, PAGES * PAGE);
    close(fd);
}

/* ---- signals ---- */

static volatile int signals_in_handler;

static void on_signal(int signo UNUSED) { signals_in_handler++; }

static uint64_t signal_itself(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    note(address, cause, pc);
    raise(SIGUSR1);
    return resume_with(area, (void *)page_of(address), PAGE, RW);
}

static void signals(void)
{
    trap_register(signal_itself);
    new_pool(PROT_NONE);
    signal(SIGUSR1, on_signal);
    for (int i = 0; i < PAGES; i++)
        IS(load(pool + i * PAGE), i + 1, "a signal in a handler changes nothing (%d)", i);
    IS(signals_in_handler, PAGES, "and is delivered");
    drop_pool();
}

/* ---- the calls' errors ---- */

static void errors(void)
{
    char *at = anon(4 * PAGE, RW);
    struct vmtrap_range ranges[3] = {{(uintptr_t)at, PAGE, PROT_READ}, {(uintptr_t)at + 1, PAGE, RW}, {0, PAGE, RW}};

    munmap(at + 2 * PAGE, PAGE);
    FAILS(syscall(VMTRAP_REGISTER, at + 512, trap_entry, at, 0), EINVAL, "a save area is aligned");
    FAILS(syscall(VMTRAP_REGISTER, at, trap_entry, at + 8, 0), EINVAL, "and so is a stack");
    FAILS(syscall(VMTRAP_REGISTER, at, trap_entry, at, 1), EINVAL, "there are no flags");
    FAILS(syscall(VMTRAP_REGISTER, at + 2 * PAGE, trap_entry, at, 0), EFAULT, "a save area is there");
    FAILS(syscall(VMTRAP_REGISTER, -1024L, trap_entry, at, 0), EFAULT, "and the program's");
    FAILS(syscall(VMTRAP_ARM, at + 1, PAGE, VMTRAP_FAULTS), EINVAL, "what is armed is aligned");
    FAILS(syscall(VMTRAP_ARM, at, -PAGE, VMTRAP_FAULTS), EINVAL, "and ends");
    FAILS(syscall(VMTRAP_ARM, at, PAGE, 99), EINVAL, "for something that is known");
    FAILS(syscall(VMTRAP_ARM, at, 4 * PAGE, VMTRAP_FAULTS), ENOMEM, "and is mapped");
    trap_register(open_page);
    FAILS(syscall(VMTRAP_RESUME, VMTRAP_RANGES + 1), EINVAL, "a resume has so many ranges");
    FAILS(syscall(VMTRAP_RESUME, VMTRAP_PAGE(at, 16)), EINVAL, "or a page with a protection");
    FAILS(syscall(VMTRAP_RESUME, VMTRAP_PAGE(at + 2 * PAGE, RW)), ENOMEM, "that is mapped");
    FAILS(syscall(VMTRAP_RESUME, VMTRAP_PAGE(-PAGE, RW)), ENOMEM, "and the program's");
    trap_unregister();
    FAILS(syscall(VMTRAP_RESUME, 0), EINVAL, "who has no handler cannot resume");
    IS(syscall(VMTRAP_PROTECT, ranges, 3), 1, "ranges are protected until one fails");
    FAILS(syscall(VMTRAP_PROTECT, ranges + 1, 1), EINVAL, "its error is told when it is the first");
    FAILS(syscall(VMTRAP_PROTECT, ranges + 2, 1), ENOMEM, "whatever it is");
    FAILS(syscall(VMTRAP_PROTECT, 8, 1), EFAULT, "ranges are the program's memory");
    IS(syscall(VMTRAP_PROTECT, ranges, 0), 0, "none are done as well");
    FAILS(syscall(VMTRAP_REGISTER + 99, 0), ENOSYS, "other numbers are no calls");
    munmap(at, 4 * PAGE);
}

static void vmtrap_test(void)
{
    delivered(open_it, "mprotect");
    delivered(open_by_resume, "resume");
    delivered(open_page, "resume with a page");
    trap_register(make_executable);
    IS(run_page(), 42, "a fetch from a page without X enters the handler");
    IS(seen.cause, VMTRAP_FETCH, "with its cause");
    registers();
    floating_point();
    leaving();
    forking();
    threads();
    many_ranges();
    many_ranges_of_files();
    not_delivered();
    filled_as_ever();
    of_the_kernel();
    by_page();
    signals();
    errors();
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "after-exec"))
        return syscall(VMTRAP_RESUME, 0) == -1 && errno == EINVAL ? 5 : 6;
    return tap_main(argc, argv, vmtrap_body);
}
