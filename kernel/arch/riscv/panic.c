/*
 * The end after a bug in the kernel: a marker line for tools, the reason, registers and a symbolised backtrace by
 * polled output, then the machine goes off with status 3.
 *
 * Backtraces need no frame pointers and no unwind tables: the prologue of the function at hand is read from its first
 * instruction on, to find how far it moved sp and where it put ra. Where that fails (hand-written code, a damaged
 * stack) every word of the stack that looks like a return address is listed, marked with "?".
 */
#include "arch/riscv/internal.h"
#include "lib/kmsg.h"
#include "lib/print.h"
#include "sched/sched.h"

#define PANIC_STATUS 3
#define MAX_FRAMES 40

extern char boot_stacks[], boot_stack_top[], emergency_stack_top[];

static u32 panicking; /* hart id + 1 */

static const char *const register_names[32] = {
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0",  "a1",  "a2", "a3", "a4", "a5",
    "a6",   "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};

static bool is_stack_address(u64 a)
{
    bool in_boot_stacks = a >= (u64)boot_stacks && a < (u64)boot_stack_top;
    bool in_area = a >= STACK_AREA && a < STACK_AREA + STACK_AREA_SIZE;

    if (!IS_ALIGNED(a, sizeof(u64)))
        return false;
    if (in_boot_stacks && a < (u64)emergency_stack_top)
        return true;
    return (in_boot_stacks || in_area) && (a & KERNEL_STACK_SIZE) != 0;
}

static bool read_stack(u64 address, u64 *value)
{
    if (!is_stack_address(address))
        return false;
    *value = *(const u64 *)address;
    return true;
}

static u32 instruction_at(u64 pc, unsigned *length)
{
    const u16 *p = (const u16 *)pc;

    *length = (p[0] & 3) == 3 ? 4 : 2;
    return *length == 4 ? p[0] | (u32)p[1] << 16 : p[0];
}

/* How far the instruction moves sp, if it is an addi of sp to itself; else 0. */
static s64 sp_change(u32 in)
{
    if ((in & 0xfffff) == 0x10113) /* addi sp, sp, imm */
        return (s32)in >> 20;
    if (in >> 16 == 0 && (in & 0xef83) == 0x0101) /* c.addi sp, imm */
        return (s64)((u64)((in >> 2 & 31) | (in >> 12 & 1) << 5) << 58) >> 58;
    if (in >> 16 == 0 && (in & 0xef83) == 0x6101) { /* c.addi16sp */
        u64 imm =
            (in >> 6 & 1) << 4 | (in >> 2 & 1) << 5 | (in >> 5 & 1) << 6 | (in >> 3 & 3) << 7 | (in >> 12 & 1) << 9;

        return (s64)(imm << 54) >> 54;
    }
    return 0;
}

/* Whether the instruction stores ra relative to sp, and where. */
static bool is_ra_store(u32 in, s64 *offset)
{
    if (in >> 16 == 0 && (in & 0xe07f) == 0xe006) { /* c.sdsp ra */
        *offset = (in >> 10 & 7) << 3 | (in >> 7 & 7) << 6;
        return true;
    }
    if ((in & 0x1fff07f) == 0x0113023) { /* sd ra, imm(sp) */
        *offset = (s32)(in & 0xfe000000) >> 20 | (in >> 7 & 31);
        return true;
    }
    return false;
}

struct frame {
    u64 pc, sp, ra;
    bool ra_known; /* RA is the register's value: only in the innermost frame */
};

/* A return address may lie behind its function's last instruction, if that is a call that never returns. */
static u64 inside_call(const struct frame *f) { return f->ra_known ? f->pc : f->pc - 1; }

/* Goes from a function to its caller. */
static bool unwind(struct frame *f)
{
    u64 offset, size = 0, ra_at = 0, value;
    unsigned length;

    if (!is_kernel_text(f->pc) && f->ra_known) { /* a jump into nowhere */
        *f = (struct frame){.pc = f->ra, .sp = f->sp};
        return is_kernel_text(f->pc);
    }
    if (symbol_find(inside_call(f), &offset) == NULL)
        return false;
    for (u64 pc = inside_call(f) - offset; pc < f->pc; pc += length) {
        u32 in = instruction_at(pc, &length);
        s64 change = sp_change(in), store;

        if (change < 0)
            size += (u64)-change;
        else if (is_ra_store(in, &store) && ra_at == 0)
            ra_at = size - (u64)store; /* below the caller's sp */
    }
    if (ra_at != 0 && read_stack(f->sp + size - ra_at, &value))
        *f = (struct frame){.pc = value, .sp = f->sp + size};
    else if (ra_at == 0 && f->ra_known)
        *f = (struct frame){.pc = f->ra, .sp = f->sp + size};
    else
        return false;
    return is_kernel_text(f->pc);
}

/* PC, or a return address just behind PC. */
static void print_place(const char *mark, u64 pc, bool is_return_address)
{
    u64 offset, at = is_return_address ? pc - 1 : pc;
    const char *name = symbol_find(at, &offset);

    if (name == NULL)
        console_emergency_printf("  %s%016lx\n", mark, pc);
    else
        console_emergency_printf("  %s%016lx %s+0x%lx\n", mark, pc, name, offset + (pc - at));
}

static void print_likely_callers(u64 sp)
{
    unsigned found = 0;
    u64 value;

    for (sp = ALIGN_UP(sp, sizeof(u64)); found < MAX_FRAMES / 2 && read_stack(sp, &value); sp += sizeof(u64)) {
        if (is_kernel_text(value)) {
            print_place("? ", value, true);
            found++;
        }
    }
}

/* Where threads and traps begin there is no caller. */
static bool is_outermost(u64 pc) { return pc >= (u64)trap_entry && pc < (u64)fp_registers_save; }

static void print_frames(struct frame f)
{
    u64 sp = f.sp;

    for (unsigned i = 0; i < MAX_FRAMES; i++) {
        print_place("", f.pc, !f.ra_known);
        if (is_outermost(f.pc))
            return;
        sp = f.sp;
        if (!unwind(&f))
            break;
    }
    print_likely_callers(sp);
}

static void print_registers(const struct regs *r)
{
    console_emergency_printf("pc %016lx status %016lx cause %016lx tval %016lx\n", r->pc, r->status, r->cause, r->tval);
    for (unsigned i = 1; i < 32; i++)
        console_emergency_printf("%4s %016lx%s", register_names[i], r->x[i], i % 4 == 0 || i == 31 ? "\n" : " ");
}

void arch_print_backtrace(const struct regs *regs)
{
    struct frame f = {.ra_known = false};

    if (regs != NULL) {
        f = (struct frame){.pc = regs->pc, .sp = regs->x[REG_SP], .ra = regs->x[REG_RA], .ra_known = true};
    } else {
        __asm__ volatile("auipc %0, 0" : "=r"(f.pc));
        __asm__ volatile("mv %0, sp" : "=r"(f.sp));
    }
    console_emergency_printf("backtrace:\n");
    print_frames(f);
}

/* One line of a panic that cannot be told in full: FMT as it is, for its arguments may be what is wrong. */
static void print_briefly(const struct regs *regs, const char *fmt)
{
    console_emergency_printf("kernel panic: \"%s\"", fmt);
    if (regs != NULL)
        console_emergency_printf(" at pc %016lx ra %016lx cause %lu tval %016lx", regs->pc, regs->x[REG_RA],
                                 regs->cause, regs->tval);
    console_emergency_printf("\n");
}

static noreturn_fn void end_with(const struct regs *regs, const char *fmt, va_list args)
{
    static const struct regs *first_regs;
    static const char *first_fmt;
    char reason[300];
    u32 self = hart_id() + 1, nobody = 0;

    irq_disable();
    if (!atomic_cas(&panicking, &nobody, self)) {
        if (nobody == self) { /* a bug while telling of the first */
            console_emergency_printf("\n@@PANIC@@\nanother panic while printing this one\n");
            print_briefly(first_regs, first_fmt);
            print_briefly(regs, fmt);
            arch_poweroff(PANIC_STATUS);
        }
        for (;;)
            arch_wait_for_interrupt();
    }
    first_regs = regs;
    first_fmt = fmt;
    arch_stop_other_harts();
    vsnprintf(reason, sizeof(reason), fmt, args);
    console_emergency_printf("\n@@PANIC@@\n");
    console_emergency_printf("kernel panic: %s\n", reason);
    console_emergency_printf("hart %u, thread %s, %lu us after boot\n", self - 1, current->name,
                             time_ns() / NSEC_PER_USEC);
    if (regs != NULL)
        print_registers(regs);
    arch_print_backtrace(regs);
    arch_poweroff(PANIC_STATUS);
}

void panic(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    end_with(NULL, fmt, args);
}

void panic_with_regs(const struct regs *regs, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    end_with(regs, fmt, args);
}
