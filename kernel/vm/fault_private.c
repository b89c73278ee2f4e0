/*
 * Faults on private memory: the page of zeros or a fresh page where nobody has been, a copy where others refer to the
 * page, the page itself for the last who does, and pages that were put elsewhere.
 *
 * => space->lock for reading. The entry is changed under its table's lock, and only if it still is what the fault began
 * with; else FAULT_AGAIN, or FAULT_MAPPED and the access finds out.
 */
#include "vm/fault_parts.h"
#include "lib/string.h"
#include "vm/huge.h"
#include "vm/swap.h"
#include "vm/tlb.h"

/* ---- nobody has been there ---- */

noinline_fn int fault_map_fresh(struct space *s, struct page *table, pte_t *pte, pte_t old, unsigned prot)
{
    struct page *page = page_alloc(ALLOC_ZERO | ALLOC_USER);
    bool same;

    if (unlikely(page == NULL))
        return FAULT_NO_MEMORY;
    page_make_anonymous(page);
    table_lock(table);
    same = *pte == old;
    if (likely(same))
        pte_set(table, pte, writable_entry(page, prot));
    table_unlock(table);
    if (likely(same))
        atomic_add_relaxed(&s->rss[RSS_ANON], 1);
    else
        page_put(page);
    return FAULT_MAPPED;
}

#define ZEROS_BEHIND 2 /* so many untouched pages read one after the other: the rest of the table at once */

static bool are_all(const pte_t *pte, unsigned n, pte_t e)
{
    while (n > 0 && *pte == e)
        pte++, n--;
    return n == 0;
}

static void fill(pte_t *pte, const pte_t *end, pte_t e)
{
    for (; end - pte >= 8; pte += 8)
        pte[0] = pte[1] = pte[2] = pte[3] = pte[4] = pte[5] = pte[6] = pte[7] = e;
    while (pte < end)
        *pte++ = e;
}

/* It is read: the page of zeros. Who reads on finds more of it, where Linux would have mapped a huge page of zeros:
 * a smaller mapping shows no page that nobody has touched (userfaultfd(2), mincore(2)). */
noinline_fn int fault_map_zeros(struct space *s, const struct vma *v, u64 va, struct page *table, pte_t *pte, pte_t old,
                                unsigned prot)
{
    const pte_t zeros = page_entry(zero_pfn, prot, old & PTE_UFFD_WP);
    unsigned at = pt_index(va, 0), n = 1, i = 0;

    table_lock(table);
    if (old == 0 && at >= ZEROS_BEHIND && are_all(pte - ZEROS_BEHIND, ZEROS_BEHIND, zeros) && huge_is_allowed(s, v, va))
        n = PT_ENTRIES - at;
    if (n > 1 && table->table_live == ZEROS_BEHIND) { /* nothing else is in it: no need to look */
        fill(pte, pte + n, zeros);
        i = n;
    }
    for (; i < n && pte[i] == old; i++)
        pte[i] = zeros;
    if (old == 0)
        table->table_live += (u16)i;
    table_unlock(table);
    return FAULT_MAPPED;
}

void fault_note_droppable(struct fault *f)
{
    pte_t e;

    table_lock(f->table);
    e = load_relaxed(f->pte);
    if (pte_has_page(e) && (pte_page(e)->flags & PG_ANON))
        atomic_or(&pte_page(e)->flags, PG_DROPPABLE);
    table_unlock(f->table);
}

/* ---- copies ---- */

struct page *fault_copy_of(const struct page *from)
{
    bool is_zero = page_pfn(from) == zero_pfn;
    struct page *page = page_alloc(ALLOC_USER | (is_zero ? ALLOC_ZERO : 0));

    if (page == NULL)
        return NULL;
    page_make_anonymous(page);
    if (!is_zero)
        copy_page(page_address(page), page_address(from));
    return page;
}

/* Nobody but the entry that is being stored to refers to PAGE: nobody else will miss its present content. => table
 * locked */
static bool is_last_owner(const struct page *page) { return (page->flags & PG_ANON) && load_acquire(&page->refs) == 1; }

/* COPY comes in the place of f->old's page. No hart may store to the copy while another still reads the old page, so W
 * comes last. False: the entry has changed. */
