/*
 * Signals: delivery, masks, queueing, the flags of sigaction, alternate stacks, waiting for signals, permission to send
 * them, what a fault's siginfo says, and that a handler's return restores every register. Source: signal(7),
 * sigaction(2), sigaltstack(2), sigwaitinfo(2), kill(2), rt_sigqueueinfo(2).
 */
#include "tap.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <ucontext.h>

static volatile sig_atomic_t handled, nested, last_signal, last_code, last_value, order[64], flag;
static volatile pid_t last_pid;
static void *volatile last_address;

static void note(int signo, siginfo_t *info, void *context UNUSED)
{
    if (handled < 64)
        order[handled] = info->si_code == SI_QUEUE ? info->si_value.sival_int : signo;
    handled++;
    last_signal = signo;
    last_code = info->si_code;
    last_pid = info->si_pid;
    last_value = info->si_value.sival_int;
}

static void handle(int signo, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

    sigemptyset(&action.sa_mask);
    NEED(sigaction(signo, &action, NULL));
    handled = nested = 0;
}

static sigset_t set_of(int signo)
{
    sigset_t set;

    sigemptyset(&set);
    if (signo)
        sigaddset(&set, signo);
    return set;
}

static void block(int how, int signo)
{
    sigset_t set = set_of(signo);

    NEED(sigprocmask(how, &set, NULL));
}

/* ---- Delivery, masks, queues ---- */

static void delivery(void)
{
    struct sigaction old;
    sigset_t pending;

    handle(SIGUSR1, note, 0);
    OKAY(kill(getpid(), SIGUSR1), "kill of oneself");
    CHECK(handled == 1 && last_signal == SIGUSR1, "the handler has run when kill returns");
    CHECK(last_code == SI_USER && last_pid == getpid(), "siginfo: SI_USER and the sender");
    raise(SIGUSR1);
    CHECK(handled == 2 && last_code == SI_TKILL, "raise: SI_TKILL");
    NEED(sigaction(SIGUSR1, NULL, &old));
    CHECK(old.sa_sigaction == note && (old.sa_flags & SA_SIGINFO), "sigaction tells the handler");

    block(SIG_BLOCK, SIGUSR1);
    handled = 0;
    raise(SIGUSR1);
    raise(SIGUSR1);
    IS(handled, 0, "a blocked signal waits");
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGUSR1) && !sigismember(&pending, SIGUSR2), "sigpending shows it");
    block(SIG_UNBLOCK, SIGUSR1);
    IS(handled, 1, "a standard signal sent twice while blocked arrives once");
    block(SIG_BLOCK, SIGUSR1);
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    handle(SIGUSR1, note, 0);
    block(SIG_UNBLOCK, SIGUSR1);
    IS(handled, 0, "ignoring a pending signal discards it");
    signal(SIGUSR1, SIG_IGN);
    raise(SIGUSR1);
    CHECK(1, "an ignored signal does nothing");
    FAILS(sigaction(SIGKILL, &old, NULL), EINVAL, "SIGKILL cannot be caught");
    FAILS(sigaction(SIGSTOP, &old, NULL), EINVAL, "nor SIGSTOP");
    FAILS(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), EINVAL, "there is no signal 65");
    FAILS(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL, "a mask of 4 bytes");
    FAILS(syscall(SYS_rt_sigprocmask, 7, &pending, NULL, 8), EINVAL, "sigprocmask: an unknown how");
    block(SIG_BLOCK, SIGKILL);
    sigprocmask(SIG_BLOCK, NULL, &pending);
    CHECK(!sigismember(&pending, SIGKILL), "SIGKILL cannot be blocked");
    signal(SIGUSR1, SIG_DFL);
}

static void realtime(void)
{
    int high = SIGRTMIN + 3, low = SIGRTMIN + 1, good;
    union sigval value;

    handle(low, note, 0);
    handle(high, note, 0);
    block(SIG_BLOCK, low);
    block(SIG_BLOCK, high);
    for (int i = 0; i < 5; i++) {
        value.sival_int = 200 + i;
        NEED(sigqueue(getpid(), high, value));
        value.sival_int = 100 + i;
        NEED(sigqueue(getpid(), low, value));
    }
    block(SIG_UNBLOCK, high);
    IS(handled, 5, "real-time signals queue");
    good = 1;
    for (int i = 0; i < 5; i++)
        good &= order[i] == 200 + i;
    CHECK(good && last_code == SI_QUEUE, "in the order sent, with their values");
    block(SIG_UNBLOCK, low);
    good = handled == 10;
    for (int i = 0; i < 5; i++)
        good &= order[5 + i] == 100 + i;
    CHECK(good, "and so the others");
    signal(low, SIG_DFL);
    signal(high, SIG_DFL);
}

