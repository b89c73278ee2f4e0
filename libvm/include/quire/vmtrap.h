/*
 * User traps: Quire's direct way for programs that handle their own page faults. Numbers, structures and what they
 * mean; docs/vmtrap.md tells the rules, vmtrap(2) the calls and their errors. For C and C++; other kernels answer all
 * of the calls with ENOSYS.
 *
 *     faulting code            kernel                        handler
 *     store -- page fault -->  registers to the save area
 *                              busy = cause           -->    entry(area, address, cause, pc)
 *                                                              ... opens the page, or leaves it to resume ...
 *     store again       <--    registers from the area <--   resume(n): with n changes of protection
 */
#ifndef QUIRE_VMTRAP_H
#define QUIRE_VMTRAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Numbers of the calls: a7; arguments, result and -errno as with all system calls. */
#define VMTRAP_REGISTER 1024 /* (area, entry, stack, flags): this thread's; area NULL: none any more */
#define VMTRAP_RESUME 1025   /* (n): area->ranges[0..n) are protected, then the registers are the area's again */
#define VMTRAP_ARM 1026      /* (start, length, what): VMTRAP_FAULTS, a log's number, or 0 */
#define VMTRAP_PROTECT 1027  /* (ranges, n): how many were done */
#define VMTRAP_DIRTY 1028    /* (struct vmtrap_dirty *): how many ranges were found */
#define VMTRAP_LOG 1029      /* (struct vmtrap_log *, entries, flags): a number for VMTRAP_ARM; entries 0: closes it */
#define VMTRAP_CALLS 6

/* What VMTRAP_ARM makes of forbidden accesses in user mode. 0: SIGSEGV again. */
#define VMTRAP_FAULTS 1 /* the handler of the thread is entered */

/* Why the handler runs: RISC-V's scause. */
enum vmtrap_cause {
    VMTRAP_FETCH = 12,
    VMTRAP_LOAD = 13,
    VMTRAP_STORE = 15, /* atomic operations, too */
};

/* A change of protection: PROT_* as for mprotect(2). Start and length in bytes. */
struct vmtrap_range {
    uint64_t start, length, prot;
};

#define VMTRAP_RANGES 16
#define VMTRAP_AREA_SIZE 1024 /* and its alignment */

/*
 * A thread's save area, in its own readable and writable memory. While a handler runs it has those registers of the
 * interrupted code that a C function may change; the others (s0 to s11, gp, tp) are still live in the hart when the
 * handler is entered, and have to be there again at the resume. Which values a resume finds in the area is the
 * program's affair.
 */
struct vmtrap_area {
    uint64_t busy; /* a vmtrap_cause while a handler runs, else 0. A program may clear it: the handler is left then */
    uint64_t pc;
    uint64_t x[32]; /* x1 (ra), x2 (sp), x5-x7, x10-x17, x28-x31; the kernel leaves the others alone */
    uint64_t f[32]; /* floating point, if the handler has used it: fp_saved */
    uint32_t fcsr;
    uint32_t fp_saved;
    struct vmtrap_range ranges[VMTRAP_RANGES]; /* for VMTRAP_RESUME */
    uint64_t program[7];                       /* the kernel never looks at these */
};

#ifdef __cplusplus
#define VMTRAP_ASSERT(what) static_assert(what, "the layout that the kernel knows")
#else
#define VMTRAP_ASSERT(what) _Static_assert(what, "the layout that the kernel knows")
#endif
VMTRAP_ASSERT(sizeof(struct vmtrap_range) == 24);
VMTRAP_ASSERT(offsetof(struct vmtrap_area, pc) == 8 && offsetof(struct vmtrap_area, x) == 16);
VMTRAP_ASSERT(offsetof(struct vmtrap_area, f) == 272 && offsetof(struct vmtrap_area, fcsr) == 528);
VMTRAP_ASSERT(offsetof(struct vmtrap_area, ranges) == 536 && offsetof(struct vmtrap_area, program) == 920);
VMTRAP_ASSERT(sizeof(struct vmtrap_area) <= VMTRAP_AREA_SIZE);

#ifdef __cplusplus
}
#endif

#endif
