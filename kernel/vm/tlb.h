/*
 * TLB shootdown. Whoever takes a page or a permission out of a page table notes it in a batch; the flush tells every
 * hart that may have the old entry in its TLB, waits for all, and then frees the pages:
 *
 *   change entries (tlb_note, tlb_free_page) ... tlb_flush            => no spinlock held at the flush
 *
 * Who does so without space->lock (eviction, and whoever comes from an object) flushes before he unlocks the table
 * (tlb_flush_entries). Else somebody else's munmap or MADV_DONTNEED would find no page there, flush nothing, and be
 * done while TLBs still have the page: its bytes would be seen again, and stores to it be lost. So an entry that says
 * swapped, or nothing at all, is the truth for whoever has the table's lock. Tables' locks and tables_lock are the only
 * spinlocks that may be held across a flush, since nobody waits for them with interrupts off.
 *
 * All others keep space->lock until they have flushed. So whoever finds nothing to take - no W, no page, no D - and
 * goes on as if nobody could store any more, or see the old page, flushes too if somebody else has that lock just now
 * (tlb_note_unflushed): write-back, protection, MADV_DONTNEED, everything that tells who stored to what. Eviction and
 * compaction need not: whatever an entry still allows, they take it out and flush; and a page whose entry somebody else
 * has just taken out is still referred to by his batch, so that they leave it alone. Who has the lock for writing
 * (collapsing, moving, fork, clear_refs) finds everybody done.
 *
 * Harts that run the space get an interrupt; the others get a bit in space->stale and flush before they run it next. A
 * hart that has interrupts off cannot answer, so what it reached through a valid entry (vm/uaccess.c) stays until it is
 * done.
 */
#ifndef VM_TLB_H
#define VM_TLB_H

#include "vm/vma.h"

#define TLB_BATCH_PAGES 64

struct tlb_batch {
    struct space *space;
    u64 start, end;     /* what to flush; nothing if end == 0 */
    bool tables;        /* tables go, too: everything must be flushed */
    bool spares_copies; /* zap_some leaves private pages where they are: a hole was made, no mapping shrinks */
    bool spares_lazy;   /* zap_some leaves pages that have PG_LAZY */
    bool from_object;   /* space->lock is not held */
    bool emptied;       /* zap_some came by a table without entries, which can go */
    unsigned n_pages;
    struct page *pages[TLB_BATCH_PAGES];
};

static inline void tlb_reset(struct tlb_batch *b)
{
    b->start = UINT64_MAX;
    b->end = 0;
    b->tables = false;
    b->n_pages = 0;
}
static inline void tlb_begin(struct tlb_batch *b, struct space *s)
{
    b->space = s;
    b->emptied = b->spares_copies = b->spares_lazy = b->from_object = false;
    tlb_reset(b);
}
static inline void tlb_note(struct tlb_batch *b, u64 va)
{
    if (va < b->start)
        b->start = va;
    if (va >= b->end)
        b->end = va + PAGE_SIZE;
}
static inline bool tlb_is_full(const struct tlb_batch *b) { return b->n_pages == TLB_BATCH_PAGES; }
static inline void tlb_free_page(struct tlb_batch *b, struct page *page) { b->pages[b->n_pages++] = page; }
void tlb_flush_noted(struct tlb_batch *b);
/* B is ready for more then. */
static inline void tlb_flush(struct tlb_batch *b)
{
    if (b->end != 0 || b->n_pages != 0)
        tlb_flush_noted(b);
}
/* What was noted is flushed, pages stay in the batch. => perhaps tables' locks, and tables_lock */
void tlb_flush_entries(struct tlb_batch *b);
/* Somebody may have taken something out of S and not have flushed it yet. What the caller has seen in entries, under
 * their tables' locks, before he asks, was flushed if this is false. HAS_LOCK: he is one of those who have S's lock. */
static inline bool tlb_may_be_behind(const struct space *s, bool has_lock)
{
    u32 state = machine.harts > 1 ? load_acquire(&s->lock.state) : 0;

    return has_lock ? (state & RWLOCK_READERS) > 1 : (state & ~RWLOCK_WAITING) != 0;
}
/* [start, end) is to be flushed if so. */
static inline void tlb_note_unflushed(struct tlb_batch *b, u64 start, u64 end, bool has_lock)
{
    if (unlikely(tlb_may_be_behind(b->space, has_lock)) && start < end) {
        tlb_note(b, start);
        tlb_note(b, end - PAGE_SIZE);
    }
}
/* The flush alone: [start, end) of S on all harts that may have it; more than a few pages flush the whole space. */
void tlb_flush_range(struct space *s, u64 start, u64 end);
/* The same on this hart alone, after permissions were added. */
void tlb_flush_here(struct space *s, u64 start, u64 end);
/* For those who have interrupts off, and cannot wait for other harts: whether one runs S besides this one; and the
 * flush of a page, which was taken something from when that was false. False: now it does run it, and a flush must
 * follow. */
bool tlb_is_alone(const struct space *s);
bool tlb_flush_alone(struct space *s, u64 va);

/* Throws out this hart's entry for VA after a permission was added. */
static inline void tlb_flush_local(struct space *s, u64 va) { arch_flush_tlb_page(va, s->asid); }
int asid_alloc(void); /* 0: none is free */
void asid_free(unsigned asid);
/* The scheduler's: HART runs a thread of NEXT from now on. => interrupts off */
void space_switch(struct hart *hart, struct space *next);
/* No hart has S in its satp after this. */
void tlb_leave_space(struct space *s);
void tlb_init(void);

#endif
