/*
 * Changes of protection on the way out of a fault handler, without a stop on the way: entry.S calls this when the
 * thread remembers all that is needed (vm/vmtrap.h), with interrupts off and without space->lock.
 *
 * Why that is right. A hint is good as long as the space's generation is what it was, which whoever changes the mapping
 * or its tables advances before he lets go of the write lock. It is looked at under the table's lock, after the entry:
 *
 *      here                                      there (munmap, mmap of something else in its place)
 *      lock the table                            advance the generation
 *      read the entry                            lock the table, write the entry, unlock
 *      is the generation the hint's? -- no: leave it alone
 *      change the entry, unlock
 *
 * so an entry of another mapping is never taken for one of the hint's. A table that is being freed, or shared by a
 * fork, stays what it is until this hart has answered the flush that comes before the end of that; a change made until
 * then came before it. Entries in the table of a huge page are not what the hardware sees; there is no such hint.
 *
 * Only plain changes are made here: private memory without userfaultfd, seals or exact counting; pages that are there
 * and writable at once if that is asked for, or pages that nobody has touched. For anything else, and where another
 * hart has to hear of it, nothing is done, and the long way does it all again.
 */
#include "quire/vmtrap.h"
#include "sched/sched.h"
#include "vm/fault.h"
#include "vm/tlb.h"
#include "vm/vmtrap.h"
#include "vm/vmtrap_plain.h"

/* A page is there, and a store to it is forbidden or needs a fault. */
static inline_fn bool has_page_without_w(pte_t e)
{
    return (e & (PTE_V | PTE_W | PTE_UFFD_WP)) == PTE_V || (e & (PTE_V | PTE_KIND_MASK | PTE_UFFD_WP)) == PTE_RESIDENT;
}

/* The entry of the page that [start, start + length) is, and the hint for it; NULL: it is not one that can be changed
 * here. */
static inline_fn pte_t *find(const struct trap_state *trap, u64 start, u64 length, struct trap_hint **found)
{
    struct trap_hint *hint = &trap->hints[(start >> SPAN_SHIFT) % TRAP_HINTS];
    u64 at = start - hint->start;

    *found = hint;
    if (unlikely(length != PAGE_SIZE || (start & PAGE_MASK) != 0 || at >= hint->plain_length))
        return NULL;
    return (pte_t *)((char *)hint->entries + (at >> (PAGE_SHIFT - 3)));
}

static inline_fn bool is_still_so(const struct trap_state *trap)
{
    return load_relaxed(trap->current_generation) == trap->generation;
}

/* An entry that loses GONE becomes NEW: other harts need not hear of it now. => table locked */
static inline_fn bool concerns_nobody(struct space *s, pte_t gone, pte_t new)
{
    return gone != 0 ? tlb_is_alone(s) : (new &PTE_W) || !tlb_may_be_behind(s, false);
}

/* *PTE, which was OLD, has lost rights when no other hart ran the space. If one does by now it is OLD again, and nobody
 * who looks under the lock has seen anything else. => table locked */
static inline_fn bool is_flushed(struct space *s, u64 start, pte_t *pte, pte_t old)
{
    bool flushed = tlb_flush_alone(s, start);

    if (unlikely(!flushed))
        store_relaxed(pte, old);
    return flushed;
}

/* The page gets PROT, whatever it has now. */
static noinline_fn bool change(struct trap_state *trap, u64 start, u64 length, u64 prot)
{
    struct space *s = current->space;
    struct trap_hint *hint;
    pte_t *pte = find(trap, start, length, &hint), old, new, gone = 0;
    struct page *table;
    bool done = false;

    if (pte == NULL || prot > (PROT_READ | PROT_WRITE) || prot_effective((unsigned)prot) != prot)
        return false;
    table = trap_hint_table(hint);
    if (!table_trylock(table)) /* who holds it may be waiting for this very hart (vm/tlb.h) */
        return false;
    old = load_relaxed(pte);
    if (is_still_so(trap) && plain_entry(old, (unsigned)prot, hint->absent, hint->open, &new)) {
        gone = old & ~new &PTE_PERMITS;
        if (concerns_nobody(s, gone, new))
            done = plain_replace(table, pte, old, new);
    }
    if (done && gone != 0)
        done = is_flushed(s, start, pte, old);
    else
        arch_flush_tlb_page(start, (unsigned)trap->asid);
    table_unlock(table);
    return done;
}

