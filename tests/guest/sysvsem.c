/* System V semaphores: semget(2), semop(2), semctl(2), and what a process's end undoes. */
#include "tap.h"

#include <pthread.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/time.h>

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    struct seminfo *info;
};

static int set; /* of three */

static int control(int id, int number, int command, void *argument)
{
    return semctl(id, number, command, (union semun){.array = argument});
}

static int value(int number) { return semctl(set, number, GETVAL); }
static int assign(int number, int to) { return semctl(set, number, SETVAL, (union semun){.val = to}); }

static int operate(int number, int change, int flags)
{
    struct sembuf o = {(unsigned short)number, (short)change, (short)flags};

    return semop(set, &o, 1);
}

static int operate_until(int number, int change, long ms)
{
    struct sembuf o = {(unsigned short)number, (short)change, 0};
    struct timespec timeout = {ms / 1000, ms % 1000 * 1000000};

    return semtimedop(set, &o, 1, &timeout);
}

static void making(void)
{
    key_t key = (key_t)(0x53450000 + getpid());
    int id, other;

    FAILS(semget(key, 1, 0), ENOENT, "semget of a key that nobody has");
    FAILS(semget(key, 0, IPC_CREAT | 0600), EINVAL, "a set of none");
    FAILS(semget(key, -1, IPC_CREAT | 0600), EINVAL, "of less");
    FAILS(semget(key, 32001, IPC_CREAT | 0600), EINVAL, "of more than SEMMSL");
    id = (int)OKAY(semget(key, 2, IPC_CREAT | 0600), "IPC_CREAT makes it");
    IS(semget(key, 2, 0), id, "then it is found");
    IS(semget(key, 0, 0), id, "whatever its size, with 0");
    FAILS(semget(key, 3, 0), EINVAL, "but not for more than it has");
    FAILS(semget(key, 2, IPC_CREAT | IPC_EXCL | 0600), EEXIST, "IPC_EXCL: it must not be there");
    other = (int)OKAY(semget(IPC_PRIVATE, 32000, 0600), "IPC_PRIVATE, as many as allowed");
    CHECK(other != id, "is always another one");
    OKAY(semctl(other, 0, IPC_RMID), "IPC_RMID");
    FAILS(semctl(other, 0, IPC_RMID), EINVAL, "once");
    OKAY(semctl(id, 0, IPC_RMID), "of the other, too");
    FAILS(semget(key, 0, 0), ENOENT, "whose key is free again");
}

static void values(void)
{
    unsigned short all[3] = {1, 2, 3};
    struct semid_ds ds;
    time_t now = time(NULL);

    OKAY(control(set, 0, SETALL, all), "SETALL");
    memset(all, 0, sizeof(all));
    OKAY(control(set, 0, GETALL, all), "GETALL");
    CHECK(all[0] == 1 && all[1] == 2 && all[2] == 3, "gives the same");
    IS(value(2), 3, "so does GETVAL");
    OKAY(assign(2, 32767), "SETVAL up to SEMVMX");
    FAILS(assign(2, 32768), ERANGE, "not above");
    FAILS(assign(2, -1), ERANGE, "nor below 0");
    FAILS(assign(3, 1), EINVAL, "a semaphore that is not there");
    FAILS(value(3), EINVAL, "has no value");
    FAILS(value(-1), EINVAL, "nor has -1");
    all[1] = 40000;
    FAILS(control(set, 0, SETALL, all), ERANGE, "SETALL with a value that is too large");
    IS(value(1), 2, "changes none");
    FAILS(control(set, 0, SETALL, (void *)8), EFAULT, "SETALL from nowhere");
    FAILS(control(set, 0, GETALL, (void *)8), EFAULT, "GETALL to nowhere");
    IS(semctl(set, 2, GETPID), getpid(), "GETPID: who set it");
    FAILS(semctl(set, 0, 99), EINVAL, "an unknown command");
    FAILS(semctl(-1, 0, GETVAL), EINVAL, "no set");
    OKAY(control(set, 0, IPC_STAT, &ds), "IPC_STAT");
    CHECK(ds.sem_nsems == 3 && (ds.sem_perm.mode & 0777) == 0600 && ds.sem_ctime >= now - 1 && ds.sem_ctime <= now + 1,
          "three, theirs, changed now");
    FAILS(control(set, 0, IPC_STAT, (void *)8), EFAULT, "IPC_STAT to nowhere");
    FAILS(control(set, 0, IPC_SET, (void *)8), EFAULT, "IPC_SET from nowhere");
    ds.sem_perm.mode = 0640;
    OKAY(control(set, 0, IPC_SET, &ds), "IPC_SET");
    control(set, 0, IPC_STAT, &ds);
    IS(ds.sem_perm.mode & 0777, 0640, "changes the mode");
}

