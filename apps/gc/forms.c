/*
 * Two forms that are translated to others: define-record-type and cond-expand.
 */
#include <string.h>

#include "compile.h"
#include "symbol.h"
#include "threads.h"

static value global_name(const char *name) { return alias(intern_string(name), NULL); }

static value quoted(value v) { return list_of(2, global_name("quote"), v); }

static void add(value *list, value item) { *list = make_pair(compiling_thread(), &item, list); }

static value reversed(value list)
{
    value result = NIL;
    for (; is_pair(list); list = cdr(list))
        add(&result, car(list));
    return result;
}

static bool is_proper(value list, size_t least)
{
    size_t n = 0;
    for (; is_pair(list); list = cdr(list))
        n++;
    return list == NIL && n >= least;
}

/* --- define-record-type --- */

static value field_name(value field) { return is_pair(field) ? car(field) : field; }

static size_t field_index(value fields, value name, value form)
{
    for (size_t i = 0; is_pair(fields); fields = cdr(fields), i++)
        if (field_name(car(fields)) == name)
            return i;
    syntax_error("no such field", form);
}

/* (define (name argument ...) (%record type argument-or-#f ...)) */
static value constructor(value type, value head, value fields, value form)
{
    value call = NIL;
    add(&call, global_name("%record"));
    add(&call, type);
    for (value f = fields; is_pair(f); f = cdr(f)) {
        value argument = FALSE;
        for (value a = cdr(head); is_pair(a); a = cdr(a)) {
            field_index(fields, car(a), form);
            if (car(a) == field_name(car(f)))
                argument = car(a);
        }
        add(&call, argument);
    }
    return list_of(3, global_name("define"), head, reversed(call));
}

static value field_definitions(value type, value field, size_t index, value result)
{
    value record = global_name("record"), to = global_name("value"), i = fixnum(index);
    if (!is_pair(field) || cdr(field) == NIL)
        return result;
    value accessor = car(cdr(field));
    value body = list_of(5, global_name("%record-ref"), record, type, i, quoted(accessor));
    add(&result, list_of(3, global_name("define"), list_of(2, accessor, record), body));
    if (cdr(cdr(field)) != NIL) {
        value modifier = car(cdr(cdr(field)));
        body = list_of(6, global_name("%record-set!"), record, type, i, to, quoted(modifier));
        add(&result, list_of(3, global_name("define"), list_of(3, modifier, record, to), body));
    }
    return result;
}

value record_definitions(value form)
{
    if (!is_proper(form, 4))
        syntax_error("bad record definition", form);
    value name = car(cdr(form)), maker = car(cdr(cdr(form))), rest = cdr(cdr(cdr(form)));
    value predicate = car(rest), fields = cdr(rest), type = is_pair(name) ? car(name) : name;
    value result = NIL, names = NIL;

    for (value f = fields; is_pair(f); f = cdr(f))
        add(&names, field_name(car(f)));
    value make_type = list_of(3, global_name("%make-record-type"), quoted(type), quoted(reversed(names)));
    add(&result, list_of(3, global_name("define"), type, make_type));
    if (is_identifier(maker)) {
        names = reversed(names);
        maker = make_pair(compiling_thread(), &maker, &names);
    }
    if (is_pair(maker))
        add(&result, constructor(type, maker, fields, form));
    if (is_identifier(predicate)) {
        value x = global_name("x");
        value body = list_of(3, global_name("%record?"), x, type);
        add(&result, list_of(3, global_name("define"), list_of(2, predicate, x), body));
    }
    size_t index = 0;
    for (value f = fields; is_pair(f); f = cdr(f))
        result = field_definitions(type, car(f), index++, result);
    result = reversed(result);
    add(&result, global_name("begin"));
    return result;
}

/* --- cond-expand --- */

static bool holds(value requirement, value form)
{
    static const char *const features[] = {"r7rs", "full-unicode", "quire-gc", "else"};

    if (is_identifier(requirement)) {
        for (size_t i = 0; i < sizeof(features) / sizeof(*features); i++)
            if (!strcmp(symbol_name(unalias(requirement)), features[i]))
                return true;
        return false;
    }
    if (!is_pair(requirement) || !is_identifier(car(requirement)))
        syntax_error("cond-expand: bad requirement", form);
    const char *word = symbol_name(unalias(car(requirement)));
    value rest = cdr(requirement);
    if (!strcmp(word, "not"))
        return is_pair(rest) && !holds(car(rest), form);
    if (!strcmp(word, "library"))
        return is_pair(rest) && is_pair(car(rest)) && unalias(car(car(rest))) == intern_string("scheme");
    bool all = !strcmp(word, "and");
    for (; is_pair(rest); rest = cdr(rest))
        if (holds(car(rest), form) != all)
            return !all;
    return all;
}

value chosen_features(value form)
{
    for (value clauses = cdr(form); is_pair(clauses); clauses = cdr(clauses)) {
        value clause = car(clauses);
        if (!is_pair(clause))
            syntax_error("cond-expand: bad clause", form);
        if (holds(car(clause), form)) {
            value begin = global_name("begin"), body = cdr(clause);
            return make_pair(compiling_thread(), &begin, &body);
        }
    }
    return list_of(1, global_name("begin"));
}
