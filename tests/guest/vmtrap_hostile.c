/* User traps used to harm: whatever a program does with them, it does to itself, and what it did not break still works.
 */
#include "vmtrap.h"

#include <sys/prctl.h>

#define PAGES 32UL
#define SECONDS 2

static volatile int stop;
static char *pool;

static uint64_t random_number(uint64_t *state)
{
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return *state >> 33;
}

static void touch(char *at, int write)
{
    if (write)
        *(volatile char *)at += 1;
    else
        (void)*(volatile char *)at;
}

/* Runs BODY with THREADS threads for a while in a child; how it ended. */
struct crowd {
    void *(*body[4])(void *);
    int may_die; /* of SIGSEGV, or of a resume that fails (SIGTRAP): deserved */
};

/* What was broken is mended, as far as it goes. */
static void mend(int signo UNUSED, siginfo_t *info, void *context UNUSED)
{
    char *page = (char *)((uintptr_t)info->si_addr & -PAGE);

    static int times;

    if (page < pool || page >= pool + PAGES * PAGE || ++times > 200000)
        signal(SIGSEGV, SIG_DFL); /* beyond repair */
    if (trap_area) {
        mprotect(trap_area, PAGE, RW);
        trap_area->busy = 0;
    }
    if (page >= pool && page < pool + PAGES * PAGE && mprotect(page, PAGE, RW))
        mmap(page, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static int run_crowd(void *argument)
{
    struct sigaction action = {.sa_sigaction = mend, .sa_flags = SA_SIGINFO};
    struct crowd *crowd = argument;
    pthread_t thread[4];

    if (crowd->may_die)
        sigaction(SIGSEGV, &action, NULL);
    alarm(90);
    stop = 0;
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, crowd->body[i], (void *)i);
    for (int i = 0; i < SECONDS * 10; i++)
        sleep_ms(100);
    stop = 1;
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    return 42;
}

static void survives(struct crowd *crowd, const char *what)
{
    struct ending end;

    pool = anon(PAGES * PAGE, RW);
    memset(pool, 1, PAGES * PAGE);
    NEED(trap_arm(pool, PAGES * PAGE));
    end = in_child(run_crowd, crowd);
    CHECK(end.status == 42 || (crowd->may_die && (end.signal == SIGSEGV || end.signal == SIGTRAP)),
          "%s (exit %d, signal %d)", what, end.status, end.signal);
    munmap(pool, PAGES * PAGE);
}

/* ---- who uses the pool ---- */

static void *user(void *seed)
{
    uint64_t state = (uintptr_t)seed + 1;

    trap_register(trap_open);
    while (!stop)
        touch(pool + random_number(&state) % PAGES * PAGE, (int)(random_number(&state) & 1));
    trap_unregister();
    return NULL;
}

static void *closer(void *seed)
{
    static const int prots[] = {PROT_NONE, PROT_READ, RW, PROT_NONE};
    uint64_t state = (uintptr_t)seed + 77;

    while (!stop) {
        uint64_t first = random_number(&state) % PAGES, n = random_number(&state) % 3 + 1;

        mprotect(pool + first * PAGE, (first + n > PAGES ? PAGES - first : n) * PAGE, prots[random_number(&state) % 4]);
    }
    return NULL;
}

static void *closer_by_ranges(void *seed)
{
    uint64_t state = (uintptr_t)seed + 99;
    struct vmtrap_range ranges[8];

    while (!stop) {
        for (int i = 0; i < 8; i++)
            ranges[i] = (struct vmtrap_range){(uintptr_t)pool + random_number(&state) % PAGES * PAGE, PAGE,
                                              random_number(&state) & 1};
        syscall(VMTRAP_PROTECT, ranges, 8);
    }
    return NULL;
}

/* ---- who pulls the rug ---- */

static void *mapper(void *seed)
{
    uint64_t state = (uintptr_t)seed + 5;

    while (!stop) {
        char *at = pool + random_number(&state) % PAGES * PAGE;

        switch (random_number(&state) % 5) {
        case 0:
            mmap(at, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            break;
        case 1:
            mmap(at, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            trap_arm(at, PAGE);
            break;
        case 2:
            madvise(at, PAGE, MADV_DONTNEED);
            break;
        case 3:
            syscall(VMTRAP_ARM, at, PAGE, random_number(&state) & 1 ? VMTRAP_FAULTS : VMTRAP_FAULTS | VMTRAP_TRACK);
            break;
        case 4:
            mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, pool + random_number(&state) % PAGES * PAGE);
            mmap(at, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            trap_arm(at, PAGE);
            break;
        }
    }
    return NULL;
}

/* The first pages are closed and untouched, opened by who stores to them, and moved over, again and again. */
#define MOVED_OVER 4UL

static void *mover(void *seed UNUSED)
{
    char *from = anon(PAGE, RW);

    for (unsigned long i = 0; !stop; i++) {
        char *at = pool + i % MOVED_OVER * PAGE;

        mmap(at, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        trap_arm(at, PAGE);
        for (volatile unsigned long wait = i % 64 * 4; wait > 0; wait--)
            ;
        mmap(from, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        touch(from, 1);
        mremap(from, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at);
    }
    return NULL;
}

static void *user_of_moved(void *seed)
{
    uint64_t state = (uintptr_t)seed + 1;

    trap_register(trap_open);
    while (!stop)
        touch(pool + random_number(&state) % MOVED_OVER * PAGE, 1);
    trap_unregister();
    return NULL;
}

static void *forker(void *seed UNUSED)
{
    trap_register(trap_open);
    while (!stop) {
        pid_t child = fork();

        if (child == 0) {
            alarm(20); /* nothing of it waits */
            for (unsigned long i = 0; i < PAGES; i++)
                touch(pool + i * PAGE, 1);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    return NULL;
}

/* Unmaps, protects, fills with nonsense and maps again the save area of another thread. */
static struct vmtrap_area *volatile victim;

static void *owner_of_area(void *seed)
{
    uint64_t state = (uintptr_t)seed + 3;

    trap_register(trap_open);
    victim = trap_area;
    while (!stop)
        touch(pool + random_number(&state) % PAGES * PAGE, 1);
    return NULL;
}

static void *area_breaker(void *seed)
{
    uint64_t state = (uintptr_t)seed + 9;

    while (!stop && victim == NULL)
        sched_yield();
    while (!stop) {
        switch (random_number(&state) % 4) {
        case 0:
            madvise(victim, PAGE, MADV_DONTNEED);
            break;
        case 1:
            mprotect(victim, PAGE, PROT_READ);
            mprotect(victim, PAGE, RW);
            break;
        case 2:
            mmap(victim, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            break;
        case 3:
            victim->ranges[0].start = random_number(&state) << 12;
            victim->ranges[0].length = random_number(&state);
            break;
        }
        victim->program[0] = (uintptr_t)trap_open;
    }
    return NULL;
}

static void crowds(void)
{
    static struct crowd all[] = {
        {{user, user, user, closer}, 0},
        {{user, user, closer, closer_by_ranges}, 0},
        {{user, forker, user, closer}, 0},
        {{user, user, mapper, closer}, 1},
        {{user, forker, mapper, closer_by_ranges}, 1},
        {{user_of_moved, user_of_moved, mover, user_of_moved}, 1},
        {{owner_of_area, area_breaker, closer, user}, 1},
        {{owner_of_area, area_breaker, forker, closer}, 1},
    };
    static const char *const names[] = {
        "threads open what others close",
        "one page at a time and many at once",
        "while another forks",
        "while another maps, moves, drops and arms",
        "and forks",
        "pages that move over others while those are opened",
        "a save area that is broken under its owner",
        "and while he forks",
    };

    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        victim = NULL;
        survives(&all[i], names[i]);
    }
}

/* ---- alone ---- */

static int register_often(void *unused UNUSED)
{
    char *at = anon(64 * PAGE, RW);

    for (long i = 0; i < 300000; i++)
        if (syscall(VMTRAP_REGISTER, at + i % 256 * 1024, trap_entry, at + PAGE, 0))
            return 1;
    for (long i = 0; i < 100000; i++) {
        syscall(VMTRAP_REGISTER, i * 1024 * 77777, i * 2, i * 16 * 12345, 0);
        syscall(VMTRAP_REGISTER, 0, 0, 0, 0);
    }
    return 0;
}

static int resume_anything(void *unused UNUSED)
{
    uint64_t state = 1;

    trap_register(trap_open);
    for (int i = 0; i < 20000; i++) {
        for (int k = 0; k < VMTRAP_RANGES; k++)
            trap_area->ranges[k] =
                (struct vmtrap_range){random_number(&state) << (random_number(&state) % 40),
                                      random_number(&state) << (random_number(&state) % 40), 8 + random_number(&state)};
        if (syscall(VMTRAP_RESUME, random_number(&state) % 40 + 1) == 0)
            return 1;
    }
    return 0;
}

/* A resume that never was a trap: registers as given. */
static int resume_as_jump(void *unused UNUSED)
{
    volatile int i = 0;
    ucontext_t c;

    trap_register(trap_open);
    getcontext(&c);
    if (i++ == 0) {
#ifdef __riscv
        trap_area->pc = c.uc_mcontext.__gregs[REG_PC];
        for (int r = 1; r < 32; r++)
            trap_area->x[r] = c.uc_mcontext.__gregs[r];
#endif
        syscall(VMTRAP_RESUME, 0);
        return 1;
    }
    return 0;
}

static uint64_t deeper(struct vmtrap_area *area, uintptr_t address, uint64_t cause UNUSED, uintptr_t pc UNUSED)
{
    area->busy = 0; /* a handler that lets itself be entered again, on the same stack: it had better not return */
    if (address < (uintptr_t)pool + (PAGES - 1) * PAGE)
        touch((char *)address + PAGE, 0);
    _exit(17);
}

static int recursion(void *unused UNUSED)
{
    trap_register(deeper);
    mprotect(pool, PAGES * PAGE, PROT_NONE);
    touch(pool, 0);
    return 0;
}

static uint64_t do_nothing(struct vmtrap_area *area UNUSED, uintptr_t address UNUSED, uint64_t cause UNUSED,
                           uintptr_t pc UNUSED)
{
    return 0;
}

/* The handler opens nothing: the fault comes again and again, and a signal ends it. */
static int endless(void *unused UNUSED)
{
    trap_register(do_nothing);
    mprotect(pool, PAGES * PAGE, PROT_NONE);
    alarm(1);
    touch(pool, 0);
    return 0;
}

static int at_zero(void *unused UNUSED)
{
    char *at = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    if (at != NULL)
        return 3;
    trap_register(trap_open);
    if (trap_arm(at, PAGE))
        return 4;
    for (int i = 0; i < 100; i++) {
        mprotect(at, PAGE, PROT_NONE);
        __asm__ volatile("sb zero, 5(%0)" ::"r"(at) : "memory");
        if (syscall(SYS_getppid) <= 0)
            return 5;
    }
    return 3;
}

static int armed_in_pieces(void *unused UNUSED)
{
    char *at = anon(4000 * PAGE, RW);

    trap_register(trap_open);
    for (long i = 0; i < 4000; i += 2)
        if (trap_arm(at + i * PAGE, PAGE))
            return 1;
    for (long i = 0; i < 4000; i += 2) {
        mprotect(at + i * PAGE, PAGE, PROT_NONE);
        touch(at + i * PAGE, 1);
    }
    return 0;
}

static int many_children(void *unused UNUSED)
{
    int status, bad = 0;

    trap_register(trap_open);
    for (int i = 0; i < 60; i++) {
        mprotect(pool, PAGES * PAGE, PROT_NONE);
        touch(pool, 1);
        if (fork() == 0) {
            touch(pool + PAGE, 1);
            if (i % 3 == 0)
                fork();
            touch(pool + 2 * PAGE, 1);
            execl("/proc/self/exe", "vmtrap_hostile", "nothing", NULL);
            _exit(1);
        }
    }
    while (wait(&status) > 0)
        bad |= status;
    return bad != 0;
}

static int locked_and_limited(void *unused UNUSED)
{
    struct rlimit limit = {64UL << 20, 64UL << 20};

    trap_register(trap_open);
    touch(pool, 1);
    mprotect(pool, PAGES * PAGE, PROT_NONE);
    touch(pool, 1);
    setrlimit(RLIMIT_DATA, &limit); /* from now on vmas are split exactly */
    for (unsigned long round = 0; round < 20; round++) {
        mprotect(pool, PAGES * PAGE, round % 2 ? PROT_NONE : PROT_READ);
        for (unsigned long i = 0; i < PAGES; i++)
            touch(pool + i * PAGE, 1);
    }
    mlock(pool, PAGES * PAGE / 2);
    mprotect(pool, PAGES * PAGE, PROT_NONE);
    for (unsigned long i = 0; i < PAGES; i++)
        touch(pool + i * PAGE, 1);
    return 0;
}

static void alone(void)
{
    EXITS(register_often, NULL, 0, "hundreds of thousands of registrations");
    EXITS(resume_anything, NULL, 0, "nonsense in ranges is refused");
    EXITS(resume_as_jump, NULL, 0, "a resume without a trap is a jump");
    pool = anon(PAGES * PAGE, RW);
    NEED(trap_arm(pool, PAGES * PAGE));
    EXITS(recursion, NULL, 17, "a handler that is entered again and again");
    DIES(endless, NULL, SIGALRM, ANY_CODE, 0, "a handler that does nothing ends with a signal");
    EXITS(at_zero, NULL, 3, "memory at address 0");
    EXITS(armed_in_pieces, NULL, 0, "thousands of armed pieces");
    EXITS(many_children, NULL, 0, "children that trap, fork and exec");
    EXITS(locked_and_limited, NULL, 0, "with limits that split mappings, and locked pages");
    munmap(pool, PAGES * PAGE);
}

static void vmtrap_test(void)
{
    alone();
    crowds();
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "nothing"))
        return 0;
    return tap_main(argc, argv, vmtrap_body);
}
