/* Two computations on much memory, each of which knows its result. */
#ifndef WORK_H
#define WORK_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that a size needs, and the largest size that BYTES are enough for. */
size_t matrix_size(size_t bytes);                 /* rows and columns of each of three matrices of doubles */
size_t sort_size(size_t bytes, unsigned threads); /* numbers of 8 bytes; several threads need as much again to merge */

/* C = A * B, by blocks; THREADS share the rows. 0: what was looked at of C is right. */
int matrix_work(void *memory, size_t n, unsigned threads);

/* Makes N numbers, sorts them; THREADS sort parts, which are then merged. 0: they are in order, and the same numbers.
 */
int sort_work(void *memory, size_t n, unsigned threads);

/* Called when a thread of the computation begins and ends. */
extern int (*work_thread_enter)(void);
extern void (*work_thread_leave)(void);

#endif
