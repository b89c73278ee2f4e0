/*
 * userfaultfd's write protection: of private, shared and file memory, by UFFDIO_WRITEPROTECT, COPY and CONTINUE;
 * asynchronously; through mprotect, fork, mremap, MADV_DONTNEED and system calls. Skipped where the kernel has none, as
 * Linux on riscv64. Source: userfaultfd(2), ioctl_userfaultfd(2).
 */
#include "uffd.h"

static uint64_t pagemap_of(const void *at)
{
    int fd = (int)NEED(open("/proc/self/pagemap", O_RDONLY));
    uint64_t entry = 0;

    if (pread(fd, &entry, sizeof(entry), (long)((uintptr_t)at / PAGE * 8)) != sizeof(entry))
        entry = 0;
    close(fd);
    return entry;
}

static int is_protected(const void *at) { return (int)(pagemap_of(at) >> 57 & 1); }

static void errors(void)
{
    struct uffdio_register r = {.mode = WP};
    struct uffdio_writeprotect w;
    char *at = anon(4 * PAGE, RW);
    int fd = uffd_new(0, 0);

    r.range = (struct uffdio_range){(uintptr_t)at, 2 * PAGE};
    OKAY(ioctl(fd, UFFDIO_REGISTER, &r), "register write protection");
    CHECK(r.ioctls & 1ull << _UFFDIO_WRITEPROTECT, "its ioctls have UFFDIO_WRITEPROTECT");
    OKAY(uffd_protect(fd, at, 2 * PAGE, 1), "protect");
    OKAY(uffd_protect(fd, at, 2 * PAGE, 1), "protect again");
    OKAY(uffd_protect(fd, at, 2 * PAGE, 0), "unprotect");
    FAILS(uffd_protect(fd, at + 2 * PAGE, PAGE, 1), ENOENT, "protect what is not registered");
    FAILS(uffd_protect(fd, at + PAGE, 2 * PAGE, 1), ENOENT, "protect more than what is registered");
    FAILS(uffd_protect(fd, at + 1, PAGE, 1), EINVAL, "an address amid a page");
    FAILS(uffd_protect(fd, at, 1, 1), EINVAL, "a length amid a page");
    FAILS(uffd_protect(fd, at, 0, 1), EINVAL, "no length");
    w = (struct uffdio_writeprotect){.range = {(uintptr_t)at, PAGE}, .mode = 8};
    FAILS(ioctl(fd, UFFDIO_WRITEPROTECT, &w), EINVAL, "an unknown mode");
    w.mode = UFFDIO_WRITEPROTECT_MODE_WP | UFFDIO_WRITEPROTECT_MODE_DONTWAKE;
    FAILS(ioctl(fd, UFFDIO_WRITEPROTECT, &w), EINVAL, "protect without waking makes no sense");
    FAILS(ioctl(fd, UFFDIO_WRITEPROTECT, NULL), EFAULT, "protect what is nowhere");
    OKAY(uffd_register(fd, at + 2 * PAGE, 2 * PAGE, MISSING), "register missing pages");
    FAILS(uffd_copy(fd, at + 2 * PAGE, bytes, PAGE, UFFDIO_COPY_MODE_WP), EINVAL,
          "copy protected where protection is not registered");
    FAILS(uffd_protect(fd, at + 2 * PAGE, PAGE, 1), ENOENT, "protect there");
    close(fd);
    munmap(at, 4 * PAGE);
}

