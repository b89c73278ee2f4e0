/*
 * Runs sequences of one or more sets of calls: differ FIRST COUNT STEPS SET... (see differ.h).
 *
 * Each sequence has a process of its own, in an empty folder. One that says nothing for SILENCE_SECONDS is killed.
 */
#include "differ.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define SILENCE_SECONDS 60

const char *folder = "/root/differ";

static const struct set *const sets[] = {&files_set,  &user_set,      &memory_set,  &mapped_set, &userfault_set,
                                         &events_set, &processes_set, &sockets_set, &ipc_set};

/* --- Random numbers: xorshift --- */

static uint64_t state;

unsigned draw(unsigned bound)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)((state >> 20) % bound);
}

long draw_of(const long *values, unsigned count) { return values[draw(count)]; }

int chance(unsigned one_in) { return draw(one_in) == 0; }

static void seed(unsigned number)
{
    state = 0x9e3779b97f4a7c15u * (number + 1);
    for (int i = 0; i < 10; i++)
        draw(2);
}

/* --- Lines --- */

static char line[8000];
static size_t used;
static char line_start[64];

void tell(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (used < sizeof(line))
        used += (size_t)vsnprintf(line + used, sizeof(line) - used, format, args);
    va_end(args);
}

void tell_result(long result)
{
    if (result == -1)
        tell(" = %s", strerrorname_np(errno));
    else
        tell(" = %ld", result);
}

uint64_t sum_of(const void *bytes, size_t length)
{
    const unsigned char *p = bytes;
    uint64_t sum = 5381;

    for (size_t i = 0; i < length; i++)
        sum = sum * 33 + p[i];
    return (sum ^ sum >> 24) & 0xffffff;
}

void end_line(void)
{
    char head[100];
    size_t length, begun;

    if (used > sizeof(line) - 2)
        used = sizeof(line) - 2;
    length = (size_t)snprintf(head, sizeof(head), "%s %03x", line_start, (unsigned)sum_of(line, used) & 0xfff);
    line[used++] = '\n';
    memmove(line + length, line, used);
    memcpy(line, head, length);
    begun = 0;
    used += length;
    while (begun < used) {
        ssize_t written = write(STDOUT_FILENO, line + begun, used - begun);

        if (written < 0)
            _exit(9);
        begun += (size_t)written;
    }
    used = 0;
}

/* --- Sequences --- */

static const struct call *draw_call(const struct set *set)
{
    unsigned total = 0, drawn;

    for (unsigned i = 0; i < set->count; i++)
        total += set->calls[i].weight;
    drawn = draw(total);
    for (unsigned i = 0;; i++) {
        if (drawn < set->calls[i].weight)
            return &set->calls[i];
        drawn -= set->calls[i].weight;
    }
}

static long make(const struct argument *a)
{
    long value;

    if (a->make)
        return a->make();
    if (a->count == 0)
        return 0;
    value = draw_of(a->values, a->count);
    if (a->count > 1)
        tell(value > -10 && value < 10 ? " %ld" : " 0x%lx", value);
    return value;
}

static void run_call(const struct call *call)
{
    long a[ARGUMENTS], result;

    tell(" %s", call->name);
    if (call->run) {
        call->run();
        return;
    }
    for (int i = 0; i < ARGUMENTS; i++)
        a[i] = make(&call->arguments[i]);
    result = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    tell_result(result);
    if (call->show)
        call->show(result, a);
}

static void run_sequence(const struct set *set, unsigned number, unsigned steps)
{
    seed(number);
    if (chdir(folder))
        _exit(8);
    umask(022);
    fill_buffer();
    set->prepare();
    for (unsigned step = 0; step < steps; step++) {
        snprintf(line_start, sizeof(line_start), "%s %u.%u", set->name, number, step);
        run_call(draw_call(set->with && chance(3) ? set->with : set));
        end_line();
        if (set->digest && step % DIGEST_STEPS == DIGEST_STEPS - 1) {
            snprintf(line_start, sizeof(line_start), "%s %u.%u+", set->name, number, step);
            set->digest();
            end_line();
        }
    }
    if (set->finish)
        set->finish();
    _exit(0);
}

/* Waits for the sequence in process PID, and for it to end when it hangs. */
static int wait_for_end(pid_t pid, const sigset_t *child_signal)
{
    struct timespec silence = {SILENCE_SECONDS, 0};
    int status, hangs = 0;

    while (waitpid(pid, &status, WNOHANG) == 0)
        if (sigtimedwait(child_signal, NULL, &silence) < 0 && errno == EAGAIN) {
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
            hangs = 1;
        }
    return hangs ? -1 : status;
}

static void in_new_process(const struct set *set, unsigned number, unsigned steps)
{
    char command[100];
    sigset_t child_signal;
    int status;
    pid_t pid;

    snprintf(command, sizeof(command), "rm -rf %s; mkdir -p %s", folder, folder);
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    if (system(command) || sigprocmask(SIG_BLOCK, &child_signal, NULL))
        exit(1);
    pid = fork();
    if (pid == 0) {
        sigprocmask(SIG_UNBLOCK, &child_signal, NULL);
        run_sequence(set, number, steps);
    }
    status = wait_for_end(pid, &child_signal);
    sigprocmask(SIG_UNBLOCK, &child_signal, NULL);
    snprintf(line_start, sizeof(line_start), "%s %u.end", set->name, number);
    if (status == -1)
        tell(" hangs");
    else
        tell(" status %x", (unsigned)status);
    end_line();
}

static const struct set *set_named(const char *wanted)
{
    for (unsigned i = 0; i < COUNT(sets); i++)
        if (!strcmp(sets[i]->name, wanted))
            return sets[i];
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned first, count, steps;

    if (argc < 5) {
        fprintf(stderr, "differ FIRST COUNT STEPS SET...\n");
        return 2;
    }
    first = (unsigned)atoi(argv[1]);
    count = (unsigned)atoi(argv[2]);
    steps = (unsigned)atoi(argv[3]);
    for (char **wanted = argv + 4; *wanted; wanted++) {
        const struct set *set = set_named(*wanted);

        if (!set) {
            fprintf(stderr, "differ: no set of calls '%s'\n", *wanted);
            return 2;
        }
        for (unsigned number = first; number < first + count; number++)
            in_new_process(set, number, steps);
    }
    return 0;
}
