/*
 * Where the pages of the region are that are not in memory. libvm's budget says which leave (vm.h); here:
 *
 *     evicted page --- all zero ---------> ZERO
 *              |------ compresses -------> POOL [pool.h] --- the pool is full: the oldest ---> FILE, compressed as it
 * is
 *              +------ does not ---------------------------------------------------------> FILE, 4096 bytes
 *
 * A page that is fetched keeps its copy outside until it is evicted with changes: unchanged ones leave without work. In
 * the file, too, each page has a place of its own of 4096 bytes, so nothing moves.
 *
 * Locks: `lock`, over everything here. libvm never works on the same page twice at once, so what belongs to a page only
 * that is worked on needs it for the lists alone; but another thread may send a page of the pool to the file.
 */
#include "pager.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vm.h>

#include "lz4_page.h"
#include "pool.h"

#define PAGE 4096ul
#define NO_PAGE UINT32_MAX
#define SPILL 16 /* pages that go to the file when the pool is full */

enum { ZERO, POOL, IN_FILE };

struct place {
    uint32_t piece;       /* POOL: its name there */
    uint32_t next, older; /* POOL: by age */
    uint16_t size;        /* bytes; 4096 when not compressed */
    uint8_t kind;
};

struct pager {
    struct vm_budget *budget;
    size_t pages;
    struct place *places;
    pthread_mutex_t lock;
    struct pool pool;
    uint32_t newest, oldest;
    int file; /* -1: none */
    struct pager_stats stats;
};

/* --- Places --- */

static void link_newest(struct pager *p, uint32_t page)
{
    p->places[page].next = NO_PAGE;
    p->places[page].older = p->newest;
    if (p->newest != NO_PAGE)
        p->places[p->newest].next = page;
    else
        p->oldest = page;
    p->newest = page;
}

static void unlink_page(struct pager *p, uint32_t page)
{
    const struct place *at = &p->places[page];

    if (at->next != NO_PAGE)
        p->places[at->next].older = at->older;
    else
        p->newest = at->older;
    if (at->older != NO_PAGE)
        p->places[at->older].next = at->next;
    else
        p->oldest = at->next;
}

/* PAGE has no copy outside any more. */
static void forget(struct pager *p, uint32_t page)
{
    struct place *at = &p->places[page];

    if (at->kind == POOL) {
        unlink_page(p, page);
        pool_put(&p->pool, at->piece);
        p->stats.compressed_pages--;
        p->stats.compressed_bytes -= at->size;
    }
    if (at->kind == IN_FILE)
        p->stats.file_pages--;
    at->kind = ZERO;
}

static int write_file(struct pager *p, uint32_t page, const void *from, size_t size)
{
    ssize_t n;

    if (p->file < 0)
        return ENOSPC;
    do
        n = pwrite(p->file, from, size, (off_t)(page * PAGE));
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)size)
        return n < 0 ? errno : ENOSPC;
    p->stats.to_file++;
    return 0;
}

static void is_in_file(struct pager *p, uint32_t page, size_t size)
{
    p->places[page].kind = IN_FILE;
    p->places[page].size = (uint16_t)size;
    p->stats.file_pages++;
}

/* The oldest pages of the pool go to the file. 0, or an errno when none could. */
static int spill(struct pager *p)
{
    int error = ENOSPC;

    for (int i = 0; i < SPILL && p->oldest != NO_PAGE; i++) {
        uint32_t page = p->oldest;
        size_t size = p->places[page].size;

        error = write_file(p, page, pool_at(&p->pool, p->places[page].piece), size);
        if (error != 0)
            return i > 0 ? 0 : error;
        forget(p, page);
        is_in_file(p, page, size);
    }
    return error;
}

/* SIZE bytes at FROM are PAGE, compressed. Other classes' slabs may have to empty first, so it may take several rounds.
 */
static int to_pool(struct pager *p, uint32_t page, const void *from, size_t size)
{
    uint32_t piece;

    while ((piece = pool_get(&p->pool, size)) == POOL_NONE) {
        int error = spill(p);

        if (error != 0)
            return error;
    }
    memcpy(pool_at(&p->pool, piece), from, size);
    p->places[page] = (struct place){.piece = piece, .size = (uint16_t)size, .kind = POOL};
    link_newest(p, page);
    p->stats.compressed_pages++;
    p->stats.compressed_bytes += size;
    return 0;
}

/* --- What libvm asks for --- */

