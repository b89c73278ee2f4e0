/*
 * A storm of system calls. Families of threads and processes share memory, descriptors and folders in every mixture,
 * and each of them makes random calls whose arguments are mostly of the right kind - so that they get far - and
 * sometimes anything. Pointers lead into memory with holes: none, read-only, a file's past its end, and some whose
 * pages come from userfaultfd or are armed for user traps. A round ends with SIGKILL for everybody: whatever they were
 * doing, the kernel goes on serving others, all of them die, and nothing of theirs stays.
 *
 * callfuzz is the simpler sister: single processes, any number at all as an argument.
 *
 *     callstorm [DIR] [ROUNDS [SECONDS [FAMILIES [SEED [root]]]]]      `root`: do not give up privileges
 */
#include "vmtrap.h"
#include "storm_calls.h"

#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#define USER 4300       /* of the first family */
#define FAMILY_LIMIT 40 /* processes and threads */

/* ---- A family ---- */

static void register_faults(int fd, char *at, int mode)
{
    struct uffdio_register range = {.range = {(uintptr_t)at, 4 * PAGE}, .mode = mode};

    ioctl(fd, UFFDIO_REGISTER, &range);
}

/* The area: eight good pages, then four pages of each kind, then good ones again. Returns its userfaultfd. */
static int prepare_area(void)
{
    struct uffdio_api api = {.api = UFFD_API};
    int file = open("file", O_RDWR), uffd = syscall(SYS_userfaultfd, O_NONBLOCK);
    char *at;

    area = mmap(NULL, AREA_PAGES * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    at = area + 8 * PAGE;
    munmap(at, 4 * PAGE);
    mprotect(at += 4 * PAGE, 4 * PAGE, PROT_READ);
    mprotect(at += 4 * PAGE, 4 * PAGE, PROT_NONE);
    mmap(at += 4 * PAGE, 4 * PAGE, RW, MAP_SHARED | MAP_FIXED, file, 0); /* the file has two pages */
    mmap(at += 4 * PAGE, 4 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, file, 0);
    mmap(at += 4 * PAGE, 8 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mmap(at += 8 * PAGE, 8 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (uffd >= 0 && ioctl(uffd, UFFDIO_API, &api) == 0) {
        register_faults(uffd, at, UFFDIO_REGISTER_MODE_MISSING);
        register_faults(uffd, at + 4 * PAGE, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP);
    }
    trap_arm(at += 8 * PAGE, 4 * PAGE);
    syscall(VMTRAP_ARM, at + 4 * PAGE, 4 * PAGE, VMTRAP_TRACK);
    close(file);
    return uffd;
}

static void prepare_descriptors(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int pair[2], fd, epoll;
    sigset_t set;

    for (int i = 3; i < 64; i++)
        close(i);
    open("file", O_RDWR);
    open("file2", O_RDWR | O_APPEND | O_NONBLOCK);
    open("dir", O_RDONLY);
    open("file", O_PATH);
    open("fifo", O_RDWR | O_NONBLOCK);
    if (pipe2(pair, O_NONBLOCK) || pipe2(pair, 0) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ||
        socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair))
        return;
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(fd, (void *)&any, sizeof(any)) == 0)
        listen(fd, 4);
    socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    socket(AF_INET, SOCK_DGRAM, 0);
    eventfd(1, 0);
    timerfd_create(CLOCK_MONOTONIC, 0);
    sigfillset(&set);
    signalfd(-1, &set, 0);
    epoll = epoll_create1(0);
    for (int i = 8; i < 20; i++)
        epoll_ctl(epoll, EPOLL_CTL_ADD, i, &(struct epoll_event){.events = EPOLLIN | (i % 2 ? EPOLLET : 0)});
    epoll_create1(0);
    inotify_add_watch(inotify_init1(IN_NONBLOCK), ".", IN_ALL_EVENTS);
    syscall(SYS_memfd_create, "storm", 2 /* MFD_ALLOW_SEALING */);
    open("/proc/self/mem", O_RDWR);
    open("/proc/self/pagemap", O_RDONLY);
    open("/proc/self/clear_refs", O_WRONLY);
    open("/dev/zero", O_RDWR);
    posix_openpt(O_RDWR | O_NOCTTY);
    syscall(434 /* pidfd_open */, getpid(), 0);
}

static void prepare_files(void)
{
    int fd = open("file", O_RDWR | O_CREAT, 0666);

    if (fd < 0 || ftruncate(fd, 2 * PAGE) || close(fd))
        return;
    close(open("file2", O_RDWR | O_CREAT, 0666));
    mkdir("dir", 0777);
    close(open("dir/x", O_RDWR | O_CREAT, 0666));
    mkfifo("fifo", 0666);
    if (symlink("file", "link") || symlink("loop", "loop"))
        return;
}

static void limit(int what, rlim_t value)
{
    struct rlimit both = {value, value};

    setrlimit(what, &both);
}

static void woken(int signo UNUSED) {}

static uint64_t open_it(struct vmtrap_area *save, uintptr_t address, uint64_t cause UNUSED, uintptr_t pc UNUSED)
{
    return resume_with(save, (void *)(address & ~(PAGE - 1)), PAGE, RW);
}

/* Calls without end; a timer wakes those that wait. */
static void *storm(void *number)
{
    struct itimerval often = {{0, 20000}, {0, 20000}};

    state ^= (uintptr_t)number * 0x9e3779b97f4a7c15u;
    setitimer(ITIMER_REAL, &often, NULL);
    if (has_vmtrap())
        trap_register(open_it);
    for (uint64_t i = 1;; i++) {
        one_call();
        if (i % 64 == 0)
            state ^= (uint64_t)syscall(SYS_gettid) << 20; /* after a clone there are two of us */
    }
    return NULL;
}

static uint64_t family_seed;

/* One member of the family: a process with two more threads. */
static int member(void *number)
{
    pthread_t thread;

    state = family_seed + (uintptr_t)number * 1000003;
    for (uintptr_t i = 1; i < 3; i++) {
        uint64_t mine = next();

        pthread_create(&thread, NULL, storm, (void *)(uintptr_t)mine);
    }
    storm((void *)1);
    return 0;
}

/* Without threads of its own, since its thread pointer is another's. */
static int sharer(void *number)
{
    uint64_t kept = state;

    state = family_seed + (uintptr_t)number * 1000003;
    for (int i = 0; i < 3000; i++)
        one_call();
    state = kept;
    syscall(SYS_exit, 0);
    return 0;
}

/* Somebody who answers the faults of userfaultfd, in one way or another. */
static void *answer_faults(void *fd)
{
    struct uffd_msg msg;

    state = family_seed;
    for (;;) {
        struct pollfd ready = {.fd = (int)(intptr_t)fd, .events = POLLIN};

        poll(&ready, 1, 50);
        if (read(ready.fd, &msg, sizeof(msg)) != sizeof(msg) || msg.event != UFFD_EVENT_PAGEFAULT)
            continue;
        uintptr_t page = msg.arg.pagefault.address & ~(PAGE - 1);
        struct uffdio_zeropage zero = {.range = {page, PAGE}};
        struct uffdio_copy copy = {
            .dst = page, .src = (uintptr_t)area, .len = PAGE, .mode = pick(2) ? UFFDIO_COPY_MODE_WP : 0};
        struct uffdio_writeprotect open = {.range = {page, PAGE}};

        if (msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP)
            ioctl(ready.fd, UFFDIO_WRITEPROTECT, &open);
        else if (pick(2))
            ioctl(ready.fd, UFFDIO_ZEROPAGE, &zero);
        else
            ioctl(ready.fd, UFFDIO_COPY, &copy);
    }
    return NULL;
}

static void become(int user)
{
    if (setgid(user) || setuid(user))
        _exit(1);
    prctl(PR_SET_DUMPABLE, 1);
}

/* Begins the members of one family, and begins them again when they die; never returns. */
static void lead(int number, uint64_t seed, int keep_root)
{
    static const int kinds[] = {SIGCHLD, SIGCHLD | CLONE_FILES, SIGCHLD | CLONE_FS, SIGCHLD | CLONE_FILES | CLONE_FS};
    char folder[32], *stack = anon(65536, RW);
    pthread_t thread;
    int uffd;

    snprintf(folder, sizeof(folder), "family-%d", number);
    if ((mkdir(folder, 0777) && errno != EEXIST) || chown(folder, USER + number, USER + number) || chdir(folder))
        _exit(1);
    setsid();
    leader = getpid();
    family_seed = seed;
    state = seed * 0x9e3779b97f4a7c15u + 1;
    munmap(tap, PAGE); /* which a call with a large enough range could change */
    for (int fd = 0; fd < 3; fd++)
        dup2(open("/dev/null", O_RDWR), fd);
    prepare_files();
    uffd = prepare_area();
    if (uffd >= 0)
        uffd = dup2(uffd, 50);
    if (!keep_root)
        become(USER + number);
    prepare_descriptors();
    dup2(50, POOL - 1);
    signal(SIGALRM, woken);
    signal(SIGURG, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    limit(RLIMIT_NPROC, FAMILY_LIMIT);
    limit(RLIMIT_FSIZE, 1 << 20);
    limit(RLIMIT_AS, 96 << 20);
    limit(RLIMIT_CORE, 0);
    if (uffd >= 0)
        pthread_create(&thread, NULL, answer_faults, (void *)(intptr_t)uffd);
    for (uintptr_t n = 0;; n++) {
        if (n % 5 == 4) {
            clone(sharer, stack + 65536, CLONE_VM | (pick(2) ? CLONE_FILES : 0) | SIGCHLD, (void *)n);
        } else if (syscall(SYS_clone, kinds[n % 4], 0, 0, 0, 0) == 0) {
            member((void *)n);
        }
        while (n > 2 && waitpid(-1, NULL, __WALL) < 0 && errno != ECHILD)
            ;
    }
}

/* ---- The test ---- */

static void as_user(int user, int signo)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (setgid(user) || setuid(user))
            _exit(1);
        kill(-1, signo);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

/* Everybody below us; those of root are found by their parents, who are all dead: we are everybody's reaper. */
static void kill_children(void)
{
    char name[64], *text;
    pid_t self = getpid();
    DIR *proc = opendir("/proc");
    struct dirent *entry;

    while (proc && (entry = readdir(proc))) {
        long parent = -1;

        snprintf(name, sizeof(name), "/proc/%.20s/stat", entry->d_name);
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || !(text = slurp(name)))
            continue;
        if (strrchr(text, ')'))
            sscanf(strrchr(text, ')') + 1, " %*c %ld", &parent);
        free(text);
        if (parent == self)
            kill(atoi(entry->d_name), SIGKILL);
    }
    if (proc)
        closedir(proc);
}

static int kill_all(int families, int keep_root)
{
    pid_t pid = 0;

    for (int tries = 0; tries < 1000 && pid >= 0; tries++) {
        for (int i = 0; i < families && !keep_root; i++)
            as_user(USER + i, SIGKILL);
        if (keep_root)
            kill_children();
        while ((pid = waitpid(-1, NULL, WNOHANG | __WALL)) > 0)
            ;
        sleep_ms(tries < 5 ? 5 : 50);
    }
    return pid < 0;
}

/* Who has made /dev/shm/storm a folder, and is in it, has more names than that within reach. */
static void remove_shared_files(int families)
{
    DIR *dir = opendir("/dev/shm");
    struct dirent *entry;
    struct stat st;

    while (dir && (entry = readdir(dir))) {
        char path[300];

        snprintf(path, sizeof(path), "/dev/shm/%s", entry->d_name);
        if (lstat(path, &st) || st.st_uid < USER || st.st_uid >= (unsigned)USER + families)
            continue;
        if (S_ISDIR(st.st_mode))
            remove_tree(path);
        else
            unlink(path);
    }
    if (dir)
        closedir(dir);
}

/* What outlives its makers: System V's objects, queues, files in /dev/shm. */
static void remove_objects(int families)
{
    struct shmid_ds shm;
    struct semid_ds sem;
    struct msqid_ds msg;
    int id;

    for (int i = 0; i < 256; i++) {
        if ((id = shmctl(i, SHM_STAT, &shm)) >= 0 && shm.shm_perm.cuid >= USER &&
            shm.shm_perm.cuid < (unsigned)USER + families)
            shmctl(id, IPC_RMID, NULL);
        if ((id = semctl(i, 0, SEM_STAT, &sem)) >= 0 && sem.sem_perm.cuid >= USER &&
            sem.sem_perm.cuid < (unsigned)USER + families)
            semctl(id, 0, IPC_RMID);
        if ((id = msgctl(i, MSG_STAT, &msg)) >= 0 && msg.msg_perm.cuid >= USER &&
            msg.msg_perm.cuid < (unsigned)USER + families)
            msgctl(id, IPC_RMID, NULL);
    }
    mq_unlink("/storm-a");
    mq_unlink("/storm-b");
    remove_shared_files(families);
}

/* Sockets that only messages to each other keep are found when many more are on their way. */
static void remove_lost_sockets(void)
{
    char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
    struct iovec data = {&byte, 1};
    struct msghdr header = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    int pair[2];

    for (int i = 0; i < 64; i++) {
        NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
        *CMSG_FIRSTHDR(&header) =
            (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&header)), &pair[1], sizeof(int));
        NEED(sendmsg(pair[0], &header, 0));
        close(pair[1]);
        close(pair[0]); /* last: the end of a socket is when others are looked for */
    }
}

