/*
 * Sockets on their way in messages, and those that will never arrive: a socket may be sent through itself, or two
 * through each other, and then be closed everywhere else. Nobody can receive them any more, but each is kept by a
 * message.
 *
 *     holder --message--> socket in flight        an edge for each socket that a message carries
 *
 * A socket is reachable when its file has more references than messages carry it, or when a reachable socket holds a
 * message that carries it. One that waits for accept(2) has no file: it is reachable if its listener is. What is in
 * flight and not reachable is emptied, and so goes. The collector runs when as many sockets are in flight as twice
 * those that it left the last time, so it costs little for each; what it has not looked at yet is bounded. A reference
 * moves between a message and a descriptor under the lock, or is counted twice meanwhile.
 *
 * Lock: flight_lock (spin), below socket->lock.
 */
#include "fs/file.h"
#include "fs/unix_socket.h"
#include "lib/rlimit.h"
#include "vm/kmalloc.h"

#define COLLECT_AT_LEAST 1u

static struct spinlock flight_lock;
static struct list carriers = LIST_INIT(carriers); /* messages with files */
static struct list flying = LIST_INIT(flying);     /* sockets with in_flight > 0 */
static unsigned n_flying, collect_at = COLLECT_AT_LEAST;
static bool is_collecting; /* atomic: closing what was found comes here again */

static struct unix_socket *socket_of(struct file *file) { return file_is_socket(file) ? file_socket(file) : NULL; }

static void take_off(struct unix_socket *s)
{
    if (s->in_flight++ > 0)
        return;
    list_add_tail(&flying, &s->flight_link);
    store_relaxed(&n_flying, n_flying + 1);
}

static void land(struct unix_socket *s)
{
    if (--s->in_flight > 0)
        return;
    list_remove(&s->flight_link);
    store_relaxed(&n_flying, n_flying - 1);
}

void flight_begin(struct message *m, struct unix_socket *holder)
{
    spin_lock(&flight_lock);
    m->holder = holder;
    list_add_tail(&carriers, &m->carrier_link);
    for (unsigned i = 0; i < m->n_files; i++)
        if (socket_of(m->files[i]) != NULL)
            take_off(socket_of(m->files[i]));
    spin_unlock(&flight_lock);
}

void flight_end(struct message *m)
{
    spin_lock(&flight_lock);
    if (m->holder != NULL) {
        m->holder = NULL;
        list_remove(&m->carrier_link);
        for (unsigned i = 0; i < m->n_files; i++)
            if (socket_of(m->files[i]) != NULL)
                land(socket_of(m->files[i]));
    }
    spin_unlock(&flight_lock);
}

void flight_copy(struct message *m, struct file **files)
{
    spin_lock(&flight_lock);
    for (unsigned i = 0; i < m->n_files; i++) {
        files[i] = m->files[i];
        file_get(files[i]);
    }
    spin_unlock(&flight_lock);
}

void flight_set_listener(struct unix_socket *s, struct unix_socket *listener)
{
    spin_lock(&flight_lock);
    s->listener = listener;
    spin_unlock(&flight_lock);
}

/* Looks at all messages, of which there are few: what an unprivileged user may have under way is bounded here. */
int flight_admit(void)
{
    u64 limit = current->limits->limit[RLIMIT_NOFILE].soft, n = 0;
    struct message *m;

    if (capable(current->cred, CAP_SYS_RESOURCE) || capable(current->cred, CAP_SYS_ADMIN))
        return 0;
    spin_lock(&flight_lock);
    list_for_each(m, &carriers, carrier_link)
        if (m->cred.uid == current->cred->uid)
            n += m->n_files;
    spin_unlock(&flight_lock);
    return n > limit ? -ETOOMANYREFS : 0;
}

/* ---- collecting ---- */

/* A holder that no message carries has a descriptor, or waits for accept(2). */
static bool is_reachable(const struct unix_socket *s)
{
    if (s->listener != NULL)
        s = s->listener;
    return s->in_flight == 0 || s->is_reachable;
}

/* What M carries is reachable if its holder is: whether that was news. */
static bool spread(struct message *m)
{
    bool changed = false;

    if (!is_reachable(m->holder))
        return false;
    for (unsigned i = 0; i < m->n_files; i++) {
        struct unix_socket *s = socket_of(m->files[i]);

        if (s != NULL && !s->is_reachable)
            s->is_reachable = changed = true;
    }
    return changed;
}

/* Marks all that is reachable. The list is walked in both directions: chains are made from one end to the other. */
static void mark(void)
{
    bool changed = true;
    struct unix_socket *s;
    struct message *m;

    list_for_each(s, &flying, flight_link)
        s->is_reachable = load_relaxed(&s->file->refs) > s->in_flight;
    while (changed) {
        changed = false;
        list_for_each(m, &carriers, carrier_link)
            changed |= spread(m);
        for (struct list *at = carriers.prev; at != &carriers; at = at->prev)
            changed |= spread(container_of(at, struct message, carrier_link));
    }
}

/* Up to N unreachable files, referenced: how many. */
static unsigned find_garbage(struct file **files, unsigned n)
{
    struct unix_socket *s;
    unsigned found = 0;

    spin_lock(&flight_lock);
    mark();
    list_for_each(s, &flying, flight_link) {
        if (s->is_reachable || found == n)
            continue;
        file_get(s->file);
        files[found++] = s->file;
    }
    store_relaxed(&collect_at, MAX(2 * (n_flying - found), COLLECT_AT_LEAST));
    spin_unlock(&flight_lock);
    return found;
}

void flight_collect(void)
{
    unsigned n = load_relaxed(&n_flying), found;
    struct file **files;

    if (n < load_relaxed(&collect_at) || atomic_swap(&is_collecting, true))
        return;
    files = kmalloc(n * sizeof(*files)); /* NULL: the next close tries again */
    found = files != NULL ? find_garbage(files, n) : 0;
    for (unsigned i = 0; i < found; i++)
        unix_drop_messages(file_socket(files[i]));
    for (unsigned i = 0; i < found; i++)
        unix_drop_backlog_messages(file_socket(files[i]));
    for (unsigned i = 0; i < found; i++)
        file_put(files[i]);
    kfree(files);
    store_release(&is_collecting, false);
}
