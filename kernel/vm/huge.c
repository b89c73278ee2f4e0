/*
 * Transparent huge pages: who gets them. How they are mapped is told in vm/pagetable.h.
 *
 *     enabled = always    a store to the first page of an untouched span while the page below is there: whoever goes
 *                         through his memory from below gets huge pages, who touches a page here and there pays for
 *                         that page. Where madvise (MADV_HUGEPAGE) was said, a store to any page of the span.
 *     enabled = madvise   only the latter
 *     enabled = never     nobody
 *
 * A quarter of memory stays free of them: they are given by plenty, and taken back one small page after the other.
 */
#include "vm/huge.h"
#include "lib/cmdline.h"
#include "lib/string.h"
#include "vm/reclaim.h"
#include "vm/run.h"
#include "vm/tlb.h"

enum huge_policy huge_policy = HUGE_ALWAYS;
enum huge_shared_policy huge_shared_policy = HUGE_SHARED_NEVER;
struct huge_counts huge_counts;

/* No block of the size was there: so many wishes are not even tried. */
#define FAILED_WAIT 64
static u32 failed_wait;

/* Mappings that have none. */
#define NOT_HUGE (VMA_SHARED | VMA_VDSO | VMA_GROWSDOWN | VMA_USERFAULT | VMA_NOHUGEPAGE | VMA_DROPPABLE)

#define SMALL_MEMORY (128 * MIB / PAGE_SIZE)

const char *const huge_policy_names[3] = {"always", "madvise", "never"};
const char *const huge_shared_policy_names[6] = {"always", "within_size", "advise", "never", "deny", "force"};

void huge_init(void)
{
    const char *asked = cmdline_get("transparent_hugepage");

    if (page_total_count() < SMALL_MEMORY)
        huge_policy = HUGE_MADVISE;
    for (unsigned i = 0; asked != NULL && i < ARRAY_SIZE(huge_policy_names); i++)
        if (strcmp(asked, huge_policy_names[i]) == 0)
            huge_policy = i;
}

static bool fits(const struct vma *v, u64 address)
{
    u64 start = ALIGN_DOWN(address, level_size(1));

    return v->object == NULL && !(v->flags & NOT_HUGE) && start >= v->start && start + level_size(1) <= v->end;
}

static bool is_resident(struct space *s, u64 address)
{
    struct page *table;
    const pte_t *pte = pt_find(s, address, &table);

    return pte != NULL && pte_has_page(load_relaxed(pte));
}

bool huge_is_allowed(struct space *s, const struct vma *v, u64 address)
{
    return (huge_policy == HUGE_ALWAYS || (huge_policy == HUGE_MADVISE && (v->flags & VMA_HUGEPAGE))) &&
           !s->no_huge_pages && fits(v, address);
}

bool huge_is_wanted(struct space *s, const struct vma *v, u64 address)
{
    if (!huge_is_allowed(s, v, address))
        return false;
    if (v->flags & VMA_HUGEPAGE)
        return true;
    return IS_ALIGNED(address, level_size(1)) && address > v->start && is_resident(s, address - PAGE_SIZE);
}

struct page *huge_alloc(u32 page_flags)
{
    u32 wait = load_relaxed(&failed_wait);
    struct page *head;

    if (wait > 0) {
        store_relaxed(&failed_wait, wait - 1); /* two at once may count one: it is a guess anyway */
        return NULL;
    }
    if (page_free_count() < page_total_count() / 4 + HUGE_PAGES)
        return NULL;
    head = page_alloc_huge(true, page_flags);
    if (head == NULL)
        store_relaxed(&failed_wait, FAILED_WAIT);
    return head;
}

bool huge_is_at(struct space *s, u64 address)
{
    struct page *table;
    bool is_huge;

    read_lock(&s->lock);
    is_huge = pt_find(s, address, &table) != NULL && (table->flags & PG_HUGE);
    read_unlock(&s->lock);
    return is_huge;
}

