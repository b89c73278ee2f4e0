/* What /proc tells of a space: its ranges as /proc/PID/maps has them, and its counters. Source: proc(5). */
#include "vm/huge.h"
#include "vm/lazy.h"
#include "vm/swap.h"
#include "vm/swapout.h"
#include "vm/tlb.h"

/* What an entry of V says, in the words of the vma where the hardware makes no difference. */
static unsigned span_prot(const struct vma *v, pte_t e)
{
    unsigned prot = e == 0 ? v->prot : pte_prot(e);

    return prot_effective(prot) == prot_effective(v->prot) ? v->prot : prot;
}

u64 vma_prot_end_before(struct space *s, const struct vma *v, u64 address, u64 limit, unsigned *prot)
{
    struct pt_walk w = {.space = s, .va = address, .end = limit, .mode = PT_RAW};
    u64 end = limit;
    bool first = true;

    *prot = v->prot;
    if (!(v->flags & VMA_MARKED))
        return limit;
    for (; end == limit && pt_step(&w); w.va = w.next) {
        struct pt_view view;
        unsigned n;

        pt_look(&w, &view);
        n = view.entries != NULL ? pt_walk_pages(&w) : 1;
        for (unsigned i = 0; i < n && end == limit; i++) {
            unsigned here = span_prot(v, pt_view_entry(&view, i));

            if (first)
                *prot = here;
            else if (here != *prot)
                end = w.va + i * PAGE_SIZE;
            first = false;
        }
        pt_look_done(&view);
    }
    return end;
}

/* ---- pages ---- */

/* How many entries map PAGE, which is in a table of SPACES spaces. */
static u64 map_count(const struct page *page, u32 spaces)
{
    u64 refs = load_relaxed(&page->refs), others = page_cache_refs(page);

    return MAX(refs - MIN(refs, others), (u64)1) - 1 + spaces;
}

static void count_page(struct range_pages *n, const struct vma *v, pte_t e, u32 spaces)
{
    const struct page *page = pte_page(e);
    u32 flags = load_relaxed(&page->flags);
    u64 count = map_count(page, spaces), share = (PAGE_SIZE << SHARE_SHIFT) / count;
    bool is_dirty = (flags & (PG_ANON | PG_DIRTY)) != 0, is_shared = count > 1;

    n->rss += PAGE_SIZE;
    n->lazy += lazy_may_go(page, e) ? PAGE_SIZE : 0;
    *(is_shared  ? is_dirty ? &n->shared_dirty : &n->shared_clean
      : is_dirty ? &n->private_dirty
                 : &n->private_clean) += PAGE_SIZE;
    n->referenced += (e & PTE_A) || (flags & PG_REFERENCED) ? PAGE_SIZE : 0;
    n->pss += share;
    n->pss_dirty += is_dirty ? share : 0;
    n->pss_locked += v->flags & VMA_LOCKED ? share : 0;
    switch (rss_kind(page)) {
    case RSS_ANON:
        n->anonymous += PAGE_SIZE;
        n->pss_anon += share;
        break;
    case RSS_FILE:
        n->pss_file += share;
        break;
    default:
        n->pss_shmem += share;
    }
}

static void count_pages(struct space *s, const struct vma *v, u64 start, u64 end, struct range_pages *n)
{
    for (struct pt_walk w = {.space = s, .va = start, .end = end, .mode = PT_RAW}; pt_step(&w); w.va = w.next) {
        struct pt_view view;

        pt_look(&w, &view);
        if (view.huge)
            *(pte_page(view.entries[0])->flags & PG_ANON ? &n->huge : &n->huge_shared) += pt_walk_pages(&w) * PAGE_SIZE;
        for (unsigned i = 0; view.entries != NULL && i < pt_walk_pages(&w); i++) {
            pte_t e = load_relaxed(&view.entries[i]);

            if (pte_has_page(e) && !(pte_page(e)->flags & PG_RESERVED))
                count_page(n, v, e, view.spaces);
            else if (pte_is_swap(e)) {
                n->swap += PAGE_SIZE;
                n->pss_swap += (PAGE_SIZE << SHARE_SHIFT) / (swap_references(pte_slot(e)) - 1 + view.spaces);
            }
        }
        pt_look_done(&view);
    }
}

/* ---- ranges ---- */

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
    vma_prot_end(s, b, b->start, &b_prot);
    as_a = *b;
    as_a.prot = a->prot;
    return b_prot == prot && vma_continues(a, &as_a);
}

