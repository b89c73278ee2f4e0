/*
 * Protection page by page: amid large mappings, over several of them, back and forth, and what /proc/self/maps shows of
 * it. Source: mprotect(2), proc_pid_maps(5).
 */
#include "tap.h"

#include <sys/prctl.h>

#define RW (PROT_READ | PROT_WRITE)
#define PAGES 1024

static int load(void *at) { return *(volatile char *)at & 0; }

static int store(void *at)
{
    *(volatile char *)at = 1;
    return 0;
}

static int call(void *at)
{
    ((void (*)(void))at)();
    return 0;
}

/*
 * What maps shows of [AT, AT + LENGTH): "pages:perms" for each line, clipped to the range, in order; "-" for a gap's
 * pages.
 */
static const char *shown(const void *at, size_t length)
{
    static char text[1000];
    unsigned long from = (unsigned long)at, to = from + length, start, end;
    char permissions[8], *maps = slurp("/proc/self/maps"), *line = maps;
    size_t used = 0;

    text[0] = 0;
    for (; line && *line && used < 900; line = (line = strchr(line, '\n')) ? line + 1 : NULL) {
        if (sscanf(line, "%lx-%lx %7s", &start, &end, permissions) != 3 || end <= from || start >= to)
            continue;
        start = start < from ? from : start;
        end = end > to ? to : end;
        used +=
            snprintf(text + used, sizeof(text) - used, "%s%lu:%s", used ? " " : "", (end - start) / PAGE, permissions);
    }
    free(maps);
    return text;
}

#define SHOWS(at, length, want, ...)                                 \
    do {                                                             \
        const char *shown_text = shown(at, length);                  \
        if (!CHECK(!strcmp(shown_text, want), __VA_ARGS__))          \
            diag("maps shows \"%s\", not \"%s\"", shown_text, want); \
    } while (0)

static void amid_a_mapping(void)
{
    char *at = anon(PAGES * PAGE, RW);
    int good = 1;

    for (size_t i = 0; i < PAGES; i++)
        at[i * PAGE] = i % 100 + 1;
    SHOWS(at, PAGES * PAGE, "1024:rw-p", "one mapping, one line");
    NEED(mprotect(at + 500 * PAGE, PAGE, PROT_READ));
    SHOWS(at, PAGES * PAGE, "500:rw-p 1:r--p 523:rw-p", "one page amid it protected: three lines");
    DIES(store, at + 500 * PAGE + 9, SIGSEGV, SEGV_ACCERR, at + 500 * PAGE + 9, "a store to that page faults");
    EXITS(load, at + 500 * PAGE, 0, "a load does not");
    EXITS(store, at + 499 * PAGE + PAGE - 1, 0, "nor a store just before");
    EXITS(store, at + 501 * PAGE, 0, "nor just behind");
    NEED(mprotect(at + 500 * PAGE, PAGE, RW));
    SHOWS(at, PAGES * PAGE, "1024:rw-p", "and back: one line again");
    at[500 * PAGE] = 500 % 100 + 1;

    for (size_t i = 1; i < PAGES; i += 2)
        NEED(mprotect(at + i * PAGE, PAGE, i % 4 == 1 ? PROT_NONE : PROT_READ));
    SHOWS(at, 6 * PAGE, "1:rw-p 1:---p 1:rw-p 1:r--p 1:rw-p 1:---p", "every other page protected");
    DIES(load, at + 5 * PAGE, SIGSEGV, SEGV_ACCERR, at + 5 * PAGE, "PROT_NONE among them cannot be read");
    NEED(mprotect(at, PAGES * PAGE, PROT_READ));
    SHOWS(at, PAGES * PAGE, "1024:r--p", "one call over all of them: one line");
    for (size_t i = 0; i < PAGES; i++)
        good &= at[i * PAGE] == (char)(i % 100 + 1);
    CHECK(good, "PROT_NONE and back kept every page's contents");
    NEED(mprotect(at, PAGES * PAGE, RW));
    for (size_t i = 0; i < PAGES; i++)
        at[i * PAGE] = 2;
    NEED(munmap(at, PAGES * PAGE));
}

