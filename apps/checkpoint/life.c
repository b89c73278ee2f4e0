/* See life.h. 64 cells are counted at once, with adders of bits. */
#include "life.h"

#define HEAD 4096ul /* bytes before the rows: the pages of the rows are theirs alone */

size_t life_bytes(uint64_t size) { return HEAD + 2 * size * (size / 8); }

void life_begin(struct life *life, uint64_t size, uint64_t seed)
{
    uint64_t words = size / 64, state = seed * 2 + 1;

    life->size = size;
    life->now = (uint64_t *)((char *)life + HEAD);
    life->next = life->now + size * words;
    for (uint64_t row = size / 4; row < size / 2; row++)
        for (uint64_t i = words / 4; i < words / 2 + 1 && i < words; i++) {
            state = state * 6364136223846793005ull + 1442695040888963407ull;
            life->now[row * words + i] = state ^ state >> 29;
        }
}

/* Adds the bits of A to the counts ONES, TWOS, FOURS; at four and more a count stays there. */
static inline void count(uint64_t a, uint64_t *ones, uint64_t *twos, uint64_t *fours)
{
    uint64_t carry = *ones & a;

    *ones ^= a;
    *fours |= *twos & carry;
    *twos ^= carry;
}

/* The word I of a row, its left and its right neighbour cells. */
struct three {
    uint64_t left, here, right;
};

static inline struct three look(const uint64_t *row, uint64_t i, uint64_t words)
{
    uint64_t before = row[i == 0 ? words - 1 : i - 1], here = row[i], after = row[i + 1 == words ? 0 : i + 1];

    return (struct three){here << 1 | before >> 63, here, here >> 1 | after << 63};
}

void life_rows(const struct life *life, uint64_t from, uint64_t to)
{
    uint64_t words = life->size / 64;

    for (uint64_t row = from; row < to; row++) {
        const uint64_t *above = life->now + (row == 0 ? life->size - 1 : row - 1) * words,
                       *here = life->now + row * words;
        const uint64_t *below = life->now + (row + 1 == life->size ? 0 : row + 1) * words;
        uint64_t *next = life->next + row * words;

        for (uint64_t i = 0; i < words; i++) {
            struct three a = look(above, i, words), h = look(here, i, words), b = look(below, i, words);
            uint64_t ones = 0, twos = 0, fours = 0, alive;

            count(a.left, &ones, &twos, &fours);
            count(a.here, &ones, &twos, &fours);
            count(a.right, &ones, &twos, &fours);
            count(h.left, &ones, &twos, &fours);
            count(h.right, &ones, &twos, &fours);
            count(b.left, &ones, &twos, &fours);
            count(b.here, &ones, &twos, &fours);
            count(b.right, &ones, &twos, &fours);
            alive = twos & ~fours & (ones | h.here);
            if (next[i] != alive)
                next[i] = alive;
        }
    }
}

void life_turn(struct life *life)
{
    uint64_t *now = life->now;

    life->now = life->next;
    life->next = now;
    life->generation++;
}

uint64_t life_hash(const struct life *life)
{
    uint64_t sum = life->generation, words = life->size * (life->size / 64);

    for (uint64_t i = 0; i < words; i++) {
        sum = (sum ^ life->now[i]) * 0x9e3779b97f4a7c15ull;
        sum ^= sum >> 29;
    }
    return sum;
}
