/* splice(2), tee(2), vmsplice(2): what moves, what waits, what fails. */
#include "tap.h"
#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define FILE_SIZE 300000

static unsigned char bytes[FILE_SIZE], got[FILE_SIZE];

static int scratch_file(void)
{
    char name[] = "splice.XXXXXX";
    int fd = mkstemp(name);

    unlink(name);
    return fd;
}

static void test_file_through_pipe(void)
{
    int from = scratch_file(), to = scratch_file(), ends[2];
    size_t total = 0;

    for (int i = 0; i < FILE_SIZE; i++)
        bytes[i] = (unsigned char)(i * 31 >> 3);
    if (write(from, bytes, FILE_SIZE) != FILE_SIZE || pipe(ends) < 0)
        return;
    lseek(from, 0, SEEK_SET);
    for (;;) {
        ssize_t n = splice(from, NULL, ends[1], NULL, 70001, SPLICE_F_MOVE);

        if (n <= 0)
            break;
        for (ssize_t left = n; left > 0;) {
            ssize_t m = splice(ends[0], NULL, to, NULL, (size_t)left, 0);

            if (m <= 0)
                break;
            left -= m;
        }
        total += (size_t)n;
    }
    CHECK(total == FILE_SIZE, "a file goes through a pipe into another");
    CHECK(pread(to, got, FILE_SIZE, 0) == FILE_SIZE && memcmp(bytes, got, FILE_SIZE) == 0, "byte for byte");
    CHECK(lseek(from, 0, SEEK_CUR) == FILE_SIZE && lseek(to, 0, SEEK_CUR) == FILE_SIZE, "and moves both positions");
    loff_t offset = 1000;
    CHECK(splice(from, &offset, ends[1], NULL, 10, 0) == 10 && offset == 1010 && lseek(from, 0, SEEK_CUR) == FILE_SIZE,
          "an offset of the caller's leaves the file's");
    CHECK(read(ends[0], got, 100) == 10 && memcmp(got, bytes + 1000, 10) == 0, "the bytes at that offset");
    close(from);
    close(to);
    close(ends[0]);
    close(ends[1]);
}

static void test_pipes(void)
{
    int a[2], b[2];

    if (pipe(a) < 0 || pipe(b) < 0)
        return;
    CHECK(write(a[1], "hello world", 11) == 11 && tee(a[0], b[1], 100, 0) == 11, "tee takes what is there");
    CHECK(read(b[0], got, 100) == 11 && memcmp(got, "hello world", 11) == 0, "the copy");
    CHECK(splice(a[0], NULL, b[1], NULL, 5, 0) == 5, "part of a slot moves");
    CHECK(write(b[1], "!", 1) == 1 && read(b[0], got, 100) == 6 && memcmp(got, "hello!", 6) == 0,
          "writes go behind it");
    CHECK(splice(a[0], NULL, b[1], NULL, 100, 0) == 6, "the rest moves");
    CHECK(write(b[1], "?", 1) == 1 && read(b[0], got, 100) == 7 && memcmp(got, " world?", 7) == 0,
          "and can be appended to");
    CHECK(write(a[1], "x", 1) == 1 && tee(a[0], b[1], 1, 0) == 1 && write(a[1], "y", 1) == 1 &&
              write(b[1], "z", 1) == 1 && read(a[0], got, 9) == 2 && memcmp(got, "xy", 2) == 0 &&
              read(b[0], got, 9) == 2 && memcmp(got, "xz", 2) == 0,
          "after tee each pipe goes its own way");
    FAILS(splice(a[0], NULL, b[1], NULL, 1, SPLICE_F_NONBLOCK), EAGAIN, "empty: EAGAIN");
    FAILS(tee(a[0], b[1], 1, SPLICE_F_NONBLOCK), EAGAIN, "tee too");
    close(a[1]);
    CHECK(splice(a[0], NULL, b[1], NULL, 1, 0) == 0 && tee(a[0], b[1], 1, 0) == 0, "no writer: the end");
    close(a[0]);
    close(b[0]);
    close(b[1]);
}

