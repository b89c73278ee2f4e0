/*
 * Characters and strings. A string has 32 bits for each character; its length never changes.
 */
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#include "prims.h"
#include "text.h"

/* --- UTF-8 --- */

size_t utf8_encode(uint32_t c, char *to)
{
    if (c < 0x80)
        return to[0] = c, 1;
    if (c < 0x800)
        return to[0] = 0xc0 | c >> 6, to[1] = 0x80 | (c & 63), 2;
    if (c < 0x10000)
        return to[0] = 0xe0 | c >> 12, to[1] = 0x80 | (c >> 6 & 63), to[2] = 0x80 | (c & 63), 3;
    to[0] = 0xf0 | c >> 18;
    to[1] = 0x80 | (c >> 12 & 63);
    to[2] = 0x80 | (c >> 6 & 63);
    to[3] = 0x80 | (c & 63);
    return 4;
}

uint32_t utf8_decode(const char **text, const char *end)
{
    unsigned char first = *(*text)++;
    int more = first < 0x80 ? 0 : first < 0xc2 ? -1 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : -1;
    if (more <= 0)
        return more ? 0xfffd : first;
    uint32_t c = first & (0x3f >> more);
    for (int i = 0; i < more; i++) {
        if (*text == end || ((unsigned char)**text & 0xc0) != 0x80)
            return 0xfffd;
        c = c << 6 | ((unsigned char)*(*text)++ & 0x3f);
    }
    return c;
}

char *string_utf8(value string, size_t start, size_t end, size_t *length)
{
    struct text text = {0};
    for (size_t i = start; i < end; i++)
        text_add_character(&text, string_chars(string)[i]);
    *length = text.length;
    text_add(&text, "", 1);
    return text.data;
}

value string_from_utf8(struct thread *t, const char *text, size_t length)
{
    size_t count = 0;
    const char *end = text + length;
    for (const char *at = text; at < end; count++)
        utf8_decode(&at, end);
    value v = allocate(t, STRING, 4 * count);
    for (size_t i = 0; i < count; i++)
        string_chars(v)[i] = utf8_decode(&text, end);
    return v;
}

/* --- Characters --- */

#define NEED(test, what, v) \
    if (!(test))            \
    return wrong_type(t, what, v)

static uint32_t code(value v) { return immediate_value(v); }

static value prim_is_char(struct thread *t, size_t n, value *a)
{
    return (void)t, (void)n, boolean(is_character(a[0]));
}

static value prim_char_integer(struct thread *t, size_t n, value *a)
{
    (void)n;
    NEED(is_character(a[0]), "a character", a[0]);
    return fixnum(code(a[0]));
}
static value prim_integer_char(struct thread *t, size_t n, value *a)
{
    size_t c;
    (void)n;
    NEED(index_value(a[0], 0x10ffff, &c), "a character's number", a[0]);
    return character(c);
}

#define CHARACTER_FUNCTION(name, result)                           \
    static value prim_##name(struct thread *t, size_t n, value *a) \
    {                                                              \
        (void)n;                                                   \
        NEED(is_character(a[0]), "a character", a[0]);             \
        uint32_t c = code(a[0]);                                   \
        return result;                                             \
    }
CHARACTER_FUNCTION(char_upcase, character(towupper(c)))
CHARACTER_FUNCTION(char_downcase, character(towlower(c)))
CHARACTER_FUNCTION(is_alphabetic, boolean(iswalpha(c)))
CHARACTER_FUNCTION(is_numeric, boolean(c >= '0' && c <= '9'))
CHARACTER_FUNCTION(is_whitespace, boolean(iswspace(c)))
CHARACTER_FUNCTION(is_upper_case, boolean(iswupper(c)))
CHARACTER_FUNCTION(is_lower_case, boolean(iswlower(c)))
CHARACTER_FUNCTION(digit_value, c >= '0' && c <= '9' ? fixnum(c - '0') : FALSE)

static uint32_t folded(uint32_t c, bool fold) { return fold ? towlower(c) : c; }

/* WANTED: bits for less (1), equal (2), greater (4). */
static bool is_wanted(int order, int wanted) { return wanted & (order < 0 ? 1 : order == 0 ? 2 : 4); }

static value compare_characters(struct thread *t, size_t n, value *a, int wanted, bool fold)
{
    bool all = true;
    for (size_t i = 0; i < n; i++)
        NEED(is_character(a[i]), "a character", a[i]);
    for (size_t i = 0; i + 1 < n; i++) {
        uint32_t x = folded(code(a[i]), fold), y = folded(code(a[i + 1]), fold);
        all &= is_wanted(x < y ? -1 : x > y, wanted);
    }
    return boolean(all);
}

static int compare_two(value x, value y, bool fold)
{
    size_t i = 0, m = string_length(x), n = string_length(y);
    for (; i < m && i < n; i++) {
        uint32_t p = folded(string_chars(x)[i], fold), q = folded(string_chars(y)[i], fold);
        if (p != q)
            return p < q ? -1 : 1;
    }
    return m < n ? -1 : m > n;
}

