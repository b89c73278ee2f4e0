/*
 * From data to nodes: the syntax of the language. Each keyword has a function here that makes the node of its form;
 * macros are expanded on the way. Derived forms that are easier to write as macros are in prelude.scm.
 *
 * Bodies and letrec follow one scheme (bind_recursively): a lambda whose variable is never assigned is bound by a `fix`
 * node, whose closures refer to each other directly; what is used before its definition, or assigned, lives in a box
 * that is filled when the definition is reached; the rest is a `let`.
 */
#include <stdio.h>
#include <string.h>

#include "compile.h"
#include "keywords.h"
#include "symbol.h"
#include "threads.h"

static struct node *expand(value form, struct scope *scope);
static struct node *expand_body(value body, struct scope *scope, value form);

/* --- Small parts --- */

static struct node *node_new(enum node_kind kind)
{
    struct node *n = arena(sizeof(*n));
    n->kind = kind;
    return n;
}

static struct node *constant(value v)
{
    struct node *n = node_new(NODE_CONSTANT);
    n->constant = v;
    return n;
}

static struct node *conditional(struct node *test, struct node *then, struct node *otherwise)
{
    struct node *n = node_new(NODE_IF);
    n->a = test;
    n->b = then;
    n->c = otherwise;
    return n;
}

static struct node *reference(struct variable *v)
{
    struct node *n = node_new(NODE_LOCAL);
    n->variable = v;
    v->references++;
    return n;
}

static struct node *assignment(struct variable *v, struct node *to)
{
    struct node *n = node_new(NODE_SET_LOCAL);
    n->variable = v;
    n->a = to;
    v->assigned = true;
    return n;
}

static struct node *global(enum node_kind kind, value symbol, struct node *to)
{
    struct node *n = node_new(kind);
    n->constant = symbol;
    n->a = to;
    return n;
}

static struct node *with_nodes(enum node_kind kind, size_t count)
{
    struct node *n = node_new(kind);
    n->count = count;
    n->nodes = arena(count * sizeof(*n->nodes) + 1);
    n->variables = arena(count * sizeof(*n->variables) + 1);
    return n;
}

static struct node *sequence(struct node *a, struct node *b)
{
    struct node *n = with_nodes(NODE_SEQUENCE, 2);
    n->nodes[0] = a;
    n->nodes[1] = b;
    return n;
}

static struct node *let_one(struct variable *v, struct node *init, struct node *body)
{
    struct node *n = with_nodes(NODE_LET, 1);
    n->variables[0] = v;
    n->nodes[0] = init;
    n->a = body;
    return n;
}

static size_t count_list(value list, value form)
{
    size_t n = 0;
    for (; is_pair(list); list = cdr(list))
        n++;
    if (list != NIL)
        syntax_error("not a proper list", form);
    return n;
}

static value nth(value list, size_t n)
{
    while (n-- > 0)
        list = cdr(list);
    return car(list);
}

/* FORM has from LEAST to MOST parts, the keyword counted. */
static size_t check_parts(value form, size_t least, size_t most)
{
    size_t n = count_list(form, form);
    if (n < least || n > most)
        syntax_error("bad syntax", form);
    return n;
}

static void check_identifier(value name, value form)
{
    if (!is_identifier(name))
        syntax_error("a name is expected", form);
}

static struct node *expand_sequence(value list, struct scope *scope, value form)
{
    size_t count = count_list(list, form);
    if (count == 0)
        return constant(UNSPECIFIED);
    if (count == 1)
        return expand(car(list), scope);
    struct node *n = with_nodes(NODE_SEQUENCE, count);
    for (size_t i = 0; i < count; i++, list = cdr(list))
        n->nodes[i] = expand(car(list), scope);
    return n;
}

static bool means_keyword(value v, struct scope *scope, int keyword)
{
    if (!is_identifier(v))
        return false;
    struct binding b = resolve(scope, v);
    return b.kind == BOUND_KEYWORD && b.keyword == keyword;
}

/* --- lambda, calls --- */

