/*
 * What the files of libvm share. Nothing here is for programs: their header is vm.h.
 *
 *     memory.c          vm_alloc, vm_map2, vm_discard
 *     areas.c           tables of ranges that handlers can search at any time
 *     fault.c           from a fault, however it came, to the handler of its range; vm_fault_...
 *     signals.c         faults as SIGSEGV; stacks for handlers
 *     quire.c, upcall.S faults as Quire's upcalls
 *     registers.c       vm_fault_register and its like
 *     decode.c          RISC-V: does this instruction load or store?
 *     protect.c         vm_protect, vm_protect_ranges
 *     track.c           who stored: ways to know, and vm_track, vm_dirty
 *     shadow.c          the way by mprotect, which needs nothing of the kernel; logs by it
 *     pagemap.c         the way by PAGEMAP_SCAN and userfaultfd
 *     log.c             vm_log_..., by a shadow or by Quire's logs
 *     budget.c          vm_budget_...
 */
#ifndef LIBVM_INTERNAL_H
#define LIBVM_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "vm.h"
#include "quire/vmtrap.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

/* The library can be part of what is loaded before a program: its thread-local variables need no allocation then. */
#define THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))

#define PAGE_BYTES 4096UL /* on both machines that the library knows */

/* Sets errno, returns -1: `return fail(EINVAL);` */
int vm_fail(int error);

/* LENGTH rounded up to pages, 0 when START is not at a page's begin, LENGTH is 0 or the end is past the address space.
 */
static inline size_t vm_whole_pages(const void *start, size_t length)
{
    size_t rounded = (length + PAGE_BYTES - 1) & -PAGE_BYTES;

    if ((uintptr_t)start % PAGE_BYTES != 0 || rounded < length || (uintptr_t)start + rounded < (uintptr_t)start)
        return 0;
    return rounded;
}

static inline bool vm_is_protection(int prot) { return (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC)) == 0; }

/* Memory for the library's own tables, zero, not from malloc; NULL with ENOMEM. */
void *vm_pages(size_t bytes);
void vm_pages_free(void *at, size_t bytes);
/* The calling thread's stack is there. */
static inline bool vm_is_on(const char *memory, size_t bytes)
{
    return (uintptr_t)__builtin_frame_address(0) - (uintptr_t)memory < bytes;
}

/* --- Tables of ranges ------------------------------------------------------------------------------------------------
 */

struct area {
    uintptr_t start, end;
    vm_handler *handler;
    void *argument;
};

struct areas {
    _Atomic(struct areas_table *) current;
};

/* What was in [START, END) is out, then, with a HANDLER or ARGUMENT, AREA is in. 0 or an errno. */
int areas_change(struct areas *areas, const struct area *area);
/* Nothing is in the table: a quick look. */
static inline bool areas_empty(struct areas *areas)
{
    return atomic_load_explicit(&areas->current, memory_order_acquire) == NULL;
}
/* Counts publications of all tables: what was found is as it was while this is. Read it first, then search. */
extern atomic_ulong vm_generation;
static inline unsigned long areas_generation(void)
{
    return atomic_load_explicit(&vm_generation, memory_order_acquire);
}
/* The first area that ends above ADDRESS, copied; false when there is none. Takes no lock: for handlers. */
bool areas_next(struct areas *areas, uintptr_t address, struct area *found);
bool areas_find(struct areas *areas, uintptr_t address, struct area *found);
/* Between these two, what areas point to lives on if whoever frees it calls areas_quiesce after taking it out. */
void areas_enter(void);
void areas_leave(void);
void areas_quiesce(void);

extern struct areas vm_traps;
extern struct areas vm_shadows; /* argument: struct shadow */
extern struct areas vm_tracked; /* by the kernel; the argument only says that one is there */
extern struct areas vm_logs;    /* the kernel's; argument: struct vm_log */

/* --- Faults ----------------------------------------------------------------------------------------------------------
 */

/* Behind vm_fault.state. What the resume shall change is as VMTRAP_RESUME has it: 0, a number of `changes`, or a page
 * with its protection. */
