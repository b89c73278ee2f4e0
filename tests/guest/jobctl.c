/*
 * Job control: sessions, process groups, the controlling terminal and its foreground group, SIGTTIN and SIGTTOU, the
 * keys that send signals, hang-up, orphaned groups. The terminal is a pseudo-terminal; where there are none, what needs
 * one is skipped. Source: credentials(7), setpgid(2), setsid(2), tcsetpgrp(3), pty(7), termios(3), POSIX.1-2017
 * chapter 11.
 */
#include "tap.h"

#include <sys/ioctl.h>
#include <termios.h>

static int master, slave;
static char slave_name[64];

static pid_t lasting(void)
{
    pid_t pid = (pid_t)NEED(fork());

    while (pid == 0)
        pause();
    return pid;
}

static void finish(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static int new_session(void *unused UNUSED)
{
    pid_t before = getsid(0);

    if (setsid() != getpid() || getsid(0) != getpid() || getpgrp() != getpid() || before == getpid())
        return 1;
    if (setsid() != -1 || errno != EPERM)
        return 2;
    return setpgid(0, 0) == -1 && errno == EPERM ? 0 : 3;
}

static void groups(void)
{
    pid_t pid = lasting(), other = lasting(), stranger;
    int status;

    IS(getpgid(pid), getpgrp(), "a child is in its parent's group");
    OKAY(setpgid(pid, pid), "a parent gives its child a group of its own");
    IS(getpgid(pid), pid, "named after it");
    OKAY(setpgid(other, pid), "and puts another child into it");
    FAILS(setpgid(other, 99999), EPERM, "a group that does not exist is EPERM");
    FAILS(setpgid(99999, 0), ESRCH, "a process that does not exist is ESRCH");
    FAILS(setpgid(getppid(), 0), ESRCH, "so is one that is not a child");
    FAILS(setpgid(pid, -1), EINVAL, "a negative group is EINVAL");
    FAILS(getpgid(99999), ESRCH, "getpgid of nobody");
    FAILS(getsid(99999), ESRCH, "getsid of nobody");
    EXITS(new_session, NULL, 0, "setsid makes a session and a group; once (EPERM); its leader keeps its group");
    stranger = (pid_t)NEED(fork());
    if (stranger == 0) {
        setsid();
        while (1)
            pause();
    }
    while (getsid(stranger) != stranger)
        sleep_ms(2);
    FAILS(setpgid(stranger, getpgrp()), EPERM, "a session leader cannot be moved");
    finish(stranger);
    kill(-pid, SIGTERM);
    waitpid(pid, &status, 0);
    waitpid(other, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "kill of a group reaches all of it");
}

/* ---- With a terminal ---- */

/* What the leader of a session on the slave answers; each function below runs as such a leader. */
static int as_leader(void *function)
{
    int fd;

    close(slave);
    if (setsid() == -1)
        return 100;
    fd = open(slave_name, O_RDWR);
    if (fd < 0 || (ioctl(fd, TIOCSCTTY, 0) && errno != EPERM))
        return 101;
    close(master);
    slave = fd;
    alarm(20);
    return ((int (*)(void))function)();
}

static int has_controlling_terminal(void)
{
    int tty = open("/dev/tty", O_RDWR);

    if (tty < 0 || tcgetpgrp(tty) != getpgrp() || tcgetsid(tty) != getpid())
        return 1;
    close(tty);
    return 0;
}

/* A child in a group of its own that does DEED; the stop that it makes, or its exit status. */
static int background(int (*deed)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        setpgid(0, 0);
        _exit(deed());
    }
    setpgid(pid, pid);
    waitpid(pid, &status, WUNTRACED);
    if (WIFSTOPPED(status)) {
        int stop = WSTOPSIG(status);

        finish(pid);
        return 1000 + stop;
    }
    return WEXITSTATUS(status);
}

static int read_terminal(void)
{
    char byte;

    return read(slave, &byte, 1) == -1 ? errno : 0;
}

static int read_ignoring(void)
{
    signal(SIGTTIN, SIG_IGN);
    return read_terminal();
}

static int write_terminal(void) { return write(slave, "x", 1) == 1 ? 0 : errno; }

static int set_attributes(void)
{
    struct termios attributes;

    tcgetattr(slave, &attributes);
    return tcsetattr(slave, TCSANOW, &attributes) == -1 ? errno : 0;
}

static int take_foreground(void) { return tcsetpgrp(slave, getpgrp()) == -1 ? errno : 0; }

static int take_foreground_ignoring(void)
{
    signal(SIGTTOU, SIG_IGN);
    return take_foreground();
}

static int ttin(void) { return background(read_terminal) == 1000 + SIGTTIN ? 0 : 1; }

static int ttin_ignored(void) { return background(read_ignoring) == EIO ? 0 : 1; }

static int ttou_off(void) { return background(write_terminal) == 0 ? 0 : 1; }

static int ttou_on(void)
{
    struct termios attributes;

    tcgetattr(slave, &attributes);
    attributes.c_lflag |= TOSTOP;
    tcsetattr(slave, TCSANOW, &attributes);
    return background(write_terminal) == 1000 + SIGTTOU ? 0 : 1;
}

static int ttou_attributes(void) { return background(set_attributes) == 1000 + SIGTTOU ? 0 : 1; }

static int ttou_foreground(void) { return background(take_foreground) == 1000 + SIGTTOU ? 0 : 1; }

