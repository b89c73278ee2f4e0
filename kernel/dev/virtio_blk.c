/*
 * Disks behind virtio (VIRTIO 1.2, 5.2). A request in flight occupies a slot: header, status byte and its table of
 * buffers. Requests that find no slot wait in order on a list, which completions empty; so do slots whose next command
 * finds no room in the ring. Submitting never sleeps.
 *
 *   | header: type, sector | segment | segment | ... | status |      one chain per request
 *
 * `lock` (irqsave) guards the queue, slots and the waiting lists.
 */
#include "arch/riscv/arch.h"
#include "dev/block.h"
#include "dev/virtio.h"
#include "lib/endian.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/page.h"

#define BLK_F_SEG_MAX BIT(2)
#define BLK_F_READ_ONLY BIT(5)
#define BLK_F_BLK_SIZE BIT(6)
#define BLK_F_FLUSH BIT(9)
enum { CONFIG_CAPACITY = 0, CONFIG_SEG_MAX = 12, CONFIG_BLK_SIZE = 20 };
enum { BLK_T_IN = 0, BLK_T_OUT = 1, BLK_T_FLUSH = 4 };
enum { BLK_S_OK = 0 };

#define SLOTS 32
#define QUEUE_SIZE 256 /* without indirect tables: room for some requests */
#define MAX_DISKS 26
#define BLOCK_MAJOR 254
#define MINORS_PER_DISK 16

struct header {
    le32 type, reserved;
    le64 sector;
};

struct slot {
    struct virtq_desc table[BLOCK_MAX_SEGMENTS + 2];
    struct header header;
    u8 status;
    enum { PREFLUSH, TRANSFER, POSTFLUSH } phase; /* a write with both is three commands, one after another */
    struct block_request *request;
    struct slot *next; /* of the list that it is on */
};
static_assert(sizeof(struct slot) <= PAGE_SIZE, "a slot lies in one page, so its parts are physically contiguous");

struct disk {
    struct block_device block;
    struct virtio_device *virtio;
    struct virtqueue queue;
    struct spinlock lock;
    struct slot *free_slots;
    struct slot *unsent; /* in the middle of a request: before those that wait */
    struct list waiting; /* block_request.link */
    bool indirect;
};

static unsigned n_disks;

static void set_buffer(struct virtq_desc *d, const void *address, u32 length, u16 flags)
{
    d->address = to_le64(virt_to_phys(address));
    d->length = to_le32(length);
    d->flags = to_le16(flags);
}

/* Fills the slot's table for its request: how many buffers. */
static unsigned build(struct slot *s)
{
    const struct block_request *r = s->request;
    unsigned n = 0;

    s->header.type = to_le32(s->phase != TRANSFER || r->op == BLOCK_FLUSH ? BLK_T_FLUSH
                             : r->op == BLOCK_READ                        ? BLK_T_IN
                                                                          : BLK_T_OUT);
    s->header.reserved = 0;
    s->header.sector = to_le64(from_le32(s->header.type) == BLK_T_FLUSH ? 0 : r->sector);
    s->status = 0xff;
    set_buffer(&s->table[n++], &s->header, sizeof(s->header), 0);
    if (from_le32(s->header.type) != BLK_T_FLUSH)
        for (unsigned i = 0; i < r->n_segments; i++)
            set_buffer(&s->table[n++], r->segments[i].address, r->segments[i].length,
                       r->op == BLOCK_READ ? VIRTQ_DESC_WRITE : 0);
    set_buffer(&s->table[n++], &s->status, 1, VIRTQ_DESC_WRITE);
    return n;
}

/* => disk->lock. False: the ring has no room; there will be when the device is done with what is in it. */
static bool send(struct disk *disk, struct slot *s)
{
    return virtqueue_add(&disk->queue, s->table, build(s), disk->indirect, s) == 0;
}

/* => disk->lock. Hands waiting requests to the device while there is room. */
static void start_waiting(struct disk *disk)
{
    bool added = false;

    while (disk->unsent != NULL && send(disk, disk->unsent)) {
        disk->unsent = disk->unsent->next;
        added = true;
    }
    while (disk->unsent == NULL && !list_empty(&disk->waiting) && disk->free_slots != NULL) {
        struct block_request *r = list_first(&disk->waiting, struct block_request, link);
        struct slot *s = disk->free_slots;

        s->request = r;
        s->phase = r->op == BLOCK_WRITE && r->preflush && disk->block.write_cache ? PREFLUSH : TRANSFER;
        if (!send(disk, s))
            break;
        disk->free_slots = s->next;
        list_remove(&r->link);
        added = true;
    }
    if (added)
        virtqueue_kick(&disk->queue);
}

