/* The command line: a long computation that is saved while it runs. See `checkpoint --help`. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../bench/mark.h"
#include "checkpoint.h"
#include "life.h"

static const char usage_text[] =
    "checkpoint [OPTION...] FILE: Conway's Life, saved to FILE every now and then while it runs on.\n"
    "\n"
    "Started again with the same FILE, after its end, a crash or kill -9, it continues from the last checkpoint, "
    "exactly.\n"
    "\n"
    "  --size N           a torus of N x N cells, a multiple of 64 (1024); only of a new FILE\n"
    "  --seed N           which cells live at first (1); only of a new FILE\n"
    "  --generations N    ends when the world is N generations old (1000)\n"
    "  --every N          a checkpoint every N generations (100)\n"
    "  --threads N        that many compute (1)\n"
    "  --method checkpoint|fork|none\n"
    "                     how it is saved: as libvm's traps allow; by a forked child that writes all memory (which\n"
    "                     cannot be continued from, and is here to compare); not at all\n"
    "  --show             what FILE has, without running\n"
    "  --help             this text\n"
    "\n"
    "Prints the generation, a hash of all cells, and how long the program stood still for its checkpoints, as NAME "
    "VALUE.\n"
    "Status: 0; 2 when something failed, with one line that says why.\n";

enum method { CHECKPOINT, FORK, NOTHING };

static struct {
    uint64_t size, seed, generations, every, threads;
    enum method method;
    int show;
    const char *file;
} options = {.size = 1024, .seed = 1, .generations = 1000, .every = 100, .threads = 1};

static struct checkpoint *saver;
static struct life *life;
static size_t length;
static pthread_barrier_t barrier;
static int failed; /* an errno */
static uint64_t taken, stop_total, stop_longest, began;

static void die(const char *what, int error)
{
    const char *why = error == EBUSY    ? "another process has it open"
                      : error == EINVAL ? "not a file of checkpoints, or of a world of another size"
                                        : strerror(error);

    fprintf(stderr, "checkpoint: %s: %s\n", what, why);
    exit(2);
}

static void misuse(const char *what)
{
    fprintf(stderr, "checkpoint: %s: see checkpoint --help\n", what);
    exit(2);
}

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- The way to compare with: a child has the memory as it was, and writes it --- */

