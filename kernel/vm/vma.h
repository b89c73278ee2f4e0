/*
 * Address spaces from inside: the tree of mappings, the locks and the counters. Only vm/ includes this; others see
 * vm/space.h.
 *
 *   space --- vmas: red-black tree by address, each node has a bound for the gaps below the vmas of its subtree
 *     |         [vma][vma]   gap   [vma]
 *     +------ root: page table; what each page is, resident or not, is told by its entry (vm/pagetable.h)
 *
 * A vma says what a range is: which object from which offset, shared or private, and the protection that pages have for
 * which no entry says otherwise (`prot`).
 *
 * Locks, in this order:
 *   space->lock            (rwlock) writing: tree and vmas change, tables are freed. Reading: faults, changed entries.
 *   object->mappings_lock  (mutex) also held when an object-backed vma is linked, unlinked or changes its borders
 *   space->tables_lock     (spin) tables are freed under it: who comes from an object (vm/rmap.c) walks with it alone
 *   table lock             (spin) entries of one table
 *   object->lock           (spin, irqsave)
 * TLB shootdowns wait for other harts: with no spinlock held but tables' and tables_lock (vm/tlb.h).
 */
#ifndef VM_VMA_H
#define VM_VMA_H

#include "lib/tree.h"
#include "vm/limits.h"
#include "vm/pagetable.h"
#include "vm/space.h"
#include "vm/vm.h"
#include "vm/vmtrap.h"

struct tlb_batch;

struct vma {
    struct tree_node node;
    u64 start, end;
    u64 gap;     /* free bytes between the vma below and this one, */
    u64 usable;  /* what of them a search for room considers (vma.c) */
    u64 max_gap; /* no usable gap in this subtree is larger, but for the cap (vma.c) */
    union {
        struct {
            struct vma *below, *above; /* neighbours by address, NULL: none */
        };
        struct list removed_link; /* unlinked, to be freed */
    };
    struct space *space;
    struct object *object;         /* NULL: private anonymous memory (or the vDSO) */
    struct file *file;             /* referenced; not NULL when object is not */
    struct tree_node mapping_node; /* object->mappings, if there is an object */
    u64 max_last_page;             /* in that subtree */
    u64 offset;                    /* of `start` in the object, bytes */
    struct userfault *userfault;   /* who handles its faults, iff VMA_USERFAULT; no reference, see vm/userfault.h */
    unsigned prot, max_prot;       /* PROT_* */
    u32 flags;                     /* VMA_* */
    u32 trap;                      /* what it is armed for, see vm/vmtrap.h; not 0 iff VMA_TRAP */
};
#define VMA_SHARED BIT(0)
#define VMA_GROWSDOWN BIT(1)
#define VMA_NORESERVE BIT(2)
#define VMA_VDSO BIT(3)   /* pages of the kernel image */
#define VMA_MARKED BIT(4) /* some entry may say another protection than `prot`; set atomically under the read lock */
#define VMA_LOCKED BIT(5)
#define VMA_DONTFORK BIT(6)       /* the child does not get it */
#define VMA_WIPEONFORK BIT(7)     /* the child gets it empty */
#define VMA_TRACKED BIT(8)        /* clear_refs came by: D in the entries tells the soft-dirty pages; before, all are */
#define VMA_LOCKED_ONFAULT BIT(9) /* with LOCKED: pages are not brought in before they are used */
#define VMA_DONTDUMP BIT(10)
#define VMA_SEQUENTIAL BIT(11) /* madvise's: how it will be read */
#define VMA_RANDOM BIT(12)
#define VMA_SEALED BIT(13)       /* mseal(2): stays what it is and where it is */
#define VMA_HUGEPAGE BIT(14)     /* madvise: huge pages wherever they fit */
#define VMA_NOHUGEPAGE BIT(15)   /* madvise: none */
#define VMA_DROPPABLE BIT(16)    /* MAP_DROPPABLE: pages go, with what is in them, when memory is low; never to swap */
#define VMA_LAZY BIT(17)         /* MADV_FREE was said of pages of it: vm/lazy.h */
#define VMA_TRAP BIT(22)         /* forbidden accesses are the program's own affair: vm/vmtrap.h */
#define VMA_UFFD_MISSING BIT(24) /* userfaultfd handles pages that are not there, */
#define VMA_UFFD_MINOR BIT(25)   /* ... those that are only in the object, */
#define VMA_UFFD_WP BIT(26)      /* ... and stores where the entry has UFFD_WP */
#define VMA_UFFD_ASYNC BIT(27)   /* ... which it only wants to know of: nobody is asked (with VMA_UFFD_WP) */
#define VMA_NOTICE_UNMAP BIT(28) /* not a mapping but a notice of userfaultfd's on a list of removed ones: */
#define VMA_NOTICE_REMAP BIT(29) /* vm/userfault_event.c */
#define VMA_NOTICE (VMA_NOTICE_UNMAP | VMA_NOTICE_REMAP)
#define VMA_USERFAULT (VMA_UFFD_MISSING | VMA_UFFD_MINOR | VMA_UFFD_WP | VMA_UFFD_ASYNC)

