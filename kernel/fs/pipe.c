/*
 * Pipes and FIFOs: pipe(7), fifo(7).
 *
 *     slots:  | page: ....xxxx | xxxxxxxx | xx...... | free | ...        a ring of pages
 *               first                       last
 *
 * Bytes are read from slot `first`, and appended to the last one while it has room.
 *
 * A write of up to PIPE_BUF bytes is put in as a whole, under `lock`, or waits. `used` and the counts of ends are also
 * read without the lock, by the conditions of sleepers. Lock: pipe->lock (mutex), held while user memory is touched.
 * Opening a FIFO: fifo_lock guards inode->pipe.
 */
#include "fs/pipe.h"
#include "fs/file.h"
#include "lib/string.h"
#include "proc/task.h"
#include "vm/kmalloc.h"
#include "vm/page.h"
#include "vm/uaccess.h"

static struct mutex fifo_lock = MUTEX_INIT(fifo_lock);
static u64 n_pipes;

u64 pipe_count(void) { return load_relaxed(&n_pipes); }

/* ---- life ---- */

static struct pipe *pipe_alloc(void)
{
    struct pipe *p = kzalloc(sizeof(*p));

    if (p == NULL)
        return NULL;
    p->slots = kzalloc(PIPE_DEFAULT_PAGES * sizeof(struct slot));
    if (p->slots == NULL) {
        kfree(p);
        return NULL;
    }
    p->capacity = PIPE_DEFAULT_PAGES;
    mutex_init(&p->lock);
    wait_queue_init(&p->can_read);
    wait_queue_init(&p->can_write);
    wait_queue_init(&p->opened);
    atomic_add_relaxed(&n_pipes, 1);
    return p;
}

static void pipe_free(struct pipe *p)
{
    for (unsigned i = 0; i < p->used; i++)
        page_put(p->slots[(p->first + i) & (p->capacity - 1)].page);
    if (p->spare != NULL)
        page_put(p->spare);
    kfree(p->slots);
    kfree(p);
    atomic_sub(&n_pipes, 1);
}

static bool is_empty(const struct pipe *p) { return load_relaxed(&p->used) == 0; }

/* Whether a writer should look: some slot is free. */
static bool has_free_slot(const struct pipe *p) { return pipe_has_free_slot(p); }
static struct slot *slot_at(struct pipe *p, unsigned i) { return pipe_slot(p, i); }

/* ---- reading ---- */

static void drop_page(struct pipe *p, struct page *page)
{
    if (p->spare == NULL)
        p->spare = page;
    else
        page_put(page);
}

void pipe_drop_slot(struct pipe *p)
{
    drop_page(p, pipe_slot(p, 0)->page);
    p->first = (p->first + 1) & (p->capacity - 1);
    store_relaxed(&p->used, p->used - 1);
}

/* => lock. What is there, up to the uio's size; -EFAULT. */
static ssize_t take(struct pipe *p, struct uio *uio)
{
    size_t total = 0;

    while (uio->left > 0 && p->used > 0) {
        struct slot *s = slot_at(p, 0);
        size_t n = MIN(uio->left, (size_t)s->length),
               done = uio_copy_out(uio, (char *)page_address(s->page) + s->offset, n);

        bool is_packet = s->packet;

        s->offset += (unsigned)done;
        s->length -= (unsigned)done;
        total += done;
        if (s->length == 0 || (is_packet && done == n))
            pipe_drop_slot(p);
        if (done < n)
            return total > 0 ? (ssize_t)total : -EFAULT;
        if (is_packet)
            break;
    }
    return (ssize_t)total;
}

static ssize_t pipe_read(struct file *file, struct uio *uio, u64 *pos)
{
    struct pipe *p = file->private;
    ssize_t done;
    bool was_full;

    (void)pos;
    if (uio->left == 0)
        return 0;
    for (;;) {
        mutex_lock(&p->lock);
        was_full = pipe_free_slots(p) == 0;
        done = take(p, uio);
        if (done == 0 && pipe_is_at_end(p)) {
            mutex_unlock(&p->lock);
            return 0;
        }
        mutex_unlock(&p->lock);
        if (done != 0)
            break;
        if (file->flags & O_NONBLOCK)
            return -EAGAIN;
        if (wait_event_interruptible(&p->can_read, pipe_may_be_read(p)) != 0)
            return -ERESTARTSYS;
    }
    if (was_full && done > 0)
        wake_all(&p->can_write);
    return done;
}

