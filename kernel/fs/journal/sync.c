/*
 * fsync(2) of many at once: a commit is dear, a larger one hardly dearer, and who has synced a file often syncs the
 * next one soon. Of those who want the same transaction one commits it, the leader; the others wait. He waits first for
 * those whom the last commit served, and who came while it was made:
 *
 *     A syncs              ->  commit 7: A
 *     B comes meanwhile        B leads 8; two are expected: he waits for A to be there again
 *                              commit 8: B, A
 *     C, D come meanwhile      C leads 9; four are expected
 *                              commit 9: C, D, A, B
 *
 * He waits about as long as a commit takes; one who syncs alone never waits, and one whose company has left does so
 * once. Who syncs says so (journal_join) before his own data are written: nobody needs to wait for those here, what of
 * them belongs to the transaction its commit waits for.
 *
 * Locks: journal.lock for `expected`, a transaction's `syncing` and `is_led`. Nothing is held while waiting.
 */
#include "fs/journal/internal.h"

#define LEAST_PATIENCE 500000ul /* ns */
#define MOST_PATIENCE 5000000ul
#define MOMENT 100000ul
#define COMMITS_IN_HASTE 16 /* that wait for nobody, after one who did so and nobody came */

/* TID, if it is the running one; NULL. => lock */
static struct transaction *if_running(const struct journal *j, u32 tid)
{
    return j->running != NULL && j->running->tid == tid ? j->running : NULL;
}

bool journal_join(struct journal *j, u32 tid)
{
    struct transaction *t;
    bool joins, is_last;

    spin_lock(&j->lock);
    t = if_running(j, tid);
    joins = t != NULL && t->changed;
    is_last = joins && ++t->syncing == j->expected;
    spin_unlock(&j->lock);
    if (is_last)
        wake_all(&j->gathering);
    return joins;
}

/* Whether the caller is the one who commits TID: the first who asks. */
static bool take_lead(struct journal *j, u32 tid)
{
    struct transaction *t;
    bool leads;

    spin_lock(&j->lock);
    t = if_running(j, tid);
    leads = t != NULL && !t->is_led;
    if (leads)
        t->is_led = true;
    spin_unlock(&j->lock);
    return leads;
}

/* TID is still the running one, nothing in it was worth a commit: another may lead. */
static void give_up_lead(struct journal *j, u32 tid)
{
    struct transaction *t;

    spin_lock(&j->lock);
    t = if_running(j, tid);
    if (t != NULL)
        t->is_led = false;
    spin_unlock(&j->lock);
    if (t != NULL)
        wake_all(&j->synced);
}

/* What those who want TID see of it; all zero when it is the running one no more. */
struct company {
    bool runs, is_led;
    unsigned syncing, expected;
};

static struct company look_at(struct journal *j, u32 tid)
{
    struct company c = {0};
    const struct transaction *t;

    spin_lock(&j->lock);
    t = if_running(j, tid);
    if (t != NULL)
        c = (struct company){true, t->is_led, t->syncing, j->expected};
    spin_unlock(&j->lock);
    return c;
}

static bool has_no_leader(struct journal *j, u32 tid)
{
    struct company c = look_at(j, tid);

    return c.runs && !c.is_led;
}

/* Those who want TID are there, or it is not to be waited for any more. */
static bool are_together(struct journal *j, u32 tid)
{
    struct company c = look_at(j, tid);

    return c.syncing >= c.expected;
}

static bool is_alone(struct journal *j, u32 tid) { return look_at(j, tid).syncing <= 1; }

/* The next who joins is waited for. */
static void expect_one_more(struct journal *j, u32 tid)
{
    struct transaction *t;

    spin_lock(&j->lock);
    t = if_running(j, tid);
    if (t != NULL)
        j->expected = t->syncing + 1;
    spin_unlock(&j->lock);
}

/* Until DEADLINE. True: those who are expected came. */
static bool wait_together(struct journal *j, u32 tid, u64 deadline)
{
    return wait_event_state(&j->gathering, are_together(j, tid), THREAD_SLEEPING, deadline) == 0;
}

static void gather(struct journal *j, u32 tid)
{
    u64 patience = MIN(MAX(load_relaxed(&j->commit_time), LEAST_PATIENCE), MOST_PATIENCE);
    u64 deadline = time_ns() + patience;

    if (are_together(j, tid) && is_alone(j, tid))
        return;
    if (j->haste > 0) {
        j->haste--;
        return;
    }
    wait_together(j, tid, deadline);
    if (is_alone(j, tid))
        j->haste = COMMITS_IN_HASTE;
    /* Who waits for a hart may want to sync, too. */
    while (sched_runnable() > 1 && !is_alone(j, tid)) {
        expect_one_more(j, tid);
        if (!wait_together(j, tid, MIN(time_ns() + MOMENT, deadline)))
            break;
    }
}

void sync_expect(struct journal *j, const struct transaction *t)
{
    const struct transaction *next = j->running;

    j->expected = t->syncing + (next != NULL ? next->syncing : 0);
    store_relaxed(&j->commit_time, (3 * j->commit_time + (time_ns() - t->locked)) / 4);
}

static void lead(struct journal *j, u32 tid)
{
    /* Those whom the commit under way serves are among the expected. */
    wait_event(&j->synced, load_acquire(&j->committing) == NULL || journal_is_durable(j, tid));
    gather(j, tid);
    journal_commit(j, tid);
    if (!journal_is_durable(j, tid))
        give_up_lead(j, tid);
}

/* Nothing is left to wait for. */
static bool is_settled(struct journal *j, u32 tid)
{
    return journal_is_durable(j, tid) || journal_is_aborted(j) || commit_is_idle(j, tid);
}

int journal_sync(struct journal *j, u32 tid, bool joined)
{
    bool settled = is_settled(j, tid);

    if (!settled && !joined)
        journal_join(j, tid);
    for (; !settled; settled = is_settled(j, tid)) {
        if (take_lead(j, tid))
            lead(j, tid);
        else /* the running one may never have anything to commit: then it is idle when the one before it is done */
            wait_event(&j->synced, is_settled(j, tid) || has_no_leader(j, tid));
    }
    return journal_is_aborted(j) ? -EIO : 0;
}
