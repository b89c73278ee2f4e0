/*
 * Moving bytes between a pipe and a file, a pipe, or user memory: splice(2), tee(2), vmsplice(2).
 *
 * From a file, a page is filled by the file's read and becomes a slot of the pipe; to a file, its write takes the bytes
 * out of the slots; between pipes, whole slots change hands. User memory is copied: a program may change it afterwards.
 * The pipe's lock is held meanwhile, so bytes keep their order and what a file does not take stays in the pipe. Of two
 * pipes, the one at the lower address is locked first. A file that may make us wait for somebody else (a socket, a
 * terminal) is read and written without the lock: the slot that will be filled is promised, and the one that is written
 * is out of the pipe, with a promised slot to go back to.
 *
 * Each operation waits once, until it can move something, and returns what it moved then.
 */
#include "fs/file.h"
#include "fs/pipe.h"
#include "fs/poll.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

static bool may_not_wait(const struct file *pipe_end, unsigned flags)
{
    return (flags & SPLICE_F_NONBLOCK) || (pipe_end->flags & O_NONBLOCK);
}

static bool can_put(const struct pipe *p) { return pipe_has_free_slot(p) || load_relaxed(&p->readers) == 0; }

/* Locks P with something in it: 1; 0 when it is empty for good; -EAGAIN, -ERESTARTSYS: in these cases unlocked. */
static int lock_full(struct file *file, struct pipe *p, unsigned flags)
{
    for (;;) {
        bool is_at_end;

        mutex_lock(&p->lock);
        if (p->used > 0)
            return 1;
        is_at_end = pipe_is_at_end(p);
        mutex_unlock(&p->lock);
        if (is_at_end)
            return 0;
        if (may_not_wait(file, flags))
            return -EAGAIN;
        if (wait_event_interruptible(&p->can_read, pipe_may_be_read(p)) != 0)
            return -ERESTARTSYS;
    }
}

/* Locks P with a free slot: 0; -EPIPE (and the signal), -EAGAIN, -ERESTARTSYS: unlocked. */
static int lock_free(struct file *file, struct pipe *p, unsigned flags)
{
    for (;;) {
        mutex_lock(&p->lock);
        if (load_relaxed(&p->readers) > 0 && pipe_has_free_slot(p))
            return 0;
        mutex_unlock(&p->lock);
        if (load_relaxed(&p->readers) == 0)
            return (int)pipe_broken();
        if (may_not_wait(file, flags))
            return -EAGAIN;
        if (wait_event_interruptible(&p->can_write, can_put(p)) != 0)
            return -ERESTARTSYS;
    }
}

/* PAGE becomes the last slot. => lock, a free slot */
static void append(struct pipe *p, struct page *page, unsigned offset, unsigned length)
{
    *pipe_slot(p, p->used) = (struct slot){page, offset, length, false};
    store_relaxed(&p->used, p->used + 1);
}

/* The first N bytes of the first slot are gone. => lock */
static void consume(struct pipe *p, size_t n)
{
    struct slot *s = pipe_slot(p, 0);

    s->offset += (unsigned)n;
    s->length -= (unsigned)n;
    if (s->length == 0)
        pipe_drop_slot(p);
}

/* ---- files ---- */

/* A page read from IN, of up to N bytes, which are all that it may hold then: NULL with *DONE 0 at the end of the file,
 * or -errno. */
static struct page *read_page(struct file *in, u64 *pos, size_t n, ssize_t *done)
{
    struct page *page = page_alloc(0);
    struct uio uio;

    *done = -ENOMEM;
    if (page == NULL)
        return NULL;
    uio_init_kernel(&uio, page_address(page), MIN(n, PAGE_SIZE));
    *done = file_read_uio(in, &uio, pos);
    if (*done > 0)
        return page;
    page_put(page);
    return NULL;
}

/* Whether nobody else can make a read or write of FILE wait for long; what is always ready has no poll. */
static bool is_prompt(const struct file *file)
{
    return S_ISREG(file->inode->mode) || S_ISBLK(file->inode->mode) ||
           (S_ISCHR(file->inode->mode) && file->ops->poll == NULL);
}

/* SPLICE_F_NONBLOCK holds for a socket as well, which cannot be told by call: it is asked first. Somebody else may be
 * faster at it; then this waits for the next bytes. */
static bool would_wait(struct file *in, unsigned flags)
{
    return (flags & SPLICE_F_NONBLOCK) && S_ISSOCK(in->inode->mode) && !(in->flags & O_NONBLOCK) &&
           !(file_poll(in, NULL) & (POLLIN | POLLHUP | POLLERR));
}

