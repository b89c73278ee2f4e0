/*
 * Runs of memory objects: making them, and mapping them as huge pages. Who wants them is the object's to say
 * (wants_run): tmpfs's huge= and /sys/kernel/mm/transparent_hugepage/shmem_enabled.
 *
 *     object  |p0|p1| ... |p511|    one block of memory; p0 has PG_RUN while all are there
 *                 ^
 *     space A  [leaf, 2 MiB]        each leaf holds a reference to each page; truncation, holes, swap, mprotect and
 *     space B  [leaf, 2 MiB]        munmap of a part split it and go on as with any pages
 *
 * A mapping shows a run as a huge page only where all of it is below the object's size: an access past the end must
 * fault. That the run is whole is looked at under the object's lock together with setting the entry: who takes a page
 * out has then either ended the run before, or finds the entry.
 */
#include "vm/run.h"
#include "lib/string.h"
#include "vm/cache.h"
#include "vm/fault_parts.h"
#include "vm/huge.h"
#include "vm/khugepaged.h"
#include "vm/mappings.h"
#include "vm/swapobj.h"
#include "vm/tlb.h"

u64 nr_runs;

/* What pages of a memory object are that may be stored to at once. */
#define RUN_FLAGS (PG_UPTODATE | PG_MEMORY_ONLY | PG_DIRTY | PG_PLACED | PG_REFERENCED | PG_RUN)

static bool has_any(const struct object *o, u64 first)
{
    u64 index = first;

    return radix_next(&o->pages, &index) != NULL && index < first + HUGE_PAGES;
}

static bool is_untouched(struct object *o, u64 first)
{
    u64 flags = spin_lock_irqsave(&o->lock);
    bool any = has_any(o, first);

    spin_unlock_irqrestore(&o->lock, flags);
    return !any;
}

static bool is_wanted(struct object *o, u64 index, enum run_wish wish)
{
    return o->ops->wants_run != NULL && wish != RUN_FORBIDDEN && o->ops->wants_run(o, index, wish == RUN_ADVISED);
}

static bool insert(struct object *o, u64 index, bool below_size, struct page *head)
{
    u64 first = ALIGN_DOWN(index, (u64)HUGE_PAGES), flags;
    bool done;

    for (unsigned i = 0; i < HUGE_PAGES; i++) {
        head[i].index = first + i;
        head[i].object = o;
    }
    flags = spin_lock_irqsave(&o->lock);
    done = (!below_size || index < size_in_pages(o->size)) && !has_any(o, first) &&
           radix_insert_run(&o->pages, first, HUGE_PAGES, head, sizeof(*head)) == 0;
    if (done) {
        o->nr_pages += HUGE_PAGES;
        atomic_add_relaxed(&nr_memory_pages, HUGE_PAGES);
        atomic_add_relaxed(&nr_runs, 1);
    }
    spin_unlock_irqrestore(&o->lock, flags);
    return done;
}

bool run_add(struct object *o, u64 index, bool below_size, enum run_wish wish)
{
    struct page *head;

    if (!is_wanted(o, index, wish) || !is_untouched(o, ALIGN_DOWN(index, (u64)HUGE_PAGES)) ||
        o->ops->charge_run(o) != 0)
        return false;
    head = huge_alloc(RUN_FLAGS, wish == RUN_ADVISED);
    if (head != NULL && insert(o, index, below_size, head)) {
        atomic_add_relaxed(&huge_counts.file_alloc, 1);
        return true;
    }
    atomic_add_relaxed(&huge_counts.file_fallback, 1);
    if (head != NULL)
        (void)page_free_huge(head);
    return false;
}

void run_break(struct page *page)
{
    struct page *head = pfn_page(ALIGN_DOWN(page_pfn(page), (u64)HUGE_PAGES));

    atomic_and(&page->flags, ~(u32)PG_RUN);
    if (head != page && !(atomic_and(&head->flags, ~(u32)PG_RUN) & PG_RUN))
        return;
    atomic_sub(&nr_runs, 1);
    atomic_add_relaxed(&huge_counts.split, 1);
}

/* ---- mapping ---- */

