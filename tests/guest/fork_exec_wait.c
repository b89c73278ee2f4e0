/*
 * The life of processes: fork and vfork, every way to wait and every state waited for, orphans, what execve keeps,
 * passes and refuses. Run with "as:..." as first argument this program is one of its own children. Source: fork(2),
 * vfork(2), wait(2), execve(2), _exit(2).
 */
#include "tap.h"

#include <sys/auxv.h>
#include <sys/prctl.h>

static char self[512];

static pid_t exiting(int status)
{
    pid_t pid = (pid_t)NEED(fork());

    if (pid == 0)
        _exit(status);
    return pid;
}

/* A child that runs until it is killed. */
static pid_t lasting(void)
{
    pid_t pid = (pid_t)NEED(fork());

    while (pid == 0)
        pause();
    return pid;
}

/* ---- Waiting ---- */

static void waiting(void)
{
    struct rusage usage;
    int status = -1;
    pid_t pid, other;

    FAILS(waitpid(-1, &status, 0), ECHILD, "no child at all is ECHILD");
    pid = exiting(7);
    IS(waitpid(pid, &status, 0), pid, "wait for an exited child");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "its exit status");
    FAILS(waitpid(pid, &status, 0), ECHILD, "it can be waited for only once");
    pid = exiting(0x1234);
    waitpid(pid, &status, 0);
    IS(status, 0x3400, "eight bits of the exit status arrive");

    pid = lasting();
    IS(waitpid(pid, &status, WNOHANG), 0, "WNOHANG: 0 while it runs");
    FAILS(waitpid(pid, &status, 0x100), EINVAL, "unknown options are EINVAL");
    FAILS(waitpid(pid + 30000, &status, WNOHANG), ECHILD, "somebody else's process is ECHILD");
    kill(pid, SIGKILL);
    memset(&usage, 0x55, sizeof(usage));
    IS(wait4(pid, &status, 0, &usage), pid, "wait4 with usage");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "killed by SIGKILL");
    CHECK(usage.ru_maxrss < 1 << 20 && usage.ru_utime.tv_sec < 100 && usage.ru_stime.tv_sec < 100,
          "the usage is filled in");

    pid = exiting(1);
    other = exiting(2);
    IS(waitpid(other, &status, 0), other, "wait for the second of two");
    IS(waitpid(-1, &status, 0), pid, "then for any");

    pid = lasting();
    NEED(setpgid(pid, pid));
    FAILS(waitpid(0, &status, WNOHANG), ECHILD, "no child in this process group is ECHILD");
    kill(-pid, SIGTERM);
    IS(waitpid(-pid, &status, 0), pid, "wait for a process group");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "which kill(-pgid) has killed");
}

static void stopping(void)
{
    int status;
    pid_t pid = lasting();

    kill(pid, SIGSTOP);
    sleep_ms(50);
    IS(waitpid(pid, &status, WNOHANG), 0, "a stop is not told without WUNTRACED");
    IS(waitpid(pid, &status, WUNTRACED), pid, "with it it is");
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "with the signal");
    IS(waitpid(pid, &status, WUNTRACED | WNOHANG), 0, "and once only");
    kill(pid, SIGUSR1);
    sleep_ms(50);
    IS(waitpid(pid, &status, WNOHANG), 0, "a stopped process does not act on signals");
    kill(pid, SIGCONT);
    waitpid(pid, &status, WUNTRACED | WCONTINUED);
    if (WIFCONTINUED(status)) /* it may also have died before we looked */
        waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1, "until it continues");

    pid = lasting();
    NEED(setpgid(pid, pid)); /* a group with a parent in the session, for SIGTSTP is lost on orphaned ones */
    kill(pid, SIGTSTP);
    waitpid(pid, &status, WUNTRACED);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP, "SIGTSTP stops as well");
    kill(pid, SIGCONT);
    IS(waitpid(pid, &status, WCONTINUED), pid, "WCONTINUED tells of SIGCONT");
    CHECK(WIFCONTINUED(status), "as such");
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "SIGKILL ends a stopped process");
}

