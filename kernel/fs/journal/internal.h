/* Inside the journal: transactions and the log. */
#ifndef FS_JOURNAL_INTERNAL_H
#define FS_JOURNAL_INTERNAL_H

#include "fs/journal/format.h"
#include "fs/journal/journal.h"
#include "lib/print.h"
#include "lib/radix.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

enum transaction_state { T_RUNNING, T_LOCKED, T_FLUSHING, T_COMMITTING, T_COMMITTED, T_CHECKPOINTED };

struct transaction {
    struct journal *journal;
    enum transaction_state state;
    u32 tid;
    unsigned handles;       /* open ones */
    unsigned reserved;      /* credits that open handles have not used */
    unsigned n_buffers;     /* that belong to it, or will when the committing one lets them go */
    struct list buffers;    /* buffer.journal.link of those whose journal.transaction it is */
    struct list ordered;    /* journal_data.link */
    struct list checkpoint; /* COMMITTED: buffers that are not in place yet, buffer.journal.checkpoint_link */
    struct radix revoked;   /* block + 1 -> any pointer: their older copies are not to be replayed */
    unsigned n_revoked;
    void *freed;                               /* the owner's */
    u32 log_start;                             /* its first block in the log, once COMMITTING */
    bool changed;                              /* there is something to commit */
    struct list link;                          /* journal.committed */
    u64 started, locked, flushing, committing; /* when, for statistics */
    unsigned n_handles;
    unsigned syncing; /* callers of journal_sync that want it */
    bool is_led;      /* one of them will commit it */
};

struct journal_statistics {
    u64 transactions, requested, handles, blocks, logged, revokes, checkpointed, tail_moves, frozen, waits_log;
    u64 waited_ns, ran_ns, locked_ns, flushing_ns, logging_ns, commit_ns;
};

struct journal {
    struct block_device *device;
    u32 block_size, sectors_per_block;
    const struct journal_ops *ops;
    void *owner;
    char name[24];
    struct log_extent *extents;
    unsigned n_extents;
    struct log_super *super; /* a block's memory; under commit_mutex or checkpoint_mutex: super_mutex */
    struct mutex super_mutex;
    u32 first, length; /* the ring is blocks [first, length) */
    u32 usable;        /* how many of them at a time */
    u32 incompat;
    unsigned tag_size, tail_size, number_size; /* bytes: of a tag, of a block's checksum, of a block number to revoke */
    u32 seed;                                  /* of CRC-32C */
    unsigned max_transaction;                  /* blocks that one transaction may have */
    bool barrier;
    bool is_listed;
    u64 interval; /* ns */

    struct mutex commit_mutex, checkpoint_mutex;
    struct spinlock lock; /* the rest, unless said otherwise */
    int aborted;          /* negative errno */
    /* New handles wait while somebody holds them up, which this counts, and are refused with its highest bit; those
     * that are open may restart. */
    u32 gate;
    unsigned restarting; /* handles between two transactions */
    struct transaction *running, *committing;
    struct list committed; /* transactions that wait for their checkpoint, oldest first */
    u32 next_tid, durable_tid;
    u32 head;                    /* the next block of the log to be written: commit_mutex */
    u32 tail, tail_tid;          /* where recovery would start: the disk's super block says so */
    bool empty;                  /* the super block says so */
    unsigned free_blocks;        /* of the log: those that may be written now */
    bool super_is_due;           /* its features have changed: before the next commit block */
    struct wait_queue changed;   /* states of transactions, JB_SHADOW, room */
    struct wait_queue work;      /* the thread's */
    struct wait_queue gathering; /* a leader's: those whom he expects */
    struct wait_queue synced;    /* a commit has ended */
    unsigned expected;           /* callers of journal_sync at one time */
    unsigned haste;              /* commits that do not wait for them */
    u64 commit_time;             /* ns, of late */
    bool wants_commit, wants_checkpoint, stopping, thread_runs;
    bool thread_is_idle; /* it sleeps until a transaction begins */
    bool failed;         /* a write in place has */
    struct transaction *spare;
    u8 *descriptor, *commit_block; /* a block's memory each: commit_mutex */
    struct log_request *request;   /* one that is always there, when it is free */
    bool request_is_free;
    struct journal_statistics stats;
    struct list link;
};

static inline bool tid_before(u32 a, u32 b) { return (s32)(a - b) < 0; }

