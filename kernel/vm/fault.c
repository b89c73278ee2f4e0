/*
 * The page-fault path.
 *
 *   user_trap / uaccess -> space_fault -> find vma -> find entry -> who may do this? -> make the page present -> retry
 *
 *     entry is            read                          write
 *     absent, anonymous   the page of zeros             a fresh zeroed page
 *     absent, private     the cache's page, read-only   a copy of the cache's page
 *     absent, shared      the cache's page              the same, once it has disk blocks and is dirty
 *     swapped             its page (vm/swap.h)          the same; writable if nobody else refers to it
 *     present, no W       (another hart was faster)     private: copy, or take over as last owner; shared: as above
 *     absent, registered  asks userfaultfd's reader, or SIGBUS (vm/userfault.h)
 *     UFFD_WP             as if it were not there       asks, too
 *     POISON              SIGBUS
 *
 * What private memory needs is in fault_private.c, what files and shared memory need in fault_object.c; here are the
 * decision and the lock.
 *
 * A fault holds space->lock for reading, so faults run beside each other; the entry is changed under its table's lock
 * and only if it still is what the fault began with. What may take long (reading the disk, allocating blocks, growing a
 * stack) happens with the lock given up, and the fault starts again.
 *
 * Two races are settled under the table lock: a page that has left its object (truncation, eviction) has page->object =
 * NULL before mappings are searched for it, so it is never installed late; and a page gets W in a shared mapping only
 * while it is dirty, which write-back takes away before it takes W away, so no store goes unnoticed.
 */
#include "vm/fault_parts.h"
#include "sched/thread.h"
#include "vm/huge.h"
#include "vm/inject.h"
#include "vm/run.h"
#include "vm/tlb.h"
#include "vm/userfaults.h"

u64 zero_pfn;

void fault_init(void)
{
    struct page *zero = page_alloc(ALLOC_ZERO);

    zero->flags = PG_RESERVED;
    zero_pfn = page_pfn(zero);
}

static bool is_allowed(unsigned prot, enum fault_access access)
{
    return (prot_effective(prot) & (unsigned)access) != 0;
}

/* ---- userfaultfd ---- */

/* The reader of the vma's userfaultfd is asked, unless nobody may wait for it. FLAGS as in its message. */
static int ask(struct fault *f, u64 flags)
{
    struct userfault *u = f->vma->userfault;

    if ((u->features & UFFD_FEATURE_SIGBUS) || f->origin == FAULT_OF_TRACER || (current->flags & THREAD_LEAVING) ||
        (f->origin == FAULT_OF_KERNEL && (u->flags & USERFAULT_USER_MODE_ONLY)))
        return FAULT_BUS;
    userfault_queue(u, &f->wait, f->address, flags | (is_write(f) ? UFFD_PAGEFAULT_FLAG_WRITE : 0));
    f->userfault = u;
    if (load_acquire(f->pte) == f->old)
        return FAULT_ASK;
    userfault_cancel(u, &f->wait);
    return FAULT_AGAIN;
}

/* A store where the entry says UFFD_WP. With nobody to ask, the bit goes and the fault goes on: NOT_OURS. */
static int ask_for_store(struct fault *f)
{
    bool same;

    if ((f->vma->flags & VMA_UFFD_WP) && !vma_is_wp_async(f->vma))
        return ask(f, UFFD_PAGEFAULT_FLAG_WP);
    table_lock(f->table);
    same = *f->pte == f->old;
    if (same)
        f->old = atomic_and(f->pte, ~PTE_UFFD_WP) & ~PTE_UFFD_WP;
    table_unlock(f->table);
    return same ? NOT_OURS : FAULT_AGAIN;
}

/* No page, but something in the entry, or a registered vma. */
static __attribute__((noinline)) int fault_absent(struct fault *f)
{
    const struct vma *v = f->vma;
    struct object *o = v->object;

    if (pte_is_poisoned(f->old))
        return FAULT_BUS;
    if (o != NULL && (v->flags & (VMA_UFFD_MISSING | VMA_UFFD_MINOR)) && !f->loaded) {
        u64 index = vma_index(v, f->va);
        bool cached = object_has_page(o, index);

        if (index >= object_pages(o))
            return FAULT_BUS;
        if (v->flags & (cached ? VMA_UFFD_MINOR : VMA_UFFD_MISSING))
            return ask(f, cached ? UFFD_PAGEFAULT_FLAG_MINOR : 0);
    } else if (o == NULL && (v->flags & VMA_UFFD_MISSING) && (f->old == 0 || pte_is_mark(f->old))) {
        return ask(f, 0);
    }
    return is_write(f) && (f->old & PTE_UFFD_WP) ? ask_for_store(f) : NOT_OURS;
}

/* ---- the decision ---- */

bool harts_set_accessed = true;

/* The entry allows the access already: another hart was faster, the TLB is old, or the hardware leaves A and D to us.
 */
