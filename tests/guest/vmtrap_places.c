/* User traps whose save area, stack, handler or armed memory lies in odd places, or goes away: what is not there any
 * more ends in a signal, what is only out of sight (swapped, collapsed, dropped, left to a userfaultfd) is found again.
 */
#include "vmtrap.h"

#include "uffd.h"

#include <setjmp.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#define SYS_mseal_ 462
#define HUGE (2UL << 20)
#define PAGES 16UL
#define SECONDS 2

static char *pool; /* armed */
static volatile int stop;

static void make_pool(void)
{
    pool = anon(PAGES * PAGE, RW);
    memset(pool, 0, PAGES * PAGE);
    NEED(trap_arm(pool, PAGES * PAGE));
}

/* This thread's save area is at AT. */
static int register_at(void *at, trap_function *function)
{
    trap_area = at;
    if (trap_stack == NULL)
        trap_stack = anon(TRAP_STACK, RW);
    return trap_register(function);
}

/* N traps, of which each store arrives once. */
static int rounds(int n)
{
    for (int i = 0; i < n; i++) {
        volatile char *at = pool + (unsigned)i % PAGES * PAGE;
        char was = *at;

        mprotect((char *)at, PAGE, i % 3 ? PROT_NONE : PROT_READ);
        ++*at;
        if (*at != (char)(was + 1))
            return 1;
    }
    return 0;
}

static void *aligned(size_t length)
{
    char *at = anon(length + HUGE, RW);

    return (void *)(((uintptr_t)at + HUGE - 1) & -HUGE);
}

static int new_memfd(size_t length)
{
    int fd = (int)NEED(memfd_create("area", MFD_CLOEXEC));

    NEED(ftruncate(fd, (off_t)length));
    return fd;
}

/* ---- save areas that are somewhere else ---- */

static int file_fd;

static int truncated(void *unused UNUSED)
{
    char *at;

    file_fd = new_memfd(PAGE);
    at = mmap(NULL, PAGE, RW, MAP_SHARED, file_fd, 0);
    if (register_at(at, trap_open) || rounds(20))
        return 1;
    mprotect(pool, PAGE, PROT_NONE);
    ftruncate(file_fd, 0);
    *(volatile char *)pool = 1;
    return 2;
}

static uint64_t truncate_it(struct vmtrap_area *area, uintptr_t address UNUSED, uint64_t cause UNUSED,
                            uintptr_t pc UNUSED)
{
    area->ranges[0] = (struct vmtrap_range){(uintptr_t)pool, PAGE, RW};
    ftruncate(file_fd, 0);
    return 1;
}

static int truncated_in_handler(void *unused UNUSED)
{
    file_fd = new_memfd(PAGE);
    register_at(mmap(NULL, PAGE, RW, MAP_SHARED, file_fd, 0), truncate_it);
    mprotect(pool, PAGE, PROT_NONE);
    *(volatile char *)pool = 1;
    return 2;
}

static int in_huge_page(void *unused UNUSED)
{
    char *at = aligned(HUGE);

    madvise(at, HUGE, MADV_HUGEPAGE);
    memset(at, 0, HUGE);
    for (int i = 0; i < 8; i++) {
        if (register_at(at + i * 77L * VMTRAP_AREA_SIZE, trap_open) || rounds(20))
            return 1;
        if (i == 3) /* it comes apart */
            mprotect(at + HUGE / 2, PAGE, PROT_READ);
        if (i == 5)
            madvise(at, HUGE, MADV_COLLAPSE);
    }
    return trap_count >= 160 ? 0 : 2;
}

static int in_freed_memory(void *unused UNUSED)
{
    char *at = anon(PAGE, RW);

    if (register_at(at, trap_open))
        return 1;
    for (int i = 0; i < 200; i++) {
        madvise(at, PAGE, MADV_FREE);
        trap_area->program[0] = (uintptr_t)trap_open;
        if (rounds(3))
            return 2;
    }
    return trap_count == 600 ? 0 : 3;
}

