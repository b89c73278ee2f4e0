/*
 * malloc and free: a list of free blocks in the order of their addresses; the first that is large enough is taken, and
 * neighbours become one when they are freed. More comes from sbrk, and is never given back.
 *
 *     | size | next |  what the caller gets ...
 */
#include "user/user.h"

#define UNIT 16 /* also the header's size */
#define LEAST_GROWTH (64 * 1024)

struct block {
    uint64 size;        /* with the header */
    struct block *next; /* when free */
};

_Static_assert(sizeof(struct block) == UNIT, "a header is one unit");

static struct block *free_list;

static int touches(struct block *lower, struct block *upper) { return (char *)lower + lower->size == (char *)upper; }

static void give_back(struct block *block)
{
    struct block *before = 0, *after = free_list;

    for (; after && after < block; after = after->next)
        before = after;
    block->next = after;
    if (after && touches(block, after)) {
        block->size += after->size;
        block->next = after->next;
    }
    if (before && touches(before, block)) {
        before->size += block->size;
        before->next = block->next;
    } else if (before) {
        before->next = block;
    } else {
        free_list = block;
    }
}

static int grow(uint64 size)
{
    uint64 wanted = size > LEAST_GROWTH ? size : LEAST_GROWTH;
    struct block *block;

    if (wanted > 0x7fffffff)
        return -1;
    block = (struct block *)sbrk((int)wanted);
    if (block == (struct block *)SBRK_ERROR)
        return -1;
    block->size = wanted;
    give_back(block);
    return 0;
}

/* Takes SIZE off the end of the first block that has it; 0 when there is none. */
static struct block *take(uint64 size)
{
    for (struct block **link = &free_list; *link; link = &(*link)->next) {
        struct block *block = *link;

        if (block->size == size) {
            *link = block->next;
            return block;
        }
        if (block->size >= size + UNIT) {
            block->size -= size;
            block = (struct block *)((char *)block + block->size);
            block->size = size;
            return block;
        }
    }
    return 0;
}

void *malloc(uint bytes)
{
    uint64 size = ((uint64)bytes + UNIT - 1) / UNIT * UNIT + UNIT;
    struct block *block = take(size);

    if (!block && grow(size) == 0)
        block = take(size);
    return block ? block + 1 : 0;
}

void free(void *at)
{
    if (at)
        give_back((struct block *)at - 1);
}
