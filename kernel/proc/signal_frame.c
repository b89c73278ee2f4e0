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
 * A frame is 136 words, of which 90 mean something; writing and reading them is most of what a signal costs. So a frame
 * is moved down to where it crosses no page, and is written and read in place, word by word, in runs that the compiler
 * unrolls; only where an alternate stack has no room for that does it go through a copy on the kernel's stack.
 * Floating-point registers go straight between the hart and the frame; a thread that has used none gets zeros.
 */
#include "lib/string.h"
#include "proc/internal.h"
#include "proc/sigaltstack.h"
#include "proc/vmtrap.h"
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

/* AT, or where a frame that would cross a page there fits in below: it touches no page that it would not have. */
static inline u64 in_one_page(u64 at)
{
    return user_is_in_page(at, sizeof(struct frame)) ? at : (at | PAGE_MASK) + 1 - sizeof(struct frame);
}

/* Where the frame goes; 0: it would leave the alternate stack that it is on. */
static noinline_fn u64 with_altstack(const struct sigaltstack *stack, u64 sp, const struct sigaction *action)
{
    u64 at;

    if (altstack_contains(stack, sp)) {
        if (!altstack_contains(stack, sp - sizeof(struct frame)))
            return 0;
    } else if (action->flags & SA_ONSTACK) {
        sp = stack->base + stack->size;
    }
    at = ALIGN_DOWN(sp - sizeof(struct frame), 16);
    return in_one_page(at) >= stack->base ? in_one_page(at) : at;
}

static inline_fn u64 frame_address(const struct task *t, const struct regs *regs, const struct sigaction *action)
{
    if (unlikely(t->altstack.size != 0))
        return with_altstack(&t->altstack, regs->x[REG_SP], action);
    return in_one_page(ALIGN_DOWN(regs->x[REG_SP] - sizeof(struct frame), 16));
}

static inline_fn void fill_fp(struct fp_frame *fp)
{
    if (likely(current->fp_used))
        arch_fp_store((struct fp_state *)fp);
    else
        zero_words(fp, sizeof(struct fp_state) / sizeof(u64));
    zero_words(&fp->unused[252], 2); /* and what follows */
}
static_assert(sizeof(struct fp_state) == 264 && offsetof(struct fp_state, fcsr) == offsetof(struct fp_frame, fcsr),
              "the frame begins as struct fp_state");

static inline_fn void fill_caller_saved(struct ucontext *c, const struct regs *regs)
{
    c->regs[0] = regs->pc;
    copy_words(&c->regs[REG_RA], &regs->x[REG_RA], 2);
    copy_words(&c->regs[REG_TP], &regs->x[REG_TP], 4);
    copy_words(&c->regs[REG_A0], &regs->x[REG_A0], 8);
    copy_words(&c->regs[REG_T3], &regs->x[REG_T3], 4);
}

/* The others: gp, s0 to s11. */
static inline_fn void fill_callee_saved(struct ucontext *c, const struct regs *regs)
{
    c->regs[REG_GP] = regs->x[REG_GP];
    copy_words(&c->regs[REG_S0], &regs->x[REG_S0], 2);
    copy_words(&c->regs[REG_S2], &regs->x[REG_S2], 10);
}

/* What means something in the frame, but for callee-saved registers; the rest stays what it was on the user's stack, as
 * under Linux. F may be user memory: it is never read back. */
static inline_fn void fill(struct frame *f, const struct task *t, const struct regs *regs, const struct siginfo *info,
                           u64 mask)
{
    struct ucontext *c = &f->context;

    copy_words(&f->info, info, sizeof(*info) / sizeof(u64));
    zero_words(f->info_rest, sizeof(f->info_rest) / sizeof(u64));
    c->flags = c->link = 0;
    copy_words(&c->stack, &t->altstack, sizeof(c->stack) / sizeof(u64));
    c->mask = mask;
    fill_caller_saved(c, regs);
    fill_fp(&c->fp);
}

static noinline_fn int write_across_pages(u64 at, const struct regs *regs, const struct siginfo *info, u64 mask)
{
    struct frame frame;

    zero_words(&frame.context.unused, sizeof(frame.context.unused) / sizeof(u64));
    zero_words(&frame.context.fp, sizeof(frame.context.fp) / sizeof(u64));
    fill(&frame, current_task(), regs, info, mask);
    fill_callee_saved(&frame.context, regs);
    return copy_to_user((void *)at, &frame, sizeof(frame));
}

