/*
 * Handles: joining the running transaction with a reservation, so that whoever has a handle never has to wait for room
 * in the middle of a change.
 *
 *   room in the log for one whole transaction is made sure of when the transaction begins;
 *   room in the transaction is reserved when the handle begins, in buffers ("credits").
 */
#include "fs/journal/internal.h"

/* ---- room ---- */

/* Revoke blocks for N numbers. */
static unsigned revoke_blocks(const struct journal *j, unsigned n)
{
    unsigned numbers = (j->block_size - (unsigned)sizeof(struct log_revoke) - j->tail_size) / j->number_size;

    return DIV_ROUND_UP(n, numbers);
}

unsigned log_blocks_for(const struct journal *j, unsigned n, unsigned revoked)
{
    unsigned tags = (j->block_size - sizeof(struct log_header) - TAG_UUID_SIZE - j->tail_size) / j->tag_size;

    return n + DIV_ROUND_UP(n, tags) + revoke_blocks(j, revoked) + 1;
}

unsigned journal_max_credits(const struct journal *j) { return j->max_transaction / 2; }

/* Blocks of the log that a new transaction must find free: its own, with numbers to revoke, and what the committing one
 * may still take. => lock */
static unsigned room_to_begin(const struct journal *j)
{
    unsigned n = log_blocks_for(j, j->max_transaction, 0) + j->max_transaction / 8;

    if (j->committing != NULL)
        n += log_blocks_for(j, j->committing->n_buffers, j->committing->n_revoked);
    return n;
}

/* ---- transactions ---- */

void transaction_free(struct transaction *t)
{
    radix_destroy(&t->revoked);
    kfree(t);
}

/* The running transaction begins. => lock */
static void begin(struct journal *j, struct transaction *t)
{
    memset(t, 0, sizeof(*t));
    t->journal = j;
    t->state = T_RUNNING;
    t->tid = j->next_tid++;
    t->started = time_ns();
    list_init(&t->buffers);
    list_init(&t->ordered);
    list_init(&t->checkpoint);
    list_init(&t->link);
    j->running = t;
    if (j->thread_is_idle) {
        j->thread_is_idle = false;
        wake_all(&j->work);
    }
}

/* Gets room for a new transaction: 0 or -errno. => no locks of ours */
static int make_room(struct journal *j, unsigned blocks)
{
    u32 tid;
    int error = checkpoint(j, blocks, true);

    if (error != 0)
        return error;
    spin_lock(&j->lock);
    j->stats.waits_log++;
    tid = j->committing != NULL ? j->committing->tid : j->durable_tid;
    spin_unlock(&j->lock);
    return journal_commit(j, tid);
}

/* The running transaction is full: the next one, please. */
static int await_next(struct journal *j, struct transaction *t, u32 tid)
{
    if (!j->thread_runs)
        return journal_commit(j, tid);
    store_relaxed(&j->wants_commit, true);
    wake_all(&j->work);
    wait_event(&j->changed, load_acquire(&j->running) != t || journal_is_durable(j, tid) || journal_is_aborted(j));
    return 0;
}

/* ---- handles ---- */

/* What is reserved may become buffers, or numbers to revoke, of which many go into a block. */
static bool fits(const struct journal *j, const struct transaction *t, unsigned credits)
{
    return t->n_buffers + t->reserved + credits + (t->n_revoked > 0 ? revoke_blocks(j, t->n_revoked) : 0) <=
           j->max_transaction;
}

/* GOES_ON: with a change that began in the last transaction. => lock */
static bool can_join(const struct journal *j, unsigned credits, bool goes_on)
{
    const struct transaction *t = j->running;

    return t != NULL && t->state == T_RUNNING && j->aborted == 0 && (goes_on || j->gate == 0) && fits(j, t, credits);
}

/* => lock, can_join */
static void join(struct handle *h, struct journal *j, unsigned credits)
{
    struct transaction *t = j->running;

    t->handles++;
    t->n_handles++;
    t->reserved += credits;
    h->transaction = t;
    h->credits = (int)credits;
}

