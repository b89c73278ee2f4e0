/*
 * Measures what a kernel costs a program: system calls, faults, traps, mappings, processes, files. Prints a line per
 * measure, with tabs between:
 *
 *     name  value  per-what  units  description
 *
 * The value is in nanoseconds (instructions, under QEMU's -icount shift=0); "none": this kernel or machine cannot do
 * it; "failed": it died, or took longer than --limit. Units is how many operations each timed stretch holds, for
 * counts.awk. The first line, "#plan", has the names of all that is going to be measured.
 */
#include "measure.h"

/* The order of these is the table's. */
#include "calls.h"
#include "traps.h"
#include "vmtraps.h"
#include "memory.h"
#include "processes.h"
#include "files.h"
#include "together.h"

#define LIMIT_SECONDS 60

static const char usage[] = "usage: vmbench [--dir DIR] [--limit SECONDS] [--list] [NAME...]\n"
                            "Measures all, or what is called or begins with one of the names; files are made in DIR, "
                            "else in $VMBENCH_DIR, else "
                            "here.\n";

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

static int is_measure(const char *name)
{
    for (int i = 0; i < measure_count; i++)
        if (!strcmp(shown_name(measures[i].name), name))
            return 1;
    return 0;
}

/* A measure's whole name means it alone, anything else all that begin so. */
static int is_named_by(const char *name, const char *word)
{
    return is_measure(word) ? !strcmp(name, word) : !strncmp(name, word, strlen(word));
}

static int is_wanted(const char *name, char **words, int count)
{
    for (int i = 0; i < count; i++)
        if (is_named_by(name, words[i]))
            return 1;
    return count == 0;
}

static void check_words(char **words, int count)
{
    for (int i = 0; i < count; i++) {
        int found = 0;

        for (int k = 0; k < measure_count && !found; k++)
            found = is_named_by(shown_name(measures[k].name), words[i]);
        if (!found) {
            fprintf(stderr, "vmbench: no measure begins with '%s'\n", words[i]);
            exit(2);
        }
    }
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

static void print_line(const struct measure *measure, const char *value)
{
    double units = isnan(stretch_units) ? 0 : stretch_units;

    printf("%s\t%s\t%s\t%.0f\t%s\n", shown_name(measure->name), value, measure->per, units, measure->what);
}

static void run(const struct measure *measure)
{
    char text[32];
    double value;

    find_clock_cost();
    value = measure->run();
    snprintf(text, sizeof(text), "%.1f", value);
    print_line(measure, isnan(value) ? "none" : text);
}

static pid_t running;

static void stop_running(int signo)
{
    (void)signo;
    kill(-running, SIGKILL);
}

/*
 * Each measure has a process of its own, so that none finds the memory and mappings that another has left. Its children
 * are in its group and end with it.
 */
static int run_alone(int index, unsigned limit)
{
    char number[16];
    int status = 0;

    snprintf(number, sizeof(number), "%d", index);
    fflush(stdout);
    MARK(MARK_MEASURE);
    running = fork();
    if (running == 0) {
        setpgid(0, 0);
        execl(self_path, "vmbench", "--run", number, NULL);
        _exit(1);
    }
    if (running > 0) {
        setpgid(running, running);
        alarm(limit);
        while (waitpid(running, &status, 0) < 0 && errno == EINTR)
            ;
        alarm(0);
        kill(-running, SIGKILL);
        if (status == 0)
            return 0;
    }
    fprintf(stderr, "vmbench: %s failed (wait status %#x)\n", shown_name(measures[index].name), (unsigned)status);
    print_line(&measures[index], "failed");
    return 1;
}

static int run_all(char **words, int count, unsigned limit)
{
    struct sigaction action = {.sa_handler = stop_running};
    int failures = 0;

    sigaction(SIGALRM, &action, NULL);
    printf("#plan");
    for (int i = 0; i < measure_count; i++)
        if (is_wanted(shown_name(measures[i].name), words, count))
            printf("\t%s", shown_name(measures[i].name));
    printf("\n");
    for (int i = 0; i < measure_count; i++)
        if (is_wanted(shown_name(measures[i].name), words, count))
            failures += run_alone(i, limit);
    return failures != 0;
}

static void list(char **words, int count)
{
    for (int i = 0; i < measure_count; i++)
        if (is_wanted(shown_name(measures[i].name), words, count))
            printf("%s\t%s\t%s\n", shown_name(measures[i].name), measures[i].per, measures[i].what);
}

int main(int argc, char **argv)
{
    static char path[512];
    const char *dir = getenv("VMBENCH_DIR");
    int list_only = 0, first = 1;
    unsigned limit = LIMIT_SECONDS;
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
            list_only = 1;
        } else if (!strcmp(argv[first], "--dir") && first + 1 < argc) {
            dir = argv[++first];
        } else if (!strcmp(argv[first], "--limit") && first + 1 < argc && atoi(argv[first + 1]) > 0) {
            limit = (unsigned)atoi(argv[++first]);
        } else {
            int help = !strcmp(argv[first], "--help");

            fputs(usage, help ? stdout : stderr);
            return help ? 0 : 2;
        }
    }
    check_words(argv + first, argc - first);
    if (list_only) {
        list(argv + first, argc - first);
        return 0;
    }
    if (dir)
        must(chdir(dir) == 0, dir);
    return run_all(argv + first, argc - first, limit);
}
