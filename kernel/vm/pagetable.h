/*
 * Page tables of user spaces, and what their entries say. The format of present entries is the hardware's
 * (arch/riscv/pte.h); an entry with V = 0 is ours:
 *
 *   present leaf   hardware R W X, A, D; SOFT_W: the page may be written. W is set only while a store needs no fault:
 *                  private pages that are shared since a fork, and clean pages of shared files, have SOFT_W without W.
 *   0              nothing here yet; the page has its vma's protection
 *   MARK           nothing here yet; the page has the protection in bits 1-3 (R W X). At an upper level: all its span.
 *   RESIDENT       PROT_NONE, but the page stays: its frame number, A and D are where the hardware has them
 *   SWAP           leaf level only: a private page whose bytes are elsewhere (vm/swap.h); the number of its slot is
 *                  where the frame would be, its protection in bits 1-3, D where the hardware has it
 *   SHARED         upper level only: the table of all its span, which other spaces refer to as well, see below
 *
 * UFFD_WP in any of them: a store is userfaultfd's to allow (vm/userfault.h); a present entry that has it has no W. But
 * where all stores are allowed and only to be known (asynchronously protected private memory, vm/pagescan.c), it may
 * keep W: then its D, which was cleared, tells of the store, and UFFD_WP with W and D is as good as no UFFD_WP. Who
 * takes W or the page away from such an entry takes UFFD_WP, too (pte_settled). POISON in a mark: an access ends in
 * SIGBUS.
 *
 *    63  54 53              10  9  8  7 6  5 4  3 2 1  0
 *   +------+------------------+--+--+---+-----+------+-+
 *   |      | frame            |WP|  |D A|kind |X W R |0|
 *   +------+------------------+--+--+---+-----+------+-+
 *
 * Tables shared at fork. A leaf table that covers nothing but plain private memory is not copied by fork: parent and
 * child get a SHARED entry for it, and its refs count them. The hardware never walks a shared table, and nobody changes
 * what it says: whoever wants to use an entry in it gets a table of his own first (pt_unshare).
 *
 *       parent          child             the last one to want it        the others
 *      [SHARED]       [SHARED]
 *           \           /                 [present]                      [present]
 *            \         /           ==>        |                              |
 *           leaf table, refs 2            leaf table, refs 1             a copy; private pages lose W in both
 *
 * pt_make and pt_step do that for their callers; pt_find finds nothing behind a SHARED entry, a fault helps there. Who
 * can deal with a shared table as a whole says so to pt_step (PT_WHOLE, PT_RAW). While the upper table is locked, an
 * entry that is SHARED keeps its table alive: so a clock may look into it, and with the shared table locked, too, it
 * may put pages of it elsewhere for all spaces at once (table_evicted counts them for the spaces' counters).
 *
 * Huge pages. A span of 2 MiB whose 512 pages lie together has a leaf at level 1. It is a short cut for the hardware:
 * the table with its 512 entries exists nevertheless (table_behind of the upper table leads to it), so whoever only
 * looks finds what he looks for, and splitting the huge page is one store that needs no memory:
 *
 *       [leaf, level 1] - - - > table, PG_HUGE        ==>        [present] ----> table
 *              |                  |  |  |                                       |  |  |
 *          512 pages            the same 512 pages                              the pages
 *
 * Private pages in it are owned by nobody else; those of an object, a run (vm/run.h), may be in others' huge pages,
 * too, and a mapping refers to each of them. pt_make and pt_step split for their callers; pt_find and pt_reach do not.
 * A shared table that has PG_HUGE is as it was: whoever is the last one to want it has his huge page back.
 *
 * Entries change under their table's lock, but A and D of present ones at any moment: who decides by an entry reads it
 * once (load_relaxed), for what he wrote as one read the compiler may make two.
 *
 * The struct page of a table counts its entries that are not 0 (table_live), so that tables are freed when empty and
 * walks stop early, and holds its lock. A parent's entry for a table changes under the parent's lock; tables are freed
 * under the space's write lock and tables_lock only.
 */
#ifndef VM_PAGETABLE_H
#define VM_PAGETABLE_H

#include "arch/riscv/arch.h"
#include "arch/riscv/pte.h"
#include "sched/spinlock.h"
#include "vm/page.h"
#include "vm/vm.h"

