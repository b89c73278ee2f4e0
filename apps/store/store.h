/*
 * store.h - a heap of objects in a file, changed by transactions.
 *
 * The file is mapped; an object is an address, and stores to it are ordinary stores. What refers to an object inside
 * the file is its offset in the file (store_ref), so the file may be mapped anywhere and no pointer is ever translated.
 *
 *     struct store *s = store_open("people", NULL);
 *     store_begin(s);
 *     store_ref r = store_alloc(s, sizeof(struct person));
 *     struct person *p = store_at(s, r);
 *     p->age = 42;
 *     store_set_root(s, 0, r);
 *     if (store_commit(s) == 0)       // durable from here on
 *
 * Threads: any number; one of them writes at a time, or several read: store_begin waits for readers and the other
 * writer, store_read for the writer. A store outside of a transaction ends the program with a line that says so.
 * Processes: one at a time.
 *
 * Functions that return int give 0, or -1 with errno.
 */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STORE_PAGE 4096ul
#define STORE_ROOTS 16
#define STORE_MAX_OBJECT (8ul << 20) /* bytes of the largest object */

struct store;
typedef uint64_t store_ref; /* offset of an object in the file; 0: none */

/* How the store writes; tests put themselves in between. FILE is 0 for the heap, 1 for its log. As pwrite, fdatasync,
 * ftruncate. */
struct store_io {
    ssize_t (*write)(void *argument, int file, int fd, const void *from, size_t length, off_t at);
    int (*sync)(void *argument, int file, int fd);
    int (*resize)(void *argument, int file, int fd, off_t length);
    void *argument;
};

struct store_options {
    bool must_exist;  /* no file: ENOENT instead of a new store */
    bool no_sync;     /* commits are atomic, and survive the program's death, but the last ones not a power failure */
    size_t reserve;   /* bytes of address space, the most that the heap can grow to; 0: 64 GiB */
    size_t log_limit; /* bytes of log that are brought into the heap file; 0: 8 MiB */
    const struct store_io *io; /* NULL: system calls */
};

/*
 * Opens or makes the store PATH and its log PATH.log, and recovers what a crash left. OPTIONS may be NULL. NULL with
 * errno: EBUSY: another process has it; EINVAL: not a store, or of another version; ENODATA: the log that it needs is
 * missing; errors of open(2), mmap(2).
 */
struct store *store_open(const char *path, const struct store_options *options);

/* Brings everything into the heap file, which is complete without its log then. Not inside a transaction. On an error,
 * too, S is gone. */
int store_close(struct store *s);

/* --- Transactions --- */

void store_begin(struct store *s);

/*
 * All stores since store_begin are durable, or (-1) none was made: EIO, ENOSPC, ENOMEM. After a failed sync it is not
 * known which, and all further commits fail with EIO until the store is opened again.
 */
int store_commit(struct store *s);

/* All stores since store_begin are undone. */
void store_abort(struct store *s);

/* Between them nothing changes. Several threads may read at once. */
void store_read(struct store *s);
void store_read_end(struct store *s);

/* Brings the log into the heap file now. Not inside a transaction. */
int store_checkpoint(struct store *s);

/* --- Objects; the first four inside a transaction --- */

/* SIZE bytes, 16-byte aligned, from 4096 on page aligned; not cleared. 0 with errno: EINVAL: SIZE is 0 or too large;
 * ENOSPC. */
store_ref store_alloc(struct store *s, size_t size);
void store_free(struct store *s, store_ref object);

/* One of STORE_ROOTS references where a program begins. */
void store_set_root(struct store *s, unsigned number, store_ref object);

/* Opens [START, START + LENGTH) for a system call that is to write there; the kernel's own stores are not trapped. */
void store_touch(struct store *s, void *start, size_t length);

store_ref store_root(struct store *s, unsigned number);
size_t store_size(struct store *s, store_ref object); /* room, at least what was asked for */

/* Address of an object until store_close. */
void *store_at(struct store *s, store_ref object);
store_ref store_ref_of(struct store *s, const void *address);

/* --- Looking --- */

struct store_stats {
    uint64_t file_bytes, log_bytes;                /* now */
    uint64_t used_pages, free_pages;               /* of the heap */
    uint64_t commits, syncs, traps;                /* since store_open */
    uint64_t logged_bytes, checkpoints, recovered; /* RECOVERED: transactions that store_open found in the log */
};
void store_stats(struct store *s, struct store_stats *stats);

/* Looks for contradictions in the heap's own books; says the first one in TEXT. -1: there is one. */
int store_check(struct store *s, char *text, size_t room);

#endif
