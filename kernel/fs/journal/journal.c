/*
 * The journal as a whole: opening, the thread that commits by the clock and makes room in the log, aborting, closing,
 * statistics.
 */
#include "fs/journal/internal.h"
#include "vm/page.h"

#define DEFAULT_INTERVAL (5 * NSEC_PER_SEC)

static struct mutex list_mutex = MUTEX_INIT(list_mutex);
static struct list journals = LIST_INIT(journals);

/* ---- opening ---- */

static void free_journal(struct journal *j)
{
    kfree(j->extents);
    kfree(j->super);
    kfree(j->descriptor);
    kfree(j->commit_block);
    kfree(j->request);
    kfree(j->spare);
    kfree(j);
}

static struct journal *create(const struct journal_config *config)
{
    struct journal *j = kzalloc(sizeof(*j));

    if (j == NULL)
        return NULL;
    j->device = config->device;
    j->block_size = config->block_size;
    j->sectors_per_block = config->block_size / SECTOR_SIZE;
    j->ops = config->ops;
    j->owner = config->owner;
    copy_string(j->name, config->name, sizeof(j->name));
    j->n_extents = config->n_extents;
    j->extents = kmalloc(config->n_extents * sizeof(*j->extents));
    j->super = kzalloc(config->block_size);
    j->barrier = true;
    j->interval = DEFAULT_INTERVAL;
    mutex_init(&j->super_mutex);
    mutex_init(&j->commit_mutex);
    mutex_init(&j->checkpoint_mutex);
    spin_init(&j->lock);
    list_init(&j->committed);
    list_init(&j->link);
    wait_queue_init(&j->changed);
    wait_queue_init(&j->work);
    wait_queue_init(&j->gathering);
    wait_queue_init(&j->synced);
    if (j->extents == NULL || j->super == NULL) {
        free_journal(j);
        return NULL;
    }
    memcpy(j->extents, config->extents, config->n_extents * sizeof(*j->extents));
    return j;
}

struct journal *journal_open(const struct journal_config *config)
{
    struct journal *j;
    int error;

    journal_crc_init();
    if (config->n_extents == 0 || config->extents[0].first != 0)
        return ERR_PTR(-EUCLEAN);
    j = create(config);
    if (j == NULL)
        return ERR_PTR(-ENOMEM);
    error = log_read(j, 0, j->super);
    if (error == 0)
        error = log_check_super(j);
    if (error != 0) {
        free_journal(j);
        return ERR_PTR(error);
    }
    j->next_tid = from_be32(j->super->sequence) + (j->super->start == 0);
    return j;
}

int journal_earlier_error(const struct journal *j) { return (int)from_be32(j->super->error); }

void journal_clear_error(struct journal *j)
{
    mutex_lock(&j->super_mutex);
    j->super->error = 0;
    if (!j->device->read_only)
        log_write_super(j, true);
    mutex_unlock(&j->super_mutex);
}

/* ---- the thread ---- */

/* When the running transaction is to be committed; NO_DEADLINE: there is none. */
static u64 commit_is_due(struct journal *j)
{
    u64 due = NO_DEADLINE;

    spin_lock(&j->lock);
    j->thread_is_idle = j->running == NULL;
    if (j->running != NULL)
        due = j->running->started + j->interval;
    spin_unlock(&j->lock);
    return due;
}

static bool has_work(const struct journal *j)
{
    return load_relaxed(&j->wants_commit) || load_relaxed(&j->wants_checkpoint) || load_acquire(&j->stopping);
}

static bool is_called(const struct journal *j, bool was_idle)
{
    return has_work(j) || (was_idle && !load_relaxed(&j->thread_is_idle));
}

static void commit_old(struct journal *j)
{
    if (atomic_swap(&j->wants_commit, false) || time_ns() >= commit_is_due(j)) {
        bool nothing;

        journal_commit_all(j);
        spin_lock(&j->lock); /* one that only looked waits for changes, not for us */
        nothing = j->running != NULL && !j->running->changed;
        if (nothing)
            j->running->started = time_ns();
        spin_unlock(&j->lock);
    }
}

