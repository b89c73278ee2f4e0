/* Advice on ranges, and what of them is in memory: madvise(2), mincore(2). Where the man pages are silent, as
 * Linux 6.12 does it. */
#include "lib/rlimit.h"
#include "sched/thread.h"
#include "vm/cache.h"
#include "vm/collapse.h"
#include "vm/fault.h"
#include "vm/huge.h"
#include "vm/lazy.h"
#include "vm/reclaim.h"
#include "vm/swapout.h"
#include "vm/tlb.h"
#include "vm/uaccess.h"
#include "vm/userfaults.h"

/* ---- madvise ---- */

enum {
    MADV_NORMAL,
    MADV_RANDOM,
    MADV_SEQUENTIAL,
    MADV_WILLNEED,
    MADV_DONTNEED,
    MADV_FREE = 8,
    MADV_REMOVE,
    MADV_DONTFORK,
    MADV_DOFORK,
    MADV_MERGEABLE,
    MADV_UNMERGEABLE,
    MADV_HUGEPAGE,
    MADV_NOHUGEPAGE,
    MADV_DONTDUMP,
    MADV_DODUMP,
    MADV_WIPEONFORK,
    MADV_KEEPONFORK,
    MADV_COLD,
    MADV_PAGEOUT,
    MADV_POPULATE_READ,
    MADV_POPULATE_WRITE,
    MADV_DONTNEED_LOCKED,
    MADV_COLLAPSE
};

/* Pages of [start, end) in V go; the next touch finds zeros or the file's bytes. */
static int drop_pages(struct space *s, const struct vma *v, u64 start, u64 end)
{
    if (pt_own(s, start, end, zap_mode(v)) != 0)
        return -ENOMEM;
    zap_pages(s, v, start, end, false);
    return 0;
}

void space_reap(struct space *s)
{
    read_lock(&s->lock);
    for (struct vma *v = vma_find(s, 0); v != NULL; v = v->above)
        if (!vma_is_shared(v) && !(v->flags & (VMA_LOCKED | VMA_VDSO)))
            (void)drop_pages(s, v, v->start, v->end);
    read_unlock(&s->lock);
}

static int advise_vma(struct space *s, struct vma *v, u64 start, u64 end, int advice)
{
    switch (advice) {
    case MADV_FREE:
        if (v->object != NULL || (v->flags & (VMA_VDSO | VMA_LOCKED)))
            return -EINVAL;
        return vma_may_discard(s, v, start, end) ? lazy_free(s, v, start, end) : -EPERM;
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
        if ((v->flags & VMA_LOCKED) && advice == MADV_DONTNEED)
            return -EINVAL;
        return vma_may_discard(s, v, start, end) ? drop_pages(s, v, start, end) : -EPERM;
    case MADV_WILLNEED:
        if (v->object != NULL)
            object_start_readahead(v->object, vma_index(v, start), (unsigned)MIN((end - start) >> PAGE_SHIFT, 1024ul));
        return 0;
    case MADV_COLD:
    case MADV_PAGEOUT:
        if (v->flags & (VMA_LOCKED | VMA_VDSO))
            return -EINVAL;
        swapout_range(s, start, end, advice == MADV_PAGEOUT);
        if (v->object != NULL && advice == MADV_PAGEOUT)
            reclaim_object_range(v->object, vma_index(v, start), vma_index(v, end - 1));
        return 0;
    default: /* hints that change nothing here */
        return 0;
    }
}

static bool drops_pages(const struct vma *v, int advice)
{
    return advice == MADV_DONTNEED_LOCKED ||
           ((advice == MADV_DONTNEED || (advice == MADV_FREE && v->object == NULL)) && !(v->flags & VMA_LOCKED));
}

/* Calls advise_vma for each vma's part of the range. */
static int advise_range(struct space *s, u64 start, u64 end, int advice)
{
    int result = 0;

    read_lock(&s->lock);
    while (start < end) {
        struct vma *v = vma_find(s, start);
        int error;

        if (v == NULL || v->start >= end) {
            result = -ENOMEM;
            break;
        }
        if (v->start > start)
            result = -ENOMEM;
        start = MAX(start, v->start);
        if (unlikely(v->flags & VMA_USERFAULT) && drops_pages(v, advice) &&
            userfault_removing(s, v, start, MIN(v->end, end)) && (v = vma_at(s, start)) == NULL) {
            result = -ENOMEM;
            break;
        }
        error = advise_vma(s, v, start, MIN(v->end, end), advice);
        if (error != 0) {
            result = error;
            break;
        }
        start = v->end;
    }
    read_unlock(&s->lock);
    return result;
}

/* Memory that was mapped for writing only is not read on a program's behalf, although the hardware would read it. */
static bool has_unreadable(struct space *s, u64 start, u64 end)
{
    const struct vma *v;

    read_lock(&s->lock);
    for (v = vma_find(s, start); v != NULL && v->start < end; v = v->above)
        if ((v->prot & (PROT_READ | PROT_WRITE)) == PROT_WRITE)
            break;
    read_unlock(&s->lock);
    return v != NULL && v->start < end;
}

