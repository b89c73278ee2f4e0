/*
 * Code: what the compiler makes and the machine runs.
 *
 * A CODE object has its instructions in a bytevector, so that the collector sees only values, and its constants behind:
 *
 *     | instructions | arity | room | name | constant 0 | constant 1 | ...
 *
 * An instruction is a word of 32 bits, the operation in the lowest 8, its operand A in the others; some have more words
 * after it. `acc` is the accumulator, slot N is the word N above fp.
 */
#ifndef GC_CODE_H
#define GC_CODE_H

#include "value.h"

enum { CODE_INSTRUCTIONS, CODE_ARITY, CODE_ROOM, CODE_NAME, CODE_CONSTANTS };

/* The arity as a fixnum: twice the required arguments, plus 1 if a list of the others follows. */

#define OPERATIONS(X)                                                                                            \
    X(CONSTANT)      /* acc = constant A */                                                                      \
    X(SMALL)         /* acc = fixnum A, signed */                                                                \
    X(LOCAL)         /* acc = slot A */                                                                          \
    X(FREE_VARIABLE) /* acc = captured value A of the closure */                                                 \
    X(SELF)          /* acc = the closure */                                                                     \
    X(GLOBAL)        /* acc = global variable A */                                                               \
    X(LOCAL_BOX)     /* acc = content of the box in slot A */                                                    \
    X(FREE_BOX)      /* acc = content of the captured box A */                                                   \
    X(PUSH)          /* push acc */                                                                              \
    X(CONSTANT_PUSH)                                                                                             \
    X(SMALL_PUSH)                                                                                                \
    X(LOCAL_PUSH)                                                                                                \
    X(FREE_PUSH)                                                                                                 \
    X(SET_LOCAL_BOX) /* content of the box in slot A = acc */                                                    \
    X(SET_FREE_BOX)                                                                                              \
    X(SET_GLOBAL)                                                                                                \
    X(DEFINE_GLOBAL)                                                                                             \
    X(MAKE_BOX)   /* slot A = a box with what was in slot A */                                                   \
    X(JUMP)       /* to instruction A */                                                                         \
    X(JUMP_FALSE) /* if acc is #f */                                                                             \
    X(JUMP_NOT_NULL)                                                                                             \
    X(JUMP_NOT_PAIR)                                                                                             \
    X(JUMP_NOT_EQ) /* pop, compare with acc */                                                                   \
    X(JUMP_NOT_LESS)                                                                                             \
    X(JUMP_NOT_SAME) /* numbers */                                                                               \
    X(FRAME)         /* push what returns to instruction A */                                                    \
    X(CALL)          /* acc, with the A topmost values */                                                        \
    X(TAIL)          /* the same, in place of this procedure */                                                  \
    X(RETURN)                                                                                                    \
    X(CLOSURE_OF)   /* acc = closure of constant A; then: count, and for each 2 * number + (from the closure) */ \
    X(PATCH)        /* captured value (next word) of the closure in slot A = acc */                              \
    X(DROP)         /* A values from the stack */                                                                \
    X(REPEAT)       /* a loop: the (next word) topmost values go to slot (word after) on; to instruction A */    \
    X(PRIMITIVE_OF) /* acc = primitive A of the (next word) topmost values, which go */                          \
    X(CAR)                                                                                                       \
    X(CDR)                                                                                                       \
    X(CONS) /* pop, acc */                                                                                       \
    X(IS_EQ)                                                                                                     \
    X(IS_NULL)                                                                                                   \
    X(IS_PAIR)                                                                                                   \
    X(NOT)                                                                                                       \
    X(ADD)                                                                                                       \
    X(SUBTRACT)                                                                                                  \
    X(MULTIPLY)                                                                                                  \
    X(ADD_SMALL) /* acc + A */                                                                                   \
    X(SAME)                                                                                                      \
    X(LESS)                                                                                                      \
    X(GREATER)                                                                                                   \
    X(NOT_GREATER)                                                                                               \
    X(NOT_LESS)                                                                                                  \
    X(VECTOR_REF)                                                                                                \
    X(VECTOR_SET) /* pop index, pop vector */

enum operation {
#define X(name) OP_##name,
    OPERATIONS(X)
#undef X
};

/* What a call pushes before the arguments: the caller's closure, where it goes on, and how far below its fp is. */
enum { FRAME_CLOSURE, FRAME_PC, FRAME_DEPTH, FRAME_WORDS };

#endif
