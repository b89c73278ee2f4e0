/* System V message queues: msgget(2), msgsnd(2), msgrcv(2), msgctl(2). */
#include "tap.h"

#include <sys/ipc.h>
#include <sys/msg.h>

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif
#ifndef MSG_EXCEPT
#define MSG_EXCEPT 020000
#endif

struct text {
    long type;
    char bytes[8200];
};

static int queue;

static int send_text(long type, const char *bytes, int flags)
{
    static struct text m;

    m.type = type;
    strcpy(m.bytes, bytes);
    return msgsnd(queue, &m, strlen(bytes) + 1, flags);
}

/* Whether the next message that TYPE and FLAGS mean is WANT. */
static int receives(long type, int flags, const char *want)
{
    struct text m = {0};
    ssize_t n = msgrcv(queue, &m, sizeof(m.bytes), type, flags);

    if (n != (ssize_t)strlen(want) + 1 || strcmp(m.bytes, want) != 0)
        diag("got %zd bytes, '%s'", n, m.bytes);
    return n == (ssize_t)strlen(want) + 1 && strcmp(m.bytes, want) == 0;
}

static void making(void)
{
    key_t key = (key_t)(0x51550000 + getpid());
    int id, other;

    FAILS(msgget(key, 0), ENOENT, "msgget of a key that nobody has");
    id = (int)OKAY(msgget(key, IPC_CREAT | 0600), "IPC_CREAT makes it");
    IS(msgget(key, 0), id, "then it is found");
    FAILS(msgget(key, IPC_CREAT | IPC_EXCL | 0600), EEXIST, "IPC_EXCL: it must not be there");
    other = (int)OKAY(msgget(IPC_PRIVATE, 0600), "IPC_PRIVATE");
    CHECK(other != id, "is always another one");
    OKAY(msgctl(other, IPC_RMID, NULL), "IPC_RMID");
    FAILS(msgctl(other, IPC_RMID, NULL), EINVAL, "once");
    OKAY(msgctl(id, IPC_RMID, NULL), "of the other, too");
    FAILS(msgget(key, 0), ENOENT, "whose key is free again");
    FAILS(msgctl(-1, IPC_STAT, NULL), EINVAL, "msgctl of no queue");
}

static void order(void)
{
    struct text m;

    send_text(3, "three", 0);
    send_text(2, "two", 0);
    send_text(5, "five", 0);
    send_text(2, "two again", 0);
    CHECK(receives(1, IPC_NOWAIT | MSG_COPY, "two"), "MSG_COPY shows the one in a place");
    CHECK(receives(2, IPC_NOWAIT, "two"), "by type: the first that has it");
    CHECK(receives(3, IPC_NOWAIT | MSG_EXCEPT, "five"), "MSG_EXCEPT: the first that has it not");
    CHECK(receives(-4, IPC_NOWAIT, "two again"), "negative: the lowest type up to it");
    CHECK(receives(0, IPC_NOWAIT, "three"), "0: the oldest");
    FAILS(msgrcv(queue, &m, 10, 0, IPC_NOWAIT), ENOMSG, "an empty queue with IPC_NOWAIT");
    FAILS(msgrcv(queue, &m, 10, 0, IPC_NOWAIT | MSG_COPY), ENOMSG, "and nothing in that place");
    FAILS(msgrcv(queue, &m, 10, 0, MSG_COPY), EINVAL, "MSG_COPY does not wait");
    FAILS(msgrcv(queue, &m, 10, 0, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT), EINVAL, "nor goes with MSG_EXCEPT");
    send_text(1, "a longer one", 0);
    FAILS(msgrcv(queue, &m, 4, 0, 0), E2BIG, "a message that is too long stays");
    IS(msgrcv(queue, &m, 4, 0, MSG_NOERROR), 4, "and is cut with MSG_NOERROR");
    m.type = 7;
    OKAY(msgsnd(queue, &m, 0, 0), "a message without text");
    IS(msgrcv(queue, &m, 0, 7, 0), 0, "is received");
}