static int write_frame(u64 at, const struct regs *regs, const struct siginfo *info, u64 mask)
{
    struct frame *f;

    if (unlikely(!user_is_in_page(at, sizeof(*f))))
        return write_across_pages(at, regs, info, mask);
    f = user_pin_write(at);
    if (unlikely(f == NULL))
        return -EFAULT;
    fill(f, current_task(), regs, info, mask);
    fill_callee_saved(&f->context, regs);
    user_unpin();
    return 0;
}

/* The frame is at AT. */
static inline_fn void enter_handler(struct task *t, struct regs *regs, const struct sigaction *action,
                                    const struct siginfo *info, u64 at)
{
    if (unlikely((u32)t->altstack.flags & SS_AUTODISARM))
        t->altstack = (struct sigaltstack){.flags = SS_DISABLE};
    regs->pc = action->handler;
    regs->x[REG_SP] = at;
    regs->x[REG_RA] = t->process->sigreturn;
    regs->x[REG_A0] = (u64)info->signo;
    regs->x[REG_A1] = at + offsetof(struct frame, info);
    regs->x[REG_A2] = at + offsetof(struct frame, context);
}

int signal_frame_push(struct regs *regs, const struct sigaction *action, const struct siginfo *info, u64 mask)
{
    struct task *t = current_task();
    u64 at = frame_address(t, regs, action);

    if (at == 0 || write_frame(at, regs, info, mask) != 0)
        return -EFAULT;
    enter_handler(t, regs, action, info, at);
    return 0;
}

/* ---- a fault's signal: the short way ---- */

/* Nobody but T, the current task, changes its actions: it is alone in its process, which shares them with no other. */
static inline bool has_own_actions(const struct task *t)
{
    return load_relaxed(&t->process->sighand->refs) == 1 && load_relaxed(&t->process->n_threads) == 1;
}

static noinline_fn const struct sigaction *copy_action(struct sighand *s, int sig, struct sigaction *copy)
{
    u64 flags = spin_lock_irqsave(&s->lock);

    *copy = s->action[sig - 1];
    spin_unlock_irqrestore(&s->lock, flags);
    return copy;
}

/* The action of SIG, which nobody changes meanwhile: in its place, or in COPY. */
static inline const struct sigaction *get_action(const struct task *t, int sig, struct sigaction *copy)
{
    struct sighand *s = t->process->sighand; /* the own one: nobody else replaces it */

    return likely(has_own_actions(t)) ? &s->action[sig - 1] : copy_action(s, sig, copy);
}

static inline bool is_lasting_handler(const struct sigaction *a)
{
    return a->handler > SIG_IGN && !(a->flags & SA_RESETHAND);
}

u64 *signal_take_fault(struct regs *regs)
{
    struct task *t = current_task();
    int sig = t->own.signo;
    u64 blocked = t->blocked, at;
    struct sigaction copy;
    const struct sigaction *action = get_action(t, sig, &copy);
    struct frame *f = NULL;

    if (likely(is_lasting_handler(action) && !(blocked & SIGNAL_BIT(sig)))) {
        at = frame_address(t, regs, action);
        if (likely(t->altstack.size == 0 || user_is_in_page(at, sizeof(struct frame))))
            f = user_pin_write(at);
    }
    if (unlikely(f == NULL)) {
        signal_force_noted(false);
        return NULL;
    }
    fill(f, t, regs, &t->own, blocked);
    enter_handler(t, regs, action, &t->own, at);
    signal_block(t, blocked | action->mask | (action->flags & SA_NODEFER ? 0 : SIGNAL_BIT(sig)));
    return f->context.regs;
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
static inline_fn bool take_context(const struct ucontext *c)
{
    struct task *t = current_task();
    struct sigaltstack stack = c->stack;

    if (unlikely((c->fp.reserved[0] | c->fp.extension_magic | c->fp.extension_size) != 0))
        return false;
    if (t->thread.fp_used || !is_all_zero(&c->fp))
        arch_fp_take((const struct fp_state *)&c->fp);
    signal_block(t, load_relaxed(&c->mask));
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
    u64 at = regs->x[REG_SP] + offsetof(struct frame, context);
    const struct ucontext *c;

    if (unlikely(has_trap_handler()))
        vmtrap_save_fp();
    current_task()->restart.fn = NULL;
    regs->cause = CAUSE_SETTLED;
    if (unlikely(!user_is_in_page(at, sizeof(*c)) || (at & 7) != 0))
        return return_across_pages(regs, at);
    c = user_pin_read(at);
    if (unlikely(c == NULL || !take_context(c))) {
        if (c != NULL)
            user_unpin();
        signal_force(SIGSEGV, SI_KERNEL, 0);
        return -1;
    }
    if (likely((load_relaxed(&current->flags) & THREAD_WORK) == 0))
        return (long)c->regs;
    take_registers(regs, c);
    user_unpin();
    return 0;
}
