/*
 * inotify(7): which events files, names and directories make, in what order, with which names and cookies; what ends a
 * watch; what queues do. Each list of events is compared as text: "wd:EVENT|EVENT:name", a cookie as "#".
 */
#include "tap.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#include <linux/fs.h>

static int fd;

static const struct {
    unsigned bit;
    const char *name;
} bits[] = {
    {IN_ACCESS, "ACCESS"},           {IN_MODIFY, "MODIFY"},       {IN_ATTRIB, "ATTRIB"},   {IN_OPEN, "OPEN"},
    {IN_CLOSE_WRITE, "WRITTEN"},     {IN_CLOSE_NOWRITE, "CLOSE"}, {IN_CREATE, "CREATE"},   {IN_DELETE, "DELETE"},
    {IN_DELETE_SELF, "DELETE_SELF"}, {IN_MOVED_FROM, "FROM"},     {IN_MOVED_TO, "TO"},     {IN_MOVE_SELF, "MOVE_SELF"},
    {IN_UNMOUNT, "UNMOUNT"},         {IN_Q_OVERFLOW, "OVERFLOW"}, {IN_IGNORED, "IGNORED"}, {IN_ISDIR, "DIR"},
};

static uint32_t cookies[16];
static unsigned n_cookies;

/* What has happened since, as text. */
static const char *events(void)
{
    static char text[4000];
    char buffer[8192] __attribute__((aligned(8)));
    size_t used = 0;
    ssize_t n;

    text[0] = '\0';
    n_cookies = 0;
    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        for (char *at = buffer; at < buffer + n;) {
            struct inotify_event *e = (struct inotify_event *)at;
            const char *separator = ":";

            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%d", used > 0 ? " " : "", e->wd);
            for (unsigned i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
                if (e->mask & bits[i].bit) {
                    used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", separator, bits[i].name);
                    separator = "|";
                }
            if (e->len > 0)
                used += (size_t)snprintf(text + used, sizeof(text) - used, ":%s", e->name);
            if (e->cookie != 0) {
                used += (size_t)snprintf(text + used, sizeof(text) - used, "#");
                cookies[n_cookies++ % 16] = e->cookie;
            }
            at += sizeof(*e) + e->len;
        }
    return text;
}

static void saw(const char *wanted, const char *name)
{
    const char *text = events();

    if (!CHECK(strcmp(text, wanted) == 0, "%s", name))
        diag("saw    %s\n# wanted %s", text, wanted);
}

static void begin(void) { fd = (int)NEED(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)); }

static void open_and_close(int opened)
{
    NEED(opened);
    NEED(close(opened));
}

static void create(const char *name) { open_and_close(open(name, O_WRONLY | O_CREAT, 0644)); }