static int too_many(void *unused UNUSED)
{
    struct rlimit limit = {10, 10};
    union sigval value = {.sival_int = 1};
    int sent = 0;

    if (setuid(1000) || setrlimit(RLIMIT_SIGPENDING, &limit))
        return 100;
    block(SIG_BLOCK, SIGRTMIN);
    while (sigqueue(getpid(), SIGRTMIN, value) == 0 && sent < 50)
        sent++;
    return errno == EAGAIN ? sent : 101;
}

/* ---- The flags ---- */

static void raise_inside(int signo, siginfo_t *info UNUSED, void *context UNUSED)
{
    handled++;
    if (handled == 1) {
        raise(signo);
        nested = handled; /* how many had run when raise returned */
    }
}

static void look_at_mask(int signo UNUSED, siginfo_t *info UNUSED, void *context UNUSED)
{
    sigset_t set;

    handled++;
    sigprocmask(SIG_BLOCK, NULL, &set);
    flag = sigismember(&set, SIGUSR1) + 2 * sigismember(&set, SIGUSR2) + 4 * sigismember(&set, SIGTERM);
}

static void flags(void)
{
    struct sigaction action = {.sa_sigaction = look_at_mask, .sa_flags = SA_SIGINFO}, old;
    sigset_t set;

    handle(SIGUSR1, raise_inside, 0);
    raise(SIGUSR1);
    CHECK(nested == 1 && handled == 2, "a signal is blocked while its handler runs, and comes afterwards");
    handle(SIGUSR1, raise_inside, SA_NODEFER);
    raise(SIGUSR1);
    CHECK(nested == 2 && handled == 2, "SA_NODEFER lets it in");
    handle(SIGUSR1, note, SA_RESETHAND);
    raise(SIGUSR1);
    NEED(sigaction(SIGUSR1, NULL, &old));
    CHECK(handled == 1 && old.sa_handler == SIG_DFL, "SA_RESETHAND goes back to the default");

    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2);
    NEED(sigaction(SIGUSR1, &action, NULL));
    raise(SIGUSR1);
    IS(flag, 3, "sa_mask and the signal itself are blocked in the handler");
    sigprocmask(SIG_BLOCK, NULL, &set);
    CHECK(!sigismember(&set, SIGUSR1) && !sigismember(&set, SIGUSR2), "and not after it");
    signal(SIGUSR1, SIG_DFL);
}

/* Whether read() of an empty pipe goes on after a signal: 1; ends with EINTR: 0. */
static int read_restarts(int sa_flags)
{
    int fds[2], result;
    pid_t pid;
    char byte;

    handle(SIGUSR1, note, sa_flags);
    NEED(pipe(fds));
    pid = (pid_t)NEED(fork());
    if (pid == 0) {
        sleep_ms(50);
        kill(getppid(), SIGUSR1);
        sleep_ms(50);
        _exit(write(fds[1], "x", 1) != 1);
    }
    result = (int)read(fds[0], &byte, 1);
    if (result == -1 && errno != EINTR)
        result = -2;
    while (waitpid(pid, NULL, 0) < 0)
        ;
    close(fds[0]);
    close(fds[1]);
    signal(SIGUSR1, SIG_DFL);
    return result == 1 ? 1 : result == -1 && handled ? 0 : -1;
}

static void restarting(void)
{
    struct timespec wait = {0, 150 * 1000000}, left = {0, 0}, forever = {1000, 0};
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART};
    pid_t pid;
    int result;

    IS(read_restarts(SA_RESTART), 1, "SA_RESTART: read() of a pipe goes on");
    IS(read_restarts(0), 0, "without it read() fails with EINTR");

    sigaction(SIGUSR1, &action, NULL);
    pid = (pid_t)NEED(fork());
    if (pid == 0) {
        sleep_ms(50);
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    result = nanosleep(&forever, &left);
    CHECK(result == -1 && errno == EINTR && left.tv_sec >= 990,
          "nanosleep ends with EINTR and the time left, SA_RESTART or not");
    while (waitpid(pid, NULL, 0) < 0)
        ;
    signal(SIGUSR1, SIG_IGN);
    pid = (pid_t)NEED(fork());
    if (pid == 0) {
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    IS(nanosleep(&wait, &left), 0, "an ignored signal does not end nanosleep");
    while (waitpid(pid, NULL, 0) < 0)
        ;
    signal(SIGUSR1, SIG_DFL);
}

/* ---- Alternate stacks ---- */

static char alternate[65536];

static void where(int signo UNUSED, siginfo_t *info UNUSED, void *context UNUSED)
{
    char here;
    stack_t stack;

    handled++;
    sigaltstack(NULL, &stack);
    flag = (&here >= alternate && &here < alternate + sizeof(alternate)) + 2 * (stack.ss_flags == SS_ONSTACK);
    if (sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL) == -1 && errno == EPERM)
        flag += 4;
}

