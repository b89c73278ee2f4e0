/*
 * User traps: which memory is armed, and whether a fault is a forbidden access to it. vm/vmtrap.h has the picture of
 * what a thread remembers; docs/vmtrap.md the rules.
 *
 *   VMA_TRAP   a flag of the vma like those of madvise: arming a part of one splits it, fork copies it, exec begins
 *              without, mremap takes it along, a new mapping has none
 *
 * An access is forbidden if the page's protection says so: the entry's own, or the vma's where there is none. Pages
 * that are only not there, or shared since a fork, or clean in a file, are nobody's trap: they are filled as ever.
 *
 * Locks: looking takes space->lock for reading; the hints are the current thread's own.
 */
#include "vm/vmtrap.h"
#include "lib/string.h"
#include "quire/vmtrap.h"
#include "vm/fault.h"
#include "vm/kmalloc.h"
#include "vm/tlb.h"
#include "vm/uaccess.h"
#include "vm/vmtrap_plain.h"

/* ---- who has a handler ---- */

int vmtrap_set(u64 area, u64 entry, u64 stack)
{
    struct trap_hint *hints = current->trap.hints;

    if (hints == NULL)
        hints = kzalloc(TRAP_HINTS * sizeof(*hints));
    if (hints == NULL)
        return -ENOMEM;
    current->trap = (struct trap_state){
        .hints = hints, .hinted = current->trap.hinted, .user_area = area, .entry = entry, .stack = stack};
    arch_trap_forget(&current->trap);
    return 0;
}

void vmtrap_drop(struct thread *t)
{
    kfree(t->trap.hints);
    t->trap = (struct trap_state){.hints = NULL};
    arch_trap_forget(&t->trap);
}

void vmtrap_inherit(struct thread *child)
{
    const struct trap_state *own = &current->trap;

    child->trap = (struct trap_state){
        .user_area = own->user_area, .entry = own->entry, .stack = own->stack, .fp_saved = own->fp_saved};
    arch_trap_forget(&child->trap);
}

/* ---- what is forbidden ---- */

static bool may_open(const struct vma *v) { return (v->max_prot & PROT_WRITE) && !(v->flags & VMA_SEALED); }

/* What ACCESS is, which the entry E in V may forbid. */
static enum trap_kind kind_of(const struct vma *v, pte_t e, enum fault_access access, bool may_log)
{
    unsigned prot = prot_effective(e == 0 ? v->prot : pte_prot(e));

    if (prot & (unsigned)access)
        return TRAP_RETRY;
    if (may_log && v->trap >> TRAP_LOG_SHIFT && access == FAULT_WRITE && prot == PROT_READ && may_open(v))
        return TRAP_LOG;
    return v->trap & VMTRAP_FAULTS ? TRAP_FAULT : TRAP_NONE;
}

static void forget_hints(struct trap_state *trap)
{
    static_assert(TRAP_HINTS == 32, "a bit for each");

    for (; trap->hinted != 0; trap->hinted &= trap->hinted - 1)
        trap->hints[__builtin_ctz(trap->hinted)] = (struct trap_hint){.length = 0};
}

/* The current thread remembers the part of V that the leaf table of ADDRESS has. => read lock */
static void note_hint(struct space *s, struct vma *v, u64 address, struct page *table)
{
    struct trap_state *trap = &current->trap;
    u64 span = ALIGN_DOWN(address, level_size(1)), start = MAX(v->start, span);
    u64 generation = load_acquire(&s->leaf_generation);
    struct trap_hint *hint;

    /* entry.S takes stval 0 for none, and delivers what is forbidden. */
    if (v->start == 0 || current->trap.user_area == 0 || !(v->trap & VMTRAP_FAULTS))
        return;
    if (trap->noted != generation) {
        if (trap->hints == NULL)
            trap->hints = kzalloc(TRAP_HINTS * sizeof(*trap->hints));
        if (trap->hints == NULL)
            return;
        forget_hints(trap);
        arch_trap_forget(trap);
        trap->log.number = 0;
        trap->noted = generation;
    }
    hint = &trap->hints[(address >> SPAN_SHIFT) % TRAP_HINTS];
    trap->hinted |= 1u << (address >> SPAN_SHIFT) % TRAP_HINTS;
    hint->start = start;
    hint->length = MIN(v->end, span + level_size(1)) - start;
    hint->entries = (u64 *)page_address(table) + pt_index(start, 0);
    hint->absent = (u32)pte_mark(v->prot);
    hint->log = v->trap >> TRAP_LOG_SHIFT;
    hint->plain_length = 0;
    if (vma_is_plain(s, v) && !(table->flags & PG_HUGE)) {
        if (!(load_relaxed(&v->flags) & VMA_MARKED))
            atomic_or(&v->flags, VMA_MARKED);
        hint->plain_length = hint->length;
        hint->lock = &table->table_lock;
        hint->open = pte_bits(PROT_READ | PROT_WRITE) | vma_store_bits(v);
    }
    vmtrap_hint_log(trap, hint);
}

enum trap_kind vmtrap_look(struct space *s, u64 address, enum fault_access access, struct trap_log *log)
{
    enum trap_kind kind = TRAP_NONE;
    struct page *table;
    struct vma *v;
    const pte_t *pte;