static void operations(void)
{
    struct sembuf both[3] = {{0, -1, 0}, {1, 1, 0}, {2, 0, IPC_NOWAIT}}, many[501];
    struct timespec bad = {0, 1000000000};
    struct semid_ds ds;

    memset(many, 0, sizeof(many));
    assign(0, 2);
    assign(1, 0);
    assign(2, 1);
    FAILS(semop(set, both, 3), EAGAIN, "operations of which the last would wait");
    CHECK(value(0) == 2 && value(1) == 0, "are not done at all");
    OKAY(semop(set, both, 2), "without it they are");
    CHECK(value(0) == 1 && value(1) == 1, "all");
    assign(2, 0);
    OKAY(semop(set, both, 3), "to wait for 0 where there is 0");
    FAILS(operate(0, -1, IPC_NOWAIT), EAGAIN, "less than 0 with IPC_NOWAIT");
    FAILS(operate_until(0, -1, 20), EAGAIN, "or within a time");
    FAILS(operate(1, 32767, 0), ERANGE, "more than SEMVMX");
    IS(value(1), 2, "changes nothing");
    FAILS(operate(3, 1, 0), EFBIG, "of a semaphore that is not there");
    FAILS(semop(set, both, 0), EINVAL, "no operations");
    FAILS(semop(set, many, 501), E2BIG, "too many");
    OKAY(semop(set, many, 500), "as many as allowed");
    FAILS(semop(set, (void *)8, 1), EFAULT, "from nowhere");
    FAILS(semop(-1, both, 1), EINVAL, "no set");
    FAILS(semop(0x7ffffff0, both, 1), EINVAL, "none with that number");
    FAILS(semtimedop(set, both, 1, &bad), EINVAL, "a time that is none");
    FAILS(syscall(SYS_semtimedop, set, both, 1, (void *)8), EFAULT, "from nowhere");
    OKAY(semtimedop(set, &(struct sembuf){1, -1, 0}, 1, NULL), "no time: as long as it takes");
    control(set, 0, IPC_STAT, &ds);
    CHECK(ds.sem_otime >= ds.sem_ctime - 1 && ds.sem_otime > 0, "the time of the last operation");
}

/* Until COMMAND (GETNCNT, GETZCNT) of NUMBER says N. */
static int waits(int number, int command, int n)
{
    for (int i = 0; i < 2000; i++) {
        if (semctl(set, number, command) == n)
            return 1;
        sleep_ms(5);
    }
    return 0;
}

static int exit_status(pid_t pid)
{
    int status = -1;

    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static pid_t child_operates(int number, int change)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(operate(number, change, 0) == 0 ? 0 : errno);
    return pid;
}

static void on_alarm(int signo) { (void)signo; }

static void waiting(void)
{
    struct sigaction a = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    pid_t first, second, third;

    assign(0, 0);
    assign(1, 1);
    first = child_operates(0, -2);
    CHECK(waits(0, GETNCNT, 1), "GETNCNT: one waits for more");
    IS(semctl(set, 0, GETZCNT), 0, "none for 0");
    operate(0, 1, 0);
    IS(semctl(set, 0, GETNCNT), 1, "1 is not enough for 2");
    operate(0, 1, 0);
    IS(exit_status(first), 0, "2 are");
    IS(value(0), 0, "and are taken");
    IS(semctl(set, 0, GETPID), first, "by it");
    first = child_operates(1, 0);
    CHECK(waits(1, GETZCNT, 1), "GETZCNT: one waits for 0");
    operate(1, -1, 0);
    IS(exit_status(first), 0, "which comes");
    first = child_operates(0, -1);
    waits(0, GETNCNT, 1);
    second = child_operates(0, -1);
    waits(0, GETNCNT, 2);
    third = child_operates(0, -1);
    CHECK(waits(0, GETNCNT, 3), "three in line");
    operate(0, 1, 0);
    IS(exit_status(first), 0, "the first is served first");
    assign(0, 2);
    IS(exit_status(second) + exit_status(third), 0, "SETVAL serves the others");
    sigaction(SIGALRM, &a, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 50000}}, NULL);
    FAILS(operate(0, -1, 0), EINTR, "a signal ends the wait, also with SA_RESTART");
    IS(semctl(set, 0, GETNCNT), 0, "then nobody is in line");
}