static int populate(struct space *s, u64 start, u64 end, enum fault_access access)
{
    if (access == FAULT_READ && has_unreadable(s, start, end))
        return -EINVAL;
    for (; start < end; start = huge_next(s, start)) {
        switch (fault_in(s, start, access, false)) {
        case FAULT_MAPPED:
            break;
        case FAULT_MAPERR:
            return -ENOMEM;
        case FAULT_NO_MEMORY:
            return fatal_signal_pending() ? -EINTR : -ENOMEM;
        case FAULT_BUS:
            return -EFAULT;
        default:
            return -EINVAL;
        }
    }
    return 0;
}

/* What advice is a matter of flags. */
static const struct flag_change flag_advice[] = {
    [MADV_NORMAL] = {.clear = VMA_SEQUENTIAL | VMA_RANDOM},
    [MADV_RANDOM] = {.set = VMA_RANDOM, .clear = VMA_SEQUENTIAL},
    [MADV_SEQUENTIAL] = {.set = VMA_SEQUENTIAL, .clear = VMA_RANDOM},
    [MADV_DONTFORK] = {.set = VMA_DONTFORK, .discards = true},
    [MADV_DOFORK] = {.clear = VMA_DONTFORK},
    [MADV_HUGEPAGE] = {.set = VMA_HUGEPAGE, .clear = VMA_NOHUGEPAGE},
    [MADV_NOHUGEPAGE] = {.set = VMA_NOHUGEPAGE, .clear = VMA_HUGEPAGE},
    [MADV_DONTDUMP] = {.set = VMA_DONTDUMP},
    [MADV_DODUMP] = {.clear = VMA_DONTDUMP, .forbidden = VMA_VDSO | VMA_DROPPABLE},
    [MADV_WIPEONFORK] = {.set = VMA_WIPEONFORK, .forbidden = VMA_VDSO, .needs_anonymous = true, .discards = true},
    [MADV_KEEPONFORK] = {.clear = VMA_WIPEONFORK, .forbidden = VMA_DROPPABLE},
};

static bool is_flag_advice(int advice)
{
    return advice < (int)ARRAY_SIZE(flag_advice) && (flag_advice[advice].set | flag_advice[advice].clear) != 0;
}

static bool is_known(int advice)
{
    return (advice >= MADV_NORMAL && advice <= MADV_DONTNEED) || (advice >= MADV_FREE && advice <= MADV_COLLAPSE);
}

int space_madvise(struct space *s, u64 address, u64 length, int advice)
{
    u64 size = ALIGN_UP(length, PAGE_SIZE), end = address + size;

    if (!is_known(advice) || (address & PAGE_MASK) != 0 || size < length || end < address)
        return -EINVAL;
    if (size == 0)
        return 0;
    if (is_flag_advice(advice))
        return space_change_flags(s, address, end, &flag_advice[advice]);
    switch (advice) {
    case MADV_REMOVE:
        return -EINVAL; /* sys/ does it: files are not known here */
    case MADV_POPULATE_READ:
        return populate(s, address, end, FAULT_READ);
    case MADV_POPULATE_WRITE:
        return populate(s, address, end, FAULT_WRITE);
    case MADV_COLLAPSE:
        return space_collapse(s, address, end);
    default:
        return advise_range(s, address, end, advice);
    }
}

/* ---- mincore ---- */

/* Is page VA in memory: in the table, or in its object's cache? */
static bool in_core(struct space *s, const struct vma *v, u64 va)
{
    struct pt_walk w = {.space = s, .va = va, .end = va + PAGE_SIZE, .mode = PT_RAW};
    struct pt_view view;
    bool is_mapped;

    (void)pt_step(&w);
    pt_look(&w, &view);
    is_mapped = pte_has_page(pt_view_entry(&view, 0));
    pt_look_done(&view);
    if (is_mapped)
        return true;
    if (v->object == NULL)
        return false;
    return object_is_in_core(v->object, vma_index(v, va));
}

int space_mincore(struct space *s, u64 address, u64 length, u8 *user_vec)
{
    u64 end = address + ALIGN_UP(length, PAGE_SIZE), limit = arch_user_address_limit();
    u8 chunk[256];

    if ((address & PAGE_MASK) != 0)
        return -EINVAL;
    if (ALIGN_UP(length, PAGE_SIZE) < length || end < address || end > limit)
        return -ENOMEM;
    while (address < end) {
        bool in_hole = false;
        unsigned n = 0;

        read_lock(&s->lock);
        for (; n < sizeof(chunk) && address < end; address += PAGE_SIZE) {
            struct vma *v = vma_at(s, address);

            in_hole = v == NULL;
            if (in_hole) /* what lies before it is told */
                break;
            chunk[n++] = in_core(s, v, address);
        }
        read_unlock(&s->lock);
        if (copy_to_user(user_vec, chunk, n) != 0)
            return -EFAULT;
        if (in_hole)
            return -ENOMEM;
        user_vec += n;
    }
    return 0;
}
