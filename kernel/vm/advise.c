/*
 * Advice and locks on ranges: madvise(2), mincore(2), mlock(2). Nothing is ever swapped out, so a locked range differs
 * from another only in that its file pages are not evicted and that it is brought in at once.
 */
#include "fs/cred.h"
#include "lib/rlimit.h"
#include "sched/thread.h"
#include "vm/cache.h"
#include "vm/fault.h"
#include "vm/swapout.h"
#include "vm/tlb.h"
#include "vm/uaccess.h"

/* Changes flags of the vmas in [start, end), which are split where the range cuts them. Holes are passed by: -ENOMEM in
 * the end. => write lock */
static int change_flags(struct space *s, u64 start, u64 end, u32 set, u32 clear, struct list *removed)
{
    int result = 0;

    while (start < end) {
        struct vma *v = vma_find(s, start), *above;
        u32 flags;

        if (v == NULL || v->start >= end)
            return -ENOMEM;
        if (v->start > start) {
            result = -ENOMEM;
            start = v->start;
        }
        flags = (v->flags & ~clear) | set;
        if (flags == v->flags) {
            start = v->end;
            continue;
        }
        if (v->start < start) {
            if (s->n_vmas >= MAX_MAP_COUNT || vma_split(s, v, start) != 0)
                return -ENOMEM;
            v = v->above;
        }
        if (v->end > end && (s->n_vmas >= MAX_MAP_COUNT || vma_split(s, v, end) != 0))
            return -ENOMEM;
        vma_count_pages(s, v, false);
        v->flags = flags;
        vma_count_pages(s, v, true);
        if (flags & VMA_LOCKED)
            swapout_note_locked(s);
        start = v->end;
        vma_merge_below(s, v, removed);
        above = vma_find(s, start);
        if (above != NULL && above->start == start)
            vma_merge_below(s, above, removed);
    }
    return result;
}

static int change_flags_locked(struct space *s, u64 start, u64 end, u32 set, u32 clear)
{
    struct list removed;
    int result;

    list_init(&removed);
    write_lock(&s->lock);
    result = change_flags(s, start, end, set, clear, &removed);
    if (result == 0 && (set & VMA_LOCKED)) /* tables that spaces share are evicted from as the unlocked ones would be */
        result = pt_own(s, start, end, PT_OWN);
    write_unlock(&s->lock);
    vma_free_list(&removed);
    return result;
}

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
    MADV_COLLAPSE = 25
};

/* Pages of [start, end) in V go; the next touch finds zeros or the file's bytes. */
static int drop_pages(struct space *s, const struct vma *v, u64 start, u64 end)
{
    struct tlb_batch batch;

    if (pt_own(s, start, end, zap_mode(v)) != 0)
        return -ENOMEM;
    tlb_begin(&batch, s);
    do {
        start = zap_some(s, start, end, v, &batch);
        tlb_flush(&batch);
    } while (start < end);
    return 0;
}

static int advise_vma(struct space *s, struct vma *v, u64 start, u64 end, int advice)
{
    switch (advice) {
    case MADV_FREE:
        if (v->object != NULL || (v->flags & VMA_VDSO))
            return -EINVAL;
        __attribute__((fallthrough)); /* pages whose content may vanish at any time vanish now */
    case MADV_DONTNEED:
        if (v->flags & VMA_LOCKED)
            return -EINVAL;
        return drop_pages(s, v, start, end);
    case MADV_WILLNEED:
        if (v->object != NULL)
            object_start_readahead(v->object, vma_index(v, start), (unsigned)MIN((end - start) >> PAGE_SHIFT, 1024ul));
        return 0;
    case MADV_COLD:
    case MADV_PAGEOUT:
        if (v->flags & VMA_LOCKED)
            return -EINVAL;
        swapout_range(s, start, end, advice == MADV_PAGEOUT);
        return 0;
    default: /* hints that change nothing here */
        return 0;
    }
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

static int populate(struct space *s, u64 start, u64 end, enum fault_access access)
{
    for (; start < end; start += PAGE_SIZE) {
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
            return access == FAULT_WRITE ? -EINVAL : -EFAULT;
        }
    }
    return 0;
}

int space_madvise(struct space *s, u64 address, u64 length, int advice)
{
    u64 size = ALIGN_UP(length, PAGE_SIZE), end = address + size;
    bool known =
        (advice >= MADV_NORMAL && advice <= MADV_DONTNEED) || (advice >= MADV_FREE && advice <= MADV_POPULATE_WRITE);

    if (!known || (address & PAGE_MASK) != 0 || size < length || end < address)
        return -EINVAL;
    if (size == 0)
        return 0;
    switch (advice) {
    case MADV_REMOVE:
        return -EINVAL; /* sys/ does it: files are not known here */
    case MADV_DONTFORK:
        return change_flags_locked(s, address, end, VMA_DONTFORK, 0);
    case MADV_DOFORK:
        return change_flags_locked(s, address, end, 0, VMA_DONTFORK);
    case MADV_WIPEONFORK:
        return change_flags_locked(s, address, end, VMA_WIPEONFORK, 0);
    case MADV_KEEPONFORK:
        return change_flags_locked(s, address, end, 0, VMA_WIPEONFORK);
    case MADV_DONTDUMP:
        return change_flags_locked(s, address, end, VMA_DONTDUMP, 0);
    case MADV_DODUMP:
        return change_flags_locked(s, address, end, 0, VMA_DONTDUMP);
    case MADV_NORMAL:
        return change_flags_locked(s, address, end, 0, VMA_SEQUENTIAL | VMA_RANDOM);
    case MADV_SEQUENTIAL:
        return change_flags_locked(s, address, end, VMA_SEQUENTIAL, VMA_RANDOM);
    case MADV_RANDOM:
        return change_flags_locked(s, address, end, VMA_RANDOM, VMA_SEQUENTIAL);
    case MADV_POPULATE_READ:
        return populate(s, address, end, FAULT_READ);
    case MADV_POPULATE_WRITE:
        return populate(s, address, end, FAULT_WRITE);
    default:
        return advise_range(s, address, end, advice);
    }
}

