/* A cellular automaton, Conway's, on a torus of SIZE times SIZE cells, a bit each: the long computation of
 * `checkpoint`. */
#ifndef LIFE_H
#define LIFE_H

#include <stddef.h>
#include <stdint.h>

/* All that there is of it; lies in the memory that is saved, pointers included. */
struct life {
    uint64_t size; /* cells of a row, a multiple of 64 */
    uint64_t generation;
    uint64_t *now, *next; /* rows of SIZE / 64 words */
};

/* Bytes that a world of SIZE needs. */
size_t life_bytes(uint64_t size);

/* Makes a world at MEMORY, which is zero, with cells chosen by SEED in a part of it. */
void life_begin(struct life *life, uint64_t size, uint64_t seed);

/* The next generation of rows FROM to before TO. Words that do not change are not stored to. */
void life_rows(const struct life *life, uint64_t from, uint64_t to);

/* All rows are done: the next generation is the present one. */
void life_turn(struct life *life);

/* A number that stands for all cells. */
uint64_t life_hash(const struct life *life);

#endif
