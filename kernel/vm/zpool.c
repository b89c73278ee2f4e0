/*
 * The compressed store. Objects of one size class share slabs of one to eight pages, which need not be neighbours: an
 * object may begin on one page and end on the next.
 *
 *       page 0                page 1                page 2
 *     +----+-------+-------+-----                -----+-------+
 *     |slab| obj 0 | obj 1 | obj|2 | obj 3 | ...      |       |      class 1408: three pages, eight objects
 *     +----+-------+-------+-----                -----+-------+
 *
 * How many pages a class's slabs have is chosen so that little is left over. A free object begins with the number of
 * the next free one; one that is used ends with its owner's number. A handle is the slab's first frame and the object's
 * number. The pages of an empty slab go back at once.
 *
 * Slabs with free objects are on one of their class's lists, by how full they are. New objects go to the fullest:
 *
 *     lists:   [0 to 1/4]   [1/4 to 1/2]   [1/2 to 3/4]   [3/4 to full]
 *                  |  zpool_compact ----------------------->  ^  zpool_store
 *
 * What was freed at random leaves slabs that are all a bit used. So when memory is wanted and an eighth of a class's
 * objects are free, its emptiest slabs are taken off the lists (`is_apart`: nothing new goes there), and their objects
 * move to others.
 *
 * Locks: `lock`, under which pages are only freed; slot locks (vm/swap.c) come before it.
 */
#include "vm/zpool.h"
#include "lib/string.h"
#include "sched/spinlock.h"
#include "vm/page.h"

#define MAX_SLAB_PAGES 8
#define NONE 0xffff
#define INDEX_BITS 10

struct slab {
    struct list link;
    u16 n_used, first_free;
    u8 class, n_pages;
    bool is_apart;
    u32 frames[MAX_SLAB_PAGES];
};
#define HEADER 64
static_assert(sizeof(struct slab) <= HEADER, "objects begin behind it");

/* Classes, of objects with their owners' numbers: every 32 bytes up to 256, then every 64. */
#define FINE 32
#define FINE_END 256
#define COARSE 64
#define LARGEST (ZPOOL_LARGEST + (unsigned)sizeof(u32))
#define N_CLASSES (FINE_END / FINE + (LARGEST - FINE_END) / COARSE)
static_assert((LARGEST - FINE_END) % COARSE == 0, "the largest class is full");
static_assert(N_CLASSES < BIT(8), "a slab's class");
#define MAX_OBJECTS ((MAX_SLAB_PAGES * PAGE_SIZE - HEADER) / FINE) /* of a slab */
#define MAX_WORDS (MAX_OBJECTS / 64 + 1)                           /* with a bit for each */
static_assert(MAX_OBJECTS <= BIT(INDEX_BITS), "numbers fit a handle");

#define N_GROUPS 4
#define LOOSE 8 /* one of so many objects is free: worth the moving */

struct class
{
    struct list partial[N_GROUPS];
    u16 n_pages, n_objects; /* of a slab; 0 until the class is used */
    u64 n_slabs, n_free;    /* objects */
};

static struct {
    struct spinlock lock;
    struct class classes[N_CLASSES];
    u64 pages, objects;
} pool;

static unsigned class_of(unsigned size)
{
    size += (unsigned)sizeof(u32);
    if (size <= FINE_END)
        return (size - 1) / FINE;
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
    for (unsigned i = 0; i < N_GROUPS; i++)
        list_init(&c->partial[i]);
    c->n_objects = (u16)objects_in(best, size);
    c->n_pages = (u16)best;
}

/* Where object INDEX of the slab is: bytes from the beginning of its first page. */
static unsigned place_of(const struct slab *slab, unsigned index) { return HEADER + index * class_size(slab->class); }

static char *address_of(const struct slab *slab, unsigned place)
{
    return (char *)page_address(pfn_page(slab->frames[place / PAGE_SIZE])) + place % PAGE_SIZE;
}

static u16 *free_link(const struct slab *slab, unsigned index)
{
    return (u16 *)address_of(slab, place_of(slab, index));
}

/* At the object's end; no object has it on two pages. */
static u32 *owner_of(const struct slab *slab, unsigned index)
{
    return (u32 *)address_of(slab, place_of(slab, index + 1) - (unsigned)sizeof(u32));
}

