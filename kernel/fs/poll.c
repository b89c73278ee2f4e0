/* poll(2): asks each file once, leaving a waiter on its queues, then sleeps until one of them is woken, and asks
 * again. */
#include "fs/poll.h"
#include "fs/fdtable.h"
#include "vm/kmalloc.h"

struct poll_block {
    struct poll_block *next;
    unsigned n;
    struct poll_entry entries[12];
};

void poll_wait(struct poll_table *table, struct wait_queue *queue)
{
    if (table->add != NULL)
        table->add(table, queue);
}

/* Called by a queue's waker, under the queue's lock, in interrupts too. */
static void wake(struct waiter *waiter)
{
    struct poll_waiter *w = container_of(waiter, struct poll_entry, waiter)->owner;

    store_release(&w->triggered, true);
    wake_all(&w->ready);
}

static struct poll_entry *new_entry(struct poll_waiter *w)
{
    struct poll_block *block;

    if (w->n_inline < POLL_INLINE)
        return &w->entries[w->n_inline++];
    block = w->blocks;
    if (block == NULL || block->n == ARRAY_SIZE(block->entries)) {
        block = kmalloc(sizeof(*block));
        if (block == NULL)
            return NULL;
        block->n = 0;
        block->next = w->blocks;
        w->blocks = block;
    }
    return &block->entries[block->n++];
}

static void add(struct poll_table *table, struct wait_queue *queue)
{
    struct poll_waiter *w = container_of(table, struct poll_waiter, table);
    struct poll_entry *e = new_entry(w);

    if (e == NULL) {
        w->error = -ENOMEM;
        return;
    }
    e->owner = w;
    e->waiter = (struct waiter){.thread = current, .wake = wake};
    list_init(&e->waiter.link);
    wait_add(queue, &e->waiter);
}

void poll_waiter_init(struct poll_waiter *w)
{
    w->table.add = add;
    wait_queue_init(&w->ready);
    w->triggered = false;
    w->error = 0;
    w->n_inline = 0;
    w->blocks = NULL;
}

int poll_waiter_sleep(struct poll_waiter *w, u64 deadline)
{
    int result = wait_event_deadline(&w->ready, load_acquire(&w->triggered), deadline);

    store_relaxed(&w->triggered, false);
    memory_barrier(); /* what wakes from here on counts for the next sleep; the files are asked after this */
    return result;
}

void poll_waiter_free(struct poll_waiter *w)
{
    for (unsigned i = 0; i < w->n_inline; i++)
        wait_finish(&w->entries[i].waiter);
    while (w->blocks != NULL) {
        struct poll_block *block = w->blocks;

        w->blocks = block->next;
        for (unsigned i = 0; i < block->n; i++)
            wait_finish(&block->entries[i].waiter);
        kfree(block);
    }
}

/* ---- poll(2) ---- */

/* Files stay referenced while waiters are on their queues. */
static unsigned poll_one(struct pollfd *p, struct file *file, struct poll_table *table)
{
    unsigned wanted = (u16)p->events | POLLERR | POLLHUP;

    if (p->fd < 0)
        return 0;
    return file == NULL ? POLLNVAL : file_poll(file, table) & wanted;
}

static long scan(struct pollfd *fds, struct file **files, unsigned n, struct poll_table *table)
{
    long ready = 0;

    for (unsigned i = 0; i < n; i++) {
        fds[i].revents = (s16)poll_one(&fds[i], files[i], table);
        if (fds[i].revents != 0) {
            ready++;
            table = NULL; /* there will be no sleep */
        }
    }
    return ready;
}

static long scan_and_wait(struct pollfd *fds, struct file **files, unsigned n, u64 deadline)
{
    struct poll_waiter w;
    long ready;
    int result = 0;

    poll_waiter_init(&w);
    ready = scan(fds, files, n, deadline == 0 ? NULL : &w.table);
    while (ready == 0 && result == 0 && w.error == 0 && deadline != 0) {
        result = poll_waiter_sleep(&w, deadline);
        ready = scan(fds, files, n, NULL);
    }
    poll_waiter_free(&w);
    if (ready == 0 && w.error != 0)
        return w.error;
    return ready == 0 && result == -EINTR ? -EINTR : ready;
}

long poll_files(struct pollfd *fds, unsigned n, u64 deadline)
{
    struct file *few[8], **files = few;
    long result;

    if (n > ARRAY_SIZE(few)) {
        files = kmalloc(n * sizeof(*files));
        if (files == NULL)
            return -ENOMEM;
    }
    for (unsigned i = 0; i < n; i++)
        files[i] = fds[i].fd >= 0 ? fd_get(fds[i].fd) : NULL;
    result = scan_and_wait(fds, files, n, deadline);
    for (unsigned i = 0; i < n; i++)
        if (files[i] != NULL)
            file_put(files[i]);
    if (files != few)
        kfree(files);
    return result;
}
