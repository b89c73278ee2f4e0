/*
 * read(2) and write(2) on the page cache.
 *
 * User memory is touched with no lock held but the caller's inode lock, because its pages may fault, and may even be
 * pages of the same file. A page that is about to be overwritten as a whole, or that lies past the end, is filled
 * outside the cache and entered when it is complete, so nobody sees half of it and nothing is read in vain.
 */
#include "lib/string.h"
#include "vm/cache.h"
#include "vm/fault.h"
#include "vm/kmalloc.h"

#define READ_RUN 16 /* pages that one look at the cache gives at most */

/* Up to N bytes from offset AT of page INDEX, which was not there; -errno. */
static noinline_fn ssize_t read_missing(struct object *o, struct uio *u, struct readahead *ra, u64 index, unsigned at,
                                        size_t n)
{
    struct page *page;
    size_t done;

    if (object_is_memory(o) && !object_has_page(o, index))
        return (ssize_t)uio_clear_out(u, n);
    page = object_get_page(o, index, ra);
    if (IS_ERR(page))
        return PTR_ERR(page);
    if (ra != NULL)
        readahead_hit(o, ra, index);
    done = uio_copy_out(u, (char *)page_address(page) + at, n);
    page_put(page);
    return (ssize_t)done;
}

/* Up to N bytes from offset AT of the first of PAGES on; fewer only at a bad address. Pages that lie together in memory
 * are copied as one. */
static size_t read_run(struct uio *u, struct page **pages, unsigned n_pages, unsigned at, size_t n)
{
    size_t done = 0;

    for (unsigned i = 0, next; i < n_pages && done < n; i = next) {
        size_t piece, copied;

        for (next = i + 1; next < n_pages && pages[next] == pages[next - 1] + 1; next++)
            ;
        piece = MIN(n - done, (next - i) * PAGE_SIZE - at);
        copied = uio_copy_out(u, (char *)page_address(pages[i]) + at, piece);
        done += copied;
        if (unlikely(copied < piece))
            break;
        at = 0;
    }
    return done;
}

static noinline_fn ssize_t read_all(struct object *o, struct uio *u, u64 *pos, struct readahead *ra)
{
    struct page *pages[READ_RUN];
    ssize_t total = 0;

    while (u->left > 0) {
        u64 size = load_relaxed(&o->size), index = *pos >> PAGE_SHIFT;
        unsigned at = *pos & PAGE_MASK, found;
        size_t n;
        ssize_t done;

        if (*pos >= size)
            break;
        n = MIN(u->left, size - *pos);
        n = MIN(n, READ_RUN * PAGE_SIZE - at);
        found = object_find_run(o, index, (unsigned)((at + n + PAGE_MASK) >> PAGE_SHIFT), pages);
        n = MIN(n, MAX(found, 1u) * PAGE_SIZE - at);
        if (likely(found > 0)) {
            if (ra != NULL && readahead_is_due(ra, index + found - 1))
                readahead_hit(o, ra, index + found - 1);
            done = (ssize_t)read_run(u, pages, found, at, n);
            for (unsigned i = 0; i < found; i++)
                page_put(pages[i]);
        } else {
            done = read_missing(o, u, ra, index, at, n);
            if (done < 0)
                return total > 0 ? total : done;
        }
        *pos += (u64)done;
        total += done;
        if (ra != NULL)
            ra->next = *pos >> PAGE_SHIFT;
        if ((size_t)done < n)
            return total > 0 ? total : -EFAULT;
        cond_resched();
    }
    return total;
}

/* The page at INDEX with a reference, if it is loaded, and used before, and found where the last one was: NULL says
 * nothing. => interrupts on */
static inline struct page *find_near(struct object *o, u64 index)
{
    const u32 ready = PG_UPTODATE | PG_REFERENCED;
    struct page *page = NULL;

    ASSERT(irqs_enabled());
    irq_disable();
    spin_lock(&o->lock);
    if (likely(radix_is_near(&o->pages, index)))
        page = radix_get(&o->pages, index);
    if (likely(page != NULL) && !is_marker(page) &&
        likely((load_acquire(&page->flags) & (ready | PG_LOADING)) == ready))
        page_get(page);
    else
        page = NULL;
    spin_unlock(&o->lock);
    irq_enable();
    return page;
}

