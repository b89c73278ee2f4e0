/*
 * Physical pages: one `struct page` per 4 KiB frame of RAM, and their allocator: a buddy system (vm/buddy.c) under
 * per-hart stacks (vm/page.c).
 *
 * A page is free, or has `refs` >= 1. Its flags say who owns it: page cache (object != NULL), private memory (PG_ANON),
 * page table (PG_TABLE), kernel memory (PG_SLAB, PG_KERNEL or none). The last page_put frees it.
 */
#ifndef VM_PAGE_H
#define VM_PAGE_H

#include "arch/riscv/layout.h"
#include "lib/atomic.h"
#include "lib/list.h"
#include "lib/types.h"

struct object;

struct page {
    union {
        struct {
            u32 refs;  /* 0 = free; of a page table: the spaces that share it */
            u32 flags; /* PG_*, changed atomically once the page is shared */
        };
        u64 refs_and_flags; /* both at one look */
    };
    union {
        struct list free_link;     /* free: in a free list */
        struct {                   /* page cache */
            struct object *object; /* NULL once truncated away; changes under object->lock */
            u64 index;             /* in pages */
        };
        struct { /* private page */
            void *none;
            u64 stored_after_fork; /* by one of two that had it together, who got a copy: vm/fork.c */
        };
        struct { /* page table: vm/pagetable.h */
            u32 table_lock;
            u16 table_live; /* entries that are not 0 */
            u16 table_level;
            u64 table_span; /* leaf tables: address >> 21 of what it covers */
        };
    };
    union {
        u64 private;                /* the owner's: slab, file system */
        struct page **table_behind; /* table of level 1: the leaf table behind each huge page; NULL: there are none */
        struct {                    /* page table, shared since a fork */
            u32 table_pages;        /* pages that it has, as the resident pages of all its spaces count them */
            u32 table_evicted;      /* of these, taken out since */
        };
    };
};
static_assert(sizeof(struct page) == 32, "descriptors may cost at most 1/128 of memory");

/* Of any page. */
#define PG_TABLE BIT(7)
#define PG_SLAB BIT(8)
#define PG_FREE BIT(9)      /* head of a free block, order in `private` */
#define PG_ZEROED BIT(10)   /* all zeros again: set by who is about to free it */
#define PG_RESERVED BIT(11) /* never free: firmware, kernel image, descriptors, holes */
#define PG_KERNEL BIT(13)   /* kernel memory by page_alloc: stacks, large kmalloc */
#define PG_WAITERS BIT(12)  /* somebody sleeps for LOADING or WRITEBACK */
/* Of the page cache: the life of such a page is told in vm/object.h. */
#define PG_UPTODATE BIT(0)   /* holds the object's bytes */
#define PG_LOADING BIT(1)    /* read_pages is under way; page_wait waits for its end */
#define PG_DIRTY BIT(2)      /* newer than the disk */
#define PG_WRITEBACK BIT(3)  /* write_pages is under way */
#define PG_ERROR BIT(4)      /* the last read failed */
#define PG_REFERENCED BIT(5) /* used since the clock's hand passed */
/* Every byte of it below the file's size has a place on the disk: stores need not ask prepare_write. */
#define PG_PLACED BIT(14)
#define PG_MEMORY_ONLY BIT(15) /* of an object that has no disk: counted as shared memory */
#define PG_FETCHABLE BIT(16)   /* instruction fetch on every hart sees its bytes (fence.i was done) */
#define PG_UNTOUCHED \
    BIT(27) /* reserved by fallocate in memory: while it has no PG_REFERENCED, nobody has used it (mincore) */
#define PG_RUN BIT(19)     /* came with the 511 others of its 2 MiB; the first has it while all are there: vm/run.h */
#define PG_TOUCHED BIT(24) /* was used through a mapping that has ended (vm/prefault.c), */
#define PG_TOUCHED_LAST BIT(25) /* ... the last of these, */
#define PG_COPIED BIT(26)       /* ... or copied for a store to a private one */
/* Of private memory. */
#define PG_ANON BIT(6)
#define PG_SWAPCACHE BIT(17)      /* in the swap cache: vm/swap.h; its slot in `private` */
#define PG_INCOMPRESSIBLE BIT(18) /* the compressed store did not want it */
#define PG_READ_AHEAD BIT(23)     /* in the swap cache because of a neighbour; nobody has asked for it yet */
#define PG_LAZY BIT(20)           /* given up by MADV_FREE: goes when memory is low, if not stored to: vm/lazy.h */
#define PG_DROPPABLE BIT(22)      /* of a VMA_DROPPABLE */
/* Of a leaf table. */
#define PG_HUGE BIT(21) /* its 512 pages lie together and are a huge page: vm/pagetable.h */

