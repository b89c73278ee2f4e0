/* Bad pointers and numbers given to every call: -1, and the program goes on. */
#include "check.h"

static char *const bad[] = {
    (char *)0x80000000UL,         /* the kernel, in xv6 */
    (char *)0x3ffffff000UL,       /* its last page */
    (char *)0x4000000000UL,       /* past all of xv6's */
    (char *)0xffffffff80000000UL, /* the kernel, in most others */
    (char *)0xffffffffffffffffUL,
};
#define BAD_COUNT ((int)(sizeof(bad) / sizeof(bad[0])))

static int all_fail(int (*call)(char *))
{
    for (int i = 0; i < BAD_COUNT; i++)
        if (call(bad[i]) != -1) {
            printf("# %p\n", bad[i]);
            return 0;
        }
    return 1;
}

static int ends[2], file;
static char *arguments[] = {"echo", 0};

static int try_write_file(char *at) { return write(file, at, 100); }
static int try_write_pipe(char *at) { return write(ends[1], at, 100); }
static int try_read_file(char *at) { return read(file, at, 100); }
static int try_pipe(char *at) { return pipe((int *)at); }
static int try_open(char *at) { return open(at, O_CREATE | O_RDWR); }
static int try_unlink(char *at) { return unlink(at); }
static int try_link(char *at) { return link(at, "elsewhere"); }
static int try_link_to(char *at) { return link("README", at); }
static int try_symlink(char *at) { return symlink(at, "elsewhere"); }
static int try_mkdir(char *at) { return mkdir(at); }
static int try_mknod(char *at) { return mknod(at, 1, 1); }
static int try_chdir(char *at) { return chdir(at); }
static int try_fstat(char *at) { return fstat(file, (struct stat *)at); }
static int try_exec(char *at) { return exec(at, arguments); }
static int try_exec_arguments(char *at) { return exec("echo", (char **)at); }

static int try_exec_argument(char *at)
{
    char *list[] = {"echo", at, 0};

    return exec("echo", list);
}

static int try_wait(char *at)
{
    if (fork() == 0)
        exit(0);
    return wait((int *)at);
}

static int try_read_folder(char *at)
{
    int fd = open("/", O_RDONLY), result = read(fd, at, sizeof(struct dirent));

    close(fd);
    return result;
}

static int try_read_pipe(char *at)
{
    int result;
    char bytes[100];

    write(ends[1], "x", 1);
    result = read(ends[0], at, 1);
    if (result == -1 && write(ends[1], "y", 1) == 1)
        read(ends[0], bytes, sizeof(bytes)); /* whatever is left in it */
    return result;
}

static void write_text(void) { *(volatile int *)(uint64)write_text = 0; }
static void run_data(void) { ((void (*)(void))(uint64)&file)(); }

int main(void)
{
    char *page;

    file = open("README", O_RDWR);
    pipe(ends);
    CHECK(all_fail(try_write_file) && all_fail(try_write_pipe), "write");
    CHECK(all_fail(try_read_file) && all_fail(try_read_pipe) && all_fail(try_read_folder), "read");
    CHECK(all_fail(try_pipe), "pipe");
    CHECK(all_fail(try_open) && all_fail(try_unlink) && all_fail(try_mkdir) && all_fail(try_mknod) &&
              all_fail(try_chdir),
          "open, unlink, mkdir, mknod, chdir");
    CHECK(all_fail(try_link) && all_fail(try_link_to) && all_fail(try_symlink), "link, symlink");
    CHECK(all_fail(try_fstat), "fstat");
    CHECK(all_fail(try_exec) && all_fail(try_exec_arguments) && all_fail(try_exec_argument), "exec");
    CHECK(all_fail(try_wait), "wait");
    CHECK(write(file, "x", -1) == -1 && read(file, "x", -1) == -1, "a length below 0");

    page = sbrk(2 * PGSIZE);
    sbrk(-PGSIZE);
    page += PGSIZE - 4;
    memmove(page, "abcd", 4);
    CHECK(open(page, O_RDONLY) == -1, "a name that runs off the end of memory");
    memmove(page, "abc", 4);
    CHECK(open(page, O_CREATE | O_RDWR) > 0 && unlink("abc") == 0, "one that ends with memory is a name");
    CHECK(write(ends[1], page, 4) == 4, "and can be written");

    CHECK(status_of(write_text) == -1, "a program's code is not writable");
    CHECK(status_of(run_data) == -1, "nor its data executable");
    finish();
}
