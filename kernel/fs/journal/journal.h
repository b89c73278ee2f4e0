/*
 * The journal: makes many changes of blocks one change that a power failure cannot divide (after Tweedie, "Journaling
 * the Linux ext2fs Filesystem", 1998; disk format of JBD2, format.h). It knows blocks and buffers, no file system.
 *
 *   journal_start -> [journal_access(b), change b->data, journal_dirty(b)]* -> journal_stop       a handle
 *
 *   handles of many system calls join one transaction:
 *
 *   RUNNING ---> LOCKED ---> FLUSHING ---> COMMITTING ---> COMMITTED ---> CHECKPOINTED
 *   collects     no new      its ordered   its blocks      it will        in place: its part of the log
 *   handles      handles     data goes to  go to the log   survive        is free
 *                            the disk
 *
 * The next transaction runs as soon as this one is FLUSHING. A buffer that both change is copied when the running one
 * asks for it (journal_access), and only if the committing one still needs it.
 *
 * Commits are made by whoever needs one first (fsync, a handle that finds the transaction full), others wait for that
 * one; by a thread when the oldest handle was long enough ago.
 *
 * => Who has a handle open may wait for I/O and for locks whose holders do not wait for a handle or a commit; it
 * touches no user memory and starts no second handle.
 *
 * Locks: commit_mutex (one commit at a time) -> checkpoint_mutex (one checkpoint) -> journal.lock (spin: transactions,
 * their lists, the log's ends, the `journal` part of buffers) -> the buffer cache's.
 */
#ifndef FS_JOURNAL_JOURNAL_H
#define FS_JOURNAL_JOURNAL_H

#include "fs/buffer.h"

struct journal;
struct transaction;

/* Blocks [first, first + count) of the log lie at BLOCK of the device. */
struct log_extent {
    u32 first, count;
    u64 block;
};

/* What the owner, a file system, is told. */
struct journal_ops {
    /* Transaction has its last handle behind it: the owner brings its buffers up to date, if it has left that to now.
     * The next handle waits: no sleeping. May be NULL. */
    void (*locked)(void *owner);
    /* The journal cannot be written any more: no handles from now on. ERROR is negative. May be called with locks. */
    void (*aborted)(void *owner, int error);
    /* A transaction is durable, or lost if ERROR: FREED is what journal_freed_list gave the owner a place for. */
    void (*committed)(void *owner, void *freed, u32 tid, int error);
    size_t (*describe)(void *owner, char *buf, size_t size); /* for /proc */
};

struct journal_config {
    struct block_device *device;
    u32 block_size;
    const struct log_extent *extents; /* in order, copied */
    unsigned n_extents;
    const struct journal_ops *ops;
    void *owner;
    char name[24]; /* for messages and statistics: "vda" */
};

/* ---- opening (journal.c), recovery (recover.c) ---- */

/* Reads and checks the log's super block. ERR_PTR: -EUCLEAN when it makes no sense, -EINVAL for unknown features,
 * -ENOMEM, -EIO; a line in the kernel's log says which. */
struct journal *journal_open(const struct journal_config *config);
bool journal_needs_recovery(const struct journal *j);
/* Puts into place what committed transactions left in the log, and empties it. May be repeated after a crash inside it.
 * 0, -EIO, -ENOMEM. Whoever has read blocks before must read them again. */
int journal_recover(struct journal *j);
/* Recovery is done or was not needed: handles may be started. 0, -ENOMEM. */
int journal_run(struct journal *j);
/* Who starts a handle waits from now on until the release; returns when those that were open have ended. */
void journal_hold(struct journal *j);
void journal_release(struct journal *j);
/* Commits, puts everything into place and marks the log as empty. 0, or the error of an abort. => hold */
int journal_flush(struct journal *j);
/* Refuses handles from now on, waits for those that are open, then as above. */
int journal_empty(struct journal *j);
/* Handles are not refused any more. */
void journal_admit(struct journal *j);
/* Frees it; what was not written is lost. */
void journal_close(struct journal *j);
void journal_set_interval(struct journal *j, u64 ns); /* of commits by the thread */
void journal_set_barrier(struct journal *j, bool on); /* off: the disk's cache is trusted */
/* An error that made an earlier mount give up, 0 = none. */
int journal_earlier_error(const struct journal *j);
void journal_clear_error(struct journal *j);

/* ---- handles (handle.c) ---- */

struct handle {
    struct journal *journal;
    struct transaction *transaction;
    int credits; /* buffers that it may still add to the transaction */
    u64 started; /* for statistics: 0 in handles that did not wait */
};

/* A handle that may change CREDITS buffers. Waits while a transaction is locked or the log is full. 0, -EROFS
 * (aborted), -ENOSPC (so many never fit). */
int journal_start(struct handle *h, struct journal *j, unsigned credits);
/* CREDITS more, without waiting: false if they do not fit. */
bool journal_extend(struct handle *h, unsigned credits);
/* The change so far is complete: goes on in this transaction or the next. => no locks that others need within handles.
 */
