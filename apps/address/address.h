/*
 * address.h - pointers into a store that is larger than the address space.
 *
 * Objects have 64-bit names, and refer to each other by them on the disk. The program sees a window of a few pages, in
 * which the same words are ordinary pointers: a page that is touched for the first time is read, and each name in it
 * becomes the address of a page of the window that is kept for the page named; that one is read when it is touched.
 *
 *     struct address *a = address_open("folder", 256);
 *     address_begin(a);
 *     struct node *n = address_new(a, sizeof(*n), 1 << 0);      // word 0 is a pointer
 *     n->next = address_root(a);                                // ordinary loads and stores
 *     address_set_root(a, n);
 *     address_end(a);
 *
 * Pointers into the window hold from address_begin to address_end; what is kept longer is kept as a name. One
 * operation, that is what lies between them, can reach half as many pages as the window has; pointers on pages that
 * were read count.
 *
 * Threads may have operations at the same time; who changes what is between them is theirs to settle.
 * Functions that return int give 0, or -1 with errno.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_LARGEST 4032      /* bytes of an object */
#define ADDRESS_ALL (~0ull)       /* all words of an object are pointers */
#define ADDRESS_LEAST_WINDOW 16ul /* pages */

struct address;
typedef uint64_t address_name; /* 0: none */

struct address_stats {
    uint64_t traps, reads, writes, swizzled; /* pages, pages, pages, words */
    uint64_t sweeps;                         /* times that the window was made half empty */
    uint64_t pages;                          /* that the store has */
};

/*
 * The store in FOLDER, which is made if need be, through a window of WINDOW pages. NULL with errno: EINVAL: WINDOW is
 * less than ADDRESS_LEAST_WINDOW, or FOLDER has something else; EBUSY: another process has it; errors of mkdir(2),
 * open(2), mmap(2).
 */
struct address *address_open(const char *folder, size_t window);

/* Writes what changed. All is on the disk after it; a crash before may leave a part (apps/store is for those who cannot
 * have that). */
int address_close(struct address *a);

/* Around all use of pointers. A thread's operations do not nest. -1: no space, or the disk failed; the operation has
 * not begun. */
int address_begin(struct address *a);
void address_end(struct address *a);

/* --- In an operation --- */

/*
 * SIZE bytes, zero, aligned to 8. Bit N of POINTERS: word N is a pointer, NULL or into the window; it may be so for the
 * first 64 words, or for all with ADDRESS_ALL. NULL with errno: EINVAL: SIZE; ENOSPC: the operation needs more pages
 * than the window has.
 */
void *address_new(struct address *a, size_t size, uint64_t pointers);

void *address_root(struct address *a);
void address_set_root(struct address *a, const void *object);

address_name address_name_of(struct address *a, const void *object);
void *address_at(struct address *a, address_name name);

void address_stats(struct address *a, struct address_stats *stats);

#endif
