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
#include "vm/compact.h"
#include "vm/khugepaged.h"

enum huge_policy huge_policy = HUGE_ALWAYS;
enum huge_shared_policy huge_shared_policy = HUGE_SHARED_NEVER;
enum huge_effort huge_effort = EFFORT_MADVISE;
struct huge_counts huge_counts;

/* No block of the size was there: so many wishes are not even tried. */
#define FAILED_WAIT 64
static u32 failed_wait;

#define SMALL_MEMORY (128 * MIB / PAGE_SIZE)

const char *const huge_policy_names[3] = {"always", "madvise", "never"};
const char *const huge_shared_policy_names[6] = {"always", "within_size", "advise", "never", "deny", "force"};

const char *const huge_effort_names[5] = {"always", "defer", "defer+madvise", "madvise", "never"};

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
    khugepaged_note(s);
    if (v->flags & VMA_HUGEPAGE)
        return true;
    return IS_ALIGNED(address, level_size(1)) && address > v->start && is_resident(s, address - PAGE_SIZE);
}

bool huge_has_plenty(void) { return page_free_count() >= page_total_count() / 4 + HUGE_PAGES; }

/* Whether the one who wants a huge page brings memory together himself. */
static bool compacts_at_once(bool advised)
{
    enum huge_effort effort = load_relaxed(&huge_effort);

    return effort == EFFORT_ALWAYS || (advised && (effort == EFFORT_MADVISE || effort == EFFORT_DEFER_MADVISE));
}

/* Whether the thread shall, where he does not. */
static bool compacts_later(void)
{
    return load_relaxed(&huge_effort) == EFFORT_DEFER || load_relaxed(&huge_effort) == EFFORT_DEFER_MADVISE;
}

struct page *huge_alloc(u32 page_flags, bool advised)
{
    u32 wait = load_relaxed(&failed_wait);
    struct page *head;

    if (wait > 0) {
        store_relaxed(&failed_wait, wait - 1); /* two at once may count one: it is a guess anyway */
        return NULL;
    }
    if (!huge_has_plenty())
        return NULL;
    head = page_alloc_huge(true, page_flags);
    if (head == NULL && compacts_at_once(advised) && compact_memory())
        head = page_alloc_huge(true, page_flags);
    if (head == NULL) {
        store_relaxed(&failed_wait, FAILED_WAIT);
        if (compacts_later())
            khugepaged_compact();
    }
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

struct page *huge_alloc_unzeroed(u32 page_flags)
{
    return huge_has_plenty() ? page_alloc_huge(false, page_flags) : NULL;
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

void huge_get_counts(struct huge_counts *counts) { *counts = huge_counts; }
bool space_has_no_huge_pages(const struct space *s) { return s->no_huge_pages; }
void space_set_no_huge_pages(struct space *s, bool none) { s->no_huge_pages = none; }
