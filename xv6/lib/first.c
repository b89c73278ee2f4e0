/*
 * How a program begins. The first one of a run makes what the others share (machine.h) and becomes what init is to xv6:
 * it waits for all whose parents have gone, and ends the run when the program itself has ended.
 *
 * The program runs on a stack of USERSTACK pages with nothing below it, as in xv6: running over its end kills.
 */
#include "lib/machine.h"
#include "lib/linux.h"
#include "user/user.h"

#define MACHINE_MAGIC 0x3665727571367678UL

/* The largest file of the lab on large files: 11 blocks, 256, and 256 * 256. */
#define LARGEST_FILE (65803UL * 1024)

#define STATUS_SIGNAL_BASE 128 /* as a shell tells who was killed */

static void fail(const char *why)
{
    fprintf(2, "xv6: %s\n", why);
    linux_(LINUX_exit_group, 126);
}

static int share_machine(void)
{
    long at = linux_(LINUX_mmap, 0, PGSIZE, LINUX_PROT_RW, LINUX_MAP_SHARED, MACHINE_FD, 0);

    if (at < 0)
        return -1;
    xv6_machine = (struct xv6_machine *)at;
    return xv6_machine->magic == MACHINE_MAGIC ? 0 : -1;
}

static void ignore_signal(int signal)
{
    struct linux_sigaction action = {LINUX_SIG_IGN, 0, 0};

    linux_(LINUX_rt_sigaction, signal, &action, 0, sizeof(action.mask));
}

static void limit(int resource, uint64 value)
{
    uint64 limits[2];

    linux_(LINUX_prlimit64, 0, resource, 0, limits);
    limits[0] = value;
    linux_(LINUX_prlimit64, 0, resource, limits, 0);
}

static void make_machine(char **environment)
{
    int fd = or_minus_one(linux_(LINUX_memfd_create, "xv6", 0));

    if (fd < 0 || linux_(LINUX_ftruncate, fd, (1 + NPROC) * PGSIZE) < 0 || linux_(LINUX_dup3, fd, MACHINE_FD, 0) < 0)
        fail("no shared memory");
    linux_(LINUX_close, fd);
    linux_(LINUX_dup3, 2, MESSAGE_FD, 0);
    share_machine();
    xv6_machine->magic = MACHINE_MAGIC;
    for (; *environment; environment++)
        if (!strcmp(*environment, "XV6_LAZY=1"))
            xv6_machine->lazy = 1;
    limit(LINUX_RLIMIT_NOFILE, NOFILE);
    limit(LINUX_RLIMIT_FSIZE, LARGEST_FILE);
    ignore_signal(LINUX_SIGPIPE);
    ignore_signal(LINUX_SIGXFSZ);
    linux_(LINUX_umask, 0);
    linux_(LINUX_prctl, LINUX_PR_SET_CHILD_SUBREAPER, 1);
    xv6_slot = xv6_take_slot();
    xv6_machine->slots[xv6_slot].pid = (int)linux_(LINUX_getpid);
}

/* Ends with the status of PROGRAM. */
static void be_init(int program)
{
    int raw = 0, pid;

    do {
        pid = (int)linux_(LINUX_wait4, -1, &raw, 0, 0);
        if (pid > 0)
            xv6_free_slot(pid);
    } while (pid != program && (pid > 0 || pid == -LINUX_EINTR));
    for (int i = 0; i < NPROC; i++)
        if (i != xv6_slot && xv6_machine->slots[i].pid > 0)
            linux_(LINUX_kill, xv6_machine->slots[i].pid, LINUX_SIGKILL);
    linux_(LINUX_exit_group, (raw & 0x7f) ? STATUS_SIGNAL_BASE + (raw & 0x7f) : raw >> 8 & 0xff);
}

/* A stack with copies of the arguments on it: returns its top, and where argv is in *ARGV. */
static char *make_stack(int argc, char ***argv)
{
    uint64 pages = USERSTACK, size = (argc + 1) * sizeof(char *) + 16;
    char **copies, *top;
    long at;

    for (int i = 0; i < argc; i++)
        size += strlen((*argv)[i]) + 1;
    if (size > USERSTACK * PGSIZE) /* who started us is no program of xv6 */
        pages += PGROUNDUP(size) / PGSIZE;
    at = linux_(LINUX_mmap, 0, (1 + pages) * PGSIZE, LINUX_PROT_NONE, LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS, -1, 0);
    if (at < 0 || linux_(LINUX_mprotect, at + PGSIZE, pages * PGSIZE, LINUX_PROT_RW) < 0)
        fail("no memory for the stack");
    top = (char *)at + (1 + pages) * PGSIZE;
    copies = (char **)(((uint64)top - size) & ~15UL);
    top = (char *)(copies + argc + 1);
    for (int i = 0; i < argc; i++) {
        copies[i] = strcpy(top, (*argv)[i]);
        top += strlen(top) + 1;
    }
    copies[argc] = 0;
    *argv = copies;
    return (char *)copies;
}

void xv6_start(long *stack)
{
    int argc = (int)stack[0], pid = (int)linux_(LINUX_getpid);
    char **argv = (char **)(stack + 1), *top;
    struct xv6_slot *slot;

    xv6_heap_init();
    if (share_machine() < 0) {
        make_machine(argv + argc + 1);
        pid = fork();
        if (pid < 0)
            fail("fork fails");
        if (pid > 0)
            be_init(pid);
    } else {
        slot = xv6_find_slot(pid);
        xv6_slot = slot ? (int)(slot - xv6_machine->slots) : xv6_take_slot();
        if (xv6_slot < 0)
            fail("too many processes");
        xv6_machine->slots[xv6_slot].pid = pid;
        xv6_machine->slots[xv6_slot].memory = 0;
    }
    top = make_stack(argc, &argv);
    xv6_watch_faults(argc > 0 ? argv[0] : "?");
    xv6_enter(argc, argv, top);
}
