/* Seals: of mappings by mseal(2), of memory files by fcntl(F_ADD_SEALS). */
#include "tap.h"

#include <pthread.h>

#define RW (PROT_READ | PROT_WRITE)
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#define F_SEAL_EXEC_ 0x20
#define MFD_NOEXEC_SEAL_ 8
#define MFD_EXEC_ 16

static long seal(void *at, size_t length, unsigned long flags) { return syscall(SYS_mseal, at, length, flags); }

static int sealed_in_child(void *argument)
{
    char *at = argument;

    at[0] = 7;
    return munmap(at, PAGE) != -1 || errno != EPERM;
}

static void test_mseal(void)
{
    char *at = anon(32 * PAGE, RW), *spare = anon(32 * PAGE, RW), *brk_end;

    FAILS(seal(at, PAGE, 1), EINVAL, "mseal with a flag");
    FAILS(seal(at + 1, PAGE, 0), EINVAL, "an odd address");
    FAILS(seal(at, -PAGE + 1, 0), EINVAL, "a length that wraps");
    OKAY(seal(at, 0, 0), "nothing to seal");
    munmap(at + 30 * PAGE, PAGE);
    FAILS(seal(at + 29 * PAGE, 3 * PAGE, 0), ENOMEM, "a hole");
    OKAY(munmap(at + 29 * PAGE, PAGE), "then nothing is sealed");
    at[10 * PAGE] = 1;
    OKAY(seal(at + 8 * PAGE, 8 * PAGE, 0), "mseal");
    OKAY(seal(at + 8 * PAGE, 8 * PAGE, 0), "twice");
    FAILS(munmap(at + 10 * PAGE, PAGE), EPERM, "munmap inside");
    FAILS(munmap(at, 32 * PAGE), EPERM, "munmap of more");
    at[0] = at[15 * PAGE] = 1;
    CHECK(at[0] == 1 && at[10 * PAGE] == 1, "takes nothing away");
    FAILS(mprotect(at + 8 * PAGE, PAGE, PROT_READ), EPERM, "mprotect");
    FAILS(mprotect(at + 8 * PAGE, PAGE, RW), EPERM, "mprotect to what it is");
    FAILS(mprotect(at + 15 * PAGE, 2 * PAGE, PROT_READ), EPERM, "of a part that is sealed");
    OKAY(mprotect(at + 16 * PAGE, PAGE, PROT_READ), "beside it all is free");
    FAILS((long)mmap(at + 9 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EPERM,
          "MAP_FIXED over it");
    FAILS((long)mremap(at + 8 * PAGE, 8 * PAGE, 4 * PAGE, 0), EPERM, "mremap smaller");
    FAILS((long)mremap(at + 8 * PAGE, 8 * PAGE, 16 * PAGE, MREMAP_MAYMOVE), EPERM, "larger");
    FAILS((long)mremap(at + 8 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, spare), EPERM, "to another place");
    FAILS((long)mremap(spare + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 9 * PAGE), EPERM, "over it");
    IS(at[10 * PAGE], 1, "the memory is as it was");
    OKAY(madvise(at + 8 * PAGE, 8 * PAGE, MADV_DONTNEED), "MADV_DONTNEED of writable memory");
    IS(at[10 * PAGE], 0, "works");
    OKAY(mlock(at + 8 * PAGE, PAGE), "mlock");
    OKAY(munlock(at + 8 * PAGE, PAGE), "munlock");
    EXITS(sealed_in_child, at + 8 * PAGE, 0, "a child inherits the seal");

    memset(spare, 5, 4 * PAGE);
    mprotect(spare, 4 * PAGE, PROT_READ);
    OKAY(seal(spare, 4 * PAGE, 0), "sealing read-only memory");
    FAILS(madvise(spare, PAGE, MADV_DONTNEED), EPERM, "MADV_DONTNEED of it");
    FAILS(madvise(spare, PAGE, MADV_FREE), EPERM, "MADV_FREE");
    FAILS(madvise(spare, PAGE, MADV_DONTFORK), EPERM, "MADV_DONTFORK");
    FAILS(madvise(spare, PAGE, MADV_WIPEONFORK), EPERM, "MADV_WIPEONFORK");
    OKAY(madvise(spare, PAGE, MADV_WILLNEED), "MADV_WILLNEED is harmless");
    OKAY(madvise(spare, PAGE, MADV_DONTDUMP), "so is MADV_DONTDUMP");
    IS(spare[0], 5, "and the bytes stay");
    brk_end = sbrk(4 * PAGE);
    NEED(brk_end != (void *)-1 ? 0 : -1);
    brk_end = (char *)(((uintptr_t)brk_end + PAGE - 1) & -PAGE);
    OKAY(seal(brk_end, PAGE, 0), "sealing a part of the heap");
    brk(brk_end);
    CHECK((char *)sbrk(0) > brk_end, "brk does not shrink it away");
}

/* ---- memory files ---- */

static int memfd(const char *name, unsigned flags) { return (int)syscall(SYS_memfd_create, name, flags); }

static void test_memfd_flags(void)
{
    static char name[300];
    struct stat st;
    int fd;

    FAILS(memfd("m", 0x80), EINVAL, "an unknown flag");
    FAILS(memfd("m", MFD_NOEXEC_SEAL_ | MFD_EXEC_), EINVAL, "MFD_EXEC and MFD_NOEXEC_SEAL");
    FAILS(memfd((char *)8, 0), EFAULT, "a bad name");
    memset(name, 'n', 250);
    FAILS(memfd(name, 0), EINVAL, "a name of 250 bytes");
    name[249] = 0;
    fd = (int)OKAY(memfd(name, 0), "one of 249");
    close(fd);
    fd = memfd("m", 0);
    fstat(fd, &st);
    IS(st.st_mode & 07777, 0777, "mode 0777");
    IS(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL, "without MFD_ALLOW_SEALING: F_SEAL_SEAL");
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM, "so nothing can be added");
    IS(fcntl(fd, F_GETFD), 0, "no close-on-exec");
    close(fd);
    fd = memfd("m", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    IS(fcntl(fd, F_GETFD), FD_CLOEXEC, "MFD_CLOEXEC");
    IS(fcntl(fd, F_GET_SEALS), 0, "MFD_ALLOW_SEALING: no seals");
    FAILS(fcntl(fd, F_ADD_SEALS, 0x100), EINVAL, "an unknown seal");
    close(fd);
    fd = memfd("m", MFD_NOEXEC_SEAL_);
    fstat(fd, &st);
    IS(st.st_mode & 07777, 0666, "MFD_NOEXEC_SEAL: mode 0666");
    IS(fcntl(fd, F_GET_SEALS), F_SEAL_EXEC_, "and F_SEAL_EXEC");
    FAILS(fchmod(fd, 0777), EPERM, "which forbids to make it executable");
    OKAY(fchmod(fd, 0600), "other modes are free");
    close(fd);
    fd = memfd("m", MFD_EXEC_ | MFD_ALLOW_SEALING);
    fstat(fd, &st);
    IS(st.st_mode & 07777, 0777, "MFD_EXEC: mode 0777");
    OKAY(fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC_), "F_SEAL_EXEC on an executable file");
    IS(fcntl(fd, F_GET_SEALS), F_SEAL_EXEC_ | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE,
       "seals its bytes, too");
    close(fd);
    fd = make_file("plain", "x", 1);
    FAILS(fcntl(fd, F_GET_SEALS), EINVAL, "F_GET_SEALS of another file");
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EINVAL, "F_ADD_SEALS of another file");
    close(fd);
}

