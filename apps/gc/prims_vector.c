/*
 * Vectors and bytevectors.
 */
#include <stdlib.h>
#include <string.h>

#include "prims.h"

#define MOST_ELEMENTS ((size_t)1 << 40)
#define NEED(test, what, v) \
    if (!(test))            \
    return wrong_type(t, what, v)

static bool is_vector(value v) { return has_type(v, VECTOR); }
static bool is_bytevector(value v) { return has_type(v, BYTEVECTOR); }

static value prim_is_vector(struct thread *t, size_t n, value *a) { return (void)t, (void)n, boolean(is_vector(a[0])); }

static value prim_make_vector(struct thread *t, size_t n, value *a)
{
    size_t length;
    value fill = FALSE;
    NEED(index_value(a[0], MOST_ELEMENTS, &length), "a length", a[0]);
    return allocate_filled(t, VECTOR, length, n > 1 ? &a[1] : &fill);
}

static value prim_vector(struct thread *t, size_t n, value *a)
{
    value v = allocate(t, VECTOR, n);
    memcpy(slots(v), a, n * sizeof(value));
    return v;
}

static value prim_vector_length(struct thread *t, size_t n, value *a)
{
    (void)n;
    NEED(is_vector(a[0]), "a vector", a[0]);
    return fixnum(length_of(a[0]));
}
static value prim_vector_ref(struct thread *t, size_t n, value *a)
{
    size_t i;
    (void)n;
    NEED(is_vector(a[0]), "a vector", a[0]);
    if (!index_value(a[1], MOST_ELEMENTS, &i) || i >= length_of(a[0]))
        return out_of_range(t, a[1]);
    return slots(a[0])[i];
}
static value prim_vector_set(struct thread *t, size_t n, value *a)
{
    size_t i;
    (void)n;
    NEED(is_vector(a[0]), "a vector", a[0]);
    if (!index_value(a[1], MOST_ELEMENTS, &i) || i >= length_of(a[0]))
        return out_of_range(t, a[1]);
    slots(a[0])[i] = a[2];
    return UNSPECIFIED;
}

static value prim_vector_list(struct thread *t, size_t n, value *a)
{
    size_t start, end;
    NEED(is_vector(a[0]), "a vector", a[0]);
    if (!range_arguments(n, a, 1, length_of(a[0]), &start, &end))
        return out_of_range(t, a[1]);
    t->accumulator = NIL;
    while (end-- > start) {
        value item = FALSE;
        value pair = make_pair(t, &item, &t->accumulator);
        set_car(pair, slots(a[0])[end]);
        t->accumulator = pair;
    }
    return t->accumulator;
}

static value prim_list_vector(struct thread *t, size_t n, value *a)
{
    size_t count = 0;
    (void)n;
    value list = a[0];
    for (; is_pair(list); list = cdr(list))
        count++;
    NEED(list == NIL, "a list", a[0]);
    value v = allocate(t, VECTOR, count);
    count = 0;
    for (list = a[0]; is_pair(list); list = cdr(list))
        slots(v)[count++] = car(list);
    return v;
}

static value prim_vector_copy(struct thread *t, size_t n, value *a)
{
    size_t start, end;
    NEED(is_vector(a[0]), "a vector", a[0]);
    if (!range_arguments(n, a, 1, length_of(a[0]), &start, &end))
        return out_of_range(t, a[1]);
    value v = allocate(t, VECTOR, end - start);
    memcpy(slots(v), slots(a[0]) + start, (end - start) * sizeof(value));
    return v;
}

static value prim_vector_copy_to(struct thread *t, size_t n, value *a)
{
    size_t at, start, end;
    NEED(is_vector(a[0]), "a vector", a[0]);
    NEED(is_vector(a[2]), "a vector", a[2]);
    if (!index_value(a[1], length_of(a[0]), &at) || !range_arguments(n, a, 3, length_of(a[2]), &start, &end) ||
        end - start > length_of(a[0]) - at)
        return out_of_range(t, a[1]);
    memmove(slots(a[0]) + at, slots(a[2]) + start, (end - start) * sizeof(value));
    return UNSPECIFIED;
}

