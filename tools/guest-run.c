/*
 * guest-run: the first process of a guest that runs one command and ends with its status (`./quire run -- CMD`).
 *
 * The command is in /.quire/cmd, its arguments each ended by a NUL. Its standard output and error are one pipe, which
 * is copied to the console byte for byte between two marks that the host's vm-run strips:
 *
 *     ...firmware, kernel...  "@@QUIRE@@\n"  the command's output  "\n@@EXIT 0@@\n"
 *
 * The kernel's messages, which stay off the console during the run, go to /.quire/kmsg for the host to fetch. The end
 * is a reboot whose argument "exit:N" Quire turns into the machine's exit status; on Linux the machine just ends and
 * the mark alone tells.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define COMMAND_FILE "/.quire/cmd"
#define MESSAGES_FILE "/.quire/kmsg"
#define MAX_ARGS 1024

/* As a shell reports them. */
#define STATUS_NOT_FOUND 127
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_SIGNAL_BASE 128

static int console = 1;

static void say(const char *text)
{
    (void)!write(console, text, strlen(text));
}

static _Noreturn void power_off(int status)
{
    char mark[32], how[16];

    snprintf(mark, sizeof(mark), "\n@@EXIT %d@@\n", status);
    say(mark);
    tcdrain(console);
    sync();
    mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    snprintf(how, sizeof(how), "exit:%d", status);
    syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART2, how);
    for (;;)
        pause();
}

static _Noreturn void fail(const char *what)
{
    char line[256];

    snprintf(line, sizeof(line), "quire-run: %s: %s\n", what, strerror(errno));
    say(line);
    power_off(STATUS_NOT_EXECUTABLE);
}

/* Mounts what the kernel has not mounted itself. */
static void mount_missing(const char *type, const char *where, const char *options)
{
    struct stat here, above;
    char parent[64];

    snprintf(parent, sizeof(parent), "%s/..", where);
    if (stat(where, &here) == 0 && stat(parent, &above) == 0 && here.st_dev != above.st_dev)
        return;
    mkdir(where, 0755);
    mount(type, where, type, 0, options);
}

/* Programs expect these beside what a kernel puts into /dev. */
static void link_descriptors(void)
{
    static const char *const links[][2] = {
        {"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"}, {"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"}};

    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        (void)!symlink(links[i][0], links[i][1]);
}

static void open_console(void)
{
    int fd = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios mode;

    if (fd < 0)
        return;
    console = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    close(fd);
    if (tcgetattr(console, &mode) == 0) {
        cfmakeraw(&mode);
        tcsetattr(console, TCSANOW, &mode);
    }
}

/* The command's arguments, NULL-terminated; they live as long as the process. */
static char **read_command(void)
{
    static char *args[MAX_ARGS + 1];
    int fd = open(COMMAND_FILE, O_RDONLY | O_CLOEXEC);
    struct stat info;
    char *text;
    int n = 0;

    if (fd < 0 || fstat(fd, &info) < 0)
        fail(COMMAND_FILE);
    text = malloc((size_t)info.st_size + 1);
    if (text == NULL || read(fd, text, (size_t)info.st_size) != info.st_size)
        fail(COMMAND_FILE);
    text[info.st_size] = '\0';
    for (char *arg = text; arg < text + info.st_size && n < MAX_ARGS; arg += strlen(arg) + 1)
        args[n++] = arg;
    close(fd);
    errno = EINVAL;
    if (n == 0)
        fail(COMMAND_FILE);
    return args;
}

static _Noreturn void run_child(char **args, int output)
{
    int input = open("/dev/null", O_RDONLY);
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    dup2(input, 0);
    dup2(output, 1);
    dup2(output, 2);
    for (int fd = 3; fd < 10; fd++)
        close(fd);
    execvp(args[0], args);
    dprintf(2, "quire-run: %s: %s\n", args[0], strerror(errno));
    _exit(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE);
}

