/*
 * What the processes of one run share, as those of one xv6 machine do: the table of processes, and a place to copy
 * through.
 *
 * It is a memfd that every process has as descriptor MACHINE_FD, through fork and exec, out of the program's reach:
 *
 *     page 0            struct xv6_machine, mapped shared
 *     page 1 + SLOT     a page for process SLOT to copy through
 *
 * A slot is taken before fork() and given back when the process has been waited for, as in xv6, so that at most NPROC
 * exist. Linux keeps 8 bits of an exit status; the slot keeps all of it. All slots' memory together is at most what
 * xv6's machine has.
 */
#ifndef XV6_LIB_MACHINE_H
#define XV6_LIB_MACHINE_H

#include "kernel/types.h"
#include "kernel/param.h"
#include "kernel/riscv.h"

#define MACHINE_FD 1000
#define MESSAGE_FD 1001 /* where the kernel would write */

enum { SLOT_FREE = 0, SLOT_TAKEN = -1 }; /* in place of a pid */

struct xv6_slot {
    int pid;
    int parent;
    int status;
    uint64 memory; /* that sbrk gave it, in bytes */
};

struct xv6_machine {
    uint64 magic;
    int lazy; /* sbrk() is as in the lab on lazy allocation */
    struct xv6_slot slots[NPROC];
};

extern struct xv6_machine *xv6_machine;
extern int xv6_slot; /* of this process */

struct xv6_slot *xv6_find_slot(int pid); /* 0: none */
int xv6_take_slot(void);                 /* its number, or -1 when all are taken */
void xv6_free_slot(int pid);

/*
 * The user's pointers may be bad: these go through the kernel, which tells, instead of touching them. At most a page
 * at a time.
 */
int xv6_readable(const void *from, int length);           /* how many bytes can be read */
int xv6_copy_in(void *to, const void *from, int length);  /* 0 or -1 */
int xv6_copy_out(void *to, const void *from, int length); /* 0 or -1 */
int xv6_take_path(char path[MAXPATH], const char *from);  /* as xv6 would see it; 0 or -1 */

/* Called by start.S with the stack that Linux made. */
void xv6_start(long *stack);
/* start.S: calls main on another stack, ends with what it returns. */
void xv6_enter(int argc, char **argv, void *stack) __attribute__((noreturn));
/* Messages for faults that kill. */
void xv6_watch_faults(const char *name);
/* exec() takes no alarm along: Linux's timer would go on and kill the new program. */
void xv6_alarm_stop(void);
void xv6_alarm_start(void);
/* Where the heap begins. */
void xv6_heap_init(void);

#endif