/* In the child. Its status is 0 or an errno. */
static void write_all_memory(void)
{
    int fd = open(options.file, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    const char *at = (const char *)life;
    size_t left = length;

    while (fd >= 0 && left > 0) {
        ssize_t n = write(fd, at, left);

        if (n <= 0)
            _exit(n < 0 ? errno : EIO);
        at += n;
        left -= (size_t)n;
    }
    _exit(fd < 0 || fdatasync(fd) < 0 ? errno : 0);
}

/* The child that writes, if there is one, is waited for. */
static void end_snapshot(void)
{
    int status;
    pid_t pid;

    while ((pid = wait(&status)) < 0 && errno == EINTR)
        ;
    if (pid > 0 && status != 0)
        failed = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

static void save_by_fork(void)
{
    uint64_t took;
    pid_t pid;

    end_snapshot();
    took = now();
    pid = fork();
    if (pid == 0)
        write_all_memory();
    took = now() - took;
    if (pid < 0)
        failed = errno;
    taken++;
    stop_total += took;
    if (took > stop_longest)
        stop_longest = took;
}

/* --- The computation --- */

static void save(void)
{
    if (options.method == FORK)
        save_by_fork();
    else if (options.method == CHECKPOINT && checkpoint_take(saver) < 0)
        failed = errno;
}

/* Waits for the other threads; meanwhile the memory may be closed. */
static void meet(void)
{
    if (options.threads == 1)
        return;
    if (saver != NULL)
        checkpoint_pause(saver);
    pthread_barrier_wait(&barrier);
    if (saver != NULL)
        checkpoint_resume(saver);
}

static void *compute(void *argument)
{
    uint64_t me = (uint64_t)(uintptr_t)argument, rows = life->size / options.threads, from = me * rows;
    uint64_t to = me + 1 == options.threads ? life->size : from + rows;

    if (saver != NULL && checkpoint_enter(saver) < 0)
        die("a thread", errno);
    while (life->generation < options.generations && failed == 0) {
        life_rows(life, from, to);
        meet();
        if (me == 0) {
            life_turn(life);
            if (life->generation % options.every == 0 || life->generation == options.generations)
                save();
        }
        meet();
    }
    if (saver != NULL)
        checkpoint_exit(saver);
    return NULL;
}

static void run(void)
{
    pthread_t threads[64];

    began = now();
    pthread_barrier_init(&barrier, NULL, (unsigned)options.threads);
    for (uint64_t i = 1; i < options.threads; i++)
        if (pthread_create(&threads[i], NULL, compute, (void *)(uintptr_t)i) != 0)
            die("a thread", EAGAIN);
    compute((void *)0);
    for (uint64_t i = 1; i < options.threads; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
}

/* --- The frame --- */

static uint64_t number(const char *option, const char *text, uint64_t least, uint64_t most)
{
    char *end;
    uint64_t n = text == NULL ? 0 : strtoull(text, &end, 10);

    if (text == NULL || *text < '0' || *text > '9' || *end != 0 || n < least || n > most) {
        fprintf(stderr, "checkpoint: %s: a number from %llu to %llu is wanted: see checkpoint --help\n", option,
                (unsigned long long)least, (unsigned long long)most);
        exit(2);
    }
    return n;
}

static void read_method(const char *text)
{
    static const char *const names[] = {"checkpoint", "fork", "none"};

    for (int i = 0; text != NULL && i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            options.method = (enum method)i;
            return;
        }
    misuse("--method: checkpoint, fork or none is wanted");
}

static void read_options(char **argv)
{
    for (argv++; *argv != NULL; argv++) {
        const char *o = *argv;

        if (strcmp(o, "--help") == 0 || strcmp(o, "-h") == 0) {
            fputs(usage_text, stdout);
            if (fflush(stdout) == 0)
                exit(0);
            perror("checkpoint: standard output");
            exit(2);
        }
        if (strcmp(o, "--show") == 0) {
            options.show = 1;
            continue;
        }
        if (o[0] != '-') {
            if (options.file != NULL)
                misuse("one file is wanted");
            options.file = o;
            continue;
        }
        argv++;
        if (strcmp(o, "--size") == 0)
            options.size = number(o, *argv, 64, 1 << 17);
        else if (strcmp(o, "--seed") == 0)
            options.seed = number(o, *argv, 0, UINT32_MAX);
        else if (strcmp(o, "--generations") == 0)
            options.generations = number(o, *argv, 0, UINT64_MAX / 2);
        else if (strcmp(o, "--every") == 0)
            options.every = number(o, *argv, 1, UINT64_MAX / 2);
        else if (strcmp(o, "--threads") == 0)
            options.threads = number(o, *argv, 1, 64);
        else if (strcmp(o, "--method") == 0)
            read_method(*argv);
        else
            misuse("no such option");
        if (*argv == NULL)
            misuse("a value is missing");
    }
    if (options.file == NULL)
        misuse("a file is wanted");
    if (options.size % 64 != 0 || options.threads > options.size)
        misuse("--size: a multiple of 64 is wanted, and a row for each thread");
}

/* The world in memory: from the file, or new. */
static void get_world(void)
{
    int new_file = access(options.file, F_OK) != 0;

    length = life_bytes(options.size);
    if (options.show && new_file)
        die(options.file, ENOENT);
    if (options.method != CHECKPOINT) {
        life = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (life == MAP_FAILED)
            die("memory", errno);
        life_begin(life, options.size, options.seed);
        return;
    }
    saver = checkpoint_open(options.file, new_file ? length : 0);
    if (saver == NULL && errno == EINVAL && !new_file) /* made, but killed before it was finished */
        saver = checkpoint_open(options.file, length);
    if (saver == NULL)
        die(options.file, errno);
    life = checkpoint_memory(saver);
    if (!checkpoint_restored(saver)) {
        if (checkpoint_length(saver) < length)
            die(options.file, EINVAL);
        life_begin(life, options.size, options.seed);
    }
}

static void print_stats(uint64_t nanoseconds)
{
    struct checkpoint_stats s = {.taken = taken, .stop_total = stop_total, .stop_longest = stop_longest};

    if (saver != NULL)
        checkpoint_stats(saver, &s);
    printf("generation %llu\nhash %016llx\n", (unsigned long long)life->generation,
           (unsigned long long)life_hash(life));
    printf("nanoseconds %llu\ncheckpoints %llu\nstop_total %llu\nstop_longest %llu\n", (unsigned long long)nanoseconds,
           (unsigned long long)s.taken, (unsigned long long)s.stop_total, (unsigned long long)s.stop_longest);
    printf("pages_saved %llu\npages_copied %llu\npages_zero %llu\ntraps %llu\nfile_bytes %llu\ncompactions %llu\n",
           (unsigned long long)s.pages, (unsigned long long)s.copies, (unsigned long long)s.zeros,
           (unsigned long long)s.traps, (unsigned long long)s.file_bytes, (unsigned long long)s.compactions);
}

int main(int argc, char **argv)
{
    uint64_t took = 0;

    (void)argc;
    read_options(argv);
    get_world();
    if (!options.show) {
        mark_begin();
        run();
        took = now() - began;
        if (failed == 0 && saver != NULL && checkpoint_wait(saver) < 0)
            failed = errno;
        if (options.method == FORK)
            end_snapshot();
        mark_end();
        if (failed != 0)
            die(options.file, failed);
    }
    print_stats(took);
    if (saver != NULL)
        checkpoint_close(saver);
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output", errno);
    return 0;
}
