/* Faults in the mutators' view of the heap. */
#ifndef GC_TRAP_H
#define GC_TRAP_H

#include <stddef.h>

/*
 * From now on a mutator that touches a closed page runs MAKE_READY(page), in its fault handler; then the page is opened
 * to it and the access tried again. Returns 0 or -1 with errno.
 */
int trap_open(void (*make_ready)(size_t page));

#endif