static void files(void)
{
    char byte;
    int file;

    begin();
    NEED(mkdir("d", 0755));
    IS(inotify_add_watch(fd, "d", IN_ALL_EVENTS), 1, "a directory is watched");
    file = (int)NEED(open("d/f", O_RDWR | O_CREAT, 0644));
    saw("1:CREATE:f 1:OPEN:f", "a file is made");
    IS(inotify_add_watch(fd, "d/f", IN_ALL_EVENTS), 2, "and watched itself");
    NEED(write(file, "abc", 3));
    NEED(write(file, "d", 1));
    saw("1:MODIFY:f 2:MODIFY 1:MODIFY:f 2:MODIFY", "is written: its directory learns first");
    NEED(pread(file, &byte, 1, 0));
    NEED(read(file, &byte, 1)); /* at the end: nothing read, nothing told */
    saw("1:ACCESS:f 2:ACCESS", "is read");
    NEED(ftruncate(file, 1));
    saw("1:MODIFY:f 2:MODIFY", "is cut");
    NEED(fchmod(file, 0600));
    saw("1:ATTRIB:f 2:ATTRIB", "gets another mode");
    NEED(close(file));
    saw("1:WRITTEN:f 2:WRITTEN", "is closed by who could write");
    file = (int)NEED(open("d/f", O_RDONLY));
    NEED(close(file));
    saw("1:OPEN:f 2:OPEN 1:CLOSE:f 2:CLOSE", "is opened for reading");
    open_and_close(open("d/f", O_WRONLY | O_TRUNC));
    saw("1:OPEN:f 2:OPEN 1:MODIFY:f 2:MODIFY 1:WRITTEN:f 2:WRITTEN", "is cut as it is opened");
    open_and_close(open("d/f", O_PATH));
    saw("", "O_PATH opens nothing");
    NEED(truncate("d/f", 100));
    saw("1:MODIFY:f 2:MODIFY", "truncate");
    NEED(utimensat(AT_FDCWD, "d/f", NULL, 0));
    saw("1:ATTRIB:f 2:ATTRIB", "new times");
    NEED(utimensat(AT_FDCWD, "d/f", (struct timespec[]){{1, 0}, {0, UTIME_OMIT}}, 0));
    saw("1:ACCESS:f 2:ACCESS", "a new time of access");
    if (setxattr("d/f", "user.x", "y", 1, 0) == 0)
        saw("1:ATTRIB:f 2:ATTRIB", "an extended attribute");
    NEED(link("d/f", "g"));
    saw("2:ATTRIB", "another name elsewhere");
    NEED(unlink("d/f"));
    saw("2:ATTRIB 1:DELETE:f", "one name less");
    file = (int)NEED(open("g", O_RDONLY));
    NEED(unlink("g"));
    saw("2:OPEN 2:ATTRIB", "no name, but somebody has it open");
    NEED(close(file));
    saw("2:CLOSE 2:DELETE_SELF 2:IGNORED", "nobody has");
    FAILS(inotify_rm_watch(fd, 2), EINVAL, "the watch is gone");
    NEED(rmdir("d"));
    saw("1:DELETE_SELF 1:IGNORED", "nor the directory");
    NEED(close(fd));
}

static void names(void)
{
    begin();
    NEED(mkdir("a", 0755));
    NEED(mkdir("b", 0755));
    IS(inotify_add_watch(fd, "a", IN_ALL_EVENTS & ~(IN_OPEN | IN_CLOSE)), 1, "two directories are watched");
    IS(inotify_add_watch(fd, "b", IN_ALL_EVENTS & ~(IN_OPEN | IN_CLOSE)), 2, "the other");
    create("a/x");
    NEED(mkdir("a/sub", 0755));
    NEED(symlink("nowhere", "a/s"));
    NEED(mkfifo("a/p", 0644));
    NEED(link("a/x", "b/hard"));
    saw("1:CREATE:x 1:CREATE|DIR:sub 1:CREATE:s 1:CREATE:p 2:CREATE:hard", "names of all kinds are made");
    IS(inotify_add_watch(fd, "a/x", IN_ALL_EVENTS), 3, "a file");
    IS(inotify_add_watch(fd, "a/sub", IN_ALL_EVENTS & ~(IN_OPEN | IN_CLOSE)), 4, "a directory");
    NEED(rename("a/x", "b/y"));
    saw("1:FROM:x# 2:TO:y# 3:MOVE_SELF", "a file moves");
    CHECK(n_cookies == 2 && cookies[0] == cookies[1] && cookies[0] != 0, "the two halves have one cookie");
    NEED(rename("a/sub", "a/other"));
    saw("1:FROM|DIR:sub# 1:TO|DIR:other# 4:MOVE_SELF", "a directory gets another name");
    create("a/new");
    saw("1:CREATE:new", "a file that");
    NEED(rename("a/new", "b/y"));
    saw("1:FROM:new# 2:TO:y# 3:ATTRIB", "takes another's place, which has one name left");
    NEED(unlink("b/hard"));
    saw("3:ATTRIB 3:DELETE_SELF 3:IGNORED 2:DELETE:hard", "and then none");
    create("a/one");
    NEED(syscall(SYS_renameat2, AT_FDCWD, "a/one", AT_FDCWD, "b/y", RENAME_EXCHANGE));
    saw("1:CREATE:one 1:FROM:one# 2:TO:y# 2:FROM:y# 1:TO:one#", "two change places");
    CHECK(n_cookies == 4 && cookies[0] == cookies[1] && cookies[2] == cookies[3] && cookies[0] != cookies[2],
          "with two cookies");
    NEED(rmdir("a/other"));
    saw("4:DELETE_SELF 4:IGNORED 1:DELETE|DIR:other", "a directory goes");
    NEED(chmod("a", 0700));
    saw("1:ATTRIB|DIR", "a directory's own mode");
    NEED(close(fd));
}