static struct node *expand_lambda(value name, value parameters, value body, struct scope *scope, value form)
{
    struct lambda *l = arena(sizeof(*l));
    struct scope *inner = scope_new(scope, l);
    size_t count = 0;

    for (value p = parameters; p != NIL; p = is_pair(p) ? cdr(p) : NIL)
        count++;
    l->name = name;
    l->parameters = arena(count * sizeof(*l->parameters) + 1);
    for (value p = parameters; p != NIL; p = is_pair(p) ? cdr(p) : NIL) {
        value one = is_pair(p) ? car(p) : p;
        check_identifier(one, form);
        l->rest = !is_pair(p);
        l->parameters[l->parameter_count++] = bind_variable(inner, one);
    }
    l->body = expand_body(body, inner, form);
    struct node *n = node_new(NODE_LAMBDA);
    n->lambda = l;
    return n;
}

static void name_lambda(struct node *n, value name)
{
    if (n->kind == NODE_LAMBDA && n->lambda->name == FALSE)
        n->lambda->name = unalias(name);
}

static struct node *expand_call(value form, struct scope *scope)
{
    size_t count = count_list(form, form);
    struct node *n = with_nodes(NODE_CALL, count);
    for (size_t i = 0; i < count; i++, form = cdr(form))
        n->nodes[i] = expand(car(form), scope);
    return n;
}

static struct node *expand_reference(value name, struct scope *scope)
{
    struct binding b = resolve(scope, name);
    if (b.kind == BOUND_VARIABLE)
        return reference(b.variable);
    if (b.kind != BOUND_GLOBAL)
        syntax_error("a keyword is not an expression", unalias(name));
    return global(NODE_GLOBAL, b.symbol, NULL);
}

static struct node *expand_set(value form, struct scope *scope)
{
    check_parts(form, 3, 3);
    value name = nth(form, 1);
    check_identifier(name, form);
    struct binding b = resolve(scope, name);
    struct node *to = expand(nth(form, 2), scope);
    if (b.kind == BOUND_VARIABLE)
        return assignment(b.variable, to);
    if (b.kind != BOUND_GLOBAL)
        syntax_error("a keyword cannot be assigned", form);
    symbol_of(b.symbol)->assigned = true;
    return global(NODE_SET_GLOBAL, b.symbol, to);
}

/* --- Bodies, letrec --- */

struct definition {
    struct variable *variable;
    value expression, name;
    struct node *node;
    bool early; /* used before its turn */
    struct definition *next;
};

static bool is_fixed(struct definition *d)
{
    return !d->early && !d->variable->assigned && d->node->kind == NODE_LAMBDA;
}

static struct node *nest(struct definition *d, struct node *body)
{
    if (!d)
        return body;
    if (is_fixed(d)) {
        size_t count = 0;
        struct definition *end = d;
        for (; end && is_fixed(end); end = end->next)
            count++;
        struct node *n = with_nodes(NODE_FIX, count);
        for (size_t i = 0; i < count; i++, d = d->next) {
            n->variables[i] = d->variable;
            n->nodes[i] = d->node;
        }
        n->a = nest(end, body);
        return n;
    }
    if (d->early || d->variable->assigned)
        return sequence(assignment(d->variable, d->node), nest(d->next, body));
    return let_one(d->variable, d->node, nest(d->next, body));
}

/* The expressions of a chain of definitions, in order; BODY, made by the caller's function, inside. */
static struct node *bind_recursively(struct definition *first, struct scope *scope, value body, value form)
{
    /* Lambdas in a row may use each other; what is used before its row is early. */
    for (struct definition *d = first; d;) {
        struct definition *end = d;
        do {
            end->early = end->variable->references > 0;
            end = end->next;
        } while (end && is_pair(end->expression) && is_pair(d->expression) && is_identifier(car(end->expression)) &&
                 is_identifier(car(d->expression)) && means_keyword(car(d->expression), scope, KEYWORD_LAMBDA) &&
                 means_keyword(car(end->expression), scope, KEYWORD_LAMBDA));
        for (; d != end; d = d->next) {
            unsigned before = d->variable->references;
            d->node = expand(d->expression, scope);
            name_lambda(d->node, d->name);
            if (d->node->kind != NODE_LAMBDA && d->variable->references != before)
                d->early = true;
        }
    }
    struct node *inner = expand_sequence(body, scope, form);
    struct node *all = nest(first, inner);
    for (struct definition *d = first; d; d = d->next) {
        if (d->early || d->variable->assigned) {
            d->variable->assigned = true;
            all = let_one(d->variable, constant(UNDEFINED), all);
        }
    }
    return all;
}

