/*
 * userfaultfd: descriptors, negotiation, registration, missing and minor faults and what answers them, faults of system
 * calls, signals and deaths while a fault waits, reading and polling. Write protection and events have programs of
 * their own. Source: userfaultfd(2), ioctl_userfaultfd(2).
 */
#include "uffd.h"

#include <setjmp.h>
#include <sys/uio.h>

static int child_stores(void *at)
{
    store(at);
    return 0;
}

/* ---- the descriptor ---- */

static void descriptors(void)
{
    struct uffdio_api api = {.api = UFFD_API};
    struct uffd_msg message;
    struct pollfd p;
    char path[64], link[64] = "";
    int fd;

    FAILS(uffd_raw(1 << 20), EINVAL, "an unknown flag of userfaultfd");
    fd = (int)OKAY(uffd_raw(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY), "userfaultfd with all flags");
    IS(fcntl(fd, F_GETFD), FD_CLOEXEC, "close-on-exec is set");
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK, "it does not block");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    CHECK(readlink(path, link, sizeof(link) - 1) > 0 && !strcmp(link, "anon_inode:[userfaultfd]"), "its name is %s",
          link);
    FAILS(read(fd, &message, sizeof(message)), EINVAL, "read before UFFDIO_API");
    p = (struct pollfd){.fd = fd, .events = POLLIN};
    IS(poll(&p, 1, 0), 1, "poll before UFFDIO_API");
    IS(p.revents, POLLERR, "poll before UFFDIO_API says error");
    FAILS(uffd_register(fd, bytes, PAGE, MISSING), EINVAL, "register before UFFDIO_API");
    FAILS(ioctl(fd, UFFDIO_API, NULL), EFAULT, "UFFDIO_API of nothing");
    api.api = 0x55;
    FAILS(ioctl(fd, UFFDIO_API, &api), EINVAL, "an unknown API");
    CHECK(api.api == 0 && api.features == 0 && api.ioctls == 0, "the structure is zeroed then");
    api = (struct uffdio_api){.api = UFFD_API, .features = 1ull << 40};
    FAILS(ioctl(fd, UFFDIO_API, &api), EINVAL, "an unknown feature");
    CHECK(api.api == 0 && api.features == 0 && api.ioctls == 0, "the structure is zeroed then, too");
    api = (struct uffdio_api){.api = UFFD_API, .features = 0};
    OKAY(ioctl(fd, UFFDIO_API, &api), "UFFDIO_API without features");
    IS(api.ioctls, 1ull << _UFFDIO_REGISTER | 1ull << _UFFDIO_UNREGISTER | 1ull << _UFFDIO_API, "its ioctls");
    CHECK((api.features & (UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_SIGBUS |
                           UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_POISON | UFFD_FEATURE_MOVE)) ==
              (UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_SIGBUS | UFFD_FEATURE_MINOR_SHMEM |
               UFFD_FEATURE_POISON | UFFD_FEATURE_MOVE),
          "features are told: %#llx", (long long)api.features);
    api = (struct uffdio_api){.api = UFFD_API, .features = 0};
    FAILS(ioctl(fd, UFFDIO_API, &api), EINVAL, "UFFDIO_API a second time");
    FAILS(ioctl(fd, _IO(0xaa, 0x33)), EINVAL, "an unknown ioctl");
    FAILS(read(fd, &message, sizeof(message) - 1), EINVAL, "read of less than a message");
    FAILS(read(fd, &message, sizeof(message)), EAGAIN, "nothing to read");
    IS(poll(&p, 1, 0), 0, "nothing to poll");
    FAILS(write(fd, &message, sizeof(message)), EBADF, "write");
    fcntl(fd, F_SETFL, 0);
    IS(poll(&p, 1, 0), 1, "poll of a blocking descriptor");
    IS(p.revents, POLLERR, "poll of a blocking descriptor says error");
    close(fd);
}

static int unprivileged(void *flags)
{
    int fd;

    if (setresuid(1000, 1000, 1000))
        return 9;
    fd = uffd_raw((int)(long)flags);
    return fd >= 0 ? 0 : errno;
}

