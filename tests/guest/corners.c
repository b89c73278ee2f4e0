/*
 * Corners of calls that other projects' test suites look into: small promises of the manual pages that hold together no
 * subject of their own. Sources: capabilities(7), setpgid(2), execveat(2), open(2), umount(2), proc(5), each named
 * below.
 */
#include "tap.h"

#include <linux/fs.h>
#include <sys/eventfd.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* ---- who one is ---- */

/* capabilities(7): those over files leave the effective set with a file-system user id of 0, and come back with it. */
static int file_powers(void *unused UNUSED)
{
    setfsuid(12345);
    if (open("secret", O_RDONLY) != -1 || errno != EACCES)
        return 1;
    if (access("secret", R_OK) != 0) /* that asks by the real user id */
        return 2;
    setfsuid(0);
    return open("secret", O_RDONLY) == -1 ? 3 : 0;
}

static int secure_bits(void *unused UNUSED)
{
    if (prctl(PR_GET_SECUREBITS) != 0 || prctl(PR_SET_KEEPCAPS, 1) != 0 || prctl(PR_GET_SECUREBITS) != 16)
        return 1;
    if (prctl(PR_SET_SECUREBITS, 0) != 0 || prctl(PR_GET_KEEPCAPS) != 0)
        return 2;
    if (setuid(12345) != 0)
        return 3;
    return prctl(PR_SET_SECUREBITS, 0) == -1 && errno == EPERM ? 0 : 4;
}

static void identity(void)
{
    close((int)NEED(open("secret", O_CREAT | O_WRONLY, 0600)));
    EXITS(file_powers, NULL, 0, "setfsuid: powers over files follow the file-system user id");
    EXITS(secure_bits, NULL, 0, "securebits: keep-caps is one of them; setting them wants CAP_SETPCAP");
}

/* ---- exec ---- */

/* Who waits for the end of a close-on-exec pipe may rely on it: setpgid(2) says EACCES from then on. */
static void group_after_exec(void)
{
    static char *const argv[] = {"sleeper", "--sleep", NULL};

    for (int round = 0; round < 5; round++) {
        int ends[2];
        char byte;
        pid_t child;

        NEED(pipe2(ends, O_CLOEXEC));
        child = (pid_t)NEED(fork());
        if (child == 0) {
            execv("/proc/self/exe", argv);
            _exit(1);
        }
        close(ends[1]);
        if (read(ends[0], &byte, 1) == 0 && setpgid(child, child) == -1 && errno == EACCES)
            close(ends[0]);
        else
            CHECK(0, "setpgid: round %d: the pipe is at its end, but exec has not happened", round);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    CHECK(1, "setpgid: EACCES when exec has closed descriptors");
}

static void script_by_descriptor(void)
{
    static char *argv[] = {"script", NULL};
    int fd = (int)NEED(open("script", O_CREAT | O_WRONLY, 0755));

    NEED(write(fd, "#!/bin/true\n", 12));
    close(fd);
    fd = (int)NEED(open("script", O_RDONLY | O_CLOEXEC));
    FAILS(syscall(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH), ENOENT,
          "execveat: a script that its interpreter could not open");
    close(fd);
}

/* ---- files ---- */

static void nameless_file(void)
{
    char link[40];
    int fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);

    if (fd == -1) {
        skip("O_TMPFILE | O_EXCL", "not on this file system");
        return;
    }
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    FAILS(linkat(AT_FDCWD, link, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), ENOENT,
          "O_TMPFILE | O_EXCL: never gets a name");
    close(fd);
}

/* recv(2): the queue of errors is empty, and nobody waits for it; getsockopt(2), ip(7): levels that are not there. */
static void internet_sockets(void)
{
    struct msghdr header = {.msg_name = &header, .msg_namelen = (socklen_t)-1};
    int fd = (int)NEED(socket(AF_INET, SOCK_DGRAM, 0)), value;
    socklen_t size = sizeof(value);

    FAILS(recv(fd, &value, sizeof(value), MSG_ERRQUEUE), EAGAIN, "recv: the queue of errors is empty");
    FAILS(recvmsg(fd, &header, MSG_DONTWAIT), EINVAL, "recvmsg: a negative length of a name");
    FAILS(getsockopt(fd, 500, 1, &value, &size), EOPNOTSUPP, "getsockopt: no such level");
    FAILS(setsockopt(fd, 500, 1, &value, size), ENOPROTOOPT, "setsockopt: no such level");
    close(fd);
}

/* splice(2): SPLICE_F_NONBLOCK. proc_pid_fd(5): what is no file cannot be opened anew. */
static void descriptors(void)
{
    int pipe_ends[2], pair[2], event = (int)NEED(eventfd(0, 0));
    char link[40];

    NEED(pipe(pipe_ends));
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    alarm(20);
    FAILS(splice(pair[0], NULL, pipe_ends[1], NULL, 10, SPLICE_F_NONBLOCK), EAGAIN,
          "splice: does not wait for a socket");
    NEED(write(pair[1], "abc", 3));
    IS(splice(pair[0], NULL, pipe_ends[1], NULL, 10, SPLICE_F_NONBLOCK), 3, "splice: what a socket has");
    alarm(0);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", event);
    FAILS(open(link, O_RDWR), ENXIO, "open of an eventfd by its link");
    close(event), close(pair[0]), close(pair[1]), close(pipe_ends[0]), close(pipe_ends[1]);
}