/* One page, touched before the command begins: a program that counts the kernel's pages before and after itself shall
 * not count ours. */
static char buffer[4096] __attribute__((aligned(4096)));

/* Copies what FD has to the console; false at its end. */
static int copy_output(int fd)
{
    ssize_t n = read(fd, buffer, sizeof(buffer));

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    for (ssize_t done = 0; done < n;) {
        ssize_t put = write(console, buffer + done, (size_t)(n - done));

        if (put <= 0 && errno != EINTR)
            fail("console");
        done += put > 0 ? put : 0;
    }
    return n > 0;
}

static void on_child(int sig)
{
    (void)sig; /* its arrival ends ppoll */
}

/* Reaps all children that have ended; true, with *STATUS, once PID is among them. */
static int reap(pid_t pid, int *status)
{
    int found = 0, one;
    pid_t ended;

    while ((ended = waitpid(-1, &one, WNOHANG)) > 0)
        if (ended == pid) {
            *status = one;
            found = 1;
        }
    return found;
}

/*
 * Runs the command and returns its status as a shell would. SIGCHLD arrives only inside ppoll, so that no end is
 * missed.
 * Output that a process left behind in the background might still write is not waited for.
 */
static int run(char **args)
{
    struct sigaction action = {.sa_handler = on_child};
    sigset_t child, none;
    int ends[2], status = 0, open_end = 1;
    pid_t pid;

    sigaction(SIGCHLD, &action, NULL);
    sigemptyset(&none);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
        fail("pipe2");
    fcntl(ends[1], F_SETFL, 0);
    pid = fork();
    if (pid < 0)
        fail("fork");
    if (pid == 0)
        run_child(args, ends[1]);
    close(ends[1]);
    while (!reap(pid, &status)) {
        struct pollfd poll_end = {.fd = open_end ? ends[0] : -1, .events = POLLIN};

        if (ppoll(&poll_end, 1, NULL, &none) > 0)
            open_end = copy_output(ends[0]);
    }
    while (open_end) {
        struct pollfd poll_end = {.fd = ends[0], .events = POLLIN};

        if (poll(&poll_end, 1, 0) <= 0)
            break;
        open_end = copy_output(ends[0]);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_SIGNAL_BASE + WTERMSIG(status);
}

static void stop_everybody(void)
{
    kill(-1, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

/* /dev/kmsg gives one record a read: "priority,sequence,time,flags;text\n", then lines with more about it that begin
 * with a space. */
static void save_messages(void)
{
    int from = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    FILE *to = fopen(MESSAGES_FILE, "we");
    char record[8192];
    ssize_t n;

    while (from >= 0 && to != NULL && ((n = read(from, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE))) {
        unsigned long long time = 0;
        char *text;

        if (n < 0)
            continue;
        record[n] = '\0';
        text = strchr(record, ';');
        if (text == NULL)
            continue;
        sscanf(record, "%*u,%*u,%llu", &time);
        text++;
        fprintf(to, "[%5llu.%06llu] %.*s\n", time / 1000000, time % 1000000, (int)strcspn(text, "\n"), text);
    }
    if (to != NULL)
        fclose(to);
    if (from >= 0)
        close(from);
}

int main(void)
{
    char **args;
    int status;

    mount_missing("proc", "/proc", NULL);
    mount_missing("sysfs", "/sys", NULL);
    mount_missing("devtmpfs", "/dev", NULL);
    mount_missing("devpts", "/dev/pts", NULL);
    mount_missing("tmpfs", "/dev/shm", "mode=1777");
    mount_missing("tmpfs", "/tmp", "mode=1777");
    link_descriptors();
    open_console();
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("HOME", "/root", 1);
    if (chdir("/root") < 0)
        (void)!chdir("/");
    args = read_command();
    *(volatile char *)buffer = 0;
    say("@@QUIRE@@\n");
    status = run(args);
    stop_everybody();
    save_messages();
    power_off(status);
}
