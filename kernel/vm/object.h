/*
 * An object is what has pages by offset and can be mapped: an open file's cache, a tmpfs file, shared anonymous memory.
 * read(), write() and every mapping use the same pages, so they are always coherent.
 *
 *                        +--------+   radix tree    +------+------+------+
 *   inode / tmpfs file   | object |---------------->| page | page | page |   PG_UPTODATE, PG_DIRTY (tag), PG_WRITEBACK
 *        embeds one      +--------+                 +------+------+------+
 *                             |  mappings: interval tree of vmas
 *                             +-------> vma (space A) ----> vma (space B)
 *
 * Life of a cache page: inserted LOADING -> read_pages -> page_read_done -> UPTODATE -> [DIRTY -> WRITEBACK ->]* ->
 * evicted or truncated.
 *
 * Locks: `lock` (spin, irqsave) guards pages, counters and page->object; `mappings_lock` (sleeping) the tree. Their
 * place in the order is told in vm/vma.h. The file system serialises writers and truncation (inode->lock).
 */
#ifndef VM_OBJECT_H
#define VM_OBJECT_H

#include "lib/radix.h"
#include "lib/tree.h"
#include "sched/wait.h"
#include "vm/page.h"
#include "vm/uio.h"

struct object;

struct object_ops {
    /* Starts reading N pages of consecutive indices (all PG_LOADING, not zeroed); each one ends in page_read_done(),
     * before or after the return. Bytes past object->size and holes read as zeros. NULL: pages start as zeros (tmpfs).
     */
    void (*read_pages)(struct object *o, struct page **pages, unsigned n);
    /* Starts writing N consecutive pages (all PG_WRITEBACK, no longer PG_DIRTY); each ends in page_write_done(). Bytes
     * past object->size are already zero in the pages; blocks past it are not written, and blocks that have no place
     * (holes of which only zeros were made dirty) neither. NULL: memory is the only store (tmpfs); pages are never
     * clean. */
    void (*write_pages)(struct object *o, struct page **pages, unsigned n);
    /* Bytes [from, to) of page INDEX are about to change, by write() or by the first store through a mapping: make sure
     * that they have a place (allocate blocks). The page's cache is already UPTODATE. May sleep, not under spinlocks.
     * 0, -ENOSPC, -EIO, -EDQUOT, -EROFS; -ERANGE: they lie past the file's end by now. NULL: nothing to do. */
    int (*prepare_write)(struct object *o, u64 index, unsigned from, unsigned to);
    /* write(2) on file systems whose sizes and blocks change in transactions: bytes [from, to) of PAGE, which is in the
     * cache, get a place, PUBLISH(arg, 0) makes them and the new size visible, and both are recorded, in one
     * transaction. On failure PUBLISH(arg, error), which leaves a page whose blocks may be new dirty. PUBLISH is called
     * once and does not sleep. NULL: prepare_write. */
    int (*store)(struct object *o, struct page *page, unsigned from, unsigned to, void (*publish)(void *arg, int error),
                 void *arg);
    /* Objects whose bytes are a part of transactions, too (ext3's data=journal): instead of write_pages, writes the
     * dirty pages of [first, last], which it gets from object_take_dirty; WAIT: also those that others are writing.
     * Each write(2) goes to `store`, which records its bytes and leaves the page as clean as it was. NULL: write_pages.
     * An object's operations may change from one sort to the other; `write_pages` of this sort is for those who did not
     * know yet, and makes the pages dirty again. */
    void (*write_range)(struct object *o, u64 first, u64 last, bool wait);
    /* With `store`: whether bytes [from, to) have a place already and are below the size: then no transaction is
     * needed. */
    bool (*is_placed)(struct object *o, u64 index, unsigned from, unsigned to);
    /* A page is about to be stored to through a mapping, the first time since it was clean: file times (mmap(2),
     * "Timestamps changes for file-backed mappings"). Called under spinlocks. 0, or -EROFS. NULL: nothing. */
    int (*mapping_stored)(struct object *o);
    /* Memory only: whether the 2 MiB around page INDEX shall come as one (vm/run.h), for a mapping that was ADVISED so
     * or for anybody; and counts them, 0 or -ENOSPC. NULL: never. */
    bool (*wants_run)(struct object *o, u64 index, bool advised);
    int (*charge_run)(struct object *o);
    /* The object got its first dirty page (or its first since it was clean). Called under spinlocks: queue it, no more.
     * NULL: nothing. */
    void (*dirtied)(struct object *o);
};

