/*
 * TLB shootdown, address-space identifiers, and what happens when a hart changes its space. The protocol is told in tlb.h.
 *
 * Who switches and who flushes meet through two masks (Dekker's pattern): the switching hart sets its bit in `running`, then looks at `stale`; the
 * flusher sets `stale` for harts that do not run the space, then looks at `running` again and interrupts those that do.
 */
#include "vm/tlb.h"

#define MAX_ASIDS 65536
#define FLUSH_PAGES 32 /* more than these: flush the whole space */

static struct {
    struct spinlock lock;
    unsigned limit, next;
    u64 used[MAX_ASIDS / 64];
} asids;

static u64 kernel_root; /* pfn */

void tlb_init(void)
{
    asids.limit = MIN(1u << machine.asid_bits, (unsigned)MAX_ASIDS);
    asids.used[0] = 1; /* 0 means none */
    kernel_root = arch_root();
}

int asid_alloc(void)
{
    unsigned asid = 0;
    u64 flags = spin_lock_irqsave(&asids.lock);

    for (unsigned i = 0; i < asids.limit && asid == 0; i++) {
        unsigned n = asids.next;

        asids.next = n + 1 < asids.limit ? n + 1 : 0;
        if (!(asids.used[n / 64] & BIT(n % 64))) {
            asids.used[n / 64] |= BIT(n % 64);
            asid = n;
        }
    }
    spin_unlock_irqrestore(&asids.lock, flags);
    return (int)asid;
}

void asid_free(unsigned asid)
{
    u64 flags;

    if (asid == 0)
        return;
    flags = spin_lock_irqsave(&asids.lock);
    asids.used[asid / 64] &= ~BIT(asid % 64);
    spin_unlock_irqrestore(&asids.lock, flags);
}

static u32 all_harts(void) { return (u32)((1u << machine.harts) - 1); }

/* sched/ is about to run a thread of NEXT on HART. => interrupts off */
void space_switch(struct hart *hart, struct space *next)
{
    struct space *previous = hart->space;
    u32 bit = 1u << hart->id;

    atomic_or(&next->running, bit);
    memory_barrier();
    arch_set_root(virt_to_phys(next->root) >> PAGE_SHIFT, next->asid);
    if (next->asid == 0 || (load_relaxed(&next->stale) & bit)) {
        atomic_and(&next->stale, ~bit);
        arch_flush_tlb_asid(next->asid);
    }
    hart->space = next;
    if (previous != NULL && previous != next)
        atomic_and(&previous->running, ~bit);
}

static void leave(void *arg)
{
    struct hart *hart = this_hart();

    if (hart->space == arg) {
        arch_set_root(kernel_root, 0);
        hart->space = NULL;
        atomic_and(&((struct space *)arg)->running, ~(1u << hart->id));
    }
}

void tlb_leave_space(struct space *s)
{
    u32 own, running;
    u64 flags = irq_save();

    leave(s);
    own = 1u << hart_id();
    irq_restore(flags);
    running = load_acquire(&s->running) & ~own;
    if (running != 0)
        arch_call_harts(running, leave, s);
}

/* On the hart itself. */
static void flush_here(void *arg)
{
    const struct tlb_batch *b = arg;

    if (b->tables || b->end - b->start > FLUSH_PAGES * PAGE_SIZE) {
        arch_flush_tlb_asid(b->space->asid);
        return;
    }
    for (u64 va = b->start; va < b->end; va += PAGE_SIZE)
        arch_flush_tlb_page(va, b->space->asid);
}

static void flush_interrupted(void *arg)
{
    const struct tlb_batch *b = arg;

    flush_here(arg);
    atomic_and(&b->space->stale, ~(1u << hart_id()));
}

/* Interrupts stay on, but a thread that does not sleep keeps its hart. */
static void flush_all_harts(struct tlb_batch *b)
{
    struct space *s = b->space;
    u32 own = 1u << hart_id(), running, idle;

    memory_barrier();
    running = load_relaxed(&s->running);
    idle = all_harts() & ~running & ~own;
    if ((load_relaxed(&s->stale) & idle) != idle)
        atomic_or(&s->stale, idle);
    memory_barrier();
    running |= load_relaxed(&s->running);
    if (this_hart()->space == s || s->asid != 0)
        flush_here(b);
    if (running & ~own)
        arch_call_harts(running & ~own, flush_interrupted, b);
}

void tlb_flush(struct tlb_batch *b)
{
    if (b->end != 0)
        flush_all_harts(b);
    for (unsigned i = 0; i < b->n_pages; i++)
        page_put(b->pages[i]);
    tlb_begin(b, b->space);
}

void tlb_flush_local(struct space *s, u64 va) { arch_flush_tlb_page(va, s->asid); }