enum rss_kind { RSS_ANON, RSS_FILE, RSS_SHMEM, RSS_KINDS };

#define LEAF_HINTS 8u

struct space {
    u32 users; /* threads, and who looks at the memory; the last one to go unmaps it */
    u32 holds; /* on the struct; one for all users */
    struct rwlock lock;
    struct tree vmas;
    struct vma *highest;    /* NULL: there is none */
    struct vma *last_found; /* where the last look-up ended; a hint */
    struct vma *spare;      /* free, for the next mapping; or NULL */
    struct vma *gap_hint;   /* what is free above it and below mmap_top is too small for gap_hint_size; or NULL */
    u64 gap_hint_size;
    unsigned n_vmas;

    pte_t *root;
    struct page *leaves[LEAF_HINTS]; /* the leaf tables that were used last, by their span; see pt_forget_leaves */
    u64 leaf_generation;             /* of hints in threads (vm/uaccess.c); no two spaces ever have the same */
    struct spinlock tables_lock;
    bool no_huge_pages;  /* prctl(PR_SET_THP_DISABLE) */
    u8 exec_gain;        /* prctl(PR_SET_MDWE): EXEC_GAIN_* */
    bool has_userfaults; /* some vma is or was registered with a userfaultfd */
    bool has_spans;      /* marks or shared tables above the leaf level may exist */
    unsigned asid;       /* 0: none was free, the TLB is flushed at every switch */
    u32 running;         /* harts whose satp holds this space */
    u32 stale;           /* harts that must flush before they run it again */

    u64 mmap_top;       /* new mappings go below */
    u64 brk_start, brk; /* the heap is [brk_start, brk) */
    u32 future_flags;   /* of new mappings: mlockall(MCL_FUTURE) */
    u64 total_pages, peak_pages, data_pages, stack_pages, exec_pages, locked_pages; /* by vmas, under the write lock */
    u64 rss[RSS_KINDS], peak_rss, n_tables;                                         /* atomic */
    u64 minor_faults, major_faults;
    struct list scan_link; /* vm/swapout.c: the clock's hand is at scan_hand */
    u64 scan_hand;
    struct list collapse_link; /* vm/khugepaged.c, if is_scanned */
    bool is_scanned;
    bool counts_exactly;             /* vm/limits.h */
    bool has_logs;                   /* some log is or was open */
    struct trap_log logs[TRAP_LOGS]; /* under the write lock */
    bool has_traps;                  /* there is or was a mapping with VMA_TRAP */
    bool has_sealed;                 /* there is a mapping with VMA_SEALED */
    bool has_locked;                 /* there are or were mappings with VMA_LOCKED */
    bool scan_barred;                /* the hand passes it by: set and read under tables_lock */
    struct space_layout layout;
};

/* Most look-ups stay in the few 2 MiB of those before: the leaf entry of ADDRESS if it is in a table that was used
 * lately, else NULL. => as pt_find */
#define SPAN_SHIFT (PAGE_SHIFT + PT_LEVEL_BITS)
static inline pte_t *pt_in_known_leaf(struct space *s, u64 address, struct page **table)
{
    struct page *leaf = load_acquire(&s->leaves[(address >> SPAN_SHIFT) % LEAF_HINTS]);

    if (unlikely(leaf == NULL || leaf->table_span != address >> SPAN_SHIFT))
        return NULL;
    *table = leaf;
    return (pte_t *)page_address(leaf) + pt_index(address, 0);
}

static inline int pt_split_spans(struct space *s, u64 address)
{
    return s->has_spans ? pt_split_spans_at(s, address) : 0;
}

