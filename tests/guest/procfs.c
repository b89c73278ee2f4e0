/*
 * What ordinary tools read of /proc has Linux's form: fields in their places, numbers that agree with system calls.
 * Source: proc(5) and its pages.
 */
#include "tap.h"

#include <sys/prctl.h>

static char *text;

static const char *read_proc(const char *path)
{
    free(text);
    text = slurp(path);
    CHECK(text != NULL, "%s opens", path);
    return text ? text : "";
}

/* Whether every line that begins with NAME has the form of FORMAT with so many numbers. */
static int has_number(const char *contents, const char *name)
{
    const char *line = contents;
    size_t length = strlen(name);

    for (; line && *line; line = (line = strchr(line, '\n')) ? line + 1 : NULL)
        if (!strncmp(line, name, length))
            return line[length + strspn(line + length, ": \t")] >= '0' &&
                   line[length + strspn(line + length, ": \t")] <= '9';
    return 0;
}

static void process_stat(void)
{
    char state, name[64];
    int pid, parent, group, session, used = 0, fields = 3;
    const char *contents;

    prctl(PR_SET_NAME, "odd) name");
    contents = read_proc("/proc/self/stat");
    IS(sscanf(contents, "%d (%60[^\n]", &pid, name), 2, "stat: pid and name");
    contents = strrchr(contents, ')');
    if (!CHECK(contents != NULL, "stat: the name is in parentheses"))
        return;
    CHECK(!strncmp(contents - 8, "odd) name" + 1, 8), "stat: whatever it holds");
    IS(sscanf(contents + 1, " %c %d %d %d%n", &state, &parent, &group, &session, &used), 4, "stat: state and family");
    CHECK(state == 'R' && pid == getpid() && parent == getppid() && group == getpgrp() && session == getsid(0),
          "stat: agree with the calls");
    for (const char *at = contents + 1; *at; at++)
        fields += *at == ' ';
    IS(fields, 2 + 50 + 1, "stat: fifty fields behind the name");
    prctl(PR_SET_NAME, tap_program);
}

static void process_status(void)
{
    static const char *const names[] = {"Pid",    "PPid",   "Tgid",   "Uid",    "Gid",    "Threads",
                                        "VmSize", "VmRSS",  "VmData", "VmStk",  "VmPeak", "Umask",
                                        "SigPnd", "SigBlk", "SigIgn", "SigCgt", "FDSize"};
    const char *contents = read_proc("/proc/self/status");
    char want[64];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CHECK(has_number(contents, names[i]), "status: %s", names[i]);
    snprintf(want, sizeof(want), "Name:\t%.15s\n", tap_program);
    CHECK(!strncmp(contents, want, strlen(want)), "status: begins with the name");
    snprintf(want, sizeof(want), "\nUid:\t%d\t%d\t%d\t%d\n", getuid(), geteuid(), geteuid(), geteuid());
    CHECK(strstr(contents, want) != NULL, "status: four user ids");
    CHECK(strstr(contents, "\nState:\tR (running)\n") != NULL, "status: running");
}

static void process_maps(void)
{
    const char *contents = read_proc("/proc/self/maps"), *line = contents;
    unsigned long start, end, last = 0, offset, inode;
    unsigned major, minor;
    char rights[8], path[256], self[256] = "";
    int good = 1, stacks = 0, own = 0, lines = 0;

    NEED(readlink("/proc/self/exe", self, sizeof(self) - 1));
    for (; *line; line = strchr(line, '\n') + 1, lines++) {
        path[0] = 0;
        good &= sscanf(line, "%lx-%lx %7s %lx %x:%x %lu %255[^\n]", &start, &end, rights, &offset, &major, &minor,
                       &inode, path) >= 7;
        good &=
            start >= last && end > start && strlen(rights) == 4 && strchr("r-", rights[0]) && strchr("ps", rights[3]);
        last = end;
        stacks += !strcmp(path, "[stack]");
        own += !strcmp(path, self) && inode != 0;
    }
    CHECK(good && lines > 4, "maps: every line has Linux's form, in order (%d lines)", lines);
    IS(stacks, 1, "maps: one stack");
    CHECK(own >= 2, "maps: the program's own parts (%d)", own);
}

