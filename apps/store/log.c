/*
 * The log: what committed transactions changed, since it was last brought into the heap file.
 *
 *     FILE.log    [header: magic, id, generation] [record] [record] [record] ... old bytes
 *     record      [header: magic, generation, number, length, pages, checksum] [page entry] [page entry] ...
 *     page entry  [page number, count of runs] count times: [offset, length] and the new bytes, length a multiple of 8
 *
 * 1. A record is valid when its magic, generation and checksum are right and its number follows its predecessor's. The
 * log is its valid records up to the first that is not.
 * 2. The file has its size before records go there (the log is overwritten, not truncated), so that a sync of a record
 * is the record's blocks and one flush.
 * 3. A record counts as committed once a sync that began after it was written has ended.
 * 4. The heap file gets pages only of records that are synced; a new generation begins only when the heap file is
 * synced, and is itself synced before its first record. So the records of one generation are applied all, or all of
 * them are in the heap file already; applying them again changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

struct log_header {
    char magic[8];
    uint64_t id, generation, checksum;
};
#define LOG_MAGIC "QuStLog"

struct record {
    uint64_t magic, generation, number;
    uint64_t length; /* bytes after this header */
    uint64_t pages;
    uint64_t checksum; /* of this header before it, and of what follows */
};
#define RECORD_MAGIC 0x64726f6365526c71ull

struct page_entry {
    uint64_t page;
    uint64_t runs;
};

struct run {
    uint32_t offset, length;
};

#define FIRST_RECORD ((off_t)STORE_PAGE)
#define GROW (1u << 20)
#define JOIN 16 /* runs that are so near become one */

/* A checksum by words that finds what a torn write leaves; SUM is that of what came before. LENGTH is a multiple of 8.
 */
uint64_t log_checksum(uint64_t sum, const void *from, size_t length)
{
    const char *at = from;

    for (; length >= 8; length -= 8, at += 8) {
        uint64_t word;

        memcpy(&word, at, 8);
        sum = (sum ^ word) * 0x9e3779b97f4a7c15ull;
        sum ^= sum >> 29;
    }
    return sum;
}

static uint64_t record_checksum(const struct record *r, uint64_t of_entries)
{
    return log_checksum(of_entries, r, offsetof(struct record, checksum));
}

static int write_header(struct store *s)
{
    struct log_header h = {.magic = LOG_MAGIC, .id = s->log.id, .generation = s->log.generation};

    h.checksum = log_checksum(0, &h, offsetof(struct log_header, checksum));
    return write_all(s, LOG_FILE, s->log.fd, &h, sizeof(h), 0);
}

/* The file gets SIZE bytes that are really there. */
static int extend(struct store *s, off_t size)
{
    static const char zeros[64u << 10];

    while (s->log.size < size) {
        if (write_all(s, LOG_FILE, s->log.fd, zeros, sizeof(zeros), s->log.size) < 0)
            return -1;
        s->log.size += sizeof(zeros);
    }
    return 0;
}

/* An empty log in s->log.fd. */
int log_make(struct store *s)
{
    s->log.generation = 1;
    s->log.next = 1;
    s->log.tail = FIRST_RECORD;
    if (extend(s, GROW) < 0 || write_header(s) < 0)
        return -1;
    return s->io.sync(s->io.argument, LOG_FILE, s->log.fd);
}

/* A new generation: no record is valid any more. The heap file has all of them, synced. */
int log_reset(struct store *s)
{
    s->log.generation++;
    s->log.next = 1;
    s->log.tail = FIRST_RECORD;
    if (write_header(s) < 0)
        return -1;
    return s->io.sync(s->io.argument, LOG_FILE, s->log.fd);
}