static int overflow(void *unused UNUSED)
{
    struct rlimit limit = {128 << 10, RLIM_INFINITY};
    volatile char *here = (volatile char *)__builtin_frame_address(0);

    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = 128 << 10;
    setrlimit(RLIMIT_STACK, &limit);
    while (here) /* in_child's handler reports from its own alternate stack */
        *--here = 0;
    return 0;
}

static void alternate_stack(void)
{
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)}, old;

    OKAY(sigaltstack(&stack, NULL), "sigaltstack");
    handle(SIGUSR1, where, SA_ONSTACK);
    raise(SIGUSR1);
    IS(flag, 7, "SA_ONSTACK runs there, says SS_ONSTACK, and does not let it be changed (EPERM)");
    handle(SIGUSR1, where, 0);
    raise(SIGUSR1);
    IS(flag & 3, 0, "without SA_ONSTACK the handler stays on the ordinary stack");
    stack.ss_size = 100;
    FAILS(sigaltstack(&stack, NULL), ENOMEM, "a stack below MINSIGSTKSZ is ENOMEM");
    stack.ss_flags = 0x40;
    FAILS(sigaltstack(&stack, NULL), EINVAL, "unknown flags are EINVAL");
    stack.ss_flags = SS_DISABLE;
    OKAY(sigaltstack(&stack, NULL), "SS_DISABLE");
    sigaltstack(NULL, &old);
    IS(old.ss_flags, SS_DISABLE, "and it is");
    IS(in_child(overflow, NULL).code, SEGV_MAPERR, "a stack overflow is handled on the alternate stack");
    signal(SIGUSR1, SIG_DFL);
}

/* ---- Faults ---- */

static sigjmp_buf escape;

static void jump_out(int signo, siginfo_t *info, void *context UNUSED)
{
    last_signal = signo;
    last_code = info->si_code;
    last_address = info->si_addr;
    siglongjmp(escape, 1);
}

static int load(void *at) { return *(volatile char *)at; }

static int illegal(void *unused UNUSED)
{
    __asm__ volatile(".word 0");
    return 0;
}

static int breakpoint(void *unused UNUSED)
{
    __asm__ volatile("ebreak");
    return 0;
}

static int divide(void *zero)
{
    volatile long by = (long)zero, result = 5 / by;

    return result == -1 ? 42 : 1;
}

static int ignoring_segv(void *at)
{
    signal(SIGSEGV, SIG_IGN);
    return load(at);
}

static int blocking_segv(void *at)
{
    block(SIG_BLOCK, SIGSEGV);
    return load(at);
}

static void faults(void)
{
    char *none = anon(PAGE, PROT_NONE);
    int good = 1, status;
    struct ending end;

    handle(SIGSEGV, jump_out, 0);
    for (volatile int i = 0; i < 100; i++)
        if (sigsetjmp(escape, 1) == 0) {
            last_code = 0;
            load(none + i);
            good = 0;
        } else {
            good &= last_code == SEGV_ACCERR && last_address == none + i;
        }
    CHECK(good, "siglongjmp leaves a hundred SIGSEGV handlers");
    signal(SIGSEGV, SIG_DFL);
    end = in_child(illegal, NULL);
    CHECK(end.signal == SIGILL && end.code == ILL_ILLOPC, "an illegal instruction is SIGILL with ILL_ILLOPC");
    end = in_child(breakpoint, NULL);
    CHECK(end.signal == SIGTRAP && end.code == TRAP_BRKPT, "ebreak is SIGTRAP with TRAP_BRKPT");
    IS(in_child(divide, NULL).status, 42, "division by zero traps nothing on riscv");
    status = in_child(ignoring_segv, none).signal;
    IS(status, SIGSEGV, "a fault's SIGSEGV kills even when ignored");
    IS(in_child(blocking_segv, none).signal, SIGSEGV, "and when blocked");
    NEED(munmap(none, PAGE));
}

