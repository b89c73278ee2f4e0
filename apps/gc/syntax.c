/*
 * Names and macros.
 *
 * Hygiene is by aliases: each expansion of a macro puts a fresh alias where its template has a symbol. An alias that
 * nothing binds means what the symbol means where the macro was defined; one that is bound is a variable of its own,
 * which no symbol of the program can capture. Quoted data get their symbols back (strip).
 */
#include <stdlib.h>
#include <string.h>

#include "compile.h"
#include "symbol.h"
#include "threads.h"

/* --- Aliases --- */

struct alias_entry {
    value symbol; /* or another alias */
    struct scope *scope;
};

static struct alias_entry *aliases;
static size_t alias_count, alias_room;
static struct macro *global_macros;

value alias(value symbol, struct scope *scope)
{
    if (alias_count == alias_room) {
        alias_room = alias_room ? 2 * alias_room : 1024;
        aliases = realloc(aliases, alias_room * sizeof(*aliases));
        if (!aliases)
            abort();
    }
    aliases[alias_count] = (struct alias_entry){symbol, scope};
    return IMMEDIATE(ALIAS, alias_count++);
}

static bool is_alias(value v) { return is_immediate(v, ALIAS); }

bool is_identifier(value v) { return is_symbol(v) || is_alias(v); }

value unalias(value name)
{
    while (is_alias(name))
        name = aliases[immediate_value(name)].symbol;
    return name;
}

static bool has_alias(value datum)
{
    for (; is_pair(datum); datum = cdr(datum))
        if (has_alias(car(datum)))
            return true;
    if (has_type(datum, VECTOR))
        for (size_t i = 0; i < length_of(datum); i++)
            if (has_alias(slots(datum)[i]))
                return true;
    return is_alias(datum);
}

static value strip_copy(value datum)
{
    struct thread *t = compiling_thread();
    if (is_pair(datum)) {
        value first = strip_copy(car(datum)), rest = strip_copy(cdr(datum));
        return make_pair(t, &first, &rest);
    }
    if (has_type(datum, VECTOR)) {
        value copy = allocate(t, VECTOR, length_of(datum));
        for (size_t i = 0; i < length_of(datum); i++)
            slots(copy)[i] = FALSE;
        for (size_t i = 0; i < length_of(datum); i++)
            slots(copy)[i] = strip_copy(slots(datum)[i]);
        return copy;
    }
    return unalias(datum);
}

value strip(value datum) { return has_alias(datum) ? strip_copy(datum) : datum; }

/* --- Scopes --- */

struct scope *scope_new(struct scope *up, struct lambda *lambda)
{
    struct scope *s = arena(sizeof(*s));
    s->up = up;
    s->lambda = lambda;
    return s;
}

static struct binding *add_binding(struct scope *scope, value name, enum binding_kind kind)
{
    struct binding *b = arena(sizeof(*b));
    *b = (struct binding){.name = name, .kind = kind, .next = scope->bindings};
    scope->bindings = b;
    return b;
}

struct variable *bind_variable(struct scope *scope, value name)
{
    struct binding *b = add_binding(scope, name, BOUND_VARIABLE);
    b->variable = arena(sizeof(*b->variable));
    *b->variable = (struct variable){.name = unalias(name), .owner = scope->lambda, .slot = -1};
    return b->variable;
}

void bind_macro(struct scope *scope, value name, struct macro *macro)
{
    if (scope) {
        add_binding(scope, name, BOUND_MACRO)->macro = macro;
        return;
    }
    struct macro *kept = malloc(sizeof(*kept));
    if (!kept)
        abort();
    *kept = *macro;
    kept->next = global_macros;
    global_macros = kept;
    symbol_of(unalias(name))->macro = kept;
}

void macros_each_root(void (*visit)(value *word))
{
    for (struct macro *m = global_macros; m; m = m->next) {
        visit(&m->ellipsis);
        visit(&m->literals);
        visit(&m->rules);
    }
}

struct binding resolve(struct scope *scope, value name)
{
    for (;;) {
        for (; scope; scope = scope->up)
            for (struct binding *b = scope->bindings; b; b = b->next)
                if (b->name == name)
                    return *b;
        if (!is_alias(name))
            break;
        struct alias_entry *entry = &aliases[immediate_value(name)];
        scope = entry->scope;
        name = entry->symbol;
    }
    struct symbol *symbol = symbol_of(name);
    if (symbol->macro)
        return (struct binding){.name = name, .kind = BOUND_MACRO, .macro = symbol->macro, .symbol = name};
    if (symbol->keyword)
        return (struct binding){.name = name, .kind = BOUND_KEYWORD, .keyword = symbol->keyword, .symbol = name};
    return (struct binding){.name = name, .kind = BOUND_GLOBAL, .symbol = name};
}

