/* Blocks of the log: where they are, the super block, and checksums. */
#include "fs/journal/internal.h"

u64 log_sector(const struct journal *j, u32 n)
{
    unsigned low = 0, high = j->n_extents;

    while (high - low > 1) {
        unsigned middle = (low + high) / 2;

        if (j->extents[middle].first <= n)
            low = middle;
        else
            high = middle;
    }
    return (j->extents[low].block + (n - j->extents[low].first)) * j->sectors_per_block;
}

int log_read(struct journal *j, u32 n, void *data)
{
    return block_transfer(j->device, BLOCK_READ, log_sector(j, n), data, j->block_size);
}

/* ---- checksums ---- */

static u32 checksum_with_zeroed(u32 seed, void *block, size_t size, be32 *field)
{
    be32 was = *field;
    u32 sum;

    *field = 0;
    sum = journal_crc32c(seed, block, size);
    *field = was;
    return sum;
}

static be32 *tail_of(const struct journal *j, const void *block)
{
    return &((struct log_tail *)((u8 *)(u64)block + j->block_size - sizeof(struct log_tail)))->checksum;
}

void log_set_tail_checksum(const struct journal *j, void *block)
{
    if (log_has_checksums(j))
        *tail_of(j, block) = to_be32(checksum_with_zeroed(j->seed, block, j->block_size, tail_of(j, block)));
}

bool log_tail_checksum_is_good(const struct journal *j, const void *block)
{
    be32 *field = tail_of(j, block);

    return !log_has_checksums(j) ||
           from_be32(*field) == checksum_with_zeroed(j->seed, (void *)(u64)block, j->block_size, field);
}

u32 log_copy_checksum(const struct journal *j, u32 sequence, const void *data)
{
    be32 number = to_be32(sequence);

    return journal_crc32c(journal_crc32c(j->seed, &number, sizeof(number)), data, j->block_size);
}

u32 log_commit_checksum(const struct journal *j, struct log_commit *commit)
{
    return checksum_with_zeroed(j->seed, commit, j->block_size, &commit->checksum[0]);
}

/* ---- the super block ---- */

static int refuse(const struct journal *j, int error, const char *why)
{
    kprintf("journal of %s: %s", j->name, why);
    return error;
}

static void set_sizes(struct journal *j)
{
    bool is_64bit = (j->incompat & LOG_INCOMPAT_64BIT) != 0;

    j->number_size = is_64bit ? 8 : 4;
    j->tail_size = log_has_checksums(j) ? sizeof(struct log_tail) : 0;
    if (j->incompat & LOG_INCOMPAT_CSUM_V3)
        j->tag_size = sizeof(struct log_tag_v3);
    else
        j->tag_size = (is_64bit ? 12 : 8) + (j->incompat & LOG_INCOMPAT_CSUM_V2 ? 2 : 0);
}

static int check_features(struct journal *j)
{
    struct log_super *s = j->super;

    if (from_be32(s->header.type) == BLOCK_SUPER_V1) { /* knows no features; becomes version 2 when it is written */
        memset(&s->compat, 0, j->block_size - offsetof(struct log_super, compat));
        s->header.type = to_be32(BLOCK_SUPER_V2);
        s->users = to_be32(1);
    }
    j->incompat = from_be32(s->incompat);
    if ((j->incompat & ~(u32)LOG_INCOMPAT_SUPPORTED) != 0 || from_be32(s->ro_compat) != 0) {
        kprintf("journal of %s: unknown features 0x%x, 0x%x", j->name, j->incompat & ~(u32)LOG_INCOMPAT_SUPPORTED,
                from_be32(s->ro_compat));
        return -EINVAL;
    }
    if ((j->incompat & LOG_INCOMPAT_CSUM_V2) && (j->incompat & LOG_INCOMPAT_CSUM_V3))
        return refuse(j, -EINVAL, "two kinds of checksums at once");
    if (log_has_checksums(j)) {
        if (s->checksum_type != CHECKSUM_CRC32C)
            return refuse(j, -EINVAL, "unknown kind of checksums");
        if (from_be32(s->checksum) != checksum_with_zeroed(~0u, s, sizeof(*s), &s->checksum))
            return refuse(j, -EUCLEAN, "the super block's checksum is wrong; run e2fsck");
        j->seed = journal_crc32c(~0u, s->uuid, sizeof(s->uuid));
    }
    set_sizes(j);
    return 0;
}

int log_check_super(struct journal *j)
{
    const struct log_super *s = j->super;
    u32 type = from_be32(s->header.type), mapped;
    int error;

    if (from_be32(s->header.magic) != JOURNAL_MAGIC || (type != BLOCK_SUPER_V1 && type != BLOCK_SUPER_V2))
        return refuse(j, -EUCLEAN, "its super block is none; run e2fsck");
    if (from_be32(s->block_size) != j->block_size)
        return refuse(j, -EUCLEAN, "wrong block size; run e2fsck");
    error = check_features(j);
    if (error != 0)
        return error;
    mapped = j->extents[j->n_extents - 1].first + j->extents[j->n_extents - 1].count;
    j->length = from_be32(s->length);
    j->first = from_be32(s->first);
    if (j->length > mapped || j->first == 0 || j->first >= j->length)
        return refuse(j, -EUCLEAN, "bad size; run e2fsck");
    if (j->length - j->first + 1 < LOG_MIN_BLOCKS)
        return refuse(j, -EINVAL, "too short");
    if (from_be32(s->start) != 0 && (from_be32(s->start) < j->first || from_be32(s->start) >= j->length))
        return refuse(j, -EUCLEAN, "starts outside itself; run e2fsck");
    return 0;
}

int log_write_super(struct journal *j, bool durably)
{
    struct log_super *s = j->super;
    struct block_segment segment = {s, j->block_size};

    s->incompat = to_be32(j->incompat);
    s->compat &= ~to_be32(LOG_COMPAT_CHECKSUM); /* our commit blocks have none of version 1 */
    if (log_has_checksums(j))
        s->checksum = to_be32(checksum_with_zeroed(~0u, s, sizeof(*s), &s->checksum));
    return block_write(j->device, log_sector(j, 0), &segment, 1,
                       durably && j->barrier ? BLOCK_PREFLUSH | BLOCK_FUA : 0);
}
