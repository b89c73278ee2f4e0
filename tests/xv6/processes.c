/* fork, exit, wait, kill, exec and pipes: statuses in full, limits as xv6 has them. */
#include "check.h"

static void exit_minus_one(void) { exit(-1); }
static void exit_large(void) { exit(70000); }
static void return_nothing(void) {}

static void step_on_nothing(void) { *(volatile int *)0 = 1; }

static void write_to_nobody(void)
{
    int ends[2];

    pipe(ends);
    close(ends[0]);
    exit(write(ends[1], "x", 1) == -1 ? 7 : 8);
}

static void test_statuses(void)
{
    CHECK(status_of(exit_minus_one) == -1, "exit(-1) is -1");
    CHECK(status_of(exit_large) == 70000, "a status may have more than 8 bits");
    CHECK(status_of(return_nothing) == 0, "0 is 0");
    CHECK(status_of(step_on_nothing) == -1, "a fault kills: -1");
    CHECK(status_of(write_to_nobody) == 7, "a write to a pipe that nobody reads fails, and kills nobody");
    CHECK(wait(0) == -1, "nobody to wait for: -1");
}

static void test_kill(void)
{
    int ends[2], pid, status = 0;
    char byte;

    pipe(ends);
    pid = fork();
    if (pid == 0)
        for (;;)
            read(ends[0], &byte, 1); /* nobody writes */
    CHECK(kill(pid) == 0 && wait(&status) == pid && status == -1, "kill ends a reader that waits");
    pid = fork();
    if (pid == 0)
        for (;;)
            ;
    CHECK(kill(pid) == 0 && wait(0) == pid, "and one that runs");
    CHECK(kill(pid) == -1, "who has been waited for is gone");
    CHECK(kill(0) == -1 && kill(-1) == -1 && kill(1 << 30) == -1, "kill of nobody fails");
    close(ends[0]);
    close(ends[1]);
}

/* Forks until none is left; all children wait for the pipe's end. */
static void test_many(void)
{
    int ends[2], children = 0, waited = 0, pid;
    char byte;

    pipe(ends);
    while (children < 2 * NPROC && (pid = fork()) >= 0) {
        if (pid == 0) {
            close(ends[1]);
            read(ends[0], &byte, 1);
            exit(0);
        }
        children++;
    }
    CHECK(children < NPROC && children >= NPROC - 4, "NPROC processes and no more");
    close(ends[0]);
    close(ends[1]);
    while (wait(0) > 0)
        waited++;
    CHECK(waited == children, "all of them are waited for");
    pid = fork();
    if (pid == 0)
        exit(0);
    CHECK(pid > 0 && wait(0) == pid, "then there is room again");
}

/* Grandchildren whose parents have gone must give their places back. */
static void test_orphans(void)
{
    int good = 1;

    for (int i = 0; i < 3 * NPROC && good; i++) {
        int pid = fork();

        if (pid == 0) {
            if (fork() < 0)
                exit(1);
            exit(0);
        }
        for (int status = 1; pid < 0 || wait(&status) != pid || status != 0;) {
            good = 0;
            break;
        }
        if (i % 16 == 15)
            pause(1);
    }
    CHECK(good, "orphans are waited for by the first process");
}

static void exec_echo(void)
{
    char *arguments[] = {"echo", "through", "exec", 0};

    close(1);
    open("echoed", O_CREATE | O_TRUNC | O_WRONLY);
    exec("echo", arguments);
    exit(9);
}

static void test_exec(void)
{
    char *many[MAXARG + 1], *one[] = {"echo", 0}, *huge[] = {"echo", 0, 0};
    static char text[PGSIZE + 1];
    char buffer[32] = "";
    int fd;

    CHECK(status_of(exec_echo) == 0, "exec of a name in this folder");
    fd = open("echoed", O_RDONLY);
    CHECK(read(fd, buffer, sizeof(buffer)) == 13 && memcmp(buffer, "through exec\n", 13) == 0, "gets its arguments");
    close(fd);
    unlink("echoed");
    CHECK(exec("nowhere", one) == -1, "exec of what is not there fails");
    CHECK(exec("README", one) == -1, "exec of what is no program fails");
    CHECK(exec("/", one) == -1, "exec of a folder fails");
    for (int i = 0; i < MAXARG; i++)
        many[i] = "a";
    many[MAXARG] = 0;
    CHECK(exec("echo", many) == -1, "MAXARG arguments are too many");
    memset(text, 'x', PGSIZE);
    huge[1] = text;
    CHECK(exec("echo", huge) == -1, "arguments that do not fit on the stack are too long");
}

static void test_time(void)
{
    int began = uptime(), took;

    pause(2);
    sleep(1);
    took = uptime() - began;
    CHECK(took >= 3 && took < 50, "a tick is a tenth of a second");
    CHECK(pause(0) == 0, "pause(0) returns");
}

int main(void)
{
    test_statuses();
    test_kill();
    test_many();
    test_orphans();
    test_exec();
    test_time();
    finish();
}