static struct definition *definition_new(struct definition ***end, struct scope *scope, value name, value expression)
{
    struct definition *d = arena(sizeof(*d));
    *d = (struct definition){.variable = bind_variable(scope, name), .expression = expression, .name = name};
    **end = d;
    *end = &d->next;
    return d;
}

/* (define name expression) or (define (name . parameters) body ...), the latter also curried: its name and expression.
 */
static void parse_define(value form, value *name, value *expression)
{
    struct thread *t = compiling_thread();
    if (count_list(form, form) < 2)
        syntax_error("bad definition", form);
    value target = nth(form, 1), rest = cdr(cdr(form));
    while (is_pair(target)) {
        value parameters = cdr(target);
        rest = make_pair(t, &parameters, &rest);
        value keyword = alias(intern_string("lambda"), NULL);
        value lambda = make_pair(t, &keyword, &rest);
        value nil = NIL;
        rest = make_pair(t, &lambda, &nil);
        target = car(target);
    }
    check_identifier(target, form);
    *name = target;
    if (rest != NIL && cdr(rest) != NIL)
        syntax_error("bad definition", form);
    *expression = rest == NIL ? FALSE : car(rest);
}

static void define_macro(value form, struct scope *scope)
{
    check_parts(form, 3, 3);
    value name = nth(form, 1), specification = nth(form, 2);
    check_identifier(name, form);
    if (is_identifier(specification)) { /* another name for a macro */
        struct binding b = resolve(scope, specification);
        if (b.kind != BOUND_MACRO)
            syntax_error("syntax-rules is expected", form);
        bind_macro(scope, name, b.macro);
        return;
    }
    bind_macro(scope, name, macro_new(specification, scope));
}

/* The keyword of FORM, after macros at its head have been expanded in place; or 0. */
static int head_keyword(value *form, struct scope *scope)
{
    while (is_pair(*form) && is_identifier(car(*form))) {
        struct binding b = resolve(scope, car(*form));
        if (b.kind == BOUND_KEYWORD)
            return b.keyword;
        if (b.kind != BOUND_MACRO)
            return 0;
        *form = macro_expand(b.macro, *form, scope);
    }
    return 0;
}

static value join(value list, value tail)
{
    if (!is_pair(list))
        return tail;
    value first = car(list), rest = join(cdr(list), tail);
    return make_pair(compiling_thread(), &first, &rest);
}

static struct node *expand_body(value body, struct scope *outer, value form)
{
    struct scope *scope = scope_new(outer, outer->lambda);
    struct definition *first = NULL, **end = &first;

    for (; is_pair(body); body = cdr(body)) {
        value one = car(body), name, expression;
        int keyword = head_keyword(&one, scope);
        if (keyword == KEYWORD_DEFINE_RECORD || keyword == KEYWORD_COND_EXPAND) {
            one = keyword == KEYWORD_COND_EXPAND ? chosen_features(one) : record_definitions(one);
            keyword = KEYWORD_BEGIN;
        }
        if (keyword == KEYWORD_BEGIN) {
            value rest = cdr(body), nothing = FALSE;
            value spliced = join(cdr(one), rest);
            body = make_pair(compiling_thread(), &nothing, &spliced);
        } else if (keyword == KEYWORD_DEFINE) {
            parse_define(one, &name, &expression);
            definition_new(&end, scope, name, expression);
        } else if (keyword == KEYWORD_DEFINE_SYNTAX) {
            define_macro(one, scope);
        } else {
            value rest = cdr(body);
            body = make_pair(compiling_thread(), &one, &rest);
            break;
        }
    }
    if (body == NIL && !first)
        syntax_error("empty body", form);
    return bind_recursively(first, scope, body, form);
}

