/*
 * Procedures, continuations, several values, records, promises, parameters, evaluation, errors. What is built from
 * these, dynamic-wind, handlers, guard and so on, is in prelude.scm.
 */
#include <string.h>

#include "compile.h"
#include "prims.h"
#include "symbol.h"

#define NEED(test, what, v) \
    if (!(test))            \
    return wrong_type(t, what, v)

bool is_procedure(value v)
{
    return has_type(v, CLOSURE) || has_type(v, CONTINUATION) || has_type(v, PARAMETER) || is_immediate(v, PRIMITIVE);
}

static value prim_is_procedure(struct thread *t, size_t n, value *a)
{
    return (void)t, (void)n, boolean(is_procedure(a[0]));
}

/* The next call is of CALLEE with the COUNT values from ARGS on. */
static value call(struct thread *t, value callee, value *args, size_t count)
{
    t->callee = callee;
    t->argument_count = count;
    t->sp = args + count;
    return TAIL_CALL;
}

/* (apply procedure argument ... list) */
static value prim_apply(struct thread *t, size_t n, value *a)
{
    value callee = a[0], list = a[n - 1];
    size_t count = n - 2;
    memmove(a, a + 1, count * sizeof(value));
    for (; is_pair(list); list = cdr(list)) {
        if (a + count + 16 >= t->stack + STACK_HARD_WORDS)
            return fail(t, "too many arguments", NIL);
        a[count++] = car(list);
    }
    NEED(list == NIL, "a list", list);
    return call(t, callee, a, count);
}

/* Calls its argument with the continuation, bare: prelude.scm adds what dynamic-wind wants. */
static value prim_call_cc(struct thread *t, size_t n, value *a)
{
    (void)a;
    put_stack_aside(t, n);
    value k = allocate(t, CONTINUATION, 2);
    slots(k)[0] = t->continuation;
    slots(k)[1] = t->continuation_top;
    value callee = t->fp[0];
    t->fp[0] = k;
    return call(t, callee, t->fp, 1);
}

static value prim_values(struct thread *t, size_t n, value *a)
{
    if (n == 1)
        return a[0];
    value v = allocate(t, VALUES, n);
    memcpy(slots(v), a, n * sizeof(value));
    return v;
}

/* (%apply-values consumer values): what call-with-values ends with. */
static value prim_apply_values(struct thread *t, size_t n, value *a)
{
    (void)n;
    value callee = a[0], v = a[1];
    if (!has_type(v, VALUES)) {
        a[0] = v;
        return call(t, callee, a, 1);
    }
    size_t count = length_of(v);
    memcpy(a, slots(v), count * sizeof(value));
    return call(t, callee, a, count);
}

/* --- The dynamic state of the thread --- */

#define STATE(name)                                                \
    static value prim_##name(struct thread *t, size_t n, value *a) \
    {                                                              \
        if (n)                                                     \
            t->name = a[0];                                        \
        return n ? UNSPECIFIED : t->name;                          \
    }
STATE(winds)
STATE(handlers)
STATE(parameters)

static value prim_make_parameter(struct thread *t, size_t n, value *a)
{
    value v = allocate(t, PARAMETER, 2);
    slots(v)[0] = a[0];
    slots(v)[1] = n > 1 ? a[1] : FALSE;
    return v;
}
static value prim_parameter_converter(struct thread *t, size_t n, value *a)
{
    (void)n;
    NEED(has_type(a[0], PARAMETER), "a parameter", a[0]);
    return slots(a[0])[1];
}

/* --- Records --- */

static value prim_make_record_type(struct thread *t, size_t n, value *a)
{
    (void)n;
    value v = allocate(t, RECORD_TYPE, 2);
    slots(v)[0] = a[0];
    slots(v)[1] = a[1];
    return v;
}
static value prim_record(struct thread *t, size_t n, value *a)
{
    NEED(has_type(a[0], RECORD_TYPE), "a record type", a[0]);
    value v = allocate(t, RECORD, n);
    memcpy(slots(v), a, n * sizeof(value));
    return v;
}
static value prim_is_record(struct thread *t, size_t n, value *a)
{
    (void)t, (void)n;
    return boolean(has_type(a[0], RECORD) && slots(a[0])[0] == a[1]);
}
static value wrong_record(struct thread *t, value v, value accessor)
{
    value nil = NIL;
    t->hold++;
    value irritants = make_pair(t, &v, &nil);
    irritants = make_pair(t, &accessor, &irritants);
    t->error = condition_new(t, "error", "not a record of the right type", irritants);
    t->hold--;
    return FAILED;
}
/* (%record-ref record type index accessor) */
static value prim_record_ref(struct thread *t, size_t n, value *a)
{
    (void)n;
    if (!has_type(a[0], RECORD) || slots(a[0])[0] != a[1])
        return wrong_record(t, a[0], a[3]);
    return slots(a[0])[fixnum_value(a[2]) + 1];
}
static value prim_record_set(struct thread *t, size_t n, value *a)
{
    (void)n;
    if (!has_type(a[0], RECORD) || slots(a[0])[0] != a[1])
        return wrong_record(t, a[0], a[4]);
    slots(a[0])[fixnum_value(a[2]) + 1] = a[3];
    return UNSPECIFIED;
}

