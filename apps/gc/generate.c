/*
 * From nodes to code.
 *
 * A frame is the arguments and above them what `let` binds and what calls push; the generator knows the depth at every
 * point, so a variable is a slot. A lambda captures the values of the variables it uses from outside; who is assigned
 * is in a box, so a copy is as good. A lambda that a `fix` binds and that is only ever called in its own tail position,
 * or at the fix's end, is a loop: no closure, no frame, a jump.
 */
#include <string.h>

#include "code.h"
#include "compile.h"
#include "prims.h"
#include "symbol.h"
#include "threads.h"

struct function {
    struct lambda *lambda;
    struct function *outer;
    uint32_t *code;
    size_t length, room;
    value *constants;
    size_t constant_count, constant_room;
    int depth, deepest;
};

static void emit_node(struct function *f, struct node *n, bool tail);
static value emit_lambda(struct function *outer, struct lambda *l);

/* --- Instructions --- */

static void *grow(void *old, size_t used, size_t *room, size_t size)
{
    if (used < *room)
        return old;
    *room = *room ? 2 * *room : 32;
    void *p = arena(*room * size);
    if (used)
        memcpy(p, old, used * size);
    return p;
}

static void emit_word(struct function *f, uint32_t word)
{
    f->code = grow(f->code, f->length, &f->room, sizeof(*f->code));
    f->code[f->length++] = word;
}

static size_t emit(struct function *f, enum operation operation, intptr_t a)
{
    emit_word(f, (uint32_t)operation | (uint32_t)a << 8);
    return f->length - 1;
}

static void aim(struct function *f, size_t jump) { f->code[jump] |= (uint32_t)f->length << 8; }

static void deeper(struct function *f, int words)
{
    f->depth += words;
    if (f->depth > f->deepest)
        f->deepest = f->depth;
}

static void emit_push(struct function *f)
{
    emit(f, OP_PUSH, 0);
    deeper(f, 1);
}

static size_t constant_number(struct function *f, value v)
{
    for (size_t i = 0; i < f->constant_count; i++)
        if (f->constants[i] == v)
            return i;
    f->constants = grow(f->constants, f->constant_count, &f->constant_room, sizeof(*f->constants));
    f->constants[f->constant_count] = v;
    return f->constant_count++;
}

static bool is_small(value v) { return is_fixnum(v) && fixnum_value(v) >= -(1 << 22) && fixnum_value(v) < 1 << 22; }

static void emit_constant(struct function *f, value v, bool push)
{
    if (is_small(v))
        emit(f, push ? OP_SMALL_PUSH : OP_SMALL, fixnum_value(v));
    else
        emit(f, push ? OP_CONSTANT_PUSH : OP_CONSTANT, constant_number(f, v) + CODE_CONSTANTS);
    if (push)
        deeper(f, 1);
}

/* --- Variables --- */

static struct lambda *frame_of(struct lambda *l)
{
    while (l->inlined)
        l = l->inlined;
    return l;
}

static bool is_local(struct function *f, struct variable *v) { return frame_of(v->owner) == f->lambda; }

static size_t captured_number(struct lambda *l, struct variable *v)
{
    for (size_t i = 0; i < l->captured_count; i++)
        if (l->captured[i] == v)
            return i;
    size_t room = l->captured_count;
    if (!(room & (room - 1))) { /* full at 0 and each power of two */
        struct variable **list = arena((room ? 2 * room : 1) * sizeof(*list));
        if (room)
            memcpy(list, l->captured, room * sizeof(*list));
        l->captured = list;
    }
    l->captured[l->captured_count] = v;
    return l->captured_count++;
}

