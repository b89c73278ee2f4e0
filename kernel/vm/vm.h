/* Boot order of vm/, and counters of live things for /proc/quire. */
#ifndef VM_VM_H
#define VM_VM_H

#include "lib/types.h"

void vm_init(void);      /* after page_init, on the boot hart's first page table */
void reclaim_init(void); /* once threads can be started */

/* HANDLER, called with no locks held when a user page cannot be had even after reclaim, makes some process give memory
 * back, perhaps the current one; the fault is tried again then. */
void vm_set_out_of_memory(void (*handler)(void));

u64 vma_count(void);
u64 space_count(void);
u64 pt_count(void); /* page-table pages */

#endif
