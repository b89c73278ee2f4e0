/*
 * The registry of block devices, and synchronous transfers. Devices are registered at boot and never leave, so readers
 * need no lock.
 */
#include "dev/block.h"
#include "lib/print.h"
#include "lib/string.h"

static struct list devices = LIST_INIT(devices);

int block_register(struct block_device *device)
{
    mutex_init(&device->flush_mutex);
    list_add_tail(&devices, &device->link);
    kprintf("%s: %lu MiB%s%s", device->name, (unsigned long)(device->sectors / (MIB / SECTOR_SIZE)),
            device->read_only ? ", read-only" : "", device->write_cache ? ", write cache" : "");
    return block_file_add(device);
}

struct block_device *block_next(struct block_device *after)
{
    struct list *next = after != NULL ? after->link.next : devices.next;

    return next == &devices ? NULL : list_entry(next, struct block_device, link);
}

struct block_device *block_find(const char *name)
{
    struct block_device *device;

    list_for_each(device, &devices, link)
        if (strcmp(device->name, name) == 0)
            return device;
    return NULL;
}

struct block_device *block_by_dev(u32 dev)
{
    struct block_device *device;

    list_for_each(device, &devices, link)
        if (device->dev == dev)
            return device;
    return NULL;
}

static u64 sectors_of(const struct block_request *r)
{
    u64 bytes = 0;

    for (unsigned i = 0; i < r->n_segments; i++)
        bytes += r->segments[i].length;
    return bytes / SECTOR_SIZE;
}

static void count(struct block_request *r, u64 sectors)
{
    struct block_device *d = r->device;

    if (r->op == BLOCK_FLUSH) {
        atomic_add_relaxed(&d->flushes, 1);
    } else {
        atomic_add_relaxed(r->op == BLOCK_READ ? &d->reads : &d->writes, 1);
        atomic_add_relaxed(r->op == BLOCK_READ ? &d->sectors_read : &d->sectors_written, sectors);
        if (r->op == BLOCK_WRITE && d->write_cache && (r->preflush || r->fua))
            atomic_add_relaxed(&d->flushes, (u64)(r->preflush + r->fua));
    }
}

/* A flush covers the writes that were done when it was submitted. The order of completions does not matter: the highest
 * number counts. */
static void note_flushed(struct block_device *d, u64 covers)
{
    u64 was = load_relaxed(&d->writes_flushed);

    while (was < covers && !atomic_cas(&d->writes_flushed, &was, covers))
        ;
}

void block_complete(struct block_request *r)
{
    if (r->error == 0 && (r->op == BLOCK_FLUSH || r->preflush || r->fua))
        note_flushed(r->device, r->covers);
    if (r->op == BLOCK_WRITE && !r->fua)
        atomic_add(&r->device->writes_done, 1);
    r->done(r);
}

void block_submit(struct block_request *r)
{
    struct block_device *d = r->device;
    u64 sectors = r->op == BLOCK_FLUSH ? 0 : sectors_of(r);
    bool impossible =
        r->sector > d->sectors || sectors > d->sectors - r->sector || (r->op == BLOCK_WRITE && d->read_only);

    if (r->op != BLOCK_FLUSH && impossible) {
        r->error = -EIO;
        block_complete(r);
        return;
    }
    r->covers = load_acquire(&d->writes_done);
    if (r->op == BLOCK_FLUSH && !d->write_cache) {
        r->error = 0;
        block_complete(r);
        return;
    }
    count(r, sectors);
    d->submit(r);
}

/* Those who wait for a transfer of their own. A request that waits lies on its thread's stack, which may go as soon as
 * is_done is seen: so the queue is not part of it. */
#define WAIT_BUCKETS 16
static struct wait_queue wait_queues[WAIT_BUCKETS];

struct waited_request {
    struct block_request request;
    struct wait_queue *queue;
    bool is_done;
};

void block_init(void)
{
    for (unsigned i = 0; i < WAIT_BUCKETS; i++)
        wait_queue_init(&wait_queues[i]);
}

static void wake_waiter(struct block_request *r)
{
    struct waited_request *w = container_of(r, struct waited_request, request);
    struct wait_queue *queue = w->queue;

    store_release(&w->is_done, true);
    wake_all(queue);
}

static int submit_and_wait(struct block_device *device, enum block_op op, u64 sector, struct block_segment *segment,
                           unsigned n, unsigned flags)
{
    struct waited_request w = {.request = {.device = device,
                                           .op = op,
                                           .preflush = (flags & BLOCK_PREFLUSH) != 0,
                                           .fua = (flags & BLOCK_FUA) != 0,
                                           .sector = sector,
                                           .segments = segment,
                                           .n_segments = n,
                                           .done = wake_waiter}};

    w.queue = &wait_queues[(u64)&w / sizeof(w) % WAIT_BUCKETS];
    list_init(&w.request.link);
    block_submit(&w.request);
    wait_event(w.queue, load_acquire(&w.is_done));
    return w.request.error;
}

int block_transfer(struct block_device *device, enum block_op op, u64 sector, void *buffer, u32 length)
{
    struct block_segment segment = {buffer, length};

    return submit_and_wait(device, op, sector, &segment, 1, 0);
}

int block_transfer_segments(struct block_device *device, enum block_op op, u64 sector, struct block_segment *segments,
                            unsigned n)
{
    return submit_and_wait(device, op, sector, segments, n, 0);
}

int block_write(struct block_device *device, u64 sector, struct block_segment *segments, unsigned n, unsigned flags)
{
    return submit_and_wait(device, BLOCK_WRITE, sector, segments, n, flags);
}

int block_flush(struct block_device *device) { return submit_and_wait(device, BLOCK_FLUSH, 0, NULL, 0, 0); }

u64 block_write_mark(const struct block_device *device) { return load_acquire(&device->writes_done); }

static bool is_flushed(const struct block_device *device, u64 mark)
{
    return !device->write_cache || load_acquire(&device->writes_flushed) >= mark;
}

int block_flush_to(struct block_device *device, u64 mark)
{
    int error = 0;

    if (is_flushed(device, mark))
        return 0;
    mutex_lock(&device->flush_mutex);
    if (!is_flushed(device, mark)) /* by the one whom we waited for */
        error = block_flush(device);
    mutex_unlock(&device->flush_mutex);
    return error;
}
