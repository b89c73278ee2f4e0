/*
 * Pairs and lists, equivalence, symbols, booleans.
 */
#include <stdlib.h>
#include <string.h>

#include "prims.h"
#include "symbol.h"

bool is_eqv(value a, value b)
{
    if (a == b)
        return true;
    if (has_type(a, FLONUM) && has_type(b, FLONUM))
        return *slots(a) == *slots(b);
    return false;
}

#define DEEPEST 100000

static bool equal(value a, value b, int depth)
{
    for (;;) {
        if (is_eqv(a, b))
            return true;
        if (!is_pointer(a) || !is_pointer(b) || *words_of(a) != *words_of(b) || depth > DEEPEST)
            return false;
        switch (header_type(*words_of(a))) {
        case PAIR:
            if (!equal(car(a), car(b), depth + 1))
                return false;
            a = cdr(a);
            b = cdr(b);
            continue;
        case VECTOR:
            for (size_t i = 0; i < length_of(a); i++)
                if (!equal(slots(a)[i], slots(b)[i], depth + 1))
                    return false;
            return true;
        case STRING:
        case BYTEVECTOR:
            return !memcmp(bytes(a), bytes(b), length_of(a));
        default:
            return false;
        }
    }
}

bool is_equal(value a, value b) { return equal(a, b, 0); }

#define PREDICATE(name, test) \
    static value prim_##name(struct thread *t, size_t n, value *a) { return (void)t, (void)n, boolean(test); }

PREDICATE(is_eq, a[0] == a[1])
PREDICATE(is_eqv, is_eqv(a[0], a[1]))
PREDICATE(is_equal, is_equal(a[0], a[1]))
PREDICATE(is_pair, is_pair(a[0]))
PREDICATE(is_null, a[0] == NIL)
PREDICATE(not, a[0] == FALSE)
PREDICATE(is_symbol, is_symbol(a[0]))
PREDICATE(is_boolean, a[0] == TRUE || a[0] == FALSE)

static value prim_cons(struct thread *t, size_t n, value *a) { return (void)n, make_pair(t, &a[0], &a[1]); }

static value prim_car(struct thread *t, size_t n, value *a)
{
    return (void)n, is_pair(a[0]) ? car(a[0]) : wrong_type(t, "a pair", a[0]);
}
static value prim_cdr(struct thread *t, size_t n, value *a)
{
    return (void)n, is_pair(a[0]) ? cdr(a[0]) : wrong_type(t, "a pair", a[0]);
}

/* PATH from the right: 'a' and 'd' as in cadr. */
static value follow(struct thread *t, value v, const char *path)
{
    value start = v;
    for (size_t i = strlen(path); i-- > 0;) {
        if (!is_pair(v))
            return wrong_type(t, "another shape of pairs", start);
        v = path[i] == 'a' ? car(v) : cdr(v);
    }
    return v;
}

#define PATHS(X)                                                                                                       \
    X(aa)                                                                                                              \
    X(ad)                                                                                                              \
    X(da)                                                                                                              \
    X(dd)                                                                                                              \
    X(aaa)                                                                                                             \
    X(aad)                                                                                                             \
    X(ada)                                                                                                             \
    X(add) X(daa) X(dad) X(dda) X(ddd) X(aaaa) X(aaad) X(aada) X(aadd) X(adaa) X(adad) X(adda) X(addd) X(daaa) X(daad) \
        X(dada) X(dadd) X(ddaa) X(ddad) X(ddda) X(dddd)
#define X(path) \
    static value prim_c##path##r(struct thread *t, size_t n, value *a) { return (void)n, follow(t, a[0], #path); }
PATHS(X)
#undef X

static value prim_set_car(struct thread *t, size_t n, value *a)
{
    (void)n;
    if (!is_pair(a[0]))
        return wrong_type(t, "a pair", a[0]);
    set_car(a[0], a[1]);
    return UNSPECIFIED;
}
static value prim_set_cdr(struct thread *t, size_t n, value *a)
{
    (void)n;
    if (!is_pair(a[0]))
        return wrong_type(t, "a pair", a[0]);
    set_cdr(a[0], a[1]);
    return UNSPECIFIED;
}

static value prim_list(struct thread *t, size_t n, value *a)
{
    t->accumulator = NIL;
    for (size_t i = n; i-- > 0;)
        t->accumulator = make_pair(t, &a[i], &t->accumulator);
    return t->accumulator;
}

