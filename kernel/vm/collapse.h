/*
 * Small pages become a huge page, which is what MADV_COLLAPSE asks for, and what khugepaged (vm/khugepaged.h) does
 * where it finds that due.
 */
#ifndef VM_COLLAPSE_H
#define VM_COLLAPSE_H

#include "vm/vma.h"

/* What khugepaged puts up with, of a span's 512 pages: those that are not there or all zeros, are swapped, or belong to
 * others, too. */
struct collapse_limits {
    unsigned none, swapped, shared;
};

/* madvise(MADV_COLLAPSE) of [START, END): 0, -ENOMEM, -EAGAIN, -EINVAL. => no lock */
int space_collapse(struct space *s, u64 start, u64 end);

/* The span at VA, which is aligned and in V, whose leaf table is TABLE, is one that khugepaged should see to.
 * => lock; a look, no more */
bool collapse_is_due(struct space *s, const struct vma *v, u64 va, const struct page *table,
                     const struct collapse_limits *limits);
/* The pages of the span at VA move to a block of their own, which private memory maps as a huge page at once; shared
 * memory does at the next fault. LIMITS: where it is still due, and while there is plenty of memory; NULL: in any case,
 * and shared memory maps it, too. 0; -ENOMEM: no such block; -EAGAIN, -EINVAL: it cannot be. => no lock */
int collapse_span(struct space *s, u64 va, const struct collapse_limits *limits);

#endif