#define USER_MIN 65536 /* vm.mmap_min_addr */
/* Programs count on bits of addresses above this being free, unless they ask for such addresses. */
#define USER_WINDOW (1ull << 47)
#define STACK_GUARD_GAP (256 * PAGE_SIZE)

/* ---- what a vma says ---- */

/* What V is; where it is linked is another matter. */
static inline void vma_describe(struct vma *v, const struct vma *like)
{
    v->start = like->start;
    v->end = like->end;
    v->object = like->object;
    v->file = like->file;
    v->offset = like->offset;
    v->userfault = like->userfault;
    v->trap = like->trap;
    v->prot = like->prot;
    v->max_prot = like->max_prot;
    v->flags = like->flags;
}

/* Flags of vmas that became one: entries keep their protection, and what one of them did not track nobody knows. */
static inline u32 vma_merged_flags(u32 a, u32 b) { return ((a | b) & ~(u32)VMA_TRACKED) | (a & b & VMA_TRACKED); }
/* What a private page's entry gets when a store to it needs no fault: D spares harts without their own D a second one,
 * where nobody asks who stored. */
static inline pte_t vma_store_bits(const struct vma *v) { return v->flags & VMA_TRACKED ? PTE_W : PTE_W | PTE_D; }

static inline bool vma_is_shared(const struct vma *v) { return (v->flags & VMA_SHARED) != 0; }
static inline u64 vma_index(const struct vma *v, u64 address) { return (address - v->start + v->offset) >> PAGE_SHIFT; }

/* ---- vm/vma.c: the tree ---- */