static void emit_variable(struct function *f, struct variable *v, bool push)
{
    if (is_local(f, v)) {
        if (push && !v->assigned) {
            emit(f, OP_LOCAL_PUSH, v->slot);
            deeper(f, 1);
            return;
        }
        emit(f, v->assigned ? OP_LOCAL_BOX : OP_LOCAL, v->slot);
    } else if (v->is && v->is == f->lambda) {
        emit(f, OP_SELF, 0);
    } else {
        size_t i = captured_number(f->lambda, v) + 1;
        if (push && !v->assigned) {
            emit(f, OP_FREE_PUSH, i);
            deeper(f, 1);
            return;
        }
        emit(f, v->assigned ? OP_FREE_BOX : OP_FREE_VARIABLE, i);
    }
    if (push)
        emit_push(f);
}

static void emit_pushed(struct function *f, struct node *n)
{
    if (n->kind == NODE_CONSTANT) {
        emit_constant(f, n->constant, true);
    } else if (n->kind == NODE_LOCAL) {
        emit_variable(f, n->variable, true);
    } else {
        emit_node(f, n, false);
        emit_push(f);
    }
}

/* --- Primitives in line --- */

struct inlined {
    const char *name;
    int arguments;
    enum operation operation;
};

static const struct inlined inlined[] = {
    {"car", 1, OP_CAR},
    {"cdr", 1, OP_CDR},
    {"cons", 2, OP_CONS},
    {"eq?", 2, OP_IS_EQ},
    {"null?", 1, OP_IS_NULL},
    {"pair?", 1, OP_IS_PAIR},
    {"not", 1, OP_NOT},
    {"+", 2, OP_ADD},
    {"-", 2, OP_SUBTRACT},
    {"*", 2, OP_MULTIPLY},
    {"=", 2, OP_SAME},
    {"<", 2, OP_LESS},
    {">", 2, OP_GREATER},
    {"<=", 2, OP_NOT_GREATER},
    {">=", 2, OP_NOT_LESS},
    {"vector-ref", 2, OP_VECTOR_REF},
    {"vector-set!", 3, OP_VECTOR_SET},
};

static const struct inlined *find_inlined(const char *name, size_t arguments)
{
    for (size_t i = 0; i < sizeof(inlined) / sizeof(*inlined); i++)
        if (inlined[i].arguments == (int)arguments && !strcmp(inlined[i].name, name))
            return &inlined[i];
    return NULL;
}

/* The built-in primitive that a call is of, or -1. */
static int primitive_called(struct node *n)
{
    struct node *operator= n->nodes[0];
    if (operator->kind != NODE_GLOBAL || symbol_of(operator->constant)->assigned)
        return -1;
    value v = globals[immediate_value(operator->constant)];
    if (!is_immediate(v, PRIMITIVE))
        return -1;
    int number = immediate_value(v);
    const struct primitive *p = &primitives[number];
    int arguments = n->count - 1;
    if (p->control || arguments < p->least || (p->most >= 0 && arguments > p->most))
        return -1;
    return number;
}

static void emit_primitive(struct function *f, struct node *n, int number)
{
    size_t arguments = n->count - 1;
    const struct inlined *in = find_inlined(primitives[number].name, arguments);

    if (in && arguments == 2 && (in->operation == OP_ADD || in->operation == OP_SUBTRACT) &&
        n->nodes[2]->kind == NODE_CONSTANT && is_small(n->nodes[2]->constant)) {
        intptr_t by = fixnum_value(n->nodes[2]->constant);
        emit_node(f, n->nodes[1], false);
        emit(f, OP_ADD_SMALL, in->operation == OP_ADD ? by : -by);
        return;
    }
    int depth = f->depth;
    for (size_t i = 1; i <= arguments; i++) {
        if (in && i == arguments)
            emit_node(f, n->nodes[i], false);
        else
            emit_pushed(f, n->nodes[i]);
    }
    if (in) {
        emit(f, in->operation, 0);
    } else {
        emit(f, OP_PRIMITIVE_OF, number);
        emit_word(f, arguments);
    }
    f->depth = depth;
}

/* --- Loops --- */

static bool is_loop(struct node *fix);

