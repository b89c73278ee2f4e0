/* POSIX message queues: mq_open(2), mq_unlink(2), mq_timedsend(2), mq_timedreceive(2), mq_notify(2), mq_getsetattr(2).
 */
#include "tap.h"

#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sys/time.h>

static char name[40], other[40];

static int status_of(pid_t pid)
{
    int status = -1;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ; /* a notification */
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static struct timespec in_ms(long ms)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static mqd_t open_with(const char *called, int flags, long messages, long size)
{
    struct mq_attr a = {.mq_maxmsg = messages, .mq_msgsize = size};

    return mq_open(called, flags, 0600, &a);
}

static void opening(void)
{
    struct mq_attr a;
    struct stat st;
    mqd_t q, again;
    char longest[300];

    FAILS(mq_open(name, O_RDWR), ENOENT, "mq_open of a name that nobody has");
    FAILS(open_with(name, O_RDWR | O_CREAT, 0, 64), EINVAL, "a queue of no messages");
    FAILS(open_with(name, O_RDWR | O_CREAT, 4, 0), EINVAL, "of empty ones");
    FAILS(open_with(name, O_RDWR | O_CREAT, 65537, 64), EINVAL, "of too many");
    FAILS(open_with(name, O_RDWR | O_CREAT, 4, 16 * 1024 * 1024 + 1), EINVAL, "of too large ones");
    FAILS(open_with(name, O_RDWR | O_CREAT, 1000, 4096), EMFILE, "of more than RLIMIT_MSGQUEUE allows");
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[257] = '\0';
    FAILS(mq_open(longest, O_RDWR), ENAMETOOLONG, "too long a name");
    FAILS((mqd_t)syscall(SYS_mq_open, "a/b", O_RDWR | O_CREAT, 0600, NULL), EACCES, "a name with a slash");
    FAILS((mqd_t)syscall(SYS_mq_open, "", O_RDWR | O_CREAT, 0600, NULL), ENOENT, "an empty one");
    FAILS((mqd_t)syscall(SYS_mq_open, (void *)8, O_RDWR, 0600, NULL), EFAULT, "one from nowhere");
    FAILS((mqd_t)syscall(SYS_mq_open, "x", O_RDWR | O_CREAT, 0600, (void *)8), EFAULT, "attributes from nowhere");
    q = (mqd_t)OKAY(open_with(name, O_RDWR | O_CREAT | O_EXCL, 4, 64), "mq_open with O_CREAT");
    FAILS(open_with(name, O_RDWR | O_CREAT | O_EXCL, 4, 64), EEXIST, "O_EXCL when it is there");
    OKAY(mq_getattr(q, &a), "mq_getattr");
    CHECK(a.mq_maxmsg == 4 && a.mq_msgsize == 64 && a.mq_curmsgs == 0 && a.mq_flags == 0, "as it was made");
    IS(fcntl(q, F_GETFD), FD_CLOEXEC, "the descriptor is closed by execve");
    CHECK(fstat(q, &st) == 0 && (st.st_mode & 07777) == 0600 && st.st_uid == geteuid(), "fstat: mode and owner");
    again = (mqd_t)OKAY(mq_open(name, O_RDONLY | O_NONBLOCK), "opened again");
    mq_getattr(again, &a);
    CHECK(a.mq_flags == O_NONBLOCK && a.mq_maxmsg == 4, "O_NONBLOCK shows");
    FAILS(mq_send(again, "x", 1, 0), EBADF, "mq_send to one that is only read");
    mq_close(again);
    again = (mqd_t)OKAY(mq_open(name, O_WRONLY), "for writing");
    FAILS(mq_receive(again, longest, 64, NULL), EBADF, "mq_receive from one that is only written");
    mq_close(again);
    OKAY(mq_unlink(name), "mq_unlink");
    FAILS(mq_unlink(name), ENOENT, "once");
    FAILS(mq_open(name, O_RDWR), ENOENT, "the name is free");
    OKAY(mq_send(q, "still", 6, 0), "the queue lives on");
    IS(mq_receive(q, longest, 64, NULL), 6, "as long as it is open");
    OKAY(mq_close(q), "mq_close");
    FAILS(mq_send(q, "x", 1, 0), EBADF, "then it is not open");
    FAILS(mq_getattr(0, &a), EBADF, "nor is any other descriptor a queue's");
    q = (mqd_t)OKAY(mq_open(name, O_RDWR | O_CREAT, 0600, NULL), "without attributes");
    mq_getattr(q, &a);
    CHECK(a.mq_maxmsg == 10 && a.mq_msgsize == 8192, "the defaults");
    mq_close(q);
    mq_unlink(name);
}

static void sending(void)
{
    struct timespec past = {0, 0}, bad = {0, 1000000000}, soon;
    struct mq_attr a;
    char text[64];
    unsigned priority = 99;
    mqd_t q = open_with(name, O_RDWR | O_CREAT, 4, 64);

    OKAY(mq_send(q, "low", 4, 1), "mq_send");
    mq_send(q, "high", 5, 32767);
    mq_send(q, "low too", 8, 1);
    mq_send(q, "", 0, 5);
    mq_getattr(q, &a);
    IS(a.mq_curmsgs, 4, "four messages");
    soon = in_ms(30);
    FAILS(mq_timedsend(q, "x", 1, 0, &soon), ETIMEDOUT, "a fifth finds no room in time");
    FAILS(mq_timedsend(q, "x", 1, 0, &past), ETIMEDOUT, "nor in the past");
    FAILS(mq_timedsend(q, "x", 1, 0, &bad), EINVAL, "a time that is none");
    FAILS(mq_receive(q, text, 63, NULL), EMSGSIZE, "too little room to receive");
    IS(mq_receive(q, text, 64, &priority), 5, "the most urgent one first");
    CHECK(strcmp(text, "high") == 0 && priority == 32767, "with its priority");
    CHECK(mq_receive(q, text, 64, &priority) == 0 && priority == 5, "an empty one");
    CHECK(mq_receive(q, text, 64, &priority) == 4 && strcmp(text, "low") == 0, "the older of two");
    CHECK(mq_receive(q, text, 64, NULL) == 8 && strcmp(text, "low too") == 0, "then the younger");
    soon = in_ms(30);
    FAILS(mq_timedreceive(q, text, 64, NULL, &soon), ETIMEDOUT, "no more in time");
    FAILS(mq_timedreceive(q, text, 64, NULL, &bad), EINVAL, "a time that is none");
    OKAY(mq_timedsend(q, "x", 1, 0, &past), "the past does not matter where there is room");
    IS(mq_timedreceive(q, text, 64, NULL, &past), 1, "or a message");
    FAILS(mq_send(q, text, 65, 0), EMSGSIZE, "a message that is too long");
    FAILS(mq_send(q, "x", 1, 32768), EINVAL, "a priority that is too high");
    FAILS(syscall(SYS_mq_timedsend, q, (void *)8, 10, 0, NULL), EFAULT, "a message from nowhere");
    FAILS(syscall(SYS_mq_timedsend, q, "x", 1, 0, (void *)8), EFAULT, "a time from nowhere");
    mq_getattr(q, &a);
    a.mq_flags = O_NONBLOCK;
    a.mq_maxmsg = 7;
    OKAY(mq_setattr(q, &a, NULL), "mq_setattr");
    mq_getattr(q, &a);
    CHECK(a.mq_flags == O_NONBLOCK && a.mq_maxmsg == 4, "changes the flags only");
    FAILS(mq_receive(q, text, 64, NULL), EAGAIN, "then nothing is waited for");
    for (int i = 0; i < 4; i++)
        mq_send(q, "x", 1, 0);
    FAILS(mq_send(q, "x", 1, 0), EAGAIN, "neither is room");
    a.mq_flags = O_APPEND;
    FAILS(mq_setattr(q, &a, NULL), EINVAL, "other flags");
    FAILS(syscall(SYS_mq_getsetattr, q, (void *)8, NULL), EFAULT, "attributes from nowhere");
    FAILS(syscall(SYS_mq_getsetattr, q, NULL, (void *)8), EFAULT, "to nowhere");
    mq_close(q);
    mq_unlink(name);
}

static void on_signal(int signo) { (void)signo; }

static void waiting(void)
{
    struct sigaction act = {.sa_handler = on_signal};
    char text[64];
    mqd_t q = open_with(name, O_RDWR | O_CREAT, 1, 64);
    pid_t pid = fork();

    if (pid == 0)
        _exit(mq_receive(q, text, 64, NULL) == 3 && strcmp(text, "ab") == 0 ? 0 : 1);
    sleep_ms(50);
    OKAY(mq_send(q, "ab", 3, 0), "a message");
    IS(status_of(pid), 0, "wakes who waits for it");
    mq_send(q, "full", 5, 0);
    pid = fork();
    if (pid == 0)
        _exit(mq_send(q, "second", 7, 0) == 0 ? 0 : 1);
    sleep_ms(50);
    IS(mq_receive(q, text, 64, NULL), 5, "room");
    IS(status_of(pid), 0, "wakes who waits for that");
    IS(mq_receive(q, text, 64, NULL), 7, "and then there is its message");
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 50000}}, NULL);
    FAILS(mq_receive(q, text, 64, NULL), EINTR, "a signal ends the wait");
    mq_close(q);
    mq_unlink(name);
}

