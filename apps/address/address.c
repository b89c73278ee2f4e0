/*
 * The window, and what becomes of pointers.
 *
 *     window's slot    FREE
 *                       | a pointer on a page that is read, or a name, means its page: the slot is kept for it
 *                       v
 *                     KEPT      no access          \
 *                       | first access: trap; read; the page's names become pointers, which may keep more slots
 *                       v                           | a sweep: pages leave (pointers become names again; what changed
 *                     CLEAN     readable            | is written); slots to which nothing points any more are FREE
 *                       | first store: trap         |
 *                       v                           |
 *                     DIRTY     writable           /
 *
 * A page begins with a map of its words, a bit for each: is it a pointer? The program sees the window closed, readable
 * or writable; the pager works in a second view of it, so that no thread sees a page half done.
 *
 * A sweep is made between operations, when the program has no pointers outside the window: address_begin makes one when
 * less than half of the slots are free. The pages longest here leave first.
 *
 * Locks: `operations`, held for reading by operations, for writing by a sweep; then `lock`, over the slots and the
 * disk, which traps take, so nobody who has it touches the window but in the second view.
 */
#include "address.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vm.h>

#include "disk.h"

enum { FREE, KEPT, CLEAN, DIRTY };
#define NO_SLOT UINT32_MAX
#define MAP_WORDS 8 /* of a page: 512 bits */

struct slot {
    uint64_t page; /* its number in the store */
    uint64_t read; /* when; counts */
    uint32_t next; /* of the slots in its chain, or of the free ones */
    uint8_t state;
    bool marked; /* in a sweep: a pointer leads here */
};

struct address {
    char *window, *inside; /* two views of the same */
    size_t n_slots;
    atomic_size_t n_free; /* changes under lock, read without */
    struct slot *slots;
    uint32_t *chains; /* by page number; as many as slots */
    uint32_t free;
    uint64_t reads;
    int error; /* of a trap; the next address_begin says it */
    pthread_mutex_t lock;
    pthread_rwlock_t operations;
    struct disk disk;
    struct disk_super super;
    struct address_stats stats;
};

static uint64_t *inside_of(const struct address *a, uint32_t slot) { return (uint64_t *)(a->inside + slot * PAGE); }

static bool is_pointer(const uint64_t *page, unsigned word) { return page[word / 64] >> word % 64 & 1; }

/* --- Slots --- */

static uint32_t *chain_of(const struct address *a, uint64_t page)
{
    return &a->chains[(page * 0x9e3779b97f4a7c15ull >> 20) % a->n_slots];
}

static uint32_t find_slot(const struct address *a, uint64_t page)
{
    uint32_t slot = *chain_of(a, page);

    while (slot != NO_SLOT && a->slots[slot].page != page)
        slot = a->slots[slot].next;
    return slot;
}

/* The slot of PAGE, a free one if it has none. NO_SLOT: there is none. */
static uint32_t keep_slot(struct address *a, uint64_t page)
{
    uint32_t slot = find_slot(a, page), *chain = chain_of(a, page);

    if (slot != NO_SLOT || a->free == NO_SLOT)
        return slot;
    slot = a->free;
    a->free = a->slots[slot].next;
    a->n_free--;
    a->slots[slot] = (struct slot){.page = page, .next = *chain, .state = KEPT};
    *chain = slot;
    return slot;
}

static void free_slot(struct address *a, uint32_t slot)
{
    uint32_t *link = chain_of(a, a->slots[slot].page);

    while (*link != slot)
        link = &a->slots[*link].next;
    *link = a->slots[slot].next;
    a->slots[slot] = (struct slot){.next = a->free, .state = FREE};
    a->free = slot;
    a->n_free++;
}

/* --- Names and pointers --- */

static void *to_pointer(struct address *a, uint64_t name)
{
    uint32_t slot;

    if (name == 0)
        return NULL;
    slot = keep_slot(a, name / PAGE);
    return slot == NO_SLOT ? NULL : a->window + slot * PAGE + name % PAGE;
}

