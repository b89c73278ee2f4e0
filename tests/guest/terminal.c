/*
 * Terminals: line editing, raw reads with MIN and TIME, echo and output processing, flow control, queues, polling, the
 * window's size, and that nothing is lost under load. On a pseudo-terminal. Sources: termios(3), tty_ioctl(4), pty(7).
 */
#include "tap.h"

#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master, slave;

static void open_pair(void)
{
    int number, unlock = 0;
    char name[64];

    master = (int)NEED(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
    NEED(ioctl(master, TIOCSPTLCK, &unlock));
    NEED(ioctl(master, TIOCGPTN, &number));
    snprintf(name, sizeof(name), "/dev/pts/%d", number);
    slave = (int)NEED(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
}

static void close_pair(void)
{
    close(slave);
    close(master);
}

static void type(const char *keys) { NEED(write(master, keys, strlen(keys))); }

/* What the other side reads within a moment, as a string: "" is end of file, "(none)" nothing. */
static const char *read_from(int fd)
{
    static char text[4200];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t got;

    if (poll(&p, 1, 200) == 0)
        return "(none)";
    got = read(fd, text, sizeof(text) - 1);
    if (got < 0)
        return errno_name(errno);
    text[got] = '\0';
    return text;
}

/* TEXT has come to FD, perhaps in pieces. */
static int brings(int fd, const char *text)
{
    char all[4200] = "";

    while (strlen(all) < strlen(text)) {
        const char *part = read_from(fd);

        if (strcmp(part, "(none)") == 0)
            break;
        strncat(all, part, sizeof(all) - strlen(all) - 1);
    }
    if (strcmp(all, text) == 0)
        return 1;
    for (char *c = all; *c; c++)
        if (*c < ' ')
            *c = '.';
    diag("got '%.100s'", all);
    return 0;
}

static void set_flags(tcflag_t on, tcflag_t off)
{
    struct termios t;

    NEED(tcgetattr(slave, &t));
    t.c_lflag = (t.c_lflag | on) & ~off;
    NEED(tcsetattr(slave, TCSANOW, &t));
}

static void set_raw(int min, int time)
{
    struct termios t;

    NEED(tcgetattr(slave, &t));
    cfmakeraw(&t);
    t.c_cc[VMIN] = (cc_t)min;
    t.c_cc[VTIME] = (cc_t)time;
    NEED(tcsetattr(slave, TCSANOW, &t));
}

static void lines(void)
{
    int n;

    open_pair();
    type("not yet");
    CHECK(!strcmp(read_from(slave), "(none)"), "an unfinished line cannot be read");
    OKAY(ioctl(slave, FIONREAD, &n), "FIONREAD");
    IS(n, 0, "counts finished lines only");
    type("\rtwo\n");
    CHECK(!strcmp(read_from(slave), "not yet\n"), "Enter ends it");
    CHECK(!strcmp(read_from(slave), "two\n"), "a read is one line");
    CHECK(brings(master, "not yet\r\ntwo\r\n"), "both were echoed");
    type("ab\x7f"
         "c\n");
    CHECK(!strcmp(read_from(slave), "ac\n"), "erase");
    CHECK(brings(master, "ab\b \bc\r\n"), "and its picture");
    type("one two\x17three\n");
    CHECK(!strcmp(read_from(slave), "one three\n"), "word erase");
    type("wrong\x15right\n");
    CHECK(!strcmp(read_from(slave), "right\n"), "kill");
    type("\x16\x03\n");
    CHECK(!strcmp(read_from(slave), "\x03\n"), "a quoted key");
    type("end\x04");
    CHECK(!strcmp(read_from(slave), "end"), "end of file sends what there is");
    type("\x04");
    CHECK(!strcmp(read_from(slave), ""), "and alone reads as 0 bytes");
    tcflush(master, TCIOFLUSH);
    set_flags(0, ECHO);
    type("secret\n");
    CHECK(!strcmp(read_from(slave), "secret\n") && !strcmp(read_from(master), "(none)"),
          "without ECHO nothing is shown");
    type("gone");
    tcflush(slave, TCIFLUSH);
    type("kept\n");
    CHECK(!strcmp(read_from(slave), "kept\n"), "TCIFLUSH forgets what was typed");
    close_pair();
}

static double seconds_of_read(ssize_t *got, size_t want)
{
    struct timespec before, after;
    char bytes[64];

    clock_gettime(CLOCK_MONOTONIC, &before);
    *got = read(slave, bytes, want);
    clock_gettime(CLOCK_MONOTONIC, &after);
    return (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
}

static void *type_slowly(void *unused UNUSED)
{
    for (int i = 0; i < 4; i++) {
        sleep_ms(50);
        type("x");
    }
    return NULL;
}

static void raw_reads(void)
{
    pthread_t typist;
    double took;
    ssize_t got;

    open_pair();
    set_raw(0, 0);
    took = seconds_of_read(&got, 10);
    CHECK(got == 0 && took < 0.1, "MIN 0, TIME 0: a read never waits");
    type("abc");
    sleep_ms(20);
    seconds_of_read(&got, 10);
    IS(got, 3, "and takes what is there");
    set_raw(0, 2);
    took = seconds_of_read(&got, 10);
    CHECK(got == 0 && took > 0.15 && took < 1.5, "MIN 0, TIME 2: it waits 0.2 seconds");
    set_raw(3, 0);
    NEED(pthread_create(&typist, NULL, type_slowly, NULL));
    took = seconds_of_read(&got, 10);
    pthread_join(typist, NULL);
    CHECK(got >= 3 && took > 0.1, "MIN 3, TIME 0: it waits for three bytes");
    tcflush(slave, TCIFLUSH);
    set_raw(10, 2);
    NEED(pthread_create(&typist, NULL, type_slowly, NULL));
    took = seconds_of_read(&got, 10);
    pthread_join(typist, NULL);
    CHECK(got == 4 && took > 0.3, "MIN 10, TIME 2: a pause between bytes ends it");
    set_raw(1, 0);
    type("\r\n\x03\x04\x7f");
    CHECK(!strcmp(read_from(slave), "\r\n\x03\x04\x7f"), "raw: all bytes as they are");
    NEED(fcntl(slave, F_SETFL, O_NONBLOCK));
    FAILS(read(slave, &got, 1), EAGAIN, "O_NONBLOCK");
    close_pair();
}

static void output(void)
{
    struct termios t;
    int n;

    open_pair();
    NEED(write(slave, "a\nb", 3));
    CHECK(brings(master, "a\r\nb"), "ONLCR");
    NEED(tcgetattr(slave, &t));
    t.c_oflag &= ~(tcflag_t)OPOST;
    NEED(tcsetattr(slave, TCSADRAIN, &t));
    NEED(write(slave, "a\nb", 3));
    CHECK(brings(master, "a\nb"), "without OPOST");
    OKAY(tcflow(slave, TCOOFF), "TCOOFF");
    NEED(fcntl(slave, F_SETFL, O_NONBLOCK));
    FAILS(write(slave, "x", 1), EAGAIN, "holds writers");
    OKAY(tcflow(slave, TCOON), "TCOON");
    IS(write(slave, "x", 1), 1, "lets them go on");
    CHECK(brings(master, "x"), "and it arrives");
    type("\x13");
    sleep_ms(50);
    FAILS(write(slave, "x", 1), EAGAIN, "so does Ctrl-S");
    type("\x11");
    sleep_ms(50);
    IS(write(slave, "x", 1), 1, "Ctrl-Q");
    CHECK(brings(master, "x"), "arrives too");
    OKAY(ioctl(slave, TIOCOUTQ, &n), "TIOCOUTQ");
    OKAY(tcdrain(slave), "tcdrain");
    close_pair();
}

static volatile sig_atomic_t resized;
static void note_resize(int signo UNUSED) { resized = 1; }

/* The leader of a session hears of a new size once. */
static int hears_resize(void *unused UNUSED)
{
    struct winsize size = {.ws_row = 30, .ws_col = 90};

    if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
        return 1;
    signal(SIGWINCH, note_resize);
    if (ioctl(master, TIOCSWINSZ, &size) || !resized)
        return 2;
    resized = 0;
    return ioctl(slave, TIOCSWINSZ, &size) || resized ? 3 : 0;
}

/* A session leader that opens a terminal gets it as its own, unless it says O_NOCTTY. */
static int claims(void *flags)
{
    char name[64];
    int number, tty;

    if (setsid() < 0 || ioctl(master, TIOCGPTN, &number))
        return 1;
    snprintf(name, sizeof(name), "/dev/pts/%d", number);
    if (open(name, O_RDWR | *(int *)flags) < 0)
        return 2;
    tty = open("/dev/tty", O_RDWR);
    return tty >= 0 ? 10 : errno == ENXIO ? 11 : 3;
}

/* An ordinary user's terminal is the user's own. */
static int opens_as_user(void *unused UNUSED)
{
    char name[64];
    int number, unlock = 0, fd;

    if (setgid(1000) || setuid(1000))
        return 1;
    fd = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    if (fd < 0 || ioctl(fd, TIOCSPTLCK, &unlock) || ioctl(fd, TIOCGPTN, &number))
        return 2;
    snprintf(name, sizeof(name), "/dev/pts/%d", number);
    return open(name, O_RDWR | O_NOCTTY) < 0 ? 3 : 0;
}

static void owners(void)
{
    int flags = O_NOCTTY;

    open_pair();
    EXITS(claims, &flags, 11, "O_NOCTTY: it stays nobody's");
    IS(fcntl(slave, F_GETFL) & O_NOCTTY, 0, "and F_GETFL does not show it");
    flags = 0;
    EXITS(claims, &flags, 10, "without it becomes the session's");
    close_pair();
    EXITS(opens_as_user, NULL, 0, "a user's terminal belongs to the user");
}

static void sizes(void)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80}, seen;
    struct termios t;

    open_pair();
    OKAY(ioctl(slave, TIOCSWINSZ, &size), "TIOCSWINSZ");
    OKAY(ioctl(master, TIOCGWINSZ, &seen), "TIOCGWINSZ from the other side");
    CHECK(seen.ws_row == 24 && seen.ws_col == 80, "the same size");
    CHECK(isatty(slave) && isatty(master), "both are terminals");
    OKAY(tcgetattr(slave, &t), "tcgetattr");
    FAILS(ioctl(slave, TCGETS, 8), EFAULT, "into nowhere");
    FAILS(tcgetsid(slave), ENOTTY, "it is nobody's controlling terminal");
    FAILS(ioctl(slave, 0x4b3a, 0), ENOTTY, "a console's ioctl");
    EXITS(hears_resize, NULL, 0, "SIGWINCH when it changed, only then");
    OKAY(tcgetattr(slave, &t), "the end of its session leaves a pseudo-terminal as it is");
    close_pair();
}

static void polling(void)
{
    struct pollfd p[2];

    open_pair();
    p[0] = (struct pollfd){.fd = slave, .events = POLLIN | POLLOUT};
    p[1] = (struct pollfd){.fd = master, .events = POLLIN | POLLOUT};
    NEED(poll(p, 2, 0));
    CHECK(p[0].revents == POLLOUT && p[1].revents == POLLOUT, "both sides can be written to");
    type("a");
    NEED(poll(p, 2, 0));
    IS(p[0].revents, POLLOUT, "half a line is no input");
    type("\n");
    NEED(poll(p, 2, 100));
    CHECK(p[0].revents & POLLIN, "a line is");
    CHECK(p[1].revents & POLLIN, "its echo too");
    close(slave);
    poll(p + 1, 1, 100);
    CHECK(p[1].revents & POLLHUP, "the other side is gone: POLLHUP");
    while (read(master, p, sizeof(p)) > 0)
        ;
    IS(errno, EIO, "and EIO once everything is read");
    close(master);
}

#define LOAD (1024 * 1024)

static void *write_load(void *fd)
{
    static unsigned char bytes[LOAD];

    for (unsigned i = 0; i < LOAD; i++)
        bytes[i] = (unsigned char)(i * 7 + (i >> 8) * 13);
    for (ssize_t done = 0, n; done < LOAD; done += n)
        if ((n = write(*(int *)fd, bytes + done, (size_t)(LOAD - done))) <= 0)
            return (void *)"write failed";
    return NULL;
}

static int arrives_whole(int from, int to)
{
    unsigned char bytes[1000];
    unsigned at = 0, wrong = 0;
    pthread_t writer;

    NEED(pthread_create(&writer, NULL, write_load, &from));
    while (at < LOAD) {
        ssize_t n = read(to, bytes, sizeof(bytes));

        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++, at++)
            wrong += bytes[i] != (unsigned char)(at * 7 + (at >> 8) * 13);
    }
    pthread_join(writer, NULL);
    return at == LOAD && wrong == 0;
}

