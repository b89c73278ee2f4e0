/* Kernel messages and formatted strings. */
#ifndef LIB_PRINT_H
#define LIB_PRINT_H

#include "lib/types.h"

/* C99's formats without floating point. Return the length that the whole would have. */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list args) printf_like(3, 0);
int snprintf(char *buf, size_t size, const char *fmt, ...) printf_like(3, 4);

/* One message to the log ring (/dev/kmsg) and, unless the command line says `klog=ram`, to the console.
 * Callable anywhere, also with locks held and in interrupts. */
void kprintf(const char *fmt, ...) printf_like(1, 2);

/* Says why, prints registers and a backtrace on the console after the line "@@PANIC@@", stops the other harts and
 * ends the machine with status 3. Never for user input. */
noreturn_fn void panic(const char *fmt, ...) printf_like(1, 2);

#define ASSERT_ALWAYS(cond)                                                                                            \
    do {                                                                                                               \
        if (unlikely(!(cond)))                                                                                         \
            panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #cond);                                           \
    } while (0)
#ifdef DEBUG
#define ASSERT(cond) ASSERT_ALWAYS(cond)
#else
#define ASSERT(cond) ((void)sizeof(!(cond)))
#endif

#endif