static int sized(size_t pages)
{
    int fd = memfd("m", MFD_ALLOW_SEALING);

    NEED(ftruncate(fd, (off_t)(pages * PAGE)));
    return fd;
}

static void test_seal_size(void)
{
    static char bytes[3 * PAGE];
    int fd = sized(4);

    OKAY(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), "F_SEAL_SHRINK");
    FAILS(ftruncate(fd, 3 * PAGE), EPERM, "no shrinking");
    OKAY(ftruncate(fd, 5 * PAGE), "but growing");
    OKAY(ftruncate(fd, 5 * PAGE), "and staying");
    OKAY(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), "F_SEAL_GROW");
    FAILS(ftruncate(fd, 6 * PAGE), EPERM, "no growing");
    FAILS(fallocate(fd, 0, 5 * PAGE, PAGE), EPERM, "nor by fallocate");
    OKAY(fallocate(fd, 0, 0, 5 * PAGE), "fallocate inside");
    FAILS(pwrite(fd, bytes, PAGE, 5 * PAGE), EPERM, "nor by write");
    FAILS(pwrite(fd, bytes, 3 * PAGE, 3 * PAGE), EPERM, "nor by a write that begins inside");
    IS(pwrite(fd, bytes, 10, 5 * PAGE - 10), 10, "writing inside");
    FAILS(pwrite(fd, bytes, 11, 5 * PAGE - 10), EPERM, "and not a byte more");
    OKAY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), "a hole");
    IS(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW, "F_GET_SEALS");
    OKAY(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), "F_SEAL_SEAL");
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM, "no more seals");
    close(fd);
}

static void test_seal_write(void)
{
    int fd = sized(4), read_only;
    char *at, *private, name[40];

    at = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY, "F_SEAL_WRITE with a writable mapping");
    mprotect(at, 4 * PAGE, PROT_READ);
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY, "or one that may become so");
    munmap(at, 4 * PAGE);
    private = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    read_only = (int)NEED(open(name, O_RDONLY));
    at = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, read_only, 0);
    OKAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), "private and read-only mappings are not in the way");
    FAILS(fcntl(read_only, F_ADD_SEALS, F_SEAL_GROW), EPERM, "through a read-only descriptor nothing is sealed");
    FAILS(write(fd, "x", 1), EPERM, "write");
    IS(write(fd, "x", 0), 0, "write of nothing");
    FAILS(pwrite(fd, "x", 1, 0), EPERM, "pwrite");
    FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EPERM, "a hole");
    FAILS((long)mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), EPERM, "a writable mapping");
    munmap(at, 4 * PAGE);
    at = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(at != MAP_FAILED, "a read-only one");
    FAILS(mprotect(at, PAGE, RW), EACCES, "cannot become writable");
    private[0] = 1;
    CHECK(at[0] == 0 && private[0] == 1, "private copies are free");
    OKAY(ftruncate(fd, 2 * PAGE), "its size is not sealed");
    close(read_only);
    close(fd);
}

