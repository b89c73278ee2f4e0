/*
 * Who has which part of the heap file. All of it is in the heap itself, so transactions undo and redo it like anything
 * else.
 *
 *     page 0   super block (internal.h)
 *     page 1   struct heap: roots, lists
 *     page 2   map of group 0;   page 4096 * n: map of group n
 *
 * A group is 4096 pages (16 MiB); its map has a byte for each. Blocks of 2^order pages, 0 to 11, are handed out by the
 * buddy system: a block lies at a multiple of its size, and is merged with its neighbour, the number with bit `order`
 * flipped, when both are free.
 *
 * Objects up to 2032 bytes share pages: a page of one class has `struct slab` and then equal objects. A class lists its
 * pages that have room. A page without objects goes back to the buddies. Larger objects are blocks.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define ORDERS 12
#define GROUP_PAGES 4096ul
#define HEAP_PAGE 1

static const uint16_t classes[] = {16,  32,  48,  64,  80,  96,  112, 128,  160,  192, 224,
                                   256, 320, 384, 448, 576, 672, 800, 1008, 1344, 2032};
#define CLASSES (sizeof(classes) / sizeof(classes[0]))
#define LARGEST_CLASS 2032

/* A byte of the map: of a block's first page what it is, of its others 0. */
enum { INNER = 0, SLAB = 1, BLOCK = 0x40, FREE = 0x80, RESERVED = 0xff };
static bool is_free_block(uint8_t kind) { return kind >= FREE && kind < FREE + ORDERS; }
static bool is_block(uint8_t kind) { return kind >= BLOCK && kind < BLOCK + ORDERS; }
static bool is_slab(uint8_t kind) { return kind >= SLAB && kind < SLAB + CLASSES; }

struct heap {
    uint64_t groups;
    uint64_t free_pages;
    store_ref roots[STORE_ROOTS];
    store_ref free[ORDERS]; /* lists of struct link */
    store_ref partial[32];  /* lists of struct slab */
};

/* At the beginning of a free block. */
struct link {
    store_ref next, previous;
};

struct slab {
    store_ref next, previous; /* among the class's pages with room */
    uint16_t used;            /* objects */
    uint16_t fresh;           /* bytes of the page that were ever handed out */
    uint16_t free;            /* first of those that came back, chained by their first two bytes; 0: none */
    uint16_t unused[5];
};
_Static_assert(sizeof(struct slab) == 32, "objects begin here");

static struct heap *heap_of(const struct store *s) { return (struct heap *)(s->base + HEAP_PAGE * STORE_PAGE); }
static void *page_at(const struct store *s, uint64_t page) { return s->base + page * STORE_PAGE; }

void *store_at(struct store *s, store_ref object) { return object == 0 ? NULL : s->base + object; }

store_ref store_ref_of(struct store *s, const void *address)
{
    return address == NULL ? 0 : (store_ref)((const char *)address - s->base);
}

static uint8_t *map_of(const struct store *s, uint64_t page)
{
    uint64_t group = page / GROUP_PAGES;

    return (uint8_t *)page_at(s, group == 0 ? 2 : group * GROUP_PAGES) + page % GROUP_PAGES;
}

/* --- Lists --- */

static void push(struct store *s, store_ref *list, store_ref at)
{
    struct link *l = store_at(s, at), *next = store_at(s, *list);

    l->next = *list;
    l->previous = 0;
    if (next != NULL)
        next->previous = at;
    *list = at;
}

static void take_out(struct store *s, store_ref *list, store_ref at)
{
    struct link *l = store_at(s, at), *next = store_at(s, l->next), *previous = store_at(s, l->previous);

    if (next != NULL)
        next->previous = l->previous;
    if (previous != NULL)
        previous->next = l->next;
    else
        *list = l->next;
}

/* --- Blocks --- */

static void put_block(struct store *s, uint64_t page, unsigned order)
{
    *map_of(s, page) = (uint8_t)(FREE + order);
    push(s, &heap_of(s)->free[order], page * STORE_PAGE);
}

/* The heap has one group more. Its pages 0 (or 0 to 2) are reserved, the others are the largest blocks that fit. */
static int add_group(struct store *s)
{
    struct heap *heap = heap_of(s);
    uint64_t first = heap->groups * GROUP_PAGES, at = heap->groups == 0 ? 3 : first + 1;

    if (store_grow(s, first + GROUP_PAGES) < 0)
        return -1;
    for (uint64_t page = first; page < at; page++)
        *map_of(s, page) = RESERVED;
    heap->groups++;
    heap->free_pages += first + GROUP_PAGES - at;
    while (at < first + GROUP_PAGES) {
        unsigned order = (unsigned)__builtin_ctzll(at);

        put_block(s, at, order);
        at += 1ull << order;
    }
    return 0;
}

