/*
 * Threads and mutexes, in the manner of SRFI 18: make-thread, thread-start!, thread-join!, thread-yield!, make-mutex,
 * mutex-lock!, mutex-unlock!. Each Scheme thread is a thread of the system and a mutator of the heap. A thread's
 * dynamic state (handlers, parameters) begins as its maker's parameters and no handlers.
 *
 * The objects have the number of an entry in the tables here; entries are used once.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef GC_BOEHM
#define GC_THREADS
#include <gc/gc.h> /* its pthread_create */
#endif

#include "prims.h"
#include "symbol.h"

#define MOST_TASKS 4096
#define MOST_MUTEXES 4096
#define NEED(test, what, v) \
    if (!(test))            \
    return wrong_type(t, what, v)

struct task {
    pthread_t pthread;
    bool started, joined, failed;
    value procedure, parameters, result; /* roots */
};

static struct task tasks[MOST_TASKS];
static size_t task_count, mutex_count;
static pthread_mutex_t mutexes[MOST_MUTEXES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void tasks_each_root(void (*visit)(value *word))
{
    for (size_t i = 0; i < task_count; i++) {
        visit(&tasks[i].procedure);
        visit(&tasks[i].parameters);
        visit(&tasks[i].result);
    }
}

static value numbered(struct thread *t, enum type type, size_t number)
{
    value v = allocate(t, type, 1);
    slots(v)[0] = fixnum(number);
    return v;
}

static value prim_make_thread(struct thread *t, size_t n, value *a)
{
    (void)n;
    NEED(is_procedure(a[0]), "a procedure", a[0]);
    pthread_mutex_lock(&lock);
    size_t i = task_count;
    if (i < MOST_TASKS) {
        tasks[i] = (struct task){.procedure = a[0], .parameters = t->parameters, .result = FALSE};
        task_count++;
    }
    pthread_mutex_unlock(&lock);
    if (i == MOST_TASKS)
        return fail(t, "too many threads", NIL);
    return numbered(t, THREAD, i);
}

static void *run_task(void *argument)
{
    struct task *task = argument;
    struct thread *t = thread_new();
    if (!t)
        abort();
    thread_enter(t);
    t->parameters = task->parameters;
    value result = machine_run(t, task->procedure);
    task->failed = result == FAILED;
    task->result = result == FAILED ? t->error : result;
    task->procedure = task->parameters = FALSE;
    thread_leave(t);
    return NULL;
}

static struct task *task_argument(struct thread *t, value v)
{
    if (has_type(v, THREAD))
        return &tasks[fixnum_value(slots(v)[0])];
    wrong_type(t, "a thread", v);
    return NULL;
}

static value prim_start(struct thread *t, size_t n, value *a)
{
    (void)n;
    struct task *task = task_argument(t, a[0]);
    if (!task)
        return FAILED;
    pthread_mutex_lock(&lock);
    bool first = !task->started;
    task->started = true;
    pthread_mutex_unlock(&lock);
    if (!first)
        return fail(t, "the thread has been started already", a[0]);
    int error = pthread_create(&task->pthread, NULL, run_task, task);
    return error ? fail(t, strerror(error), a[0]) : a[0];
}

static value prim_join(struct thread *t, size_t n, value *a)
{
    (void)n;
    struct task *task = task_argument(t, a[0]);
    if (!task)
        return FAILED;
    pthread_mutex_lock(&lock);
    bool can = task->started && !task->joined;
    task->joined |= can;
    pthread_mutex_unlock(&lock);
    if (!can)
        return task->started ? task->result : fail(t, "the thread has not been started", a[0]);
    park(t);
    pthread_join(task->pthread, NULL);
    unpark(t);
    if (!task->failed)
        return task->result;
    t->error = task->result;
    return FAILED;
}

static value prim_yield(struct thread *t, size_t n, value *a)
{
    (void)n, (void)a;
    park(t);
    sched_yield();
    unpark(t);
    return UNSPECIFIED;
}

static value prim_sleep(struct thread *t, size_t n, value *a)
{
    (void)n;
    NEED(is_number(a[0]) && number_double(a[0]) >= 0, "a time in seconds", a[0]);
    double seconds = number_double(a[0]);
    struct timespec time = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
    park(t);
    nanosleep(&time, NULL);
    unpark(t);
    return UNSPECIFIED;
}

static value prim_make_mutex(struct thread *t, size_t n, value *a)
{
    (void)n, (void)a;
    pthread_mutex_lock(&lock);
    size_t i = mutex_count;
    if (i < MOST_MUTEXES)
        pthread_mutex_init(&mutexes[mutex_count++], NULL);
    pthread_mutex_unlock(&lock);
    return i == MOST_MUTEXES ? fail(t, "too many mutexes", NIL) : numbered(t, MUTEX, i);
}
static value prim_lock(struct thread *t, size_t n, value *a)
{
    (void)n;
    NEED(has_type(a[0], MUTEX), "a mutex", a[0]);
    pthread_mutex_t *mutex = &mutexes[fixnum_value(slots(a[0])[0])];
    if (pthread_mutex_trylock(mutex)) {
        park(t);
        pthread_mutex_lock(mutex);
        unpark(t);
    }
    return TRUE;
}
static value prim_unlock(struct thread *t, size_t n, value *a)
{
    (void)n;
    NEED(has_type(a[0], MUTEX), "a mutex", a[0]);
    pthread_mutex_unlock(&mutexes[fixnum_value(slots(a[0])[0])]);
    return UNSPECIFIED;
}

static value prim_is_thread(struct thread *t, size_t n, value *a)
{
    return (void)t, (void)n, boolean(has_type(a[0], THREAD));
}
static value prim_is_mutex(struct thread *t, size_t n, value *a)
{
    return (void)t, (void)n, boolean(has_type(a[0], MUTEX));
}

const struct primitive thread_primitives[] = {
    {"make-thread", prim_make_thread, 1, 2, false},
    {"thread-start!", prim_start, 1, 1, false},
    {"thread-join!", prim_join, 1, 1, false},
    {"thread-yield!", prim_yield, 0, 0, false},
    {"thread-sleep!", prim_sleep, 1, 1, false},
    {"make-mutex", prim_make_mutex, 0, 1, false},
    {"mutex-lock!", prim_lock, 1, 1, false},
    {"mutex-unlock!", prim_unlock, 1, 1, false},
    {"thread?", prim_is_thread, 1, 1, false},
    {"mutex?", prim_is_mutex, 1, 1, false},
    {0},
};
