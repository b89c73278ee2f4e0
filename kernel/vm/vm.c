/* Bringing vm/ up, and its figures for /proc. */
#include "vm/vm.h"
#include "vm/cache.h"
#include "vm/huge.h"
#include "vm/kmalloc.h"
#include "vm/run.h"
#include "vm/swapobj.h"
#include "vm/tlb.h"

void vm_init(void)
{
    tlb_init();
    fault_init();
    cache_init();
    huge_init();
}

void memory_stats(struct memory_stats *stats)
{
    u64 known;

    *stats = (struct memory_stats){
        .total = page_total_count(),
        .free = page_free_count(),
        .reserved = end_pfn - first_pfn - page_total_count(),
        .cached = load_relaxed(&nr_cached_pages),
        .dirty = load_relaxed(&nr_dirty_pages),
        .writeback = load_relaxed(&nr_writeback_pages),
        .tables = pt_count(),
        .slab = kmalloc_pages(),
        .shmem = load_relaxed(&nr_memory_pages),
        .shmem_swapped = load_relaxed(&nr_memory_swapped),
        .anon = load_relaxed(&nr_anon_pages),
        .huge = load_relaxed(&nr_huge_pages) * HUGE_PAGES,
        .shmem_huge = load_relaxed(&nr_runs) * HUGE_PAGES,
        .shmem_huge_mapped = load_relaxed(&nr_huge_shared) * HUGE_PAGES,
    };
    known = stats->free + stats->cached + stats->tables + stats->slab + stats->shmem + stats->anon;
    stats->kernel =
        stats->total > known ? stats->total - known : 0; /* stacks, buffers, what page_alloc gave to the rest */
}
