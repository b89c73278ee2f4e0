/*
 * What signal handlers get and what they may do: the frame bit by bit (sigreturn(2), and Linux's struct rt_sigframe for
 * riscv64), integer and floating-point registers across and by handlers, alternate stacks (sigaltstack(2)), frames on
 * awkward stacks, handlers that never return, and all of it in threads and under preemption.
 */
#include "tap.h"
#include <pthread.h>
#include <setjmp.h>
#include <stddef.h>
#include <sys/time.h>
#include <ucontext.h>

#define RW (PROT_READ | PROT_WRITE)
#define FRAME_SIZE 1088

static sigjmp_buf escape;
static volatile int calls;

static char *map(size_t pages, int protection)
{
    return mmap(NULL, pages * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void handle(int signo, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

    sigaction(signo, &action, NULL);
}

static unsigned long *registers_of(void *context) { return ((ucontext_t *)context)->uc_mcontext.__gregs; }

/* An instruction of four bytes, so that handlers can step over it. */
static inline void load_from(const void *at)
{
    __asm__ volatile(".option push\n.option norvc\nlb t0, 0(%0)\n.option pop" ::"r"(at) : "t0", "memory");
}

/* ---- the frame ---- */

struct raw_frame {
    uint8_t info[128];
    uint64_t flags, link;
    stack_t stack;
    uint64_t mask[16];
    uint64_t unused[1];
    uint64_t registers[32], f[32];
    uint32_t fcsr, rest[67];
};

static struct raw_frame seen;
static void *seen_at, *seen_info;

static void keep_frame(int signo UNUSED, siginfo_t *info, void *context)
{
    seen_info = info;
    seen_at = context;
    memcpy(&seen, info, FRAME_SIZE);
    registers_of(context)[REG_PC] += 4;
}

static int all_zero(const void *at, size_t n)
{
    const uint8_t *bytes = at;

    for (size_t i = 0; i < n; i++)
        if (bytes[i])
            return 0;
    return 1;
}

static void frame_is_exact(void)
{
    char *page = map(1, PROT_NONE);
    sigset_t mask;
    uint64_t pc, sp;

    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    handle(SIGSEGV, keep_frame, 0);
    memset(&seen, 0xff, sizeof(seen));
    __asm__ volatile(".option push\n.option norvc\nmv %1, sp\nla %0, 1f\n1: lb t0, 8(%2)\n.option pop"
                     : "=&r"(pc), "=&r"(sp)
                     : "r"(page)
                     : "t0", "memory");
    siginfo_t *info = (siginfo_t *)seen.info;
    CHECK(info->si_signo == SIGSEGV && info->si_code == SEGV_ACCERR && info->si_errno == 0 && info->si_addr == page + 8,
          "siginfo tells signal, code and address");
    CHECK(all_zero(seen.info + 24, 104), "all else in its 128 bytes is zero");
    IS((char *)seen_at - (char *)seen_info, 128, "the context follows it");
    IS((uintptr_t)seen_info % 16, 0, "the frame is aligned");
    IS((uintptr_t)seen_info, (sp - FRAME_SIZE) & ~15ul, "and directly below the stack pointer");
    CHECK(seen.flags == 0 && seen.link == 0, "uc_flags and uc_link are zero");
    CHECK(seen.stack.ss_sp == NULL && seen.stack.ss_size == 0 && seen.stack.ss_flags == SS_DISABLE,
          "uc_stack without one is disabled");
    IS(seen.mask[0], 1ul << (SIGUSR2 - 1), "uc_sigmask is the mask from before");
    IS(offsetof(struct raw_frame, registers), 128 + 176, "the registers are where Linux has them");
    IS(seen.registers[0], pc, "the saved pc is that of the instruction");
    IS(seen.registers[2], sp, "and sp the stack pointer's");
    CHECK(all_zero(seen.rest + 64, 12), "no extension follows the floating-point registers");
    sigprocmask(SIG_SETMASK, &(sigset_t){0}, NULL);
    munmap(page, PAGE);
}

/* ---- registers ---- */

/* x5-x31 but a0, a1 (which hold the table and the faulting address) get 0x1000 + number, then fault; what they are
 * afterwards goes back into the table. */
static void fault_with_known_registers(uint64_t *table, const void *at)
{
    register uint64_t *t __asm__("a0") = table;
    register const void *a __asm__("a1") = at;

    __asm__ volatile("addi sp, sp, -128\n sd s0, 0(sp)\n sd s1, 8(sp)\n sd gp, 16(sp)\n sd ra, 24(sp)\n sd tp, 32(sp)\n"
                     "li gp, 0x1003\n li ra, 0x1001\n"
                     ".irp n,5,6,7,8,9,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
                     "li x\\n, 0x1000 + \\n\n.endr\n"
                     ".option push\n.option norvc\n ld zero, 0(a1)\n.option pop\n"
                     ".irp n,1,3,5,6,7,8,9,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
                     "sd x\\n, \\n * 8(a0)\n.endr\n"
                     "ld s0, 0(sp)\n ld s1, 8(sp)\n ld gp, 16(sp)\n ld ra, 24(sp)\n ld tp, 32(sp)\n addi sp, sp, 128"
                     : "+r"(t), "+r"(a)
                     :
                     : "t0", "t1", "t2", "a2", "a3", "a4", "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8",
                       "s9", "s10", "s11", "t3", "t4", "t5", "t6", "memory");
}

static int good_registers;

static int wanted(int n) { return n != 0 && n != 2 && n != 4 && n != 10 && n != 11; }

static void check_and_change(int signo UNUSED, siginfo_t *info UNUSED, void *context)
{
    unsigned long *x = registers_of(context);

    for (int n = 1; n < 32; n++) {
        if (!wanted(n))
            continue;
        good_registers &= x[n] == 0x1000ul + n;
        x[n] = 0x2000ul + n;
    }
    x[REG_PC] += 4;
}

static int registers_survive(void)
{
    uint64_t table[32];
    char *page = map(1, PROT_NONE);
    int good = 1;

    good_registers = 1;
    handle(SIGSEGV, check_and_change, 0);
    fault_with_known_registers(table, page);
    for (int n = 1; n < 32; n++)
        if (wanted(n))
            good &= table[n] == 0x2000ul + n;
    munmap(page, PAGE);
    return good && good_registers;
}

static void fp_set(double value, unsigned long fcsr)
{
    __asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
                     "fmv.d f\\n, %0\n.endr\nfscsr %1" ::"f"(value),
                     "r"(fcsr));
}

/* What the compiler must not put between the two: it knows nothing of the registers. */
static int fp_across_fault(const void *at, double value, unsigned long fcsr, double after, unsigned long fcsr_after)
{
    unsigned long differ = 0, bits, value_bits, now;

    memcpy(&bits, &after, 8);
    memcpy(&value_bits, &value, 8);
    __asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
                     "fmv.d.x f\\n, %4\n.endr\nfscsr %5\n"
                     ".option push\n.option norvc\nlb t0, 0(%2)\n.option pop\n"
                     "frcsr %0\n"
                     ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
                     "fmv.x.d t0, f\\n\nxor t0, t0, %3\nor %1, %1, t0\n.endr"
                     : "=&r"(now), "+r"(differ)
                     : "r"(at), "r"(bits), "r"(value_bits), "r"(fcsr)
                     : "t0", "memory", "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0",
                       "fa1", "fa2", "fa3", "fa4", "fa5", "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8",
                       "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11");
    return differ == 0 && now == fcsr_after;
}

