/*
 * See pool.h. Memory is cut into slabs; each has pieces of one size, a multiple of POOL_GRAIN, its class. A piece's
 * name is its slab's number and its own there. A free piece begins with the number of the next one. Empty slabs may get
 * another class.
 */
#include "pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PER_SLAB 256u /* names: at most so many pieces in a slab */
#define NO_PIECE 0xffff
_Static_assert(POOL_SLAB / POOL_GRAIN <= PER_SLAB, "names");

static size_t class_size(unsigned class) { return (class + 1) * POOL_GRAIN; }

int pool_open(struct pool *pool, size_t bytes)
{
    memset(pool, 0, sizeof(*pool));
    pool->n_slabs = (uint32_t)(bytes / POOL_SLAB);
    if (pool->n_slabs == 0 || bytes / POOL_SLAB > POOL_NONE / PER_SLAB) {
        errno = EINVAL;
        return -1;
    }
    pool->unused = POOL_NONE;
    for (unsigned c = 0; c < POOL_CLASSES; c++)
        pool->partial[c] = POOL_NONE;
    pool->slabs = calloc(pool->n_slabs, sizeof(*pool->slabs));
    pool->memory = mmap(NULL, (size_t)pool->n_slabs * POOL_SLAB, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pool->memory == MAP_FAILED)
        pool->memory = NULL;
    return pool->slabs != NULL && pool->memory != NULL ? 0 : -1;
}

void pool_close(struct pool *pool)
{
    if (pool->memory != NULL)
        munmap(pool->memory, (size_t)pool->n_slabs * POOL_SLAB);
    free(pool->slabs);
}

void *pool_at(const struct pool *pool, uint32_t piece)
{
    uint32_t slab = piece / PER_SLAB;

    return pool->memory + (size_t)slab * POOL_SLAB + piece % PER_SLAB * class_size(pool->slabs[slab].class);
}

static void link_slab(struct pool *pool, uint32_t *list, uint32_t slab)
{
    pool->slabs[slab].next = *list;
    pool->slabs[slab].previous = POOL_NONE;
    if (*list != POOL_NONE)
        pool->slabs[*list].previous = slab;
    *list = slab;
}

static void unlink_slab(struct pool *pool, uint32_t *list, uint32_t slab)
{
    struct pool_slab *s = &pool->slabs[slab];

    if (s->next != POOL_NONE)
        pool->slabs[s->next].previous = s->previous;
    if (s->previous != POOL_NONE)
        pool->slabs[s->previous].next = s->next;
    else
        *list = s->next;
}

static bool is_full(const struct pool_slab *s)
{
    return s->first_free == NO_PIECE && (s->fresh + 1u) * class_size(s->class) > POOL_SLAB;
}

/* An empty slab for CLASS. */
static uint32_t new_slab(struct pool *pool, unsigned class)
{
    uint32_t slab = pool->unused;

    if (slab != POOL_NONE)
        pool->unused = pool->slabs[slab].next;
    else if (pool->touched < pool->n_slabs)
        slab = pool->touched++;
    else
        return POOL_NONE;
    pool->slabs[slab] = (struct pool_slab){.first_free = NO_PIECE, .class = (uint16_t) class};
    link_slab(pool, &pool->partial[class], slab);
    return slab;
}

uint32_t pool_get(struct pool *pool, size_t size)
{
    unsigned class = (unsigned)((size - 1) / POOL_GRAIN);
    uint32_t slab = pool->partial[class], piece;
    struct pool_slab *s;

    if (slab == POOL_NONE)
        slab = new_slab(pool, class);
    if (slab == POOL_NONE)
        return POOL_NONE;
    s = &pool->slabs[slab];
    if (s->first_free != NO_PIECE) {
        piece = slab * PER_SLAB + s->first_free;
        memcpy(&s->first_free, pool_at(pool, piece), sizeof(s->first_free));
    } else {
        piece = slab * PER_SLAB + s->fresh++;
    }
    s->used++;
    if (is_full(s))
        unlink_slab(pool, &pool->partial[class], slab);
    return piece;
}

void pool_put(struct pool *pool, uint32_t piece)
{
    uint32_t slab = piece / PER_SLAB;
    struct pool_slab *s = &pool->slabs[slab];

    if (is_full(s))
        link_slab(pool, &pool->partial[s->class], slab);
    memcpy(pool_at(pool, piece), &s->first_free, sizeof(s->first_free));
    s->first_free = (uint16_t)(piece % PER_SLAB);
    if (--s->used > 0)
        return;
    unlink_slab(pool, &pool->partial[s->class], slab);
    s->next = pool->unused;
    pool->unused = slab;
}
