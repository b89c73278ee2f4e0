/*
 * Memory and string functions. The copies work in whole words: both sides aligned alike is a plain loop, otherwise each
 * destination word is put together from two aligned source words, so that nothing depends on misaligned accesses being
 * fast (on many harts the firmware emulates them).
 *
 * An aligned word that holds at least one byte of the source lies in the source's pages, so reading all of it is safe.
 */
#include "lib/string.h"
#include "arch/riscv/arch.h"

#define WORD sizeof(u64)

/* May alias anything: memory of every type passes through here. */
typedef u64 __attribute__((may_alias)) word;

static bool is_word_aligned(const void *p) { return ((u64)p & (WORD - 1)) == 0; }

#define COPY_STEP 128 /* words; what lies so far off is still within reach of an instruction */

/* Two loads and two stores for two words, and three more instructions for each step. The words that make no whole step
 * go first: the code of a step is entered so far before its end as they need. => upwards; not both are changed by
 * others */
static inline void copy_aligned_words(word *d, const word *s, size_t words)
{
    const word *end = s + words;
    size_t odd = words % COPY_STEP, pairs = odd & ~1ul;
    u64 at, x, y;

    if (odd & 1)
        *d++ = *s++;
    d += pairs;
    s += pairs;
    __asm__ volatile(".option push\n"
                     ".option norvc\n"
                     "la %[at], 2f\n"
                     "sub %[at], %[at], %[code]\n"
                     "jr %[at]\n"
                     "1: addi %[d], %[d], 128 * 8\n"
                     "addi %[s], %[s], 128 * 8\n"
                     ".set offset, -128 * 8\n"
                     ".rept 64\n"
                     "ld %[x], offset(%[s])\n"
                     "ld %[y], offset + 8(%[s])\n"
                     "sd %[x], offset(%[d])\n"
                     "sd %[y], offset + 8(%[d])\n"
                     ".set offset, offset + 16\n"
                     ".endr\n"
                     "2: bltu %[s], %[end], 1b\n"
                     ".option pop\n"
                     : [d] "+r"(d), [s] "+r"(s), [at] "=&r"(at), [x] "=&r"(x), [y] "=&r"(y)
                     : [end] "r"(end), [code] "r"(pairs * 8)
                     : "memory");
}

/* => D aligned, S not */
static void copy_shifted_words(word *d, const u8 *s, size_t words)
{
    unsigned shift = ((u64)s & (WORD - 1)) * 8;
    const word *from = (const word *)((u64)s & ~(WORD - 1));
    u64 low = *from++;

    while (words-- > 0) {
        u64 high = *from++;

        *d++ = low >> shift | high << (64 - shift);
        low = high;
    }
}

void *memcpy(void *dst, const void *src, size_t n)
{
    u8 *d = dst;
    const u8 *s = src;
    size_t words;

    if (likely((((u64)d | (u64)s | n) & (WORD - 1)) == 0)) {
        copy_aligned_words((word *)d, (const word *)s, n / WORD);
        return dst;
    }
    if (n >= 2 * WORD) {
        for (; !is_word_aligned(d); n--)
            *d++ = *s++;
        words = n / WORD;
        if (is_word_aligned(s))
            copy_aligned_words((word *)d, (const word *)s, words);
        else
            copy_shifted_words((word *)d, s, words);
        d += words * WORD;
        s += words * WORD;
        n -= words * WORD;
    }
    while (n-- > 0)
        *d++ = *s++;
    return dst;
}

static void copy_backwards(u8 *d, const u8 *s, size_t n)
{
    bool alike = (((u64)d ^ (u64)s) & (WORD - 1)) == 0;

    d += n;
    s += n;
    if (alike) {
        for (; n > 0 && !is_word_aligned(d); n--)
            *--d = *--s;
        for (; n >= WORD; n -= WORD) {
            d -= WORD;
            s -= WORD;
            *(word *)d = *(const word *)s;
        }
    }
    while (n-- > 0)
        *--d = *--s;
}

void *memmove(void *dst, const void *src, size_t n)
{
    u8 *d = dst;
    const u8 *s = src;

    if (d == s || n == 0)
        return dst;
    if (d < s && (size_t)(s - d) >= WORD)
        return memcpy(dst, src, n); /* runs upwards a word at a time: what it overwrites has been read */
    if (d < s || d >= s + n) {
        while (n-- > 0)
            *d++ = *s++;
        return dst;
    }
    copy_backwards(d, s, n);
    return dst;
}

#define FILL_STEP 128 /* words */

/* A store for each word, and two more instructions for each step; entered as copy_aligned_words. */
static inline void fill_aligned_words(word *d, u64 v, size_t words)
{
    const word *end = d + words;
    size_t odd = words % FILL_STEP;
    u64 at;

    d += odd;
    __asm__ volatile(".option push\n"
                     ".option norvc\n"
                     "la %[at], 2f\n"
                     "sub %[at], %[at], %[code]\n"
                     "jr %[at]\n"
                     "1: addi %[d], %[d], 128 * 8\n"
                     ".set offset, -128 * 8\n"
                     ".rept 128\n"
                     "sd %[v], offset(%[d])\n"
                     ".set offset, offset + 8\n"
                     ".endr\n"
                     "2: bltu %[d], %[end], 1b\n"
                     ".option pop\n"
                     : [d] "+r"(d), [at] "=&r"(at)
                     : [v] "r"(v), [end] "r"(end), [code] "r"(odd * 4)
                     : "memory");
}

