/*
 * Block devices: requests of 512-byte sectors to and from kernel memory, many in flight, completed in interrupts.
 */
#ifndef DEV_BLOCK_H
#define DEV_BLOCK_H

#include "lib/list.h"
#include "sched/wait.h"

#define SECTOR_SIZE 512

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH };

struct block_segment {
    void *address; /* direct map; physically contiguous */
    u32 length;    /* bytes, a multiple of 512 */
};

#define BLOCK_MAX_SEGMENTS 128

struct block_request {
    struct block_device *device;
    enum block_op op;
    bool preflush; /* writes: what was done before them is durable first */
    bool fua;      /* writes: durable when done */
    u64 sector;
    unsigned n_segments;
    struct block_segment *segments;              /* the caller's, until done */
    int error;                                   /* at done: 0 or -EIO */
    void (*done)(struct block_request *request); /* in interrupt context */
    void *private;
    u64 covers;       /* block_submit's: writes that were done before */
    struct list link; /* the driver's */
};

struct block_device {
    char name[16]; /* "vda" */
    u32 dev;       /* 254:0... */
    u64 sectors;
    bool read_only, write_cache;
    unsigned max_segments;
    unsigned logical_block; /* bytes: requests are aligned to and multiples of it */
    void (*submit)(
        struct block_request *request); /* never fails; errors come through done. May sleep when the queue is full. */
    void *private;
    struct list link;
    u64 reads, writes, flushes, sectors_read, sectors_written; /* /proc/diskstats */
    u64 writes_done, writes_flushed; /* how many writes are complete; how many of them are surely on the medium */
    struct mutex flush_mutex;        /* one flush at a time for those who share it */
};

void block_init(void); /* before the first device */
int block_register(
    struct block_device *device); /* also /dev/NAME (its own page cache; BLKGETSIZE64...): devfs must be there */
struct block_device *block_next(
    struct block_device *after); /* all devices in order of registration: NULL gives the first, the last gives NULL */
void block_submit(struct block_request *request);  /* counts, checks the range, hands to the driver */
struct block_device *block_find(const char *name); /* "vda" */
struct block_device *block_by_dev(u32 dev);
/* Synchronous helpers: one contiguous buffer. 0 or -EIO. */
int block_transfer(struct block_device *device, enum block_op op, u64 sector, void *buffer, u32 length);
int block_transfer_segments(struct block_device *device, enum block_op op, u64 sector, struct block_segment *segments,
                            unsigned n);
int block_flush(struct block_device *device);
/* The N segments to SECTOR; FLAGS: BLOCK_PREFLUSH | BLOCK_FUA. */
#define BLOCK_PREFLUSH 1
#define BLOCK_FUA 2
int block_write(struct block_device *device, u64 sector, struct block_segment *segments, unsigned n, unsigned flags);
/* What is written up to now, and a flush unless one has covered that since; callers that come together share it. */
u64 block_write_mark(const struct block_device *device);
int block_flush_to(struct block_device *device, u64 mark);
/* Drivers: REQUEST is done, its error is set. */
void block_complete(struct block_request *request);

/* fs/block_file.c: /dev/NAME, and what was written through it but is not on the disk yet (sync(2)). */
int block_file_add(struct block_device *device);
int block_files_sync(bool wait);

#endif