static int unprivileged_fork(void *unused UNUSED)
{
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_EVENT_FORK};
    int fd;

    if (setresuid(1000, 1000, 1000))
        return 9;
    fd = uffd_raw(UFFD_USER_MODE_ONLY);
    return fd < 0 ? 8 : ioctl(fd, UFFDIO_API, &api) == 0 ? 0 : errno;
}

static void set_sysctl(const char *value)
{
    int fd = (int)NEED(open("/proc/sys/vm/unprivileged_userfaultfd", O_WRONLY));

    IS(write(fd, value, 1), 1, "vm.unprivileged_userfaultfd becomes %s", value);
    close(fd);
}

static void privileges(void)
{
    char *text = slurp("/proc/sys/vm/unprivileged_userfaultfd");
    int fd, created;

    CHECK(text && !strcmp(text, "0\n"), "vm.unprivileged_userfaultfd is 0");
    free(text);
    EXITS(unprivileged, 0, EPERM, "a user may not handle the kernel's faults");
    EXITS(unprivileged, UFFD_USER_MODE_ONLY, 0, "but those of user mode");
    EXITS(unprivileged_fork, 0, EPERM, "a user may not have fork events");
    set_sysctl("1");
    EXITS(unprivileged, 0, 0, "with vm.unprivileged_userfaultfd all may");
    set_sysctl("0");
    fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        skip("/dev/userfaultfd", "no such device");
        return;
    }
    FAILS(ioctl(fd, USERFAULTFD_IOC_NEW, 1 << 20), EINVAL, "/dev/userfaultfd, unknown flags");
    FAILS(ioctl(fd, _IO(0xaa, 1), 0), EINVAL, "/dev/userfaultfd, unknown ioctl");
    created = (int)OKAY(ioctl(fd, USERFAULTFD_IOC_NEW, O_CLOEXEC), "/dev/userfaultfd gives a descriptor");
    IS(fcntl(created, F_GETFD), FD_CLOEXEC, "with close-on-exec");
    close(created);
    close(fd);
}

/* ---- registration ---- */

static void registration(void)
{
    struct uffdio_register r = {.mode = MISSING};
    uint64_t common = 1ull << _UFFDIO_WAKE | 1ull << _UFFDIO_COPY | 1ull << _UFFDIO_ZEROPAGE | 1ull << 5 | 1ull << 8;
    int fd = uffd_new(0, 0), other = uffd_new(0, 0), file = make_file("file", bytes, PAGE), mem;
    char *at = anon(8 * PAGE, RW), *text = mmap(NULL, PAGE, RW, MAP_PRIVATE, file, 0), *shm = shared(2), *read_only;

    r.range = (struct uffdio_range){(uintptr_t)at, 4 * PAGE};
    OKAY(ioctl(fd, UFFDIO_REGISTER, &r), "register anonymous memory");
    IS(r.ioctls, common, "its ioctls");
    OKAY(uffd_register(fd, at, 4 * PAGE, MISSING), "register it again");
    FAILS(uffd_register(other, at + 3 * PAGE, 2 * PAGE, MISSING), EBUSY, "by another descriptor");
    OKAY(uffd_register(other, at + 4 * PAGE, PAGE, MISSING), "what is next to it by another descriptor");
    FAILS(uffd_register(fd, at, 5 * PAGE, MISSING), EBUSY, "both together");
    FAILS(uffd_register(fd, at + 1, PAGE, MISSING), EINVAL, "an address amid a page");
    FAILS(uffd_register(fd, at, PAGE - 1, MISSING), EINVAL, "a length amid a page");
    FAILS(uffd_register(fd, at, 0, MISSING), EINVAL, "no length");
    FAILS(uffd_register(fd, at, PAGE, 0), EINVAL, "no mode");
    FAILS(uffd_register(fd, at, PAGE, 64), EINVAL, "an unknown mode");
    FAILS(uffd_register(fd, at, PAGE, MINOR), EINVAL, "minor faults of anonymous memory");
    FAILS(uffd_register(fd, NULL, PAGE, MISSING), EINVAL, "address 0");
    FAILS(uffd_register(fd, (void *)-8192UL, PAGE, MISSING), EINVAL, "the kernel's addresses");
    FAILS(uffd_register(fd, at, -PAGE, MISSING), EINVAL, "a length that wraps");
    FAILS(uffd_register(fd, text, PAGE, MISSING), EINVAL, "missing pages of a file on a disk");
    FAILS(ioctl(fd, UFFDIO_REGISTER, NULL), EFAULT, "register what is nowhere");
    r = (struct uffdio_register){.range = {(uintptr_t)shm, 2 * PAGE}, .mode = MISSING | MINOR};
    OKAY(ioctl(fd, UFFDIO_REGISTER, &r), "register shared memory with minor faults");
    IS(r.ioctls, common | 1ull << _UFFDIO_CONTINUE, "its ioctls");
    OKAY(uffd_unregister(fd, at, 8 * PAGE), "unregister all, the other's too");
    OKAY(uffd_unregister(fd, at, PAGE), "unregister what is not registered");
    FAILS(uffd_unregister(fd, at, PAGE + 1), EINVAL, "unregister half pages");
    FAILS(uffd_unregister(fd, text, PAGE), EINVAL, "unregister what can never be registered");
    munmap(at + 2 * PAGE, PAGE);
    FAILS(uffd_register(fd, at + 2 * PAGE, PAGE, MISSING), EINVAL, "register a hole");
    FAILS(uffd_unregister(fd, at + 2 * PAGE, PAGE), EINVAL, "unregister a hole");
    OKAY(uffd_register(fd, at, 8 * PAGE, MISSING), "register around a hole");
    close(fd);
    OKAY(uffd_register(other, at, PAGE, MISSING), "a closed descriptor's ranges are free");
    mem = (int)syscall(SYS_memfd_create, "m", 2 /* MFD_ALLOW_SEALING */);
    ftruncate(mem, PAGE);
    fcntl(mem, F_ADD_SEALS, 0x10 /* F_SEAL_FUTURE_WRITE */);
    read_only = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, mem, 0);
    FAILS(uffd_register(other, read_only, PAGE, MISSING), EPERM, "shared memory that may not be written");
    close(mem);
    close(other);
    close(file);
    munmap(at, 8 * PAGE);
    munmap(text, PAGE);
    munmap(shm, 2 * PAGE);
    munmap(read_only, PAGE);
}