static int fp_in_frame;

static void clobber_fp(int signo UNUSED, siginfo_t *info UNUSED, void *context)
{
    mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;

    fp_in_frame = m->__fpregs.__d.__fcsr == 0x61;
    for (int i = 0; i < 32; i++)
        fp_in_frame &= m->__fpregs.__d.__f[i] == 0x3ff4000000000000; /* 1.25 */
    fp_set(-7.5, 0x9f);
    m->__gregs[REG_PC] += 4;
}

static void leave_fp_alone(int signo UNUSED, siginfo_t *info UNUSED, void *context)
{
    registers_of(context)[REG_PC] += 4;
}

static void change_fp(int signo UNUSED, siginfo_t *info UNUSED, void *context)
{
    mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;

    for (int i = 0; i < 32; i++)
        m->__fpregs.__d.__f[i] = 0x400c000000000000; /* 3.5 */
    m->__fpregs.__d.__fcsr = 0x43;
    m->__gregs[REG_PC] += 4;
}

static void fp_survives(void)
{
    char *page = map(1, PROT_NONE);
    int good = 1;

    handle(SIGSEGV, clobber_fp, 0);
    CHECK(fp_across_fault(page, 1.25, 0x61, 1.25, 0x61), "a handler's floating point is undone when it returns");
    CHECK(fp_in_frame, "its frame has all registers and fcsr");
    handle(SIGSEGV, leave_fp_alone, 0);
    for (int i = 0; i < 200; i++) {
        good &= fp_across_fault(page, i, (unsigned)i % 4 << 5 | 1, i, (unsigned)i % 4 << 5 | 1);
        if (i % 20 == 0)
            sched_yield();
    }
    CHECK(good, "a handler without any keeps it, two hundred times");
    handle(SIGSEGV, change_fp, 0);
    CHECK(fp_across_fault(page, 1.25, 0x61, 3.5, 0x43),
          "what a handler writes into the frame is what registers become");
    munmap(page, PAGE);
}

