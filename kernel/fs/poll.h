/*
 * Waiting for events of files. A file's poll operation calls poll_wait(table, queue) for each queue that tells of
 * changes; what that does is the table's matter: poll(2) collects waiters that wake one thread (fs/poll.c), epoll keeps
 * them (fs/epoll.c).
 */
#ifndef FS_POLL_H
#define FS_POLL_H

#include "fs/vfs.h"

struct poll_table {
    void (*add)(struct poll_table *table, struct wait_queue *queue);
};

#define POLL_ALWAYS_READY (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)

static inline unsigned file_poll(struct file *file, struct poll_table *table)
{
    return file->ops->poll != NULL ? file->ops->poll(file, table) : POLL_ALWAYS_READY;
}

/* A thread that waits for many queues at once. */
#define POLL_INLINE 6
struct poll_entry {
    struct waiter waiter;
    struct poll_waiter *owner;
};
struct poll_waiter {
    struct poll_table table;
    struct wait_queue ready; /* where the thread sleeps */
    bool triggered;
    int error; /* -ENOMEM: an entry could not be made */
    unsigned n_inline;
    struct poll_entry entries[POLL_INLINE];
    struct poll_block *blocks;
};
void poll_waiter_init(struct poll_waiter *w);
/* Sleeps until one of the queues was woken since the last call, a signal (-EINTR), or the deadline (-ETIMEDOUT). */
int poll_waiter_sleep(struct poll_waiter *w, u64 deadline);
void poll_waiter_free(struct poll_waiter *w);

/* poll(2)'s and select(2)'s loops, on kernel copies. DEADLINE: monotonic. */
struct pollfd { /* the ABI's */
    s32 fd;
    s16 events, revents;
};
/* Ready ones, or -EINTR. */
long poll_files(struct pollfd *fds, unsigned n, u64 deadline);

#endif