/* MAY_MAKE: nothing is lost when there is no log of this store. */
int log_open(struct store *s, const char *path, bool may_make)
{
    struct log_header h = {.generation = 0};
    struct stat st;

    s->log.buffer = malloc(LOG_BUFFER);
    if (s->log.buffer == NULL)
        return -1;
    s->log.fd = open(path, O_RDWR | O_CLOEXEC | (may_make ? O_CREAT : 0), 0666);
    if (s->log.fd < 0) {
        if (errno == ENOENT)
            errno = ENODATA;
        return -1;
    }
    if (fstat(s->log.fd, &st) < 0)
        return -1;
    s->log.size = st.st_size;
    if (pread(s->log.fd, &h, sizeof(h), 0) == sizeof(h) && memcmp(h.magic, LOG_MAGIC, 8) == 0 && h.id == s->log.id &&
        h.checksum == log_checksum(0, &h, offsetof(struct log_header, checksum))) {
        s->log.generation = h.generation;
        return 0;
    }
    if (may_make)
        return log_make(s);
    errno = ENODATA;
    return -1;
}

/* --- Recovery --- */

/* Is there a valid record at R, with ROOM bytes from there to the end of the file? */
static bool is_valid(const struct store *s, const struct record *r, size_t room)
{
    return room >= sizeof(*r) && r->magic == RECORD_MAGIC && r->generation == s->log.generation &&
           r->number == s->log.next && r->length % 8 == 0 && r->length <= room - sizeof(*r) &&
           r->checksum == record_checksum(r, log_checksum(0, r + 1, r->length));
}

/* The changes of one page at E into the heap file; returns what follows them. NULL: they cannot be. */
static const char *apply_page(struct store *s, const char *at, const char *end)
{
    char page[STORE_PAGE] = {0};
    struct page_entry e;

    if ((size_t)(end - at) < sizeof(e))
        return NULL;
    memcpy(&e, at, sizeof(e));
    at += sizeof(e);
    if (e.page >= s->reserve / STORE_PAGE || pread(s->fd, page, sizeof(page), (off_t)(e.page * STORE_PAGE)) < 0)
        return NULL;
    for (uint64_t i = 0; i < e.runs; i++) {
        struct run r;

        if ((size_t)(end - at) < sizeof(r))
            return NULL;
        memcpy(&r, at, sizeof(r));
        at += sizeof(r);
        if (r.length > (size_t)(end - at) || r.offset > STORE_PAGE || r.length > STORE_PAGE - r.offset)
            return NULL;
        memcpy(page + r.offset, at, r.length);
        at += r.length;
    }
    if (write_all(s, HEAP_FILE, s->fd, page, sizeof(page), (off_t)(e.page * STORE_PAGE)) < 0)
        return NULL;
    return at;
}

static int apply(struct store *s, const struct record *r)
{
    const char *at = (const char *)(r + 1), *end = at + r->length;

    for (uint64_t i = 0; i < r->pages; i++) {
        errno = EINVAL;
        at = apply_page(s, at, end);
        if (at == NULL)
            return -1;
    }
    return 0;
}

/*
 * Applies the valid records to the heap file, and begins a new generation: behind a record that was torn there may be
 * whole ones, which must not follow the next that takes its place.
 */
int log_recover(struct store *s)
{
    off_t at = FIRST_RECORD;
    char *map;

    s->log.next = 1;
    s->log.tail = FIRST_RECORD;
    if (s->log.size <= FIRST_RECORD)
        return log_reset(s);
    map = mmap(NULL, s->log.size, PROT_READ, MAP_SHARED, s->log.fd, 0);
    if (map == MAP_FAILED)
        return -1;
    for (;;) {
        const struct record *r = (const struct record *)(map + at);

        if (!is_valid(s, r, s->log.size - at))
            break;
        if (apply(s, r) < 0) {
            munmap(map, s->log.size);
            return -1;
        }
        at += sizeof(*r) + r->length;
        s->log.next++;
        s->stats.recovered++;
    }
    munmap(map, s->log.size);
    if (s->stats.recovered > 0 && s->io.sync(s->io.argument, HEAP_FILE, s->fd) < 0)
        return -1;
    return log_reset(s);
}

/* --- Writing a record --- */

void log_begin(struct store *s)
{
    s->log.used = sizeof(struct record);
    s->log.flushed = 0;
    s->log.checksum = 0;
    s->log.pages = 0;
    s->log.error = 0;
}