/* Most reads lie in one page, and it is there. */
ssize_t object_read(struct object *o, struct uio *u, u64 *pos, struct readahead *ra)
{
    u64 size = load_relaxed(&o->size), at = *pos, index = at >> PAGE_SHIFT;
    struct page *page;
    size_t n;

    if (unlikely(at >= size))
        return 0;
    n = MIN(u->left, size - at);
    if ((at & PAGE_MASK) + n > PAGE_SIZE || (ra != NULL && unlikely(readahead_is_due(ra, index))))
        return read_all(o, u, pos, ra);
    page = find_near(o, index);
    if (unlikely(page == NULL))
        return read_all(o, u, pos, ra);
    if (ra != NULL)
        ra->next = (at + n) >> PAGE_SHIFT;
    n = uio_copy_out(u, (char *)page_address(page) + (at & PAGE_MASK), n);
    *pos = at + n;
    page_put(page);
    return likely(n > 0) || u->left == 0 ? (ssize_t)n : -EFAULT;
}

static int prepare(struct object *o, u64 index, unsigned at, size_t n)
{
    return o->ops->prepare_write != NULL ? o->ops->prepare_write(o, index, at, at + (unsigned)n) : 0;
}

/* All of PAGE was prepared. */
static void note_placed(struct page *page)
{
    if (!(load_relaxed(&page->flags) & PG_PLACED))
        atomic_or(&page->flags, PG_PLACED);
}

/* Bytes FROM[0..n), if any, go to TO, and END is the new end of the file, if it is one. Both at once for write-back,
 * which clears what is past the end (clear_past_size). */
static void copy_and_extend(struct object *o, void *to, const void *from, size_t n, u64 end)
{
    bool extends = end > load_relaxed(&o->size);
    u64 flags = extends ? spin_lock_irqsave(&o->lock) : 0;

    if (from != NULL)
        memcpy(to, from, n);
    if (!extends)
        return;
    store_relaxed(&o->size, end);
    spin_unlock_irqrestore(&o->lock, flags);
}

static void extend(struct object *o, u64 end) { copy_and_extend(o, NULL, NULL, 0, end); }

/* ---- through a transaction of the file system (object_ops.store) ---- */

struct stored_piece {
    struct object *o;
    struct page *page;
    u64 index;
    unsigned at;
    size_t n;
    const void *from; /* NULL: the page holds them and is LOADING */
};

static void publish(void *arg, int error)
{
    struct stored_piece *p = arg;

    if (error == 0 && p->n == PAGE_SIZE)
        note_placed(p->page);
    if (error == 0)
        copy_and_extend(p->o, (char *)page_address(p->page) + p->at, p->from, p->n,
                        (p->index << PAGE_SHIFT) + p->at + p->n);
    else if (p->from == NULL)
        clear_page(page_address(p->page));
    if (p->from == NULL)
        page_read_done(p->page, 0);
    if (error != 0 || !object_is_journalled(p->o))
        page_set_dirty(p->page);
}

static int store(struct object *o, struct page *page, u64 index, unsigned at, size_t n, const void *from)
{
    struct stored_piece piece = {o, page, index, at, n, from};

    return o->ops->store(o, page, at, at + (unsigned)n, publish, &piece);
}

/* Bytes that need blocks or make the file longer, into a page of the cache. They are copied twice, for in a transaction
 * nothing may be touched that can fault. */
static ssize_t store_cached(struct object *o, struct uio *u, struct page *page, u64 index, unsigned at, size_t n)
{
    void *bounce = kmalloc(n);
    ssize_t done;
    int error = 0;

    if (bounce == NULL)
        return -ENOMEM;
    done = (ssize_t)uio_copy_in(u, bounce, n);
    if (done > 0)
        error = store(o, page, index, at, (size_t)done, bounce);
    kfree(bounce);
    return error != 0 ? error : done;
}

