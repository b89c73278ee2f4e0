/*
 * Small pieces of memory of up to POOL_LARGEST bytes out of a fixed amount, for use in handlers: no malloc, no locks of
 * its own; the caller has one.
 */
#ifndef POOL_H
#define POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_SLAB 16384u
#define POOL_GRAIN 64u
#define POOL_LARGEST 3264u /* five in a slab: what is larger would save nothing */
#define POOL_CLASSES (POOL_LARGEST / POOL_GRAIN)
#define POOL_NONE UINT32_MAX

struct pool_slab {
    uint32_t next, previous; /* among its class's slabs with room; unused ones by next */
    uint16_t used, first_free, class, fresh;
};

struct pool {
    char *memory;
    struct pool_slab *slabs;
    uint32_t n_slabs, unused, touched; /* UNUSED: list of empty ones; from TOUCHED on none was ever used */
    uint32_t partial[POOL_CLASSES];
};

int pool_open(struct pool *pool, size_t bytes);
void pool_close(struct pool *pool);

/* A piece of SIZE bytes; POOL_NONE: there is no room. */
uint32_t pool_get(struct pool *pool, size_t size);
void pool_put(struct pool *pool, uint32_t piece);
void *pool_at(const struct pool *pool, uint32_t piece);

#endif
