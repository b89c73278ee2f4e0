/* What /proc/PID tells of an address space: smaps and its rollup, status, statm, map_files, mem. */
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)

/* One mapping's part of smaps, found by its first address. */
static char *smaps_of(const volatile void *at)
{
    static char part[4096];
    char start[40], *text = slurp("/proc/self/smaps"), *line, *end;
    size_t length;

    snprintf(start, sizeof(start), "%lx-", (unsigned long)at);
    for (line = text; line && strncmp(line, start, strlen(start)); line = (line = strchr(line, '\n')) ? line + 1 : NULL)
        ;
    part[0] = 0;
    if (line) {
        end = strstr(line, "VmFlags:");
        end = end ? strchr(end, '\n') : NULL;
        length = end ? (size_t)(end - line) + 1 : strlen(line);
        memcpy(part, line, length);
        part[length] = 0;
    }
    free(text);
    return part;
}

static long value_in(const char *part, const char *name)
{
    char key[40];
    const char *line;

    snprintf(key, sizeof(key), "\n%s:", name);
    line = strstr(part, key);
    return line ? strtol(line + strlen(key), NULL, 10) : -1;
}

static long value_of(const volatile void *at, const char *name) { return value_in(smaps_of(at), name); }

static int has_flag(const volatile void *at, const char *flag)
{
    char *flags = strstr(smaps_of(at), "VmFlags:"), word[8];

    snprintf(word, sizeof(word), " %s ", flag);
    return flags && strstr(flags, word) != NULL;
}

static int wait_for_byte(void *argument)
{
    char byte;

    return read(*(int *)argument, &byte, 1) != 1;
}

static pid_t fork_and_wait(int fds[2])
{
    pid_t pid;

    NEED(pipe(fds));
    pid = fork();
    if (pid == 0)
        _exit(wait_for_byte(&fds[0]));
    return pid;
}

static void release(pid_t pid, int fds[2])
{
    NEED(write(fds[1], "", 1));
    waitpid(pid, NULL, 0);
    close(fds[0]);
    close(fds[1]);
}

static void test_counts(void)
{
    volatile char *at = anon(64 * PAGE, RW), *shared, *again;
    int fds[2], mem = memfd_create("m", 0);
    pid_t pid;

    madvise((void *)at, 64 * PAGE, MADV_NOHUGEPAGE);
    for (int i = 0; i < 10; i++)
        at[i * PAGE] = 1;
    IS(value_of(at, "Size"), 256, "Size");
    IS(value_of(at, "Rss"), 40, "Rss counts what is there");
    IS(value_of(at, "Pss"), 40, "Pss is the same for a mapping of one's own");
    IS(value_of(at, "Anonymous"), 40, "Anonymous");
    IS(value_of(at, "Private_Dirty"), 40, "Private_Dirty");
    IS(value_of(at, "Swap"), 0, "nothing is swapped");
    pid = fork_and_wait(fds);
    IS(value_of(at, "Rss"), 40, "Rss of pages that a child shares");
    IS(value_of(at, "Pss"), 20, "Pss is half of them then");
    IS(value_of(at, "Shared_Dirty"), 40, "they are Shared_Dirty");
    at[0] = 2;
    IS(value_of(at, "Private_Dirty"), 4, "a copy is private again");
    IS(value_of(at, "Pss"), 4 + 18, "and counts in full");
    release(pid, fds);
    IS(value_of(at, "Pss"), 40, "with the child gone all are ours");

    NEED(ftruncate(mem, 8 * PAGE));
    shared = mmap(NULL, 8 * PAGE, RW, MAP_SHARED, mem, 0);
    anon(PAGE, PROT_NONE);
    again = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, mem, 0);
    for (int i = 0; i < 8; i++)
        shared[i * PAGE] = 1;
    IS(value_of(shared, "Pss"), 32, "a shared mapping alone");
    for (int i = 0; i < 4; i++)
        again[i * PAGE] = 1;
    IS(value_of(shared, "Pss"), 16 + 8, "with half of it mapped twice");
    IS(value_of(shared, "Shared_Dirty") + value_of(shared, "Shared_Clean"), 16, "that half is shared");
    IS(value_of(shared, "Anonymous"), 0, "nothing of it is anonymous");
    close(mem);
}

