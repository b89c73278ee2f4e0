/*
 * The LZ4 library, compiled into the kernel from its source package in Debian, which tools/packages.sh fetches into
 * build/src/lz4: its one file is included below, told to do without a C library. A table of 4 KiB is enough to find
 * repetitions in a page, and quickly cleared.
 *
 * Misaligned words are loaded and stored as they are: this hart can, or its firmware makes it look so.
 */
#define LZ4_FREESTANDING 1
#define LZ4_MEMORY_USAGE 12
#define LZ4_FORCE_MEMORY_ACCESS 1 /* packed structures: the compiler knows what is misaligned */
#define LZ4_memcpy __builtin_memcpy
#define LZ4_memmove __builtin_memmove
#define LZ4_memset __builtin_memset
#define LZ4LIB_VISIBILITY static __attribute__((unused))
#define LZ4_STATIC_LINKING_ONLY_DISABLE_MEMORY_ALLOCATION
#define _LIBC_LIMITS_H_ /* the compiler's limits.h is enough, there is no system's */

#include "lib/lz4.h"

#include <lz4.c>

static_assert(sizeof(LZ4_stream_t) <= LZ4_WORK_SIZE, "room for the library's state");

size_t lz4_compress(void *dst, size_t room, const void *src, size_t n, void *work)
{
    return (size_t)LZ4_compress_fast_extState(work, src, dst, (int)n, (int)room, 1);
}

bool lz4_decompress(void *dst, size_t n, const void *src, size_t size)
{
    return LZ4_decompress_safe(src, dst, (int)size, (int)n) == (int)n;
}
