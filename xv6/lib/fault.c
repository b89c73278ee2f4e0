/* A fault kills, and says where it was, on the standard error of the run's first program. */
#include "lib/machine.h"
#include "lib/linux.h"
#include "user/user.h"

static char stack[16384] __attribute__((aligned(16)));
static const char *program;

static void on_fault(int signal, struct linux_siginfo *info)
{
    struct linux_frame *frame = (struct linux_frame *)info;
    struct linux_sigaction action = {LINUX_SIG_DFL, 0, 0};

    if (signal == LINUX_SIGSEGV || signal == LINUX_SIGBUS)
        fprintf(MESSAGE_FD, "xv6: %s (pid %d) is killed: no access to %p, pc %p\n", program, getpid(),
                (void *)info->address, (void *)frame->registers[0]);
    else
        fprintf(MESSAGE_FD, "xv6: %s (pid %d) is killed: bad instruction, pc %p\n", program, getpid(),
                (void *)frame->registers[0]);
    linux_(LINUX_rt_sigaction, signal, &action, 0, sizeof(action.mask)); /* the same fault again kills */
}

void xv6_watch_faults(const char *name)
{
    static const int signals[] = {LINUX_SIGSEGV, LINUX_SIGBUS, LINUX_SIGILL, LINUX_SIGTRAP};
    struct linux_sigaction action = {(uint64)on_fault, LINUX_SA_SIGINFO | LINUX_SA_ONSTACK, 0};
    struct linux_stack alternate = {stack, 0, sizeof(stack)};

    program = name;
    linux_(LINUX_sigaltstack, &alternate, 0);
    for (uint i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        linux_(LINUX_rt_sigaction, signals[i], &action, 0, sizeof(action.mask));
}
