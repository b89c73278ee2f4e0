/*
 * Signal frames: what a handler finds on its stack and what rt_sigreturn(2) reads back. The layout is Linux's for
 * riscv64 (struct rt_sigframe):
 *
 *   sp -> siginfo 128 bytes | ucontext 960: flags, link, stack, mask, ... | at +176 pc, x1..x31 | floating point 528
 *
 * The handler is entered with a0 = signal, a1 = siginfo, a2 = ucontext, ra = the vDSO's __vdso_rt_sigreturn. A frame
 * that a program has changed can give it any user register values, which it could have set anyway; nothing else is
 * believed.
 *
 * A frame is 136 words, of which 90 mean something; writing and reading them is most of what a signal costs. A frame
 * that lies in one page, as three of four do, is written and read in place, word by word, in runs that the compiler
 * unrolls; only one that crosses a page goes through a copy on the kernel's stack. Floating-point registers go straight
 * between the hart and the frame; a thread that has used none gets zeros.
 */
#include "lib/string.h"
#include "proc/internal.h"
#include "proc/sigaltstack.h"
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

static inline void zero_words(void *to, unsigned n)
{
    u64 *words = to;

#pragma GCC unroll 64
    for (unsigned i = 0; i < n; i++)
        words[i] = 0;
}

static inline void copy_words(void *to, const void *from, unsigned n)
{
    u64 *d = to;
    const u64 *s = from;

#pragma GCC unroll 64
    for (unsigned i = 0; i < n; i++)
        d[i] = s[i];
}

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

    if (t->altstack.size != 0) {
        if (altstack_contains(&t->altstack, sp)) {
            if (!altstack_contains(&t->altstack, sp - sizeof(struct frame)))
                return 0;
        } else if (action->flags & SA_ONSTACK) {
            sp = t->altstack.base + t->altstack.size;
        }
    }
    return ALIGN_DOWN(sp - sizeof(struct frame), 16);
}

static void fill_fp(struct fp_frame *fp)
{
    if (!arch_fp_store((struct fp_state *)fp))
        zero_words(fp, sizeof(struct fp_state) / sizeof(u64));
    zero_words(&fp->unused[252], 2); /* and what follows */
}
static_assert(sizeof(struct fp_state) == 264 && offsetof(struct fp_state, fcsr) == offsetof(struct fp_frame, fcsr),
              "the frame begins as struct fp_state");

/* What means something in the frame; the rest stays what it was on the user's stack, as under Linux. F may be user
 * memory: it is never read back. */
static void fill(struct frame *f, const struct regs *regs, const struct siginfo *info, u64 mask)
{
    struct task *t = current_task();
    struct ucontext *c = &f->context;

    copy_words(&f->info, info, sizeof(*info) / sizeof(u64));
    zero_words(f->info_rest, sizeof(f->info_rest) / sizeof(u64));
    c->flags = c->link = 0;
    copy_words(&c->stack, &t->altstack, sizeof(c->stack) / sizeof(u64));
    c->mask = mask;
    c->regs[0] = regs->pc;
    copy_words(&c->regs[1], &regs->x[1], 31);
    fill_fp(&c->fp);
}

static noinline_fn int write_across_pages(u64 at, const struct regs *regs, const struct siginfo *info, u64 mask)
{
    struct frame frame;

    zero_words(&frame.context.unused, sizeof(frame.context.unused) / sizeof(u64));
    zero_words(&frame.context.fp, sizeof(frame.context.fp) / sizeof(u64));
    fill(&frame, regs, info, mask);
    return copy_to_user((void *)at, &frame, sizeof(frame));
}

static int write_frame(u64 at, const struct regs *regs, const struct siginfo *info, u64 mask)
{
    u64 flags;
    struct frame *f;

    if (unlikely(!user_is_in_page(at, sizeof(*f))))
        return write_across_pages(at, regs, info, mask);
    f = user_pin_write(at, &flags);
    if (unlikely(f == NULL))
        return -EFAULT;
    fill(f, regs, info, mask);
    user_unpin(flags);
    return 0;
}

int signal_frame_push(struct regs *regs, const struct sigaction *action, const struct siginfo *info, u64 mask)
{
    struct task *t = current_task();
    u64 at = frame_address(regs, action);

    if (at == 0 || write_frame(at, regs, info, mask) != 0)
        return -EFAULT;
    if ((u32)t->altstack.flags & SS_AUTODISARM)
        t->altstack = (struct sigaltstack){.flags = SS_DISABLE};
    regs->pc = action->handler;
    regs->x[REG_SP] = at;
    regs->x[REG_RA] = t->process->sigreturn;
    regs->x[REG_A0] = (u64)info->signo;
    regs->x[REG_A1] = at + offsetof(struct frame, info);
    regs->x[REG_A2] = at + offsetof(struct frame, context);
    return 0;
}

/* ---- returning ---- */

static bool is_all_zero(const struct fp_frame *fp)
{
    u64 any = fp->fcsr;

#pragma GCC unroll 32
    for (unsigned i = 0; i < 32; i++)
        any |= fp->f[i];
    return any == 0;
}

/* What comes back with C, which may be user memory, besides pc and x1 to x31; each word is read once. False: it is no
 * frame of ours. */
static bool take_context(const struct ucontext *c)
{
    struct task *t = current_task();
    struct sigaltstack stack = c->stack;

    if (c->fp.reserved[0] != 0 || c->fp.extension_magic != 0 || c->fp.extension_size != 0)
        return false;
    if (current->fp_used || !is_all_zero(&c->fp))
        arch_fp_take((const struct fp_state *)&c->fp);
    signal_set_mask(load_relaxed(&c->mask));
    /* Mostly it is what it was, and what it says may be nonsense: then the old one stays. */
    if (stack.base != t->altstack.base || stack.size != t->altstack.size || stack.flags != t->altstack.flags)
        altstack_set(&stack, c->regs[REG_SP]);
    return true;
}

static void take_registers(struct regs *regs, const struct ucontext *c)
{
    regs->pc = c->regs[0];
    copy_words(&regs->x[1], &c->regs[1], 31);
}

static noinline_fn long return_across_pages(struct regs *regs, u64 at)
{
    struct ucontext c;
    u64 flags;
    bool is_sane = copy_from_user(&c, (const void *)at, sizeof(c)) == 0;

    if (is_sane) {
        flags = irq_save();
        is_sane = take_context(&c);
        irq_restore(flags);
    }
    if (!is_sane) {
        signal_force(SIGSEGV, SI_KERNEL, 0);
        return -1;
    }
    take_registers(regs, &c);
    return 0;
}

long signal_return(void)
{
    struct regs *regs = thread_regs(current);
    u64 at = regs->x[REG_SP] + offsetof(struct frame, context), flags;
    const struct ucontext *c;

    current_task()->restart.fn = NULL;
    regs->cause = CAUSE_SETTLED;
    if (unlikely(!user_is_in_page(at, sizeof(*c)) || (at & 7) != 0))
        return return_across_pages(regs, at);
    c = user_pin_read(at, &flags);
    if (unlikely(c == NULL || !take_context(c))) {
        if (c != NULL)
            user_unpin(flags);
        signal_force(SIGSEGV, SI_KERNEL, 0);
        return -1;
    }
    if (likely((load_relaxed(&current->flags) & THREAD_WORK) == 0))
        return (long)c->regs;
    take_registers(regs, c);
    user_unpin(flags);
    return 0;
}
