/*
 * The compiler: a datum becomes a tree of nodes (expand.c, with syntax.c for names and macros), the tree becomes code
 * (generate.c). All of it works on the heap's data without safepoints: the thread holds collections off, so data do not
 * move. Nodes and scopes live in an arena that goes when the form has been compiled.
 */
#ifndef GC_COMPILE_H
#define GC_COMPILE_H

#include "value.h"

struct thread;
struct lambda;

struct variable {
    value name;
    struct lambda *owner; /* in whose frame it is */
    struct lambda *is;    /* the lambda that a `fix` binds to it for good */
    struct node *loop;    /* a lambda that has become a loop */
    bool assigned;        /* hence in a box */
    unsigned references;
    int slot;
};

struct lambda {
    value name;
    struct variable **parameters;
    size_t parameter_count;
    bool rest; /* the last parameter takes the other arguments */
    struct node *body;
    struct lambda *inlined; /* a loop within this one */
    /* what it captures, found by generate.c */
    struct variable **captured;
    size_t captured_count;
};

enum node_kind {
    NODE_CONSTANT,
    NODE_LOCAL,
    NODE_GLOBAL,
    NODE_SET_LOCAL,
    NODE_SET_GLOBAL,
    NODE_DEFINE,
    NODE_IF,
    NODE_LAMBDA,
    NODE_SEQUENCE, /* nodes */
    NODE_CALL,     /* nodes: operator, operands */
    NODE_LET,      /* variables = nodes, body */
    NODE_FIX,      /* the same; all nodes are lambdas, no variable is assigned */
};

struct node {
    enum node_kind kind;
    value constant;            /* CONSTANT; GLOBAL, SET_GLOBAL, DEFINE: the symbol */
    struct variable *variable; /* LOCAL, SET_LOCAL */
    struct lambda *lambda;
    struct node *a, *b, *c; /* IF: test, then, else; SET, DEFINE: value is a; LET, FIX: body is a */
    struct node **nodes;
    struct variable **variables;
    size_t count;
    /* of a lambda that is a loop */
    int loop_slot;
    size_t loop_start;
};

/* --- Names --- */

enum binding_kind { BOUND_VARIABLE, BOUND_MACRO, BOUND_KEYWORD, BOUND_GLOBAL };

struct binding {
    value name;
    enum binding_kind kind;
    struct variable *variable;
    struct macro *macro;
    int keyword;
    value symbol; /* BOUND_GLOBAL */
    struct binding *next;
};

struct scope {
    struct binding *bindings;
    struct lambda *lambda;
    struct scope *up;
};

struct macro {
    value ellipsis, literals, rules;
    struct scope *scope; /* where it was defined; NULL: global */
    struct macro *next;  /* of the global ones, which are roots */
};

/* What NAME, a symbol or an alias, means in SCOPE. */
struct binding resolve(struct scope *scope, value name);
struct scope *scope_new(struct scope *up, struct lambda *lambda);
struct variable *bind_variable(struct scope *scope, value name);
void bind_macro(struct scope *scope, value name, struct macro *macro);

bool is_identifier(value v);
/* A name that means what SYMBOL means in SCOPE, wherever it is put. */
value alias(value symbol, struct scope *scope);
/* The symbol that an alias stands for in the end. */
value unalias(value name);
/* A copy of DATUM without aliases; itself if it has none. */
value strip(value datum);

struct macro *macro_new(value specification, struct scope *scope);
value macro_expand(struct macro *macro, value form, struct scope *scope);
void macros_each_root(void (*visit)(value *word));

/* --- Forms that become others (forms.c): their parts in a (begin ...) --- */

value record_definitions(value form);
value chosen_features(value form);

/* --- The steps --- */

struct node *expand_program(value form);
value generate(struct node *node);

void *arena(size_t bytes);
/* Ends the compilation with an error that the program can handle. */
_Noreturn void syntax_error(const char *message, value form);
struct thread *compiling_thread(void);
void expand_open(void);

/* A closure without arguments that evaluates DATUM, or FAILED. */
value compile(struct thread *thread, value datum);

value list_of(size_t count, ...);

#endif
