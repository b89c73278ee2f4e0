/*
 * vm.h - a program's own powers over its memory: the primitives of Appel & Li.
 *
 *     TRAP     vm_trap              a fault on a protected page calls a function of the program
 *     PROT1    vm_protect           changes the protection of one page or range
 *     PROTN    vm_protect_ranges    of many, at the price of one
 *     UNPROT   vm_fault_protect     opens what a fault was about, together with the return from the handler
 *     DIRTY    vm_track, vm_dirty   which pages were stored to since; vm_log_open: which were, in order, without traps
 *     MAP2     vm_map2              two views of the same memory with protections of their own
 *     BUDGET   vm_budget_open       a region of which only some pages are in memory
 *
 * One interface, two ways below it, chosen when the first trap is set:
 *
 *     "quire"    Quire's user traps (docs/vmtrap.md): the kernel enters the handler directly
 *     "signals"  SIGSEGV, mprotect, memfd, userfaultfd and PAGEMAP_SCAN: Linux, and Quire when the environment has
 *                VM_BACKEND=signals
 *
 * Conventions. A function that returns int gives 0, or -1 with errno. START and LENGTH are in bytes; where pages are meant
 * START must be a multiple of vm_page_size(), LENGTH is rounded up to one, and zero or an overflow is EINVAL. PROT is made
 * of PROT_NONE, PROT_READ, PROT_WRITE and PROT_EXEC of <sys/mman.h>. All functions may be called by several threads at
 * once, on different or the same memory. Those marked [handler] may also be called by a handler. Link with -pthread.
 *
 * What a system call does to a trapped page is not trapped: read(2) into one fails with EFAULT.
 *
 * Source: A. W. Appel, K. Li, "Virtual Memory Primitives for User Programs", ASPLOS 1991.
 */
#ifndef VM_H
#define VM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/types.h>

#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of a page, a power of two. [handler] */
size_t vm_page_size(void);

/* "quire" or "signals": how faults come. A constant. [handler] */
const char *vm_backend(void);

/* How vm_track finds stores: "quire", "pagemap-scan" or "mprotect"; VM_DIRTY in the environment may name one. A constant. [handler] */
const char *vm_dirty_backend(void);

/* --- Memory ---------------------------------------------------------------------------------------------------------- */

/*
 * LENGTH bytes of private memory, zero, with protection PROT. Physical memory comes page by page with the first touch,
 * and is not reserved: LENGTH may be far more than there is. NULL with errno: EINVAL, ENOMEM.
 */
void *vm_alloc(size_t length, int prot);

/*
 * Ends what vm_alloc, vm_map2 or vm_map_file2 made, or a part of it, and the traps on it; tracking, logs and budgets must have
 * been ended before. EINVAL.
 */
int vm_free(void *start, size_t length);

/*
 * The same fresh LENGTH bytes, zero, at two places: *VIEW1 with PROT1, *VIEW2 with PROT2. Protections, traps and tracking are per
 * view. Give each back with vm_free. Children made by fork share the memory. EINVAL, ENOMEM, EMFILE, ENFILE.
 */
int vm_map2(size_t length, int prot1, void **view1, int prot2, void **view2);

/*
 * The same for LENGTH bytes of the file FD from OFFSET, a multiple of the page size; stores reach the file. FD may be closed
 * afterwards. Errors as mmap(2): EACCES, EBADF, EINVAL, ENODEV, ENOMEM, EOVERFLOW.
 */
int vm_map_file2(int fd, off_t offset, size_t length, int prot1, void **view1, int prot2, void **view2);

/*
 * The content of a range of vm_alloc, vm_map2 or vm_map_file2 is not needed any more: its physical memory is given back, it reads as zero (what vm_map_file2 made: as
 * the hole that the file has now), protections stay. Of memory with two views both change. [handler] EINVAL, ENOMEM (a hole in
 * the range).
 */
int vm_discard(void *start, size_t length);

/* --- TRAP ------------------------------------------------------------------------------------------------------------ */

/* Kinds of access: fault->access is one of them. The numbers are RISC-V's of the exceptions. */
#define VM_EXEC 12
#define VM_READ 13
#define VM_WRITE 15 /* also of instructions that read and write */