static int fault_spurious(struct fault *f)
{
    if (!(f->old & PTE_A) && f->origin == FAULT_OF_USER && load_relaxed(&f->space->users) == 1)
        store_relaxed(&harts_set_accessed, false); /* nobody else can have made the entry meanwhile */
    table_lock(f->table);
    if (*f->pte == f->old)
        atomic_or(f->pte, PTE_A | (is_write(f) ? PTE_D : 0));
    table_unlock(f->table);
    if (unlikely(f->table->flags & PG_HUGE))
        pt_touch_huge(f->space, f->va);
    tlb_flush_local(f->space, f->va);
    return FAULT_MAPPED;
}

static int fault_vdso(struct fault *f)
{
    table_lock(f->table);
    if (*f->pte == f->old)
        pte_set(f->table, f->pte, page_entry(vdso_pfn((f->va - f->vma->start) >> PAGE_SHIFT), f->prot, 0));
    table_unlock(f->table);
    return FAULT_MAPPED;
}

static int fault_anonymous(struct fault *f)
{
    if (is_write(f))
        return fault_map_fresh(f->space, f->table, f->pte, f->old, f->prot);
    return fault_map_zeros(f->space, f->vma, f->va, f->table, f->pte, f->old, f->prot);
}

/* f->vma, f->pte and f->table are found. */
static int fault_found(struct fault *f)
{
    int next;

    f->old = load_relaxed(f->pte);
    f->prot = f->old == 0 ? f->vma->prot : pte_prot(f->old);
    if (!is_allowed(f->prot, f->access) && !(f->origin == FAULT_OF_TRACER && (!is_write(f) || !vma_is_shared(f->vma))))
        return FAULT_ACCERR;
    if (pte_has_page(f->old)) {
        if (!is_write(f) || (f->old & PTE_W))
            return fault_spurious(f);
        if (f->table->flags & PG_HUGE) /* a split, which needs no memory */
            f->pte = pt_make(f->space, f->va, 0, &f->table);
        if (unlikely(f->old & PTE_UFFD_WP) && (next = ask_for_store(f)) != NOT_OURS)
            return next;
        return vma_is_shared(f->vma) ? fault_shared_store(f) : fault_copy(f);
    }
    if (unlikely(f->old != 0 || (f->vma->flags & VMA_USERFAULT)) && (next = fault_absent(f)) != NOT_OURS)
        return next;
    if (f->old != 0 && pte_is_swap(f->old))
        return fault_swap(f);
    if (f->vma->object != NULL)
        return fault_object(f);
    return f->vma->flags & VMA_VDSO ? fault_vdso(f) : fault_anonymous(f);
}

static int fault_locked(struct fault *f)
{
    f->vma = vma_at(f->space, f->va);
    if (f->vma == NULL) {
        struct vma *above = vma_find(f->space, f->va);

        return above != NULL && (above->flags & VMA_GROWSDOWN) ? FAULT_GROW : FAULT_MAPERR;
    }
    f->pte = pt_in_known_leaf(f->space, f->va, &f->table);
    if (unlikely(f->pte == NULL)) {
        if (f->vma->object != NULL) {
            int next = run_may_be_at(f->vma) ? run_fault(f) : NOT_OURS;

            if (next != NOT_OURS)
                return next;
        } else if (is_write(f) && huge_may_begin(f->space, f->vma, f->va) && fault_huge(f)) {
            return FAULT_MAPPED;
        }
        f->pte = pt_reach(f->space, f->va, &f->table);
        if (f->pte == NULL)
            return FAULT_NO_MEMORY;
    }
    return fault_found(f);
}

/* ---- the lock, and what is done when it is given up ---- */

/* V not NULL: the lock is held, and V, the entry and its TABLE are found already. */
static inline __attribute__((always_inline)) enum fault_result fault_of(struct space *s, u64 address,
                                                                        enum fault_access access,
                                                                        enum fault_origin origin, struct vma *v,
                                                                        pte_t *pte, struct page *table)
{
    struct fault f; /* the rest is set as the fault finds it out */
    bool found = v != NULL;

    f.space = s;
    f.va = ALIGN_DOWN(address, PAGE_SIZE);
    f.address = address;
    f.access = access;
    f.origin = origin;
    f.loaded = false;
    f.vma = v;
    f.pte = pte;
    f.table = table;
    if (address >= arch_user_address_limit())
        return FAULT_MAPERR;
    for (;;) {
        enum fault_result result = FAULT_MAPPED;
        int next;

        if (found) {
            next = fault_found(&f);
        } else {
            read_lock(&s->lock);
            next = fault_locked(&f);
        }
        found = false;
        if (next == FAULT_MAPPED && unlikely(f.vma->flags & VMA_DROPPABLE))
            fault_note_droppable(&f);
        read_unlock(&s->lock);
        if (next == FAULT_LOAD)
            result = fault_load_page(&f);
        else if (next == FAULT_PREPARE)
            result = fault_prepare_page(&f);
        else if (next == FAULT_SWAP_IN)
            result = fault_swap_in(&f);
        else if (next == FAULT_GROW)
            result = stack_grow(s, f.va) ? FAULT_MAPPED : FAULT_MAPERR;
        else if (next == FAULT_ASK)
            userfault_sleep(f.userfault, &f.wait, origin == FAULT_OF_USER);
        else if (next != FAULT_AGAIN)
            return (enum fault_result)next;
        if (result != FAULT_MAPPED)
            return result;
        if (fatal_signal_pending())
            return FAULT_NO_MEMORY; /* it dies on the way back, whatever this says */
        if (next == FAULT_ASK && origin == FAULT_OF_USER)
            return FAULT_MAPPED; /* a signal's handler may be due before the access is tried again */
    }
}