static int foreground_taken(void)
{
    int result = background(take_foreground_ignoring);

    signal(SIGTTOU, SIG_IGN);
    return result == 0 && tcsetpgrp(slave, getpgrp()) == 0 && tcgetpgrp(slave) == getpgrp() ? 0 : 1;
}

static int foreground_errors(void)
{
    if (tcsetpgrp(slave, 99999) != -1 || (errno != ESRCH && errno != EPERM))
        return 1;
    if (tcsetpgrp(slave, -1) != -1 || errno != EINVAL)
        return 2;
    if (tcsetpgrp(slave, getppid()) != -1 || (errno != EPERM && errno != ESRCH))
        return 3;
    return 0;
}

static int wait_for_key(void)
{
    if (write(slave, "ready", 5) != 5)
        return 1;
    while (1)
        pause();
}

/* A background group without a parent in the session cannot be stopped: its read fails. */
static int orphaned_read(void)
{
    int fds[2], answer = 0;
    pid_t pid;

    if (pipe(fds))
        return 1;
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        pid = getpid();
        if (fork() == 0) {
            while (getppid() == pid)
                sleep_ms(2);
            answer = read_terminal();
            _exit(write(fds[1], &answer, sizeof(answer)) != sizeof(answer));
        }
        _exit(0);
    }
    close(fds[1]);
    waitpid(pid, NULL, 0);
    return read(fds[0], &answer, sizeof(answer)) == sizeof(answer) && answer == EIO ? 0 : 2;
}

/* The stopped member of a group that becomes orphaned gets SIGHUP, then SIGCONT. */
static volatile sig_atomic_t hung_up;

static void note_hangup(int signo UNUSED) { hung_up = 1; }

static int orphaned_stop(void)
{
    int fds[2];
    char byte = 0;
    pid_t pid;

    if (pipe(fds))
        return 1;
    pid = fork();
    if (pid == 0) {
        pid_t grandchild;

        close(fds[0]);
        grandchild = fork();
        if (grandchild == 0) {
            setpgid(0, 0);
            signal(SIGHUP, note_hangup);
            raise(SIGSTOP);
            byte = hung_up ? 'h' : 'n';
            _exit(write(fds[1], &byte, 1) != 1);
        }
        setpgid(grandchild, grandchild);
        waitpid(grandchild, NULL, WUNTRACED);
        _exit(0); /* and with it the last parent that the group had in this session outside of it */
    }
    close(fds[1]);
    waitpid(pid, NULL, 0);
    return read(fds[0], &byte, 1) == 1 && byte == 'h' ? 0 : 2;
}

static const char *from_master(void)
{
    static char text[256];
    ssize_t got = read(master, text, sizeof(text) - 1);

    text[got > 0 ? got : 0] = 0;
    return text;
}

/* The signal that a key on the terminal sends to the session's foreground group. */
static int signal_of_key(char key)
{
    int status;
    pid_t pid = (pid_t)NEED(fork());

    if (pid == 0)
        _exit(as_leader((void *)wait_for_key));
    while (!strstr(from_master(), "ready"))
        ;
    NEED(write(master, &key, 1));
    waitpid(pid, &status, WUNTRACED);
    if (WIFSTOPPED(status))
        finish(pid);
    tcflush(master, TCIOFLUSH);
    return WIFSTOPPED(status) ? WSTOPSIG(status) : WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void hang_up(void)
{
    int status;
    pid_t pid = (pid_t)NEED(fork());

    if (pid == 0)
        _exit(as_leader((void *)wait_for_key));
    while (!strstr(from_master(), "ready"))
        ;
    close(slave);
    close(master);
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP,
          "closing the other end is SIGHUP for the session's leader");
}

static int open_terminal(void)
{
    int number, unlock = 0;

    master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    if (master < 0 || ioctl(master, TIOCGPTN, &number) || ioctl(master, TIOCSPTLCK, &unlock))
        return 0;
    snprintf(slave_name, sizeof(slave_name), "/dev/pts/%d", number);
    slave = open(slave_name, O_RDWR | O_NOCTTY);
    return slave >= 0;
}

static void terminals(void)
{
    static const struct {
        int (*function)(void);
        const char *name;
    } rows[] = {{has_controlling_terminal, "a session leader gets a controlling terminal, its group in the foreground"},
                {ttin, "a background read is SIGTTIN"},
                {ttin_ignored, "EIO when that is ignored"},
                {ttou_off, "a background write is fine"},
                {ttou_attributes, "background tcsetattr is SIGTTOU"},
                {ttou_foreground, "background tcsetpgrp is SIGTTOU"},
                {foreground_taken, "with SIGTTOU ignored it takes the foreground"},
                {foreground_errors, "tcsetpgrp to other groups than the session's is refused"},
                {ttou_on, "with TOSTOP a background write is SIGTTOU"},
                {orphaned_read, "a background read in an orphaned group is EIO"},
                {orphaned_stop, "a stopped group that is orphaned gets SIGHUP and SIGCONT"}};

    if (!open_terminal()) {
        skip("job control on a terminal", "no pseudo-terminals");
        return;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        EXITS(as_leader, rows[i].function, 0, "%s", rows[i].name);
        close(slave); /* a terminal whose session has ended is hung up: take a new one */
        close(master);
        if (!open_terminal())
            return;
    }
    IS(signal_of_key(3), SIGINT, "Ctrl-C is SIGINT");
    close(slave), close(master), open_terminal();
    IS(signal_of_key(28), SIGQUIT, "Ctrl-\\ is SIGQUIT");
    close(slave), close(master), open_terminal();
    hang_up();
}

static void body(void)
{
    groups();
    terminals();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