/* ---- preemption: every process with values of its own, timers that interrupt, handlers that use everything ---- */

static void use_everything(int signo UNUSED)
{
    volatile double sum = 0;

    for (int i = 0; i < 50; i++)
        sum += i * 0.5;
    fp_set(sum, 0);
    calls++;
    if (calls % 7 == 0)
        sched_yield();
}

/* Integer and FP registers are constant while the timer interrupts. 0: they are. */
static int spin_with_values(void *number)
{
    struct sigaction action = {.sa_handler = use_everything, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 1000}, {0, 1000}};
    unsigned long mine = (unsigned long)number, bad = 0;

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    while (calls < 300 && !bad) {
        __asm__ volatile(
            ".irp n,5,6,7,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27\nadd x\\n, %1, x0\naddi x\\n, x\\n, "
            "\\n\n.endr\n"
            ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
            "fcvt.d.l f\\n, %1\n.endr\n"
            "li t3, 20000\n1: addi t3, t3, -1\nbnez t3, 1b\n"
            ".irp n,5,6,7,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27\naddi x\\n, x\\n, -\\n\n"
            "xor x\\n, x\\n, %1\nor %0, %0, x\\n\n.endr\n"
            ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
            "fcvt.l.d t0, f\\n\nxor t0, t0, %1\nor %0, %0, t0\n.endr"
            : "+r"(bad)
            : "r"(mine)
            : "t0", "t1", "t2", "t3", "a2", "a3", "a4", "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8",
              "s9", "s10", "s11", "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1",
              "fa2", "fa3", "fa4", "fa5", "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10",
              "fs11", "ft8", "ft9", "ft10", "ft11", "memory");
    }
    return bad != 0;
}

static void preempted(void)
{
    enum { PROCESSES = 6 };
    int bad = 0, status;
    pid_t pids[PROCESSES];

    for (long i = 0; i < PROCESSES; i++)
        if ((pids[i] = fork()) == 0)
            _exit(spin_with_values((void *)(1000 + i)));
    for (int i = 0; i < PROCESSES; i++)
        bad += waitpid(pids[i], &status, 0) != pids[i] || status != 0;
    IS(bad, 0, "registers of %d processes, timers and handlers that use them, do not mix", PROCESSES);
}

/* ---- nesting and leaving ---- */

static volatile int depth, deepest;

static void fault_again(int signo UNUSED, siginfo_t *info, void *context)
{
    depth++;
    if (depth > deepest)
        deepest = depth;
    if (depth < 30)
        load_from(info->si_addr);
    depth--;
    registers_of(context)[REG_PC] += 4;
}

static void leave(int signo UNUSED, siginfo_t *info UNUSED, void *context UNUSED) { siglongjmp(escape, 1); }

static void send_self(int signo UNUSED, siginfo_t *info UNUSED, void *context UNUSED)
{
    static volatile int inside;

    inside++;
    if (inside > deepest)
        deepest = inside;
    if (++calls < 5)
        raise(SIGUSR1);
    inside--;
}

static int fault_while_blocked(void *page)
{
    sigset_t set;

    handle(SIGSEGV, leave, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, NULL);
    load_from(page);
    return 0;
}

static int fault_ignored(void *page)
{
    signal(SIGSEGV, SIG_IGN);
    load_from(page);
    return 0;
}

static void fault_in_handler_once(int signo UNUSED, siginfo_t *info, void *context UNUSED) { load_from(info->si_addr); }

static int fault_in_own_handler(void *page)
{
    handle(SIGSEGV, fault_in_handler_once, 0);
    load_from(page);
    return 0;
}

static int reset_after_one(void *page)
{
    handle(SIGSEGV, leave_fp_alone, SA_RESETHAND);
    load_from(page);
    load_from(page);
    return 0;
}

