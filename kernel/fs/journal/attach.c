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
 * A buffer holds one reference for `transaction` and one for `checkpoint`. All under journal.lock; flags are atomic, so
 * that a handle of a transaction that has the buffer needs no lock.
 */
#include "fs/journal/internal.h"

static bool has(const struct buffer *b, const struct transaction *t)
{
    return load_acquire(&b->journal.transaction) == t || load_acquire(&b->journal.next) == t;
}

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
        if (has(b, h->transaction))
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

int journal_access(struct handle *h, struct buffer *b)
{
    if (likely(has(b, h->transaction)))
        return 0;
    return h->transaction == NULL ? -EROFS : attach(h, b, false);
}

int journal_access_new(struct handle *h, struct buffer *b)
{
    if (h->transaction == NULL)
        return -EROFS;
    return has(b, h->transaction) ? 0 : attach(h, b, true);
}

/* How far the flags of B in the handle's transaction are shifted. */
static unsigned shift_of(const struct handle *h, const struct buffer *b)
{
    return b->journal.transaction == h->transaction ? 0 : JB_NEXT;
}

/* What is journaled again after it was freed in the same transaction is not revoked. */
static void cancel_revoke(struct handle *h, struct buffer *b)
{
    struct journal *j = h->journal;

    spin_lock(&j->lock);
    if (radix_remove(&h->transaction->revoked, b->block) != NULL)
        h->transaction->n_revoked--;
    spin_unlock(&j->lock);
}

void journal_dirty(struct handle *h, struct buffer *b)
{
    unsigned shift;
    u32 flags;

    if (unlikely(!has(b, h->transaction) || h->transaction == NULL)) {
        ASSERT(h->transaction == NULL || h->journal->aborted != 0);
        return;
    }
    shift = shift_of(h, b);
    flags = load_relaxed(&b->journal.flags);
    if (likely((flags >> shift & (JB_MODIFIED | JB_FORGOTTEN)) == JB_MODIFIED))
        return;
    if (flags >> shift & JB_FORGOTTEN)
        cancel_revoke(h, b);
    atomic_and(&b->journal.flags, ~((u32)JB_FORGOTTEN << shift));
    atomic_or(&b->journal.flags, (u32)JB_MODIFIED << shift);
    store_relaxed(&h->transaction->changed, true);
}

/* Adds BLOCK to those that are not to be replayed: 0, -EEXIST, -ENOMEM at this moment. */
static int try_to_revoke(struct handle *h, u64 block)
{
    struct journal *j = h->journal;
    int error;

    spin_lock(&j->lock);
    error = radix_insert(&h->transaction->revoked, block, h->transaction);
    if (error == 0) {
        h->transaction->n_revoked++;
        h->transaction->changed = true;
        j->stats.revokes++;
    }
    spin_unlock(&j->lock);
    return error;
}

/* A block that is not revoked cannot be freed, and nobody would find it again: so there is memory for it. */
static void revoke(struct handle *h, u64 block)
{
    while (try_to_revoke(h, block) == -ENOMEM) {
        kfree(kmalloc(RADIX_NODE_SIZE)); /* waits for memory, which try_to_revoke must not */
        sched_yield();
    }
}

int journal_forget(struct handle *h, u64 block)
{
    struct journal *j = h->journal;
    struct buffer *b = h->transaction != NULL ? buffer_find(j->device, block) : NULL;
    bool is_fresh = false;
    unsigned shift = 0;

    if (h->transaction == NULL)
        return -EROFS;
    if (b != NULL) {
        int error = journal_access(h, b);

        if (error != 0) {
            buffer_put(b);
            return error;
        }
        shift = shift_of(h, b);
        is_fresh = shift == 0 && (load_relaxed(&b->journal.flags) & JB_FRESH);
    }
    if (!is_fresh)
        revoke(h, block);
    if (b != NULL) {
        atomic_and(&b->journal.flags, ~((u32)JB_MODIFIED << shift));
        atomic_or(&b->journal.flags, (u32)JB_FORGOTTEN << shift);
        store_relaxed(&h->transaction->changed, true);
    }
    buffer_put(b);
    return 0;
}
