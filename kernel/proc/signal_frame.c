/*
 * Signal frames: what a handler finds on its stack and what rt_sigreturn(2) reads back. The layout is Linux's for
 * riscv64 (struct rt_sigframe):
 *
 *   sp -> siginfo 128 bytes | ucontext 960: flags, link, stack, mask, ... | at +176 pc, x1..x31 | floating point 528
 *
 * The handler is entered with a0 = signal, a1 = siginfo, a2 = ucontext, ra = the vDSO's __vdso_rt_sigreturn. A frame
 * that a program has changed can give it any user register values, which it could have set anyway; nothing else is
 * believed.
 */
#include "lib/string.h"
#include "proc/internal.h"
#include "proc/sigaltstack.h"
#include "proc/vdso/vdso.h"
#include "sys/syscall.h"
#include "vm/space.h"
#include "vm/uaccess.h"

struct fp_frame { /* union __riscv_fp_state */
    u64 f[32];
    u32 fcsr;
    u8 unused[256];
    u32 reserved[1];     /* 0 */
    u32 extension_magic; /* 0, 0: no extension follows */
    u32 extension_size;
};
static_assert(offsetof(struct fp_frame, reserved) == 516 && sizeof(struct fp_frame) == 528, "union __riscv_fp_state");

struct ucontext {
    u64 flags, link;
    struct sigaltstack stack;
    u64 mask;
    u8 unused[128];
    u64 regs[32]; /* pc, x1..x31 */
    struct fp_frame fp;
};
static_assert(offsetof(struct ucontext, mask) == 40 && offsetof(struct ucontext, regs) == 176 &&
                  sizeof(struct ucontext) == 960,
              "ucontext");

struct frame {
    struct siginfo info;
    u8 info_rest[SIGINFO_SIZE - sizeof(struct siginfo)];
    struct ucontext context;
};
static_assert(sizeof(struct frame) == 1088, "rt_sigframe");

int siginfo_to_user(void *user, const struct siginfo *info)
{
    if (copy_to_user(user, info, sizeof(*info)) != 0)
        return -EFAULT;
    return clear_user((char *)user + sizeof(*info), SIGINFO_SIZE - sizeof(*info));
}

/* ---- entering ---- */

/* Where the frame goes; 0: it would leave the alternate stack that it is on. */
static u64 frame_address(const struct regs *regs, const struct sigaction *action)
{
    struct task *t = current_task();
    u64 sp = regs->x[REG_SP];

    if (altstack_contains(&t->altstack, sp) && !altstack_contains(&t->altstack, sp - sizeof(struct frame)))
        return 0;
    if ((action->flags & SA_ONSTACK) && altstack_state(&t->altstack, sp) == 0)
        sp = t->altstack.base + t->altstack.size;
    return ALIGN_DOWN(sp - sizeof(struct frame), 16);
}

static void save_registers(struct ucontext *c, const struct regs *regs)
{
    c->regs[0] = regs->pc;
    memcpy(&c->regs[1], &regs->x[1], 31 * sizeof(u64));
}

static void save_fp(struct fp_frame *fp)
{
    struct thread *t = current;

    arch_fp_save(t);
    memcpy(fp->f, t->fp.f, sizeof(fp->f));
    fp->fcsr = t->fp.fcsr;
    memset(fp->unused, 0, sizeof(*fp) - offsetof(struct fp_frame, unused));
}

/* Everything of the frame but the floating-point part; no byte of it is left as it was on our stack. */
static void fill(struct frame *f, const struct regs *regs, const struct siginfo *info, u64 mask)
{
    struct task *t = current_task();
    struct ucontext *c = &f->context;

    f->info = *info;
    memset(f->info_rest, 0, sizeof(f->info_rest));
    c->flags = c->link = 0;
    c->stack = t->altstack;
    c->stack.flags =
        (s32)((u32)altstack_state(&t->altstack, regs->x[REG_SP]) | ((u32)t->altstack.flags & SS_AUTODISARM));
    c->stack.pad = 0;
    c->mask = mask;
    memset(c->unused, 0, sizeof(c->unused));
    save_registers(c, regs);
}

/* A thread that has used no floating point has all zeros there. */
static int write_frame(u64 at, struct frame *f)
{
    u64 before_fp = offsetof(struct frame, context.fp);

    if (current->fp_used) {
        save_fp(&f->context.fp);
        return copy_to_user((void *)at, f, sizeof(*f));
    }
    if (copy_to_user((void *)at, f, before_fp) != 0)
        return -EFAULT;
    return clear_user((void *)(at + before_fp), sizeof(*f) - before_fp);
}

int signal_frame_push(struct regs *regs, const struct sigaction *action, const struct siginfo *info, u64 mask)
{
    struct task *t = current_task();
    struct frame frame;
    u64 at = frame_address(regs, action);

    if (at == 0)
        return -EFAULT;
    fill(&frame, regs, info, mask);
    if (write_frame(at, &frame) != 0)
        return -EFAULT;
    if ((u32)t->altstack.flags & SS_AUTODISARM)
        t->altstack = (struct sigaltstack){.flags = SS_DISABLE};
    regs->pc = action->handler;
    regs->x[REG_SP] = at;
    regs->x[REG_RA] = t->process->vdso_base + vdso_offset_sigreturn();
    regs->x[REG_A0] = (u64)info->signo;
    regs->x[REG_A1] = at + offsetof(struct frame, info);
    regs->x[REG_A2] = at + offsetof(struct frame, context);
    return 0;
}

/* ---- returning ---- */

static bool is_all_zero(const struct fp_frame *fp)
{
    u64 any = fp->fcsr;

    for (unsigned i = 0; i < 32; i++)
        any |= fp->f[i];
    return any == 0;
}

static void restore_fp(const struct fp_frame *fp)
{
    struct thread *t = current;

    if (!t->fp_used && is_all_zero(fp))
        return;
    arch_fp_save(t);
    memcpy(t->fp.f, fp->f, sizeof(t->fp.f));
    t->fp.fcsr = fp->fcsr & 0xff; /* rounding mode and flags */
    arch_fp_changed(t);
}

DEFINE_SYSCALL(sys_rt_sigreturn)
{
    struct regs *regs = thread_regs(current);
    const struct frame *user = (const struct frame *)regs->x[REG_SP];
    struct ucontext c;
    bool is_sane;

    current_task()->restart.fn = NULL;
    regs->cause = CAUSE_SETTLED;
    is_sane = copy_from_user(&c, &user->context, sizeof(c)) == 0 && c.fp.reserved[0] == 0 &&
              c.fp.extension_magic == 0 && c.fp.extension_size == 0;
    if (!is_sane) {
        signal_force(SIGSEGV, SI_KERNEL, 0);
        return 0;
    }
    regs->pc = c.regs[0];
    memcpy(&regs->x[1], &c.regs[1], 31 * sizeof(u64));
    restore_fp(&c.fp);
    signal_set_mask(c.mask);
    altstack_set(&c.stack, regs->x[REG_SP]); /* what it says may be nonsense: then the old one stays */
    return (long)regs->x[REG_A0];
}