struct fault_state {
    uint64_t resume;              /* vm.h knows that it is the first word */
    uintptr_t *registers;         /* of the interrupted code */
    struct vmtrap_range *changes; /* room for VM_FAULT_RANGES */
    int register_count;
};

/* Calls the handler of the fault's range. False: there is none. The caller applies state's changes and fault->pc. */
bool vm_call_handler(struct vm_fault *fault);

/* What vm_fault_protect asked for, one by one. */
void vm_apply_changes(struct fault_state *state);

/* VM_READ or VM_WRITE, by a RISC-V instruction's first 32 bits. */
int vm_decode_access(uint32_t instruction);
/* Its bytes: 2 or 4. */
size_t vm_decode_length(uint32_t instruction);

/* --- The two ways ----------------------------------------------------------------------------------------------------
 */

enum way { WAY_SIGNALS = 1, WAY_QUIRE };

enum way vm_way(void);

/* Quire's user traps: 0, or an errno for quire_arm, else -1 with errno. Only quire_arm may be called on other kernels.
 */
/* The kernel hears what the tables vm_traps, vm_tracked and vm_logs say of [START, END). CLEAN: tracking begins there.
 */
int quire_arm(uintptr_t start, uintptr_t end, bool clean);
bool quire_has_dirty(void);
ssize_t quire_dirty(uintptr_t start, uintptr_t end, struct vm_range *out, size_t max, bool rearm, uintptr_t *next);
int quire_enter(void);
void quire_leave(void);
/* A table has changed: no thread may go by what it remembers of the tables. */
void quire_forget(void);
/* No thread enters or leaves between these two. */
void quire_lock_threads(void);
void quire_unlock_threads(void);
bool quire_is_busy(void);
void quire_leave_handler(void);
long quire_protect(const struct vmtrap_range *ranges, size_t count);

/* SIGSEGV is ours from now on; idempotent. 0 or an errno. */
int vm_signals_start(void);
int vm_signals_enter(void);
void vm_signals_leave(void);
/* Before a longjmp out of a handler: false when it was not a signal that entered it. */
bool vm_signals_leave_handler(void);
size_t vm_stack_bytes(void);

/* A part of the range is tracked, or has a log, by whatever means. */
bool vm_is_tracked(uintptr_t start, size_t length);

/* --- Stores by mprotect ----------------------------------------------------------------------------------------------
 */

struct shadow;

/* Write-protects the range and notes its pages in the table. With ENTRIES, a log. NULL with errno. */
struct shadow *shadow_open(uintptr_t start, size_t length, size_t entries);
int shadow_close(struct shadow *shadow);
/* A fault: was it a store to an armed page? Then it is open now. */
bool shadow_fault(const struct vm_fault *fault);
/* mprotect of a range that may have shadows. */
int shadow_protect(uintptr_t start, size_t length, int prot);
/* Contract of vm_dirty; OUT may be in the range. */
ssize_t shadow_dirty(struct shadow *shadow, uintptr_t start, uintptr_t end, struct vm_range *out, size_t max,
                     bool rearm, uintptr_t *next);
int shadow_rearm(struct shadow *shadow, uintptr_t start, uintptr_t end);
ssize_t shadow_read(struct shadow *shadow, void **pages, size_t max);
size_t shadow_lost(const struct shadow *shadow);

/* --- Logs by the kernel ----------------------------------------------------------------------------------------------
 */

/* A forbidden store to a logged page: the log was full. The page is open then. */
bool log_fault(const struct vm_fault *fault);
/* The number of the log that an area of vm_logs is about. */
unsigned log_number(const void *argument);

/* --- Stores by PAGEMAP_SCAN ------------------------------------------------------------------------------------------
 */

/* Whether the kernel has what it takes; asks once. */
bool pagemap_works(void);
int pagemap_open(uintptr_t start, size_t length);
int pagemap_close(uintptr_t start, size_t length);
ssize_t pagemap_dirty(uintptr_t start, uintptr_t end, struct vm_range *out, size_t max, bool rearm, uintptr_t *next);

#endif
