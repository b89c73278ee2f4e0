/* What checkpoint.c, writer.c and file.c know of each other. */
#ifndef CHECKPOINT_INTERNAL_H
#define CHECKPOINT_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>

#include "checkpoint.h"

#define PAGE 4096ul

/*
 * A page, between checkpoints and in one:
 *
 *     CLEAN --store--> DIRTY --take--> QUEUED --writer: SAVING--> CLEAN         (closed but for DIRTY)
 *                        ^                +------store: SAVING, copied--> DIRTY
 *                        |
 *     STALE --store------+     STALE: clean, but the checkpoint that should have saved it failed; --take--> QUEUED
 *
 * From CLEAN, QUEUED and STALE whoever comes first changes the state; SAVING belongs to him who made it so.
 */
enum page_state { CLEAN, DIRTY, QUEUED, SAVING, STALE };

/* One entry of a checkpoint's index. */
struct entry {
    uint64_t page; /* with ZERO_PAGE: there are no bytes for it */
    uint64_t checksum;
};
#define ZERO_PAGE (1ull << 63)

struct image {
    int fd;
    char *path;
    uint64_t id, address, length; /* of the memory */
    off_t end;                    /* of the last checkpoint that counts */
    uint64_t sequence;            /* its number */
    uint64_t *where;              /* for each page the offset of its newest bytes; 0: it is zero */
    uint64_t live;                /* pages that have bytes */
};

struct checkpoint {
    char *memory;
    size_t pages;
    bool restored;
    struct image image;
    uint8_t *state; /* enum page_state of each page */

    /* Threads. STOPPING is also read without the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int running; /* threads that may store now */
    bool stopping;

    /* The checkpoint under way, and its writer; the first three under LOCK. */
    pthread_t writer;
    bool writing, ending;
    int error; /* of the last one */
    uint64_t queued;
    struct entry *index;
    char *copies;            /* old content of pages stored to while they were queued */
    uint64_t *copied;        /* which page each is, plus 1; 0: being copied */
    uint64_t n_copies;       /* atomic */
    uint64_t opened;         /* pages opened since the last checkpoint; roughly */
    struct vm_range *ranges; /* for checkpoint_take */
    struct checkpoint_stats stats;
};

/* file.c */
uint64_t page_checksum(const void *page);
int image_open(struct image *image, const char *path, uint64_t address, size_t length);
int image_index(struct image *image, int (*visit)(void *argument, uint64_t page, const void *bytes), void *argument);
void image_close(struct image *image);
int image_add(struct image *image, struct entry *index, uint64_t count);
int image_write(struct image *image, const void *from, size_t length, off_t at);
int image_compact(struct image *image);
bool image_is_wasteful(const struct image *image);
off_t image_data(const struct image *image, uint64_t count);

/* writer.c */
void *writer_main(void *checkpoint);

#endif