/* --- let and its kin --- */

static void parse_binding(value binding, value form, value *name, value *init)
{
    if (!is_pair(binding) || !is_pair(cdr(binding)) || cdr(cdr(binding)) != NIL)
        syntax_error("bad binding", form);
    *name = car(binding);
    *init = car(cdr(binding));
    check_identifier(*name, form);
}

static struct node *expand_named_let(value form, struct scope *scope)
{
    struct thread *t = compiling_thread();
    value name = nth(form, 1), bindings = nth(form, 2), body = cdr(cdr(cdr(form)));
    size_t count = count_list(bindings, form);
    struct node *call = with_nodes(NODE_CALL, count + 1);
    value parameters = NIL;

    for (size_t i = 0; i < count; i++) {
        value one, init;
        parse_binding(nth(bindings, i), form, &one, &init);
        call->nodes[i + 1] = expand(init, scope);
    }
    for (size_t i = count; i-- > 0;) {
        value one, init;
        parse_binding(nth(bindings, i), form, &one, &init);
        parameters = make_pair(t, &one, &parameters);
    }
    struct scope *inner = scope_new(scope, scope->lambda);
    struct definition *first = NULL, **end = &first;
    definition_new(&end, inner, name, FALSE);
    first->node = expand_lambda(unalias(name), parameters, body, inner, form);
    call->nodes[0] = reference(first->variable);
    struct node *all = nest(first, call);
    return first->variable->assigned ? let_one(first->variable, constant(UNDEFINED), all) : all;
}

static struct node *expand_let(value form, struct scope *scope)
{
    if (check_parts(form, 3, SIZE_MAX) > 3 && is_identifier(nth(form, 1)))
        return expand_named_let(form, scope);
    value bindings = nth(form, 1);
    size_t count = count_list(bindings, form);
    struct node *n = with_nodes(NODE_LET, count);
    struct scope *inner = scope_new(scope, scope->lambda);
    for (size_t i = 0; i < count; i++, bindings = cdr(bindings)) {
        value name, init;
        parse_binding(car(bindings), form, &name, &init);
        n->nodes[i] = expand(init, scope);
        name_lambda(n->nodes[i], name);
        n->variables[i] = bind_variable(inner, name);
    }
    n->a = expand_body(cdr(cdr(form)), inner, form);
    return n;
}

static struct node *expand_let_star(value form, struct scope *scope)
{
    check_parts(form, 3, SIZE_MAX);
    struct node *outermost = NULL, **place = &outermost;
    for (value bindings = nth(form, 1); is_pair(bindings); bindings = cdr(bindings)) {
        value name, init;
        parse_binding(car(bindings), form, &name, &init);
        struct node *n = with_nodes(NODE_LET, 1);
        n->nodes[0] = expand(init, scope);
        name_lambda(n->nodes[0], name);
        scope = scope_new(scope, scope->lambda);
        n->variables[0] = bind_variable(scope, name);
        *place = n;
        place = &n->a;
    }
    *place = expand_body(cdr(cdr(form)), scope_new(scope, scope->lambda), form);
    return outermost;
}

static struct node *expand_letrec(value form, struct scope *scope)
{
    check_parts(form, 3, SIZE_MAX);
    struct scope *inner = scope_new(scope, scope->lambda);
    struct definition *first = NULL, **end = &first;
    for (value bindings = nth(form, 1); is_pair(bindings); bindings = cdr(bindings)) {
        value name, init;
        parse_binding(car(bindings), form, &name, &init);
        definition_new(&end, inner, name, init);
    }
    value let = alias(intern_string("let"), NULL), nil = NIL, body = cdr(cdr(form));
    body = make_pair(compiling_thread(), &nil, &body);
    body = make_pair(compiling_thread(), &let, &body);
    body = make_pair(compiling_thread(), &body, &nil);
    return bind_recursively(first, inner, body, form);
}