static bool is_in_window(const struct address *a, uint64_t word)
{
    return word - (uintptr_t)a->window < a->n_slots * PAGE;
}

static uint64_t to_name(const struct address *a, uint64_t pointer)
{
    uint64_t offset = pointer - (uintptr_t)a->window;

    return a->slots[offset / PAGE].page * PAGE + offset % PAGE;
}

/* The slots that the names on PAGE still need. */
static bool has_room_for(const struct address *a, const uint64_t *page)
{
    size_t needed = 0;

    for (unsigned w = MAP_WORDS; w < PAGE / 8; w++)
        if (is_pointer(page, w) && page[w] != 0 && find_slot(a, page[w] / PAGE) == NO_SLOT)
            needed++; /* names of the same page count twice: too many, never too few */
    return needed <= a->n_free;
}

static void swizzle(struct address *a, uint64_t *page)
{
    for (unsigned w = MAP_WORDS; w < PAGE / 8; w++)
        if (is_pointer(page, w) && page[w] != 0) {
            page[w] = (uintptr_t)to_pointer(a, page[w]);
            a->stats.swizzled++;
        }
}

/* A copy of a page with names. -1: it has a pointer that leads elsewhere, which no name could stand for. */
static int unswizzle(const struct address *a, const uint64_t *page, uint64_t *copy)
{
    memcpy(copy, page, PAGE);
    for (unsigned w = MAP_WORDS; w < PAGE / 8; w++)
        if (is_pointer(page, w) && page[w] != 0) {
            if (!is_in_window(a, page[w])) {
                errno = EFAULT;
                return -1;
            }
            copy[w] = to_name(a, page[w]);
        }
    return 0;
}

/* --- Traps --- */

static void give_up(const char *why)
{
    static const char head[] = "address: ";

    if (write(STDERR_FILENO, head, sizeof(head) - 1) < 0 || write(STDERR_FILENO, why, strlen(why)) < 0 ||
        write(STDERR_FILENO, "\n", 1) < 0)
        _exit(2);
    _exit(2);
}

/* Under lock: the page of SLOT comes in. */
static void read_slot(struct address *a, uint32_t slot)
{
    uint64_t *page = inside_of(a, slot);

    if (disk_read(&a->disk, a->slots[slot].page, page) < 0)
        give_up("a page of the store cannot be read");
    a->stats.reads++;
    if (!has_room_for(a, page))
        give_up("an operation reaches more pages than half of the window has");
    swizzle(a, page);
    a->slots[slot].state = CLEAN;
    a->slots[slot].read = ++a->reads;
}

static void first_access(struct vm_fault *fault, void *argument)
{
    struct address *a = argument;
    uint32_t slot = (uint32_t)((size_t)((char *)fault->address - a->window) / PAGE);
    int prot;

    pthread_mutex_lock(&a->lock);
    a->stats.traps++;
    if (a->slots[slot].state == FREE)
        give_up("a pointer was used that is of no operation any more");
    if (a->slots[slot].state == KEPT)
        read_slot(a, slot);
    if (fault->access == VM_WRITE)
        a->slots[slot].state = DIRTY;
    prot = a->slots[slot].state == DIRTY ? PROT_READ | PROT_WRITE : PROT_READ;
    pthread_mutex_unlock(&a->lock);
    vm_fault_protect(fault, a->window + slot * PAGE, PAGE, prot);
}

/* --- Sweeps --- */

/* Changes of SLOT's page are on their way to the disk. */
static int write_slot(struct address *a, uint32_t slot)
{
    uint64_t copy[PAGE / 8];

    if (unswizzle(a, inside_of(a, slot), copy) < 0 || disk_write(&a->disk, a->slots[slot].page, copy) < 0)
        return -1;
    a->stats.writes++;
    a->slots[slot].state = CLEAN;
    return 0;
}

