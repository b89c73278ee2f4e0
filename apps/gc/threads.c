/*
 * Mutators and how they are stopped.
 *
 * Who wants the world stopped says so in stop_wanted and takes the room off every stack (stack_limit = 0), which each
 * mutator notices at its next safepoint; it waits until `running` is 0. Mutators that are parked do not count as
 * running and wait when they come back. All of it is under world_lock.
 */
#include "threads.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "compile.h"
#include "stats.h"
#include "symbol.h"
#ifndef GC_BOEHM
#include "vm.h"
#endif

struct thread *all_threads;
__thread struct thread *this_thread;

static pthread_mutex_t world_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t world_changed = PTHREAD_COND_INITIALIZER;
static bool stop_wanted;
static int running;
static size_t threads_made;

static void set_limits(bool stop)
{
    for (struct thread *t = all_threads; t; t = t->next_thread)
        atomic_store_explicit(&t->stack_limit, stop ? NULL : t->stack_end, memory_order_relaxed);
}

struct thread *thread_new(void)
{
    struct thread *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->stack = mmap(NULL, STACK_HARD_WORDS * sizeof(value), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (t->stack == MAP_FAILED) {
        free(t);
        return NULL;
    }
    t->sp = t->fp = t->stack;
    t->stack_end = t->stack + STACK_WORDS;
    t->accumulator = t->closure = t->continuation = t->error = t->callee = FALSE;
    t->output = t->input = FALSE;
    t->continuation_top = fixnum(0);
    t->winds = t->handlers = t->parameters = NIL;
    for (int i = 0; i < TEMPORARIES; i++)
        t->temporaries[i] = FALSE;
    t->pauses = stats_new();
    /* A thread's first values are its maker's: it is a root from now on, though it does not run. */
    pthread_mutex_lock(&world_lock);
    t->number = threads_made++;
    t->next_thread = all_threads;
    all_threads = t;
    atomic_store(&t->stack_limit, stop_wanted ? NULL : t->stack_end);
    pthread_mutex_unlock(&world_lock);
    return t;
}

void thread_enter(struct thread *t)
{
    this_thread = t;
#ifndef GC_BOEHM
    vm_thread_enter();
#endif
    unpark(t);
}

void thread_leave(struct thread *t)
{
#ifndef GC_BOEHM
    retire_chunk(t);
#endif
    park(t);
    pthread_mutex_lock(&world_lock);
    struct thread **link = &all_threads;
    while (*link != t)
        link = &(*link)->next_thread;
    *link = t->next_thread;
    pthread_mutex_unlock(&world_lock);
#ifndef GC_BOEHM
    vm_thread_leave();
#endif
    munmap(t->stack, STACK_HARD_WORDS * sizeof(value));
    stats_end(t->pauses);
    free(t);
    this_thread = NULL;
}

/* --- Stopping. world_lock is held where a function's name ends in _locked. --- */

static void stop_here_locked(struct thread *t)
{
    t->running = false;
    running--;
    pthread_cond_broadcast(&world_changed);
    while (stop_wanted)
        pthread_cond_wait(&world_changed, &world_lock);
    t->running = true;
    running++;
}

void safepoint(struct thread *t)
{
    if (!stop_is_wanted(t))
        return;
    uint64_t begun = stats_now();
    pthread_mutex_lock(&world_lock);
    if (stop_wanted)
        stop_here_locked(t);
    pthread_mutex_unlock(&world_lock);
    stats_pause(t, PAUSE_STOPPED, stats_now() - begun);
}

void park(struct thread *t)
{
    pthread_mutex_lock(&world_lock);
    t->running = false;
    running--;
    pthread_cond_broadcast(&world_changed);
    pthread_mutex_unlock(&world_lock);
}

void unpark(struct thread *t)
{
    int saved = errno;
    pthread_mutex_lock(&world_lock);
    while (stop_wanted)
        pthread_cond_wait(&world_changed, &world_lock);
    t->running = true;
    running++;
    pthread_mutex_unlock(&world_lock);
    errno = saved;
}

static void stop_others_locked(void)
{
    stop_wanted = true;
    set_limits(true);
    while (running > 0)
        pthread_cond_wait(&world_changed, &world_lock);
}

static void start_others_locked(void)
{
    stop_wanted = false;
    set_limits(false);
    pthread_cond_broadcast(&world_changed);
}

bool world_stop(struct thread *self)
{
    pthread_mutex_lock(&world_lock);
    if (stop_wanted) {
        stop_here_locked(self);
        pthread_mutex_unlock(&world_lock);
        return false;
    }
    running--;
    stop_others_locked();
    pthread_mutex_unlock(&world_lock);
    return true;
}

void world_start(struct thread *self)
{
    pthread_mutex_lock(&world_lock);
    running++;
    self->running = true;
    start_others_locked();
    pthread_mutex_unlock(&world_lock);
}

/* --- Roots --- */

void each_root(void (*visit)(value *word))
{
    for (struct thread *t = all_threads; t; t = t->next_thread) {
        for (value *word = t->stack; word < t->sp; word++)
            visit(word);
        for (value *word = &t->accumulator; word < t->temporaries + TEMPORARIES; word++)
            visit(word);
    }
    symbols_each_root(visit);
    macros_each_root(visit);
    tasks_each_root(visit);
}
