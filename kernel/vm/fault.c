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
 * A fault holds space->lock for reading, so faults run beside each other; the entry is changed under its table's lock
 * and only if it still is what the fault began with. What may take long (reading the disk, allocating blocks, growing a
 * stack) happens with the lock given up, and the fault starts again.
 *
 * Two races are settled under the table lock: a page that has left its object (truncation, eviction) has page->object =
 * NULL before mappings are searched for it, so it is never installed late; and a page gets W in a shared mapping only
 * while it is dirty, which write-back takes away before it takes W away, so no store goes unnoticed.
 */
#include "vm/fault_parts.h"
#include "lib/string.h"
#include "sched/thread.h"
#include "vm/huge.h"
#include "vm/swap.h"
#include "vm/swapobj.h"
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

/* Puts NEW, which maps PAGE, where f->old was; takes the reference on PAGE over. False: the entry has changed. */
static bool install(struct fault *f, pte_t new, struct page *page)
{
    bool same;

    table_lock(f->table);
    same = *f->pte == f->old;
    if (same)
        pte_set(f->table, f->pte, new);
    table_unlock(f->table);
    if (same && page != NULL)
        space_count_page(f->space, page, 1);
    return same;
}

/* ---- anonymous memory ---- */

/* A store to the untouched private page whose entry still is OLD. */
static noinline_fn int map_fresh(struct space *s, struct page *table, pte_t *pte, pte_t old, unsigned prot)
{
    struct page *page = page_alloc(ALLOC_ZERO | ALLOC_USER);
    bool same;

    if (unlikely(page == NULL))
        return FAULT_NO_MEMORY;
    page_make_anonymous(page);
    table_lock(table);
    same = *pte == old;
    if (likely(same))
        pte_set(table, pte, writable_entry(page, prot));
    table_unlock(table);
    if (likely(same))
        atomic_add_relaxed(&s->rss[RSS_ANON], 1);
    else
        page_put(page);
    return FAULT_MAPPED;
}

#define ZEROS_BEHIND 2 /* so many untouched pages read one after the other: the rest of the table at once */

static bool are_all(const pte_t *pte, unsigned n, pte_t e)
{
    while (n > 0 && *pte == e)
        pte++, n--;
    return n == 0;
}

static void fill(pte_t *pte, const pte_t *end, pte_t e)
{
    for (; end - pte >= 8; pte += 8)
        pte[0] = pte[1] = pte[2] = pte[3] = pte[4] = pte[5] = pte[6] = pte[7] = e;
    while (pte < end)
        *pte++ = e;
}

/* It is read: the page of zeros. Who reads on finds more of it, where Linux would have mapped a huge page of zeros:
 * a smaller mapping shows no page that nobody has touched (userfaultfd(2), mincore(2)). */
static noinline_fn int map_zeros(struct space *s, const struct vma *v, u64 va, struct page *table, pte_t *pte,
                                 pte_t old, unsigned prot)
{
    const pte_t zeros = page_entry(zero_pfn, prot, old & PTE_UFFD_WP);
    unsigned at = pt_index(va, 0), n = 1, i = 0;

    table_lock(table);
    if (old == 0 && at >= ZEROS_BEHIND && are_all(pte - ZEROS_BEHIND, ZEROS_BEHIND, zeros) && huge_is_allowed(s, v, va))
        n = PT_ENTRIES - at;
    if (n > 1 && table->table_live == ZEROS_BEHIND) { /* nothing else is in it: no need to look */
        fill(pte, pte + n, zeros);
        i = n;
    }
    for (; i < n && pte[i] == old; i++)
        pte[i] = zeros;
    if (old == 0)
        table->table_live += (u16)i;
    table_unlock(table);
    return FAULT_MAPPED;
}

/* The private page that a store to a VMA_DROPPABLE found or got. */
static void note_droppable(struct fault *f)
{
    pte_t e;

    table_lock(f->table);
    e = *f->pte;
    if (pte_has_page(e) && (pte_page(e)->flags & PG_ANON))
        atomic_or(&pte_page(e)->flags, PG_DROPPABLE);
    table_unlock(f->table);
}

static int fault_anonymous(struct fault *f)
{
    if (is_write(f))
        return map_fresh(f->space, f->table, f->pte, f->old, f->prot);
    return map_zeros(f->space, f->vma, f->va, f->table, f->pte, f->old, f->prot);
}

/* ---- copies ---- */

/* An anonymous copy of FROM (or zeros, for the page of zeros). */
struct page *fault_copy_of(const struct page *from)
{
    bool is_zero = page_pfn(from) == zero_pfn;
    struct page *page = page_alloc(ALLOC_USER | (is_zero ? ALLOC_ZERO : 0));

    if (page == NULL)
        return NULL;
    page_make_anonymous(page);
    if (!is_zero)
        copy_page(page_address(page), page_address(from));
    return page;
}

/* The last one that refers to a private page stores to it: nobody else will miss its present content. */
static bool take_over(struct fault *f, struct page *page)
{
    bool done = false;

    table_lock(f->table);
    if (*f->pte == f->old && (page->flags & PG_ANON) && load_acquire(&page->refs) == 1) {
        pte_set(f->table, f->pte, writable_entry(page, f->prot));
        done = true;
    }
    table_unlock(f->table);
    if (done)
        tlb_flush_local(f->space, f->va);
    return done;
}

