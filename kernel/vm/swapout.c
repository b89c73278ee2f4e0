/*
 * Which private pages go. There is no way from a private page to the entries that map it; so a clock's hand walks the
 * spaces, one after the other, table by table, and looks at the entries:
 *
 *     list of spaces:  [A] -> [B] -> [C]           entry used (A) since the hand passed:  A is taken away, it stays
 *                       |                          else:  the page gets a slot, the entry becomes a SWAP entry
 *                       +- hand: the address it has reached
 *
 * A page that several tables share after a fork gets one slot; each entry is replaced when the hand comes to it, and
 * when the last is, the page is stored and freed.
 *
 * Each table stays locked until the TLB shootdown is done (vm/tlb.h); then pages are stored (vm/swap.c). The hand holds
 * tables_lock while it looks at a table, not space->lock, so who holds that while he waits for memory does not keep the
 * pages here. Only where there are locked mappings (mlock) the vmas must be looked at: such a space is passed by while
 * its lock is held for writing for long. Not while somebody waits for that: he waits for faults, and those for memory.
 *
 * Locks: `spaces.lock` (spin) the list; `pinned` is the space that the hand is on, which may not go away.
 */
#include "vm/swapout.h"
#include "sched/thread.h"
#include "sched/wait.h"
#include "vm/lazy.h"
#include "vm/reclaim.h"
#include "vm/swap.h"
#include "vm/tlb.h"

static struct {
    struct spinlock lock;
    struct list list; /* the first is the one the hand is on */
    u64 n;
    struct space *pinned;
    struct wait_queue left;
    u64 dead_faults, dead_major_faults; /* of spaces that are gone */
} spaces = {.list = LIST_INIT(spaces.list), .left = WAIT_QUEUE_INIT(spaces.left)};

void swapout_add_space(struct space *s)
{
    spin_lock(&spaces.lock);
    list_add_tail(&spaces.list, &s->scan_link);
    spaces.n++;
    spin_unlock(&spaces.lock);
}

void swapout_forget_space(struct space *s)
{
    bool pinned;

    spin_lock(&spaces.lock);
    list_remove(&s->scan_link);
    spaces.n--;
    spaces.dead_faults += s->minor_faults;
    spaces.dead_major_faults += s->major_faults;
    pinned = spaces.pinned == s;
    spin_unlock(&spaces.lock);
    if (pinned)
        wait_event(&spaces.left, load_acquire(&spaces.pinned) != s);
}

void swapout_each_space(void (*visit)(struct space *s, void *argument), void *argument)
{
    struct space *s;

    spin_lock(&spaces.lock);
    list_for_each(s, &spaces.list, scan_link)
        visit(s, argument);
    spin_unlock(&spaces.lock);
}

void space_fault_totals(u64 *all, u64 *major)
{
    const struct space *s;

    spin_lock(&spaces.lock);
    *all = spaces.dead_faults;
    *major = spaces.dead_major_faults;
    list_for_each(s, &spaces.list, scan_link) {
        *all += load_relaxed(&s->minor_faults);
        *major += load_relaxed(&s->major_faults);
    }
    spin_unlock(&spaces.lock);
}

static struct space *pin_first(void)
{
    struct space *s = NULL;

    spin_lock(&spaces.lock);
    if (!list_empty(&spaces.list))
        s = list_first(&spaces.list, struct space, scan_link);
    spaces.pinned = s;
    spin_unlock(&spaces.lock);
    return s;
}

/* DONE: the hand goes to the next space. */
static void unpin(struct space *s, bool done)
{
    spin_lock(&spaces.lock);
    if (done && !list_empty(&s->scan_link)) {
        list_remove(&s->scan_link);
        list_add_tail(&spaces.list, &s->scan_link);
    }
    store_release(&spaces.pinned, NULL);
    spin_unlock(&spaces.lock);
    wake_all(&spaces.left);
}

void swapout_bar(struct space *s, bool on)
{
    spin_lock(&s->tables_lock);
    s->scan_barred = on;
    spin_unlock(&s->tables_lock);
}

