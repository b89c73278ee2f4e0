/*
 * Measures what a kernel costs a program: system calls, faults, traps, mappings, processes, files. Prints a line per
 * measure: name, nanoseconds (instructions, under QEMU's -icount shift=0), per what; tabs between. "none": this kernel
 * or machine cannot do it. bench/report.awk sets two such tables side by side.
 */
#include "measure.h"

/* The order of these is the table's. */
#include "files.h"
#include "traps.h"
#include "memory.h"
#include "processes.h"

static const char usage[] =
    "usage: vmbench [--dir DIR] [--list] [NAME-PREFIX...]\n"
    "Measures all, or what begins with one of the prefixes; files are made in DIR, else in $VMBENCH_DIR, else here.\n";

/* What C would not let us call by its name. */
static const char *shown_name(const char *name)
{
    static const char *const renamed[][2] = {{"clock_gettime_call", "clock_gettime"},
                                             {"stat_path", "stat"},
                                             {"fstat_fd", "fstat"},
                                             {"posix_spawn_self", "posix_spawn"}};

    for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++)
        if (!strcmp(name, renamed[i][0]))
            return renamed[i][1];
    return name;
}

static int is_wanted(const char *name, char **prefixes, int count)
{
    for (int i = 0; i < count; i++)
        if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
            return 1;
    return count == 0;
}

static void find_clock_cost(void)
{
    double samples[21];

    for (int i = 0; i < 21; i++) {
        double began = now();

        for (int k = 0; k < 100; k++)
            now();
        samples[i] = (now() - began) / 101;
    }
    clock_cost = median(samples, 21);
}

static void run(const struct measure *measure)
{
    double value;

    find_clock_cost();
    value = measure->run();
    if (isnan(value))
        printf("%s\tnone\t%s\n", shown_name(measure->name), measure->per);
    else
        printf("%s\t%.1f\t%s\n", shown_name(measure->name), value, measure->per);
}

/* Each measure has a process of its own, so that none finds the memory and mappings that another has left. */
static int run_alone(int index)
{
    char number[16];
    int status;
    pid_t pid;

    snprintf(number, sizeof(number), "%d", index);
    pid = fork();
    if (pid == 0) {
        execl(self_path, "vmbench", "--run", number, NULL);
        _exit(1);
    }
    if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
        return 0;
    fprintf(stderr, "vmbench: %s failed\n", shown_name(measures[index].name));
    return 1;
}

int main(int argc, char **argv)
{
    static char path[512];
    const char *dir = getenv("VMBENCH_DIR");
    int list = 0, first = 1, failures = 0;
    ssize_t used;

    if (argc > 1 && !strcmp(argv[1], "--exit")) /* as the child of one of the measures */
        _exit(0);
    used = readlink("/proc/self/exe", path, sizeof(path) - 1);
    must(used > 0, "/proc/self/exe");
    self_path = path;
    if (argc == 3 && !strcmp(argv[1], "--run") && atoi(argv[2]) < measure_count) {
        run(&measures[atoi(argv[2])]);
        return 0;
    }
    for (; first < argc && !strncmp(argv[first], "--", 2); first++) {
        if (!strcmp(argv[first], "--list")) {
            list = 1;
        } else if (!strcmp(argv[first], "--dir") && first + 1 < argc) {
            dir = argv[++first];
        } else {
            int help = !strcmp(argv[first], "--help");

            fputs(usage, help ? stdout : stderr);
            return help ? 0 : 2;
        }
    }
    if (dir)
        must(chdir(dir) == 0, dir);
    for (int i = 0; i < measure_count; i++) {
        if (!is_wanted(shown_name(measures[i].name), argv + first, argc - first))
            continue;
        if (list)
            printf("%s\t%s\t%s\n", shown_name(measures[i].name), measures[i].per, measures[i].what);
        else
            failures += run_alone(i);
    }
    return failures != 0;
}
