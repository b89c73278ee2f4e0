/*
 * User traps, what vm/ knows of them: which memory is armed, and what a thread remembers of it, so that entry.S can
 * tell a forbidden access by a few loads. docs/vmtrap.md tells it all; proc/vmtrap.c has the registers.
 *
 *   thread->trap                                  hints, one for each of some spans of 2 MiB
 *     generation --- same as the space's?           start, length: armed, of one vma
 *     area_pte  ---> entry, still area_entry?       entries -----> its page-table entries
 *     area      ---> the save area, by the direct map              the faulting page's: is it forbidden?
 *
 * All of it is good while the space's leaf_generation is what it was, and while interrupts are off: whoever frees a
 * table or takes a page away waits for this hart (vm/uaccess.c). An armed vma that changes its borders, its default
 * protection or what it is armed for changes the generation, too; and so do munmap and mremap before they take entries.
 */
#ifndef VM_VMTRAP_H
#define VM_VMTRAP_H

#include "sched/thread.h"
#include "vm/space.h"

struct vmtrap_dirty;
struct vmtrap_range;

#define TRAP_LOGS 8u
struct trap_log { /* of stores to logged pages: vm/vmtrap_log.c */
    u64 ring;     /* user address of its head; 0: this log is closed */
    u32 entries;  /* a power of two */
    u32 number;   /* 1 and on */
};

/* vma->trap is what VMTRAP_ARM was given. */
#define TRAP_LOG_SHIFT 8
#define TRAP_LOG_MASK (15ull << TRAP_LOG_SHIFT)

#define TRAP_HINTS 32u
struct trap_hint {
    u64 start, length; /* bytes; START is not 0 */
    u64 *entries;      /* that of START */
    u64 plain_length;  /* LENGTH; 0: changes take the long way (vm/vmtrap_quick.c) */
    u64 log_length;    /* the same, 0: stores need not be those of the log that the thread remembers */
    u32 *lock;         /* of the entries' table, for changes */
    u64 open;          /* what an entry gets with PROT_READ | PROT_WRITE, W too */
    u32 absent;        /* what stands for an entry that is 0 */
    u32 log;           /* of vma->trap */
};
static_assert(sizeof(struct trap_hint) == 64 && offsetof(struct trap_hint, length) == 8 &&
                  offsetof(struct trap_hint, entries) == 16 && offsetof(struct trap_hint, plain_length) == 24 &&
                  offsetof(struct trap_hint, log_length) == 32 && offsetof(struct trap_hint, lock) == 40 &&
                  offsetof(struct trap_hint, open) == 48 && offsetof(struct trap_hint, absent) == 56 &&
                  offsetof(struct trap_hint, log) == 60,
              "entry.S knows this");
/* HINT, or the log that the thread remembers, has changed: may stores to HINT's range go into that log? */
static inline void vmtrap_hint_log(const struct trap_state *trap, struct trap_hint *hint)
{
    hint->log_length = hint->log != 0 && hint->log == trap->log.number ? hint->plain_length : 0;
}
static inline struct page *trap_hint_table(const struct trap_hint *hint)
{
    return container_of(hint->lock, struct page, table_lock);
}

/* What a forbidden access of the current thread in user mode is. */
enum trap_kind {
    TRAP_NONE,  /* a signal */
    TRAP_RETRY, /* not forbidden any more */
    TRAP_FAULT, /* the handler's; the thread remembers the place */
    TRAP_LOG,   /* the page is to be opened, and the log to be told; the handler's, if that is full */
};
/* LOG: NULL if logging will not do. */
enum trap_kind vmtrap_look(struct space *space, u64 address, enum fault_access access, struct trap_log *log);
/* ADDRESS, which is in a logged page, goes into LOG, and the page is opened. False: that cannot be done. => may sleep
 */
bool vmtrap_log_store(struct space *space, const struct trap_log *log, u64 address);
/* The page of ADDRESS may be stored to, if a store to it still is one to be logged. False: no memory, no mapping. */
bool vmtrap_open(struct space *space, u64 address);
bool space_has_logs(const struct space *space);
/* The calls of the same names: numbers, counts, or -errno. */
long space_log(struct space *space, u64 number, u64 ring, u64 entries);
long space_dirty(struct space *space, struct vmtrap_dirty *dirty);
/* All pages of [start, end), which is tracked, are clean. -ENOMEM */
int space_clean(struct space *space, u64 start, u64 end);
/* Remembers the entry of the current thread's save area, whose kernel address is AREA. => interrupts off since AREA was
 * found */
void vmtrap_note_area(struct space *space, void *area);
/* The current thread has the handler ENTRY, with STACK, and saves in AREA; it remembers nothing. -ENOMEM */
int vmtrap_set(u64 area, u64 entry, u64 stack);
/* T has no handler any more: another program, or the end. */
void vmtrap_drop(struct thread *t);
/* CHILD, which has not run, has a copy of the current thread's memory, and of its handler. */
void vmtrap_inherit(struct thread *child);

/* The changes that a resume of N asks for, if all are of plain single pages that the current thread remembers. False:
 * some may be done.
 * => what is remembered is right; interrupts off */
bool vmtrap_protect_quickly(const struct vmtrap_area *area, u64 n);

int space_arm(struct space *space, u64 start, u64 length, u64 what);
/* Protects the N ranges, one after the other, until one fails: 0 or its -errno; *DONE: how many are. */
int space_protect_ranges(struct space *space, const struct vmtrap_range *ranges, u64 n, u64 *done);

#endif