/* Calls of V with COUNT arguments in tail position of N, inner lambdas not counted. */
static unsigned tail_calls(struct node *n, struct variable *v, size_t count)
{
    switch (n->kind) {
    case NODE_IF:
        return tail_calls(n->b, v, count) + tail_calls(n->c, v, count);
    case NODE_SEQUENCE:
        return tail_calls(n->nodes[n->count - 1], v, count);
    case NODE_LET:
        return tail_calls(n->a, v, count);
    case NODE_FIX:
        return tail_calls(is_loop(n) ? n->nodes[0]->lambda->body : n->a, v, count);
    case NODE_CALL:
        return n->nodes[0]->kind == NODE_LOCAL && n->nodes[0]->variable == v && n->count - 1 == count;
    default:
        return 0;
    }
}

static bool is_loop(struct node *fix)
{
    struct variable *v = fix->variables[0];
    struct lambda *l = fix->nodes[0]->lambda;
    struct node *body = fix->a;

    if (fix->count != 1 || l->rest || body->kind != NODE_CALL || body->nodes[0]->kind != NODE_LOCAL ||
        body->nodes[0]->variable != v || body->count - 1 != l->parameter_count)
        return false;
    return v->references == 1 + tail_calls(l->body, v, l->parameter_count);
}

static void emit_boxes(struct function *f, struct variable **variables, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (variables[i]->assigned)
            emit(f, OP_MAKE_BOX, variables[i]->slot);
}

static void emit_drop(struct function *f, int depth, bool tail)
{
    if (!tail && f->depth > depth)
        emit(f, OP_DROP, f->depth - depth);
    f->depth = depth;
}

static void emit_loop(struct function *f, struct node *fix, bool tail)
{
    struct node *loop = fix->nodes[0];
    struct lambda *l = loop->lambda;
    int depth = f->depth;

    for (size_t i = 0; i < l->parameter_count; i++)
        emit_pushed(f, fix->a->nodes[i + 1]);
    for (size_t i = 0; i < l->parameter_count; i++)
        l->parameters[i]->slot = depth + i;
    l->inlined = frame_of(f->lambda);
    fix->variables[0]->loop = loop;
    loop->loop_slot = depth;
    loop->loop_start = f->length;
    emit_boxes(f, l->parameters, l->parameter_count);
    emit_node(f, l->body, tail);
    emit_drop(f, depth, tail);
}

static void emit_repeat(struct function *f, struct node *call, struct node *loop)
{
    int depth = f->depth;
    for (size_t i = 1; i < call->count; i++)
        emit_pushed(f, call->nodes[i]);
    emit(f, OP_REPEAT, loop->loop_start);
    emit_word(f, call->count - 1);
    emit_word(f, loop->loop_slot);
    f->depth = depth;
}

/* --- Closures --- */

/* acc = a closure of L. The captured values that are among PENDING and have no value yet are put in later: *LATER. */
static void emit_closure(struct function *f, struct lambda *l, struct variable **pending, size_t count)
{
    value code = emit_lambda(f, l);
    emit(f, OP_CLOSURE_OF, constant_number(f, code) + CODE_CONSTANTS);
    emit_word(f, l->captured_count);
    for (size_t i = 0; i < l->captured_count; i++) {
        struct variable *v = l->captured[i];
        bool later = false;
        for (size_t j = 0; j < count; j++)
            later |= pending[j] == v;
        if (later)
            emit_word(f, UINT32_MAX);
        else if (is_local(f, v))
            emit_word(f, 2 * v->slot);
        else if (v->is && v->is == f->lambda)
            emit_word(f, 1); /* number 0: the closure itself */
        else
            emit_word(f, 2 * (captured_number(f->lambda, v) + 1) + 1);
    }
}