struct space;
struct vma;

#define PTE_SOFT_W PTE_RSW0
#define PTE_POISON PTE_RSW0 /* of a mark */
#define PTE_UFFD_WP PTE_RSW1
#define PTE_KIND_MASK (BIT(4) | BIT(5))
#define PTE_MARK BIT(4)
#define PTE_RESIDENT BIT(5)
#define PTE_SWAP (PTE_MARK | PTE_RESIDENT)
#define PTE_SHARED PTE_SWAP /* of an upper level */

static inline bool pte_is_present(pte_t e) { return (e & PTE_V) != 0; }
static inline bool pte_is_mark(pte_t e) { return (e & (PTE_V | PTE_KIND_MASK)) == PTE_MARK; }
static inline bool pte_is_resident(pte_t e) { return (e & (PTE_V | PTE_KIND_MASK)) == PTE_RESIDENT; }
/* => E is of the leaf level */
static inline bool pte_is_swap(pte_t e) { return (e & (PTE_V | PTE_KIND_MASK)) == PTE_SWAP; }
static inline u64 pte_slot(pte_t e) { return pte_pfn(e); }
/* Of an upper-level entry. */
static inline bool pte_is_huge(pte_t e) { return (e & PTE_V) != 0 && pte_is_leaf(e); }
static inline bool pte_is_shared(pte_t e) { return (e & (PTE_V | PTE_KIND_MASK)) == PTE_SHARED; }
static inline bool pte_has_page(pte_t e) { return pte_is_present(e) || pte_is_resident(e); }
static inline bool pte_is_poisoned(pte_t e)
{
    return (e & (PTE_V | PTE_KIND_MASK | PTE_POISON)) == (PTE_MARK | PTE_POISON);
}
static inline pte_t pte_mark(unsigned prot) { return PTE_MARK | (pte_t)prot << 1; }
static inline struct page *pte_page(pte_t e) { return pfn_page(pte_pfn(e)); }

/* The leaf table of a level-1 entry, E at ENTRY: a present or shared one, or that of a huge page. That remains the
 * answer after a split, for who has read E without a lock. */
static inline struct page *pt_leaf_table(const pte_t *entry, pte_t e)
{
    return pte_is_huge(e) ? address_page(entry)->table_behind[(u64)entry / sizeof(pte_t) % PT_ENTRIES] : pte_page(e);
}

/* PROT_READ, PROT_WRITE and PROT_EXEC are 1, 2 and 4: an entry's R, W and X, shifted by one. */

/* PROT_* that the entry gives (not 0): writable pages count as readable, as the hardware has it. */
static inline unsigned pte_prot(pte_t e)
{
    if (pte_is_present(e))
        return ((e >> 1) & 5) | (e & PTE_SOFT_W ? 2 : 0);
    return (e >> 1) & 7;
}

/* PROT_* as the hardware can have it: writable implies readable. */
static inline unsigned prot_effective(unsigned prot) { return prot | (prot & 2) >> 1; }

/* Bits of a present entry for a page with protection PROT (not none), W left out. */
static inline pte_t pte_bits(unsigned prot)
{
    return PTE_V | PTE_U | PTE_A | (pte_t)(prot_effective(prot) & 5) << 1 | (prot & 2 ? PTE_SOFT_W : 0);
}

/* The hardware may set D in this entry at any moment: what replaces it must not lose that. */
static inline bool pte_may_get_dirty(pte_t e) { return (e & (PTE_V | PTE_W | PTE_D)) == (PTE_V | PTE_W); }

/* Was protected by UFFD_WP, and stored to since. */
#define PTE_REWRITTEN (PTE_V | PTE_W | PTE_D | PTE_UFFD_WP)
static inline bool pte_is_rewritten(pte_t e) { return (e & PTE_REWRITTEN) == PTE_REWRITTEN; }
static inline bool pte_is_protected(pte_t e) { return (e & PTE_UFFD_WP) && !pte_is_rewritten(e); }
/* E as it is when it need not have W any more to be understood. */
static inline pte_t pte_settled(pte_t e) { return pte_is_rewritten(e) ? e & ~PTE_UFFD_WP : e; }

