/*
 * Commits: from the running transaction to one that survives.
 *
 *   LOCKED      no handle may join; those that are open end. Short: handles do not wait for people or memory. The owner
 *               brings buffers up to date (journal_ops.locked).
 *   FLUSHING    the next transaction may run. Ordered data start for the disk.
 *               They are waited for.
 *   COMMITTING  revoke blocks, descriptors and copies of buffers go to the log.  FLUSH  commit block  FLUSH
 *   COMMITTED   buffers may be written in place; freed blocks may be used again; who waits goes on.
 *
 * The commit block is the only write that others must precede, so there is one flush before it and one behind (FUA, if
 * the disk has it), none elsewhere.
 */
#include "fs/journal/internal.h"

unsigned journal_fault;

/* ---- LOCKED ---- */

static void lock_transaction(struct transaction *t)
{
    struct journal *j = t->journal;

    spin_lock(&j->lock);
    t->state = T_LOCKED;
    t->locked = time_ns();
    spin_unlock(&j->lock);
    wait_event(&j->changed, load_acquire(&t->handles) == 0);
    if (j->ops->locked != NULL)
        j->ops->locked(j->owner);
    spin_lock(&j->lock);
    t->state = T_FLUSHING;
    t->flushing = time_ns();
    t->log_start = j->head;
    j->committing = t;
    store_release(&j->running, NULL);
    spin_unlock(&j->lock);
    wake_all(&j->changed);
}

/* ---- COMMITTING: what goes to the log ---- */

/* Memory for the control blocks of one commit. */
struct control_block {
    struct control_block *next;
    u8 data[];
};

struct log_commit_state {
    struct transaction *t;
    struct log_writer writer;
    struct control_block *blocks;
    bool uses_own; /* the journal's own descriptor is on its way */
};

static void set_header(const struct journal *j, void *block, u32 type, u32 tid)
{
    struct log_header *header = block;

    memset(block, 0, j->block_size);
    *header = (struct log_header){to_be32(JOURNAL_MAGIC), to_be32(type), to_be32(tid)};
}

/* A zeroed block with a header that stays until the commit is done. */
static u8 *control_block(struct log_commit_state *s, u32 type)
{
    struct journal *j = s->t->journal;
    struct control_block *block = NULL;
    u8 *data = j->descriptor;

    if (s->uses_own) {
        block = kmalloc(sizeof(*block) + j->block_size);
        if (block != NULL) {
            block->next = s->blocks;
            s->blocks = block;
            data = block->data;
        } else {
            log_writer_wait(&s->writer); /* then the own one is free */
        }
    }
    s->uses_own = true;
    set_header(j, data, type, s->t->tid);
    return data;
}

static void put_number(const struct journal *j, u8 *to, u64 block)
{
    be32 low = to_be32((u32)block), high = to_be32((u32)(block >> 32));

    if (j->number_size == 8) {
        memcpy(to, &high, 4);
        to += 4;
    }
    memcpy(to, &low, 4);
}

static void write_revokes(struct log_commit_state *s)
{
    struct journal *j = s->t->journal;
    u64 block = 0;

    if (s->t->n_revoked == 0 || has_fault(FAULT_NO_REVOKE))
        return;
    for (bool more = radix_next(&s->t->revoked, &block) != NULL; more;) {
        u8 *data = control_block(s, BLOCK_REVOKE);
        u32 at = sizeof(struct log_revoke);

        for (; more && at + j->number_size <= j->block_size - j->tail_size; at += j->number_size) {
            put_number(j, data + at, block);
            block++;
            more = radix_next(&s->t->revoked, &block) != NULL;
        }
        ((struct log_revoke *)data)->size = to_be32(at);
        log_set_tail_checksum(j, data);
        log_writer_add(&s->writer, data);
    }
}

static bool is_logged(const struct buffer *b)
{
    return (load_relaxed(&b->journal.flags) & (JB_MODIFIED | JB_FORGOTTEN)) == JB_MODIFIED;
}

static const u8 *log_data(const struct buffer *b) { return b->journal.frozen != NULL ? b->journal.frozen : b->data; }

static bool looks_like_header(const u8 *data)
{
    be32 word;

    memcpy(&word, data, sizeof(word));
    return word == to_be32(JOURNAL_MAGIC);
}

/* From here on the buffer keeps its contents until the log has them: those of the frozen copy, if there is one. True:
 * they are escaped. */