static void test_vmsplice(void)
{
    int ends[2];
    char first[3] = "abc", second[5000];
    struct iovec vec[2] = {{first, 3}, {second, sizeof(second)}}, back[2] = {{got, 2}, {got + 2, 6000}};

    if (pipe(ends) < 0)
        return;
    memset(second, 'd', sizeof(second));
    CHECK(vmsplice(ends[1], vec, 2, 0) == 5003, "user memory goes into a pipe");
    CHECK(vmsplice(ends[0], back, 2, 0) == 5003 && memcmp(got, "abcddd", 6) == 0 && got[5002] == 'd', "and out of it");
    FAILS(vmsplice(ends[0], back, 1, SPLICE_F_NONBLOCK), EAGAIN, "empty: EAGAIN");
    FAILS(vmsplice(ends[1], vec, 2000, 0), EINVAL, "too many pieces");
    FAILS(vmsplice(ends[1], (void *)8, 1, 0), EFAULT, "a bad vector");
    vec[0].iov_base = (void *)8;
    FAILS(vmsplice(ends[1], vec, 1, 0), EFAULT, "a bad piece");
    FAILS(vmsplice(0x7fffffff, vec, 1, 0), EBADF, "no descriptor");
    close(ends[0]);
    close(ends[1]);
}

static void test_errors(void)
{
    int file = scratch_file(), ends[2], appending;
    loff_t offset = 0;
    char path[40];

    if (pipe(ends) < 0 || write(file, "1234", 4) != 4)
        return;
    FAILS(splice(file, NULL, file, NULL, 1, 0), EINVAL, "no pipe: EINVAL");
    FAILS(splice(ends[0], NULL, ends[1], NULL, 1, 0), EINVAL, "a pipe into itself: EINVAL");
    FAILS(splice(ends[0], &offset, file, NULL, 1, 0), ESPIPE, "an offset in a pipe: ESPIPE");
    FAILS(splice(ends[1], NULL, file, NULL, 1, 0), EBADF, "the wrong end: EBADF");
    FAILS(splice(file, NULL, ends[1], NULL, 1, 0x100), EINVAL, "unknown flags: EINVAL");
    CHECK(splice(file, NULL, ends[1], NULL, 0, 0) == 0, "nothing");
    CHECK(splice(file, NULL, ends[1], NULL, 10, 0) == 0, "the end of a file");
    FAILS(tee(file, ends[1], 1, 0), EINVAL, "tee of a file: EINVAL");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    appending = open(path, O_WRONLY | O_APPEND);
    (void)!write(ends[1], "x", 1);
    FAILS(splice(ends[0], NULL, appending, NULL, 1, 0), EINVAL, "a file that appends: EINVAL");
    CHECK(read(ends[0], got, 9) == 1, "what was not taken stays");
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    offset = 0;
    FAILS(splice(file, &offset, ends[1], NULL, 1, 0), EPIPE, "nobody reads: EPIPE");
    close(ends[1]);
    close(appending);
    close(file);
}

static void *feed(void *arg)
{
    usleep(50000);
    (void)!write(*(int *)arg, "late", 4);
    return NULL;
}

