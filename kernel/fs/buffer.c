/*
 * The cache of metadata blocks. Contract in buffer.h.
 *
 *   hash table: all buffers            LRU: no references, clean            dirty list: what buffer_sync writes
 *
 * Only one writer runs at a time (`write_lock`, sleeping), so a buffer is written by one request at most. A buffer
 * leaves DIRTY and becomes WRITING when it is picked; changes from then on make it DIRTY again.
 */
#include "fs/buffer.h"
#include "lib/print.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/page.h"
#include "vm/reclaim.h"

#define HASH_BUCKETS 4096
#define BATCH 512 /* buffers written between two waits */

static struct {
    struct spinlock lock; /* buffer_lock: irqsave */
    struct list hash[HASH_BUCKETS];
    struct list lru, dirty;
    u64 bytes;
    struct mutex write_lock;
    struct wait_queue waiters; /* for READING and WRITING to end */
} cache;

static struct list *bucket_of(const struct block_device *device, u64 block)
{
    return &cache.hash[(block * 0x9e3779b97f4a7c15 ^ (u64)device >> 6) >> 32 & (HASH_BUCKETS - 1)];
}

/* => cache.lock */
static struct buffer *find(struct block_device *device, u64 block)
{
    struct list *bucket = bucket_of(device, block);
    struct buffer *b;

    list_for_each(b, bucket, hash_link)
        if (b->block == block && b->device == device)
            return b;
    return NULL;
}

static void free_buffer(struct buffer *b)
{
    kfree(b->data);
    kfree(b);
}

static struct buffer *create(struct block_device *device, u64 block, u32 size)
{
    struct buffer *b = kzalloc(sizeof(*b));

    if (b == NULL)
        return NULL;
    b->data = kmalloc(size);
    if (b->data == NULL) {
        kfree(b);
        return NULL;
    }
    b->device = device;
    b->block = block;
    b->size = size;
    b->refs = 1;
    list_init(&b->hash_link);
    list_init(&b->lru_link);
    list_init(&b->dirty_link);
    list_init(&b->journal.link);
    list_init(&b->journal.checkpoint_link);
    return b;
}

/* The cached buffer with a reference, or NULL. */
static struct buffer *get_cached(struct block_device *device, u64 block)
{
    u64 flags = spin_lock_irqsave(&cache.lock);
    struct buffer *b = find(device, block);

    if (b != NULL) {
        atomic_add_relaxed(&b->refs, 1);
        if (!list_empty(&b->lru_link))
            list_remove(&b->lru_link);
    }
    spin_unlock_irqrestore(&cache.lock, flags);
    return b;
}

struct buffer *buffer_find(struct block_device *device, u64 block) { return get_cached(device, block); }

struct buffer *buffer_get(struct block_device *device, u64 block, u32 size)
{
    struct buffer *b = get_cached(device, block), *other;
    u64 flags;

    if (b != NULL)
        return b;
    b = create(device, block, size);
    if (b == NULL)
        return NULL;
    flags = spin_lock_irqsave(&cache.lock);
    other = find(device, block);
    if (other == NULL) {
        list_add(bucket_of(device, block), &b->hash_link);
        cache.bytes += size;
    } else {
        atomic_add_relaxed(&other->refs, 1);
        list_remove(&other->lru_link);
    }
    spin_unlock_irqrestore(&cache.lock, flags);
    if (other == NULL)
        return b;
    free_buffer(b);
    return other;
}

/* => cache.lock, no references */
static void park_if_clean(struct buffer *b)
{
    if ((b->state & (BUFFER_DIRTY | BUFFER_WRITING | BUFFER_READING)) == 0 && list_empty(&b->lru_link))
        list_add_tail(&cache.lru, &b->lru_link);
}

void buffer_put(struct buffer *b)
{
    u32 refs = b != NULL ? load_relaxed(&b->refs) : 0;
    u64 flags;

    if (b == NULL)
        return;
    while (refs > 1)
        if (atomic_cas(&b->refs, &refs, refs - 1))
            return;
    flags = spin_lock_irqsave(&cache.lock);
    if (atomic_sub(&b->refs, 1) == 0)
        park_if_clean(b);
    spin_unlock_irqrestore(&cache.lock, flags);
}

/* ---- reading ---- */

struct read_request {
    struct block_request request;
    struct block_segment segment;
    struct buffer *buffer; /* referenced */
};

static void read_done(struct block_request *request)
{
    struct read_request *r = container_of(request, struct read_request, request);
    struct buffer *b = r->buffer;

    if (request->error == 0)
        atomic_or(&b->state, (u32)BUFFER_UPTODATE);
    atomic_and(&b->state, ~(u32)BUFFER_READING);
    wake_all(&cache.waiters);
    kfree(r);
    buffer_put(b);
}

