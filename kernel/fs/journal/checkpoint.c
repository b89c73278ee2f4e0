/*
 * Checkpoints: committed buffers go to their places, so that the log's oldest part is free again.
 *
 *          tail                                             head
 *   ........| T5: 2 not in place | T6: 7 | T7: 1 | committing |.........      ring of the log
 *
 * A buffer that a newer transaction logs again leaves the older one's list, for the newer copy counts at recovery. One
 * that the running transaction has must not be written before that has committed. When the oldest transactions have
 * empty lists, one flush and one write of the super block move the tail, and only then the room behind it is free: a
 * recovery that starts at the old tail must find what was there.
 *
 * The thread does this when half of the log is in use; a new transaction waits for it only if three quarters are.
 */
#include "fs/journal/internal.h"

#define BATCH 256

void checkpoint_remove(struct buffer *b)
{
    if (b->journal.checkpoint == NULL)
        return;
    b->journal.checkpoint = NULL;
    list_remove(&b->journal.checkpoint_link);
    buffer_put(b);
}

/* Up to BATCH buffers of T to be written, with references; those that are in place leave its list. *BUSY: some belong
 * to newer transactions. */
static unsigned collect(struct transaction *t, struct buffer **batch, bool *busy)
{
    struct journal *j = t->journal;
    struct buffer *b, *next;
    unsigned n = 0;

    *busy = false;
    spin_lock(&j->lock);
    list_for_each_safe(b, next, &t->checkpoint, journal.checkpoint_link) {
        if (n == BATCH)
            break;
        if (b->journal.transaction != NULL) {
            *busy = true;
            continue;
        }
        if (buffer_has_failed(b)) {
            j->failed = true;
            break;
        }
        if (buffer_is_clean(b)) {
            checkpoint_remove(b);
            j->stats.checkpointed++;
            continue;
        }
        buffer_hold(b);
        batch[n++] = b;
    }
    spin_unlock(&j->lock);
    return n;
}

/* Writes what T waits for: 0 when its list is empty, 1 when the rest is newer transactions', -EIO. */
static int write_buffers(struct transaction *t)
{
    static struct buffer *batch[BATCH]; /* checkpoint_mutex is per journal: one more for the array */
    static struct mutex batch_mutex = MUTEX_INIT(batch_mutex);
    bool busy = false;
    unsigned n;
    int error = 0;

    mutex_lock(&batch_mutex);
    while (error == 0 && (n = collect(t, batch, &busy)) > 0) {
        error = buffer_write_many(t->journal->device, batch, n);
        for (unsigned i = 0; i < n; i++)
            buffer_put(batch[i]);
        cond_resched();
    }
    mutex_unlock(&batch_mutex);
    if (error == 0 && t->journal->failed)
        error = -EIO;
    return error != 0 ? error : list_empty(&t->checkpoint) ? 0 : 1;
}

/* => lock */
static unsigned distance(const struct journal *j, u32 from, u32 to)
{
    return to >= from ? to - from : to + (j->length - j->first) - from;
}

/* T's buffers, still to be written, are forgotten (FAULT_EARLY_TAIL, and what an abort leaves). => lock */
void checkpoint_drop(struct transaction *t)
{
    struct buffer *b, *next;

    list_for_each_safe(b, next, &t->checkpoint, journal.checkpoint_link)
        checkpoint_remove(b);
}

/* Moves the tail behind the transactions whose lists are empty. => checkpoint_mutex */
static int move_tail(struct journal *j)
{
    struct list done = LIST_INIT(done);
    struct transaction *t, *next;
    u32 tail = 0, tid = 0;
    int error = 0;

    spin_lock(&j->lock);
    list_for_each_safe(t, next, &j->committed, link) {
        if (has_fault(FAULT_EARLY_TAIL))
            checkpoint_drop(t);
        if (!list_empty(&t->checkpoint))
            break;
        t->state = T_CHECKPOINTED;
        list_remove(&t->link);
        list_add_tail(&done, &t->link);
    }
    if (!list_empty(&done)) {
        if (!list_empty(&j->committed))
            t = list_first(&j->committed, struct transaction, link);
        else
            t = j->committing;
        tail = t != NULL ? t->log_start : j->head;
        tid = t != NULL ? t->tid : j->durable_tid + 1;
    }
    spin_unlock(&j->lock);
    if (list_empty(&done))
        return 0;
    list_for_each_safe(t, next, &done, link)
        transaction_free(t);
    mutex_lock(&j->super_mutex);
    if (!j->empty) {
        j->super->start = to_be32(tail);
        j->super->sequence = to_be32(tid);
        error = log_write_super(j, !has_fault(FAULT_NO_TAIL_FLUSH));
    }
    mutex_unlock(&j->super_mutex);
    if (error != 0)
        return error;
    spin_lock(&j->lock);
    j->free_blocks += distance(j, j->tail, tail);
    j->tail = tail;
    j->tail_tid = tid;
    j->stats.tail_moves++;
    spin_unlock(&j->lock);
    wake_all(&j->changed);
    return 0;
}

static struct transaction *oldest(struct journal *j)
{
    struct transaction *t = NULL;

    spin_lock(&j->lock);
    if (!list_empty(&j->committed))
        t = list_first(&j->committed, struct transaction, link);
    spin_unlock(&j->lock);
    return t;
}

/* As many of the oldest transactions as it takes for BLOCKS to be free once the tail has moved. */
static int write_oldest(struct journal *j, unsigned blocks)
{
    struct transaction *t;
    int state = 0;

    spin_lock(&j->lock);
    t = list_empty(&j->committed) ? NULL : list_first(&j->committed, struct transaction, link);
    spin_unlock(&j->lock);
    while (state == 0 && t != NULL) {
        bool enough;

        state = write_buffers(t);
        if (state != 0)
            break;
        spin_lock(&j->lock);
        t = t->link.next == &j->committed ? NULL : list_entry(t->link.next, struct transaction, link);
        enough = t != NULL && j->free_blocks + distance(j, j->tail, t->log_start) >= blocks;
        spin_unlock(&j->lock);
        if (enough)
            break;
    }
    return state;
}

int checkpoint(struct journal *j, unsigned blocks, bool may_commit)
{
    int state = 0, error = 0;

    while (load_relaxed(&j->free_blocks) < blocks && oldest(j) != NULL && error == 0 && j->aborted == 0) {
        mutex_lock(&j->checkpoint_mutex);
        state = has_fault(FAULT_EARLY_TAIL) ? 0 : write_oldest(j, blocks);
        error = state < 0 ? state : move_tail(j);
        mutex_unlock(&j->checkpoint_mutex);
        if (error != 0)
            journal_abort(j, error);
        else if (state == 1 && load_relaxed(&j->free_blocks) < blocks)
            break;
    }
    if (error == 0 && state == 1 && may_commit)
        error = journal_commit_all(j);
    return error;
}
