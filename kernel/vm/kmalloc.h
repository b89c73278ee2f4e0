/* Kernel memory: size classes from 16 bytes to 4 KiB in slabs, larger ones in whole pages. NULL when there is none. */
#ifndef VM_KMALLOC_H
#define VM_KMALLOC_H

#include "lib/types.h"

void *kmalloc(size_t size);        /* may sleep to reclaim */
void *kzalloc(size_t size);        /* zeroed */
void *kmalloc_nowait(size_t size); /* under spinlocks and in interrupts */
void kfree(void *p);               /* NULL is fine */
char *kstrndup(const char *s, size_t n);
u64 kmalloc_pages(void); /* pages in use by all of the above */

#endif