/* ---- writing ---- */

static struct page *fresh_page(struct pipe *p)
{
    struct page *page = p->spare;

    p->spare = NULL;
    return page != NULL ? page : page_alloc(0);
}

/* What still fits into the last page. => lock */
static size_t room_in_last(struct pipe *p)
{
    const struct slot *s = p->used > 0 ? slot_at(p, p->used - 1) : NULL;

    return s != NULL && !s->packet ? PAGE_SIZE - s->offset - s->length : 0;
}

/* Bytes that can be written without waiting. => lock */
static size_t room(struct pipe *p) { return (size_t)pipe_free_slots(p) * PAGE_SIZE + room_in_last(p); }

/* The last page takes N more bytes: how many came. => lock */
static size_t append_to_last(struct pipe *p, struct uio *uio, size_t n)
{
    struct slot *s = slot_at(p, p->used - 1);
    size_t done = uio_copy_in(uio, (char *)page_address(s->page) + s->offset + s->length, n);

    s->length += (unsigned)done;
    return done;
}

/* A new page with up to N bytes: how many came, or -ENOMEM. => lock */
static ssize_t append_page(struct pipe *p, struct uio *uio, size_t n, bool packet)
{
    struct page *page = fresh_page(p);
    size_t done;

    if (page == NULL)
        return -ENOMEM;
    done = uio_copy_in(uio, page_address(page), n);
    if (done == 0) {
        drop_page(p, page);
        return 0;
    }
    *slot_at(p, p->used) = (struct slot){page, 0, (unsigned)done, packet};
    store_relaxed(&p->used, p->used + 1);
    return (ssize_t)done;
}

/* As much as there is room for, as PACKETs of up to a page or not; with WHOLE all or nothing (0). -EFAULT, -ENOMEM when
 * nothing came. => lock */
static ssize_t put(struct pipe *p, struct uio *uio, bool whole, bool packet)
{
    size_t total = 0, n = packet ? 0 : MIN(uio->left, room_in_last(p));
    ssize_t done = 0;

    if (whole && !packet && room(p) < uio->left)
        return 0;
    if (n > 0)
        total = append_to_last(p, uio, n);
    if (total < n)
        return total > 0 ? (ssize_t)total : -EFAULT;
    while (uio->left > 0 && pipe_free_slots(p) > 0) {
        n = MIN(uio->left, PAGE_SIZE);
        done = append_page(p, uio, n, packet);
        if (done > 0)
            total += (size_t)done;
        if (done < (ssize_t)n)
            return total > 0 ? (ssize_t)total : done < 0 ? done : -EFAULT;
    }
    return (ssize_t)total;
}

ssize_t pipe_broken(void)
{
    signal_send_current(SIGPIPE);
    return -EPIPE;
}

/* A free slot has room for PIPE_BUF bytes. */
static bool can_proceed(const struct pipe *p) { return load_relaxed(&p->readers) == 0 || has_free_slot(p); }

static ssize_t pipe_write(struct file *file, struct uio *uio, u64 *pos)
{
    struct pipe *p = file->private;
    bool whole = uio->left <= PIPE_BUF, was_empty;
    ssize_t total = 0, done;

    (void)pos;
    if (uio->left == 0)
        return 0;
    for (;;) {
        mutex_lock(&p->lock);
        if (load_relaxed(&p->readers) == 0) {
            mutex_unlock(&p->lock);
            return total > 0 ? total : pipe_broken();
        }
        was_empty = p->used == 0;
        done = put(p, uio, whole, (file->flags & O_DIRECT) != 0);
        mutex_unlock(&p->lock);
        if (done > 0) {
            total += done;
            if (was_empty || unlikely(load_relaxed(&p->polled)))
                wake_all(&p->can_read);
        }
        if (done < 0 || uio->left == 0)
            break;
        if (file->flags & O_NONBLOCK)
            return total > 0 ? total : -EAGAIN;
        if (wait_event_interruptible(&p->can_write, can_proceed(p)) != 0)
            return total > 0 ? total : -ERESTARTSYS;
    }
    return total > 0 ? total : done;
}

