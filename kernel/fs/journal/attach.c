/*
 * Buffers in transactions. A buffer belongs to at most two:
 *
 *   journal.transaction  the oldest that has it: running, or committing
 *   journal.next         the running one, when `transaction` is the committing one and both have it
 *   journal.checkpoint   a committed one, which the buffer's write in place is due for
 *
 * While a transaction has it, the buffer is not written in place: it holds changes that may not survive. When the
 * running one wants to change what the committing one has not written to the log yet, the contents of now are copied
 * (journal.frozen) for the log; while they are on their way there, it waits (JB_SHADOW).
 *
 * A buffer holds one reference for `transaction` and one for `checkpoint`. All under journal.lock, with one exception:
 * as long as a handle is open, its transaction does not end, so a buffer whose `transaction` it is stays where it is,
 * and its flags may be changed (atomically) without the lock. One that the handle's transaction has as `next` may
 * become its `transaction` at any moment, and the flags move with it (let_go in commit.c).
 */
#include "fs/journal/internal.h"

/* One buffer more. => lock */
static void count(struct handle *h)
{
    h->transaction->n_buffers++;
    if (h->credits-- > 0)
        h->transaction->reserved--;
}

/* No transaction has B: this one takes it. False: it is being written in place. => lock */
static bool take(struct handle *h, struct buffer *b, bool is_new)
{
    bool was_dirty;
    u32 flags = 0;

    if (!buffer_claim(b, &was_dirty))
        return false;
    if (was_dirty)
        flags |= JB_WAS_DIRTY;
    if (is_new && b->journal.checkpoint == NULL)
        flags |= JB_FRESH;
    buffer_hold(b);
    store_relaxed(&b->journal.flags, flags);
    list_add_tail(&h->transaction->buffers, &b->journal.link);
    count(h);
    store_release(&b->journal.transaction, h->transaction);
    return true;
}

enum { DONE, WAIT_WRITE, WAIT_SHADOW, NEED_COPY };

/* The committing transaction has B: the running one may have it, too, once the former's contents are safe. *COPY is
 * used up if they need a copy. => lock */
static int share(struct handle *h, struct buffer *b, u8 **copy)
{
    u32 flags = load_relaxed(&b->journal.flags);

    if ((flags & JB_MODIFIED) && !(flags & (JB_LOGGED | JB_FORGOTTEN)) && b->journal.frozen == NULL) {
        if (flags & JB_SHADOW)
            return WAIT_SHADOW;
        if (*copy == NULL)
            return NEED_COPY;
        memcpy(*copy, b->data, b->size);
        b->journal.frozen = *copy;
        *copy = NULL;
        h->journal->stats.frozen++;
    }
    count(h);
    store_release(&b->journal.next, h->transaction);
    return DONE;
}

/* The slow way: the transaction gets B. */
static noinline_fn int attach(struct handle *h, struct buffer *b, bool is_new)
{
    struct journal *j = h->journal;
    u8 *copy = NULL;
    int state = DONE;

    do {
        if (state == WAIT_WRITE)
            buffer_wait_written(b);
        else if (state == WAIT_SHADOW)
            wait_event(&j->changed, !(load_acquire(&b->journal.flags) & JB_SHADOW));
        else if (state == NEED_COPY && (copy = kmalloc(b->size)) == NULL)
            sched_yield(); /* until there is memory, or the log has the buffer: a change begun cannot be left half */
        spin_lock(&j->lock);
        if (j->aborted != 0) {
            spin_unlock(&j->lock);
            kfree(copy);
            return -EROFS;
        }
        if (journal_has(b, h->transaction))
            state = DONE;
        else if (b->journal.transaction == NULL)
            state = take(h, b, is_new) ? DONE : WAIT_WRITE;
        else
            state = share(h, b, &copy);
        spin_unlock(&j->lock);
    } while (state != DONE);
    kfree(copy);
    return 0;
}