void *memset(void *dst, int c, size_t n)
{
    u8 *d = dst;

    if (n >= 2 * WORD) {
        u64 v = (u8)c * 0x0101010101010101ull;
        size_t words;

        for (; unlikely(!is_word_aligned(d)); n--)
            *d++ = (u8)c;
        words = n / WORD;
        fill_aligned_words((word *)d, v, words);
        d += words * WORD;
        n -= words * WORD;
    }
    while (n-- > 0)
        *d++ = (u8)c;
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *p = a, *q = b;

    if (is_word_aligned(p) && is_word_aligned(q))
        for (; n >= WORD && *(const word *)p == *(const word *)q; n -= WORD, p += WORD, q += WORD)
            ;
    for (; n > 0; n--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

void *memchr(const void *s, int c, size_t n)
{
    for (const u8 *p = s; n > 0; n--, p++)
        if (*p == (u8)c)
            return (void *)p;
    return NULL;
}

void *memrchr(const void *s, int c, size_t n)
{
    const u8 *p = s;

    while (n-- > 0)
        if (p[n] == (u8)c)
            return (void *)(p + n);
    return NULL;
}

size_t strlen(const char *s)
{
    const char *p = s;

    while (*p != '\0')
        p++;
    return (size_t)(p - s);
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;

    while (n < max && s[n] != '\0')
        n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    while (*a == *b && *a != '\0') {
        a++;
        b++;
    }
    return (u8)*a - (u8)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n > 0; n--, a++, b++)
        if (*a != *b || *a == '\0')
            return (u8)*a - (u8)*b;
    return 0;
}

char *strchr(const char *s, int c)
{
    for (; *s != (char)c; s++)
        if (*s == '\0')
            return NULL;
    return (char *)s;
}

char *strrchr(const char *s, int c)
{
    const char *last = NULL;

    for (;; s++) {
        if (*s == (char)c)
            last = s;
        if (*s == '\0')
            return (char *)last;
    }
}

char *strstr(const char *haystack, const char *needle)
{
    size_t n = strlen(needle);

    for (; *haystack != '\0'; haystack++)
        if (strncmp(haystack, needle, n) == 0)
            return (char *)haystack;
    return n == 0 ? (char *)haystack : NULL;
}

static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A') + 10;
    return 255;
}

/* No sign, no leading white space; too large a number comes back as the largest. */
unsigned long strtoul(const char *s, char **end, int base)
{
    unsigned long value = 0;
    bool overflow = false;

    if ((base == 0 || base == 16) && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && digit_value(s[2]) < 16) {
        s += 2;
        base = 16;
    } else if (base == 0) {
        base = s[0] == '0' ? 8 : 10;
    }
    for (; digit_value(*s) < (unsigned)base; s++) {
        if (__builtin_mul_overflow(value, (unsigned long)base, &value) ||
            __builtin_add_overflow(value, digit_value(*s), &value))
            overflow = true;
    }
    if (end != NULL)
        *end = (char *)s;
    return overflow ? ~0ul : value;
}

size_t copy_string(char *dst, const char *src, size_t size)
{
    size_t length = strlen(src), n;

    if (size == 0)
        return length;
    n = MIN(length, size - 1);
    memcpy(dst, src, n);
    dst[n] = '\0';
    return length;
}

/* 256 stores (as far as their offsets reach) and two more instructions a round: 516 a page, near the least that 8-byte
 * stores allow. */
static void clear_page_by_words(void *page)
{
    void *end = (char *)page + PAGE_SIZE;

    __asm__ volatile("1:\n"
                     ".set offset, 0\n"
                     ".rept 256\n"
                     "sd zero, offset(%0)\n"
                     ".set offset, offset + 8\n"
                     ".endr\n"
                     "add %0, %0, %2\n"
                     "bltu %0, %1, 1b\n"
                     : "+r"(page)
                     : "r"(end), "r"(256 * WORD)
                     : "memory");
}

void clear_page(void *page)
{
    if (likely(!machine.has_zicboz)) {
        clear_page_by_words(page);
        return;
    }
    for (u64 p = (u64)page, end = p + PAGE_SIZE; p < end; p += machine.cboz_block)
        __asm__ volatile(".insn i 0x0f, 2, x0, %0, 4" ::"r"(p) : "memory"); /* cbo.zero (p) */
}

static inline void copy_8_words(word *d, const word *s)
{
    word a = s[0], b = s[1], c = s[2], e = s[3], f = s[4], g = s[5], h = s[6], j = s[7];

    d[0] = a, d[1] = b, d[2] = c, d[3] = e, d[4] = f, d[5] = g, d[6] = h, d[7] = j;
}

void copy_page(void *dst, const void *src)
{
    word *d = dst;
    const word *s = src;

    for (unsigned i = 0; i < PAGE_SIZE / WORD; i += 64, d += 64, s += 64) {
#pragma GCC unroll 8
        for (unsigned j = 0; j < 64; j += 8)
            copy_8_words(d + j, s + j);
    }
}
