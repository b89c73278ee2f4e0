/* System V shared memory: shmget, shmat, shmdt, shmctl, their flags and errors; who counts as attached. */
#include "tap.h"

#include <sys/ipc.h>
#include <sys/shm.h>

#ifndef SHM_NORESERVE
#define SHM_NORESERVE 010000
#endif
#define SHM_STAT_ 13
#define SHM_INFO_ 14
#define SHM_STAT_ANY_ 15

static struct shmid_ds status(int id)
{
    struct shmid_ds ds;

    NEED(shmctl(id, IPC_STAT, &ds));
    return ds;
}

static long attached(int id) { return (long)status(id).shm_nattch; }

static int segment(size_t size) { return (int)NEED(shmget(IPC_PRIVATE, size, IPC_CREAT | 0600)); }

static void test_get(void)
{
    key_t key = 0x51000000 + getpid();
    int id, other;

    FAILS(shmget(key, PAGE, 0600), ENOENT, "no such key");
    id = (int)OKAY(shmget(key, 5000, IPC_CREAT | IPC_EXCL | 0640), "a new segment");
    IS(shmget(key, 0, 0), id, "is found by its key");
    IS(shmget(key, 5000, IPC_CREAT | 0600), id, "IPC_CREAT finds it, too");
    FAILS(shmget(key, PAGE, IPC_CREAT | IPC_EXCL | 0600), EEXIST, "IPC_EXCL does not");
    FAILS(shmget(key, 5001, 0), EINVAL, "a larger one than it is");
    FAILS(shmget(IPC_PRIVATE, 0, IPC_CREAT | 0600), EINVAL, "size 0");
    FAILS(shmget(IPC_PRIVATE, (size_t)1 << 50, IPC_CREAT | 0600) == -1 && (errno == ENOMEM || errno == ENOSPC)
              ? (errno = ENOMEM, -1)
              : 0,
          ENOMEM, "a size that cannot be");
    other = (int)OKAY(shmget(IPC_PRIVATE, PAGE, 0), "IPC_PRIVATE makes one without IPC_CREAT");
    CHECK(other != id, "always a new one");
    NEED(shmctl(other, IPC_RMID, NULL));
    IS(status(id).shm_segsz, 5000, "its size is told as it was asked for");
    IS(status(id).shm_perm.mode, 0640, "and its mode");
    IS(status(id).shm_perm.__key, key, "and its key");
    IS(status(id).shm_cpid, getpid(), "and who made it");
    CHECK(status(id).shm_lpid == 0 && status(id).shm_atime == 0 && status(id).shm_dtime == 0 &&
              status(id).shm_ctime > 0,
          "nobody has used it yet");
    OKAY(shmctl(id, IPC_RMID, NULL), "IPC_RMID");
    FAILS(shmget(key, 0, 0), ENOENT, "ends it");
    FAILS(shmctl(id, IPC_STAT, &(struct shmid_ds){0}), EINVAL, "and its id");
    FAILS(shmctl(id, IPC_RMID, NULL), EINVAL, "which cannot be removed twice");
}

#define OF_SIZE(bits) ((int)((unsigned)(bits) << 26))

/* Of huge pages that are set aside none are, on either system. */
static void huge_pages(void)
{
    static const int wrong_sizes[] = {1, 12, 20, 22, 25, 63};

    FAILS(shmget(IPC_PRIVATE, 2 << 20, SHM_HUGETLB | 0600), ENOMEM, "SHM_HUGETLB: there are none");
    FAILS(shmget(IPC_PRIVATE, PAGE, SHM_HUGETLB | 0600), ENOMEM, "SHM_HUGETLB: also for a page");
    FAILS(shmget(IPC_PRIVATE, 2 << 20, SHM_HUGETLB | OF_SIZE(21) | 0600), ENOMEM, "SHM_HUGETLB: of 2 MiB");
    FAILS(shmget(IPC_PRIVATE, 2 << 20, SHM_HUGETLB | OF_SIZE(30) | 0600), ENOMEM, "SHM_HUGETLB: of 1 GiB");
    for (unsigned i = 0; i < sizeof(wrong_sizes) / sizeof(wrong_sizes[0]); i++)
        FAILS(shmget(IPC_PRIVATE, 2 << 20, SHM_HUGETLB | OF_SIZE(wrong_sizes[i]) | 0600), EINVAL,
              "SHM_HUGETLB: of 2^%d bytes", wrong_sizes[i]);
    FAILS(shmget(IPC_PRIVATE, 0, SHM_HUGETLB | 0600), EINVAL, "SHM_HUGETLB: size 0");
    FAILS(shmget(0x51000000 + getpid(), PAGE, SHM_HUGETLB | 0600), ENOENT, "SHM_HUGETLB: no such key");
}

