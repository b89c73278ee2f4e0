/*
 * The compressed store. Objects of one size class share slabs of one to four pages, which need not be neighbours: an
 * object may begin on one page and end on the next.
 *
 *       page 0                page 1                page 2
 *     +----+-------+-------+-----                -----+-------+
 *     |slab| obj 0 | obj 1 | obj|2 | obj 3 | ...      |       |      class 1408: three pages, eight objects
 *     +----+-------+-------+-----                -----+-------+
 *
 * How many pages a class's slabs have is chosen so that little is left over. A free object begins with the number of
 * the next free one. A handle is the slab's first frame and the object's number. Slabs with free objects are on their
 * class's list; the pages of an empty slab go back at once.
 *
 * Locks: `lock`, under which pages are only freed; slot locks (vm/swap.c) come before it.
 */
#include "vm/zpool.h"
#include "lib/string.h"
#include "sched/spinlock.h"
#include "vm/page.h"

#define MAX_SLAB_PAGES 4
#define NONE 0xffff
#define INDEX_BITS 10

struct slab {
    struct list link;
    u16 class, n_used, first_free, n_pages;
    struct page *pages[MAX_SLAB_PAGES];
};
#define HEADER 64
static_assert(sizeof(struct slab) <= HEADER, "objects begin behind it");

/* Classes: every 32 bytes up to 256, then every 64. */
#define FINE 32
#define FINE_END 256
#define COARSE 64
#define N_CLASSES (FINE_END / FINE + (ZPOOL_LARGEST - FINE_END) / COARSE)
static_assert((ZPOOL_LARGEST - FINE_END) % COARSE == 0, "the largest class is full");
static_assert((MAX_SLAB_PAGES * PAGE_SIZE - HEADER) / FINE <= BIT(INDEX_BITS), "numbers fit a handle");

struct class
{
    struct list partial;
    u16 n_pages, n_objects; /* of a slab; 0 until the class is used */
};

static struct {
    struct spinlock lock;
    struct class classes[N_CLASSES];
    u64 pages, objects;
} pool;

static unsigned class_of(unsigned size)
{
    if (size <= FINE_END)
        return size == 0 ? 0 : (size - 1) / FINE;
    return FINE_END / FINE + (size - FINE_END - 1) / COARSE;
}

static unsigned class_size(unsigned class)
{
    return class < FINE_END / FINE ? (class + 1) * FINE : FINE_END + (class + 1 - FINE_END / FINE) * COARSE;
}

static unsigned objects_in(unsigned n_pages, unsigned size) { return (n_pages * (unsigned)PAGE_SIZE - HEADER) / size; }

/* More pages only where that leaves less over, by at least one part in 32. */
static void init_class(unsigned class)
{
    struct class *c = &pool.classes[class];
    unsigned size = class_size(class), best = 1;

    for (unsigned n = 2; n <= MAX_SLAB_PAGES; n++)
        if (objects_in(n, size) * best * 32 > objects_in(best, size) * n * 33)
            best = n;
    list_init(&c->partial);
    c->n_objects = (u16)objects_in(best, size);
    c->n_pages = (u16)best;
}

/* Where object INDEX of the slab is: bytes from the beginning of its first page. */
static unsigned place_of(const struct slab *slab, unsigned index) { return HEADER + index * class_size(slab->class); }

static char *address_of(const struct slab *slab, unsigned place)
{
    return (char *)page_address(slab->pages[place / PAGE_SIZE]) + place % PAGE_SIZE;
}

static u16 *free_link(const struct slab *slab, unsigned index)
{
    return (u16 *)address_of(slab, place_of(slab, index));
}

static struct slab *slab_of(u64 handle) { return page_address(pfn_page(handle >> INDEX_BITS)); }
static unsigned index_of(u64 handle) { return handle & (BIT(INDEX_BITS) - 1); }

static void free_pages(struct page **pages, unsigned n)
{
    while (n-- > 0) /* the first, which holds the array, goes last */
        page_put(pages[n]);
}

