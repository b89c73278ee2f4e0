/*
 * Answers to missing pages: UFFDIO_COPY, ZEROPAGE, CONTINUE and POISON put something where a page table has nothing.
 *
 *               private (also of a shmem file)        shared shmem
 *     COPY      an anonymous page with the bytes      a page with the bytes, in the object and mapped
 *     ZERO      the page of zeros                     a page of zeros, in the object and mapped
 *     CONTINUE  the object's page, read-only          the object's page
 *     POISON    a mark that ends every access in SIGBUS
 *
 * A page is filled before any lock is taken, for the source may fault itself; what is to become of it is decided with
 * the space locked for reading, beside faults. Each page is a step of its own, so a mapping that changes in between
 * ends the operation early. Source: ioctl_userfaultfd(2).
 */
#include "vm/cache.h"
#include "vm/fault.h"
#include "vm/uaccess.h"
#include "vm/userfaults.h"

struct fill {
    struct userfault *context;
    struct space *space;
    enum userfault_fill kind;
    bool wp;
    u64 start, end; /* the whole range, which lies in one vma */
    u64 va;         /* the page at hand */
    struct vma *vma;
    struct page *page; /* to be installed, with a reference that the entry takes over */
};

static bool is_shmem(const struct vma *v) { return v->object != NULL && object_is_memory(v->object); }

/* => lock for reading; the vma stays as it is until that is given up */
static int find_vma(struct fill *f)
{
    struct vma *v = vma_at(f->space, f->va);

    if (userfault_is_changing(f->context))
        return -EAGAIN;
    if (v == NULL || f->start < v->start || f->end > v->end || v->userfault == NULL)
        return -ENOENT;
    if ((f->wp && !(v->flags & VMA_UFFD_WP)) || (v->object != NULL && !is_shmem(v)) ||
        (f->kind == FILL_CONTINUE && v->object == NULL))
        return -EINVAL;
    f->vma = v;
    if (v->object != NULL && vma_index(v, f->va) >= DIV_ROUND_UP(load_relaxed(&v->object->size), PAGE_SIZE))
        return -EFAULT;
    return 0;
}

/* The entry that is to be, when OLD is there and its page has PROT. */
static pte_t entry_for(const struct fill *f, unsigned prot)
{
    const struct vma *v = f->vma;
    pte_t wp = f->wp ? PTE_UFFD_WP : 0;
    bool writable;

    if (f->kind == FILL_POISON)
        return pte_mark(prot) | PTE_POISON;
    if (f->page == NULL)
        return page_entry(zero_pfn, prot, wp);
    writable = (prot & PROT_WRITE) && !f->wp && page_is_store_ready(vma_is_shared(v), f->page);
    return page_entry(page_pfn(f->page), prot, wp | (writable ? vma_store_bits(v) | PTE_D : 0));
}

/* Only what is copied in may replace a mark that says more than a protection. */
static bool is_free(enum userfault_fill kind, pte_t e)
{
    if (kind == FILL_COPY || kind == FILL_CONTINUE)
        return e == 0 || pte_is_mark(e);
    return e == 0 || (pte_is_mark(e) && !(e & (PTE_UFFD_WP | PTE_POISON)));
}

/* Puts f->page into the table. => lock for reading, f->vma found */
static int install(struct fill *f)
{
    struct page *table, *page = f->page;
    pte_t *pte = pt_make(f->space, f->va, 0, &table), e;
    int error = 0;

    if (pte == NULL)
        return -ENOMEM;
    table_lock(table);
    e = load_relaxed(pte);
    if (!is_free(f->kind, e))
        error = -EEXIST;
    else if (page != NULL && !(page->flags & PG_ANON) && load_acquire(&page->object) != f->vma->object)
        error = -EFAULT; /* truncated just now */
    else
        pte_set(table, pte, entry_for(f, e == 0 ? f->vma->prot : pte_prot(e)));
    table_unlock(table);
    if (error == 0 && page != NULL) {
        space_count_page(f->space, page, 1);
        f->page = NULL;
    }
    return error;
}

/* ---- shared memory: the page is the object's first ---- */