static void removal(void)
{
    int id = semget(IPC_PRIVATE, 1, 0600), saved = set;
    pid_t pid;

    set = id;
    pid = child_operates(0, -1);
    waits(0, GETNCNT, 1);
    OKAY(semctl(id, 0, IPC_RMID), "IPC_RMID of a set that is waited for");
    IS(exit_status(pid), EIDRM, "EIDRM for who waits");
    set = saved;
}

static int adds_undone(void *unused)
{
    (void)unused;
    _exit(operate(0, 3, SEM_UNDO) == 0 && operate(1, -1, SEM_UNDO) == 0 ? 0 : 1);
}

static int shares_undo(void *unused)
{
    (void)unused;
    _exit(operate(0, 5, SEM_UNDO) == 0 ? 0 : 1);
}

static void *thread_undoes(void *unused)
{
    operate(0, 7, SEM_UNDO);
    return unused;
}

static char stack[65536] __attribute__((aligned(16)));

static void undoing(void)
{
    pthread_t thread;
    char number[12];
    pid_t pid;

    assign(0, 1);
    assign(1, 1);
    snprintf(number, sizeof(number), "%d", set);
    pid = fork();
    if (pid == 0) {
        operate(0, 4, SEM_UNDO);
        execl("/proc/self/exe", "sysvsem", "--value", number, "5", NULL);
        _exit(9);
    }
    IS(exit_status(pid), 0, "what is to be undone stays with a process that executes a program");
    IS(value(0), 1, "whose end undoes it");
    pid = fork();
    if (pid == 0)
        adds_undone(NULL);
    IS(exit_status(pid), 0, "a child with SEM_UNDO");
    CHECK(value(0) == 1 && value(1) == 1, "its end gives and takes back");
    IS(semctl(set, 1, GETPID), pid, "in its name");
    pid = fork();
    if (pid == 0) {
        operate(0, 3, SEM_UNDO);
        assign(0, 9);
        _exit(0);
    }
    exit_status(pid);
    IS(value(0), 9, "SETVAL forgets what was to be undone");
    pid = fork();
    if (pid == 0) {
        operate(0, 3, SEM_UNDO);
        kill(getppid(), 0);
        pid = fork();
        if (pid == 0)
            _exit(0);
        exit_status(pid);
        _exit(value(0) == 12 ? 0 : 1);
    }
    IS(exit_status(pid), 0, "a child does not inherit it");
    IS(value(0), 9, "its parent undoes it");
    pid = fork();
    if (pid == 0) {
        operate(0, 4, SEM_UNDO);
        assign(1, 0);
        operate(0, -13, 0);
        _exit(0);
    }
    exit_status(pid);
    IS(value(0), 0, "what would be below 0 stays at 0");
    pid = fork();
    if (pid == 0) {
        pid = clone(shares_undo, stack + sizeof(stack), CLONE_SYSVSEM | SIGCHLD, NULL);
        if (exit_status(pid) != 0 || value(0) != 5)
            _exit(1);
        _exit(0);
    }
    IS(exit_status(pid), 0, "CLONE_SYSVSEM: the end of one that shares changes nothing");
    IS(value(0), 0, "that of the last one does");
    pid = fork();
    if (pid == 0) {
        pthread_create(&thread, NULL, thread_undoes, NULL);
        pthread_join(thread, NULL);
        _exit(value(0) == 7 ? 0 : 1);
    }
    IS(exit_status(pid), 0, "threads share it");
    IS(value(0), 0, "and the process's end undoes it");
    FAILS(semop(set, (struct sembuf[]){{0, 32767, SEM_UNDO}, {0, -32767, 0}, {0, 2, SEM_UNDO}}, 3), ERANGE,
          "an adjustment beyond SEMAEM");
    IS(value(0), 0, "is refused as a whole");
    OKAY(operate(0, 0, SEM_UNDO), "to wait for 0 with SEM_UNDO");
    pid = fork();
    if (pid == 0)
        _exit(operate(0, 1, SEM_UNDO) != 0 || unshare(CLONE_SYSVSEM) != 0 || value(0) != 0);
    IS(exit_status(pid), 0, "unshare of CLONE_SYSVSEM undoes at once");
    pid = fork();
    if (pid == 0) {
        int id = semget(IPC_PRIVATE, 1, 0600);

        semop(id, &(struct sembuf){0, 1, SEM_UNDO}, 1);
        _exit(semctl(id, 0, IPC_RMID) != 0);
    }
    IS(exit_status(pid), 0, "a set that is removed has nothing to undo");
}