static void errors(void)
{
    static struct text m = {.type = 1};

    FAILS(msgsnd(queue, &m, 8193, 0), EINVAL, "longer than 8192 bytes");
    FAILS(msgsnd(queue, &m, SIZE_MAX, 0), EINVAL, "much longer");
    m.type = 0;
    FAILS(msgsnd(queue, &m, 1, 0), EINVAL, "type 0");
    m.type = -1;
    FAILS(msgsnd(queue, &m, 1, 0), EINVAL, "a negative one");
    FAILS(msgsnd(queue, (void *)8, 1, 0), EFAULT, "an address that is none");
    m.type = 1;
    FAILS(msgsnd(0x7ffffff0, &m, 1, 0), EINVAL, "no such queue");
    FAILS(msgrcv(0x7ffffff0, &m, 1, 0, 0), EINVAL, "nor to receive from");
    FAILS(msgrcv(queue, &m, SIZE_MAX, 0, 0), EINVAL, "a negative size");
    FAILS(msgctl(queue, 99, NULL), EINVAL, "an unknown command");
}

static void limits(void)
{
    static struct text m = {.type = 1};
    struct msqid_ds ds;
    struct msginfo info;

    OKAY(msgctl(queue, IPC_STAT, &ds), "IPC_STAT");
    CHECK(ds.msg_qbytes == 16384 && ds.msg_qnum == 0 && ds.msg_perm.mode == 0600 && ds.msg_lspid == getpid(),
          "16384 bytes, none used, the last sender");
    OKAY(msgsnd(queue, &m, 8192, IPC_NOWAIT) | msgsnd(queue, &m, 8192, IPC_NOWAIT), "two of the longest");
    FAILS(msgsnd(queue, &m, 1, IPC_NOWAIT), EAGAIN, "then it is full");
    msgctl(queue, IPC_STAT, &ds);
    CHECK(ds.__msg_cbytes == 16384 && ds.msg_qnum == 2, "and says so");
    if (geteuid() == 0) {
        ds.msg_qbytes = 20000;
        ds.msg_perm.mode = 0700;
        OKAY(msgctl(queue, IPC_SET, &ds), "IPC_SET");
        OKAY(msgsnd(queue, &m, 1, IPC_NOWAIT), "makes room");
        msgctl(queue, IPC_STAT, &ds);
        IS(ds.msg_perm.mode, 0700, "and sets the permissions");
        msgrcv(queue, &m, 8192, 0, 0);
    }
    CHECK(msgctl(0, IPC_INFO, (void *)&info) >= 0 && info.msgmax == 8192 && info.msgmnb == 16384, "IPC_INFO");
    while (msgrcv(queue, &m, 8192, 0, IPC_NOWAIT) >= 0)
        ;
}

static int stranger(void *unused UNUSED)
{
    struct msqid_ds ds;
    struct text m = {.type = 1};

    NEED(setresuid(12345, 12345, 12345));
    if (msgsnd(queue, &m, 1, 0) == 0 || errno != EACCES)
        return 1;
    if (msgrcv(queue, &m, 1, 0, 0) >= 0 || errno != EACCES)
        return 2;
    if (msgctl(queue, IPC_STAT, &ds) == 0 || errno != EACCES)
        return 3;
    return msgctl(queue, IPC_RMID, NULL) == 0 || errno != EPERM ? 4 : 0;
}

static void nothing(int signo UNUSED) {}

static int interrupted(void *unused UNUSED)
{
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    struct text m;

    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    return msgrcv(queue, &m, 1, 0, 0) < 0 && errno == EINTR ? 0 : 1;
}

static int receive_all(void *unused UNUSED)
{
    struct text m;
    int n = 0;

    while (msgrcv(queue, &m, sizeof(m.bytes), 0, 0) > 0)
        n++;
    return errno == EIDRM && n == 400 ? 0 : 1;
}

static void waiting(void)
{
    int status = 1, good = 1;
    pid_t pid = (pid_t)NEED(fork());

    if (pid == 0)
        _exit(receive_all(NULL));
    for (int i = 0; i < 400; i++) { /* more than fit at once */
        static char text[400];

        memset(text, 'x', sizeof(text) - 1);
        good &= send_text(1 + i % 3, text, 0) == 0;
    }
    CHECK(good, "a sender waits for room");
    for (struct msqid_ds ds = {.msg_qnum = 1}; ds.msg_qnum > 0; sleep_ms(5))
        msgctl(queue, IPC_STAT, &ds);
    EXITS(interrupted, NULL, 0, "a wait that a signal interrupts is EINTR, SA_RESTART or not");
    OKAY(msgctl(queue, IPC_RMID, NULL), "a queue that somebody waits for is removed");
    waitpid(pid, &status, 0);
    IS(status, 0, "who gets EIDRM, after all messages");
}

