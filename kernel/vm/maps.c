/* What /proc tells of a space: its ranges as /proc/PID/maps has them, and its counters. Source: proc(5). */
#include "vm/swap.h"
#include "vm/swapout.h"
#include "vm/tlb.h"

/* What an entry of V says, in the words of the vma where the hardware makes no difference. */
static unsigned span_prot(const struct vma *v, pte_t e)
{
    unsigned prot = e == 0 ? v->prot : pte_prot(e);

    return prot_effective(prot) == prot_effective(v->prot) ? v->prot : prot;
}

/* From ADDRESS in V on: where the protection that *PROT gets ends. */
static u64 prot_end(struct space *s, const struct vma *v, u64 address, unsigned *prot)
{
    bool first = true;

    *prot = v->prot;
    if (!(v->flags & VMA_MARKED))
        return v->end;
    for (struct pt_walk w = {.space = s, .va = address, .end = v->end}; pt_step(&w); w.va = w.next) {
        unsigned n = w.level == 0 ? pt_walk_pages(&w) : 1;

        for (unsigned i = 0; i < n; i++) {
            unsigned here = span_prot(v, load_relaxed(&w.pte[i]));

            if (first)
                *prot = here;
            else if (here != *prot)
                return w.va + i * PAGE_SIZE;
            first = false;
        }
    }
    return v->end;
}

static void count_pages(struct space *s, struct space_range *r)
{
    for (struct pt_walk w = {.space = s, .va = r->start, .end = r->end}; pt_step(&w); w.va = w.next) {
        for (unsigned i = 0; w.level == 0 && i < pt_walk_pages(&w); i++) {
            pte_t e = load_relaxed(&w.pte[i]);

            if (!pte_has_page(e) || (pte_page(e)->flags & PG_RESERVED))
                continue;
            r->rss++;
            r->anon += (pte_page(e)->flags & PG_ANON) != 0;
            r->dirty += (pte_page(e)->flags & (PG_ANON | PG_DIRTY)) != 0;
        }
    }
}

static const char *range_name(const struct space *s, const struct vma *v, u64 start, u64 end)
{
    if (v->file != NULL)
        return NULL;
    if (v->flags & VMA_VDSO)
        return "[vdso]";
    if (s->brk_start < s->brk && start <= s->brk && end >= s->brk_start)
        return "[heap]";
    if (v->start <= s->layout.start_stack && s->layout.start_stack < v->end)
        return "[stack]";
    return NULL;
}

/* Vmas that differ in nothing but the default protection are one mapping to the reader. */
static bool continues_with(struct space *s, const struct vma *a, const struct vma *b, unsigned prot)
{
    struct vma as_a;
    unsigned b_prot;

    if (b == NULL)
        return false;
    prot_end(s, b, b->start, &b_prot);
    as_a = *b;
    as_a.prot = a->prot;
    return b_prot == prot && vma_continues(a, &as_a);
}

bool space_next_range(struct space *s, u64 *address, struct space_range *r)
{
    struct vma *v, *next;
    unsigned prot;
    bool wanted = r->count_pages;

    read_lock(&s->lock);
    v = vma_find(s, *address);
    if (v == NULL) {
        read_unlock(&s->lock);
        return false;
    }
    *r = (struct space_range){
        .start = MAX(v->start, *address), .shared = vma_is_shared(v), .file = v->file, .count_pages = wanted};
    r->offset = v->object != NULL ? v->offset + (r->start - v->start) : 0;
    r->end = prot_end(s, v, r->start, &r->prot);
    while (r->end == v->end && continues_with(s, v, next = v->above, r->prot)) {
        v = next;
        r->end = prot_end(s, v, v->start, &prot);
    }
    r->name = range_name(s, v, r->start, r->end);
    if (r->file != NULL)
        vm_file_ops->get(r->file);
    if (wanted)
        count_pages(s, r);
    *address = r->end;
    read_unlock(&s->lock);
    return true;
}

void space_stats(struct space *s, struct space_stats *stats)
{
    *stats = (struct space_stats){
        .total = s->total_pages,
        .peak_total = s->peak_pages,
        .rss_anon = load_relaxed(&s->rss[RSS_ANON]),
        .rss_file = load_relaxed(&s->rss[RSS_FILE]),
        .rss_shmem = load_relaxed(&s->rss[RSS_SHMEM]),
        .data = s->data_pages,
        .stack = s->stack_pages,
        .exec = s->exec_pages,
        .tables_bytes = (s->n_tables + 1) * PAGE_SIZE,
        .swap = swap_is_used() ? swapout_count(s) : 0,
        .minor_faults = s->minor_faults,
        .major_faults = s->major_faults,
    };
    space_note_peak(s);
    stats->peak_rss = load_relaxed(&s->peak_rss);
}