/* One read of IN without P's lock, into a slot that is promised until then. => lock, a free slot */
static ssize_t fill_promised_slot(struct file *in, u64 *pos, struct pipe *p, size_t n)
{
    struct page *page;
    ssize_t done;

    store_relaxed(&p->promised, p->promised + 1);
    mutex_unlock(&p->lock);
    page = read_page(in, pos, n, &done);
    mutex_lock(&p->lock);
    store_relaxed(&p->promised, p->promised - 1);
    if (page != NULL)
        append(p, page, 0, (unsigned)done);
    return done;
}

ssize_t splice_file_to_pipe(struct file *in, u64 *pos, struct file *out, size_t n, unsigned flags)
{
    struct pipe *p = file_pipe(out);
    ssize_t done = 0;
    size_t total = 0;
    int error = lock_free(out, p, flags);

    if (error != 0)
        return error;
    if (n == 0) {
        ;
    } else if (S_ISDIR(in->inode->mode)) {
        done = -EINVAL;
    } else if (would_wait(in, flags)) {
        done = -EAGAIN;
    } else if (!is_prompt(in)) { /* it may have no more now, and that is not waited for */
        done = fill_promised_slot(in, pos, p, n);
        total = done > 0 ? (size_t)done : 0;
    } else {
        do {
            struct page *page = read_page(in, pos, n - total, &done);

            if (page == NULL)
                break;
            append(p, page, 0, (unsigned)done);
            total += (size_t)done;
        } while (done == (ssize_t)PAGE_SIZE && total < n && pipe_has_free_slot(p));
    }
    mutex_unlock(&p->lock);
    if (total > 0)
        wake_all(&p->can_read);
    else
        wake_all(&p->can_write); /* the promised slot is free again */
    return total > 0 ? (ssize_t)total : done;
}

static ssize_t write_slot(struct file *out, u64 *pos, const struct slot *s, size_t n)
{
    struct uio uio;

    uio_init_kernel(&uio, (char *)page_address(s->page) + s->offset, n);
    return file_write_uio(out, &uio, pos);
}

/* Writes N bytes of P's first slot without P's lock. What OUT does not take comes back as the first slot. => lock,
 * something in P */
static ssize_t write_taken_slot(struct pipe *p, struct file *out, u64 *pos, size_t n)
{
    struct slot s = *pipe_slot(p, 0);
    ssize_t done;

    p->first = (p->first + 1) & (p->capacity - 1);
    store_relaxed(&p->used, p->used - 1);
    store_relaxed(&p->promised, p->promised + 1);
    store_relaxed(&p->taken, p->taken + 1);
    mutex_unlock(&p->lock);
    done = write_slot(out, pos, &s, n);
    mutex_lock(&p->lock);
    store_relaxed(&p->promised, p->promised - 1);
    store_relaxed(&p->taken, p->taken - 1);
    p->first = (p->first - 1) & (p->capacity - 1);
    store_relaxed(&p->used, p->used + 1);
    *pipe_slot(p, 0) = s;
    if (done > 0)
        consume(p, (size_t)done);
    return done;
}

ssize_t splice_pipe_to_file(struct file *in, struct file *out, u64 *pos, size_t n, unsigned flags)
{
    struct pipe *p = file_pipe(in);
    ssize_t done = 0;
    size_t total = 0;
    int state = lock_full(in, p, flags);

    if (state <= 0)
        return state;
    while (total < n && p->used > 0) {
        struct slot *s = pipe_slot(p, 0);
        size_t part = MIN(n - total, (size_t)s->length);

        if (is_prompt(out)) {
            done = write_slot(out, pos, s, part);
            if (done > 0)
                consume(p, (size_t)done);
        } else {
            done = write_taken_slot(p, out, pos, part);
        }
        if (done <= 0)
            break;
        total += (size_t)done;
        if ((size_t)done < part)
            break;
    }
    mutex_unlock(&p->lock);
    wake_all(&p->can_read); /* what came back */
    if (total > 0)
        wake_all(&p->can_write);
    return total > 0 ? (ssize_t)total : done;
}

/* ---- two pipes ---- */

static void lock_both(struct pipe *a, struct pipe *b)
{
    mutex_lock(a < b ? &a->lock : &b->lock);
    mutex_lock(a < b ? &b->lock : &a->lock);
}

static void unlock_both(struct pipe *a, struct pipe *b)
{
    mutex_unlock(&a->lock);
    mutex_unlock(&b->lock);
}

/* The slot I of FROM, or its first N bytes, as the last one of TO: bytes, -ENOMEM. With KEEP, or a part, a copy; else
 * the page itself leaves. => both locks */