static void journal_thread(void *arg)
{
    struct journal *j = arg;

    while (!load_acquire(&j->stopping)) {
        u64 due = commit_is_due(j);

        wait_event_state(&j->work, is_called(j, due == NO_DEADLINE), THREAD_SLEEPING, due);
        commit_old(j);
        if (atomic_swap(&j->wants_checkpoint, false) && j->aborted == 0)
            checkpoint(j, j->usable / 4 * 3, false);
    }
    mutex_lock(&list_mutex);
    store_release(&j->thread_runs, false);
    wake_all(&j->changed);
    mutex_unlock(&list_mutex);
}

static void stop_thread(struct journal *j)
{
    store_release(&j->stopping, true);
    wake_all(&j->work);
    wait_event(&j->changed, !load_acquire(&j->thread_runs));
    mutex_lock(&list_mutex); /* it may still be in wake_all; then J is nobody's */
    mutex_unlock(&list_mutex);
}

/* ---- running ---- */

/* Until its checkpoint, what is in the log is in memory, too, which others want a part of. */
static u32 most_in_memory(const struct journal *j)
{
    return (u32)MIN(MAX(page_total_count() / 4 * (PAGE_SIZE / j->block_size), 1024ul), (unsigned long)UINT32_MAX);
}

int journal_run(struct journal *j)
{
    struct thread *thread;

    j->descriptor = kmalloc(j->block_size);
    j->commit_block = kmalloc(j->block_size);
    j->request = kmalloc(sizeof(*j->request));
    if (j->descriptor == NULL || j->commit_block == NULL || j->request == NULL)
        return -ENOMEM;
    j->request_is_free = true;
    j->head = j->tail = j->first;
    j->usable = MIN(j->length - j->first, most_in_memory(j));
    j->free_blocks = j->usable - 1;
    j->empty = true;
    j->durable_tid = j->next_tid - 1;
    j->max_transaction = j->usable / 4 - j->usable / 32;
    thread = kernel_thread("journal", journal_thread, j);
    if (IS_ERR(thread))
        return (int)PTR_ERR(thread);
    j->thread_runs = thread != NULL; /* NULL: the host has none */
    mutex_lock(&list_mutex);
    list_add_tail(&journals, &j->link);
    mutex_unlock(&list_mutex);
    return 0;
}

/* The journal's thread may commit it just now. */
static bool has_changes(struct journal *j)
{
    bool has;

    spin_lock(&j->lock);
    has = j->running != NULL && j->running->changed;
    spin_unlock(&j->lock);
    return has;
}

/* The last transactions: until nobody has a handle and nothing is left to commit. */
static int commit_the_rest(struct journal *j)
{
    int error;

    do {
        mutex_lock(&j->commit_mutex);
        error = commit_running(j);
        mutex_unlock(&j->commit_mutex);
        handles_wait(j); /* without the mutex: one that restarts may need a commit */
    } while (error == 0 && has_changes(j));
    mutex_lock(&j->commit_mutex);
    commit_nothing(j);
    mutex_unlock(&j->commit_mutex);
    return error;
}

int journal_flush(struct journal *j)
{
    int error = commit_the_rest(j);

    if (error == 0)
        error = checkpoint(j, UINT32_MAX, false);
    if (error == 0 && j->aborted == 0 && !j->empty) {
        mutex_lock(&j->super_mutex);
        j->super->start = 0;
        j->super->sequence = to_be32(j->next_tid);
        error = log_write_super(j, true);
        j->empty = error == 0;
        j->tail = j->head;
        j->free_blocks = j->usable - 1;
        mutex_unlock(&j->super_mutex);
    }
    return j->aborted != 0 ? -EIO : error;
}

void journal_hold(struct journal *j)
{
    handles_change_gate(j, 0, 1);
    handles_wait(j);
}

void journal_release(struct journal *j) { handles_change_gate(j, 0, (u32)-1); }

int journal_empty(struct journal *j)
{
    handles_change_gate(j, REFUSES, REFUSES);
    return journal_flush(j);
}

void journal_admit(struct journal *j) { handles_change_gate(j, REFUSES, 0); }

