/* The LZ4 library, from its source package in Debian (build/src/lz4, as the kernel's lib/lz4.c), of which two functions
 * are used. */
#define LZ4_MEMORY_USAGE 12 /* a table of 4 KiB: enough for a page, and soon cleared */
#define LZ4LIB_VISIBILITY static __attribute__((unused))
#ifdef __riscv
/* Words are loaded and stored where they are: bytes one by one, as the compiler would have it, take several times as
 * long. */
#define LZ4_FORCE_MEMORY_ACCESS 2
#define LZ4_memcpy(to, from, size) \
    (__builtin_constant_p(size) && (size) <= 32 ? copy_few(to, from, size) : (void)memcpy(to, from, size))
#define LZ4_FORCE_SW_BITCOUNT /* without Zbb, the compiler calls a function to count zeros */

#include <stdint.h>
#include <string.h>

typedef uint64_t __attribute__((may_alias)) any_u64;
typedef uint32_t __attribute__((may_alias)) any_u32;
typedef uint16_t __attribute__((may_alias)) any_u16;

static inline __attribute__((always_inline)) void copy_few(void *to, const void *from, size_t size)
{
    size_t at = 0;

    for (; at + 8 <= size; at += 8)
        *(any_u64 *)((char *)to + at) = *(const any_u64 *)((const char *)from + at);
    for (; at + 4 <= size; at += 4)
        *(any_u32 *)((char *)to + at) = *(const any_u32 *)((const char *)from + at);
    for (; at + 2 <= size; at += 2)
        *(any_u16 *)((char *)to + at) = *(const any_u16 *)((const char *)from + at);
    for (; at < size; at++)
        ((char *)to)[at] = ((const char *)from)[at];
}
#endif
#include <lz4.c>

#include "lz4_page.h"

_Static_assert(sizeof(LZ4_stream_t) <= LZ4_WORK, "room for the library's state");

size_t lz4_page_compress(void *to, size_t room, const void *page, void *work)
{
    return (size_t)LZ4_compress_fast_extState(work, page, to, LZ4_PAGE, (int)room, 1);
}

int lz4_page_decompress(void *page, const void *from, size_t size)
{
    return LZ4_decompress_safe(from, page, (int)size, LZ4_PAGE) == LZ4_PAGE ? 0 : -1;
}
