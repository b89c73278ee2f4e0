/*
 * Recovery after a crash, in three passes over the log from its tail on:
 *
 *   SCAN    how far it goes: a transaction counts if all of its blocks are there with its number, its commit block too,
 *           and their checksums, where the journal has them, are right. The first one that does not is the end.
 *   REVOKE  which blocks were freed, in which transaction at last.
 *   REPLAY  copies go to their places, but for those that the same or a later transaction revokes.
 *
 * Only when all that is on the medium is the log marked as empty; so a crash in the middle means starting over. The
 * next transaction's number is one more than that of the first one missing, so that what that one may have left in the
 * log can never be taken for a new one's.
 *
 * Nothing read here is trusted: a log that makes no sense ends where it begins to make none.
 */
#include "fs/journal/internal.h"

#define CHUNK_BLOCKS 32
#define REPLAY_BATCH 2048 /* blocks written between two waits */

enum pass { SCAN, REVOKE, REPLAY };

struct recovery {
    struct journal *j;
    u32 start_tid, end_tid; /* transactions [start, end) count */
    u8 *chunk;              /* blocks [chunk_first, +chunk_count) of the log */
    u32 chunk_first, chunk_count;
    u8 *control;          /* a copy of the control block that is being looked at */
    struct radix revoked; /* block -> tid + 1 */
    u32 version1_sum;
    unsigned replayed, n_revoked, pending;
};

/* ---- reading ---- */

static u32 contiguous(const struct journal *j, u32 n)
{
    u32 count = 1;

    while (count < CHUNK_BLOCKS && n + count < j->length &&
           log_sector(j, n + count) == log_sector(j, n) + (u64)count * j->sectors_per_block)
        count++;
    return count;
}

/* Block N of the log, until the next call; ERR_PTR(-EIO). */
static const u8 *block_at(struct recovery *r, u32 n)
{
    if (n < r->chunk_first || n >= r->chunk_first + r->chunk_count) {
        u32 count = contiguous(r->j, n);
        int error = block_transfer(r->j->device, BLOCK_READ, log_sector(r->j, n), r->chunk, count * r->j->block_size);

        if (error != 0) { /* perhaps only one of them cannot be read */
            count = 1;
            error = log_read(r->j, n, r->chunk);
        }
        r->chunk_first = n;
        r->chunk_count = error == 0 ? count : 0;
        if (error != 0)
            return ERR_PTR(error);
    }
    return r->chunk + (u64)(n - r->chunk_first) * r->j->block_size;
}

/* ---- tags ---- */

struct tag {
    u64 block;
    u32 flags, checksum;
};

/* The tag at *AT of descriptor DATA, and *AT behind it; false: there is none. */
static bool next_tag(const struct journal *j, const u8 *data, u32 *at, struct tag *tag)
{
    if (*at + j->tag_size > j->block_size - j->tail_size)
        return false;
    if (j->incompat & LOG_INCOMPAT_CSUM_V3) {
        struct log_tag_v3 t;

        memcpy(&t, data + *at, sizeof(t));
        *tag = (struct tag){from_be32(t.block), from_be32(t.flags), from_be32(t.checksum)};
        if (j->incompat & LOG_INCOMPAT_64BIT)
            tag->block |= (u64)from_be32(t.block_high) << 32;
    } else {
        struct log_tag t = {0};

        memcpy(&t, data + *at, MIN(j->tag_size, (unsigned)sizeof(t)));
        *tag = (struct tag){from_be32(t.block), from_be16(t.flags), from_be16(t.checksum)};
        if (j->incompat & LOG_INCOMPAT_64BIT)
            tag->block |= (u64)from_be32(t.block_high) << 32;
    }
    *at += j->tag_size + (tag->flags & TAG_SAME_UUID ? 0 : TAG_UUID_SIZE);
    return true;
}

static bool copy_checksum_is_good(const struct journal *j, u32 tid, const struct tag *tag, const u8 *data)
{
    u32 sum;

    if (!log_has_checksums(j))
        return true;
    sum = log_copy_checksum(j, tid, data);
    return j->incompat & LOG_INCOMPAT_CSUM_V3 ? sum == tag->checksum : (u16)sum == tag->checksum;
}

/* ---- what the passes do with copies and revoke blocks ---- */