/* Pages read before BEFORE leave; their slots are kept. The window is closed. */
static int put_out(struct address *a, uint64_t before)
{
    for (uint32_t slot = 0; slot < a->n_slots; slot++) {
        struct slot *s = &a->slots[slot];

        if (s->state < CLEAN || s->read >= before)
            continue;
        if (s->state == DIRTY && write_slot(a, slot) < 0)
            return -1;
        s->state = KEPT;
        vm_discard(inside_of(a, slot), PAGE); /* a kept slot takes up addresses, not memory */
    }
    return 0;
}

/* Slots that are only kept, and to which no page points, are free. */
static void free_unused(struct address *a)
{
    for (uint32_t slot = 0; slot < a->n_slots; slot++)
        a->slots[slot].marked = false;
    for (uint32_t slot = 0; slot < a->n_slots; slot++) {
        const uint64_t *page = inside_of(a, slot);

        for (unsigned w = MAP_WORDS; a->slots[slot].state >= CLEAN && w < PAGE / 8; w++)
            if (is_pointer(page, w) && is_in_window(a, page[w]))
                a->slots[(page[w] - (uintptr_t)a->window) / PAGE].marked = true;
    }
    for (uint32_t slot = 0; slot < a->n_slots; slot++)
        if (a->slots[slot].state == KEPT && !a->slots[slot].marked)
            free_slot(a, slot);
}

/* Nobody is in an operation. Afterwards half of the window is free. */
static int sweep(struct address *a)
{
    int result;

    a->stats.sweeps++;
    if (vm_protect(a->window, a->n_slots * PAGE, PROT_NONE) < 0)
        return -1;
    result = put_out(a, a->reads > a->n_slots / 4 ? a->reads - a->n_slots / 4 : 0);
    if (result == 0)
        free_unused(a);
    if (result == 0 && a->n_free < a->n_slots / 2) {
        result = put_out(a, UINT64_MAX);
        if (result == 0)
            free_unused(a);
    }
    return result; /* pages that stayed are closed: their next access opens them again */
}

/* --- Operations --- */

int address_begin(struct address *a)
{
    int result = 0;

    pthread_rwlock_rdlock(&a->operations);
    if (atomic_load_explicit(&a->n_free, memory_order_relaxed) >= a->n_slots / 2)
        return 0;
    pthread_rwlock_unlock(&a->operations);
    pthread_rwlock_wrlock(&a->operations);
    if (a->n_free < a->n_slots / 2)
        result = sweep(a);
    pthread_rwlock_unlock(&a->operations);
    if (result == 0)
        pthread_rwlock_rdlock(&a->operations);
    return result;
}

void address_end(struct address *a) { pthread_rwlock_unlock(&a->operations); }

/* Under lock: a fresh page in the window; its slot. */
static uint32_t new_page(struct address *a)
{
    uint32_t slot = keep_slot(a, disk_page(a->super.pages));

    if (slot == NO_SLOT)
        return NO_SLOT;
    memset(inside_of(a, slot), 0, PAGE);
    a->slots[slot].state = DIRTY;
    a->slots[slot].read = ++a->reads;
    a->super.pages++;
    a->super.fill = MAP_WORDS * 8;
    return slot;
}

/* Under lock: the slot of the page that new objects go to, with its content in it. */
static uint32_t filling_page(struct address *a, size_t size)
{
    uint32_t slot;

    if (a->super.pages == 0 || a->super.fill + size > PAGE)
        return new_page(a);
    slot = keep_slot(a, disk_page(a->super.pages - 1));
    if (slot != NO_SLOT && a->slots[slot].state == KEPT)
        read_slot(a, slot);
    return slot;
}

void *address_new(struct address *a, size_t size, uint64_t pointers)
{
    uint64_t *page;
    void *object;
    uint32_t slot;

    size = (size + 7) & ~(size_t)7;
    if (size == 0 || size > ADDRESS_LARGEST) {
        errno = EINVAL;
        return NULL;
    }
    pthread_mutex_lock(&a->lock);
    slot = filling_page(a, size);
    if (slot == NO_SLOT) {
        pthread_mutex_unlock(&a->lock);
        errno = ENOSPC;
        return NULL;
    }
    page = inside_of(a, slot);
    for (size_t i = 0; i < size / 8; i++) {
        unsigned word = (unsigned)(a->super.fill / 8 + i);

        if (pointers == ADDRESS_ALL || (i < 64 && pointers >> i & 1))
            page[word / 64] |= 1ull << word % 64;
    }
    a->slots[slot].state = DIRTY;
    object = a->window + slot * PAGE + a->super.fill;
    a->super.fill += size;
    pthread_mutex_unlock(&a->lock);
    return object;
}