static int in_droppable(void *unused UNUSED)
{
    char *at = mmap(NULL, PAGE, RW, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
    int status;

    if (at == MAP_FAILED || register_at(at, trap_open) || rounds(50))
        return 1;
    mprotect(pool, PAGE, PROT_NONE);
    if (fork() == 0) { /* whose memory of it is zeros */
        struct vmtrap_area *volatile area = trap_area;

        area->program[0] = (uintptr_t)trap_open;
        *(volatile char *)pool = 1;
        _exit(7);
    }
    wait(&status);
    return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? rounds(50) : 3;
}

static uint64_t close_area(struct vmtrap_area *area, uintptr_t address, uint64_t cause UNUSED, uintptr_t pc UNUSED)
{
    area->ranges[0] = (struct vmtrap_range){address & -PAGE, PAGE, RW};
    area->ranges[1] = (struct vmtrap_range){(uintptr_t)area, PAGE, PROT_NONE};
    return 2;
}

/* The area is in armed memory itself, and its handler closes it: the resume finds its registers in time, and then the
 * next trap has no area (SIGSEGV), or does not (EFAULT: SIGTRAP, by the stub). */
static int closes_itself(void *unused UNUSED)
{
    if (register_at(pool + 3 * PAGE, trap_open) || mprotect(pool, PAGE, PROT_NONE))
        return 1;
    *(volatile char *)pool = 1;
    register_at(pool + 3 * PAGE, close_area);
    mprotect(pool, PAGE, PROT_NONE);
    *(volatile char *)pool = 1; /* arrives or not: closed and gone with the resume, or refused by it */
    mprotect(pool, PAGE, PROT_NONE);
    *(volatile char *)pool = 1;
    return 2;
}

/* ---- userfaultfd ---- */

static int monitor_fd;

static void *monitor(void *copy)
{
    struct uffd_msg m;

    while (read(monitor_fd, &m, sizeof(m)) == sizeof(m)) {
        struct uffdio_copy c = {.dst = m.arg.pagefault.address & -PAGE, .src = (uintptr_t)copy, .len = PAGE};

        ioctl(monitor_fd, UFFDIO_COPY, &c);
    }
    return NULL;
}

static char *monitored_area(void)
{
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register r = {.range = {.len = PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    char *at = anon(PAGE, RW);

    monitor_fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    r.range.start = (uintptr_t)at;
    if (monitor_fd < 0 || ioctl(monitor_fd, UFFDIO_API, &api))
        return NULL;
    register_at(at, trap_open);
    return ioctl(monitor_fd, UFFDIO_REGISTER, &r) ? NULL : at;
}

static int filled_by_monitor(void *unused UNUSED)
{
    struct vmtrap_area *copy = anon(PAGE, RW);
    char *at = monitored_area();
    pthread_t thread;

    if (at == NULL)
        return 1;
    copy->program[0] = (uintptr_t)trap_open;
    pthread_create(&thread, NULL, monitor, copy);
    alarm(60);
    for (int i = 0; i < 50; i++) {
        madvise(at, PAGE, MADV_DONTNEED);
        if (rounds(3))
            return 2;
    }
    return trap_count == 150 ? 0 : 3;
}

/* Nobody fills it: the thread waits, and a signal ends it. */
static int filled_by_nobody(void *unused UNUSED)
{
    char *at = monitored_area();

    if (at == NULL)
        return 1;
    madvise(at, PAGE, MADV_DONTNEED);
    alarm(1);
    return rounds(3);
}

/* ---- handlers that go elsewhere ---- */

static uint64_t overflow(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    volatile char some[4096];

    some[0] = (char)address;
    if (address == 1)
        return 0;
    return overflow(area, address + (uintptr_t)some[0], cause, pc) + (uint64_t)some[0];
}

static int stack_ends(void *has_alternate)
{
    stack_t none = {.ss_flags = SS_DISABLE};

    trap_stack = anon(TRAP_STACK + PAGE, RW);
    mprotect(trap_stack, PAGE, PROT_NONE);
    trap_stack += PAGE;
    register_at(anon(PAGE, RW), overflow);
    if (has_alternate == NULL)
        sigaltstack(&none, NULL);
    mprotect(pool, PAGE, PROT_NONE);
    *(volatile char *)pool = 1;
    return 2;
}

static char alternate[65536];
static volatile int on_alternate;

static void on_signal(int signo UNUSED)
{
    char here;

    on_alternate += &here >= alternate && &here < alternate + sizeof(alternate);
}

static uint64_t raise_it(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc)
{
    raise(SIGUSR1);
    return trap_open(area, address, cause, pc);
}

static int signal_in_handler(void *unused UNUSED)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};

    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    register_at(anon(PAGE, RW), raise_it);
    return rounds(100) == 0 && trap_count == 100 && on_alternate == 100 ? 0 : 1;
}

static sigjmp_buf back;
static void leave(int signo UNUSED)
{
    trap_area->busy = 0;
    siglongjmp(back, 1);
}

static uint64_t wait_for_signal(struct vmtrap_area *area UNUSED, uintptr_t address UNUSED, uint64_t cause UNUSED,
                                uintptr_t pc UNUSED)
{
    raise(SIGUSR2);
    return 0;
}

static int left_by_signal(void *unused UNUSED)
{
    signal(SIGUSR2, leave);
    mprotect(pool, PAGES * PAGE, PROT_NONE);
    for (volatile int i = 0; i < 50; i++) {
        register_at(trap_area ? (void *)trap_area : anon(PAGE, RW), wait_for_signal);
        if (sigsetjmp(back, 1) == 0) {
            *(volatile char *)pool = 1;
            return 1;
        }
    }
    trap_register(trap_open);
    return mprotect(pool, PAGES * PAGE, RW) || rounds(10);
}

static uint64_t exec_it(struct vmtrap_area *area UNUSED, uintptr_t address UNUSED, uint64_t cause UNUSED,
                        uintptr_t pc UNUSED)
{
    execl("/proc/self/exe", "vmtrap_places", "nothing", NULL);
    _exit(3);
}

static uint64_t exit_it(struct vmtrap_area *area UNUSED, uintptr_t address UNUSED, uint64_t cause UNUSED,
                        uintptr_t pc UNUSED)
{
    syscall(SYS_exit, 0);
    return 0;
}

static void *trapper(void *unused UNUSED)
{
    trap_register(trap_open);
    while (!stop)
        rounds(10);
    return NULL;
}

static void *ender(void *function)
{
    trap_register((trap_function *)function);
    for (;;) { /* until nobody else was quicker */
        mprotect(pool, PAGES * PAGE, PROT_NONE);
        *(volatile char *)pool = 1;
    }
    return NULL;
}

static void start_trappers(void)
{
    pthread_t thread;

    for (int i = 0; i < 3; i++)
        pthread_create(&thread, NULL, trapper, NULL);
}

static int exec_in_handler(void *is_thread)
{
    pthread_t thread;

    start_trappers();
    sleep_ms(10);
    if (is_thread == NULL)
        ender((void *)exec_it);
    pthread_create(&thread, NULL, ender, (void *)exec_it);
    pthread_join(thread, NULL);
    return 2;
}

static int exit_among_handlers(void *unused UNUSED)
{
    int status;

    for (int i = 0; i < 20; i++) {
        if (fork() == 0) {
            start_trappers();
            sleep_ms(i);
            syscall(SYS_exit_group, 5);
        }
        wait(&status);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 5)
            return 1;
    }
    return 0;
}