    read_lock(&s->lock);
    v = vma_at(s, address);
    if (v != NULL && (v->flags & VMA_TRAP)) {
        pte = pt_reach(s, address, &table);
        kind = kind_of(v, pte != NULL ? load_relaxed(pte) : pte_mark(PROT_NONE), access, log != NULL);
        if (kind > TRAP_RETRY && pte != NULL)
            note_hint(s, v, address, table);
        if (kind == TRAP_LOG)
            *log = s->logs[(v->trap >> TRAP_LOG_SHIFT) - 1];
    }
    read_unlock(&s->lock);
    return kind;
}

/* What E, of a page in V that may only be read, is when it may be stored to. */
static pte_t opened(const struct vma *v, pte_t e)
{
    const unsigned prot = PROT_READ | PROT_WRITE;

    if (pte_is_present(e)) {
        bool gets_w = !vma_is_shared(v) && !(e & PTE_UFFD_WP) && page_is_alone(pte_page(e));

        return e | PTE_SOFT_W | (gets_w ? vma_store_bits(v) : 0);
    }
    if (e != 0 && pte_is_swap(e))
        return e | pte_mark(prot);
    return (e & (PTE_UFFD_WP | PTE_POISON)) == 0 && prot == v->prot ? 0
                                                                    : pte_mark(prot) | (e & (PTE_UFFD_WP | PTE_POISON));
}

bool vmtrap_open(struct space *s, u64 address)
{
    struct page *table;
    struct vma *v;
    bool done = false;
    pte_t *pte, e;

    if (s->counts_exactly) /* vmas have to tell */
        return space_mprotect(s, ALIGN_DOWN(address, PAGE_SIZE), PAGE_SIZE, PROT_READ | PROT_WRITE) == 0;
    read_lock(&s->lock);
    v = vma_at(s, address);
    pte = v != NULL && (v->flags & VMA_TRAP) ? pt_make(s, address, 0, &table) : NULL;
    if (pte != NULL) {
        if (!(load_relaxed(&v->flags) & VMA_MARKED))
            atomic_or(&v->flags, VMA_MARKED);
        table_lock(table);
        e = load_relaxed(pte);
        done = kind_of(v, e, FAULT_WRITE, true) == TRAP_LOG;
        if (done)
            pte_set(table, pte, opened(v, e));
        table_unlock(table);
        tlb_flush_local(s, address);
    }
    read_unlock(&s->lock);
    return done || pte != NULL; /* if it is something else by now, the store finds out */
}

static enum trap_way way_of(const struct trap_state *trap)
{
    if (trap->log.number == 0)
        return TRAP_WAY_FAULTS;
    return trap->log.in_one_page ? TRAP_WAY_STORES : TRAP_WAY_STORES_TO_RING;
}

void vmtrap_note_area(struct space *s, void *area)
{
    const pte_t need = PTE_V | PTE_U | PTE_R | PTE_W | PTE_A | PTE_D;
    struct trap_state *trap = &current->trap;
    u64 generation = load_acquire(&s->leaf_generation);
    const pte_t *pte;

    if (trap->noted != generation || trap->fp_saved) /* then the resume is a long one */
        return;
    pte = user_pinned_entry(trap->user_area);
    trap->area_pte = pte;
    trap->area_entry = pte != NULL ? load_relaxed(pte) : 0;
    trap->area = area;
    if ((trap->area_entry & need) != need ||
        page_address(pte_page(trap->area_entry)) != (void *)ALIGN_DOWN((u64)area, PAGE_SIZE)) {
        arch_trap_forget(trap);
        return;
    }
    trap->current_generation = &s->leaf_generation;
    trap->asid = s->asid;
    trap->pages = page_array;
    trap->alone = PAGE_ALONE;
    arch_trap_take(trap, generation, way_of(trap));
}

static bool is_open_log(const struct space *s, u64 log)
{
    return log == 0 || (log <= TRAP_LOGS && load_relaxed(&s->logs[log - 1].ring) != 0);
}

int space_arm(struct space *s, u64 start, u64 length, u64 what)
{
    const u64 known = VMTRAP_FAULTS | VMTRAP_TRACK | VMTRAP_KEEP | TRAP_LOG_MASK;
    const struct flag_change change = {.set = (what != 0 ? VMA_TRAP : 0) | (what & VMTRAP_TRACK ? VMA_TRACKED : 0),
                                       .clear = what != 0 ? 0 : VMA_TRAP,
                                       .trap = (u32)(what & ~(u64)VMTRAP_KEEP),
                                       .forbidden = VMA_VDSO,
                                       .stops_at_hole = true};
    u64 end = start + ALIGN_UP(length, PAGE_SIZE);
    int result;

    if ((what & ~known) || (start & PAGE_MASK) != 0 || end < start || start + length < start)
        return -EINVAL;
    if (!is_open_log(s, what >> TRAP_LOG_SHIFT))
        return -EBADF;
    if (start == end)
        return 0;
    result = space_change_flags(s, start, end, &change);
    return result == 0 && (what & (VMTRAP_TRACK | VMTRAP_KEEP)) == VMTRAP_TRACK ? space_clean(s, start, end) : result;
}
