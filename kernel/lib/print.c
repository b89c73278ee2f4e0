/*
 * Kernel messages. Records lie one after the other in a ring of bytes, header first, each at a multiple of 8 bytes and
 * none across the end (a header with PADDING fills the rest); the oldest are overwritten. `klog=ram` keeps them off the
 * console.
 *
 * Locks: ring.lock, console_lock (irqsave; only the console driver's own is taken under the latter). Readers of
 * /dev/kmsg are woken from kprintf itself only when interrupts are on, since a caller with interrupts off may hold a
 * run queue's lock; otherwise by the next timer interrupt.
 */
#include "lib/print.h"
#include "lib/cmdline.h"
#include "lib/kmsg.h"
#include "lib/string.h"
#include "sched/wait.h"

#define PADDING 0xffff
#define ALIGNMENT 8
#define DEFAULT_LEVEL 6
#define MAX_FORMATTED 400 /* bytes of a kprintf */

struct header {
    u64 time_ns;
    u16 length; /* of the text behind it, or PADDING */
    u8 level;
    u8 unused[5];
};
static_assert(sizeof(struct header) % ALIGNMENT == 0, "texts follow aligned headers");

static struct {
    struct spinlock lock;
    u64 first_sequence, next_sequence;
    size_t first, next; /* offsets of the oldest record and of the free space behind the newest */
    char bytes[KMSG_RING_SIZE] __attribute__((aligned(ALIGNMENT)));
} ring;

struct wait_queue kmsg_readers = WAIT_QUEUE_INIT(kmsg_readers);
static u32 readers_due; /* 0 or 1 */
static void (*console_write)(const char *text, size_t length);
static void (*console_flush)(void);
static struct spinlock console_lock; /* irqsave; keeps lines whole */

static struct header *header_at(size_t offset) { return (struct header *)(ring.bytes + offset); }
static size_t record_size(size_t length) { return ALIGN_UP(sizeof(struct header) + length, (size_t)ALIGNMENT); }

/* The record behind the one at OFFSET. => lock held, OFFSET is a record */
static size_t next_record(size_t offset)
{
    offset += record_size(header_at(offset)->length);
    if (offset + sizeof(struct header) > KMSG_RING_SIZE ||
        (offset != ring.next && header_at(offset)->length == PADDING))
        offset = 0;
    return offset;
}

static bool ring_is_empty(void) { return ring.first_sequence == ring.next_sequence; }

/* Drops the oldest records that lie in [from, to). => lock held */
static void make_room(size_t from, size_t to)
{
    while (!ring_is_empty() && ring.first >= from && ring.first < to) {
        ring.first = next_record(ring.first);
        ring.first_sequence++;
    }
}

/* => lock held */
static void append(u8 level, const char *text, size_t length)
{
    size_t size = record_size(length);
    struct header *h;

    if (ring.next + size > KMSG_RING_SIZE) {
        make_room(ring.next, KMSG_RING_SIZE);
        if (ring.next + sizeof(struct header) <= KMSG_RING_SIZE)
            header_at(ring.next)->length = PADDING;
        ring.next = 0;
    }
    make_room(ring.next, ring.next + size);
    if (ring_is_empty())
        ring.first = ring.next;
    h = header_at(ring.next);
    h->time_ns = time_ns();
    h->length = (u16)length;
    h->level = level;
    memcpy(h + 1, text, length);
    ring.next += size;
    if (ring.next + sizeof(struct header) > KMSG_RING_SIZE)
        ring.next = 0;
    ring.next_sequence++;
}

u64 kmsg_first(void) { return load_relaxed(&ring.first_sequence); }
u64 kmsg_next(void) { return load_relaxed(&ring.next_sequence); }

/* Where a reader was last, so that reading the ring from end to end takes linear time. Under the lock. */
static struct {
    u64 sequence;
    size_t offset;
} reading;

/* => lock held, SEQUENCE is in the ring */
static size_t find_record(u64 sequence)
{
    u64 at = ring.first_sequence;
    size_t offset = ring.first;

    if (reading.sequence >= at && reading.sequence <= sequence) {
        at = reading.sequence;
        offset = reading.offset;
    }
    for (; at < sequence; at++)
        offset = next_record(offset);
    reading.sequence = sequence;
    reading.offset = offset;
    return offset;
}

bool kmsg_read(u64 sequence, struct kmsg_record *record, char *text, size_t size)
{
    u64 flags = spin_lock_irqsave(&ring.lock);
    const struct header *h;

    if (sequence >= ring.next_sequence) {
        spin_unlock_irqrestore(&ring.lock, flags);
        return false;
    }
    sequence = MAX(sequence, ring.first_sequence);
    h = header_at(find_record(sequence));
    *record = (struct kmsg_record){.sequence = sequence, .time_ns = h->time_ns, .level = h->level, .length = h->length};
    memcpy(text, h + 1, MIN(size, (size_t)h->length));
    spin_unlock_irqrestore(&ring.lock, flags);
    return true;
}

void kmsg_wake_readers(void)
{
    if (load_relaxed(&readers_due) && atomic_swap(&readers_due, 0))
        wake_all(&kmsg_readers);
}

static void write_polled(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n')
            arch_console_putc('\r');
        arch_console_putc(text[i]);
    }
}

static bool console_is_silent(void)
{
    static s8 silent = -1; /* not known yet */
    const char *klog;

    if (silent < 0) {
        if (machine.command_line == NULL)
            return false;
        klog = cmdline_get("klog");
        silent = klog != NULL && strcmp(klog, "ram") == 0;
    }
    return silent;
}

/* In pieces, without a buffer: kernel stacks are small. */
static void write_console_line(const char *text, size_t length)
{
    void (*write)(const char *, size_t) = load_acquire(&console_write);
    char stamp[24];
    u64 now = time_ns(), flags;
    size_t n =
        (size_t)snprintf(stamp, sizeof(stamp), "[%5lu.%06lu] ", now / NSEC_PER_SEC, now % NSEC_PER_SEC / NSEC_PER_USEC);

    if (write == NULL)
        write = write_polled;
    flags = spin_lock_irqsave(&console_lock);
    write(stamp, MIN(n, sizeof(stamp) - 1));
    write(text, length);
    write("\n", 1);
    spin_unlock_irqrestore(&console_lock, flags);
}

void kmsg_write(u8 level, const char *text, size_t length)
{
    u64 flags;

    if (length > 0 && text[length - 1] == '\n')
        length--;
    length = MIN(length, (size_t)KMSG_MAX_LENGTH);
    flags = spin_lock_irqsave(&ring.lock);
    append(level, text, length);
    spin_unlock_irqrestore(&ring.lock, flags);
    store_release(&readers_due, 1);
    if (irqs_enabled())
        kmsg_wake_readers();
    if (!console_is_silent())
        write_console_line(text, length);
}

void kprintf(const char *fmt, ...)
{
    char text[MAX_FORMATTED + 1];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    kmsg_write(DEFAULT_LEVEL, text, MIN((size_t)n, sizeof(text) - 1));
}

void console_register(void (*write)(const char *text, size_t length), void (*flush)(void))
{
    console_flush = flush;
    store_release(&console_write, write);
}

void console_emergency_write(const char *text, size_t length)
{
    void (*flush)(void) = atomic_swap(&console_flush, NULL);

    if (flush != NULL)
        flush();
    write_polled(text, length);
}

void console_emergency_printf(const char *fmt, ...)
{
    char text[256];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    console_emergency_write(text, MIN((size_t)n, sizeof(text) - 1));
}
