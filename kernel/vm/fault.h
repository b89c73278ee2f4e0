/* Inside vm/: a page fault, and the pages of other spaces. */
#ifndef VM_FAULT_H
#define VM_FAULT_H

#include "vm/run.h"
#include "vm/vma.h"

/* Whose fault it is: user mode's; the kernel's, for a system call or to fill memory in; or somebody's who looks at a
 * process from outside and must not wait for what the process does. */
enum fault_origin { FAULT_OF_USER, FAULT_OF_KERNEL, FAULT_OF_TRACER };

/* space_fault for the kernel's own access to the current space. */
enum fault_result space_fault_by_kernel(struct space *s, u64 address, enum fault_access access);
/* The page of ADDRESS in S, which need not be the current space, is brought in. No process is killed to make room: that
 * is the caller's affair at FAULT_NO_MEMORY. FORCE, as ptrace has it: a store into a private page that may not be
 * written copies it and leaves it read-only. => no lock; may sleep */
enum fault_result fault_in(struct space *s, u64 address, enum fault_access access, bool force);
extern u64 zero_pfn; /* the page of zeros that untouched memory reads as */

/* A present entry, or (ptrace looks at a PROT_NONE page) a resident one. */
static inline pte_t page_entry(u64 pfn, unsigned prot, pte_t more)
{
    if (prot == PROT_NONE)
        return pte_make(pfn, PTE_RESIDENT | (more & (PTE_D | PTE_UFFD_WP)));
    return pte_make(pfn, pte_bits(prot) | more);
}

/* object.c: as object_get_page, but NULL instead of a page that begins at or past the object's size. */
struct page *object_get_page_in_size(struct object *o, u64 index, struct readahead *ra, enum run_wish wish);
/* Stores to all of PAGE, which is referenced and was O's at INDEX, may begin: allocates its blocks, marks it dirty and
 * placed. 0, or prepare_write's or mapping_stored's error. => no locks */
int page_prepare_stores(struct object *o, struct page *page, u64 index);
/* The same if that takes no waiting: true when they may. => spinlocks may be held */
bool page_prepare_now(struct object *o, struct page *page);

#endif
