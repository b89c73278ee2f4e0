/* What store.c, log.c and heap.c know of each other. */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <pthread.h>
#include "store.h"

enum { HEAP_FILE, LOG_FILE };

/* Page 0 of the heap file. Only NEEDS_LOG ever changes, by a write of its own. */
struct super {
    char magic[8];
    uint32_t version, page_size;
    uint64_t id; /* the same in the log */
    uint64_t needs_log;
};
#define SUPER_MAGIC "QuStore"
#define STORE_VERSION 1

struct log {
    int fd;
    uint64_t id, generation;
    uint64_t next;    /* number of the next record */
    off_t tail, size; /* where it goes; bytes that the file has */
    char *buffer;     /* of LOG_BUFFER bytes: the record being made */
    size_t used;
    off_t flushed;     /* bytes of it that are in the file already */
    uint64_t checksum; /* of those after the header */
    uint64_t pages;
    int error; /* the first one of this record */
};
#define LOG_BUFFER (256u << 10)

/* A run of pages that this transaction stored to, and where their old content is. */
struct touched {
    uint64_t page, pages;
    char *twin;
};

struct store {
    char *base; /* the file, mapped privately, readable; what a transaction stores to is writable meanwhile */
    size_t reserve, file_pages, log_limit;
    int fd;
    bool no_sync;
    struct store_io io;
    struct log log;

    pthread_rwlock_t lock; /* held for reading by readers, for writing by a transaction, a checkpoint */
    bool writing;          /* by WRITER */
    pthread_t writer;
    int error; /* of the transaction, reported by its commit: ENOMEM, ENOSPC */

    struct touched *touched;
    size_t n_touched;
    char *twins, *next_twin;
    uint64_t *open, *logged; /* a bit for each page: writable now; newer in the log than in the file */
    uint64_t touched_pages, first_logged, end_logged;

    pthread_mutex_t sync_lock; /* after lock */
    uint64_t appended, synced; /* records; appended also under lock */
    bool broken;               /* a sync failed */
    bool marked;               /* the file says that it needs its log */
    struct store_stats stats;
};

/* log.c */
uint64_t log_checksum(uint64_t sum, const void *from, size_t length);
int log_make(struct store *s);
int log_open(struct store *s, const char *path, bool may_make);
int log_recover(struct store *s);
void log_begin(struct store *s);
void log_page(struct store *s, uint64_t page, const char *old, const char *new);
int log_end(struct store *s);
int log_reset(struct store *s);
void log_close(struct store *s);

/* heap.c */
void heap_format(char *page);
int store_grow(struct store *s, uint64_t pages);

static inline bool bit_get(const uint64_t *bits, uint64_t n) { return bits[n / 64] >> n % 64 & 1; }
static inline void bit_set(uint64_t *bits, uint64_t n) { bits[n / 64] |= 1ull << n % 64; }
static inline void bit_clear(uint64_t *bits, uint64_t n) { bits[n / 64] &= ~(1ull << n % 64); }

/* All of it, or -1 with errno. */
int write_all(struct store *s, int file, int fd, const void *from, size_t length, off_t at);

#endif