/* COPY comes in the place of f->old's page. No hart may store to the copy while another still reads the old page, so W
 * comes last. False: the entry has changed. */
static bool replace_by_copy(struct fault *f, struct page *copy)
{
    const pte_t new = writable_entry(copy, f->prot);
    bool same;

    table_lock(f->table);
    same = *f->pte == f->old;
    if (same) {
        pte_set(f->table, f->pte, new & ~PTE_W);
        tlb_flush_range(f->space, f->va, f->va + PAGE_SIZE);
        store_relaxed(f->pte, new);
    }
    table_unlock(f->table);
    return same;
}

/* A store to a present private page without W. */
static int fault_copy(struct fault *f)
{
    struct page *old = pte_page(f->old), *copy;
    bool counted = !(old->flags & PG_RESERVED), replaced;

    if (counted && take_over(f, old))
        return FAULT_MAPPED;
    table_lock(f->table);
    if (*f->pte != f->old) {
        table_unlock(f->table);
        return FAULT_AGAIN;
    }
    if (counted)
        page_get(old); /* it may be taken out of the table while it is copied */
    table_unlock(f->table);
    copy = fault_copy_of(old);
    if (counted && !(old->flags & PG_ANON))
        note_copied(old);
    if (copy == NULL) {
        if (counted)
            page_put(old);
        return FAULT_NO_MEMORY;
    }
    replaced = replace_by_copy(f, copy);
    if (replaced) {
        space_count_page(f->space, copy, 1);
        if (counted) {
            space_count_page(f->space, old, -1);
            page_put(old); /* the entry's reference */
        }
    } else {
        page_put(copy);
    }
    if (counted)
        page_put(old);
    return FAULT_MAPPED;
}

/* ---- pages that were put elsewhere ---- */

/* What a SWAP entry becomes when its page is there. */
static pte_t swapped_in_entry(const struct fault *f, const struct page *page, bool shared)
{
    bool exclusive = !shared && load_acquire(&page->refs) == 1;
    pte_t more = f->old & (PTE_D | PTE_UFFD_WP);

    if (exclusive && (f->prot & PROT_WRITE) && !(f->old & PTE_UFFD_WP))
        more |= PTE_W | (is_write(f) ? PTE_D : 0);
    return page_entry(page_pfn(page), f->prot, more);
}

static int fault_swap(struct fault *f)
{
    struct page *page;
    bool shared;

    table_lock(f->table);
    if (*f->pte != f->old) {
        table_unlock(f->table);
        return FAULT_AGAIN;
    }
    f->slot = pte_slot(f->old);
    page = swap_take(f->slot, &shared);
    if (page != NULL)
        pte_set(f->table, f->pte, swapped_in_entry(f, page, shared));
    table_unlock(f->table);
    if (page == NULL)
        return FAULT_SWAP_IN;
    space_count_page(f->space, page, 1);
    return FAULT_MAPPED;
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

/* ---- huge pages ---- */

/* The first store into an untouched span: 512 zeroed pages at once. False: one page, then. */
static bool fault_huge(struct fault *f)
{
    u64 start = ALIGN_DOWN(f->va, level_size(1));
    struct page *upper, *head;
    pte_t *entry = pt_make(f->space, start, 1, &upper), old;
    unsigned prot;

    if (entry == NULL)
        return false;
    old = load_relaxed(entry);
    if (old != 0 && !pte_is_mark(old))
        return false;
    prot = old == 0 ? f->vma->prot : pte_prot(old);
    if (!(prot & PROT_WRITE) || (old & (PTE_UFFD_WP | PTE_POISON)))
        return false;
    head = huge_alloc(PG_ANON);
    if (head == NULL) {
        atomic_add_relaxed(&huge_counts.fault_fallback, 1);
        return false;
    }
    if (pt_install_huge(f->space, start, head, pte_bits(prot) | PTE_W | PTE_D, old, NULL)) {
        atomic_add_relaxed(&huge_counts.fault_alloc, 1);
        return true;
    }
    page_free_huge(head);
    return false;
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
    install(f, page_entry(vdso_pfn((f->va - f->vma->start) >> PAGE_SHIFT), f->prot, 0), NULL);
    return FAULT_MAPPED;
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
        if (f->table->flags & PG_HUGE)
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

/* ---- what is done with the lock given up ---- */

static enum fault_result swap_in(struct fault *f)
{
    int error = swap_load(f->slot);

    atomic_add_relaxed(&f->space->major_faults, 1);
    if (error == -ENOMEM)
        return FAULT_NO_MEMORY;
    return error != 0 ? FAULT_BUS : FAULT_MAPPED;
}

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
            note_droppable(&f);
        read_unlock(&s->lock);
        if (next == FAULT_LOAD)
            result = fault_load_page(&f);
        else if (next == FAULT_PREPARE)
            result = fault_prepare_page(&f);
        else if (next == FAULT_SWAP_IN)
            result = swap_in(&f);
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
                result = access == FAULT_WRITE ? map_fresh(s, table, pte, 0, v->prot)
                                               : map_zeros(s, v, address, table, pte, 0, v->prot);
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
