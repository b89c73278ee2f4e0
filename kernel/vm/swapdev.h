/*
 * Swap devices: disks and files that take pages. Who turns one on (sys/swap.c) has checked it and tells where its pages
 * are on a disk; from then on its file system is not asked any more.
 *
 * A block names a page on a device: the device's number plus one in the upper 16 bits, the page below; 0 is none.
 */
#ifndef VM_SWAPDEV_H
#define VM_SWAPDEV_H

#include "lib/types.h"

struct page;
struct file;
struct block_device;

/* ---- for vm/swap.c ---- */

/* Up to N blocks in a row of the device that is to be filled next: how many, the first in *BLOCK. */
unsigned swapdev_alloc(unsigned n, u64 *block);
void swapdev_free(u64 block);
/* BLOCK has SLOT's bytes; and which slot's it had last, 0 if that is not known. => eviction; BLOCK in use */
void swapdev_note(u64 block, u64 slot);
u64 swapdev_slot(u64 block);
/* Cuts [*FIRST, *FIRST + *N), the aligned group of *N blocks (a power of two) around BLOCK, to the device's size. */
void swapdev_group(u64 block, u64 *first, unsigned *n);
bool swapdev_has_room(void);
/* There is room, and the store has more than a quarter of memory, so what is old in it goes to a device; or even more,
 * so that new pages do at once. */
bool swap_store_is_large(void);
bool swap_prefers_device(void);
/* Writes PAGES[0..n) to blocks from BLOCK on, reads them. 0, -EIO. Sleep. */
int swapdev_write(u64 block, struct page **pages, unsigned n);
int swapdev_read(u64 block, struct page **pages, unsigned n);
void swapdev_stats(u64 *total, u64 *free); /* pages */
static inline unsigned swapdev_of(u64 block) { return (unsigned)(block >> 48) - 1; }

/* ---- turning on and off ---- */

#define MAX_SWAP_DEVICES 32

/* Pages [first, first + n) of the device are on the disk from SECTOR on. */
struct swap_extent {
    u64 first, n, sector;
};

struct swap_area {
    struct file *file; /* what swapon named, referenced */
    struct block_device *disk;
    struct swap_extent *extents; /* by page, kmalloc'ed */
    unsigned n_extents;
    u64 pages; /* page 0, the header, included */
    int priority;
    u64 used; /* out: of swapdev_get */
    bool is_file;
};

/* Takes over AREA's file and extents when it succeeds. HAS_PRIORITY: else one is chosen, lower than all before. BAD:
 * pages that are not to be used. 0, -EPERM (too many devices), -ENOMEM. */
int swapdev_add(struct swap_area *area, bool has_priority, const u32 *bad, unsigned n_bad, u64 *usable);
/* Device I, its file with a reference; false: there is none. */
bool swapdev_get(unsigned i, struct swap_area *area);
/* Brings everything on device I back; then it is gone, and its file is the caller's. -ENOMEM, -EINTR: it stays on. */
int swapdev_remove(unsigned i, struct file **file);
/* Memory has run out: a swapoff that is under way ends with -ENOMEM. Whether there is one. */
bool swapdev_end_removal(void);
/* Whether DISK as a whole is a swap device. */
bool swapdev_is(const struct block_device *disk);

#endif
