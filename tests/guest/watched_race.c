/*
 * Processes that others look at, through /proc and kill(2), just when they replace what is looked at: their descriptor
 * tables (close_range(2), execve(2)) and their credentials, which access(2) lays aside. The kernel's counts afterwards,
 * and that it lives, are the result.
 *
 *     watched_race [DIR] [ROUNDS (300)]
 */
#include "tap.h"

#include <sched.h>

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#endif

static int rounds = 300;

static void look_at(pid_t pid, const char *what)
{
    char name[64], text[4096];
    struct dirent *entry;
    DIR *folder;
    int fd;

    snprintf(name, sizeof(name), "/proc/%d/fd", pid);
    folder = opendir(name);
    while (folder && (entry = readdir(folder)))
        ;
    if (folder)
        closedir(folder);
    snprintf(name, sizeof(name), "/proc/%d/%s", pid, what);
    fd = open(name, O_RDONLY);
    while (fd >= 0 && read(fd, text, sizeof(text)) > 0)
        ;
    if (fd >= 0)
        close(fd);
    kill(pid, 0);
}

/* ---- descriptor tables ---- */

/* Shares its table with a process that is gone at once, so that giving up sharing frees it. */
static int give_up_sharing(void *unused UNUSED)
{
    for (int i = 0; i < rounds; i++) {
        pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);

        if (pid == 0)
            _exit(0);
        if (pid < 0 || syscall(SYS_close_range, 100, 200, CLOSE_RANGE_UNSHARE) != 0)
            return 1;
        waitpid(pid, NULL, 0);
    }
    return 0;
}

/* ---- credentials ---- */

/* As in a set-user-ID program, whose access(2) asks for somebody else. */
static int ask_for_another(void *unused UNUSED)
{
    if (geteuid() == 0 && setresuid(60001, 0, 0))
        return 1;
    for (int i = 0; i < 100 * rounds; i++)
        if (access("/", F_OK | X_OK) != 0)
            return 2;
    return 0;
}

static void watch(int (*change)(void *), const char *what, const char *name)
{
    int status, ended = 0;
    pid_t pid = (pid_t)NEED(fork());

    if (pid == 0)
        _exit(change(NULL));
    while (!ended) {
        look_at(pid, what);
        ended = waitpid(pid, &status, WNOHANG) == pid;
    }
    IS(status, 0, "%s", name);
}

static void body(void)
{
    if (tap_arguments[0])
        rounds = atoi(tap_arguments[0]);
    watch(give_up_sharing, "fdinfo/0", "a process that gives up sharing its descriptors is looked at");
    watch(ask_for_another, "status", "one that asks what its real user may");
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