static struct slab *slab_of(u64 handle) { return page_address(pfn_page(handle >> INDEX_BITS)); }
static unsigned index_of(u64 handle) { return handle & (BIT(INDEX_BITS) - 1); }

static u64 handle_of(const struct slab *slab, unsigned index) { return (u64)slab->frames[0] << INDEX_BITS | index; }

/* ---- slabs ---- */

/* N_GROUPS: full, on no list. */
static unsigned group_of(const struct slab *slab)
{
    return slab->n_used * N_GROUPS / pool.classes[slab->class].n_objects;
}

/* => lock */
static void list_slab(struct slab *slab)
{
    unsigned group = group_of(slab);

    if (group < N_GROUPS)
        list_add(&pool.classes[slab->class].partial[group], &slab->link);
}

/* One more object of SLAB is used, or (-1) one less. => lock */
static void count_object(struct slab *slab, int change)
{
    unsigned before = group_of(slab);

    slab->n_used = (u16)(slab->n_used + change);
    pool.classes[slab->class].n_free -= (u64)change;
    if (slab->is_apart || group_of(slab) == before)
        return;
    if (before < N_GROUPS)
        list_remove(&slab->link);
    list_slab(slab);
}

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
    slab->class = (u8) class;
    slab->n_used = 0;
    slab->first_free = 0;
    slab->n_pages = (u8)c->n_pages;
    slab->is_apart = false;
    for (unsigned i = 0; i < c->n_pages; i++)
        slab->frames[i] = (u32)page_pfn(pages[i]);
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

/* The fullest slab of CLASS that has a free object, or NULL. => lock */
static struct slab *fullest(struct class *c)
{
    for (unsigned group = N_GROUPS; group-- > 0;)
        if (!list_empty(&c->partial[group]))
            return list_first(&c->partial[group], struct slab, link);
    return NULL;
}

/* => lock; SLAB has a free object */
static unsigned take_object(struct slab *slab, u32 owner)
{
    unsigned index = slab->first_free;

    slab->first_free = *free_link(slab, index);
    *owner_of(slab, index) = owner;
    count_object(slab, 1);
    return index;
}

/* A slab more for CLASS; NULL. => lock */
static struct slab *add_slab(unsigned class)
{
    struct slab *slab = create_slab(class);
    struct class *c = &pool.classes[class];

    if (slab == NULL)
        return NULL;
    list_slab(slab);
    c->n_slabs++;
    c->n_free += c->n_objects;
    pool.pages += slab->n_pages;
    return slab;
}

/* SLAB, which is empty, is not the class's any more: its pages, for free_pages outside the lock. => lock; on no list */
static unsigned remove_slab(struct slab *slab, struct page **pages)
{
    struct class *c = &pool.classes[slab->class];
    unsigned n = slab->n_pages;

    c->n_slabs--;
    c->n_free -= c->n_objects;
    pool.pages -= n;
    for (unsigned i = 0; i < n; i++)
        pages[i] = pfn_page(slab->frames[i]);
    return n;
}

/* ---- objects ---- */