void swapout_note_locked(struct space *s)
{
    spin_lock(&s->tables_lock); /* the hand, which may not have known, is done with its table after this */
    s->has_locked = true;
    spin_unlock(&s->tables_lock);
}

struct scan {
    struct tlb_batch batch;
    bool is_shared;         /* the table is several spaces': no TLB knows it, its own count is kept */
    bool evict, spare_used; /* replace entries; but not those that were used */
    bool has_lock;          /* space->lock is held for reading: vmas may be looked at */
    bool aged;              /* some A was taken away */
    u64 only_from,
        only_to; /* if not 0: the pages of these frames, used or not, which are not stored but only have slots */
    unsigned n;
    u64 slots[TLB_BATCH_PAGES]; /* of the entries that were replaced; 0: of one whose page was dropped */
};

/* => table locked */
static void replace_entry(struct scan *scan, struct page *table, pte_t *pte, u64 va, struct page *page)
{
    struct space *s = scan->batch.space;
    u64 slot = swap_add(page);
    pte_t old = load_relaxed(pte), swapped;

    if (slot == 0)
        return;
    do { /* until no D came in between; faults, which look without the lock, see one entry or the other */
        pte_t keep = pte_settled(old) & (PTE_D | PTE_UFFD_WP);

        swapped = pte_make(slot, PTE_SWAP | (pte_t)pte_prot(old) << 1 | keep);
    } while (!atomic_cas(pte, &old, swapped));
    tlb_free_page(&scan->batch, page);
    scan->slots[scan->n++] = slot;
    if (scan->is_shared) {
        table->table_evicted++;
    } else {
        tlb_note(&scan->batch, va);
        space_count_page(s, page, -1);
    }
}

/* A page of a MAP_DROPPABLE mapping, or one that MADV_FREE gave up (LAZY: unless it is stored to just now), goes with
 * what is in it; the next touch finds zeros. => table locked */
static void drop_entry(struct scan *scan, pte_t *pte, u64 va, struct page *page, bool lazy)
{
    pte_t old = load_relaxed(pte);

    do {
        if (lazy && !lazy_may_go(page, old))
            return;
    } while (!atomic_cas(pte, &old, pte_mark(pte_prot(old)) | (old & PTE_UFFD_WP)));
    if (lazy)
        atomic_add_relaxed(&nr_lazy_freed, 1);
    tlb_free_page(&scan->batch, page);
    tlb_note(&scan->batch, va);
    space_count_page(scan->batch.space, page, -1);
    scan->slots[scan->n++] = 0;
}

/* Takes A away. => table locked */
static void age_entry(struct scan *scan, pte_t *pte)
{
    if (pte_is_present(*pte) && !scan->is_shared)
        atomic_and(pte, ~PTE_A);
    else
        *pte &= ~PTE_A;
    scan->aged = true;
}

static void visit_entry(struct scan *scan, struct page *table, pte_t *pte, u64 va)
{
    pte_t e = load_relaxed(pte);
    struct page *page;

    if (!pte_has_page(e))
        return;
    page = pte_page(e);
    if (!(load_relaxed(&page->flags) & PG_ANON))
        return;
    if (scan->only_to != 0) {
        if (pte_pfn(e) >= scan->only_from && pte_pfn(e) < scan->only_to)
            replace_entry(scan, table, pte, va, page);
        return;
    }
    if ((e & PTE_A) && scan->spare_used) {
        age_entry(scan, pte);
    } else if (scan->evict && !scan->is_shared && (load_relaxed(&page->flags) & PG_DROPPABLE)) {
        drop_entry(scan, pte, va, page, false);
    } else if (scan->evict && !scan->is_shared && lazy_may_go(page, e)) {
        drop_entry(scan, pte, va, page, true);
    } else if (scan->evict && !swap_cannot_store(page)) {
        if (load_relaxed(&page->flags) & PG_LAZY)
            atomic_and(&page->flags, ~(u32)PG_LAZY);
        replace_entry(scan, table, pte, va, page);
    }
}