/* => o->lock */
static bool is_run(const struct object *o, const struct page *head, u64 index)
{
    return head != NULL && !is_marker(head) && (head->flags & PG_RUN) && head->object == o && head->index == index &&
           page_pfn(head) % HUGE_PAGES == 0;
}

bool run_hold(struct run_hold *run)
{
    struct page *head = run->head;
    bool ready;

    run->lock_flags = spin_lock_irqsave(&run->object->lock);
    ready = is_run(run->object, head, run->index) && run->index + HUGE_PAGES <= object_pages(run->object);
    for (unsigned i = 0; ready && run->for_stores && i < HUGE_PAGES; i++)
        ready = page_takes_stores(head + i);
    if (!ready) {
        spin_unlock_irqrestore(&run->object->lock, run->lock_flags);
        return false;
    }
    for (unsigned i = 0; i < HUGE_PAGES; i++)
        page_get(head + i);
    return true;
}

void run_held(struct run_hold *run) { spin_unlock_irqrestore(&run->object->lock, run->lock_flags); }

/* The first page of the run at INDEX of O; without a reference. */
static struct page *find_run(struct object *o, u64 index)
{
    u64 flags = spin_lock_irqsave(&o->lock);
    struct page *head = radix_get(&o->pages, index);

    if (!is_run(o, head, index))
        head = NULL;
    spin_unlock_irqrestore(&o->lock, flags);
    return head;
}

int run_fault(struct fault *f)
{
    struct vma *v = f->vma;
    struct object *o = v->object;
    u64 start = ALIGN_DOWN(f->va, level_size(1)), index = vma_index(v, start);
    struct run_hold run = {.object = o, .index = index};
    struct page *upper;
    pte_t *entry, old;
    unsigned prot;

    if (f->space->no_huge_pages || !run_fits(v, start) || index + HUGE_PAGES > object_pages(o))
        return NOT_OURS;
    if (!load_relaxed(&f->space->is_scanned) && is_wanted(o, index, fault_run_wish(f)))
        khugepaged_register(f->space);
    entry = pt_make(f->space, start, 1, &upper);
    if (entry == NULL)
        return NOT_OURS;
    old = load_relaxed(entry);
    prot = old == 0 ? v->prot : pte_prot(old);
    if ((old != 0 && !pte_is_mark(old)) || (old & (PTE_UFFD_WP | PTE_POISON)) || (prot & PROT_EXEC) ||
        (prot_effective(prot) & (unsigned)f->access) == 0)
        return NOT_OURS;
    run.head = find_run(o, index);
    if (run.head == NULL && !f->loaded && is_wanted(o, index, fault_run_wish(f)) && is_untouched(o, index))
        return fault_with_file(f, FAULT_LOAD);
    if (run.head == NULL)
        return NOT_OURS;
    run.for_stores = (prot & PROT_WRITE) != 0;
    if (!pt_install_huge(f->space, start, run.head, pte_bits(prot) | (run.for_stores ? PTE_W | PTE_D : 0), old, &run))
        return NOT_OURS;
    atomic_add_relaxed(&huge_counts.file_mapped, 1);
    return FAULT_MAPPED;
}

/* ---- of single pages ---- */

bool run_is_due(struct object *o, u64 first, unsigned max_none, unsigned max_swapped)
{
    unsigned n = 0, swapped = 0;
    u64 flags = spin_lock_irqsave(&o->lock), index = first;
    bool is_whole = is_run(o, radix_get(&o->pages, first), first);

    for (void *item; (item = radix_next(&o->pages, &index)) != NULL && index < first + HUGE_PAGES; index++) {
        n++;
        swapped += is_marker(item);
    }
    spin_unlock_irqrestore(&o->lock, flags);
    return !is_whole && HUGE_PAGES - n <= max_none && swapped <= max_swapped;
}

bool run_is_watched(struct object *o, u64 first, u32 vma_flags)
{
    bool result = false;
    struct vma *v;

    mutex_lock(&o->mappings_lock);
    for_each_mapping(v, o, first, first + HUGE_PAGES - 1)
        result |= (v->flags & vma_flags) != 0;
    mutex_unlock(&o->mappings_lock);
    return result;
}