static noinline_fn enum fault_result fault_anew(struct space *s, u64 address, enum fault_access access,
                                                enum fault_origin origin)
{
    return fault_of(s, address, access, origin, NULL, NULL, NULL);
}

enum fault_result fault_in(struct space *s, u64 address, enum fault_access access, bool force)
{
    return fault_anew(s, address, access, force ? FAULT_OF_TRACER : FAULT_OF_KERNEL);
}

static void (*out_of_memory)(void);

void vm_set_out_of_memory(void (*handler)(void)) { out_of_memory = handler; }

/* What a quick look has found, for the long way; no vma: nothing, and the lock is free again. */
struct look {
    struct vma *vma;
    pte_t *pte;
    struct page *table;
};

/* The two commonest faults, by one look at an entry whose table is known: an access that is forbidden, and the first
 * one to a private page. FAULT_AGAIN: the long way, from where this has come to. */
static inline __attribute__((always_inline)) int fault_quickly(struct space *s, u64 address, enum fault_access access,
                                                               struct look *look)
{
    int result = FAULT_AGAIN;
    struct page *table;
    struct vma *v;
    pte_t *pte, e;

    read_lock(&s->lock);
    *look = (struct look){NULL, NULL, NULL};
    v = vma_at(s, address);
    if (likely(v != NULL) && likely((pte = pt_in_known_leaf(s, address, &table)) != NULL)) {
        e = load_relaxed(pte);
        if (e == 0 && is_allowed(v->prot, access)) {
            if (v->object == NULL && !(v->flags & (VMA_VDSO | VMA_USERFAULT | VMA_DROPPABLE)))
                result = access == FAULT_WRITE ? fault_map_fresh(s, table, pte, 0, v->prot)
                                               : fault_map_zeros(s, v, address, table, pte, 0, v->prot);
            else if (v->object == NULL && (v->flags & VMA_UFFD_MISSING) &&
                     (v->userfault->features & UFFD_FEATURE_SIGBUS))
                result = FAULT_BUS;
        } else if (e == 0 || (pte_has_page(e) && !is_allowed(pte_prot(e), access))) {
            result = FAULT_ACCERR;
        }
        if (result == FAULT_AGAIN) {
            *look = (struct look){v, pte, table};
            return FAULT_AGAIN;
        }
    }
    read_unlock(&s->lock);
    return result;
}

static noinline_fn enum fault_result fault_slowly(struct space *s, u64 address, enum fault_access access,
                                                  enum fault_origin origin, struct vma *v, pte_t *pte,
                                                  struct page *table)
{
    unsigned injection = injection_pause();
    enum fault_result result = fault_of(s, address, access, origin, v, pte, table);

    while (unlikely(result == FAULT_NO_MEMORY) && out_of_memory != NULL && !fatal_signal_pending()) {
        out_of_memory();
        result = fault_anew(s, address, access, origin);
    }
    injection_resume(injection);
    return result;
}

static inline __attribute__((always_inline)) enum fault_result fault(struct space *s, u64 address,
                                                                     enum fault_access access, enum fault_origin origin)
{
    struct look look;
    int quick = fault_quickly(s, address, access, &look);

    atomic_add_relaxed(&s->minor_faults, 1);
    if (likely(quick == FAULT_MAPPED || quick == FAULT_ACCERR) || quick == FAULT_BUS)
        return (enum fault_result)quick;
    return fault_slowly(s, address, access, origin, look.vma, look.pte, look.table);
}

enum fault_result space_fault(struct space *s, u64 address, enum fault_access access)
{
    return fault(s, address, access, FAULT_OF_USER);
}

enum fault_result space_fault_by_kernel(struct space *s, u64 address, enum fault_access access)
{
    return fault(s, address, access, FAULT_OF_KERNEL);
}

void populate_range(struct space *s, u64 start, u64 end, enum fault_access access)
{
    struct look look;

    for (u64 va = start; va < end && !fatal_signal_pending(); va = huge_next(s, va)) {
        if (fault_quickly(s, va, access, &look) == FAULT_MAPPED)
            continue;
        if (look.vma != NULL)
            read_unlock(&s->lock);
        if (fault_in(s, va, access, false) != FAULT_MAPPED)
            return;
    }
}
