/*
 * What tests of whole parts of the kernel have in the place of the rest: one thread, memory of the C library, locks
 * that must be free when taken, for nobody else is there, and waits that never come to that. Included once by a test,
 * after the kernel's headers; a test has its own panic().
 */
#ifndef TESTS_UNIT_HOST_LOCKS_H
#define TESTS_UNIT_HOST_LOCKS_H

#include <stdlib.h>

#include "sched/thread.h"
#include "vm/kmalloc.h"

void panic(const char *fmt, ...);

struct hart harts[MAX_HARTS];
unsigned hart_id(void) { return 0; }

void *kmalloc(size_t n) { return malloc(n); }
void *kzalloc(size_t n) { return calloc(1, n); }
void kfree(void *p) { free(p); }

static long locks_held;

void mutex_lock(struct mutex *m)
{
    if (m->state++ != 0)
        panic("mutex taken twice");
    locks_held++;
}

bool mutex_trylock(struct mutex *m)
{
    mutex_lock(m);
    return true;
}

void mutex_unlock(struct mutex *m)
{
    m->state--;
    locks_held--;
}

void read_lock_contended(struct rwlock *l) { panic("rwlock taken twice"); }
void read_unlock_contended(struct rwlock *l) { panic("nobody waits"); }

bool read_trylock(struct rwlock *l)
{
    read_lock(l);
    return true;
}
bool read_trylock_first(struct rwlock *l) { return read_trylock(l); }

void write_lock_contended(struct rwlock *l) { panic("rwlock taken twice"); }
void write_unlock_contended(struct rwlock *l) { panic("nobody waits"); }

bool write_trylock(struct rwlock *l)
{
    write_lock(l);
    return true;
}

void wait_prepare(struct wait_queue *q, struct waiter *w, enum thread_state state)
{
    panic("nobody would wake this wait");
}
void wait_finish(struct waiter *w) {}
void wake_all(struct wait_queue *q) {}
void wake_one(struct wait_queue *q) {}
bool thread_wake(struct thread *t, unsigned states) { return false; }
int schedule_until(u64 deadline) { return 0; }
unsigned sched_runnable(void) { return 1; }
void schedule(void) {}

#endif
