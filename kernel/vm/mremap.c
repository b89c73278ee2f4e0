/*
 * Moving and resizing mappings. Page-table entries move, pages do not: the cost is that of the live entries. Source:
 * mremap(2).
 */
#include "lib/cred.h"
#include "lib/rlimit.h"
#include "sched/thread.h"
#include "vm/swapout.h"
#include "vm/tlb.h"
#include "vm/userfaults.h"

#define MREMAP_MAYMOVE 1u
#define MREMAP_FIXED 2u
#define MREMAP_DONTUNMAP 4u

static void lock_both(struct page *a, struct page *b)
{
    table_lock(a < b ? a : b);
    if (a != b)
        table_lock(a < b ? b : a);
}

/* Moves N entries of FROM_TABLE to where nothing is. What moves counts as written (soft-dirty). True if there is a
 * page among them. */
static bool move_run(struct page *from_table, pte_t *from, struct page *to_table, pte_t *to, unsigned n)
{
    u16 live = 0;
    pte_t all = 0;

    lock_both(from_table, to_table);
    for (pte_t *end = from + n; from < end; from++, to++) {
        pte_t e = load_relaxed(from);

        if (e == 0)
            continue;
        store_relaxed(from, 0);
        store_relaxed(to, pte_has_page(e) ? e | PTE_D : e);
        all |= e;
        live++;
    }
    from_table->table_live -= live;
    to_table->table_live += live;
    table_unlock(from_table);
    if (to_table != from_table)
        table_unlock(to_table);
    return pte_is_present(all);
}

/* Moves the leaf entries of W's step up by DISTANCE, table by table. -ENOMEM */
static int move_leaves(const struct pt_walk *w, u64 distance, struct tlb_batch *batch)
{
    u64 next;

    for (u64 va = w->va; va < w->next && !table_is_empty(w->table); va = next) {
        u64 to = va + distance, table_end = ALIGN_DOWN(to, level_size(1)) + level_size(1);
        struct page *table;
        pte_t *pte = pt_make(w->space, to, 0, &table);

        if (pte == NULL)
            return -ENOMEM;
        next = MIN(w->next, va + (table_end - to));
        if (move_run(w->table, w->pte + ((va - w->va) >> PAGE_SHIFT), table, pte,
                     (unsigned)((next - va) >> PAGE_SHIFT))) {
            tlb_note(batch, va);
            tlb_note(batch, next - PAGE_SIZE);
        }
    }
    return 0;
}

/* Moves the entries of [from, from + length) up or down by the distance to TO, where nothing is. -ENOMEM: some have
 * moved.
 * => write lock; the object's mappings_lock, so that who looks for a page through the object finds it at one of its two
 * places */
static int move_entries(struct space *s, u64 from, u64 to, u64 length, struct tlb_batch *batch)
{
    struct pt_walk w = {.space = s, .va = from, .end = from + length};
    int error = 0;

    for (; error == 0 && pt_step(&w); w.va = w.next) {
        if (w.level == 0) {
            error = move_leaves(&w, to - from, batch);
        } else if (*w.pte != 0) {
            if (!pt_push_down(s, w.table, w.pte, w.va, w.level))
                return -ENOMEM;
            w.next = w.va; /* again, with the table that is there now */
        }
    }
    return error != 0 ? error : w.error;
}

/* What MREMAP_DONTUNMAP leaves behind is empty, and not locked any more. */
static void unlock_left(struct space *s, u64 start, u64 end, struct list *removed)
{
    struct vma *v = vma_at(s, start);

    if (v == NULL || !(v->flags & VMA_LOCKED))
        return;
    v = vma_isolate(s, v, start, end);
    if (v == NULL)
        return;
    vma_count_pages(s, v, false);
    v->flags &= ~(u32)(VMA_LOCKED | VMA_LOCKED_ONFAULT);
    vma_count_pages(s, v, true);
    vma_merge_around(s, v, removed);
}

