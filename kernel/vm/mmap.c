/*
 * Making mappings: mmap, brk, stacks. Nothing is read or allocated here but the vma; pages come with faults
 * (vm/fault.c). Source: mmap(2), brk(2), and Linux 6.12's behaviour where they are silent.
 */
#include "lib/cred.h"
#include "lib/rlimit.h"
#include "sched/thread.h"
#include "vm/limits.h"
#include "vm/swapout.h"
#include "vm/tlb.h"

int map_range(struct space *s, const struct vma *template, struct list *removed)
{
    struct vma *above = vma_find(s, template->start), *below = vma_below(s, above), *v;

    if (below != NULL && below->end == template->start && vma_continues(below, template)) {
        below->flags = vma_merged_flags(below->flags, template->flags);
        vma_resize(below, below->start, template->end);
        if (above != NULL)
            vma_merge_below(s, above, removed);
        return 0;
    }
    if (above != NULL && above->start == template->end && vma_continues(template, above)) {
        above->flags = vma_merged_flags(above->flags, template->flags);
        vma_resize(above, template->start, above->end);
        return 0;
    }
    if (!has_room_for_vma(s))
        return -ENOMEM;
    v = vma_take(s);
    if (v == NULL)
        return -ENOMEM;
    vma_describe(v, template);
    if (v->file != NULL)
        vm_file_ops->get(v->file);
    vma_insert(s, v, above);
    return 0;
}

static bool overlaps_any(struct space *s, u64 start, u64 end)
{
    struct vma *v = vma_find(s, start);

    return v != NULL && v->start < end;
}

static bool wants_alignment(const struct mapping *m, u64 length, unsigned flags)
{
    if (m->object == NULL || m->object->ops->wants_run == NULL)
        return (flags & MAP_ANONYMOUS) && IS_ALIGNED(length, level_size(1));
    return length >= level_size(1) && ((IS_ALIGNED(length, level_size(1)) && (flags & MAP_ANONYMOUS)) ||
                                       m->object->ops->wants_run(m->object, m->offset >> PAGE_SHIFT, true));
}

/* Anonymous memory of whole huge pages begins where a huge page can, and memory files that may have runs where theirs
 * can, by their offset; mmap with a hint, or of other files, does not ask. 0: it may begin anywhere, or no such gap. */
static noinline_fn u64 find_aligned_gap(struct space *s, u64 length, const struct mapping *m, unsigned flags)
{
    const u64 span = level_size(1);
    u64 found = 0;

    if (length < arch_user_address_limit() - span && wants_alignment(m, length, flags))
        found = vma_find_gap(s, length + span - PAGE_SIZE, 0, s->mmap_top);
    return found != 0 ? found + (((m->object != NULL ? m->offset : 0) - found) & (span - 1)) : 0;
}

/* What is wrong with a mapping at the place ADDRESS that FLAGS say must be taken. => lock */
static long check_fixed(struct space *s, u64 address, u64 length, unsigned flags)
{
    u64 limit = arch_user_address_limit();

    if (length > limit || address > limit - length)
        return -ENOMEM;
    if ((address & PAGE_MASK) != 0)
        return -EINVAL;
    if (address < USER_MIN && !capable(current->cred, CAP_SYS_RAWIO))
        return -EPERM;
    if ((flags & MAP_FIXED_NOREPLACE) && overlaps_any(s, address, address + length))
        return -EEXIST;
    return 0;
}

long space_check_place(struct space *s, u64 address, u64 length, unsigned flags)
{
    long error;

    if (!(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)))
        return length > arch_user_address_limit() ? -ENOMEM : 0;
    read_lock(&s->lock);
    error = check_fixed(s, address, length, flags);
    read_unlock(&s->lock);
    return error;
}

/* Where a mapping that was asked for at ADDRESS goes: an address, or -errno. => write lock */
static long place(struct space *s, u64 address, u64 length, unsigned flags, const struct mapping *m)
{
    u64 limit = arch_user_address_limit(), found;

    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        long error = check_fixed(s, address, length, flags);

        return error != 0 ? error : (long)address;
    }
    if (length > limit)
        return -ENOMEM;
    address = ALIGN_DOWN(address, PAGE_SIZE);
    found = 0;
    if (address == 0 && unlikely(length >= level_size(1)))
        found = find_aligned_gap(s, length, m, flags);
    if (found == 0 && likely(address == 0)) /* the commonest, in short */
        found = vma_find_gap(s, length, 0, s->mmap_top);
    if (found == 0)
        found = vma_find_place(s, length, address);
    return found != 0 ? (long)found : -ENOMEM;
}