static void wait_while(struct buffer *b, u32 bit) { wait_event(&cache.waiters, (load_acquire(&b->state) & bit) == 0); }

/* Starts reading B unless that is under way or done. 0, -ENOMEM. */
static int start_reading(struct buffer *b)
{
    struct read_request *r;

    if (atomic_or(&b->state, (u32)BUFFER_READING) & BUFFER_READING)
        return 0;
    r = buffer_is_uptodate(b) ? NULL : kzalloc(sizeof(*r));
    if (r == NULL) {
        atomic_and(&b->state, ~(u32)BUFFER_READING);
        wake_all(&cache.waiters);
        return buffer_is_uptodate(b) ? 0 : -ENOMEM;
    }
    buffer_hold(b);
    r->buffer = b;
    r->segment = (struct block_segment){b->data, b->size};
    list_init(&r->request.link);
    r->request.device = b->device;
    r->request.op = BLOCK_READ;
    r->request.sector = b->block * (b->size / SECTOR_SIZE);
    r->request.segments = &r->segment;
    r->request.n_segments = 1;
    r->request.done = read_done;
    block_submit(&r->request);
    return 0;
}

struct buffer *buffer_read(struct block_device *device, u64 block, u32 size)
{
    struct buffer *b = buffer_get(device, block, size);
    int error = 0;

    if (b == NULL)
        return ERR_PTR(-ENOMEM);
    if (buffer_is_uptodate(b))
        return b;
    error = start_reading(b);
    if (error == 0)
        wait_while(b, BUFFER_READING);
    if (buffer_is_uptodate(b))
        return b;
    buffer_put(b);
    return ERR_PTR(error != 0 ? error : -EIO);
}

void buffer_read_ahead(struct block_device *device, u64 block, unsigned n, u32 size)
{
    while (n-- > 0) {
        struct buffer *b = buffer_get(device, block++, size);

        if (b == NULL)
            return;
        if (!buffer_is_uptodate(b))
            start_reading(b);
        buffer_put(b);
    }
}

/* ---- changing and writing ---- */

void buffer_mark_dirty(struct buffer *b)
{
    u64 flags;

    ASSERT(load_relaxed(&b->refs) > 0);
    if (load_relaxed(&b->state) & BUFFER_DIRTY) {
        memory_barrier(); /* the change before the look at DIRTY: who clears it reads the data afterwards */
        if (load_relaxed(&b->state) & BUFFER_DIRTY)
            return;
    }
    flags = spin_lock_irqsave(&cache.lock);
    atomic_or(&b->state, (u32)BUFFER_DIRTY);
    if (list_empty(&b->dirty_link))
        list_add_tail(&cache.dirty, &b->dirty_link);
    spin_unlock_irqrestore(&cache.lock, flags);
}

void buffer_forget(struct block_device *device, u64 block)
{
    struct buffer *b = get_cached(device, block);
    u64 flags;

    if (b == NULL)
        return;
    for (;;) {
        wait_while(b, BUFFER_WRITING | BUFFER_READING);
        flags = spin_lock_irqsave(&cache.lock);
        if (!(b->state & (BUFFER_WRITING | BUFFER_READING)))
            break;
        spin_unlock_irqrestore(&cache.lock, flags);
    }
    atomic_and(&b->state, ~(u32)(BUFFER_DIRTY | BUFFER_UPTODATE | BUFFER_DATA));
    list_remove(&b->dirty_link);
    spin_unlock_irqrestore(&cache.lock, flags);
    buffer_put(b);
}

bool buffer_claim(struct buffer *b, bool *was_dirty)
{
    u64 flags = spin_lock_irqsave(&cache.lock);
    bool is_writing = (b->state & BUFFER_WRITING) != 0;

    if (!is_writing) {
        *was_dirty = (atomic_and(&b->state, ~(u32)BUFFER_DIRTY) & BUFFER_DIRTY) != 0;
        list_remove(&b->dirty_link);
    }
    spin_unlock_irqrestore(&cache.lock, flags);
    return !is_writing;
}

void buffer_wait_written(struct buffer *b) { wait_while(b, BUFFER_WRITING); }

void buffer_discard(struct buffer *b)
{
    u64 flags = spin_lock_irqsave(&cache.lock);

    atomic_and(&b->state, ~(u32)(BUFFER_DIRTY | BUFFER_UPTODATE | BUFFER_DATA));
    list_remove(&b->dirty_link);
    spin_unlock_irqrestore(&cache.lock, flags);
}