extern struct page *page_array; /* indexed by pfn, from first_pfn to end_pfn */
extern u64 first_pfn, end_pfn;

/* A descriptor's address, scaled, and its page's are apart by something that boot fixes. */
#define PAGE_DESCRIPTOR_SHIFT 5
static_assert(sizeof(struct page) == 1u << PAGE_DESCRIPTOR_SHIFT, "the two follow each other by shifts");
extern u64 page_to_address, address_to_page;

static inline void page_set_array(struct page *array)
{
    page_array = array;
    page_to_address = (u64)phys_to_virt(0) - ((u64)array << (PAGE_SHIFT - PAGE_DESCRIPTOR_SHIFT));
    address_to_page = (u64)array - ((u64)phys_to_virt(0) >> PAGE_SHIFT << PAGE_DESCRIPTOR_SHIFT);
}

static inline u64 page_pfn(const struct page *p) { return (u64)(p - page_array); }
static inline struct page *pfn_page(u64 pfn) { return page_array + pfn; }
static inline void *page_address(const struct page *p)
{
    return (void *)(((u64)p << (PAGE_SHIFT - PAGE_DESCRIPTOR_SHIFT)) + page_to_address);
}
static inline struct page *address_page(const void *p)
{
    return (struct page *)(((u64)p >> PAGE_SHIFT << PAGE_DESCRIPTOR_SHIFT) + address_to_page);
}

#define ALLOC_ZERO BIT(0)    /* all zeros */
#define ALLOC_NO_WAIT BIT(1) /* neither sleep nor reclaim: for interrupts and under spinlocks */
#define ALLOC_RESERVE BIT(2) /* may use the last reserve: for those who free memory by it (write-back) */
#define ALLOC_USER BIT(3)    /* for user memory: fails earlier, so that the kernel keeps a reserve */

/* One page, or 2^order aligned contiguous ones, with refs = 1 (the head's; order is the caller's to remember). NULL
 * when there is none even after reclaim. Sleeps unless ALLOC_NO_WAIT. */
struct page *page_alloc(unsigned alloc_flags);
struct page *page_alloc_order(unsigned order, unsigned alloc_flags);
/* One page, all zeros, for what cannot be moved and may stay long (page tables): such pages come from blocks of their
 * own, so that few blocks have one. As page_alloc(ALLOC_ZERO). */
struct page *page_alloc_grouped(void);
void page_free(struct page *page);
void page_free_order(struct page *page, unsigned order);
static inline void page_get(struct page *p) { atomic_add_relaxed(&p->refs, 1); }
static inline void page_put(struct page *p)
{
    if (atomic_sub(&p->refs, 1) == 0)
        page_free(p);
}
/* page_put of each; few enough that interrupts may be off meanwhile. */
void page_put_many(struct page **pages, unsigned n);

/* A private page to which nobody but one entry refers, and nothing more is to be said about it. */
#define PAGE_ALONE ((u64)PG_ANON << 32 | 1)
static inline bool page_is_alone(const struct page *p) { return load_relaxed(&p->refs_and_flags) == PAGE_ALONE; }

/* P, fresh, becomes a private page of user memory; page_free ends that. */
void page_make_anonymous(struct page *p);
/* 512 aligned ones that lie together, zeroed if ZERO, with these flags; NULL: there is no such block without waiting.
 */
struct page *page_alloc_huge(bool zero, u32 page_flags);
/* The 512 of them, of which this is the only reference to each. False, and nothing is done, where it is not. */
bool page_free_huge(struct page *head);
/* What this hart keeps goes back to where it can merge (vm/buddy.h), but for what page_alloc_grouped has. */
void page_drain(void);
/* The free pages among the 512 from FIRST on, whose bits in CLAIMED are set: the caller has a reference to each. How
 * many they are. */
unsigned page_claim_free(u64 first, u64 *claimed);
#define HUGE_ORDER 9
#define HUGE_PAGES (1u << HUGE_ORDER)
extern u64 nr_anon_pages;

u64 page_total_count(void); /* pages that the allocator manages */
u64 page_free_count(void);  /* free ones, those kept per hart included */
u64 page_reserve(void);     /* of these, what user memory may not have */

struct memory_stats {
    u64 total, free, reserved; /* pages */
    u64 cached, dirty, writeback, anon, huge, tables, slab, kernel, shmem, shmem_swapped, shmem_huge, shmem_huge_mapped;
};
void memory_stats(struct memory_stats *stats);

/* Boot: RAM is [start, end); the ranges of RESERVED are in use. Allocates the descriptors from RAM itself. */
struct phys_range {
    u64 start, end;
};
void page_init(struct phys_range ram, const struct phys_range *reserved, unsigned n_reserved);
/* An idle hart fills the pool of zeroed pages; false when there is nothing to do. */
bool page_zero_one(void);

#endif
