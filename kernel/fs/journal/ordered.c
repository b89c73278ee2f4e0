/*
 * Ordered data: what a transaction makes reachable (blocks just allocated, bytes below a new size) is on the disk
 * before the transaction is, so nobody ever reads what a block held before.
 *
 * A file that a later transaction needs moves to that one's list: its data are written by the commit that comes first,
 * which is sooner than needed, never too late, for commits come in order.
 */
#include "fs/journal/internal.h"

void journal_data_init(struct journal_data *data, int (*write)(struct journal_data *data, bool wait))
{
    data->transaction = data->next = NULL;
    list_init(&data->link);
    data->writing = false;
    data->write = write;
}

void journal_order(struct handle *h, struct journal_data *data)
{
    struct journal *j = h->journal;

    if (h->transaction == NULL || load_relaxed(&data->transaction) == h->transaction)
        return;
    spin_lock(&j->lock);
    if (data->transaction == NULL || data->transaction == h->transaction || data->transaction != j->committing) {
        list_remove(&data->link);
        list_add_tail(&h->transaction->ordered, &data->link);
        data->transaction = h->transaction;
    } else { /* the committing one is about to write it, or does: it takes it to the next one afterwards */
        data->next = h->transaction;
    }
    h->transaction->changed = true;
    spin_unlock(&j->lock);
}

/* Calls DATA's write for all of T's. The lock is given up meanwhile: `writing` keeps the file. */
static int write_all(struct transaction *t, bool wait)
{
    struct journal *j = t->journal;
    struct list done = LIST_INIT(done);
    int error = 0;

    spin_lock(&j->lock);
    while (!list_empty(&t->ordered)) {
        struct journal_data *data = list_first(&t->ordered, struct journal_data, link);
        int this_error;

        list_remove(&data->link);
        list_add_tail(&done, &data->link);
        data->writing = true;
        spin_unlock(&j->lock);
        this_error = has_fault(FAULT_NO_ORDER) ? 0 : data->write(data, wait);
        error = error != 0 ? error : this_error;
        spin_lock(&j->lock);
        data->writing = false;
        if (wait) {
            list_remove(&data->link);
            data->transaction = data->next;
            data->next = NULL;
            if (data->transaction != NULL)
                list_add_tail(&data->transaction->ordered, &data->link);
        }
        wake_all(&j->changed);
    }
    list_splice_tail(&t->ordered, &done);
    spin_unlock(&j->lock);
    return error;
}

void ordered_start(struct transaction *t)
{
    if (!list_empty(&t->ordered))
        write_all(t, false);
}

void ordered_wait(struct transaction *t)
{
    if (!list_empty(&t->ordered) && write_all(t, true) != 0)
        kprintf("journal of %s: writing files' data failed", t->journal->name);
}

/* => lock */
static bool is_needed(const struct journal *j, const struct journal_data *data)
{
    return data->writing || (data->transaction != NULL && data->transaction == j->committing);
}

static bool is_needed_now(struct journal *j, const struct journal_data *data)
{
    bool needed;

    spin_lock(&j->lock);
    needed = is_needed(j, data);
    spin_unlock(&j->lock);
    return needed;
}

void journal_data_wait(struct journal *j, struct journal_data *data)
{
    if (load_acquire(&data->transaction) != NULL)
        wait_event(&j->changed, !is_needed_now(j, data));
}

void journal_data_forget(struct journal *j, struct journal_data *data, bool is_clean)
{
    if (load_acquire(&data->transaction) == NULL)
        return;
    spin_lock(&j->lock);
    while (is_clean ? data->writing : is_needed(j, data)) {
        spin_unlock(&j->lock);
        wait_event(&j->changed, !(is_clean ? load_acquire(&data->writing) : is_needed_now(j, data)));
        spin_lock(&j->lock);
    }
    list_remove(&data->link);
    data->transaction = data->next = NULL;
    spin_unlock(&j->lock);
}
