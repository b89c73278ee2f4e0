/*
 * The table of primitives, and what they share: errors, optional arguments.
 */
#include "prims.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "symbol.h"

#define MOST_PRIMITIVES 600

struct primitive primitives[MOST_PRIMITIVES];
size_t primitive_count;

static value condition_type_symbol;

void add_primitives(const struct primitive *list)
{
    for (; list->name; list++) {
        if (primitive_count == MOST_PRIMITIVES)
            abort();
        primitives[primitive_count] = *list;
        globals[immediate_value(intern_string(list->name))] = IMMEDIATE(PRIMITIVE, primitive_count);
        primitive_count++;
    }
}

void primitives_open(void)
{
    condition_type_symbol = intern_string("%condition");
    add_primitives(list_primitives);
    add_primitives(number_primitives);
    add_primitives(character_primitives);
    add_primitives(string_primitives);
    add_primitives(vector_primitives);
    add_primitives(control_primitives);
    add_primitives(port_primitives);
    add_primitives(thread_primitives);
    add_primitives(system_primitives);
}

/* --- Errors: records of the type that the global variable %condition has: kind, message, irritants --- */

value condition_new(struct thread *t, const char *kind, const char *message, value irritants)
{
    t->hold++;
    value type = globals[immediate_value(condition_type_symbol)];
    value text = string_from_utf8(t, message, strlen(message));
    value v = allocate(t, RECORD, 4);
    slots(v)[0] = type;
    slots(v)[1] = intern_string(kind);
    slots(v)[2] = text;
    slots(v)[3] = irritants;
    t->hold--;
    return v;
}

bool is_condition(value v)
{
    return has_type(v, RECORD) && slots(v)[0] == globals[immediate_value(condition_type_symbol)];
}

value fail(struct thread *t, const char *message, value irritant)
{
    t->hold++;
    value nil = NIL;
    value irritants = irritant == NIL ? NIL : make_pair(t, &irritant, &nil);
    t->error = condition_new(t, "error", message, irritants);
    t->hold--;
    return FAILED;
}

value wrong_type(struct thread *t, const char *what, value v)
{
    char message[100];
    snprintf(message, sizeof(message), "%s is expected, not", what);
    return fail(t, message, v);
}

value out_of_range(struct thread *t, value v) { return fail(t, "out of range", v); }

bool range_arguments(size_t count, value *args, size_t at, size_t length, size_t *start, size_t *end)
{
    *start = 0;
    *end = length;
    if (count > at + 1 && !index_value(args[at + 1], length, end))
        return false;
    return count <= at || index_value(args[at], *end, start);
}