int journal_restart(struct handle *h, unsigned credits);
void journal_stop(struct handle *h);
u32 journal_tid(const struct handle *h); /* what to ask journal_commit for */
/* How many buffers one handle can have at most. */
unsigned journal_max_credits(const struct journal *j);

/* ---- buffers (attach.c) ---- */

/* buffer.journal.flags: those of `transaction`, and shifted left by NEXT those of `next`. */
#define JB_MODIFIED BIT(0)  /* to be logged */
#define JB_FORGOTTEN BIT(1) /* freed: not to be logged, and at the commit not to be written in place any more */
#define JB_FRESH BIT(2)     /* the log has no older copy that counts */
#define JB_NEXT 4
#define JB_MASK ((1u << JB_NEXT) - 1)
#define JB_WAS_DIRTY BIT(8) /* it was to be written in place when a transaction claimed it */
#define JB_SHADOW BIT(9)    /* its data are being written to the log: no changes */
#define JB_LOGGED BIT(10)   /* ... have been */

/* Whether T has B. `next` is cleared after `transaction` has its value: so it is looked at first. */
static inline bool journal_has(const struct buffer *b, const struct transaction *t)
{
    return load_acquire(&b->journal.next) == t || load_acquire(&b->journal.transaction) == t;
}
int journal_attach(struct handle *h, struct buffer *b);
void journal_dirty_slowly(struct handle *h, struct buffer *b);

/* B is about to change. Waits for writes of it under way, and for memory. 0, -EROFS. */
static inline int journal_access(struct handle *h, struct buffer *b)
{
    return likely(journal_has(b, h->transaction)) ? 0 : journal_attach(h, b);
}
/* The same for a block that was free, whose old contents nobody wants. */
int journal_access_new(struct handle *h, struct buffer *b);
/* B has changed. => journal_access before */
static inline void journal_dirty(struct handle *h, struct buffer *b)
{
    /* Most are modified already. */
    if (unlikely(h->transaction == NULL || load_acquire(&b->journal.transaction) != h->transaction ||
                 (load_relaxed(&b->journal.flags) & (JB_MODIFIED | JB_FORGOTTEN)) != JB_MODIFIED))
        journal_dirty_slowly(h, b);
}
/* BLOCK's contents are not wanted any more, and it will be free: what the log has of it must not be replayed over what
 * comes there next. The owner may reuse the block once this transaction has committed. 0, -EROFS. */
int journal_forget(struct handle *h, u64 block);
/* The transaction's place for the owner's list of what it has freed; given back by `committed`. */
void **journal_freed_list(struct handle *h);

/* ---- ordered data (ordered.c) ---- */

/* Embedded in a file: its dirty data go to the disk before the transactions that it is attached to commit. */
struct journal_data {
    struct transaction *transaction, *next; /* journal.lock */
    struct list link;
    bool writing;
    /* Starts writing, or waits until all is written. 0 or -errno. */
    int (*write)(struct journal_data *data, bool wait);
};
void journal_data_init(struct journal_data *data, int (*write)(struct journal_data *data, bool wait));
void journal_order(struct handle *h, struct journal_data *data);
/* Dirty data are about to be dropped (truncation): waits until no commit under way needs them on the disk any more. In
 * a handle no other can come to need them. */
void journal_data_wait(struct journal *j, struct journal_data *data);
/* DATA's file goes away. Unless it IS_CLEAN, waits as above. */
void journal_data_forget(struct journal *j, struct journal_data *data, bool is_clean);

/* ---- commits (commit.c) ---- */

/* Waits until transaction TID and all before it are durable; commits it if nobody does. 0, -EIO. */
int journal_commit(struct journal *j, u32 tid);
/* The same for fsync(2) (sync.c): those who sync at the same time are given a moment to share the commit. JOINED: what
 * journal_join said when the call began. */
int journal_sync(struct journal *j, u32 tid, bool joined);
/* The caller will sync TID, which others may wait for: true if it is the running one, and he is counted. */
bool journal_join(struct journal *j, u32 tid);
/* All that was changed so far. */
int journal_commit_all(struct journal *j);
/* The number of the transaction that collects changes now, or of the last one. */
u32 journal_current_tid(struct journal *j);
bool journal_is_durable(struct journal *j, u32 tid);

/* ---- errors ---- */
void journal_abort(struct journal *j, int error);
bool journal_is_aborted(const struct journal *j);

/* ---- statistics: text as /proc/fs/jbd/NAME/info has it; its length ---- */
size_t journal_describe(struct journal *j, char *buf, size_t size);
/* The next journal that runs after J (NULL: the first); for /proc. => journal_list_lock held */
struct journal *journal_next(struct journal *j);
const char *journal_name(const struct journal *j);
int journal_number(const struct journal *j);                              /* its disk's */
size_t journal_describe_owner(struct journal *j, char *buf, size_t size); /* journal_ops.describe */
void journal_list_lock(void);
void journal_list_unlock(void);

#endif
