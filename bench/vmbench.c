/*
 * Measures what a kernel costs a program: system calls, faults, traps, mappings, processes, files. Prints a line per measure:
 * name, nanoseconds (instructions, under QEMU's -icount shift=0), per what; tabs between. "none": this kernel or machine cannot do it.
 * bench/report.awk sets two such tables side by side.
 */
#include "measure.h"

/* The order of these is the table's. */
#include "files.h"
#include "traps.h"
#include "memory.h"
#include "processes.h"

static const char usage[] = "usage: vmbench [--dir DIR] [--list] [NAME-PREFIX...]\n"
                            "Measures all, or what begins with one of the prefixes; files are made in DIR, else in $VMBENCH_DIR, else here.\n";

/* What C would not let us call by its name. */
static const char *shown_name(const char *name)
{
    static const char *const renamed[][2] = {
        {"clock_gettime_call", "clock_gettime"}, {"stat_path", "stat"}, {"fstat_fd", "fstat"}, {"posix_spawn_self", "posix_spawn"}};

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
    double samples[101];

    for (int i = 0; i < 101; i++) {
        double began = now();

        for (int k = 0; k < 100; k++)
            now();
        samples[i] = (now() - began) / 101;
    }
    clock_cost = median(samples, 101);
}

int main(int argc, char **argv)
{
    static char path[512];
    const char *dir = getenv("VMBENCH_DIR");
    int list = 0, first = 1;
    ssize_t used;

    if (argc > 1 && !strcmp(argv[1], "--exit"))
        _exit(0);
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
    used = readlink("/proc/self/exe", path, sizeof(path) - 1);
    must(used > 0, "/proc/self/exe");
    self_path = path;
    if (dir)
        must(chdir(dir) == 0, dir);
    find_clock_cost();
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int i = 0; i < measure_count; i++) {
        const char *name = shown_name(measures[i].name);
        double value;

        if (!is_wanted(name, argv + first, argc - first))
            continue;
        if (list) {
            printf("%s\t%s\t%s\n", name, measures[i].per, measures[i].what);
            continue;
        }
        value = measures[i].run();
        if (isnan(value))
            printf("%s\tnone\t%s\n", name, measures[i].per);
        else
            printf("%s\t%.1f\t%s\n", name, value, measures[i].per);
    }
    return 0;
}
