/*
 * Threads as glibc uses them and the system calls below: creation and joining, mutexes, conditions, thread-local
 * storage, robust mutexes whose owner dies, futex operations and their errors, exec and exit with other threads about.
 * Source: clone(2), futex(2), set_robust_list(2), pthreads(7).
 */
#include "tap.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

static char self[512];
static volatile int word;
static __thread int local = 11;

static long futex(volatile int *at, int operation, long value, const struct timespec *wait, volatile int *at2,
                  int value3)
{
    return syscall(SYS_futex, at, operation, value, wait, at2, value3);
}

static pthread_t start(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, function, argument);

    if (error) {
        CHECK(0, "needed: pthread_create, %s", errno_name(error));
        _exit(1);
    }
    return thread;
}

/* ---- pthreads ---- */

static void *square(void *argument) { return (void *)((long)argument * (long)argument); }

static void *use_local(void *argument)
{
    int begin = local;

    local = (int)(long)argument;
    sched_yield();
    return (void *)(long)(begin == 11 && local == (int)(long)argument);
}

static void *tell_ids(void *argument)
{
    long *ids = argument;

    ids[0] = getpid();
    ids[1] = syscall(SYS_gettid);
    return NULL;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static long total, turn;

static void *add(void *argument UNUSED)
{
    for (int i = 0; i < 5000; i++) {
        pthread_mutex_lock(&mutex);
        total++;
        if (i % 1000 == 0)
            sched_yield();
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void *take_turns(void *argument)
{
    long me = (long)argument;

    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&mutex);
        while (turn % 3 != me)
            pthread_cond_wait(&condition, &mutex);
        turn++;
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void basics(void)
{
    pthread_t threads[20];
    void *result;
    long sum = 0, ids[2], good = 1;

    for (long i = 0; i < 20; i++)
        threads[i] = start(square, (void *)i);
    for (int i = 0; i < 20; i++) {
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    IS(sum, 2470, "twenty threads return their squares");
    for (long i = 0; i < 4; i++)
        threads[i] = start(use_local, (void *)(i + 100));
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &result);
        good &= (long)result;
    }
    CHECK(good && local == 11, "thread-local storage is local");
    threads[0] = start(tell_ids, ids);
    pthread_join(threads[0], NULL);
    CHECK(ids[0] == getpid() && ids[1] != getpid() && syscall(SYS_gettid) == getpid(),
          "one process id, several thread ids");
    for (int i = 0; i < 4; i++)
        threads[i] = start(add, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    IS(total, 20000, "a mutex excludes");
    for (long i = 0; i < 3; i++)
        threads[i] = start(take_turns, (void *)i);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    IS(turn, 600, "three threads take turns with a condition");
    good = 1;
    for (int i = 0; i < 500; i++) {
        threads[0] = start(square, (void *)3L);
        good &= pthread_join(threads[0], &result) == 0 && (long)result == 9;
    }
    CHECK(good, "five hundred threads, one after the other");
}

static void *wait_for_ever(void *argument UNUSED)
{
    while (1)
        pause();
    return NULL;
}

static void *count_semaphore(void *argument)
{
    sem_wait(argument);
    return (void *)1;
}

static void *loop_quietly(void *argument UNUSED)
{
    while (1)
        word++;
    return NULL;
}

static void more_pthreads(void)
{
    struct timespec soon;
    pthread_t thread;
    sem_t semaphore;
    void *result;

    sem_init(&semaphore, 0, 0);
    thread = start(count_semaphore, &semaphore);
    sleep_ms(10);
    sem_post(&semaphore);
    pthread_join(thread, &result);
    IS((long)result, 1, "a semaphore wakes");
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 20000000;
    if (soon.tv_nsec >= 1000000000)
        soon.tv_sec++, soon.tv_nsec -= 1000000000;
    pthread_mutex_lock(&mutex);
    IS(pthread_cond_timedwait(&condition, &mutex, &soon), ETIMEDOUT, "a condition's wait ends in time");
    pthread_mutex_unlock(&mutex);
    thread = start(wait_for_ever, NULL);
    sleep_ms(10);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    CHECK(result == PTHREAD_CANCELED, "pthread_cancel ends a waiting thread");
}

/* ---- Robust mutexes ---- */

static void *die_with_lock(void *argument)
{
    pthread_mutex_lock(argument);
    return NULL;
}

static int exit_with_lock(void *argument) { return pthread_mutex_lock(argument); }

static int be_killed_with_lock(void *argument)
{
    pthread_mutex_lock(argument);
    raise(SIGKILL);
    return 0;
}

static void robust(void)
{
    pthread_mutex_t *lock = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attributes;
    void *list;
    size_t size;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(lock, &attributes);
    pthread_join(start(die_with_lock, lock), NULL);
    IS(pthread_mutex_lock(lock), EOWNERDEAD, "a robust mutex whose thread has ended is EOWNERDEAD");
    pthread_mutex_consistent(lock);
    IS(pthread_mutex_unlock(lock), 0, "and can be made consistent");
    in_child(exit_with_lock, lock);
    IS(pthread_mutex_lock(lock), EOWNERDEAD, "the same for a process that exits");
    pthread_mutex_consistent(lock);
    pthread_mutex_unlock(lock);
    in_child(be_killed_with_lock, lock);
    IS(pthread_mutex_lock(lock), EOWNERDEAD, "and for one that is killed");
    pthread_mutex_consistent(lock);
    pthread_mutex_unlock(lock);
    NEED(munmap(lock, PAGE));
    FAILS(syscall(SYS_set_robust_list, &size, 5), EINVAL, "set_robust_list: wrong size");
    OKAY(syscall(SYS_get_robust_list, 0, &list, &size), "get_robust_list");
    IS(size, sizeof(struct robust_list_head), "tells the size");
}

/* ---- futex ---- */

static volatile int ready, woken, other_word;

static void *futex_waiter(void *argument)
{
    __sync_fetch_and_add(&ready, 1);
    if (futex(&word, (int)(long)argument, 0, NULL, NULL, 2) == 0)
        __sync_fetch_and_add(&woken, 1);
    return NULL;
}

/* N threads that wait on word == 0; returns when all of them sleep. */
static void sleepers(pthread_t *threads, int n, int operation)
{
    word = 0;
    ready = woken = 0;
    for (int i = 0; i < n; i++)
        threads[i] = start(futex_waiter, (void *)(long)operation);
    while (ready < n)
        sleep_ms(2);
    sleep_ms(40);
}

static void join_all(pthread_t *threads, int n)
{
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

static void futexes(void)
{
    struct timespec little = {0, 10000000}, bad = {0, 2000000000}, until;
    pthread_t threads[4];
    int *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), status;
    pid_t pid;

    word = 5;
    FAILS(futex(&word, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN, "FUTEX_WAIT: another value is EAGAIN");
    FAILS(futex(&word, FUTEX_WAIT, 5, &little, NULL, 0), ETIMEDOUT, "FUTEX_WAIT: ETIMEDOUT");
    FAILS(futex(&word, FUTEX_WAIT, 5, &bad, NULL, 0), EINVAL,
          "FUTEX_WAIT: two thousand million nanoseconds are EINVAL");
    FAILS(futex((int *)((char *)at + 1), FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL,
          "FUTEX_WAIT: a misaligned word is EINVAL");
    FAILS(futex((int *)16, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT, "FUTEX_WAIT: a bad address is EFAULT");
    FAILS(futex(&word, 99, 0, NULL, NULL, 0), ENOSYS, "an unknown operation is ENOSYS");
    FAILS(futex(&word, FUTEX_WAIT_BITSET, 5, NULL, NULL, 0), EINVAL, "FUTEX_WAIT_BITSET: no bits are EINVAL");
    FAILS(futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL, "FUTEX_WAKE_BITSET: no bits are EINVAL");
    clock_gettime(CLOCK_MONOTONIC, &until);
    FAILS(futex(&word, FUTEX_WAIT_BITSET, 5, &until, NULL, -1), ETIMEDOUT,
          "FUTEX_WAIT_BITSET: an absolute time that has come");
    IS(futex(&word, FUTEX_WAKE, 10, NULL, NULL, 0), 0, "FUTEX_WAKE: nobody waits");

    sleepers(threads, 4, FUTEX_WAIT_PRIVATE);
    IS(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1, "FUTEX_WAKE wakes one");
    IS(futex(&word, FUTEX_WAKE_PRIVATE, 1000, NULL, NULL, 0), 3, "and then the rest");
    join_all(threads, 4);
    IS(woken, 4, "all of them return 0");
    sleepers(threads, 2, FUTEX_WAIT_BITSET_PRIVATE);
    IS(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 4), 0, "FUTEX_WAKE_BITSET: other bits wake nobody");
    IS(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 6), 2, "common bits do");
    join_all(threads, 2);
    sleepers(threads, 3, FUTEX_WAIT_PRIVATE);
    FAILS(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)10L, &other_word, 77), EAGAIN,
          "FUTEX_CMP_REQUEUE: another value");
    IS(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)10L, &other_word, 0), 3,
       "FUTEX_CMP_REQUEUE: one woken, two moved");
    IS(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 0, "nobody is left at the old word");
    IS(futex(&other_word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 2, "the two are at the new one");
    join_all(threads, 3);
    sleepers(threads, 1, FUTEX_WAIT_PRIVATE);
    other_word = 7; /* FUTEX_WAKE_OP: other_word += 3; wake here, and there if it was 7 */
    IS(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &other_word, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 7)),
       1, "FUTEX_WAKE_OP");
    IS(other_word, 10, "does its operation");
    join_all(threads, 1);

    pid = (pid_t)NEED(fork());
    if (pid == 0) {
        while (futex(at, FUTEX_WAKE, 1, NULL, NULL, 0) == 0)
            sleep_ms(1);
        _exit(0);
    }
    IS(futex(at, FUTEX_WAIT, 0, NULL, NULL, 0), 0, "a futex in shared memory works between processes");
    waitpid(pid, &status, 0);
    NEED(munmap(at, PAGE));
}