static void waiting_by_id(void)
{
    siginfo_t info;
    pid_t pid = exiting(9);

    memset(&info, 0, sizeof(info));
    IS(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0, "waitid with WNOWAIT");
    CHECK(info.si_pid == pid && info.si_code == CLD_EXITED && info.si_status == 9 && info.si_signo == SIGCHLD,
          "CLD_EXITED");
    IS(waitid(P_ALL, 0, &info, WEXITED), 0, "leaves the child to be waited for");
    IS(info.si_pid, pid, "again");
    FAILS(waitid(P_PID, pid, &info, WEXITED), ECHILD, "but not a third time");
    FAILS(waitid(P_ALL, 0, &info, WNOHANG), EINVAL, "waitid for no state is EINVAL");
    FAILS(waitid(99, 0, &info, WEXITED), EINVAL, "waitid of an unknown kind is EINVAL");
    pid = lasting();
    memset(&info, 0x55, sizeof(info));
    IS(waitid(P_PID, pid, &info, WEXITED | WNOHANG), 0, "waitid with WNOHANG while it runs");
    CHECK(info.si_pid == 0 && info.si_signo == 0, "zeroes the siginfo");
    kill(pid, SIGSTOP);
    waitid(P_PID, pid, &info, WSTOPPED);
    CHECK(info.si_code == CLD_STOPPED && info.si_status == SIGSTOP, "CLD_STOPPED");
    kill(pid, SIGCONT);
    waitid(P_PID, pid, &info, WCONTINUED);
    CHECK(info.si_code == CLD_CONTINUED && info.si_status == SIGCONT, "CLD_CONTINUED");
    kill(pid, SIGKILL);
    waitid(P_PID, pid, &info, WEXITED);
    CHECK(info.si_code == CLD_KILLED && info.si_status == SIGKILL, "CLD_KILLED");
}

static void orphans(void)
{
    int fds[2], status;
    pid_t pid, answers[2] = {0, 0};

    NEED(pipe(fds));
    pid = (pid_t)NEED(fork());
    if (pid == 0) {
        pid_t parent = getpid();

        if (fork() == 0) {
            while (getppid() == parent)
                sleep_ms(2);
            answers[0] = getpid();
            answers[1] = getppid();
            _exit(write(fds[1], answers, sizeof(answers)) != sizeof(answers));
        }
        _exit(0);
    }
    waitpid(pid, &status, 0);
    IS(read(fds[0], answers, sizeof(answers)), sizeof(answers), "an orphan lives on");
    CHECK(answers[1] > 0 && answers[1] != pid && answers[1] != getpid(), "with a new parent (%d)", (int)answers[1]);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) == 0) {
        pid = (pid_t)NEED(fork());
        if (pid == 0) {
            if (fork() == 0)
                _exit(33);
            _exit(0);
        }
        waitpid(pid, &status, 0);
        pid = waitpid(-1, &status, 0);
        CHECK(pid > 0 && WEXITSTATUS(status) == 33, "a subreaper gets the orphans of its children");
        prctl(PR_SET_CHILD_SUBREAPER, 0);
    } else {
        skip("a subreaper gets the orphans of its children", "no PR_SET_CHILD_SUBREAPER");
    }
    close(fds[0]);
    close(fds[1]);
}

