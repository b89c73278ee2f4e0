/*
 * User traps, the part with registers: the way into a program's fault handler and back. The calls are told in
 * vmtrap(2), structures and numbers in libvm/include/quire/vmtrap.h, the rules in docs/vmtrap.md.
 *
 * What is here is the long way: it finds the save area as any system call finds user memory, by its address, each time.
 * entry.S has the short one, for when the thread remembers (vm/vmtrap.h). Both leave the same behind.
 *
 *   in    the registers that a C function may change -> the save area, busy = the cause; sp = the handler's stack,
 *         a0 = the area, a1 = the address, a2 = the cause, a3 = where the fault was; floating point withheld (fp.c)
 *   out   changes of protection, busy = 0, the same registers from the area, floating point as it was
 *
 * The others are never touched: the kernel's C code keeps s0 to s11 for the user (entry.S). A save area is user memory
 * like any other: other threads may change or unmap it meanwhile, so each word is read once and nothing is believed but
 * values of registers, of which every one is the user's own.
 *
 * Nothing waits for a handler: the kernel has no state of a running one but the word in the save area, and whether its
 * floating point is there, too. So it may longjmp away, fork, or never come back.
 */
#include "proc/vmtrap.h"
#include "proc/internal.h"
#include "quire/vmtrap.h"
#include "vm/uaccess.h"
#include "vm/vmtrap.h"

static_assert(VMTRAP_AREA_SIZE <= PAGE_SIZE && VMTRAP_FETCH == 12 && VMTRAP_LOAD == 13 && VMTRAP_STORE == 15,
              "entry.S goes by this");

/* The registers that are in the area. */
static const u8 saved[] = {1, 2, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31};

/* ---- in ---- */

/* The thread remembers its save area, too. */
static void note_area(struct space *s)
{
    void *area = has_trap_handler() ? user_pin_write(current->trap.user_area) : NULL;

    if (area == NULL)
        return;
    vmtrap_note_area(s, area);
    user_unpin();
}

bool vmtrap_enter(struct regs *regs, enum fault_access access)
{
    struct trap_state *trap = &current->trap;
    struct space *s = current->space;
    struct trap_log log;
    enum trap_kind kind = vmtrap_look(s, regs->tval, access, &log);
    struct vmtrap_area *area;

    if (kind == TRAP_LOG) {
        if (vmtrap_log_store(s, &log, regs->tval)) {
            note_area(s);
            return true;
        }
        kind = vmtrap_look(s, regs->tval, access, NULL);
    }
    if (kind != TRAP_FAULT || !has_trap_handler())
        return kind == TRAP_RETRY;
    area = user_pin_write(trap->user_area);
    if (area == NULL)
        return false;
    if (load_relaxed(&area->busy) != 0) {
        user_unpin();
        return false;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(saved); i++)
        area->x[saved[i]] = regs->x[saved[i]];
    area->pc = regs->pc;
    area->fp_saved = 0;
    store_release(&area->busy, regs->cause);
    trap->fp_saved = false;
    arch_fp_withhold();
    vmtrap_note_area(s, area);
    user_unpin();
    regs->x[REG_A0] = trap->user_area;
    regs->x[REG_A1] = regs->tval;
    regs->x[REG_A2] = regs->cause;
    regs->x[REG_A3] = regs->pc;
    regs->x[REG_SP] = trap->stack;
    regs->pc = trap->entry;
    return true;
}

/* The changes that a resume of N asks for. -errno: those before the one that failed are done. */
static int protect(u64 area, u64 n)
{
    struct vmtrap_range ranges[VMTRAP_RANGES];
    u64 at = area + offsetof(struct vmtrap_area, ranges), done;

    if (n >= PAGE_SIZE) {
        ranges[0] = (struct vmtrap_range){ALIGN_DOWN(n, PAGE_SIZE), PAGE_SIZE, n & PAGE_MASK};
        return space_protect_ranges(current->space, ranges, 1, &done);
    }
    if (n > VMTRAP_RANGES)
        return -EINVAL;
    if (copy_from_user(ranges, (const void *)at, n * sizeof(*ranges)) != 0)
        return -EFAULT;
    return space_protect_ranges(current->space, ranges, n, &done);
}

/* ---- floating point ---- */

static_assert(offsetof(struct vmtrap_area, fcsr) - offsetof(struct vmtrap_area, f) == offsetof(struct fp_state, fcsr) &&
                  offsetof(struct vmtrap_area, fp_saved) - offsetof(struct vmtrap_area, f) ==
                      offsetof(struct fp_state, pad),
              "the area has a struct fp_state");

void vmtrap_save_fp(void)
{
    struct trap_state *trap = &current->trap;
    u64 area = trap->user_area, busy, flags;
    struct fp_state fp;

    if (trap->fp_saved || get_user_u64(&busy, (const u64 *)(area + offsetof(struct vmtrap_area, busy))) != 0 ||
        busy == 0)
        return;
    fp = (struct fp_state){.fcsr = 0};
    flags = irq_save();
    if (current->fp_used)
        arch_fp_store(&fp);
    irq_restore(flags);
    fp.pad = 1; /* fp_saved */
    if (copy_to_user((void *)(area + offsetof(struct vmtrap_area, f)), &fp, sizeof(fp)) != 0)
        return; /* the area is gone, and the handler with it */
    trap->fp_saved = true;
    arch_trap_forget(trap); /* the resume is a long one */
}

static int restore_fp(struct trap_state *trap)
{
    u64 at = trap->user_area + offsetof(struct vmtrap_area, f), flags;
    struct fp_state fp;

    if (copy_from_user(&fp, (const void *)at, sizeof(fp)) != 0)
        return -EFAULT;
    flags = irq_save();
    arch_fp_take(&fp);
    irq_restore(flags);
    trap->fp_saved = false;
    return 0;
}

/* ---- out ---- */

long vmtrap_resume(u64 n)
{
    struct regs *regs = thread_regs(current);
    struct trap_state *trap = &current->trap;
    struct vmtrap_area *area;
    long error;

    if (trap->user_area == 0)
        return -EINVAL;
    if (unlikely(trap->must_flush))
        vmtrap_flush();
    error = n != 0 ? protect(trap->user_area, n) : 0;
    if (error == 0 && trap->fp_saved)
        error = restore_fp(trap);
    if (error != 0)
        return error;
    area = user_pin_write(trap->user_area);
    if (area == NULL)
        return -EFAULT;
    for (unsigned i = 0; i < ARRAY_SIZE(saved); i++)
        regs->x[saved[i]] = load_relaxed(&area->x[saved[i]]);
    regs->pc = load_relaxed(&area->pc);
    store_release(&area->busy, 0);
    arch_fp_release();
    user_unpin();
    regs->cause = CAUSE_SETTLED;
    return 0;
}
