/*
 * What the rest of the kernel may ask of the machine. Implemented in arch/riscv; nothing else there is called from
 * outside.
 */
#ifndef ARCH_RISCV_ARCH_H
#define ARCH_RISCV_ARCH_H

#include "arch/riscv/regs.h"
#include "lib/types.h"
#include "sched/trap_state.h"

struct thread;
struct hart;

/* ---- what boot found ---- */
struct machine {
    unsigned harts;             /* number of harts that run, 1..MAX_HARTS */
    unsigned paging_levels;     /* 3 = Sv39, 4 = Sv48, 5 = Sv57 */
    unsigned asid_bits;         /* 0 = no ASIDs */
    bool isolated;              /* user mode sees nothing of the kernel but the entry stub */
    bool has_sstc;
    bool has_zicboz;            /* cbo.zero for user-mapped blocks, and its block size */
    unsigned cboz_block;
    u64 timebase_hz;
    char isa[128];              /* riscv,isa of hart 0 */
    u64 vendor_id, arch_id, implementation_id; /* mvendorid, marchid, mimpid */
    const char *command_line;
};
extern struct machine machine;

/* ---- interrupts and waiting on this hart ---- */
static inline u64 irq_save(void)
{
    u64 old;
    __asm__ volatile("csrrci %0, sstatus, 2" : "=r"(old)::"memory");
    return old & 2;
}
static inline void irq_restore(u64 flags)
{
    __asm__ volatile("csrs sstatus, %0" ::"r"(flags) : "memory");
}
static inline bool irqs_enabled(void)
{
    u64 s;
    __asm__ volatile("csrr %0, sstatus" : "=r"(s));
    return (s & 2) != 0;
}
static inline void irq_enable(void) { __asm__ volatile("csrsi sstatus, 2" ::: "memory"); }
static inline void irq_disable(void) { __asm__ volatile("csrci sstatus, 2" ::: "memory"); }
/* *WORD becomes VALUE, before all that follows; returns what it was, as a signed number. __atomic_exchange_n does so, too,
 * but GCC 12 extends the sign of what has it extended. */
static inline long arch_swap_acquire(u32 *word, u32 value)
{
    long was;
    __asm__ volatile("amoswap.w.aq %0, %2, %1" : "=r"(was), "+A"(*word) : "r"(value) : "memory");
    return was;
}
static inline void cpu_relax(void) { __asm__ volatile("" ::: "memory"); }
void arch_wait_for_interrupt(void); /* called with interrupts off and nothing to do; returns when one is pending */

/* ---- time ---- */
/* How time_ns comes from the time CSR, for the vDSO: (time - boot_ticks) * factor >> 32, in 128 bits. Constant after
 * boot. */
struct time_scale {
    u64 boot_ticks, factor;
};
extern struct time_scale time_scale;
static inline u64 arch_ticks(void)
{
    u64 ticks;
    __asm__ volatile("rdtime %0" : "=r"(ticks));
    return ticks;
}
static inline u64 time_ns(void) /* monotonic, since boot */
{
    return (u64)((unsigned __int128)(arch_ticks() - time_scale.boot_ticks) * time_scale.factor >> 32);
}
extern u64 realtime_offset; /* what to add for CLOCK_REALTIME, ns: the RTC's at boot, then clock_settime's */
static inline u64 time_realtime_offset(void) { return *(volatile u64 *)&realtime_offset; }
void time_set_realtime(u64 ns);
void arch_set_timer(u64 deadline_ns); /* this hart's one-shot, UINT64_MAX = none; expiry: sched_timer_interrupt() */

/* ---- other harts ---- */
/* Makes hart N run sched_ipi() soon (it takes a software interrupt). */
void arch_kick(unsigned hart_id);
/* Runs FN(ARG) on every hart in MASK (bit = hart id) and waits until all have; on the own hart directly. FN runs
 * with interrupts off and may not sleep or take locks. => interrupts on, no spinlock held but page tables' (vm/tlb.h).
 * While waiting, requests to this hart are served. */
void arch_call_harts(u64 mask, void (*fn)(void *), void *arg);

/* ---- address translation ---- */
/* What translates addresses from now on, or (isolated) from the next return to user mode on; no flush. */
void arch_set_root(u64 root_pfn, unsigned asid);
static inline u64 arch_root(void) /* the pfn that satp holds; the kernel's own root during boot */
{
    u64 satp;
    __asm__ volatile("csrr %0, satp" : "=r"(satp));
    return satp & ((1ull << 44) - 1);
}
/* On this hart only. */
static inline void arch_flush_tlb_page(u64 va, unsigned asid)
{
    __asm__ volatile("sfence.vma %0, %1" ::"r"(va), "r"((u64)asid) : "memory");
}
static inline void arch_flush_tlb_asid(unsigned asid)
{
    __asm__ volatile("sfence.vma zero, %0" ::"r"((u64)asid) : "memory");
}
static inline void arch_flush_tlb_all(void) { __asm__ volatile("sfence.vma" ::: "memory"); }
/* Fills the kernel's part of a fresh user root table; of isolated ones, that is the entry stub. */
void arch_init_root(u64 *root);
void arch_clear_root(u64 *root); /* ... and takes it out again */
/* Maps/unmaps one page of the kernel-stack area; -ENOMEM. Unmap returns the pfn that was there and has flushed no
 * TLB. */
