/*
 * The kernel's messages: a ring of records, numbered from 0, that /dev/kmsg and syslog(2) read, and the console they go
 * to.
 */
#ifndef LIB_KMSG_H
#define LIB_KMSG_H

#include "lib/types.h"

struct wait_queue;

struct kmsg_record {
    u64 sequence;
    u64 time_ns; /* monotonic */
    u8 level;    /* syslog's: 6 = informational */
    u16 length;  /* of the text, without a final newline */
};

#define KMSG_MAX_LENGTH 1000 /* longer messages are cut */
#define KMSG_RING_SIZE (128 * KIB)

u64 kmsg_first(void); /* sequence number of the oldest record that is still there */
u64 kmsg_next(void);  /* the number that the next message will get */
/* Copies the record SEQUENCE, or the oldest if that is gone already; its text, at most SIZE bytes, without NUL.
 * False: not written yet. */
bool kmsg_read(u64 sequence, struct kmsg_record *record, char *text, size_t size);
/* Writes a message of another source (a write to /dev/kmsg). */
void kmsg_write(u8 level, const char *text, size_t length);
/* Woken after new messages (in an interrupt a little later when they were written with interrupts off). */
extern struct wait_queue kmsg_readers;
/* Called by the timer interrupt and the idle loop: wakes readers that kprintf could not. */
void kmsg_wake_readers(void);

/* The console's driver takes over from arch_console_putc; WRITE is callable anywhere (NULL: back to polled output).
 * It gets lines ending in "\n" and adds "\r" itself. FLUSH (NULL: nothing) sends what is queued by polling, without
 * locks: a panic calls it once before it writes. */
void console_register(void (*write)(const char *text, size_t length), void (*flush)(void));
/* Straight to the machine's console by polling, for panics. */
void console_emergency_write(const char *text, size_t length);
void console_emergency_printf(const char *fmt, ...) printf_like(1, 2);

#endif