/* ---- missing pages ---- */

static void answer_missing(const char *what, char *at)
{
    int fd = uffd_new(0, UFFD_FEATURE_THREAD_ID);
    struct uffd_msg message;
    pthread_t thread;

    OKAY(uffd_register(fd, at, 4 * PAGE, MISSING), "%s: register", what);
    thread = start(load, at + PAGE + 123);
    message = uffd_next(fd);
    IS(message.event, UFFD_EVENT_PAGEFAULT, "%s: a load is reported", what);
    IS(message.arg.pagefault.address, (uintptr_t)at + PAGE, "%s: the page's address", what);
    IS(message.arg.pagefault.flags, 0, "%s: as a load", what);
    CHECK(message.arg.pagefault.feat.ptid != (unsigned)getpid() && message.arg.pagefault.feat.ptid != 0,
          "%s: by another thread", what);
    OKAY(uffd_copy(fd, at + PAGE, bytes, PAGE, 0), "%s: copy", what);
    IS(uffd_done, PAGE, "%s: a page is copied", what);
    IS(finish(thread), 'a', "%s: the load gives what was copied", what);
    thread = start(store, at + 2 * PAGE);
    message = uffd_next(fd);
    IS(message.arg.pagefault.flags, UFFD_PAGEFAULT_FLAG_WRITE, "%s: a store is reported as one", what);
    OKAY(uffd_copy(fd, at + 2 * PAGE, bytes + PAGE, PAGE, UFFDIO_COPY_MODE_DONTWAKE), "%s: copy, nobody is woken",
         what);
    OKAY(uffd_wake(fd, at + 2 * PAGE, PAGE), "%s: wake", what);
    finish(thread);
    CHECK(at[2 * PAGE] == 'S' && at[2 * PAGE + 1] == 'b', "%s: the store is in the copy", what);
    thread = start(load, at);
    uffd_next(fd);
    OKAY(uffd_zero(fd, at, PAGE, 0), "%s: zeropage", what);
    IS(uffd_done, PAGE, "%s: a page of zeros", what);
    IS(finish(thread), 0, "%s: the load gives zero", what);
    at[1] = 7;
    CHECK(at[1] == 7, "%s: the zeros can be written", what);
    FAILS(uffd_copy(fd, at, bytes, PAGE, 0), EEXIST, "%s: copy over a page", what);
    IS(uffd_done, -EEXIST, "%s: and the field says so", what);
    FAILS(uffd_zero(fd, at, PAGE, 0), EEXIST, "%s: zeropage over a page", what);
    madvise(at + PAGE, PAGE, MADV_DONTNEED);
    close(fd);
    madvise(at, 4 * PAGE, MADV_DONTNEED);
}