static void test_seal_future_write(void)
{
    int fd = sized(4);
    char *at = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0), *other;

    OKAY(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), "F_SEAL_FUTURE_WRITE with a writable mapping");
    at[0] = 3;
    IS(at[0], 3, "which stays writable");
    mprotect(at, PAGE, PROT_READ);
    OKAY(mprotect(at, PAGE, RW), "and can become so again");
    FAILS(write(fd, "x", 1), EPERM, "write");
    FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EPERM, "a hole");
    FAILS((long)mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), EPERM, "a new writable mapping");
    other = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(other != MAP_FAILED && other[0] == 3, "a read-only one");
    FAILS(mprotect(other, PAGE, RW), EACCES, "stays so");
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY, "F_SEAL_WRITE still finds the first mapping");
    close(fd);
}

/* Another open file of the same memory, which has no name to be opened by. */
static void test_reopen(void)
{
    int fd = memfd("again", MFD_CLOEXEC | MFD_ALLOW_SEALING), other;
    char path[64], link[64] = "";

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    other = (int)OKAY(open(path, O_RDWR), "a memfd is opened again through /proc/self/fd");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", other);
    OKAY(readlink(path, link, sizeof(link) - 1), "what was opened so has a link, too");
    CHECK(strcmp(link, "/memfd:again (deleted)") == 0, "which tells its name: %s", link);
    OKAY(fcntl(other, F_ADD_SEALS, F_SEAL_GROW), "seals set by one");
    IS(fcntl(fd, F_GET_SEALS), F_SEAL_GROW, "hold for the other");
    close(fd);
    close(other);
}

/* ---- seals that come while others write ---- */

struct writer {
    int fd, error;
    volatile int is_at_it;
};

static void *write_until_sealed(void *argument)
{
    struct writer *w = argument;
    unsigned value = 0;

    while (value++, pwrite(w->fd, &value, sizeof(value), 0) == sizeof(value))
        w->is_at_it = 1;
    w->error = errno;
    return NULL;
}

static void *map_until_sealed(void *argument)
{
    struct writer *w = argument;
    volatile unsigned *at;

    while ((at = mmap(NULL, PAGE, RW, MAP_SHARED, w->fd, 0)) != MAP_FAILED) {
        for (int i = 0; i < 5; i++)
            ++*at;
        w->is_at_it = 1;
        munmap((void *)at, PAGE);
    }
    w->error = errno;
    return NULL;
}

static void *punch_until_sealed(void *argument)
{
    struct writer *w = argument;
    unsigned value = 0;

    while (value++, fallocate(w->fd, 3 /* a hole, size kept */, 0, PAGE) == 0) {
        w->is_at_it = 1;
        if (pwrite(w->fd, &value, sizeof(value), 0) != sizeof(value))
            break;
    }
    w->error = errno;
    return NULL;
}

/* Times that the file has changed after its seal was said to be there. */
static int changes_behind_seal(void *(*change)(void *), int rounds)
{
    int changes = 0;

    for (int i = 0; i < rounds; i++) {
        struct writer w = {.fd = (int)NEED(memfd_create("raced", MFD_ALLOW_SEALING))};
        unsigned before = 0, after = 0;
        pthread_t thread;

        NEED(ftruncate(w.fd, PAGE));
        NEED(-pthread_create(&thread, NULL, change, &w));
        while (!w.is_at_it)
            ;
        while (fcntl(w.fd, F_ADD_SEALS, F_SEAL_WRITE) != 0)
            if (errno != EBUSY)
                NEED(-1);
        NEED(pread(w.fd, &before, sizeof(before), 0));
        pthread_join(thread, NULL);
        NEED(pread(w.fd, &after, sizeof(after), 0));
        changes += before != after || w.error != EPERM;
        close(w.fd);
    }
    return changes;
}

static void test_seal_races(void)
{
    IS(changes_behind_seal(write_until_sealed, 150), 0, "no write goes past a seal that has come meanwhile");
    IS(changes_behind_seal(map_until_sealed, 150), 0, "no mapping");
    IS(changes_behind_seal(punch_until_sealed, 150), 0, "no hole");
}

static void body(void)
{
    test_reopen();
    test_memfd_flags();
    test_seal_size();
    test_seal_write();
    test_seal_future_write();
    test_seal_races();
    if (seal(NULL, 0, 0) == -1 && errno == ENOSYS)
        skip("mseal", "this kernel is older");
    else
        test_mseal();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