static bool has_version1_sums(const struct journal *j)
{
    return !log_has_checksums(j) && (j->super->compat & to_be32(LOG_COMPAT_CHECKSUM));
}

/* False: the copy is damaged. */
static bool scan_copy(struct recovery *r, u32 tid, const struct tag *tag, u32 at)
{
    struct journal *j = r->j;
    const u8 *data;

    if (tag->block >= j->device->sectors / j->sectors_per_block)
        return false;
    if (!log_has_checksums(j) && !has_version1_sums(j))
        return true;
    data = block_at(r, at);
    if (IS_ERR(data) || !copy_checksum_is_good(j, tid, tag, data))
        return false;
    if (has_version1_sums(j))
        r->version1_sum = journal_crc32(r->version1_sum, data, j->block_size);
    return true;
}

static int flush_replayed(struct recovery *r)
{
    r->pending = 0;
    return buffer_sync(r->j->device);
}

static bool is_revoked(struct recovery *r, u64 block, u32 tid)
{
    u64 found = (u64)radix_get(&r->revoked, block);

    return found != 0 && !tid_before((u32)(found - 1), tid);
}

static int replay_copy(struct recovery *r, u32 tid, const struct tag *tag, u32 at)
{
    struct journal *j = r->j;
    const u8 *data;
    struct buffer *b;

    if (is_revoked(r, tag->block, tid))
        return 0;
    data = block_at(r, at);
    if (IS_ERR(data))
        return (int)PTR_ERR(data);
    b = buffer_get(j->device, tag->block, j->block_size);
    if (b == NULL)
        return -ENOMEM;
    memcpy(b->data, data, j->block_size);
    if (tag->flags & TAG_ESCAPED)
        memcpy(b->data, &(be32){to_be32(JOURNAL_MAGIC)}, sizeof(be32));
    buffer_set_uptodate(b);
    buffer_mark_dirty(b);
    buffer_put(b);
    r->replayed++;
    return ++r->pending >= REPLAY_BATCH ? flush_replayed(r) : 0;
}

static u64 number_at(const struct journal *j, const u8 *p)
{
    be32 high = 0, low;

    if (j->number_size == 8) {
        memcpy(&high, p, 4);
        p += 4;
    }
    memcpy(&low, p, 4);
    return (u64)from_be32(high) << 32 | from_be32(low);
}

static int note_revoked(struct recovery *r, u64 block, u32 tid)
{
    u64 found = (u64)radix_get(&r->revoked, block);

    if (found != 0 && !tid_before((u32)(found - 1), tid))
        return 0;
    if (found != 0)
        radix_remove(&r->revoked, block);
    r->n_revoked++;
    return radix_insert(&r->revoked, block, (void *)((u64)tid + 1));
}

static bool revoke_block_is_sane(const struct journal *j, const u8 *data)
{
    u32 size = from_be32(((const struct log_revoke *)data)->size);

    return size >= sizeof(struct log_revoke) && size <= j->block_size - j->tail_size &&
           log_tail_checksum_is_good(j, data);
}

static int read_revokes(struct recovery *r, const u8 *data, u32 tid)
{
    u32 end = from_be32(((const struct log_revoke *)data)->size);

    for (u32 at = sizeof(struct log_revoke); at + r->j->number_size <= end; at += r->j->number_size) {
        int error = note_revoked(r, number_at(r->j, data + at), tid);

        if (error != 0)
            return error;
    }
    return 0;
}

/* ---- one pass ---- */

/* The copies behind the descriptor in r->control; *AT and *LEFT (blocks that the log can still have) advance. 1: go on,
 * 0: the log ends before this transaction, -errno. */
static int pass_copies(struct recovery *r, enum pass pass, u32 tid, u32 *at, u32 *left)
{
    struct journal *j = r->j;
    u32 tag_at = sizeof(struct log_header);
    struct tag tag;

    while (next_tag(j, r->control, &tag_at, &tag)) {
        int error = 0;

        if (*left == 0)
            return 0;
        if (pass == SCAN && !scan_copy(r, tid, &tag, *at))
            return 0;
        if (pass == REPLAY)
            error = replay_copy(r, tid, &tag, *at);
        if (error != 0)
            return error;
        *at = log_next(j, *at);
        (*left)--;
        if (tag.flags & TAG_LAST)
            return 1;
    }
    return 1;
}