static u32 vma_flags(unsigned flags)
{
    u32 result = 0;

    if (likely((flags & (MAP_TYPE | MAP_GROWSDOWN | MAP_STACK | MAP_NORESERVE | MAP_LOCKED)) == MAP_PRIVATE))
        return 0;
    if ((flags & MAP_TYPE) == MAP_DROPPABLE)
        result |= VMA_DROPPABLE | VMA_NORESERVE | VMA_WIPEONFORK | VMA_DONTDUMP;
    else if ((flags & MAP_TYPE) != MAP_PRIVATE)
        result |= VMA_SHARED;
    if (flags & MAP_GROWSDOWN)
        result |= VMA_GROWSDOWN;
    if (flags & MAP_STACK) /* of which little is used at a time */
        result |= VMA_NOHUGEPAGE;
    if ((flags & MAP_NORESERVE) && load_relaxed(&vm_settings.overcommit_memory) != OVERCOMMIT_NEVER)
        result |= VMA_NORESERVE;
    if (flags & MAP_LOCKED)
        result |= VMA_LOCKED;
    return result;
}

static bool is_private_writable(unsigned prot, unsigned flags)
{
    return ((flags & MAP_TYPE) == MAP_PRIVATE || (flags & MAP_TYPE) == MAP_DROPPABLE) && (prot & PROT_WRITE);
}

static enum fault_access first_access(unsigned prot)
{
    return prot_effective(prot) & PROT_READ ? FAULT_READ : FAULT_EXEC;
}

/* Pages of [start, end) that are mapped. */
static u64 mapped_pages(struct space *s, u64 start, u64 end)
{
    u64 n = 0;

    for (struct vma *v = vma_find(s, start); v != NULL && v->start < end; v = v->above)
        n += (MIN(v->end, end) - MAX(v->start, start)) >> PAGE_SHIFT;
    return n;
}

/* What MAP_FIXED replaces does not count any more. */
static bool fits_in_place_of(struct space *s, u64 start, u64 end, unsigned flags, bool is_data)
{
    u64 n = (end - start) >> PAGE_SHIFT;

    if (likely(within_limits(s, n, is_data)))
        return true;
    return (flags & MAP_FIXED) && within_limits(s, n - mapped_pages(s, start, end), is_data);
}

static long map_locked(struct space *s, u64 address, u64 length, unsigned prot, unsigned flags, const struct mapping *m,
                       struct list *removed)
{
    bool is_data = is_private_writable(prot, flags);
    long at = place(s, address, length, flags, m);
    struct vma v; /* what it is; where it is linked is map_range's */
    int error;

    if (at < 0)
        return at;
    if (prot_effective(prot) != prot) /* entries cannot tell PROT_WRITE alone, but vmas can */
        space_count_exactly(s);
    if (s->exec_gain != 0 && (prot & PROT_EXEC) && (prot & PROT_WRITE))
        return -EACCES;
    v.start = (u64)at;
    v.end = (u64)at + length;
    v.object = m->object;
    v.file = m->file;
    v.offset = m->object ? m->offset : 0;
    v.userfault = NULL;
    v.trap = 0;
    v.prot = prot;
    v.max_prot = m->max_prot;
    v.flags = vma_flags(flags);
    if (!(v.flags & VMA_DROPPABLE))
        v.flags |= s->future_flags;
    if (unlikely(v.flags & VMA_LOCKED)) {
        if (!within_lock_limit(s, length >> PAGE_SHIFT))
            return -EAGAIN;
        swapout_note_locked(s);
    }
    if (!fits_in_place_of(s, (u64)at, (u64)at + length, flags, is_data) ||
        (is_data && !(v.flags & VMA_NORESERVE) && !may_commit(s, length >> PAGE_SHIFT)))
        return -ENOMEM;
    if (flags & MAP_FIXED) {
        error = unmap_range(s, (u64)at, (u64)at + length, removed);
        if (error != 0)
            return error;
    }
    error = map_range(s, &v, removed);
    return error != 0 ? error : at;
}

