/*
 * printf and fprintf: %d %u %x with l and ll, %p, %s, %c, %%; what else follows a % is shown as it stands. Nothing is
 * kept back: each call writes what it has.
 */
#include <stdarg.h>

#include "lib/linux.h"
#include "user/user.h"

struct output {
    int fd, used;
    char bytes[64];
};

static void flush(struct output *out)
{
    if (out->used > 0)
        linux_(LINUX_write, out->fd, out->bytes, out->used);
    out->used = 0;
}

static void put(struct output *out, char letter)
{
    if (out->used == sizeof(out->bytes))
        flush(out);
    out->bytes[out->used++] = letter;
}

static void put_text(struct output *out, const char *text)
{
    for (text = text ? text : "(null)"; *text; text++)
        put(out, *text);
}

static void put_number(struct output *out, uint64 value, uint base, int least_digits)
{
    char digits[20];
    int count = 0;

    do
        digits[count++] = "0123456789abcdef"[value % base];
    while ((value /= base) || count < least_digits);
    while (count > 0)
        put(out, digits[--count]);
}

static void put_signed(struct output *out, long value)
{
    if (value < 0)
        put(out, '-');
    put_number(out, value < 0 ? -(uint64)value : (uint64)value, 10, 1);
}

static void format_to(int fd, const char *format, va_list arguments)
{
    struct output out = {.fd = fd};

    for (; *format; format++) {
        int longs = 0;

        if (*format != '%') {
            put(&out, *format);
            continue;
        }
        for (format++; *format == 'l' && longs < 2; format++)
            longs++;
        switch (*format) {
        case 'd':
        case 'i':
            put_signed(&out, longs ? va_arg(arguments, long) : va_arg(arguments, int));
            break;
        case 'u':
            put_number(&out, longs ? va_arg(arguments, uint64) : va_arg(arguments, uint), 10, 1);
            break;
        case 'x':
            put_number(&out, longs ? va_arg(arguments, uint64) : va_arg(arguments, uint), 16, 1);
            break;
        case 'p':
            put_text(&out, "0x");
            put_number(&out, va_arg(arguments, uint64), 16, 16);
            break;
        case 's':
            put_text(&out, va_arg(arguments, char *));
            break;
        case 'c':
            put(&out, (char)va_arg(arguments, uint));
            break;
        case '%':
            put(&out, '%');
            break;
        default:
            put(&out, '%');
            while (longs-- > 0)
                put(&out, 'l');
            if (*format)
                put(&out, *format);
            else
                format--;
        }
    }
    flush(&out);
}

void printf(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    format_to(1, format, arguments);
    va_end(arguments);
}

void fprintf(int fd, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    format_to(fd, format, arguments);
    va_end(arguments);
}
