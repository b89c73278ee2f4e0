/* Boot order of vm/, and counters of live things for /proc/quire. */
#ifndef VM_VM_H
#define VM_VM_H

#include "lib/types.h"

void vm_init(void);      /* after page_init, on the boot hart's first page table */
void reclaim_init(void); /* once threads can be started */

u64 vma_count(void);
u64 space_count(void);
u64 pt_count(void); /* page-table pages */

#endif