static void forking(void)
{
    static volatile int shared_by_vfork;
    int fd = make_file("offset", "abcdef", 6), status;
    struct timespec before, after;
    char byte;
    pid_t pid;

    lseek(fd, 0, SEEK_SET);
    pid = (pid_t)NEED(fork());
    if (pid == 0)
        _exit(read(fd, &byte, 1) != 1 || byte != 'a');
    waitpid(pid, &status, 0);
    CHECK(status == 0 && read(fd, &byte, 1) == 1 && byte == 'b', "parent and child share a file's offset");
    close(fd);
    clock_gettime(CLOCK_MONOTONIC, &before);
    pid = vfork();
    if (pid == 0) {
        shared_by_vfork = 5;
        syscall(SYS_nanosleep, &(struct timespec){0, 50000000}, NULL);
        _exit(4);
    }
    clock_gettime(CLOCK_MONOTONIC, &after);
    IS(shared_by_vfork, 5, "vfork shares memory");
    CHECK((after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec >= 50000000,
          "and holds the parent");
    waitpid(pid, &status, 0);
    IS(WEXITSTATUS(status), 4, "until the child exits");
    pid = vfork();
    if (pid == 0) {
        execl(self, self, "as:exit", "21", NULL);
        _exit(99);
    }
    waitpid(pid, &status, 0);
    IS(WEXITSTATUS(status), 21, "or executes something");
}

static int fork_until_refused(void *unused UNUSED)
{
    struct rlimit limit = {5, 5};
    int children = 0;

    if (setrlimit(RLIMIT_NPROC, &limit) || setuid(1234))
        return 100;
    while (children < 20) {
        pid_t pid = fork();

        if (pid < 0)
            break;
        while (pid == 0)
            pause();
        children++;
    }
    if (errno != EAGAIN)
        children = 101;
    signal(SIGTERM, SIG_IGN);
    kill(-1, SIGTERM); /* all of this user's */
    while (wait(NULL) > 0)
        ;
    return children;
}

/* ---- Executing ---- */

/* The exit status of executing PATH with what follows; 200 - errno when refused; a signal that killed it as its
 * negative. */
static int run(const char *path, char *const argv[], char *const envp[])
{
    int status;
    pid_t pid = (pid_t)NEED(fork());

    if (pid == 0) {
        execve(path, argv, envp);
        _exit(200 - errno);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define REFUSES(path, argv, envp, error, ...) IS(200 - run(path, argv, envp), error, __VA_ARGS__)

static void text_file(const char *name, const char *text, mode_t mode)
{
    close(make_file(name, text, strlen(text)));
    NEED(chmod(name, mode));
}

static void copy_self(const char *name, mode_t mode, size_t limit)
{
    static char block[65536];
    int from = (int)NEED(open(self, O_RDONLY)), to = (int)NEED(open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755));
    ssize_t got;

    while (limit && (got = read(from, block, limit < sizeof(block) ? limit : sizeof(block))) > 0) {
        NEED(write(to, block, got));
        limit -= got;
    }
    close(from);
    close(to);
    NEED(chmod(name, mode));
}

static void passing(void)
{
    char *args[] = {"name", "as:arguments", "", "two words", NULL}, *env[] = {"A=1", "EMPTY=", NULL};
    char *empty[] = {NULL}, *plain[] = {"name", "as:exit", "3", NULL};
    char *state[] = {"name", "as:state", NULL, NULL, NULL}, pid_text[16], fd_text[16], *big[22000];
    int status, kept, closed, last;
    static char long_string[131073];
    pid_t pid;

    IS(run(self, args, env), 0, "arguments and environment arrive");
    IS(run(self, plain, empty), 3, "an empty environment");
    closed = (int)NEED(open("/dev/null", O_RDONLY | O_CLOEXEC));
    kept = (int)NEED(open("/dev/null", O_RDONLY));
    pid = (pid_t)NEED(fork());
    if (pid == 0) {
        sigset_t set;

        signal(SIGUSR1, SIG_IGN);
        signal(SIGUSR2, (void (*)(int))(void *)copy_self);
        sigemptyset(&set);
        sigaddset(&set, SIGHUP);
        sigprocmask(SIG_BLOCK, &set, NULL);
        raise(SIGHUP);
        umask(027);
        snprintf(pid_text, sizeof(pid_text), "%d", (int)getpid());
        snprintf(fd_text, sizeof(fd_text), "%d,%d", kept, closed);
        state[2] = pid_text;
        state[3] = fd_text;
        execv(self, state);
        _exit(99);
    }
    waitpid(pid, &status, 0);
    IS(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0,
       "pid, mask, pending and ignored signals, umask, cwd stay; handlers and O_CLOEXEC go");
    close(kept);
    close(closed);

    memset(long_string, 'x', sizeof(long_string) - 1);
    big[0] = "name";
    big[1] = "as:exit";
    big[2] = "0";
    big[3] = long_string;
    big[4] = NULL;
    REFUSES(self, big, empty, E2BIG, "a single argument of 128 KiB and more is E2BIG");
    long_string[131071] = 0;
    IS(run(self, big, empty), 0, "one byte less is fine");
    for (last = 3; last < 21000; last++)
        big[last] =
            "a hundred and four bytes of argument, or thereabouts, many times over, so that the sum of all is too much";
    big[last] = NULL;
    REFUSES(self, big, empty, E2BIG, "two megabytes in all are E2BIG");
    big[10000] = NULL;
    IS(run(self, big, empty), 0, "one is fine");
}

static void scripts(void)
{
    char text[1200], *args[] = {"zero", "one", "two words", NULL}, *env[] = {NULL};

    snprintf(text, sizeof(text), "#!%s as:script -x y\nnothing else matters\n", self);
    text_file("script", text, 0755);
    IS(run("./script", args, env), 0, "#! runs the interpreter with one argument, the script's name and the arguments");
    snprintf(text, sizeof(text), "#!  \t%s   as:exit  \n", self);
    text_file("spaces", text, 0755);
    IS(run("./spaces", (char *[]){"x", "7", NULL}, env), 0, "blanks around the interpreter do not matter");
    text_file("nested", "#!./script\n", 0755);
    IS(run("./nested", args, env), 0, "an interpreter may be a script");
    text_file("loop", "#!./loop\n", 0755);
    REFUSES("./loop", args, env, ELOOP, "a script that is its own interpreter is ELOOP");
    text_file("lost", "#!/no/such/interpreter\n", 0755);
    REFUSES("./lost", args, env, ENOENT, "a script without its interpreter is ENOENT");
    text_file("bare", "#!\n", 0755);
    REFUSES("./bare", args, env, ENOEXEC, "a script that names none is ENOEXEC");
}

static int run_as_user(void *unused UNUSED)
{
    if (setuid(1000))
        return 1;
    execl("./copy", "copy", "as:user", NULL);
    return 2;
}

/* A child that becomes a program of root's once it is told to, and then waits for the end of TELL. */
static pid_t become_another(int tell[2], int told[2])
{
    pid_t pid;
    char byte;

    NEED(pipe(tell));
    NEED(pipe(told));
    pid = (pid_t)NEED(fork());
    if (pid == 0) {
        close(tell[1]);
        dup2(tell[0], 0);
        dup2(told[1], 1);
        if (read(0, &byte, 1) == 1)
            execl("./copy", "copy", "as:hold", NULL);
        _exit(1);
    }
    return pid;
}

static void end_another(pid_t pid, const int tell[2], const int told[2])
{
    for (int i = 0; i < 2; i++)
        close(tell[i]), close(told[i]);
    waitpid(pid, NULL, 0);
}

/* What its user opened of a process before it became a program of another's: that is not the new program's. */
static int look_into_another(void *unused UNUSED)
{
    static const char *const files[] = {"environ", "auxv", "maps", "smaps", "smaps_rollup", "mem"};
    enum { N = sizeof(files) / sizeof(files[0]) };
    int tell[2], told[2], fds[N], seen = 0;
    char name[64], buffer[256];
    pid_t pid;

    if (setgid(1000) || setuid(1000) || prctl(PR_SET_DUMPABLE, 1))
        return 100;
    pid = become_another(tell, told);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof(name), "/proc/%d/%s", pid, files[i]);
        if ((fds[i] = open(name, O_RDONLY)) < 0)
            return 101;
    }
    if (write(tell[1], "", 1) != 1 || read(told[0], buffer, 1) != 1)
        return 102;
    for (int i = 0; i < N; i++) {
        seen += pread(fds[i], buffer, sizeof(buffer), 0) > 0;
        close(fds[i]);
    }
    end_another(pid, tell, told);
    return seen;
}