static void load(void)
{
    open_pair();
    set_raw(1, 0);
    CHECK(arrives_whole(master, slave), "a megabyte typed arrives whole");
    CHECK(arrives_whole(slave, master), "a megabyte written does");
    close_pair();
}

/* Each side flushes what it would read, or what it has written. */
static void flushes(void)
{
    char got[32];

    open_pair();
    set_raw(1, 0);
    (void)!write(slave, "abcdef", 6);
    IS(read(master, got, 2), 2, "the master reads some");
    OKAY(tcflush(master, TCOFLUSH), "flushes its output");
    CHECK(read(master, got, 2) == 2 && memcmp(got, "cd", 2) == 0, "which is not its input");
    OKAY(tcflush(master, TCIFLUSH), "flushes its input");
    (void)!write(slave, "ABC", 3);
    CHECK(read(master, got, sizeof(got)) == 3 && memcmp(got, "ABC", 3) == 0, "and reads what came later");
    FAILS(tcflush(master, 7), EINVAL, "no such queue");
    close_pair();
}

/* A name that was kept beyond its terminal's end does not lead to the next one of that number. */
static void old_names(void)
{
    int first = (int)NEED(open("/dev/ptmx", O_RDWR | O_NOCTTY)), second, name, number = -1, unlock = 0;
    char path[64];

    NEED(ioctl(first, TIOCSPTLCK, &unlock));
    NEED(ioctl(first, TIOCGPTN, &number));
    snprintf(path, sizeof(path), "/dev/pts/%d", number);
    name = (int)NEED(open(path, O_PATH));
    close(first);
    second = (int)NEED(open("/dev/ptmx", O_RDWR | O_NOCTTY));
    NEED(ioctl(second, TIOCSPTLCK, &unlock));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", name);
    FAILS(open(path, O_RDWR | O_NOCTTY), EIO, "an old name of a terminal opens nothing");
    close(name);
    close(second);
}