static int threads_end_in_handlers(void *unused UNUSED)
{
    for (int i = 0; i < 20; i++) {
        pthread_t thread;

        pthread_create(&thread, NULL, ender, (void *)exit_it);
        pthread_join(thread, NULL);
    }
    mprotect(pool, PAGES * PAGE, RW);
    trap_register(trap_open);
    return rounds(10);
}

static volatile int child_did;

static int register_in_vfork(void *unused UNUSED)
{
    char *own = anon(PAGE, RW), *childs = anon(PAGE, RW);
    int status;
    pid_t pid;

    register_at(own, trap_open);
    if (rounds(10))
        return 1;
    pid = vfork();
    if (pid == 0) {
        child_did = register_at(childs, trap_open) == 0 && rounds(10) == 0;
        syscall(VMTRAP_REGISTER, 0, 0, 0, 0);
        syscall(VMTRAP_REGISTER, own, trap_entry, trap_stack + TRAP_STACK, 0); /* the parent's, and gone with it */
        _exit(4);
    }
    trap_area = (void *)own;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 4 || !child_did)
        return 2;
    munmap(childs, PAGE);
    trap_count = 0;
    return rounds(50) != 0 || trap_count != 50;
}

/* ---- seals ---- */

static int sealed(void *quick)
{
    register_at(anon(PAGE, RW), trap_open);
    if (rounds(30))
        return 1;
    mprotect(pool, PAGES * PAGE, PROT_NONE);
    *(volatile char *)(pool + PAGE) = 1;
    if (quick != NULL)
        *(volatile char *)(pool + 2 * PAGE) = 1;
    if (syscall(SYS_mseal_, pool, PAGES * PAGE, 0))
        return 3;
    *(volatile char *)(pool + 5 * PAGE) = 1;
    return 2;
}