static noinline_fn bool has_no_place(struct object *o, struct page *page, u64 index, unsigned at, size_t n)
{
    u64 size = load_relaxed(&o->size), all = MIN(size - MIN(size, index << PAGE_SHIFT), PAGE_SIZE);

    if (at + n <= all && o->ops->is_placed(o, index, 0, (unsigned)all)) {
        note_placed(page);
        return false;
    }
    return !o->ops->is_placed(o, index, at, at + (unsigned)n);
}

/* Whether bytes [at, at + n) of PAGE lack blocks, or lie past the end, or are to be recorded themselves. => the file's
 * write lock */
static inline bool needs_store(struct object *o, struct page *page, u64 index, unsigned at, size_t n)
{
    if (o->ops->store == NULL)
        return false;
    if (unlikely(object_is_journalled(o)))
        return true;
    if (likely((load_acquire(&page->flags) & PG_PLACED) && (index << PAGE_SHIFT) + at + n <= load_relaxed(&o->size)))
        return false;
    return has_no_place(o, page, index, at, n);
}

/* ---- */

/* Into PAGE, whose reference is given up, or (NULL) one that gets read first. */
static ssize_t write_cached(struct object *o, struct uio *u, struct page *page, u64 index, unsigned at, size_t n)
{
    ssize_t done;
    int error;

    if (page == NULL)
        page = object_get_page(o, index, NULL);
    if (IS_ERR(page))
        return PTR_ERR(page);
    if (needs_store(o, page, index, at, n)) {
        done = store_cached(o, u, page, index, at, n);
        if (done > 0 && (load_relaxed(&page->flags) & PG_FETCHABLE))
            atomic_and(&page->flags, ~(u32)PG_FETCHABLE);
        page_put(page);
        return done;
    }
    error = o->ops->store == NULL && !(load_acquire(&page->flags) & PG_PLACED) ? prepare(o, index, at, n) : 0;
    if (error != 0) {
        page_put(page);
        return error;
    }
    if (n == PAGE_SIZE && o->ops->store == NULL)
        note_placed(page);
    done = (ssize_t)uio_copy_in(u, (char *)page_address(page) + at, n);
    if (done > 0) {
        extend(o, (index << PAGE_SHIFT) + at + (u64)done);
        page_set_dirty(page);
        if (load_relaxed(&page->flags) & PG_FETCHABLE)
            atomic_and(&page->flags, ~(u32)PG_FETCHABLE);
    }
    page_put(page);
    return done;
}

/* The N bytes that a new page holds at AT, into the page that somebody else has entered meanwhile. */
static int write_over(struct object *o, u64 index, unsigned at, size_t n, const struct page *from)
{
    struct page *page = object_get_page(o, index, NULL);
    int error;

    if (IS_ERR(page))
        return (int)PTR_ERR(page);
    if (o->ops->store != NULL) {
        error = store(o, page, index, at, n, (char *)page_address(from) + at);
        page_put(page);
        return error;
    }
    error = prepare(o, index, at, n);
    if (error == 0) {
        memcpy((char *)page_address(page) + at, (char *)page_address(from) + at, n);
        extend(o, (index << PAGE_SHIFT) + at + n);
        page_set_dirty(page);
    }
    page_put(page);
    return error;
}

/* Enters PAGE, filled, and finds blocks for it. Others wait for the page until it is settled; if there are no blocks it
 * stays as zeros, for some of its blocks may be new and hold another file's past. */
static int enter_new(struct object *o, struct page *page, u64 index, unsigned at, size_t n)
{
    int error;

    page->flags = PG_LOADING | (object_is_memory(o) ? PG_MEMORY_ONLY : 0);
    error = object_insert(o, index, page, false);
    if (error != 0)
        return error == -EEXIST ? write_over(o, index, at, n, page) : error;
    if (o->ops->store != NULL)
        return store(o, page, index, at, n, NULL);
    error = prepare(o, index, at, n);
    if (error != 0)
        clear_page(page_address(page));
    else if (n == PAGE_SIZE)
        note_placed(page);
    page_read_done(page, 0);
    if (error == 0)
        extend(o, (index << PAGE_SHIFT) + at + n);
    page_set_dirty(page);
    return error;
}

