/*
 * share: programs for several processes on shared virtual memory (dsm.c), and a checker of its consistency.
 */
#define _GNU_SOURCE
#include "check.h"
#include "dsm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL

static int processes = 4, size, rounds, seed = 1;
static bool break_it;

/* What the processes tell their parent; ordinary shared memory, which only the report uses. */
static struct report {
    struct dsm_stats stats[MOST_PROCESSES];
    double seconds;
} * report;

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + time.tv_nsec / 1e9;
}

static size_t pages_for(size_t bytes) { return (bytes + PAGE - 1) / PAGE; }

/* --- Matrix multiplication: C = A * B, each process some rows of C
 * ---------------------------------------------------- */

static size_t matrix_pages(void) { return 3 * pages_for((size_t)size * (size_t)size * sizeof(double)); }

static int matrix(int self, char *memory)
{
    size_t n = (size_t)size, stride = pages_for(n * n * sizeof(double)) * PAGE;
    double *a = (double *)memory, *b = (double *)(memory + stride), *c = (double *)(memory + 2 * stride);
    size_t first = n * (size_t)self / (size_t)processes, last = n * ((size_t)self + 1) / (size_t)processes;
    int wrong = 0;

    if (self == 0)
        for (size_t i = 0; i < n * n; i++) {
            a[i] = (double)(i * 7 % 11);
            b[i] = (double)(i * 5 % 13);
        }
    dsm_barrier();
    for (size_t i = first; i < last; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;

            for (size_t k = 0; k < n; k++)
                sum += a[i * n + k] * b[k * n + j];
            c[i * n + j] = sum;
        }
    dsm_barrier();
    /* Another process looks at the result: whole numbers, so the sum of a row has one value. */
    for (size_t i = self == processes - 1 ? 0 : n; i < n; i++) {
        double sum = 0, want = 0;

        for (size_t j = 0; j < n; j++)
            sum += c[i * n + j];
        for (size_t k = 0; k < n; k++) {
            double row = 0;

            for (size_t j = 0; j < n; j++)
                row += (double)((k * n + j) * 5 % 13);
            want += (double)((i * n + k) * 7 % 11) * row;
        }
        wrong += sum != want;
    }
    return wrong;
}

/* --- A solver: Jacobi's iteration on a plate with one hot edge
 * -------------------------------------------------------- */

static size_t solver_pages(void) { return 2 * pages_for((size_t)size * (size_t)size * sizeof(double)); }

static void relax(const double *from, double *to, size_t n, size_t first, size_t last)
{
    for (size_t i = first; i < last; i++)
        for (size_t j = 1; j + 1 < n; j++)
            to[i * n + j] =
                (from[(i - 1) * n + j] + from[(i + 1) * n + j] + from[i * n + j - 1] + from[i * n + j + 1]) / 4;
}

static void heat(double *plate, size_t n)
{
    for (size_t j = 0; j < n; j++)
        plate[j] = 100;
}

static int solver(int self, char *memory)
{
    size_t n = (size_t)size, stride = pages_for(n * n * sizeof(double)) * PAGE, inner = n - 2;
    double *plates[2] = {(double *)memory, (double *)(memory + stride)};
    size_t first = 1 + inner * (size_t)self / (size_t)processes,
           last = 1 + inner * ((size_t)self + 1) / (size_t)processes;
    double *mine[2];
    int wrong = 0;

    if (self == 0) {
        heat(plates[0], n);
        heat(plates[1], n);
    }
    dsm_barrier();
    for (int round = 0; round < rounds; round++) {
        relax(plates[round & 1], plates[!(round & 1)], n, first, last);
        dsm_barrier();
    }
    /* One process alone must get the very same numbers. */
    if (self != processes - 1)
        return 0;
    mine[0] = calloc(n * n, sizeof(double));
    mine[1] = calloc(n * n, sizeof(double));
    if (!mine[0] || !mine[1])
        return 1;
    heat(mine[0], n);
    heat(mine[1], n);
    for (int round = 0; round < rounds; round++)
        relax(mine[round & 1], mine[!(round & 1)], n, 1, n - 1);
    for (size_t i = 0; i < n * n; i++)
        wrong += mine[rounds & 1][i] != plates[rounds & 1][i];
    free(mine[0]);
    free(mine[1]);
    return wrong;
}