static bool hold_still(struct journal *j, struct buffer *b)
{
    u8 *copy = NULL;

    spin_lock(&j->lock);
    if (b->journal.frozen == NULL)
        atomic_or(&b->journal.flags, (u32)JB_SHADOW);
    spin_unlock(&j->lock);
    if (!looks_like_header(log_data(b)))
        return false;
    while (b->journal.frozen == NULL && (copy = kmalloc(b->size)) == NULL)
        sched_yield(); /* rare enough to wait for memory; nobody waits for us who holds any */
    if (copy != NULL) {
        memcpy(copy, b->data, b->size);
        b->journal.frozen = copy;
    }
    memset(b->journal.frozen, 0, sizeof(be32));
    return true;
}

static void write_tag(struct journal *j, u8 *at, const struct buffer *b, u32 flags, u32 tid)
{
    u32 sum = log_has_checksums(j) ? log_copy_checksum(j, tid, log_data(b)) : 0;

    if (j->incompat & LOG_INCOMPAT_CSUM_V3) {
        struct log_tag_v3 tag = {to_be32((u32)b->block), to_be32(flags), to_be32((u32)(b->block >> 32)), to_be32(sum)};

        memcpy(at, &tag, sizeof(tag));
    } else {
        struct log_tag tag = {to_be32((u32)b->block), to_be16((u16)sum), to_be16((u16)flags),
                              to_be32((u32)(b->block >> 32))};

        memcpy(at, &tag, j->tag_size < sizeof(tag) ? j->tag_size : sizeof(tag));
    }
}

static void set_last_tag(struct journal *j, u8 *at)
{
    /* The lowest byte of the flags; tags of 10 bytes are not aligned. */
    if (j->incompat & LOG_INCOMPAT_CSUM_V3)
        at[offsetof(struct log_tag_v3, flags) + 3] |= TAG_LAST;
    else
        at[offsetof(struct log_tag, flags) + 1] |= TAG_LAST;
}

/* The first buffer to be logged from B on in T's list; NULL. */
static struct buffer *next_logged(struct transaction *t, struct list *from)
{
    for (; from != &t->buffers; from = from->next) {
        struct buffer *b = list_entry(from, struct buffer, journal.link);

        if (is_logged(b))
            return b;
    }
    return NULL;
}

/* A descriptor with as many tags as it has room for, from B on, and their copies: the first buffer that is left. */
static struct buffer *write_some(struct log_commit_state *s, struct buffer *b)
{
    struct journal *j = s->t->journal;
    u8 *data = control_block(s, BLOCK_DESCRIPTOR), *last = NULL;
    u32 at = sizeof(struct log_header), end = j->block_size - j->tail_size;
    struct buffer *first = b, *behind;
    unsigned n = 0;

    while (b != NULL && at + j->tag_size + (last == NULL ? TAG_UUID_SIZE : 0) <= end) {
        u32 flags = (hold_still(j, b) ? TAG_ESCAPED : 0) | (last != NULL ? TAG_SAME_UUID : 0);

        if (has_fault(FAULT_NO_ESCAPE))
            flags &= ~(u32)TAG_ESCAPED;
        last = data + at;
        write_tag(j, last, b, flags, s->t->tid);
        at += j->tag_size;
        if (!(flags & TAG_SAME_UUID)) {
            memcpy(data + at, j->super->uuid, TAG_UUID_SIZE);
            at += TAG_UUID_SIZE;
        }
        n++;
        b = next_logged(s->t, b->journal.link.next);
    }
    behind = b;
    set_last_tag(j, last);
    log_set_tail_checksum(j, data);
    log_writer_add(&s->writer, data);
    for (b = first; n > 0; n--) {
        log_writer_add(&s->writer, log_data(b));
        b = next_logged(s->t, b->journal.link.next);
    }
    return behind;
}

static void write_copies(struct log_commit_state *s)
{
    struct buffer *b = next_logged(s->t, s->t->buffers.next);

    while (b != NULL)
        b = write_some(s, b);
}

/* The log has the copies: buffers may change again. */
static void release_shadows(struct transaction *t)
{
    struct journal *j = t->journal;
    struct buffer *b;
    unsigned n = 0;

    spin_lock(&j->lock);
    list_for_each(b, &t->buffers, journal.link) {
        u8 *frozen = b->journal.frozen;

        if (!is_logged(b))
            continue;
        b->journal.frozen = NULL;
        atomic_or(&b->journal.flags, (u32)JB_LOGGED);
        atomic_and(&b->journal.flags, ~(u32)JB_SHADOW);
        kfree(frozen);
        n++;
    }
    j->stats.logged += n;
    spin_unlock(&j->lock);
    wake_all(&j->changed);
}

