/*
 * The world around the program: files by name, time, the command line, the collector.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "port.h"
#include "stats.h"
#include "system.h"

#define NEED(test, what, v) \
    if (!(test))            \
    return wrong_type(t, what, v)

char **command_line;

static value prim_command_line(struct thread *t, size_t n, value *a)
{
    size_t count = 0;
    (void)n, (void)a;
    while (command_line[count])
        count++;
    t->accumulator = NIL;
    while (count-- > 0) {
        t->temporaries[3] = string_from_utf8(t, command_line[count], strlen(command_line[count]));
        t->accumulator = make_pair(t, &t->temporaries[3], &t->accumulator);
    }
    return t->accumulator;
}

static value prim_exists(struct thread *t, size_t n, value *a)
{
    size_t length;
    (void)n;
    NEED(has_type(a[0], STRING), "a file name", a[0]);
    char *name = string_utf8(a[0], 0, string_length(a[0]), &length);
    bool there = !access(name, F_OK);
    free(name);
    return boolean(there);
}

static value prim_delete(struct thread *t, size_t n, value *a)
{
    size_t length;
    (void)n;
    NEED(has_type(a[0], STRING), "a file name", a[0]);
    char *name = string_utf8(a[0], 0, string_length(a[0]), &length);
    int error = unlink(name) ? errno : 0;
    free(name);
    if (!error)
        return UNSPECIFIED;
    value nil = NIL;
    t->hold++;
    value irritants = make_pair(t, &a[0], &nil);
    t->error = condition_new(t, "file", strerror(error), irritants);
    t->hold--;
    return FAILED;
}

static value prim_exit(struct thread *t, size_t n, value *a)
{
    (void)t;
    int status = n == 0 || a[0] == TRUE ? 0 : a[0] == FALSE ? 1 : is_fixnum(a[0]) ? fixnum_value(a[0]) & 255 : 1;
    system_exit(status);
}

static value prim_getenv(struct thread *t, size_t n, value *a)
{
    size_t length;
    (void)n;
    NEED(has_type(a[0], STRING), "a string", a[0]);
    char *name = string_utf8(a[0], 0, string_length(a[0]), &length);
    const char *found = getenv(name);
    free(name);
    return found ? string_from_utf8(t, found, strlen(found)) : FALSE;
}

static value prim_jiffy(struct thread *t, size_t n, value *a) { return (void)t, (void)n, (void)a, fixnum(stats_now()); }
static value prim_jiffies(struct thread *t, size_t n, value *a)
{
    return (void)t, (void)n, (void)a, fixnum(1000000000);
}
static value prim_second(struct thread *t, size_t n, value *a)
{
    struct timespec now;
    (void)n, (void)a;
    clock_gettime(CLOCK_REALTIME, &now);
    return make_flonum(t, now.tv_sec + now.tv_nsec / 1e9);
}

static value prim_collect(struct thread *t, size_t n, value *a)
{
    (void)n, (void)a;
#ifndef GC_BOEHM
    collect_fully(t);
#else
    (void)t;
#endif
    return UNSPECIFIED;
}

static value prim_heap_used(struct thread *t, size_t n, value *a)
{
    (void)t, (void)n, (void)a;
#ifndef GC_BOEHM
    return fixnum(heap_used() * PAGE_BYTES);
#else
    return fixnum(0);
#endif
}

const struct primitive system_primitives[] = {
    {"command-line", prim_command_line, 0, 0, false},
    {"file-exists?", prim_exists, 1, 1, false},
    {"delete-file", prim_delete, 1, 1, false},
    {"emergency-exit", prim_exit, 0, 1, false},
    {"get-environment-variable", prim_getenv, 1, 1, false},
    {"current-jiffy", prim_jiffy, 0, 0, false},
    {"jiffies-per-second", prim_jiffies, 0, 0, false},
    {"current-second", prim_second, 0, 0, false},
    {"collect-garbage", prim_collect, 0, 0, false},
    {"heap-used", prim_heap_used, 0, 0, false},
    {0},
};