static void polling(void)
{
    char text[64];
    mqd_t q = open_with(name, O_RDWR | O_CREAT, 2, 64);
    struct pollfd p = {.fd = q, .events = POLLIN | POLLOUT};
    pid_t pid;

    CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLOUT, "poll: an empty queue has room");
    mq_send(q, "a", 1, 0);
    CHECK(poll(&p, 1, 0) == 1 && p.revents == (POLLIN | POLLOUT), "and with a message both");
    mq_send(q, "b", 1, 0);
    CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLIN, "a full one has messages");
    mq_receive(q, text, 64, NULL);
    mq_receive(q, text, 64, NULL);
    pid = fork();
    if (pid == 0) {
        sleep_ms(30);
        _exit(mq_send(q, "c", 1, 0) != 0);
    }
    p.events = POLLIN;
    CHECK(poll(&p, 1, 10000) == 1 && p.revents == POLLIN, "poll waits for one");
    status_of(pid);
    mq_close(q);
    mq_unlink(name);
}

static volatile int told;
static siginfo_t telling;

static void on_message(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    telling = *info;
    told++;
}

static void notification(void)
{
    struct sigaction act = {.sa_sigaction = on_message, .sa_flags = SA_SIGINFO};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
    char text[64], line[100] = {0};
    mqd_t q = open_with(name, O_RDWR | O_CREAT, 4, 64), again;
    pid_t pid;

    sigaction(SIGUSR1, &act, NULL);
    OKAY(mq_notify(q, &event), "mq_notify");
    FAILS(mq_notify(q, &event), EBUSY, "one at a time");
    IS(pread(q, line, sizeof(line) - 1, 0) > 0, 1, "read tells of it");
    CHECK(strncmp(line, "QSIZE:0 ", 8) == 0 && strstr(line, "SIGNO:10 ") != NULL, "by its signal");
    pid = fork();
    if (pid == 0)
        _exit(mq_notify(q, &event) != -1 || errno != EBUSY || mq_send(q, "x", 1, 0) != 0);
    IS(status_of(pid), 0, "another process sends");
    for (int i = 0; i < 1000 && told == 0; i++)
        sleep_ms(5);
    CHECK(told == 1 && telling.si_code == SI_MESGQ && telling.si_value.sival_int == 42 && telling.si_pid == pid &&
              telling.si_uid == getuid(),
          "the signal says who");
    mq_send(q, "y", 1, 0);
    IS(told, 1, "once");
    OKAY(mq_notify(q, &event), "again");
    mq_send(q, "z", 1, 0);
    IS(told, 1, "not while the queue is not empty");
    while (mq_receive(q, text, 64, NULL) > 0 && text[0] != 'z')
        ;
    mq_send(q, "w", 1, 0);
    IS(told, 2, "but then");
    mq_receive(q, text, 64, NULL);
    OKAY(mq_notify(q, &event), "once more");
    OKAY(mq_notify(q, NULL), "and taken back");
    mq_send(q, "v", 1, 0);
    IS(told, 2, "nothing comes");
    mq_receive(q, text, 64, NULL);
    mq_notify(q, &event);
    again = mq_open(name, O_RDONLY);
    mq_close(again);
    mq_send(q, "u", 1, 0);
    IS(told, 2, "nor after the process has closed a descriptor of it");
    mq_receive(q, text, 64, NULL);
    pid = fork();
    if (pid == 0) {
        mq_notify(q, &event);
        _exit(0);
    }
    status_of(pid);
    OKAY(mq_notify(q, &event), "who has ended is not told any more");
    pid = fork();
    if (pid == 0)
        _exit(mq_receive(q, text, 64, NULL) != 1);
    sleep_ms(50);
    mq_send(q, "t", 1, 0);
    IS(status_of(pid), 0, "a message that is waited for");
    IS(told, 2, "tells nobody");
    mq_notify(q, NULL);
    event.sigev_notify = SIGEV_NONE;
    OKAY(mq_notify(q, &event), "SIGEV_NONE");
    mq_send(q, "s", 1, 0);
    OKAY(mq_notify(q, &event), "is used up by a message, too");
    event.sigev_notify = 77;
    FAILS(mq_notify(q, &event), EINVAL, "an unknown way");
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = 65;
    FAILS(mq_notify(q, &event), EINVAL, "no signal");
    FAILS(syscall(SYS_mq_notify, q, (void *)8), EFAULT, "from nowhere");
    FAILS(mq_notify(0, NULL), EBADF, "no queue");
    mq_close(q);
    mq_unlink(name);
}

