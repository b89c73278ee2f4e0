/* A slot from inside: vm/swap.c, which owns them, and those who move bytes from one place to another (swapin.c,
 * swapold.c, swapdev.c). */
#ifndef VM_SWAPSLOT_H
#define VM_SWAPSLOT_H

#include "vm/swap.h"

enum slot_kind {
    SLOT_FREE,    /* `where` is the next free slot */
    SLOT_NOWHERE, /* the bytes are only in `page` */
    SLOT_FILL,    /* all words of the page are `where` */
    SLOT_POOL,    /* compressed: handle and size in `where` */
    SLOT_DEVICE,  /* on the block `where` */
};

struct swap_slot {
    u32 refs;      /* entries and markers */
    u16 pins;      /* threads that are about to bring it in */
    u8 kind;       /* enum slot_kind */
    bool is_young; /* stored since the hand that looks for old ones passed */
    u64 where;
    struct page *page; /* in the swap cache, or NULL */
};
static_assert(sizeof(struct swap_slot) == 24, "170 to a page");

#define SLOT_SIZE_BITS 12 /* of `where` of a POOL slot: the compressed size */
static inline u64 slot_handle(const struct swap_slot *s) { return s->where >> SLOT_SIZE_BITS; }
static inline unsigned slot_size(const struct swap_slot *s) { return s->where & (BIT(SLOT_SIZE_BITS) - 1); }

u64 swap_slot_limit(void); /* all numbers are below */
struct swap_slot *swap_slot(u64 slot);
struct swap_slot *swap_lock(u64 slot); /* the same, with the slot's lock held */
void swap_unlock(u64 slot);
/* A pin fewer: the slot may be gone after this. => slot not locked */
void swap_unpin(u64 slot);
void swap_count_written_back(u64 n);
void *swap_table_page(void); /* of zeros, for tables, in eviction, too; address_page's page_put frees it; NULL */

/* => slot locked, as for those below. The stored bytes are freed, wherever they are: NOWHERE. */
void swap_forget_copy(struct swap_slot *s);
/* PAGE enters the swap cache, which takes over one reference of the caller's; and leaves it, the other way round. */
void swap_cache(u64 slot, struct swap_slot *s, struct page *page);
struct page *swap_uncache(struct swap_slot *s);
/* The bytes of S, FILL or POOL, into PAGE. False: they are damaged. */
bool swap_unpack(const struct swap_slot *s, struct page *page);

extern struct swap_stats swap_counts; /* atomic */

#endif