/* What committed transactions still hold, after an abort. */
static void drop_committed(struct journal *j)
{
    struct transaction *t, *next;

    list_for_each_safe(t, next, &j->committed, link) {
        spin_lock(&j->lock);
        checkpoint_drop(t);
        list_remove(&t->link);
        spin_unlock(&j->lock);
        transaction_free(t);
    }
}

void journal_close(struct journal *j)
{
    if (j->descriptor != NULL) {
        mutex_lock(&list_mutex);
        list_remove(&j->link);
        mutex_unlock(&list_mutex);
        if (j->thread_runs)
            stop_thread(j);
        mutex_lock(&j->commit_mutex);
        commit_nothing(j);
        mutex_unlock(&j->commit_mutex);
        drop_committed(j);
    }
    free_journal(j);
}

void journal_set_interval(struct journal *j, u64 ns)
{
    j->interval = ns;
    store_relaxed(&j->wants_commit, true);
    wake_all(&j->work);
}

void journal_set_barrier(struct journal *j, bool on) { j->barrier = on; }

/* ---- aborting ---- */

bool journal_is_aborted(const struct journal *j) { return load_relaxed(&j->aborted) != 0; }

void journal_abort(struct journal *j, int error)
{
    bool first;

    spin_lock(&j->lock);
    first = j->aborted == 0;
    if (first)
        store_relaxed(&j->aborted, error);
    spin_unlock(&j->lock);
    if (!first)
        return;
    kprintf("journal of %s: aborted, error %d", j->name, -error);
    mutex_lock(&j->super_mutex);
    j->super->error = to_be32((u32)error);
    log_write_super(j, true);
    mutex_unlock(&j->super_mutex);
    j->ops->aborted(j->owner, error);
    wake_all(&j->changed);
    wake_all(&j->synced);
}

/* ---- statistics ---- */

int journal_number(const struct journal *j) { return (int)(j->device->dev & 0xffff); }
size_t journal_describe_owner(struct journal *j, char *buf, size_t size)
{
    return j->ops->describe(j->owner, buf, size);
}
const char *journal_name(const struct journal *j) { return j->name; }
void journal_list_lock(void) { mutex_lock(&list_mutex); }
void journal_list_unlock(void) { mutex_unlock(&list_mutex); }

struct journal *journal_next(struct journal *j)
{
    struct list *next = j == NULL ? journals.next : j->link.next;

    return next == &journals ? NULL : list_entry(next, struct journal, link);
}

size_t journal_describe(struct journal *j, char *buf, size_t size)
{
    struct journal_statistics s;
    u64 n, ms;
    u32 free_blocks;

    spin_lock(&j->lock);
    s = j->stats;
    free_blocks = j->free_blocks;
    spin_unlock(&j->lock);
    n = MAX(s.transactions, 1ul);
    ms = n * 1000000;
    return (size_t)snprintf(
        buf, size,
        "%lu transactions (%lu requested), each up to %u blocks\n"
        "average: \n  %lums waiting for transaction\n  %lums running transaction\n  %lums transaction was being "
        "locked\n"
        "  %lums flushing data (in ordered mode)\n  %lums logging transaction\n  %luus average transaction commit "
        "time\n"
        "  %lu handles per transaction\n  %lu blocks per transaction\n  %lu logged blocks per transaction\n"
        "log: %u blocks, %u free\n"
        "total: %lu blocks logged, %lu revoked, %lu copied for the log, %lu put into place, %lu moves of the tail, "
        "%lu waits for room\n",
        (unsigned long)s.transactions, (unsigned long)s.requested, j->max_transaction,
        (unsigned long)(s.waited_ns / ms), (unsigned long)(s.ran_ns / ms), (unsigned long)(s.locked_ns / ms),
        (unsigned long)(s.flushing_ns / ms), (unsigned long)(s.logging_ns / ms),
        (unsigned long)(s.commit_ns / n / 1000), (unsigned long)(s.handles / n), (unsigned long)(s.blocks / n),
        (unsigned long)(s.logged / n), j->usable, free_blocks, (unsigned long)s.logged, (unsigned long)s.revokes,
        (unsigned long)s.frozen, (unsigned long)s.checkpointed, (unsigned long)s.tail_moves,
        (unsigned long)s.waits_log);
}