/* [old, old + old_length) of V goes to NEW, where there is room. => write lock */
static long move_mapping(struct space *s, struct vma *v, u64 old, u64 old_length, u64 new, u64 new_length,
                         unsigned flags, struct list *removed)
{
    struct vma copy = *v, *notice = NULL;
    struct object *o = v->object;
    bool is_protected = (v->flags & VMA_UFFD_WP) != 0;
    struct tlb_batch batch;
    int error = 0;

    copy.start = new;
    copy.end = new + new_length;
    copy.offset = v->object != NULL ? v->offset + (old - v->start) : 0;
    if (old_length == 0) /* another mapping of the same, and no entries come along */
        (void)vma_prot_end(s, v, old, &copy.prot);
    if (unlikely(v->flags & VMA_USERFAULT))
        error = userfault_note_remap(&copy, old, new, old_length, removed, &notice);
    if (error == 0)
        error = map_range(s, &copy, removed);
    if (error != 0) {
        userfault_drop_notice(notice);
        return error;
    }
    tlb_begin(&batch, s);
    if (unlikely(v->flags & VMA_TRAP)) /* nobody puts a mark where entries were: vm/vmtrap_quick.c */
        pt_forget_leaves(s);
    swapout_bar(s, true);
    if (o != NULL)
        mutex_lock(&o->mappings_lock);
    error = move_entries(s, old, new, MIN(old_length, new_length), &batch);
    if (error != 0) /* back to where they were; the tables there exist */
        (void)move_entries(s, new, old, MIN(old_length, new_length), &batch);
    tlb_flush(&batch); /* who comes from the object finds the new place, and flushes that alone */
    if (o != NULL)
        mutex_unlock(&o->mappings_lock);
    swapout_bar(s, false);
    if (error != 0) {
        userfault_drop_notice(notice);
        (void)unmap_range(s, new, new + new_length, removed);
        return error;
    }
    if (is_protected && copy.userfault == NULL)
        (void)userfault_unprotect_vma(s, vma_at(s, new), new, new + new_length);
    if (flags & MREMAP_DONTUNMAP)
        unlock_left(s, old, old + old_length, removed);
    else if (old_length > 0)
        (void)unmap_moved(s, old, old + old_length, removed);
    return (long)new;
}

/* What mprotect makes of a vma are several ones on Linux, and mremap takes a range of one only. */
static bool crosses_protections(struct space *s, const struct vma *v, u64 old, u64 length)
{
    unsigned prot;

    return (v->flags & VMA_MARKED) && vma_prot_end_before(s, v, old, old + length, &prot) < old + length;
}

/* May [old, old + old_length) of V, the vma at OLD, become NEW_LENGTH long, or move? => write lock */
static int check_resize(struct space *s, const struct vma *v, u64 old, u64 old_length, u64 new_length, unsigned flags)
{
    u64 more = new_length > old_length ? (new_length - old_length) >> PAGE_SHIFT : 0;
    bool is_data = !vma_is_shared(v) && (v->prot & PROT_WRITE);

    if (old_length == 0 && !vma_is_shared(v))
        return -EINVAL;
    if ((flags & MREMAP_DONTUNMAP) && (v->flags & VMA_VDSO))
        return -EINVAL;
    if (old_length > v->end - old || crosses_protections(s, v, old, old_length))
        return -EFAULT;
    if (more == 0)
        return 0;
    if (v->flags & VMA_VDSO)
        return -EFAULT;
    if (new_length > arch_user_address_limit())
        return -ENOMEM;
    if ((v->flags & VMA_LOCKED) && !within_lock_limit(s, more))
        return -EAGAIN;
    if (!within_limits(s, more, is_data) || (is_data && !(v->flags & VMA_NORESERVE) && !may_commit(s, more)))
        return -ENOMEM;
    return 0;
}

/* MREMAP_DONTUNMAP leaves pages of the old range behind, which need room, too. */
static int check_kept(struct space *s, const struct vma *v, u64 length, unsigned flags)
{
    bool is_data = !vma_is_shared(v) && (v->prot & PROT_WRITE);

    if (!(flags & MREMAP_DONTUNMAP))
        return 0;
    return within_limits(s, length >> PAGE_SHIFT, is_data) && (!is_data || may_commit(s, length >> PAGE_SHIFT))
               ? 0
               : -ENOMEM;
}

/* What gets shorter loses its end, if there is such a range at all. => write lock */
static int unmap_end(struct space *s, u64 old, u64 old_length, u64 new_length, struct list *removed)
{
    u64 limit = arch_user_address_limit();

    if (old_length > limit || old > limit - old_length)
        return -EINVAL;
    return unmap_range(s, old + new_length, old + old_length, removed);
}

/* The vma that OLD is in; NULL: no memory. */
static struct vma *prepare_growth(struct space *s, struct vma *v, u64 old, u64 old_length, u64 new_length)
{
    return (v->flags & VMA_MARKED) && new_length > old_length && old_length > 0
               ? vma_prepare_growth(s, v, old, old + old_length)
               : v;
}

/* To a place that the caller names (MREMAP_FIXED) or hints at. => write lock */
static long remap_to(struct space *s, u64 old, u64 old_length, u64 new, u64 new_length, unsigned flags,
                     struct list *removed)
{
    u64 limit = arch_user_address_limit();
    struct vma *v;
    int error;

