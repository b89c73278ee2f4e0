/*
 * Input and output.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "port.h"
#include "symbol.h"

#define NEED(test, what, v) \
    if (!(test))            \
    return wrong_type(t, what, v)

/* Where the port of a primitive is: argument AT, or the thread's current one, whose copy is in a temporary root. */
static value *port_argument(struct thread *t, size_t n, value *a, size_t at, size_t flag)
{
    value *port = &t->temporaries[3];
    if (n > at) {
        port = &a[at];
    } else {
        value parameter =
            globals[immediate_value(intern_string(flag == PORT_INPUT ? "current-input-port" : "current-output-port"))];
        *port = FALSE;
        if (has_type(parameter, PARAMETER)) {
            *port = slots(parameter)[0];
            for (value list = t->parameters; list != NIL; list = cdr(list))
                if (car(car(list)) == parameter) {
                    *port = cdr(car(list));
                    break;
                }
        }
    }
    if (!has_type(*port, PORT) || !(port_flags(*port) & flag)) {
        wrong_type(t, flag == PORT_INPUT ? "an input port" : "an output port", *port);
        return NULL;
    }
    if (port_flags(*port) & PORT_CLOSED) {
        fail(t, "the port is closed", *port);
        return NULL;
    }
    return port;
}

/* --- Opening and closing --- */

static value file_error(struct thread *t, int error, value *name)
{
    value nil = NIL;
    t->hold++;
    value irritants = make_pair(t, name, &nil);
    t->error = condition_new(t, "file", strerror(error), irritants);
    t->hold--;
    return FAILED;
}

static value open_file(struct thread *t, value *a, int how, size_t flags)
{
    size_t length;
    NEED(has_type(a[0], STRING), "a file name", a[0]);
    char *name = string_utf8(a[0], 0, string_length(a[0]), &length);
    park(t);
    int fd = open(name, how | O_CLOEXEC, 0666);
    int error = errno;
    unpark(t);
    free(name);
    return fd < 0 ? file_error(t, error, &a[0]) : port_of_file(t, fd, flags);
}
static value prim_open_input(struct thread *t, size_t n, value *a)
{
    return (void)n, open_file(t, a, O_RDONLY, PORT_INPUT);
}
static value prim_open_output(struct thread *t, size_t n, value *a)
{
    return (void)n, open_file(t, a, O_WRONLY | O_CREAT | O_TRUNC, PORT_OUTPUT);
}
static value prim_open_binary_input(struct thread *t, size_t n, value *a)
{
    return (void)n, open_file(t, a, O_RDONLY, PORT_INPUT | PORT_BINARY);
}
static value prim_open_binary_output(struct thread *t, size_t n, value *a)
{
    return (void)n, open_file(t, a, O_WRONLY | O_CREAT | O_TRUNC, PORT_OUTPUT | PORT_BINARY);
}

static value memory_port(struct thread *t, value *buffer, size_t flags)
{
    value port = allocate(t, PORT, PORT_SLOTS);
    slots(port)[PORT_FILE] = fixnum(-1);
    slots(port)[PORT_FLAGS] = fixnum(flags);
    slots(port)[PORT_BUFFER] = *buffer;
    slots(port)[PORT_POSITION] = fixnum(0);
    return port;
}
static value prim_open_input_string(struct thread *t, size_t n, value *a)
{
    (void)n;
    NEED(has_type(a[0], STRING), "a string", a[0]);
    return memory_port(t, &a[0], PORT_INPUT);
}
static value prim_open_input_bytes(struct thread *t, size_t n, value *a)
{
    (void)n;
    NEED(has_type(a[0], BYTEVECTOR), "a bytevector", a[0]);
    return memory_port(t, &a[0], PORT_INPUT | PORT_BINARY);
}
static value prim_open_output_string(struct thread *t, size_t n, value *a)
{
    (void)n, (void)a;
    t->accumulator = allocate(t, STRING, 0);
    return memory_port(t, &t->accumulator, PORT_OUTPUT);
}
static value prim_open_output_bytes(struct thread *t, size_t n, value *a)
{
    (void)n, (void)a;
    t->accumulator = allocate(t, BYTEVECTOR, 0);
    return memory_port(t, &t->accumulator, PORT_OUTPUT | PORT_BINARY);
}

