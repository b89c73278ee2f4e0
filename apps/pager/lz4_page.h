/* Pages to and from LZ4's block format. */
#ifndef LZ4_PAGE_H
#define LZ4_PAGE_H

#include <stddef.h>

#define LZ4_PAGE 4096
#define LZ4_WORK 4224 /* bytes that a compression needs beside source and result, aligned to 8 */

/* Bytes at TO that PAGE became, at most ROOM; 0: they are more. */
size_t lz4_page_compress(void *to, size_t room, const void *page, void *work);

/* -1: FROM is damaged. */
int lz4_page_decompress(void *page, const void *from, size_t size);

#endif