/* f->page becomes, or (NULL) a page of zeros is made, the object's page at INDEX. => nothing held, as for the next */
static int add_to_object(struct fill *f, struct object *o, u64 index)
{
    int error;

    if (f->page == NULL)
        f->page = page_alloc(ALLOC_ZERO | ALLOC_USER);
    if (f->page == NULL)
        return -ENOMEM;
    f->page->flags = PG_UPTODATE | PG_MEMORY_ONLY;
    error = object_insert(o, index, f->page, true);
    if (error == 0 && page_prepare_stores(o, f->page, index) != 0) { /* the file system is full */
        (void)object_punch(o, index << PAGE_SHIFT, (index + 1) << PAGE_SHIFT);
        return -ENOMEM;
    }
    return error == -ERANGE ? -EFAULT : error;
}

/* The object has the page, but not in memory. */
static int bring_in(struct fill *f, struct object *o, u64 index)
{
    f->page = object_get_page_in_size(o, index, NULL, RUN_FORBIDDEN);
    if (!IS_ERR(f->page))
        return f->page != NULL ? 0 : -EFAULT;
    f->page = NULL;
    return -ENOMEM;
}

/* The lock is given up while PREPARE gets f->page into the object; afterwards the vma is looked for again. => lock for
 * reading */
static int fill_object(struct fill *f, int (*prepare)(struct fill *f, struct object *o, u64 index))
{
    struct file *file = f->vma->file;
    struct object *o = f->vma->object;
    u64 index = vma_index(f->vma, f->va);
    int error;

    vm_file_ops->get(file);
    read_unlock(&f->space->lock);
    error = prepare(f, o, index);
    read_lock(&f->space->lock);
    if (error == 0)
        error = find_vma(f);
    if (error == 0)
        error = f->vma->object == o && vma_index(f->vma, f->va) == index ? install(f) : -ENOENT;
    read_unlock(&f->space->lock);
    vm_file_ops->put(file); /* perhaps the last */
    read_lock(&f->space->lock);
    return error;
}

static int fill_from_object(struct fill *f)
{
    struct object *o = f->vma->object;
    u64 index = vma_index(f->vma, f->va);

    f->page = object_find_page(o, index);
    if (f->page != NULL)
        return install(f);
    return object_has_page(o, index) ? fill_object(f, bring_in) : -EFAULT;
}

/* ---- one page after the other ---- */

/* => lock for reading */
static int fill_locked(struct fill *f)
{
    int error = find_vma(f);

    if (error != 0)
        return error;
    if (f->kind == FILL_CONTINUE)
        return fill_from_object(f);
    if (vma_is_shared(f->vma) && f->kind != FILL_POISON)
        return fill_object(f, add_to_object);
    if (f->page != NULL)
        page_make_anonymous(f->page);
    return install(f);
}

static int fill_page(struct fill *f, u64 source)
{
    bool copied = true;
    int error;

    f->page = NULL;
    if (f->kind == FILL_COPY) {
        f->page = page_alloc(ALLOC_USER);
        if (f->page == NULL)
            return -ENOMEM;
        copied = copy_page_from_user(page_address(f->page), (const void *)source) == 0;
    }
    read_lock(&f->space->lock);
    error = copied ? fill_locked(f) : find_vma(f);
    read_unlock(&f->space->lock);
    if (error == 0 && !copied)
        error = -EFAULT;
    if (f->page != NULL)
        page_put(f->page);
    return error;
}

ssize_t userfault_fill(struct userfault *u, enum userfault_fill kind, u64 start, u64 source, u64 length, bool wp)
{
    struct fill f; /* the vma and the page are found for each page */
    int error = 0;

    if (!userfault_enter(u))
        return -ESRCH;
    f.context = u;
    f.space = u->space;
    f.kind = kind;
    f.wp = wp;
    f.start = f.va = start;
    f.end = start + length;
    while (f.va < f.end && (error = fill_page(&f, source + (f.va - start))) == 0) {
        f.va += PAGE_SIZE;
        if (fatal_signal_pending())
            break;
    }
    userfault_leave(u);
    return f.va > start ? (ssize_t)(f.va - start) : error;
}
