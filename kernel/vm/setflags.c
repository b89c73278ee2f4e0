/* Flags of parts of mappings: madvise(2), mlock(2) and mseal(2) split vmas where their ranges cut them, and join what
 * has become alike. */
#include "vm/khugepaged.h"
#include "vm/lazy.h"
#include "vm/swapout.h"
#include "vm/tlb.h"

struct vma *vma_isolate(struct space *s, struct vma *v, u64 start, u64 end)
{
    if (v->start < start) {
        if (!has_room_for_vma(s) || vma_split(s, v, start) != 0)
            return NULL;
        v = v->above;
    }
    if (v->end > end && (!has_room_for_vma(s) || vma_split(s, v, end) != 0))
        return NULL;
    return v;
}

void vma_merge_around(struct space *s, struct vma *v, struct list *removed)
{
    struct vma *above = v->above;

    vma_merge_below(s, v, removed);
    if (above != NULL)
        vma_merge_below(s, above, removed);
}

static int check_vma(struct space *s, const struct vma *v, u64 start, u64 end, const struct flag_change *c)
{
    if ((v->flags & c->forbidden) || (c->needs_anonymous && (v->object != NULL || vma_is_shared(v))))
        return -EINVAL;
    return c->discards && !vma_may_discard(s, v, start, end) ? -EPERM : 0;
}

static int change_flags(struct space *s, u64 start, u64 end, const struct flag_change *c, struct list *removed)
{
    int result = 0;

    while (start < end) {
        struct vma *v = vma_find(s, start);
        u32 flags, trap;
        int error;

        if (v == NULL || v->start >= end)
            return -ENOMEM;
        if (v->start > start) {
            result = -ENOMEM;
            if (c->stops_at_hole)
                break;
            start = v->start;
        }
        error = check_vma(s, v, start, MIN(v->end, end), c);
        if (error != 0)
            return error;
        flags = (v->flags & ~c->clear) | c->set;
        trap = (c->set | c->clear) & VMA_TRAP ? c->trap : v->trap;
        if ((flags == v->flags && trap == v->trap) || (v->flags & c->passes)) {
            start = v->end;
            continue;
        }
        v = vma_isolate(s, v, start, end);
        if (v == NULL)
            return -ENOMEM;
        vma_count_pages(s, v, false);
        if ((v->flags | flags) & VMA_TRAP)
            pt_forget_leaves(s);
        if (flags & VMA_TRAP)
            lazy_keep(s, v);
        v->flags = flags;
        v->trap = trap;
        vma_count_pages(s, v, true);
        if (flags & VMA_LOCKED)
            swapout_note_locked(s);
        if (flags & VMA_SEALED)
            s->has_sealed = true;
        if (flags & VMA_TRAP)
            s->has_traps = true;
        start = v->end;
        vma_merge_around(s, v, removed);
    }
    return result;
}

/* => write lock */
static int change_locked(struct space *s, u64 start, u64 end, const struct flag_change *c, struct list *removed)
{
    int result;

    if (c->fits != NULL && !c->fits(s, start, end))
        return -EDQUOT;
    if (c->future != NULL)
        s->future_flags = *c->future;
    if (c->set & VMA_HUGEPAGE)
        khugepaged_note(s);
    if ((c->set & VMA_NOHUGEPAGE) && (pt_split_spans(s, start) != 0 || pt_split_spans(s, end) != 0))
        result = -ENOMEM; /* a huge page of which a part may not be huge is none any more */
    else
        result = change_flags(s, start, end, c, removed);
    /* Tables that spaces share are evicted from as the unlocked are. With holes in the range, too: mlockall's has some.
     */
    if ((c->set & VMA_LOCKED) && pt_own(s, start, MIN(end, arch_user_address_limit()), PT_OWN) != 0)
        result = -ENOMEM;
    return result;
}

int space_change_flags(struct space *s, u64 start, u64 end, const struct flag_change *c)
{
    struct list removed;
    int result;

    list_init(&removed);
    write_lock(&s->lock);
    result = change_locked(s, start, end, c, &removed);
    write_unlock(&s->lock);
    vma_free_list(&removed);
    return result;
}

/* ---- mseal(2) ---- */

static bool has_hole(struct space *s, u64 start, u64 end)
{
    for (struct vma *v = vma_find(s, start); start < end; v = v->above) {
        if (v == NULL || v->start > start)
            return true;
        start = v->end;
        if (v->above == NULL)
            break;
    }
    return start < end;
}

int space_mseal(struct space *s, u64 address, u64 length, u64 flags)
{
    u64 size = ALIGN_UP(length, PAGE_SIZE), end = address + size;
    const struct flag_change seal = {.set = VMA_SEALED};
    struct list removed;
    int result;

    if (flags != 0 || (address & PAGE_MASK) != 0 || size < length || end < address)
        return -EINVAL;
    if (size == 0)
        return 0;
    list_init(&removed);
    write_lock(&s->lock);
    result = has_hole(s, address, end) ? -ENOMEM : change_flags(s, address, end, &seal, &removed);
    write_unlock(&s->lock);
    vma_free_list(&removed);
    return result;
}

bool vma_may_discard(struct space *s, const struct vma *v, u64 start, u64 end)
{
    if (!(v->flags & VMA_SEALED) || v->object != NULL || vma_is_shared(v))
        return true;
    return vma_writable_pages(s, v, start, end) == (end - start) >> PAGE_SHIFT;
}

bool range_is_sealed(struct space *s, u64 start, u64 end)
{
    for (struct vma *v = vma_find(s, start); v != NULL && v->start < end; v = v->above)
        if (v->flags & VMA_SEALED)
            return true;
    return false;
}
