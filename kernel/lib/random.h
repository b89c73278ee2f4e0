/* Random numbers for keys, addresses and programs: a ChaCha20 generator (dev/random.c) that never blocks. */
#ifndef LIB_RANDOM_H
#define LIB_RANDOM_H

#include "lib/types.h"

/* Seeds the generator from what boot knows; before it the clock alone does. Called once the device tree can be read. */
void random_init(void);
/* N unpredictable bytes. Callable anywhere, also in interrupts. */
void random_bytes(void *buffer, size_t n);
static inline u64 random_u64(void)
{
    u64 value;

    random_bytes(&value, sizeof(value));
    return value;
}
/* Mixes bytes in that somebody might not know (a device's times, a write to /dev/urandom). They never make things
 * worse. Callable anywhere. */
void random_add(const void *bytes, size_t n);
/* An event whose exact time is hard to guess happened; cheap enough for interrupt handlers. */
void random_add_event(u64 what);

#endif