static void clones(void)
{
    int from = (int)NEED(open("secret", O_RDONLY)), to = (int)NEED(open("copy", O_CREAT | O_RDWR, 0600));

    FAILS(ioctl(to, FICLONE, from), EOPNOTSUPP, "FICLONE: blocks are not shared");
    close(from), close(to);
}

/* umount(2): MNT_EXPIRE marks first, and unmounts only what was not used since. */
static void expiring_mount(void)
{
    NEED(mkdir("mnt", 0755));
    NEED(mount("none", "mnt", "tmpfs", 0, NULL));
    FAILS(umount2("mnt", MNT_EXPIRE | MNT_FORCE), EINVAL, "MNT_EXPIRE: not with MNT_FORCE");
    FAILS(umount2("mnt", MNT_EXPIRE | MNT_DETACH), EINVAL, "MNT_EXPIRE: not with MNT_DETACH");
    FAILS(umount2("mnt", MNT_EXPIRE), EAGAIN, "MNT_EXPIRE: the first time only marks");
    NEED(access("mnt", F_OK));
    FAILS(umount2("mnt", MNT_EXPIRE), EAGAIN, "MNT_EXPIRE: the mark is gone with a use");
    OKAY(umount2("mnt", MNT_EXPIRE), "MNT_EXPIRE: the second time unmounts");
    FAILS(umount("mnt"), EINVAL, "MNT_EXPIRE: it is gone");
}

/* ---- /proc ---- */

static void system_files(void)
{
    enum { DIRTY = 4, MAPPED = 11, ANONYMOUS = 12 };
    int flags = open("/proc/kpageflags", O_RDONLY), map = (int)NEED(open("/proc/self/pagemap", O_RDONLY));
    int fd = (int)NEED(open("pages", O_CREAT | O_RDWR, 0600));
    uint64_t entry, word;
    char *file, *own;

    NEED(ftruncate(fd, PAGE));
    file = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    own = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    file[0] = own[0] = 1;
    CHECK(flags != -1, "/proc/kpageflags is there");
    NEED(pread(map, &entry, 8, (off_t)((uintptr_t)own / PAGE * 8)));
    IS(pread(flags, &word, 8, (off_t)((entry & ((1ull << 55) - 1)) * 8)), 8, "a private page's word");
    IS((word >> ANONYMOUS & 1) << 1 | (word >> MAPPED & 1), 3, "it is anonymous and mapped");
    NEED(pread(map, &entry, 8, (off_t)((uintptr_t)file / PAGE * 8)));
    IS(pread(flags, &word, 8, (off_t)((entry & ((1ull << 55) - 1)) * 8)), 8, "a file's page's word");
    IS((word >> ANONYMOUS & 1) << 2 | (word >> MAPPED & 1) << 1 | (word >> DIRTY & 1), 3, "it is mapped and dirty");
    FAILS(pread(flags, &word, 7, 0), EINVAL, "part of a word");
    munmap(file, PAGE), munmap(own, PAGE);
    close(flags), close(map), close(fd);
    CHECK(access("/proc/sys/kernel/tainted", R_OK) == 0, "/proc/sys/kernel/tainted is there");
    CHECK(access("/proc/sys/vm/min_free_kbytes", R_OK) == 0, "/proc/sys/vm/min_free_kbytes is there");
    CHECK(access("/proc/sys/vm/panic_on_oom", R_OK) == 0, "/proc/sys/vm/panic_on_oom is there");
}

/* Kernels that have it show their configuration; ours is one stored block of a gzip file. */
static void configuration(void)
{
    unsigned char text[16384];
    int fd = open("/proc/config.gz", O_RDONLY);
    ssize_t n = fd == -1 ? 0 : read(fd, text, sizeof(text) - 1);

    if (fd == -1 || n < 30 || (text[10] & 7) != 1) {
        skip("config.gz", "none of Quire's kind");
        return;
    }
    IS(text[0] << 16 | text[1] << 8 | text[2], 0x1f8b08, "config.gz: a gzip file");
    IS(text[11] | text[12] << 8, n - 15 - 8, "config.gz: one block holds it all");
    text[n - 8] = '\0';
    CHECK(strstr((char *)text + 15, "\nCONFIG_USERFAULTFD=y\n") != NULL, "config.gz: names what there is");
    CHECK(strstr((char *)text + 15, "\n# CONFIG_NUMA is not set\n") != NULL, "config.gz: and what is not");
    IS(system("zcat /proc/config.gz | grep -q '^CONFIG_MMU=y$'"), 0, "config.gz: zcat agrees");
    close(fd);
}

static void body(void)
{
    identity();
    group_after_exec();
    script_by_descriptor();
    nameless_file();
    clones();
    internet_sockets();
    descriptors();
    expiring_mount();
    system_files();
    configuration();
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--sleep"))
        return (int)sleep(60);
    return tap_main(argc, argv, body);
}
