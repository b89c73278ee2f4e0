/* Other processes' memory: process_vm_readv, process_vm_writev. */
#include "tap.h"

#include <sys/prctl.h>
#include <sys/uio.h>

#define RW (PROT_READ | PROT_WRITE)

static char *memory; /* 8 pages, the same place in parent and child */
static int fds[2];

/* A child that lives until release(), and exits with what is in its memory's byte 0 then. */
static pid_t start(void)
{
    char byte;
    pid_t pid;

    NEED(pipe(fds));
    pid = fork();
    if (pid == 0) {
        memset(memory, 'c', 8 * PAGE);
        mprotect(memory + 4 * PAGE, PAGE, PROT_NONE);
        mprotect(memory + 5 * PAGE, PAGE, PROT_READ);
        munmap(memory + 7 * PAGE, PAGE);
        if (write(fds[1], "r", 1) != 1 || (usleep(50000), read(fds[0], &byte, 1)) != 1)
            _exit(99);
        while (byte != 'e')
            if (read(fds[0], &byte, 1) != 1)
                _exit(98);
        _exit(memory[0]);
    }
    return pid;
}

static int release(pid_t pid)
{
    int status;

    NEED(write(fds[1], "e", 1));
    NEED(waitpid(pid, &status, 0));
    close(fds[0]);
    close(fds[1]);
    return WEXITSTATUS(status);
}

static void test_move(pid_t pid)
{
    static char buffer[4 * PAGE];
    struct iovec local = {buffer, sizeof(buffer)}, remote = {memory, PAGE}, locals[3], remotes[3];

    IS(process_vm_readv(pid, &local, 1, &remote, 1, 0), PAGE, "process_vm_readv");
    CHECK(buffer[0] == 'c' && buffer[PAGE - 1] == 'c' && buffer[PAGE] == 0, "reads the other's memory, not our own");
    IS(memory[0], 'p', "which is not its");
    locals[0] = (struct iovec){buffer, 10}, locals[1] = (struct iovec){buffer + 100, PAGE},
    locals[2] = (struct iovec){buffer + 2 * PAGE, 50};
    remotes[0] = (struct iovec){memory + PAGE - 20, 40}, remotes[1] = (struct iovec){memory + 100, 0},
    remotes[2] = (struct iovec){memory + 2 * PAGE, 100};
    memset(buffer, 0, sizeof(buffer));
    IS(process_vm_readv(pid, locals, 3, remotes, 3, 0), 140, "several pieces");
    CHECK(buffer[9] == 'c' && buffer[10] == 0 && buffer[100] == 'c' && buffer[229] == 'c' && buffer[230] == 0,
          "fill one after another");
    memset(buffer, 'w', sizeof(buffer));
    local.iov_len = 1, remote.iov_len = 1;
    IS(process_vm_writev(pid, &local, 1, &remote, 1, 0), 1, "process_vm_writev");
    local = (struct iovec){buffer, 3 * PAGE}, remote = (struct iovec){memory + PAGE + 5, 3 * PAGE};
    IS(process_vm_writev(pid, &local, 1, &remote, 1, 0), 3 * PAGE - 5, "up to what may not be written");
    remote.iov_base = memory + 5 * PAGE;
    FAILS(process_vm_writev(pid, &local, 1, &remote, 1, 0), EFAULT, "read-only memory is not written");
    IS(process_vm_readv(pid, &local, 1, &remote, 1, 0), 2 * PAGE, "but read, up to a hole");
    remote.iov_base = memory + 4 * PAGE;
    FAILS(process_vm_readv(pid, &local, 1, &remote, 1, 0), EFAULT, "memory without permission is not read");
    remote.iov_base = memory + 7 * PAGE;
    FAILS(process_vm_readv(pid, &local, 1, &remote, 1, 0), EFAULT, "nor what is not mapped");
    remotes[0] = (struct iovec){memory, 10}, remotes[1] = remote, remotes[2] = remotes[0];
    IS(process_vm_readv(pid, &local, 1, remotes, 3, 0), 10, "pieces before a bad one are moved");
    local.iov_len = 5, remote = (struct iovec){memory, 10};
    IS(process_vm_readv(pid, &local, 1, &remote, 1, 0), 5, "no more than there is room for");
}

