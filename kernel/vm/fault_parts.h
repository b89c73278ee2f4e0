/*
 * What the files of the page-fault path share: fault.c decides, fault_private.c has private memory, fault_object.c the
 * pages of objects.
 */
#ifndef VM_FAULT_PARTS_H
#define VM_FAULT_PARTS_H

#include "vm/fault.h"
#include "vm/object.h"
#include "vm/userfaults.h"

/* What is asked for besides the results of space_fault, once space->lock is given up; or to begin again. */
enum { FAULT_AGAIN = 100, FAULT_GROW, FAULT_LOAD, FAULT_PREPARE, FAULT_SWAP_IN, FAULT_ASK };

#define NOT_OURS (-1) /* userfaultfd has nothing to do with it */

struct fault {
    struct space *space;
    u64 va; /* page aligned */
    u64 address;
    enum fault_access access;
    enum fault_origin origin;
    bool loaded; /* the object has the page because of this fault */
    struct vma *vma;
    pte_t *pte, old;
    struct page *table;
    unsigned prot;
    /* for FAULT_LOAD and FAULT_PREPARE: a referenced file keeps the object */
    struct file *file;
    struct object *object;
    u64 index;
    bool prepare; /* the page is wanted for stores */
    enum run_wish wish;
    u32 advice;        /* VMA_RANDOM or VMA_SEQUENTIAL, or none */
    struct page *page; /* referenced; FAULT_PREPARE */
    u64 slot;          /* pinned; FAULT_SWAP_IN */
    /* for FAULT_ASK: in the line of this context, which is referenced */
    struct userfault *userfault;
    struct userfault_wait wait;
};

static inline bool is_write(const struct fault *f) { return f->access == FAULT_WRITE; }

/* For a page that is being stored to. */
static inline pte_t writable_entry(const struct page *page, unsigned prot)
{
    return page_entry(page_pfn(page), prot, prot & PROT_WRITE ? PTE_W | PTE_D : PTE_D);
}

/* E as it is before the page is used: a hart that sets A by itself tells then which pages of many were. False once one
 * was seen that leaves it to us: another fault for each page would cost more than that is worth. */
extern bool harts_set_accessed;
static inline pte_t unused_entry(pte_t e) { return load_relaxed(&harts_set_accessed) ? e & ~PTE_A : e; }

/* ---- fault_private.c. => space->lock for reading ---- */

/* The first touch of a private page, whose entry was OLD: a store gets a fresh page, a read the page of zeros, and
 * perhaps the rest of the table with it. FAULT_MAPPED also where the entry has changed; FAULT_NO_MEMORY. */
int fault_map_fresh(struct space *s, struct page *table, pte_t *pte, pte_t old, unsigned prot);
int fault_map_zeros(struct space *s, const struct vma *v, u64 va, struct page *table, pte_t *pte, pte_t old,
                    unsigned prot);
/* The first store into an untouched span: 512 zeroed pages at once. False: one page, then. */
bool fault_huge(struct fault *f);
/* A store to a present private page without W. */
int fault_copy(struct fault *f);
/* A page that was put elsewhere comes back, or is asked for by FAULT_SWAP_IN. */
int fault_swap(struct fault *f);
enum fault_result fault_swap_in(struct fault *f); /* => no lock */
/* The private page that a store to a VMA_DROPPABLE found or got is noted as such. */
void fault_note_droppable(struct fault *f);
/* An anonymous copy of FROM, which may be the page of zeros; NULL: no memory. */
struct page *fault_copy_of(const struct page *from);

/* PAGE is copied for a store. If it is an object's, the next one who executes the program will want that, too; if it is
 * private, the next child of who keeps it. */
static inline void note_copied(struct page *page)
{
    u32 flags = load_relaxed(&page->flags);

    if (flags == PG_ANON)
        store_relaxed(&page->stored_after_fork, 1);
    else if (!(flags & (PG_ANON | PG_COPIED)))
        atomic_or(&page->flags, PG_COPIED);
}

/* ---- fault_object.c. => space->lock for reading ---- */

/* Asks for FAULT_LOAD or FAULT_PREPARE, which is REQUEST. */
int fault_with_file(struct fault *f, int request);
static inline enum run_wish fault_run_wish(const struct fault *f)
{
    if (f->space->no_huge_pages || (f->vma->flags & VMA_NOHUGEPAGE))
        return RUN_FORBIDDEN;
    return f->vma->flags & VMA_HUGEPAGE ? RUN_ADVISED : RUN_PLAIN;
}
/* The page is not there, and the vma has an object. */
int fault_object(struct fault *f);
/* A store to a present page of a shared mapping: once the page is prepared, W is added. */
int fault_shared_store(struct fault *f);
/* FAULT_LOAD: the object gets the page; FAULT_PREPARE: it may be stored to. => no lock */
enum fault_result fault_load_page(struct fault *f);
enum fault_result fault_prepare_page(struct fault *f);

#endif
