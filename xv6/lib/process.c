/* Processes: fork, exec, exit, wait and kill with xv6's rules, and time in ticks. */
#include "lib/machine.h"
#include "lib/linux.h"
#include "user/user.h"

#define TICK_NS 100000000L /* a tenth of a second */

/* How long fork() waits for the first process to see to orphans that may be gone already. */
#define ORPHAN_TRIES 50
#define ORPHAN_WAIT_NS 1000000L

struct linux_time {
    long seconds, nanoseconds;
};

static int has_orphans(void)
{
    for (int i = 1; i < NPROC; i++) {
        struct xv6_slot *slot = &xv6_machine->slots[i];

        if (slot->pid > 0 && !xv6_find_slot(slot->parent))
            return 1;
    }
    return 0;
}

int fork(void)
{
    int slot = xv6_take_slot();
    long pid;

    for (int tries = 0; slot < 0 && tries < ORPHAN_TRIES && has_orphans(); tries++) {
        struct linux_time moment = {0, ORPHAN_WAIT_NS};

        linux_(LINUX_nanosleep, &moment, 0);
        slot = xv6_take_slot();
    }
    if (slot < 0)
        return -1;
    xv6_machine->slots[slot].parent = getpid();
    pid = linux_(LINUX_clone, LINUX_SIGCHLD);
    if (pid < 0) {
        xv6_machine->slots[slot].pid = SLOT_FREE;
        return -1;
    }
    if (pid == 0)
        xv6_slot = slot;
    /* Both write the same: neither goes on without it. */
    __atomic_store_n(&xv6_machine->slots[slot].pid, pid ? (int)pid : getpid(), __ATOMIC_RELEASE);
    return (int)pid;
}

int exit(int status)
{
    xv6_machine->slots[xv6_slot].status = status;
    for (;;)
        linux_(LINUX_exit_group, status & 0xff);
}

int wait(int *status)
{
    struct xv6_slot *slot;
    int raw, result;
    long pid;

    do
        pid = linux_(LINUX_wait4, -1, &raw, 0, 0);
    while (pid == -LINUX_EINTR);
    if (pid < 0)
        return -1;
    slot = xv6_find_slot((int)pid);
    if (raw & 0x7f)
        result = -1; /* killed */
    else
        result = slot ? slot->status : raw >> 8 & 0xff;
    xv6_free_slot((int)pid);
    return status && xv6_copy_out(status, &result, sizeof(result)) < 0 ? -1 : (int)pid;
}

/* Nobody but the programs of this run can be killed, and its first process, which waits for the others, cannot. */
int kill(int pid)
{
    struct xv6_slot *slot = pid > 0 ? xv6_find_slot(pid) : 0;

    if (!slot || slot == &xv6_machine->slots[0])
        return -1;
    return or_minus_one(linux_(LINUX_kill, pid, LINUX_SIGKILL));
}

/* xv6 puts the arguments onto the new stack, and has no others. */
static int arguments_fit(char **argv, int argc)
{
    uint64 used = (argc + 1) * sizeof(char *);

    for (int i = 0; i < argc; i++) {
        int readable = xv6_readable(argv[i], PGSIZE), length = 0;

        while (length < readable && argv[i][length])
            length++;
        if (length >= readable)
            return 0;
        used += (length + 1 + 15) & ~15;
    }
    return used <= USERSTACK * PGSIZE;
}

int exec(const char *path, char **argv)
{
    char taken[MAXPATH], *none = 0, *copy[MAXARG];
    int argc = 0;

    if (xv6_take_path(taken, path) < 0)
        return -1;
    for (;; argc++) {
        if (argc == MAXARG || xv6_copy_in(&copy[argc], argv + argc, sizeof(copy[argc])) < 0)
            return -1;
        if (!copy[argc])
            break;
    }
    if (!arguments_fit(copy, argc))
        return -1;
    xv6_alarm_stop();
    linux_(LINUX_execve, taken, copy, &none);
    xv6_alarm_start();
    return -1;
}

int getpid(void) { return (int)linux_(LINUX_getpid); }

int pause(int ticks)
{
    struct linux_time left = {ticks / 10, ticks % 10 * TICK_NS};

    if (ticks > 0)
        while (linux_(LINUX_nanosleep, &left, &left) == -LINUX_EINTR)
            ;
    return 0;
}

int sleep(int ticks) { return pause(ticks); }

int uptime(void)
{
    struct linux_time now;

    linux_(LINUX_clock_gettime, LINUX_CLOCK_BOOTTIME, &now);
    return (int)(now.seconds * 10 + now.nanoseconds / TICK_NS);
}
