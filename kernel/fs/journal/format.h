/*
 * What a journal looks like on the disk (JBD2's format), all integers big-endian.
 *
 *   block 0       1 ...................................................... length - 1
 *   super block | descriptor | copy | copy ... | revoke | commit | descriptor | copy | ... | commit | (old blocks)
 *                 +--------- one transaction, sequence n --------+ +-------- n + 1 --------+
 *
 * The log is a ring: behind the last block comes `first` again. Every block but the copies starts with a header. A
 * descriptor has one tag for each copy that follows it. A copy whose first word would look like a header has zeros
 * there instead and TAG_ESCAPED in its tag.
 */
#ifndef FS_JOURNAL_FORMAT_H
#define FS_JOURNAL_FORMAT_H

#include "lib/endian.h"

#define JOURNAL_MAGIC 0xC03B3998u

#define LOG_MIN_BLOCKS 1024 /* the super block included */

enum { BLOCK_DESCRIPTOR = 1, BLOCK_COMMIT = 2, BLOCK_SUPER_V1 = 3, BLOCK_SUPER_V2 = 4, BLOCK_REVOKE = 5 };

struct log_header {
    be32 magic, type, sequence;
};

struct log_super {
    struct log_header header;
    be32 block_size, length, first; /* blocks in all; the first one of the log proper */
    be32 sequence, start; /* of the oldest transaction: its number and first block; start 0: the log is empty */
    be32 error;           /* negative errno of an aborted journal */
    /* Version 2 only. */
    be32 compat, incompat, ro_compat;
    u8 uuid[16];
    be32 users, dynamic_super, max_transaction, max_data;
    u8 checksum_type, padding2[3];
    be32 fast_commit_blocks, head, padding[40];
    be32 checksum; /* of the super block, with this field 0 */
    u8 user_uuids[16 * 48];
};
static_assert(sizeof(struct log_super) == 1024, "fixed by the format");
static_assert(offsetof(struct log_super, checksum) == 0xFC, "fixed by the format");

#define LOG_COMPAT_CHECKSUM 0x1 /* version 1: one CRC-32 over a transaction, in its commit block */
#define LOG_INCOMPAT_REVOKE 0x1
#define LOG_INCOMPAT_64BIT 0x2
#define LOG_INCOMPAT_ASYNC_COMMIT 0x4
#define LOG_INCOMPAT_CSUM_V2 0x8
#define LOG_INCOMPAT_CSUM_V3 0x10
#define LOG_INCOMPAT_SUPPORTED \
    (LOG_INCOMPAT_REVOKE | LOG_INCOMPAT_64BIT | LOG_INCOMPAT_ASYNC_COMMIT | LOG_INCOMPAT_CSUM_V2 | LOG_INCOMPAT_CSUM_V3)

enum { CHECKSUM_CRC32 = 1, CHECKSUM_CRC32C = 4 };

/* 8 bytes; 12 with 64BIT; 2 more with CSUM_V2. A uuid of 16 bytes follows unless TAG_SAME_UUID. */
struct log_tag {
    be32 block;
    be16 checksum; /* CSUM_V2: lower half */
    be16 flags;
    be32 block_high;
};
struct log_tag_v3 { /* CSUM_V3: always 16 bytes */
    be32 block, flags, block_high, checksum;
};
static_assert(sizeof(struct log_tag) == 12 && sizeof(struct log_tag_v3) == 16, "fixed by the format");

#define TAG_ESCAPED 1
#define TAG_SAME_UUID 2
#define TAG_DELETED 4
#define TAG_LAST 8
#define TAG_UUID_SIZE 16

struct log_tail { /* the last 4 bytes of descriptor and revoke blocks with CSUM_V2 or V3 */
    be32 checksum;
};

struct log_revoke { /* numbers follow: 4 bytes, or 8 with 64BIT */
    struct log_header header;
    be32 size; /* bytes in use, header included */
};

struct log_commit {
    struct log_header header;
    u8 checksum_type, checksum_size, padding[2];
    be32 checksum[8];
    be32 seconds_high, seconds, nanoseconds;
};
static_assert(sizeof(struct log_commit) == 60, "fixed by the format");

#endif