static struct node *expand_let_syntax(value form, struct scope *scope, bool recursive)
{
    check_parts(form, 3, SIZE_MAX);
    struct scope *inner = scope_new(scope, scope->lambda);
    for (value bindings = nth(form, 1); is_pair(bindings); bindings = cdr(bindings)) {
        value name, specification;
        parse_binding(car(bindings), form, &name, &specification);
        bind_macro(inner, name, macro_new(specification, recursive ? inner : scope));
    }
    return expand_body(cdr(cdr(form)), inner, form);
}

/* --- Conditions --- */

static struct node *expand_if(value form, struct scope *scope)
{
    size_t parts = check_parts(form, 3, 4);
    struct node *test = expand(nth(form, 1), scope);
    struct node *then = expand(nth(form, 2), scope);
    return conditional(test, then, parts == 4 ? expand(nth(form, 3), scope) : constant(UNSPECIFIED));
}

static struct variable *temporary(struct scope *scope)
{
    return bind_variable(scope_new(scope, scope->lambda), alias(intern_string("temporary"), NULL));
}

/* The call of RECEIVER with V alone: the => of cond and case. */
static struct node *call_with(struct node *receiver, struct variable *v)
{
    struct node *n = with_nodes(NODE_CALL, 2);
    n->nodes[0] = receiver;
    n->nodes[1] = reference(v);
    return n;
}

static struct node *expand_or(value list, struct scope *scope, value form)
{
    if (list == NIL)
        return constant(FALSE);
    struct node *first = expand(car(list), scope);
    if (cdr(list) == NIL)
        return first;
    struct variable *v = temporary(scope);
    struct node *then = reference(v);
    return let_one(v, first, conditional(reference(v), then, expand_or(cdr(list), scope, form)));
}

static struct node *expand_and(value list, struct scope *scope)
{
    if (list == NIL)
        return constant(TRUE);
    struct node *first = expand(car(list), scope);
    return cdr(list) == NIL ? first : conditional(first, expand_and(cdr(list), scope), constant(FALSE));
}

static struct node *expand_cond(value clauses, struct scope *scope, value form)
{
    if (clauses == NIL)
        return constant(UNSPECIFIED);
    value clause = car(clauses);
    if (!is_pair(clause))
        syntax_error("cond: bad clause", form);
    if (means_keyword(car(clause), scope, KEYWORD_ELSE))
        return expand_sequence(cdr(clause), scope, form);
    struct node *test = expand(car(clause), scope);
    if (is_pair(cdr(clause)) && !means_keyword(nth(clause, 1), scope, KEYWORD_ARROW)) {
        struct node *then = expand_sequence(cdr(clause), scope, form);
        return conditional(test, then, expand_cond(cdr(clauses), scope, form));
    }
    struct variable *v = temporary(scope);
    struct node *then = cdr(clause) == NIL ? reference(v) : call_with(expand(nth(clause, 2), scope), v);
    return let_one(v, test, conditional(reference(v), then, expand_cond(cdr(clauses), scope, form)));
}

static struct node *case_result(value clause, struct variable *key, struct scope *scope, value form)
{
    if (is_pair(cdr(clause)) && means_keyword(nth(clause, 1), scope, KEYWORD_ARROW))
        return call_with(expand(nth(clause, 2), scope), key);
    return expand_sequence(cdr(clause), scope, form);
}

static struct node *call_global(const char *name, struct node *a, struct node *b)
{
    struct node *n = with_nodes(NODE_CALL, b ? 3 : 2);
    n->nodes[0] = global(NODE_GLOBAL, intern_string(name), NULL);
    n->nodes[1] = a;
    if (b)
        n->nodes[2] = b;
    return n;
}

static struct node *case_clauses(value clauses, struct variable *key, struct scope *scope, value form)
{
    if (clauses == NIL)
        return constant(UNSPECIFIED);
    value clause = car(clauses);
    if (!is_pair(clause))
        syntax_error("case: bad clause", form);
    if (means_keyword(car(clause), scope, KEYWORD_ELSE))
        return case_result(clause, key, scope, form);
    struct node *then = case_result(clause, key, scope, form);
    struct node *otherwise = case_clauses(cdr(clauses), key, scope, form);
    value data = strip(car(clause));
    if (count_list(data, form) == 1)
        return conditional(call_global("eqv?", reference(key), constant(car(data))), then, otherwise);
    return conditional(call_global("memv", reference(key), constant(data)), then, otherwise);
}