static int no_huge_pages_for_others(void *unused)
{
    (void)unused;
    NEED(setgid(1000));
    NEED(setuid(1000));
    if (shmget(IPC_PRIVATE, 2 << 20, SHM_HUGETLB | 0600) != -1 || errno != EPERM)
        return 1;
    return shmget(IPC_PRIVATE, 2 << 20, SHM_HUGETLB | OF_SIZE(20) | 0600) != -1 || errno != EINVAL;
}

static int store_through(void *at) { return (*(volatile char *)at = 1, 0); }

static void test_attach(void)
{
    int id = segment(2 * PAGE + 100);
    char *one = shmat(id, NULL, 0), *two, *place, *text;

    CHECK(one != (char *)-1, "shmat");
    IS(attached(id), 1, "one is attached");
    IS(status(id).shm_lpid, getpid(), "by us");
    CHECK(status(id).shm_atime > 0, "just now");
    strcpy(one, "shared");
    two = shmat(id, NULL, SHM_RDONLY);
    CHECK(two != (char *)-1 && two != one && !strcmp(two, "shared"), "a second time, read-only");
    IS(attached(id), 2, "two are attached");
    DIES(store_through, two, SIGSEGV, SEGV_ACCERR, two, "which cannot be written to");
    FAILS(mprotect(two, PAGE, PROT_READ | PROT_WRITE), EACCES, "nor made writable");
    IS(one[2 * PAGE + 4000], 0, "its last page is whole");
    text = slurp("/proc/self/maps");
    CHECK(text && strstr(text, "/SYSV00000000"), "maps shows it by its key");
    free(text);
    FAILS(shmdt(one + 1), EINVAL, "shmdt of an odd address");
    FAILS(shmdt(one + PAGE), EINVAL, "of the middle");
    FAILS(shmdt(anon(PAGE, PROT_READ)), EINVAL, "of other memory");
    OKAY(shmdt(two), "shmdt");
    FAILS(shmdt(two), EINVAL, "twice");
    IS(attached(id), 1, "one is left");
    CHECK(status(id).shm_dtime > 0, "shm_dtime");
    place = anon(16 * PAGE, PROT_NONE);
    FAILS((long)shmat(id, place + 1, 0), EINVAL, "an odd address");
    FAILS((long)shmat(id, place, 0), EINVAL, "an address in use");
    two = shmat(id, place + 100, SHM_RND | SHM_REMAP);
    CHECK(two == place && !strcmp(two, "shared"), "SHM_RND rounds, SHM_REMAP replaces");
    OKAY(shmdt(two), "shmdt of it");
    FAILS((long)shmat(id, NULL, SHM_REMAP), EINVAL, "SHM_REMAP without an address");
    munmap(place, 16 * PAGE);
    two = shmat(id, place, 0);
    CHECK(two == place, "a free address");
    two = shmat(id, NULL, SHM_EXEC);
    FAILS(two == (char *)-1 ? -1 : (errno = EACCES, -1), EACCES, "SHM_EXEC: root may execute only what somebody may");
    FAILS((long)shmat(id + 1000, NULL, 0), EINVAL, "an id that is none");
    FAILS((long)shmat(-1, NULL, 0), EINVAL, "a negative id");
    munmap(one + PAGE, PAGE);
    IS(attached(id), two == (char *)-1 ? 3 : 4, "each part of an attachment that was cut counts");
    place = mmap(one + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    OKAY(shmdt(one), "shmdt of one with a hole");
    OKAY(mprotect(place, PAGE, PROT_READ), "leaves alone what is in the hole");
    NEED(shmctl(id, IPC_RMID, NULL));
}

static int child_detaches(void *argument)
{
    int id = ((int *)argument)[0];
    char *at = ((char **)argument)[1];

    if (attached(id) != 2 || strcmp(at, "family"))
        return 1;
    strcpy(at, "child");
    if (shmdt(at) || attached(id) != 1)
        return 2;
    return status(id).shm_lpid == getpid() ? 0 : 3;
}

static int child_leaves(void *argument) { return attached(*(int *)argument) != 2; }

static int child_runs_another(void *argument)
{
    execl("/bin/true", "true", NULL);
    execl("/usr/bin/true", "true", NULL);
    execl("/bin/busybox", "true", NULL);
    return *(int *)argument * 0 + 1;
}

static void test_fork(void)
{
    int id = segment(PAGE);
    union {
        int id;
        char *at[2];
    } argument = {.id = id};
    char *at = shmat(id, NULL, 0);

    argument.at[0] = NULL;
    argument.id = id;
    argument.at[1] = at;
    strcpy(at, "family");
    EXITS(child_detaches, &argument, 0, "a child is attached, too, and can detach");
    CHECK(!strcmp(at, "child"), "what it wrote is here");
    IS(attached(id), 1, "one is left");
    EXITS(child_leaves, &argument, 0, "a child that just ends");
    IS(attached(id), 1, "is detached");
    EXITS(child_runs_another, &argument, 0, "a child that execs");
    IS(attached(id), 1, "is detached");
    OKAY(shmctl(id, IPC_RMID, NULL), "IPC_RMID with attachments");
    IS(status(id).shm_perm.mode & 01000, 01000, "marks it SHM_DEST");
    IS(status(id).shm_perm.__key, IPC_PRIVATE, "its key is free");
    at[0] = 'x';
    IS(at[0], 'x', "it works on");
    {
        char *again = shmat(id, NULL, 0);

        CHECK(again != (char *)-1 && again[0] == 'x', "and can be attached by its id");
        shmdt(again);
    }
    OKAY(shmdt(at), "the last shmdt");
    FAILS(shmctl(id, IPC_STAT, &(struct shmid_ds){0}), EINVAL, "ends it");
}

static int stranger(void *argument)
{
    int id = *(int *)argument;
    struct shmid_ds ds = {0};

    if (setgid(65534) || setuid(65534))
        return 1;
    if (shmat(id, NULL, 0) != (void *)-1 || errno != EACCES)
        return 2;
    if (shmat(id, NULL, SHM_RDONLY) == (void *)-1)
        return 3;
    if (shmctl(id, IPC_STAT, &ds))
        return 4;
    if (shmctl(id, IPC_SET, &ds) != -1 || errno != EPERM)
        return 5;
    if (shmctl(id, IPC_RMID, NULL) != -1 || errno != EPERM)
        return 6;
    if (shmctl(id, SHM_LOCK, NULL) != -1 || errno != EPERM)
        return 7;
    if (shmget(ds.shm_perm.__key, 0, 0222) != -1 || errno != EACCES)
        return 8;
    if (shmget(ds.shm_perm.__key, 0, 0444) != id)
        return 9;
    if (shmget(ds.shm_perm.__key, 1 << 20, 0222) != -1 || errno != EINVAL)
        return 10;
    return 0;
}

static int excluded(void *argument)
{
    int id = *(int *)argument;
    struct shmid_ds ds;

    if (setgid(65534) || setuid(65534))
        return 1;
    if (shmctl(id, IPC_STAT, &ds) != -1 || errno != EACCES)
        return 2;
    return shmat(id, NULL, SHM_RDONLY) != (void *)-1 || errno != EACCES ? 3 : 0;
}

static void test_control(void)
{
    key_t key = 0x52000000 + getpid();
    int id = (int)NEED(shmget(key, PAGE, IPC_CREAT | 0644)), index, found = 0, highest;
    struct shmid_ds ds = status(id);
    struct shminfo info;
    struct shm_info usage;

    EXITS(stranger, &id, 0, "others may do what the mode says");
    ds.shm_perm.mode = 0600;
    ds.shm_perm.uid = 1234;
    OKAY(shmctl(id, IPC_SET, &ds), "IPC_SET");
    CHECK(status(id).shm_perm.mode == 0600 && status(id).shm_perm.uid == 1234 && status(id).shm_perm.cuid == 0,
          "changes the mode and the owner");
    EXITS(excluded, &id, 0, "others may do nothing then");
    OKAY(shmctl(id, SHM_LOCK, NULL), "SHM_LOCK");
    IS(status(id).shm_perm.mode & 02000, 02000, "shows in the mode");
    OKAY(shmctl(id, SHM_UNLOCK, NULL), "SHM_UNLOCK");
    IS(status(id).shm_perm.mode & 02000, 0, "takes it back");
    highest = (int)OKAY(shmctl(0, IPC_INFO, (struct shmid_ds *)&info), "IPC_INFO");
    CHECK(info.shmmin == 1 && info.shmmni == 4096 && info.shmmax > 1UL << 40, "the limits");
    OKAY(shmctl(0, SHM_INFO_, (struct shmid_ds *)&usage), "SHM_INFO");
    CHECK(usage.used_ids >= 1 && usage.shm_tot >= 1, "what is in use");
    for (index = 0; index <= highest; index++)
        if (shmctl(index, SHM_STAT_, &ds) == id)
            found = ds.shm_perm.__key == key;
    CHECK(found, "SHM_STAT finds it by index");
    FAILS(shmctl(5000, SHM_STAT_, &ds), EINVAL, "no such index");
    FAILS(shmctl(id, 99, &ds), EINVAL, "an unknown command");
    FAILS(shmctl(-1, IPC_STAT, &ds), EINVAL, "a negative id");
    FAILS(shmctl(id, IPC_STAT, (struct shmid_ds *)8), EFAULT, "nowhere to write to");
    FAILS(shmctl(id, IPC_SET, (struct shmid_ds *)8), EFAULT, "nothing to read from");
    NEED(shmctl(id, IPC_RMID, NULL));
}

/* Whoever counts through the indexes and removes what he finds meets all of them. */
static void test_indexes(void)
{
    int ids[5], index[5] = {0}, highest, met = 0;
    struct shmid_ds ds;

    for (int i = 0; i < 5; i++)
        ids[i] = segment(PAGE);
    highest = shmctl(0, SHM_INFO_, (void *)&(struct shm_info){0});
    for (int at = 0; at <= highest; at++) {
        int id = shmctl(at, SHM_STAT_, &ds);

        for (int i = 0; i < 5; i++) {
            if (id != ids[i])
                continue;
            index[i] = at;
            met++;
            if (i % 2 == 0)
                NEED(shmctl(id, IPC_RMID, NULL));
        }
    }
    IS(met, 5, "all are met by their indexes, though some go meanwhile");
    for (int i = 1; i < 5; i += 2) {
        IS(shmctl(index[i], SHM_STAT_, &ds), ids[i], "an index stays");
        NEED(shmctl(ids[i], IPC_RMID, NULL));
    }
}

#define LOCKED_PAGES 8

static int new_segment(size_t pages) { return shmget(IPC_PRIVATE, pages * PAGE, 0600); }

/* RLIMIT_MEMLOCK holds for a user's segments together, and what is unlocked or gone is given back. */
static int limited_in_memory(void *unused UNUSED)
{
    int a = new_segment(LOCKED_PAGES - 2), b = new_segment(2), c = new_segment(1), result = 0;

    if (shmctl(a, SHM_LOCK, NULL) || shmctl(a, SHM_LOCK, NULL) || shmctl(b, SHM_LOCK, NULL))
        result = 1;
    else if (shmctl(c, SHM_LOCK, NULL) != -1 || errno != ENOMEM)
        result = 2;
    else if (shmctl(b, SHM_UNLOCK, NULL) || shmctl(b, SHM_UNLOCK, NULL) || shmctl(c, SHM_LOCK, NULL))
        result = 3;
    else if (shmctl(b, SHM_LOCK, NULL) != -1 || errno != ENOMEM)
        result = 4;
    else if (shmctl(a, IPC_RMID, NULL) || shmctl(b, SHM_LOCK, NULL))
        result = 5;
    shmctl(a, IPC_RMID, NULL);
    shmctl(b, IPC_RMID, NULL);
    shmctl(c, IPC_RMID, NULL);
    return result;
}

static int limited_as_user(void *unused)
{
    struct rlimit limit = {LOCKED_PAGES * PAGE, LOCKED_PAGES * PAGE};

    if (setrlimit(RLIMIT_MEMLOCK, &limit) || setresuid(60001, 60001, 60001))
        return 99;
    return limited_in_memory(unused);
}

static void body(void)
{
    test_indexes();
    test_get();
    test_attach();
    test_fork();
    test_control();
    huge_pages();
    if (geteuid() != 0) {
        skip("other users", "needs root");
        return;
    }
    EXITS(no_huge_pages_for_others, NULL, 0, "SHM_HUGETLB: not for other users");
    EXITS(limited_as_user, NULL, 0, "SHM_LOCK: as much as RLIMIT_MEMLOCK says");
    EXITS(limited_as_user, NULL, 0, "and all is given back");
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