static value memory_content(struct thread *t, value *a, size_t flags)
{
    NEED(has_type(a[0], PORT) && !is_file_port(a[0]) && (port_flags(a[0]) & ~(size_t)PORT_CLOSED) == flags,
         "a port of that kind", a[0]);
    size_t size = (flags & PORT_BINARY ? 1 : 4) * fixnum_value(slots(a[0])[PORT_POSITION]);
    value v = allocate(t, flags & PORT_BINARY ? BYTEVECTOR : STRING, size);
    memcpy(bytes(v), bytes(slots(a[0])[PORT_BUFFER]), size);
    return v;
}
static value prim_get_string(struct thread *t, size_t n, value *a)
{
    return (void)n, memory_content(t, a, PORT_OUTPUT);
}
static value prim_get_bytes(struct thread *t, size_t n, value *a)
{
    return (void)n, memory_content(t, a, PORT_OUTPUT | PORT_BINARY);
}

static value prim_close(struct thread *t, size_t n, value *a)
{
    (void)n;
    NEED(has_type(a[0], PORT), "a port", a[0]);
    value result = port_close(t, &a[0]);
    slots(a[0])[PORT_FLAGS] = fixnum(port_flags(a[0]) | PORT_CLOSED);
    return result;
}

static bool has_flags(value v, size_t flags) { return has_type(v, PORT) && (port_flags(v) & flags); }
#define PREDICATE(name, test) \
    static value prim_##name(struct thread *t, size_t n, value *a) { return (void)t, (void)n, boolean(test); }
PREDICATE(is_port, has_type(a[0], PORT))
PREDICATE(is_input, has_flags(a[0], PORT_INPUT))
PREDICATE(is_output, has_flags(a[0], PORT_OUTPUT))
PREDICATE(is_binary, has_flags(a[0], PORT_BINARY))
PREDICATE(is_textual, has_type(a[0], PORT) && !has_flags(a[0], PORT_BINARY))
PREDICATE(is_input_open, has_flags(a[0], PORT_INPUT) && !has_flags(a[0], PORT_CLOSED))
PREDICATE(is_output_open, has_flags(a[0], PORT_OUTPUT) && !has_flags(a[0], PORT_CLOSED))
PREDICATE(is_eof, a[0] == END_OF_FILE)

static value prim_eof(struct thread *t, size_t n, value *a) { return (void)t, (void)n, (void)a, END_OF_FILE; }

static value prim_standard(struct thread *t, size_t n, value *a)
{
    (void)n;
    int fd = fixnum_value(a[0]);
    return port_of_file(t, fd, fd ? PORT_OUTPUT : PORT_INPUT);
}

/* --- Output --- */

static value show(struct thread *t, size_t n, value *a, bool display)
{
    value *port = port_argument(t, n, a, 1, PORT_OUTPUT);
    if (!port)
        return FAILED;
    struct text text = {0};
    print_value(&text, a[0], display);
    value result = port_write(t, port, text.data ? text.data : "", text.length);
    text_free(&text);
    return result;
}
static value prim_display(struct thread *t, size_t n, value *a) { return show(t, n, a, true); }
static value prim_write(struct thread *t, size_t n, value *a) { return show(t, n, a, false); }

static value prim_newline(struct thread *t, size_t n, value *a)
{
    value *port = port_argument(t, n, a, 0, PORT_OUTPUT);
    return port ? port_write(t, port, "\n", 1) : FAILED;
}

static value prim_write_char(struct thread *t, size_t n, value *a)
{
    char text[4];
    NEED(is_character(a[0]), "a character", a[0]);
    value *port = port_argument(t, n, a, 1, PORT_OUTPUT);
    return port ? port_write(t, port, text, utf8_encode(immediate_value(a[0]), text)) : FAILED;
}

static value prim_write_string(struct thread *t, size_t n, value *a)
{
    size_t start, end, length;
    NEED(has_type(a[0], STRING), "a string", a[0]);
    value *port = port_argument(t, n, a, 1, PORT_OUTPUT);
    if (!port)
        return FAILED;
    if (!range_arguments(n, a, 2, string_length(a[0]), &start, &end))
        return out_of_range(t, a[2]);
    char *text = string_utf8(a[0], start, end, &length);
    value result = port_write(t, port, text, length);
    free(text);
    return result;
}

static value prim_write_byte(struct thread *t, size_t n, value *a)
{
    size_t byte;
    NEED(index_value(a[0], 255, &byte), "a byte", a[0]);
    value *port = port_argument(t, n, a, 1, PORT_OUTPUT);
    char text = byte;
    return port ? port_write(t, port, &text, 1) : FAILED;
}

