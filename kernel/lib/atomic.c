/*
 * Atomic operations on bytes and half words, which the compiler calls by name since the instruction set has none:
 * compare-and-swap on the aligned word around them.
 */
#include "lib/atomic.h"

struct part {
    u32 *word;
    unsigned shift;
    u32 mask;
};

static struct part part_of(volatile void *p, unsigned size)
{
    unsigned shift = ((u64)p & 3) * 8;

    return (struct part){(u32 *)((u64)p & ~3ull), shift, (size == 1 ? 0xffu : 0xffffu) << shift};
}

static u32 part_value(struct part p, u32 word) { return (word & p.mask) >> p.shift; }
static u32 with_part(struct part p, u32 word, u32 value) { return (word & ~p.mask) | (value << p.shift & p.mask); }

/* Defines NAME, returning the old value; EXPRESSION of OLD and V is the new one. */
#define DEFINE_ATOMIC(name, type, expression)                                             \
    type sub_word_##name(volatile void *p, type v, int order) __asm__("__atomic_" #name); \
    type sub_word_##name(volatile void *p, type v, int order)                             \
    {                                                                                     \
        struct part part = part_of(p, sizeof(type));                                      \
        u32 word = load_relaxed(part.word), old;                                          \
                                                                                          \
        (void)order;                                                                      \
        do                                                                                \
            old = part_value(part, word);                                                 \
        while (!atomic_cas(part.word, &word, with_part(part, word, (expression))));       \
        return (type)old;                                                                 \
    }

DEFINE_ATOMIC(exchange_1, u8, v)
DEFINE_ATOMIC(exchange_2, u16, v)
DEFINE_ATOMIC(fetch_add_1, u8, old + v)
DEFINE_ATOMIC(fetch_add_2, u16, old + v)
DEFINE_ATOMIC(fetch_sub_1, u8, old - v)
DEFINE_ATOMIC(fetch_sub_2, u16, old - v)
DEFINE_ATOMIC(fetch_or_1, u8, old | v)
DEFINE_ATOMIC(fetch_or_2, u16, old | v)
DEFINE_ATOMIC(fetch_and_1, u8, (old) & (v))
DEFINE_ATOMIC(fetch_and_2, u16, (old) & (v))

#define DEFINE_COMPARE_EXCHANGE(name, type)                                                  \
    bool sub_word_##name(volatile void *p, void *expected, type v, int success,              \
                         int failure) __asm__("__atomic_" #name);                            \
    bool sub_word_##name(volatile void *p, void *expected, type v, int success, int failure) \
    {                                                                                        \
        struct part part = part_of(p, sizeof(type));                                         \
        u32 word = load_relaxed(part.word);                                                  \
                                                                                             \
        (void)success, (void)failure;                                                        \
        while (part_value(part, word) == *(type *)expected)                                  \
            if (atomic_cas(part.word, &word, with_part(part, word, v)))                      \
                return true;                                                                 \
        *(type *)expected = (type)part_value(part, word);                                    \
        return false;                                                                        \
    }

DEFINE_COMPARE_EXCHANGE(compare_exchange_1, u8)
DEFINE_COMPARE_EXCHANGE(compare_exchange_2, u16)
