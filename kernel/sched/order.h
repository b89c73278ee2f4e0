/*
 * The order of locks, checked by the debug kernel: who takes lock B while it holds A says that A comes before B, and
 * nobody may say the contrary, on whatever hart and however long after; it need not come to a deadlock to be found.
 *
 * What is ordered is not locks but their classes: all locks that one place in the sources initialises are one class, a
 * lock that is defined with an initialiser is a class of its own. Two locks of one class are not compared (directories
 * and their files, say, have rules of their own), nor are locks in allocated memory that nobody has initialised, nor is
 * what a trylock takes, since it cannot wait.
 *
 * Spinlocks are looked at twice: one that is taken in interrupts may not be held elsewhere with interrupts on.
 */
#ifndef SCHED_ORDER_H
#define SCHED_ORDER_H

#include "lib/types.h"

#ifdef DEBUG

#define ORDER_HELD_MAX 24

struct order_held { /* in a thread: what it holds, in the order in which it was taken */
    const void *lock;
    unsigned class;
};

struct order_class {
    const char *name;
    unsigned number; /* 0: not yet registered */
};

/* The number of a class, from 1; 0: there are too many. */
unsigned order_number(struct order_class *class);
/* The class of a lock that nobody has initialised: 0 if it is not part of the kernel's image. */
unsigned order_of_static(const void *lock);
/* The current thread is about to take LOCK at PLACE in the code (NULL: the caller's), and may wait for it; panics if
 * that may never end. */
void order_take(const void *lock, unsigned class, void *place);
void order_take_spin(const void *lock, unsigned class, void *place);
void order_drop(const void *lock); /* it may be one that a trylock took */

/* The number of the class of this place. */
#define ORDER_CLASS(what)                                        \
    ({                                                           \
        static struct order_class order_class_ = {.name = what}; \
        order_number(&order_class_);                             \
    })

#endif
#endif