/* ---- mincore ---- */

/* Is page VA in memory: in the table, or in its object's cache? */
static bool in_core(struct space *s, const struct vma *v, u64 va)
{
    struct pt_walk w = {.space = s, .va = va, .end = va + PAGE_SIZE};
    struct page *page;

    if (pt_step(&w) && w.level == 0 && pte_has_page(load_relaxed(w.pte)))
        return true;
    if (v->object == NULL)
        return false;
    page = object_find_page(v->object, vma_index(v, va));
    if (page != NULL)
        page_put(page);
    return page != NULL;
}

int space_mincore(struct space *s, u64 address, u64 length, u8 *user_vec)
{
    u64 end = address + ALIGN_UP(length, PAGE_SIZE), limit = arch_user_address_limit();
    u8 chunk[256];

    if ((address & PAGE_MASK) != 0)
        return -EINVAL;
    if (end < address || end > limit)
        return -ENOMEM;
    while (address < end) {
        unsigned n = 0;

        read_lock(&s->lock);
        for (; n < sizeof(chunk) && address < end; address += PAGE_SIZE) {
            struct vma *v = vma_at(s, address);

            if (v == NULL) {
                read_unlock(&s->lock);
                return -ENOMEM;
            }
            chunk[n++] = in_core(s, v, address);
        }
        read_unlock(&s->lock);
        if (copy_to_user(user_vec, chunk, n) != 0)
            return -EFAULT;
        user_vec += n;
    }
    return 0;
}

/* ---- mlock ---- */

static bool may_lock(struct space *s, u64 length)
{
    u64 limit = current->limits->limit[RLIMIT_MEMLOCK].soft;
    bool fits;

    if (capable(current->cred, CAP_IPC_LOCK))
        return true;
    read_lock(&s->lock);
    fits = (length >> PAGE_SHIFT) + s->locked_pages <= limit >> PAGE_SHIFT;
    read_unlock(&s->lock);
    return fits;
}

int space_mlock(struct space *s, u64 address, u64 length, bool on_fault)
{
    u64 start = ALIGN_DOWN(address, PAGE_SIZE), end = ALIGN_UP(address + length, PAGE_SIZE);
    int result;

    if (end < start)
        return -EINVAL;
    if (current->limits->limit[RLIMIT_MEMLOCK].soft == 0 && !capable(current->cred, CAP_IPC_LOCK))
        return -EPERM;
    if (!may_lock(s, end - start))
        return -ENOMEM;
    if (start == end)
        return 0;
    result = change_flags_locked(s, start, end, VMA_LOCKED, 0);
    for (u64 va = start; result == 0 && !on_fault && va < end; va += PAGE_SIZE)
        if (fault_in(s, va, FAULT_WRITE, false) != FAULT_MAPPED &&
            fault_in(s, va, FAULT_READ, false) == FAULT_NO_MEMORY)
            result = -ENOMEM;
    return result;
}

int space_munlock(struct space *s, u64 address, u64 length)
{
    u64 start = ALIGN_DOWN(address, PAGE_SIZE), end = ALIGN_UP(address + length, PAGE_SIZE);

    if (end < start)
        return -EINVAL;
    return start == end ? 0 : change_flags_locked(s, start, end, 0, VMA_LOCKED);
}

#define MCL_CURRENT 1
#define MCL_FUTURE 2
#define MCL_ONFAULT 4

int space_mlockall(struct space *s, unsigned flags)
{
    u64 limit = arch_user_address_limit();

    if (flags == 0 || (flags & ~(unsigned)(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) || flags == MCL_ONFAULT)
        return -EINVAL;
    if (current->limits->limit[RLIMIT_MEMLOCK].soft == 0 && !capable(current->cred, CAP_IPC_LOCK))
        return -EPERM;
    if (!may_lock(s, s->total_pages << PAGE_SHIFT))
        return -ENOMEM;
    s->lock_future = (flags & MCL_FUTURE) != 0;
    if (flags & MCL_CURRENT)
        (void)change_flags_locked(s, 0, limit, VMA_LOCKED, 0);
    return 0;
}

void space_munlockall(struct space *s)
{
    s->lock_future = false;
    (void)change_flags_locked(s, 0, arch_user_address_limit(), 0, VMA_LOCKED);
}