    if ((new &PAGE_MASK) != 0 || new_length > limit || new > limit - new_length)
        return -EINVAL;
    if (old + old_length > new &&new + new_length > old)
        return -EINVAL;
    if ((flags & MREMAP_FIXED) && new < USER_MIN && !capable(current->cred, CAP_SYS_RAWIO))
        return -EPERM;
    /* Both places may be cut in the middle, which makes two more; Linux wants room for four even then. */
    if (s->n_vmas + 5 >= load_relaxed(&vm_settings.max_map_count))
        return -ENOMEM;
    if (flags & MREMAP_FIXED) {
        error = unmap_range(s, new, new + new_length, removed);
        if (error != 0)
            return error;
    }
    if (old_length > new_length) {
        error = unmap_end(s, old, old_length, new_length, removed);
        if (error != 0)
            return error;
        old_length = new_length;
    }
    v = vma_at(s, old);
    if (v == NULL)
        return -EFAULT;
    error = check_resize(s, v, old, old_length, new_length, flags);
    if (error == 0)
        error = check_kept(s, v, old_length, flags);
    if (error != 0)
        return error;
    v = prepare_growth(s, v, old, old_length, new_length);
    if (v == NULL)
        return -ENOMEM;
    if (!(flags & MREMAP_FIXED)) {
        new = vma_find_place(s, new_length, new);
        if (new == 0)
            return -ENOMEM;
    }
    return move_mapping(s, v, old, old_length, new, new_length, flags, removed);
}

/* Whether V can be NEW_LENGTH long from OLD on without moving. */
static bool can_expand(const struct vma *v, u64 old, u64 old_length, u64 new_length)
{
    u64 limit = arch_user_address_limit(), end = old + new_length;
    u64 next = v->above == NULL ? limit : v->above->start;

    return old_length == v->end - old && new_length <= limit && end <= limit && end <= next;
}

/* => write lock */
static long remap(struct space *s, u64 old, u64 old_length, u64 new_length, unsigned flags, u64 new,
                  struct list *removed)
{
    struct vma *v = vma_at(s, old);
    int error;
    u64 to;

    if (v == NULL)
        return -EFAULT;
    if (v->flags & VMA_SEALED)
        return -EPERM;
    if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
        return remap_to(s, old, old_length, new, new_length, flags, removed);
    if (new_length <= old_length) {
        error = new_length < old_length ? unmap_end(s, old, old_length, new_length, removed) : 0;
        return error != 0 ? error : (long)old;
    }
    error = check_resize(s, v, old, old_length, new_length, flags);
    if (error != 0)
        return error;
    v = prepare_growth(s, v, old, old_length, new_length);
    if (v == NULL)
        return -ENOMEM;
    if (can_expand(v, old, old_length, new_length)) {
        vma_resize(v, v->start, old + new_length);
        return (long)old;
    }
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    to = vma_find_place(s, new_length, 0);
    return to == 0 ? -ENOMEM : move_mapping(s, v, old, old_length, to, new_length, flags, removed);
}

/* What is locked is there, also what it has grown by. */
static void bring_in_grown(struct space *s, u64 start, u64 end)
{
    bool is_locked;
    struct vma *v;

    read_lock(&s->lock);
    v = vma_at(s, start);
    is_locked = v != NULL && (v->flags & (VMA_LOCKED | VMA_LOCKED_ONFAULT)) == VMA_LOCKED;
    read_unlock(&s->lock);
    if (is_locked)
        populate_range(s, start, end, FAULT_WRITE);
}

long space_mremap(struct space *s, u64 old, u64 old_length, u64 new_length, unsigned flags, u64 new)
{
    struct list removed;
    long result;

    if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
        return -EINVAL;
    if ((flags & MREMAP_FIXED) && !(flags & MREMAP_MAYMOVE))
        return -EINVAL;
    if ((flags & MREMAP_DONTUNMAP) && (!(flags & MREMAP_MAYMOVE) || old_length != new_length))
        return -EINVAL;
    if ((old & PAGE_MASK) != 0)
        return -EINVAL;
    old_length = ALIGN_UP(old_length, PAGE_SIZE);
    new_length = ALIGN_UP(new_length, PAGE_SIZE);
    if (new_length == 0)
        return -EINVAL;
    list_init(&removed);
    write_lock(&s->lock);
    result = remap(s, old, old_length, new_length, flags, new, &removed);
    write_unlock(&s->lock);
    vma_free_list(&removed);
    if (result >= 0 && new_length > old_length)
        bring_in_grown(s, (u64)result + old_length, (u64)result + new_length);
    return result;
}