/* One step towards a transaction that can be joined; gives the lock up. 0 or -errno. => lock */
static int step(struct journal *j, unsigned credits, bool goes_on)
{
    struct transaction *t = j->running;
    unsigned blocks;

    if (j->aborted != 0 || ((j->gate & REFUSES) && !goes_on)) {
        spin_unlock(&j->lock);
        return -EROFS;
    }
    if (j->gate != 0 && !goes_on) {
        spin_unlock(&j->lock);
        wait_event(&j->changed, load_relaxed(&j->gate) == 0 || (load_relaxed(&j->gate) & REFUSES));
        return 0;
    }
    if (credits > j->max_transaction) {
        spin_unlock(&j->lock);
        return -ENOSPC;
    }
    if (t != NULL && t->state == T_LOCKED) {
        u32 tid = t->tid;

        spin_unlock(&j->lock); /* the next one may come to lie where T was */
        wait_event(&j->changed, load_acquire(&j->running) != t || journal_is_durable(j, tid));
        return 0;
    }
    if (t != NULL) {
        u32 tid = t->tid;

        t->changed = true;
        spin_unlock(&j->lock);
        return await_next(j, t, tid);
    }
    blocks = room_to_begin(j);
    if (j->free_blocks < blocks) {
        spin_unlock(&j->lock);
        return make_room(j, blocks);
    }
    t = j->spare;
    j->spare = NULL;
    if (t == NULL) {
        spin_unlock(&j->lock);
        t = kmalloc(sizeof(*t));
        if (t == NULL) { /* a change that has begun must go on */
            sched_yield();
            return 0;
        }
        spin_lock(&j->lock);
    }
    if (j->running == NULL && j->aborted == 0 && j->free_blocks >= room_to_begin(j)) {
        begin(j, t);
        t = NULL;
    }
    spin_unlock(&j->lock);
    kfree(t);
    return 0;
}

/* => lock, which it gives up */
static noinline_fn int start_slowly(struct handle *h, struct journal *j, unsigned credits, bool goes_on)
{
    u64 since = time_ns();

    while (!can_join(j, credits, goes_on)) {
        int error = step(j, credits, goes_on);

        if (error != 0)
            return error;
        spin_lock(&j->lock);
    }
    join(h, j, credits);
    j->stats.waited_ns += time_ns() - since;
    spin_unlock(&j->lock);
    return 0;
}

int journal_start(struct handle *h, struct journal *j, unsigned credits)
{
    h->journal = j;
    spin_lock(&j->lock);
    if (unlikely(!can_join(j, credits, false)))
        return start_slowly(h, j, credits, false);
    join(h, j, credits);
    spin_unlock(&j->lock);
    return 0;
}

bool journal_extend(struct handle *h, unsigned credits)
{
    struct journal *j = h->journal;
    struct transaction *t = h->transaction;
    bool possible;

    spin_lock(&j->lock);
    possible = t->state == T_RUNNING && j->aborted == 0 && fits(j, t, credits);
    if (possible) {
        t->reserved += credits;
        h->credits += (int)credits;
    }
    spin_unlock(&j->lock);
    return possible;
}

void journal_stop(struct handle *h)
{
    struct journal *j = h->journal;
    struct transaction *t = h->transaction;
    bool wake;

    spin_lock(&j->lock);
    if (h->credits > 0)
        t->reserved -= (unsigned)h->credits;
    wake = --t->handles == 0 && (t->state == T_LOCKED || j->gate != 0);
    spin_unlock(&j->lock);
    if (wake)
        wake_all(&j->changed);
}

int journal_restart(struct handle *h, unsigned credits)
{
    struct journal *j = h->journal;
    bool wake;
    int error;

    if (h->credits >= (int)credits || journal_extend(h, credits - (unsigned)MAX(h->credits, 0)))
        return 0;
    spin_lock(&j->lock);
    j->restarting++;
    spin_unlock(&j->lock);
    journal_stop(h);
    h->transaction = NULL;
    spin_lock(&j->lock);
    error = start_slowly(h, j, credits, true);
    spin_lock(&j->lock);
    j->restarting--;
    wake = j->gate != 0;
    spin_unlock(&j->lock);
    if (wake)
        wake_all(&j->changed);
    return error;
}

static bool is_quiet(struct journal *j)
{
    bool quiet;

    spin_lock(&j->lock);
    quiet = j->restarting == 0 && (j->running == NULL || j->running->handles == 0);
    spin_unlock(&j->lock);
    return quiet;
}

void handles_change_gate(struct journal *j, u32 clear, u32 add)
{
    spin_lock(&j->lock);
    j->gate = (j->gate & ~clear) + add;
    spin_unlock(&j->lock);
    wake_all(&j->changed);
}

void handles_wait(struct journal *j) { wait_event(&j->changed, is_quiet(j)); }

u32 journal_tid(const struct handle *h) { return h->transaction->tid; }

void **journal_freed_list(struct handle *h)
{
    h->transaction->changed = true;
    return &h->transaction->freed;
}
