/*
 * TLB shootdown, address-space identifiers, and what happens when a hart changes its space. The protocol is told in
 * tlb.h.
 *
 * Who switches and who flushes meet through two masks (Dekker's pattern): the switching hart sets its bit in `running`,
 * then looks at `stale`; the flusher sets `stale` for harts that do not run the space, then looks at `running` again
 * and interrupts those that do.
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
    asids.used[0] = machine.isolated ? 3 : 1; /* 0 means none, 1 is the isolated kernel's */
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

struct flush {
    struct space *space;
    u64 start, end;
};

void tlb_flush_here(struct space *s, u64 start, u64 end)
{
    if (end - start > FLUSH_PAGES * PAGE_SIZE) {
        arch_flush_tlb_asid(s->asid);
        return;
    }
    for (u64 va = start; va < end; va += PAGE_SIZE)
        arch_flush_tlb_page(va, s->asid);
}

static void flush_interrupted(void *arg)
{
    const struct flush *f = arg;
    struct space *s = f->space;
    u32 bit = 1u << hart_id();

    if (load_relaxed(&s->stale) & bit) { /* perhaps another flusher's, who saw that this hart had left the space */
        atomic_and(&s->stale, ~bit);
        arch_flush_tlb_asid(s->asid);
    } else {
        tlb_flush_here(s, f->start, f->end);
    }
}

/* Harts that do not run S are stale. Returns those others that do, or did a moment ago. */
static u32 mark_stale(struct space *s)
{
    u32 own = 1u << hart_id(), running, idle;

    memory_barrier();
    running = load_relaxed(&s->running);
    idle = all_harts() & ~running & ~own;
    if ((load_relaxed(&s->stale) & idle) != idle)
        atomic_or(&s->stale, idle);
    memory_barrier();
    return (running | load_relaxed(&s->running)) & ~own;
}

/* Interrupts stay on, but a thread that does not sleep keeps its hart. */
static void flush_other_harts(struct flush *f)
{
    u32 others = mark_stale(f->space);

    if (others != 0)
        arch_call_harts(others, flush_interrupted, f);
}

bool tlb_is_alone(const struct space *s) { return machine.harts == 1 || load_relaxed(&s->running) == 1u << hart_id(); }

bool tlb_flush_alone(struct space *s, u64 va)
{
    arch_flush_tlb_page(va, s->asid);
    return machine.harts == 1 || mark_stale(s) == 0;
}

#ifdef DEBUG
#define DAWDLE_EVERY 8
#define DAWDLE_STEPS 200000

/* Now and then a flush is late, so that others find time to trip over what is not flushed yet. */
static void dawdle(struct space *s)
{
    static u32 n;

    if (!tlb_is_alone(s) && atomic_add_relaxed(&n, 1) % DAWDLE_EVERY == 0)
        for (unsigned i = 0; i < DAWDLE_STEPS; i++)
            cpu_relax();
}
#else
static inline void dawdle(struct space *s) { (void)s; }
#endif

void tlb_flush_range(struct space *s, u64 start, u64 end)
{
    struct flush f = {s, start, end};

    dawdle(s);
    tlb_flush_here(s, start, end);
    if (machine.harts > 1)
        flush_other_harts(&f);
}

/* Huge pages are in the batch by their tables. */
static void free_huge(struct tlb_batch *b)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->n_pages; i++) {
        if ((b->pages[i]->flags & (PG_TABLE | PG_HUGE)) == (PG_TABLE | PG_HUGE))
            pt_free_leaf(b->pages[i]);
        else
            b->pages[n++] = b->pages[i];
    }
    b->n_pages = n;
}

void tlb_flush_entries(struct tlb_batch *b)
{
    if (b->end == 0)
        return;
    tlb_flush_range(b->space, b->start, b->end);
    b->start = UINT64_MAX;
    b->end = 0;
}

void tlb_flush_noted(struct tlb_batch *b)
{
    if (b->end != 0)
        tlb_flush_range(b->space, b->tables ? 0 : b->start, b->tables ? UINT64_MAX : b->end);
    if (unlikely(b->tables))
        free_huge(b);
    page_put_many(b->pages, b->n_pages);
    tlb_reset(b);
}