static bool replace_by_copy(struct fault *f, struct page *copy)
{
    const pte_t new = writable_entry(copy, f->prot);
    bool same;

    table_lock(f->table);
    same = *f->pte == f->old;
    if (same) {
        pte_set(f->table, f->pte, new & ~PTE_W);
        tlb_flush_range(f->space, f->va, f->va + PAGE_SIZE);
        store_relaxed(f->pte, new);
    }
    table_unlock(f->table);
    return same;
}

int fault_copy(struct fault *f)
{
    struct page *old = pte_page(f->old), *copy;
    bool counted = !(old->flags & PG_RESERVED), replaced;

    table_lock(f->table);
    if (*f->pte != f->old) {
        table_unlock(f->table);
        return FAULT_AGAIN;
    }
    if (is_last_owner(old)) { /* takes it over */
        pte_set(f->table, f->pte, writable_entry(old, f->prot));
        table_unlock(f->table);
        tlb_flush_local(f->space, f->va);
        return FAULT_MAPPED;
    }
    if (counted)
        page_get(old); /* it may be taken out of the table while it is copied */
    table_unlock(f->table);
    copy = fault_copy_of(old);
    if (counted)
        note_copied(old);
    if (copy == NULL) {
        if (counted)
            page_put(old);
        return FAULT_NO_MEMORY;
    }
    replaced = replace_by_copy(f, copy);
    if (replaced) {
        space_count_page(f->space, copy, 1);
        if (counted) {
            space_count_page(f->space, old, -1);
            page_put(old); /* the entry's reference */
        }
    } else {
        page_put(copy);
    }
    if (counted)
        page_put(old);
    return FAULT_MAPPED;
}

/* ---- pages that were put elsewhere ---- */

/* What a SWAP entry becomes when its page is there. */
static pte_t swapped_in_entry(const struct fault *f, const struct page *page, bool shared)
{
    bool exclusive = !shared && load_acquire(&page->refs) == 1;
    pte_t more = f->old & (PTE_D | PTE_UFFD_WP);

    if (exclusive && (f->prot & PROT_WRITE) && !(f->old & PTE_UFFD_WP))
        more |= PTE_W | (is_write(f) ? PTE_D : 0);
    return page_entry(page_pfn(page), f->prot, more);
}

int fault_swap(struct fault *f)
{
    struct page *page;
    bool shared;

    table_lock(f->table);
    if (*f->pte != f->old) {
        table_unlock(f->table);
        return FAULT_AGAIN;
    }
    f->slot = pte_slot(f->old);
    page = swap_take(f->slot, &shared);
    if (page != NULL)
        pte_set(f->table, f->pte, swapped_in_entry(f, page, shared));
    table_unlock(f->table);
    if (page == NULL)
        return FAULT_SWAP_IN;
    space_count_page(f->space, page, 1);
    return FAULT_MAPPED;
}

enum fault_result fault_swap_in(struct fault *f)
{
    int error = swap_load(f->slot);

    atomic_add_relaxed(&f->space->major_faults, 1);
    if (error == -ENOMEM)
        return FAULT_NO_MEMORY;
    return error != 0 ? FAULT_BUS : FAULT_MAPPED;
}

/* ---- huge pages ---- */

bool fault_huge(struct fault *f)
{
    u64 start = ALIGN_DOWN(f->va, level_size(1));
    struct page *upper, *head;
    pte_t *entry = pt_make(f->space, start, 1, &upper), old;
    unsigned prot;

    if (entry == NULL)
        return false;
    old = load_relaxed(entry);
    if (old != 0 && !pte_is_mark(old))
        return false;
    prot = old == 0 ? f->vma->prot : pte_prot(old);
    if (!(prot & PROT_WRITE) || (old & (PTE_UFFD_WP | PTE_POISON)))
        return false;
    head = huge_alloc(PG_ANON, f->vma->flags & VMA_HUGEPAGE);
    if (head == NULL) {
        atomic_add_relaxed(&huge_counts.fault_fallback, 1);
        return false;
    }
    if (pt_install_huge(f->space, start, head, pte_bits(prot) | PTE_W | PTE_D, old, NULL)) {
        atomic_add_relaxed(&huge_counts.fault_alloc, 1);
        return true;
    }
    page_free_huge(head);
    return false;
}