/* ---- lengths ---- */

/* Around what a page holds; a copy of each, too. */
static void lengths(void)
{
    static const size_t around[] = {0,        1,    2000,     PAGE - 80,     PAGE - 40,
                                    PAGE - 1, PAGE, PAGE + 1, 2 * PAGE - 50, 2 * PAGE};
    struct {
        long type;
        char bytes[2 * PAGE];
    } sent = {.type = 1}, got, copy;
    int q = (int)NEED(msgget(IPC_PRIVATE, 0600));
    unsigned wrong = 0, copied = 0;

    for (size_t i = 0; i < sizeof(sent.bytes); i++)
        sent.bytes[i] = (char)(i * 31 + i / PAGE);
    for (unsigned i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
        size_t n = around[i];

        NEED(msgsnd(q, &sent, n, 0));
        if (msgrcv(q, &copy, sizeof(copy.bytes), 0, MSG_COPY | IPC_NOWAIT) == (ssize_t)n)
            copied += memcmp(copy.bytes, sent.bytes, n) == 0;
        else
            copied += errno == ENOSYS; /* where checkpointing is not configured */
        wrong += msgrcv(q, &got, sizeof(got.bytes), 0, 0) != (ssize_t)n || memcmp(got.bytes, sent.bytes, n) != 0;
        NEED(msgsnd(q, &sent, n, 0));
        wrong +=
            msgrcv(q, &got, n / 2, 0, MSG_NOERROR) != (ssize_t)(n / 2) || memcmp(got.bytes, sent.bytes, n / 2) != 0;
    }
    IS(wrong, 0, "messages of all lengths come as they were sent, or cut short");
    IS(copied, sizeof(around) / sizeof(around[0]), "and so do copies");
    NEED(msgctl(q, IPC_RMID, NULL));
}

/* ---- many keys ---- */

#define KEYS 400

/* In no order, from one end of the numbers to the other. */
static key_t key_of(unsigned i)
{
    key_t key = (key_t)((i + 1) * 0x9e3779b1u + (unsigned)getpid() * 4096);

    return key == IPC_PRIVATE ? 1 : key;
}

static void many_keys(void)
{
    static int ids[KEYS];
    unsigned wrong = 0;

    for (unsigned i = 0; i < KEYS; i++)
        ids[i] = (int)NEED(msgget(key_of(i), IPC_CREAT | IPC_EXCL | 0600));
    for (unsigned i = 0; i < KEYS; i++)
        wrong += msgget(key_of(i), 0) != ids[i];
    IS(wrong, 0, "each of %d keys finds its queue", KEYS);
    for (unsigned i = 0; i < KEYS; i += 3)
        NEED(msgctl(ids[i], IPC_RMID, NULL));
    for (unsigned i = 0; i < KEYS; i++)
        wrong += msgget(key_of(i), 0) != (i % 3 == 0 ? -1 : ids[i]);
    IS(wrong, 0, "also when a third of them is gone");
    for (unsigned i = 0; i < KEYS; i += 3)
        ids[i] = (int)NEED(msgget(key_of(i), IPC_CREAT | IPC_EXCL | 0600));
    for (unsigned i = 0; i < KEYS; i++)
        wrong += msgget(key_of(i), 0) != ids[i] || msgctl(ids[i], IPC_RMID, NULL) != 0;
    IS(wrong, 0, "and there again");
}

static void body(void)
{
    making();
    queue = (int)OKAY(msgget(IPC_PRIVATE, 0600), "a queue");
    order();
    errors();
    limits();
    if (geteuid() == 0)
        EXITS(stranger, NULL, 0, "another user may neither use nor remove it");
    else
        skip("another user may neither use nor remove it", "needs root");
    waiting();
    many_keys();
    lengths();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
