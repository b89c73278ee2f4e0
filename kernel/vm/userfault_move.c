/*
 * UFFDIO_MOVE: private pages change their place in a space, without a copy. With the space locked for writing nobody
 * fills the holes or makes new ones: first a batch of pages leaves the source, then the TLBs forget them, then they
 * appear at their new place, so no store can go astray. Source: ioctl_userfaultfd(2).
 */
#include "vm/fault.h"
#include "vm/reclaim.h"
#include "vm/userfaults.h"

struct move {
    struct space *space;
    struct vma *from, *to;
    u64 start, source, length;
    bool allow_holes;
};

static bool contains(const struct vma *v, u64 start, u64 length)
{
    return v->start <= start && length <= v->end - start;
}

static bool is_private_memory(const struct vma *v) { return v->object == NULL && !(v->flags & VMA_VDSO); }

/* => write lock */
static int find_vmas(struct move *m, const struct userfault *u)
{
    m->to = vma_at(m->space, m->start);
    m->from = vma_at(m->space, m->source);
    if (m->to == NULL || m->from == NULL)
        return -ENOENT;
    if (userfault_is_changing(u))
        return -EAGAIN;
    if (!contains(m->to, m->start, m->length) || !contains(m->from, m->source, m->length) ||
        !is_private_memory(m->to) || !is_private_memory(m->from))
        return -EINVAL;
    if (m->from->prot != m->to->prot || !(m->from->prot & PROT_WRITE) ||
        ((m->from->flags ^ m->to->flags) & VMA_LOCKED) || m->to->userfault != u)
        return -EINVAL;
    return 0;
}

/* The place of the page at OFFSET must be free, and have a table. */
static int check_place(struct move *m, u64 offset)
{
    struct page *table;
    pte_t *pte = pt_make(m->space, m->start + offset, 0, &table), e;

    if (pte == NULL)
        return -ENOMEM;
    e = load_relaxed(pte);
    return e == 0 || (pte_is_mark(e) && !(e & (PTE_UFFD_WP | PTE_POISON))) ? 0 : -EEXIST;
}

static bool is_zero_page(pte_t e) { return pte_has_page(e) && (pte_page(e)->flags & PG_RESERVED); }

/* 1: *PAGE, with the entry's reference, has left the source; 0: a hole; or -errno. */
static int take_page(struct move *m, u64 offset, struct page **page)
{
    u64 va = m->source + offset;
    struct page *table;
    pte_t *pte = pt_make(m->space, va, 0, &table), e;
    int result = 1;

    if (pte == NULL)
        return -ENOMEM;
    table_lock(table);
    e = load_relaxed(pte);
    if (e == 0 || (pte_is_mark(e) && !(e & (PTE_UFFD_WP | PTE_POISON))))
        result = m->allow_holes ? 0 : -ENOENT;
    else if (pte_is_mark(e))
        result = -EFAULT;
    else if (!pte_has_page(e))
        result = -EAGAIN; /* its bytes are elsewhere: to be brought in first */
    else if (!is_zero_page(e) && load_acquire(&pte_page(e)->refs) != 1)
        result = -EBUSY;
    else
        pte_set(table, pte, vma_entry_without_page(m->from, e));
    table_unlock(table);
    if (result == 1)
        *page = pte_page(e);
    return result;
}

static void put_page(struct move *m, u64 offset, struct page *page)
{
    struct page *table;
    u64 va = m->start + offset;
    pte_t *pte = pt_find(m->space, va, &table);
    unsigned prot;

    if (page->flags & PG_LAZY)
        atomic_and(&page->flags, ~(u32)PG_LAZY);
    table_lock(table);
    prot = *pte == 0 ? m->to->prot : pte_prot(*pte);
    if (page->flags & PG_RESERVED)
        pte_set(table, pte, page_entry(zero_pfn, prot, 0));
    else
        pte_set(table, pte, page_entry(page_pfn(page), prot, (prot & PROT_WRITE ? PTE_W : 0) | PTE_D));
    table_unlock(table);
}

#define MOVE_BATCH 64

/* Pages from OFFSET on: the bytes moved, holes among them; *ERROR says why it ended early. */
static u64 move_batch(struct move *m, u64 offset, unsigned n, int *error)
{
    struct page *pages[MOVE_BATCH];
    bool any = false;
    unsigned i;

    for (i = 0; i < n; i++) {
        u64 at = offset + i * PAGE_SIZE;
        int taken;

        pages[i] = NULL;
        *error = check_place(m, at);
        taken = *error == 0 ? take_page(m, at, &pages[i]) : 0;
        if (taken < 0)
            *error = taken;
        if (*error != 0)
            break;
        any |= taken > 0;
    }
    if (any)
        tlb_flush_range(m->space, m->source + offset, m->source + offset + i * PAGE_SIZE);
    for (unsigned k = 0; k < i; k++)
        if (pages[k] != NULL)
            put_page(m, offset + k * PAGE_SIZE, pages[k]);
    return (u64)i * PAGE_SIZE;
}

static bool overlaps(const struct move *m)
{
    return m->start < m->source + m->length && m->source < m->start + m->length;
}

/* => write lock */
static u64 move_locked(struct move *m, u64 done, int *error)
{
    while (*error == 0 && done < m->length) {
        u64 pages = overlaps(m) ? 1 : MIN((m->length - done) >> PAGE_SHIFT, (u64)MOVE_BATCH);

        done += move_batch(m, done, (unsigned)pages, error);
    }
    return done;
}

/* A page that the clock has just tried to put elsewhere and that was wanted back has its reference for a moment more:
 * who waits until the clock is done may find it free. */
#define BUSY_TRIES 2

ssize_t userfault_move(struct userfault *u, u64 start, u64 source, u64 length, bool allow_holes)
{
    struct move m = {.space = u->space, .start = start, .source = source, .length = length, .allow_holes = allow_holes};
    unsigned busy = 0;
    u64 done = 0;
    int error;

    do {
        write_lock(&m.space->lock);
        error = find_vmas(&m, u);
        if (error == 0) {
            done = move_locked(&m, done, &error);
        } else if (error == -EAGAIN) {
            write_unlock(&m.space->lock);
            break;
        }
        write_unlock(&m.space->lock);
        if (error == -EAGAIN && fault_in(m.space, source + done, FAULT_READ, false) != FAULT_MAPPED)
            error = -EFAULT;
        if (error == -EBUSY && busy++ < BUSY_TRIES) {
            reclaim_pause(true);
            reclaim_pause(false);
            error = -EAGAIN;
        }
    } while (error == -EAGAIN && !fatal_signal_pending());
    return done > 0 ? (ssize_t)done : error;
}