static void untouched(void)
{
    size_t huge = 1UL << 40;
    char *at = mmap(NULL, huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED) { /* Sv39 has 256 GiB for all */
        huge >>= 4;
        at = mmap(NULL, huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        diag("a terabyte does not fit, 64 GiB instead");
    }
    if (!CHECK(at != MAP_FAILED, "a huge PROT_NONE reservation"))
        return;
    for (size_t i = 0; i < 100; i++)
        NEED(mprotect(at + i * (500UL << 20), PAGE, RW));
    for (size_t i = 0; i < 100; i++)
        at[i * (500UL << 20)] = i;
    SHOWS(at + (500UL << 20) - PAGE, 3 * PAGE, "1:---p 1:rw-p 1:---p", "opened piece by piece");
    DIES(load, at + PAGE, SIGSEGV, SEGV_ACCERR, at + PAGE, "the rest stays closed");
    NEED(mprotect(at + (1UL << 30), 1UL << 30, RW));
    at[(1UL << 30) + 5 * PAGE] = 1;
    NEED(mprotect(at, 8UL << 30, PROT_READ));
    IS(at[500UL << 20], 1, "a call over gibibytes keeps what was written");
    DIES(store, at + (500UL << 20), SIGSEGV, SEGV_ACCERR, at + (500UL << 20), "and protects it");
    DIES(store, at + (3UL << 30) + 1, SIGSEGV, SEGV_ACCERR, at + (3UL << 30) + 1, "and what was never touched");
    EXITS(load, at + (3UL << 30) + 1, 0, "which reads as zero");
    NEED(munmap(at, huge));
}

static void several_mappings(void)
{
    char *at = anon(6 * PAGE, RW), back;
    int fd = make_file("file", "0123456789", 10);

    NEED(ftruncate(fd, 4 * PAGE));
    NEED((long)mmap(at + 2 * PAGE, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 2 * PAGE));
    at[0] = at[2 * PAGE] = at[5 * PAGE] = 'v';
    SHOWS(at, 6 * PAGE, "2:rw-p 2:rw-s 2:rw-p", "a shared file between private pages");
    NEED(mprotect(at + PAGE, 4 * PAGE, PROT_READ));
    SHOWS(at, 6 * PAGE, "1:rw-p 1:r--p 2:r--s 1:r--p 1:rw-p", "one mprotect over three mappings");
    DIES(store, at + 2 * PAGE, SIGSEGV, SEGV_ACCERR, at + 2 * PAGE, "the file's page cannot be stored to");
    NEED(mprotect(at + PAGE, 4 * PAGE, RW));
    at[2 * PAGE] = 'w';
    CHECK(pread(fd, &back, 1, 2 * PAGE) == 1 && back == 'w', "opened again, its stores reach the file");
    NEED(munmap(at, 6 * PAGE));

    at = (char *)NEED((long)mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
    IS(at[0], '0', "a private page of a file, read");
    NEED(mprotect(at, 4 * PAGE, RW));
    at[0] = 'p';
    at[PAGE] = 'q';
    CHECK(pread(fd, &back, 1, 0) == 1 && back == '0', "made writable it is still private");
    NEED(mprotect(at, 4 * PAGE, PROT_NONE));
    NEED(pwrite(fd, "F", 1, 0));
    NEED(mprotect(at, 4 * PAGE, PROT_READ));
    CHECK(at[0] == 'p' && at[PAGE] == 'q', "and its private copies outlive PROT_NONE");
    NEED(munmap(at, 4 * PAGE));
    close(fd);
}

static void combinations(void)
{
    static const unsigned ret = 0x00008067;
    static const struct {
        int protection;
        const char *shown;
        int loads, stores, runs;
    } rows[] = {{PROT_NONE, "1:---p", 0, 0, 0},
                {PROT_READ, "1:r--p", 1, 0, 0},
                {PROT_READ | PROT_WRITE, "1:rw-p", 1, 1, 0},
                {PROT_READ | PROT_EXEC, "1:r-xp", 1, 0, 1},
                {PROT_READ | PROT_WRITE | PROT_EXEC, "1:rwxp", 1, 1, 1},
                {PROT_WRITE, "1:-w-p", 1, 1, 0},
                {PROT_WRITE | PROT_EXEC, "1:-wxp", 1, 1, 1},
                {PROT_EXEC, "1:--xp", 0, 0, 1}};
    char *at = anon(PAGE, RW);

    memcpy(at, &ret, sizeof(ret));
    memcpy(at + 16, &ret, sizeof(ret));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        NEED(mprotect(at, PAGE, rows[i].protection));
        SHOWS(at, PAGE, rows[i].shown, "%s is shown", rows[i].shown + 2);
        IS(in_child(load, at).signal, rows[i].loads ? 0 : SIGSEGV, "%s %s loads", rows[i].shown + 2,
           rows[i].loads ? "allows" : "refuses");
        IS(in_child(store, at + 64).signal, rows[i].stores ? 0 : SIGSEGV, "%s %s stores", rows[i].shown + 2,
           rows[i].stores ? "allows" : "refuses");
        IS(in_child(call, at + 16).signal, rows[i].runs ? 0 : SIGSEGV, "%s %s execution", rows[i].shown + 2,
           rows[i].runs ? "allows" : "refuses");
    }
    NEED(munmap(at, PAGE));
}

static void the_kernel_obeys(void)
{
    char *at = anon(3 * PAGE, RW);
    int zero = (int)NEED(open("/dev/zero", O_RDONLY)), null = (int)NEED(open("/dev/null", O_WRONLY)), fds[2];

    NEED(pipe(fds));
    memset(at, 'm', 3 * PAGE);
    NEED(mprotect(at + PAGE, PAGE, PROT_READ));
    FAILS(read(zero, at + PAGE, 10), EFAULT, "read() into a protected page is EFAULT");
    IS(at[PAGE], 'm', "and changes nothing");
    IS(write(fds[1], at + PAGE, 10), 10, "write() from it is fine");
    NEED(mprotect(at + PAGE, PAGE, PROT_NONE));
    FAILS(write(fds[1], at + PAGE, 10), EFAULT, "write() from PROT_NONE is EFAULT");
    NEED(mprotect(at + PAGE, PAGE, RW));
    IS(read(zero, at + PAGE, 10), 10, "opened, read() into it works at once");
    CHECK(at[PAGE] == 0 && at[PAGE + 10] == 'm', "with the expected bytes");
    close(zero), close(null), close(fds[0]), close(fds[1]);
    NEED(munmap(at, 3 * PAGE));
}

static int child_protects(void *argument)
{
    char *at = argument;

    if (at[0] != 'f' || mprotect(at, PAGE, RW))
        return 1;
    at[0] = 'c';
    return in_child(store, at + PAGE).signal == SIGSEGV ? 0 : 2;
}

static void across_fork(void)
{
    char *at = anon(2 * PAGE, RW);

    memset(at, 'f', 2 * PAGE);
    NEED(mprotect(at, 2 * PAGE, PROT_READ));
    EXITS(child_protects, at, 0, "a child inherits protection and changes its own");
    DIES(store, at, SIGSEGV, SEGV_ACCERR, at, "the parent's stays");
    IS(at[0], 'f', "as do its contents");
    NEED(mprotect(at, PAGE, RW));
    at[0] = 'g';
    IS(at[0], 'g', "a page shared until now is written after being opened");
    NEED(munmap(at, 2 * PAGE));
}

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#define RX (PROT_READ | PROT_EXEC)

/* Bits for what is wrong: prctl(PR_SET_MDWE) keeps what was writable from becoming executable. */
static int no_exec_gain(void *unused UNUSED)
{
    char *code = mmap(NULL, 4 * PAGE, RX, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *data = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int wrong = 0, status;

    mprotect(code + PAGE, PAGE, PROT_READ);
    wrong |= (prctl(PR_SET_MDWE, 2, 0, 0, 0) == 0 || errno != EINVAL) << 0;
    wrong |= (prctl(PR_SET_MDWE, 1, 0, 0, 0) != 0 || prctl(PR_GET_MDWE, 0, 0, 0, 0) != 1) << 1;
    wrong |= (prctl(PR_SET_MDWE, 0, 0, 0, 0) == 0 || errno != EPERM) << 2;
    wrong |= (mmap(NULL, PAGE, RW | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED || errno != EACCES)
             << 3;
    wrong |= (mprotect(code + 2 * PAGE, 2 * PAGE, RX) != 0) << 4;
    wrong |= (mprotect(code, 4 * PAGE, RX) == 0 || errno != EACCES) << 5;
    wrong |= (mprotect(data, PAGE, RX) == 0 || mprotect(data, 4 * PAGE, RW) != 0) << 6;
    if (fork() == 0)
        _exit(mprotect(data, PAGE, RX) == 0);
    wait(&status);
    return wrong | (status != 0) << 7;
}

static void body(void)
{
    EXITS(no_exec_gain, NULL, 0, "PR_SET_MDWE");
    amid_a_mapping();
    untouched();
    several_mappings();
    combinations();
    the_kernel_obeys();
    across_fork();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