static void missing(void)
{
    char *at = anon(4 * PAGE, RW), *shm = shared(4), *private_shm;
    int mem = (int)syscall(SYS_memfd_create, "m", 0);

    answer_missing("anonymous", at);
    answer_missing("shared", shm);
    ftruncate(mem, 4 * PAGE);
    private_shm = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, mem, 0);
    answer_missing("private memfd", private_shm);
    CHECK(pread(mem, bytes, PAGE, 0) == PAGE && bytes[0] == 0, "nothing of it got into the memfd");
    fill_bytes();
    close(mem);
    munmap(at, 4 * PAGE);
    munmap(shm, 4 * PAGE);
    munmap(private_shm, 4 * PAGE);
}

static void partial_answers(void)
{
    char *at = anon(8 * PAGE, RW), *shm = shared(2), *view;
    int fd = uffd_new(0, 0), mem = (int)syscall(SYS_memfd_create, "m", 0);

    uffd_register(fd, at, 6 * PAGE, MISSING);
    OKAY(uffd_copy(fd, at, bytes, 4 * PAGE, 0), "copy four pages");
    IS(uffd_done, 4 * PAGE, "all four");
    CHECK(at[0] == 'a' && at[PAGE] == 'b' && at[2 * PAGE] == 'c' && at[3 * PAGE + 4095] == 'd', "with their bytes");
    madvise(at, 2 * PAGE, MADV_DONTNEED);
    FAILS(uffd_copy(fd, at, bytes, 4 * PAGE, 0), EAGAIN, "copy onto two free and two taken pages");
    IS(uffd_done, 2 * PAGE, "does the first two");
    FAILS(uffd_copy(fd, at + 5 * PAGE, bytes, 2 * PAGE, 0), ENOENT, "copy over the registered range's end");
    IS(uffd_done, -ENOENT, "does nothing");
    FAILS(uffd_copy(fd, at + 6 * PAGE, bytes, PAGE, 0), ENOENT, "copy to what is not registered");
    FAILS(uffd_zero(fd, at + 6 * PAGE, PAGE, 0), ENOENT, "zeropage there");
    FAILS(uffd_copy(fd, at + 4 * PAGE, NULL, PAGE, 0), EFAULT, "copy from address 0");
    FAILS(uffd_copy(fd, at + 4 * PAGE, (char *)-PAGE, PAGE, 0), EINVAL, "copy from the kernel");
    FAILS(uffd_copy(fd, at + 4 * PAGE, (char *)0x200000, PAGE, 0), EFAULT, "copy from nowhere");
    FAILS(uffd_copy(fd, at + 4 * PAGE, bytes, PAGE, 8), EINVAL, "copy with an unknown mode");
    FAILS(uffd_copy(fd, at + 4 * PAGE, bytes, 0, 0), EINVAL, "copy nothing");
    IS(uffd_done, 77, "the field is left alone then");
    FAILS(uffd_copy(fd, at + 4 * PAGE + 1, bytes, PAGE, 0), EINVAL, "copy to an address amid a page");
    FAILS(uffd_copy(fd, at + 4 * PAGE, bytes, PAGE - 1, 0), EINVAL, "copy half a page");
    FAILS(uffd_zero(fd, at + 4 * PAGE, PAGE, 2), EINVAL, "zeropage with an unknown mode");
    OKAY(uffd_copy(fd, at + 4 * PAGE, bytes + 100, PAGE, 0), "copy from an address amid a page");
    CHECK(at[4 * PAGE] == 'a' && at[5 * PAGE - 1] == 'b', "has the bytes from there on");
    FAILS(uffd_continue(fd, at + 5 * PAGE, PAGE, 0), EINVAL, "continue in anonymous memory");
    FAILS(uffd_wake(fd, at, 1), EINVAL, "wake half a page");
    OKAY(uffd_wake(fd, at + 6 * PAGE, PAGE), "wake what is not registered");
    OKAY(mprotect(at + 5 * PAGE, PAGE, PROT_READ), "a page becomes read-only");
    OKAY(uffd_copy(fd, at + 5 * PAGE, bytes, PAGE, 0), "and is filled in");
    DIES(child_stores, at + 5 * PAGE, SIGSEGV, SEGV_ACCERR, at + 5 * PAGE, "but not writable by that");
    shm[0] = 1; /* the object has it, but its other mapping is not served */
    view = mremap(shm, 0, 2 * PAGE, MREMAP_MAYMOVE);
    uffd_register(fd, view, 2 * PAGE, MISSING);
    FAILS(uffd_copy(fd, view, bytes, PAGE, 0), EEXIST, "copy where the shared memory has a page");
    ftruncate(mem, 3 * PAGE);
    munmap(view, 2 * PAGE);
    view = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, mem, 0);
    OKAY(uffd_register(fd, view, 4 * PAGE, MISSING), "register past a memfd's end");
    FAILS(uffd_copy(fd, view + 3 * PAGE, bytes, PAGE, 0), EFAULT, "copy past the end");
    FAILS(uffd_zero(fd, view + 3 * PAGE, PAGE, 0), EFAULT, "zeropage past the end");
    DIES(child_loads, view + 3 * PAGE, SIGBUS, BUS_ADRERR, view + 3 * PAGE,
         "a load past the end is nobody's to answer");
    OKAY(uffd_copy(fd, view, bytes, PAGE, 0), "copy into the memfd");
    view[1] = 'X';
    CHECK(pread(mem, bytes + PAGE, 2, 0) == 2 && bytes[PAGE] == 'a' && bytes[PAGE + 1] == 'X',
          "read() sees what was copied and stored");
    fill_bytes();
    close(fd);
    close(mem);
    munmap(view, 4 * PAGE);
    munmap(at, 8 * PAGE);
    munmap(shm, 2 * PAGE);
}