static struct node *expand_case(value form, struct scope *scope)
{
    check_parts(form, 3, SIZE_MAX);
    struct node *key = expand(nth(form, 1), scope);
    struct variable *v = temporary(scope);
    return let_one(v, key, case_clauses(cdr(cdr(form)), v, scope, form));
}

/* --- do: a named let that nobody can name --- */

static struct node *expand_do(value form, struct scope *scope)
{
    struct thread *t = compiling_thread();
    check_parts(form, 3, SIZE_MAX);
    value bindings = nth(form, 1), exit = nth(form, 2), commands = cdr(cdr(cdr(form)));
    value loop = alias(intern_string("do-loop"), NULL);
    value inits = NIL, steps = NIL;

    for (size_t i = count_list(bindings, form); i-- > 0;) {
        value b = nth(bindings, i);
        size_t parts = count_list(b, form);
        if (parts < 2 || parts > 3)
            syntax_error("do: bad binding", form);
        value step = parts == 3 ? nth(b, 2) : car(b);
        value init = list_of(2, car(b), nth(b, 1));
        steps = make_pair(t, &step, &steps);
        inits = make_pair(t, &init, &inits);
    }
    if (!is_pair(exit))
        syntax_error("do: no test", form);
    value begin = alias(intern_string("begin"), NULL), iff = alias(intern_string("if"), NULL);
    value again = make_pair(t, &loop, &steps);
    value tail = list_of(1, again);
    value round = join(commands, tail);
    round = make_pair(t, &begin, &round);
    value result = cdr(exit);
    result = result == NIL ? UNSPECIFIED : make_pair(t, &begin, &result);
    value body = list_of(4, iff, car(exit), result, round);
    return expand_named_let(list_of(4, FALSE, loop, inits, body), scope);
}

/* --- quasiquote --- */

static struct node *quasi(value datum, struct scope *scope, int depth);

static bool is_form(value v, struct scope *scope, int keyword)
{
    return is_pair(v) && is_pair(cdr(v)) && cdr(cdr(v)) == NIL && means_keyword(car(v), scope, keyword);
}

static struct node *quasi_nested(value datum, struct scope *scope, int depth)
{
    return call_global("list", constant(unalias(car(datum))), quasi(nth(datum, 1), scope, depth));
}

static struct node *quasi(value datum, struct scope *scope, int depth)
{
    if (has_type(datum, VECTOR)) {
        value list = NIL;
        for (size_t i = length_of(datum); i-- > 0;)
            list = make_pair(compiling_thread(), &slots(datum)[i], &list);
        return call_global("list->vector", quasi(list, scope, depth), NULL);
    }
    if (!is_pair(datum))
        return constant(strip(datum));
    if (is_form(datum, scope, KEYWORD_UNQUOTE))
        return depth == 1 ? expand(nth(datum, 1), scope) : quasi_nested(datum, scope, depth - 1);
    if (is_form(datum, scope, KEYWORD_QUASIQUOTE))
        return quasi_nested(datum, scope, depth + 1);
    if (is_form(car(datum), scope, KEYWORD_UNQUOTE_SPLICING) && depth == 1)
        return call_global("append", expand(nth(car(datum), 1), scope), quasi(cdr(datum), scope, depth));
    struct node *first = is_form(car(datum), scope, KEYWORD_UNQUOTE_SPLICING)
                             ? quasi_nested(car(datum), scope, depth - 1)
                             : quasi(car(datum), scope, depth);
    struct node *rest = quasi(cdr(datum), scope, depth);
    if (first->kind == NODE_CONSTANT && rest->kind == NODE_CONSTANT)
        return constant(strip(datum));
    return call_global("cons", first, rest);
}

/* --- The keywords --- */