/* --- The checker (check.c) -------------------------------------------------------------------------------------------
 */

static struct history *histories;

static size_t check_pages(void) { return (size_t)size; }

static int check(int self, char *memory)
{
    uint64_t *counter = (uint64_t *)memory; /* the first word: everybody adds */

    check_work(histories, self, processes, memory, (size_t)size, rounds, (unsigned)seed);
    for (int i = 0; i < rounds / 10; i++)
        __atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
    dsm_barrier();
    return self == 0 && *counter != (uint64_t)(rounds / 10) * (uint64_t)processes;
}

/* --- Processes -------------------------------------------------------------------------------------------------------
 */

static const struct program {
    const char *name;
    int size, rounds;
    size_t (*pages)(void);
    int (*run)(int self, char *memory);
} programs[] = {
    {"matrix", 96, 1, matrix_pages, matrix},
    {"solver", 128, 20, solver_pages, solver},
    {"check", 4, 2000, check_pages, check},
};

static void child(const struct program *program, int self, int (*ways)[MOST_PROCESSES])
{
    char *memory;
    double began;
    int wrong;

    for (int i = 0; i < processes; i++)
        for (int k = 0; k < processes; k++)
            if (i != self && ways[i][k] >= 0)
                close(ways[i][k]);
    memory = dsm_start(self, processes, ways[self], program->pages(), break_it);
    if (!memory) {
        perror("share: no shared memory");
        _exit(1);
    }
    dsm_barrier();
    began = now();
    wrong = program->run(self, memory);
    dsm_barrier();
    if (self == 0)
        report->seconds = now() - began;
    dsm_stop(&report->stats[self]);
    if (wrong)
        fprintf(stderr, "share: process %d: %d results are wrong\n", self, wrong);
    exit(wrong ? 1 : 0);
}