static value compare_strings(struct thread *t, size_t n, value *a, int wanted, bool fold)
{
    bool all = true;
    for (size_t i = 0; i < n; i++)
        NEED(has_type(a[i], STRING), "a string", a[i]);
    for (size_t i = 0; i + 1 < n; i++)
        all &= is_wanted(compare_two(a[i], a[i + 1], fold), wanted);
    return boolean(all);
}

#define COMPARISONS(X) X(same, 2) X(less, 1) X(greater, 4) X(not_greater, 3) X(not_less, 6)
#define X(name, wanted)                                                      \
    static value prim_char_##name(struct thread *t, size_t n, value *a)      \
    {                                                                        \
        return compare_characters(t, n, a, wanted, false);                   \
    }                                                                        \
    static value prim_char_ci_##name(struct thread *t, size_t n, value *a)   \
    {                                                                        \
        return compare_characters(t, n, a, wanted, true);                    \
    }                                                                        \
    static value prim_string_##name(struct thread *t, size_t n, value *a)    \
    {                                                                        \
        return compare_strings(t, n, a, wanted, false);                      \
    }                                                                        \
    static value prim_string_ci_##name(struct thread *t, size_t n, value *a) \
    {                                                                        \
        return compare_strings(t, n, a, wanted, true);                       \
    }
COMPARISONS(X)
#undef X

const struct primitive character_primitives[] = {
    {"char?", prim_is_char, 1, 1, false},
    {"char->integer", prim_char_integer, 1, 1, false},
    {"integer->char", prim_integer_char, 1, 1, false},
    {"char-upcase", prim_char_upcase, 1, 1, false},
    {"char-downcase", prim_char_downcase, 1, 1, false},
    {"char-foldcase", prim_char_downcase, 1, 1, false},
    {"char-alphabetic?", prim_is_alphabetic, 1, 1, false},
    {"char-numeric?", prim_is_numeric, 1, 1, false},
    {"char-whitespace?", prim_is_whitespace, 1, 1, false},
    {"char-upper-case?", prim_is_upper_case, 1, 1, false},
    {"char-lower-case?", prim_is_lower_case, 1, 1, false},
    {"digit-value", prim_digit_value, 1, 1, false},
    {"char=?", prim_char_same, 1, -1, false},
    {"char<?", prim_char_less, 1, -1, false},
    {"char>?", prim_char_greater, 1, -1, false},
    {"char<=?", prim_char_not_greater, 1, -1, false},
    {"char>=?", prim_char_not_less, 1, -1, false},
    {"char-ci=?", prim_char_ci_same, 1, -1, false},
    {"char-ci<?", prim_char_ci_less, 1, -1, false},
    {"char-ci>?", prim_char_ci_greater, 1, -1, false},
    {"char-ci<=?", prim_char_ci_not_greater, 1, -1, false},
    {"char-ci>=?", prim_char_ci_not_less, 1, -1, false},
    {0},
};

/* --- Strings --- */

static value prim_is_string(struct thread *t, size_t n, value *a)
{
    return (void)t, (void)n, boolean(has_type(a[0], STRING));
}

static value prim_make_string(struct thread *t, size_t n, value *a)
{
    size_t length;
    NEED(index_value(a[0], (size_t)1 << 40, &length), "a length", a[0]);
    if (n > 1)
        NEED(is_character(a[1]), "a character", a[1]);
    value v = allocate(t, STRING, 4 * length);
    for (size_t i = 0; i < length; i++)
        string_chars(v)[i] = n > 1 ? code(a[1]) : ' ';
    return v;
}

static value prim_string(struct thread *t, size_t n, value *a)
{
    for (size_t i = 0; i < n; i++)
        NEED(is_character(a[i]), "a character", a[i]);
    value v = allocate(t, STRING, 4 * n);
    for (size_t i = 0; i < n; i++)
        string_chars(v)[i] = code(a[i]);
    return v;
}

static value prim_length(struct thread *t, size_t n, value *a)
{
    (void)n;
    NEED(has_type(a[0], STRING), "a string", a[0]);
    return fixnum(string_length(a[0]));
}
static value prim_ref(struct thread *t, size_t n, value *a)
{
    size_t i;
    (void)n;
    NEED(has_type(a[0], STRING), "a string", a[0]);
    if (!index_value(a[1], string_length(a[0]), &i) || i == string_length(a[0]))
        return out_of_range(t, a[1]);
    return character(string_chars(a[0])[i]);
}
static value prim_set(struct thread *t, size_t n, value *a)
{
    size_t i;
    (void)n;
    NEED(has_type(a[0], STRING), "a string", a[0]);
    NEED(is_character(a[2]), "a character", a[2]);
    if (!index_value(a[1], string_length(a[0]), &i) || i == string_length(a[0]))
        return out_of_range(t, a[1]);
    string_chars(a[0])[i] = code(a[2]);
    return UNSPECIFIED;
}