/* In a vma that clear_refs tracks, D tells of stores to single pages. */
#define NOT_RUN ((NOT_HUGE & ~(u32)VMA_SHARED) | VMA_TRACKED)

bool run_fits(const struct vma *v, u64 start)
{
    return vma_is_shared(v) && !(v->flags & NOT_RUN) && start >= v->start && start + level_size(1) <= v->end &&
           vma_index(v, start) % HUGE_PAGES == 0;
}

bool huge_is_eligible(const struct vma *v)
{
    u64 start = ALIGN_UP(v->start, level_size(1));

    if (start + level_size(1) > v->end)
        return false;
    if (v->object != NULL)
        return run_may_be_at(v) && run_fits(v, start) &&
               v->object->ops->wants_run(v->object, vma_index(v, start), v->flags & VMA_HUGEPAGE);
    if (v->flags & NOT_HUGE)
        return false;
    return huge_policy == HUGE_ALWAYS || (huge_policy == HUGE_MADVISE && (v->flags & VMA_HUGEPAGE));
}

/* ---- MADV_COLLAPSE ---- */

/* => lock */
static bool huge_is_at_locked(struct space *s, u64 address)
{
    struct page *table;

    return pt_find(s, address, &table) != NULL && (table->flags & PG_HUGE);
}

/* The span at VA of V has no page any more. => write lock */
static void zap_all(struct space *s, const struct vma *v, u64 va, struct tlb_batch *batch)
{
    for (u64 at = va; at < va + level_size(1);) {
        at = zap_some(s, at, va + level_size(1), v, batch);
        tlb_flush(batch);
    }
}

/* What all pages of the table T have in common, as bits of a huge page's entry. 0: they differ, or not all of them are
 * in memory. */
static pte_t common_bits(const struct vma *v, const pte_t *t)
{
    bool any = false;
    unsigned prot = 0;

    for (unsigned i = 0; i < PT_ENTRIES; i++) {
        unsigned here = t[i] == 0 ? v->prot : pte_prot(t[i]);

        if (pte_is_swap(t[i]) || pte_is_resident(t[i]) || (t[i] & PTE_UFFD_WP) || pte_is_poisoned(t[i]))
            return 0;
        if (i > 0 && prot_effective(here) != prot_effective(prot))
            return 0;
        prot = here;
        any |= pte_is_present(t[i]);
    }
    if (!any || prot == PROT_NONE)
        return 0;
    return pte_bits(prot) | PTE_D | (prot & PROT_WRITE ? PTE_W : 0);
}

/* The pages of TABLE, which nobody reaches now, move to the block HEAD. */
static void move_pages(struct space *s, struct page *table, struct page *head, pte_t bits)
{
    pte_t *t = page_address(table);
    u64 fresh = 0;

    for (unsigned i = 0; i < PT_ENTRIES; i++) {
        struct page *old = pte_has_page(t[i]) ? pte_page(t[i]) : NULL;

        if (old == NULL || (old->flags & PG_RESERVED)) {
            clear_page(page_address(head + i));
            fresh++;
        } else {
            copy_page(page_address(head + i), page_address(old));
            page_put(old);
        }
        t[i] = pte_make(page_pfn(head + i), bits);
    }
    table->table_live = PT_ENTRIES;
    table->flags |= PG_HUGE;
    atomic_add_relaxed(&s->rss[RSS_ANON], fresh);
}

/* *ENTRY of UPPER leads to TABLE again, as an ordinary one. */
static void put_back(struct page *upper, pte_t *entry, struct page *table)
{
    table->flags &= ~(u32)PG_HUGE;
    table_lock(upper);
    pte_set(upper, entry, pte_make(page_pfn(table), PTE_V));
    table_unlock(upper);
}