/* ---- minor faults ---- */

static void minor(void)
{
    int mem = (int)syscall(SYS_memfd_create, "m", 0), fd = uffd_new(0, 0);
    char *at, *other, *copy;
    struct uffd_msg message;
    pthread_t thread;

    ftruncate(mem, 4 * PAGE);
    at = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, mem, 0);
    other = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, mem, 0);
    copy = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, mem, 0);
    OKAY(uffd_register(fd, at, 4 * PAGE, MINOR), "register minor faults");
    other[0] = 'p';
    other[PAGE] = 'q';
    thread = start(load, at);
    message = uffd_next(fd);
    IS(message.event, UFFD_EVENT_PAGEFAULT, "a load of a page that is only in the object");
    IS(message.arg.pagefault.flags, UFFD_PAGEFAULT_FLAG_MINOR, "is a minor fault");
    other[0] = 'P';
    OKAY(uffd_continue(fd, at, PAGE, 0), "continue");
    IS(uffd_done, PAGE, "maps a page");
    IS(finish(thread), 'P', "the load gives what is there by now");
    thread = start(store, at + PAGE);
    message = uffd_next(fd);
    IS(message.arg.pagefault.flags, UFFD_PAGEFAULT_FLAG_MINOR | UFFD_PAGEFAULT_FLAG_WRITE, "so is a store");
    OKAY(uffd_continue(fd, at + PAGE, PAGE, UFFDIO_CONTINUE_MODE_DONTWAKE), "continue, nobody is woken");
    OKAY(uffd_wake(fd, at + PAGE, PAGE), "wake");
    finish(thread);
    IS(other[PAGE], 'S', "the store is seen");
    FAILS(uffd_continue(fd, at, PAGE, 0), EEXIST, "continue where a page is mapped");
    FAILS(uffd_continue(fd, at + 2 * PAGE, PAGE, 0), EFAULT, "continue where the object has nothing");
    FAILS(uffd_continue(fd, at + 2 * PAGE, PAGE, 8), EINVAL, "continue with an unknown mode");
    FAILS(uffd_continue(fd, at + 2 * PAGE, 5, 0), EINVAL, "continue half a page");
    FAILS(uffd_continue(fd, other, PAGE, 0), ENOENT, "continue what is not registered");
    IS((long)load(at + 2 * PAGE), 0, "what the object does not have is no minor fault");
    OKAY(uffd_register(fd, copy, 4 * PAGE, MINOR), "register a private mapping of it");
    thread = start(store, copy);
    message = uffd_next(fd);
    CHECK(message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_MINOR, "a store there is a minor fault, too");
    OKAY(uffd_continue(fd, copy, PAGE, 0), "continue");
    finish(thread);
    CHECK(copy[0] == 'S' && other[0] == 'P', "it is copied on write");
    close(fd);
    close(mem);
    munmap(at, 4 * PAGE);
    munmap(other, 4 * PAGE);
    munmap(copy, 4 * PAGE);
}