static ssize_t transfer(struct pipe *from, unsigned i, struct pipe *to, size_t n, bool keep)
{
    struct slot *s = pipe_slot(from, i);
    struct page *page;

    if (!keep && n >= s->length) {
        n = s->length;
        append(to, s->page, s->offset, s->length);
        from->first = (from->first + 1) & (from->capacity - 1);
        store_relaxed(&from->used, from->used - 1);
        return (ssize_t)n;
    }
    n = MIN(n, (size_t)s->length);
    page = page_alloc(0);
    if (page == NULL)
        return -ENOMEM;
    memcpy(page_address(page), (char *)page_address(s->page) + s->offset, n);
    append(to, page, 0, (unsigned)n);
    if (!keep)
        consume(from, n);
    return (ssize_t)n;
}

/* Locks both with something in FROM and room in TO: 1; 0 when nothing will ever come; else -errno. */
static int lock_ready(struct file *in, struct pipe *from, struct file *out, struct pipe *to, unsigned flags)
{
    for (;;) {
        int state = lock_full(in, from, flags | (out->flags & O_NONBLOCK ? SPLICE_F_NONBLOCK : 0));

        if (state <= 0)
            return state;
        mutex_unlock(&from->lock);
        state = lock_free(out, to, flags | (in->flags & O_NONBLOCK ? SPLICE_F_NONBLOCK : 0));
        if (state != 0)
            return state;
        mutex_unlock(&to->lock);
        lock_both(from, to);
        if (from->used > 0 && pipe_has_free_slot(to) && load_relaxed(&to->readers) > 0)
            return 1;
        unlock_both(from, to); /* somebody else was quicker */
    }
}

ssize_t splice_pipes(struct file *in, struct file *out, size_t n, unsigned flags, bool keep)
{
    struct pipe *from = file_pipe(in), *to = file_pipe(out);
    size_t total = 0;
    ssize_t done = 0;
    unsigned i = 0;
    int state = lock_ready(in, from, out, to, flags);

    if (state <= 0)
        return state;
    while (total < n && i < from->used && pipe_has_free_slot(to)) {
        done = transfer(from, i, to, n - total, keep);
        if (done < 0)
            break;
        total += (size_t)done;
        i += keep ? 1 : 0;
    }
    unlock_both(from, to);
    if (total > 0)
        wake_all(&to->can_read);
    if (total > 0 && !keep)
        wake_all(&from->can_write);
    return total > 0 ? (ssize_t)total : done;
}

/* ---- user memory ---- */

static ssize_t fill_slot_from(struct uio *uio, struct pipe *p)
{
    struct page *page = page_alloc(0);
    size_t n = MIN(uio->left, PAGE_SIZE), done;

    if (page == NULL)
        return -ENOMEM;
    done = uio_copy_in(uio, page_address(page), n);
    if (done > 0)
        append(p, page, 0, (unsigned)done);
    else
        page_put(page);
    return done > 0 ? (ssize_t)done : -EFAULT;
}

ssize_t splice_from_user(struct file *out, struct uio *uio, unsigned flags)
{
    struct pipe *p = file_pipe(out);
    size_t total = 0;
    ssize_t done = 0;
    int error;

    if (uio->left == 0)
        return 0;
    error = lock_free(out, p, flags);
    if (error != 0)
        return error;
    while (uio->left > 0 && pipe_has_free_slot(p)) {
        size_t wanted = MIN(uio->left, PAGE_SIZE);

        done = fill_slot_from(uio, p);
        total += done > 0 ? (size_t)done : 0;
        if (done < (ssize_t)wanted)
            break;
    }
    mutex_unlock(&p->lock);
    if (total > 0)
        wake_all(&p->can_read);
    return total > 0 ? (ssize_t)total : done;
}

ssize_t splice_to_user(struct file *in, struct uio *uio, unsigned flags)
{
    struct pipe *p = file_pipe(in);
    size_t total = 0, n, done;
    int state;

    if (uio->left == 0)
        return 0;
    state = lock_full(in, p, flags);
    if (state <= 0)
        return state;
    do {
        struct slot *s = pipe_slot(p, 0);

        n = MIN(uio->left, (size_t)s->length);
        done = uio_copy_out(uio, (char *)page_address(s->page) + s->offset, n);
        total += done;
        if (done > 0)
            consume(p, done);
    } while (done == n && uio->left > 0 && p->used > 0);
    mutex_unlock(&p->lock);
    if (total > 0)
        wake_all(&p->can_write);
    return total > 0 ? (ssize_t)total : -EFAULT;
}