static void process_links(void)
{
    char target[512], name[64], here[512];
    ssize_t used;
    int fd = make_file("opened", "x", 1);
    struct stat one, two;

    used = readlink("/proc/self", target, sizeof(target) - 1);
    target[used > 0 ? used : 0] = 0;
    IS(atoi(target), getpid(), "self leads to the process");
    used = readlink("/proc/self/cwd", target, sizeof(target) - 1);
    target[used > 0 ? used : 0] = 0;
    CHECK(getcwd(here, sizeof(here)) && !strcmp(here, target), "cwd leads to the working directory");
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    used = readlink(name, target, sizeof(target) - 1);
    target[used > 0 ? used : 0] = 0;
    CHECK(strlen(target) > 7 && !strcmp(target + strlen(target) - 7, "/opened"), "fd/N leads to the open file");
    NEED(stat(name, &one));
    NEED(fstat(fd, &two));
    CHECK(one.st_ino == two.st_ino, "and can be followed");
    unlink("opened");
    used = readlink(name, target, sizeof(target) - 1);
    target[used > 0 ? used : 0] = 0;
    CHECK(strstr(target, "/opened (deleted)") != NULL, "even when it is unlinked, which it tells");
    int again = (int)OKAY(open(name, O_RDONLY), "and opened anew");
    close(again);
    close(fd);
    FAILS(readlink(name, target, sizeof(target)), ENOENT, "a closed one is gone");
    int pipes[2];
    NEED(pipe(pipes));
    snprintf(name, sizeof(name), "/proc/self/fd/%d", pipes[0]);
    used = readlink(name, target, sizeof(target) - 1);
    target[used > 0 ? used : 0] = 0;
    CHECK(!strncmp(target, "pipe:[", 6), "a pipe's link says pipe");
    close(pipes[0]), close(pipes[1]);
}

static void process_files(void)
{
    const char *contents;
    long pages[7];
    char want[300];
    int entries = 0, found = 0;
    struct dirent *entry;
    DIR *dir;

    contents = read_proc("/proc/self/statm");
    IS(sscanf(contents, "%ld %ld %ld %ld %ld %ld %ld", pages, pages + 1, pages + 2, pages + 3, pages + 4, pages + 5,
              pages + 6),
       7, "statm: seven numbers");
    CHECK(pages[0] >= pages[1] && pages[1] >= pages[2] && pages[1] > 0, "statm: in order of size");
    contents = read_proc("/proc/self/comm");
    snprintf(want, sizeof(want), "%.15s\n", tap_program);
    CHECK(!strcmp(contents, want), "comm: the name");
    contents = read_proc("/proc/self/cmdline");
    CHECK(strstr(contents, "procfs") != NULL, "cmdline: the program");
    contents = read_proc("/proc/self/environ");
    CHECK(*contents == 0 || strchr(contents, '=') != NULL, "environ: variables");
    dir = opendir("/proc");
    while (dir && (entry = readdir(dir))) {
        entries += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
        found += atoi(entry->d_name) == getpid();
    }
    if (dir)
        closedir(dir);
    CHECK(entries >= 2 && found == 1, "/proc lists processes, this one once");
    dir = opendir("/proc/self/task");
    entries = 0;
    while (dir && (entry = readdir(dir)))
        entries += atoi(entry->d_name) > 0;
    if (dir)
        closedir(dir);
    IS(entries, 1, "task: one thread");
    FAILS(open("/proc/99999999/stat", O_RDONLY), ENOENT, "no such process");
}