/* ---- poison ---- */

static void poison(void)
{
    int fd = uffd_new(0, 0), fds[2];
    char *at = anon(4 * PAGE, RW);

    pipe(fds);
    uffd_register(fd, at, 4 * PAGE, MISSING);
    uffd_zero(fd, at, PAGE, 0);
    OKAY(uffd_poison(fd, at + PAGE, PAGE, 0), "poison");
    IS(uffd_done, PAGE, "a page is poisoned");
    FAILS(uffd_poison(fd, at, PAGE, 0), EEXIST, "poison over a page");
    FAILS(uffd_poison(fd, at + PAGE, PAGE, 0), EEXIST, "poison over poison");
    FAILS(uffd_zero(fd, at + PAGE, PAGE, 0), EEXIST, "zeropage over poison");
    FAILS(uffd_poison(fd, at + 2 * PAGE, PAGE, 2), EINVAL, "poison with an unknown mode");
    DIES(child_loads, at + PAGE + 5, SIGBUS, BUS_ADRERR, at + PAGE + 5, "a load of poison");
    DIES(child_stores, at + PAGE, SIGBUS, BUS_ADRERR, at + PAGE, "a store to poison");
    FAILS(write(fds[1], at + PAGE, 1), EFAULT, "a system call that reads poison");
    OKAY(mprotect(at + PAGE, PAGE, PROT_READ), "it can be protected");
    DIES(child_loads, at + PAGE, SIGBUS, BUS_ADRERR, at + PAGE, "and stays poison");
    mprotect(at + PAGE, PAGE, RW);
    OKAY(madvise(at + PAGE, PAGE, MADV_DONTNEED), "MADV_DONTNEED of poison");
    OKAY(uffd_copy(fd, at + PAGE, bytes, PAGE, 0), "takes it away");
    IS(at[PAGE], 'a', "the page is as good as new");
    OKAY(uffd_poison(fd, at + 2 * PAGE, 2 * PAGE, 0), "poison two pages");
    close(fd);
    DIES(child_loads, at + 3 * PAGE, SIGBUS, BUS_ADRERR, at + 3 * PAGE, "poison outlives the descriptor");
    munmap(at, 4 * PAGE);
    close(fds[0]);
    close(fds[1]);
}

/* ---- moving ---- */

static int move_in_child(void *at)
{
    int fd = uffd_new(0, 0);
    char *to = anon(PAGE, RW);

    uffd_register(fd, to, PAGE, MISSING);
    return uffd_move(fd, to, at, PAGE, 0) == -1 ? errno : 0;
}