static value prim_write_bytes(struct thread *t, size_t n, value *a)
{
    size_t start, end;
    NEED(has_type(a[0], BYTEVECTOR), "a bytevector", a[0]);
    value *port = port_argument(t, n, a, 1, PORT_OUTPUT);
    if (!port)
        return FAILED;
    if (!range_arguments(n, a, 2, length_of(a[0]), &start, &end))
        return out_of_range(t, a[2]);
    char *copy = malloc(end - start + 1);
    if (!copy)
        abort();
    memcpy(copy, byte_data(a[0]) + start, end - start);
    value result = port_write(t, port, copy, end - start);
    free(copy);
    return result;
}

static value prim_flush(struct thread *t, size_t n, value *a)
{
    value *port = port_argument(t, n, a, 0, PORT_OUTPUT);
    return port ? port_flush(t, port) : FAILED;
}

/* --- Input --- */

/* The next byte, -1 at the end. */
static int next_byte(struct thread *t, value *port, bool consume)
{
    if (is_file_port(*port))
        return port_byte(t, port, consume);
    value buffer = slots(*port)[PORT_BUFFER];
    size_t at = fixnum_value(slots(*port)[PORT_POSITION]);
    if (at == length_of(buffer))
        return -1;
    slots(*port)[PORT_POSITION] = fixnum(at + consume);
    return byte_data(buffer)[at];
}

/* The next character, -1 at the end. */
static int32_t next_character(struct thread *t, value *port, bool consume)
{
    if (is_file_port(*port)) {
        const char *at, *end;
        int first = port_byte(t, port, false);
        if (first < 0)
            return -1;
        for (;;) {
            port_window(*port, &at, &end);
            if (first < 0x80 || end - at >= 4 || !port_fill(t, port))
                break;
        }
        port_window(*port, &at, &end);
        int32_t c = utf8_decode(&at, end);
        if (consume)
            port_consume(*port, at);
        return c;
    }
    value buffer = slots(*port)[PORT_BUFFER];
    size_t at = fixnum_value(slots(*port)[PORT_POSITION]);
    if (at == string_length(buffer))
        return -1;
    slots(*port)[PORT_POSITION] = fixnum(at + consume);
    return string_chars(buffer)[at];
}

static value read_character(struct thread *t, size_t n, value *a, bool consume)
{
    value *port = port_argument(t, n, a, 0, PORT_INPUT);
    if (!port)
        return FAILED;
    NEED(!(port_flags(*port) & PORT_BINARY), "a textual port", *port);
    int32_t c = next_character(t, port, consume);
    return c < 0 ? END_OF_FILE : character(c);
}
static value prim_read_char(struct thread *t, size_t n, value *a) { return read_character(t, n, a, true); }
static value prim_peek_char(struct thread *t, size_t n, value *a) { return read_character(t, n, a, false); }

static value read_byte(struct thread *t, size_t n, value *a, bool consume)
{
    value *port = port_argument(t, n, a, 0, PORT_INPUT);
    if (!port)
        return FAILED;
    NEED(port_flags(*port) & PORT_BINARY, "a binary port", *port);
    int byte = next_byte(t, port, consume);
    return byte < 0 ? END_OF_FILE : fixnum(byte);
}
static value prim_read_byte(struct thread *t, size_t n, value *a) { return read_byte(t, n, a, true); }
static value prim_peek_byte(struct thread *t, size_t n, value *a) { return read_byte(t, n, a, false); }

/* Up to MOST characters, or to the end of the line. */
static value read_text(struct thread *t, value *port, size_t most, bool line)
{
    struct text text = {0};
    bool any = false;
    for (size_t i = 0; i < most; i++) {
        int32_t c = next_character(t, port, true);
        if (c < 0)
            break;
        any = true;
        if (line && c == '\n')
            break;
        text_add_character(&text, c);
    }
    value result = any || !most ? string_from_utf8(t, text.data ? text.data : "", text.length) : END_OF_FILE;
    text_free(&text);
    return result;
}
static value prim_read_line(struct thread *t, size_t n, value *a)
{
    value *port = port_argument(t, n, a, 0, PORT_INPUT);
    return port ? read_text(t, port, SIZE_MAX, true) : FAILED;
}
static value prim_read_string(struct thread *t, size_t n, value *a)
{
    size_t most;
    NEED(index_value(a[0], MAX_FIXNUM, &most), "a length", a[0]);
    value *port = port_argument(t, n, a, 1, PORT_INPUT);
    return port ? read_text(t, port, most, false) : FAILED;
}
static value prim_read_bytes(struct thread *t, size_t n, value *a)
{
    size_t most;
    NEED(index_value(a[0], MAX_FIXNUM, &most), "a length", a[0]);
    value *port = port_argument(t, n, a, 1, PORT_INPUT);
    if (!port)
        return FAILED;
    struct text text = {0};
    for (int byte; text.length < most && (byte = next_byte(t, port, true)) >= 0;)
        text_add(&text, (char[]){byte}, 1);
    value result = END_OF_FILE;
    if (text.length || !most) {
        result = allocate(t, BYTEVECTOR, text.length);
        memcpy(bytes(result), text.data ? text.data : "", text.length);
    }
    text_free(&text);
    return result;
}
static value prim_is_ready(struct thread *t, size_t n, value *a)
{
    return port_argument(t, n, a, 0, PORT_INPUT) ? TRUE : FAILED;
}

