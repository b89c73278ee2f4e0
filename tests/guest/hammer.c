/*
 * Many processes at once that map, unmap, fork, write files, and pass data through pipes, each checking all it does;
 * threads that share a space and race faults against munmap and mprotect. Bounded by rounds, not by time. hammer [DIR]
 * [PROCESSES [ROUNDS]]
 */
#include "tap.h"

#include <pthread.h>
#include <sched.h>

#define RW (PROT_READ | PROT_WRITE)

static unsigned random_state;

static unsigned pick(unsigned below)
{
    random_state = random_state * 1103515245 + 12345;
    return (random_state >> 8) % below;
}

/* ---- One process's deeds: 0, or what went wrong ---- */

static int map_and_check(int me)
{
    size_t pages = 1 + pick(64);
    unsigned char *at = mmap(NULL, pages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        return 1;
    for (size_t i = 0; i < pages; i++)
        at[i * PAGE + i] = (unsigned char)(me + i);
    if (pages > 2 && munmap(at + pages / 2 * PAGE, PAGE))
        return 2;
    for (size_t i = 0; i < pages; i++)
        if ((pages <= 2 || i != pages / 2) && at[i * PAGE + i] != (unsigned char)(me + i))
            return 3;
    return munmap(at, pages * PAGE) ? 4 : 0;
}

static int fork_and_check(int me)
{
    static volatile int private_word;
    int status;
    pid_t pid;

    private_word = me;
    pid = fork();
    if (pid < 0)
        return errno == EAGAIN || errno == ENOMEM ? 0 : 10;
    if (pid == 0) {
        private_word = me + 1;
        _exit(private_word - me);
    }
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 1)
        return 11;
    return private_word == me ? 0 : 12;
}

static int file_and_check(int me)
{
    static char data[20000], back[20000];
    size_t length = 1 + pick(sizeof(data)), offset = pick(100000);
    char name[32], renamed[32], *at;
    int fd, result = 0;

    snprintf(name, sizeof(name), "file-%d", me);
    snprintf(renamed, sizeof(renamed), "renamed-%d", me);
    memset(data, 'a' + me % 26, length);
    fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return 20;
    if (pwrite(fd, data, length, offset) != (ssize_t)length)
        result = 21;
    else if (rename(name, renamed))
        result = 22;
    else if (pread(fd, back, length, offset) != (ssize_t)length || memcmp(data, back, length))
        result = 23;
    at = mmap(NULL, offset + length, RW, MAP_SHARED, fd, 0);
    if (!result && (at == MAP_FAILED || memcmp(at + offset, data, length) || (offset && at[offset / 2])))
        result = 24;
    if (!result) {
        at[offset] = '!';
        if (munmap(at, offset + length) || pread(fd, back, 1, offset) != 1 || back[0] != '!')
            result = 25;
    }
    if (unlink(renamed) && !result)
        result = 26;
    close(fd);
    return result;
}

static int pipe_and_check(int me)
{
    int fds[2], status, result = 0;
    unsigned sum = 0, words[256];
    ssize_t got;
    pid_t pid;

    if (pipe(fds))
        return 30;
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        for (unsigned i = 0; i < 20; i++) {
            for (unsigned k = 0; k < 256; k++)
                words[k] = i * 256 + k + me;
            if (write(fds[1], words, sizeof(words)) != sizeof(words))
                _exit(1);
        }
        _exit(0);
    }
    close(fds[1]);
    while (pid > 0 && (got = read(fds[0], words, sizeof(words))) > 0)
        for (ssize_t k = 0; k < got / 4; k++)
            sum += words[k];
    if (pid > 0 && (waitpid(pid, &status, 0) != pid || status || sum != 5120u * 5119 / 2 + 5120u * (unsigned)me))
        result = 31;
    close(fds[0]);
    return result;
}

static int directory_and_check(int me)
{
    char name[64];
    int result = 0;

    snprintf(name, sizeof(name), "dir-%d", me);
    if (mkdir(name, 0755))
        return 40;
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "dir-%d/%d", me, i);
        if (symlink("target", name))
            result = 41;
    }
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "dir-%d/%d", me, i);
        if (unlink(name))
            result = 42;
    }
    snprintf(name, sizeof(name), "dir-%d", me);
    return rmdir(name) ? 43 : result;
}

