/*
 * Symbols and global variables. A symbol is an immediate, the number of an entry here, and an entry has the symbol's
 * name and the value of the global variable of that name. Entries are never removed and never move.
 */
#ifndef GC_SYMBOL_H
#define GC_SYMBOL_H

#include "value.h"

struct thread;

struct symbol {
    char *name; /* UTF-8 */
    uint32_t length;
    uint8_t assigned;    /* a program has defined or assigned the global variable: not the built-in one any more */
    uint8_t keyword;     /* enum keyword of expand.h: global syntax */
    struct macro *macro; /* global macro */
};

extern struct symbol *symbols;
extern value *globals; /* by the symbol's number; UNDEFINED for those without a value */

void symbols_open(void);
/* The symbol of that name, made if need be. Any thread. */
value intern(const char *name, size_t length);
value intern_string(const char *name);
/* A symbol that no name leads to. */
value gensym(const char *name);
static inline struct symbol *symbol_of(value v) { return &symbols[immediate_value(v)]; }
static inline const char *symbol_name(value v) { return symbol_of(v)->name; }
void symbols_each_root(void (*visit)(value *word));

#endif
