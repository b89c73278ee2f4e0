/* The machine as unit tests see it: one hart, no interrupts, no TLB. Shadows kernel/arch/riscv/arch.h. */
#ifndef ARCH_RISCV_ARCH_H
#define ARCH_RISCV_ARCH_H

#include "lib/types.h"
#include "sched/trap_state.h"

struct thread;
struct hart;
struct machine {
    unsigned harts, paging_levels, asid_bits;
    u64 timebase_hz;
    bool isolated;
};
extern struct machine machine;
static inline u64 irq_save(void) { return 0; }
static inline void irq_enable(void) {}
static inline bool irqs_enabled(void) { return true; }
static inline void irq_disable(void) {}
static inline void irq_restore(u64 flags) { (void)flags; }
static inline void cpu_relax(void) {}
static inline long arch_swap_acquire(u32 *word, u32 value)
{
    return __atomic_exchange_n(word, value, __ATOMIC_ACQUIRE);
}
u64 arch_user_address_limit(void);
u64 time_ns(void);
u64 time_realtime_offset(void);
static inline u64 arch_ticks(void) { return time_ns(); } /* a clock of a tick each nanosecond */
#define MAX_HARTS 8

static inline u64 arch_root(void) { return 0; }
static inline u64 arch_image_pfn(const void *p) { return (u64)p >> PAGE_SHIFT; }
static inline void arch_set_root(u64 root_pfn, unsigned asid) { (void)root_pfn, (void)asid; }
static inline void arch_trap_take(struct trap_state *trap, u64 generation, enum trap_way way)
{
    trap->generation = generation;
    trap->way = (u64)way;
}
static inline void arch_trap_forget(struct trap_state *trap) { arch_trap_take(trap, 0, TRAP_WAY_LONG); }
static inline void arch_flush_tlb_page(u64 va, unsigned asid) { (void)va, (void)asid; }
static inline void arch_flush_tlb_asid(unsigned asid) { (void)asid; }
static inline void arch_init_root(u64 *root) { (void)root; }
static inline void arch_clear_root(u64 *root) { (void)root; }
static inline void arch_sync_icache(u64 harts) { (void)harts; }
static inline void arch_call_harts(u64 mask, void (*fn)(void *), void *arg) { (void)mask, (void)fn, (void)arg; }

#endif