/* Opened at the very moment: the old program's memory, which is gone, or not at all. */
static int look_just_then(void *unused UNUSED)
{
    int tell[2], told[2], seen = 0;
    char name[64], buffer[8];

    if (setgid(1000) || setuid(1000) || prctl(PR_SET_DUMPABLE, 1))
        return 100;
    for (int round = 0; round < 30; round++) {
        pid_t pid = become_another(tell, told);
        int last, fd;

        snprintf(name, sizeof(name), "/proc/%d/mem", pid);
        if ((last = open(name, O_RDONLY)) < 0 || write(tell[1], "", 1) != 1)
            return 101;
        while ((fd = open(name, O_RDONLY)) >= 0) {
            close(last);
            last = fd;
        }
        if (read(told[0], buffer, 1) != 1)
            return 102;
        seen += pread(last, buffer, sizeof(buffer), 0) != 0;
        close(last);
        end_another(pid, tell, told);
    }
    return seen;
}

static void refusing(void)
{
    char *args[] = {"x", "as:exit", "0", NULL}, *env[] = {NULL}, name[300];
    int fd;

    REFUSES("./nothing", args, env, ENOENT, "no such file is ENOENT");
    REFUSES("", args, env, ENOENT, "nor is an empty name a file");
    text_file("plain", "just text\n", 0755);
    REFUSES("./plain", args, env, ENOEXEC, "text without #! is ENOEXEC");
    text_file("empty", "", 0755);
    REFUSES("./empty", args, env, ENOEXEC, "an empty file is ENOEXEC");
    copy_self("half", 0755, 40);
    REFUSES("./half", args, env, ENOEXEC, "forty bytes of an ELF file are ENOEXEC");
    copy_self("noexec", 0644, 1UL << 40);
    REFUSES("./noexec", args, env, EACCES, "no x bit is EACCES, for root too");
    REFUSES(".", args, env, EACCES, "a directory is EACCES");
    REFUSES("./plain/x", args, env, ENOTDIR, "a file as folder is ENOTDIR");
    NEED(mkfifo("fifo", 0755));
    REFUSES("./fifo", args, env, EACCES, "a FIFO is EACCES");
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    REFUSES(name, args, env, ENAMETOOLONG, "a name of 299 letters is ENAMETOOLONG");
    NEED(symlink("around", "around"));
    REFUSES("./around", args, env, ELOOP, "a symlink to itself is ELOOP");
    copy_self("copy", 0755, 1UL << 40);
    IS(run("./copy", args, env), 0, "a copy of this program runs");
    fd = (int)NEED(open("copy", O_WRONLY));
    REFUSES("./copy", args, env, ETXTBSY, "but not while it is open for writing");
    close(fd);
    if (geteuid() == 0) {
        NEED(chmod("copy", 04755));
        EXITS(run_as_user, NULL, 0, "a set-user-ID program runs with its owner's rights");
        EXITS(look_into_another, NULL, 0, "nothing of it is told to who opened its process's files before");
        EXITS(look_just_then, NULL, 0, "nor to who opens its memory while it begins");
        NEED(chmod("copy", 0755));
    }
    FAILS(open("/proc/self/exe", O_WRONLY), ETXTBSY, "a running program cannot be opened for writing");
    FAILS(truncate(self, 0), ETXTBSY, "nor truncated");
}

