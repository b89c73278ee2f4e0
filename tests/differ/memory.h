/* The arena in which calls on memory work; see memory.c. */
#ifndef TESTS_DIFFER_MEMORY_H
#define TESTS_DIFFER_MEMORY_H

#define ARENA 0x2000000000ul
#define ARENA_PAGES 48u
#define PAGE 4096ul

long address(void);
long length(void);
void tell_where(long result);        /* an address, or -1 */
int byte_at(const void *page);       /* -1: cannot be read */
int store_at(void *page, char byte); /* 0: cannot be written */
void make_arena(void);
void forget_arena(void);
void detach_segments(void); /* there are none from now on */
void tell_arena(void);

#endif