static bool same_binding(struct scope *scope1, value name1, struct scope *scope2, value name2)
{
    struct binding a = resolve(scope1, name1), b = resolve(scope2, name2);
    if (a.kind == BOUND_VARIABLE || b.kind == BOUND_VARIABLE)
        return a.kind == b.kind && a.variable == b.variable;
    return a.kind == b.kind && a.symbol == b.symbol && a.macro == b.macro;
}

/* --- syntax-rules: matching --- */

/* What a pattern variable stands for: a datum, or with an ellipsis behind it one match for each repetition. */
struct match {
    value name;
    value datum;
    struct match **items; /* lists of matches, one for each repetition */
    size_t count;
    struct match *next;
};

struct expansion {
    struct macro *macro;
    struct scope *scope;   /* of the use */
    struct match *renamed; /* symbols of the template that have got their alias */
};

/* In what another macro made, the ellipsis is an alias as well. */
static bool is_ellipsis(struct expansion *e, value v)
{
    return is_identifier(v) && (v == e->macro->ellipsis || unalias(v) == e->macro->ellipsis);
}

static bool is_member(value name, value list)
{
    for (; is_pair(list); list = cdr(list))
        if (car(list) == name)
            return true;
    return false;
}

static size_t pairs_in(value list)
{
    size_t n = 0;
    for (; is_pair(list); list = cdr(list))
        n++;
    return n;
}

static value vector_list(value vector)
{
    value list = NIL;
    for (size_t i = length_of(vector); i-- > 0;)
        list = make_pair(compiling_thread(), &slots(vector)[i], &list);
    return list;
}

static struct match *add_match(struct match **matches, value name, value datum)
{
    struct match *m = arena(sizeof(*m));
    *m = (struct match){.name = name, .datum = datum, .next = *matches};
    return *matches = m;
}

static bool match(struct expansion *e, value pattern, value form, struct match **matches);

/* The variables of PATTERN, each with the list of what it stood for in REPETITIONS. */
static void collect_repetitions(struct expansion *e, value pattern, struct match **repetitions, size_t count,
                                struct match **matches)
{
    if (is_identifier(pattern)) {
        if (is_ellipsis(e, pattern) || is_member(pattern, e->macro->literals))
            return;
        struct match *m = add_match(matches, pattern, FALSE);
        m->items = arena(count * sizeof(*m->items) + 1);
        m->count = count;
        for (size_t i = 0; i < count; i++)
            for (struct match *item = repetitions[i]; item; item = item->next)
                if (item->name == pattern)
                    m->items[i] = item;
    } else if (is_pair(pattern)) {
        collect_repetitions(e, car(pattern), repetitions, count, matches);
        collect_repetitions(e, cdr(pattern), repetitions, count, matches);
    } else if (has_type(pattern, VECTOR)) {
        collect_repetitions(e, vector_list(pattern), repetitions, count, matches);
    }
}

/* (item ... . tail) */
static bool match_ellipsis(struct expansion *e, value pattern, value form, struct match **matches)
{
    value item = car(pattern), tail = cdr(cdr(pattern));
    size_t least = pairs_in(tail), there = pairs_in(form);

    if (there < least)
        return false;
    size_t count = there - least;
    struct match **repetitions = arena(count * sizeof(*repetitions) + 1);
    for (size_t i = 0; i < count; i++, form = cdr(form))
        if (!match(e, item, car(form), &repetitions[i]))
            return false;
    collect_repetitions(e, item, repetitions, count, matches);
    return match(e, tail, form, matches);
}

static bool datum_equal(value a, value b)
{
    if (has_type(a, STRING) && has_type(b, STRING))
        return length_of(a) == length_of(b) && !memcmp(bytes(a), bytes(b), length_of(a));
    if (has_type(a, FLONUM) && has_type(b, FLONUM))
        return flonum_value(a) == flonum_value(b);
    return a == b;
}

static bool match(struct expansion *e, value pattern, value form, struct match **matches)
{
    if (is_identifier(pattern)) {
        if (is_member(pattern, e->macro->literals))
            return is_identifier(form) && same_binding(e->scope, form, e->macro->scope, pattern);
        if (unalias(pattern) != intern_string("_"))
            add_match(matches, pattern, form);
        return true;
    }
    if (is_pair(pattern)) {
        if (is_pair(cdr(pattern)) && is_ellipsis(e, car(cdr(pattern))))
            return match_ellipsis(e, pattern, form, matches);
        return is_pair(form) && match(e, car(pattern), car(form), matches) &&
               match(e, cdr(pattern), cdr(form), matches);
    }
    if (has_type(pattern, VECTOR))
        return has_type(form, VECTOR) && match(e, vector_list(pattern), vector_list(form), matches);
    return datum_equal(pattern, form);
}

/* --- syntax-rules: templates --- */

static struct match *find_match(struct match *matches, value name)
{
    while (matches && matches->name != name)
        matches = matches->next;
    return matches;
}

static value rename_symbol(struct expansion *e, value symbol)
{
    struct match *m = find_match(e->renamed, symbol);
    if (!m)
        m = add_match(&e->renamed, symbol, alias(symbol, e->macro->scope));
    return m->datum;
}