/* One call's writes. Lives on the caller's stack until `pending` is 0. */
struct write_batch {
    u32 pending; /* requests under way, plus one while they are being made */
    int error;
};

struct write_request {
    struct block_request request;
    struct write_batch *batch;
    struct buffer **buffers; /* n_segments of them, referenced */
    struct block_segment segments[BLOCK_MAX_SEGMENTS];
};

static void written(struct buffer *b, int error)
{
    u64 flags = spin_lock_irqsave(&cache.lock);

    if (error != 0)
        atomic_or(&b->state, (u32)BUFFER_ERROR);
    atomic_and(&b->state, ~(u32)BUFFER_WRITING);
    spin_unlock_irqrestore(&cache.lock, flags);
    buffer_put(b);
}

static void write_done(struct block_request *request)
{
    struct write_request *r = container_of(request, struct write_request, request);
    struct write_batch *batch = r->batch;

    for (unsigned i = 0; i < request->n_segments; i++)
        written(r->buffers[i], request->error);
    if (request->error != 0)
        store_relaxed(&batch->error, request->error);
    kfree(r);
    atomic_sub(&batch->pending, 1);
    wake_all(&cache.waiters);
}

/* Writes the N contiguous BUFFERS by one request. */
static void write_run(struct write_batch *batch, struct buffer **buffers, unsigned n)
{
    struct write_request *r = kzalloc(sizeof(*r));

    if (r == NULL) { /* one by one, without memory of its own */
        for (unsigned i = 0; i < n; i++) {
            struct buffer *b = buffers[i];
            int error = block_transfer(b->device, BLOCK_WRITE, b->block * (b->size / SECTOR_SIZE), b->data, b->size);

            written(b, error);
            if (error != 0)
                store_relaxed(&batch->error, error);
        }
        wake_all(&cache.waiters);
        return;
    }
    r->batch = batch;
    r->buffers = buffers;
    for (unsigned i = 0; i < n; i++)
        r->segments[i] = (struct block_segment){buffers[i]->data, buffers[i]->size};
    list_init(&r->request.link);
    r->request.device = buffers[0]->device;
    r->request.op = BLOCK_WRITE;
    r->request.sector = buffers[0]->block * (buffers[0]->size / SECTOR_SIZE);
    r->request.segments = r->segments;
    r->request.n_segments = n;
    r->request.done = write_done;
    atomic_add_relaxed(&batch->pending, 1);
    block_submit(&r->request);
}

static void sift_down(struct buffer **a, unsigned at, unsigned n)
{
    for (;;) {
        unsigned child = 2 * at + 1;
        struct buffer *b = a[at];

        if (child >= n)
            return;
        if (child + 1 < n && a[child + 1]->block > a[child]->block)
            child++;
        if (a[child]->block <= b->block)
            return;
        a[at] = a[child];
        a[child] = b;
        at = child;
    }
}

static void sort_by_block(struct buffer **a, unsigned n)
{
    for (unsigned i = n / 2; i-- > 0;)
        sift_down(a, i, n);
    for (unsigned end = n; end-- > 1;) {
        struct buffer *b = a[0];

        a[0] = a[end];
        a[end] = b;
        sift_down(a, 0, end);
    }
}

/* Up to BATCH dirty buffers of DEVICE, from the front of the list, become WRITING. *LEFT counts down what may still be
 * taken. */
static unsigned pick(struct block_device *device, struct buffer **picked, u64 *left)
{
    u64 flags = spin_lock_irqsave(&cache.lock);
    struct buffer *b, *next;
    unsigned n = 0;

    list_for_each_safe(b, next, &cache.dirty, dirty_link) {
        if (n == BATCH || *left == 0)
            break;
        if (b->device != device)
            continue;
        list_remove(&b->dirty_link);
        atomic_or(&b->state, (u32)BUFFER_WRITING);
        atomic_and(&b->state, ~(u32)(BUFFER_DIRTY | BUFFER_ERROR));
        atomic_add_relaxed(&b->refs, 1);
        picked[n++] = b;
        (*left)--;
    }
    spin_unlock_irqrestore(&cache.lock, flags);
    return n;
}

static int write_picked(struct block_device *device, struct buffer **picked, unsigned n)
{
    struct write_batch batch = {.pending = 1};

    sort_by_block(picked, n);
    for (unsigned first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && end - first < device->max_segments && end - first < BLOCK_MAX_SEGMENTS; end++)
            if (picked[end]->block != picked[end - 1]->block + 1)
                break;
        write_run(&batch, &picked[first], end - first);
    }
    atomic_sub(&batch.pending, 1);
    wait_event(&cache.waiters, load_acquire(&batch.pending) == 0);
    return batch.error;
}