static void test_errors(pid_t pid)
{
    static char buffer[PAGE];
    static struct iovec many[1025];
    struct iovec local = {buffer, 8}, remote = {memory, 8}, bad = {(void *)8, 8}, wide = {buffer, (size_t)-1};

    FAILS(process_vm_readv(pid, &local, 1, &remote, 1, 1), EINVAL, "a flag");
    FAILS(process_vm_readv(pid, &local, 1025, &remote, 1, 0) == -1 ? -1 : 0, errno == EFAULT ? EFAULT : EINVAL,
          "too many local pieces");
    FAILS(process_vm_readv(pid, &local, 1, many, 1025, 0), EINVAL, "too many remote ones");
    FAILS(process_vm_readv(pid, &wide, 1, &remote, 1, 0), EINVAL, "a length below zero");
    FAILS(process_vm_readv(pid, &local, 1, &wide, 1, 0), EINVAL, "also of a remote one");
    FAILS(process_vm_readv(pid, (struct iovec *)8, 1, &remote, 1, 0), EFAULT, "a bad local vector");
    FAILS(process_vm_readv(pid, &local, 1, (struct iovec *)8, 1, 0), EFAULT, "a bad remote vector");
    FAILS(process_vm_readv(pid, &bad, 1, &remote, 1, 0), EFAULT, "a bad local address");
    FAILS(process_vm_writev(pid, &bad, 1, &remote, 1, 0), EFAULT, "to read from, too");
    FAILS(process_vm_readv(999999, &local, 1, &remote, 1, 0), ESRCH, "no such process");
    IS(process_vm_readv(pid, &local, 0, &remote, 1, 0), 0, "no local pieces");
    IS(process_vm_readv(pid, &local, 1, &remote, 0, 0), 0, "no remote ones");
    IS(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), 8, "one's own memory");
    CHECK(buffer[0] == 'p', "is read");
}

static int stranger(void *pid)
{
    char byte;
    struct iovec local = {&byte, 1}, remote = {memory, 1};

    if (setgid(65534) || setuid(65534))
        return 1;
    if (process_vm_readv((pid_t)(uintptr_t)pid, &local, 1, &remote, 1, 0) != -1 || errno != EPERM)
        return 2;
    return process_vm_writev((pid_t)(uintptr_t)pid, &local, 1, &remote, 1, 0) != -1 || errno != EPERM ? 3 : 0;
}

/* Two of the same user: yes, unless the other may not be dumped. */
static int same_user(void *dumpable)
{
    char byte = 0;
    struct iovec local = {&byte, 1}, remote = {memory, 1};
    int ready[2], result;
    pid_t pid;

    if (setgid(65534) || setuid(65534) || pipe(ready))
        return 1;
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_DUMPABLE, dumpable != NULL, 0, 0, 0);
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        pause();
    }
    if (read(ready[0], &byte, 1) != 1)
        return 2;
    result = process_vm_readv(pid, &local, 1, &remote, 1, 0) == 1 ? 0 : errno;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return result == (dumpable ? 0 : EPERM) ? 0 : 3;
}

static void body(void)
{
    pid_t pid;
    char byte;

    memory = anon(8 * PAGE, RW);
    memset(memory, 'p', 8 * PAGE);
    pid = start();
    NEED(read(fds[0], &byte, 1));
    test_move(pid);
    test_errors(pid);
    EXITS(stranger, (uintptr_t)pid, 0, "another user's process: EPERM");
    EXITS(same_user, 1, 0, "one's own other process");
    EXITS(same_user, 0, 0, "which is not dumpable: EPERM");
    IS(release(pid), 'w', "what was written is there");
    {
        struct iovec local = {&byte, 1}, remote = {memory, 1};

        FAILS(process_vm_readv(pid, &local, 1, &remote, 1, 0), ESRCH, "a process that is gone");
    }
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