static void masks(void)
{
    int file;

    begin();
    create("m");
    IS(inotify_add_watch(fd, "m", IN_OPEN), 1, "a watch for one event");
    IS(inotify_add_watch(fd, "m", IN_ATTRIB | IN_MASK_ADD), 1, "and for one more");
    NEED(chmod("m", 0600));
    open_and_close(open("m", O_RDONLY));
    saw("1:ATTRIB 1:OPEN", "tells of both");
    IS(inotify_add_watch(fd, "m", IN_CLOSE), 1, "for others instead");
    open_and_close(open("m", O_RDONLY));
    saw("1:CLOSE", "tells of those only");
    FAILS(inotify_add_watch(fd, "m", IN_OPEN | IN_MASK_CREATE), EEXIST, "IN_MASK_CREATE: there is a watch");
    FAILS(inotify_add_watch(fd, "m", IN_OPEN | IN_MASK_CREATE | IN_MASK_ADD), EINVAL, "with IN_MASK_ADD");
    FAILS(inotify_add_watch(fd, "m", IN_OPEN | IN_ONLYDIR), ENOTDIR, "IN_ONLYDIR");
    FAILS(inotify_add_watch(fd, "m", 0), EINVAL, "no event");
    FAILS(inotify_add_watch(fd, "none", IN_OPEN), ENOENT, "no file");
    FAILS(inotify_add_watch(fd, (char *)8, IN_OPEN), EFAULT, "no name");
    FAILS(inotify_add_watch(1, "m", IN_OPEN), EINVAL, "no inotify descriptor");
    FAILS(inotify_add_watch(999, "m", IN_OPEN), EBADF, "no descriptor");
    FAILS(inotify_init1(1), EINVAL, "no such flag");
    FAILS(inotify_rm_watch(fd, 99), EINVAL, "no such watch");
    OKAY(inotify_rm_watch(fd, 1), "a watch is removed");
    saw("1:IGNORED", "and says so");
    IS(inotify_add_watch(fd, "m", IN_ALL_EVENTS | IN_ONESHOT), 2, "a watch for the next event; its number is fresh");
    NEED(chmod("m", 0644));
    NEED(chmod("m", 0600));
    saw("2:ATTRIB 2:IGNORED", "ends with it");
    NEED(symlink("m", "link"));
    IS(inotify_add_watch(fd, "link", IN_ATTRIB | IN_DONT_FOLLOW), 3, "a link itself");
    NEED(chmod("link", 0644));
    saw("", "not what it leads to");
    NEED(mkdir("e", 0755));
    IS(inotify_add_watch(fd, "e", IN_MODIFY | IN_EXCL_UNLINK), 4, "a directory without what is removed from it");
    file = (int)NEED(open("e/f", O_WRONLY | O_CREAT, 0644));
    NEED(write(file, "x", 1));
    NEED(unlink("e/f"));
    NEED(write(file, "x", 1));
    saw("4:MODIFY:f", "IN_EXCL_UNLINK");
    NEED(close(file));
    NEED(close(fd));
}