static int as_nobody(void)
{
    mqd_t q;

    if (setgid(65534) != 0 || setuid(65534) != 0)
        return 1;
    if (mq_open(name, O_RDONLY) != -1 || errno != EACCES)
        return 2;
    if (mq_unlink(name) != -1 || (errno != EPERM && errno != EACCES))
        return 3;
    if (open_with(other, O_RDWR | O_CREAT, 11, 64) != -1 || errno != EINVAL)
        return 4;
    if (open_with(other, O_RDWR | O_CREAT, 4, 8193) != -1 || errno != EINVAL)
        return 5;
    q = open_with(other, O_RDWR | O_CREAT, 10, 8192);
    if (q == -1 || mq_close(q) != 0 || mq_unlink(other) != 0)
        return 6;
    return 0;
}

static long setting(const char *file)
{
    char path[60], text[30] = {0};
    int fd;

    snprintf(path, sizeof(path), "/proc/sys/fs/mqueue/%s", file);
    fd = open(path, O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        return -1;
    close(fd);
    return atol(text);
}

static void permissions(void)
{
    struct rlimit limit, small = {4096, 4096};
    mqd_t q;
    pid_t pid;

    if (geteuid() != 0)
        return;
    q = open_with(name, O_RDWR | O_CREAT, 4, 64);
    pid = fork();
    if (pid == 0)
        _exit(as_nobody());
    IS(status_of(pid), 0, "others may not open, unlink, or have more than the limits");
    mq_close(q);
    mq_unlink(name);
    CHECK(setting("msg_max") == 10 && setting("msgsize_max") == 8192 && setting("queues_max") == 256 &&
              setting("msg_default") == 10 && setting("msgsize_default") == 8192,
          "the limits of /proc/sys/fs/mqueue");
    pid = fork();
    if (pid == 0) {
        getrlimit(RLIMIT_MSGQUEUE, &limit);
        setrlimit(RLIMIT_MSGQUEUE, &small);
        _exit(limit.rlim_cur != 819200 || open_with(name, O_RDWR | O_CREAT, 10, 1024) != -1 || errno != EMFILE ||
              open_with(name, O_RDWR | O_CREAT, 10, 64) == -1);
    }
    IS(status_of(pid), 0, "RLIMIT_MSGQUEUE");
    mq_unlink(name);
}

/* Threads that send and receive at the same time. */
#define EACH 400

static void *sends(void *argument)
{
    mqd_t q = *(mqd_t *)argument;

    for (int i = 0; i < EACH; i++)
        mq_send(q, (char *)&i, sizeof(i), (unsigned)i % 3);
    return NULL;
}

static void *receives(void *argument)
{
    mqd_t q = *(mqd_t *)argument;
    long sum = 0;
    int i;

    for (int n = 0; n < EACH; n++)
        if (mq_receive(q, (char *)&i, sizeof(i), NULL) == sizeof(i))
            sum += i;
    return (void *)sum;
}

static void together(void)
{
    mqd_t q = open_with(name, O_RDWR | O_CREAT, 5, sizeof(int));
    pthread_t senders[3], receivers[3];
    long sum = 0;
    void *part;

    for (int i = 0; i < 3; i++) {
        pthread_create(&senders[i], NULL, sends, &q);
        pthread_create(&receivers[i], NULL, receives, &q);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(senders[i], NULL);
        pthread_join(receivers[i], &part);
        sum += (long)part;
    }
    IS(sum, 3L * EACH * (EACH - 1) / 2, "three threads receive what three send, each message once");
    mq_close(q);
    mq_unlink(name);
}

/* ---- long messages ---- */

#define LONGEST (8UL << 20)
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))