u64 zpool_store(const void *data, unsigned size, u32 owner)
{
    unsigned class = class_of(size), index;
    struct class *c = &pool.classes[class];
    struct slab *slab;

    ASSERT(size <= ZPOOL_LARGEST);
    spin_lock(&pool.lock);
    if (c->n_pages == 0)
        init_class(class);
    slab = fullest(c);
    if (slab == NULL)
        slab = add_slab(class);
    if (slab == NULL) {
        spin_unlock(&pool.lock);
        return 0;
    }
    index = take_object(slab, owner);
    pool.objects++;
    copy_in(slab, place_of(slab, index), data, size);
    spin_unlock(&pool.lock);
    return handle_of(slab, index);
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

/* => lock; an empty slab is the caller's to remove */
static void free_object(struct slab *slab, unsigned index)
{
    ASSERT(slab->n_used > 0);
    *free_link(slab, index) = slab->first_free;
    slab->first_free = (u16)index;
    count_object(slab, -1);
}

void zpool_free(u64 handle)
{
    struct slab *slab = slab_of(handle);
    struct page *pages[MAX_SLAB_PAGES];
    unsigned n = 0;

    spin_lock(&pool.lock);
    free_object(slab, index_of(handle));
    pool.objects--;
    if (slab->n_used == 0 && !slab->is_apart) {
        list_remove(&slab->link);
        n = remove_slab(slab, pages);
    }
    spin_unlock(&pool.lock);
    free_pages(pages, n);
}

/* ---- packing more closely ---- */

static void copy_object(const struct slab *to, unsigned to_index, const struct slab *from, unsigned from_index)
{
    unsigned size = class_size(from->class), part;

    for (unsigned done = 0; done < size; done += part) {
        unsigned target = place_of(to, to_index) + done, source = place_of(from, from_index) + done;

        part = (unsigned)PAGE_SIZE - MAX(target % (unsigned)PAGE_SIZE, source % (unsigned)PAGE_SIZE);
        part = MIN(part, size - done);
        memcpy(address_of(to, target), address_of(from, source), part);
    }
}

u64 zpool_move(u64 handle)
{
    struct slab *from = slab_of(handle), *to;
    unsigned index = index_of(handle);
    u64 moved = 0;

    spin_lock(&pool.lock);
    ASSERT(from->is_apart);
    to = fullest(&pool.classes[from->class]);
    if (to != NULL) {
        unsigned new = take_object(to, *owner_of(from, index));

        copy_object(to, new, from, index);
        free_object(from, index);
        moved = handle_of(to, new);
    }
    spin_unlock(&pool.lock);
    return moved;
}

/* Enough objects are free that a slab can be emptied into others. => lock */
static bool is_loose(const struct class *c)
{
    return c->n_pages != 0 && c->n_free >= c->n_objects && c->n_free * LOOSE >= c->n_slabs * c->n_objects;
}

/* The emptiest slab of a class that is loose, set apart; NULL. What is used in it: USED. */
static struct slab *set_apart(struct class *c, u64 *used)
{
    struct slab *slab = NULL;

    spin_lock(&pool.lock);
    for (unsigned group = 0; is_loose(c) && group < N_GROUPS && slab == NULL; group++)
        if (!list_empty(&c->partial[group]))
            slab = list_first(&c->partial[group], struct slab, link);
    if (slab != NULL) {
        list_remove(&slab->link);
        slab->is_apart = true;
        memset(used, 0xff, sizeof(u64) * MAX_WORDS);
        for (unsigned i = slab->first_free; i != NONE; i = *free_link(slab, i))
            used[i / 64] &= ~BIT(i % 64);
    }
    spin_unlock(&pool.lock);
    return slab;
}

/* Back among the others, or, if it has become empty, away: pages freed. */
static unsigned put_back(struct slab *slab)
{
    struct page *pages[MAX_SLAB_PAGES];
    unsigned n = 0;

    spin_lock(&pool.lock);
    slab->is_apart = false;
    if (slab->n_used == 0)
        n = remove_slab(slab, pages);
    else
        list_slab(slab);
    spin_unlock(&pool.lock);
    free_pages(pages, n);
    return n;
}

/* Empties one slab of the class, if that is worth it: pages freed. */
static unsigned compact_class(struct class *c, zpool_mover *move)
{
    u64 used[MAX_WORDS];
    struct slab *slab = set_apart(c, used);

    for (unsigned i = 0; slab != NULL && i < c->n_objects; i++)
        if (used[i / 64] & BIT(i % 64)) /* or was: its owner knows */
            move(*owner_of(slab, i), handle_of(slab, i));
    return slab == NULL ? 0 : put_back(slab);
}

u64 zpool_compact(zpool_mover *move, u64 n)
{
    u64 freed = 0;
    unsigned now;

    for (unsigned class = 0; class < N_CLASSES; class ++)
        for (now = 1; now > 0 && freed < n; freed += now)
            now = compact_class(&pool.classes[class], move);
    return freed;
}

void zpool_stats(struct zpool_stats *stats)
{
    *stats = (struct zpool_stats){.pages = load_relaxed(&pool.pages), .objects = load_relaxed(&pool.objects)};
}
