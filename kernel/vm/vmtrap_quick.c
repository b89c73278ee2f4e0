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

#define QUICK_PAGES 32

/* What entry E becomes; E itself: not here. */
static inline_fn pte_t changed(pte_t e, unsigned prot, const struct trap_hint *hint)
{
    pte_t keep = e & (PTE_PPN_MASK | PTE_A | PTE_D);

    if (unlikely(!pte_has_page(e))) {
        pte_t mark = pte_mark(prot);

        if ((e != 0 && e != pte_mark(pte_prot(e))) || prot_effective(prot) != prot)
            return e;
        return mark == hint->absent ? 0 : mark;
    }
    if (unlikely(e & PTE_UFFD_WP))
        return e;
    if (!(prot & PROT_WRITE))
        return keep | (prot == PROT_NONE ? PTE_RESIDENT : pte_bits(prot));
    return likely(page_is_alone(pte_page(e))) ? keep | pte_bits(prot) | hint->store : e;
}

/* *PTE, which is OLD, becomes NEW. False: the hardware has set D just now. => table locked */
static inline_fn bool replace(struct page *table, pte_t *pte, pte_t old, pte_t new)
{
    if (unlikely(pte_may_get_dirty(old)))
        return atomic_cas(pte, &old, new);
    pte_set(table, pte, new);
    return true;
}

static inline_fn bool protect_range(struct trap_state *trap, const struct vmtrap_range *r)
{
    u64 start = r->start, length = r->length, prot = r->prot;
    const struct trap_hint *hint = &trap->hints[(start >> SPAN_SHIFT) % TRAP_HINTS];
    u64 at = start - hint->start;
    pte_t *pte, old, new;
    bool done = false;

    if (unlikely(length != PAGE_SIZE || (start & PAGE_MASK) != 0 || at >= hint->length ||
                 prot > (PROT_READ | PROT_WRITE) || hint->table == NULL))
        return false;
    pte = hint->entries + (at >> PAGE_SHIFT);
    table_lock(hint->table);
    old = *pte;
    new = changed(old, (unsigned)prot, hint);
    if (likely(load_relaxed(trap->current_generation) == trap->generation && (new != old || old == 0)) &&
        (likely(machine.harts == 1) || (old & ~new &(PTE_V | PTE_R | PTE_W)) == 0))
        done = replace(hint->table, pte, old, new);
    table_unlock(hint->table);
    arch_flush_tlb_page(start, trap->asid);
    return done;
}

bool vmtrap_protect_quickly(const struct vmtrap_area *area, u64 n)
{
    struct trap_state *trap = &current->trap;

    for (u64 i = 0; i < n; i++)
        if (n > VMTRAP_RANGES || !protect_range(trap, &area->ranges[i]))
            return false;
    return true;
}
