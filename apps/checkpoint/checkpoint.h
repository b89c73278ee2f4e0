/*
 * checkpoint.h - memory that is saved to a file while the program runs on.
 *
 *     struct checkpoint *c = checkpoint_open("state", 64 << 20);
 *     struct world *w = checkpoint_memory(c);        // as it was in the last checkpoint, at the address it had then
 *     checkpoint_enter(c);
 *     if (!checkpoint_restored(c))
 *         set_up(w);
 *     for (;;) {
 *         step(w);
 *         if (w->steps % 1000 == 0)
 *             checkpoint_take(c);                    // stops for the protect only; a thread of ours writes
 *     }
 *
 * What is to survive, pointers among it included, lies in that memory: it always is at the same address. A checkpoint
 * is the memory at one moment between steps of all threads, or it does not count.
 *
 * Functions that return int give 0, or -1 with errno.
 */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct checkpoint;

struct checkpoint_stats {
    uint64_t taken; /* checkpoints begun since checkpoint_open */
    uint64_t pages, copies,
        zeros; /* saved; of them: copied because they were stored to meanwhile; not written because all zero */
    uint64_t traps;
    uint64_t stop_total, stop_longest; /* nanoseconds from when all threads had stopped until they went on */
    uint64_t file_bytes, compactions;
    uint64_t sequence; /* of the last checkpoint that is durable; 0: none */
};

/*
 * LENGTH bytes, zero, or what the file PATH has: then LENGTH may be 0, and must else be the same as before. NULL with
 * errno: EINVAL: not such a file, or another length; EBUSY: another process has it; EADDRINUSE: something else is where
 * the memory must be; ENOMEM; errors of open(2).
 */
struct checkpoint *checkpoint_open(const char *path, size_t length);

/* Waits for the checkpoint under way. What was stored since it was taken is lost. On an error of it, too, C is gone. */
int checkpoint_close(struct checkpoint *c);

void *checkpoint_memory(const struct checkpoint *c);
size_t checkpoint_length(const struct checkpoint *c);
bool checkpoint_restored(const struct checkpoint *c);

/* Each thread that stores to the memory, before it does, and when it does not any more. */
int checkpoint_enter(struct checkpoint *c);
void checkpoint_exit(struct checkpoint *c);

/* Where a thread may be stopped: each calls it often, or the others wait for it in checkpoint_take. Costs a load. */
void checkpoint_point(struct checkpoint *c);

/* Around what a thread waits for, a barrier or input: meanwhile it need not come to a point. */
void checkpoint_pause(struct checkpoint *c);
void checkpoint_resume(struct checkpoint *c);

/*
 * Begins a checkpoint of the memory as it is now: waits until the one before is durable, stops all other threads at
 * their points, closes the pages stored to since the last one, and lets all go on. By a thread that entered. -1: the
 * checkpoint before this one failed (EIO, ENOSPC...); this one has begun all the same, and has what that one was to
 * save.
 */
int checkpoint_take(struct checkpoint *c);

/* Until the last checkpoint that was begun is durable. -1: it failed. */
int checkpoint_wait(struct checkpoint *c);

void checkpoint_stats(struct checkpoint *c, struct checkpoint_stats *stats);

#endif