/* What the commonest changes make of entry E: a page that is there is opened or closed. 0: something else. */
static inline_fn pte_t plain_change(pte_t e, u64 prot, const struct trap_hint *hint)
{
    if (likely(prot == (PROT_READ | PROT_WRITE))) {
        bool is_plain = has_page_without_w(e) && page_is_alone(pte_page(e));

        return likely(is_plain) ? (e & PTE_KEEPS) | hint->open : 0;
    }
    if (prot > PROT_READ || (e & (PTE_V | PTE_D | PTE_UFFD_WP)) != (PTE_V | PTE_D))
        return 0;
    return (e & PTE_KEEPS) | (prot == PROT_NONE ? PTE_RESIDENT : pte_bits(PROT_READ));
}

/* PTE's page loses rights, and there are other harts: whether they have to hear of that is seen before and after. */
static noinline_fn bool close_among_others(struct trap_state *trap, struct trap_hint *hint, pte_t *pte, u64 start,
                                           u64 prot)
{
    struct space *s = current->space;
    bool done = false;

    if (likely(tlb_is_alone(s) && spin_trylock((struct spinlock *)hint->lock))) {
        pte_t old = load_relaxed(pte), new = plain_change(old, prot, hint);

        if (likely(new != 0 && is_still_so(trap))) {
            store_relaxed(pte, new);
            done = is_flushed(s, start, pte, old);
        }
        spin_unlock((struct spinlock *)hint->lock);
    }
    return likely(done) || change(trap, start, PAGE_SIZE, prot);
}

static inline_fn bool change_quickly(struct trap_state *trap, u64 start, u64 length, u64 prot)
{
    struct trap_hint *hint;
    pte_t *pte = find(trap, start, length, &hint), new;

    if (unlikely(pte == NULL))
        return false;
    if (prot != (PROT_READ | PROT_WRITE) && machine.harts != 1)
        return close_among_others(trap, hint, pte, start, prot);
    if (unlikely(!spin_trylock((struct spinlock *)hint->lock)))
        return change(trap, start, length, prot);
    new = plain_change(load_relaxed(pte), prot, hint);
    if (unlikely(new == 0 || !is_still_so(trap))) {
        spin_unlock((struct spinlock *)hint->lock);
        return change(trap, start, length, prot);
    }
    store_relaxed(pte, new);
    spin_unlock((struct spinlock *)hint->lock);
    arch_flush_tlb_page(start, (unsigned)trap->asid);
    return true;
}

static inline_fn bool change_range(struct trap_state *trap, const struct vmtrap_range *r)
{
    return change_quickly(trap, load_relaxed(&r->start), load_relaxed(&r->length), load_relaxed(&r->prot));
}

static noinline_fn bool change_more(struct trap_state *trap, const struct vmtrap_area *area, u64 n)
{
    if (n > VMTRAP_RANGES)
        return change_quickly(trap, ALIGN_DOWN(n, PAGE_SIZE), PAGE_SIZE, n & PAGE_MASK);
    for (u64 i = 0; i < n; i++)
        if (!change_range(trap, &area->ranges[i]))
            return false;
    return true;
}

bool vmtrap_protect_quickly(const struct vmtrap_area *area, u64 n)
{
    struct trap_state *trap = &current->trap;

    return likely(n == 1) ? change_range(trap, &area->ranges[0]) : change_more(trap, area, n);
}