struct object {
    const struct object_ops *ops;
    struct spinlock lock;
    struct radix pages; /* tag = dirty */
    u64 size;           /* bytes; the file's length. Changes by object_write and object_set_size only. */
    u64 nr_pages, nr_dirty;
    bool stays_in_memory;                /* its pages do not go to swap: shmctl(SHM_LOCK) */
    u32 writeback;                       /* pages under write-back: */
    u64 writeback_first, writeback_last; /* they lie between these, while there are some */
    int error;                           /* a failed write-back since the last report: -EIO, -ENOSPC */
    u32 error_sequence;                  /* counts them; files remember what they have reported */
    int read_error;                      /* why a page could not be read the last time: -EIO, -ENOMEM */
    struct mutex mappings_lock;
    struct tree mappings; /* the vmas that show it: vm/mappings.h */
};

/* That its size takes, the last one perhaps in part. */
static inline u64 object_pages(const struct object *o) { return DIV_ROUND_UP(load_relaxed(&o->size), PAGE_SIZE); }

/* Per open file: what sequential reading looks like so far. */
struct readahead {
    u64 next;        /* index after the last page read */
    u64 ahead;       /* first index not yet asked for */
    unsigned window; /* pages; 0 = random access */
    bool disabled;   /* POSIX_FADV_RANDOM: nothing but what is asked for */
    bool doubled;    /* POSIX_FADV_SEQUENTIAL: windows may be twice as large */
};

void object_init(struct object *o, const struct object_ops *ops);
/* Frees all pages, dirty or not. => no mappings, no I/O started any more by others. */
void object_destroy(struct object *o);

/* read(2), write(2) on the cache at *POS, which advances; bytes or -errno (if none). object_read stops at `size`.
 * object_write extends `size` as it goes; the caller holds the file system's write lock for the file and deals with
 * times, O_APPEND and limits. */
ssize_t object_read(struct object *o, struct uio *u, u64 *pos, struct readahead *ra);
ssize_t object_write(struct object *o, struct uio *u, u64 *pos);

/* The page at INDEX, loaded, with a reference: ERR_PTR(-EIO, -ENOMEM). RA may be NULL. Does not look at `size`. */
struct page *object_get_page(struct object *o, u64 index, struct readahead *ra);
/* The same if it is cached and loaded, else NULL; never sleeps. */
struct page *object_find_page(struct object *o, u64 index);
/* PAGE, fresh, was made to be there, not to be used. */
void page_note_untouched(struct page *page);
/* mincore(2): the page is loaded, and was used by somebody. Does not count as a use. */
bool object_is_in_core(struct object *o, u64 index);
/* Marks a loaded page of the object dirty (directory blocks, symlinks, and this module's own). */
void page_set_dirty(struct page *page);
void object_start_readahead(struct object *o, u64 index, unsigned n_pages); /* WILLNEED */

/* The file system's half of a page's I/O. Callable in interrupts. */
void page_read_done(struct page *page, int error);
void page_write_done(struct page *page, int error);

/* Changes `size`. Smaller: pages (and private copies) past the end leave every mapping at once and the cache; the rest
 * of the last page becomes zeros. Larger: the old last page is zero past the old end. The caller frees blocks
 * afterwards. -EIO, -ENOMEM: nothing has changed. */
int object_set_size(struct object *o, u64 size);
/* Drops whole pages of [from, to) bytes (a punched hole), zeroes partial ones; unmaps them. */
int object_punch(struct object *o, u64 from, u64 to);
/* The blocks of that hole are free now: pages that it covers in part have no place for what it covers. 0, -EIO,
 * -ENOMEM. */
int object_unplace(struct object *o, u64 from, u64 to);
/* Writes dirty pages of [from, to] bytes; WAIT: until they are on the disk (its cache). 0 or the first error. */
int object_writeback(struct object *o, u64 from, u64 to, bool wait);
#define OBJECT_END UINT64_MAX
/* Until those that are being written now have been. */
void object_wait_for_writes(struct object *o);
/* For write_range: the next run of at most MOST dirty pages in [*INDEX, last] becomes PG_WRITEBACK, with references,
 * and mappings cannot store to them: how many. Each ends in page_write_done. A page that is still being written is
 * waited for if WAIT, else passed by. */
unsigned object_take_dirty(struct object *o, u64 *index, u64 last, bool wait, struct page **batch, unsigned most);
/* Drops clean pages to which nobody but the cache refers, mappings neither: how many. */
u64 object_drop_clean_range(struct object *o, u64 first, u64 last); /* pages, inclusive */
static inline u64 object_drop_clean(struct object *o) { return object_drop_clean_range(o, 0, UINT64_MAX); }
/* Whether some shared mapping may be, or become, writable. */
bool object_has_writable_mapping(struct object *o);
/* How many mappings show it. */
u64 object_mapping_count(struct object *o);
/* cachestat(2): what there is of pages [first, last]. */
struct cache_counts {
    u64 cached, dirty, writeback;
    u64 evicted; /* in swap: of files with a place on a disk nobody remembers that they were here */
};
void object_count_cached(struct object *o, u64 first, u64 last, struct cache_counts *counts);
/* SEEK_DATA/SEEK_HOLE and mincore for memory-only objects: is there a page? */
bool object_has_page(struct object *o, u64 index);

#endif
