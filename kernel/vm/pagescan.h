/* The PAGEMAP_SCAN ioctl's walk: which pages of a range are what, and, in the same step, write protection of those that
 * were written to. Source: Linux's admin-guide/mm/pagemap. */
#ifndef VM_PAGESCAN_H
#define VM_PAGESCAN_H

#include "lib/types.h"

struct space;

/* What a page can be. */
#define PAGE_IS_WPALLOWED BIT(0)  /* userfaultfd protects it asynchronously: WRITTEN means something */
#define PAGE_IS_WRITTEN BIT(1)    /* since it was protected */
#define PAGE_IS_FILE BIT(2)       /* of a file, or of shared memory */
#define PAGE_IS_PRESENT BIT(3)    /* in memory */
#define PAGE_IS_SWAPPED BIT(4)    /* in swap */
#define PAGE_IS_PFNZERO BIT(5)    /* the page of zeros */
#define PAGE_IS_HUGE BIT(6)       /* part of a huge page */
#define PAGE_IS_SOFT_DIRTY BIT(7) /* written to since clear_refs */
#define PAGE_CATEGORIES 0xffull

/* struct pm_scan_arg's flags */
#define PM_SCAN_WP_MATCHING BIT(0)   /* protect what is found and was written to; leave out what cannot be protected */
#define PM_SCAN_CHECK_WPASYNC BIT(1) /* fail if anything cannot be protected */

struct page_region { /* the ABI's */
    u64 start, end, categories;
};

struct page_scan {
    u64 flags, start, end, max_pages;
    u64 inverted, mask, any_of, returned; /* categories */
    struct page_region *regions;          /* NULL: nothing is reported, only protected */
    unsigned room;                        /* entries of REGIONS */
    /* out */
    u64 found_pages; /* so far: a scan may go on with new room */
    unsigned n_regions;
    u64 walk_end; /* where it stopped for lack of room; 0: it did not */
};
/* 0, -EPERM (PM_SCAN_CHECK_WPASYNC), -ENOMEM; n_regions are valid in any case. */
int space_scan_pages(struct space *space, struct page_scan *scan);

#endif
