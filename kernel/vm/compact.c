/*
 * Compaction: one block of 512 pages is emptied by moving the private pages in it to wherever there is room. Nothing
 * leads from a private page to its entries, so that is done as eviction does it, for the pages of the one block:
 *
 *     block:  . a . . b .     1. its free pages are taken from the allocator, so nobody gets them meanwhile
 *               |     |       2. the clock's walk over all tables replaces the entries of a and b: they have slots of
 *             entries            swap now, and are in the swap cache
 *                             3. each is copied, and the copy is the slot's page; whoever touches it finds that
 *             . . . . . .     4. all 512 are ours, and go back as one
 *
 * If any page stays (locked by mlock, or in use by somebody else) the others are freed one by one, and a later attempt
 * begins behind this block. Blocks with anything else in them, such as files' pages, are not tried.
 */
#include "vm/compact.h"
#include "vm/huge.h"
#include "vm/reclaim.h"
#include "vm/swap.h"
#include "vm/swapout.h"

/* More pages than these in a block are too much to copy. */
#define MOST_USED (HUGE_PAGES / 2)

static u64 next_block; /* where the search begins: pfn. => reclaim_pause */

static bool is_movable(const struct page *page)
{
    const u32 known = PG_ANON | PG_LAZY | PG_REFERENCED | PG_INCOMPRESSIBLE | PG_SWAPCACHE;
    u32 flags = load_relaxed(&page->flags);

    return (flags & PG_ANON) && !(flags & ~known);
}

/* How many pages of the block at FIRST are to be moved; more than MOST_USED: it cannot be, or is not worth it. */
static unsigned count_used(u64 first)
{
    unsigned used = 0;

    for (u64 pfn = first; pfn < first + HUGE_PAGES && used <= MOST_USED;) {
        const struct page *page = pfn_page(pfn);

        if (load_relaxed(&page->flags) & PG_FREE) { /* the order may be old, in which case the rest will show it */
            pfn += 1ul << MIN(load_relaxed(&page->private), (u64)HUGE_ORDER);
            continue;
        }
        used += is_movable(page) ? 1 : MOST_USED + 1;
        pfn++;
    }
    return used;
}

/* From where the last search ended on, the next block that can be emptied; 0. The fewer pages are left over, the
 * better, but the first that is nearly empty will do. */
static u64 choose_block(void)
{
    u64 low = ALIGN_UP(first_pfn, (u64)HUGE_PAGES), n = (ALIGN_DOWN(end_pfn, (u64)HUGE_PAGES) - low) / HUGE_PAGES,
        best = 0;
    unsigned least = MOST_USED + 1;

    if (next_block < low || next_block >= low + n * HUGE_PAGES)
        next_block = low;
    for (u64 i = 0, block = next_block; i < n && least > HUGE_PAGES / 8; i++) {
        unsigned used = count_used(block);

        if (used > 0 && used < least) {
            least = used;
            best = block;
        }
        block = block + HUGE_PAGES < low + n * HUGE_PAGES ? block + HUGE_PAGES : low;
    }
    if (best != 0)
        next_block = best + HUGE_PAGES;
    return best;
}

static bool has(const u64 *set, unsigned i) { return set[i / 64] >> i % 64 & 1; }

static bool empty_block(u64 first)
{
    u64 ours[HUGE_PAGES / 64] = {0};
    unsigned n = page_claim_free(first, ours);
    bool done;

    swapout_move(pfn_page(first), HUGE_PAGES);
    for (unsigned i = 0; i < HUGE_PAGES; i++) {
        if (!has(ours, i) && swap_move(pfn_page(first + i))) {
            ours[i / 64] |= 1ul << i % 64;
            n++;
        }
    }
    done = n == HUGE_PAGES;
    for (unsigned i = 0; i < HUGE_PAGES; i++)
        if (!done && has(ours, i))
            page_put(pfn_page(first + i));
    if (done)
        (void)page_free_huge(pfn_page(first));
    return done;
}

bool compact_memory(void)
{
    bool done = false;
    u64 first;

    if (page_free_count() < page_reserve() + 2 * HUGE_PAGES)
        return false;
    reclaim_pause(true);
    page_drain();
    first = choose_block();
    if (first != 0)
        done = empty_block(first);
    reclaim_pause(false);
    if (first != 0)
        atomic_add_relaxed(done ? &huge_counts.compacted : &huge_counts.not_compacted, 1);
    return done;
}
