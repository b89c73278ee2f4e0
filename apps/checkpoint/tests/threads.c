/*
 * Threads store all over the memory while checkpoints are taken, and the process is killed. What is restored is the
 * memory between steps of all threads, and not older than the last checkpoint that was said to be durable. Then the
 * file is damaged, as a power failure would: what it has then is the checkpoint before.
 */
#include "tap.h"

#include <pthread.h>

#include "checkpoint.h"

#define THREADS 3
#define CELLS (256 * 512ul) /* 8 bytes each: 256 pages a table */
#define SEEDS 4

/* The memory. A step of a thread adds 1 to a cell of LEFT and to the same of RIGHT, and to its STEPS. */
struct world {
    struct world *self; /* pointers are kept */
    uint64_t steps[THREADS];
    uint64_t left[THREADS][CELLS], right[THREADS][CELLS];
};

static struct checkpoint *c;
static struct world *w;
static int words;

static void *worker(void *argument)
{
    unsigned me = (unsigned)(uintptr_t)argument;
    uint64_t state = me + 7;

    if (checkpoint_enter(c) < 0)
        _exit(61);
    state += w->steps[me];
    for (;;) {
        for (int i = 0; i < 200; i++) {
            uint64_t cell;

            state = state * 6364136223846793005ull + 1442695040888963407ull;
            cell = (state >> 40) % CELLS;
            w->left[me][cell]++;
            w->right[me][cell]++;
            w->steps[me]++;
        }
        checkpoint_point(c);
    }
    return NULL;
}

/* Takes checkpoints; tells the parent the steps that the durable ones have, at least. */
static void child(void)
{
    pthread_t thread;

    c = checkpoint_open("world", sizeof(struct world));
    if (c == NULL)
        _exit(60);
    w = checkpoint_memory(c);
    w->self = w;
    for (uintptr_t t = 0; t < THREADS; t++)
        pthread_create(&thread, NULL, worker, (void *)t);
    if (checkpoint_enter(c) < 0)
        _exit(61);
    for (;;) {
        uint64_t steps = 0;

        for (int t = 0; t < THREADS; t++)
            steps += __atomic_load_n(&w->steps[t], __ATOMIC_RELAXED);
        if (checkpoint_take(c) < 0 || checkpoint_wait(c) < 0)
            _exit(62);
        if (write(words, &steps, sizeof(steps)) != sizeof(steps))
            _exit(63);
    }
}

static int run_and_kill(long ms, uint64_t *durable)
{
    int fds[2], status;
    uint64_t word;
    pid_t pid;

    NEED(pipe(fds));
    pid = (pid_t)NEED(fork());
    if (pid == 0) {
        words = fds[1];
        child();
    }
    close(fds[1]);
    if (read(fds[0], durable, sizeof(*durable)) != sizeof(*durable))
        ms = 0; /* it ended */
    sleep_ms(ms);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    while (read(fds[0], &word, sizeof(word)) == sizeof(word))
        *durable = word;
    close(fds[0]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

/* The sum of all steps in the file; says in WHY what is wrong with it. */
static uint64_t look(const char *name, const char **why)
{
    uint64_t all = 0;

    c = checkpoint_open(name, sizeof(struct world));
    if (c == NULL) {
        *why = errno_name(errno);
        return 0;
    }
    w = checkpoint_memory(c);
    if (checkpoint_restored(c) && w->self != w)
        *why = "a pointer into the memory is not the same";
    for (int t = 0; t < THREADS; t++) {
        uint64_t sum = 0;

        for (size_t i = 0; i < CELLS; i++) {
            sum += w->left[t][i];
            if (w->left[t][i] != w->right[t][i])
                *why = "two cells that belong together differ";
        }
        if (sum != w->steps[t])
            *why = "steps that are there in part";
        all += sum;
    }
    checkpoint_close(c);
    return all;
}

/* --- A file that lost parts of its last checkpoint --- */

static char *old_bytes, *new_bytes;
static size_t old_size, new_size;

static char *read_file(const char *name, size_t *size)
{
    int fd = (int)NEED(open(name, O_RDONLY));
    struct stat st;
    char *bytes;

    fstat(fd, &st);
    *size = (size_t)st.st_size;
    bytes = malloc(*size);
    for (size_t at = 0; at < *size;)
        at += (size_t)NEED(read(fd, bytes + at, *size - at));
    close(fd);
    return bytes;
}

/* Two checkpoints in "two", the file after each in old_bytes and new_bytes. */
static void make_two(void)
{
    c = checkpoint_open("two", sizeof(struct world));
    w = checkpoint_memory(c);
    checkpoint_enter(c);
    w->self = w;
    for (int round = 0; round < 2; round++) {
        for (size_t i = round; i < CELLS; i += 300) {
            w->left[0][i]++;
            w->right[0][i]++;
            w->steps[0]++;
        }
        if (checkpoint_take(c) < 0 || checkpoint_wait(c) < 0)
            CHECK(0, "a checkpoint: %s", errno_name(errno));
        if (round == 0)
            old_bytes = read_file("two", &old_size);
    }
    new_bytes = read_file("two", &new_size);
    checkpoint_exit(c);
    checkpoint_close(c);
}

/* Sectors of what the second checkpoint wrote, some of them. */
static int damage(int times)
{
    uint64_t first, second;
    const char *why = NULL;
    unsigned seed = SEEDS;
    int wrong = 0;

    close(make_file("cut", old_bytes, old_size));
    first = look("cut", &why);
    close(make_file("cut", new_bytes, new_size));
    second = look("cut", &why);
    CHECK(why == NULL && first > 0 && second > first, "one checkpoint, and two: %llu and %llu steps %s",
          (unsigned long long)first, (unsigned long long)second, why ? why : "");
    for (int i = 0; i < times; i++) {
        size_t size = rand_r(&seed) % 2 ? new_size : old_size + (size_t)rand_r(&seed) % (new_size - old_size);
        char *bytes = malloc(size);
        uint64_t steps;
        bool whole = size == new_size;

        memcpy(bytes, new_bytes, size);
        for (size_t at = old_size; at < size; at += 512)
            if (rand_r(&seed) % 50 == 0) {
                size_t part = size - at < 512 ? size - at : 512;

                whole = whole && bytes[at] == 0 && memcmp(bytes + at, bytes + at + 1, part - 1) == 0;
                memset(bytes + at, 0, part);
            }
        close(make_file("cut", bytes, size));
        free(bytes);
        steps = look("cut", &why);
        wrong += steps != (whole ? second : first) || why != NULL;
    }
    return wrong;
}

static void body(void)
{
    int rounds = tap_arguments[0] != NULL ? atoi(tap_arguments[0]) : 8, status = 0, i;
    uint64_t durable = 0, steps = 0;
    const char *why = NULL;
    unsigned seed = 3;

    for (i = 0; i < rounds && status == 0 && why == NULL; i++) {
        status = run_and_kill(rand_r(&seed) % 200, &durable);
        steps = look("world", &why);
        if (steps < durable)
            why = "a checkpoint that was durable is lost";
    }
    IS(status, 0, "three threads store, a fourth takes checkpoints, until they are killed");
    CHECK(why == NULL, "killed %d times, the memory is that of one moment: %s", i, why ? why : "");
    diag("%llu steps", (unsigned long long)steps);
    make_two();
    IS(damage(60), 0, "a checkpoint that is damaged does not count, the one before does");
    free(old_bytes);
    free(new_bytes);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