static void test_waiting(void)
{
    int a[2], pair[2];
    pthread_t thread;

    if (pipe(a) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return;
    pthread_create(&thread, NULL, feed, &a[1]);
    CHECK(splice(a[0], NULL, pair[0], NULL, 100, 0) == 4, "an empty pipe is waited for");
    pthread_join(thread, NULL);
    CHECK(splice(pair[1], NULL, a[1], NULL, 100, 0) == 4 && read(a[0], got, 9) == 4 && memcmp(got, "late", 4) == 0,
          "through a socket and back");
    close(a[0]);
    close(a[1]);
    close(pair[0]);
    close(pair[1]);
}

struct waiting_splice {
    int from, to;
    ssize_t moved;
};

static void *splice_it(void *arg)
{
    struct waiting_splice *w = arg;

    w->moved = splice(w->from, NULL, w->to, NULL, 100, 0);
    return NULL;
}

/* While a splice waits for a socket, others may use its pipe. */
static void test_waiting_for_others(void)
{
    int a[2], pair[2];
    struct waiting_splice w;
    ssize_t n, filled = 0;
    pthread_t thread;

    if (access("/proc/quire", F_OK) != 0) {
        skip("a pipe whose splice waits", "Linux keeps the pipe locked meanwhile");
        return;
    }
    if (pipe(a) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return;
    w = (struct waiting_splice){pair[0], a[1], 0};
    pthread_create(&thread, NULL, splice_it, &w);
    usleep(50000);
    CHECK(write(a[1], "mine", 4) == 4 && read(a[0], got, 9) == 4, "a pipe that waits for a socket's bytes can be used");
    CHECK(write(pair[1], "theirs", 6) == 6, "the bytes come");
    pthread_join(thread, NULL);
    CHECK(w.moved == 6 && read(a[0], got, 9) == 6 && memcmp(got, "theirs", 6) == 0, "and go into the pipe");

    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    while ((n = write(pair[0], got, 4096 < sizeof(got) ? 4096 : sizeof(got))) > 0)
        filled += n;
    fcntl(pair[0], F_SETFL, 0);
    CHECK(write(a[1], "first", 5) == 5, "bytes for a socket that is full");
    w = (struct waiting_splice){a[0], pair[0], 0};
    pthread_create(&thread, NULL, splice_it, &w);
    usleep(50000);
    CHECK(write(a[1], "second", 6) == 6, "a pipe whose bytes wait for a socket's room can be used");
    while (filled > 0 && (n = read(pair[1], got, sizeof(got))) > 0)
        filled -= n;
    pthread_join(thread, NULL);
    CHECK(w.moved > 0 && read(pair[1], got, 5) == 5 && memcmp(got, "first", 5) == 0, "and they go in order");
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(pair[i]);
    }
}

static void take_note(int signo UNUSED) {}

static ssize_t volatile read_so_far = -1;

static void *read_it(void *arg)
{
    read_so_far = read(*(int *)arg, got, sizeof(got));
    return NULL;
}

/* What a splice has taken out of a pipe may come back: until then nobody sees the end. */
static void test_end_while_others_wait(void)
{
    struct sigaction action = {.sa_handler = take_note};
    pthread_t splicer, reader;
    struct waiting_splice w;
    int a[2], pair[2];

    NEED(pipe(a) + socketpair(AF_UNIX, SOCK_STREAM, 0, pair) + sigaction(SIGUSR1, &action, NULL));
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    while (write(pair[0], bytes, 4096) > 0)
        ;
    fcntl(pair[0], F_SETFL, 0);
    NEED(write(a[1], "come back", 9));
    close(a[1]);
    w = (struct waiting_splice){a[0], pair[0], 0};
    pthread_create(&splicer, NULL, splice_it, &w);
    usleep(50000);
    pthread_create(&reader, NULL, read_it, &a[0]);
    usleep(100000);
    CHECK(read_so_far == -1, "a reader waits for bytes that a splice may give back");
    pthread_kill(splicer, SIGUSR1);
    pthread_join(splicer, NULL);
    pthread_join(reader, NULL);
    CHECK(w.moved == -1 && read_so_far == 9 && memcmp(got, "come back", 9) == 0, "and gets them");
    CHECK(read(a[0], got, 9) == 0, "then comes the end");
    close(a[0]);
    close(pair[0]);
    close(pair[1]);
}

static void body(void)
{
    test_waiting_for_others();
    test_end_while_others_wait();
    test_file_through_pipe();
    test_pipes();
    test_vmsplice();
    test_errors();
    test_waiting();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