static int hammer(int me, int rounds)
{
    static int (*const deeds[])(int) = {map_and_check, fork_and_check, file_and_check, pipe_and_check,
                                        directory_and_check};
    int result = 0;

    random_state = (unsigned)me * 7919 + 1;
    for (int round = 0; round < rounds && !result; round++)
        result = deeds[pick(5)](me);
    return result;
}

static void processes(int count, int rounds)
{
    int status, bad = 0;
    pid_t pid;

    for (int i = 0; i < count; i++) {
        pid = (pid_t)NEED(fork());
        if (pid == 0)
            _exit(hammer(i, rounds));
    }
    while ((pid = wait(&status)) > 0)
        if (status) {
            diag("process %d: status %#x", (int)pid, status);
            bad++;
        }
    IS(bad, 0, "%d processes, %d rounds each", count, rounds);
}

/* ---- One space, many threads ---- */

#define SHARED_PAGES 64

static char *shared;
static volatile int stop;

static void *touch(void *argument)
{
    long me = (long)argument, bad = 0;

    for (int i = 0; i < 20000 && !stop; i++) {
        volatile int *word = (volatile int *)(shared + i % SHARED_PAGES * PAGE) + me;
        int before = *word;

        *word = before + 1; /* each thread has its own word in each page */
        bad += *word != before + 1;
    }
    return (void *)bad;
}

/* Protection goes back and forth between read-write and read-write-execute: loads and stores must never notice. */
static void *change(void *argument UNUSED)
{
    for (int i = 0; !stop; i++) {
        size_t page = i * 7 % SHARED_PAGES;

        mprotect(shared + page * PAGE, PAGE, i % 2 ? RW : RW | PROT_EXEC);
        if (i % 16 == 0)
            sched_yield();
    }
    return NULL;
}

static void *map_beside(void *argument UNUSED)
{
    long bad = 0;

    while (!stop) {
        volatile char *at = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (at == MAP_FAILED)
            return (void *)1;
        for (int i = 0; i < 8; i++)
            bad += at[i * PAGE] != 0;
        at[3 * PAGE] = 5;
        munmap((void *)(at + 2 * PAGE), 4 * PAGE);
        at[0] = 1;
        munmap((void *)at, 8 * PAGE);
    }
    return (void *)bad;
}

static void threads(void)
{
    pthread_t touchers[4], changer, mapper;
    long bad = 0, sum = 0;
    void *result;

    shared = anon(SHARED_PAGES * PAGE, RW);
    stop = 0;
    for (long i = 0; i < 4; i++)
        pthread_create(&touchers[i], NULL, touch, (void *)i);
    pthread_create(&changer, NULL, change, NULL);
    pthread_create(&mapper, NULL, map_beside, NULL);
    for (int i = 0; i < 4; i++) {
        pthread_join(touchers[i], &result);
        bad += (long)result;
    }
    stop = 1;
    pthread_join(changer, NULL);
    pthread_join(mapper, &result);
    for (int page = 0; page < SHARED_PAGES; page++)
        for (int i = 0; i < 4; i++)
            sum += ((int *)(shared + page * PAGE))[i];
    IS(bad, 0, "four threads store while others change protections and map");
    IS(sum, 80000, "and not one store is lost");
    IS((long)result, 0, "new memory was always zero");
    NEED(munmap(shared, SHARED_PAGES * PAGE));
}

/* ---- Unrelated processes that count in one file ---- */

static void shared_counter(void)
{
    int fd = make_file("counter", "", 0), status, bad = 0;

    NEED(ftruncate(fd, PAGE));
    for (int i = 0; i < 4; i++)
        if (NEED(fork()) == 0) {
            int own = open("counter", O_RDWR);
            volatile int *counter = mmap(NULL, PAGE, RW, MAP_SHARED, own, 0);

            for (int k = 0; k < 5000; k++)
                __sync_fetch_and_add(counter, 1);
            _exit(0);
        }
    while (wait(&status) > 0)
        bad |= status;
    int total = 0;
    NEED(pread(fd, &total, 4, 0));
    CHECK(!bad && total == 20000, "four processes count to %d in a mapped file", total);
    close(fd);
}

static void body(void)
{
    int count = tap_arguments[0] ? atoi(tap_arguments[0]) : 8;
    int rounds = tap_arguments[0] && tap_arguments[1] ? atoi(tap_arguments[1]) : 60;

    processes(count, rounds);
    threads();
    shared_counter();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
