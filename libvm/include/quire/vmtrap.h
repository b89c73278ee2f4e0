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
#define VMTRAP_RESUME                                                                                               \
    1025                    /* (n): area->ranges[0..n) are protected, or one page (VMTRAP_PAGE), then the registers \
                               are the area's again */
#define VMTRAP_ARM 1026     /* (start, length, what): a sum of the following, or 0 */
#define VMTRAP_PROTECT 1027 /* (ranges, n): how many were done */
#define VMTRAP_DIRTY 1028   /* (struct vmtrap_dirty *): how many runs were found */
#define VMTRAP_LOG 1029     /* (number, struct vmtrap_log *, entries): 0: a new log's number; entries 0: closes it */
#define VMTRAP_CALLS 6

/* What VMTRAP_ARM makes of a range; 0: memory like any other. */
#define VMTRAP_FAULTS 1                 /* forbidden accesses in user mode enter the thread's handler */
#define VMTRAP_TRACK 2                  /* VMTRAP_DIRTY tells of it; all of it is clean now */
#define VMTRAP_KEEP 4                   /* with VMTRAP_TRACK: what is dirty of a tracked range stays so */
#define VMTRAP_LOGGED(log) ((log) << 8) /* a store to a page that may only be read opens and logs it */
#define VMTRAP_LOGS 8

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

/* What VMTRAP_RESUME is given instead of a number when all there is to change is the page at START: this is quicker. */
#define VMTRAP_PAGE(start, prot) ((uint64_t)(start) | (uint64_t)(prot))

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

/* Where VMTRAP_DIRTY looks, and what it finds: runs of pages that were stored to since they were armed with
 * VMTRAP_TRACK or last found with VMTRAP_REARM. Pages that are not there any more are not found. */
#define VMTRAP_REARM 1 /* what is found is clean from now on */
struct vmtrap_dirty {
    uint64_t ranges, n_ranges; /* struct vmtrap_range *: where to look; prot does not matter */
    uint64_t found, max;       /* struct vmtrap_range *: room for so many runs, in order; prot is 0 */
    uint64_t flags;
    uint64_t range, address; /* in: begin in ranges[range], at this address or (0) at its start; out: where to go on.
                                The end is range == n_ranges */
};

/*
 * A log of stores: a ring in the program's memory, zeros at the beginning. Entry i % entries is the address of the i-th
 * page that was opened. The kernel takes the place at `head` first and fills it in then: an entry of 0 is about to
 * come. Who reads sets it to 0 again and advances `tail`. A page may be logged twice if threads store to it at once.
 * When the ring is full the store is a forbidden access like any other.
 */
struct vmtrap_log {
    uint32_t head; /* the kernel's */
    uint32_t tail; /* the program's */
    uint64_t unused[7];
    /* uint64_t entries[], a power of two, at most 2^20: VMTRAP_ENTRIES */
};

#define VMTRAP_ENTRIES(log) ((uint64_t *)((log) + 1))
#define VMTRAP_LOG_SIZE(entries) (sizeof(struct vmtrap_log) + (entries) * sizeof(uint64_t))

#ifdef __cplusplus
#define VMTRAP_ASSERT(what) static_assert(what, "the layout that the kernel knows")
#else
#define VMTRAP_ASSERT(what) _Static_assert(what, "the layout that the kernel knows")
#endif
VMTRAP_ASSERT(sizeof(struct vmtrap_range) == 24);
VMTRAP_ASSERT(offsetof(struct vmtrap_area, pc) == 8 && offsetof(struct vmtrap_area, x) == 16);
VMTRAP_ASSERT(offsetof(struct vmtrap_area, f) == 272 && offsetof(struct vmtrap_area, fcsr) == 528);
VMTRAP_ASSERT(offsetof(struct vmtrap_area, ranges) == 536 && offsetof(struct vmtrap_area, program) == 920);
VMTRAP_ASSERT(sizeof(struct vmtrap_dirty) == 56 && sizeof(struct vmtrap_log) == 64);
VMTRAP_ASSERT(sizeof(struct vmtrap_area) <= VMTRAP_AREA_SIZE);

#ifdef __cplusplus
}
#endif

#endif
