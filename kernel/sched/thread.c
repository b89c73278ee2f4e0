/*
 * Threads and their kernel stacks. A stack is the upper half of a slot in the kernel-stack area; the lower half is
 * never mapped, so that an overflow faults. Slots are handed out in order and reused; the stacks of dead threads stay
 * mapped in a small cache.
 *
 * Lock: stacks.lock (irqsave).
 */
#include "sched/thread.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "sched/sched.h"
#include "vm/kmalloc.h"
#include "vm/page.h"

#define N_SLOTS (STACK_AREA_SIZE / STACK_SLOT)
#define CACHE_SIZE 64
#define STACK_PAGES (KERNEL_STACK_SIZE / PAGE_SIZE)

static struct {
    struct spinlock lock;
    unsigned n_cached;
    void *cached[CACHE_SIZE]; /* mapped, but nobody's */
    u64 first_free;           /* no slot below it is free */
    u64 used[N_SLOTS / 64];
} stacks;

static void *slot_stack(u64 slot) { return (void *)(STACK_AREA + slot * STACK_SLOT + KERNEL_STACK_SIZE); }
static u64 stack_slot(const void *stack) { return ((u64)stack - STACK_AREA) / STACK_SLOT; }

/* => lock held. N_SLOTS when all are used. */
static u64 find_free_slot(void)
{
    for (u64 i = stacks.first_free / 64; i < N_SLOTS / 64; i++)
        if (stacks.used[i] != UINT64_MAX)
            return i * 64 + (u64)__builtin_ctzll(~stacks.used[i]);
    return N_SLOTS;
}

static void slot_free(u64 slot)
{
    u64 flags = spin_lock_irqsave(&stacks.lock);

    stacks.used[slot / 64] &= ~BIT(slot % 64);
    stacks.first_free = MIN(stacks.first_free, slot);
    spin_unlock_irqrestore(&stacks.lock, flags);
}

static void unmap_stack(void *stack, unsigned n_pages)
{
    for (unsigned i = 0; i < n_pages; i++)
        page_put(pfn_page(arch_unmap_kernel_page((u64)stack + i * PAGE_SIZE)));
    slot_free(stack_slot(stack));
}

static bool map_stack(void *stack)
{
    for (unsigned i = 0; i < STACK_PAGES; i++) {
        struct page *page = page_alloc(0);

        if (page != NULL)
            page->flags = PG_KERNEL;
        if (page == NULL || arch_map_kernel_page((u64)stack + i * PAGE_SIZE, page_pfn(page)) != 0) {
            if (page != NULL)
                page_put(page);
            unmap_stack(stack, i);
            return false;
        }
    }
    return true;
}

/* The lowest byte of a stack, or NULL. May sleep. */
static void *stack_alloc(void)
{
    u64 flags = spin_lock_irqsave(&stacks.lock), slot;
    void *stack = NULL;

    if (likely(stacks.n_cached > 0)) {
        stack = stacks.cached[--stacks.n_cached];
        spin_unlock_irqrestore(&stacks.lock, flags);
        return stack;
    }
    slot = find_free_slot();
    if (slot < N_SLOTS) {
        stacks.used[slot / 64] |= BIT(slot % 64);
        stacks.first_free = slot;
        stack = slot_stack(slot);
    }
    spin_unlock_irqrestore(&stacks.lock, flags);
    return stack != NULL && map_stack(stack) ? stack : NULL;
}

static void stack_free(void *stack)
{
    u64 flags = spin_lock_irqsave(&stacks.lock);
    bool kept = stacks.n_cached < CACHE_SIZE;

    if (kept)
        stacks.cached[stacks.n_cached++] = stack;
    spin_unlock_irqrestore(&stacks.lock, flags);
    if (!kept)
        unmap_stack(stack, STACK_PAGES);
}

int thread_init(struct thread *t, const char *name)
{
    void *stack = stack_alloc();

    if (stack == NULL)
        return -ENOMEM;
    memset(t, 0, offsetof(struct thread, regs)); /* its user registers are set before it runs */
    memset(&t->context, 0, sizeof(*t) - offsetof(struct thread, context));
    t->stack = stack;
    t->kernel_sp = kernel_stack_top(stack);
    t->hart = this_hart();
    t->state = THREAD_SLEEPING; /* until thread_start */
    arch_trap_forget(&t->trap);
    list_init(&t->run_link);
    t->hart_mask = UINT64_MAX;
    copy_string(t->name, name, sizeof(t->name));
    return 0;
}

void thread_release(struct thread *t)
{
    while (load_acquire(&t->on_cpu))
        cpu_relax();
    if (t->stack != NULL)
        stack_free(t->stack);
    t->stack = NULL;
}

struct thread *kernel_thread(const char *name, void (*fn)(void *), void *arg)
{
    struct thread *t = kmalloc(sizeof(*t));

    if (t == NULL)
        return ERR_PTR(-ENOMEM);
    if (thread_init(t, name) != 0) {
        kfree(t);
        return ERR_PTR(-ENOMEM);
    }
    arch_init_kernel_thread(t, fn, arg);
    thread_start(t);
    return t;
}