/* [start, end) was just mapped. FUTURE: mlockall's wishes. */
static noinline_fn void populate_new(struct space *s, u64 start, u64 end, unsigned prot, unsigned flags, u32 future)
{
    if ((flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE || (flags & MAP_LOCKED) || future == VMA_LOCKED)
        populate_range(s, start, end, is_private_writable(prot, flags) ? FAULT_WRITE : first_access(prot));
}

long space_mmap(struct space *s, u64 address, u64 length, unsigned prot, unsigned flags, const struct mapping *m)
{
    struct list removed;
    u32 future;
    long at;

    if (length == 0)
        return -EINVAL;
    if (ALIGN_UP(length, PAGE_SIZE) < length)
        return -ENOMEM;
    if ((flags & MAP_LOCKED) && !may_lock_memory())
        return -EPERM;
    length = ALIGN_UP(length, PAGE_SIZE);
    list_init(&removed);
    write_lock(&s->lock);
    at = map_locked(s, address, length, prot, flags, m, &removed);
    future = s->future_flags;
    write_unlock(&s->lock);
    vma_free_list(&removed);
    if (at >= 0 && unlikely((flags & (MAP_POPULATE | MAP_LOCKED)) || future == VMA_LOCKED))
        populate_new(s, (u64)at, (u64)at + length, prot, flags, future);
    return at;
}

/* ---- the heap ---- */

void space_set_brk_start(struct space *s, u64 start)
{
    s->brk_start = s->brk = start;
    s->layout.start_brk = s->layout.brk = start;
}

static bool grow_heap(struct space *s, u64 from, u64 to, struct list *removed)
{
    struct vma v = {
        .start = from, .end = to, .prot = PROT_READ | PROT_WRITE, .max_prot = PROT_ALL, .flags = s->future_flags};
    struct vma *above = vma_find(s, from);
    u64 n = (to - from) >> PAGE_SHIFT;

    if (to > arch_user_address_limit() || !within_limits(s, n, true) || !may_commit(s, n) ||
        ((v.flags & VMA_LOCKED) && !within_lock_limit(s, n)))
        return false;
    if (above != NULL && above->start < to + (above->flags & VMA_GROWSDOWN ? STACK_GUARD_GAP : 0))
        return false;
    return map_range(s, &v, removed) == 0;
}

u64 space_brk(struct space *s, u64 address)
{
    struct list removed;
    u64 old_end = 0, new_end = 0, result;
    bool done = true, populate = false;

    list_init(&removed);
    write_lock(&s->lock);
    if (address >= s->brk_start && address <= arch_user_address_limit() &&
        address - s->brk_start <= rlimit_of_current(RLIMIT_DATA)) {
        old_end = ALIGN_UP(s->brk, PAGE_SIZE);
        new_end = ALIGN_UP(address, PAGE_SIZE);
        if (new_end > old_end)
            done = grow_heap(s, old_end, new_end, &removed);
        else if (new_end < old_end)
            done = unmap_range(s, new_end, old_end, &removed) == 0;
        if (done)
            s->brk = s->layout.brk = address;
        populate = done && s->future_flags == VMA_LOCKED;
    }
    result = s->brk;
    write_unlock(&s->lock);
    vma_free_list(&removed);
    if (populate)
        populate_range(s, old_end, new_end, FAULT_WRITE);
    return result;
}

/* ---- stacks ---- */

#define INITIAL_STACK (132 * KIB) /* as Linux maps at exec; the rest grows by faults */

int space_set_up_stack(struct space *s, u64 top, bool executable)
{
    struct mapping m = {.max_prot = PROT_ALL};
    u64 size = MIN(INITIAL_STACK, MAX(ALIGN_DOWN(rlimit_of_current(RLIMIT_STACK), PAGE_SIZE), PAGE_SIZE));
    unsigned prot = PROT_READ | PROT_WRITE | (executable ? PROT_EXEC : 0);
    long at;

    top = ALIGN_DOWN(top, PAGE_SIZE);
    at = space_mmap(s, top - size, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, &m);
    return at < 0 ? (int)at : 0;
}

/* A fault below the vma ABOVE, which grows down: extends it to ADDRESS. => write lock */
static bool extend_down(struct space *s, struct vma *above, u64 address)
{
    struct vma *below = above->below;
    u64 lowest = below == NULL ? USER_MIN : below->end, n = (above->start - address) >> PAGE_SHIFT;

    if (below != NULL && prot_effective(below->prot) != PROT_NONE && !(below->flags & VMA_GROWSDOWN))
        lowest += STACK_GUARD_GAP;
    if (address < lowest || above->end - address > rlimit_of_current(RLIMIT_STACK) || !within_limits(s, n, false) ||
        !may_commit(s, n) || ((above->flags & VMA_LOCKED) && !within_lock_limit(s, n)))
        return false;
    vma_resize(above, address, above->end);
    return true;
}

bool stack_grow(struct space *s, u64 address)
{
    struct vma *v;
    bool grown;

    address = ALIGN_DOWN(address, PAGE_SIZE);
    write_lock(&s->lock);
    v = vma_find(s, address);
    grown = v != NULL && (v->start <= address || ((v->flags & VMA_GROWSDOWN) && extend_down(s, v, address)));
    write_unlock(&s->lock);
    return grown;
}
