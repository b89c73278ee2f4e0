/* Changes of protection that take no more than an entry: of private memory without userfaultfd, seals or exact
 * counting; for vm/vmtrap_quick.c and vm/vmtrap_protect.c. */
#ifndef VM_VMTRAP_PLAIN_H
#define VM_VMTRAP_PLAIN_H

#include "vm/vma.h"

/* Single pages of V are plain. => lock */
static inline bool vma_is_plain(const struct space *s, const struct vma *v)
{
    const u32 not_plain = VMA_SHARED | VMA_VDSO | VMA_SEALED | VMA_USERFAULT;

    return v->object == NULL && !(v->flags & not_plain) && (~v->max_prot & (PROT_READ | PROT_WRITE)) == 0 &&
           !s->counts_exactly;
}

/* Of a page's entry: all but what tells its protection. */
#define PTE_KEEPS (~(BIT(PTE_PPN_SHIFT) - 1) | PTE_A | PTE_D)
/* What TLBs must forget when it goes. */
#define PTE_PERMITS (PTE_V | PTE_R | PTE_W | PTE_X)

/* What entry OLD becomes with PROT; ABSENT, of the mark that its vma's default is as good as; STORE, that W comes with.
 * False: it takes more than that. */
static inline bool plain_entry(pte_t old, unsigned prot, pte_t absent, pte_t store, pte_t *new)
{
    bool gets_w = (prot & PROT_WRITE) != 0;

    if (prot > (PROT_READ | PROT_WRITE) || prot_effective(prot) != prot)
        return false;
    if (old == 0 || old == pte_mark(pte_prot(old))) {
        *new = pte_mark(prot) == absent ? 0 : pte_mark(prot);
        return true;
    }
    if (!pte_has_page(old) || (old & PTE_UFFD_WP) || (gets_w && !(old & PTE_W) && !page_is_alone(pte_page(old))))
        return false;
    *new = (old & PTE_KEEPS) | (prot == PROT_NONE ? PTE_RESIDENT : pte_bits(prot)) | (gets_w ? store : 0);
    return true;
}

/* *PTE, which is OLD, becomes NEW. False: the hardware has set D just now. => table locked */
static inline bool plain_replace(struct page *table, pte_t *pte, pte_t old, pte_t new)
{
    if (pte_may_get_dirty(old))
        return atomic_cas(pte, &old, new);
    pte_set(table, pte, new);
    return true;
}

#endif
