/*
 * vsnprintf as C99 has it, without floating point and %n: flags "-+ #0", width, precision (both may be *), lengths hh h
 * l ll j z t, conversions d i u x X o c s p %. Also compiled on the host.
 */
#include "lib/print.h"
#include "lib/string.h"

struct output {
    char *buf;
    size_t size;   /* of buf */
    size_t length; /* that the whole would have */
};

struct spec {
    bool left, plus, space, alternate, zero;
    int width, precision; /* precision < 0: none given */
    char length;          /* 'H' = hh, 'h', 'l' for all 64-bit ones, 0 = int */
};

static void put(struct output *o, char c)
{
    if (o->length < o->size)
        o->buf[o->length] = c;
    o->length++;
}

static void put_repeated(struct output *o, char c, int n)
{
    while (n-- > 0)
        put(o, c);
}

static void put_padded(struct output *o, const struct spec *s, const char *text, int n)
{
    if (!s->left)
        put_repeated(o, ' ', s->width - n);
    for (int i = 0; i < n; i++)
        put(o, text[i]);
    if (s->left)
        put_repeated(o, ' ', s->width - n);
}

/* PREFIX is a sign or 0x; it comes before the zeros that fill the width or the precision. */
static void put_number(struct output *o, const struct spec *s, u64 value, unsigned base, bool upper, const char *prefix)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24];
    int n = 0, zeros, total, prefix_length = (int)strlen(prefix);

    while (value != 0) {
        text[n++] = digits[value % base];
        value /= base;
    }
    zeros = (s->precision < 0 ? 1 : s->precision) - n;
    if (base == 8 && s->alternate && zeros <= 0)
        zeros = 1;
    zeros = MAX(zeros, 0);
    if (s->zero && !s->left && s->precision < 0)
        zeros = MAX(zeros, s->width - n - prefix_length);
    total = prefix_length + zeros + n;
    if (!s->left)
        put_repeated(o, ' ', s->width - total);
    while (*prefix != '\0')
        put(o, *prefix++);
    put_repeated(o, '0', zeros);
    while (n > 0)
        put(o, text[--n]);
    if (s->left)
        put_repeated(o, ' ', s->width - total);
}

static const char *parse_number(const char *p, int *value)
{
    int v = 0;

    for (; *p >= '0' && *p <= '9'; p++)
        if (v < 100000)
            v = v * 10 + (*p - '0');
    *value = v;
    return p;
}

static const char *parse_flags(const char *p, struct spec *s)
{
    for (;; p++) {
        switch (*p) {
        case '-':
            s->left = true;
            break;
        case '+':
            s->plus = true;
            break;
        case ' ':
            s->space = true;
            break;
        case '#':
            s->alternate = true;
            break;
        case '0':
            s->zero = true;
            break;
        default:
            return p;
        }
    }
}

static const char *parse_length(const char *p, struct spec *s)
{
    switch (*p) {
    case 'h':
        s->length = p[1] == 'h' ? 'H' : 'h';
        return p + (p[1] == 'h' ? 2 : 1);
    case 'l':
        s->length = 'l';
        return p + (p[1] == 'l' ? 2 : 1);
    case 'j':
    case 'z':
    case 't':
        s->length = 'l';
        return p + 1;
    default:
        return p;
    }
}

static s64 narrow_signed(s64 v, char length)
{
    switch (length) {
    case 'l':
        return v;
    case 'h':
        return (s16)v;
    case 'H':
        return (s8)v;
    default:
        return (s32)v;
    }
}

static u64 narrow_unsigned(u64 v, char length)
{
    switch (length) {
    case 'l':
        return v;
    case 'h':
        return (u16)v;
    case 'H':
        return (u8)v;
    default:
        return (u32)v;
    }
}

static void put_signed(struct output *o, const struct spec *s, s64 v)
{
    const char *sign = v < 0 ? "-" : s->plus ? "+" : s->space ? " " : "";

    put_number(o, s, v < 0 ? -(u64)v : (u64)v, 10, false, sign);
}

static void put_unsigned(struct output *o, const struct spec *s, u64 v, char conversion)
{
    unsigned base = conversion == 'u' ? 10 : conversion == 'o' ? 8 : 16;
    const char *prefix = "";

    if (base == 16 && s->alternate && v != 0)
        prefix = conversion == 'X' ? "0X" : "0x";
    put_number(o, s, v, base, conversion == 'X', prefix);
}

static void put_string(struct output *o, const struct spec *s, const char *text)
{
    if (text == NULL)
        text = "(null)";
    put_padded(o, s, text, (int)(s->precision < 0 ? strlen(text) : strnlen(text, (size_t)s->precision)));
}

/* An integer argument in the width that the length modifier says. */
#define NEXT_ARGUMENT(type32, type64) (s.length == 'l' ? (type64)va_arg(args, type64) : (type64)va_arg(args, type32))

int vsnprintf(char *buf, size_t size, const char *fmt, va_list list)
{
    struct output o = {buf, size, 0};
    va_list args;

    va_copy(args, list);
    for (const char *p = fmt; *p != '\0'; p++) {
        struct spec s = {.precision = -1};
        char c;

        if (*p != '%') {
            put(&o, *p);
            continue;
        }
        p = parse_flags(p + 1, &s);
        if (*p == '*') {
            s.width = va_arg(args, int);
            p++;
            if (s.width < 0) {
                s.left = true;
                s.width = -s.width;
            }
        } else {
            p = parse_number(p, &s.width);
        }
        if (*p == '.') {
            p++;
            if (*p == '*') {
                s.precision = va_arg(args, int);
                p++;
            } else {
                p = parse_number(p, &s.precision);
            }
        }
        p = parse_length(p, &s);
        switch (*p) {
        case 'd':
        case 'i':
            put_signed(&o, &s, narrow_signed(NEXT_ARGUMENT(int, s64), s.length));
            break;
        case 'u':
        case 'x':
        case 'X':
        case 'o':
            put_unsigned(&o, &s, narrow_unsigned(NEXT_ARGUMENT(unsigned, u64), s.length), *p);
            break;
        case 'p':
            put_number(&o, &s, (u64)va_arg(args, void *), 16, false, "0x");
            break;
        case 'c':
            c = (char)va_arg(args, int);
            put_padded(&o, &s, &c, 1);
            break;
        case 's':
            put_string(&o, &s, va_arg(args, const char *));
            break;
        case '%':
            put(&o, '%');
            break;
        case '\0':
            p--;
            break;
        default: /* unknown: shown as it is */
            put(&o, '%');
            put(&o, *p);
        }
    }
    va_end(args);
    if (size > 0)
        buf[MIN(o.length, size - 1)] = '\0';
    return (int)o.length;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(buf, size, fmt, args);
    va_end(args);
    return n;
}
