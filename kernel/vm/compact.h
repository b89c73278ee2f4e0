/* Free memory is brought together, so that there is a block of 512 pages again. */
#ifndef VM_COMPACT_H
#define VM_COMPACT_H

#include "lib/types.h"

/* Empties one block of what can be moved elsewhere. False: there is none like that, or something was in the way.
 * => no locks but a space's for reading; may take as long as a look at all page tables does */
bool compact_memory(void);

#endif