/* Causes. */
#define VM_PROTECTION 0 /* the page's protection forbids the access */
#define VM_MISSING 1    /* nothing is mapped there */

/* A fault, valid until the handler returns or leaves. */
struct vm_fault {
    void *address; /* that was accessed, exactly, not rounded to a page */
    int access;    /* VM_READ, VM_WRITE or VM_EXEC */
    int cause;     /* VM_PROTECTION or VM_MISSING */
    void *pc;      /* of the instruction; another value stored here is where the thread goes on */
    void *state;   /* of the back end: for vm_fault_register and its like */
};

typedef void vm_handler(struct vm_fault *fault, void *argument);

/*
 * From now on an access to [START, START + LENGTH) that the page's protection forbids calls HANDLER(fault, ARGUMENT) in the
 * thread that made it, on that thread's handler stack. When HANDLER returns, the access is tried again; so it has either
 * opened the page (vm_fault_protect, vm_protect) or changed fault->pc. The range must be mapped, and private or shared
 * memory of any kind; it keeps its protection. Traps that it had in this range are replaced.
 *
 * HANDLER runs between two instructions of the program: it must not take a lock that the interrupted code may hold, so no
 * malloc and no stdio unless the program never touches trapped memory inside them. It may take locks of its own. errno is
 * kept for the program. Other threads run on and may fault on the same page meanwhile: their handlers run at the same time,
 * and one that finds the page already open simply returns. A fault inside a handler, in trapped memory or not, is an ordinary
 * SIGSEGV: the program ends. Signals: the way by signals holds all back while a handler runs; on Quire they may interrupt it,
 * so a signal's handler that touches trapped memory should be blocked by sigprocmask(2) where that can happen.
 * It may leave by siglongjmp or longjmp, after vm_leave_handler.
 *
 * EINVAL; ENOMEM: not mapped, or no memory for the table of ranges. Costs grow with the number of trapped ranges: trap
 * one large range rather than many small ones.
 */
int vm_trap(void *start, size_t length, vm_handler *handler, void *argument);

/* No traps in the range any more. Handlers that run already may still be running. EINVAL, ENOMEM. */
int vm_untrap(void *start, size_t length);

/*
 * The calling thread gets a stack for handlers and, on Quire, its save area. The thread that calls vm_trap first has
 * entered by that. A thread that has not entered is trapped too, but through SIGSEGV on its own stack: slower on Quire, and not
 * where its stack itself overflows. Entering twice is allowed. ENOMEM.
 */
int vm_thread_enter(void);

/* Gives back what the calling thread got; not in a handler. A thread that ends does it by itself, but for one that ends in a
 * handler: its stack stays. */
void vm_thread_leave(void);

/* Bytes of the stacks that later vm_thread_enter calls make; 64 KiB without. EINVAL: fewer than 16 KiB. */
int vm_handler_stack(size_t bytes);

/* A handler that will not return, but longjmp away, calls this just before. vm_fault_protect's changes are dropped. [handler] */
void vm_leave_handler(void);

/* How many vm_fault_protect calls one handler may make. */
#define VM_FAULT_RANGES 8

/*
 * When the handler of FAULT returns, [START, START + LENGTH) gets protection PROT: on Quire within the kernel entry that ends the
 * handler. Changes are applied in the order of the calls; one that is not possible then is left out with those after it. [handler]
 * EINVAL; ENOSPC: more than VM_FAULT_RANGES. vm_fault_protect_any is the same as a function, for languages that have no C headers.
 */
static inline int vm_fault_protect(struct vm_fault *fault, void *start, size_t length, int prot);
int vm_fault_protect_any(struct vm_fault *fault, void *start, size_t length, int prot);

/* Most often one page is all: its address and protection are the first word of what is behind `state`. */
static inline int vm_fault_protect(struct vm_fault *fault, void *start, size_t length, int prot)
{
    uintptr_t *resume = (uintptr_t *)fault->state;

    if (length == 4096 && (uintptr_t)start % 4096 == 0 && start && !(prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC)) &&
        *resume == 0) {
        *resume = (uintptr_t)start | (uintptr_t)prot;
        return 0;
    }
    return vm_fault_protect_any(fault, start, length, prot);
}