static void fill_commit_block(struct journal *j, u32 tid)
{
    u64 now = time_ns() + time_realtime_offset();
    struct log_commit *c = (struct log_commit *)j->commit_block;

    set_header(j, c, BLOCK_COMMIT, tid);
    c->seconds_high = to_be32((u32)(now / NSEC_PER_SEC >> 32));
    c->seconds = to_be32((u32)(now / NSEC_PER_SEC));
    c->nanoseconds = to_be32((u32)(now % NSEC_PER_SEC));
    if (log_has_checksums(j))
        c->checksum[0] = to_be32(log_commit_checksum(j, c));
}

/* The one block that makes it count. */
static int write_commit_block(struct transaction *t)
{
    struct journal *j = t->journal;
    struct block_segment segment = {j->commit_block, j->block_size};
    u32 at = j->head;
    unsigned flags = j->barrier ? BLOCK_PREFLUSH | BLOCK_FUA : 0;

    if (has_fault(FAULT_NO_FLUSH))
        flags &= ~(unsigned)BLOCK_PREFLUSH;
    if (has_fault(FAULT_NO_SECOND_FLUSH))
        flags &= ~(unsigned)BLOCK_FUA;
    fill_commit_block(j, t->tid);
    spin_lock(&j->lock);
    j->head = log_next(j, j->head);
    j->free_blocks--;
    spin_unlock(&j->lock);
    return block_write(j->device, log_sector(j, at), &segment, 1, flags);
}

/* The super block says where the log begins before the first transaction is in it, and which features it needs. */
static int prepare_super(struct transaction *t)
{
    struct journal *j = t->journal;
    int error = 0;

    mutex_lock(&j->super_mutex);
    if (j->empty) {
        j->super->start = to_be32(j->head);
        j->super->sequence = to_be32(t->tid);
        j->tail = j->head;
        j->tail_tid = t->tid;
        j->super_is_due = true;
    }
    if (t->n_revoked > 0 && !(j->incompat & LOG_INCOMPAT_REVOKE)) {
        j->incompat |= LOG_INCOMPAT_REVOKE;
        j->super_is_due = true;
    }
    if (j->super_is_due)
        error = log_write_super(j, false); /* the flush before the commit block covers it */
    j->super_is_due = false;
    j->empty = false;
    mutex_unlock(&j->super_mutex);
    return error;
}

static int write_transaction(struct transaction *t)
{
    struct journal *j = t->journal;
    struct log_commit_state s = {.t = t};
    int error = prepare_super(t), result;

    log_writer_begin(&s.writer, j);
    write_revokes(&s);
    write_copies(&s);
    log_writer_submit(&s.writer);
    if (has_fault(FAULT_EARLY_COMMIT)) {
        fill_commit_block(j, t->tid);
        log_writer_add(&s.writer, j->commit_block);
    }
    result = log_writer_wait(&s.writer);
    error = error != 0 ? error : result;
    release_shadows(t);
    if (error == 0)
        error = has_fault(FAULT_EARLY_COMMIT) ? block_flush(j->device) : write_commit_block(t);
    for (struct control_block *block = s.blocks, *next; block != NULL; block = next) {
        next = block->next;
        kfree(block);
    }
    return error;
}

/* ---- COMMITTED ---- */

/* T lets go of B, which the next transaction may have by now. => lock */
static void let_go(struct transaction *t, struct buffer *b, bool lost)
{
    u32 flags = load_relaxed(&b->journal.flags), kept = flags & JB_WAS_DIRTY;
    struct transaction *next = b->journal.next;

    kfree(b->journal.frozen); /* if the log never got it */
    b->journal.frozen = NULL;
    list_remove(&b->journal.link);
    if ((flags & JB_FORGOTTEN) && !lost) {
        checkpoint_remove(b);
        kept = 0;
        if (next == NULL)
            buffer_discard(b);
    } else if ((flags & JB_MODIFIED) && !lost) {
        checkpoint_remove(b);
        b->journal.checkpoint = t;
        buffer_hold(b);
        list_add_tail(&t->checkpoint, &b->journal.checkpoint_link);
        kept = JB_WAS_DIRTY;
    }
    if (next == NULL && kept != 0 && !lost)
        buffer_mark_dirty(b);
    store_relaxed(&b->journal.flags, (flags >> JB_NEXT & JB_MASK) | kept);
    store_release(&b->journal.transaction, next); /* in this order: see journal_has */
    store_release(&b->journal.next, NULL);
    if (next != NULL)
        list_add_tail(&next->buffers, &b->journal.link);
    else
        buffer_put(b);
}

