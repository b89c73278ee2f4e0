/* What a thread has to do with user traps (docs/vmtrap.md). vm/vmtrap.h tells what is remembered; entry.S knows the
 * offsets. */
#ifndef SCHED_TRAP_STATE_H
#define SCHED_TRAP_STATE_H

#include "lib/types.h"

struct trap_hint;
struct vmtrap_area;
struct trap_log_state {      /* the log of stores that was used last, vm/vmtrap_log.c; of generation `noted`, too */
    u32 number, entries;     /* number 0: none */
    u64 user_entries;        /* where they begin */
    u64 *ring;               /* head and tail, by the kernel's address, as long as ... */
    const u64 *ring_pte;     /* this entry is */
    u64 ring_entry;          /* ... this */
    u64 slots_page;          /* the same of one page with entries: its user address, */
    u64 *slots;              /* the kernel's, */
    const u64 *slots_pte;    /* and its entry */
    u64 slots_entry;
};

struct trap_state {
    u64 generation;                /* 0: of what follows up to `area`, nothing is known */
    const u64 *current_generation; /* the space's */
    const u64 *area_pte;           /* the page-table entry of the save area */
    u64 area_entry;                /* ... and what it was */
    struct vmtrap_area *area;      /* the kernel's address */
    struct trap_hint *hints;       /* NULL: none yet; they are of generation `noted` */
    u64 user_area;                 /* 0: the thread has no handler */
    u64 entry, stack;              /* of the handler */
    u64 status;                    /* FS of sstatus before the handler, while that is off and the hart has the state */
    u64 noted;
    struct trap_log_state log;
    unsigned asid;                 /* the space's */
    bool must_flush;               /* harts may have too much in their TLBs: before user mode goes on */
    bool fp_saved;                 /* the area has the interrupted code's floating point */
};

#endif