static void step_over(int signo UNUSED, siginfo_t *info UNUSED, void *context)
{
    ucontext_t *ucontext = context;
    unsigned short low = *(unsigned short *)ucontext->uc_mcontext.__gregs[REG_PC];

    handled++;
    ucontext->uc_mcontext.__gregs[REG_PC] += (low & 3) == 3 ? 4 : 2;
    ucontext->uc_mcontext.__gregs[REG_A0] = 4711;
}

static void clobber_fp(int signo UNUSED, siginfo_t *info UNUSED, void *context UNUSED)
{
    handled++;
    __asm__ volatile(
        "fmv.d.x ft0, zero\n fmv.d.x ft3, zero\n fmv.d.x fa0, zero\n fmv.d.x fs0, zero\n fmv.d.x fs11, zero\n"
        "fsflags zero\n fsrm zero" ::
            : "ft0", "ft3", "fa0");
}

static void open_page(int signo UNUSED, siginfo_t *info, void *context UNUSED)
{
    handled++;
    mprotect((void *)((unsigned long)info->si_addr & -PAGE), PAGE, PROT_READ | PROT_WRITE);
}

/* Every integer register but those that the ABI reserves survives a handler; so do the FP registers and fcsr. */
static void registers(void)
{
    char *none = anon(PAGE, PROT_NONE);
    register long a0 __asm__("a0") = (long)none;
    unsigned long bits[5], fcsr;
    char *page;
    long good;

    handle(SIGSEGV, step_over, 0);
    __asm__ volatile("lb a0, 0(a0)" : "+r"(a0) : : "memory");
    good = a0;
    CHECK(good == 4711 && handled == 1, "a handler may edit the pc and a register");

    handle(SIGSEGV, clobber_fp, 0);
    handle(SIGUSR1, clobber_fp, 0);
    __asm__ volatile(
        "li t0, 0x1234567\n fmv.d.x ft0, t0\n addi t0, t0, 1\n fmv.d.x ft3, t0\n addi t0, t0, 1\n fmv.d.x fa0, t0\n"
        "addi t0, t0, 1\n fmv.d.x fs0, t0\n addi t0, t0, 1\n fmv.d.x fs11, t0\n li t0, 0x75\n fscsr t0\n"
        "mv a0, %6\n li a1, 10\n li a7, 129\n ecall\n" /* kill(pid, SIGUSR1) */
        "fmv.x.d %0, ft0\n fmv.x.d %1, ft3\n fmv.x.d %2, fa0\n fmv.x.d %3, fs0\n fmv.x.d %4, fs11\n frcsr %5\n"
        "fscsr zero"
        : "=&r"(bits[0]), "=&r"(bits[1]), "=&r"(bits[2]), "=&r"(bits[3]), "=&r"(bits[4]), "=&r"(fcsr)
        : "r"((long)getpid())
        : "t0", "a0", "a1", "a7", "ft0", "ft3", "fa0", "fs0", "fs11", "memory");
    good = handled == 1;
    for (int i = 0; i < 5; i++)
        good &= bits[i] == 0x1234567UL + i;
    CHECK(good, "floating-point registers survive a handler that uses them");
    IS(fcsr, 0x75, "and so do rounding mode and flags");

    page = anon(PAGE, PROT_NONE);
    handle(SIGSEGV, open_page, 0);
    ((volatile char *)page)[100] = 9;
    CHECK(page[100] == 9 && handled == 1, "a handler opens the page and the store is done again");
    signal(SIGSEGV, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
    NEED(munmap(none, PAGE));
    NEED(munmap(page, PAGE));
}

/* ---- Waiting for signals ---- */

static void waiting(void)
{
    struct timespec none = {0, 0}, little = {0, 20000000};
    sigset_t set = set_of(SIGUSR1), empty = set_of(0);
    union sigval value = {.sival_int = 55};
    siginfo_t info;
    pid_t pid;

    block(SIG_BLOCK, SIGUSR1);
    FAILS(sigtimedwait(&set, &info, &none), EAGAIN, "sigtimedwait with no time and no signal is EAGAIN");
    FAILS(sigtimedwait(&set, &info, &little), EAGAIN, "and after the time");
    NEED(sigqueue(getpid(), SIGUSR1, value));
    IS(sigtimedwait(&set, &info, &none), SIGUSR1, "sigtimedwait takes a pending signal");
    CHECK(info.si_code == SI_QUEUE && info.si_value.sival_int == 55, "with its value");
    pid = (pid_t)NEED(fork());
    if (pid == 0) {
        sleep_ms(30);
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    IS(sigwaitinfo(&set, &info), SIGUSR1, "sigwaitinfo waits for one");
    IS(info.si_pid, pid, "and says from whom");
    waitpid(pid, NULL, 0);

    handle(SIGUSR1, note, 0);
    raise(SIGUSR1);
    IS(handled, 0, "blocked");
    FAILS(sigsuspend(&empty), EINTR, "sigsuspend lets it in and fails with EINTR");
    IS(handled, 1, "after its handler");
    sigprocmask(SIG_BLOCK, NULL, &empty);
    CHECK(sigismember(&empty, SIGUSR1), "with the old mask back");
    block(SIG_UNBLOCK, SIGUSR1);
    signal(SIGUSR1, SIG_DFL);
}

/* ---- Sending ---- */

static int as_stranger(void *pid)
{
    if (setuid(1000))
        return 1;
    return kill((pid_t)(long)pid, SIGTERM) == -1 && errno == EPERM && kill((pid_t)(long)pid, 0) == -1 && errno == EPERM
               ? 0
               : 2;
}

static int killed_by(void *signo)
{
    raise((int)(long)signo);
    return 0;
}

static void sending(void)
{
    static const int deadly[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGILL,    SIGABRT, SIGFPE,  SIGKILL,   SIGPIPE, SIGALRM,
                                 SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGPROF, SIGXCPU, SIGSTKFLT, SIGSYS,  SIGPWR};
    static const int harmless_ones[] = {SIGCHLD, SIGURG, SIGWINCH, SIGCONT};
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_USER};
    pid_t dead = (pid_t)NEED(fork());
    int good = 1;

    if (dead == 0)
        _exit(0);
    OKAY(kill(dead, SIGTERM), "kill of a zombie is fine");
    waitpid(dead, NULL, 0);
    FAILS(kill(dead, 0), ESRCH, "kill of nobody is ESRCH");
    FAILS(kill(getpid(), 65), EINVAL, "kill with no signal is EINVAL");
    FAILS(kill(getpid(), -1), EINVAL, "nor with a negative one");
    OKAY(kill(getpid(), 0), "signal 0 only asks");
    FAILS(kill(-99999, SIGTERM), ESRCH, "no such process group");
    FAILS(syscall(SYS_tgkill, getpid(), dead, SIGUSR1), ESRCH, "tgkill of a thread that is not there");
    FAILS(syscall(SYS_tgkill, getpid(), 0, SIGUSR1), EINVAL, "tgkill of thread 0");
    FAILS(syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &info), EPERM, "rt_sigqueueinfo may not pretend to be kill");
    if (geteuid() == 0)
        EXITS(as_stranger, (long)getppid(), 0, "kill of another user's process is EPERM");
    else
        skip("kill of another user's process is EPERM", "needs root");
    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
        struct ending end;

        signal(deadly[i], SIG_DFL);
        end = in_child(killed_by, (void *)(long)deadly[i]);
        if (end.signal != deadly[i] && !(deadly[i] == SIGILL || deadly[i] == SIGFPE))
            good = 0, diag("%s: status %d signal %d", strsignal(deadly[i]), end.status, end.signal);
    }
    CHECK(good, "every deadly signal kills by default, and the parent sees which");
    good = 1;
    for (size_t i = 0; i < sizeof(harmless_ones) / sizeof(harmless_ones[0]); i++)
        good &= in_child(killed_by, (void *)(long)harmless_ones[i]).status == 0;
    CHECK(good, "those ignored by default do not");
}

