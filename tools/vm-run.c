/*
 * vm-run: runs a virtual machine whose guest runs one command (see guest-run.c), and is to its caller what that
 * command would be.
 *
 *     vm-run [--timeout SECONDS] [--idle SECONDS] [--log FILE] -- QEMU ARG...
 *
 * QEMU's standard output is the guest's console:
 *
 *     firmware, kernel   "@@QUIRE@@\n"   the command's output   "\n@@EXIT 0@@\n"
 *
 * or, at any time, "\r\n@@PANIC@@\r\n" and what it says. The command's output goes to standard output as it comes, byte
 * for byte; a panic to standard error; all but the output to FILE. A command may print what looks like a mark: from
 * there on the output is held back until QEMU's end tells which marks were real: a panic's only when QEMU ended with
 * status 3, an exit's only at the very end.
 *
 * Status: the command's; 3 after a kernel panic; 124 when SECONDS are over, in all or, with --idle, without any output;
 * 2 when the machine did not get as far as the command.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MARK "@@QUIRE@@\n"
#define PANIC_MARK "\r\n@@PANIC@@\r\n" /* a kernel in trouble writes lines as a terminal wants them */
#define EXIT_MARK_BEGIN "\n@@EXIT "
#define EXIT_MARK_END "@@\n"

#define STATUS_FAILED 2
#define STATUS_PANIC 3
#define STATUS_TIMEOUT 124

#define PANIC_SECONDS 10 /* for a kernel to end the machine after it announced a panic */

enum phase { BEFORE, OUTPUT, HELD };

struct text {
    char *bytes;
    size_t length, room;
};

static struct text pending; /* read and not yet passed on */
static enum phase phase = BEFORE;
static FILE *log_file;
static pid_t machine;

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "quire: %s: %s\n", what, why);
    exit(STATUS_FAILED);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void append(struct text *t, const char *bytes, size_t length)
{
    if (t->length + length > t->room) {
        t->room = 2 * (t->length + length);
        t->bytes = realloc(t->bytes, t->room);
        if (t->bytes == NULL)
            die("vm-run", "out of memory");
    }
    memcpy(t->bytes + t->length, bytes, length);
    t->length += length;
}

static void drop(struct text *t, size_t length)
{
    t->length -= length;
    memmove(t->bytes, t->bytes + length, t->length);
}

static void put_output(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes, length);

        if (n < 0 && errno != EINTR)
            die("standard output", strerror(errno));
        if (n > 0) {
            bytes += n;
            length -= (size_t)n;
        }
    }
}

static void put_log(const char *bytes, size_t length)
{
    if (log_file != NULL)
        fwrite(bytes, 1, length, log_file);
}

/* How far BYTES agree with the mark WHOLE: its length when all of it is there, 0 when they differ, -1 when more bytes
 * must tell. */
static int match_word(const char *bytes, size_t length, const char *whole)
{
    size_t size = strlen(whole);

    if (memcmp(bytes, whole, length < size ? length : size) != 0)
        return 0;
    return length < size ? -1 : (int)size;
}

/* The same for an exit mark; *STATUS is its number. */
static int match_exit(const char *bytes, size_t length, int *status)
{
    int begin = match_word(bytes, length, EXIT_MARK_BEGIN);
    size_t at = (size_t)begin;
    int end;

    if (begin <= 0)
        return begin;
    for (*status = 0; at < length && isdigit((unsigned char)bytes[at]) && *status < 1000; at++)
        *status = 10 * *status + bytes[at] - '0';
    end = match_word(bytes + at, length - at, EXIT_MARK_END);
    return end <= 0 ? end : (int)at + end;
}

static int match_mark(const char *bytes, size_t length)
{
    int status, panic = match_word(bytes, length, PANIC_MARK);

    return panic != 0 ? panic : match_exit(bytes, length, &status);
}

/* Where in PENDING the first mark begins (*WHOLE) or may be beginning; its length when there is none. */
static size_t find_mark(int *whole)
{
    *whole = 0;
    for (size_t i = 0; i < pending.length; i++) {
        char byte = pending.bytes[i];
        int found = byte == '\n' || byte == '\r' ? match_mark(pending.bytes + i, pending.length - i) : 0;

        *whole = found > 0;
        if (found != 0)
            return i;
    }
    return pending.length;
}

static int has_panic(void)
{
    return pending.length > 0 && memmem(pending.bytes, pending.length, PANIC_MARK, strlen(PANIC_MARK)) != NULL;
}

/* Passes on what can be told already. */
static void advance(void)
{
    if (phase == BEFORE) {
        char *mark = memmem(pending.bytes, pending.length, START_MARK, strlen(START_MARK));

        if (mark == NULL)
            return;
        put_log(pending.bytes, (size_t)(mark - pending.bytes));
        drop(&pending, (size_t)(mark - pending.bytes) + strlen(START_MARK));
        phase = OUTPUT;
    }
    if (phase == OUTPUT) {
        int whole;
        size_t known = find_mark(&whole);

        put_output(pending.bytes, known);
        drop(&pending, known);
        if (whole)
            phase = HELD;
    }
}

/* Takes the carriage returns out of BYTES; returns the new length. */
static size_t strip_returns(char *bytes, size_t length)
{
    size_t kept = 0;

    for (size_t i = 0; i < length; i++)
        if (bytes[i] != '\r')
            bytes[kept++] = bytes[i];
    return kept;
}

