/*
 * Values and objects: what a word of the interpreter's memory means.
 *
 *     ...........................................xx1   fixnum: 63 bits, the value is the word shifted right
 *     .........................................00000   pointer to an object of the heap
 *     ..................................[kind]   010   immediate: #f, (), a character, a symbol, a primitive
 *
 * An object is a header and its payload. The header is odd; in its place the collector writes the object's new address,
 * which is even, when it moves it.
 *
 *     63             8 7          1 0
 *    +----------------+------------+-+------------------------------
 *    |     length     |    type    |1|  payload ...
 *    +----------------+------------+-+------------------------------
 *
 * There are two sorts of payload, and the collector needs to know no more than that: words that are values (length
 * counts words), and raw bytes (length counts bytes; the payload is rounded up to words). Symbols and primitives are
 * immediates, numbers of tables outside the heap: they never move and are never collected.
 */
#ifndef GC_VALUE_H
#define GC_VALUE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uintptr_t value;

enum type {
    PAIR,         /* car, cdr */
    VECTOR,       /* elements */
    CLOSURE,      /* code, then captured values */
    CODE,         /* see code.h */
    BOX,          /* a variable that is captured and assigned */
    RECORD,       /* its record type, then fields */
    RECORD_TYPE,  /* name, list of field names */
    CONTINUATION, /* see continuation.c */
    STACK,        /* a part of a stack that was put aside: link, link's top, words */
    VALUES,       /* several values on their way to call-with-values */
    PROMISE,      /* a box of (done? . value) */
    PARAMETER,    /* initial value, converter */
    PORT,         /* see port.c */
    ENVIRONMENT,  /* the argument of eval */
    THREAD,       /* number in the table of threads */
    MUTEX,        /* number in the table of mutexes */
    FIRST_RAW,
    FLONUM = FIRST_RAW, /* one double */
    STRING,             /* code points, 32 bits each */
    BYTEVECTOR,
    TYPES
};

enum immediate { SPECIAL, CHARACTER, SYMBOL, PRIMITIVE, ALIAS };

#define IMMEDIATE(kind, n) ((value)(n) << 8 | (value)(kind) << 3 | 2)
#define FALSE IMMEDIATE(SPECIAL, 0)
#define TRUE IMMEDIATE(SPECIAL, 1)
#define NIL IMMEDIATE(SPECIAL, 2)
#define END_OF_FILE IMMEDIATE(SPECIAL, 3)
#define UNSPECIFIED IMMEDIATE(SPECIAL, 4)
#define UNDEFINED IMMEDIATE(SPECIAL, 5) /* of a variable that has no value yet */
#define FAILED IMMEDIATE(SPECIAL, 6)    /* a primitive's answer: thread->error says why */
#define TAIL_CALL IMMEDIATE(SPECIAL, 7) /* a primitive's answer: now call thread->callee */

#define MAX_FIXNUM (INTPTR_MAX >> 1)
#define MIN_FIXNUM (INTPTR_MIN >> 1)

static inline bool is_fixnum(value v) { return v & 1; }
static inline intptr_t fixnum_value(value v) { return (intptr_t)v >> 1; }
static inline value fixnum(intptr_t n) { return (value)n << 1 | 1; }
static inline bool fits_fixnum(intptr_t n) { return n <= MAX_FIXNUM && n >= MIN_FIXNUM; }

static inline bool is_immediate(value v, enum immediate kind) { return (v & 0xff) == IMMEDIATE(kind, 0); }
static inline size_t immediate_value(value v) { return v >> 8; }
static inline value boolean(bool b) { return b ? TRUE : FALSE; }
static inline value character(uint32_t c) { return IMMEDIATE(CHARACTER, c); }
static inline bool is_character(value v) { return is_immediate(v, CHARACTER); }
static inline bool is_symbol(value v) { return is_immediate(v, SYMBOL); }

static inline bool is_pointer(value v) { return (v & 7) == 0; }
static inline value *words_of(value v) { return (value *)v; } /* from the header on */
static inline value *slots(value v) { return (value *)v + 1; }
static inline void *bytes(value v) { return (value *)v + 1; }

static inline uintptr_t make_header(enum type type, size_t length) { return length << 8 | (uintptr_t)type << 1 | 1; }
static inline enum type header_type(uintptr_t header) { return (header & 0xff) >> 1; }
static inline size_t header_length(uintptr_t header) { return header >> 8; }

/* Words of an object, the header counted. */
static inline size_t object_words(enum type type, size_t length)
{
    return 1 + (type < FIRST_RAW ? length : (length + 7) / 8);
}
static inline size_t header_words(uintptr_t header) { return object_words(header_type(header), header_length(header)); }

static inline bool has_type(value v, enum type type)
{
    return is_pointer(v) && (*words_of(v) & 0xff) == make_header(type, 0);
}
static inline size_t length_of(value v) { return header_length(*words_of(v)); }

static inline bool is_pair(value v) { return has_type(v, PAIR); }
static inline value car(value v) { return slots(v)[0]; }
static inline value cdr(value v) { return slots(v)[1]; }
static inline void set_car(value v, value x) { slots(v)[0] = x; }
static inline void set_cdr(value v, value x) { slots(v)[1] = x; }

static inline double flonum_value(value v)
{
    double *d = bytes(v);
    return *d;
}
static inline size_t string_length(value v) { return length_of(v) / 4; }
static inline uint32_t *string_chars(value v) { return bytes(v); }
static inline uint8_t *byte_data(value v) { return bytes(v); }

static_assert(sizeof(value) == 8, "a word is 64 bits");

#endif
