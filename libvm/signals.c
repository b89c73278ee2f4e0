/*
 * Faults as signals: SIGSEGV is the library's, what is not a trap goes on to whoever had SIGSEGV before.
 *
 *     fault -> kernel -> on_fault (handler stack, all signals held back)
 *                          | a store to a page that is armed?  shadow.c opens it
 *                          | in a trapped range?               its handler, then its changes
 *                          | neither                           the handler before us, or death
 *
 * A fault while on_fault runs finds SIGSEGV held back, so the kernel ends the program.
 */
#include "internal.h"

#include <string.h>
#include <sys/auxv.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static struct sigaction before; /* who had SIGSEGV */
static atomic_bool started;
static _Atomic size_t stack_bytes = 64 * 1024;

static THREAD_LOCAL struct {
    char *stack; /* with a page at its low end that nobody may touch; NULL: has not entered */
    size_t bytes;
    stack_t before;
    bool in_handler;
    sigset_t mask; /* of the interrupted program, while a handler runs */
} self;

size_t vm_stack_bytes(void) { return atomic_load(&stack_bytes); }

int vm_handler_stack(size_t bytes)
{
    size_t rounded = vm_whole_pages(NULL, bytes);

    if (rounded < 16 * 1024)
        return vm_fail(EINVAL);
    atomic_store(&stack_bytes, rounded);
    return 0;
}

/* --- What the machine saved ------------------------------------------------------------------------------------------
 */

#ifdef __riscv

static void *get_pc(const ucontext_t *context) { return (void *)context->uc_mcontext.__gregs[REG_PC]; }
static void set_pc(ucontext_t *context, void *pc) { context->uc_mcontext.__gregs[REG_PC] = (uintptr_t)pc; }

/* The pc takes the place of x0. */
static void get_registers(ucontext_t *context, struct fault_state *state)
{
    state->registers = (uintptr_t *)context->uc_mcontext.__gregs;
    state->register_count = 32;
}

/* The frame does not say; the instruction does. One may cross into the page that may not be executed. */
static int get_access(const ucontext_t *context, uintptr_t address)
{
    uintptr_t pc = (uintptr_t)get_pc(context);
    uint16_t halves[2] = {0, 0};

    if (address == pc)
        return VM_EXEC;
    memcpy(&halves[0], (void *)pc, sizeof(halves[0]));
    if (vm_decode_length(halves[0]) == 2)
        return vm_decode_access(halves[0]);
    if (address == pc + 2 && address % vm_page_size() == 0)
        return VM_EXEC;
    memcpy(&halves[1], (void *)(pc + 2), sizeof(halves[1]));
    return vm_decode_access(halves[0] | (uint32_t)halves[1] << 16);
}

#elif defined(__x86_64__)

#define ERROR_WRITE 2 /* bits of the hardware's error code */
#define ERROR_FETCH 16

static void *get_pc(const ucontext_t *context) { return (void *)context->uc_mcontext.gregs[REG_RIP]; }
static void set_pc(ucontext_t *context, void *pc) { context->uc_mcontext.gregs[REG_RIP] = (greg_t)pc; }

static void get_registers(ucontext_t *context, struct fault_state *state)
{
    state->registers = (uintptr_t *)context->uc_mcontext.gregs;
    state->register_count = REG_RIP;
}

static int get_access(const ucontext_t *context, uintptr_t address)
{
    greg_t error = context->uc_mcontext.gregs[REG_ERR];

    (void)address;
    return error & ERROR_FETCH ? VM_EXEC : error & ERROR_WRITE ? VM_WRITE : VM_READ;
}

#else
#error "libvm knows RISC-V and x86-64"
#endif

/* --- The signal ------------------------------------------------------------------------------------------------------
 */

/* Not ours. Who is not there gets the default: the instruction faults again, or the signal comes again, and is fatal.
 */
static void pass_on(int signo, siginfo_t *info, void *context)
{
    struct sigaction fatal = {.sa_handler = SIG_DFL};

    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(signo, info, context);
    } else if (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN) {
        sigaction(SIGSEGV, &fatal, NULL);
        if (info->si_code <= 0)
            raise(SIGSEGV);
    } else {
        before.sa_handler(signo);
    }
}

static void on_fault(int signo, siginfo_t *info, void *opaque)
{
    ucontext_t *context = opaque;
    struct vmtrap_range changes[VM_FAULT_RANGES];
    struct fault_state state = {.changes = changes};
    struct vm_fault fault;
    int saved = errno;
    bool is_fault = info->si_code == SEGV_ACCERR || info->si_code == SEGV_MAPERR;

    /* A fault of a handler's that Quire's trap entered is nobody's. */
    if (is_fault && !quire_is_busy()) {
        get_registers(context, &state);
        fault.address = info->si_addr;
        fault.cause = info->si_code == SEGV_ACCERR ? VM_PROTECTION : VM_MISSING;
        fault.pc = get_pc(context);
        fault.access = get_access(context, (uintptr_t)info->si_addr);
        fault.state = &state;
        self.mask = context->uc_sigmask;
        self.in_handler = true;
        if (shadow_fault(&fault) || log_fault(&fault)) {
            self.in_handler = false;
            errno = saved;
            return;
        }
        if (vm_call_handler(&fault)) {
            vm_apply_changes(&state);
            set_pc(context, fault.pc);
            self.in_handler = false;
            errno = saved;
            return;
        }
        self.in_handler = false;
    }
    errno = saved;
    pass_on(signo, info, context);
}

int vm_signals_start(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    int error = 0;

    if (atomic_load(&started))
        return 0;
    sigfillset(&action.sa_mask);
    pthread_mutex_lock(&lock);
    if (!atomic_load(&started)) {
        /* Once for `before` alone: a fault right after the second call already finds it. */
        if (sigaction(SIGSEGV, NULL, &before) || sigaction(SIGSEGV, &action, NULL))
            error = errno;
        else
            atomic_store(&started, true);
    }
    pthread_mutex_unlock(&lock);
    return error;
}

bool vm_signals_leave_handler(void)
{
    if (!self.in_handler)
        return false;
    self.in_handler = false;
    pthread_sigmask(SIG_SETMASK, &self.mask, NULL);
    return true;
}

/* --- Threads ---------------------------------------------------------------------------------------------------------
 */

int vm_signals_enter(void)
{
    size_t page = vm_page_size(), bytes = vm_stack_bytes() + getauxval(AT_MINSIGSTKSZ);
    stack_t stack;
    char *memory;

    if (self.stack)
        return 0;
    bytes = ((bytes + page - 1) & -page) + page;
    memory = vm_pages(bytes);
    if (!memory)
        return -1;
    mprotect(memory, page, PROT_NONE);
    stack = (stack_t){.ss_sp = memory + page, .ss_size = bytes - page};
    if (sigaltstack(&stack, &self.before)) {
        vm_pages_free(memory, bytes);
        return -1;
    }
    self.stack = memory;
    self.bytes = bytes;
    return 0;
}

void vm_signals_leave(void)
{
    if (!self.stack || vm_is_on(self.stack, self.bytes))
        return;
    if (self.before.ss_flags & SS_DISABLE)
        self.before = (stack_t){.ss_flags = SS_DISABLE};
    self.before.ss_flags &= ~SS_ONSTACK;
    sigaltstack(&self.before, NULL);
    vm_pages_free(self.stack, self.bytes);
    self.stack = NULL;
}