int journal_attach(struct handle *h, struct buffer *b) { return h->transaction == NULL ? -EROFS : attach(h, b, false); }

int journal_access_new(struct handle *h, struct buffer *b)
{
    if (h->transaction == NULL)
        return -EROFS;
    return journal_has(b, h->transaction) ? 0 : attach(h, b, true);
}

/* How far the flags of B in the handle's transaction are shifted. => lock */
static unsigned shift_of(const struct handle *h, const struct buffer *b)
{
    return b->journal.transaction == h->transaction ? 0 : JB_NEXT;
}

/* What is journaled again after it was freed in the same transaction is not revoked. => lock */
static void cancel_revoke(struct handle *h, struct buffer *b)
{
    if (radix_remove(&h->transaction->revoked, b->block) != NULL)
        h->transaction->n_revoked--;
}

void journal_dirty_slowly(struct handle *h, struct buffer *b)
{
    struct journal *j = h->journal;

    if (h->transaction == NULL)
        return; /* aborted */
    spin_lock(&j->lock);
    if (journal_has(b, h->transaction)) {
        unsigned shift = shift_of(h, b);

        if (load_relaxed(&b->journal.flags) >> shift & JB_FORGOTTEN)
            cancel_revoke(h, b);
        atomic_and(&b->journal.flags, ~((u32)JB_FORGOTTEN << shift));
        atomic_or(&b->journal.flags, (u32)JB_MODIFIED << shift);
        store_relaxed(&h->transaction->changed, true);
    } else {
        ASSERT(j->aborted != 0);
    }
    spin_unlock(&j->lock);
}

/* Adds BLOCK to those that are not to be replayed: 0, -EEXIST, -ENOMEM at this moment. A buffer that the transaction
 * has will not be logged, which leaves room for its number; without one, the number takes a credit. */
static int try_to_revoke(struct handle *h, u64 block, bool has_buffer)
{
    struct journal *j = h->journal;
    int error;

    spin_lock(&j->lock);
    error = radix_insert(&h->transaction->revoked, block, h->transaction);
    if (error == 0) {
        h->transaction->n_revoked++;
        h->transaction->changed = true;
        if (!has_buffer && h->credits-- > 0)
            h->transaction->reserved--;
        j->stats.revokes++;
    }
    spin_unlock(&j->lock);
    return error;
}

/* A block that is not revoked cannot be freed, and nobody would find it again: so there is memory for it. */
static void revoke(struct handle *h, u64 block, bool has_buffer)
{
    while (try_to_revoke(h, block, has_buffer) == -ENOMEM) {
        kfree(kmalloc(RADIX_NODE_SIZE)); /* waits for memory, which try_to_revoke must not */
        sched_yield();
    }
}

/* B's contents will not be logged, nor written in place. */
static void forget(struct handle *h, struct buffer *b)
{
    struct journal *j = h->journal;
    unsigned shift;

    spin_lock(&j->lock);
    shift = shift_of(h, b);
    atomic_and(&b->journal.flags, ~((u32)JB_MODIFIED << shift));
    atomic_or(&b->journal.flags, (u32)JB_FORGOTTEN << shift);
    store_relaxed(&h->transaction->changed, true);
    spin_unlock(&j->lock);
}

/* Whether the log has no copy of B that could be replayed. => journal_access before */
static bool is_fresh(const struct handle *h, const struct buffer *b)
{
    return load_acquire(&b->journal.transaction) == h->transaction && (load_relaxed(&b->journal.flags) & JB_FRESH);
}

int journal_forget(struct handle *h, u64 block)
{
    struct buffer *b;
    int error;

    if (h->transaction == NULL)
        return -EROFS;
    b = buffer_find(h->journal->device, block);
    error = b != NULL ? journal_access(h, b) : 0;
    if (error == 0 && (b == NULL || !is_fresh(h, b)))
        revoke(h, block, b != NULL);
    if (error == 0 && b != NULL)
        forget(h, b);
    buffer_put(b);
    return error;
}