address_name address_name_of(struct address *a, const void *object)
{
    address_name name = 0;

    pthread_mutex_lock(&a->lock);
    if (object != NULL && is_in_window(a, (uintptr_t)object))
        name = to_name(a, (uintptr_t)object);
    pthread_mutex_unlock(&a->lock);
    return name;
}

void *address_at(struct address *a, address_name name)
{
    void *pointer;

    pthread_mutex_lock(&a->lock);
    pointer = to_pointer(a, name);
    pthread_mutex_unlock(&a->lock);
    if (pointer == NULL && name != 0)
        give_up("an operation reaches more pages than half of the window has");
    return pointer;
}

void *address_root(struct address *a) { return address_at(a, __atomic_load_n(&a->super.root, __ATOMIC_ACQUIRE)); }

void address_set_root(struct address *a, const void *object)
{
    __atomic_store_n(&a->super.root, address_name_of(a, object), __ATOMIC_RELEASE);
}

void address_stats(struct address *a, struct address_stats *stats)
{
    pthread_mutex_lock(&a->lock);
    *stats = a->stats;
    stats->pages = a->super.pages;
    pthread_mutex_unlock(&a->lock);
}

/* --- Opening and closing --- */

static void make_locks(struct address *a)
{
    pthread_rwlockattr_t kind;

    pthread_mutex_init(&a->lock, NULL);
    pthread_rwlockattr_init(&kind);
#ifdef __GLIBC__
    /* A sweep that waits comes before operations that begin. */
    pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
    pthread_rwlock_init(&a->operations, &kind);
}

static void give_back(struct address *a)
{
    if (a->window != NULL) {
        vm_free(a->window, a->n_slots * PAGE);
        vm_free(a->inside, a->n_slots * PAGE);
    }
    disk_close(&a->disk);
    free(a->slots);
    free(a->chains);
    free(a);
}

struct address *address_open(const char *folder, size_t window)
{
    struct address *a = calloc(1, sizeof(*a));
    void *view, *inside;
    int saved;

    if (a == NULL)
        return NULL;
    make_locks(a);
    a->disk.folder = a->disk.super = -1;
    errno = EINVAL;
    if (window < ADDRESS_LEAST_WINDOW || window > NO_SLOT / 2 || vm_page_size() != PAGE ||
        disk_open(&a->disk, folder, &a->super) < 0)
        goto fail;
    a->n_slots = window;
    a->slots = calloc(window, sizeof(*a->slots));
    a->chains = malloc(window * sizeof(*a->chains));
    if (a->slots == NULL || a->chains == NULL ||
        vm_map2(window * PAGE, PROT_NONE, &view, PROT_READ | PROT_WRITE, &inside) < 0)
        goto fail;
    a->window = view;
    a->inside = inside;
    a->free = NO_SLOT;
    for (uint32_t slot = (uint32_t)window; slot-- > 0;) {
        a->chains[slot] = NO_SLOT;
        a->slots[slot].next = a->free;
        a->free = slot;
    }
    a->n_free = window;
    if (vm_trap(a->window, window * PAGE, first_access, a) < 0)
        goto fail;
    return a;
fail:
    saved = errno;
    give_back(a);
    errno = saved;
    return NULL;
}

int address_close(struct address *a)
{
    int result = 0, saved;

    if (put_out(a, UINT64_MAX) < 0 || disk_write_super(&a->disk, &a->super) < 0 || disk_sync(&a->disk) < 0)
        result = -1;
    saved = errno;
    give_back(a);
    errno = saved;
    return result;
}
