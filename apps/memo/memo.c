/*
 * memo: a table of a function's values that is larger than memory, and is never computed as a whole. The program reads
 * table[i]; the first touch of a page computes the 512 values on it, and a budget drops what was not used for long: it
 * can be computed again.
 *
 *     double *table = vm_budget_base(budget);         table[i] == f(i), always
 *
 * Source: the square root table of MIT's 6.1810 lecture on user-level virtual memory; A. W. Appel, K. Li, ASPLOS 1991.
 */
#define _GNU_SOURCE
#include "vm.h"

#include "../../bench/mark.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
    uint64_t entries, queries, seed;
    size_t budget; /* pages */
    int threads, hot;
    bool direct, drop;
    double (*function)(uint64_t);
    const char *function_name;
} options = {.entries = 1UL << 29, .queries = 1000000, .seed = 1, .budget = 4096, .threads = 1, .hot = 90};

static struct vm_budget *budget;
static const double *table;
static size_t per_page;

/* --- Functions -------------------------------------------------------------------------------------------------------
 */

static double square_root(uint64_t n) { return sqrt((double)n); }

/* The harmonic number by its series' tail: dear, and no two results alike. */
static double harmonic(uint64_t n)
{
    double sum = 0;

    for (uint64_t k = n + 1; k > 1 && k + 200 > n + 1; k--)
        sum += 1.0 / (double)k;
    return sum;
}

static const struct {
    const char *name, *what;
    double (*function)(uint64_t);
} functions[] = {
    {"sqrt", "the square root", square_root},
    {"harmonic", "the last 200 terms of the harmonic series", harmonic},
};

static int compute_page(void *argument, size_t page, void *to)
{
    double *values = to;

    (void)argument;
    for (size_t i = 0; i < per_page; i++)
        values[i] = options.function(page * per_page + i);
    return 0;
}

/* --- Queries ---------------------------------------------------------------------------------------------------------
 */

struct worker {
    pthread_t thread;
    uint64_t seed, wrong;
    double sum;
};

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005 + 1442695040888963407;
    return *seed >> 11;
}

/* HOT per cent of the queries go to a range of a quarter of the budget, which wanders; the others anywhere. */
static uint64_t next_index(uint64_t *seed, uint64_t query)
{
    uint64_t hot_entries = options.budget * per_page / 4, begin, random = next_random(seed);

    if (random % 100 >= (uint64_t)options.hot || hot_entries == 0)
        return next_random(seed) % options.entries;
    begin = query / (options.queries / 4 + 1) * (options.entries / 5);
    return (begin + next_random(seed) % hot_entries) % options.entries;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    uint64_t count = options.queries / (uint64_t)options.threads;

    if (vm_thread_enter())
        perror("memo: vm_thread_enter");
    for (uint64_t i = 0; i < count; i++) {
        uint64_t index = next_index(&worker->seed, i);
        double value = options.direct ? options.function(index) : ((const volatile double *)table)[index];

        worker->sum += value;
        if ((i & 15) == 0 && value != options.function(index))
            worker->wrong++;
    }
    vm_thread_leave();
    return NULL;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

static int run(void)
{
    struct worker *workers = calloc((size_t)options.threads, sizeof(*workers));
    struct vm_budget_stats stats = {0};
    uint64_t wrong = 0;
    double began = now(), took, sum = 0;

    if (!workers) {
        perror("memo");
        return 1;
    }
    mark_begin();
    for (int i = 0; i < options.threads; i++) {
        workers[i].seed = options.seed + (uint64_t)i * 7919;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i])) {
            fprintf(stderr, "memo: no thread\n");
            return 1;
        }
    }
    for (int i = 0; i < options.threads; i++) {
        pthread_join(workers[i].thread, NULL);
        wrong += workers[i].wrong;
        sum += workers[i].sum;
    }
    mark_end();
    took = now() - began;
    if (budget)
        vm_budget_stats(budget, &stats);
    printf("function            %s, %s\n", options.function_name,
           options.direct ? "computed each time" : "from the table");
    printf("table               %.1f MiB, %llu entries\n", (double)options.entries / 131072,
           (unsigned long long)options.entries);
    printf("queries             %llu by %d threads, sum %.6g\n", (unsigned long long)options.queries, options.threads,
           sum);
    printf("time per query      %.0f ns\n", took / (double)options.queries);
    if (budget) {
        printf("pages computed      %llu\n", (unsigned long long)stats.fetches);
        printf("pages dropped       %llu\n", (unsigned long long)stats.evictions);
        printf("pages rescued       %llu\n", (unsigned long long)stats.rescues);
        printf("pages in memory     %zu, at most %zu of %zu allowed\n", stats.resident, stats.most, options.budget);
        printf("traps               %llu, by %s\n", (unsigned long long)stats.faults, vm_backend());
    }
    printf("wrong results       %llu\n", (unsigned long long)wrong);
    free(workers);
    return wrong || stats.most > options.budget;
}

