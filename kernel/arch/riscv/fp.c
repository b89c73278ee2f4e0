/*
 * User floating-point state. A thread that uses none costs nothing.
 *
 * sstatus.FS in a thread's saved status says how its state stands:
 *
 *   Off    the hart's registers are not this thread's: its first FP instruction traps (arch_fp_trap) and loads them
 *
 *   Clean  the registers hold the state, and thread->fp has the same
 *
 *   Dirty  the registers hold newer state than thread->fp; only while the thread runs
 *
 * When a dirty thread leaves its hart its registers are saved, so thread->fp of a thread that does not run is always
 * current and it may go on anywhere. They are not cleared: if it comes back to the same hart and nobody else loaded the
 * registers meanwhile (hart->fp_owner is the thread and thread->fp_hart the hart), it finds them and needs no trap.
 */
#include "arch/riscv/internal.h"
#include "lib/string.h"
#include "sched/sched.h"

static bool is_dirty(const struct regs *regs) { return (regs->status & SSTATUS_FS) == SSTATUS_FS_DIRTY; }
static void set_fs(struct regs *regs, u64 fs) { regs->status = (regs->status & ~(u64)SSTATUS_FS) | fs; }
static bool registers_are_of(const struct hart *hart, const struct thread *t)
{
    return hart->fp_owner == t && t->fp_hart == hart;
}

/* T runs on this hart, with dirty registers. */
static void save_registers(struct thread *t)
{
    csr_set(sstatus, SSTATUS_FS);
    fp_registers_save(&t->fp);
    set_fs(thread_regs(t), SSTATUS_FS_CLEAN);
}

/* => interrupts off. Threads with fp_used unset have FS off and need no call. */
void fp_switch(struct thread *prev, struct thread *next)
{
    if ((prev->flags & THREAD_USER) && is_dirty(thread_regs(prev)))
        save_registers(prev);
    if ((next->flags & THREAD_USER) && (thread_regs(next)->status & SSTATUS_FS) != 0 &&
        !registers_are_of(prev->hart, next))
        set_fs(thread_regs(next), 0);
}

bool arch_fp_trap(struct regs *regs)
{
    struct thread *t = current;
    u64 flags;

    if ((regs->status & SSTATUS_FS) != 0)
        return false; /* on already: the instruction is illegal for another reason */
    flags = irq_save();
    csr_set(sstatus, SSTATUS_FS);
    if (!registers_are_of(t->hart, t)) {
        fp_registers_load(&t->fp);
        t->hart->fp_owner = t;
        t->fp_hart = t->hart;
    }
    t->fp_used = true;
    set_fs(regs, SSTATUS_FS_CLEAN);
    irq_restore(flags);
    return true;
}

void arch_fp_save(struct thread *t)
{
    u64 flags;

    if (t != current || !is_dirty(thread_regs(t)))
        return;
    flags = irq_save();
    save_registers(t);
    irq_restore(flags);
}

bool arch_fp_store(struct fp_state *to)
{
    struct thread *t = current;

    if (!t->fp_used)
        return false;
    if ((thread_regs(t)->status & SSTATUS_FS) == 0) {
        *to = t->fp;
        return true;
    }
    csr_set(sstatus, SSTATUS_FS);
    fp_registers_save(to);
    to->pad = 0;
    return true;
}

void arch_fp_take(const struct fp_state *from)
{
    struct thread *t = current;

    csr_set(sstatus, SSTATUS_FS);
    fp_registers_load(from);
    t->hart->fp_owner = t;
    t->fp_hart = t->hart;
    t->fp_used = true;
    set_fs(thread_regs(t), SSTATUS_FS_DIRTY);
}

void arch_fp_changed(struct thread *t)
{
    t->fp_used = true;
    t->fp_hart = NULL;
    set_fs(thread_regs(t), 0);
}

void arch_fp_drop(struct thread *t)
{
    if (t->fp_used)
        memset(&t->fp, 0, sizeof(t->fp));
    t->fp_used = false;
    t->fp_hart = NULL;
    set_fs(thread_regs(t), 0);
}