/* The last panic's text in PENDING is taken off it. */
static void take_panic(void)
{
    char *at = pending.bytes, *last = NULL;
    size_t mark = strlen(PANIC_MARK), length;

    while ((at = memmem(at, pending.length - (size_t)(at - pending.bytes), PANIC_MARK, mark)) != NULL)
        last = at++;
    if (last == NULL)
        return;
    length = strip_returns(last + mark, pending.length - (size_t)(last - pending.bytes) - mark);
    fwrite(last + mark, 1, length, stderr);
    put_log(last + mark, length);
    pending.length = (size_t)(last - pending.bytes);
}

/* The exit mark at the end of PENDING is taken off it; returns its status, or -1. */
static int take_exit(void)
{
    for (size_t i = pending.length; i-- > 0 && pending.length - i < 32;) {
        int status, rest = (int)(pending.length - i);

        if (pending.bytes[i] == '\n' && match_exit(pending.bytes + i, (size_t)rest, &status) == rest) {
            pending.length = i;
            return status;
        }
    }
    return -1;
}

/* The machine has ended with STATUS (of wait): the rest of the text is settled; returns our status. */
static int settle(int status, int panicked)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_FAILED, told;

    panicked |= code == STATUS_PANIC && has_panic();
    if (panicked)
        take_panic();
    told = take_exit();
    if (phase == BEFORE) {
        put_log(pending.bytes, pending.length);
        if (panicked)
            return STATUS_PANIC;
        if (log_file == NULL)
            fwrite(pending.bytes, 1, pending.length, stderr);
        fprintf(stderr, "quire: the machine ended (status %d) before the command started; its console: %s\n", code,
                log_file == NULL ? "above" : "see the kernel log");
        return STATUS_FAILED;
    }
    put_output(pending.bytes, pending.length);
    if (panicked)
        return STATUS_PANIC;
    return told >= 0 ? told : code;
}

static void start(char **args, int output)
{
    machine = fork();
    if (machine < 0)
        die("fork", strerror(errno));
    if (machine > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    if (freopen("/dev/null", "r", stdin) == NULL || dup2(output, STDOUT_FILENO) < 0)
        _exit(STATUS_FAILED);
    execvp(args[0], args);
    fprintf(stderr, "quire: cannot run %s: %s\n", args[0], strerror(errno));
    _exit(STATUS_FAILED);
}

static void on_signal(int sig)
{
    kill(machine, SIGKILL);
    _exit(128 + sig);
}

/* The earlier of two times, of which 0 is never. */
static double earlier(double a, double b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Copies the console until its end, or for SECONDS, or until nothing came for IDLE seconds (0: no limit); returns 0 or
 * a STATUS_. */
static int follow(int console, double seconds, double idle)
{
    double deadline = seconds > 0 ? now() + seconds : 0, idle_deadline = idle > 0 ? now() + idle : 0;
    double panic_deadline = 0;
    char buffer[65536];

    for (;;) {
        double until = earlier(panic_deadline, earlier(deadline, idle_deadline));
        double left = until - now();
        struct pollfd end = {.fd = console, .events = POLLIN};
        ssize_t n;

        if (until > 0 && left <= 0)
            return panic_deadline > 0 ? STATUS_PANIC : STATUS_TIMEOUT;
        if (poll(&end, 1, until > 0 ? (int)(left * 1000) + 1 : -1) <= 0)
            continue;
        n = read(console, buffer, sizeof(buffer));
        if (n <= 0)
            return 0;
        if (idle > 0)
            idle_deadline = now() + idle;
        append(&pending, buffer, (size_t)n);
        advance();
        if (panic_deadline == 0 && phase != OUTPUT && has_panic())
            panic_deadline = now() + PANIC_SECONDS;
    }
}

/* Waits for the machine's end, or forces it; returns its wait status. */
static int end_machine(int force)
{
    int status;

    if (force)
        kill(machine, SIGKILL);
    while (waitpid(machine, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

int main(int argc, char **argv)
{
    double seconds = 0, idle = 0;
    static const char usage[] = "usage: vm-run [--timeout SECONDS] [--idle SECONDS] [--log FILE] -- QEMU ARG...";
    int i = 1, ends[2], stopped, status;

    for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
        if (strcmp(argv[i], "--timeout") == 0)
            seconds = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--idle") == 0)
            idle = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--log") != 0)
            die("vm-run", usage);
        else if ((log_file = fopen(argv[i + 1], "we")) == NULL)
            die(argv[i + 1], strerror(errno));
    }
    if (i + 1 >= argc)
        die("vm-run", usage);
    if (pipe(ends) < 0)
        die("pipe", strerror(errno));
    start(argv + i + 1, ends[1]);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGHUP, on_signal);
    close(ends[1]);
    stopped = follow(ends[0], seconds, idle);
    status = end_machine(stopped != 0);
    status = settle(status, stopped == STATUS_PANIC);
    if (stopped == STATUS_TIMEOUT) {
        fprintf(stderr, "quire: no end within %g s\n", seconds > 0 ? seconds : idle);
        status = STATUS_TIMEOUT;
    }
    if (log_file != NULL && fclose(log_file) != 0)
        die("the kernel log", strerror(errno));
    return status;
}
