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

/* A handler that opens the page, and counts. */
static volatile long trap_count;
UNUSED static uint64_t trap_open(struct vmtrap_area *area, uintptr_t address, uint64_t cause UNUSED,
                                 uintptr_t pc UNUSED)
{
    trap_count++;
    return resume_with(area, (void *)(address & -PAGE), PAGE, RW);
}

#ifdef __riscv
/* Every register has a value of its own before a store that traps; wrong ones come back as bits. */
UNUSED static uint64_t registers_across_trap(char *at)
{
    register uint64_t wrong __asm__("a0") = (uintptr_t)at;

    __asm__ volatile(
        "addi sp, sp, -16\nsd ra, 0(sp)\n"
        "li ra, 1\nli t0, 5\nli t1, 6\nli t2, 7\nli a1, 11\nli a2, 12\nli a3, 13\nli a4, 14\nli a5, 15\n"
        "li a6, 16\nli a7, 17\nli s2, 18\nli s3, 19\nli s4, 20\nli s5, 21\nli s6, 22\nli s7, 23\nli s8, 24\n"
        "li s9, 25\nli s10, 26\nli s11, 27\nli t3, 28\nli t4, 29\nli t5, 30\nli t6, 31\n"
        "sd t6, 0(a0)\n"
        "ld a0, 0(a0)\naddi a0, a0, -31\n"
        ".macro check reg, want\naddi \\reg, \\reg, -\\want\nor a0, a0, \\reg\n.endm\n"
        "check ra, 1\ncheck t0, 5\ncheck t1, 6\ncheck t2, 7\ncheck a1, 11\ncheck a2, 12\ncheck a3, 13\n"
        "check a4, 14\ncheck a5, 15\ncheck a6, 16\ncheck a7, 17\ncheck s2, 18\ncheck s3, 19\ncheck s4, 20\n"
        "check s5, 21\ncheck s6, 22\ncheck s7, 23\ncheck s8, 24\ncheck s9, 25\ncheck s10, 26\ncheck s11, 27\n"
        "check t3, 28\ncheck t4, 29\ncheck t5, 30\ncheck t6, 31\n"
        "ld ra, 0(sp)\naddi sp, sp, 16\n"
        : "+r"(wrong)
        :
        : "memory", "t0", "t1", "t2", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7",
          "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6");
    return wrong;
}
#endif

static void vmtrap_test(void);
UNUSED static void vmtrap_body(void)
{
    if (has_vmtrap())
        vmtrap_test();
    else
        skip("user traps", "this kernel has none");
}

#endif