/* A slab of free objects; NULL. */
static struct slab *create_slab(unsigned class)
{
    const struct class *c = &pool.classes[class];
    struct page *pages[MAX_SLAB_PAGES];
    struct slab *slab;

    for (unsigned i = 0; i < c->n_pages; i++) {
        pages[i] = page_alloc(ALLOC_RESERVE | ALLOC_NO_WAIT);
        if (pages[i] == NULL) {
            free_pages(pages, i);
            return NULL;
        }
        pages[i]->flags = PG_KERNEL;
    }
    slab = page_address(pages[0]);
    slab->class = (u16) class;
    slab->n_used = 0;
    slab->first_free = 0;
    slab->n_pages = c->n_pages;
    memcpy(slab->pages, pages, sizeof(pages[0]) * c->n_pages);
    for (unsigned i = 0; i < c->n_objects; i++)
        *free_link(slab, i) = i + 1u < c->n_objects ? (u16)(i + 1) : NONE;
    return slab;
}

/* Copies between DATA and an object that may lie on two pages. */
static void copy_in(const struct slab *slab, unsigned place, const void *data, unsigned size)
{
    unsigned first = MIN(size, (unsigned)PAGE_SIZE - place % (unsigned)PAGE_SIZE);

    memcpy(address_of(slab, place), data, first);
    if (first < size)
        memcpy(address_of(slab, place + first), (const char *)data + first, size - first);
}

u64 zpool_store(const void *data, unsigned size)
{
    unsigned class = class_of(size), index;
    struct class *c = &pool.classes[class];
    struct slab *slab;

    ASSERT(size <= ZPOOL_LARGEST);
    spin_lock(&pool.lock);
    if (c->n_pages == 0)
        init_class(class);
    if (list_empty(&c->partial)) {
        slab = create_slab(class);
        if (slab == NULL) {
            spin_unlock(&pool.lock);
            return 0;
        }
        list_add(&c->partial, &slab->link);
        pool.pages += slab->n_pages;
    }
    slab = list_first(&c->partial, struct slab, link);
    index = slab->first_free;
    slab->first_free = *free_link(slab, index);
    slab->n_used++;
    if (slab->first_free == NONE)
        list_remove(&slab->link);
    pool.objects++;
    copy_in(slab, place_of(slab, index), data, size);
    spin_unlock(&pool.lock);
    return page_pfn(slab->pages[0]) << INDEX_BITS | index;
}

const void *zpool_load(u64 handle, unsigned size, void *bounce)
{
    const struct slab *slab = slab_of(handle);
    unsigned place = place_of(slab, index_of(handle)),
             first = MIN(size, (unsigned)PAGE_SIZE - place % (unsigned)PAGE_SIZE);

    if (first == size)
        return address_of(slab, place);
    memcpy(bounce, address_of(slab, place), first);
    memcpy((char *)bounce + first, address_of(slab, place + first), size - first);
    return bounce;
}

void zpool_free(u64 handle)
{
    struct slab *slab = slab_of(handle);
    struct page *pages[MAX_SLAB_PAGES];
    unsigned index = index_of(handle), n = 0;

    spin_lock(&pool.lock);
    ASSERT(slab->n_used > 0);
    *free_link(slab, index) = slab->first_free;
    if (slab->first_free == NONE)
        list_add(&pool.classes[slab->class].partial, &slab->link);
    slab->first_free = (u16)index;
    pool.objects--;
    if (--slab->n_used == 0) {
        list_remove(&slab->link);
        n = slab->n_pages;
        pool.pages -= n;
        memcpy(pages, slab->pages, sizeof(pages[0]) * n);
    }
    spin_unlock(&pool.lock);
    free_pages(pages, n);
}

void zpool_stats(struct zpool_stats *stats)
{
    *stats = (struct zpool_stats){.pages = load_relaxed(&pool.pages), .objects = load_relaxed(&pool.objects)};
}
