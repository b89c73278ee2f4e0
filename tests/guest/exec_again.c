/*
 * A program that is executed again and again starts with the same memory each time, whatever those before it did to
 * theirs: a kernel may learn from them which pages of the file a program uses and stores to. Source: execve(2).
 *
 * The test executes itself, as one of the personalities below.
 */
#include "tap.h"

#define PAGES 24
#define RUNS 12

/* In the file: a word of each page, and the last bytes before .bss. */
static volatile long data[PAGES * PAGE / sizeof(long)] __attribute__((aligned(4096))) = {1, 2, 3};
static volatile long zeros[PAGES * PAGE / sizeof(long)];
static const volatile char text[PAGES * PAGE] __attribute__((aligned(4096))) = {'t'};

static volatile long *word_of(volatile long *array, long page)
{
    return &array[page * (long)(PAGE / sizeof(long)) + 5];
}

/* All is as the file says, and .bss is zeros. */
static int is_fresh(void)
{
    int good = data[0] == 1 && data[1] == 2 && data[2] == 3 && text[0] == 't';

    for (long i = 0; i < PAGES; i++)
        good = good && *word_of(data, i) == 0 && *word_of(zeros, i) == 0 && text[i * (long)PAGE + 7] == 0;
    return good;
}

/* The pages from FIRST on, each STEPth, are read, or stored to. */
static int use(long first, long step, int stores)
{
    int good = is_fresh();

    for (long i = first; i < PAGES; i += step) {
        if (stores) {
            *word_of(data, i) = i + 1;
            *word_of(zeros, i) = i + 1;
        }
        good = good && *word_of(data, i) == (stores ? i + 1 : 0) && text[i * (long)PAGE + 9] == 0;
    }
    return good ? 0 : 1;
}

static int only_end(void) { return data[0] == 1 ? 0 : 1; }

static int personality(const char *name)
{
    if (!strcmp(name, "reads"))
        return use(0, 1, 0);
    if (!strcmp(name, "stores"))
        return use(0, 1, 1);
    if (!strcmp(name, "even"))
        return use(0, 2, 1);
    if (!strcmp(name, "odd"))
        return use(1, 2, 1);
    if (!strcmp(name, "ends"))
        return only_end();
    return 2;
}

static int run(const char *path, const char *name)
{
    char word[16];
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        strcpy(word, name);
        execl(path, path, "--personality", word, NULL);
        _exit(99);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* How many of RUNS runs of the personalities in NAMES, in turn, went wrong. */
static int runs(const char *path, const char *const *names, int n)
{
    int bad = 0;

    for (int i = 0; i < RUNS; i++)
        bad += run(path, names[i % n]) != 0;
    return bad;
}

static void copy_program(const char *to)
{
    static char buffer[65536];
    int in = open("/proc/self/exe", O_RDONLY), out = open(to, O_CREAT | O_TRUNC | O_WRONLY, 0755);
    ssize_t n;

    while ((n = read(in, buffer, sizeof(buffer))) > 0)
        if (write(out, buffer, (size_t)n) != n)
            break;
    close(in);
    close(out);
}

/* The N bytes FROM, where the file first has them, become TO. */
static int change_file(const char *path, const void *from, const void *to, size_t n)
{
    int fd = open(path, O_RDWR), found = 0;
    struct stat st;
    char *all;

    if (fd < 0 || fstat(fd, &st) != 0)
        return 0;
    all = malloc((size_t)st.st_size);
    if (all != NULL && pread(fd, all, (size_t)st.st_size, 0) == st.st_size)
        for (off_t at = 0; at + (off_t)n <= st.st_size && !found; at += 8)
            if (memcmp(all + at, from, n) == 0)
                found = pwrite(fd, to, n, at) == (ssize_t)n;
    free(all);
    close(fd);
    return found;
}

static void body(void)
{
    static const char *const all[] = {"reads", "stores", "even", "odd", "ends"};
    static const char *const two[] = {"ends", "stores"};
    /* what is in the file, but the test's own copy of it is not */
    volatile long one = 1;
    long other[] = {one, 2, 4}, old[] = {one, 2, 3};

    copy_program("program");
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        IS(runs("./program", &all[i], 1), 0, "'%s' again and again", all[i]);
    IS(runs("./program", all, 5), 0, "all in turn");
    IS(runs("./program", two, 2), 0, "one that stores to all, one that does to nothing");

    CHECK(change_file("program", old, other, sizeof(old)), "the file is changed");
    IS(run("./program", "reads"), 1, "who executes it sees the change");
    CHECK(change_file("program", other, old, sizeof(old)), "and changed back");
    IS(runs("./program", all, 5), 0, "all in turn again");

    copy_program("short");
    IS(runs("./short", all, 5), 0, "another file");
    OKAY(truncate("short", 8192), "it is cut off");
    CHECK(run("./short", "reads") != 0, "and does not run as if it were not");
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--personality"))
        return personality(argv[2]);
    return tap_main(argc, argv, body);
}
