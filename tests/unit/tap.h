/*
 * The Test Anything Protocol for unit tests on the host: CHECK each fact, end main with `return tap_done();`.
 */
#ifndef TESTS_UNIT_TAP_H
#define TESTS_UNIT_TAP_H

#include <stdarg.h>
#include <stdio.h>

static int tap_count, tap_failures;

/* One test point, named by a format; returns OK. */
__attribute__((format(printf, 2, 3), unused)) static int tap_ok(int ok, const char *fmt, ...)
{
    va_list args;

    printf("%sok %d - ", ok ? "" : "not ", ++tap_count);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
    if (!ok)
        tap_failures++;
    return ok;
}

/* CHECK(condition, "name %d", ...): on failure also says where. */
#define CHECK(cond, ...)                                                                                               \
    do {                                                                                                               \
        if (!tap_ok(!!(cond), __VA_ARGS__))                                                                            \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #cond);                                                        \
    } while (0)

__attribute__((unused)) static int tap_done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failures != 0;
}

#endif
