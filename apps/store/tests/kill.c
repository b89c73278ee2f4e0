/*
 * Several threads write and read; the process is killed at any moment. What it said was committed is there when the
 * store is opened again, and every transaction is there whole or not at all.
 */
#include "tap.h"

#include <pthread.h>

#include "kv.h"

#define WRITERS 3
#define ACCOUNTS 40
#define MONEY 1000

/* What the child says is committed: the writer's number and how many transactions it has made. */
struct word {
    uint32_t writer, done;
};

static struct store *s;
static int words;
static bool no_sync;

static struct kv_slice text(char *buffer, const char *fmt, unsigned number)
{
    return (struct kv_slice){buffer, (size_t)sprintf(buffer, fmt, number)};
}

static uint64_t read_number(const char *fmt, unsigned number)
{
    char key[40];
    struct kv_slice value;
    uint64_t result = 0;

    if (kv_get(s, text(key, fmt, number), &value) == 1 && value.size == sizeof(result))
        memcpy(&result, value.data, sizeof(result));
    return result;
}

static void write_number(const char *fmt, unsigned number, uint64_t value)
{
    char key[40];

    if (kv_put(s, text(key, fmt, number), (struct kv_slice){&value, sizeof(value)}) < 0)
        _exit(51);
}

static uint64_t total(void)
{
    uint64_t sum = 0;

    for (unsigned a = 0; a < ACCOUNTS; a++)
        sum += read_number("account %u", a);
    return sum;
}

/* Moves money, and counts. A part of the transactions is aborted. */
static void *writer(void *argument)
{
    struct word word = {.writer = (uint32_t)(uintptr_t)argument};
    unsigned seed = word.writer * 7919 + 1;

    word.done = (uint32_t)read_number("done %u", word.writer);
    for (;;) {
        unsigned from = (unsigned)rand_r(&seed) % ACCOUNTS, to = (unsigned)rand_r(&seed) % ACCOUNTS;

        store_begin(s);
        write_number("account %u", from, read_number("account %u", from) - 3);
        if (rand_r(&seed) % 8 == 0) {
            store_abort(s);
            continue;
        }
        write_number("account %u", to, read_number("account %u", to) + 3);
        write_number("done %u", word.writer, ++word.done);
        if (store_commit(s) < 0)
            _exit(52);
        if (write(words, &word, sizeof(word)) != sizeof(word))
            _exit(53);
    }
    return NULL;
}

static void *reader(void *unused UNUSED)
{
    for (;;) {
        store_read(s);
        if (total() != ACCOUNTS * MONEY)
            _exit(54);
        store_read_end(s);
    }
    return NULL;
}

static void child(void)
{
    struct store_options options = {.reserve = 1 << 30, .log_limit = 100000, .no_sync = no_sync};
    pthread_t thread;

    s = store_open("bank", &options);
    if (s == NULL)
        _exit(50);
    if (store_root(s, 0) == 0) {
        store_begin(s);
        for (unsigned a = 0; a < ACCOUNTS; a++)
            write_number("account %u", a, MONEY);
        if (store_commit(s) < 0)
            _exit(52);
    }
    for (uintptr_t w = 1; w < WRITERS; w++)
        pthread_create(&thread, NULL, writer, (void *)w);
    pthread_create(&thread, NULL, reader, NULL);
    writer((void *)0);
}

/* Starts the program, kills it after MS milliseconds; LAST gets what it said. Its exit status, or 0 when it was killed.
 */
static int run_and_kill(long ms, uint32_t last[WRITERS])
{
    struct word word;
    int fds[2], status;
    pid_t pid;

    NEED(pipe(fds));
    fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
    pid = (pid_t)NEED(fork());
    if (pid == 0) {
        close(fds[0]);
        words = fds[1];
        child();
    }
    close(fds[1]);
    NEED(read(fds[0], &word, sizeof(word))); /* it works */
    last[word.writer] = word.done;
    for (; ms > 0; ms -= 5) {
        sleep_ms(5);
        fcntl(fds[0], F_SETFL, O_NONBLOCK);
        while (read(fds[0], &word, sizeof(word)) == sizeof(word))
            last[word.writer] = word.done;
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    while (read(fds[0], &word, sizeof(word)) == sizeof(word))
        last[word.writer] = word.done;
    close(fds[0]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static bool is_right(const uint32_t last[WRITERS], char *why, size_t room)
{
    struct store_options options = {.must_exist = true, .reserve = 1 << 30, .log_limit = 100000};
    uint64_t entries, objects;
    bool right;

    s = store_open("bank", &options);
    if (s == NULL) {
        snprintf(why, room, "it does not open: %s", errno_name(errno));
        return false;
    }
    right = store_check(s, why, room) == 0 && kv_check(s, &entries, &objects, why, room) == 0;
    if (right && total() != ACCOUNTS * MONEY) {
        snprintf(why, room, "there is %llu of money", (unsigned long long)total());
        right = false;
    }
    for (unsigned w = 0; w < WRITERS && right; w++)
        if (read_number("done %u", w) < last[w]) {
            snprintf(why, room, "writer %u: %u were committed, %u are there", w, last[w],
                     (unsigned)read_number("done %u", w));
            right = false;
        }
    store_close(s);
    return right;
}

/* A store to the heap without a transaction; how the process ends. */
static int stray_store(void)
{
    pid_t pid = (pid_t)NEED(fork());
    int status;

    if (pid == 0) {
        s = store_open("bank", NULL);
        close(STDERR_FILENO);
        if (s != NULL)
            *(volatile char *)store_at(s, 5 * STORE_PAGE) = 1;
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void body(void)
{
    uint32_t last[WRITERS] = {0};
    unsigned seed = 5;
    char why[200] = "";
    int rounds = tap_arguments[0] != NULL ? atoi(tap_arguments[0]) : 12, wrong = 0, status = 0;

    for (int i = 0; i < rounds && wrong == 0 && status == 0; i++) {
        no_sync = i % 2 == 1; /* a killed program loses nothing that it wrote */
        status = run_and_kill(rand_r(&seed) % 150, last);
        if (status == 0 && !is_right(last, why, sizeof(why)))
            wrong++;
    }
    IS(status, 0, "threads read and write until they are killed");
    IS(wrong, 0, "killed %d times, nothing is lost: %s", rounds, why);
    diag("transactions: %u %u %u", last[0], last[1], last[2]);
    CHECK(stray_store() != 0, "a store outside of a transaction ends the program");
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