/* --- Promises: a promise holds a pair (done? . value or procedure), which promises may share --- */

static value prim_make_promise(struct thread *t, size_t n, value *a)
{
    (void)n;
    t->accumulator = make_pair(t, &a[0], &a[1]);
    value v = allocate(t, PROMISE, 1);
    slots(v)[0] = t->accumulator;
    return v;
}
static value prim_is_promise(struct thread *t, size_t n, value *a)
{
    return (void)t, (void)n, boolean(has_type(a[0], PROMISE));
}
static value prim_promise_state(struct thread *t, size_t n, value *a)
{
    NEED(has_type(a[0], PROMISE), "a promise", a[0]);
    if (n > 1)
        slots(a[0])[0] = a[1];
    return slots(a[0])[0];
}

/* --- Evaluation --- */

static value prim_environment(struct thread *t, size_t n, value *a)
{
    value nothing = FALSE;
    return (void)n, (void)a, allocate_filled(t, ENVIRONMENT, 1, &nothing);
}

static value prim_eval(struct thread *t, size_t n, value *a)
{
    (void)n;
    value closure = compile(t, a[0]);
    return closure == FAILED ? FAILED : call(t, closure, a, 0);
}

/* --- Errors --- */

static value prim_is_condition(struct thread *t, size_t n, value *a)
{
    return (void)t, (void)n, boolean(is_condition(a[0]));
}
static value prim_make_condition(struct thread *t, size_t n, value *a)
{
    (void)n;
    value v = allocate(t, RECORD, 4);
    slots(v)[0] = globals[immediate_value(intern_string("%condition"))];
    memcpy(slots(v) + 1, a, 3 * sizeof(value));
    return v;
}
static value prim_condition_part(struct thread *t, size_t n, value *a)
{
    (void)n;
    NEED(is_condition(a[0]), "an error object", a[0]);
    return slots(a[0])[fixnum_value(a[1])];
}
static value prim_halt(struct thread *t, size_t n, value *a) { return (void)t, (void)n, (void)a, HALT; }

const struct primitive control_primitives[] = {
    {"procedure?", prim_is_procedure, 1, 1, false},
    {"apply", prim_apply, 2, -1, true},
    {"%call/cc", prim_call_cc, 1, 1, true},
    {"values", prim_values, 0, -1, false},
    {"%apply-values", prim_apply_values, 2, 2, true},
    {"%winds", prim_winds, 0, 1, false},
    {"%handlers", prim_handlers, 0, 1, false},
    {"%parameters", prim_parameters, 0, 1, false},
    {"%make-parameter", prim_make_parameter, 1, 2, false},
    {"%parameter-converter", prim_parameter_converter, 1, 1, false},
    {"%make-record-type", prim_make_record_type, 2, 2, false},
    {"%record", prim_record, 1, -1, false},
    {"%record?", prim_is_record, 2, 2, false},
    {"%record-ref", prim_record_ref, 4, 4, false},
    {"%record-set!", prim_record_set, 5, 5, false},
    {"%make-promise", prim_make_promise, 2, 2, false},
    {"promise?", prim_is_promise, 1, 1, false},
    {"%promise-state", prim_promise_state, 1, 2, false},
    {"interaction-environment", prim_environment, 0, 0, false},
    {"environment", prim_environment, 0, -1, false},
    {"scheme-report-environment", prim_environment, 0, 1, false},
    {"null-environment", prim_environment, 0, 1, false},
    {"eval", prim_eval, 1, 2, true},
    {"error-object?", prim_is_condition, 1, 1, false},
    {"%make-condition", prim_make_condition, 3, 3, false},
    {"%condition-part", prim_condition_part, 2, 2, false},
    {"%halt", prim_halt, 0, 0, true},
    {0},
};