static int master_reads(void *unused UNUSED)
{
    char bytes[3];
    ssize_t n;

    close(slave);
    while ((n = read(master, bytes, sizeof(bytes))) > 0)
        ;
    return n == 0 ? 1 : errno == EIO ? 0 : 2;
}

/* Readers of one master that are all woken by each byte: who comes late waits on, and reads no end. */
static void many_readers(void)
{
    pid_t pids[4];
    int status, wrong = 0;

    open_pair();
    for (int i = 0; i < 4; i++)
        if ((pids[i] = fork()) == 0)
            _exit(master_reads(NULL));
    for (int i = 0; i < 600; i++) {
        (void)!write(slave, "x", 1);
        if (i % 4 == 0)
            sched_yield();
    }
    close(slave);
    for (int i = 0; i < 4; i++) {
        waitpid(pids[i], &status, 0);
        wrong |= status;
    }
    IS(wrong, 0, "nobody of many readers of a master reads 0 bytes");
    close(master);
}

/* Slaves that are opened while their master closes get EIO, or a terminal of this master, which hangs up. */
static void open_races(void)
{
    int ready[2], status, wrong = 0;
    pid_t pid;

    for (int i = 0; i < 60 && wrong == 0; i++) {
        char path[32];

        open_pair();
        NEED(ptsname_r(master, path, sizeof(path)));
        NEED(pipe(ready));
        pid = fork();
        if (pid == 0) {
            int fd;

            close(master);
            close(slave);
            (void)!write(ready[1], "x", 1);
            for (int tries = 0; tries < 20; tries++) {
                fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
                if (fd < 0 && errno != EIO && errno != ENOENT)
                    _exit(1);
                close(fd);
            }
            _exit(0);
        }
        (void)!read(ready[0], path, 1);
        close_pair();
        waitpid(pid, &status, 0);
        wrong |= status;
        close(ready[0]);
        close(ready[1]);
    }
    IS(wrong, 0, "slaves opened while the master closes");
    open_pair();
    type("a\n");
    CHECK(brings(slave, "a\n"), "the pair that comes next is its own");
    close_pair();
}

