/*
 * Harts ask each other for things. A request is a bit in the target's inbox and a software interrupt:
 *
 *     inbox[target], bit SOURCE   run calls[SOURCE], then take the own bit out of its `remaining`
 *     kicked[target]              look at the scheduler (sched_ipi)
 *
 * A hart has one call under way at most, since it waits for the end and does not give itself away meanwhile. While
 * waiting it serves its own inbox, so two harts that call each other cannot hang, even with interrupts off.
 */
#include "arch/riscv/internal.h"
#include "arch/riscv/sbi.h"
#include "sched/sched.h"

#define SPINS 100

static struct call {
    void (*fn)(void *);
    void *arg;
    u64 remaining; /* harts that have not run it yet */
    bool sleeps;   /* the caller waits by wfi: the last hart interrupts it */
} calls[MAX_HARTS];

static u64 inbox[MAX_HARTS];
static u32 kicked[MAX_HARTS];
static bool stopping; /* a panic: every other hart stays where its next interrupt finds it */

void arch_kick(unsigned id)
{
    if (!atomic_swap(&kicked[id], 1))
        sbi_send_ipi(harts[id].sbi_id);
}

/* => interrupts off */
static void serve_inbox(void)
{
    unsigned id = hart_id();
    u64 sources;

    if (load_relaxed(&inbox[id]) == 0)
        return;
    sources = atomic_swap(&inbox[id], 0);
    for (; sources != 0; sources &= sources - 1) {
        unsigned source = (unsigned)__builtin_ctzll(sources);
        struct call *call = &calls[source];

        call->fn(call->arg);
        if (atomic_and(&call->remaining, ~BIT(id)) == BIT(id) && load_relaxed(&call->sleeps))
            sbi_send_ipi(harts[source].sbi_id);
    }
}

void ipi_interrupt(void)
{
    unsigned id = hart_id();

    while (load_relaxed(&stopping))
        arch_wait_for_interrupt();
    serve_inbox();
    if (load_relaxed(&kicked[id]) && atomic_swap(&kicked[id], 0))
        sched_ipi();
}

/* Spins for a short while; then sleeps, since under a simulator the others may need this very processor. */
static void wait_for_answers(struct call *call)
{
    for (unsigned i = 0; load_acquire(&call->remaining) != 0; i++) {
        u64 flags = irq_save();

        serve_inbox();
        if (i > SPINS) {
            store_relaxed(&call->sleeps, true);
            memory_barrier();
            if (load_relaxed(&call->remaining) != 0 && load_relaxed(&inbox[hart_id()]) == 0)
                arch_wait_for_interrupt();
            store_relaxed(&call->sleeps, false);
        }
        irq_restore(flags);
    }
}

void arch_call_harts(u64 mask, void (*fn)(void *), void *arg)
{
    unsigned self = hart_id();
    struct call *call = &calls[self];
    u64 flags;

    mask &= BIT(machine.harts) - 1;
    if (mask & BIT(self)) {
        flags = irq_save();
        fn(arg);
        irq_restore(flags);
        mask &= ~BIT(self);
    }
    if (mask == 0)
        return;
    call->fn = fn;
    call->arg = arg;
    store_release(&call->remaining, mask);
    for (u64 rest = mask; rest != 0; rest &= rest - 1) {
        unsigned target = (unsigned)__builtin_ctzll(rest);

        if (atomic_or(&inbox[target], BIT(self)) == 0)
            sbi_send_ipi(harts[target].sbi_id);
    }
    wait_for_answers(call);
}

void arch_stop_other_harts(void)
{
    store_relaxed(&stopping, true);
    for (unsigned i = 0; i < machine.harts; i++)
        if (i != hart_id())
            sbi_send_ipi(harts[i].sbi_id);
}