/* The number of a block of 2^ORDER pages; 0: there is none. */
static uint64_t take_block(struct store *s, unsigned order)
{
    struct heap *heap = heap_of(s);
    unsigned from = order;
    uint64_t page;

    while (from < ORDERS && heap->free[from] == 0)
        from++;
    if (from == ORDERS) {
        if (add_group(s) < 0)
            return 0;
        return take_block(s, order);
    }
    page = heap->free[from] / STORE_PAGE;
    take_out(s, &heap->free[from], page * STORE_PAGE);
    while (from > order) {
        from--;
        put_block(s, page + (1ull << from), from);
    }
    *map_of(s, page) = (uint8_t)(BLOCK + order);
    heap->free_pages -= 1ull << order;
    return page;
}

static void give_block(struct store *s, uint64_t page, unsigned order)
{
    struct heap *heap = heap_of(s);

    heap->free_pages += 1ull << order;
    while (order + 1 < ORDERS) {
        uint64_t buddy = page ^ (1ull << order);

        if (*map_of(s, buddy) != FREE + order)
            break;
        take_out(s, &heap->free[order], buddy * STORE_PAGE);
        *map_of(s, page) = *map_of(s, buddy) = INNER;
        page &= ~(1ull << order);
        order++;
    }
    put_block(s, page, order);
}

/* --- Small objects --- */

static unsigned class_of(size_t size)
{
    unsigned c = 0;

    while (classes[c] < size)
        c++;
    return c;
}

static bool has_room(const struct slab *slab, unsigned c)
{
    return slab->free != 0 || slab->fresh + classes[c] <= STORE_PAGE;
}

static store_ref new_slab(struct store *s, unsigned c)
{
    uint64_t page = take_block(s, 0);
    struct slab *slab;

    if (page == 0)
        return 0;
    *map_of(s, page) = (uint8_t)(SLAB + c);
    slab = page_at(s, page);
    memset(slab, 0, sizeof(*slab));
    slab->fresh = sizeof(*slab);
    push(s, &heap_of(s)->partial[c], page * STORE_PAGE);
    return page * STORE_PAGE;
}

static store_ref alloc_small(struct store *s, size_t size)
{
    unsigned c = class_of(size);
    store_ref at = heap_of(s)->partial[c];
    struct slab *slab;
    uint16_t offset;

    if (at == 0 && (at = new_slab(s, c)) == 0)
        return 0;
    slab = store_at(s, at);
    offset = slab->free;
    if (offset != 0) {
        memcpy(&slab->free, (char *)slab + offset, sizeof(slab->free));
    } else {
        offset = slab->fresh;
        slab->fresh = (uint16_t)(slab->fresh + classes[c]);
    }
    slab->used++;
    if (!has_room(slab, c))
        take_out(s, &heap_of(s)->partial[c], at);
    return at + offset;
}

static void free_small(struct store *s, store_ref object, unsigned c)
{
    store_ref at = object / STORE_PAGE * STORE_PAGE;
    struct slab *slab = store_at(s, at);
    bool was_full = !has_room(slab, c);

    memcpy((char *)store_at(s, object), &slab->free, sizeof(slab->free));
    slab->free = (uint16_t)(object % STORE_PAGE);
    slab->used--;
    if (was_full)
        push(s, &heap_of(s)->partial[c], at);
    if (slab->used == 0) {
        take_out(s, &heap_of(s)->partial[c], at);
        give_block(s, at / STORE_PAGE, 0);
    }
}

/* --- Objects --- */

static unsigned order_of(size_t size)
{
    unsigned order = 0;

    while (STORE_PAGE << order < size)
        order++;
    return order;
}

store_ref store_alloc(struct store *s, size_t size)
{
    store_ref object;

    if (size == 0 || size > STORE_MAX_OBJECT) {
        errno = EINVAL;
        return 0;
    }
    object = size <= LARGEST_CLASS ? alloc_small(s, size) : take_block(s, order_of(size)) * STORE_PAGE;
    if (object == 0)
        s->error = errno; /* lists may be half changed: the transaction cannot be committed */
    return object;
}

void store_free(struct store *s, store_ref object)
{
    uint64_t page = object / STORE_PAGE;
    uint8_t kind;

    if (object == 0)
        return;
    kind = *map_of(s, page);
    if (is_slab(kind))
        free_small(s, object, kind - SLAB);
    else if (is_block(kind) && object % STORE_PAGE == 0)
        give_block(s, page, kind - BLOCK);
    else
        s->error = EINVAL; /* not an object: nothing of this transaction is to stay */
}

size_t store_size(struct store *s, store_ref object)
{
    uint8_t kind = *map_of(s, object / STORE_PAGE);

    if (is_slab(kind))
        return classes[kind - SLAB];
    return is_block(kind) ? STORE_PAGE << (kind - BLOCK) : 0;
}

store_ref store_root(struct store *s, unsigned number) { return number < STORE_ROOTS ? heap_of(s)->roots[number] : 0; }