static int fetch(void *argument, size_t page, void *to)
{
    struct pager *p = argument;
    char compressed[PAGE] __attribute__((aligned(8)));
    struct place at;
    ssize_t n;

    pthread_mutex_lock(&p->lock);
    at = p->places[page];
    if (at.kind == POOL)
        memcpy(compressed, pool_at(&p->pool, at.piece), at.size);
    if (at.kind == IN_FILE)
        p->stats.from_file++;
    pthread_mutex_unlock(&p->lock);
    if (at.kind == ZERO) {
        memset(to, 0, PAGE);
        return 0;
    }
    if (at.kind == IN_FILE) {
        do
            n = pread(p->file, at.size == PAGE ? to : compressed, at.size, (off_t)(page * PAGE));
        while (n < 0 && errno == EINTR);
        if (n != at.size)
            return n < 0 ? errno : EIO;
        if (at.size == PAGE)
            return 0;
    }
    return lz4_page_decompress(to, compressed, at.size) == 0 ? 0 : EIO;
}

static bool is_zero(const void *page)
{
    const uint64_t *word = page;

    for (size_t i = 0; i < PAGE / 8; i++)
        if (word[i] != 0)
            return false;
    return true;
}

static int evict(void *argument, size_t page, const void *from, int dirty)
{
    struct pager *p = argument;
    char compressed[POOL_LARGEST] __attribute__((aligned(8))), work[LZ4_WORK] __attribute__((aligned(8)));
    bool zero;
    size_t size;
    int error = 0;

    if (!dirty)
        return 0;
    zero = is_zero(from);
    size = zero ? 0 : lz4_page_compress(compressed, sizeof(compressed), from, work);
    pthread_mutex_lock(&p->lock);
    forget(p, (uint32_t)page);
    if (size > 0) {
        error = to_pool(p, (uint32_t)page, compressed, size);
    } else if (!zero) {
        error = write_file(p, (uint32_t)page, from, PAGE);
        if (error == 0)
            is_in_file(p, (uint32_t)page, PAGE);
    }
    pthread_mutex_unlock(&p->lock);
    return error;
}

/* --- Opening and closing --- */

static void no_space(void *argument, size_t page, int error)
{
    char text[160];
    int length = snprintf(text, sizeof(text), "pager: page %zu cannot be had: %s\n", page,
                          error == ENOSPC ? "no room for others, in memory or in the file" : strerror(error));

    (void)argument;
    if (write(STDERR_FILENO, text, (size_t)length) < 0)
        _exit(2);
    _exit(2);
}

/* A file without a name, that only the owner could read. */
static int open_file(const char *folder)
{
    char name[4096];
    int fd = open(folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    if (snprintf(name, sizeof(name), "%s/pager.XXXXXX", folder) >= (int)sizeof(name)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    return fd;
}

struct pager *pager_open(size_t pages, size_t resident, const struct pager_options *options)
{
    static const struct pager_options none;
    const struct pager_options *o = options != NULL ? options : &none;
    struct pager *p = calloc(1, sizeof(*p));
    struct vm_pager calls = {.fetch = fetch, .evict = evict, .argument = p};
    size_t bytes = o->compressed != 0 ? o->compressed : pages * PAGE / 4;
    int saved;

    if (p == NULL)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    p->file = -1;
    p->pages = pages;
    p->newest = p->oldest = NO_PAGE;
    errno = EINVAL;
    if (vm_page_size() != PAGE || pages == 0 || pages >= NO_PAGE)
        goto fail;
    p->places = calloc(pages, sizeof(*p->places));
    if (p->places == NULL || pool_open(&p->pool, bytes < POOL_SLAB ? POOL_SLAB : bytes) < 0)
        goto fail;
    if (o->folder != NULL && (p->file = open_file(o->folder)) < 0)
        goto fail;
    p->budget = vm_budget_open(pages, resident, &calls);
    if (p->budget == NULL)
        goto fail;
    vm_budget_on_error(p->budget, no_space, p);
    return p;
fail:
    saved = errno;
    pager_close(p);
    errno = saved;
    return NULL;
}

void *pager_memory(struct pager *p) { return vm_budget_base(p->budget); }

void pager_stats(struct pager *p, struct pager_stats *stats)
{
    struct vm_budget_stats budget;

    vm_budget_stats(p->budget, &budget);
    pthread_mutex_lock(&p->lock);
    *stats = p->stats;
    pthread_mutex_unlock(&p->lock);
    stats->faults = budget.faults;
    stats->fetches = budget.fetches;
    stats->evictions = budget.evictions;
    stats->dirty_evictions = budget.dirty_evictions;
    stats->resident = budget.resident;
    stats->most_resident = budget.most;
}

void pager_close(struct pager *p)
{
    if (p->budget != NULL)
        vm_budget_close(p->budget);
    if (p->file >= 0)
        close(p->file);
    pool_close(&p->pool);
    free(p->places);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