/* ---- log.c: blocks of the log ---- */
/* The device's sector of block N of the log. */
u64 log_sector(const struct journal *j, u32 n);
static inline u32 log_next(const struct journal *j, u32 n) { return n + 1 == j->length ? j->first : n + 1; }
int log_read(struct journal *j, u32 n, void *data);
int log_check_super(struct journal *j);
/* Writes the super block; DURABLY: and everything before it is on the medium. => super_mutex. */
int log_write_super(struct journal *j, bool durably);
void log_set_tail_checksum(const struct journal *j, void *block);
bool log_tail_checksum_is_good(const struct journal *j, const void *block);
static inline bool log_has_checksums(const struct journal *j)
{
    return (j->incompat & (LOG_INCOMPAT_CSUM_V2 | LOG_INCOMPAT_CSUM_V3)) != 0;
}
u32 log_copy_checksum(const struct journal *j, u32 sequence, const void *data);
u32 log_commit_checksum(const struct journal *j, struct log_commit *commit);

/* ---- log_write.c: writing it, many blocks to a request, many requests at a time ---- */
struct log_request {
    struct block_request request;
    struct log_writer *writer;
    bool is_spare;
    struct block_segment segments[BLOCK_MAX_SEGMENTS];
};
struct log_writer {
    struct journal *journal;
    struct log_request *open;
    u64 next_sector;
    u32 pending; /* requests under way, and one while more may come */
    int error;
};
void log_writer_begin(struct log_writer *w, struct journal *j);
/* The block at DATA, which stays as it is until log_writer_wait, goes to the log's head, which moves on. */
void log_writer_add(struct log_writer *w, const void *data);
/* Starts what is collected. */
void log_writer_submit(struct log_writer *w);
/* Waits for all: 0 or -EIO. */
int log_writer_wait(struct log_writer *w);

/* ---- crc.c ---- */
void journal_crc_init(void);
u32 journal_crc32c(u32 crc, const void *data, size_t n);
u32 journal_crc32(u32 crc, const void *data, size_t n);

/* ---- handle.c ---- */
/* Blocks of the log that a transaction of N buffers and REVOKED numbers takes at most. */
unsigned log_blocks_for(const struct journal *j, unsigned n, unsigned revoked);
void transaction_free(struct transaction *t);
/* New handles are admitted, wait, or fail; those that go on with a change are not concerned. */
#define REFUSES BIT(31)
void handles_change_gate(struct journal *j, u32 clear, u32 add); /* the bits CLEAR go, then ADD comes to it */
/* Waits until all have ended. */
void handles_wait(struct journal *j);

/* ---- ordered.c ---- */
/* Starts writing the data that T is to wait for; waits for them. Errors are the files' to report. */
void ordered_start(struct transaction *t);
void ordered_wait(struct transaction *t);

/* ---- commit.c ---- */
/* Commits the running transaction if it has changes. => commit_mutex */
int commit_running(struct journal *j);
/* The running transaction, without changes or after an abort, ends. => commit_mutex, no handles */
void commit_nothing(struct journal *j);
/* Whether TID is the running one and has nothing to commit, or is still to come, and all before it are durable. */
bool commit_is_idle(struct journal *j, u32 tid);

/* ---- sync.c ---- */
/* T is committed: how many may want the next one. => lock, commit_mutex */
void sync_expect(struct journal *j, const struct transaction *t);

/* ---- checkpoint.c ---- */
/* Puts old transactions into place until BLOCKS of the log are free, or nothing more can be done without a commit.
 * MAY_COMMIT: then commits. */
int checkpoint(struct journal *j, unsigned blocks, bool may_commit);
/* B is not waited for any more by the transaction in whose checkpoint it is. => journal.lock */
void checkpoint_remove(struct buffer *b);
void checkpoint_drop(struct transaction *t);

/* Fault switches of the debug kernel and the host's crash tests: each breaks one promise. */
enum {
    FAULT_NONE,
    FAULT_NO_FLUSH,
    FAULT_NO_REVOKE,
    FAULT_EARLY_COMMIT,
    FAULT_NO_ORDER,
    FAULT_NO_ESCAPE,
    FAULT_NO_SECOND_FLUSH,
    FAULT_EARLY_TAIL,   /* the tail moves before the blocks behind it are written in place */
    FAULT_NO_TAIL_FLUSH /* ... before they are safe there */
};
extern unsigned journal_fault;
#if defined(DEBUG) || defined(QUIRE_HOST)
static inline bool has_fault(unsigned fault) { return journal_fault == fault; }
#else
static inline bool has_fault(unsigned fault) { return false; }
#endif

#endif
