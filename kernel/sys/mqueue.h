/*
 * POSIX message queues from inside. A queue is an inode without a directory entry and a place in a list of names;
 * descriptors are ordinary ones, of files on that inode. Sources: mq_overview(7), mq_open(2), mq_unlink(2),
 * mq_timedsend(2), mq_timedreceive(2), mq_notify(2), mq_getsetattr(2).
 *
 *   name --> queue --> messages, the most urgent first, the older before the younger
 *              |-----> whom to tell when a message comes and nobody waits for it
 *              '<----- files
 *
 * A queue lives as long as it has a name or a file. Who finds no room, or no message, sleeps until something about the
 * queue changes and looks again.
 *
 * Locks: mqueues.lock guards names and the count -> queue->lock guards all of a queue. User memory is touched with
 * neither.
 */
#ifndef SYS_MQUEUE_H
#define SYS_MQUEUE_H

#include "fs/fdtable.h"
#include "proc/ptimer.h"
#include "sys/pieces.h"

#define MQ_MAX_PRIORITY 32768

struct mq_attr { /* the ABI's */
    s64 flags, max_messages, message_size, messages, reserved[4];
};
static_assert(sizeof(struct mq_attr) == 64, "linux/mqueue.h");

struct message {
    struct list link;
    u32 priority;
    u64 size;
    struct piece text; /* the first */
};

/* One signal for one message: mq_notify(2). */
struct notice {
    struct process *owner; /* referenced; NULL: nobody asked */
    struct sigevent event;
};

struct queue {
    struct list link; /* in the list of names, while it has one */
    u32 refs;         /* its name, its files */
    struct inode *inode;
    struct user *user; /* whose RLIMIT_MSGQUEUE it counts to */
    u64 cost;          /* ... and how much */
    struct mutex lock;
    s64 max_messages, message_size, count;
    u64 bytes;
    struct list messages;
    struct wait_queue wait; /* for `changes` */
    u64 changes;
    unsigned receivers; /* that sleep */
    struct notice notice;
    char name[];
};

/* The queue of DESCRIPTOR, if it may be used so; ends with fd_release. -EBADF */
int mqueue_use(int descriptor, bool to_read, bool to_write, struct fd_use *f);
void mqueue_free_message(struct message *m);
/* Nobody is to be told any more. => q->lock */
void mqueue_drop_notice(struct queue *q);

#endif