void store_set_root(struct store *s, unsigned number, store_ref object)
{
    if (number < STORE_ROOTS)
        heap_of(s)->roots[number] = object;
}

/* The first content of page 1. */
void heap_format(char *page) { memset(page, 0, STORE_PAGE); }

void store_stats(struct store *s, struct store_stats *stats)
{
    const struct heap *heap = heap_of(s);

    *stats = s->stats;
    stats->file_bytes = s->file_pages * STORE_PAGE;
    stats->log_bytes = (uint64_t)s->log.size;
    stats->free_pages = heap->free_pages;
    stats->used_pages = heap->groups * GROUP_PAGES - heap->free_pages;
}

/* --- Checking --- */

static int complain(char *text, size_t room, const char *what, uint64_t page)
{
    snprintf(text, room, "page %llu: %s", (unsigned long long)page, what);
    return -1;
}

static int check_slab(const struct store *s, uint64_t page, unsigned c, char *text, size_t room)
{
    const struct slab *slab = page_at(s, page);
    unsigned handed = (unsigned)(slab->fresh - sizeof(*slab)) / classes[c], chained = 0;

    for (uint16_t at = slab->free; at != 0; chained++) {
        if (at < sizeof(*slab) || at >= slab->fresh || (at - sizeof(*slab)) % classes[c] != 0 || chained > handed)
            return complain(text, room, "a damaged chain of free objects", page);
        memcpy(&at, (const char *)slab + at, sizeof(at));
    }
    if (slab->used == 0 || slab->used + chained != handed)
        return complain(text, room, "the count of its objects is wrong", page);
    return 0;
}

/* Blocks cover each group without gaps. */
static int check_group(const struct store *s, uint64_t first, uint64_t *free_pages, uint64_t *with_room, char *text,
                       size_t room)
{
    for (uint64_t page = first; page < first + GROUP_PAGES;) {
        uint8_t kind = *map_of(s, page);
        unsigned order = is_free_block(kind) ? kind - FREE : is_block(kind) ? kind - BLOCK : 0;

        if (kind == INNER || (!is_free_block(kind) && !is_block(kind) && !is_slab(kind) && kind != RESERVED))
            return complain(text, room, "belongs to no block", page);
        if (page % (1ull << order) != 0)
            return complain(text, room, "a block at a wrong place", page);
        if (is_slab(kind)) {
            if (check_slab(s, page, kind - SLAB, text, room) < 0)
                return -1;
            *with_room += has_room(page_at(s, page), kind - SLAB);
        }
        if (is_free_block(kind))
            *free_pages += 1ull << order;
        for (uint64_t i = 1; i < 1ull << order; i++)
            if (*map_of(s, page + i) != INNER)
                return complain(text, room, "two blocks overlap", page + i);
        page += 1ull << order;
    }
    return 0;
}

/* Walks a list; adds WEIGHT for each that is of kind KIND. */
static int check_list(struct store *s, store_ref at, uint8_t kind, uint64_t weight, uint64_t *sum, char *text,
                      size_t room)
{
    store_ref previous = 0;

    for (uint64_t steps = 0; at != 0; steps++) {
        const struct link *l = store_at(s, at);

        if (at % STORE_PAGE != 0 || at / STORE_PAGE >= heap_of(s)->groups * GROUP_PAGES || steps > s->file_pages)
            return complain(text, room, "a list leads out of the heap", at / STORE_PAGE);
        if (*map_of(s, at / STORE_PAGE) != kind || l->previous != previous)
            return complain(text, room, "is in a wrong list", at / STORE_PAGE);
        *sum += weight;
        previous = at;
        at = l->next;
    }
    return 0;
}

int store_check(struct store *s, char *text, size_t room)
{
    const struct heap *heap = heap_of(s);
    uint64_t free_pages = 0, listed_pages = 0, with_room = 0, listed_slabs = 0;

    if (heap->groups * GROUP_PAGES > s->file_pages)
        return complain(text, room, "the heap is larger than its file", s->file_pages);
    for (uint64_t g = 0; g < heap->groups; g++)
        if (check_group(s, g * GROUP_PAGES, &free_pages, &with_room, text, room) < 0)
            return -1;
    for (unsigned o = 0; o < ORDERS; o++)
        if (check_list(s, heap->free[o], (uint8_t)(FREE + o), 1ull << o, &listed_pages, text, room) < 0)
            return -1;
    for (unsigned c = 0; c < CLASSES; c++)
        if (check_list(s, heap->partial[c], (uint8_t)(SLAB + c), 1, &listed_slabs, text, room) < 0)
            return -1;
    if (free_pages != heap->free_pages || free_pages != listed_pages)
        return complain(text, room, "free pages are counted wrong", free_pages);
    if (with_room != listed_slabs)
        return complain(text, room, "pages with room are listed wrong", with_room);
    return 0;
}
