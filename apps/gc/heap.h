/*
 * The heap: pages, who they belong to, and how mutators take memory from them. heap.c has the pages, collect.c moves
 * objects, concurrent.c and generational.c decide when, trap.c answers faults.
 *
 * The heap's memory is mapped twice. Mutators use the first view, in which the collector takes pages away; the
 * collector uses the second, in which all pages can be read and written always. A value is an address in the first
 * view.
 *
 * A page is free or belongs to one of two spaces; which of them is to-space changes at each flip. No small object
 * crosses the end of a page, so any page can be scanned alone. An object larger than LARGE_BYTES has pages of its own
 * and never moves: it changes space by a note in the table.
 *
 * Locks, in this order: world (threads.h), collect_lock (copying and scanning: the to-space pages that are not open),
 * pages_lock (the table of pages: space, run, count of free ones).
 */
#ifndef GC_HEAP_H
#define GC_HEAP_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "value.h"

struct thread;
struct vm_range;

#define PAGE_BYTES ((size_t)4096)
#define PAGE_WORDS (PAGE_BYTES / sizeof(value))
#define CHUNK_PAGES 16 /* what a mutator takes at once */
#define LARGE_BYTES (PAGE_BYTES / 2)

enum collector { STOP, CONCURRENT, GENERATIONAL };
enum barrier { BARRIER_DIRTY, BARRIER_LOG, BARRIER_PROTECT };

enum { FREE, SPACE_A, SPACE_B, NURSERY };
enum page_kind { SMALL, LARGE, LARGE_REST, KEPT }; /* KEPT: small objects, some of which have left */
enum page_state { OPEN, UNSCANNED, WRITTEN };

struct page {
    uint8_t space;         /* FREE, SPACE_A, SPACE_B, NURSERY */
    uint8_t kind;          /* enum page_kind */
    _Atomic uint8_t state; /* UNSCANNED: closed to mutators until it has been scanned; WRITTEN: generational.c */
    uint8_t prot;          /* of the mutators' view of it, PROT_*; a log's first stores apart */
    uint32_t run;          /* LARGE: pages of the object; LARGE_REST: how far back its first page is */
};

struct heap {
    enum collector collector;
    char *base; /* the mutators' view */
    char *view; /* the collector's view */
    size_t page_count;
    struct page *pages;
    uint8_t *chunk_touched;   /* whether a chunk has been given memory in both views */
    uint8_t *chunk_free;      /* free pages of each chunk */
    uint8_t to_space;         /* SPACE_A or SPACE_B */
    atomic_size_t free_pages; /* changes with pages_lock */
    size_t used_after;        /* pages in use after the last collection */
    atomic_size_t trigger;    /* collect when no more than so many pages are free */
    size_t nursery_pages;     /* GENERATIONAL */
    enum barrier barrier;
    size_t paranoid; /* for tests: collect at every so many-th allocation in C, and close what was left */
    pthread_mutex_t collect_lock, pages_lock;
};

extern struct heap heap;

/* Makes a heap of BYTES. Returns 0 or -1 with errno. */
int heap_open(enum collector collector, size_t bytes);

static inline bool in_heap(const void *address)
{
    return (size_t)((char *)address - heap.base) < heap.page_count * PAGE_BYTES;
}
static inline size_t page_number(value v) { return (v - (value)heap.base) / PAGE_BYTES; }
static inline char *page_address(size_t page) { return heap.base + page * PAGE_BYTES; }
/* Where the collector finds what mutators know as V. */
static inline value *collector_words(value v) { return (value *)((char *)v + (heap.view - heap.base)); }

/*
 * An object of TYPE and LENGTH (words or bytes). The payload is not initialised: the caller fills it before its next
 * allocation. May collect, and so move everything: only what the roots of threads.h hold survives, at a new place.
 */
value allocate(struct thread *thread, enum type type, size_t length);
/* The same, all slots FILL, which is not kept over a collection by anybody but the caller's roots: *FILL is one. */
value allocate_filled(struct thread *thread, enum type type, size_t length, const value *fill);

/* Pages in a row, in SPACE; mutators get PROT of them. Returns the first, or -1. Takes pages_lock. */
ptrdiff_t take_pages(size_t count, uint8_t space, int prot);
/* Up to CHUNK_PAGES in a row, as many as *COUNT says then. */
ptrdiff_t take_chunk(size_t *count, uint8_t space, int prot);
/* Pages from FIRST to before END become free. */
void give_back(size_t first, size_t end);
/* What is in no space but to-space becomes free. */
void free_from_space(void);
/* Pages to use up before the next collection. */
size_t heap_used(void);

/* Mutators get the protections of these ranges, of which the table of pages is to tell. Does not fail. */
void protect(const struct vm_range *ranges, size_t count);
/* What the mutators' view of a page is closed and opened with. */
#define NO_ACCESS PROT_NONE
#define READ_ONLY PROT_READ
#define FULL_ACCESS (PROT_READ | PROT_WRITE)

/* THREAD's pages stay as they are: it takes others for its next object. */
void retire_chunk(struct thread *thread);

/* --- collect.c: with collect_lock, or all mutators stopped --- */

struct copier {
    size_t page;              /* where copies go */
    value *next, *end;        /* in the collector's view */
    size_t run_next, run_end; /* pages taken for copies */
    uint32_t *queue;          /* pages to scan, in the order of their filling */
    size_t queue_first, queue_last;
    size_t copied_words, scanned_pages;
    size_t kept_pages; /* of large objects that were found alive */
    int prot;          /* that mutators get of pages to scan */
};

extern struct copier copier;

/* What V is in to-space; copies it if it has not been. */
value forward(value v);
void forward_roots(void);
/* The flip: to-space is empty, what was allocated until now is from-space. */
void collect_begin(void);
/* A new round of copying into the same to-space. */
void copier_reset(void);
/* Copying has ended: the pages taken for it that are left become free. */
void copier_end(void);
/* Forwards what is on PAGE. The caller opens it. */
void scan_page(size_t page);
/* A page of the queue that has not been scanned, or -1. */
ptrdiff_t next_to_scan(void);
void scan_all(void);
void collect_stopped(struct thread *thread);
void set_trigger_of_semispaces(struct thread *thread);

/* --- The three ways --- */

/* Memory has run low, at a safepoint: collects, or helps to. */
void collect_when_needed(struct thread *thread);
/* Collects everything, with all mutators stopped at the end if need be. */
void collect_fully(struct thread *thread);

void concurrent_open(void);
void concurrent_need(struct thread *thread);
void concurrent_fully(struct thread *thread);
/* Ends the collection that is under way, if there is one; flips nothing. */
void concurrent_finish(struct thread *thread);

/* For the generational collector, whose full collections are cycles like these: one begins, with the world stopped, and
 * concurrent_wake when it runs again; a mutator that takes a page during it helps. */
bool concurrent_is_active(void);
/* A mutator touched a closed page: it is scanned, if it has not been. */
void concurrent_open_page(size_t page);
void concurrent_flip(void);
void concurrent_wake(void);
void concurrent_help(struct thread *thread);

void generational_open(void);
void generational_need(struct thread *thread);
void generational_fully(struct thread *thread);
ptrdiff_t generational_chunk(struct thread *thread, size_t *count);
/* The protection with which mutators get an old page. */
int generational_prot(void);
/* Pages have been given to mutators: stores to them are to be found. With pages_lock. */
void generational_opened(size_t first, size_t count);

_Noreturn void heap_exhausted(void);

#endif
