/* Inside vm/: what is learnt about the pages of programs, see prefault.c. */
#ifndef VM_PREFAULT_H
#define VM_PREFAULT_H

#include "vm/vma.h"

/* PAGE, of an object, was used, or not, by somebody who had it mapped and has ended. */
void note_used(struct page *page);
void note_unused(struct page *page);
/* The same of a copy that was made for V, private, at VA, and not stored to. */
void note_unstored(const struct vma *v, u64 va);

#define PG_TOUCHED_BITS (PG_TOUCHED | PG_TOUCHED_LAST)

/* The entry E of PAGE, in a mapping that ends with its space. */
static inline void note_end_of_use(pte_t e, struct page *page, u32 flags)
{
    u32 touched = flags & PG_TOUCHED_BITS;

    if (e & PTE_A) {
        if (unlikely(touched != PG_TOUCHED_BITS))
            note_used(page);
    } else if (unlikely(touched != 0)) {
        note_unused(page);
    }
}

#endif
