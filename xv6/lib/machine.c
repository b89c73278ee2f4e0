/* The table of processes, and copying by way of the kernel: see machine.h. */
#include "lib/machine.h"
#include "lib/linux.h"
#include "kernel/fs.h"

struct xv6_machine *xv6_machine;
int xv6_slot;

struct xv6_slot *xv6_find_slot(int pid)
{
    for (int i = 0; i < NPROC; i++)
        if (__atomic_load_n(&xv6_machine->slots[i].pid, __ATOMIC_ACQUIRE) == pid)
            return &xv6_machine->slots[i];
    return 0;
}

int xv6_take_slot(void)
{
    for (int i = 0; i < NPROC; i++) {
        int expected = SLOT_FREE;

        if (__atomic_compare_exchange_n(&xv6_machine->slots[i].pid, &expected, SLOT_TAKEN, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            xv6_machine->slots[i].status = 0;
            xv6_machine->slots[i].memory = 0;
            return i;
        }
    }
    return -1;
}

void xv6_free_slot(int pid)
{
    struct xv6_slot *slot = xv6_find_slot(pid);

    if (slot)
        __atomic_store_n(&slot->pid, SLOT_FREE, __ATOMIC_RELEASE);
}

/* ---- Copying ---- */

static long scratch(void) { return (long)(1 + xv6_slot) * PGSIZE; }

/* Each page is asked about by itself: Linux on riscv64 may never return from a write that can read only a few bytes. */
int xv6_readable(const void *from, int length)
{
    int done = 0;

    while (done < length) {
        uint64 at = (uint64)from + done;
        int part = PGSIZE - (int)(at % PGSIZE) < length - done ? PGSIZE - (int)(at % PGSIZE) : length - done;

        if (linux_(LINUX_pwrite64, MACHINE_FD, at, part, scratch() + done) != part)
            break;
        done += part;
    }
    return done;
}

int xv6_copy_in(void *to, const void *from, int length)
{
    if (xv6_readable(from, length) != length)
        return -1;
    return linux_(LINUX_pread64, MACHINE_FD, to, length, scratch()) == length ? 0 : -1;
}

int xv6_copy_out(void *to, const void *from, int length)
{
    if (linux_(LINUX_pwrite64, MACHINE_FD, from, length, scratch()) != length)
        return -1;
    return linux_(LINUX_pread64, MACHINE_FD, to, length, scratch()) == length ? 0 : -1;
}

/*
 * Every part of a path is cut to DIRSIZ characters, and slashes count once and not at the end. A path of MAXPATH
 * characters or more is none.
 */
int xv6_take_path(char path[MAXPATH], const char *from)
{
    int readable = xv6_readable(from, MAXPATH), used = 0, part = 0;

    for (int i = 0; i < readable; i++) {
        char letter = from[i];

        if (letter == 0) {
            if (used > 1 && path[used - 1] == '/')
                used--;
            path[used] = 0;
            return 0;
        }
        if (letter == '/') {
            part = 0;
            if (used == 0 || path[used - 1] != '/')
                path[used++] = '/';
        } else if (part++ < DIRSIZ) {
            path[used++] = letter;
        }
    }
    return -1;
}