/* The lowest vma that ends above ADDRESS, or NULL; it may begin above ADDRESS. => lock held */
struct vma *vma_find(struct space *s, u64 address);
/* The same from the tree's root down, for who has seen that it is not the one before. */
static inline struct vma *vma_search(struct space *s, u64 address)
{
    struct tree_node *node = s->vmas.root;
    struct vma *best = NULL;

    while (node != NULL) {
        struct vma *v = container_of(node, struct vma, node);

        if (address < v->end) {
            best = v;
            if (v->start <= address)
                break;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    if (best != NULL)
        store_relaxed(&s->last_found, best);
    return best;
}
struct vma *vma_find_anew(struct space *s, u64 address); /* vma_search, not inline */
static inline bool vma_contains(const struct vma *v, u64 address)
{
    return v != NULL && v->start <= address && address < v->end;
}
/* The vma that contains ADDRESS, or NULL. */
static inline struct vma *vma_at(struct space *s, u64 address)
{
    struct vma *v = load_relaxed(&s->last_found);

    if (likely(vma_contains(v, address)))
        return v;
    v = vma_find_anew(s, address);
    return v != NULL && v->start <= address ? v : NULL;
}
/* The vma next below an address that no vma contains, for which vma_find gave ABOVE (perhaps NULL); NULL: none. */
static inline struct vma *vma_below(const struct space *s, const struct vma *above)
{
    return above != NULL ? above->below : s->highest;
}
/* Links V, whose range is free, below ABOVE (NULL: it becomes the highest), into its space and object. => write lock */
void vma_insert(struct space *s, struct vma *v, struct vma *above);
/* Unlinks V, which is the caller's then, for vma_give_up. */
void vma_remove(struct space *s, struct vma *v);
/* The end of a space that nobody uses any more: its vmas leave their objects; returns the lowest. */
struct vma *vma_forget_objects(struct space *s);
/* After that: all of them go onto REMOVED. */
void vma_remove_all(struct space *s, struct list *removed);
struct vma *vma_alloc(void); /* contents undefined */
void vma_free(struct vma *v);
/* The same, for S and at best without an allocation: S keeps one that it does not need. => write lock */
struct vma *vma_take(struct space *s);
/* V, removed, is kept as that one, or goes onto REMOVED. */
void vma_give_up(struct space *s, struct vma *v, struct list *removed);
void vma_drop_spare(struct space *s);
/* Moves V's borders; the range that is added is free. */
void vma_resize(struct vma *v, u64 start, u64 end);
/* Takes [start, end) out of the middle of V: what is above is a new vma, v->above. -ENOMEM. => write lock */
int vma_cut(struct space *s, struct vma *v, u64 start, u64 end);
/* Cuts V in two at AT. */
static inline int vma_split(struct space *s, struct vma *v, u64 at) { return vma_cut(s, v, at, at); }
/* Joins V with the vma below if it continues that one; V is then on REMOVED. => write lock */
void vma_merge_below(struct space *s, struct vma *v, struct list *removed);
/* Whether B, directly above A, is its continuation in every respect. */
bool vma_continues(const struct vma *a, const struct vma *b);
/* The highest free range of LENGTH bytes below TOP, or at HINT if that is free: its start, 0 when there is none. */
u64 vma_find_gap(struct space *s, u64 length, u64 hint, u64 top);
/* Where a mapping goes that nothing fixes: HINT if that is free, else below mmap_top, else anywhere; beyond
 * USER_WINDOW only if HINT is. 0: no room. */
u64 vma_find_place(struct space *s, u64 length, u64 hint);
void vma_tree_init(struct tree *tree);
/* Takes V's pages out of the space's totals, or puts them in: around a change of its default protection. */
void vma_count_pages(struct space *s, const struct vma *v, bool add);
static inline bool has_room_for_vma(const struct space *s)
{
    return s->n_vmas < load_relaxed(&vm_settings.max_map_count);
}

/* Frees vmas that vma_remove has unlinked and drops their files: outside all locks, the last reference to a file may
 * sleep. */
void vma_free_all(struct list *removed);
static inline void vma_free_list(struct list *removed)
{
    if (!list_empty(removed))
        vma_free_all(removed);
}

/* ---- vm/maps.c: protections that entries have ---- */

/* From ADDRESS in V on, up to LIMIT: where the protection that *PROT gets ends. => read lock */
u64 vma_prot_end_before(struct space *s, const struct vma *v, u64 address, u64 limit, unsigned *prot);
static inline u64 vma_prot_end(struct space *s, const struct vma *v, u64 address, unsigned *prot)
{
    return vma_prot_end_before(s, v, address, v->end, prot);
}
/* Pages of [start, end) in V that are writable by their entries. => lock */
u64 vma_writable_pages(struct space *s, const struct vma *v, u64 start, u64 end);

/* ---- vm/setflags.c ---- */

struct flag_change {
    u32 set, clear, forbidden; /* FORBIDDEN: -EINVAL */
    u32 trap;                  /* what they are armed for then, if SET or CLEAR has VMA_TRAP */
    bool needs_anonymous;      /* private without object, else -EINVAL */
    bool discards;             /* -EPERM where a seal is in the way */
    bool stops_at_hole;        /* else goes on behind it; -ENOMEM either way */
    u32 passes;                /* leaves vmas with any of these flags as they are */
    /* Asked first, under the write lock; false: -EDQUOT, and nothing has changed. NULL: nothing is in the way. */
    bool (*fits)(struct space *s, u64 start, u64 end);
    const u32 *future; /* flags of new mappings from then on; NULL: as they were */
};
int space_change_flags(struct space *s, u64 start, u64 end, const struct flag_change *change);
/* The part of V in [start, end) becomes a vma of its own, which is returned; NULL: no memory, or too many. => write
 * lock */
struct vma *vma_isolate(struct space *s, struct vma *v, u64 start, u64 end);
/* Joins V with both its neighbours where they continue each other; those that are left over go onto REMOVED. => write
 * lock */
void vma_merge_around(struct space *s, struct vma *v, struct list *removed);
/* A seal forbids to throw away private pages that may not be written anyhow. => lock */
bool vma_may_discard(struct space *s, const struct vma *v, u64 start, u64 end);
bool range_is_sealed(struct space *s, u64 start, u64 end);

/* ---- vm/mprotect.c, vm/exec_gain.c ---- */

/* [START, END) of V may get longer or move: what is added gets the protection of its last page. The vma that it is in
 * then; NULL: no memory, or too many. => write lock */
struct vma *vma_prepare_growth(struct space *s, struct vma *v, u64 start, u64 end);
/* With S->exec_gain: would [start, end) of V become executable by PROT, or is it to be writable, too? => lock */
bool range_gains_exec(struct space *s, const struct vma *v, u64 start, u64 end, unsigned prot);

/* ---- vm/unmap.c ---- */

/* Takes pages out of [start, end), tables stay. KEEP: the vma whose protections survive as marks (truncation), NULL:
 * nothing does (munmap). Stops early when the batch is full: the address reached. => lock, or tables_lock; pt_own in
 * the mode that zap_mode says was called if KEEP is private memory, pt_split_spans at both ends if there is none */
enum pt_mode zap_mode(const struct vma *keep);
u64 zap_some(struct space *s, u64 start, u64 end, const struct vma *keep, struct tlb_batch *batch);
/* All of it; what is left in BATCH is the caller's to flush. => lock */
void zap_range(struct space *s, u64 start, u64 end, const struct vma *keep, struct tlb_batch *batch);
/* The same of V, flushed, but for what MADV_FREE has given up if SPARES_LAZY. */
void zap_pages(struct space *s, const struct vma *v, u64 start, u64 end, bool spares_lazy);
/* Unmaps [start, end): splits vmas, takes pages out, frees empty tables. Removed vmas go onto REMOVED for
 * vma_free_list. -ENOMEM: nothing was done.
 * => write lock, everything page aligned */
int unmap_range(struct space *s, u64 start, u64 end, struct list *removed);
/* The same where all entries of the range have been moved elsewhere. */
int unmap_moved(struct space *s, u64 start, u64 end, struct list *removed);

/* ---- vm/mmap.c, vm/space.c, vm/fault.c ---- */

extern const struct vm_file_ops *vm_file_ops;
/* A new mapping of a free range, which joins neighbours that it continues. -ENOMEM. => write lock */
int map_range(struct space *s, const struct vma *template, struct list *removed);
/* Brings ADDRESS, which no vma contains, into a stack above it; false: it may not grow so far. */
bool stack_grow(struct space *s, u64 address);
/* The frame of page INDEX of the vDSO's mapping. */
u64 vdso_pfn(u64 index);
void fault_init(void);
/* Faults [start, end) in, as far as it works. => no lock */
void populate_range(struct space *s, u64 start, u64 end, enum fault_access access);

/* ---- pages, and entries for them ---- */

/* What stays of entry E in V when its page, or its poison, goes: the protection, if it is not the vma's own, and where
 * the page can come back from an object, that userfaultfd allows stores. */
static inline pte_t vma_entry_without_page(const struct vma *v, pte_t e)
{
    pte_t wp = v->object != NULL ? e & PTE_UFFD_WP : 0;

    return prot_effective(pte_prot(e)) == prot_effective(v->prot) && wp == 0 ? 0 : pte_mark(pte_prot(e)) | wp;
}

/* References to PAGE, which is mapped, that a cache has: an object's, or swap's. */
static inline u32 page_cache_refs(const struct page *page)
{
    return page->flags & PG_ANON ? (page->flags & PG_SWAPCACHE ? 1 : 0) : 1;
}

/* Stores to a cache page need no preparation any more. */
static inline bool page_takes_stores(const struct page *page)
{
    return (load_acquire(&page->flags) & (PG_DIRTY | PG_PLACED)) == (PG_DIRTY | PG_PLACED);
}
/* May a store go ahead without a fault when the page gets write permission? */
static inline bool page_is_store_ready(bool shared, const struct page *page)
{
    if (shared)
        return page_takes_stores(page);
    return (load_acquire(&page->flags) & PG_ANON) != 0 && load_relaxed(&page->refs) == 1;
}

/* Resident pages: a counter by what PAGE is. */
static inline enum rss_kind rss_kind(const struct page *page)
{
    if (page->flags & PG_ANON)
        return RSS_ANON;
    return page->flags & PG_MEMORY_ONLY ? RSS_SHMEM : RSS_FILE;
}
/* By whose pages they are. */
static inline enum rss_kind object_rss_kind(const struct object *o)
{
    return o->ops->read_pages != NULL ? RSS_FILE : RSS_SHMEM;
}
/* Before the resident pages become fewer: the peak. */
static inline void space_note_peak(struct space *s)
{
    u64 rss = load_relaxed(&s->rss[RSS_ANON]) + load_relaxed(&s->rss[RSS_FILE]) + load_relaxed(&s->rss[RSS_SHMEM]),
        peak = load_relaxed(&s->peak_rss);

    while (unlikely(rss > peak) && !atomic_cas(&s->peak_rss, &peak, rss))
        ; /* another hart has noted one, perhaps a higher */
}
static inline void space_count_page(struct space *s, const struct page *page, long change)
{
    atomic_add_relaxed(&s->rss[rss_kind(page)], change);
}

#endif