static struct node *expand_define(value form, struct scope *scope)
{
    value name, expression;
    if (scope->up || scope->lambda->parameters)
        syntax_error("a definition is not allowed here", form);
    parse_define(form, &name, &expression);
    name = unalias(name);
    struct symbol *symbol = symbol_of(name);
    symbol->assigned = true;
    symbol->keyword = 0;
    symbol->macro = NULL;
    struct node *to = expand(expression, scope);
    name_lambda(to, name);
    return global(NODE_DEFINE, name, to);
}

static struct node *expand_keyword(int keyword, value form, struct scope *scope)
{
    switch (keyword) {
    case KEYWORD_QUOTE:
        check_parts(form, 2, 2);
        return constant(strip(nth(form, 1)));
    case KEYWORD_QUASIQUOTE:
        check_parts(form, 2, 2);
        return quasi(nth(form, 1), scope, 1);
    case KEYWORD_LAMBDA:
        check_parts(form, 3, SIZE_MAX);
        return expand_lambda(FALSE, nth(form, 1), cdr(cdr(form)), scope, form);
    case KEYWORD_DEFINE:
        return expand_define(form, scope);
    case KEYWORD_SET:
        return expand_set(form, scope);
    case KEYWORD_IF:
        return expand_if(form, scope);
    case KEYWORD_BEGIN:
        return expand_sequence(cdr(form), scope, form);
    case KEYWORD_LET:
        return expand_let(form, scope);
    case KEYWORD_LET_STAR:
        return expand_let_star(form, scope);
    case KEYWORD_LETREC:
        return expand_letrec(form, scope);
    case KEYWORD_AND:
        return expand_and(cdr(form), scope);
    case KEYWORD_OR:
        return expand_or(cdr(form), scope, form);
    case KEYWORD_COND:
        return expand_cond(cdr(form), scope, form);
    case KEYWORD_CASE:
        return expand_case(form, scope);
    case KEYWORD_WHEN:
    case KEYWORD_UNLESS: {
        check_parts(form, 2, SIZE_MAX);
        struct node *test = expand(nth(form, 1), scope);
        struct node *body = expand_sequence(cdr(cdr(form)), scope, form);
        struct node *nothing = constant(UNSPECIFIED);
        return keyword == KEYWORD_WHEN ? conditional(test, body, nothing) : conditional(test, nothing, body);
    }
    case KEYWORD_DO:
        return expand_do(form, scope);
    case KEYWORD_DEFINE_SYNTAX:
        if (scope->up)
            syntax_error("a definition is not allowed here", form);
        define_macro(form, NULL);
        return constant(UNSPECIFIED);
    case KEYWORD_LET_SYNTAX:
        return expand_let_syntax(form, scope, false);
    case KEYWORD_LETREC_SYNTAX:
        return expand_let_syntax(form, scope, true);
    case KEYWORD_DEFINE_RECORD:
        return expand(record_definitions(form), scope);
    case KEYWORD_COND_EXPAND:
        return expand(chosen_features(form), scope);
    case KEYWORD_IMPORT:
        return constant(UNSPECIFIED);
    }
    syntax_error("a keyword out of its place", form);
}

static struct node *expand(value form, struct scope *scope)
{
    if (is_identifier(form))
        return expand_reference(form, scope);
    if (!is_pair(form)) {
        if (form == NIL)
            syntax_error("() is not an expression; '() is", form);
        return constant(strip(form));
    }
    int keyword = head_keyword(&form, scope);
    if (keyword)
        return expand_keyword(keyword, form, scope);
    if (!is_pair(form) || (is_identifier(car(form)) && resolve(scope, car(form)).kind == BOUND_MACRO))
        return expand(form, scope);
    return expand_call(form, scope);
}

struct node *expand_program(value form)
{
    struct lambda *l = arena(sizeof(*l));
    l->name = FALSE;
    l->body = expand(form, scope_new(NULL, l));
    struct node *n = node_new(NODE_LAMBDA);
    n->lambda = l;
    return n;
}

void expand_open(void)
{
    static const char *const names[] = {
#define X(name, text) text,
        KEYWORD_LIST(X)
#undef X
    };
    for (int i = 1; i < KEYWORDS; i++)
        symbol_of(intern_string(names[i]))->keyword = i;
    symbol_of(intern_string("letrec*"))->keyword = KEYWORD_LETREC;
}
