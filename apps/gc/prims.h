/*
 * Primitives: procedures in C. Each gets its arguments on the machine's stack, where they are roots; it answers a
 * value, or FAILED with thread->error, or, if it is marked `control`, TAIL_CALL with the procedure in thread->callee
 * and its arguments where its own were (thread->sp behind them, thread->argument_count of them).
 *
 * A primitive that allocates reads its arguments again afterwards.
 */
#ifndef GC_PRIMS_H
#define GC_PRIMS_H

#include "heap.h"
#include "threads.h"
#include "value.h"

typedef value primitive_function(struct thread *t, size_t count, value *args);

struct primitive {
    const char *name;
    primitive_function *function;
    int least, most; /* arguments; most < 0: any number */
    bool control;
};

#define HALT IMMEDIATE(SPECIAL, 8)   /* a primitive's answer: the machine stops */
#define ABSENT IMMEDIATE(SPECIAL, 9) /* an argument that was not given */

extern struct primitive primitives[];
extern size_t primitive_count;

void primitives_open(void);
/* For the files prims_*.c: their lists, ended by one without a name. */
void add_primitives(const struct primitive *list);

extern const struct primitive list_primitives[], number_primitives[], character_primitives[], string_primitives[],
    vector_primitives[], control_primitives[], port_primitives[], thread_primitives[], system_primitives[];

/* --- Errors --- */

/* A fixnum argument from LEAST to MOST is expected, or another type. */
value wrong_type(struct thread *t, const char *what, value v);
value out_of_range(struct thread *t, value v);
value condition_new(struct thread *t, const char *kind, const char *message, value irritants);
bool is_condition(value v);

/* True, and *N, when V is a fixnum from 0 to MOST. */
static inline bool index_value(value v, size_t most, size_t *n)
{
    if (!is_fixnum(v) || fixnum_value(v) < 0 || (size_t)fixnum_value(v) > most)
        return false;
    *n = fixnum_value(v);
    return true;
}
/* The optional arguments START and END, from args[at] on, for LENGTH elements. */
bool range_arguments(size_t count, value *args, size_t at, size_t length, size_t *start, size_t *end);

/* --- Numbers (number.c) --- */

value number_add(struct thread *t, value a, value b);
value number_subtract(struct thread *t, value a, value b);
value number_multiply(struct thread *t, value a, value b);
/* -1, 0, 1; 2: not comparable (a NaN); 3: not numbers, and thread->error is set. */
int number_compare(struct thread *t, value a, value b);
static inline bool is_number(value v) { return is_fixnum(v) || has_type(v, FLONUM); }
static inline double number_double(value v) { return is_fixnum(v) ? (double)fixnum_value(v) : flonum_value(v); }
/* From text, FALSE if it is not a number. */
value parse_number(struct thread *t, const char *text, int radix);
/* At most 80 bytes. */
void format_number(value v, int radix, char *text);

bool is_eqv(value a, value b);
/* Whether they are equal?; data that go round never end, as R7RS does not allow: those to a great depth are said
 * unequal. */
bool is_equal(value a, value b);

/* --- Strings --- */

/* UTF-8 in malloc'ed memory, for the C library; the caller frees it. */
char *string_utf8(value string, size_t start, size_t end, size_t *length);
value string_from_utf8(struct thread *t, const char *text, size_t length);
size_t utf8_encode(uint32_t c, char *to);
/* The next character of TEXT before END; bad bytes are U+FFFD. */
uint32_t utf8_decode(const char **text, const char *end);

/* --- Machine --- */

/* Runs a procedure without arguments. FAILED when it was ended by an error that nobody handled. */
value machine_run(struct thread *t, value procedure);
bool is_procedure(value v);
/* continuation.c */
void put_stack_aside(struct thread *t, size_t arguments);

#endif
