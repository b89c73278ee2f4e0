/*
 * Reading ahead. A sequential reader gets a window that doubles from 16 KiB to 512 KiB; when it reaches the middle of
 * the window, the next one is started, so that the disk works while the reader does. Faults read the aligned 64 KiB
 * around the page; MADV_RANDOM: the page; MADV_SEQUENTIAL: 512 KiB from it on, and use through such a mapping does not
 * keep a page in memory (rmap.c). POSIX_FADV_RANDOM turns this off for an open file, POSIX_FADV_SEQUENTIAL doubles it.
 *
 *        ra->next           ra->ahead
 *   read ....|.................|
 *            ^ half of the window left: start [ahead, ahead + 2 * window)
 */
#include "vm/cache.h"

#define FIRST_WINDOW 4
#define MAX_WINDOW 128
#define FAULT_WINDOW 16

/* The next window of RA, which had one or not. */
static unsigned next_window(const struct readahead *ra)
{
    return ra->window == 0 ? (unsigned)FIRST_WINDOW << ra->doubled
                           : MIN(ra->window * 2, (unsigned)MAX_WINDOW << ra->doubled);
}

/* The longest run of missing pages from *INDEX on, entered as LOADING into BATCH: how many. *INDEX advances behind what
 * was looked at. */
static int fill_batch(struct object *o, u64 *index, u64 end, struct page **batch, unsigned *n, bool below_size)
{
    *n = 0;
    while (*index < end && *n < MAX_IO_PAGES) {
        struct page *page;
        int error;

        if (object_has_page(o, *index)) {
            if (*n > 0)
                return 0;
            (*index)++;
            continue;
        }
        page = page_alloc(ALLOC_USER | (*n > 0 ? ALLOC_NO_WAIT : 0));
        if (page == NULL)
            return *n > 0 ? 0 : -ENOMEM;
        page->flags = PG_LOADING;
        error = object_insert(o, *index, page, below_size);
        if (error == 0)
            batch[(*n)++] = page;
        page_put(page);
        if (error == -EEXIST && *n > 0)
            return 0;
        if (error != 0 && error != -EEXIST)
            return *n > 0 ? 0 : error;
        (*index)++;
    }
    return 0;
}

int start_reading(struct object *o, u64 index, unsigned n_pages, bool below_size)
{
    struct page *batch[MAX_IO_PAGES];
    u64 first = index, end = index + n_pages;
    unsigned n;

    while (index < end) {
        int error = fill_batch(o, &index, end, batch, &n, below_size);

        if (n > 0)
            o->ops->read_pages(o, batch, n);
        if (error != 0)
            return index == first ? error : 0;
    }
    return 0;
}

/* The window must not reach past the last page of the file. */
static unsigned clip(const struct object *o, u64 first, unsigned n)
{
    u64 pages_in_file = object_pages(o);

    if (first >= pages_in_file)
        return 1;
    return (unsigned)MIN((u64)n, pages_in_file - first);
}

unsigned readahead_miss(struct object *o, struct readahead *ra, u64 index, u64 *first)
{
    *first = index;
    if (ra == NULL) {
        *first = ALIGN_DOWN(index, (u64)FAULT_WINDOW);
        return clip(o, *first, FAULT_WINDOW);
    }
    if (ra->disabled || (index != ra->next && index != 0)) {
        ra->window = 0;
        return 1;
    }
    ra->window = next_window(ra);
    ra->ahead = index + ra->window;
    return clip(o, index, ra->window);
}

void readahead_hit(struct object *o, struct readahead *ra, u64 index)
{
    unsigned n;

    if (!readahead_is_due(ra, index) || ra->ahead >= object_pages(o))
        return;
    ra->window = next_window(ra);
    n = clip(o, ra->ahead, ra->window);
    start_reading(o, ra->ahead, n, true);
    ra->ahead += n;
}

void object_start_readahead(struct object *o, u64 index, unsigned n_pages)
{
    if (!object_is_memory(o) && index < object_pages(o))
        start_reading(o, index, clip(o, index, n_pages), true);
}
