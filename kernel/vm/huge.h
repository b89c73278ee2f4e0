/*
 * Transparent huge pages: who gets them, as /sys/kernel/mm/transparent_hugepage and madvise(2) say.
 */
#ifndef VM_HUGE_H
#define VM_HUGE_H

#include "vm/vma.h"

void huge_init(void);

extern struct huge_counts huge_counts;

/* Mappings that have none. */
#define NOT_HUGE (VMA_SHARED | VMA_VDSO | VMA_GROWSDOWN | VMA_USERFAULT | VMA_NOHUGEPAGE | VMA_DROPPABLE)

/* The span of ADDRESS in V may be a huge page. */
bool huge_is_allowed(struct space *s, const struct vma *v, u64 address);
/* Whether a store to ADDRESS in V, whose span has no table yet, gets a huge page. Where one is allowed, khugepaged
 * hears of S, for it may get small pages. => lock */
bool huge_is_wanted(struct space *s, const struct vma *v, u64 address);
/* The same, quickly where V has no room for one. */
static inline bool huge_may_begin(struct space *s, const struct vma *v, u64 address)
{
    return v->end - v->start >= level_size(1) && huge_is_wanted(s, v, address);
}
/* ADDRESS is in a huge page. => no lock */
bool huge_is_at(struct space *s, u64 address);
/* The page behind ADDRESS, which was just faulted in, or what is behind its huge page. => no lock */
static inline u64 huge_next(struct space *s, u64 address)
{
    return IS_ALIGNED(address, level_size(1)) && huge_is_at(s, address) ? address + level_size(1) : address + PAGE_SIZE;
}
/* 512 zeroed pages with these flags that lie together; NULL: memory is too low for that, or in pieces. ADVISED: by
 * MADV_HUGEPAGE. */
struct page *huge_alloc(u32 page_flags, bool advised);
/* The same for khugepaged: as they are, and tried every time. */
struct page *huge_alloc_unzeroed(u32 page_flags);
/* There is so much free memory that they may be given. */
bool huge_has_plenty(void);

/* smaps' THPeligible. */
bool huge_is_eligible(const struct vma *v);

/* V, of an object, may show runs (vm/run.h): quick, for faults; and at START, which is aligned, in particular. */
static inline bool run_may_be_at(const struct vma *v)
{
    return v->end - v->start >= level_size(1) && v->object->ops->wants_run != NULL && vma_is_shared(v);
}
bool run_fits(const struct vma *v, u64 start);

#endif