static u64 count_dirty(struct block_device *device)
{
    u64 n = 0, flags = spin_lock_irqsave(&cache.lock);
    struct buffer *b;

    list_for_each(b, &cache.dirty, dirty_link)
        n += b->device == device;
    spin_unlock_irqrestore(&cache.lock, flags);
    return n;
}

int buffer_sync(struct block_device *device)
{
    static struct buffer *picked[BATCH]; /* under write_lock */
    u64 left;
    unsigned n;
    int error = 0;

    mutex_lock(&cache.write_lock);
    left = count_dirty(device);
    while (left > 0 && (n = pick(device, picked, &left)) > 0) {
        int this_error = write_picked(device, picked, n);

        if (error == 0)
            error = this_error;
    }
    mutex_unlock(&cache.write_lock);
    return error;
}

/* The dirty ones of BUFFERS become WRITING and go to the front of the array: how many. */
static unsigned pick_dirty(struct buffer **buffers, unsigned n)
{
    u64 flags = spin_lock_irqsave(&cache.lock);
    unsigned picked = 0;

    for (unsigned i = 0; i < n; i++) {
        struct buffer *b = buffers[i];

        if (!(b->state & BUFFER_DIRTY))
            continue;
        list_remove(&b->dirty_link);
        atomic_or(&b->state, (u32)BUFFER_WRITING);
        atomic_and(&b->state, ~(u32)(BUFFER_DIRTY | BUFFER_ERROR));
        atomic_add_relaxed(&b->refs, 1);
        buffers[i] = buffers[picked];
        buffers[picked++] = b;
    }
    spin_unlock_irqrestore(&cache.lock, flags);
    return picked;
}

int buffer_write_many(struct block_device *device, struct buffer **buffers, unsigned n)
{
    unsigned picked;
    int error;

    mutex_lock(&cache.write_lock); /* who has it waits for what it writes: nobody else is writing then */
    picked = pick_dirty(buffers, n);
    error = picked > 0 ? write_picked(device, buffers, picked) : 0;
    mutex_unlock(&cache.write_lock);
    return error;
}

int buffer_write(struct buffer *b) { return buffer_write_many(b->device, &b, 1); }

/* ---- giving memory back ---- */

/* Takes up to N bytes' worth of buffers off the LRU list and frees them: how many bytes. DEVICE NULL: any. */
static u64 free_unused(struct block_device *device, u64 bytes)
{
    struct list victims = LIST_INIT(victims);
    struct buffer *b, *next;
    u64 freed = 0, flags = spin_lock_irqsave(&cache.lock);

    list_for_each_safe(b, next, &cache.lru, lru_link) {
        if (freed >= bytes)
            break;
        if (device != NULL && b->device != device)
            continue;
        list_remove(&b->hash_link);
        list_remove(&b->lru_link);
        list_add(&victims, &b->lru_link);
        freed += b->size;
    }
    cache.bytes -= freed;
    spin_unlock_irqrestore(&cache.lock, flags);
    list_for_each_safe(b, next, &victims, lru_link)
        free_buffer(b);
    return freed;
}

/* Buffers that nobody uses and nobody will write any more are no longer dirty. */
static void abandon_dirty(struct block_device *device)
{
    u64 flags = spin_lock_irqsave(&cache.lock);
    struct buffer *b, *next;

    list_for_each_safe(b, next, &cache.dirty, dirty_link) {
        if (b->device != device || load_relaxed(&b->refs) != 0)
            continue;
        atomic_and(&b->state, ~(u32)BUFFER_DIRTY);
        list_remove(&b->dirty_link);
        park_if_clean(b);
    }
    spin_unlock_irqrestore(&cache.lock, flags);
}

void buffer_drop(struct block_device *device)
{
    abandon_dirty(device);
    free_unused(device, UINT64_MAX);
}

u64 buffer_pages(void) { return DIV_ROUND_UP(load_relaxed(&cache.bytes), PAGE_SIZE); }

static u64 shrink(u64 n_pages) { return free_unused(NULL, n_pages * PAGE_SIZE) / PAGE_SIZE; }

void buffer_init(void)
{
    static struct shrinker shrinker = {.shrink = shrink, .name = "buffers"};

    for (unsigned i = 0; i < HASH_BUCKETS; i++)
        list_init(&cache.hash[i]);
    list_init(&cache.lru);
    list_init(&cache.dirty);
    mutex_init(&cache.write_lock);
    wait_queue_init(&cache.waiters);
    shrinker_register(&shrinker);
}