/* The trapped program's register: x0 to x31 on RISC-V, as gregs[NUMBER] elsewhere; 0 for a bad number. [handler] */
uintptr_t vm_fault_register(const struct vm_fault *fault, int number);

/* Changes it, from when the handler returns. EINVAL: no such register, or x0, gp, tp. [handler] */
int vm_fault_set_register(struct vm_fault *fault, int number, uintptr_t value);

/*
 * Bytes of the instruction at fault->pc: a handler that does the access in the program's stead adds them to fault->pc.
 * 0 where they are not known (not RISC-V). [handler]
 */
size_t vm_fault_length(const struct vm_fault *fault);

/* --- PROT1, PROTN, UNPROT -------------------------------------------------------------------------------------------- */

struct vm_range {
    void *start;
    size_t length; /* bytes */
    int prot;      /* for vm_protect_ranges */
};

/* [START, START + LENGTH) gets protection PROT. [handler] EINVAL, EACCES, ENOMEM as mprotect(2). */
int vm_protect(void *start, size_t length, int prot);

/*
 * Each of COUNT ranges gets its protection, as vm_protect in the order given; on Quire in one call with one interruption of the other
 * processors. On an error those before the bad one are done. [handler]
 */
int vm_protect_ranges(const struct vm_range *ranges, size_t count);

/* --- DIRTY ----------------------------------------------------------------------------------------------------------- */

/*
 * From now on stores to [START, START + LENGTH) are noticed; all its pages are clean. Private anonymous memory or one view of
 * vm_map2; only stores through this view count. While it lasts, change protections in the range with the functions here, not
 * with mprotect(2), and do not call fork for a child that goes on using the range. A handler that runs while this is called must not
 * open pages of the range by vm_fault_protect: stores that follow could be missed. EINVAL, ENOMEM, EBUSY: overlaps with
 * another tracked range or log.
 */
int vm_track(void *start, size_t length);

/* Ends it, START being what vm_track got. EINVAL: not tracked. */
int vm_untrack(void *start);

#define VM_REARM 1 /* what is reported is clean from then on */

/*
 * Finds pages in [START, START + LENGTH), all inside one tracked range, that were stored to since vm_track or since they were last
 * re-armed; pages discarded meanwhile may be among them or not. Up to MAX ranges (maximal, but cut where OUT was full)
 * of such pages go to OUT, upwards; prot is 0. Returns how many; *NEXT, if NEXT is
 * not NULL, becomes where to go on: START + LENGTH when all was looked at. With VM_REARM exactly the reported pages become
 * clean, each in one step: a store by another thread is either before it, and in the page, or reported the next time.
 * Pages never stored to cost little. -1 with errno: EINVAL.
 *
 *     for (void *at = start; at != end;) {
 *         ssize_t n = vm_dirty(at, (char *)end - (char *)at, ranges, 64, VM_REARM, &at);
 *         ...
 *     }
 */
ssize_t vm_dirty(void *start, size_t length, struct vm_range *out, size_t max, int flags, void **next);

/* --- A log of first stores -------------------------------------------------------------------------------------------- */

struct vm_log;

/*
 * Arms all pages of [START, START + LENGTH): the first store to each is let through and its page recorded, once, in a ring
 * of at least ENTRIES, without a handler of the program. The range's pages must be readable and writable. With ENTRIES of at
 * least the number of pages the log cannot be full as long as it is read before pages are armed again; a store that finds
 * it full is let through and counted as lost. NULL with errno: EINVAL, ENOMEM, EBUSY: tracked or logged already.
 */
struct vm_log *vm_log_open(void *start, size_t length, size_t entries);

/* Takes up to MAX pages' addresses out of the log, oldest first, to PAGES; returns how many. One thread at a time. */
ssize_t vm_log_read(struct vm_log *log, void **pages, size_t max);

/* How many stores found the log full since it was opened; then the log is not complete, and only a new one is. */
size_t vm_log_lost(const struct vm_log *log);

/* Arms these pages again: those that lie in the ranges and have been recorded. EINVAL: not in the log's range. */
int vm_log_rearm(struct vm_log *log, const struct vm_range *ranges, size_t count);

/* All pages are open again; LOG is gone. */
int vm_log_close(struct vm_log *log);