static void queues(void)
{
    struct epoll_event wanted = {.events = EPOLLIN}, got;
    char buffer[64] __attribute__((aligned(8)));
    struct pollfd p;
    int ep = (int)NEED(epoll_create1(0)), waiting = 0;

    begin();
    p = (struct pollfd){.fd = fd, .events = POLLIN};
    create("q");
    NEED(mkdir("qd", 0755));
    NEED(inotify_add_watch(fd, "q", IN_ATTRIB | IN_OPEN));
    NEED(inotify_add_watch(fd, "qd", IN_CREATE));
    FAILS(read(fd, buffer, sizeof(buffer)), EAGAIN, "an empty queue");
    IS(poll(&p, 1, 0), 0, "is not readable");
    NEED(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &wanted));
    for (int i = 0; i < 5; i++)
        NEED(chmod("q", 0600));
    IS(poll(&p, 1, 0), 1, "a queue with an event is");
    IS(epoll_wait(ep, &got, 1, 1000), 1, "for epoll, too");
    NEED(ioctl(fd, FIONREAD, &waiting));
    IS(waiting, (int)sizeof(struct inotify_event), "FIONREAD: what repeats itself is told once");
    create("qd/name");
    NEED(ioctl(fd, FIONREAD, &waiting));
    IS(waiting, (int)(2 * sizeof(struct inotify_event) + 16), "a name counts in steps of 16");
    FAILS(read(fd, buffer, 15), EINVAL, "no room for an event");
    IS(read(fd, buffer, 40), 16, "room for the first only");
    FAILS(read(fd, buffer, 31), EINVAL, "no room for a name");
    IS(read(fd, buffer, sizeof(buffer)), 32, "room for it");
    CHECK(strcmp(((struct inotify_event *)buffer)->name, "name") == 0, "and there it is");
    FAILS(write(fd, buffer, 16), EBADF, "nothing can be written");
    NEED(chmod("q", 0600));
    FAILS(syscall(SYS_read, fd, 8, 100), EFAULT, "into nowhere");
    NEED(close(ep));
    NEED(close(fd));
}

static int set_limit(const char *name, const char *value)
{
    char path[100];
    int file, result;

    snprintf(path, sizeof(path), "/proc/sys/fs/inotify/%s", name);
    file = open(path, O_WRONLY);
    if (file < 0)
        return -1;
    result = (int)write(file, value, strlen(value));
    close(file);
    return result > 0 ? 0 : -1;
}

static void limits(void)
{
    char old[3][32], name[16];
    static const char *const names_of_limits[] = {"max_queued_events", "max_user_instances", "max_user_watches"};
    int fds[8], n = 0;

    for (int i = 0; i < 3; i++) {
        char path[100];

        snprintf(path, sizeof(path), "/proc/sys/fs/inotify/%s", names_of_limits[i]);
        snprintf(old[i], sizeof(old[i]), "%ld", strtol(slurp(path), NULL, 10));
        CHECK(atoi(old[i]) > 0, "%s is %s", path, old[i]);
    }
    OKAY(set_limit("max_queued_events", "4"), "queues of 4");
    begin();
    NEED(mkdir("l", 0755));
    NEED(inotify_add_watch(fd, "l", IN_CREATE));
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "l/%d", i);
        create(name);
    }
    saw("1:CREATE:0 1:CREATE:1 1:CREATE:2 1:CREATE:3 -1:OVERFLOW", "what does not fit is told once");
    create("l/after");
    saw("1:CREATE:after", "then it goes on");
    OKAY(set_limit("max_user_watches", "1"), "one watch");
    FAILS(inotify_add_watch(fd, ".", IN_CREATE), ENOSPC, "a second one");
    OKAY(set_limit("max_user_instances", "3"), "three instances");
    while (n < 8 && (fds[n] = inotify_init1(0)) >= 0)
        n++;
    CHECK(n == 2 && errno == EMFILE, "and no more (%d, %s)", n, errno_name(errno));
    while (n > 0)
        close(fds[--n]);
    for (int i = 0; i < 3; i++)
        NEED(set_limit(names_of_limits[i], old[i]));
    NEED(close(fd));
}

