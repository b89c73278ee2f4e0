/*
 * The virtio transport over memory-mapped registers (VIRTIO 1.2, 4.2), versions 2 and 1 (legacy), and split queues
 * (2.7).
 *
 * A queue's three parts lie in one block of pages as the legacy interface prescribes; version 2 takes their addresses
 * one by one:
 *
 *   | descriptors: 16 * size | available: 6 + 2 * size | padding to 4096 | used: 6 + 8 * size |
 */
#include "dev/virtio.h"
#include "arch/riscv/arch.h"
#include "lib/endian.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/string.h"
#include "vm/kmalloc.h"
#include "vm/page.h"

enum { /* register offsets, 4.2.2 and 4.2.4 */
       REG_MAGIC = 0x000,
       REG_VERSION = 0x004,
       REG_DEVICE_ID = 0x008,
       REG_DEVICE_FEATURES = 0x010,
       REG_DEVICE_FEATURES_SEL = 0x014,
       REG_DRIVER_FEATURES = 0x020,
       REG_DRIVER_FEATURES_SEL = 0x024,
       REG_GUEST_PAGE_SIZE = 0x028,
       REG_QUEUE_SEL = 0x030,
       REG_QUEUE_NUM_MAX = 0x034,
       REG_QUEUE_NUM = 0x038,
       REG_QUEUE_ALIGN = 0x03c,
       REG_QUEUE_PFN = 0x040,
       REG_QUEUE_READY = 0x044,
       REG_QUEUE_NOTIFY = 0x050,
       REG_INTERRUPT_STATUS = 0x060,
       REG_INTERRUPT_ACK = 0x064,
       REG_STATUS = 0x070,
       REG_QUEUE_DESC = 0x080,
       REG_QUEUE_AVAIL = 0x090,
       REG_QUEUE_USED = 0x0a0,
       REG_CONFIG_GENERATION = 0x0fc,
       REG_CONFIG = 0x100,
};
#define VIRTIO_MAGIC 0x74726976 /* "virt" */
enum { STATUS_ACKNOWLEDGE = 1, STATUS_DRIVER = 2, STATUS_DRIVER_OK = 4, STATUS_FEATURES_OK = 8, STATUS_FAILED = 128 };

struct virtq_avail {
    le16 flags, index;
    le16 ring[];
};
struct virtq_used_element {
    le32 id, length;
};
struct virtq_used {
    le16 flags, index;
    struct virtq_used_element ring[];
};
#define VIRTQ_USED_NO_NOTIFY 1
#define LEGACY_ALIGN 4096

static u32 read_register(const struct virtio_device *d, unsigned offset)
{
    return *(volatile u32 *)(d->registers + offset);
}
static void write_register(struct virtio_device *d, unsigned offset, u32 value)
{
    *(volatile u32 *)(d->registers + offset) = value;
}
static void add_status(struct virtio_device *d, u32 bits)
{
    write_register(d, REG_STATUS, read_register(d, REG_STATUS) | bits);
}

u32 virtio_config32(struct virtio_device *d, unsigned offset) { return read_register(d, REG_CONFIG + offset); }

u64 virtio_config64(struct virtio_device *d, unsigned offset)
{
    u32 generation;
    u64 value;

    do { /* both halves of one moment */
        generation = d->legacy ? 0 : read_register(d, REG_CONFIG_GENERATION);
        value = virtio_config32(d, offset) | (u64)virtio_config32(d, offset + 4) << 32;
    } while (!d->legacy && read_register(d, REG_CONFIG_GENERATION) != generation);
    return value;
}

int virtio_negotiate(struct virtio_device *d, u64 wanted)
{
    u64 offered;

    if (!d->legacy)
        wanted |= VIRTIO_F_VERSION_1;
    write_register(d, REG_DEVICE_FEATURES_SEL, 0);
    offered = read_register(d, REG_DEVICE_FEATURES);
    write_register(d, REG_DEVICE_FEATURES_SEL, 1);
    offered |= (u64)read_register(d, REG_DEVICE_FEATURES) << 32;
    d->features = offered & wanted;
    write_register(d, REG_DRIVER_FEATURES_SEL, 0);
    write_register(d, REG_DRIVER_FEATURES, (u32)d->features);
    write_register(d, REG_DRIVER_FEATURES_SEL, 1);
    write_register(d, REG_DRIVER_FEATURES, (u32)(d->features >> 32));
    if (d->legacy) {
        write_register(d, REG_GUEST_PAGE_SIZE, LEGACY_ALIGN);
        return 0;
    }
    if (!(d->features & VIRTIO_F_VERSION_1))
        return -EIO;
    add_status(d, STATUS_FEATURES_OK);
    return read_register(d, REG_STATUS) & STATUS_FEATURES_OK ? 0 : -EIO;
}

