/*
 * Reading data. The text is in memory, and the thread holds collections off while a datum is being made, so the reader
 * may hold values in C variables; it never waits for input. When the text ends too early, the caller gets more and
 * starts the datum anew.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "prims.h"
#include "symbol.h"
#include "text.h"
#include "threads.h"

#define DEEPEST 10000

struct reader {
    struct thread *thread;
    const char *at, *end;
    bool more;
    int depth;
    jmp_buf stop;
};

enum { STOP_ERROR = 1, STOP_INCOMPLETE };

static value read_one(struct reader *r);

static _Noreturn void read_error(struct reader *r, const char *message)
{
    r->thread->error = condition_new(r->thread, "read", message, NIL);
    longjmp(r->stop, STOP_ERROR);
}

static int peek(struct reader *r) { return r->at < r->end ? (unsigned char)*r->at : -1; }

static _Noreturn void early_end(struct reader *r)
{
    if (r->more)
        longjmp(r->stop, STOP_INCOMPLETE);
    read_error(r, "the text ends within a datum");
}

static bool is_delimiter(int c) { return c < 0 || isspace(c) || strchr("()\";'`,|", c); }

static void skip_nested_comment(struct reader *r)
{
    int depth = 1;
    for (r->at += 2; depth; r->at++) {
        if (r->end - r->at < 2)
            early_end(r);
        if (r->at[0] == '|' && r->at[1] == '#') {
            depth--;
            r->at++;
        } else if (r->at[0] == '#' && r->at[1] == '|') {
            depth++;
            r->at++;
        }
    }
}

static void skip_blanks(struct reader *r)
{
    for (;;) {
        int c = peek(r);
        if (c == ';') {
            while (peek(r) >= 0 && peek(r) != '\n')
                r->at++;
        } else if (c == '#' && r->end - r->at > 1 && r->at[1] == '|') {
            skip_nested_comment(r);
        } else if (c == '#' && r->end - r->at > 1 && r->at[1] == ';') {
            r->at += 2;
            read_one(r);
        } else if (c == '#' && r->end - r->at > 1 && r->at[1] == '!' && r->end - r->at > 2 && isalpha(r->at[2])) {
            while (!is_delimiter(peek(r)))
                r->at++;
        } else if (c >= 0 && isspace(c)) {
            r->at++;
        } else {
            return;
        }
    }
}

static uint32_t read_hex(struct reader *r)
{
    char *end;
    unsigned long c = strtoul(r->at, &end, 16);
    if (end == r->at || c > 0x10ffff)
        read_error(r, "bad character code");
    r->at = end;
    return c;
}

/* After a backslash. False for the end of a line, which is no character. */
static bool read_escape(struct reader *r, uint32_t *c)
{
    static const char letters[] = "abtnr", codes[] = "\a\b\t\n\r";
    int letter = peek(r);
    const char *at;
    if (letter < 0)
        early_end(r);
    if (letter == 'x' || letter == 'X') {
        r->at++;
        *c = read_hex(r);
        if (peek(r) != ';')
            read_error(r, "; is missing after \\x");
        r->at++;
        return true;
    }
    if ((at = strchr(letters, letter))) {
        r->at++;
        *c = codes[at - letters];
        return true;
    }
    if (isspace(letter)) {
        while (peek(r) == ' ' || peek(r) == '\t')
            r->at++;
        if (peek(r) == '\r')
            r->at++;
        if (peek(r) == '\n')
            r->at++;
        while (peek(r) == ' ' || peek(r) == '\t')
            r->at++;
        return false;
    }
    *c = utf8_decode(&r->at, r->end);
    return true;
}

/* "..." or |...|, from behind the first delimiter. */
static struct text read_delimited(struct reader *r, char delimiter)
{
    struct text text = {0};
    while (peek(r) != delimiter) {
        uint32_t c;
        if (peek(r) < 0) {
            text_free(&text);
            early_end(r);
        }
        if (*r->at == '\\') {
            r->at++;
            if (!read_escape(r, &c))
                continue;
        } else {
            c = utf8_decode(&r->at, r->end);
        }
        text_add_character(&text, c);
    }
    r->at++;
    return text;
}

static value read_string(struct reader *r)
{
    struct text text = read_delimited(r, '"');
    value v = string_from_utf8(r->thread, text.data ? text.data : "", text.length);
    text_free(&text);
    return v;
}

static value read_character(struct reader *r)
{
    static const struct {
        const char *name;
        uint32_t c;
    } names[] = {{"space", ' '},  {"newline", '\n'}, {"tab", '\t'},    {"return", '\r'}, {"null", 0},
                 {"nul", 0},      {"alarm", 7},      {"backspace", 8}, {"delete", 127},  {"escape", 27},
                 {"altmode", 27}, {"rubout", 127},   {"linefeed", 10}};
    const char *start = r->at;
    if (peek(r) < 0)
        early_end(r);
    uint32_t c = utf8_decode(&r->at, r->end);
    while (!is_delimiter(peek(r)))
        r->at++;
    size_t length = r->at - start;
    if (length > 1 && (start[0] == 'x' || start[0] == 'X')) {
        char *end;
        unsigned long code = strtoul(start + 1, &end, 16);
        if (end == r->at && code <= 0x10ffff)
            return character(code);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strlen(names[i].name) == length && !strncasecmp(names[i].name, start, length))
            return character(names[i].c);
    const char *behind = start;
    utf8_decode(&behind, r->end);
    if (behind != r->at && (unsigned char)*start < 128 && isalpha((unsigned char)*start))
        read_error(r, "unknown name of a character");
    r->at = behind;
    return character(c);
}

