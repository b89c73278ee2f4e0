/*
 * The hashes of names by which directories are indexed: half of MD4 (its rounds on 8 words instead of 16: RFC 1320),
 * TEA (Wheeler and Needham) as a hash function, and the oldest, a multiplicative one. Each comes in two variants, for
 * names whose bytes count as signed or unsigned.
 */
#include "fs/ext3/ext3.h"

static u32 rotate_left(u32 x, unsigned n) { return x << n | x >> (32 - n); }

static u32 byte_of(const char *name, unsigned i, bool is_unsigned)
{
    return is_unsigned ? (u32)(u8)name[i] : (u32)(s32)(s8)name[i];
}

/* N words of the LENGTH bytes of NAME, four bytes to a word; what is missing is filled with a pattern made of the
 * length. */
static void pack_words(const char *name, unsigned length, bool is_unsigned, u32 *words, unsigned n)
{
    u32 fill = length | length << 8;

    fill |= fill << 16;
    for (unsigned w = 0; w < n; w++) {
        u32 word = fill;

        for (unsigned i = 4 * w; i < 4 * w + 4 && i < length; i++)
            word = (word << 8) + byte_of(name, i, is_unsigned);
        words[w] = word;
    }
}

static u32 choose(u32 x, u32 y, u32 z) { return (x & y) | (~x & z); }
static u32 majority(u32 x, u32 y, u32 z) { return (x & y) | (x & z) | (y & z); }
static u32 parity(u32 x, u32 y, u32 z) { return x ^ y ^ z; }

static void half_md4(u32 state[4], const u32 in[8])
{
    static const struct {
        u32 (*mix)(u32, u32, u32);
        u32 constant;
        u8 shifts[4], order[8];
    } rounds[3] = {
        {choose, 0, {3, 7, 11, 19}, {0, 1, 2, 3, 4, 5, 6, 7}},
        {majority, 0x5A827999, {3, 5, 9, 13}, {1, 3, 5, 7, 0, 2, 4, 6}},
        {parity, 0x6ED9EBA1, {3, 9, 11, 15}, {3, 7, 2, 6, 1, 5, 0, 4}},
    };
    u32 a = state[0], b = state[1], c = state[2], d = state[3];

    for (unsigned r = 0; r < 3; r++) {
        for (unsigned step = 0; step < 8; step++) {
            u32 mixed = rotate_left(a + rounds[r].mix(b, c, d) + in[rounds[r].order[step]] + rounds[r].constant,
                                    rounds[r].shifts[step % 4]);

            a = d;
            d = c;
            c = b;
            b = mixed;
        }
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

static void tea(u32 state[4], const u32 in[4])
{
    u32 x = state[0], y = state[1], sum = 0;

    for (unsigned round = 0; round < 16; round++) {
        sum += 0x9E3779B9;
        x += ((y << 4) + in[0]) ^ (y + sum) ^ ((y >> 5) + in[1]);
        y += ((x << 4) + in[2]) ^ (x + sum) ^ ((x >> 5) + in[3]);
    }
    state[0] += x;
    state[1] += y;
}

static u32 legacy(const char *name, unsigned length, bool is_unsigned)
{
    u32 hash = 0x12a3fe2d, previous = 0x37abe8f9;

    for (unsigned i = 0; i < length; i++) {
        u32 next = previous + (hash ^ byte_of(name, i, is_unsigned) * 7152373);

        if (next & 0x80000000)
            next -= 0x7fffffff;
        previous = hash;
        hash = next;
    }
    return hash << 1;
}

/* Mixes NAME into STATE, N words at a time. */
static void absorb(u32 state[4], void (*mix)(u32 *, const u32 *), unsigned n, const char *name, unsigned length,
                   bool is_unsigned)
{
    u32 words[8];

    while (length > 0) {
        unsigned taken = MIN(length, 4 * n);

        pack_words(name, length, is_unsigned, words, n);
        mix(state, words);
        name += taken;
        length -= taken;
    }
}

bool ext3_hash(unsigned version, const u32 seed[4], const char *name, unsigned length, u32 *hash)
{
    u32 state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    bool is_unsigned = version >= EXT3_HASH_LEGACY_UNSIGNED;

    if ((seed[0] | seed[1] | seed[2] | seed[3]) != 0)
        memcpy(state, seed, sizeof(state));
    switch (version) {
    case EXT3_HASH_LEGACY:
    case EXT3_HASH_LEGACY_UNSIGNED:
        *hash = legacy(name, length, is_unsigned);
        break;
    case EXT3_HASH_HALF_MD4:
    case EXT3_HASH_HALF_MD4_UNSIGNED:
        absorb(state, half_md4, 8, name, length, is_unsigned);
        *hash = state[1];
        break;
    case EXT3_HASH_TEA:
    case EXT3_HASH_TEA_UNSIGNED:
        absorb(state, tea, 4, name, length, is_unsigned);
        *hash = state[0];
        break;
    default:
        return false;
    }
    *hash &= ~1u;
    if (*hash == EXT3_HASH_EOF)
        *hash -= 2;
    return true;
}