static int sealed_log(void *unused UNUSED)
{
    char *memory = anon(8 * PAGE, PROT_READ), *ring = anon(PAGE, RW);
    long log = syscall(VMTRAP_LOG, 0, ring, 64);

    if (log < 0 || syscall(VMTRAP_ARM, memory, 8 * PAGE, VMTRAP_LOGGED(log)))
        return 1;
    *(volatile char *)memory = 1;
    *(volatile char *)(memory + PAGE) = 1;
    if (syscall(SYS_mseal_, memory, 8 * PAGE, 0))
        return 3;
    *(volatile char *)(memory + 2 * PAGE) = 1;
    return 2;
}

/* ---- who takes it away meanwhile ---- */

static char *race_area;
static int race_shm;
static char *race_code;
static char *race_stack;

static void *place_truncate(void *unused UNUSED)
{
    while (!stop) {
        ftruncate(file_fd, 0);
        ftruncate(file_fd, PAGE);
        ((struct vmtrap_area *)race_area)->program[0] = (uintptr_t)trap_open;
        fallocate(file_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE);
        ((struct vmtrap_area *)race_area)->program[0] = (uintptr_t)trap_open;
    }
    return NULL;
}

static void *place_shmdt(void *unused UNUSED)
{
    while (!stop) {
        shmdt(race_area);
        if (shmat(race_shm, race_area, 0) != race_area)
            break;
    }
    return NULL;
}

static void *place_pageout(void *unused UNUSED)
{
    while (!stop) {
        madvise(race_area, PAGE, MADV_PAGEOUT);
        madvise(pool, PAGES * PAGE, MADV_PAGEOUT);
    }
    return NULL;
}

static void *place_collapse(void *unused UNUSED)
{
    char *start = (char *)((uintptr_t)race_area & -HUGE);

    while (!stop) {
        madvise(start, HUGE, MADV_COLLAPSE);
        mprotect(start + HUGE / 2, PAGE, PROT_READ);
        mprotect(start + HUGE / 2, PAGE, RW);
    }
    return NULL;
}

