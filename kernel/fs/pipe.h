/* Inside fs/: what pipe.c and splice.c share. The picture and the locks are in pipe.c. */
#ifndef FS_PIPE_H
#define FS_PIPE_H

#include "fs/vfs.h"
#include "vm/page.h"

#define PIPE_BUF 4096
#define PIPE_DEFAULT_PAGES 16
#define PIPE_MAX_BYTES (1024 * KIB) /* /proc/sys/fs/pipe-max-size */

struct slot {
    struct page *page;
    unsigned offset, length; /* unread bytes */
    bool packet;             /* of O_DIRECT: read by itself, and what a read leaves of it is gone */
};

struct pipe {
    struct mutex lock;
    struct slot *slots;
    unsigned capacity; /* slots; a power of two */
    unsigned first, used;
    unsigned promised;         /* free slots that a splice fills, or gives back to, when it has waited for its file */
    unsigned taken;            /* of these, slots with bytes that may come back */
    bool polled;               /* somebody has asked for its queues: he hears of all that comes */
    struct page *spare;        /* one page kept from the last read */
    unsigned readers, writers; /* open ends */
    unsigned reader_opens, writer_opens; /* how often an end was ever opened: FIFO openers wait for a change */
    unsigned files;
    struct wait_queue can_read, can_write, opened;
    char name[24];
};

struct pipe *file_pipe(const struct file *file); /* NULL: not a pipe */
static inline struct slot *pipe_slot(struct pipe *p, unsigned i)
{
    return &p->slots[(p->first + i) & (p->capacity - 1)];
}
static inline unsigned pipe_free_slots(const struct pipe *p) /* => lock */
{
    return p->capacity - p->used - p->promised;
}
static inline bool pipe_has_free_slot(const struct pipe *p)
{
    return load_relaxed(&p->used) + load_relaxed(&p->promised) < load_relaxed(&p->capacity);
}
/* Nothing is in it, nor will be. => lock, else a writer may have come and gone between the looks */
static inline bool pipe_is_at_end(const struct pipe *p)
{
    return p->used == 0 && p->taken == 0 && load_relaxed(&p->writers) == 0;
}
/* Whether a reader should look, without the lock. */
static inline bool pipe_may_be_read(const struct pipe *p)
{
    return load_relaxed(&p->used) > 0 || (load_relaxed(&p->writers) == 0 && load_relaxed(&p->taken) == 0);
}
void pipe_drop_slot(struct pipe *p); /* the first, read to its end. => lock */
ssize_t pipe_broken(void);           /* nobody reads: SIGPIPE and -EPIPE */

/* splice.c */
#define SPLICE_F_MOVE 1
#define SPLICE_F_NONBLOCK 2
#define SPLICE_F_MORE 4
#define SPLICE_F_GIFT 8
#define SPLICE_F_ALL 15
/* Up to N bytes from one file to the other, of which at least one is a pipe: splice(2). Positions are those of files
 * that have one. */
ssize_t splice_file_to_pipe(struct file *in, u64 *pos, struct file *out, size_t n, unsigned flags);
ssize_t splice_pipe_to_file(struct file *in, struct file *out, u64 *pos, size_t n, unsigned flags);
/* KEEP: the bytes stay in IN as well: tee(2). */
ssize_t splice_pipes(struct file *in, struct file *out, size_t n, unsigned flags, bool keep);
ssize_t splice_from_user(struct file *out, struct uio *uio, unsigned flags); /* vmsplice(2) to a pipe */
ssize_t splice_to_user(struct file *in, struct uio *uio, unsigned flags);    /* ... and from one */

#endif