/* ---- the rest of a file's operations ---- */

static unsigned pipe_poll(struct file *file, struct poll_table *table)
{
    struct pipe *p = file->private;
    unsigned events = 0;

    if (table != NULL) {
        if (!load_relaxed(&p->polled))
            store_relaxed(&p->polled, true);
        if (file->can_read)
            poll_wait(table, &p->can_read);
        if (file->can_write)
            poll_wait(table, &p->can_write);
    }
    if (file->can_read) {
        if (!is_empty(p))
            events |= POLLIN | POLLRDNORM;
        /* A FIFO that nobody has written to yet has not been hung up. */
        if (load_relaxed(&p->writers) == 0 && load_relaxed(&p->taken) == 0 &&
            load_relaxed(&p->writer_opens) != (u32)(u64)file->pos)
            events |= POLLHUP;
    }
    if (file->can_write) {
        if (has_free_slot(p))
            events |= POLLOUT | POLLWRNORM;
        if (load_relaxed(&p->readers) == 0)
            events |= POLLERR;
    }
    return events;
}

static long pipe_ioctl(struct file *file, unsigned command, u64 argument)
{
    struct pipe *p = file->private;
    u32 bytes = 0;

    if (command != FIONREAD)
        return -ENOTTY;
    mutex_lock(&p->lock);
    for (unsigned i = 0; i < p->used; i++)
        bytes += slot_at(p, i)->length;
    mutex_unlock(&p->lock);
    return put_user_u32(bytes, (u32 *)argument);
}

static void pipe_release(struct file *file)
{
    struct pipe *p = file->private;
    bool last;

    mutex_lock(&fifo_lock);
    if (file->can_read)
        atomic_sub(&p->readers, 1);
    if (file->can_write)
        atomic_sub(&p->writers, 1);
    last = --p->files == 0;
    if (last) {
        file->inode->pipe = NULL;
    } else { /* not later: who closes the last end frees the pipe */
        wake_all(&p->can_read);
        wake_all(&p->can_write);
    }
    mutex_unlock(&fifo_lock);
    if (last)
        pipe_free(p);
}

static const struct file_ops pipe_ops = {
    .release = pipe_release,
    .read = pipe_read,
    .write = pipe_write,
    .ioctl = pipe_ioctl,
    .poll = pipe_poll,
};

struct pipe *file_pipe(const struct file *file) { return file->ops == &pipe_ops ? file->private : NULL; }

/* ---- pipe2(2) ---- */

static void attach(struct file *file, struct pipe *p)
{
    file->private = p;
    p->files++;
    if (file->can_read)
        atomic_add(&p->readers, 1);
    if (file->can_write)
        atomic_add(&p->writers, 1);
}

int pipe_create(struct file *ends[2], u32 flags)
{
    struct inode *inode = anon_inode(S_IFIFO | 0600);
    struct pipe *p = IS_ERR(inode) ? NULL : pipe_alloc();

    if (p == NULL) {
        if (!IS_ERR(inode))
            inode_put(inode);
        return -ENFILE;
    }
    ends[0] = file_create(inode, flags | O_RDONLY, &pipe_ops);
    if (IS_ERR(ends[0])) {
        pipe_free(p);
        inode_put(inode);
        return -ENFILE;
    }
    inode->pipe = p;
    snprintf(p->name, sizeof(p->name), "pipe:[%lu]", inode->ino);
    attach(ends[0], p);
    inode_hold(inode);
    ends[1] = file_create(inode, flags | O_WRONLY, &pipe_ops);
    if (IS_ERR(ends[1])) {
        inode_put(inode);
        file_put(ends[0]);
        return -ENFILE;
    }
    attach(ends[1], p);
    p->writer_opens = 1;
    ends[0]->anon_name = ends[1]->anon_name = p->name;
    return 0;
}