static void write_address(struct virtio_device *d, unsigned offset, const volatile void *p)
{
    u64 address = virt_to_phys((const void *)p);

    write_register(d, offset, (u32)address);
    write_register(d, offset + 4, (u32)(address >> 32));
}

static void tell_queue_address(struct virtio_device *d, struct virtqueue *q)
{
    write_register(d, REG_QUEUE_NUM, q->size);
    if (d->legacy) {
        write_register(d, REG_QUEUE_ALIGN, LEGACY_ALIGN);
        write_register(d, REG_QUEUE_PFN, (u32)(virt_to_phys(q->desc) / LEGACY_ALIGN));
        return;
    }
    write_address(d, REG_QUEUE_DESC, q->desc);
    write_address(d, REG_QUEUE_AVAIL, q->avail);
    write_address(d, REG_QUEUE_USED, q->used);
    write_register(d, REG_QUEUE_READY, 1);
}

static unsigned order_of(size_t bytes)
{
    unsigned order = 0;

    while ((PAGE_SIZE << order) < bytes)
        order++;
    return order;
}

int virtio_queue_init(struct virtio_device *d, struct virtqueue *q, unsigned index, unsigned max_size)
{
    size_t used_at, bytes;
    struct page *page;
    unsigned size;

    write_register(d, REG_QUEUE_SEL, index);
    size = MIN(read_register(d, REG_QUEUE_NUM_MAX), max_size);
    while ((size & (size - 1)) != 0)
        size &= size - 1; /* the largest power of two */
    if (size == 0)
        return -ENODEV;
    used_at = ALIGN_UP(size * sizeof(struct virtq_desc) + sizeof(struct virtq_avail) + (size + 1) * sizeof(le16),
                       (size_t)LEGACY_ALIGN);
    bytes = used_at + sizeof(struct virtq_used) + size * sizeof(struct virtq_used_element) + sizeof(le16);
    page = page_alloc_order(order_of(bytes), 0);
    q->tokens = kzalloc(size * sizeof(void *));
    if (page == NULL || q->tokens == NULL)
        return -ENOMEM;
    memset(page_address(page), 0, bytes);
    q->device = d;
    q->index = index;
    q->size = size;
    q->desc = page_address(page);
    q->avail = (void *)(q->desc + size);
    q->used = (void *)((char *)q->desc + used_at);
    q->free_head = 0;
    q->n_free = (u16)size;
    q->next_avail = q->last_used = 0;
    for (unsigned i = 0; i < size; i++)
        q->desc[i].next = to_le16((u16)(i + 1));
    tell_queue_address(d, q);
    return 0;
}

static u16 take_descriptor(struct virtqueue *q)
{
    u16 i = q->free_head;

    q->free_head = from_le16(q->desc[i].next);
    q->n_free--;
    return i;
}

static u16 add_indirect(struct virtqueue *q, struct virtq_desc *table, unsigned n)
{
    u16 head = take_descriptor(q);

    for (unsigned i = 0; i + 1 < n; i++) {
        table[i].flags |= to_le16(VIRTQ_DESC_NEXT);
        table[i].next = to_le16((u16)(i + 1));
    }
    q->desc[head].address = to_le64(virt_to_phys(table));
    q->desc[head].length = to_le32((u32)(n * sizeof(*table)));
    q->desc[head].flags = to_le16(VIRTQ_DESC_INDIRECT);
    return head;
}

static u16 add_chain(struct virtqueue *q, const struct virtq_desc *table, unsigned n)
{
    u16 head = take_descriptor(q), at = head;

    for (unsigned i = 0;; i++) {
        q->desc[at].address = table[i].address;
        q->desc[at].length = table[i].length;
        q->desc[at].flags = table[i].flags;
        if (i + 1 == n)
            return head;
        q->desc[at].flags |= to_le16(VIRTQ_DESC_NEXT);
        q->desc[at].next = to_le16(take_descriptor(q));
        at = from_le16(q->desc[at].next);
    }
}

