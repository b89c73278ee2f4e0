/*
 * Moving and resizing mappings. Page-table entries move, pages do not: the cost is that of the live entries. Source:
 * mremap(2).
 */
#include "lib/rlimit.h"
#include "sched/thread.h"
#include "vm/swapout.h"
#include "vm/tlb.h"

#define MREMAP_MAYMOVE 1
#define MREMAP_FIXED 2
#define MREMAP_DONTUNMAP 4

/* Moves the entries of [from, from + length) up or down by the distance to TO, whose tables are made. -ENOMEM: some
 * have moved.
 * => write lock; the object's mappings_lock, so that who looks for a page through the object finds it at one of its two
 * places */
static int move_entries(struct space *s, u64 from, u64 to, u64 length, struct tlb_batch *batch)
{
    struct pt_walk w = {.space = s, .va = from, .end = from + length};

    for (; pt_step(&w); w.va = w.next) {
        unsigned n = w.level == 0 ? pt_walk_pages(&w) : 0;

        if (w.level > 0 && *w.pte != 0 && !pt_push_down(s, w.table, w.pte, w.va, w.level))
            return -ENOMEM;
        if (w.level > 0 && pte_is_present(*w.pte)) {
            w.next = w.va;
            continue;
        }
        for (unsigned i = 0; i < n; i++) {
            u64 va = w.va + i * PAGE_SIZE;
            struct page *table;
            pte_t e, *pte;

            if (w.pte[i] == 0)
                continue;
            pte = pt_make(s, va - from + to, 0, &table);
            if (pte == NULL)
                return -ENOMEM;
            table_lock(w.table);
            e = atomic_swap(&w.pte[i], PTE_MARK); /* may become a swap entry, or get D, until now */
            pte_set(w.table, &w.pte[i], 0);
            table_unlock(w.table);
            table_lock(table);
            pte_set(table, pte, pte_has_page(e) ? e | PTE_D : e); /* what moves counts as written (soft-dirty) */
            table_unlock(table);
            if (pte_is_present(e))
                tlb_note(batch, va);
        }
    }
    return w.error;
}

/* [old, old + old_length) of V goes to NEW, where there is room. => write lock */
static long move_mapping(struct space *s, struct vma *v, u64 old, u64 old_length, u64 new, u64 new_length,
                         unsigned flags, struct list *removed)
{
    struct vma copy = *v;
    struct object *o = v->object;
    struct tlb_batch batch;
    int error;

    copy.start = new;
    copy.end = new + new_length;
    copy.offset = v->object != NULL ? v->offset + (old - v->start) : 0;
    error = map_range(s, &copy, removed);
    if (error != 0)
        return error;
    tlb_begin(&batch, s);
    swapout_bar(s, true);
    if (o != NULL)
        mutex_lock(&o->mappings_lock);
    error = move_entries(s, old, new, MIN(old_length, new_length), &batch);
    if (error != 0) /* back to where they were; the tables there exist */
        (void)move_entries(s, new, old, MIN(old_length, new_length), &batch);
    if (o != NULL)
        mutex_unlock(&o->mappings_lock);
    tlb_flush(&batch);
    swapout_bar(s, false);
    if (error != 0) {
        (void)unmap_range(s, new, new + new_length, removed);
        return error;
    }
    if (!(flags & MREMAP_DONTUNMAP) && old_length > 0)
        (void)unmap_range(s, old, old + old_length, removed);
    return (long)new;
}

static bool fits_limits(const struct space *s, u64 more)
{
    return current->limits == NULL ||
           s->total_pages + (more >> PAGE_SHIFT) <= current->limits->limit[RLIMIT_AS].soft >> PAGE_SHIFT;
}

/* => write lock */
static long remap(struct space *s, u64 old, u64 old_length, u64 new_length, unsigned flags, u64 new,
                  struct list *removed)
{
    u64 limit = arch_user_address_limit(), to;
    struct vma *v = vma_at(s, old), *above;

    if (v == NULL)
        return -EFAULT;
    if (old_length == 0 && !vma_is_shared(v))
        return -EINVAL;
    if (old_length > v->end - old)
        return -EFAULT;
    if ((flags & MREMAP_DONTUNMAP) && (v->flags & VMA_VDSO))
        return -EINVAL;
    if (flags & MREMAP_FIXED) {
        int error =
            new_length > limit || new > limit - new_length ? -EINVAL : unmap_range(s, new, new + new_length, removed);

        if (error != 0)
            return error;
        if (new_length < old_length) {
            error = unmap_range(s, old + new_length, old + old_length, removed);
            if (error != 0)
                return error;
            old_length = new_length;
        }
        v = vma_at(s, old);
        return v == NULL ? -EFAULT : move_mapping(s, v, old, old_length, new, new_length, flags, removed);
    }
    if (new_length <= old_length && !(flags & MREMAP_DONTUNMAP)) {
        int error = new_length < old_length ? unmap_range(s, old + new_length, old + old_length, removed) : 0;

        return error != 0 ? error : (long)old;
    }
    if (!fits_limits(s, new_length - (flags & MREMAP_DONTUNMAP ? 0 : old_length)))
        return -ENOMEM;
    above = v->above;
    if (!(flags & MREMAP_DONTUNMAP) && old_length > 0 && old + old_length == v->end && old + new_length <= limit &&
        old + new_length > old && (above == NULL || above->start >= old + new_length)) {
        vma_resize(v, v->start, old + new_length);
        return (long)old;
    }
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    to = vma_find_gap(s, new_length, flags & MREMAP_DONTUNMAP ? new : 0, s->mmap_top);
    return to == 0 ? -ENOMEM : move_mapping(s, v, old, old_length, to, new_length, flags, removed);
}

long space_mremap(struct space *s, u64 old, u64 old_length, u64 new_length, unsigned flags, u64 new)
{
    struct list removed;
    long result;

    if ((flags & ~(unsigned)(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) || (old & PAGE_MASK) != 0)
        return -EINVAL;
    if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && !(flags & MREMAP_MAYMOVE))
        return -EINVAL;
    if ((flags & MREMAP_DONTUNMAP) && ALIGN_UP(old_length, PAGE_SIZE) != ALIGN_UP(new_length, PAGE_SIZE))
        return -EINVAL;
    old_length = ALIGN_UP(old_length, PAGE_SIZE);
    new_length = ALIGN_UP(new_length, PAGE_SIZE);
    if (new_length == 0)
        return -EINVAL;
    if ((flags & MREMAP_FIXED) && ((new &PAGE_MASK) != 0 || (new < old + old_length &&old < new + new_length)))
        return -EINVAL;
    list_init(&removed);
    write_lock(&s->lock);
    result = remap(s, old, old_length, new_length, flags, new, &removed);
    write_unlock(&s->lock);
    vma_free_list(&removed);
    return result;
}
