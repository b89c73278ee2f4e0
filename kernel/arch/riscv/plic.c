/*
 * The platform-level interrupt controller (RISC-V PLIC specification 1.0). Each hart has a context for supervisor mode;
 * which one, the device tree's "interrupts-extended" tells: it lists a pair (the hart's own interrupt controller,
 * interrupt number) per context. Interrupt N is routed to one hart, number N modulo the harts, so that no two harts
 * race for one claim.
 */
#include "arch/riscv/fdt.h"
#include "arch/riscv/internal.h"
#include "lib/errno.h"
#include "sched/sched.h"

#define MAX_IRQS 128
#define PRIORITY(irq) ((irq)*4)
#define ENABLE(context) (0x2000 + (context)*0x80)
#define THRESHOLD(context) (0x200000 + (context)*0x1000)
#define CLAIM(context) (0x200004 + (context)*0x1000)
#define NO_CONTEXT UINT32_MAX

struct irq_handler {
    void (*fn)(void *);
    void *arg;
};

static char *plic;
static u32 context_of[MAX_HARTS];
static struct irq_handler handlers[MAX_IRQS];
static struct spinlock lock;

static volatile u32 *plic_register(u64 offset) { return (volatile u32 *)(plic + offset); }

/* The hart whose interrupt controller has the phandle, or NULL. */
static struct hart *hart_of_controller(u32 phandle)
{
    struct fdt_node node;
    u64 id, size;

    fdt_root(&node);
    while (fdt_next(&node)) {
        if (fdt_u32(&node, "phandle", 0) != phandle || node.depth == 0)
            continue;
        node.depth--;
        if (!fdt_reg(&node, 0, &id, &size))
            return NULL;
        for (unsigned i = 0; i < machine.harts; i++)
            if (harts[i].sbi_id == id)
                return &harts[i];
        return NULL; /* one that the kernel does not use */
    }
    return NULL;
}

static void find_contexts(const struct fdt_node *node)
{
    unsigned length = 0;
    const void *pairs = fdt_property(node, "interrupts-extended", &length);

    for (unsigned i = 0; i < MAX_HARTS; i++)
        context_of[i] = NO_CONTEXT;
    for (unsigned context = 0; pairs != NULL && context < length / 8; context++) {
        struct hart *hart;

        if (fdt_cell(pairs, 2 * context + 1) != IRQ_EXTERNAL)
            continue;
        hart = hart_of_controller(fdt_cell(pairs, 2 * context));
        if (hart != NULL)
            context_of[hart->id] = context;
    }
}

void plic_init(void)
{
    struct fdt_node node;
    u64 reg, size;

    fdt_root(&node);
    if (!fdt_find_compatible(&node, "sifive,plic-1.0.0")) {
        fdt_root(&node);
        if (!fdt_find_compatible(&node, "riscv,plic0"))
            panic("no interrupt controller");
    }
    if (!fdt_reg(&node, 0, &reg, &size))
        panic("the interrupt controller has no registers");
    plic = phys_to_virt(reg);
    find_contexts(&node);
    for (unsigned i = 0; i < machine.harts; i++) {
        if (context_of[i] == NO_CONTEXT)
            continue;
        for (unsigned word = 0; word < MAX_IRQS / 32; word++)
            *plic_register(ENABLE(context_of[i]) + word * 4) = 0;
        *plic_register(THRESHOLD(context_of[i])) = 0;
    }
}

/* Firmware that starts a hart closes its threshold. */
void plic_init_hart(void)
{
    u32 context = context_of[hart_id()];

    if (context != NO_CONTEXT)
        *plic_register(THRESHOLD(context)) = 0;
}

int irq_register(unsigned irq, void (*handler)(void *), void *arg)
{
    unsigned hart = irq % machine.harts;
    u64 flags;

    if (irq == 0 || irq >= MAX_IRQS)
        return -EINVAL;
    if (context_of[hart] == NO_CONTEXT)
        hart = 0;
    flags = spin_lock_irqsave(&lock);
    if (handlers[irq].fn != NULL) {
        spin_unlock_irqrestore(&lock, flags);
        return -EBUSY;
    }
    handlers[irq].arg = arg;
    store_release(&handlers[irq].fn, handler);
    *plic_register(PRIORITY(irq)) = 1;
    *plic_register(ENABLE(context_of[hart]) + irq / 32 * 4) |= 1u << irq % 32;
    spin_unlock_irqrestore(&lock, flags);
    return 0;
}

void plic_interrupt(void)
{
    u32 context = context_of[hart_id()], irq;

    while ((irq = *plic_register(CLAIM(context))) != 0) {
        if (irq < MAX_IRQS && handlers[irq].fn != NULL)
            handlers[irq].fn(handlers[irq].arg);
        *plic_register(CLAIM(context)) = irq;
    }
}