static void emit_fix(struct function *f, struct node *n, bool tail)
{
    int depth = f->depth;

    if (is_loop(n)) {
        emit_loop(f, n, tail);
        return;
    }
    for (size_t i = 0; i < n->count; i++) {
        n->variables[i]->slot = depth + i;
        n->variables[i]->is = n->nodes[i]->lambda;
    }
    for (size_t i = 0; i < n->count; i++) {
        emit_closure(f, n->nodes[i]->lambda, n->variables + i, n->count - i);
        emit_push(f);
    }
    for (size_t i = 0; i < n->count; i++) {
        struct lambda *l = n->nodes[i]->lambda;
        for (size_t c = 0; c < l->captured_count; c++) {
            for (size_t j = i; j < n->count; j++) {
                if (n->variables[j] != l->captured[c])
                    continue;
                emit(f, OP_LOCAL, n->variables[j]->slot);
                emit(f, OP_PATCH, n->variables[i]->slot);
                emit_word(f, c + 1);
            }
        }
    }
    emit_node(f, n->a, tail);
    emit_drop(f, depth, tail);
}

static value emit_lambda(struct function *outer, struct lambda *l)
{
    struct function *f = arena(sizeof(*f));
    struct thread *t = compiling_thread();

    f->lambda = l;
    f->outer = outer;
    f->depth = f->deepest = l->parameter_count;
    for (size_t i = 0; i < l->parameter_count; i++)
        l->parameters[i]->slot = i;
    emit_boxes(f, l->parameters, l->parameter_count);
    emit_node(f, l->body, true);

    value instructions = allocate(t, BYTEVECTOR, f->length * sizeof(uint32_t));
    memcpy(bytes(instructions), f->code, f->length * sizeof(uint32_t));
    value code = allocate(t, CODE, CODE_CONSTANTS + f->constant_count);
    value *s = slots(code);
    s[CODE_INSTRUCTIONS] = instructions;
    s[CODE_ARITY] = fixnum(2 * (l->parameter_count - l->rest) + l->rest);
    s[CODE_ROOM] = fixnum(f->deepest + 2 * FRAME_WORDS);
    s[CODE_NAME] = l->name;
    for (size_t i = 0; i < f->constant_count; i++)
        s[CODE_CONSTANTS + i] = f->constants[i];
    return code;
}

/* --- Nodes --- */

static void emit_let(struct function *f, struct variable **variables, struct node **inits, size_t count,
                     struct node *body, bool tail)
{
    int depth = f->depth;
    for (size_t i = 0; i < count; i++)
        emit_pushed(f, inits[i]);
    for (size_t i = 0; i < count; i++)
        variables[i]->slot = depth + i;
    emit_boxes(f, variables, count);
    emit_node(f, body, tail);
    emit_drop(f, depth, tail);
}

static void emit_call(struct function *f, struct node *n, bool tail)
{
    struct node *operator= n->nodes[0];
    size_t arguments = n->count - 1;
    int depth = f->depth;

    if (operator->kind == NODE_LOCAL && operator->variable->loop) {
        emit_repeat(f, n, operator->variable->loop);
        return;
    }
    if (operator->kind == NODE_LAMBDA && !operator->lambda->rest && operator->lambda->parameter_count == arguments) {
        operator->lambda->inlined = f->lambda;
        emit_let(f, operator->lambda->parameters, n->nodes + 1, arguments, operator->lambda->body, tail);
        return;
    }
    int number = primitive_called(n);
    if (number >= 0) {
        emit_primitive(f, n, number);
        if (tail)
            emit(f, OP_RETURN, 0);
        return;
    }
    size_t frame = 0;
    if (!tail) {
        frame = emit(f, OP_FRAME, 0);
        emit_word(f, f->depth);
        deeper(f, FRAME_WORDS);
    }
    for (size_t i = 1; i <= arguments; i++)
        emit_pushed(f, n->nodes[i]);
    emit_node(f, operator, false);
    emit(f, tail ? OP_TAIL : OP_CALL, arguments);
    if (!tail)
        aim(f, frame);
    f->depth = depth;
}

