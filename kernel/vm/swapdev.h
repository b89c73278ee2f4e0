/* Swap devices: disks and files that take pages. Inside vm/, but for the system calls. */
#ifndef VM_SWAPDEV_H
#define VM_SWAPDEV_H

#include "lib/types.h"

struct page;
struct file;
struct block_device;

/* A block: the device in the upper 16 bits (from 1 on), the page on it below; 0 is none. */

/* Up to N blocks in a row of the device that is to be filled next: how many, the first in *BLOCK. */
unsigned swapdev_alloc(unsigned n, u64 *block);
void swapdev_free(u64 block);
bool swapdev_has_room(void);
/* The store has its share of memory already: what is evicted now had better go to a device. */
bool swap_prefers_device(void);
void swapdev_stats(u64 *total, u64 *free); /* pages */
/* Writes PAGES[0..n) to blocks from BLOCK on, reads one. 0, -EIO. Sleep. */
int swapdev_write(u64 block, struct page **pages, unsigned n);
int swapdev_read(u64 block, struct page *page);

#endif
