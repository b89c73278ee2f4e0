/* Inside vm/: MADV_FREE. Private pages whose content may vanish when memory is low, unless it is stored to before. */
#ifndef VM_LAZY_H
#define VM_LAZY_H

#include "vm/vma.h"

/* What /proc/vmstat shows: pages that were given up so, and that have gone. */
extern u64 nr_lazy_marked, nr_lazy_freed;

/* [start, end) of V, private memory, is given up. -ENOMEM. => read lock */
int lazy_free(struct space *s, struct vma *v, u64 start, u64 end);
/* V is about to have its D bits cleared by others: its pages stay. => write lock, or V's flags are only tested */
void lazy_keep_vma(struct space *s, const struct vma *v);
static inline void lazy_keep(struct space *s, const struct vma *v)
{
    if (unlikely(v->flags & VMA_LAZY))
        lazy_keep_vma(s, v);
}
/* The page of entry E was given up and not stored to since. */
static inline bool lazy_may_go(const struct page *page, pte_t e)
{
    return (load_relaxed(&page->flags) & PG_LAZY) && !(e & (PTE_D | PTE_UFFD_WP));
}

#endif