/* Entries of [VA, END) in TABLE: where the batch was full, or END. => tables_lock */
static u64 visit_table(struct scan *scan, struct page *table, u64 va, u64 end)
{
    pte_t *t = page_address(table);

    table_lock(table);
    for (; va < end && scan->n < TLB_BATCH_PAGES; va += PAGE_SIZE)
        if (load_relaxed(&t[pt_index(va, 0)]) != 0)
            visit_entry(scan, table, &t[pt_index(va, 0)], va);
    tlb_flush_entries(&scan->batch);
    table_unlock(table);
    return va;
}

/* The same, but what is locked stays. => space->lock for reading */
static u64 visit_unlocked(struct scan *scan, struct page *table, u64 va, u64 end)
{
    while (va < end && scan->n < TLB_BATCH_PAGES) {
        struct vma *v = vma_find(scan->batch.space, va);
        u64 to = v == NULL ? end : MIN(v->end, end);

        if (v == NULL || (v->flags & VMA_LOCKED))
            va = to;
        else
            va = visit_table(scan, table, va, to);
    }
    return va;
}

/* What was evicted is stored: pages freed. */
static u64 finish(struct scan *scan)
{
    u64 freed = 0;

    tlb_flush(&scan->batch);
    for (unsigned i = 0; i < scan->n && scan->only_to == 0; i++)
        freed += scan->slots[i] != 0 ? swap_store(scan->slots[i]) : 1;
    scan->n = 0;
    return freed;
}

/* Huge pages of objects are the other clock's; a private one that was used is spared as a whole, this time. None is of
 * interest to who looks for single pages. */
static bool is_spared(struct scan *scan, pte_t *entry)
{
    if (scan->only_to != 0)
        return (pt_leaf_table(entry, *entry)->flags & PG_HUGE) != 0;
    if (!pte_is_huge(*entry))
        return false;
    if (!(pte_page(*entry)->flags & PG_ANON))
        return true;
    if (!(*entry & PTE_A) || !scan->spare_used)
        return false;
    atomic_and(entry, ~PTE_A);
    scan->aged = true;
    return true;
}

/* The next table at or above *VA, up to where the batch is full, but not behind LAST; *VA advances; false at the end of
 * the space, or where it is barred. The upper table's lock keeps a shared table alive, and the kind of each. */
static bool visit_next(struct scan *scan, u64 *va, u64 last)
{
    struct space *s = scan->batch.space;
    struct page *upper;
    pte_t *entry;

    spin_lock(&s->tables_lock);
    entry = s->scan_barred || (s->has_locked && !scan->has_lock) ? NULL : pt_next_leaf(s, va, &upper);
    if (entry != NULL && *va < last) {
        u64 end = MIN(ALIGN_DOWN(*va, level_size(1)) + level_size(1), last);
        struct page *table;

        table_lock(upper);
        if ((pte_is_huge(*entry) || pte_is_shared(*entry)) && is_spared(scan, entry)) {
            *va = end;
            table_unlock(upper);
            spin_unlock(&s->tables_lock);
            return true;
        }
        if (!pte_is_table(*entry) && (pte_is_huge(*entry) || pte_is_shared(*entry)))
            pt_split(upper, entry);
        table = pte_is_table(*entry) || pte_is_shared(*entry) ? pte_page(*entry) : NULL;
        scan->is_shared = pte_is_shared(*entry);
        if (table == NULL || load_relaxed(&table->table_live) == 0)
            *va = end;
        else if (scan->has_lock)
            *va = visit_unlocked(scan, table, *va, end);
        else
            *va = visit_table(scan, table, *va, end);
        table_unlock(upper);
    }
    spin_unlock(&s->tables_lock);
    return entry != NULL;
}

#define LOCK_TRIES 64