static value read_from_file(struct thread *t, value *port)
{
    const char *at, *end;
    for (bool more = true;;) {
        port_window(*port, &at, &end);
        value v = read_datum(t, &at, end, more);
        if (v != ABSENT) {
            port_consume(*port, at);
            return v;
        }
        more = port_fill(t, port);
    }
}

static value read_from_string(struct thread *t, value *port)
{
    size_t start = fixnum_value(slots(*port)[PORT_POSITION]), length;
    value buffer = slots(*port)[PORT_BUFFER];
    char *text = string_utf8(buffer, start, string_length(buffer), &length);
    const char *at = text;
    value v = read_datum(t, &at, text + length, false);
    size_t consumed = 0;
    for (const char *p = text; p < at; consumed++)
        utf8_decode(&p, at);
    slots(*port)[PORT_POSITION] = fixnum(start + consumed);
    free(text);
    return v;
}

static value prim_read(struct thread *t, size_t n, value *a)
{
    value *port = port_argument(t, n, a, 0, PORT_INPUT);
    if (!port)
        return FAILED;
    NEED(!(port_flags(*port) & PORT_BINARY), "a textual port", *port);
    return is_file_port(*port) ? read_from_file(t, port) : read_from_string(t, port);
}

const struct primitive port_primitives[] = {
    {"open-input-file", prim_open_input, 1, 1, false},
    {"open-output-file", prim_open_output, 1, 1, false},
    {"open-binary-input-file", prim_open_binary_input, 1, 1, false},
    {"open-binary-output-file", prim_open_binary_output, 1, 1, false},
    {"open-input-string", prim_open_input_string, 1, 1, false},
    {"open-input-bytevector", prim_open_input_bytes, 1, 1, false},
    {"open-output-string", prim_open_output_string, 0, 0, false},
    {"open-output-bytevector", prim_open_output_bytes, 0, 0, false},
    {"get-output-string", prim_get_string, 1, 1, false},
    {"get-output-bytevector", prim_get_bytes, 1, 1, false},
    {"close-port", prim_close, 1, 1, false},
    {"close-input-port", prim_close, 1, 1, false},
    {"close-output-port", prim_close, 1, 1, false},
    {"port?", prim_is_port, 1, 1, false},
    {"input-port?", prim_is_input, 1, 1, false},
    {"output-port?", prim_is_output, 1, 1, false},
    {"binary-port?", prim_is_binary, 1, 1, false},
    {"textual-port?", prim_is_textual, 1, 1, false},
    {"input-port-open?", prim_is_input_open, 1, 1, false},
    {"output-port-open?", prim_is_output_open, 1, 1, false},
    {"eof-object?", prim_is_eof, 1, 1, false},
    {"eof-object", prim_eof, 0, 0, false},
    {"%standard-port", prim_standard, 1, 1, false},
    {"display", prim_display, 1, 2, false},
    {"write", prim_write, 1, 2, false},
    {"write-simple", prim_write, 1, 2, false},
    {"write-shared", prim_write, 1, 2, false},
    {"newline", prim_newline, 0, 1, false},
    {"write-char", prim_write_char, 1, 2, false},
    {"write-string", prim_write_string, 1, 4, false},
    {"write-u8", prim_write_byte, 1, 2, false},
    {"write-bytevector", prim_write_bytes, 1, 4, false},
    {"flush-output-port", prim_flush, 0, 1, false},
    {"read-char", prim_read_char, 0, 1, false},
    {"peek-char", prim_peek_char, 0, 1, false},
    {"read-u8", prim_read_byte, 0, 1, false},
    {"peek-u8", prim_peek_byte, 0, 1, false},
    {"read-line", prim_read_line, 0, 1, false},
    {"read-string", prim_read_string, 1, 2, false},
    {"read-bytevector", prim_read_bytes, 1, 2, false},
    {"char-ready?", prim_is_ready, 0, 1, false},
    {"u8-ready?", prim_is_ready, 0, 1, false},
    {"read", prim_read, 0, 1, false},
    {0},
};