static void nesting(void)
{
    char *volatile page = map(1, PROT_NONE);
    volatile int left = 0;

    handle(SIGSEGV, fault_again, SA_NODEFER);
    load_from(page);
    CHECK(deepest == 30 && depth == 0, "SA_NODEFER: faults nest thirty deep and all return");
    deepest = calls = 0;
    handle(SIGUSR1, send_self, 0);
    raise(SIGUSR1);
    CHECK(calls == 5 && deepest == 1, "a signal sent by its own handler runs when that returns, not inside it");
    handle(SIGSEGV, leave, 0);
    for (int i = 0; i < 2000; i++) {
        if (sigsetjmp(escape, 1) == 0)
            load_from(page + i % 8);
        else
            left++;
    }
    IS(left, 2000, "two thousand handlers are left by siglongjmp");
    IS(in_child(fault_while_blocked, page).signal, SIGSEGV, "a fault while its signal is blocked kills");
    IS(in_child(fault_ignored, page).signal, SIGSEGV, "and so does one whose signal is ignored");
    IS(in_child(fault_in_own_handler, page).signal, SIGSEGV, "and one in its own handler");
    IS(in_child(reset_after_one, page).signal, SIGSEGV, "SA_RESETHAND: the first is handled, the second kills");
    munmap(page, PAGE);
}

/* ---- alternate stacks ---- */

static stack_t in_handler, in_frame;
static char *handler_stack;

static void look_at_stack(int signo UNUSED, siginfo_t *info UNUSED, void *context)
{
    sigaltstack(NULL, &in_handler);
    in_frame = ((ucontext_t *)context)->uc_stack;
    handler_stack = __builtin_frame_address(0);
}

static void alternate_stacks(void)
{
    enum { SIZE = 32768 };
    char *area = map(SIZE / PAGE, RW);
    stack_t stack = {.ss_sp = area, .ss_size = SIZE}, old;

    sigaltstack(&stack, NULL);
    handle(SIGUSR1, look_at_stack, SA_ONSTACK);
    raise(SIGUSR1);
    CHECK(handler_stack > area && handler_stack <= area + SIZE - FRAME_SIZE, "SA_ONSTACK: the handler runs there");
    IS(in_handler.ss_flags, SS_ONSTACK, "and sigaltstack says so");
    CHECK(in_frame.ss_sp == area && in_frame.ss_size == SIZE && in_frame.ss_flags == 0,
          "uc_stack is the stack as it was set");
    handle(SIGUSR1, look_at_stack, 0);
    raise(SIGUSR1);
    CHECK(handler_stack < area || handler_stack > area + SIZE, "without the flag it does not");

    stack.ss_flags = SS_ONSTACK;
    OKAY(sigaltstack(&stack, NULL), "SS_ONSTACK may be given, and means nothing");
    handle(SIGUSR1, look_at_stack, SA_ONSTACK);
    raise(SIGUSR1);
    IS(in_frame.ss_flags, SS_ONSTACK, "uc_stack keeps the flag");

    stack.ss_flags = (int)(1u << 31); /* SS_AUTODISARM */
    OKAY(sigaltstack(&stack, NULL), "SS_AUTODISARM");
    raise(SIGUSR1);
    IS(in_handler.ss_flags, SS_DISABLE, "there is no alternate stack in the handler then");
    sigaltstack(NULL, &old);
    CHECK(old.ss_sp == area && old.ss_size == SIZE && old.ss_flags == (int)(1u << 31), "and there is again after it");
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, NULL);
    munmap(area, SIZE);
}

/* ---- frames on awkward stacks ---- */

static char *fault_at;

static int fault_on_stack(char *top)
{
    calls = 0;
    __asm__ volatile(
        "mv s1, sp\nmv sp, %0\n.option push\n.option norvc\nlb t0, 0(%1)\n.option pop\nmv sp, s1" ::"r"(top),
        "r"(fault_at)
        : "s1", "t0", "memory");
    return calls;
}

static void count_and_step(int signo UNUSED, siginfo_t *info, void *context)
{
    calls += info->si_addr == fault_at;
    registers_of(context)[REG_PC] += 4;
}

static int fault_on_bad_stack(void *top)
{
    signal(SIGSEGV, SIG_DFL);
    handle(SIGSEGV, count_and_step, 0);
    return fault_on_stack(top);
}

static void other_handler(int signo UNUSED, siginfo_t *info UNUSED, void *context UNUSED) { _exit(7); }

/* A signal whose frame does not fit becomes SIGSEGV, which has another stack. */
static int signal_on_bad_stack(void *top)
{
    static char other[16384];
    stack_t stack = {.ss_sp = other, .ss_size = sizeof(other)};

    sigaltstack(&stack, NULL);
    handle(SIGSEGV, other_handler, SA_ONSTACK);
    handle(SIGUSR1, count_and_step, 0);
    __asm__ volatile("mv s1, sp\nmv sp, %0\nmv a0, %1\nli a1, 10\nli a7, 129\necall\nmv sp, s1" ::"r"(top),
                     "r"((long)getpid())
                     : "s1", "a0", "a1", "a7", "memory");
    return 0;
}