/* Takes W from a present entry that has it. Returns what it is now. => table locked */
static inline pte_t pte_write_protect(pte_t *pte)
{
    pte_t e = load_relaxed(pte);

    e = pte_settled(pte_may_get_dirty(e) ? atomic_and(pte, ~PTE_W) : e) & ~PTE_W;
    store_relaxed(pte, e);
    return e;
}

/* A page's table, locked by its spinlock. Who has interrupts off may not wait for it: vm/tlb.h. */
static inline void table_lock(struct page *table)
{
    ASSERT(irqs_enabled() || machine.harts == 1);
    spin_lock((struct spinlock *)&table->table_lock);
}
static inline bool table_trylock(struct page *table) { return spin_trylock((struct spinlock *)&table->table_lock); }
static inline void table_unlock(struct page *table) { spin_unlock((struct spinlock *)&table->table_lock); }

/* As the last one who had the lock left it. */
static inline bool table_is_empty(struct page *table)
{
    bool result;

    table_lock(table);
    result = table->table_live == 0;
    table_unlock(table);
    return result;
}

/* Stores VALUE and keeps table_live right. => table locked */
static inline void pte_set(struct page *table, pte_t *entry, pte_t value)
{
    table->table_live += (value != 0) - (*entry != 0);
    store_release(entry, value);
}

pte_t *pt_create_root(void); /* NULL = no memory */
void pt_free_root(pte_t *root);

/* Finding and making entries. None is locked: changes but those of A and D begin with *TABLE's lock and a second look.
 */

/* The leaf entry of ADDRESS, or NULL if it has no leaf table of its own. To look, and to set A and D: in a huge page,
 * the entry says what the hardware sees, but is not what it sees. => lock, tables_lock, or interrupts off */
pte_t *pt_find(struct space *s, u64 address, struct page **table);
/* The entry of ADDRESS at TO_LEVEL (0: leaf), its table made if there is none: NULL = no memory. => lock; may sleep */
pte_t *pt_make(struct space *s, u64 address, unsigned to_level, struct page **table);
/* As pt_make of a leaf entry, but a huge page stays: its table has PG_HUGE, and pt_make must follow before a change. */
pte_t *pt_reach(struct space *s, u64 address, struct page **table);
/* *ENTRY of UPPER, huge or shared: its table is an ordinary one from now on. => UPPER locked */
void pt_split(struct page *upper, pte_t *entry);
/* The same, if it is huge. => UPPER not locked */
void pt_split_huge(struct page *upper, pte_t *entry);
/* The 512 pages from HEAD on, which are fresh or RUN's, become the huge page at ADDRESS, each with an entry of BITS, if
 * nothing but OLD (0 or a mark) is there, and RUN holds. Takes the fresh pages over if so. */
struct run_hold;
bool pt_install_huge(struct space *s, u64 address, struct page *head, pte_t bits, pte_t old, struct run_hold *run);
/* TABLE, all of whose entries are set, becomes what is behind the huge page from HEAD on at ENTRY of UPPER, which is 0.
 * False: no memory. => write lock */
bool pt_put_huge(struct page *upper, pte_t *entry, struct page *table, struct page *head, pte_t bits);
/* The table of the huge page *ENTRY of UPPER has changed: the hardware sees that, as a huge page still if all its
 * entries are alike. => UPPER and the table locked */
void pt_follow_table(struct page *upper, pte_t *entry);
/* A huge page at ADDRESS is used: sets A and D where the hardware looks. */
void pt_touch_huge(struct space *s, u64 address);
/* Frees a leaf table that nobody reaches any more, with its pages. */
void pt_free_leaf(struct page *table);
/* Marked spans and shared tables that ADDRESS would cut are pushed down or copied. -ENOMEM */
int pt_split_spans_at(struct space *s, u64 address);
/* Replaces the upper-level entry (0 or a mark) by a table that says the same: false = no memory. */
bool pt_push_down(struct space *s, struct page *table, pte_t *entry, u64 address, unsigned level);

/*
 * Walks [va, end) in steps: each gives either the entries of one leaf table that cover [va, next), or one upper-level
 * entry that is no table (0 or a mark) and covers [va, next).
 *
 *   for (struct pt_walk w = {.space = s, .va = start, .end = end}; pt_step(&w); w.va = w.next) ...
 *
 * Shared tables on the way become the space's own, huge pages are split; when there is no memory the walk ends with
 * w.error = -ENOMEM. Other modes: */
