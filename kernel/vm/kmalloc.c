/*
 * Kernel memory by size class. A slab is one page cut into objects of one class; its descriptor says where the first
 * free object is:
 *
 *     page->private      | first_free (u16, in 16-byte units; NONE) | in_use (u16) | class (u16) |
 *     page->free_link    in the list of its class, while it has free objects
 *
 * and each free object begins with the place of the next. Slabs with free objects are on the class's list; an empty one
 * goes back to the page allocator unless it is the last on the list. Requests above 2 KiB are whole pages, their order
 * in page->private.
 *
 * Each hart keeps a few objects of every class back, so that what is freed and wanted again costs no lock.
 *
 * Locks: one per class (irqsave); what a hart keeps, by interrupts being off.
 */
#include "vm/kmalloc.h"
#include "lib/string.h"
#include "sched/sched.h"
#include "vm/inject.h"
#include "vm/page.h"

#define UNIT 16
#define NONE 0xffff
#define LARGEST 2048

struct slab_state {
    u16 first_free, in_use, class, unused;
};
static_assert(sizeof(struct slab_state) == sizeof(u64), "fits page->private");

struct size_class {
    struct spinlock lock;
    unsigned size;
    struct list partial; /* pages with free objects */
    u64 n_slabs;
};

#define CLASS(bytes, i)                                        \
    {                                                          \
        SPINLOCK_INIT, bytes, LIST_INIT(classes[i].partial), 0 \
    }
static struct size_class classes[] = {
    CLASS(16, 0),   CLASS(32, 1),    CLASS(48, 2),    CLASS(64, 3),    CLASS(96, 4),   CLASS(128, 5),
    CLASS(192, 6),  CLASS(256, 7),   CLASS(336, 8),   CLASS(448, 9),   CLASS(576, 10), CLASS(672, 11),
    CLASS(816, 12), CLASS(1008, 13), CLASS(1360, 14), CLASS(2048, 15),
};

#define KEPT_OBJECTS 7
#define REFILL 3 /* how many it gets when it has run out */
struct kept {
    u64 n;
    void *objects[KEPT_OBJECTS];
};
static struct kept kept[MAX_HARTS][ARRAY_SIZE(classes)];

static u64 large_pages;

static struct slab_state *slab_of(struct page *page) { return (struct slab_state *)&page->private; }

static u8 class_by_unit[LARGEST / UNIT + 1]; /* filled at first use; 0 = not yet, else class + 1 */

static void find_class(size_t size)
{
    u8 i = 0;

    while (classes[i].size < size)
        i++;
    class_by_unit[DIV_ROUND_UP(size, UNIT)] = i + 1;
}

/* A page cut into free objects. */
static struct page *slab_create(struct size_class *c, unsigned alloc_flags)
{
    struct page *page = page_alloc(alloc_flags);
    unsigned n = PAGE_SIZE / c->size;
    char *base;

    if (page == NULL)
        return NULL;
    base = page_address(page);
    page->flags = PG_SLAB;
    for (unsigned i = 0; i < n; i++)
        *(u16 *)(base + i * c->size) = i + 1 < n ? (i + 1) * c->size / UNIT : NONE;
    *slab_of(page) = (struct slab_state){.first_free = 0, .in_use = 0, .class = (u16)(c - classes)};
    list_init(&page->free_link);
    return page;
}

static inline void *take_from(struct page *page, struct slab_state *slab)
{
    void *object = (char *)page_address(page) + slab->first_free * UNIT;

    slab->first_free = *(u16 *)object;
    slab->in_use++;
    return object;
}

/* => interrupts off */
static inline struct kept *my_kept(unsigned class) { return &kept[current->hart->id][class]; }

/* One, and a few more for this hart to keep. */
static noinline_fn void *slab_alloc(unsigned class, unsigned alloc_flags)
{
    struct size_class *c = &classes[class];
    u64 flags = spin_lock_irqsave(&c->lock);
    struct slab_state *slab;
    struct page *page;
    struct kept *k;
    void *object;

    if (unlikely(list_empty(&c->partial))) {
        spin_unlock_irqrestore(&c->lock, flags);
        page = slab_create(c, alloc_flags);
        if (page == NULL)
            return NULL;
        flags = spin_lock_irqsave(&c->lock);
        list_add(&c->partial, &page->free_link);
        c->n_slabs++;
    }
    page = list_first(&c->partial, struct page, free_link);
    slab = slab_of(page);
    object = take_from(page, slab);
    for (k = my_kept(class); k->n < REFILL && slab->first_free != NONE;)
        k->objects[k->n++] = take_from(page, slab);
    if (slab->first_free == NONE)
        list_remove(&page->free_link);
    spin_unlock_irqrestore(&c->lock, flags);
    return object;
}

