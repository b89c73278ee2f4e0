/* What a thread has to do with user traps (docs/vmtrap.md). vm/vmtrap.h tells what is remembered; entry.S knows the
 * offsets. */
#ifndef SCHED_TRAP_STATE_H
#define SCHED_TRAP_STATE_H

#include "lib/types.h"

struct page;
struct trap_hint;
struct vmtrap_area;
struct trap_log_state {   /* the log of stores that was used last, vm/vmtrap_log.c; of generation `noted`, too */
    const u64 *ring_pte;  /* as long as this entry is */
    u64 ring_entry;       /* ... this, */
    u64 *ring;            /* head and tail are here, by the kernel's address */
    u32 mask, number;     /* entries - 1, a power of two less one; number 0: none */
    const u64 *slots_pte; /* the same of one page with entries: */
    u64 slots_entry;
    char *slots;      /* it begins at this address of the kernel's, */
    u64 slots_from;   /* which is so many bytes behind the first entry, or (negative) before */
    bool in_one_page; /* all of the ring */
};

/* Where entry.S goes with a trap of user mode that is no call. */
enum trap_way {
    TRAP_WAY_LONG,
    TRAP_WAY_FAULTS,         /* looks whether it is the handler's */
    TRAP_WAY_STORES,         /* looks whether it is a store for the log, whose ring lies in one page; then that */
    TRAP_WAY_STORES_TO_RING, /* the same of rings of any size */
    TRAP_WAYS,
};

struct trap_state {
    u64 generation;                /* 0: of what follows up to `area`, nothing is known */
    const u64 *current_generation; /* the space's; never NULL */
    const u64 *area_pte;           /* the page-table entry of the save area */
    u64 area_entry;                /* ... and what it was */
    struct vmtrap_area *area;      /* the kernel's address */
    struct trap_hint *hints;       /* NULL: none yet; they are of generation `noted` */
    u64 user_area;                 /* 0: the thread has no handler */
    u64 entry, stack;              /* of the handler */
    u64 status;                    /* FS of sstatus before the handler, while that is off and the hart has the state */
    u64 way;                       /* an enum trap_way's address */
    u64 fault_sum, store_sum;      /* generation and cause in one: entry.S tells */
    const struct page *pages;      /* page_array, at hand; */
    u64 alone;                     /* refs_and_flags of pages that are; */
    u64 asid;                      /* the space's */
    struct trap_log_state log;
    u64 noted;
    u32 hinted;    /* which hints are not all zero */
    bool fp_saved; /* the area has the interrupted code's floating point */
    u8 fp_habit;   /* so many more handlers are taken to use it: proc/vmtrap.c */
};

#endif