static long given(int index, long otherwise)
{
    for (int i = 0; i <= index; i++)
        if (!tap_arguments[i])
            return otherwise;
    return strtol(tap_arguments[index], NULL, 0);
}

static void vmtrap_test(void)
{
    long rounds = given(0, 2), seconds = given(1, 2), families = given(2, 2), seed = given(3, 1),
         keep_root = given(4, -1) != -1;

    if (geteuid() != 0) {
        skip("a storm of calls", "needs root, to become users of no others");
        return;
    }
    NEED(chmod(".", 0777));
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (long round = 0; round < rounds; round++) {
        diag("round %ld: %ld families, %ld s, seed %ld", round + 1, families, seconds, seed + round);
        for (int i = 0; i < families; i++)
            if (NEED(fork()) == 0)
                lead(i, (seed + round) * 1000 + i, keep_root);
        for (long waited = 0; waited < seconds * 20; waited++) {
            while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
            sleep_ms(50);
        }
        if (!CHECK(kill_all(families, keep_root), "round %ld: every process could be killed", round + 1))
            return;
        CHECK(still_serves(), "round %ld: the kernel lives and serves", round + 1);
        remove_objects(families);
        remove_lost_sockets();
    }
}

int main(int argc, char **argv)
{
    if (argc > 0 && getppid() != 1 && getuid() >= USER && getuid() < USER + 1000)
        return 0; /* a member of the storm executed us */
    return tap_main(argc, argv, vmtrap_test);
}
