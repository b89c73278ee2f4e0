/*
 * Answers that random sequences of calls (tests/differ) found to be other than Linux's: which error comes first, what a
 * flag means where it is rare, what is allowed where nothing is done.
 */
#include "tap.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <netinet/in.h>
#include <poll.h>

#define WHITEOUT 4
#define NOWAIT 8
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static void whiteouts(const char *where)
{
    struct stat s;

    NEED(chdir(where));
    close(make_file("was", "x", 1));
    FAILS(renameat2(AT_FDCWD, "was", AT_FDCWD, "was/", 2), ENOTDIR, "%s: an exchange with a file as a folder", where);
    OKAY(renameat2(AT_FDCWD, "was", AT_FDCWD, "is", WHITEOUT), "%s: rename with a whiteout", where);
    CHECK(lstat("was", &s) == 0 && S_ISCHR(s.st_mode) && s.st_rdev == makedev(0, 0) && (s.st_mode & 07777) == 0,
          "%s: the old name is a device 0:0 without rights", where);
    CHECK(lstat("is", &s) == 0 && S_ISREG(s.st_mode) && s.st_nlink == 1, "%s: the new name is the file", where);
    mkdir("d", 0755);
    OKAY(renameat2(AT_FDCWD, "d", AT_FDCWD, "e", WHITEOUT | 1), "%s: of a folder, to a name that is free", where);
    CHECK(lstat("d", &s) == 0 && S_ISCHR(s.st_mode), "%s: the folder's old name, too", where);
    FAILS(renameat2(AT_FDCWD, "is", AT_FDCWD, "e", WHITEOUT | 2), EINVAL, "%s: not with an exchange", where);
    OKAY(unlink("was"), "%s: a whiteout goes by unlink", where);
    unlink("d");
    rmdir("e");
    unlink("is");
}

static void files(void)
{
    int dir = NEED(open(".", O_RDONLY | O_DIRECTORY)), fd = make_file("f", "0123456789", 10), ends[2], event;
    struct iovec v = {(char[16]){0}, 16};
    int memory = (int)NEED(memfd_create("m", MFD_ALLOW_SEALING));
    char text[64];
    off_t end;

    NEED(pipe2(ends, O_NONBLOCK));
    event = (int)NEED(eventfd(0, EFD_NONBLOCK));
    FAILS(open(".", O_RDONLY | O_DIRECT), EINVAL, "a folder opened with O_DIRECT");
    FAILS(fcntl(memory, F_SETFL, O_DIRECT), EINVAL, "a memfd cannot have O_DIRECT");
    end = lseek(dir, 0, SEEK_END);
    CHECK(end > 0 && lseek(dir, 0, SEEK_SET) == 0, "a folder's end, and back");
    FAILS(syscall(SYS_getdents64, event, text, sizeof(text)), ENOTDIR, "no entries of an eventfd");
    IS(lseek(event, 5, SEEK_SET), 0, "an eventfd is always at 0");
    FAILS(syscall(SYS_sync_file_range, event, 0L, 0L, 0), ESPIPE, "sync_file_range of an eventfd");
    FAILS(readahead(fd, 0, (size_t)-1), EINVAL, "readahead of a negative size");
    OKAY(syscall(SYS_faccessat2, memory, "", R_OK, AT_EMPTY_PATH), "faccessat2 of a memfd itself");
    OKAY(syscall(SYS_faccessat2, ends[0], "", R_OK, AT_EMPTY_PATH), "faccessat2 of a pipe itself");
    FAILS(syscall(SYS_faccessat2, 99, "", R_OK, AT_EMPTY_PATH), EBADF, "faccessat2 of no descriptor");
    OKAY(flock(fd, 32 | LOCK_NB), "flock's mandatory locks are ignored");
    IS(fcntl(ends[0], F_SETPIPE_SZ, 0), 4096, "a pipe of size 0 has a page");
    OKAY(fcntl(dir, F_NOTIFY, 0), "F_NOTIFY of nothing");
    IS(vmsplice(ends[1], &v, 0, 0), 0, "vmsplice of nothing");
    IS(vmsplice(fd, &v, 0, 0), 0, "vmsplice of nothing into a file");
    IS(preadv2(fd, &v, 1, 0, NOWAIT), 10, "preadv2: what is cached is read without waiting");
    FAILS(pwritev2(fd, &v, 1, 0, NOWAIT), EOPNOTSUPP, "pwritev2: a write to a file may wait");
    FAILS(preadv2(dir, &v, 1, 0, 4), EOPNOTSUPP, "preadv2 of a folder with flags");
    IS(sendfile(ends[1], dir, NULL, 0), 0, "sendfile of nothing from a folder");
    FAILS(sendfile(ends[1], dir, NULL, 1), EINVAL, "sendfile from a folder");
    lseek(fd, 0, SEEK_SET);
    IS(sendfile(ends[1], fd, NULL, 100), 10, "sendfile into a pipe");
    CHECK(read(ends[0], text, sizeof(text)) == 10, "and there it is");
    FAILS(mknod((char *)8, S_IFLNK | 0600, 0), EINVAL, "mknod looks at the kind before the name");
    FAILS(renameat2(AT_FDCWD, "f/x", AT_FDCWD, (char *)8, 0), ENOTDIR, "rename looks for the first folder first");
    close(ends[0]);
    FAILS((signal(SIGPIPE, SIG_IGN), sendfile(ends[1], fd, NULL, 0)), EPIPE, "sendfile of nothing to nobody");
    close(ends[1]);
    close(event);
    close(memory);
    close(fd);
    close(dir);
}

