/*
 * Random sequences of system calls, told call by call, so that what two kernels answered can be compared.
 *
 * A set of calls is a table: each call has a number and generators for its arguments. A generator draws from the
 * seed's random numbers, tells what it drew on the line of the call, and returns it. So one seed gives the same
 * sequence on each kernel, as long as the kernels agree; all that depends on an address, a process number, or the
 * time is told in terms that do not (see the generators). A line is
 *
 *     SET SEED.STEP HASH call arguments = result, and what else the call said
 *
 * with a hash of the part behind it, by which Linux's answers are kept (tests/differ/linux.tsv).
 */
#ifndef TESTS_DIFFER_H
#define TESTS_DIFFER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define ARGUMENTS 6

/* One argument: by a function, or one of some values. */
struct argument {
    long (*make)(void);
    const long *values;
    unsigned count;
};

#define FROM(function)     \
    {                      \
        .make = (function) \
    }
#define ONE_OF(...)                                                                                        \
    {                                                                                                      \
        .values = (const long[]){__VA_ARGS__}, .count = sizeof((const long[]){__VA_ARGS__}) / sizeof(long) \
    }

struct call {
    const char *name;
    unsigned weight; /* how often it is drawn */
    long number;
    struct argument arguments[ARGUMENTS];
    void (*show)(long result, const long *arguments); /* tells what else came back; undoes what must not last */
    void (*run)(void);                                /* instead of number, arguments and show */
};

/* Lines of a table: as they are, with what tells more of the result, and with a function of their own. */
#define CALL(call, often, ...)                                                               \
    {                                                                                        \
        .name = #call, .weight = (often), .number = SYS_##call, .arguments = { __VA_ARGS__ } \
    }
#define TOLD(call, often, shower, ...)                                                                       \
    {                                                                                                        \
        .name = #call, .weight = (often), .number = SYS_##call, .arguments = {__VA_ARGS__}, .show = (shower) \
    }
#define RUN(call, often)                                    \
    {                                                       \
        .name = #call, .weight = (often), .run = run_##call \
    }

struct set {
    const char *name;
    const struct call *calls;
    unsigned count;
    void (*prepare)(void); /* in a new process, in an empty folder */
    void (*digest)(void);  /* tells the state that the calls made, every DIGEST_STEPS; NULL: calls tell it */
    void (*finish)(void);
    const struct set *with; /* a third of the calls come from here */
};

#define DIGEST_STEPS 10

extern const struct set files_set, user_set, memory_set, mapped_set, userfault_set, events_set, processes_set,
    sockets_set, ipc_set;

/* --- differ.c: random numbers and the line that is being told --- */

extern const char *folder; /* where the sequences work, empty at first */

unsigned draw(unsigned bound); /* 0..bound-1 */
long draw_of(const long *values, unsigned count);
int chance(unsigned one_in);

void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
void tell_result(long result); /* -1: with errno's name */
void end_line(void);

#define DRAW_OF(...)                                    \
    __extension__({                                     \
        static const long values_[] = {__VA_ARGS__};    \
        long drawn_ = draw_of(values_, COUNT(values_)); \
        tell(" 0x%lx", (unsigned long)drawn_);          \
        drawn_;                                         \
    })

/* GENERATOR gives room for an answer in OBJECT, all zeros. */
#define ROOM(generator, object)               \
    static long generator(void)               \
    {                                         \
        memset(&(object), 0, sizeof(object)); \
        return (long)&(object);               \
    }

uint64_t sum_of(const void *bytes, size_t length); /* 24 bits */

/* --- values.c: what many calls take --- */

/* The buffer: BUFFER_SIZE bytes in front of memory that cannot be touched. */
#define BUFFER_SIZE 20480
extern char *buffer;
void fill_buffer(void);

#define FIRST_FD 10
#define FDS 12

long descriptor(void);
long dirfd(void); /* AT_FDCWD more often */
long name(void);
long file_offset(void);
long near_offset(void); /* where a file may grow to */
long size(void);
long in_buffer(void);
long out_buffer(void);
long no_pointer(void);
long place_fds(void); /* two numbers of descriptors to be placed */

void show_placed(long result, const long *arguments);     /* a new descriptor takes a drawn place */
void show_placed_two(long result, const long *arguments); /* those of place_fds */
void show_bytes(long result, const long *arguments);      /* RESULT bytes of the buffer */
void show_nothing_positive(long result, const long *arguments);
void keep_at(int fd, int place);
void close_below_places(void);
void make_files(void); /* the names and descriptors that name() and descriptor() draw from */

#endif