/* A number or a symbol. */
static value read_atom(struct reader *r)
{
    struct text text = {0};
    bool bars = false;
    while (!is_delimiter(peek(r)) || peek(r) == '|') {
        if (*r->at == '|') {
            bars = true;
            r->at++;
            struct text part = read_delimited(r, '|');
            text_add(&text, part.data ? part.data : "", part.length);
            text_free(&part);
        } else {
            text_add(&text, r->at++, 1);
        }
    }
    text_add(&text, "", 1);
    value v = bars ? FALSE : parse_number(r->thread, text.data, 10);
    if (v == FALSE)
        v = intern(text.data, text.length - 1);
    text_free(&text);
    return v;
}

static value read_list(struct reader *r)
{
    value first = NIL, last = NIL, nil = NIL;
    for (;;) {
        skip_blanks(r);
        if (peek(r) < 0)
            early_end(r);
        if (*r->at == ')') {
            r->at++;
            return first;
        }
        if (*r->at == '.' && first != NIL && (r->end - r->at < 2 || is_delimiter((unsigned char)r->at[1]))) {
            r->at++;
            value rest = read_one(r);
            set_cdr(last, rest);
            skip_blanks(r);
            if (peek(r) < 0)
                early_end(r);
            if (*r->at++ != ')')
                read_error(r, ") is expected");
            return first;
        }
        value item = read_one(r);
        value pair = make_pair(r->thread, &item, &nil);
        if (first == NIL)
            first = pair;
        else
            set_cdr(last, pair);
        last = pair;
    }
}

static size_t pairs(value list)
{
    size_t n = 0;
    for (; is_pair(list); list = cdr(list))
        n++;
    return n;
}

static value read_vector(struct reader *r)
{
    value list = read_list(r);
    value v = allocate(r->thread, VECTOR, pairs(list));
    for (size_t i = 0; is_pair(list); list = cdr(list))
        slots(v)[i++] = car(list);
    return v;
}

static value read_bytevector(struct reader *r)
{
    value list = read_list(r);
    value v = allocate(r->thread, BYTEVECTOR, pairs(list));
    for (size_t i = 0; is_pair(list); list = cdr(list)) {
        if (!is_fixnum(car(list)) || (uintptr_t)fixnum_value(car(list)) > 255)
            read_error(r, "a bytevector has bytes only");
        byte_data(v)[i++] = fixnum_value(car(list));
    }
    return v;
}

static value read_sharp(struct reader *r)
{
    const char *start = r->at++;
    int c = peek(r);
    if (c < 0)
        early_end(r);
    if (c == '(') {
        r->at++;
        return read_vector(r);
    }
    if (c == '\\') {
        r->at++;
        return read_character(r);
    }
    if (!strncmp(r->at, "u8(", 3)) {
        r->at += 3;
        return read_bytevector(r);
    }
    while (!is_delimiter(peek(r)))
        r->at++;
    size_t length = r->at - start;
    char word[64];
    if (length >= sizeof(word))
        read_error(r, "unknown syntax after #");
    memcpy(word, start, length);
    word[length] = '\0';
    if (!strcmp(word, "#t") || !strcmp(word, "#true"))
        return TRUE;
    if (!strcmp(word, "#f") || !strcmp(word, "#false"))
        return FALSE;
    value v = strchr("xXbBoOdDeEiI", word[1]) ? parse_number(r->thread, word, 10) : FALSE;
    if (v == FALSE)
        read_error(r, "unknown syntax after #");
    return v;
}

static value read_quoted(struct reader *r, const char *name)
{
    value datum = read_one(r), nil = NIL, symbol = intern_string(name);
    value rest = make_pair(r->thread, &datum, &nil);
    return make_pair(r->thread, &symbol, &rest);
}

static value read_some(struct reader *r)
{
    skip_blanks(r);
    int c = peek(r);
    switch (c) {
    case -1:
        early_end(r);
    case '(':
        r->at++;
        return read_list(r);
    case ')':
        r->at++;
        read_error(r, "a ) too many");
    case '"':
        r->at++;
        return read_string(r);
    case '#':
        return read_sharp(r);
    case '\'':
        r->at++;
        return read_quoted(r, "quote");
    case '`':
        r->at++;
        return read_quoted(r, "quasiquote");
    case ',':
        r->at++;
        if (peek(r) == '@') {
            r->at++;
            return read_quoted(r, "unquote-splicing");
        }
        return read_quoted(r, "unquote");
    default:
        return read_atom(r);
    }
}

static value read_one(struct reader *r)
{
    if (++r->depth > DEEPEST)
        read_error(r, "data are nested too deeply");
    value v = read_some(r);
    r->depth--;
    return v;
}

value read_datum(struct thread *t, const char **at, const char *end, bool more)
{
    struct reader r = {.thread = t, .at = *at, .end = end, .more = more};
    volatile value result;

    t->hold++;
    int stopped = setjmp(r.stop);
    if (!stopped) {
        skip_blanks(&r);
        if (r.at == r.end)
            result = more ? ABSENT : END_OF_FILE;
        else
            result = read_one(&r);
    } else {
        result = stopped == STOP_ERROR ? FAILED : ABSENT;
    }
    /* With more text to come, a word at the very end may go on. */
    if (more && result != FAILED && result != ABSENT && r.at == r.end && !strchr(")\"", r.at[-1]))
        result = ABSENT;
    if (result != ABSENT)
        *at = r.at;
    t->hold--;
    return result;
}
