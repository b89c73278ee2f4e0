/*
 * A logged store on the short way: entry.S calls this before it has saved most of the user's registers, so this file is
 * compiled to keep all but a0 to a3 and t0 (kernel.mk), and may call nothing.
 *
 * It does what vmtrap_log.c does, where the thread remembers ring and entries and the page is the space's own. Why it
 * is right without space->lock is told in vmtrap_quick.c.
 */
#include "quire/vmtrap.h"
#include "vm/fault.h"
#include "vm/tlb.h"
#include "vm/vmtrap.h"

#ifndef DEBUG
/* There is room for one more entry, and where it goes is remembered: its kernel address, or NULL. */
static inline_fn u64 *find_place(const struct trap_log_state *log, u32 *place)
{
    u64 both, entry;

    if (unlikely(load_relaxed(log->ring_pte) != log->ring_entry))
        return NULL;
    both = load_acquire(log->ring);
    *place = (u32)both;
    if (unlikely(*place - (u32)(both >> 32) > log->mask))
        return NULL;
    entry = log->user_entries + (*place & log->mask) * sizeof(u64);
    if (unlikely(entry - log->slots_page >= PAGE_SIZE || load_relaxed(log->slots_pte) != log->slots_entry))
        return NULL;
    return (u64 *)((char *)log->slots + (entry - log->slots_page));
}

u64 vmtrap_log_quickly(const struct trap_hint *hint, u64 address, u64 e)
{
    const pte_t wanted = PTE_V | PTE_R, without = PTE_W | PTE_X | PTE_SOFT_W | PTE_UFFD_WP;
    const struct trap_state *trap = &current->trap;
    const struct trap_log_state *log = &trap->log;
    pte_t *pte = hint->entries + ((address - hint->start) >> PAGE_SHIFT);
    u64 *to, done = 0;
    u32 place;

    if (unlikely((e & (wanted | without)) != wanted || hint->log_length == 0))
        return 0;
    to = find_place(log, &place);
    if (unlikely(to == NULL || !spin_trylock((struct spinlock *)hint->lock)))
        return 0;
    if (likely(load_relaxed(pte) == e && load_relaxed(trap->current_generation) == trap->generation &&
               page_is_alone(pte_page(e)) &&
               __atomic_compare_exchange_n((u32 *)log->ring, &place, place + 1, false, __ATOMIC_RELAXED,
                                           __ATOMIC_RELAXED))) {
        store_relaxed(to, ALIGN_DOWN(address, PAGE_SIZE));
        store_relaxed(pte, e | hint->open);
        done = 1;
    }
    spin_unlock((struct spinlock *)hint->lock);
    arch_flush_tlb_page(address, (unsigned)trap->asid);
    return done;
}
#else
u64 vmtrap_log_quickly(const struct trap_hint *hint, u64 address, u64 e) { return 0; } /* locks are calls here */
#endif