bool space_next_range(struct space *s, u64 *address, struct space_range *r)
{
    struct range_pages *pages = r->pages;
    bool any_prot = r->any_prot;
    struct vma *v, *next;
    unsigned prot;

    read_lock(&s->lock);
    v = vma_find(s, *address);
    if (v == NULL) {
        read_unlock(&s->lock);
        return false;
    }
    *r = (struct space_range){.start = MAX(v->start, *address),
                              .shared = vma_is_shared(v),
                              .is_locked = (v->flags & VMA_LOCKED) != 0,
                              .file = v->file,
                              .flags = v->flags,
                              .huge_eligible = huge_is_eligible(v),
                              .max_prot = v->max_prot,
                              .any_prot = any_prot,
                              .pages = pages};
    r->offset = v->object != NULL ? v->offset + (r->start - v->start) : 0;
    r->end = any_prot ? v->end : vma_prot_end(s, v, r->start, &r->prot);
    if (pages != NULL)
        count_pages(s, v, r->start, r->end, pages);
    while (!any_prot && r->end == v->end && continues_with(s, v, next = v->above, r->prot)) {
        v = next;
        r->end = vma_prot_end(s, v, v->start, &prot);
        if (pages != NULL)
            count_pages(s, v, v->start, r->end, pages);
    }
    r->name = range_name(s, v, r->start, r->end);
    if (r->file != NULL)
        vm_file_ops->get(r->file);
    *address = r->end;
    read_unlock(&s->lock);
    return true;
}

void space_range_flags(const struct space_range *r, char *buf)
{
    bool accounted = !r->shared && (r->prot & PROT_WRITE) && !(r->flags & (VMA_NORESERVE | VMA_VDSO));
    const struct {
        const char word[3];
        bool is_set;
    } words[] = {
        {"rd", r->prot & PROT_READ},           {"wr", r->prot & PROT_WRITE},
        {"ex", r->prot & PROT_EXEC},           {"sh", r->shared && (r->max_prot & PROT_WRITE)},
        {"mr", r->max_prot & PROT_READ},       {"mw", r->max_prot & PROT_WRITE},
        {"me", r->max_prot & PROT_EXEC},       {"ms", r->shared},
        {"gd", r->flags & VMA_GROWSDOWN},      {"um", r->flags & VMA_UFFD_MISSING},
        {"uw", r->flags & VMA_UFFD_WP},        {"lo", r->flags & VMA_LOCKED},
        {"sr", r->flags & VMA_SEQUENTIAL},     {"rr", r->flags & VMA_RANDOM},
        {"dc", r->flags & VMA_DONTFORK},       {"de", r->flags & VMA_VDSO},
        {"lf", r->flags & VMA_LOCKED_ONFAULT}, {"ac", accounted},
        {"nr", r->flags & VMA_NORESERVE},      {"wf", r->flags & VMA_WIPEONFORK},
        {"dd", r->flags & VMA_DONTDUMP},       {"sd", !(r->flags & VMA_TRACKED)},
        {"hg", r->flags & VMA_HUGEPAGE},       {"nh", r->flags & VMA_NOHUGEPAGE},
        {"ui", r->flags & VMA_UFFD_MINOR},     {"dp", r->flags & VMA_DROPPABLE},
        {"sl", r->flags & VMA_SEALED},
    };
    char *at = buf;

    static_assert(3 * ARRAY_SIZE(words) < RANGE_FLAGS_SIZE, "all words fit");
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (!words[i].is_set)
            continue;
        *at++ = words[i].word[0];
        *at++ = words[i].word[1];
        *at++ = ' ';
    }
    *at = '\0';
}

u64 vma_writable_pages(struct space *s, const struct vma *v, u64 start, u64 end)
{
    struct pt_walk w = {.space = s, .va = start, .end = end, .mode = PT_RAW};
    bool by_default = (v->prot & PROT_WRITE) != 0;
    u64 n = 0;

    for (; pt_step(&w); w.va = w.next) {
        struct pt_view view;

        pt_look(&w, &view);
        if (view.entries == NULL)
            n += (view.span == 0 ? by_default : (pte_prot(view.span) & PROT_WRITE) != 0) ? pt_walk_pages(&w) : 0;
        else
            for (unsigned i = 0; i < pt_walk_pages(&w); i++)
                n += view.entries[i] == 0 ? by_default : (pte_prot(view.entries[i]) & PROT_WRITE) != 0;
        pt_look_done(&view);
    }
    return n;
}

/* Private writable pages, as RLIMIT_DATA counts them: s->data_pages goes by the vmas' defaults. => lock */
static u64 space_data_pages(struct space *s)
{
    u64 n = s->data_pages;

    for (struct tree_node *node = tree_first(&s->vmas); node != NULL; node = tree_next(node)) {
        const struct vma *v = container_of(node, struct vma, node);

        if ((load_relaxed(&v->flags) & (VMA_MARKED | VMA_SHARED | VMA_GROWSDOWN)) == VMA_MARKED)
            n += vma_writable_pages(s, v, v->start, v->end) -
                 (v->prot & PROT_WRITE ? (v->end - v->start) >> PAGE_SHIFT : 0);
    }
    return n;
}

void space_count_data(struct space *s, struct space_stats *stats)
{
    read_lock(&s->lock);
    stats->data = space_data_pages(s);
    read_unlock(&s->lock);
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
        .locked = s->locked_pages,
        .tables_bytes = (s->n_tables + 1) * PAGE_SIZE,
        .swap = swap_is_used() ? swapout_count(s) : 0,
        .minor_faults = s->minor_faults,
        .major_faults = s->major_faults,
    };
    space_note_peak(s);
    stats->peak_rss = load_relaxed(&s->peak_rss);
}
