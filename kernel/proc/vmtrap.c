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
#include "lib/string.h"
#include "proc/internal.h"
#include "quire/vmtrap.h"
#include "vm/uaccess.h"
#include "vm/vmtrap.h"

static_assert(VMTRAP_AREA_SIZE <= PAGE_SIZE && VMTRAP_FETCH == 12 && VMTRAP_LOAD == 13 && VMTRAP_STORE == 15,
              "entry.S goes by this");

#define NOT_IN_AREA 0x0ffc0319u /* x0, gp, tp, s0 to s11 */

/* The registers that are in the area, each word moved once. */
static inline_fn void move_registers(u64 *to, const u64 *from)
{
#pragma GCC unroll 32
    for (unsigned i = 0; i < 32; i++)
        if (!(NOT_IN_AREA >> i & 1))
            store_relaxed(&to[i], load_relaxed(&from[i]));
}

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

/* Handlers that use floating point seldom do it once. So after one that did, its followers find the interrupted code's
 * saved and their own on, and need no trap for it; the next one has to show again. */
#define FP_HABIT 15

static struct fp_state *fp_of(struct vmtrap_area *area) { return (struct fp_state *)area->f; }

static void begin_fp(struct trap_state *trap, struct vmtrap_area *area)
{
    trap->fp_saved = trap->fp_habit > 0 && current->fp_used;
    area->fp_saved = trap->fp_saved;
    if (likely(!trap->fp_saved)) {
        arch_fp_withhold();
        return;
    }
    trap->fp_habit--;
    arch_fp_store(fp_of(area));
    arch_trap_forget(trap); /* the resume is a long one */
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
    move_registers(area->x, regs->x);
    area->pc = regs->pc;
    begin_fp(trap, area);
    store_release(&area->busy, regs->cause);
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
    struct vmtrap_area *area;

    area = trap->fp_saved ? NULL : user_pin_write(trap->user_area);
    if (area == NULL)
        return; /* done, or the area is gone, and the handler with it */
    if (load_relaxed(&area->busy) != 0) {
        if (current->fp_used)
            arch_fp_store(fp_of(area));
        else
            memset(fp_of(area), 0, sizeof(struct fp_state));
        area->fp_saved = 1;
        trap->fp_saved = true;
        trap->fp_habit = FP_HABIT;
        arch_trap_forget(trap); /* the resume is a long one */
    }
    user_unpin();
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
    error = n != 0 ? protect(trap->user_area, n) : 0;
    if (error != 0)
        return error;
    area = user_pin_write(trap->user_area);
    if (area == NULL)
        return -EFAULT;
    if (trap->fp_saved)
        arch_fp_take(fp_of(area));
    trap->fp_saved = false;
    move_registers(regs->x, area->x);
    regs->pc = load_relaxed(&area->pc);
    store_release(&area->busy, 0);
    arch_fp_release();
    user_unpin();
    regs->cause = CAUSE_SETTLED;
    return 0;
}
