/*
 * Virtio devices behind memory-mapped registers, and their queues ("Virtual I/O Device (VIRTIO) Version 1.2": 2.7 split
 * virtqueues, 4.2 virtio over MMIO; the legacy interface, version 1 of the transport, too).
 *
 *   driver                              device
 *     table of buffers  -> descriptors -> reads, writes them in any order
 *     token                <- used ring <-
 *
 * Locks: none here. A driver serialises all calls on one queue, its interrupt handler included.
 */
#ifndef DEV_VIRTIO_H
#define DEV_VIRTIO_H

#include "lib/types.h"

enum { VIRTIO_ID_BLOCK = 2, VIRTIO_ID_RANDOM = 4 };

/* Features of every device. */
#define VIRTIO_F_INDIRECT BIT(28)
#define VIRTIO_F_VERSION_1 BIT(32)

struct virtq_desc { /* 2.7.5 */
    le64 address;
    le32 length;
    le16 flags;
    le16 next;
};
static_assert(sizeof(struct virtq_desc) == 16, "fixed by the specification");
#define VIRTQ_DESC_NEXT 1
#define VIRTQ_DESC_WRITE 2 /* the device writes it */
#define VIRTQ_DESC_INDIRECT 4

struct virtq_avail;
struct virtq_used;

struct virtqueue {
    struct virtio_device *device;
    unsigned index, size;
    struct virtq_desc *desc;
    volatile struct virtq_avail *avail;
    volatile struct virtq_used *used;
    u16 free_head, n_free, next_avail, last_used;
    void **tokens; /* by the chain's first descriptor */
};

struct virtio_device {
    volatile u8 *registers;
    u32 id;
    unsigned irq;
    bool legacy;
    u64 features;                                    /* negotiated */
    void (*interrupt)(struct virtio_device *device); /* a queue has used buffers; interrupts off */
    void *driver;
};

/* Finds all devices and starts their drivers, the highest address first: the order of QEMU's command line. */
void virtio_init(void);

/* ---- for drivers; START has reset the device and told it that a driver is there ---- */
/* Settles on the features that both sides know. 0 or -EIO. */
int virtio_negotiate(struct virtio_device *device, u64 wanted);
/* A queue of at most MAX_SIZE descriptors. 0, -ENODEV, -ENOMEM. */
int virtio_queue_init(struct virtio_device *device, struct virtqueue *q, unsigned index, unsigned max_size);
/* The device may work from here on. */
void virtio_ready(struct virtio_device *device);
void virtio_fail(struct virtio_device *device);
u32 virtio_config32(struct virtio_device *device, unsigned offset);
u64 virtio_config64(struct virtio_device *device, unsigned offset);

/* Offers the N buffers of TABLE (address, length, WRITE flag are set; what the device reads comes first). INDIRECT: the
 * device reads TABLE itself, which must stay until it is used and lie in the direct map. -ENOSPC: no descriptors left.
 */
int virtqueue_add(struct virtqueue *q, struct virtq_desc *table, unsigned n, bool indirect, void *token);
/* Tells the device of what was added. */
void virtqueue_kick(struct virtqueue *q);
/* The token of the next chain that the device has finished with, or NULL. */
void *virtqueue_take(struct virtqueue *q, u32 *length);

/* The drivers. 0 or why the device is left alone. */
int virtio_blk_start(struct virtio_device *device);

#endif
