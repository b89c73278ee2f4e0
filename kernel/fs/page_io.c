/*
 * Collecting the pieces of a read_pages or write_pages call into large requests (page_io.h).
 *
 *   page_io (one per call): pages, how many requests each still waits for (plus one while the call goes on)
 *     +- request: contiguous on the device, up to max_segments pieces, first and last page that it touches
 *     +- request ...
 *
 * Requests complete in interrupts, on any hart; the counts are atomic, no lock is needed.
 */
#include "fs/page_io.h"
#include "lib/atomic.h"
#include "lib/string.h"
#include "vm/kmalloc.h"

#define MAX_PAGES 128
#define MAX_REQUEST_BYTES (1024 * KIB)

struct page_io {
    struct block_device *device;
    enum block_op op;
    unsigned n;
    u32 refs; /* requests that are under way, and the caller */
    struct page_request *open;
    struct page *pages[MAX_PAGES];
    int errors[MAX_PAGES];
    u16 waits[MAX_PAGES];
};

struct page_request {
    struct block_request request;
    struct page_io *io;
    u64 end_sector;
    unsigned bytes, first, last; /* pages: numbers in io */
    struct block_segment segments[BLOCK_MAX_SEGMENTS];
};

static void report(enum block_op op, struct page *page, int error)
{
    if (op == BLOCK_READ) {
        page_read_done(page, error);
        return;
    }
    if (error == -ENOMEM) /* not the disk's fault: there will be another try */
        page_set_dirty(page);
    page_write_done(page, error);
}

struct page_io *page_io_begin(struct block_device *device, enum block_op op, struct page **batch, unsigned n)
{
    struct page_io *io = kmalloc(sizeof(*io));

    ASSERT(n <= MAX_PAGES);
    if (io == NULL) {
        for (unsigned i = 0; i < n; i++)
            report(op, batch[i], -ENOMEM);
        return NULL;
    }
    io->device = device;
    io->op = op;
    io->n = n;
    io->refs = 1;
    io->open = NULL;
    for (unsigned i = 0; i < n; i++) {
        io->pages[i] = batch[i];
        io->errors[i] = 0;
        io->waits[i] = 1;
    }
    return io;
}

static void put_page_wait(struct page_io *io, unsigned i)
{
    if (atomic_sub(&io->waits[i], 1) == 0)
        report(io->op, io->pages[i], load_relaxed(&io->errors[i]));
}

static void put_io(struct page_io *io)
{
    if (atomic_sub(&io->refs, 1) == 0)
        kfree(io);
}

static void request_done(struct block_request *request)
{
    struct page_request *r = container_of(request, struct page_request, request);
    struct page_io *io = r->io;

    for (unsigned i = r->first; i <= r->last; i++) {
        if (request->error != 0)
            store_relaxed(&io->errors[i], request->error);
        put_page_wait(io, i);
    }
    kfree(r);
    put_io(io);
}

static void submit_open(struct page_io *io)
{
    struct page_request *r = io->open;

    if (r == NULL)
        return;
    io->open = NULL;
    block_submit(&r->request);
}

static bool fits(const struct page_io *io, const struct page_request *r, unsigned i, unsigned length, u64 sector)
{
    return r->end_sector == sector && i >= r->last && i <= r->last + 1 &&
           r->request.n_segments < io->device->max_segments && r->bytes + length <= MAX_REQUEST_BYTES;
}

static struct page_request *start_request(struct page_io *io, unsigned i, u64 sector)
{
    struct page_request *r = kmalloc(sizeof(*r));

    if (r == NULL)
        return NULL;
    memset(&r->request, 0, sizeof(r->request));
    list_init(&r->request.link);
    r->request.device = io->device;
    r->request.op = io->op;
    r->request.sector = sector;
    r->request.segments = r->segments;
    r->request.done = request_done;
    r->io = io;
    r->end_sector = sector;
    r->bytes = 0;
    r->first = r->last = i;
    atomic_add_relaxed(&io->refs, 1);
    atomic_add_relaxed(&io->waits[i], 1);
    io->open = r;
    return r;
}

void page_io_add(struct page_io *io, unsigned i, unsigned offset, unsigned length, u64 sector)
{
    struct page_request *r = io->open;
    void *address = (char *)page_address(io->pages[i]) + offset;
    struct block_segment *last;

    if (r != NULL && !fits(io, r, i, length, sector)) {
        submit_open(io);
        r = NULL;
    }
    if (r == NULL)
        r = start_request(io, i, sector);
    if (r == NULL) {
        page_io_fail(io, i, -ENOMEM);
        return;
    }
    if (i != r->last) {
        r->last = i;
        atomic_add_relaxed(&io->waits[i], 1);
    }
    last = r->request.n_segments > 0 ? &r->segments[r->request.n_segments - 1] : NULL;
    if (last != NULL && (char *)last->address + last->length == address) {
        last->length += length;
    } else {
        r->segments[r->request.n_segments].address = address;
        r->segments[r->request.n_segments].length = length;
        r->request.n_segments++;
    }
    r->bytes += length;
    r->end_sector += length / SECTOR_SIZE;
}

void page_io_zero(struct page_io *io, unsigned i, unsigned offset, unsigned length)
{
    memset((char *)page_address(io->pages[i]) + offset, 0, length);
}

void page_io_copy(struct page_io *io, unsigned i, unsigned offset, const void *data, unsigned length)
{
    memcpy((char *)page_address(io->pages[i]) + offset, data, length);
}

void page_io_fail(struct page_io *io, unsigned i, int error) { store_relaxed(&io->errors[i], error); }

void page_io_end(struct page_io *io)
{
    submit_open(io);
    for (unsigned i = 0; i < io->n; i++)
        put_page_wait(io, i);
    put_io(io);
}