static void awkward_stacks(void)
{
    char *area = map(16, RW), *bad = map(2, PROT_NONE);
    int good = 1, status;
    pid_t pid;

    fault_at = bad;
    handle(SIGSEGV, count_and_step, 0);
    for (int i = 0; i < 512; i++) /* a frame crosses a page in a quarter of them; pages appear as they are needed */
        good &= fault_on_stack(area + 16 * PAGE - i * 48) == 1;
    CHECK(good, "frames at any place in a page, and across two");
    memset(area, 1, 16 * PAGE);
    pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 400; i++)
            good &= fault_on_stack(area + 16 * PAGE - i * 160) == 1;
        _exit(!good);
    }
    waitpid(pid, &status, 0);
    IS(status, 0, "and on pages shared since a fork");
    for (size_t i = 0; i < 4 * PAGE; i++)
        good &= area[i] == 1;
    CHECK(good, "which the parent keeps as they were");
    mprotect(area + PAGE, PAGE, PROT_NONE);
    IS(in_child(fault_on_bad_stack, area + 2 * PAGE + 512).signal, SIGSEGV,
       "half a frame on a page without access kills");
    mprotect(area + PAGE, PAGE, PROT_READ);
    IS(in_child(fault_on_bad_stack, area + 2 * PAGE).signal, SIGSEGV, "and a stack that cannot be written");
    IS(in_child(fault_on_bad_stack, (void *)0x1000).signal, SIGSEGV, "and none at all");
    IS(in_child(fault_on_bad_stack, (void *)-4096L).signal, SIGSEGV, "and one in the kernel's addresses");
    EXITS(signal_on_bad_stack, area + 2 * PAGE, 7, "another signal's handler without a stack is SIGSEGV's turn");
    munmap(area, 16 * PAGE);
    munmap(bad, 2 * PAGE);
}

/* ---- threads ---- */

#define THREADS 6
#define FAULTS 2000

struct worker {
    pthread_t thread;
    char *page, *stack;
    int faults, wrong;
    sigjmp_buf out;
};
static struct worker workers[THREADS];
static __thread struct worker *self;

static void on_worker_fault(int signo UNUSED, siginfo_t *info, void *context)
{
    char *here = __builtin_frame_address(0);

    self->faults++;
    self->wrong += (char *)info->si_addr < self->page || (char *)info->si_addr >= self->page + PAGE;
    self->wrong += here < self->stack || here > self->stack + 4 * PAGE;
    if (self->faults % 3 == 0)
        siglongjmp(self->out, 1);
    registers_of(context)[REG_PC] += 4;
}

static void *work(void *argument)
{
    stack_t stack = {.ss_size = 4 * PAGE};

    self = argument;
    self->page = map(1, PROT_NONE);
    self->stack = stack.ss_sp = map(4, RW);
    sigaltstack(&stack, NULL);
    for (volatile int i = 0; i < FAULTS; i++)
        if (sigsetjmp(self->out, 1) == 0) {
            load_from(self->page + i % PAGE);
            if (i % 64 == 0)
                sched_yield();
        }
    return NULL;
}

static void threads(void)
{
    int wrong = 0;

    handle(SIGSEGV, on_worker_fault, SA_ONSTACK);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        wrong += workers[i].wrong + (workers[i].faults != FAULTS);
    }
    IS(wrong, 0, "%d threads, each on its own alternate stack, take %d faults each", THREADS, FAULTS);
}

/* ---- system calls ---- */

static void no_signal_in_calls(void)
{
    char *page = map(1, PROT_NONE);
    int fds[2];

    calls = 0;
    fault_at = page;
    handle(SIGSEGV, count_and_step, 0);
    if (pipe(fds) == 0 && write(fds[1], "x", 1) == 1) {
        FAILS(read(fds[0], page, 1), EFAULT, "a call that cannot reach the program's memory is EFAULT");
        FAILS(sigaltstack((void *)page, NULL), EFAULT, "here too");
        FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, page, NULL, 8), EFAULT, "and here");
        FAILS(syscall(SYS_rt_sigaction, SIGUSR1, page, NULL, 8), EFAULT, "and here");
        FAILS(syscall(SYS_rt_sigaction, SIGUSR1, NULL, page, 8), EFAULT, "and here");
        IS(calls, 0, "and no signal");
        close(fds[0]);
        close(fds[1]);
    }
    munmap(page, PAGE);
}

static void body(void)
{
    frame_is_exact();
    CHECK(registers_survive(), "handlers see all integer registers, and what they write comes back");
    fp_survives();
    preempted();
    nesting();
    alternate_stacks();
    awkward_stacks();
    threads();
    no_signal_in_calls();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