int virtqueue_add(struct virtqueue *q, struct virtq_desc *table, unsigned n, bool indirect, void *token)
{
    u16 head;

    if (q->n_free < (indirect ? 1 : n))
        return -ENOSPC;
    head = indirect ? add_indirect(q, table, n) : add_chain(q, table, n);
    q->tokens[head] = token;
    q->avail->ring[q->next_avail % q->size] = to_le16(head);
    q->next_avail++;
    memory_barrier(); /* the device sees the chain before the index that offers it */
    q->avail->index = to_le16(q->next_avail);
    return 0;
}

void virtqueue_kick(struct virtqueue *q)
{
    memory_barrier(); /* index before flags */
    if (!(from_le16(q->used->flags) & VIRTQ_USED_NO_NOTIFY)) {
        __asm__ volatile("fence w, o" ::: "memory");
        write_register(q->device, REG_QUEUE_NOTIFY, q->index);
    }
}

static void free_chain(struct virtqueue *q, u16 head)
{
    u16 last = head, n = 1;

    while ((from_le16(q->desc[last].flags) & VIRTQ_DESC_NEXT) && n < q->size) {
        last = from_le16(q->desc[last].next);
        n++;
    }
    q->desc[last].next = to_le16(q->free_head);
    q->free_head = head;
    q->n_free = (u16)(q->n_free + n);
}

void *virtqueue_take(struct virtqueue *q, u32 *length)
{
    void *token;
    u32 head;

    for (;;) {
        if (from_le16(q->used->index) == q->last_used)
            return NULL;
        memory_barrier(); /* the index before the element */
        head = from_le32(q->used->ring[q->last_used % q->size].id);
        *length = from_le32(q->used->ring[q->last_used % q->size].length);
        q->last_used++;
        if (head >= q->size || q->tokens[head] == NULL)
            continue; /* a device that makes things up */
        token = q->tokens[head];
        q->tokens[head] = NULL;
        free_chain(q, (u16)head);
        return token;
    }
}

void virtio_ready(struct virtio_device *d) { add_status(d, STATUS_DRIVER_OK); }
void virtio_fail(struct virtio_device *d) { add_status(d, STATUS_FAILED); }

static void handle_interrupt(void *arg)
{
    struct virtio_device *d = arg;
    u32 status = read_register(d, REG_INTERRUPT_STATUS);

    write_register(d, REG_INTERRUPT_ACK, status);
    if (d->interrupt != NULL)
        d->interrupt(d);
}

static void start_device(struct virtio_device *d)
{
    int error = -ENODEV;

    write_register(d, REG_STATUS, 0);
    add_status(d, STATUS_ACKNOWLEDGE);
    add_status(d, STATUS_DRIVER);
    if (irq_register(d->irq, handle_interrupt, d) != 0)
        kprintf("virtio: no interrupt line %u", d->irq);
    else if (d->id == VIRTIO_ID_BLOCK)
        error = virtio_blk_start(d);
    if (error != 0) {
        virtio_fail(d);
        kprintf("virtio: device %u at interrupt %u: error %d", d->id, d->irq, -error);
    }
}

static bool has_driver(u32 id) { return id == VIRTIO_ID_BLOCK; }

static void probe(u64 address, unsigned irq)
{
    struct virtio_device probed = {.registers = phys_to_virt(address), .irq = irq}, *d;
    u32 version = read_register(&probed, REG_VERSION);

    if (read_register(&probed, REG_MAGIC) != VIRTIO_MAGIC || (version != 1 && version != 2))
        return;
    probed.id = read_register(&probed, REG_DEVICE_ID);
    probed.legacy = version == 1;
    if (!has_driver(probed.id))
        return;
    d = kmalloc(sizeof(*d));
    if (d == NULL)
        return;
    *d = probed;
    start_device(d);
}

void virtio_init(void)
{
    u64 below = UINT64_MAX;

    for (;;) { /* the slot with the highest address that has not had its turn */
        u64 best = 0, address, size;
        unsigned best_irq = 0, irq;

        for (unsigned n = 0; fdt_device("virtio,mmio", n, &address, &size, &irq); n++) {
            if (address < below && address > best) {
                best = address;
                best_irq = irq;
            }
        }
        if (best == 0)
            return;
        below = best;
        probe(best, best_irq);
    }
}
