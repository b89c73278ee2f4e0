/* User traps for the tests: the calls in one line each, and a stub that calls a C function. */
#ifndef TESTS_GUEST_VMTRAP_H
#define TESTS_GUEST_VMTRAP_H

#include "tap.h"

#include "libvm/include/quire/vmtrap.h"
#include <pthread.h>
#include <ucontext.h>

#define RW (PROT_READ | PROT_WRITE)

/* The handler is a function of the area, the address, the cause and the pc; it returns the number of ranges for resume.
 * Where it goes is in the area: program[0]. The stub keeps no more registers than the kernel does. */
typedef uint64_t trap_function(struct vmtrap_area *area, uintptr_t address, uint64_t cause, uintptr_t pc);
extern char trap_entry[];
#ifdef __riscv
__asm__(".text\n.globl trap_entry\n.balign 4\n"
        "trap_entry:\n"
        "    ld t0, 920(a0)\n"
        "    jalr t0\n"
        "    li a7, 1025\n"
        "    ecall\n"
        "    ebreak\n"); /* what resume cannot do is a bug of the test */
#endif

static __thread struct vmtrap_area *trap_area;
static __thread char *trap_stack;
#define TRAP_STACK 65536UL

UNUSED static int has_vmtrap(void) { return syscall(VMTRAP_ARM, 0, 0, 0) == 0; }

UNUSED static int trap_register(trap_function *function)
{
    if (trap_area == NULL) {
        trap_area = anon(PAGE, RW);
        trap_stack = anon(TRAP_STACK, RW);
    }
    trap_area->program[0] = (uintptr_t)function;
    return (int)syscall(VMTRAP_REGISTER, trap_area, trap_entry, trap_stack + TRAP_STACK, 0);
}

UNUSED static void trap_unregister(void)
{
    syscall(VMTRAP_REGISTER, 0, 0, 0, 0);
    if (trap_area == NULL)
        return;
    munmap(trap_area, PAGE);
    munmap(trap_stack, TRAP_STACK);
    trap_area = NULL;
}

UNUSED static int trap_arm(void *at, size_t length) { return (int)syscall(VMTRAP_ARM, at, length, VMTRAP_FAULTS); }

/* What changes the one range: as a range, or, where that is possible, every other time as a page. */
UNUSED static uint64_t resume_with(struct vmtrap_area *area, void *at, size_t length, int prot)
{
    static _Thread_local unsigned turn;

    if (length == PAGE && ((uintptr_t)at & (PAGE - 1)) == 0 && (uintptr_t)at != 0 && turn++ & 1)
        return VMTRAP_PAGE(at, prot);
    area->ranges[0] = (struct vmtrap_range){(uintptr_t)at, length, (uint64_t)prot};
    return 1;
}

static void vmtrap_test(void);
UNUSED static void vmtrap_body(void)
{
    if (has_vmtrap())
        vmtrap_test();
    else
        skip("user traps", "this kernel has none");
}

#endif