/* The life of four pages with content at AT. */
static void protect_pages(const char *what, char *at)
{
    int fd = uffd_new(0, UFFD_FEATURE_PAGEFAULT_FLAG_WP), fds[2];
    struct uffd_msg message;
    pthread_t thread, second;
    long arguments[3];

    for (int i = 0; i < 4; i++)
        at[i * PAGE] = (char)('0' + i);
    OKAY(uffd_register(fd, at, 4 * PAGE, WP), "%s: register", what);
    OKAY(uffd_protect(fd, at, 4 * PAGE, 1), "%s: protect", what);
    CHECK(is_protected(at) && is_protected(at + 3 * PAGE), "%s: pagemap says so", what);
    IS((long)load(at), '0', "%s: loads go on", what);
    thread = start(store, at + PAGE);
    second = start(store, at + 2 * PAGE);
    message = uffd_next(fd);
    IS(message.event, UFFD_EVENT_PAGEFAULT, "%s: a store is reported", what);
    IS(message.arg.pagefault.flags, UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE,
       "%s: as one to a protected page", what);
    message = uffd_next(fd);
    IS(message.event, UFFD_EVENT_PAGEFAULT, "%s: so is a second one", what);
    IS(at[PAGE] + at[2 * PAGE], '1' + '2', "%s: nothing is stored yet", what);
    OKAY(uffd_protect(fd, at + PAGE, 2 * PAGE, 0), "%s: unprotect both", what);
    finish(thread);
    finish(second);
    CHECK(at[PAGE] == 'S' && at[2 * PAGE] == 'S', "%s: both go on", what);
    CHECK(!is_protected(at + PAGE) && is_protected(at), "%s: only those are free", what);
    at[PAGE] = 'T';
    IS(at[PAGE], 'T', "%s: stores there are nobody's business now", what);
    pipe(fds);
    write(fds[1], "k", 1);
    arguments[0] = fds[0], arguments[1] = (long)at, arguments[2] = 1;
    thread = start(read_pipe, arguments);
    message = uffd_next(fd);
    IS(message.arg.pagefault.address, (uintptr_t)at, "%s: a system call's store is reported", what);
    OKAY(uffd_protect(fd, at, PAGE, 0), "%s: unprotect", what);
    IS(finish(thread), 0, "%s: the call goes through", what);
    IS(at[0], 'k', "%s: with its byte", what);
    OKAY(mprotect(at, 4 * PAGE, PROT_READ), "%s: mprotect to read-only", what);
    OKAY(mprotect(at, 4 * PAGE, RW), "%s: and back", what);
    CHECK(is_protected(at + 3 * PAGE), "%s: leaves the protection", what);
    thread = start(store, at + 3 * PAGE);
    message = uffd_next(fd);
    IS(message.arg.pagefault.address, (uintptr_t)at + 3 * PAGE, "%s: which is still reported", what);
    OKAY(uffd_unregister(fd, at + 3 * PAGE, PAGE), "%s: unregister the page", what);
    finish(thread);
    CHECK(at[3 * PAGE] == 'S' && !is_protected(at + 3 * PAGE), "%s: lets the store go on", what);
    OKAY(uffd_protect(fd, at, 3 * PAGE, 1), "%s: protect again", what);
    thread = start(store, at + 2 * PAGE);
    uffd_next(fd);
    close(fd);
    finish(thread);
    CHECK(!is_protected(at) && at[2 * PAGE] == 'S', "%s: closing takes all protection away", what);
    close(fds[0]);
    close(fds[1]);
}

static void kinds_of_memory(void)
{
    int mem = (int)syscall(SYS_memfd_create, "m", 0), file = make_file("file", bytes, sizeof(bytes));
    char *at;

    ftruncate(mem, 4 * PAGE);
    at = anon(4 * PAGE, RW);
    protect_pages("anonymous", at);
    munmap(at, 4 * PAGE);
    at = shared(4);
    protect_pages("shared anonymous", at);
    munmap(at, 4 * PAGE);
    at = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, mem, 0);
    protect_pages("shared memfd", at);
    munmap(at, 4 * PAGE);
    at = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, mem, 0);
    protect_pages("private memfd", at);
    munmap(at, 4 * PAGE);
    at = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, file, 0);
    protect_pages("private file", at);
    munmap(at, 4 * PAGE);
    at = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, file, 0);
    protect_pages("shared file", at);
    munmap(at, 4 * PAGE);
    close(mem);
    close(file);
}