static value prim_vector_fill(struct thread *t, size_t n, value *a)
{
    size_t start, end;
    NEED(is_vector(a[0]), "a vector", a[0]);
    if (!range_arguments(n, a, 2, length_of(a[0]), &start, &end))
        return out_of_range(t, a[2]);
    for (size_t i = start; i < end; i++)
        slots(a[0])[i] = a[1];
    return UNSPECIFIED;
}

static value prim_vector_append(struct thread *t, size_t n, value *a)
{
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        NEED(is_vector(a[i]), "a vector", a[i]);
        length += length_of(a[i]);
    }
    value v = allocate(t, VECTOR, length);
    value *to = slots(v);
    for (size_t i = 0; i < n; to += length_of(a[i++]))
        memcpy(to, slots(a[i]), length_of(a[i]) * sizeof(value));
    return v;
}

static value prim_vector_string(struct thread *t, size_t n, value *a)
{
    size_t start, end;
    NEED(is_vector(a[0]), "a vector", a[0]);
    if (!range_arguments(n, a, 1, length_of(a[0]), &start, &end))
        return out_of_range(t, a[1]);
    for (size_t i = start; i < end; i++)
        NEED(is_character(slots(a[0])[i]), "a character", slots(a[0])[i]);
    value v = allocate(t, STRING, 4 * (end - start));
    for (size_t i = start; i < end; i++)
        string_chars(v)[i - start] = immediate_value(slots(a[0])[i]);
    return v;
}

static value prim_string_vector(struct thread *t, size_t n, value *a)
{
    size_t start, end;
    NEED(has_type(a[0], STRING), "a string", a[0]);
    if (!range_arguments(n, a, 1, string_length(a[0]), &start, &end))
        return out_of_range(t, a[1]);
    value v = allocate(t, VECTOR, end - start);
    for (size_t i = start; i < end; i++)
        slots(v)[i - start] = character(string_chars(a[0])[i]);
    return v;
}

/* --- Bytevectors --- */

static value prim_is_bytevector(struct thread *t, size_t n, value *a)
{
    return (void)t, (void)n, boolean(is_bytevector(a[0]));
}

static value prim_make_bytevector(struct thread *t, size_t n, value *a)
{
    size_t length, fill = 0;
    NEED(index_value(a[0], MOST_ELEMENTS, &length), "a length", a[0]);
    if (n > 1)
        NEED(index_value(a[1], 255, &fill), "a byte", a[1]);
    value v = allocate(t, BYTEVECTOR, length);
    memset(bytes(v), fill, length);
    return v;
}

static value prim_bytevector(struct thread *t, size_t n, value *a)
{
    size_t byte;
    for (size_t i = 0; i < n; i++)
        NEED(index_value(a[i], 255, &byte), "a byte", a[i]);
    value v = allocate(t, BYTEVECTOR, n);
    for (size_t i = 0; i < n; i++)
        byte_data(v)[i] = fixnum_value(a[i]);
    return v;
}

static value prim_bytevector_length(struct thread *t, size_t n, value *a)
{
    (void)n;
    NEED(is_bytevector(a[0]), "a bytevector", a[0]);
    return fixnum(length_of(a[0]));
}
static value prim_bytevector_ref(struct thread *t, size_t n, value *a)
{
    size_t i;
    (void)n;
    NEED(is_bytevector(a[0]), "a bytevector", a[0]);
    if (!index_value(a[1], MOST_ELEMENTS, &i) || i >= length_of(a[0]))
        return out_of_range(t, a[1]);
    return fixnum(byte_data(a[0])[i]);
}
static value prim_bytevector_set(struct thread *t, size_t n, value *a)
{
    size_t i, byte;
    (void)n;
    NEED(is_bytevector(a[0]), "a bytevector", a[0]);
    NEED(index_value(a[2], 255, &byte), "a byte", a[2]);
    if (!index_value(a[1], MOST_ELEMENTS, &i) || i >= length_of(a[0]))
        return out_of_range(t, a[1]);
    byte_data(a[0])[i] = byte;
    return UNSPECIFIED;
}