static void let_all_go(struct transaction *t, bool lost)
{
    struct journal *j = t->journal;
    unsigned n = 0;

    spin_lock(&j->lock);
    while (!list_empty(&t->buffers)) {
        let_go(t, list_first(&t->buffers, struct buffer, journal.link), lost);
        if (++n % 64 == 0) { /* others wait for the lock */
            spin_unlock(&j->lock);
            cond_resched();
            spin_lock(&j->lock);
        }
    }
    spin_unlock(&j->lock);
}

/* => lock */
static void account(struct journal *j, const struct transaction *t, u64 now)
{
    struct journal_statistics *s = &j->stats;

    s->transactions++;
    s->handles += t->n_handles;
    s->blocks += t->n_buffers;
    s->ran_ns += t->locked - t->started;
    s->locked_ns += t->flushing - t->locked;
    s->flushing_ns += t->committing - t->flushing;
    s->logging_ns += now - t->committing;
    s->commit_ns += now - t->locked;
}

static void finish(struct transaction *t, int error)
{
    struct journal *j = t->journal;

    let_all_go(t, error != 0);
    j->ops->committed(j->owner, t->freed, t->tid, error);
    t->freed = NULL;
    spin_lock(&j->lock);
    j->committing = NULL;
    account(j, t, time_ns());
    sync_expect(j, t);
    if (error == 0) {
        t->state = T_COMMITTED;
        list_add_tail(&j->committed, &t->link);
        store_release(&j->durable_tid, t->tid);
    }
    if (j->free_blocks < j->usable / 2)
        j->wants_checkpoint = true;
    spin_unlock(&j->lock);
    if (error != 0)
        transaction_free(t);
    wake_all(&j->changed);
    wake_all(&j->synced);
    if (load_relaxed(&j->wants_checkpoint))
        wake_all(&j->work);
}

int commit_running(struct journal *j)
{
    struct transaction *t = load_acquire(&j->running);
    int error;

    if (t == NULL || !load_relaxed(&t->changed))
        return 0;
    lock_transaction(t);
    ordered_start(t);
    ordered_wait(t); /* before the first copy: who waits for one (JB_SHADOW) may hold what writing data needs */
    t->state = T_COMMITTING;
    t->committing = time_ns();
    ASSERT(j->free_blocks >= log_blocks_for(j, t->n_buffers, t->n_revoked) || j->aborted != 0);
    if (j->aborted == 0 && j->free_blocks < log_blocks_for(j, t->n_buffers, t->n_revoked))
        journal_abort(j, -ENOSPC); /* handles reserve what they take: never */
    error = j->aborted != 0 ? -EIO : write_transaction(t);
    if (error != 0 && j->aborted == 0)
        journal_abort(j, error);
    finish(t, error);
    return error;
}

/* ---- for all ---- */

bool journal_is_durable(struct journal *j, u32 tid) { return !tid_before(load_acquire(&j->durable_tid), tid); }

u32 journal_current_tid(struct journal *j)
{
    u32 tid;

    spin_lock(&j->lock);
    tid = j->next_tid - 1;
    spin_unlock(&j->lock);
    return tid;
}

bool commit_is_idle(struct journal *j, u32 tid)
{
    bool idle;

    spin_lock(&j->lock);
    if (j->running != NULL)
        idle = j->running->tid == tid && !j->running->changed;
    else
        idle = !tid_before(tid, j->next_tid - 1); /* one that commit_nothing ended has given its number back */
    idle = idle && j->committing == NULL;
    spin_unlock(&j->lock);
    return idle;
}

int journal_commit(struct journal *j, u32 tid)
{
    int error = 0;

    if (journal_is_durable(j, tid) || commit_is_idle(j, tid))
        return j->aborted != 0 ? -EIO : 0;
    mutex_lock(&j->commit_mutex);
    if (!journal_is_durable(j, tid)) {
        j->stats.requested++;
        error = commit_running(j);
    }
    mutex_unlock(&j->commit_mutex);
    return j->aborted != 0 ? -EIO : error;
}

void commit_nothing(struct journal *j)
{
    struct transaction *t = j->running;

    if (t == NULL)
        return;
    ASSERT(t->handles == 0);
    ordered_wait(t);
    let_all_go(t, j->aborted != 0);
    spin_lock(&j->lock); /* there are no handles, but who syncs may be looking at it */
    j->running = NULL;
    j->next_tid--;
    spin_unlock(&j->lock);
    if (t->freed != NULL)
        j->ops->committed(j->owner, t->freed, t->tid, j->aborted);
    transaction_free(t);
    wake_all(&j->changed);
    wake_all(&j->synced);
}

int journal_commit_all(struct journal *j) { return journal_commit(j, journal_current_tid(j)); }
