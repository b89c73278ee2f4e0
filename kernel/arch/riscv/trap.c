/*
 * Traps, the C side: interrupts of either mode, and traps in the kernel itself (a bug, but for what kernel_fault_fixup
 * knows). Traps of user mode go to sys/trap.c; entry.S calls it.
 */
#include "arch/riscv/internal.h"
#include "sched/sched.h"

void handle_interrupt(struct regs *regs);
void kernel_trap(struct regs *regs);

static const char *const cause_names[] = {
    "misaligned fetch",  "fetch access fault", "illegal instruction", "breakpoint",      "misaligned load",
    "load access fault", "misaligned store",   "store access fault",  "user call",       "supervisor call",
    "reserved",          "machine call",       "fetch page fault",    "load page fault", "reserved",
    "store page fault",
};

/* => interrupts off, and they stay off */
void handle_interrupt(struct regs *regs)
{
    this_hart()->interrupts++;
    store_relaxed(&this_hart()->in_interrupt, true);
    switch (regs->cause & ~BIT(CAUSE_INTERRUPT_BIT)) {
    case IRQ_SOFTWARE:
        csr_clear(sip, SIE_SOFTWARE);
        ipi_interrupt();
        break;
    case IRQ_TIMER:
        sched_interrupted_user((regs->status & SSTATUS_SPP) == 0);
        timer_interrupt();
        break;
    case IRQ_EXTERNAL:
        plic_interrupt();
        break;
    }
    store_relaxed(&this_hart()->in_interrupt, false);
}

static bool is_in_guard(u64 address)
{
    bool stack_area = address >= STACK_AREA && address < STACK_AREA + STACK_AREA_SIZE;

    return stack_area && (address & KERNEL_STACK_SIZE) == 0;
}

void kernel_trap(struct regs *regs)
{
    const char *name = regs->cause < ARRAY_SIZE(cause_names) ? cause_names[regs->cause] : "unknown trap";

    if (kernel_fault_fixup(regs))
        return;
    if (is_in_guard(regs->tval) || (regs->x[REG_SP] & KERNEL_STACK_SIZE) == 0)
        panic_with_regs(regs, "kernel stack overflow: %s at %p, address %p", name, (void *)regs->pc,
                        (void *)regs->tval);
    panic_with_regs(regs, "%s in the kernel at %p, address %p", name, (void *)regs->pc, (void *)regs->tval);
}

void hart_init_traps(void)
{
    csr_write(scounteren, SCOUNTEREN_CYCLE_TIME_INSTRET);
    if (machine.has_zicboz)
        csr_write(CSR_SENVCFG, SENVCFG_CBZE);
    csr_write(sie, SIE_SOFTWARE | SIE_EXTERNAL);
    csr_clear(sstatus, SSTATUS_SPP | SSTATUS_FS | SSTATUS_VS);
    csr_set(sstatus, SSTATUS_SPIE);
    if (machine.isolated)
        isolation_init_hart();
}

void arch_wait_for_interrupt(void) { __asm__ volatile("wfi" ::: "memory"); }

void arch_init_kernel_thread(struct thread *t, void (*fn)(void *), void *arg)
{
    t->context.ra = (u64)kernel_thread_entry;
    t->context.sp = t->kernel_sp;
    t->context.s[0] = (u64)fn;
    t->context.s[1] = (u64)arg;
}

void arch_init_user_thread(struct thread *t)
{
    t->context.ra = (u64)(machine.isolated ? isolated_user_thread_entry : user_thread_entry);
    t->context.sp = t->kernel_sp;
}

struct thread *arch_switch(struct thread *prev, struct thread *next)
{
    struct hart *hart = prev->hart;
    u64 generation = load_relaxed(&stack_map_generation);

    if (unlikely(prev->fp_used || next->fp_used))
        fp_switch(prev, next);
    if (unlikely(hart->stack_generation != generation)) {
        /* NEXT's stack may be new where this hart's TLB has an older one. */
        hart->stack_generation = generation;
        arch_flush_tlb_all();
    }
    return switch_context(prev, next);
}

static void sync_icache_here(void *unused)
{
    (void)unused;
    __asm__ volatile("fence.i" ::: "memory");
}

