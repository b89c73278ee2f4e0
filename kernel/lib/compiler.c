/* What the compiler calls for operations that the base instruction set lacks (it would be libgcc's, which is built for
 * another ABI). */
#include "lib/types.h"

u32 __bswapsi2(u32 v);
u64 __bswapdi2(u64 v);
int __ctzdi2(u64 v);
int __clzdi2(u64 v);
int __ffsdi2(u64 v);
int __popcountdi2(u64 v);

u32 __bswapsi2(u32 v) { return v << 24 | (v & 0xff00) << 8 | (v >> 8 & 0xff00) | v >> 24; }

u64 __bswapdi2(u64 v)
{
    v = (v & 0x00ff00ff00ff00ff) << 8 | (v >> 8 & 0x00ff00ff00ff00ff);
    v = (v & 0x0000ffff0000ffff) << 16 | (v >> 16 & 0x0000ffff0000ffff);
    return v << 32 | v >> 32;
}

/* The lowest set bit times a de Bruijn sequence has a different number in its upper 6 bits for each bit (V != 0). */
#define DE_BRUIJN 0x03f79d71b4cb0a89

int __ctzdi2(u64 v)
{
    static const u8 position[64] = {
        0,  1,  48, 2,  57, 49, 28, 3,  61, 58, 50, 42, 38, 29, 17, 4,  62, 55, 59, 36, 53, 51,
        43, 22, 45, 39, 33, 30, 24, 18, 12, 5,  63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21,
        44, 32, 23, 11, 46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19, 9,  13, 8,  7,  6,
    };

    return position[(v & -v) * DE_BRUIJN >> 58];
}

int __clzdi2(u64 v)
{
    int n = 0;

    for (unsigned step = 32; step > 0; step /= 2) {
        if (v >> (64 - step) == 0) {
            n += (int)step;
            v <<= step;
        }
    }
    return n;
}

int __ffsdi2(u64 v) { return v == 0 ? 0 : __ctzdi2(v) + 1; }

int __popcountdi2(u64 v)
{
    v -= v >> 1 & 0x5555555555555555;
    v = (v & 0x3333333333333333) + (v >> 2 & 0x3333333333333333);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (int)(v * 0x0101010101010101 >> 56);
}