/* Jumps when N is false: the place to aim. */
static size_t emit_test(struct function *f, struct node *n)
{
    static const struct {
        const char *name;
        enum operation operation;
    } fused[] = {{"null?", OP_JUMP_NOT_NULL},
                 {"pair?", OP_JUMP_NOT_PAIR},
                 {"eq?", OP_JUMP_NOT_EQ},
                 {"<", OP_JUMP_NOT_LESS},
                 {"=", OP_JUMP_NOT_SAME}};
    int number = n->kind == NODE_CALL ? primitive_called(n) : -1;

    for (size_t i = 0; number >= 0 && i < sizeof(fused) / sizeof(*fused); i++) {
        if (strcmp(primitives[number].name, fused[i].name) || n->count != (i < 2 ? 2 : 3))
            continue;
        int depth = f->depth;
        if (n->count == 3)
            emit_pushed(f, n->nodes[1]);
        emit_node(f, n->nodes[n->count - 1], false);
        f->depth = depth;
        return emit(f, fused[i].operation, 0);
    }
    emit_node(f, n, false);
    return emit(f, OP_JUMP_FALSE, 0);
}

static bool is_not(struct node *n)
{
    int number = n->kind == NODE_CALL ? primitive_called(n) : -1;
    return number >= 0 && n->count == 2 && !strcmp(primitives[number].name, "not");
}

static void emit_if(struct function *f, struct node *n, bool tail)
{
    struct node *test = n->a, *then = n->b, *otherwise = n->c;
    int depth = f->depth;

    while (is_not(test)) {
        struct node *swap = then;
        then = otherwise;
        otherwise = swap;
        test = test->nodes[1];
    }
    size_t to_else = emit_test(f, test);
    emit_node(f, then, tail);
    size_t to_end = tail ? 0 : emit(f, OP_JUMP, 0);
    aim(f, to_else);
    f->depth = depth;
    emit_node(f, otherwise, tail);
    if (!tail)
        aim(f, to_end);
    f->depth = depth;
}

static void emit_set(struct function *f, struct node *n)
{
    struct variable *v = n->variable;
    emit_node(f, n->a, false);
    if (is_local(f, v))
        emit(f, OP_SET_LOCAL_BOX, v->slot);
    else
        emit(f, OP_SET_FREE_BOX, captured_number(f->lambda, v) + 1);
}

static void emit_node(struct function *f, struct node *n, bool tail)
{
    switch (n->kind) {
    case NODE_CONSTANT:
        emit_constant(f, n->constant, false);
        break;
    case NODE_LOCAL:
        emit_variable(f, n->variable, false);
        break;
    case NODE_GLOBAL:
        emit(f, OP_GLOBAL, immediate_value(n->constant));
        break;
    case NODE_SET_LOCAL:
        emit_set(f, n);
        break;
    case NODE_SET_GLOBAL:
    case NODE_DEFINE:
        emit_node(f, n->a, false);
        emit(f, n->kind == NODE_DEFINE ? OP_DEFINE_GLOBAL : OP_SET_GLOBAL, immediate_value(n->constant));
        break;
    case NODE_LAMBDA:
        emit_closure(f, n->lambda, NULL, 0);
        break;
    case NODE_SEQUENCE:
        for (size_t i = 0; i + 1 < n->count; i++)
            emit_node(f, n->nodes[i], false);
        emit_node(f, n->nodes[n->count - 1], tail);
        return;
    case NODE_IF:
        emit_if(f, n, tail);
        return;
    case NODE_CALL:
        emit_call(f, n, tail);
        return;
    case NODE_LET:
        emit_let(f, n->variables, n->nodes, n->count, n->a, tail);
        return;
    case NODE_FIX:
        emit_fix(f, n, tail);
        return;
    }
    if (tail)
        emit(f, OP_RETURN, 0);
}

value generate(struct node *program)
{
    struct thread *t = compiling_thread();
    value code = emit_lambda(NULL, program->lambda);
    value closure = allocate(t, CLOSURE, 1);
    slots(closure)[0] = code;
    return closure;
}