void arch_sync_icache(u64 hart_mask)
{
    memory_barrier();
    sync_icache_here(NULL);
    hart_mask &= ~BIT(hart_id());
    if (hart_mask != 0)
        arch_call_harts(hart_mask, sync_icache_here, NULL);
}

static_assert(offsetof(struct thread, kernel_sp) == 0, "entry.S: THREAD_KERNEL_SP");
static_assert(offsetof(struct thread, user_scratch) == 8, "entry.S: THREAD_USER_SCRATCH");
static_assert(offsetof(struct thread, flags) == 16, "entry.S: THREAD_FLAGS");
static_assert(offsetof(struct thread, hart) == 24, "entry.S: THREAD_HART");
static_assert(offsetof(struct thread, regs) == 32, "entry.S: THREAD_REGS");
static_assert(offsetof(struct thread, context) == 336, "entry.S: THREAD_CONTEXT");
static_assert(offsetof(struct thread, trap) == 456, "entry.S: THREAD_TRAP");
static_assert(offsetof(struct trap_state, generation) == 0 && offsetof(struct trap_state, current_generation) == 8 &&
                  offsetof(struct trap_state, area_pte) == 16 && offsetof(struct trap_state, area_entry) == 24 &&
                  offsetof(struct trap_state, area) == 32 && offsetof(struct trap_state, hints) == 40 &&
                  offsetof(struct trap_state, user_area) == 48 && offsetof(struct trap_state, entry) == 56 &&
                  offsetof(struct trap_state, stack) == 64 && offsetof(struct trap_state, status) == 72 &&
                  offsetof(struct trap_state, way) == 80 && offsetof(struct trap_state, fault_sum) == 88 &&
                  offsetof(struct trap_state, store_sum) == 96 && offsetof(struct trap_state, pages) == 104 &&
                  offsetof(struct trap_state, alone) == 112 && offsetof(struct trap_state, asid) == 120 &&
                  offsetof(struct trap_state, log) == 128,
              "entry.S: TRAP_*");
static_assert(offsetof(struct trap_log_state, ring_pte) == 0 && offsetof(struct trap_log_state, ring_entry) == 8 &&
                  offsetof(struct trap_log_state, ring) == 16 && offsetof(struct trap_log_state, mask) == 24,
              "entry.S: LOG_*");
static_assert(offsetof(struct trap_log_state, slots_pte) == 32 && offsetof(struct trap_log_state, slots_entry) == 40 &&
                  offsetof(struct trap_log_state, slots) == 48 && offsetof(struct trap_log_state, slots_from) == 56,
              "entry.S: LOG_*");

/* entry.S */
extern const char trap_or_interrupt[], perhaps_trap[], perhaps_log[], perhaps_log_to_ring[];
extern const char isolated_trap_or_interrupt[], isolated_perhaps_trap[], isolated_perhaps_log[],
    isolated_perhaps_log_to_ring[];

static const u64 no_generation = 1; /* a space's never is */

void arch_trap_take(struct trap_state *trap, u64 generation, enum trap_way way)
{
    static const char *const ways[2][TRAP_WAYS] = {
        {trap_or_interrupt, perhaps_trap, perhaps_log, perhaps_log_to_ring},
        {isolated_trap_or_interrupt, isolated_perhaps_trap, isolated_perhaps_log, isolated_perhaps_log_to_ring},
    };

    trap->generation = generation;
    trap->fault_sum = generation + 1; /* as entry.S sums up */
    trap->store_sum = generation + CAUSE_STORE_FAULT - CAUSE_ECALL;
    trap->way = (u64)ways[machine.isolated][way];
}

void arch_trap_forget(struct trap_state *trap)
{
    trap->current_generation = &no_generation;
    arch_trap_take(trap, 0, TRAP_WAY_LONG);
}
static_assert(offsetof(struct hart, stub) == 0, "entry.S: HART_STUB");
static_assert(THREAD_WORK == 7, "entry.S: THREAD_WORK");
static_assert(offsetof(struct regs, pc) == 256 && offsetof(struct regs, orig_a0) == 288, "entry.S: REGS_*");
static_assert(KERNEL_STACK_SIZE == 1 << 14, "entry.S: STACK_BIT");
static_assert(offsetof(struct fp_state, fcsr) == 256, "entry.S: fp_registers_save");
