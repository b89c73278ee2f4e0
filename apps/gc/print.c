/*
 * How data look: `display` and `write`. Text is made outside the heap, so nothing moves meanwhile. Lists are shown in a
 * loop and data within data by recursion, to a depth that no datum but one that contains itself is likely to have.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code.h"
#include "prims.h"
#include "symbol.h"
#include "text.h"

#define DEEPEST 10000
#define LONGEST 10000000 /* elements of a list */

void text_add(struct text *text, const char *data, size_t length)
{
    if (text->room - text->length < length) {
        size_t room = 2 * text->room + length + 64;
        char *grown = realloc(text->data, room);
        if (!grown)
            abort();
        text->data = grown;
        text->room = room;
    }
    memcpy(text->data + text->length, data, length);
    text->length += length;
}

void text_add_string(struct text *text, const char *string) { text_add(text, string, strlen(string)); }

void text_add_character(struct text *text, uint32_t c)
{
    char encoded[4];
    text_add(text, encoded, utf8_encode(c, encoded));
}

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

static const struct {
    uint32_t character;
    const char *name;
} character_names[] = {{7, "alarm"}, {8, "backspace"}, {127, "delete"}, {27, "escape"}, {10, "newline"},
                       {0, "null"},  {13, "return"},   {32, "space"},   {9, "tab"}};

static void print_character(struct text *out, uint32_t c)
{
    char text[16];
    text_add_string(out, "#\\");
    for (size_t i = 0; i < sizeof(character_names) / sizeof(*character_names); i++)
        if (character_names[i].character == c) {
            text_add_string(out, character_names[i].name);
            return;
        }
    if (c < 32) {
        snprintf(text, sizeof(text), "x%x", c);
        text_add_string(out, text);
        return;
    }
    text_add_character(out, c);
}

static void print_escaped(struct text *out, uint32_t c, char quote)
{
    char text[16];
    const char *at;
    static const char plain[] = "\a\b\t\n\r", letter[] = "abtnr";
    if (c == (uint32_t)quote || c == '\\') {
        text_add_string(out, "\\");
        text_add_character(out, c);
    } else if (c && c < 32 && (at = strchr(plain, c))) {
        text_add(out, (char[]){'\\', letter[at - plain]}, 2);
    } else if (c < 32 || c == 127) {
        snprintf(text, sizeof(text), "\\x%x;", c);
        text_add_string(out, text);
    } else {
        text_add_character(out, c);
    }
}

static void print_string(struct text *out, value v, bool display)
{
    if (!display)
        text_add_string(out, "\"");
    for (size_t i = 0; i < string_length(v); i++) {
        if (display)
            text_add_character(out, string_chars(v)[i]);
        else
            print_escaped(out, string_chars(v)[i], '"');
    }
    if (!display)
        text_add_string(out, "\"");
}

/* Whether a symbol of that name would be read as something else. */
static bool needs_bars(const char *name)
{
    char *end;
    if (!*name || !strcmp(name, ".") || strpbrk(name, " ()\";'`,|\t\n\r") || name[0] == '#')
        return true;
    if (strspn(name, "0123456789+-.eE") == strlen(name) && strpbrk(name, "0123456789")) {
        strtod(name, &end);
        return !*end;
    }
    return false;
}

static void print_symbol(struct text *out, value v, bool display)
{
    const char *name = symbol_name(v);
    if (display || !needs_bars(name)) {
        text_add_string(out, name);
        return;
    }
    text_add_string(out, "|");
    for (const char *at = name, *end = name + symbol_of(v)->length; at < end;)
        print_escaped(out, utf8_decode(&at, end), '|');
    text_add_string(out, "|");
}

static void print(struct text *out, value v, bool display, int depth);

static const char *abbreviation(value v)
{
    if (!is_symbol(car(v)) || !is_pair(cdr(v)) || cdr(cdr(v)) != NIL)
        return NULL;
    const char *name = symbol_name(car(v));
    return !strcmp(name, "quote")              ? "'"
           : !strcmp(name, "quasiquote")       ? "`"
           : !strcmp(name, "unquote")          ? ","
           : !strcmp(name, "unquote-splicing") ? ",@"
                                               : NULL;
}

