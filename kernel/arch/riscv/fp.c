/*
 * User floating-point state. A thread that uses none costs nothing.
 *
 * The kernel touches the registers in this file alone, so sstatus.FS is that of the current thread, in the kernel too
 * (thread->fp_status while it does not run), and says how its state stands:
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
 *
 * Withheld: while a program handles its own fault (docs/vmtrap.md) FS is Off and trap.status has what it was: the state
 * is in the registers, perhaps newer than thread->fp, and the handler's first FP instruction traps, so that it can be
 * saved first. Only FS counts in trap.status, and nothing while FS is on.
 */
#include "arch/riscv/internal.h"
#include "lib/string.h"
#include "sched/sched.h"

static u64 fp_status(void) { return csr_read(sstatus) & SSTATUS_FS; }

static void set_fp_status(u64 status)
{
    csr_clear(sstatus, SSTATUS_FS);
    csr_set(sstatus, status);
}

static bool registers_are_of(const struct hart *hart, const struct thread *t)
{
    return hart->fp_owner == t && t->fp_hart == hart;
}

static void registers_become(struct thread *t)
{
    t->hart->fp_owner = t;
    t->fp_hart = t->hart;
    t->fp_used = true;
}

/* The current thread's newer state goes to memory, too. */
static void clean(struct thread *t)
{
    fp_registers_save(&t->fp);
    set_fp_status(SSTATUS_FS_CLEAN);
}

static bool is_withheld(const struct thread *t) { return (t->trap.status & SSTATUS_FS) != 0 && fp_status() == 0; }

/* What is withheld goes to memory, too, and is Off like any other. => interrupts off */
static inline_fn void bring_home(struct thread *t)
{
    if (unlikely(is_withheld(t))) {
        csr_set(sstatus, SSTATUS_FS);
        fp_registers_save(&t->fp);
        set_fp_status(0);
    }
    t->trap.status = 0;
}

/* => interrupts off. Threads with fp_used unset have FS off and need no call. */
void fp_switch(struct thread *prev, struct thread *next)
{
    bring_home(prev);
    if (fp_status() == SSTATUS_FS_DIRTY)
        clean(prev);
    prev->fp_status = (u16)fp_status();
    set_fp_status(registers_are_of(prev->hart, next) ? next->fp_status : 0);
}

bool arch_fp_trap(void)
{
    struct thread *t = current;
    u64 flags;

    if (fp_status() != 0)
        return false; /* on already: the instruction is illegal for another reason */
    flags = irq_save();
    if (is_withheld(t)) {
        csr_set(sstatus, t->trap.status & SSTATUS_FS);
        irq_restore(flags);
        return true;
    }
    csr_set(sstatus, SSTATUS_FS);
    if (!registers_are_of(t->hart, t)) {
        fp_registers_load(&t->fp);
        registers_become(t);
    }
    set_fp_status(SSTATUS_FS_CLEAN);
    irq_restore(flags);
    return true;
}

/* Apart, so that the usual case saves no registers. */
static noinline_fn void store_from_memory(struct fp_state *to)
{
    if (is_withheld(current)) {
        csr_set(sstatus, SSTATUS_FS);
        fp_registers_save(to);
        set_fp_status(0);
    } else {
        *to = current->fp;
    }
}

void arch_fp_store(struct fp_state *to)
{
    if (likely(fp_status() != 0))
        fp_registers_save(to);
    else
        store_from_memory(to);
}

void arch_fp_take(const struct fp_state *from)
{
    csr_set(sstatus, SSTATUS_FS); /* dirty */
    registers_become(current);
    fp_registers_load(from);
}

void arch_fp_withhold(void)
{
    u64 flags = irq_save();

    current->trap.status |= fp_status();
    set_fp_status(0);
    irq_restore(flags);
}

void arch_fp_release(void)
{
    u64 flags = irq_save();

    csr_set(sstatus, current->trap.status & SSTATUS_FS);
    irq_restore(flags);
}

void arch_fp_give(struct thread *child)
{
    u64 flags = irq_save();

    bring_home(current);
    if (fp_status() == SSTATUS_FS_DIRTY)
        clean(current);
    irq_restore(flags);
    if (!current->fp_used)
        return;
    child->fp = current->fp;
    child->fp_used = true;
}

void arch_fp_drop(void)
{
    struct thread *t = current;

    t->trap.status = 0;
    if (!t->fp_used)
        return;
    memset(&t->fp, 0, sizeof(t->fp));
    t->fp_used = false;
    t->fp_hart = NULL;
    set_fp_status(0);
}