/* Bytes [at, at + n) are all of page INDEX that will exist: fills a page of its own first. -EAGAIN: user memory ended
 * early, nothing was written. */
static ssize_t write_new(struct object *o, struct uio *u, u64 index, unsigned at, size_t n)
{
    struct page *page = page_alloc(ALLOC_USER);
    struct uio before = *u;
    int error;

    if (page == NULL)
        return -ENOMEM;
    if (n < PAGE_SIZE) {
        memset(page_address(page), 0, at);
        memset((char *)page_address(page) + at + n, 0, PAGE_SIZE - at - n);
    }
    if (uio_copy_in(u, (char *)page_address(page) + at, n) < n) {
        *u = before;
        error = -EAGAIN;
    } else {
        error = enter_new(o, page, index, at, n);
    }
    page_put(page);
    return error != 0 ? error : (ssize_t)n;
}

/* One page that is there, all of whose bytes have their place: the common case of what write_cached does. */
static inline ssize_t overwrite(struct uio *u, struct page *page, u64 *pos)
{
    size_t done = uio_copy_in(u, (char *)page_address(page) + (*pos & PAGE_MASK), u->left);
    u32 flags = load_relaxed(&page->flags);

    if (likely(done > 0)) {
        if (!(flags & PG_DIRTY))
            page_set_dirty(page);
        if (unlikely(flags & PG_FETCHABLE))
            atomic_and(&page->flags, ~(u32)PG_FETCHABLE);
    }
    page_put(page);
    *pos += done;
    return done > 0 ? (ssize_t)done : -EFAULT;
}

static ssize_t write_piece(struct object *o, struct uio *u, u64 pos, size_t n)
{
    u64 index = pos >> PAGE_SHIFT, size = load_relaxed(&o->size);
    unsigned at = pos & PAGE_MASK;
    bool nothing_stays = n == PAGE_SIZE || (index << PAGE_SHIFT) >= size || (at == 0 && pos + n >= size);
    struct page *page = object_find_page(o, index);
    ssize_t done = -EAGAIN;

    /* Of a disk's object: a page that is being read meets write_new when it enters its own. */
    if (page == NULL && nothing_stays && (!object_is_memory(o) || !object_has_page(o, index)))
        done = write_new(o, u, index, at, n);
    return done == -EAGAIN ? write_cached(o, u, page, index, at, n) : done;
}

static noinline_fn ssize_t write_all(struct object *o, struct uio *u, u64 *pos)
{
    u64 old_size = load_relaxed(&o->size);
    ssize_t total = 0;

    if (*pos + u->left > old_size)
        object_expose_tail(o);
    while (u->left > 0) {
        size_t n = MIN(u->left, PAGE_SIZE - (*pos & PAGE_MASK));
        ssize_t done = write_piece(o, u, *pos, n);

        if (done <= 0) {
            total = total > 0 ? total : done < 0 ? done : -EFAULT;
            break;
        }
        *pos += (u64)done;
        total += done;
        if ((size_t)done < n)
            break;
        if (unlikely(writers_must_wait()))
            throttle_writer(o);
        cond_resched();
    }
    if (load_relaxed(&o->size) > old_size)
        object_unplace_tail(o, old_size);
    return total;
}

ssize_t object_write(struct object *o, struct uio *u, u64 *pos)
{
    u64 at = *pos, index = at >> PAGE_SHIFT;
    struct page *page = NULL;
    ssize_t done;

    if (likely(u->left - 1 < PAGE_SIZE - (at & PAGE_MASK)) && at + u->left <= load_relaxed(&o->size))
        page = object_find_loaded(o, index);
    if (page != NULL && likely((load_acquire(&page->flags) & PG_PLACED) && !object_is_journalled(o))) {
        done = overwrite(u, page, pos);
        if (unlikely(writers_must_wait()))
            throttle_writer(o);
        return done;
    }
    if (page != NULL)
        page_put(page);
    return write_all(o, u, pos);
}