static value prim_copy(struct thread *t, size_t n, value *a)
{
    size_t start, end;
    NEED(has_type(a[0], STRING), "a string", a[0]);
    if (!range_arguments(n, a, 1, string_length(a[0]), &start, &end))
        return out_of_range(t, a[1]);
    value v = allocate(t, STRING, 4 * (end - start));
    memcpy(bytes(v), string_chars(a[0]) + start, 4 * (end - start));
    return v;
}

static value prim_append(struct thread *t, size_t n, value *a)
{
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        NEED(has_type(a[i], STRING), "a string", a[i]);
        length += string_length(a[i]);
    }
    value v = allocate(t, STRING, 4 * length);
    uint32_t *to = string_chars(v);
    for (size_t i = 0; i < n; to += string_length(a[i++]))
        memcpy(to, bytes(a[i]), length_of(a[i]));
    return v;
}

static value prim_to_list(struct thread *t, size_t n, value *a)
{
    size_t start, end;
    NEED(has_type(a[0], STRING), "a string", a[0]);
    if (!range_arguments(n, a, 1, string_length(a[0]), &start, &end))
        return out_of_range(t, a[1]);
    t->accumulator = NIL;
    while (end-- > start) {
        value c = character(string_chars(a[0])[end]);
        t->accumulator = make_pair(t, &c, &t->accumulator);
    }
    return t->accumulator;
}

static value prim_from_list(struct thread *t, size_t n, value *a)
{
    size_t count = 0;
    (void)n;
    for (value list = a[0]; is_pair(list); list = cdr(list), count++)
        NEED(is_character(car(list)), "a character", car(list));
    value v = allocate(t, STRING, 4 * count);
    count = 0;
    for (value list = a[0]; is_pair(list); list = cdr(list))
        string_chars(v)[count++] = code(car(list));
    return v;
}

static value prim_fill(struct thread *t, size_t n, value *a)
{
    size_t start, end;
    NEED(has_type(a[0], STRING), "a string", a[0]);
    NEED(is_character(a[1]), "a character", a[1]);
    if (!range_arguments(n, a, 2, string_length(a[0]), &start, &end))
        return out_of_range(t, a[2]);
    for (size_t i = start; i < end; i++)
        string_chars(a[0])[i] = code(a[1]);
    return UNSPECIFIED;
}

static value prim_copy_to(struct thread *t, size_t n, value *a)
{
    size_t at, start, end;
    NEED(has_type(a[0], STRING), "a string", a[0]);
    NEED(has_type(a[2], STRING), "a string", a[2]);
    if (!index_value(a[1], string_length(a[0]), &at) || !range_arguments(n, a, 3, string_length(a[2]), &start, &end) ||
        end - start > string_length(a[0]) - at)
        return out_of_range(t, a[1]);
    memmove(string_chars(a[0]) + at, string_chars(a[2]) + start, 4 * (end - start));
    return UNSPECIFIED;
}

static value changed(struct thread *t, value *a, wint_t (*change)(wint_t c))
{
    NEED(has_type(a[0], STRING), "a string", a[0]);
    value v = allocate(t, STRING, length_of(a[0]));
    for (size_t i = 0; i < string_length(v); i++)
        string_chars(v)[i] = change(string_chars(a[0])[i]);
    return v;
}
static value prim_upcase(struct thread *t, size_t n, value *a) { return (void)n, changed(t, a, towupper); }
static value prim_downcase(struct thread *t, size_t n, value *a) { return (void)n, changed(t, a, towlower); }

const struct primitive string_primitives[] = {
    {"string?", prim_is_string, 1, 1, false},
    {"make-string", prim_make_string, 1, 2, false},
    {"string", prim_string, 0, -1, false},
    {"string-length", prim_length, 1, 1, false},
    {"string-ref", prim_ref, 2, 2, false},
    {"string-set!", prim_set, 3, 3, false},
    {"string-copy", prim_copy, 1, 3, false},
    {"substring", prim_copy, 3, 3, false},
    {"string-append", prim_append, 0, -1, false},
    {"string->list", prim_to_list, 1, 3, false},
    {"list->string", prim_from_list, 1, 1, false},
    {"string-fill!", prim_fill, 2, 4, false},
    {"string-copy!", prim_copy_to, 3, 5, false},
    {"string-upcase", prim_upcase, 1, 1, false},
    {"string-downcase", prim_downcase, 1, 1, false},
    {"string-foldcase", prim_downcase, 1, 1, false},
    {"string=?", prim_string_same, 1, -1, false},
    {"string<?", prim_string_less, 1, -1, false},
    {"string>?", prim_string_greater, 1, -1, false},
    {"string<=?", prim_string_not_greater, 1, -1, false},
    {"string>=?", prim_string_not_less, 1, -1, false},
    {"string-ci=?", prim_string_ci_same, 1, -1, false},
    {"string-ci<?", prim_string_ci_less, 1, -1, false},
    {"string-ci>?", prim_string_ci_greater, 1, -1, false},
    {"string-ci<=?", prim_string_ci_not_greater, 1, -1, false},
    {"string-ci>=?", prim_string_ci_not_less, 1, -1, false},
    {0},
};