/* What is in the buffer goes to the file. */
static void write_buffer(struct store *s)
{
    struct log *log = &s->log;
    off_t end = log->tail + log->flushed + (off_t)log->used;

    if (log->error == 0 && end > log->size && extend(s, (end + GROW - 1) / GROW * GROW) < 0)
        log->error = errno;
    if (log->error == 0 && write_all(s, LOG_FILE, log->fd, log->buffer, log->used, log->tail + log->flushed) < 0)
        log->error = errno;
    log->flushed += (off_t)log->used;
    log->used = 0;
}

/* The same of a record's part. The checksum covers all but the header, which comes at the end. */
static void flush(struct store *s)
{
    struct log *log = &s->log;
    size_t skip = log->flushed == 0 ? sizeof(struct record) : 0;

    log->checksum = log_checksum(log->checksum, log->buffer + skip, log->used - skip);
    write_buffer(s);
}

/* The first word from AT on (in bytes) where OLD and NEW differ; STORE_PAGE without one. */
static size_t next_difference(const char *old, const char *new, size_t at)
{
    const uint64_t *a = (const uint64_t *)old, *b = (const uint64_t *)new;
    size_t i = at / 8;

    while (i < STORE_PAGE / 8 && a[i] == b[i])
        i++;
    return i * 8;
}

/* Where the run that begins at AT ends: before JOIN equal bytes, or with the page. */
static size_t end_of_run(const char *old, const char *new, size_t at)
{
    size_t end;

    do {
        end = at + 8;
        while (end < STORE_PAGE && memcmp(old + end, new + end, 8) != 0)
            end += 8;
        at = next_difference(old, new, end);
    } while (at < STORE_PAGE && at - end < JOIN);
    return end;
}

/* The differences of a page; both are aligned to 8 bytes. */
void log_page(struct store *s, uint64_t page, const char *old, const char *new)
{
    struct page_entry entry = {.page = page};
    size_t at = next_difference(old, new, 0), where;

    if (at == STORE_PAGE)
        return;
    if (s->log.used + sizeof(entry) + 2 * STORE_PAGE > LOG_BUFFER)
        flush(s);
    where = s->log.used;
    s->log.used += sizeof(entry);
    while (at < STORE_PAGE) {
        struct run r = {.offset = (uint32_t)at, .length = (uint32_t)(end_of_run(old, new, at) - at)};

        memcpy(s->log.buffer + s->log.used, &r, sizeof(r));
        memcpy(s->log.buffer + s->log.used + sizeof(r), new + at, r.length);
        s->log.used += sizeof(r) + r.length;
        at = next_difference(old, new, at + r.length);
        entry.runs++;
    }
    memcpy(s->log.buffer + where, &entry, sizeof(entry));
    s->log.pages++;
}

/* The record is in the file, not yet synced. 1: it would be empty, and there is none. */
int log_end(struct store *s)
{
    struct log *log = &s->log;
    struct record r = {.magic = RECORD_MAGIC, .generation = log->generation, .number = log->next, .pages = log->pages};
    bool whole = log->flushed == 0; /* one write has it all */

    if (log->pages == 0)
        return 1;
    r.length = log->flushed + log->used - sizeof(r);
    if (whole) {
        r.checksum = record_checksum(&r, log_checksum(0, log->buffer + sizeof(r), log->used - sizeof(r)));
        memcpy(log->buffer, &r, sizeof(r));
        write_buffer(s);
    } else {
        flush(s);
        r.checksum = record_checksum(&r, log->checksum);
        if (log->error == 0 && write_all(s, LOG_FILE, log->fd, &r, sizeof(r), log->tail) < 0)
            log->error = errno;
    }
    if (log->error != 0) {
        errno = log->error;
        return -1;
    }
    log->tail += log->flushed;
    log->next++;
    s->stats.logged_bytes += log->flushed;
    return 0;
}

void log_close(struct store *s)
{
    if (s->log.fd >= 0)
        close(s->log.fd);
    free(s->log.buffer);
}