/* ---- Signals for whichever thread does not block them just now ---- */

#define SENT 1000

static volatile int *shared_count; /* handled, as the sender sees it */

static void count(int signo UNUSED) { __atomic_add_fetch(shared_count, 1, __ATOMIC_SEQ_CST); }

static void *always_open(void *unused)
{
    while (*shared_count < SENT)
        sleep_ms(1000);
    return unused;
}

/* Exits with 0 when each signal was taken soon after it was sent. */
static void send_one_by_one(pid_t target)
{
    for (int i = 0; i < SENT; i++) {
        time_t last = time(NULL) + 20;

        kill(target, SIGUSR1);
        while (*shared_count <= i && time(NULL) < last)
            sched_yield();
        if (*shared_count <= i)
            _exit(1);
    }
    _exit(0);
}

static int one_thread_changes_its_mask(void *unused UNUSED)
{
    pthread_t other;
    pid_t sender, target = getpid();
    int status = 1;

    shared_count = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    signal(SIGUSR1, count);
    pthread_create(&other, NULL, always_open, NULL);
    sender = fork();
    if (sender == 0)
        send_one_by_one(target);
    while (waitpid(sender, &status, WNOHANG) == 0) {
        block(SIG_UNBLOCK, SIGUSR1);
        block(SIG_BLOCK, SIGUSR1);
        for (volatile int i = 0, before = *shared_count; i < 3000 && *shared_count == before; i++)
            ;
    }
    return status == 0 ? 0 : 1;
}