static value prim_cons_star(struct thread *t, size_t n, value *a)
{
    t->accumulator = a[n - 1];
    for (size_t i = n - 1; i-- > 0;)
        t->accumulator = make_pair(t, &a[i], &t->accumulator);
    return t->accumulator;
}

/* The number of pairs, or -1 when LIST is no proper list. */
static intptr_t list_length(value list)
{
    intptr_t n = 0;
    for (value slow = list; is_pair(list);) {
        list = cdr(list);
        if (++n % 2 == 0)
            slow = cdr(slow);
        if (list == slow)
            return -1;
    }
    return list == NIL ? n : -1;
}

PREDICATE(is_list, list_length(a[0]) >= 0)

static value prim_length(struct thread *t, size_t n, value *a)
{
    (void)n;
    intptr_t length = list_length(a[0]);
    return length < 0 ? wrong_type(t, "a list", a[0]) : fixnum(length);
}

static value prim_make_list(struct thread *t, size_t n, value *a)
{
    size_t count;
    if (!index_value(a[0], MAX_FIXNUM, &count))
        return wrong_type(t, "a length", a[0]);
    value unspecified = UNSPECIFIED;
    t->accumulator = NIL;
    while (count-- > 0)
        t->accumulator = make_pair(t, n > 1 ? &a[1] : &unspecified, &t->accumulator);
    return t->accumulator;
}

/* The pairs of FROM, a root, before TAIL, a root. */
static value copy_before(struct thread *t, value *from, value *tail)
{
    value *first = &t->temporaries[1], *last = &t->temporaries[2], nil = NIL;
    *first = *last = NIL;
    for (; is_pair(*from); *from = cdr(*from)) {
        value item = FALSE;
        value pair = make_pair(t, &item, &nil);
        set_car(pair, car(*from));
        if (*first == NIL)
            *first = pair;
        else
            set_cdr(*last, pair);
        *last = pair;
    }
    value result = *tail;
    if (*first != NIL) {
        set_cdr(*last, *tail);
        result = *first;
    }
    *first = *last = FALSE;
    return result;
}

static value prim_append(struct thread *t, size_t n, value *a)
{
    if (!n)
        return NIL;
    t->accumulator = a[n - 1];
    for (size_t i = n - 1; i-- > 0;) {
        if (list_length(a[i]) < 0)
            return wrong_type(t, "a list", a[i]);
        t->accumulator = copy_before(t, &a[i], &t->accumulator);
    }
    return t->accumulator;
}

static value prim_list_copy(struct thread *t, size_t n, value *a)
{
    (void)n;
    value last = a[0];
    while (is_pair(last))
        last = cdr(last);
    t->accumulator = last;
    return copy_before(t, &a[0], &t->accumulator);
}

static value prim_reverse(struct thread *t, size_t n, value *a)
{
    (void)n;
    if (list_length(a[0]) < 0)
        return wrong_type(t, "a list", a[0]);
    t->accumulator = NIL;
    for (; is_pair(a[0]); a[0] = cdr(a[0])) {
        value item = FALSE;
        value pair = make_pair(t, &item, &t->accumulator);
        set_car(pair, car(a[0]));
        t->accumulator = pair;
    }
    return t->accumulator;
}

static value prim_list_tail(struct thread *t, size_t n, value *a)
{
    size_t count;
    (void)n;
    if (!index_value(a[1], MAX_FIXNUM, &count))
        return wrong_type(t, "an index", a[1]);
    value list = a[0];
    while (count-- > 0) {
        if (!is_pair(list))
            return out_of_range(t, a[1]);
        list = cdr(list);
    }
    return list;
}
static value prim_list_ref(struct thread *t, size_t n, value *a)
{
    value list = prim_list_tail(t, n, a);
    return list == FAILED ? FAILED : is_pair(list) ? car(list) : out_of_range(t, a[1]);
}

static bool (*const tests[])(value a, value b) = {NULL, is_eqv, is_equal};

static value member(struct thread *t, value *a, int test)
{
    value list = a[1];
    for (; is_pair(list); list = cdr(list))
        if (car(list) == a[0] || (test && tests[test](a[0], car(list))))
            return list;
    return list == NIL ? FALSE : wrong_type(t, "a list", a[1]);
}
static value prim_memq(struct thread *t, size_t n, value *a) { return (void)n, member(t, a, 0); }
static value prim_memv(struct thread *t, size_t n, value *a) { return (void)n, member(t, a, 1); }
static value prim_member(struct thread *t, size_t n, value *a) { return (void)n, member(t, a, 2); }

