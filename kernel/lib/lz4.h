/* LZ4 block compression, by its authors' library: lib/lz4.c says how it gets here. */
#ifndef LIB_LZ4_H
#define LIB_LZ4_H

#include "lib/types.h"

#define LZ4_WORK_SIZE 4224 /* what a compression needs beside source and result */

/* N bytes of SRC into at most ROOM bytes at DST: how many, or 0 when they do not fit. WORK, 8-byte aligned, is for one
 * call at a time. */
size_t lz4_compress(void *dst, size_t room, const void *src, size_t n, void *work);
/* The N bytes that SIZE bytes at SRC were made from; false when these are damaged. */
bool lz4_decompress(void *dst, size_t n, const void *src, size_t size);

#endif