static value instantiate(struct expansion *e, value template, struct match *matches, bool escaped);

/* How often ITEM is to be repeated: as often as the variables in it that repeat. Their matches of repetition I: *INNER.
 */
static bool repetitions_of(value item, struct match *matches, size_t *count)
{
    bool found = false;
    if (is_identifier(item)) {
        struct match *m = find_match(matches, item);
        if (!m || !m->items)
            return false;
        *count = m->count > *count ? m->count : *count;
        return true;
    }
    for (; is_pair(item); item = cdr(item))
        found |= repetitions_of(car(item), matches, count);
    if (has_type(item, VECTOR))
        for (size_t i = 0; i < length_of(item); i++)
            found |= repetitions_of(slots(item)[i], matches, count);
    else if (is_identifier(item))
        found |= repetitions_of(item, matches, count);
    return found;
}

static struct match *matches_of_repetition(struct match *matches, size_t i)
{
    struct match *inner = NULL;
    for (struct match *m = matches; m; m = m->next) {
        if (m->items && i >= m->count)
            continue;
        struct match *source = m->items ? m->items[i] : m;
        if (!source)
            continue;
        struct match *copy = arena(sizeof(*copy));
        *copy = *source;
        copy->next = inner;
        inner = copy;
    }
    return inner;
}

static value append_to(value list, value tail)
{
    if (!is_pair(list))
        return tail;
    value rest = append_to(cdr(list), tail), first = car(list);
    return make_pair(compiling_thread(), &first, &rest);
}

/* ITEM with DEPTH ellipses behind it: a list. */
static value repeat(struct expansion *e, value item, struct match *matches, size_t depth)
{
    size_t count = 0;
    if (!repetitions_of(item, matches, &count))
        syntax_error("syntax-rules: nothing repeats before the ellipsis", strip(item));
    value list = NIL;
    for (size_t i = count; i-- > 0;) {
        struct match *inner = matches_of_repetition(matches, i);
        if (depth > 1) {
            list = append_to(repeat(e, item, inner, depth - 1), list);
        } else {
            value one = instantiate(e, item, inner, false);
            list = make_pair(compiling_thread(), &one, &list);
        }
    }
    return list;
}

static value instantiate(struct expansion *e, value template, struct match *matches, bool escaped)
{
    if (is_identifier(template)) {
        struct match *m = find_match(matches, template);
        return m ? m->datum : rename_symbol(e, template);
    }
    if (has_type(template, VECTOR)) {
        value list = instantiate(e, vector_list(template), matches, escaped);
        value vector = allocate(compiling_thread(), VECTOR, pairs_in(list));
        for (size_t i = 0; is_pair(list); list = cdr(list))
            slots(vector)[i++] = car(list);
        return vector;
    }
    if (!is_pair(template))
        return template;
    value first = car(template), rest = cdr(template);
    if (!escaped && is_ellipsis(e, first) && is_pair(rest))
        return instantiate(e, car(rest), matches, true);
    size_t depth = 0;
    while (!escaped && is_pair(rest) && is_ellipsis(e, car(rest))) {
        depth++;
        rest = cdr(rest);
    }
    value tail = instantiate(e, rest, matches, escaped);
    if (depth)
        return append_to(repeat(e, first, matches, depth), tail);
    value head = instantiate(e, first, matches, escaped);
    return make_pair(compiling_thread(), &head, &tail);
}

/* --- Macros --- */

/* (syntax-rules (literal ...) rule ...) or (syntax-rules ellipsis (literal ...) rule ...) */
struct macro *macro_new(value specification, struct scope *scope)
{
    if (!is_pair(specification) || !is_identifier(car(specification)) ||
        unalias(car(specification)) != intern_string("syntax-rules") || !is_pair(cdr(specification)))
        syntax_error("syntax-rules is expected", specification);
    struct macro *m = arena(sizeof(*m));
    value rest = cdr(specification);
    m->scope = scope;
    m->ellipsis = intern_string("...");
    if (is_identifier(car(rest))) {
        m->ellipsis = car(rest);
        rest = cdr(rest);
        if (!is_pair(rest))
            syntax_error("syntax-rules: no literals", specification);
    }
    m->literals = car(rest);
    m->rules = cdr(rest);
    return m;
}

value macro_expand(struct macro *macro, value form, struct scope *scope)
{
    struct expansion e = {.macro = macro, .scope = scope};

    for (value rules = macro->rules; is_pair(rules); rules = cdr(rules)) {
        value rule = car(rules);
        struct match *matches = NULL;
        if (!is_pair(rule) || !is_pair(car(rule)) || !is_pair(cdr(rule)))
            syntax_error("syntax-rules: bad rule", rule);
        if (match(&e, cdr(car(rule)), cdr(form), &matches))
            return instantiate(&e, car(cdr(rule)), matches, false);
    }
    syntax_error("no rule of the macro matches", form);
}
