/*
 * The machine that runs code (code.h).
 *
 *     t->stack                                            fp                       sp
 *     | #f 0 0 | ... caller's slots | closure pc depth | argument 0 ... let ... | (free)
 *                                     frame: where to go back to
 *
 * The registers are C variables between safepoints. SAVE makes them known before anything that may collect, LOAD gets
 * back what may have moved: the accumulator, the closure, and its code, so the program counter.
 *
 * A frame whose closure is #f is the bottom: what is below has been put aside into the heap (continuation.c).
 */
#include <stdio.h>
#include <string.h>

#include "code.h"
#include "prims.h"
#include "symbol.h"
#include "threads.h"

#define BOTTOM_WORDS FRAME_WORDS

static inline uint32_t *instructions(value closure) { return bytes(slots(slots(closure)[0])[CODE_INSTRUCTIONS]); }

#define SAVE() (t->sp = sp, t->fp = fp, t->accumulator = acc, t->closure = closure, t->pc = pc - instructions(closure))
#define LOAD() (acc = t->accumulator, closure = t->closure, pc = instructions(closure) + t->pc)
/* After what may have collected: the result is in acc. */
#define RELOAD() (closure = t->closure, pc = instructions(closure) + t->pc)

/* The arguments above fp that have no name become a list, in the slot after the required ones. */
static void gather_rest(struct thread *t, size_t required)
{
    value *rest = t->fp + required;
    t->accumulator = NIL;
    while (t->sp > rest) {
        value pair = make_pair(t, t->sp - 1, &t->accumulator);
        t->accumulator = pair;
        t->sp--;
    }
    *t->sp++ = t->accumulator;
}

/* At a procedure's entry there is no room, or somebody wants this thread to stop. False: the frame is too large. */
static bool make_room(struct thread *t, size_t arguments, size_t room)
{
    if (stop_is_wanted(t)) {
        safepoint(t);
        if (t->fp + room <= t->stack_end)
            return true;
    }
    if (t->fp > t->stack + BOTTOM_WORDS)
        put_stack_aside(t, arguments);
    return t->fp + room <= t->stack + STACK_HARD_WORDS;
}

/* The frame on top of what was put aside goes back to the stack. Its closure and pc are the thread's then. */
static void restore_frame(struct thread *t)
{
    value *part = slots(t->continuation), *words = part + 2;
    size_t top = fixnum_value(t->continuation_top);
    value *frame = words + top - FRAME_WORDS;
    size_t depth = fixnum_value(frame[FRAME_DEPTH]);

    t->fp = t->stack + BOTTOM_WORDS;
    memcpy(t->fp, frame - depth, depth * sizeof(value));
    t->sp = t->fp + depth;
    t->closure = frame[FRAME_CLOSURE];
    t->pc = fixnum_value(frame[FRAME_PC]);
    top -= FRAME_WORDS + depth;
    if (top) {
        t->continuation_top = fixnum(top);
    } else {
        t->continuation = part[0];
        t->continuation_top = part[1];
    }
}

static value several_values(struct thread *t, size_t count)
{
    value v = allocate(t, VALUES, count);
    memcpy(slots(v), t->sp - count, count * sizeof(value));
    return v;
}

static void report_arity(struct thread *t, value procedure)
{
    value name = FALSE;
    if (has_type(procedure, CLOSURE))
        name = slots(slots(procedure)[0])[CODE_NAME];
    else if (is_immediate(procedure, PRIMITIVE))
        name = intern_string(primitives[immediate_value(procedure)].name);
    fail(t, "wrong number of arguments", name == FALSE ? procedure : name);
}