static void move(void)
{
    int fd = uffd_new(0, 0);
    char *from = anon(8 * PAGE, RW), *to = anon(8 * PAGE, RW), *shm = shared(1), *text;
    struct uffd_msg message;
    pthread_t thread;

    for (int i = 0; i < 4; i++)
        from[i * PAGE] = (char)('A' + i);
    uffd_register(fd, to, 8 * PAGE, MISSING);
    thread = start(load, to);
    message = uffd_next(fd);
    IS(message.arg.pagefault.address, (uintptr_t)to, "a load waits");
    if (uffd_move(fd, to, from, PAGE, 0) == -1 && errno == EINVAL) {
        skip("UFFDIO_MOVE", "not on this kernel");
        uffd_zero(fd, to, PAGE, 0);
    } else {
        IS(uffd_done, PAGE, "a page is moved");
        IS(finish(thread), 'A', "the load finds its bytes");
        to[1] = 'x';
        IS(to[1], 'x', "it can be written");
        IS(from[0], 0, "its old place is empty");
        OKAY(uffd_move(fd, to + PAGE, from + PAGE, 3 * PAGE, 0), "move three pages");
        CHECK(to[PAGE] == 'B' && to[2 * PAGE] == 'C' && to[3 * PAGE] == 'D', "with their bytes");
        FAILS(uffd_move(fd, to, from + 4 * PAGE, PAGE, 0), EEXIST, "move onto a page");
        FAILS(uffd_move(fd, to + 4 * PAGE, from + 4 * PAGE, PAGE, 0), ENOENT, "move a hole");
        IS(uffd_done, -ENOENT, "and the field says so");
        from[5 * PAGE] = 'F';
        OKAY(uffd_move(fd, to + 4 * PAGE, from + 4 * PAGE, 2 * PAGE, UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES),
             "move a hole and a page");
        IS(uffd_done, 2 * PAGE, "both count");
        IS(to[5 * PAGE], 'F', "the page has its bytes");
        from[6 * PAGE] = 'G';
        FAILS(uffd_move(fd, to + 6 * PAGE, from + 6 * PAGE, 2 * PAGE, 0), EAGAIN, "move a page and a hole");
        IS(uffd_done, PAGE, "does the page");
        (void)*(volatile char *)(from + 7 * PAGE);
        OKAY(uffd_move(fd, to + 7 * PAGE, from + 7 * PAGE, PAGE, 0), "move the page of zeros");
        to[7 * PAGE] = 1;
        FAILS(uffd_move(fd, to + 1, from, PAGE, 0), EINVAL, "move to an address amid a page");
        FAILS(uffd_move(fd, to, from + 1, PAGE, 0), EINVAL, "move from an address amid a page");
        FAILS(uffd_move(fd, to, from, PAGE, 8), EINVAL, "move with an unknown mode");
        madvise(to, 8 * PAGE, MADV_DONTNEED);
        FAILS(uffd_move(fd, to, shm, PAGE, 0), EINVAL, "move shared memory");
        FAILS(uffd_move(fd, from, to, PAGE, 0), EINVAL, "move to what is not registered");
        text = anon(PAGE, PROT_READ);
        FAILS(uffd_move(fd, to, text, PAGE, 0), EINVAL, "move what may not be written");
        munmap(text, PAGE);
        FAILS(uffd_move(fd, to, from, 16 * PAGE, 0), EINVAL, "move more than a mapping");
        FAILS(uffd_move(fd, to, (char *)0x200000, PAGE, 0), ENOENT, "move from nowhere");
        from[0] = 'Z';
        EXITS(move_in_child, from, EBUSY, "a page that a parent has, too, does not move");
        from[0] = 'Y';
        OKAY(uffd_move(fd, to, from, PAGE, UFFDIO_MOVE_MODE_DONTWAKE), "once it is ours alone it does");
    }
    close(fd);
    munmap(from, 8 * PAGE);
    munmap(to, 8 * PAGE);
    munmap(shm, PAGE);
}

/* ---- SIGBUS, exact addresses, user mode only ---- */

static sigjmp_buf escape;
static siginfo_t last;

static void on_bus(int signo UNUSED, siginfo_t *info, void *context UNUSED)
{
    last = *info;
    siglongjmp(escape, 1);
}

static int serving = -1;

static void on_bus_fill(int signo UNUSED, siginfo_t *info, void *context UNUSED)
{
    last = *info;
    uffd_copy(serving, (void *)((uintptr_t)info->si_addr & -PAGE), bytes, PAGE, 0);
}