static void test_referenced(void)
{
    volatile char *at = anon(8 * PAGE, RW);
    int fd = open("/proc/self/clear_refs", O_WRONLY);

    for (int i = 0; i < 8; i++)
        at[i * PAGE] = 1;
    IS(value_of(at, "Referenced"), 32, "Referenced");
    IS(write(fd, "1", 1), 1, "clear_refs 1");
    IS(value_of(at, "Referenced"), 0, "forgets");
    (void)at[0];
    at[PAGE] = 1;
    IS(value_of(at, "Referenced"), 8, "what is used since is known");
    close(fd);
}

static void test_locked(void)
{
    char *at = anon(8 * PAGE, RW);
    long before = proc_value("/proc/self/status", "VmLck");

    NEED(mlock(at, 4 * PAGE));
    IS(value_of(at, "Locked"), 16, "Locked");
    CHECK(has_flag(at, "lo"), "lo");
    IS(proc_value("/proc/self/status", "VmLck") - before, 16, "VmLck");
    NEED(munlock(at, 4 * PAGE));
    IS(value_of(at, "Locked"), 0, "no more");
    IS(proc_value("/proc/self/status", "VmLck"), before, "VmLck, too");
    NEED(mlock(at, 8 * PAGE));
    munmap(at, 8 * PAGE);
    IS(proc_value("/proc/self/status", "VmLck"), before, "munmap unlocks");
}

