/*
 * Mutators: threads that run Scheme, their registers and stacks, which are roots, and how they are stopped.
 *
 * A mutator lets itself be stopped at its safepoints only: when it takes memory, when it enters a procedure or goes
 * round a loop (the check for room on its stack fails then, see stack_limit), and while it is parked, which it is
 * around calls that may sleep. Between two safepoints objects do not move, so C code may hold values in its variables.
 */
#ifndef GC_THREADS_H
#define GC_THREADS_H

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>

#include "heap.h"

#define STACK_WORDS 4096           /* what is scanned in one stop; the rest is put aside into the heap */
#define STACK_HARD_WORDS (1 << 20) /* for frames with a great many arguments */
#define TEMPORARIES 8

struct thread {
    /* Memory: the rest of a page, and the pages behind it. */
    value *next, *end;
    char *chunk;
    size_t chunk_pages;
    size_t chunks_taken;
    size_t wanted_pages;     /* of a large object that is about to be made */
    size_t since_collection; /* allocations, for --paranoid */
    int hold;                /* no safepoints: allocation does not collect */

    /* The machine's registers, when it does not run. */
    value *stack, *sp, *fp;
    _Atomic(value *) stack_limit; /* stack_end, or 0 for a thread that has been asked to stop */
    value *stack_end;
    size_t pc;
    size_t argument_count; /* of a call by TAIL_CALL: they lie below sp */

    /* Roots, all values from here to the temporaries. */
    value accumulator, closure;
    value continuation;     /* STACK object below the bottom of the stack, or FALSE */
    value continuation_top; /* fixnum: words of it that count */
    value winds, handlers, parameters;
    value error;         /* what a primitive that answers FAILED raises */
    value callee;        /* for TAIL_CALL */
    value output, input; /* current ports */
    value temporaries[TEMPORARIES];

    struct pauses *pauses;
    size_t number;
    bool running; /* counted as a mutator that has to be waited for */
    struct thread *next_thread;
};

extern struct thread *all_threads; /* world */
extern __thread struct thread *this_thread;

struct thread *thread_new(void);
/* The calling thread becomes the mutator / ends being it. */
void thread_enter(struct thread *thread);
void thread_leave(struct thread *thread);

/* Whether THREAD should collect now to find mistakes. */
static inline bool paranoia(struct thread *thread)
{
    if (!heap.paranoid || thread->since_collection < heap.paranoid)
        return false;
    thread->since_collection = 0;
    return true;
}

/* Stops here if somebody asks for it. */
void safepoint(struct thread *thread);
static inline bool stop_is_wanted(struct thread *thread)
{
    return !atomic_load_explicit(&thread->stack_limit, memory_order_relaxed);
}

/* Around calls that may sleep: no access to the heap between the two. */
void park(struct thread *thread);
void unpark(struct thread *thread);

/*
 * Waits until all other mutators have stopped. False when another was first: the caller has stopped for it meanwhile,
 * and what it wanted may have been done.
 */
bool world_stop(struct thread *self);
void world_start(struct thread *self);

/* For each word of every mutator that is a root. The world is stopped. */
void each_root(void (*visit)(value *word));
void tasks_each_root(void (*visit)(value *word)); /* prims_thread.c */

/* What fails because of the data: FAILED, thread->error is an error object. */
value fail(struct thread *thread, const char *message, value irritant);

#ifdef GC_BOEHM
void *boehm_allocate(size_t bytes, bool raw);
static inline value *allocate_quickly(struct thread *thread, size_t words, bool raw)
{
    (void)thread;
    return boehm_allocate(words * sizeof(value), raw);
}
#else
/* WORDS for a small object, or NULL: then the caller makes its registers known and calls allocate(). */
static inline value *allocate_quickly(struct thread *thread, size_t words, bool raw)
{
    (void)raw;
    value *p = thread->next;
    if ((size_t)(thread->end - p) < words)
        return NULL;
    thread->next = p + words;
    return p;
}
#endif

static inline value make_pair(struct thread *thread, value *a, value *d)
{
    value v = allocate(thread, PAIR, 2);
    slots(v)[0] = *a;
    slots(v)[1] = *d;
    return v;
}
static inline value make_flonum(struct thread *thread, double d)
{
    value v = allocate(thread, FLONUM, sizeof(double));
    *(double *)bytes(v) = d;
    return v;
}

#endif