static bool connect_all(int (*ways)[MOST_PROCESSES])
{
    for (int i = 0; i < processes; i++)
        for (int k = 0; k <= i; k++) {
            int pair[2] = {-1, -1};

            if (i != k && socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
                return false;
            ways[i][k] = pair[0];
            ways[k][i] = pair[1];
        }
    return true;
}

/* All end, or when one fails, the others are ended. */
static int wait_for_all(pid_t *children)
{
    int failed = 0;

    for (int left = processes; left > 0; left--) {
        int status;
        pid_t pid = wait(&status);

        for (int i = 0; i < processes; i++)
            if (children[i] == pid)
                children[i] = 0;
        if (status == 0)
            continue;
        if (!failed)
            fprintf(stderr, "share: a process ended with wait status %#x\n", (unsigned)status);
        failed = 1;
        for (int i = 0; i < processes; i++)
            if (children[i] > 0)
                kill(children[i], SIGKILL);
    }
    return failed;
}

static int run(const struct program *program)
{
    int ways[MOST_PROCESSES][MOST_PROCESSES];
    pid_t children[MOST_PROCESSES];
    struct dsm_stats sum = {0};
    int failed;

    report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    histories = check_histories(processes, rounds);
    if (report == MAP_FAILED || !histories || !connect_all(ways)) {
        perror("share");
        return 1;
    }
    fflush(stdout);
    for (int i = 0; i < processes; i++) {
        children[i] = fork();
        if (children[i] == 0)
            child(program, i, ways);
        if (children[i] < 0) {
            perror("share: fork");
            return 1;
        }
    }
    for (int i = 0; i < processes; i++)
        for (int k = 0; k < processes; k++)
            close(ways[i][k]);
    failed = wait_for_all(children);
    for (int i = 0; i < processes; i++) {
        sum.read_faults += report->stats[i].read_faults;
        sum.write_faults += report->stats[i].write_faults;
        sum.pages_received += report->stats[i].pages_received;
        sum.invalidations += report->stats[i].invalidations;
        sum.messages += report->stats[i].messages;
    }
    if (failed)
        return 1;
    printf("%-16s%d processes, %zu pages, size %d, %d rounds\n", program->name, processes, program->pages(), size,
           rounds);
    printf("seconds         %.6f\n", report->seconds);
    printf("load faults     %llu\nstore faults    %llu\npages moved     %llu\ninvalidations   %llu\nmessages        "
           "%llu\n",
           (unsigned long long)sum.read_faults, (unsigned long long)sum.write_faults,
           (unsigned long long)sum.pages_received, (unsigned long long)sum.invalidations,
           (unsigned long long)sum.messages);
    if (program->run == check && !check_consistent(histories, processes)) {
        printf("consistency     NOT sequential: see above\n");
        return 1;
    }
    printf("%s\n", program->run == check ? "consistency     sequential" : "results         right");
    return 0;
}

/* --- Command line ----------------------------------------------------------------------------------------------------
 */

static void usage(FILE *to)
{
    fputs("usage: share [OPTION...] PROGRAM\n"
          "\n"
          "Runs PROGRAM in several processes whose common memory exists only as pages sent between them over sockets: "
          "many may\n"
          "read a page, or one may write it.\n"
          "\n"
          "  matrix    multiplies two matrices of --size rows: 96; the result is checked\n"
          "  solver    Jacobi's iteration on a plate of --size rows, --rounds times: 128, 20; compared with one "
          "process alone\n"
          "  check     random loads and stores, --rounds in each process, on --size pages: 2000, 4; from what all of "
          "them saw it\n"
          "            proves that one order explains it, or shows that none does\n"
          "\n"
          "  --processes N   2 to 8: 4; 1 runs it alone, to compare\n"
          "  --size N, --rounds N, --seed N\n"
          "  --break         invalidate nothing: what check is there to find\n"
          "\n"
          "Status 0; 1 when a result is wrong or a process failed; 2 when share was called wrongly.\n",
          to);
}

static int number(const char *option, const char *text, int least, int most)
{
    char *end;
    long value;

    value = strtol(text ? text : "", &end, 10);
    if (!text || !*text || *end || value < least || value > most) {
        fprintf(stderr, "share: %s: a number from %d to %d is wanted\n", option, least, most);
        exit(2);
    }
    return (int)value;
}

static const struct program *find_program(const char *name)
{
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        if (strcmp(name, programs[i].name) == 0)
            return &programs[i];
    return NULL;
}

static bool output_fails(void)
{
    if (!fflush(stdout) && !ferror(stdout))
        return false;
    perror("share: standard output");
    return true;
}

int main(int argc, char **argv)
{
    const struct program *program = NULL;
    int status;

    for (int i = 1; i < argc; i++) {
        const char *option = argv[i];

        if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0) {
            usage(stdout);
            return output_fails() ? 2 : 0;
        } else if (strcmp(option, "--break") == 0) {
            break_it = true;
        } else if (strcmp(option, "--processes") == 0) {
            processes = number(option, argv[++i], 1, MOST_PROCESSES);
        } else if (strcmp(option, "--size") == 0) {
            size = number(option, argv[++i], 1, 4096);
        } else if (strcmp(option, "--rounds") == 0) {
            rounds = number(option, argv[++i], 1, 1000000);
        } else if (strcmp(option, "--seed") == 0) {
            seed = number(option, argv[++i], 0, 1 << 30);
        } else {
            const struct program *other = find_program(option);

            if (!other || program) {
                fprintf(stderr, "share: '%s': no such option or program, or one too many: see share --help\n", option);
                return 2;
            }
            program = other;
        }
    }
    if (!program) {
        usage(stderr);
        return 2;
    }
    size = size ? size : program->size;
    rounds = rounds ? rounds : program->rounds;
    if (program->run == solver && size < 4)
        size = 4;
    status = run(program);
    return output_fails() ? 2 : status;
}