/* ---- FIFOs ---- */

/* The FIFO's pipe, made by the first who opens it. */
static struct pipe *fifo_pipe(struct inode *inode)
{
    if (inode->pipe == NULL)
        inode->pipe = pipe_alloc();
    return inode->pipe;
}

/* Waits for the other end: those who open it wake us even if they are gone again by then. */
static int wait_for_other_end(struct file *file, struct pipe *p, const unsigned *count, const unsigned *opens,
                              unsigned opens_before)
{
    if (load_relaxed(count) > 0)
        return 0;
    (void)file;
    return wait_event_interruptible(&p->opened, load_relaxed(count) > 0 || load_relaxed(opens) != opens_before) != 0
               ? -ERESTARTSYS
               : 0;
}

int fifo_open(struct inode *inode, struct file *file)
{
    unsigned reader_opens, writer_opens;
    struct pipe *p;
    int error = 0;

    if (!file->can_read && !file->can_write) /* access mode 3 */
        return -EINVAL;
    mutex_lock(&fifo_lock);
    p = fifo_pipe(inode);
    if (p == NULL) {
        mutex_unlock(&fifo_lock);
        return -ENOMEM;
    }
    reader_opens = p->reader_opens;
    writer_opens = p->writer_opens;
    if (!file->can_read && (file->flags & O_NONBLOCK) && p->readers == 0) {
        if (p->files == 0) {
            pipe_free(p);
            inode->pipe = NULL;
        }
        mutex_unlock(&fifo_lock);
        return -ENXIO;
    }
    attach(file, p);
    file->ops = &pipe_ops;
    if (file->can_read)
        store_relaxed(&p->reader_opens, reader_opens + 1);
    if (file->can_write)
        store_relaxed(&p->writer_opens, writer_opens + 1);
    /* What POLLHUP compares with: a reader that came before any writer has not been hung up on. */
    file->pos = p->writers == 0 ? writer_opens : UINT32_MAX;
    mutex_unlock(&fifo_lock);
    wake_all(&p->opened);
    /* A pipe that is opened again through /proc/PID/fd has had both ends: it waits for nobody. */
    if (p->name[0] != '\0') {
        file->anon_name = p->name;
        file->pos = UINT32_MAX;
        return 0;
    }
    if (file->can_read && file->can_write)
        return 0;
    if (file->can_read && !(file->flags & O_NONBLOCK))
        error = wait_for_other_end(file, p, &p->writers, &p->writer_opens, writer_opens);
    else if (file->can_write)
        error = wait_for_other_end(file, p, &p->readers, &p->reader_opens, reader_opens);
    if (error != 0)
        pipe_release(file);
    return error;
}

/* ---- fcntl: F_GETPIPE_SZ, F_SETPIPE_SZ ---- */

long pipe_get_size(struct file *file)
{
    struct pipe *p = file->private;

    return file->ops == &pipe_ops ? (long)(p->capacity * PAGE_SIZE) : -EBADF;
}

long pipe_set_size(struct file *file, u64 bytes)
{
    struct pipe *p = file->private;
    unsigned capacity = 1;
    struct slot *slots, *old;

    if (file->ops != &pipe_ops)
        return -EBADF;
    if (bytes > (1ul << 31))
        return -EINVAL;
    if (bytes > PIPE_MAX_BYTES && !capable(current->cred, CAP_SYS_RESOURCE))
        return -EPERM;
    while (capacity * PAGE_SIZE < bytes)
        capacity *= 2;
    slots = kzalloc(capacity * sizeof(*slots));
    if (slots == NULL)
        return -ENOMEM;
    mutex_lock(&p->lock);
    if (p->used + p->promised > capacity) {
        mutex_unlock(&p->lock);
        kfree(slots);
        return -EBUSY;
    }
    for (unsigned i = 0; i < p->used; i++)
        slots[i] = *slot_at(p, i);
    old = p->slots;
    p->slots = slots;
    p->first = 0;
    store_relaxed(&p->capacity, capacity);
    mutex_unlock(&p->lock);
    wake_all(&p->can_write);
    kfree(old);
    return (long)(capacity * PAGE_SIZE);
}