/* ---- Frames wherever a stack ends ---- */

static char stacks[3 * PAGE] __attribute__((aligned(4096)));

static void count_open_page(int signo UNUSED, siginfo_t *info, void *context)
{
    handled += (char *)info >= stacks && (char *)context + sizeof(ucontext_t) <= stacks + sizeof(stacks);
    last_address = info->si_addr;
    ((ucontext_t *)context)->uc_mcontext.__gregs[REG_PC] += 4;
}

static void frames_anywhere(void)
{
    char *forbidden = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int good = 0, kept = 0, turns = 0;

    handle(SIGSEGV, count_open_page, SA_ONSTACK);
    handle(SIGUSR1, note, SA_ONSTACK);
    for (size_t offset = 0; offset < PAGE; offset += 16, turns++) {
        stack_t stack = {.ss_sp = stacks + offset, .ss_size = MINSIGSTKSZ};
        register long s5 __asm__("s5") = 55 + (long)offset;
        register double fs3 __asm__("fs3") = (double)offset;

        sigaltstack(&stack, NULL);
        __asm__ volatile(".option push\n.option norvc\nlb zero, 0(%2)\n.option pop"
                         : "+r"(s5), "+f"(fs3)
                         : "r"(forbidden + offset)
                         : "memory");
        good += last_address == forbidden + offset;
        kept += s5 == 55 + (long)offset && fs3 == (double)offset;
    }
    IS(handled, turns, "the smallest alternate stack, anywhere in a page: frames of faults lie in it");
    IS(good, turns, "and tell the address");
    IS(kept, turns, "and registers are what they were");
    handled = 0;
    for (size_t offset = 0; offset < PAGE; offset += 16) {
        stack_t stack = {.ss_sp = stacks + offset, .ss_size = MINSIGSTKSZ};

        sigaltstack(&stack, NULL);
        kill(getpid(), SIGUSR1);
    }
    IS(handled, turns, "those of signals, too");
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    signal(SIGSEGV, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
    munmap(forbidden, PAGE);
}

static void children(void)
{
    pid_t pid;

    handle(SIGCHLD, note, 0);
    pid = (pid_t)NEED(fork());
    if (pid == 0)
        _exit(7);
    while (!handled)
        sleep_ms(5);
    CHECK(last_signal == SIGCHLD && last_code == CLD_EXITED && last_pid == pid, "SIGCHLD: CLD_EXITED and the child");
    waitpid(pid, NULL, 0);
    handle(SIGCHLD, note, SA_NOCLDWAIT);
    pid = (pid_t)NEED(fork());
    if (pid == 0)
        _exit(7);
    FAILS(waitpid(pid, NULL, 0), ECHILD, "SA_NOCLDWAIT: no zombie, wait is ECHILD");
    signal(SIGCHLD, SIG_IGN);
    pid = (pid_t)NEED(fork());
    if (pid == 0)
        _exit(7);
    FAILS(waitpid(pid, NULL, 0), ECHILD, "SIGCHLD ignored: the same");
    signal(SIGCHLD, SIG_DFL);
}

static void body(void)
{
    delivery();
    realtime();
    if (geteuid() == 0)
        IS(in_child(too_many, NULL).status, 10, "RLIMIT_SIGPENDING bounds the queue with EAGAIN");
    flags();
    restarting();
    alternate_stack();
    faults();
    registers();
    waiting();
    sending();
    EXITS(one_thread_changes_its_mask, NULL, 0, "no signal waits for a thread that has just blocked it");
    frames_anywhere();
    children();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