/* System V's structure, without the flags' high halves and the characters behind the first eight. */
static void old_attributes(void)
{
    struct {
        unsigned short iflag, oflag, cflag, lflag;
        unsigned char line, cc[8];
    } old = {0};
    struct termios before, after;

    open_pair();
    NEED(tcgetattr(slave, &before));
    OKAY(ioctl(slave, 0x5405 /* TCGETA */, &old), "attributes as System V has them");
    CHECK(old.iflag == (before.c_iflag & 0xffff) && old.lflag == (before.c_lflag & 0xffff), "the same flags");
    CHECK(memcmp(old.cc, before.c_cc, sizeof(old.cc)) == 0, "the same characters");
    old.lflag &= ~ECHO;
    old.cc[VERASE] = 'x';
    OKAY(ioctl(slave, 0x5406 /* TCSETA */, &old), "and set");
    NEED(tcgetattr(slave, &after));
    CHECK(after.c_lflag == (before.c_lflag & ~(tcflag_t)ECHO) && after.c_cc[VERASE] == 'x', "what was to change has");
    CHECK(after.c_iflag == before.c_iflag && after.c_cflag == before.c_cflag && after.c_cc[VMIN] == before.c_cc[VMIN],
          "the rest has not");
    OKAY(ioctl(slave, 0x5408 /* TCSETAF */, &old), "drained and flushed before");
    FAILS(ioctl(slave, 0x5406, (void *)8), EFAULT, "from nowhere");
    close_pair();
}

static void body(void)
{
    if (access("/dev/ptmx", R_OK) != 0) {
        skip("terminals", "no pseudo-terminals");
        return;
    }
    many_readers();
    open_races();
    lines();
    raw_reads();
    output();
    owners();
    sizes();
    polling();
    load();
    flushes();
    old_names();
    old_attributes();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