enum pt_mode {
    PT_OWN,    /* as told */
    PT_HUGE,   /* huge pages in the range as a whole are given as the upper-level entries they are */
    PT_WHOLE,  /* these, and shared tables that are, too */
    PT_RAW,    /* upper-level entries are given as they are; never sleeps, needs no memory */
    PT_TABLES, /* the same and tables, too: the walk ends at level 1 */
};
struct pt_walk {
    struct space *space;
    u64 va, end;
    enum pt_mode mode;
    int error;
    /* set by pt_step */
    u64 next;
    unsigned level; /* 0: leaf entries */
    struct page *table;
    pte_t *pte;
};
bool pt_step_from(struct pt_walk *w); /* => va is below the end */
static inline bool pt_step(struct pt_walk *w) { return w->va < w->end && pt_step_from(w); }
/*
 * The leaf entries of a step, for those who only look: a walk in mode PT_RAW passes through tables that are shared, and
 * this shows what is in them.
 *
 *   while (pt_step(&w)) { pt_look(&w, &view); ... view.entries[0 .. pt_walk_pages(&w)) ... pt_look_done(&view); ... }
 *
 * The entries are locked until pt_look_done. */
struct pt_view {
    const pte_t *entries; /* NULL: no page of the step has one of its own */
    pte_t span;           /* then, what the upper level says of all: 0 or a mark */
    u32 spaces;           /* that refer to the table */
    bool huge;            /* the entries are a huge page's */
    struct page *leaf, *upper;
};
void pt_look(const struct pt_walk *w, struct pt_view *view);
void pt_look_done(struct pt_view *view);
static inline pte_t pt_view_entry(const struct pt_view *view, unsigned i)
{
    return view->entries != NULL ? view->entries[i] : view->span;
}
/* W is at an upper-level entry, 0 or a mark, that is to say something else for all that W covers: 1: the entry says the
 * same of nothing more, and is locked; 0: W comes by again, at a table, made here or by a fault; -ENOMEM. */
int pt_lock_span(struct pt_walk *w);
/* No walk of [start, end) in MODE needs memory after this, until the next fork. -ENOMEM */
int pt_own(struct space *s, u64 start, u64 end, enum pt_mode mode);
static inline unsigned pt_walk_pages(const struct pt_walk *w) { return (w->next - w->va) >> PAGE_SHIFT; }
/* The upper-level entry's whole span is in the range. */
static inline bool pt_walk_whole(const struct pt_walk *w) { return w->next - w->va == level_size(w->level); }

/* The entry *ENTRY of UPPER, a locked table of level 1, SHARED: SPACE gives it up. Returns the table, for
 * pt_put_shared once the lock is free. */
struct page *pt_drop_shared(struct space *s, struct page *upper, pte_t *entry);
/* The same of a huge page: its table is for tlb_free_page. => write lock */
struct page *pt_drop_huge(struct space *s, struct page *upper, pte_t *entry);
extern u64 nr_huge_pages, nr_huge_shared; /* mapped by leaves at level 1: private memory, objects' */
/* One space less refers to the table; the last one frees it with all its pages. */
void pt_put_shared(struct page *table);
/* *ENTRY, a leaf table in UPPER, becomes SHARED, or one more space refers to it: the new value, for the other space.
 * => upper locked; tables_lock */
pte_t pt_share(struct space *s, struct page *upper, pte_t *entry);
/* For a clock's hand: the level-1 entry for the first leaf table, the space's own or a shared one, at or above *VA,
 * which becomes an address in that; NULL: there is none. *UPPER is the table it is in. => tables_lock */
pte_t *pt_next_leaf(struct space *s, u64 *va, struct page **upper);

/* Nobody may come to a table by a remembered leaf any more: before tables are freed, replaced or shared, and before the
 * flush that tells the other harts. */
void pt_forget_leaves(struct space *s);

struct tlb_batch;
/* Detaches the tables above ADDRESS that have become empty. => write lock */
void pt_prune(struct space *s, u64 address, struct tlb_batch *batch);
/* Frees every page and table of a space that nobody can use any more; its vmas, of which LOWEST is the first, are still
 * linked to each other. */
void pt_destroy(struct space *s, const struct vma *lowest);

#endif
