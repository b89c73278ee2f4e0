/* See fibers.h. Away from the kernel's headers, which have names of libc's. */
#include "tests/crash/fibers.h"

#include <pthread.h>
#include <stdlib.h>

#define MAX_FIBERS 16

static struct {
    pthread_t thread;
    int used;
    void (*fn)(void *);
    void *arg;
} fibers[MAX_FIBERS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turns = PTHREAD_COND_INITIALIZER;
static int turn, alive;
static unsigned state = 1;
static __thread int self;

void fiber_seed(unsigned seed) { state = seed * 2654435761u + 12345; }

unsigned fiber_random(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static void pass(void)
{
    int next;

    do
        next = (int)(fiber_random() % MAX_FIBERS);
    while (next != 0 && !fibers[next].used);
    turn = next;
    pthread_cond_broadcast(&turns);
}

static void await_turn(void)
{
    while (turn != self)
        pthread_cond_wait(&turns, &lock);
}

static void *run(void *arg)
{
    self = (int)(long)arg;
    pthread_mutex_lock(&lock);
    await_turn();
    pthread_mutex_unlock(&lock);
    fibers[self].fn(fibers[self].arg);
    pthread_mutex_lock(&lock);
    fibers[self].used = 0;
    alive--;
    pass();
    pthread_mutex_unlock(&lock);
    return 0;
}

int fiber_start(void (*fn)(void *), void *arg)
{
    int i = 1;

    pthread_mutex_lock(&lock);
    while (i < MAX_FIBERS && fibers[i].used)
        i++;
    if (i == MAX_FIBERS)
        abort();
    fibers[i].used = 1;
    fibers[i].fn = fn;
    fibers[i].arg = arg;
    alive++;
    if (pthread_create(&fibers[i].thread, 0, run, (void *)(long)i) != 0)
        abort();
    pthread_detach(fibers[i].thread);
    pthread_mutex_unlock(&lock);
    return i;
}

int fiber_self(void) { return self; }
int fiber_alive(void) { return alive; }

void fiber_yield(void)
{
    pthread_mutex_lock(&lock);
    pass();
    await_turn();
    pthread_mutex_unlock(&lock);
}