int arch_map_kernel_page(u64 va, u64 pfn);
u64 arch_unmap_kernel_page(u64 va);
u64 arch_image_pfn(const void *p);   /* the frame behind an address of the kernel image */
extern u64 user_address_limit; /* set at boot */
/* The first address past user space: 1 << 38, 1 << 47, 1 << 56. */
static inline u64 arch_user_address_limit(void) { return user_address_limit; }

/* ---- threads ---- */
/* Saves callee-saved registers of PREV and continues NEXT; returns (in NEXT) the thread that ran before on this
 * hart. */
struct thread *arch_switch(struct thread *prev, struct thread *next);
/* Prepares NEW's context so that its first switch calls fn(arg) (kernel thread; fn may not return) */
void arch_init_kernel_thread(struct thread *t, void (*fn)(void *), void *arg);
/* ... or so that it returns to user mode with thread_regs(t), after sched_finish_switch(). */
void arch_init_user_thread(struct thread *t);
/* User FP state is lazy: it lives in the hart's registers, or in thread->fp. These are about the current thread's. */
void arch_fp_give(struct thread *child); /* CHILD, which has not run, starts with a copy */
void arch_fp_drop(void);                 /* exec, exit: starts from zero; state in registers is forgotten */
/* Straight from where it is to TO, or from FROM into the registers. Store: of a thread that has used some (fp_used).
 * => interrupts off */
void arch_fp_store(struct fp_state *to);
void arch_fp_take(const struct fp_state *from);
/* The current thread's state is kept from its fault handler, which traps (arch_fp_trap) when it wants to use it; and
 * there again. entry.S does the same by itself. */
void arch_fp_withhold(void);
void arch_fp_release(void);
/* What TRAP remembers is of GENERATION, and traps of its thread's user mode take WAY from now on; or, nothing is
 * remembered. */
void arch_trap_take(struct trap_state *trap, u64 generation, enum trap_way way);
void arch_trap_forget(struct trap_state *trap);
/* An illegal instruction in user mode: true if it was the first FP instruction since the state left the registers;
 * it will work now. */
bool arch_fp_trap(void);
/* Makes stores to code visible to instruction fetch on all harts that run SPACE's mask (riscv_flush_icache, exec). */
void arch_sync_icache(u64 hart_mask);

/* ---- the end ---- */
noreturn_fn void arch_poweroff(unsigned exit_status); /* sifive_test, else SBI SRST */
noreturn_fn void arch_reboot(void);
/* Called by panic(): registers of REGS (NULL = the caller's), symbolised backtrace, to the console. */
void arch_print_backtrace(const struct regs *regs);
noreturn_fn void panic_with_regs(const struct regs *regs, const char *fmt, ...) printf_like(2, 3);
void arch_stop_other_harts(void);

/* ---- devices and interrupts ---- */
/* Interrupt line IRQ of the platform's controller (PLIC) calls handler(arg) with interrupts off. 0 or -errno. */
int irq_register(unsigned irq, void (*handler)(void *), void *arg);
/* The n-th device-tree node compatible with NAME that is okay: its first register range and interrupt. False when
 * there is none. */
bool fdt_device(const char *compatible, unsigned n, u64 *reg, u64 *size, unsigned *irq);
/* Unpredictable bytes that the firmware left for us (the device tree's rng-seed); NULL when there are none. */
const void *arch_random_seed(unsigned *length);
/* Console output of last resort, polled. */
void arch_console_putc(char c);

/* ---- called by arch/ (implemented above it) ---- */
/* System calls are dispatched by entry.S itself through syscall_table; there thread_regs holds the callee-saved
 * registers only for WHOLE_CONTEXT_SYSCALLs, and a0 gets the handler's result when it returns. */
/* sys/trap.c: any other trap from user mode but interrupts. Interrupts on; the callee-saved registers are not in
 * REGS. True: there is a signal for signal_take_fault (proc/signal_frame.c). */
bool user_trap(struct regs *regs);
/* sys/trap.c: before every return to user mode with THREAD_SIGNAL, THREAD_KILLED or THREAD_RESCHED set in
 * current->flags, again until all are clear. Interrupts on; all of REGS valid; REGS->cause is 8 after a system call. */
void user_return_work(struct regs *regs);
bool kernel_fault_fixup(struct regs *regs);           /* sys/trap.c: a fault in the kernel; false = panic */
void kernel_main(void);                               /* init.c: the boot hart, on its idle thread, interrupts off */
void kernel_main_secondary(void);                     /* the other harts likewise */

#define MAX_HARTS 8

#endif