/* ---- This program as its own child ---- */

static int ignored_and_pending(void)
{
    struct sigaction one, two;
    sigset_t set, pending;

    sigaction(SIGUSR1, NULL, &one);
    sigaction(SIGUSR2, NULL, &two);
    sigprocmask(SIG_BLOCK, NULL, &set);
    sigpending(&pending);
    return one.sa_handler == SIG_IGN && two.sa_handler == SIG_DFL && sigismember(&set, SIGHUP) &&
           sigismember(&pending, SIGHUP);
}

static int as_child(int argc, char **argv, char **envp)
{
    const char *what = argv[1] + 3;
    int kept, closed;

    if (!strcmp(what, "exit"))
        return argc > 2 ? atoi(argv[2]) : 0;
    if (!strcmp(what, "arguments"))
        return !(argc == 4 && !strcmp(argv[0], "name") && !*argv[2] && !strcmp(argv[3], "two words") && !argv[4] &&
                 !strcmp(envp[0], "A=1") && !strcmp(envp[1], "EMPTY=") && !envp[2] && getauxval(AT_PAGESZ) == PAGE &&
                 getauxval(AT_RANDOM) && getauxval(AT_EXECFN) && !strcmp((char *)getauxval(AT_EXECFN), self));
    if (!strcmp(what, "state")) {
        if (atoi(argv[2]) != getpid() || !ignored_and_pending() || umask(0) != 027 || access("offset", F_OK))
            return 1;
        sscanf(argv[3], "%d,%d", &kept, &closed);
        return fcntl(kept, F_GETFD) == 0 && fcntl(closed, F_GETFD) == -1 && errno == EBADF ? 0 : 2;
    }
    if (!strcmp(what, "script -x y")) /* "#!self as:script -x y" run as ./script, or as ./nested's interpreter */
        return !(argc >= 5 && !strcmp(argv[2], "./script") && !strcmp(argv[argc - 2], "one") &&
                 !strcmp(argv[argc - 1], "two words") && (argc == 5 || (argc == 6 && !strcmp(argv[3], "./nested"))));
    if (!strcmp(what, "user"))
        return getuid() == 1000 && geteuid() == 0 && getauxval(AT_SECURE) ? 0 : 3;
    if (!strcmp(what, "hold")) {
        char byte;

        return write(1, "", 1) == 1 && read(0, &byte, 1) == 0 ? 0 : 4;
    }
    return 9;
}

static void body(void)
{
    waiting();
    stopping();
    waiting_by_id();
    orphans();
    forking();
    if (geteuid() == 0)
        IS(in_child(fork_until_refused, NULL).status, 4, "RLIMIT_NPROC bounds a user's processes with EAGAIN");
    passing();
    scripts();
    refusing();
}

int main(int argc, char **argv, char **envp)
{
    ssize_t used = readlink("/proc/self/exe", self, sizeof(self) - 1);

    self[used > 0 ? used : 0] = 0;
    if (argc > 1 && !strncmp(argv[1], "as:", 3))
        return as_child(argc, argv, envp);
    return tap_main(argc, argv, body);
}
