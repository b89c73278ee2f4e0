/*
 * The thread that writes a checkpoint while the program runs.
 *
 * It goes through the queued pages upwards, copies each into a buffer (nobody can store to it meanwhile: it is closed,
 * and a trap waits while it is SAVING), and writes full buffers. Then come the pages that traps have copied aside. When
 * all is in the file, its index and a sync make it count.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <vm.h>

#include "internal.h"

#define BUFFER_PAGES 64
#define KEPT_COPIES 64 /* pages that stay for the next checkpoint */

struct writing {
    struct checkpoint *c;
    uint64_t count;    /* entries of the index */
    off_t at;          /* where the buffer goes */
    unsigned buffered; /* pages in it */
    int error;
};

static char buffer[BUFFER_PAGES][PAGE] __attribute__((aligned(4096)));
static pthread_mutex_t buffer_lock = PTHREAD_MUTEX_INITIALIZER;

static bool is_zero(const void *page)
{
    const uint64_t *word = page;

    for (size_t i = 0; i < PAGE / 8; i += 4)
        if ((word[i] | word[i + 1] | word[i + 2] | word[i + 3]) != 0)
            return false;
    return true;
}

static void flush(struct writing *w)
{
    if (w->error == 0 && image_write(&w->c->image, buffer, w->buffered * PAGE, w->at) < 0)
        w->error = errno;
    w->at += (off_t)(w->buffered * PAGE);
    w->buffered = 0;
}

/* The bytes of PAGE are in the next place of the buffer. */
static void add(struct writing *w, uint64_t page)
{
    struct entry *e = &w->c->index[w->count++];

    if (is_zero(buffer[w->buffered])) {
        *e = (struct entry){.page = page | ZERO_PAGE};
        w->c->stats.zeros++;
        return;
    }
    *e = (struct entry){.page = page, .checksum = page_checksum(buffer[w->buffered])};
    if (++w->buffered == BUFFER_PAGES)
        flush(w);
}

/* The word of eight states at N has a queued one. */
static bool has_queued(const struct checkpoint *c, size_t n)
{
    uint64_t eight;

    memcpy(&eight, &c->state[n], 8);
    return eight != 0;
}

static void save_queued(struct writing *w)
{
    struct checkpoint *c = w->c;

    for (uint64_t page = 0; page < c->pages; page++) {
        uint8_t queued = QUEUED;

        if (page % 8 == 0 && page + 8 <= c->pages && !has_queued(c, page)) {
            page += 7;
            continue;
        }
        if (!__atomic_compare_exchange_n(&c->state[page], &queued, SAVING, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        memcpy(buffer[w->buffered], c->memory + page * PAGE, PAGE);
        __atomic_store_n(&c->state[page], CLEAN, __ATOMIC_RELEASE);
        add(w, page);
    }
}

/* No page is queued any more, so no more copies begin; those that did will be ready soon. */
static void save_copies(struct writing *w)
{
    struct checkpoint *c = w->c;
    uint64_t n = __atomic_load_n(&c->n_copies, __ATOMIC_ACQUIRE);

    for (uint64_t i = 0; i < n; i++) {
        uint64_t page;

        while ((page = __atomic_load_n(&c->copied[i], __ATOMIC_ACQUIRE)) == 0)
            sched_yield();
        memcpy(buffer[w->buffered], c->copies + i * PAGE, PAGE);
        c->copied[i] = 0;
        add(w, page - 1);
    }
    c->stats.copies += n;
    if (n > KEPT_COPIES)
        madvise(c->copies + KEPT_COPIES * PAGE, (n - KEPT_COPIES) * PAGE, MADV_DONTNEED);
}

/* The pages of a checkpoint that failed are for the next one. */
static void queue_again(struct writing *w)
{
    for (uint64_t i = 0; i < w->count; i++) {
        uint8_t clean = CLEAN;

        __atomic_compare_exchange_n(&w->c->state[w->c->index[i].page & ~ZERO_PAGE], &clean, STALE, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
}

static int write_checkpoint(struct checkpoint *c)
{
    struct writing w = {.c = c, .at = image_data(&c->image, c->queued)};

    pthread_mutex_lock(&buffer_lock);
    save_queued(&w);
    save_copies(&w);
    flush(&w);
    pthread_mutex_unlock(&buffer_lock);
    if (w.error == 0 && w.count > 0 && image_add(&c->image, c->index, w.count) < 0)
        w.error = errno;
    if (w.error != 0)
        queue_again(&w);
    c->stats.pages += w.count;
    if (w.error == 0 && image_is_wasteful(&c->image) && image_compact(&c->image) == 0)
        c->stats.compactions++;
    return w.error;
}

void *writer_main(void *checkpoint)
{
    struct checkpoint *c = checkpoint;

    pthread_mutex_lock(&c->lock);
    for (;;) {
        int error;

        while (!c->writing && !c->ending)
            pthread_cond_wait(&c->changed, &c->lock);
        if (!c->writing)
            break;
        pthread_mutex_unlock(&c->lock);
        error = write_checkpoint(c);
        pthread_mutex_lock(&c->lock);
        c->error = error;
        c->stats.sequence = c->image.sequence;
        c->stats.file_bytes = (uint64_t)c->image.end;
        c->writing = false;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}
