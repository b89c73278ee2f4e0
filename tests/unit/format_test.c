/* vsnprintf against the C library's. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

#define vsnprintf quire_vsnprintf
#define snprintf quire_snprintf
#include "lib/format.c"
#undef vsnprintf
#undef snprintf
int snprintf(char *buf, size_t size, const char *fmt, ...);
int vsnprintf(char *buf, size_t size, const char *fmt, va_list args);

static char ours[200], theirs[200];
static int our_length, their_length;

#define FORMAT(size, ...)                                     \
    do {                                                      \
        memset(ours, 'x', sizeof(ours));                      \
        memset(theirs, 'x', sizeof(theirs));                  \
        our_length = quire_snprintf(ours, size, __VA_ARGS__); \
        their_length = snprintf(theirs, size, __VA_ARGS__);   \
    } while (0)
#define AGREE(name, ...)                                                                          \
    do {                                                                                          \
        FORMAT(sizeof(ours), __VA_ARGS__);                                                        \
        CHECK(our_length == their_length && strcmp(ours, theirs) == 0, "%s: '%s'", name, theirs); \
    } while (0)

int main(void)
{
    static const char *const formats[] = {"%d",      "%5d",    "%-5d|", "%05d",  "%+d",   "% d",   "%.3d",   "%8.3d",
                                          "%-8.3d|", "%+.0d",  "%u",    "%x",    "%#x",   "%X",    "%#010x", "%o",
                                          "%#o",     "%hhd",   "%hd",   "%hhu",  "%#.4x", "%+05d", "%-+6d|", "%08.3d",
                                          "%#8x",    "%-#8x|", "%.0u",  "%3u%%", "%+5u",  "%i"};
    static const int values[] = {0, 1, -1, 42, 65535, 1 << 30, -2147483647 - 1};

    for (unsigned f = 0; f < ARRAY_SIZE(formats); f++)
        for (unsigned v = 0; v < ARRAY_SIZE(values); v++)
            AGREE(formats[f], formats[f], values[v]);
    AGREE("long", "%ld %lu %lx %lld", -1234567890123l, ~0ul, 0xdeadbeefcafel, -9223372036854775807ll);
    AGREE("size", "%zu %zd %jd %td", (size_t)~0ul, (ssize_t)-1, (intmax_t)-5, (ptrdiff_t)7);
    AGREE("string", "%s|%10s|%-10s|%.2s|%-6.3s|", "abc", "abc", "abc", "abc", "abcdef");
    AGREE("char", "%c%3c%-3c|", 'a', 'b', 'c');
    AGREE("star", "%*d|%-*d|%.*s|%*d", 6, 42, 6, 42, 2, "abc", -6, 42);
    AGREE("pointer", "%p", (void *)0x1234);
    AGREE("percent", "100%%");
    for (size_t size = 0; size < 12; size++) {
        FORMAT(size, "%d-%s", 12345, "abc");
        CHECK(our_length == their_length && memcmp(ours, theirs, sizeof(ours)) == 0, "cut at %zu bytes", size);
    }
    quire_snprintf(ours, sizeof(ours), "%.4s", (char[]){'a', 'b', 'c', 'd'});
    CHECK(strcmp(ours, "abcd") == 0, "a precision bounds what is read of a string");
    return tap_done();
}