/* ---- Leaving with others about ---- */

static volatile int pi_lock, pi_end, pi_lost;

/* Takes the lock, or gives up after a few microseconds: then it is not the owner. */
static void *lock_with_little_patience(void *argument UNUSED)
{
    int tid = (int)syscall(SYS_gettid);

    while (!pi_end && !pi_lost) {
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 20000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        if (futex(&pi_lock, FUTEX_LOCK_PI, 0, &until, NULL, 0) == 0) {
            if ((pi_lock & FUTEX_TID_MASK) != tid || futex(&pi_lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) != 0)
                pi_lost = 1;
        } else if ((pi_lock & FUTEX_TID_MASK) == tid) {
            pi_lost = 2;
        }
    }
    return NULL;
}

static void impatient_owners(void)
{
    pthread_t threads[4];

    pi_lock = pi_end = pi_lost = 0;
    for (int i = 0; i < 4; i++)
        threads[i] = start(lock_with_little_patience, NULL);
    for (int i = 0; i < 50 && !pi_lost; i++)
        sleep_ms(20);
    pi_end = 1;
    join_all(threads, 4);
    CHECK(pi_lost == 0 && (pi_lock & FUTEX_TID_MASK) == 0, "FUTEX_UNLOCK_PI: nobody owns a lock without knowing it");
}