static void print_list(struct text *out, value v, bool display, int depth)
{
    const char *prefix = abbreviation(v);
    if (prefix) {
        text_add_string(out, prefix);
        print(out, car(cdr(v)), display, depth + 1);
        return;
    }
    text_add_string(out, "(");
    print(out, car(v), display, depth + 1);
    size_t count = 0;
    value slow = v;
    for (v = cdr(v); is_pair(v); v = cdr(v)) {
        text_add_string(out, " ");
        if (v == slow || count > LONGEST) {
            text_add_string(out, "...");
            v = NIL;
            break;
        }
        if (count++ & 1)
            slow = cdr(slow);
        print(out, car(v), display, depth + 1);
    }
    if (v != NIL) {
        text_add_string(out, " . ");
        print(out, v, display, depth + 1);
    }
    text_add_string(out, ")");
}

static void print_vector(struct text *out, value v, bool display, int depth)
{
    text_add_string(out, "#(");
    for (size_t i = 0; i < length_of(v); i++) {
        if (i)
            text_add_string(out, " ");
        print(out, slots(v)[i], display, depth + 1);
    }
    text_add_string(out, ")");
}

static void print_record(struct text *out, value v, int depth)
{
    value type = slots(v)[0], names = slots(type)[1];
    text_add_string(out, "#<");
    print(out, slots(type)[0], true, depth + 1);
    for (size_t i = 1; i < length_of(v) && is_pair(names); i++, names = cdr(names)) {
        text_add_string(out, " ");
        print(out, car(names), true, depth + 1);
        text_add_string(out, ": ");
        print(out, slots(v)[i], false, depth + 1);
    }
    text_add_string(out, ">");
}

static void print_named(struct text *out, const char *what, value name)
{
    text_add_string(out, "#<");
    text_add_string(out, what);
    if (name != FALSE) {
        text_add_string(out, " ");
        print(out, name, true, 0);
    }
    text_add_string(out, ">");
}

static void print_object(struct text *out, value v, bool display, int depth)
{
    char text[100];
    switch (header_type(*words_of(v))) {
    case PAIR:
        print_list(out, v, display, depth);
        break;
    case VECTOR:
        print_vector(out, v, display, depth);
        break;
    case STRING:
        print_string(out, v, display);
        break;
    case FLONUM:
        format_number(v, 10, text);
        text_add_string(out, text);
        break;
    case BYTEVECTOR:
        text_add_string(out, "#u8(");
        for (size_t i = 0; i < length_of(v); i++) {
            snprintf(text, sizeof(text), i ? " %d" : "%d", byte_data(v)[i]);
            text_add_string(out, text);
        }
        text_add_string(out, ")");
        break;
    case CLOSURE:
        print_named(out, "procedure", slots(slots(v)[0])[CODE_NAME]);
        break;
    case CONTINUATION:
        print_named(out, "continuation", FALSE);
        break;
    case RECORD:
        print_record(out, v, depth);
        break;
    case RECORD_TYPE:
        print_named(out, "record-type", slots(v)[0]);
        break;
    case PROMISE:
        print_named(out, "promise", FALSE);
        break;
    case PARAMETER:
        print_named(out, "parameter", FALSE);
        break;
    case PORT:
        print_named(out, "port", FALSE);
        break;
    case ENVIRONMENT:
        print_named(out, "environment", FALSE);
        break;
    case THREAD:
        print_named(out, "thread", slots(v)[0]);
        break;
    case MUTEX:
        print_named(out, "mutex", slots(v)[0]);
        break;
    case VALUES:
        for (size_t i = 0; i < length_of(v); i++) {
            text_add_string(out, i ? " " : "");
            print(out, slots(v)[i], display, depth + 1);
        }
        break;
    default:
        print_named(out, "object", FALSE);
        break;
    }
}

static void print(struct text *out, value v, bool display, int depth)
{
    char text[80];
    if (is_fixnum(v)) {
        format_number(v, 10, text);
        text_add_string(out, text);
    } else if (depth > DEEPEST) {
        text_add_string(out, "...");
    } else if (is_pointer(v)) {
        print_object(out, v, display, depth);
    } else if (is_symbol(v)) {
        print_symbol(out, v, display);
    } else if (is_character(v)) {
        if (display)
            text_add_character(out, immediate_value(v));
        else
            print_character(out, immediate_value(v));
    } else if (is_immediate(v, PRIMITIVE)) {
        print_named(out, "procedure", intern_string(primitives[immediate_value(v)].name));
    } else {
        text_add_string(out, v == FALSE         ? "#f"
                             : v == TRUE        ? "#t"
                             : v == NIL         ? "()"
                             : v == END_OF_FILE ? "#<eof>"
                             : v == UNSPECIFIED ? "#<unspecified>"
                                                : "#<undefined>");
    }
}

void print_value(struct text *out, value v, bool display) { print(out, v, display, 0); }