static int try_as_nobody(void *unused)
{
    struct semid_ds ds;
    unsigned short all[3];

    (void)unused;
    if (setgid(65534) != 0 || setuid(65534) != 0)
        return 1;
    if (value(0) != -1 || errno != EACCES || assign(0, 1) != -1 || errno != EACCES)
        return 2;
    if (operate(0, 1, 0) != -1 || errno != EACCES || operate(0, 0, IPC_NOWAIT) != -1 || errno != EACCES)
        return 3;
    if (control(set, 0, IPC_STAT, &ds) != -1 || errno != EACCES || control(set, 0, GETALL, all) != -1 ||
        errno != EACCES)
        return 4;
    if (semctl(set, 0, IPC_RMID) != -1 || errno != EPERM || control(set, 0, IPC_SET, &ds) != -1 || errno != EPERM)
        return 5;
    return 0;
}

static void permissions(void)
{
    struct semid_ds ds;
    pid_t pid;

    if (geteuid() != 0)
        return;
    pid = fork();
    if (pid == 0)
        _exit(try_as_nobody(NULL));
    IS(exit_status(pid), 0, "others may not, with mode 0640");
    control(set, 0, IPC_STAT, &ds);
    ds.sem_perm.mode = 0644;
    control(set, 0, IPC_SET, &ds);
    assign(0, 0);
    pid = fork();
    if (pid == 0)
        _exit(setuid(65534) != 0 || value(0) != 0 || operate(0, 0, 0) != 0 || operate(0, 1, 0) != -1 ||
              errno != EACCES);
    IS(exit_status(pid), 0, "with mode 0644 they may look, and wait for 0, no more");
}

static void tables(void)
{
    struct seminfo limits;
    struct semid_ds ds;
    int highest, found = 0, own = 0;
    char line[300];
    FILE *file;

    highest = (int)OKAY(control(0, 0, SEM_INFO, &limits), "SEM_INFO");
    CHECK(limits.semusz >= 1 && limits.semaem >= 3, "counts sets and semaphores");
    for (int i = 0; i <= highest; i++)
        found |= control(i, 0, SEM_STAT, &ds) == set && ds.sem_nsems == 3;
    CHECK(found, "SEM_STAT finds it by index");
    IS(control(highest + 1000, 0, SEM_STAT_ANY, &ds), -1, "not beyond");
    OKAY(control(0, 0, IPC_INFO, &limits), "IPC_INFO");
    CHECK(limits.semmni == 32000 && limits.semmsl == 32000 && limits.semopm == 500 && limits.semvmx == 32767,
          "tells the limits");
    FAILS(control(0, 0, IPC_INFO, (void *)8), EFAULT, "not to nowhere");
    file = fopen("/proc/sysvipc/sem", "r");
    CHECK(file != NULL, "/proc/sysvipc/sem");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        int key, id, mode, n;

        own |= sscanf(line, "%d %d %o %d", &key, &id, &mode, &n) == 4 && id == set && n == 3 && (mode & 0777) == 0644;
    }
    CHECK(own || geteuid() != 0, "has a line for it");
    if (file != NULL)
        fclose(file);
}

/* Threads that take and give one semaphore in turn. */
#define TURNS 500
static volatile int inside, most_inside;

static void *take_turns(void *unused)
{
    for (int i = 0; i < TURNS; i++) {
        operate(0, -1, SEM_UNDO);
        if (++inside > most_inside)
            most_inside = inside;
        inside--;
        operate(0, 1, SEM_UNDO);
    }
    return unused;
}

static void exclusion(void)
{
    pthread_t threads[4];

    assign(0, 1);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, take_turns, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    IS(most_inside, 1, "of four threads one at a time is inside");
    IS(value(0), 1, "and all leave");
}

static void body(void)
{
    making();
    set = (int)OKAY(semget(IPC_PRIVATE, 3, 0600), "a set of three");
    values();
    operations();
    waiting();
    removal();
    undoing();
    permissions();
    tables();
    exclusion();
    OKAY(semctl(set, 0, IPC_RMID), "the set is removed");
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--value") == 0) /* what undoing() executes */
        return semctl(atoi(argv[2]), 0, GETVAL) == atoi(argv[3]) ? 0 : 1;
    return tap_main(argc, argv, body);
}