static void *exit_the_process(void *argument UNUSED)
{
    sleep_ms(20);
    exit(42);
}

static void *read_pipe(void *argument)
{
    char byte;

    return (void *)read(*(int *)argument, &byte, 1);
}

static int exit_with_threads(void *from_main)
{
    static int fds[2];

    word = 0;
    if (pipe(fds))
        return 1;
    start(wait_for_ever, NULL);
    start(read_pipe, fds);
    start(loop_quietly, NULL);
    start(futex_waiter, (void *)(long)FUTEX_WAIT_PRIVATE);
    if (from_main)
        return 41;
    start(exit_the_process, NULL);
    wait_for_ever(NULL);
    return 2;
}

static int killed_with_threads(void *unused UNUSED)
{
    start(wait_for_ever, NULL);
    start(loop_quietly, NULL);
    raise(SIGKILL);
    return 1;
}

static void *exec_here(void *argument UNUSED)
{
    char pid[16];

    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    execl(self, self, "as-child", pid, NULL);
    return NULL;
}

static int exec_from_thread(void *unused UNUSED)
{
    start(loop_quietly, NULL);
    start(wait_for_ever, NULL);
    pthread_join(start(exec_here, NULL), NULL);
    return 3;
}

static int leader_exits_first(void *unused UNUSED)
{
    start(exit_the_process, NULL);
    pthread_exit(NULL);
}