static void attributes(void)
{
    static char value[5000];

    close(make_file("x", "", 0));
    FAILS(getxattr("x", "user.", value, 16), EINVAL, "an attribute that is only its space");
    FAILS(getxattr("x", "nope.a", value, 16), EOPNOTSUPP, "an attribute of no space");
    FAILS(getxattr("x", "system.posix_acl_access", value, 16), ENODATA, "no access control list");
    OKAY(removexattr("x", "system.posix_acl_access"), "taking away what is not there");
    FAILS(setxattr("nope", "user.a", value, 1, 4), EINVAL, "flags come before the path");
    FAILS(fsetxattr(99, "", value, 1, 4), EBADF, "the descriptor comes before the name");
    FAILS(setxattr("x", "user.a", value, 5000, XATTR_REPLACE), ENODATA, "replacing comes before room");
}

static void memory(void)
{
    char *area = mmap((void *)0x2000000000, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int id = (int)NEED(shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600));
    char *segment = shmat(id, NULL, 0);
    unsigned char core[8];

    CHECK(mmap(area + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | 0x40000, -1, 0) == MAP_FAILED &&
              errno == EINVAL,
          "huge pages at a place that is not theirs");
    segment[PAGE] = 1;
    OKAY(madvise(segment, 4 * PAGE, MADV_REMOVE), "MADV_REMOVE of a segment");
    IS(segment[PAGE], 0, "its bytes are gone");
    segment[3 * PAGE] = 3;
    OKAY(remap_file_pages(segment, PAGE, 0, 3, 0), "remap_file_pages of a segment");
    IS(segment[0], 3, "another page is there");
    munmap(area + PAGE, PAGE);
    FAILS(mincore(area, 2 * PAGE, (unsigned char *)16), EFAULT, "mincore tells what lies before a hole first");
    FAILS(mincore(area, 2 * PAGE, core), ENOMEM, "then of the hole");
    FAILS(syscall(440, -1, (struct iovec[]){{(void *)(1UL << 62), PAGE}}, 1, MADV_COLD, 0), EFAULT,
          "process_madvise looks at the ranges before the descriptor");
    shmdt(segment);
    shmdt(segment + PAGE);
    shmctl(id, IPC_RMID, NULL);
    munmap(area, 8 * PAGE);
}

static void sockets(void)
{
    int pair[2], fd;

    FAILS(syscall(SYS_socketpair, AF_UNIX, 9, 0, 16L), EFAULT,
          "socketpair looks at the room for two descriptors first");
    FAILS(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), EACCES, "sockets for ping are for groups that are none");
    NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    close(pair[1]);
    FAILS(write(pair[0], "x", 1), ECONNREFUSED, "the other end is gone");
    FAILS(write(pair[0], "x", 1), ENOTCONN, "and forgotten");
    FAILS(getsockopt(pair[0], IPPROTO_IP, 1, &fd, (socklen_t[]){-1}), EOPNOTSUPP, "a local socket has no such level");
    close(pair[0]);
    fd = (int)NEED(socket(AF_INET, SOCK_STREAM, 0));
    signal(SIGPIPE, SIG_IGN);
    FAILS(sendto(fd, "x", 1, 0, (struct sockaddr *)"", 1), EPIPE, "a stream of TCP does not look at an address");
    close(fd);
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    FAILS(sendto(pair[0], "x", 1, 0, (struct sockaddr *)"", 1), EISCONN,
          "a local stream refuses an address, whatever it is");
    close(pair[0]);
    close(pair[1]);
}

static void descriptors(void)
{
    struct pollfd item = {.events = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM};
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = INT64_MAX - 5, .l_len = 100, .l_pid = 1};
    int fd = make_file("l", "", 0);

    item.fd = (int)NEED(eventfd(1, 0));
    IS(poll(&item, 1, 0) == 1 ? item.revents : -1, POLLIN | POLLOUT, "an eventfd is not ready for \"normal\" data");
    close(item.fd);
    FAILS(fcntl(fd, F_OFD_GETLK, &lock), EOVERFLOW, "a lock's range comes before its pid");
    close(fd);
}

static void processes(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, -5};
    struct __user_cap_data_struct data[2];
    struct {
        uint32_t size, policy;
        uint64_t flags, rest[4];
    } attr = {48, 0, 128, {0}};
    pid_t pid = (pid_t)NEED(fork());
    siginfo_t info;
    int timer;

    if (pid == 0)
        _exit(0);
    NEED(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
    OKAY(syscall(SYS_capget, &header, NULL), "capget that only asks for the version");
    header.pid = pid;
    OKAY(syscall(SYS_capget, &header, data), "capget of a process that has ended");
    FAILS(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG), ECHILD, "one that has ended will not stop any more");
    waitpid(pid, NULL, 0);
    FAILS(syscall(SYS_sched_setattr, 999999, &attr, 0), ESRCH, "sched_setattr looks for the thread before the flags");
    FAILS(syscall(SYS_sched_setattr, 0, &attr, 0), EINVAL, "and then at them");
    IS(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_DEFAULT, "failed memory: the default");
    OKAY(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0), "failed memory: early");
    IS(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_EARLY, "is remembered");
    FAILS(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, 3, 0, 0), EINVAL, "no such time");
    OKAY(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0), "failed memory: as ever");
    timer = (int)OKAY(timerfd_create(CLOCK_BOOTTIME_ALARM, 0), "a timerfd that would wake the machine");
    close(timer);
}

static void body(void)
{
    char *here = getcwd(NULL, 0);

    whiteouts(here);
    if (mkdir("/dev/shm", 01777) == 0 || errno == EEXIST)
        whiteouts("/dev/shm");
    NEED(chdir(here));
    free(here);
    files();
    attributes();
    memory();
    sockets();
    descriptors();
    processes();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