static void submit(struct block_request *r)
{
    struct disk *disk = r->device->private;
    u64 flags = spin_lock_irqsave(&disk->lock);

    list_add_tail(&disk->waiting, &r->link);
    start_waiting(disk);
    spin_unlock_irqrestore(&disk->lock, flags);
}

/* Whether the slot's command was not the last one of its request; goes to the next phase. */
static bool has_more(const struct disk *disk, struct slot *s)
{
    const struct block_request *r = s->request;

    if (r->op != BLOCK_WRITE || s->phase == POSTFLUSH || !disk->block.write_cache)
        return false;
    if (s->phase == TRANSFER && !r->fua)
        return false;
    s->phase++;
    return true;
}

/* => disk->lock. The device is done with S: true if the request is, too. */
static bool finish_slot(struct disk *disk, struct slot *s)
{
    struct block_request *r = s->request;

    r->error = *(volatile u8 *)&s->status == BLK_S_OK ? 0 : -EIO;
    if (r->error == 0 && has_more(disk, s)) {
        s->next = disk->unsent;
        disk->unsent = s;
        return false;
    }
    s->next = disk->free_slots;
    disk->free_slots = s;
    return true;
}

static void interrupt(struct virtio_device *virtio)
{
    struct disk *disk = virtio->driver;
    struct list finished = LIST_INIT(finished);
    u64 flags = spin_lock_irqsave(&disk->lock);
    struct slot *s;
    u32 length;

    while ((s = virtqueue_take(&disk->queue, &length)) != NULL) {
        struct block_request *r = s->request;

        if (finish_slot(disk, s))
            list_add_tail(&finished, &r->link);
    }
    start_waiting(disk);
    spin_unlock_irqrestore(&disk->lock, flags);
    while (!list_empty(&finished)) {
        struct block_request *r = list_first(&finished, struct block_request, link);

        list_remove(&r->link);
        block_complete(r);
    }
}

static int allocate_slots(struct disk *disk)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct page *page = page_alloc(0);
        struct slot *s;

        if (page == NULL)
            return -ENOMEM;
        s = page_address(page);
        s->next = disk->free_slots;
        disk->free_slots = s;
    }
    return 0;
}

static void read_config(struct disk *disk)
{
    struct virtio_device *v = disk->virtio;
    unsigned most = BLOCK_MAX_SEGMENTS;

    if (v->features & BLK_F_SEG_MAX)
        most = MIN(most, virtio_config32(v, CONFIG_SEG_MAX));
    if (!disk->indirect)
        most = MIN(most, disk->queue.size - 2);
    disk->block.max_segments = MAX(most, 1u);
    disk->block.sectors = virtio_config64(v, CONFIG_CAPACITY);
    disk->block.read_only = (v->features & BLK_F_READ_ONLY) != 0;
    disk->block.write_cache = (v->features & BLK_F_FLUSH) != 0;
    disk->block.logical_block = v->features & BLK_F_BLK_SIZE ? virtio_config32(v, CONFIG_BLK_SIZE) : SECTOR_SIZE;
}

int virtio_blk_start(struct virtio_device *virtio)
{
    struct disk *disk = n_disks < MAX_DISKS ? kzalloc(sizeof(*disk)) : NULL;
    int error;

    if (disk == NULL)
        return -ENOMEM;
    disk->virtio = virtio;
    virtio->driver = disk;
    list_init(&disk->waiting);
    error =
        virtio_negotiate(virtio, BLK_F_SEG_MAX | BLK_F_READ_ONLY | BLK_F_BLK_SIZE | BLK_F_FLUSH | VIRTIO_F_INDIRECT);
    if (error == 0)
        error = virtio_queue_init(virtio, &disk->queue, 0, QUEUE_SIZE);
    if (error == 0)
        error = allocate_slots(disk);
    if (error != 0)
        return error; /* at boot only: what was allocated is not worth giving back */
    disk->indirect = (virtio->features & VIRTIO_F_INDIRECT) != 0;
    read_config(disk);
    copy_string(disk->block.name, "vda", sizeof(disk->block.name));
    disk->block.name[2] = (char)('a' + n_disks);
    disk->block.dev =
        (BLOCK_MAJOR << 8) | (n_disks * MINORS_PER_DISK & 0xff) | (n_disks * MINORS_PER_DISK & ~0xffu) << 12;
    disk->block.submit = submit;
    disk->block.private = disk;
    n_disks++;
    virtio->interrupt = interrupt;
    virtio_ready(virtio);
    return block_register(&disk->block);
}