static value prim_bytevector_copy(struct thread *t, size_t n, value *a)
{
    size_t start, end;
    NEED(is_bytevector(a[0]), "a bytevector", a[0]);
    if (!range_arguments(n, a, 1, length_of(a[0]), &start, &end))
        return out_of_range(t, a[1]);
    value v = allocate(t, BYTEVECTOR, end - start);
    memcpy(bytes(v), byte_data(a[0]) + start, end - start);
    return v;
}

static value prim_bytevector_copy_to(struct thread *t, size_t n, value *a)
{
    size_t at, start, end;
    NEED(is_bytevector(a[0]), "a bytevector", a[0]);
    NEED(is_bytevector(a[2]), "a bytevector", a[2]);
    if (!index_value(a[1], length_of(a[0]), &at) || !range_arguments(n, a, 3, length_of(a[2]), &start, &end) ||
        end - start > length_of(a[0]) - at)
        return out_of_range(t, a[1]);
    memmove(byte_data(a[0]) + at, byte_data(a[2]) + start, end - start);
    return UNSPECIFIED;
}

static value prim_bytevector_append(struct thread *t, size_t n, value *a)
{
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        NEED(is_bytevector(a[i]), "a bytevector", a[i]);
        length += length_of(a[i]);
    }
    value v = allocate(t, BYTEVECTOR, length);
    uint8_t *to = bytes(v);
    for (size_t i = 0; i < n; to += length_of(a[i++]))
        memcpy(to, bytes(a[i]), length_of(a[i]));
    return v;
}

static value prim_utf8_string(struct thread *t, size_t n, value *a)
{
    size_t start, end;
    NEED(is_bytevector(a[0]), "a bytevector", a[0]);
    if (!range_arguments(n, a, 1, length_of(a[0]), &start, &end))
        return out_of_range(t, a[1]);
    char *copy = malloc(end - start + 1);
    if (!copy)
        abort();
    memcpy(copy, byte_data(a[0]) + start, end - start);
    value v = string_from_utf8(t, copy, end - start);
    free(copy);
    return v;
}

static value prim_string_utf8(struct thread *t, size_t n, value *a)
{
    size_t start, end, length;
    NEED(has_type(a[0], STRING), "a string", a[0]);
    if (!range_arguments(n, a, 1, string_length(a[0]), &start, &end))
        return out_of_range(t, a[1]);
    char *text = string_utf8(a[0], start, end, &length);
    value v = allocate(t, BYTEVECTOR, length);
    memcpy(bytes(v), text, length);
    free(text);
    return v;
}

const struct primitive vector_primitives[] = {
    {"vector?", prim_is_vector, 1, 1, false},
    {"make-vector", prim_make_vector, 1, 2, false},
    {"vector", prim_vector, 0, -1, false},
    {"vector-length", prim_vector_length, 1, 1, false},
    {"vector-ref", prim_vector_ref, 2, 2, false},
    {"vector-set!", prim_vector_set, 3, 3, false},
    {"vector->list", prim_vector_list, 1, 3, false},
    {"list->vector", prim_list_vector, 1, 1, false},
    {"vector-copy", prim_vector_copy, 1, 3, false},
    {"vector-copy!", prim_vector_copy_to, 3, 5, false},
    {"vector-fill!", prim_vector_fill, 2, 4, false},
    {"vector-append", prim_vector_append, 0, -1, false},
    {"vector->string", prim_vector_string, 1, 3, false},
    {"string->vector", prim_string_vector, 1, 3, false},
    {"bytevector?", prim_is_bytevector, 1, 1, false},
    {"make-bytevector", prim_make_bytevector, 1, 2, false},
    {"bytevector", prim_bytevector, 0, -1, false},
    {"bytevector-length", prim_bytevector_length, 1, 1, false},
    {"bytevector-u8-ref", prim_bytevector_ref, 2, 2, false},
    {"bytevector-u8-set!", prim_bytevector_set, 3, 3, false},
    {"bytevector-copy", prim_bytevector_copy, 1, 3, false},
    {"bytevector-copy!", prim_bytevector_copy_to, 3, 5, false},
    {"bytevector-append", prim_bytevector_append, 0, -1, false},
    {"utf8->string", prim_utf8_string, 1, 3, false},
    {"string->utf8", prim_string_utf8, 1, 3, false},
    {0},
};