/* Locks S if its vmas have to be looked at. Who changes them is soon done, or waits for memory himself, perhaps. */
static bool get_in(struct scan *scan, struct space *s)
{
    scan->has_lock = false;
    for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
        scan->has_lock = load_relaxed(&s->has_locked) && read_trylock_first(&s->lock);
        if (scan->has_lock || !load_relaxed(&s->has_locked))
            return true;
        sched_yield();
    }
    return false;
}

/* From the space's hand on: pages freed. *N is how many entries may be looked at; the hand is 0 when the end is
 * reached. *DONE: the next space's turn has come. */
static u64 scan_space(struct space *s, u64 *n, bool *done)
{
    struct scan scan = {.evict = true, .spare_used = true};
    bool more = true, is_in = true;
    u64 freed = 0;

    tlb_begin(&scan.batch, s);
    while (more && *n > 0 && (is_in = get_in(&scan, s))) {
        u64 from = s->scan_hand;

        more = visit_next(&scan, &s->scan_hand, UINT64_MAX);
        if (scan.has_lock)
            read_unlock(&s->lock);
        freed += finish(&scan);
        *n -= MIN(*n, more && s->scan_hand > from ? MIN((s->scan_hand - from) >> PAGE_SHIFT, (u64)PT_ENTRIES) : 0);
        cond_resched();
    }
    if (scan.aged) /* else TLBs remember that the pages were used, and do not say so again */
        tlb_flush_range(s, 0, UINT64_MAX);
    if (!more)
        s->scan_hand = 0;
    *done = !more || !is_in;
    return freed;
}

u64 swapout_scan(u64 n)
{
    u64 freed = 0;

    for (u64 visits = 0; n > 0 && visits <= load_relaxed(&spaces.n); visits++) {
        struct space *s = pin_first();
        bool done;

        if (s == NULL)
            break;
        freed += scan_space(s, &n, &done);
        unpin(s, done);
    }
    return freed + swap_write_out();
}

void swapout_move(struct page *head, unsigned n)
{
    struct scan scan = {.evict = true, .only_from = page_pfn(head), .only_to = page_pfn(head) + n};

    for (u64 left = load_relaxed(&spaces.n); left > 0; left--) {
        struct space *s = pin_first();
        bool more = s != NULL;

        tlb_begin(&scan.batch, s);
        for (u64 va = 0; more;) {
            /* the caller may have it, and may not take it twice */
            scan.has_lock = load_relaxed(&s->has_locked) && s != current->space && read_trylock(&s->lock);
            more = visit_next(&scan, &va, UINT64_MAX);
            if (scan.has_lock)
                read_unlock(&s->lock);
            finish(&scan);
            cond_resched();
        }
        if (s != NULL)
            unpin(s, true);
    }
}

void swapout_range(struct space *s, u64 start, u64 end, bool evict)
{
    struct scan scan = {.evict = evict, .spare_used = !evict, .has_lock = true};
    bool more = true;

    reclaim_pause(true);
    tlb_begin(&scan.batch, s);
    while (more && start < end) {
        more = visit_next(&scan, &start, end);
        finish(&scan);
    }
    if (scan.aged)
        tlb_flush_range(s, 0, UINT64_MAX);
    swap_write_out();
    reclaim_pause(false);
}

u64 swapout_count(struct space *s)
{
    u64 va = 0, n = 0;
    struct page *upper;
    pte_t *entry;

    spin_lock(&s->tables_lock);
    while ((entry = pt_next_leaf(s, &va, &upper)) != NULL) {
        table_lock(upper);
        if (pte_is_table(*entry) || pte_is_shared(*entry)) {
            const struct page *table = pte_page(*entry);
            const pte_t *t = page_address(table);

            for (unsigned i = 0; table->table_live > 0 && i < PT_ENTRIES; i++)
                n += pte_is_swap(t[i]);
        }
        table_unlock(upper);
        va = ALIGN_DOWN(va, level_size(1)) + level_size(1);
        spin_unlock(&s->tables_lock); /* others may want it */
        spin_lock(&s->tables_lock);
    }
    spin_unlock(&s->tables_lock);
    return n;
}