static void test_flags(void)
{
    char *at = anon(16 * PAGE, PROT_NONE), *p;
    int fd = make_file("data", "x", 1);

#define FRESH(prot, flags, file) (p = mmap(at + 4 * PAGE, 4 * PAGE, prot, (flags) | MAP_FIXED, file, 0))
    FRESH(RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    CHECK(has_flag(p, "rd") && has_flag(p, "wr") && !has_flag(p, "ex"), "rd wr");
    CHECK(has_flag(p, "mr") && has_flag(p, "mw") && has_flag(p, "me"), "mr mw me");
    CHECK(!has_flag(p, "sh") && has_flag(p, "ac"), "ac: private and writable");
    madvise(p, 4 * PAGE, MADV_DONTFORK);
    CHECK(has_flag(p, "dc"), "dc: MADV_DONTFORK");
    madvise(p, 4 * PAGE, MADV_DOFORK);
    CHECK(!has_flag(p, "dc"), "MADV_DOFORK");
    madvise(p, 4 * PAGE, MADV_DONTDUMP);
    CHECK(has_flag(p, "dd"), "dd: MADV_DONTDUMP");
    madvise(p, 4 * PAGE, MADV_DODUMP);
    CHECK(!has_flag(p, "dd"), "MADV_DODUMP");
    madvise(p, 4 * PAGE, MADV_SEQUENTIAL);
    CHECK(has_flag(p, "sr") && !has_flag(p, "rr"), "sr: MADV_SEQUENTIAL");
    madvise(p, 4 * PAGE, MADV_RANDOM);
    CHECK(!has_flag(p, "sr") && has_flag(p, "rr"), "rr: MADV_RANDOM");
    madvise(p, 4 * PAGE, MADV_NORMAL);
    CHECK(!has_flag(p, "sr") && !has_flag(p, "rr"), "MADV_NORMAL");
    madvise(p, 4 * PAGE, MADV_WIPEONFORK);
    CHECK(has_flag(p, "wf"), "wf: MADV_WIPEONFORK");
    FRESH(PROT_READ | PROT_EXEC, MAP_PRIVATE, fd);
    CHECK(has_flag(p, "ex") && !has_flag(p, "ac") && !has_flag(p, "sh"), "ex: a program's text");
    FRESH(RW, MAP_SHARED, fd);
    CHECK(has_flag(p, "sh") && has_flag(p, "ms"), "sh ms: a shared file");
    close(fd);
    fd = open("data", O_RDONLY);
    FRESH(PROT_READ, MAP_SHARED, fd);
    CHECK(!has_flag(p, "mw"), "no mw: opened for reading");
    FRESH(RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    CHECK(has_flag(p, "nr"), "nr: MAP_NORESERVE");
    FRESH(RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1);
    CHECK(has_flag(p, "gd"), "gd: MAP_GROWSDOWN");
    FRESH(RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1);
    CHECK(has_flag(p, "lo"), "lo: MAP_LOCKED");
    close(fd);
}

static void test_rollup(void)
{
    char *text, *line;
    long total = 0;

    anon(PAGE, RW);
    text = slurp("/proc/self/smaps");
    for (line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (!strncmp(line, "Private_Dirty:", 14))
            total += strtol(line + 14, NULL, 10);
    free(text);
    text = slurp("/proc/self/smaps_rollup");
    CHECK(text && strstr(text, "---p 00000000 00:00 0") && strstr(text, "[rollup]\n"), "smaps_rollup's first line");
    CHECK(labs(value_in(text, "Private_Dirty") - total) <= 512, "is the sum of smaps: %ld, %ld",
          value_in(text, "Private_Dirty"), total);
    CHECK(value_in(text, "Pss_Anon") > 0 && value_in(text, "Pss_File") > 0 && value_in(text, "Pss_Shmem") >= 0,
          "with Pss by kinds");
    free(text);
}

static void test_status(void)
{
    long size = proc_value("/proc/self/status", "VmSize"), data = proc_value("/proc/self/status", "VmData"), text, lib;
    unsigned long n[7] = {0};
    char *statm, *at = anon(256 * PAGE, RW);

    IS(proc_value("/proc/self/status", "VmSize") - size, 1024, "VmSize grows with a mapping");
    IS(proc_value("/proc/self/status", "VmData") - data, 1024, "VmData with a private writable one");
    mprotect(at, 256 * PAGE, PROT_READ);
    IS(proc_value("/proc/self/status", "VmData") - data, 0, "and not with a read-only one");
    munmap(at, 256 * PAGE);
    CHECK(proc_value("/proc/self/status", "VmPeak") >= size + 1024, "VmPeak remembers");
    text = proc_value("/proc/self/status", "VmExe");
    lib = proc_value("/proc/self/status", "VmLib");
    CHECK(text > 100 && lib >= 0, "VmExe %ld and VmLib %ld", text, lib);
    statm = slurp("/proc/self/statm");
    IS(sscanf(statm, "%lu %lu %lu %lu %lu %lu %lu", &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6]), 7, "statm");
    IS(n[3] * 4, text, "text is VmExe");
    IS(n[4] + n[6], 0, "lib and dt are 0");
    CHECK(n[1] >= n[2] && n[0] > n[1], "size > resident >= shared");
    free(statm);
}

static int follows_as_nobody(void *name)
{
    char target[100];

    if (setgid(65534) || setuid(65534))
        return 1;
    if (readlink(name, target, sizeof(target)) >= 0 || errno != EACCES)
        return 2;
    return 0;
}

static void test_map_files(void)
{
    int fd = make_file("mapped", "content", 7), other;
    char *at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), name[100], target[200] = "", text[8] = "";
    struct stat st, mapped;
    ssize_t n;

    snprintf(name, sizeof(name), "/proc/self/map_files/%lx-%lx", (unsigned long)at, (unsigned long)at + PAGE);
    n = readlink(name, target, sizeof(target) - 1);
    CHECK(n > 7 && !strcmp(target + n - 7, "/mapped"), "a link to the mapped file: %s", target);
    OKAY(lstat(name, &st), "lstat");
    IS(st.st_mode, S_IFLNK | 0600, "its mode says what the file was opened for");
    unlink("mapped");
    other = open(name, O_RDONLY);
    CHECK(other >= 0 && read(other, text, 7) == 7 && !strcmp(text, "content"),
          "leads to the file, which has no name now");
    fstat(fd, &mapped);
    fstat(other, &st);
    IS(st.st_ino, mapped.st_ino, "the very same");
    close(other);
    snprintf(name, sizeof(name), "/proc/self/map_files/%lx-%lx", (unsigned long)at, (unsigned long)at + 2 * PAGE);
    FAILS(readlink(name, target, sizeof(target)), ENOENT, "a range that is no mapping");
    FAILS(readlink("/proc/self/map_files/x-y", target, sizeof(target)), ENOENT, "no range at all");
    munmap(at, PAGE);
    snprintf(name, sizeof(name), "/proc/self/map_files/%lx-%lx", (unsigned long)at, (unsigned long)at + PAGE);
    FAILS(readlink(name, target, sizeof(target)), ENOENT, "gone with the mapping");
    OKAY(stat("/proc/self/map_files", &st), "stat");
    IS(st.st_mode, S_IFDIR | 0500, "the folder's mode");
    EXITS(follows_as_nobody, "/proc/1/map_files/10000-20000", 0, "closed to strangers");
    close(fd);
}

static void test_mem(void)
{
    char *at = anon(4 * PAGE, RW), *file, text[8] = "";
    int fd = (int)NEED(open("/proc/self/mem", O_RDWR)), data = make_file("data", "content", 7), other;

    strcpy(at, "memory");
    IS(pread(fd, text, 7, (off_t)(uintptr_t)at), 7, "reading memory");
    CHECK(!strcmp(text, "memory"), "gives what is there");
    IS(lseek(fd, (off_t)(uintptr_t)at, SEEK_SET), (off_t)(uintptr_t)at, "lseek");
    IS(write(fd, "written", 7), 7, "write at the offset");
    CHECK(!memcmp(at, "written", 7), "changes memory");
    IS(lseek(fd, 0, SEEK_CUR), (off_t)(uintptr_t)at + 7, "and moves on");
    FAILS(pread(fd, text, 1, 0), EIO, "nothing is mapped there");
    munmap(at + 2 * PAGE, PAGE);
    {
        static char buffer[4 * PAGE];

        IS(pread(fd, buffer, sizeof(buffer), (off_t)(uintptr_t)at), 2 * PAGE, "up to a hole");
    }
    mprotect(at, PAGE, PROT_NONE);
    IS(pread(fd, text, 7, (off_t)(uintptr_t)at), 7, "a page without permissions can be read");
    IS(pwrite(fd, "forced", 7, (off_t)(uintptr_t)at), 7, "and written");
    mprotect(at, PAGE, PROT_READ);
    CHECK(!strcmp(at, "forced"), "it shows");
    file = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, data, 0);
    IS(pwrite(fd, "private", 7, (off_t)(uintptr_t)file), 7, "a read-only private file mapping gets a copy");
    CHECK(!memcmp(file, "private", 7), "that it shows");
    IS(pread(data, text, 7, 0), 7, "the file");
    CHECK(!memcmp(text, "content", 7), "stays as it is");
    file = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, data, 0);
    FAILS(pwrite(fd, "shared", 6, (off_t)(uintptr_t)file), EIO, "a read-only shared mapping is not written");
    close(data);
    other = open("data", O_RDONLY);
    close(other);
    close(fd);
}

/* Memory of a process that has ended: the file stays, empty, and keeps nothing of it. */
static void test_mem_gone(void)
{
    char name[64], byte;
    int fds[2], fd;
    pid_t pid = fork_and_wait(fds);

    snprintf(name, sizeof(name), "/proc/%d/mem", (int)pid);
    fd = (int)NEED(open(name, O_RDONLY));
    IS(pread(fd, &byte, 1, (off_t)(uintptr_t)name), 1, "a child's memory");
    release(pid, fds);
    IS(pread(fd, &byte, 1, (off_t)(uintptr_t)name), 0, "has ended with the child");
    close(fd);
}

static void body(void)
{
    test_counts();
    test_referenced();
    test_locked();
    test_flags();
    test_rollup();
    test_status();
    test_map_files();
    test_mem();
    test_mem_gone();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