#define TRIES 4

/* Page INDEX of O, which no entry maps any more, moves to NEW. 0; -EAGAIN: somebody uses it; -EEXIST: it is swapped;
 * -EINVAL: it lies past the end. */
static int move_page(struct object *o, u64 index, struct page *new)
{
    u64 flags = spin_lock_irqsave(&o->lock);
    struct page *old = radix_get(&o->pages, index);
    int error = 0;

    if (is_marker(old)) {
        error = -EEXIST;
    } else if (old != NULL &&
               (load_relaxed(&old->refs) != 1 || (old->flags & (PG_LOADING | PG_UPTODATE)) != PG_UPTODATE)) {
        error = -EAGAIN;
    } else if (old == NULL && index >= size_in_pages(o->size)) {
        error = -EINVAL; /* cut meanwhile: what lies past the end nobody would take out again */
    } else if (old == NULL) {
        clear_page(page_address(new));
        error = radix_insert(&o->pages, index, new);
        o->nr_pages += error == 0;
        atomic_add_relaxed(&nr_memory_pages, error == 0);
    } else {
        copy_page(page_address(new), page_address(old));
        if (old->flags & PG_RUN)
            run_break(old);
        radix_replace(&o->pages, index, new);
        new->flags = (new->flags & ~(u32)(PG_DIRTY | PG_PLACED)) | (old->flags & (PG_DIRTY | PG_PLACED));
        store_release(&old->object, NULL);
    }
    if (error == 0) {
        new->index = index;
        store_release(&new->object, o);
    }
    spin_unlock_irqrestore(&o->lock, flags);
    if (error == 0 && old != NULL)
        page_put(old);
    return error;
}

static int move_page_in_the_end(struct object *o, u64 index, struct page *new)
{
    int error = move_page(o, index, new);

    for (unsigned i = 0; i < TRIES && (error == -EAGAIN || error == -EEXIST); i++) {
        if (error == -EEXIST && object_swap_in(o, index) != 0)
            return -ENOMEM;
        rmap_zap(o, index, index, false);
        error = move_page(o, index, new);
    }
    return error == -EEXIST ? -EAGAIN : error;
}

/* All 512 pages have moved to the block at HEAD: it is a run if none has left since. */
static void found(struct object *o, u64 first, struct page *head)
{
    u64 flags = spin_lock_irqsave(&o->lock);
    bool whole = true;

    for (unsigned i = 0; whole && i < HUGE_PAGES; i++)
        whole = radix_get(&o->pages, first + i) == head + i;
    if (whole) {
        for (unsigned i = 0; i < HUGE_PAGES; i++)
            atomic_or(&head[i].flags, PG_RUN);
        atomic_add_relaxed(&nr_runs, 1);
    }
    spin_unlock_irqrestore(&o->lock, flags);
}

int run_collapse(struct object *o, u64 first, bool only_if_plenty)
{
    struct page *head;
    int error = 0;

    if (find_run(o, first) != NULL)
        return 0;
    if (o->ops->charge_run == NULL || o->ops->charge_run(o) != 0)
        return -ENOMEM;
    head = only_if_plenty ? huge_alloc_unzeroed(RUN_FLAGS & ~(u32)PG_RUN)
                          : page_alloc_huge(false, RUN_FLAGS & ~(u32)PG_RUN);
    if (head == NULL) {
        atomic_add_relaxed(&huge_counts.collapse_failed, 1);
        return -ENOMEM;
    }
    rmap_zap(o, first, first + HUGE_PAGES - 1, false); /* all at once; faults may bring some back */
    for (unsigned i = 0; i < HUGE_PAGES; i++) {
        if (error == 0)
            error = move_page_in_the_end(o, first + i, head + i);
        if (error != 0)
            page_put(head + i); /* what has moved stays: they are ordinary pages */
    }
    if (error != 0) {
        atomic_add_relaxed(&huge_counts.collapse_failed, 1);
        return error;
    }
    found(o, first, head);
    atomic_add_relaxed(&huge_counts.collapse_alloc, 1);
    return 0;
}