static bool commit_checksum_is_good(struct recovery *r, struct log_commit *c)
{
    u32 found = from_be32(c->checksum[0]);

    if (log_has_checksums(r->j))
        return found == log_commit_checksum(r->j, c);
    if (!has_version1_sums(r->j) || (c->checksum_type == 0 && c->checksum_size == 0 && found == 0))
        return true;
    return c->checksum_type == CHECKSUM_CRC32 && c->checksum_size == 4 && found == r->version1_sum;
}

/* One control block, in r->control, of transaction *TID. As pass_copies. */
static int pass_block(struct recovery *r, enum pass pass, u32 *tid, u32 *at, u32 *left)
{
    const struct log_header *header = (const struct log_header *)r->control;

    switch (from_be32(header->type)) {
    case BLOCK_DESCRIPTOR:
        if (pass == SCAN && !log_tail_checksum_is_good(r->j, r->control))
            return 0;
        if (pass == SCAN && has_version1_sums(r->j))
            r->version1_sum = journal_crc32(r->version1_sum, r->control, r->j->block_size);
        return pass_copies(r, pass, *tid, at, left);
    case BLOCK_REVOKE:
        if (pass == SCAN)
            return revoke_block_is_sane(r->j, r->control);
        return pass == REVOKE && read_revokes(r, r->control, *tid) != 0 ? -ENOMEM : 1;
    case BLOCK_COMMIT:
        if (pass == SCAN && !commit_checksum_is_good(r, (struct log_commit *)r->control))
            return 0;
        r->version1_sum = ~0u;
        (*tid)++;
        return 1;
    default:
        return 0;
    }
}

static int run_pass(struct recovery *r, enum pass pass)
{
    struct journal *j = r->j;
    u32 at = from_be32(j->super->start), tid = r->start_tid, left = j->length - j->first;
    int result = 1;

    r->version1_sum = ~0u;
    while (left > 0 && result == 1 && (pass == SCAN || tid != r->end_tid)) {
        const struct log_header *header = (const struct log_header *)r->control;
        const u8 *data = block_at(r, at);

        if (IS_ERR(data)) {
            if (pass == SCAN) /* the end is before what cannot be read */
                break;
            return (int)PTR_ERR(data);
        }
        memcpy(r->control, data, j->block_size);
        if (from_be32(header->magic) != JOURNAL_MAGIC || from_be32(header->sequence) != tid)
            break;
        at = log_next(j, at);
        left--;
        result = pass_block(r, pass, &tid, &at, &left);
    }
    if (pass == SCAN)
        r->end_tid = tid;
    return result < 0 ? result : 0;
}

/* ---- all of it ---- */

bool journal_needs_recovery(const struct journal *j) { return j->super->start != 0; }

static int mark_empty(struct journal *j, u32 next_tid)
{
    int error;

    mutex_lock(&j->super_mutex);
    j->super->start = 0;
    j->super->sequence = to_be32(next_tid);
    error = log_write_super(j, true);
    mutex_unlock(&j->super_mutex);
    j->next_tid = next_tid;
    return error;
}

static int run_passes(struct recovery *r)
{
    int error = run_pass(r, SCAN);

    if (error == 0)
        error = run_pass(r, REVOKE);
    if (error == 0)
        error = run_pass(r, REPLAY);
    return error;
}

int journal_recover(struct journal *j)
{
    struct recovery r = {.j = j, .start_tid = from_be32(j->super->sequence)};
    int error = -ENOMEM, result;

    if (!journal_needs_recovery(j))
        return 0;
    r.chunk = kmalloc((u64)CHUNK_BLOCKS * j->block_size);
    r.control = kmalloc(j->block_size);
    if (r.chunk != NULL && r.control != NULL)
        error = run_passes(&r);
    result = flush_replayed(&r);
    error = error != 0 ? error : result;
    if (error == 0)
        error = block_flush(j->device);
    if (error == 0)
        error = mark_empty(j, r.end_tid + 1);
    if (error == 0)
        kprintf("journal of %s: recovered, %u transactions, %u blocks written, %u revoked", j->name,
                r.end_tid - r.start_tid, r.replayed, r.n_revoked);
    radix_destroy(&r.revoked);
    kfree(r.chunk);
    kfree(r.control);
    return error;
}
