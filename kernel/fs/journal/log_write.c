/* Writing the log: blocks that follow each other on the disk become one request; many requests are under way. */
#include "fs/journal/internal.h"

static struct wait_queue written = WAIT_QUEUE_INIT(written); /* of all journals: it outlives each */

void log_writer_begin(struct log_writer *w, struct journal *j) { *w = (struct log_writer){.journal = j, .pending = 1}; }

static void done(struct block_request *request)
{
    struct log_request *r = container_of(request, struct log_request, request);
    struct log_writer *w = r->writer;

    if (request->error != 0)
        store_relaxed(&w->error, request->error);
    if (r->is_spare)
        store_release(&w->journal->request_is_free, true);
    else
        kfree(r);
    atomic_sub(&w->pending, 1); /* W may be gone now */
    wake_all(&written);
}

void log_writer_submit(struct log_writer *w)
{
    struct log_request *r = w->open;

    w->open = NULL;
    if (r != NULL)
        block_submit(&r->request);
}

/* A request: the one of the journal's own, a fresh one, or the own one when it comes back. */
static struct log_request *new_request(struct log_writer *w)
{
    struct journal *j = w->journal;
    struct log_request *r = NULL;

    if (!load_acquire(&j->request_is_free))
        r = kmalloc(sizeof(*r));
    if (r == NULL) {
        wait_event(&written, load_acquire(&j->request_is_free));
        r = j->request;
        j->request_is_free = false;
    }
    memset(&r->request, 0, sizeof(r->request));
    r->is_spare = r == j->request;
    r->writer = w;
    list_init(&r->request.link);
    r->request.device = j->device;
    r->request.op = BLOCK_WRITE;
    r->request.segments = r->segments;
    r->request.done = done;
    atomic_add_relaxed(&w->pending, 1);
    return r;
}

static bool has_room(const struct log_writer *w, const struct log_request *r)
{
    return r->request.n_segments < MIN(w->journal->device->max_segments, (unsigned)BLOCK_MAX_SEGMENTS);
}

void log_writer_add(struct log_writer *w, const void *data)
{
    struct journal *j = w->journal;
    u64 sector = log_sector(j, j->head);
    struct log_request *r = w->open;

    if (r != NULL && (sector != w->next_sector || !has_room(w, r)))
        log_writer_submit(w);
    if (w->open == NULL) {
        w->open = new_request(w);
        w->open->request.sector = sector;
    }
    r = w->open;
    r->segments[r->request.n_segments++] = (struct block_segment){(void *)(u64)data, j->block_size};
    w->next_sector = sector + j->sectors_per_block;
    spin_lock(&j->lock);
    j->head = log_next(j, j->head);
    ASSERT(j->free_blocks > 0);
    j->free_blocks--;
    spin_unlock(&j->lock);
}

int log_writer_wait(struct log_writer *w)
{
    log_writer_submit(w);
    atomic_sub(&w->pending, 1);
    wait_event(&written, load_acquire(&w->pending) == 0);
    w->pending = 1;
    return w->error;
}