static void sigbus(void)
{
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_NODEFER};
    char *at = anon(4 * PAGE, RW), byte = 'k';
    struct uffd_msg message;
    volatile int done = 0;
    int fds[2];

    pipe(fds);
    serving = uffd_new(O_NONBLOCK, UFFD_FEATURE_SIGBUS);
    uffd_register(serving, at, 4 * PAGE, MISSING);
    sigaction(SIGBUS, &action, NULL);
    if (!sigsetjmp(escape, 1)) {
        (void)*(volatile char *)(at + 77);
        done = 1;
    }
    CHECK(!done && last.si_code == BUS_ADRERR && last.si_addr == at + 77, "a missing page is SIGBUS: code %d at %p",
          last.si_code, last.si_addr);
    FAILS(read(serving, &message, sizeof(message)), EAGAIN, "and no message");
    FAILS(write(fds[1], at, 1), EFAULT, "a system call gets EFAULT");
    action.sa_sigaction = on_bus_fill;
    sigaction(SIGBUS, &action, NULL);
    IS(*(volatile char *)(at + PAGE), 'a', "the handler fills the page in");
    write(fds[1], &byte, 1);
    FAILS(read(fds[0], at + 2 * PAGE, 1), EFAULT, "a system call that stores gets EFAULT");
    signal(SIGBUS, SIG_DFL);
    close(serving);
    IS(at[2 * PAGE], 0, "with the descriptor closed all is as ever");
    munmap(at, 4 * PAGE);
    close(fds[0]);
    close(fds[1]);
}

static void origins(void)
{
    char *at = anon(6 * PAGE, RW), local[8] = {0};
    int fd = uffd_new(UFFD_USER_MODE_ONLY, UFFD_FEATURE_EXACT_ADDRESS), fds[2], mem;
    struct iovec here = {local, 8}, there = {at + PAGE, 8};
    struct uffd_msg message;
    pthread_t thread;
    long arguments[3];

    pipe(fds);
    uffd_register(fd, at, 6 * PAGE, MISSING);
    thread = start(load, at + 99);
    message = uffd_next(fd);
    IS(message.arg.pagefault.address, (uintptr_t)at + 99, "the exact address");
    uffd_copy(fd, at, bytes, PAGE, 0);
    finish(thread);
    write(fds[1], "kernel!!", 8);
    FAILS(read(fds[0], at + PAGE, 8), EFAULT, "user mode only: the kernel's fault fails");
    FAILS(madvise(at + PAGE, PAGE, 23 /* MADV_POPULATE_WRITE */), EFAULT, "so does populating");
    close(fd);
    fd = uffd_new(0, 0);
    uffd_register(fd, at, 6 * PAGE, MISSING);
    arguments[0] = fds[0], arguments[1] = (long)(at + 2 * PAGE - 4), arguments[2] = 8;
    thread = start(read_pipe, arguments);
    message = uffd_next(fd);
    IS(message.arg.pagefault.flags, UFFD_PAGEFAULT_FLAG_WRITE, "a system call's store is reported");
    OKAY(uffd_copy(fd, (void *)(uintptr_t)message.arg.pagefault.address, bytes, PAGE, 0), "and answered");
    message = uffd_next(fd);
    IS(message.event, UFFD_EVENT_PAGEFAULT, "its second page is, too");
    OKAY(uffd_copy(fd, (void *)(uintptr_t)message.arg.pagefault.address, bytes, PAGE, 0), "and answered");
    IS(finish(thread), 0, "the call goes through");
    CHECK(!memcmp(at + 2 * PAGE - 4, "kernel!!", 8) || at[PAGE] == 'a', "with its bytes");
    there.iov_base = at + PAGE;
    IS(process_vm_readv(getpid(), &here, 1, &there, 1, 0), 8, "process_vm_readv of what is there");
    mem = open("/proc/self/mem", O_RDWR);
    CHECK(pread(mem, local, 8, (long)(at + 4 * PAGE)) == -1, "/proc/self/mem does not wait: %s", errno_name(errno));
    close(mem);
    close(fd);
    close(fds[0]);
    close(fds[1]);
    munmap(at, 6 * PAGE);
}

static void body(void)
{
    fill_bytes();
    descriptors();
    privileges();
    registration();
    missing();
    partial_answers();
    minor();
    poison();
    move();
    sigbus();
    origins();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