static int fork_from_thread(void *unused UNUSED)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        DIR *tasks = opendir("/proc/self/task");
        int n = 0;

        while (tasks && readdir(tasks))
            n++;
        _exit(tasks ? n : 3); /* ".", ".." and one thread */
    }
    return waitpid(pid, &status, 0) == pid && status == 3 << 8 ? 0 : 1;
}

static void *fork_here(void *argument UNUSED) { return (void *)(long)fork_from_thread(NULL); }

static volatile pthread_t signalled;

static void note_thread(int signo UNUSED)
{
    signalled = pthread_self();
    word = 1;
}

static void *spin_until_word(void *argument UNUSED)
{
    ready = 1;
    while (!word)
        sched_yield();
    return NULL;
}

static void leaving(void)
{
    void *result;
    pthread_t thread;

    EXITS(exit_with_threads, 1, 41, "a return from main ends waiting, reading and looping threads");
    EXITS(exit_with_threads, 0, 42, "exit() by another thread too");
    IS(in_child(killed_with_threads, NULL).signal, SIGKILL, "SIGKILL ends them all");
    EXITS(exec_from_thread, NULL, 0, "exec by a thread leaves one thread, with the process's id");
    EXITS(leader_exits_first, NULL, 42, "the first thread may end before the others");
    thread = start(fork_here, NULL);
    pthread_join(thread, &result);
    IS((long)result, 0, "fork in a threaded process copies the calling thread only");
    signal(SIGUSR1, note_thread);
    word = ready = 0;
    thread = start(spin_until_word, NULL);
    while (!ready)
        sched_yield();
    pthread_kill(thread, SIGUSR1);
    pthread_join(thread, NULL);
    CHECK(pthread_equal(signalled, thread), "pthread_kill's signal is handled by that thread");
    signal(SIGUSR1, SIG_DFL);
}

static void clone_errors(void)
{
    FAILS(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0), EINVAL, "CLONE_SIGHAND without CLONE_VM is EINVAL");
    FAILS(syscall(SYS_clone, CLONE_THREAD | CLONE_VM | SIGCHLD, 0, 0, 0, 0), EINVAL,
          "CLONE_THREAD without CLONE_SIGHAND is EINVAL");
    FAILS(syscall(SYS_clone, CLONE_FS | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0), EINVAL,
          "CLONE_FS with CLONE_NEWNS is EINVAL");
    FAILS(syscall(SYS_clone3, NULL, 8), EINVAL, "clone3 with too small a structure is EINVAL");
}

static void body(void)
{
    basics();
    more_pthreads();
    robust();
    futexes();
    impatient_owners();
    leaving();
    clone_errors();
}

int main(int argc, char **argv)
{
    ssize_t used = readlink("/proc/self/exe", self, sizeof(self) - 1);

    self[used > 0 ? used : 0] = 0;
    if (argc > 2 && !strcmp(argv[1], "as-child"))
        return getpid() == atoi(argv[2]) && syscall(SYS_gettid) == getpid() ? 0 : 1;
    return tap_main(argc, argv, body);
}