/* --- Command line ----------------------------------------------------------------------------------------------------
 */

static void usage(FILE *to)
{
    fputs("usage: memo [OPTION...]\n"
          "\n"
          "Answers queries from a table of a function's values, larger than memory, whose pages are computed when they "
          "are first\n"
          "touched, and dropped when there are too many. Each sixteenth answer is checked.\n"
          "\n"
          "  --size MIB      of the table: 4096\n"
          "  --budget PAGES  in memory at most: 4096\n"
          "  --queries N     1000000\n"
          "  --threads N     1\n"
          "  --hot PERCENT   of queries that go to a small range that moves three times; the others go anywhere: 90\n"
          "  --seed N        of the queries: 1\n"
          "  --function F    ",
          to);
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        fprintf(to, "%s%s (%s)", i ? " or " : "", functions[i].name, functions[i].what);
    fputs("\n"
          "  --direct        without a table: each answer is computed\n"
          "\n"
          "Status 0; 1 when an answer was wrong or too much memory was taken; 2 when memo was called wrongly.\n",
          to);
}

static uint64_t number(const char *option, const char *text, uint64_t least, uint64_t most)
{
    char *end;
    uint64_t value;

    errno = 0;
    value = strtoull(text ? text : "", &end, 10);
    if (!text || !*text || *end || errno || value < least || value > most) {
        fprintf(stderr, "memo: %s: a number from %llu to %llu is wanted\n", option, (unsigned long long)least,
                (unsigned long long)most);
        exit(2);
    }
    return value;
}

static void choose_function(const char *name)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (name && strcmp(name, functions[i].name) == 0) {
            options.function = functions[i].function;
            options.function_name = name;
            return;
        }
    fprintf(stderr, "memo: --function: no such function: see memo --help\n");
    exit(2);
}

static bool output_fails(void)
{
    if (!fflush(stdout) && !ferror(stdout))
        return false;
    perror("memo: standard output");
    return true;
}

static void parse(char **argument)
{
    choose_function("sqrt");
    for (; *argument; argument++) {
        const char *option = *argument;

        if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0) {
            usage(stdout);
            exit(output_fails() ? 2 : 0);
        }
        if (strcmp(option, "--direct") == 0) {
            options.direct = true;
            continue;
        }
        if (!*++argument)
            argument--, option = "";
        if (strcmp(option, "--size") == 0)
            options.entries = number(option, *argument, 1, 1 << 20) * 131072;
        else if (strcmp(option, "--budget") == 0)
            options.budget = number(option, *argument, VM_BUDGET_LEAST, 1UL << 30);
        else if (strcmp(option, "--queries") == 0)
            options.queries = number(option, *argument, 1, 1UL << 40);
        else if (strcmp(option, "--threads") == 0)
            options.threads = (int)number(option, *argument, 1, 64);
        else if (strcmp(option, "--hot") == 0)
            options.hot = (int)number(option, *argument, 0, 100);
        else if (strcmp(option, "--seed") == 0)
            options.seed = number(option, *argument, 0, UINT64_MAX);
        else if (strcmp(option, "--function") == 0)
            choose_function(*argument);
        else {
            fprintf(stderr, "memo: '%s': no such option, or its value is missing: see memo --help\n",
                    *option ? option : *argument);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    struct vm_pager pager = {.fetch = compute_page};
    int status;

    (void)argc;
    parse(argv + 1);
    per_page = vm_page_size() / sizeof(double);
    if (!options.direct) {
        budget = vm_budget_open(options.entries / per_page, options.budget, &pager);
        if (!budget) {
            perror("memo: vm_budget_open");
            return 1;
        }
        table = vm_budget_base(budget);
    }
    status = run();
    if (budget)
        vm_budget_close(budget);
    return output_fails() ? 2 : status;
}
