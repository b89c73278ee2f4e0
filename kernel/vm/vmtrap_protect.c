/*
 * Protecting many ranges in one call, with one shootdown.
 *
 *   lock -- range, range, range: entries -- flush of all -- unlock
 *
 * The flush comes before the lock is given up, for a fork that finds an entry without W believes that nobody has it in
 * a TLB. Ranges that take more than a few entries of a known table (vm/vmtrap_plain.h) are mprotect's, with a flush of
 * their own, in between.
 */
#include "quire/vmtrap.h"
#include "sched/thread.h"
#include "vm/tlb.h"
#include "vm/vmtrap.h"
#include "vm/vmtrap_plain.h"

#define FEW_PAGES 32 /* of one range: more of them are done as well by mprotect */

struct protecting {
    struct space *space;
    u64 first, end; /* what was changed */
    pte_t gone;     /* what entries have lost */
    bool shuts;     /* pages that nobody may store to are among them */
};

/* N pages from PTE on. False: one of them takes more; those before are done. */
static bool protect_pages(struct protecting *p, const struct vma *v, struct page *table, pte_t *pte, unsigned n,
                          unsigned prot)
{
    const pte_t absent = pte_mark(v->prot), store = vma_store_bits(v);
    bool done = true;

    table_lock(table);
    for (pte_t *end = pte + n; done && pte < end; pte++) {
        pte_t old = load_relaxed(pte), new;

        done = plain_entry(old, prot, absent, store, &new) && plain_replace(table, pte, old, new);
        if (done)
            p->gone |= old & ~new;
    }
    table_unlock(table);
    return done;
}

/* Single pages of V, too, which may be a file's: to have no W never takes more than the entry. => lock */
static bool is_plainly_closed(const struct space *s, const struct vma *v, unsigned prot)
{
    return v->object != NULL && !(v->flags & (VMA_VDSO | VMA_SEALED | VMA_USERFAULT)) &&
           (prot & (PROT_WRITE | ~v->max_prot)) == 0 && !s->counts_exactly;
}

/* The entry of START in a leaf table, which may have to be looked for. NULL: there is none, or it is part of a huge
 * page. => read lock */
static pte_t *entry_of(struct space *s, u64 start, struct page **table)
{
    pte_t *pte = pt_in_known_leaf(s, start, table);

    if (pte != NULL)
        return pte;
    pte = pt_find(s, start, table);
    return pte != NULL && !((*table)->flags & PG_HUGE) ? pte : NULL;
}

/* => read lock */
static bool protect_plainly(struct protecting *p, u64 start, u64 length, u64 prot)
{
    struct page *table;
    struct vma *v;
    pte_t *pte;

    if (((start | length) & PAGE_MASK) != 0 || length - 1 >= FEW_PAGES * PAGE_SIZE ||
        start >> SPAN_SHIFT != (start + length - 1) >> SPAN_SHIFT || prot > (PROT_READ | PROT_WRITE))
        return false;
    v = vma_at(p->space, start);
    if (v == NULL || start + length > v->end ||
        !(vma_is_plain(p->space, v) || is_plainly_closed(p->space, v, (unsigned)prot)))
        return false;
    pte = entry_of(p->space, start, &table);
    if (pte == NULL)
        return false;
    if (prot != v->prot && !(load_relaxed(&v->flags) & VMA_MARKED))
        atomic_or(&v->flags, VMA_MARKED);
    p->first = MIN(p->first, start);
    p->end = MAX(p->end, start + length);
    p->shuts |= !(prot & PROT_WRITE);
    return protect_pages(p, v, table, pte, (unsigned)(length >> PAGE_SHIFT), (unsigned)prot);
}

/* => read lock */
static void flush(struct protecting *p)
{
    if (p->first < p->end && ((p->gone & PTE_PERMITS) || (p->shuts && tlb_may_be_behind(p->space, true))))
        tlb_flush_range(p->space, p->first, p->end);
    else if (p->first < p->end)
        tlb_flush_here(p->space, p->first, p->end);
    p->first = UINT64_MAX;
    p->end = p->gone = 0;
    p->shuts = false;
}

int space_protect_ranges(struct space *s, const struct vmtrap_range *ranges, u64 n, u64 *done)
{
    struct protecting p = {.space = s, .first = UINT64_MAX};
    long error = 0;

    read_lock(&s->lock);
    for (*done = 0; *done < n; ++*done) {
        const struct vmtrap_range *r = &ranges[*done];

        if (protect_plainly(&p, r->start, r->length, r->prot))
            continue;
        flush(&p);
        read_unlock(&s->lock);
        error = r->prot > UINT32_MAX ? -EINVAL : space_mprotect(s, r->start, r->length, (unsigned)r->prot);
        read_lock(&s->lock);
        if (error != 0)
            break;
    }
    flush(&p);
    read_unlock(&s->lock);
    return (int)error;
}