static void whole_system(void)
{
    static const char *const memory[] = {"MemTotal",  "MemFree",  "MemAvailable", "Buffers", "Cached",
                                         "SwapTotal", "SwapFree", "Dirty",        "Shmem"};
    unsigned long numbers[10];
    const char *contents = read_proc("/proc/meminfo");
    float one, two, three;
    double up, idle;
    int running, total, last;

    for (size_t i = 0; i < sizeof(memory) / sizeof(memory[0]); i++)
        CHECK(has_number(contents, memory[i]), "meminfo: %s", memory[i]);
    contents = read_proc("/proc/stat");
    CHECK(sscanf(contents, "cpu %lu %lu %lu %lu %lu %lu %lu", numbers, numbers + 1, numbers + 2, numbers + 3,
                 numbers + 4, numbers + 5, numbers + 6) == 7,
          "stat: the harts' sum");
    CHECK(strstr(contents, "\ncpu0 ") && strstr(contents, "\nctxt ") && strstr(contents, "\nbtime ") &&
              strstr(contents, "\nprocesses "),
          "stat: harts, switches, boot time, forks");
    contents = read_proc("/proc/uptime");
    CHECK(sscanf(contents, "%lf %lf", &up, &idle) == 2 && up > 0, "uptime: two numbers");
    contents = read_proc("/proc/loadavg");
    CHECK(sscanf(contents, "%f %f %f %d/%d %d", &one, &two, &three, &running, &total, &last) == 6 && running >= 1 &&
              total >= 1,
          "loadavg");
    contents = read_proc("/proc/cpuinfo");
    CHECK(strstr(contents, "processor\t: 0\n") && strstr(contents, "\nisa\t\t: rv64"), "cpuinfo: hart 0 and its isa");
    contents = read_proc("/proc/mounts");
    CHECK(strstr(contents, " /proc proc ") != NULL, "mounts: /proc");
    contents = read_proc("/proc/filesystems");
    CHECK(strstr(contents, "nodev\tproc\n") && strstr(contents, "nodev\ttmpfs\n"), "filesystems");
    contents = read_proc("/proc/version");
    CHECK(strlen(contents) > 10, "version");
    contents = read_proc("/proc/sys/kernel/hostname");
    CHECK(*contents && contents[strlen(contents) - 1] == '\n', "sys/kernel/hostname: a line");
    contents = read_proc("/proc/sys/kernel/ostype");
    CHECK(strchr(contents, '\n') != NULL, "sys/kernel/ostype: a line");
    contents = read_proc("/proc/sys/kernel/pid_max");
    CHECK(atoi(contents) >= 32768, "sys/kernel/pid_max");
}

/* Small reads, seeks. */
static void as_files(void)
{
    char one[200], whole[200];
    int fd = (int)NEED(open("/proc/version", O_RDONLY)), used = 0;
    ssize_t got, length;

    length = read(fd, whole, sizeof(whole));
    IS(lseek(fd, 0, SEEK_SET), 0, "seek to the start");
    while (used < 200 && (got = read(fd, one + used, 1)) == 1)
        used++;
    CHECK(used == length && !memcmp(one, whole, length), "byte by byte it is the same");
    IS(pread(fd, one, 5, 3), 5, "pread");
    CHECK(!memcmp(one, whole + 3, 5), "from the middle");
    close(fd);
    FAILS(open("/proc/none", O_RDONLY), ENOENT, "/proc/none");
    CHECK(open("/proc/none", O_CREAT | O_WRONLY, 0644) == -1, "and cannot be made");
}

/* Numbers that no word holds are none: none of them comes out as a smaller one. */
static void too_large(void)
{
    static const char *const numbers[] = {"18446744073709551616", "18446744073709551617", "-18446744073709551615",
                                          "-18446744073709551616", "9223372036854775808"};
    const char *contents;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int fd = (int)NEED(open("/proc/self/oom_score_adj", O_WRONLY));

        CHECK(write(fd, numbers[i], strlen(numbers[i])) == -1, "oom_score_adj cannot be %s", numbers[i]);
        close(fd);
    }
    contents = read_proc("/proc/self/oom_score_adj");
    IS(atoi(contents), 0, "oom_score_adj: as it was");
}

static void body(void)
{
    process_stat();
    process_status();
    process_maps();
    process_links();
    process_files();
    whole_system();
    as_files();
    too_large();
    free(text);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
