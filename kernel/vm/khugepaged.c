/*
 * The thread that makes huge pages of small ones. It visits the spaces that have registered: those in which a span of
 * 2 MiB that may be huge got its first small page, or got MADV_HUGEPAGE. While there is none, or nobody may have huge
 * pages, it sleeps for good; else it looks, every scan_sleep_millisecs, at the tables for pages_to_scan pages, and goes
 * on there the next time:
 *
 *     spaces:  [A] -> [B] -> [C]         cursor: the space it is in; hand: the address there. At the end of the list
 *                      ^ cursor, hand    full_scans counts, and it begins again
 *
 * It looks under the lock for reading, where faults go on; only a span that is found due is locked for writing while it
 * is copied (vm/collapse.c). A space is pinned meanwhile: who destroys it waits for the end of that one span.
 *
 * Unlike Linux's, it leaves spans alone of which more than an eighth is untouched: who touches a page here and there
 * should not pay with 2 MiB each (max_ptes_none = 511 has it Linux's way).
 *
 * Lock: `lock` (spin), under no other; space->lock is taken without it.
 */
#include "vm/khugepaged.h"
#include "sched/thread.h"
#include "sched/wait.h"
#include "vm/collapse.h"
#include "vm/compact.h"
#include "vm/huge.h"

struct khugepaged_settings khugepaged_settings = {
    .pages_to_scan = 8 * HUGE_PAGES,
    .scan_sleep_ms = 10000,
    .alloc_sleep_ms = 60000,
    .max_ptes_none = HUGE_PAGES / 8,
    .max_ptes_swap = HUGE_PAGES / 8,
    .max_ptes_shared = HUGE_PAGES / 2,
    .defrag = true,
};

static struct {
    struct spinlock lock;
    struct list spaces;
    struct space *cursor; /* NULL: before the first */
    struct space *pinned;
    u64 hand;
    u64 settings; /* counts their changes */
    u64 full_scans, collapsed;
    bool wants_block; /* somebody found none */
    struct wait_queue work, left;
} k = {.spaces = LIST_INIT(k.spaces), .work = WAIT_QUEUE_INIT(k.work), .left = WAIT_QUEUE_INIT(k.left)};

/* A look at a table counts as one at all its pages, coming by at something else as one page. */
#define LOOK_COST HUGE_PAGES

/* ---- the list ---- */

void khugepaged_register(struct space *s)
{
    bool first;

    spin_lock(&k.lock);
    first = list_empty(&k.spaces);
    if (!s->is_scanned) {
        list_add_tail(&k.spaces, &s->collapse_link);
        store_relaxed(&s->is_scanned, true);
    }
    spin_unlock(&k.lock);
    if (first)
        wake_all(&k.work);
}

/* The one after the cursor, or NULL: that is the end of a pass. => lock */
static struct space *next_space(void)
{
    struct list *next = k.cursor != NULL ? k.cursor->collapse_link.next : k.spaces.next;

    return next != &k.spaces ? container_of(next, struct space, collapse_link) : NULL;
}

/* The cursor goes to the space behind S, in which it is. => lock */
static void leave(struct space *s)
{
    if (k.cursor != s)
        return;
    k.cursor = next_space();
    k.hand = 0;
    if (k.cursor == NULL)
        k.full_scans++;
}

void khugepaged_forget(struct space *s)
{
    bool pinned;

    if (!s->is_scanned) /* nobody runs in it, so nobody registers it now */
        return;
    spin_lock(&k.lock);
    leave(s);
    list_remove(&s->collapse_link);
    pinned = k.pinned == s;
    spin_unlock(&k.lock);
    if (pinned)
        wait_event(&k.left, load_acquire(&k.pinned) != s);
}

/* The space that the cursor is in, or the first: it stays until it is unpinned. NULL: there is none. */
static struct space *pin(u64 *hand)
{
    spin_lock(&k.lock);
    if (k.cursor == NULL)
        k.cursor = next_space();
    k.pinned = k.cursor;
    *hand = k.hand;
    spin_unlock(&k.lock);
    return k.pinned;
}

static void unpin(struct space *s, u64 hand, bool done)
{
    spin_lock(&k.lock);
    if (done)
        leave(s);
    else if (k.cursor == s)
        k.hand = hand;
    store_release(&k.pinned, NULL);
    spin_unlock(&k.lock);
    wake_all(&k.left);
}

/* ---- a round ---- */