static value associate(struct thread *t, value *a, int test)
{
    value list = a[1];
    for (; is_pair(list); list = cdr(list)) {
        value pair = car(list);
        if (!is_pair(pair))
            return wrong_type(t, "a list of pairs", a[1]);
        if (car(pair) == a[0] || (test && tests[test](a[0], car(pair))))
            return pair;
    }
    return list == NIL ? FALSE : wrong_type(t, "a list", a[1]);
}
static value prim_assq(struct thread *t, size_t n, value *a) { return (void)n, associate(t, a, 0); }
static value prim_assv(struct thread *t, size_t n, value *a) { return (void)n, associate(t, a, 1); }
static value prim_assoc(struct thread *t, size_t n, value *a) { return (void)n, associate(t, a, 2); }

static value all_same(struct thread *t, size_t n, value *a, bool symbols_wanted)
{
    for (size_t i = 0; i < n; i++)
        if (symbols_wanted ? !is_symbol(a[i]) : a[i] != TRUE && a[i] != FALSE)
            return wrong_type(t, symbols_wanted ? "a symbol" : "a boolean", a[i]);
    for (size_t i = 1; i < n; i++)
        if (a[i] != a[0])
            return FALSE;
    return TRUE;
}
static value prim_symbols_same(struct thread *t, size_t n, value *a) { return all_same(t, n, a, true); }
static value prim_booleans_same(struct thread *t, size_t n, value *a) { return all_same(t, n, a, false); }

static value prim_symbol_string(struct thread *t, size_t n, value *a)
{
    (void)n;
    if (!is_symbol(a[0]))
        return wrong_type(t, "a symbol", a[0]);
    return string_from_utf8(t, symbol_name(a[0]), symbol_of(a[0])->length);
}
static value prim_string_symbol(struct thread *t, size_t n, value *a)
{
    size_t length;
    (void)n;
    if (!has_type(a[0], STRING))
        return wrong_type(t, "a string", a[0]);
    char *text = string_utf8(a[0], 0, string_length(a[0]), &length);
    value symbol = intern(text, length);
    free(text);
    return symbol;
}
static value prim_gensym(struct thread *t, size_t n, value *a) { return (void)t, (void)n, (void)a, gensym("g"); }

const struct primitive list_primitives[] = {
    {"eq?", prim_is_eq, 2, 2, false},
    {"eqv?", prim_is_eqv, 2, 2, false},
    {"equal?", prim_is_equal, 2, 2, false},
    {"pair?", prim_is_pair, 1, 1, false},
    {"null?", prim_is_null, 1, 1, false},
    {"list?", prim_is_list, 1, 1, false},
    {"not", prim_not, 1, 1, false},
    {"symbol?", prim_is_symbol, 1, 1, false},
    {"boolean?", prim_is_boolean, 1, 1, false},
    {"symbol=?", prim_symbols_same, 1, -1, false},
    {"boolean=?", prim_booleans_same, 1, -1, false},
    {"cons", prim_cons, 2, 2, false},
    {"car", prim_car, 1, 1, false},
    {"cdr", prim_cdr, 1, 1, false},
#define X(path) {"c" #path "r", prim_c##path##r, 1, 1, false},
    PATHS(X)
#undef X
        {"set-car!", prim_set_car, 2, 2, false},
    {"set-cdr!", prim_set_cdr, 2, 2, false},
    {"list", prim_list, 0, -1, false},
    {"cons*", prim_cons_star, 1, -1, false},
    {"length", prim_length, 1, 1, false},
    {"make-list", prim_make_list, 1, 2, false},
    {"append", prim_append, 0, -1, false},
    {"list-copy", prim_list_copy, 1, 1, false},
    {"reverse", prim_reverse, 1, 1, false},
    {"list-tail", prim_list_tail, 2, 2, false},
    {"list-ref", prim_list_ref, 2, 2, false},
    {"memq", prim_memq, 2, 2, false},
    {"memv", prim_memv, 2, 2, false},
    {"%member", prim_member, 2, 2, false},
    {"assq", prim_assq, 2, 2, false},
    {"assv", prim_assv, 2, 2, false},
    {"%assoc", prim_assoc, 2, 2, false},
    {"symbol->string", prim_symbol_string, 1, 1, false},
    {"string->symbol", prim_string_symbol, 1, 1, false},
    {"string->uninterned-symbol", prim_gensym, 1, 1, false},
    {"generate-symbol", prim_gensym, 0, 0, false},
    {0},
};
