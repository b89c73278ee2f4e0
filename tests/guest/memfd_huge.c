/* memfd_create(MFD_HUGETLB) while no huge pages are set aside: there is a file, but no memory for it. */
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)
#define HUGE (2l << 20)
#ifndef MFD_HUGETLB
#define MFD_HUGETLB 4u
#endif
#define MFD_SIZE(bits) ((unsigned)(bits) << 26)

static long map_it(int fd, long length, int flags, long offset)
{
    return (long)mmap(NULL, length, RW, MAP_SHARED | flags, fd, offset);
}

static void test_file(int fd)
{
    char buffer[16] = "0123456789abcde", path[32];
    struct stat st;
    int again;

    OKAY(fstat(fd, &st), "fstat");
    IS(st.st_blksize, HUGE, "it comes in huge pages");
    IS(st.st_size, 0, "it is empty");
    FAILS(ftruncate(fd, HUGE + PAGE), EINVAL, "a size that is no multiple of theirs");
    FAILS(ftruncate(fd, HUGE / 2), EINVAL, "or less than one");
    OKAY(ftruncate(fd, 2 * HUGE), "two of them");
    IS(read(fd, buffer, sizeof(buffer)), sizeof(buffer), "read");
    CHECK(buffer[0] == 0 && buffer[14] == 0, "a hole has zeros");
    FAILS(write(fd, "x", 1), EINVAL, "write");
    FAILS(pwrite(fd, "x", 1, HUGE), EINVAL, "pwrite");
    OKAY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, HUGE), "a hole in the hole");
    FAILS(fallocate(fd, 0, 0, HUGE), ENOSPC, "fallocate");
    FAILS(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, HUGE), EOPNOTSUPP, "a range of zeros");
    FAILS(map_it(fd, HUGE, 0, 0), ENOMEM, "mmap");
    FAILS(map_it(fd, HUGE, MAP_HUGETLB, 0), ENOMEM, "with MAP_HUGETLB");
    FAILS(map_it(fd, PAGE, 0, 0), ENOMEM, "of a small page");
    FAILS(map_it(fd, HUGE, 0, PAGE), EINVAL, "from the midst of a huge page");
    FAILS((long)mmap(NULL, HUGE, RW, MAP_PRIVATE, fd, 0), ENOMEM, "a private one");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    again = open(path, O_RDWR);
    CHECK(again >= 0, "opened again");
    FAILS(map_it(again, HUGE, 0, 0), ENOMEM, "it is the same");
    FAILS(write(again, "x", 1), EINVAL, "in all respects");
    close(again);
}

static void test_seals(int fd)
{
    IS(fcntl(fd, F_GET_SEALS), 0, "seals may be set");
    OKAY(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), "against shrinking");
    FAILS(ftruncate(fd, HUGE), EPERM, "ftruncate");
    OKAY(ftruncate(fd, 3 * HUGE), "it may grow");
    OKAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), "against stores");
    FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, HUGE), EPERM, "a hole");
}

static void body(void)
{
    int fd = memfd_create("huge", MFD_HUGETLB | MFD_ALLOW_SEALING);

    CHECK(fd >= 0, "memfd_create(MFD_HUGETLB)");
    test_file(fd);
    test_seals(fd);
    close(fd);
    fd = memfd_create("huge", MFD_HUGETLB | MFD_SIZE(21));
    CHECK(fd >= 0, "a size that there is");
    IS(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL, "without seals");
    close(fd);
    FAILS(memfd_create("huge", MFD_HUGETLB | MFD_SIZE(13)), ENODEV, "a size that there is not");
    FAILS(memfd_create("huge", MFD_SIZE(21)), EINVAL, "a size without huge pages");
    FAILS(memfd_create("huge", MFD_HUGETLB | 0x100), EINVAL, "an unknown flag");
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