/* From *VA on, the first span that is due; *VA is then its address, or where the look has ended. False at the end of
 * the space, or when it is being changed just now. *LEFT: pages that may be looked at. */
static bool find_due(struct space *s, u64 *va, u64 *left, const struct collapse_limits *limits, bool *is_due)
{
    bool more = true;

    *is_due = false;
    if (!read_trylock(&s->lock))
        return false;
    while (*left > 0 && !*is_due && more) {
        struct page *upper;
        pte_t *entry = pt_next_leaf(s, va, &upper), e = entry != NULL ? load_acquire(entry) : 0;

        more = entry != NULL;
        if (pte_is_table(e)) {
            *is_due = collapse_is_due(s, vma_at(s, *va), *va, pte_page(e), limits);
            *left -= MIN(*left, (u64)LOOK_COST);
        } else {
            *left -= 1;
        }
        if (more && !*is_due)
            *va += level_size(1);
    }
    read_unlock(&s->lock);
    return more;
}

/* False: there is no block for more huge pages. */
static bool scan_space(struct space *s, u64 *hand, u64 *left, bool *done)
{
    const struct collapse_limits limits = {.none = load_relaxed(&khugepaged_settings.max_ptes_none),
                                           .swapped = load_relaxed(&khugepaged_settings.max_ptes_swap),
                                           .shared = load_relaxed(&khugepaged_settings.max_ptes_shared)};
    int error = 0;
    bool is_due;

    while (*left > 0 && !*done && error != -ENOMEM && !list_empty(&s->collapse_link)) {
        *done = !find_due(s, hand, left, &limits, &is_due);
        if (!is_due)
            continue;
        error = collapse_span(s, *hand, &limits);
        if (error == 0)
            atomic_add_relaxed(&k.collapsed, 1);
        *hand += level_size(1);
        cond_resched();
    }
    return error != -ENOMEM;
}

/* At most one pass. False: there is no block for more huge pages. */
static bool scan_round(void)
{
    u64 left = load_relaxed(&khugepaged_settings.pages_to_scan), scans = load_relaxed(&k.full_scans), hand;
    bool is_enough = true;

    while (left > 0 && is_enough && load_relaxed(&k.full_scans) == scans) {
        struct space *s = pin(&hand);
        bool done = false;

        if (s == NULL)
            break;
        is_enough = scan_space(s, &hand, &left, &done);
        unpin(s, hand, done);
    }
    return is_enough;
}

static bool is_needed(void)
{
    bool is_shared_off = huge_shared_policy == HUGE_SHARED_NEVER || huge_shared_policy == HUGE_SHARED_DENY;

    return !list_empty(&k.spaces) && (load_relaxed(&huge_policy) != HUGE_NEVER || !is_shared_off);
}

void khugepaged_compact(void)
{
    store_relaxed(&k.wants_block, true);
    wake_all(&k.work);
}

static bool has_work(u64 settings) { return load_relaxed(&k.wants_block) || load_relaxed(&k.settings) != settings; }

static void khugepaged(void *unused)
{
    u64 wake_at = 0;

    (void)unused;
    for (;;) {
        u64 settings = load_relaxed(&k.settings);

        wait_event(&k.work, is_needed() || load_relaxed(&k.wants_block));
        if (wake_at == 0)
            wake_at = time_ns() + load_relaxed(&khugepaged_settings.scan_sleep_ms) * NSEC_PER_MSEC;
        (void)wait_event_state(&k.work, has_work(settings), THREAD_SLEEPING, wake_at);
        if (load_relaxed(&k.wants_block)) {
            store_relaxed(&k.wants_block, false);
            if (huge_has_plenty())
                (void)compact_memory();
        } else {
            bool is_enough = scan_round();

            wake_at = time_ns() + NSEC_PER_MSEC * (is_enough ? load_relaxed(&khugepaged_settings.scan_sleep_ms)
                                                             : load_relaxed(&khugepaged_settings.alloc_sleep_ms));
        }
        cond_resched();
    }
}

/* ---- settings ---- */

void khugepaged_settings_changed(void)
{
    atomic_add(&k.settings, 1);
    wake_all(&k.work);
}

void khugepaged_counts(u64 *full_scans, u64 *collapsed)
{
    *full_scans = load_relaxed(&k.full_scans);
    *collapsed = load_relaxed(&k.collapsed);
}

void khugepaged_init(void)
{
    if (IS_ERR(kernel_thread("khugepaged", khugepaged, NULL)))
        panic("no memory for khugepaged");
}