static void *place_code(void *unused UNUSED)
{
    char *other = anon(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);

    while (!stop) {
        memcpy(other, trap_entry, 64);
        mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, race_code);
        mmap(other, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    return NULL;
}

static void *place_stack(void *unused UNUSED)
{
    while (!stop) {
        munmap(race_stack, TRAP_STACK);
        mmap(race_stack, TRAP_STACK, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    return NULL;
}

/* As a debugger would: reads or writes the area by /proc. */
static void *place_proc(void *writes)
{
    int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    struct vmtrap_area copy;

    while (!stop) {
        pread(fd, &copy, sizeof(copy), (off_t)(uintptr_t)race_area);
        if (writes != NULL)
            pwrite(fd, &copy, sizeof(copy), (off_t)(uintptr_t)race_area);
    }
    return NULL;
}

static void *same_area(void *unused UNUSED)
{
    register_at(race_area, trap_open);
    while (!stop)
        rounds(5);
    return NULL;
}

struct race {
    void *(*breaker)(void *);
    void *argument;
    int may_die;
    const char *what;
};

static void place_area(const struct race *race)
{
    race_area = anon(PAGE, RW);
    if (race->breaker == place_truncate) {
        file_fd = new_memfd(PAGE);
        race_area = mmap(NULL, PAGE, RW, MAP_SHARED, file_fd, 0);
    } else if (race->breaker == place_shmdt) {
        race_shm = (int)NEED(shmget(IPC_PRIVATE, PAGE, 0600));
        race_area = shmat(race_shm, NULL, 0);
        shmctl(race_shm, IPC_RMID, NULL);
        race_shm = race_shm < 0 ? 0 : race_shm;
    } else if (race->breaker == place_collapse) {
        race_area = aligned(HUGE);
        memset(race_area, 0, HUGE);
        race_area += 5 * PAGE;
        pool = (char *)((uintptr_t)race_area & -HUGE) + 64 * PAGE;
        trap_arm(pool, PAGES * PAGE);
    }
}

static int run_race(void *argument)
{
    const struct race *race = argument;
    pthread_t thread;

    alarm(60);
    place_area(race);
    race_code = anon(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    memcpy(race_code, trap_entry, 64);
    __builtin___clear_cache(race_code, race_code + 64);
    if (register_at(race_area, trap_open))
        return 1;
    race_stack = trap_stack;
    if (race->breaker == place_code && syscall(VMTRAP_REGISTER, race_area, race_code, trap_stack + TRAP_STACK, 0))
        return 2;
    pthread_create(&thread, NULL, race->breaker, race->argument);
    for (time_t end = time(NULL) + SECONDS; time(NULL) < end;)
        if (rounds(5))
            return 3;
    stop = 1;
    pthread_join(thread, NULL);
    return race->may_die || trap_count >= 100 ? 42 : 4;
}

static void races(void)
{
    static const struct race all[] = {
        {place_truncate, NULL, 1, "a save area in a file that is cut and punched"},
        {place_shmdt, NULL, 1, "in a segment that is detached"},
        {place_pageout, NULL, 0, "that is swapped out, as is what is armed"},
        {place_collapse, NULL, 0, "in a huge page that is made and split, with what is armed"},
        {place_code, NULL, 1, "a handler that is moved over"},
        {place_stack, NULL, 1, "a handler's stack that is unmapped"},
        {place_proc, NULL, 0, "a save area that is read by /proc"},
        {place_proc, "", 1, "that is written by /proc"},
        {same_area, NULL, 1, "that two threads share"},
    };

    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct ending end = in_child(run_race, (void *)(uintptr_t)&all[i]);
        int deserved = end.signal == SIGSEGV || end.signal == SIGTRAP || end.signal == SIGBUS || end.signal == SIGILL;

        CHECK(end.status == 42 || (all[i].may_die && (deserved || end.status == 3)), "%s (exit %d, signal %d)",
              all[i].what, end.status, end.signal);
    }
}

static void vmtrap_test(void)
{
    struct ending end;

    make_pool();
    DIES(truncated, NULL, SIGSEGV, SEGV_ACCERR, pool, "a save area in a file that was cut");
    DIES(truncated_in_handler, NULL, SIGTRAP, ANY_CODE, 0, "that is cut in the handler: the resume fails");
    EXITS(in_huge_page, NULL, 0, "in a huge page");
    EXITS(in_freed_memory, NULL, 0, "in memory that may be freed");
    EXITS(in_droppable, NULL, 0, "in memory that may be dropped");
    end = in_child(closes_itself, NULL);
    CHECK(end.signal == SIGSEGV || end.signal == SIGTRAP, "in armed memory, closed by its handler (signal %d)",
          end.signal);
    EXITS(filled_by_monitor, NULL, 0, "that a userfaultfd's reader fills");
    DIES(filled_by_nobody, NULL, SIGALRM, ANY_CODE, 0, "that nobody fills");
    DIES(stack_ends, NULL, SIGSEGV, ANY_CODE, 0, "a handler's stack ends");
    DIES(stack_ends, (void *)1, SIGSEGV, ANY_CODE, 0, "and there is another for signals");
    EXITS(signal_in_handler, NULL, 0, "signals in handlers, on their stack");
    EXITS(left_by_signal, NULL, 0, "a handler that a signal's handler leaves");
    EXITS(exec_in_handler, NULL, 0, "execve in a handler, others run");
    EXITS(exec_in_handler, (void *)1, 0, "execve in a thread's handler");
    EXITS(exit_among_handlers, NULL, 0, "exit_group while threads trap");
    EXITS(threads_end_in_handlers, NULL, 0, "threads that end in handlers");
    EXITS(register_in_vfork, NULL, 0, "a vfork child's registration is its own");
    DIES(sealed, NULL, SIGTRAP, ANY_CODE, 0, "sealed memory is not opened by a resume");
    DIES(sealed, (void *)1, SIGTRAP, ANY_CODE, 0, "nor by the other kind of resume");
    DIES(sealed_log, NULL, SIGSEGV, ANY_CODE, 0, "nor by a log");
    races();
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "nothing"))
        return 0;
    return tap_main(argc, argv, vmtrap_body);
}
