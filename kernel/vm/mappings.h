/*
 * The vmas of an object, by the pages that they show: an interval tree (a search tree by first page, each node knowing
 * the largest last page of its subtree; CLRS 14.3), so that truncation and write-back visit only the mappings that show
 * the pages in question.
 *
 * => object->mappings_lock for all of them. Vmas with the same first page are visited in the order in which they were
 * linked.
 */
#ifndef VM_MAPPINGS_H
#define VM_MAPPINGS_H

#include "vm/vma.h"

void mappings_init(struct tree *mappings);
void mappings_link(struct vma *v);
void mappings_unlink(struct vma *v);
/* The first vma that shows any of pages [first, last], and the one after V; NULL. */
struct vma *mappings_first(const struct tree *mappings, u64 first, u64 last);
struct vma *mappings_next(const struct vma *v, u64 first, u64 last);
#define for_each_mapping(v, o, first, last) \
    for (v = mappings_first(&(o)->mappings, first, last); v != NULL; v = mappings_next(v, first, last))

static inline u64 vma_first_page(const struct vma *v) { return v->offset >> PAGE_SHIFT; }
static inline u64 vma_last_page(const struct vma *v) { return (v->offset + (v->end - v->start) - 1) >> PAGE_SHIFT; }

#endif