static void untouched(void)
{
    char *at = anon(1030 * PAGE, RW), *shm = shared(4);
    int fd = uffd_new(0, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
    struct uffd_msg message;
    pthread_t thread;

    uffd_register(fd, at, 4 * PAGE, WP);
    uffd_register(fd, shm, 4 * PAGE, WP);
    OKAY(uffd_protect(fd, at, 4 * PAGE, 1), "protect untouched private memory");
    store(at);
    CHECK(at[0] == 'S' && !is_protected(at), "does not do anything");
    OKAY(uffd_protect(fd, shm, 4 * PAGE, 1), "protect untouched shared memory");
    thread = start(store, shm + PAGE);
    message = uffd_next(fd);
    CHECK(message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP, "makes the first store a reported one");
    OKAY(uffd_protect(fd, shm + PAGE, PAGE, 0), "unprotect");
    finish(thread);
    IS((long)load(shm + 2 * PAGE), 0, "a load brings a page in");
    CHECK(is_protected(shm + 2 * PAGE), "which is protected");
    close(fd);
    fd = uffd_new(0, UFFD_FEATURE_WP_UNPOPULATED);
    uffd_register(fd, at, 1030 * PAGE, WP);
    madvise(at, 1030 * PAGE, MADV_DONTNEED);
    OKAY(uffd_protect(fd, at, 1030 * PAGE, 1), "WP_UNPOPULATED: protect untouched private memory");
    CHECK(is_protected(at + 600 * PAGE), "pagemap says so");
    thread = start(store, at + 700 * PAGE);
    message = uffd_next(fd);
    IS(message.arg.pagefault.flags, UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE, "a first store is reported");
    OKAY(uffd_protect(fd, at + 700 * PAGE, PAGE, 0), "unprotect");
    finish(thread);
    IS((long)load(at + 800 * PAGE), 0, "a load goes on");
    CHECK(is_protected(at + 800 * PAGE), "the page of zeros is protected");
    thread = start(store, at + 800 * PAGE);
    message = uffd_next(fd);
    IS(message.arg.pagefault.address, (uintptr_t)at + 800 * PAGE, "a store there is reported");
    uffd_protect(fd, at + 800 * PAGE, PAGE, 0);
    finish(thread);
    OKAY(uffd_protect(fd, at, 1030 * PAGE, 0), "unprotect all");
    CHECK(!is_protected(at + 3 * PAGE) && !is_protected(at + 1029 * PAGE), "nothing is protected any more");
    at[1029 * PAGE] = 1;
    OKAY(uffd_protect(fd, at, 1030 * PAGE, 1), "protect all");
    OKAY(madvise(at, 1030 * PAGE, MADV_DONTNEED), "MADV_DONTNEED");
    CHECK(!is_protected(at + 700 * PAGE) && !is_protected(at + 3 * PAGE), "takes private memory's protection away");
    close(fd);
    munmap(at, 1030 * PAGE);
    munmap(shm, 4 * PAGE);
}

static void with_missing(void)
{
    int fd = uffd_new(0, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
    char *at = anon(4 * PAGE, RW), *shm = shared(4), *other;
    struct uffd_msg message;
    pthread_t thread;

    uffd_register(fd, at, 4 * PAGE, MISSING | WP);
    thread = start(store, at);
    message = uffd_next(fd);
    IS(message.arg.pagefault.flags, UFFD_PAGEFAULT_FLAG_WRITE, "both modes: first the page is missing");
    OKAY(uffd_copy(fd, at, bytes, PAGE, UFFDIO_COPY_MODE_WP), "copy, protected");
    message = uffd_next(fd);
    IS(message.arg.pagefault.flags, UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE, "then it is protected");
    OKAY(uffd_protect(fd, at, PAGE, 0), "unprotect");
    finish(thread);
    CHECK(at[0] == 'S' && at[1] == 'a', "the store is in the copy");
    OKAY(uffd_zero(fd, at + PAGE, PAGE, 0), "a page of zeros");
    OKAY(uffd_protect(fd, at + PAGE, PAGE, 1), "is protected");
    thread = start(store, at + PAGE);
    message = uffd_next(fd);
    CHECK(message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP, "a store to it is reported");
    uffd_protect(fd, at + PAGE, PAGE, 0);
    finish(thread);
    IS(at[PAGE], 'S', "and goes on");
    other = mremap(shm, 0, 4 * PAGE, MREMAP_MAYMOVE);
    uffd_register(fd, shm, 4 * PAGE, MINOR | WP);
    other[0] = 'o';
    thread = start(store, shm);
    message = uffd_next(fd);
    CHECK(message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_MINOR, "shared: first a minor fault");
    OKAY(uffd_continue(fd, shm, PAGE, 2 /* UFFDIO_CONTINUE_MODE_WP */), "continue, protected");
    message = uffd_next(fd);
    CHECK(message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP, "then it is protected");
    other[1] = 'p';
    CHECK(other[1] == 'p', "other mappings are not");
    uffd_protect(fd, shm, PAGE, 0);
    finish(thread);
    CHECK(other[0] == 'S' && shm[1] == 'p', "the store is everywhere");
    close(fd);
    munmap(at, 4 * PAGE);
    munmap(shm, 4 * PAGE);
    munmap(other, 4 * PAGE);
}

static int store_all_in_child(void *argument)
{
    char *at = argument;

    for (int i = 0; i < 4; i++)
        at[i * PAGE] = 'c';
    return is_protected(at) ? 1 : 0;
}

static void other_calls(void)
{
    int fd = uffd_new(0, UFFD_FEATURE_PAGEFAULT_FLAG_WP), mem;
    char *at = anon(4 * PAGE, RW), *moved;
    pthread_t thread;

    memset(at, 'm', 4 * PAGE);
    uffd_register(fd, at, 4 * PAGE, WP);
    uffd_protect(fd, at, 4 * PAGE, 1);
    EXITS(store_all_in_child, at, 0, "a child without the fork event stores freely");
    CHECK(is_protected(at) && at[0] == 'm', "the parent's protection stays");
    mem = open("/proc/self/mem", O_RDWR);
    CHECK(pwrite(mem, "x", 1, (long)at) == -1, "/proc/self/mem does not write there: %s", errno_name(errno));
    close(mem);
    thread = start(store, at);
    uffd_next(fd);
    uffd_protect(fd, at, PAGE, 0);
    finish(thread);
    CHECK(at[0] == 'S' && at[1] == 'm', "after a fork a store gets its copy");
    moved = mremap(at, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, anon(4 * PAGE, RW));
    CHECK(moved != MAP_FAILED && !is_protected(moved + PAGE), "without the remap event mremap ends the registration");
    store(moved + PAGE);
    IS(moved[PAGE], 'S', "stores go on there");
    close(fd);
    munmap(moved, 4 * PAGE);
}

static int child_sees(void *at) { return is_protected(at) ? 1 : *(volatile char *)at == '2' ? 0 : 2; }

/* Pages that leave memory: what the entry says of their protection stays. */
static void elsewhere(const char *what, char *at)
{
    int fd = uffd_new(0, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
    struct uffd_msg message;
    pthread_t thread;

    for (int i = 0; i < 4; i++)
        memset(at + i * PAGE, '0' + i, PAGE);
    uffd_register(fd, at, 4 * PAGE, WP);
    OKAY(uffd_protect(fd, at, 2 * PAGE, 1), "%s: protect two pages", what);
    OKAY(madvise(at, 4 * PAGE, 21 /* MADV_PAGEOUT */), "%s: page them all out", what);
    CHECK(is_protected(at) && !is_protected(at + 2 * PAGE), "%s: the protection is remembered", what);
    OKAY(uffd_protect(fd, at + 2 * PAGE, 2 * PAGE, 1), "%s: protect the others there", what);
    OKAY(uffd_protect(fd, at, PAGE, 0), "%s: unprotect the first there", what);
    CHECK(!is_protected(at) && is_protected(at + PAGE) && is_protected(at + 2 * PAGE), "%s: pagemap says so", what);
    EXITS(child_sees, at + 2 * PAGE, 0, "%s: a child's is not protected", what);
    store(at);
    IS(at[0], 'S', "%s: a store to what is not protected goes on", what);
    IS((long)load(at + 2 * PAGE), '2', "%s: so does a load of what is", what);
    CHECK(is_protected(at + 2 * PAGE), "%s: which stays so", what);
    thread = start(store, at + PAGE);
    message = uffd_next(fd);
    IS(message.arg.pagefault.flags, UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE, "%s: a store is reported",
       what);
    OKAY(uffd_protect(fd, at + PAGE, PAGE, 0), "%s: unprotect", what);
    finish(thread);
    CHECK(at[PAGE] == 'S' && at[PAGE + 1] == '1', "%s: the store is in the page", what);
    close(fd);
    munmap(at, 4 * PAGE);
}

static void paged_out_minor(void)
{
    int fd = uffd_new(0, 0);
    char *shm = shared(1), *other = mremap(shm, 0, PAGE, MREMAP_MAYMOVE);
    struct uffd_msg message;
    pthread_t thread;

    memset(other, 'z', PAGE);
    madvise(other, PAGE, 21 /* MADV_PAGEOUT */);
    uffd_register(fd, shm, PAGE, MINOR);
    thread = start(load, shm);
    message = uffd_next(fd);
    CHECK(message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_MINOR, "a shared page that was paged out is a minor fault");
    OKAY(uffd_continue(fd, shm, PAGE, 0), "continue brings it back");
    IS(finish(thread), 'z', "with its bytes");
    close(fd);
    munmap(shm, PAGE);
    munmap(other, PAGE);
}

static void asynchronous(void)
{
    int fd = uffd_new(O_NONBLOCK, UFFD_FEATURE_WP_ASYNC), file = make_file("async", bytes, sizeof(bytes));
    char *at = anon(1030 * PAGE, RW), *shm = shared(4), *text = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, file, 0);
    struct uffd_msg message;

    memset(at, 'x', 8 * PAGE);
    OKAY(uffd_register(fd, at, 1030 * PAGE, WP), "asynchronous: register anonymous memory");
    OKAY(uffd_register(fd, shm, 4 * PAGE, WP), "shared memory");
    OKAY(uffd_register(fd, text, 4 * PAGE, WP), "a file");
    OKAY(uffd_protect(fd, at, 1030 * PAGE, 1), "protect");
    OKAY(uffd_protect(fd, shm, 4 * PAGE, 1), "protect");
    OKAY(uffd_protect(fd, text, 4 * PAGE, 1), "protect");
    CHECK(is_protected(at) && is_protected(at + 1000 * PAGE) && is_protected(shm) && is_protected(text),
          "all are protected");
    at[0] = at[1000 * PAGE] = shm[0] = text[0] = 'A';
    CHECK(!is_protected(at) && !is_protected(at + 1000 * PAGE) && !is_protected(shm) && !is_protected(text),
          "a store takes the protection away");
    CHECK(is_protected(at + PAGE) && is_protected(at + 1001 * PAGE) && is_protected(shm + PAGE) &&
              is_protected(text + PAGE),
          "of its page only");
    FAILS(read(fd, &message, sizeof(message)), EAGAIN, "nobody is told");
    CHECK(at[0] == 'A' && at[1] == 'x' && shm[0] == 'A' && text[0] == 'A' && text[1] == 'a', "every byte is right");
    NEED(pread(file, text + PAGE, 4, 0));
    CHECK(!is_protected(text + PAGE) && text[PAGE] == 'a', "a system call's store does the same");
    OKAY(uffd_protect(fd, at, 2 * PAGE, 0), "unprotect");
    CHECK(!is_protected(at + PAGE), "works as ever");
    close(fd);
    close(file);
    CHECK(!is_protected(at + 2 * PAGE) && !is_protected(at + 1001 * PAGE), "closing takes all protection away");
    munmap(at, 1030 * PAGE);
    munmap(shm, 4 * PAGE);
    munmap(text, 4 * PAGE);
}

static void body(void)
{
    int fd = uffd_new(0, 0);

    close(fd);
    fill_bytes();
    paged_out_minor();
    if (!has_wp) {
        skip("write protection", "this kernel has none");
        return;
    }
    errors();
    kinds_of_memory();
    untouched();
    with_missing();
    other_calls();
    elsewhere("private", anon(4 * PAGE, RW));
    elsewhere("shared", shared(4));
    asynchronous();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
