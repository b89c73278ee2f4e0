/*
 * System V semaphores from inside. Sources: semget(2), semop(2), semctl(2), sysvipc(7).
 *
 *   set (key, id, permissions) --> values, each with the process that changed it last
 *        |--> waiters, the oldest first: operations that cannot be done yet, and whose they are
 *        '--> undos: what a process has to give back when it ends <-- process->end_work
 *
 * Lock: sem.lock guards the table, all sets, waiters (which are on the stacks of those who sleep) and undos.
 */
#ifndef SYS_SEM_H
#define SYS_SEM_H

#include "sched/wait.h"
#include "sys/ipc.h"

#define MAX_SETS 32000          /* SEMMNI */
#define MAX_IN_SET 32000        /* SEMMSL */
#define MAX_IN_ALL 1024000000ul /* SEMMNS */
#define MAX_OPERATIONS 500      /* SEMOPM */
#define MAX_VALUE 32767         /* SEMVMX */

struct semid_ds { /* the ABI's struct semid64_ds */
    struct ipc_perm perm;
    s64 used_at, changed_at;
    u64 count;
    u64 unused[2];
};
static_assert(sizeof(struct semid_ds) == 88, "asm-generic/sembuf.h");

struct operation { /* the ABI's struct sembuf */
    u16 number;
    s16 change;
    s16 flags;
};

struct semaphore {
    int value;
    int pid; /* of the last one that changed or waited for it */
};

struct set {
    struct ipc_object ipc;
    struct semid_ds ds;
    struct list waiters, undos;
    struct semaphore sem[];
};

/* One process's adjustments of one set. */
struct undo {
    struct list set_link, process_link;
    const struct end_work *owner;
    struct set *set;
    s16 adjust[];
};

#define WAITS 1 /* a waiter's result until it has one */

struct sem_waiter {
    struct list link;
    const struct operation *operations;
    unsigned n, stuck; /* at this one */
    struct undo *undo;
    int pid, result;
    struct wait_queue wait;
};

extern struct semaphore_sets {
    struct mutex lock;
    struct ipc_table table;
    u64 semaphores;
} sem;

static inline struct set *set_of(struct ipc_object *o) { return o != NULL ? container_of(o, struct set, ipc) : NULL; }
static inline struct set *find_id(int id) { return set_of(ipc_find_id(&sem.table, id)); }

/* Values of S have changed: who waits may go on. => sem.lock, for this and the next */
void sem_serve_waiters(struct set *s);
/* S is about to go: who waits is told -EIDRM, nobody has anything to give back to it. */
void sem_dismiss(struct set *s);

#endif
