/*
 * Signals for input and output: O_ASYNC, and F_SETOWN and F_SETSIG of fcntl(2). A file that has them has a waiter on
 * each of its queues, as one that is polled has, and waking it sends the signal.
 *
 *     file->async --> target, signal
 *                     waiter <---- queue of readers (pipe, socket, terminal) <-- wake
 *                     waiter <---- queue of writers
 *
 * Lock: async_mutex: file->async and its waiters. Waking runs under the queue's lock and takes task_lock.
 */
#include "fs/async.h"
#include "fs/poll.h"
#include "proc/task.h"
#include "vm/kmalloc.h"

#define QUEUES 2
#define POLL_IN 1 /* si_code */
#define POLL_OUT 2

struct async_waiter {
    struct waiter waiter;
    struct async *async;
    bool is_output;
};

struct async {
    struct signal_target target;
    int signal; /* 0: SIGIO, without details */
    int fd;     /* under which it was switched on */
    struct poll_table table;
    struct async_waiter waiters[QUEUES];
    unsigned n_waiters;
    bool can_read;
};

static struct mutex async_mutex = MUTEX_INIT(async_mutex);

static void send_signal(struct waiter *waiter)
{
    struct async_waiter *w = container_of(waiter, struct async_waiter, waiter);
    struct async *a = w->async;
    struct siginfo info = {.signo = SIGIO, .code = SI_KERNEL};
    int signal = load_relaxed(&a->signal); /* F_SETSIG may change it beside us */

    if (signal != 0) {
        info.signo = signal;
        info.code = w->is_output ? POLL_OUT : POLL_IN;
        info.words[0] = w->is_output ? POLLOUT | POLLWRNORM | POLLWRBAND : POLLIN | POLLRDNORM;
        info.words[1] = (u32)load_relaxed(&a->fd);
    }
    signal_target_send(&a->target, &info);
}

/* poll names the queue of readers first, if the file can be read. */
static void add_queue(struct poll_table *table, struct wait_queue *queue)
{
    struct async *a = container_of(table, struct async, table);
    struct async_waiter *w = &a->waiters[a->n_waiters];

    if (a->n_waiters == QUEUES)
        return;
    *w = (struct async_waiter){
        .waiter = {.wake = send_signal}, .async = a, .is_output = a->n_waiters > 0 || !a->can_read};
    list_init(&w->waiter.link);
    a->n_waiters++;
    wait_add(queue, &w->waiter);
}

/* => async_mutex */
static struct async *async_of(struct file *file)
{
    if (file->async == NULL) {
        struct async *a = kzalloc(sizeof(*a));

        if (a != NULL) {
            a->table.add = add_queue;
            a->can_read = file->can_read;
        }
        store_release(&file->async, a);
    }
    return file->async;
}

static void switch_off(struct async *a)
{
    while (a->n_waiters > 0)
        wait_finish(&a->waiters[--a->n_waiters].waiter);
}

bool async_is_possible(const struct file *file)
{
    u32 mode = file->inode->mode;

    return file->ops->poll != NULL && (S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISCHR(mode));
}

int async_switch(struct file *file, int fd, bool on)
{
    struct async *a;
    int error = 0;

    if (!async_is_possible(file))
        return 0;
    mutex_lock(&async_mutex);
    a = async_of(file);
    if (a == NULL) {
        error = -ENOMEM;
    } else {
        switch_off(a);
        store_relaxed(&a->fd, fd);
        if (on) {
            (void)file->ops->poll(file, &a->table);
            atomic_or(&file->flags, O_ASYNC);
        } else {
            atomic_and(&file->flags, ~(u32)O_ASYNC);
        }
    }
    mutex_unlock(&async_mutex);
    return error;
}

int async_set_owner(struct file *file, enum signal_target_kind kind, int number)
{
    struct async *a;
    int error;

    mutex_lock(&async_mutex);
    a = async_of(file);
    error = a == NULL ? -ENOMEM : signal_target_set(&a->target, kind, number);
    mutex_unlock(&async_mutex);
    return error;
}

int async_get_owner(struct file *file, enum signal_target_kind *kind)
{
    const struct async *a = load_acquire(&file->async);

    *kind = TARGET_THREAD;
    return a != NULL ? signal_target_get(&a->target, kind) : 0;
}

int async_set_signal(struct file *file, int signal)
{
    struct async *a;

    mutex_lock(&async_mutex);
    a = async_of(file);
    if (a != NULL)
        store_relaxed(&a->signal, signal);
    mutex_unlock(&async_mutex);
    return a != NULL ? 0 : -ENOMEM;
}

int async_get_signal(const struct file *file)
{
    const struct async *a = load_acquire(&file->async);

    return a != NULL ? load_relaxed(&a->signal) : 0;
}

void async_release(struct file *file)
{
    switch_off(file->async);
    (void)signal_target_set(&file->async->target, TARGET_THREAD, 0);
    kfree(file->async);
}