/* --- BUDGET ---------------------------------------------------------------------------------------------------------- */

/*
 * Where the content of a budgeted region comes from and goes to. PAGE counts from 0; TO and FROM are vm_page_size() bytes, in the
 * library's own view, never in the region. Both run in the thread that faulted (evict also in one that calls
 * vm_budget_flush or _resize), inside a handler, so the rules for handlers hold: no malloc that other code uses with region
 * memory, and no access to the region. Cancellation is held back; a signal's handler that interrupts them (on Quire) must return.
 * Several threads may be in them at once, never two for the same page. They must return: no longjmp.
 * Both return 0, or an errno: then see vm_budget_open.
 */
struct vm_pager {
    int (*fetch)(void *argument, size_t page, void *to); /* fills TO, which holds anything; NULL: fresh pages are zero */
    int (*evict)(void *argument, size_t page, const void *from, int dirty); /* FROM leaves memory; NULL: clean is dropped,
                                                                                and dirty too: for what can be computed */
    void *argument;
};

/* Counted since the region was made. */
struct vm_budget_stats {
    uint64_t faults;         /* traps taken in the region */
    uint64_t fetches;        /* calls of fetch that succeeded */
    uint64_t evictions;      /* pages taken out of memory */
    uint64_t dirty_evictions; /* of them, those with changes: evict had `dirty` set */
    uint64_t rescues;        /* pages closed as candidates that were used again before they were taken */
    uint64_t failures;       /* of fetch and evict */
    size_t resident;         /* pages in memory now */
    size_t most;             /* the most there ever were: at most RESIDENT of vm_budget_open */
};

/*
 * A region of PAGES pages, of which at most RESIDENT (at least VM_BUDGET_LEAST and no fewer than the threads that use the
 * region at once, times the pages one instruction touches) are in memory. The first touch of a page calls fetch, on a second view, and only then
 * is the page opened: other threads never see half of it. When the budget is full the page that was longest not used (second chance, by protection)
 * is closed first, so no thread can store to it any more, then handed to evict, then dropped. A page fetched by a load is
 * opened for loads only; the first store to it marks it dirty. Evict is called for clean pages as well, with dirty 0, unless
 * the page was fetched and its copy outside is as good: pagers simply return 0.
 *
 * A region belongs to the process that opened it: a child of fork must not use it.
 *
 * When evict fails the page stays, and another is tried; when all candidates fail, or fetch fails, the handler of
 * vm_budget_on_error runs, without one SIGBUS ends the program.
 * NULL with errno: EINVAL, ENOMEM, EMFILE.
 */
#define VM_BUDGET_LEAST 4
struct vm_budget;
struct vm_budget *vm_budget_open(size_t pages, size_t resident, const struct vm_pager *pager);

/* The region's first byte, for loads and stores by any thread. [handler] */
void *vm_budget_base(const struct vm_budget *budget);

/*
 * ON_ERROR(argument, page, error) is called in the faulting thread, in its handler, when PAGE cannot be brought in because of ERROR. It may
 * vm_leave_handler and longjmp, or exit; when it returns, the access is tried again.
 */
void vm_budget_on_error(struct vm_budget *budget, void (*on_error)(void *argument, size_t page, int error), void *argument);

void vm_budget_stats(struct vm_budget *budget, struct vm_budget_stats *stats);

/* From now on at most RESIDENT pages; what is too much is evicted. EINVAL; what evict failed with: those pages stayed. */
int vm_budget_resize(struct vm_budget *budget, size_t resident);

/*
 * Every dirty page is handed to evict, with dirty 1, and stays in memory, clean. Stores by others meanwhile wait. The first
 * error of evict's, in errno; the others are tried all the same.
 */
int vm_budget_flush(struct vm_budget *budget);

/* PAGES from FIRST on are not needed: dropped without evict; the next touch fetches. EINVAL. */
int vm_budget_drop(struct vm_budget *budget, size_t first, size_t pages);

/* The region goes without evict: vm_budget_flush first for what is to be kept. No thread may use it any more. */
void vm_budget_close(struct vm_budget *budget);

#ifdef __cplusplus
}
#endif
#ifdef __GNUC__
#pragma GCC visibility pop
#endif

#endif