static void fill_text(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(i * 31 + i / PAGE);
}

/* Of all lengths around what a page holds, and one that needs more memory than the kernel has in one piece. */
static void long_messages(void)
{
    static const size_t around[] = {0, 1, 2000, PAGE - 100, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE - 80, 3 * PAGE, LONGEST};
    struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY}, before;
    char *text, *got;
    unsigned wrong = 0, priority;
    mqd_t q;

    if (geteuid() != 0) {
        skip("long messages", "need root");
        return;
    }
    NEED(getrlimit(RLIMIT_MSGQUEUE, &before));
    NEED(setrlimit(RLIMIT_MSGQUEUE, &most));
    q = (mqd_t)OKAY(open_with(name, O_RDWR | O_CREAT, 10, LONGEST), "a queue of messages of 8 MiB");
    NEED(setrlimit(RLIMIT_MSGQUEUE, &before));
    text = anon(LONGEST, PROT_READ | PROT_WRITE);
    got = anon(LONGEST, PROT_READ | PROT_WRITE);
    fill_text(text, LONGEST);
    for (unsigned i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
        ssize_t n;

        memset(got, 0x55, MIN_OF(around[i] + 100, LONGEST));
        NEED(mq_send(q, text, around[i], i));
        n = mq_receive(q, got, LONGEST, &priority);
        wrong += n != (ssize_t)around[i] || priority != i || memcmp(got, text, around[i]) != 0 ||
                 (around[i] < LONGEST && got[around[i]] != 0x55);
    }
    IS(wrong, 0, "messages of all lengths come as they were sent");
    NEED(munmap(text + 5 * PAGE, PAGE));
    FAILS(mq_send(q, text, 8 * PAGE, 1), EFAULT, "text of which a page is missing");
    NEED(mq_send(q, text, 4 * PAGE, 1));
    FAILS(syscall(SYS_mq_timedreceive, q, text + 3 * PAGE, LONGEST, NULL, NULL), EFAULT, "no place for all of it");
    mq_close(q);
    mq_unlink(name);
    munmap(text, LONGEST);
    munmap(got, LONGEST);
}

static void body(void)
{
    snprintf(name, sizeof(name), "/quire-%d", getpid());
    snprintf(other, sizeof(other), "/quire-%d-other", getpid());
    opening();
    sending();
    waiting();
    polling();
    notification();
    permissions();
    together();
    long_messages();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