static void slab_free(struct page *page, void *object)
{
    struct slab_state *slab = slab_of(page);
    struct size_class *c = &classes[slab->class];
    bool empty;
    u64 flags;

    flags = spin_lock_irqsave(&c->lock);
    ASSERT(slab->in_use > 0);
    *(u16 *)object = slab->first_free;
    if (slab->first_free == NONE)
        list_add(&c->partial, &page->free_link);
    slab->first_free = ((u64)object & PAGE_MASK) / UNIT;
    empty = --slab->in_use == 0 && (c->partial.next != &page->free_link || c->partial.prev != &page->free_link);
    if (empty) {
        list_remove(&page->free_link);
        c->n_slabs--;
    }
    spin_unlock_irqrestore(&c->lock, flags);
    if (empty) {
        page->flags = 0;
        page_put(page);
    }
}

/* One that this hart has kept, or NULL. */
static inline void *take_kept(unsigned class)
{
    u64 flags = irq_save();
    struct kept *k = my_kept(class);
    void *object = k->n > 0 ? k->objects[--k->n] : NULL;

    irq_restore(flags);
    return object;
}

/* False: there are enough of its class. */
static inline bool keep(unsigned class, void *object)
{
    u64 flags = irq_save();
    struct kept *k = my_kept(class);
    bool kept_it = k->n < KEPT_OBJECTS;

    if (kept_it)
        k->objects[k->n++] = object;
    irq_restore(flags);
    return kept_it;
}

#define LARGEST_ORDER 30 /* more than there ever is */

static unsigned order_for(size_t size)
{
    unsigned order = 0;

    while (order < LARGEST_ORDER && (PAGE_SIZE << order) < size)
        order++;
    return order;
}

static void *allocate_large(size_t size, unsigned alloc_flags)
{
    unsigned order = order_for(size);
    struct page *page = page_alloc_order(order, alloc_flags);

    if (page == NULL)
        return NULL;
    page->flags = PG_KERNEL;
    page->private = order;
    atomic_add_relaxed(&large_pages, 1ul << order);
    return page_address(page);
}

/* What has no class yet, or none at all. */
static noinline_fn void *allocate_unusual(size_t size, unsigned alloc_flags)
{
    if (size > LARGEST)
        return allocate_large(size, alloc_flags);
    find_class(size);
    return slab_alloc(class_by_unit[DIV_ROUND_UP(size, UNIT)] - 1u, alloc_flags);
}

static inline void *allocate(size_t size, unsigned alloc_flags)
{
    unsigned class;
    void *object;

    if (unlikely(injected_failure(alloc_flags)))
        return NULL;
    class = likely(size <= LARGEST) ? class_by_unit[DIV_ROUND_UP(size, UNIT)] : 0;
    if (unlikely(class == 0))
        return allocate_unusual(size, alloc_flags);
    object = take_kept(class - 1);
    return likely(object != NULL) ? object : slab_alloc(class - 1, alloc_flags);
}

void *kmalloc(size_t size) { return allocate(size, 0); }
void *kmalloc_nowait(size_t size) { return allocate(size, ALLOC_NO_WAIT); }

void *kzalloc(size_t size)
{
    void *p = allocate(size, 0);

    if (p != NULL)
        memset(p, 0, size);
    return p;
}

void kfree(void *p)
{
    struct page *page;

    if (p == NULL)
        return;
    page = address_page(p);
    if (likely(page->flags & PG_SLAB)) {
#ifdef DEBUG
        memset(p, 0x5a, classes[slab_of(page)->class].size);
#endif
        if (!keep(slab_of(page)->class, p))
            slab_free(page, p);
        return;
    }
    ASSERT_ALWAYS(page->flags & PG_KERNEL);
    atomic_sub(&large_pages, 1ul << page->private);
    page_free_order(page, page->private);
}

char *kstrndup(const char *s, size_t n)
{
    char *copy = kmalloc(n + 1);

    if (copy != NULL) {
        memcpy(copy, s, n);
        copy[n] = '\0';
    }
    return copy;
}

u64 kmalloc_pages(void)
{
    u64 n = load_relaxed(&large_pages);

    for (unsigned i = 0; i < ARRAY_SIZE(classes); i++)
        n += load_relaxed(&classes[i].n_slabs);
    return n;
}