/* The span at VA of V. => write lock, so no fault is under way; the flush ends all other accesses */
static int collapse_span(struct space *s, const struct vma *v, u64 va)
{
    struct page *upper, *table, *head;
    pte_t *entry = pt_make(s, va, 1, &upper), bits;

    if (entry == NULL)
        return -ENOMEM;
    if (pte_is_huge(*entry))
        return 0;
    if (*entry == 0 || pte_is_mark(*entry))
        return -EINVAL;
    if (pt_make(s, va, 0, &table) == NULL || (head = page_alloc_huge(false, PG_ANON)) == NULL) {
        atomic_add_relaxed(&huge_counts.collapse_failed, 1);
        return -ENOMEM;
    }
    spin_lock(&s->tables_lock);
    table_lock(upper);
    bits = common_bits(v, page_address(table));
    if (bits != 0) {
        pte_set(upper, entry, 0);
        pt_forget_leaves(s);
    }
    table_unlock(upper);
    spin_unlock(&s->tables_lock);
    if (bits == 0) {
        page_free_huge(head);
        return -EINVAL;
    }
    tlb_flush_range(s, 0, UINT64_MAX);
    if (common_bits(v, page_address(table)) != bits) { /* vm/vmtrap_quick.c has changed one until then */
        put_back(upper, entry, table);
        page_free_huge(head);
        return -EAGAIN;
    }
    move_pages(s, table, head, bits);
    s->has_spans = true;
    if (pt_put_huge(upper, entry, table, head, bits)) {
        atomic_add_relaxed(&huge_counts.collapse_alloc, 1);
        return 0;
    }
    put_back(upper, entry, table);
    return -ENOMEM;
}

/* The same of shared memory: its pages become a run, which is mapped as a huge page. => write lock */
static int collapse_shared_span(struct space *s, const struct vma *v, u64 va)
{
    struct run_hold run = {.object = v->object, .index = vma_index(v, va), .for_stores = (v->prot & PROT_WRITE) != 0};
    struct page *table;
    struct tlb_batch batch;
    const pte_t *pte;
    int error;

    if (!run_fits(v, va) || (v->prot & PROT_EXEC) || v->prot == PROT_NONE ||
        run.index + HUGE_PAGES > DIV_ROUND_UP(load_relaxed(&v->object->size), PAGE_SIZE))
        return -EINVAL;
    if (huge_is_at_locked(s, va))
        return 0;
    error = run_collapse(v->object, run.index);
    if (error != 0)
        return error;
    tlb_begin(&batch, s);
    zap_all(s, v, va, &batch);
    pte = pt_find(s, va, &table);
    if (pte != NULL && table->table_live == 0)
        pt_prune(s, va, &batch);
    tlb_flush(&batch);
    run.head = object_find_page(v->object, run.index);
    if (run.head == NULL)
        return -EAGAIN;
    page_put(run.head); /* run_hold looks whether it is that still */
    return pt_install_huge(s, va, run.head, pte_bits(v->prot) | (run.for_stores ? PTE_W | PTE_D : 0), 0, &run)
               ? 0
               : -EAGAIN;
}

int huge_collapse(struct space *s, struct vma *v, u64 start, u64 end)
{
    u64 first = ALIGN_UP(start, level_size(1)), last = ALIGN_DOWN(end, level_size(1));
    int result = first <= last ? 0 : -EINVAL;

    bool is_shared = v->object != NULL && run_may_be_at(v);

    if ((!is_shared && (v->object != NULL || (v->flags & NOT_HUGE))) || s->no_huge_pages)
        return -EINVAL;
    for (u64 va = first; va < last; va += level_size(1)) {
        int error = is_shared ? collapse_shared_span(s, v, va) : collapse_span(s, v, va);

        if (error != 0)
            result = error;
    }
    return result;
}

void huge_get_counts(struct huge_counts *counts) { *counts = huge_counts; }
bool space_has_no_huge_pages(const struct space *s) { return s->no_huge_pages; }
void space_set_no_huge_pages(struct space *s, bool none) { s->no_huge_pages = none; }
