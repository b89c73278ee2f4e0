/*
 * Buffers: the cache of single blocks that a file system reads and changes by itself (bitmaps, inodes, directories,
 * indirect blocks), as opposed to files' pages.
 *
 *   buffer_read -> change data -> buffer_mark_dirty -> buffer_put      ...      buffer_sync writes what is dirty
 *
 * One buffer per (device, block). A referenced buffer stays; unreferenced clean ones go under memory pressure, oldest
 * first. Who may change `data` when is its file system's to arrange; a buffer that changes while it is being written is
 * dirty again and is written again.
 *
 * Locks: buffer_lock (spin, irqsave) guards the hash table, lists and `state` transitions; `refs` is atomic.
 */
#ifndef FS_BUFFER_H
#define FS_BUFFER_H

#include "dev/block.h"
#include "lib/atomic.h"

/* What the journal keeps with a buffer (journal/attach.c says what it means). */
struct transaction;
struct buffer_journal {
    struct transaction *transaction, *next, *checkpoint;
    u8 *frozen;
    u32 flags;
    struct list link, checkpoint_link;
};

struct buffer {
    struct block_device *device;
    u64 block; /* number in units of `size` */
    u32 size;
    u32 refs;
    u32 state; /* BUFFER_* */
    u8 *data;
    struct buffer_journal journal;
    struct list hash_link;
    struct list lru_link;   /* least recently released first; empty while in use */
    struct list dirty_link; /* of the device's dirty list */
};
#define BUFFER_UPTODATE BIT(0)
#define BUFFER_DIRTY BIT(1)
#define BUFFER_READING BIT(2)
#define BUFFER_WRITING BIT(3)
#define BUFFER_ERROR BIT(4) /* the last write failed */
#define BUFFER_DATA BIT(5)  /* for the file system: it holds a file's bytes, nothing of its own */

void buffer_init(void);
/* The buffer, with a reference, its data perhaps not read. NULL: no memory. */
struct buffer *buffer_get(struct block_device *device, u64 block, u32 size);
/* The same with its data. ERR_PTR(-ENOMEM, -EIO). */
struct buffer *buffer_read(struct block_device *device, u64 block, u32 size);
/* Starts reading blocks that will be wanted soon. */
void buffer_read_ahead(struct block_device *device, u64 block, unsigned n, u32 size);
void buffer_put(struct buffer *b); /* NULL is fine */
static inline void buffer_hold(struct buffer *b) { atomic_add_relaxed(&b->refs, 1); }
static inline bool buffer_is_uptodate(const struct buffer *b)
{
    return (load_acquire(&b->state) & BUFFER_UPTODATE) != 0;
}
/* The caller has filled in all of it. */
static inline void buffer_set_uptodate(struct buffer *b) { atomic_or(&b->state, (u32)BUFFER_UPTODATE); }
void buffer_mark_dirty(struct buffer *b);
/* The block is free: what the buffer holds must never reach the disk any more, where it may be another's by then. Waits
 * for I/O under way. */
void buffer_forget(struct block_device *device, u64 block);
/* The cached buffer with a reference, or NULL. */
struct buffer *buffer_find(struct block_device *device, u64 block);
/* Takes DIRTY away, so that B is not written until it is marked dirty again; *WAS_DIRTY: whether it was. False: it is
 * being written now. */
bool buffer_claim(struct buffer *b, bool *was_dirty);
void buffer_wait_written(struct buffer *b);
/* Like buffer_forget, for one that is claimed. Never sleeps. */
void buffer_discard(struct buffer *b);
static inline bool buffer_is_clean(const struct buffer *b)
{
    return (load_acquire(&b->state) & (BUFFER_DIRTY | BUFFER_WRITING)) == 0;
}
static inline bool buffer_has_failed(const struct buffer *b) { return (load_relaxed(&b->state) & BUFFER_ERROR) != 0; }
/* Writes those of the N referenced BUFFERS that are dirty, and waits; also for those that others are writing. The array
 * is sorted meanwhile. 0, -EIO. */
int buffer_write_many(struct block_device *device, struct buffer **buffers, unsigned n);
/* Writes all dirty buffers of DEVICE in order, and waits until they are on the disk (or in its cache). 0, -EIO. */
int buffer_sync(struct block_device *device);
/* Writes this one and waits. */
int buffer_write(struct buffer *b);
/* Drops all unused buffers of DEVICE. Dirty ones, too: nobody has it mounted, and what an aborted journal left behind
 * must not be taken for the disk's contents, nor written over what e2fsck repaired. */
void buffer_drop(struct block_device *device);
u64 buffer_pages(void); /* for /proc/meminfo's Buffers */

#endif