static void mounts(void)
{
    begin();
    NEED(mkdir("mnt", 0755));
    NEED(mount("none", "mnt", "tmpfs", 0, NULL));
    create("mnt/f");
    IS(inotify_add_watch(fd, "mnt/f", IN_ALL_EVENTS), 1, "a file of a file system");
    OKAY(umount("mnt"), "that is unmounted");
    saw("1:UNMOUNT 1:IGNORED", "IN_UNMOUNT");
    NEED(close(fd));
}

/* A reader that waits is woken; events of another process come. */
static void waiting(void)
{
    char buffer[64] __attribute__((aligned(8)));
    int status;
    pid_t pid;

    fd = (int)NEED(inotify_init1(0));
    create("w");
    NEED(inotify_add_watch(fd, "w", IN_ATTRIB));
    pid = fork();
    if (pid == 0) {
        usleep(50000);
        _exit(chmod("w", 0600) != 0);
    }
    IS(read(fd, buffer, sizeof(buffer)), 16, "a reader waits");
    waitpid(pid, &status, 0);
    NEED(close(fd));
}

static int reads_no_secret(void *unused UNUSED)
{
    if (setgid(1000) || setuid(1000))
        return 2;
    return inotify_add_watch(fd, "secret", IN_OPEN) == -1 && errno == EACCES ? 0 : 1;
}

static void permissions(void)
{
    struct ending end;

    begin();
    create("secret");
    NEED(chmod("secret", 0600));
    NEED(chmod(".", 0755));
    end = in_child(reads_no_secret, NULL);
    IS(end.status, 0, "what may not be read may not be watched");
    NEED(close(fd));
}

static int watches_all(void *unused UNUSED)
{
    char buffer[4096] __attribute__((aligned(8))), name[32];
    int instance = inotify_init1(IN_NONBLOCK), wds[4];

    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < 4; i++) {
            snprintf(name, sizeof(name), i == 0 ? "race" : "race/%d", i);
            wds[i] = inotify_add_watch(instance, name, IN_ALL_EVENTS | (round % 3 == 0 ? IN_ONESHOT : 0));
            if (wds[i] < 0 && errno != ENOENT)
                return 1;
        }
        if (read(instance, buffer, sizeof(buffer)) < 0 && errno != EAGAIN)
            return 2;
        for (int i = 0; i < 4; i++)
            if (inotify_rm_watch(instance, wds[i]) < 0 && errno != EINVAL)
                return 3;
        if (round % 50 == 0) {
            close(instance); /* with all its watches */
            instance = inotify_init1(IN_NONBLOCK);
        }
    }
    return 0;
}

static int changes_all(void *unused UNUSED)
{
    char name[32], other[32];

    for (int round = 0; round < 600; round++) {
        int file;

        snprintf(name, sizeof(name), "race/%d", round % 3 + 1);
        snprintf(other, sizeof(other), "race/%d", (round + 1) % 3 + 1);
        file = open(name, O_RDWR | O_CREAT, 0644);
        if (file >= 0 && write(file, "x", 1) != 1)
            return 1;
        close(file);
        rename(name, other);
        if (round % 2 == 0)
            unlink(other);
    }
    return 0;
}

/* Watches that begin and end while what they watch comes and goes: nothing of them stays. */
static void races(void)
{
    int status, wrong = 0;

    NEED(mkdir("race", 0755));
    for (int i = 0; i < 4; i++)
        if (fork() == 0)
            _exit(i % 2 == 0 ? watches_all(NULL) : changes_all(NULL));
    while (wait(&status) > 0)
        wrong |= status;
    IS(wrong, 0, "watches against changes");
}

static void body(void)
{
    races();
    files();
    names();
    masks();
    queues();
    waiting();
    if (geteuid() == 0) {
        limits();
        mounts();
        permissions();
    }
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