value machine_run(struct thread *t, value procedure)
{
    static const void *const labels[] = {
#define X(name) &&OP_##name,
        OPERATIONS(X)
#undef X
    };
    value *sp, *fp, acc, closure;
    const uint32_t *pc = NULL;
    uint32_t word;
    size_t n;
    int order;
    value hook_symbol = intern_string("%error-hook");

    sp = t->stack;
    *sp++ = FALSE;
    *sp++ = fixnum(0);
    *sp++ = fixnum(0);
    fp = sp;
    t->continuation = FALSE;
    t->continuation_top = fixnum(0);
    closure = FALSE;
    acc = procedure;
    n = 0;
    goto enter;

#define NEXT()                     \
    do {                           \
        word = *pc++;              \
        goto *labels[word & 0xff]; \
    } while (0)
#define A (word >> 8)
#define SIGNED_A ((int32_t)word >> 8)

OP_CONSTANT:
    acc = slots(slots(closure)[0])[A];
    NEXT();
OP_SMALL:
    acc = fixnum(SIGNED_A);
    NEXT();
OP_LOCAL:
    acc = fp[A];
    NEXT();
OP_FREE_VARIABLE:
    acc = slots(closure)[A];
    NEXT();
OP_SELF:
    acc = closure;
    NEXT();
OP_GLOBAL:
    acc = globals[A];
    if (__builtin_expect(acc == UNDEFINED, 0)) {
        SAVE();
        fail(t, "unbound variable", IMMEDIATE(SYMBOL, A));
        goto failed;
    }
    NEXT();
OP_LOCAL_BOX:
    acc = slots(fp[A])[0];
    goto check_box;
OP_FREE_BOX:
    acc = slots(slots(closure)[A])[0];
check_box:
    if (__builtin_expect(acc == UNDEFINED, 0)) {
        SAVE();
        fail(t, "a variable is used before it has a value", NIL);
        goto failed;
    }
    NEXT();
OP_PUSH:
    *sp++ = acc;
    NEXT();
OP_CONSTANT_PUSH:
    *sp++ = slots(slots(closure)[0])[A];
    NEXT();
OP_SMALL_PUSH:
    *sp++ = fixnum(SIGNED_A);
    NEXT();
OP_LOCAL_PUSH:
    *sp++ = fp[A];
    NEXT();
OP_FREE_PUSH:
    *sp++ = slots(closure)[A];
    NEXT();
OP_SET_LOCAL_BOX:
    slots(fp[A])[0] = acc;
    acc = UNSPECIFIED;
    NEXT();
OP_SET_FREE_BOX:
    slots(slots(closure)[A])[0] = acc;
    acc = UNSPECIFIED;
    NEXT();
OP_SET_GLOBAL:
    if (globals[A] == UNDEFINED) {
        SAVE();
        fail(t, "set!: unbound variable", IMMEDIATE(SYMBOL, A));
        goto failed;
    }
OP_DEFINE_GLOBAL:
    globals[A] = acc;
    acc = UNSPECIFIED;
    NEXT();
OP_MAKE_BOX : {
    SAVE();
    value box = allocate(t, BOX, 1);
    slots(box)[0] = fp[A];
    fp[A] = box;
    LOAD();
    NEXT();
}
OP_JUMP:
    pc = instructions(closure) + A;
    NEXT();
OP_JUMP_FALSE:
    if (acc == FALSE)
        pc = instructions(closure) + A;
    NEXT();
OP_JUMP_NOT_NULL:
    if (acc != NIL)
        pc = instructions(closure) + A;
    NEXT();
OP_JUMP_NOT_PAIR:
    if (!is_pair(acc))
        pc = instructions(closure) + A;
    NEXT();
OP_JUMP_NOT_EQ:
    if (*--sp != acc)
        pc = instructions(closure) + A;
    NEXT();
OP_JUMP_NOT_LESS:
    sp--;
    if (is_fixnum(*sp) && is_fixnum(acc)) {
        if ((intptr_t)*sp >= (intptr_t)acc)
            pc = instructions(closure) + A;
        NEXT();
    }
    SAVE();
    order = number_compare(t, *sp, acc);
    if (order == 3)
        goto failed;
    if (order != -1)
        pc = instructions(closure) + A;
    NEXT();
OP_JUMP_NOT_SAME:
    sp--;
    if (is_fixnum(*sp) && is_fixnum(acc)) {
        if (*sp != acc)
            pc = instructions(closure) + A;
        NEXT();
    }
    SAVE();
    order = number_compare(t, *sp, acc);
    if (order == 3)
        goto failed;
    if (order != 0)
        pc = instructions(closure) + A;
    NEXT();
OP_FRAME:
    *sp++ = closure;
    *sp++ = fixnum(A);
    *sp++ = fixnum(*pc++);
    NEXT();
OP_CALL:
    n = A;
    fp = sp - n;
    goto enter;
OP_TAIL:
    n = A;
    if (sp - n != fp)
        memmove(fp, sp - n, n * sizeof(value));
    sp = fp + n;
    goto enter;
OP_RETURN:
    goto leave;
OP_CLOSURE_OF : {
    size_t count = *pc++;
    SAVE();
    value made = allocate(t, CLOSURE, count + 1);
    LOAD();
    slots(made)[0] = slots(slots(closure)[0])[A];
    for (size_t i = 1; i <= count; i++) {
        uint32_t from = *pc++;
        if (from == UINT32_MAX)
            slots(made)[i] = FALSE;
        else if (!(from & 1))
            slots(made)[i] = fp[from >> 1];
        else
            slots(made)[i] = from >> 1 ? slots(closure)[from >> 1] : closure;
    }
    acc = made;
    NEXT();
}
OP_PATCH:
    slots(fp[A])[*pc++] = acc;
    NEXT();
OP_DROP:
    sp -= A;
    NEXT();
OP_REPEAT : {
    size_t count = pc[0];
    value *to = fp + pc[1], *from = sp - count;
    for (size_t i = 0; i < count; i++)
        to[i] = from[i];
    sp = to + count;
    pc = instructions(closure) + A;
    if (stop_is_wanted(t)) {
        SAVE();
        safepoint(t);
        LOAD();
    }
    NEXT();
}
OP_PRIMITIVE_OF : {
    size_t count = *pc++;
    SAVE();
    acc = primitives[A].function(t, count, sp - count);
    RELOAD();
    if (__builtin_expect(acc == FAILED, 0))
        goto failed;
    sp -= count;
    NEXT();
}
OP_CAR:
    if (__builtin_expect(!is_pair(acc), 0))
        goto not_pair;
    acc = car(acc);
    NEXT();
OP_CDR:
    if (__builtin_expect(!is_pair(acc), 0))
        goto not_pair;
    acc = cdr(acc);
    NEXT();
OP_CONS : {

#ifdef GC_BOEHM
    SAVE(); /* any allocation may collect */
#endif
    value *p = allocate_quickly(t, 3, false);
    if (__builtin_expect(!p, 0)) {
        SAVE();
        p = words_of(allocate(t, PAIR, 2));
        LOAD();
    }
    p[0] = make_header(PAIR, 2);
    p[1] = *--sp;
    p[2] = acc;
    acc = (value)p;
    NEXT();
}
OP_IS_EQ:
    acc = boolean(*--sp == acc);
    NEXT();
OP_IS_NULL:
    acc = boolean(acc == NIL);
    NEXT();
OP_IS_PAIR:
    acc = boolean(is_pair(acc));
    NEXT();
OP_NOT:
    acc = boolean(acc == FALSE);
    NEXT();
OP_ADD : {
    intptr_t sum;
    value left = *--sp;
    if (is_fixnum(left) && is_fixnum(acc) && !__builtin_add_overflow((intptr_t)left - 1, (intptr_t)acc, &sum)) {
        acc = sum;
        NEXT();
    }
    SAVE();
    acc = number_add(t, left, acc);
    goto number_made;
}
OP_SUBTRACT : {
    intptr_t difference;
    value left = *--sp;
    if (is_fixnum(left) && is_fixnum(acc) && !__builtin_sub_overflow((intptr_t)left, (intptr_t)acc - 1, &difference)) {
        acc = difference;
        NEXT();
    }
    SAVE();
    acc = number_subtract(t, left, acc);
    goto number_made;
}
OP_MULTIPLY : {
    value left = *--sp;
    SAVE();
    acc = number_multiply(t, left, acc);
    goto number_made;
}
OP_ADD_SMALL : {
    intptr_t sum;
    if (is_fixnum(acc) && !__builtin_add_overflow((intptr_t)acc, (intptr_t)SIGNED_A * 2, &sum)) {
        acc = sum;
        NEXT();
    }
    SAVE();
    acc = number_add(t, acc, fixnum(SIGNED_A));
    goto number_made;
}
number_made:
    RELOAD();
    if (__builtin_expect(acc == FAILED, 0))
        goto failed;
    NEXT();

#define COMPARISON(label, test_fixnums, test_order)                   \
    label : {                                                         \
        value left = *--sp;                                           \
        if (is_fixnum(left) && is_fixnum(acc)) {                      \
            acc = boolean((intptr_t)left test_fixnums(intptr_t) acc); \
            NEXT();                                                   \
        }                                                             \
        SAVE();                                                       \
        order = number_compare(t, left, acc);                         \
        if (order == 3)                                               \
            goto failed;                                              \
        acc = boolean(test_order);                                    \
        NEXT();                                                       \
    }

    COMPARISON(OP_SAME, ==, order == 0)
    COMPARISON(OP_LESS, <, order == -1)
    COMPARISON(OP_GREATER, >, order == 1)
    COMPARISON(OP_NOT_GREATER, <=, order == -1 || order == 0)
    COMPARISON(OP_NOT_LESS, >=, order == 1 || order == 0)

OP_VECTOR_REF : {
    value vector = *--sp;
    if (has_type(vector, VECTOR) && is_fixnum(acc) && (size_t)fixnum_value(acc) < length_of(vector)) {
        acc = slots(vector)[fixnum_value(acc)];
        NEXT();
    }
    SAVE();
    fail(t, has_type(vector, VECTOR) ? "vector-ref: index out of range" : "vector-ref: not a vector",
         has_type(vector, VECTOR) ? acc : vector);
    goto failed;
}
OP_VECTOR_SET : {
    value index = *--sp, vector = *--sp;
    if (has_type(vector, VECTOR) && is_fixnum(index) && (size_t)fixnum_value(index) < length_of(vector)) {
        slots(vector)[fixnum_value(index)] = acc;
        acc = UNSPECIFIED;
        NEXT();
    }
    SAVE();
    fail(t, has_type(vector, VECTOR) ? "vector-set!: index out of range" : "vector-set!: not a vector",
         has_type(vector, VECTOR) ? index : vector);
    goto failed;
}

not_pair:
    SAVE();
    wrong_type(t, "a pair", acc);
    goto failed;

/* --- Entering a procedure: acc, with N arguments from fp to sp --- */
enter:
    if (has_type(acc, CLOSURE)) {
        value *code = slots(slots(acc)[0]);
        size_t arity = fixnum_value(code[CODE_ARITY]), room = fixnum_value(code[CODE_ROOM]);
        closure = acc;
        pc = bytes(code[CODE_INSTRUCTIONS]);
        if (__builtin_expect(fp + room > atomic_load_explicit(&t->stack_limit, memory_order_relaxed), 0)) {
            SAVE();
            if (!make_room(t, n, room)) {
                fail(t, "too many arguments", NIL);
                goto refused;
            }
            LOAD();
            sp = t->sp;
            fp = t->fp;
        }
        if (__builtin_expect(2 * n == arity, 1))
            NEXT();
        if (!(arity & 1) || n < arity / 2) {
            report_arity(t, acc);
            goto refused;
        }
        SAVE();
        gather_rest(t, arity / 2);
        RELOAD();
        sp = t->sp;
        NEXT();
    }
    t->sp = sp;
    t->fp = fp;
    if (is_immediate(acc, PRIMITIVE)) {
        const struct primitive *p = &primitives[immediate_value(acc)];
        if (n < (size_t)p->least || (p->most >= 0 && n > (size_t)p->most)) {
            report_arity(t, acc);
            goto refused;
        }
        t->closure = t->accumulator = FALSE;
        acc = p->function(t, n, fp);
        if (acc == TAIL_CALL) {
            acc = t->callee;
            n = t->argument_count;
            sp = t->sp;
            fp = sp - n;
            goto enter;
        }
        if (acc == FAILED)
            goto refused;
        if (acc == HALT)
            return FAILED;
        fp = t->fp;
        goto leave;
    }
    if (has_type(acc, CONTINUATION)) {
        t->accumulator = acc;
        t->closure = FALSE;
        value result = n == 1 ? fp[0] : several_values(t, n);
        acc = t->accumulator;
        t->continuation = slots(acc)[0];
        t->continuation_top = slots(acc)[1];
        acc = result;
        fp = t->stack + BOTTOM_WORDS;
        goto leave;
    }
    if (has_type(acc, PARAMETER)) {
        for (value list = t->parameters; list != NIL; list = cdr(list))
            if (car(car(list)) == acc) {
                acc = cdr(car(list));
                goto leave;
            }
        acc = slots(acc)[0];
        goto leave;
    }
    t->closure = t->accumulator = FALSE;
    fail(t, "not a procedure", acc);
    goto refused;

/* --- Leaving one, with the result in acc --- */
leave:
    sp = fp - FRAME_WORDS;
    closure = sp[FRAME_CLOSURE];
    if (__builtin_expect(closure == FALSE, 0)) {
        if (t->continuation == FALSE) {
            t->sp = t->fp = t->stack;
            return acc;
        }
        restore_frame(t);
        sp = t->sp;
        fp = t->fp;
        closure = t->closure;
        pc = instructions(closure) + t->pc;
        NEXT();
    }
    pc = instructions(closure) + fixnum_value(sp[FRAME_PC]);
    fp = sp - fixnum_value(sp[FRAME_DEPTH]);
    NEXT();

/* --- Errors: thread->error goes to the hook --- */
failed: /* within a procedure whose registers are saved: it is what the hook would return to */
    sp = t->sp;
    fp = t->fp;
    closure = t->closure;
    sp[FRAME_CLOSURE] = closure;
    sp[FRAME_PC] = fixnum(t->pc);
    sp[FRAME_DEPTH] = fixnum(sp - fp);
    fp = sp = sp + FRAME_WORDS;
    goto call_hook;
refused: /* at the entry of one: the hook takes its place */
    sp = fp = t->fp;
call_hook:
    *sp++ = t->error;
    n = 1;
    acc = globals[immediate_value(hook_symbol)];
    if (acc == UNDEFINED) {
        value message = slots(t->error)[2];
        for (size_t i = 0; i < string_length(message); i++)
            fputc(string_chars(message)[i], stderr);
        fputc('\n', stderr);
        return FAILED;
    }
    goto enter;
}
