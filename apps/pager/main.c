/* The command line: computations on more memory than there is. See `pager --help`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <vm.h>

#include "../../bench/mark.h"
#include "pager.h"
#include "work.h"

static const char usage_text[] =
    "pager [OPTION...] matrix|sort: a computation on a region of which only a part is in memory.\n"
    "\n"
    "  --size BYTES        of the region (64M); K, M, G are understood\n"
    "  --budget BYTES      of it in memory at a time (a tenth)\n"
    "  --compressed BYTES  for pages that are compressed (a fourth of the region); what is more goes to a file\n"
    "  --folder DIR        where that file is, without a name (.)\n"
    "  --threads N         that many compute (1)\n"
    "  --method pager|plain\n"
    "                      with our pager; or on ordinary memory, for which the kernel may have to swap, to compare\n"
    "  --leave BYTES       with plain, as root: locks the machine's other memory away, so that only so much is left\n"
    "  --help              this text\n"
    "\n"
    "matrix multiplies two matrices of doubles, by blocks; sort sorts numbers of 8 bytes. Both check their result.\n"
    "Prints NAME VALUE lines. Status: 0; 1 when the result is wrong; 2 when something failed, with one line that says "
    "why.\n";

static struct {
    size_t size, budget, compressed, leave;
    unsigned long threads;
    const char *folder, *work;
    int plain;
} options = {.size = 64ul << 20, .threads = 1, .folder = "."};

static void die(const char *what)
{
    fprintf(stderr, "pager: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void misuse(const char *what)
{
    fprintf(stderr, "pager: %s: see pager --help\n", what);
    exit(2);
}

static size_t bytes(const char *option, const char *text)
{
    unsigned long long n = 0;
    char *end = NULL;
    unsigned shift = 0;

    if (text != NULL && *text >= '0' && *text <= '9') {
        n = strtoull(text, &end, 10);
        shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
        end += shift != 0;
    }
    if (end == NULL || *end != 0 || n > (1ull << 40) >> shift || n << shift < 1 << 16) {
        fprintf(stderr, "pager: %s: a number of bytes from 64K to 1024G is wanted: see pager --help\n", option);
        exit(2);
    }
    return (size_t)n << shift;
}

static void read_options(char **argv)
{
    for (argv++; *argv != NULL; argv++) {
        const char *o = *argv;

        if (strcmp(o, "--help") == 0 || strcmp(o, "-h") == 0) {
            fputs(usage_text, stdout);
            if (fflush(stdout) == 0)
                exit(0);
            perror("pager: standard output");
            exit(2);
        }
        if (o[0] != '-') {
            if (options.work != NULL || (strcmp(o, "matrix") != 0 && strcmp(o, "sort") != 0))
                misuse("matrix or sort is wanted");
            options.work = o;
            continue;
        }
        argv++;
        if (strcmp(o, "--size") == 0)
            options.size = bytes(o, *argv);
        else if (strcmp(o, "--budget") == 0)
            options.budget = bytes(o, *argv);
        else if (strcmp(o, "--compressed") == 0)
            options.compressed = bytes(o, *argv);
        else if (strcmp(o, "--leave") == 0)
            options.leave = bytes(o, *argv);
        else if (strcmp(o, "--folder") == 0)
            options.folder = *argv;
        else if (strcmp(o, "--threads") == 0)
            options.threads = *argv != NULL ? strtoul(*argv, NULL, 10) : 0;
        else if (strcmp(o, "--method") == 0 && *argv != NULL && strcmp(*argv, "plain") == 0)
            options.plain = 1;
        else if (strcmp(o, "--method") == 0 && *argv != NULL && strcmp(*argv, "pager") == 0)
            options.plain = 0;
        else
            misuse("no such option, or no such value of it");
        if (*argv == NULL)
            misuse("a value is missing");
    }
    if (options.work == NULL)
        misuse("matrix or sort is wanted");
    if (options.threads < 1 || options.threads > 64)
        misuse("--threads: 1 to 64 are possible");
    if (options.leave != 0 && !options.plain)
        misuse("--leave goes with --method plain");
    if (options.budget == 0)
        options.budget = options.size / 10;
    if (options.budget / 4096 < 4 * options.threads + 4)
        misuse("--budget: too small for so many threads");
}

static unsigned long long now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * 1000000000u + (unsigned long long)t.tv_nsec;
}

/* What the kernel says that programs can still have. */
static size_t memory_left(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    unsigned long kib = 0;
    char line[200];

    if (f == NULL)
        die("/proc/meminfo");
    while (fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "MemAvailable: %lu", &kib) == 1)
            break;
    fclose(f);
    return kib << 10;
}

/* All but LEAVE bytes of memory are locked, until we end. */
static void lock_away(size_t leave)
{
    const size_t piece = 256 << 10;

    while (memory_left() > leave + piece) {
        void *at = mmap(NULL, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (at == MAP_FAILED || mlock(at, piece) < 0)
            die("--leave");
    }
}

static void print_stats(struct pager *p)
{
    struct pager_stats s;

    pager_stats(p, &s);
    printf("backend %s\nbudget %zu\nmost_resident %zu\n", vm_backend(), options.budget, s.most_resident * 4096);
    printf("faults %llu\nfetches %llu\nevictions %llu\ndirty_evictions %llu\n", (unsigned long long)s.faults,
           (unsigned long long)s.fetches, (unsigned long long)s.evictions, (unsigned long long)s.dirty_evictions);
    printf("compressed_pages %llu\ncompressed_bytes %llu\nfile_pages %llu\nto_file %llu\nfrom_file %llu\n",
           (unsigned long long)s.compressed_pages, (unsigned long long)s.compressed_bytes,
           (unsigned long long)s.file_pages, (unsigned long long)s.to_file, (unsigned long long)s.from_file);
}

int main(int argc, char **argv)
{
    struct pager_options how;
    struct pager *p = NULL;
    unsigned long long began;
    void *memory;
    int wrong;

    (void)argc;
    read_options(argv);
    how = (struct pager_options){.compressed = options.compressed, .folder = options.folder};
    if (options.plain) {
        if (options.leave != 0)
            lock_away(options.leave);
        memory = mmap(NULL, options.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
            die("memory");
    } else {
        p = pager_open((options.size + 4095) / 4096, options.budget / 4096, &how);
        if (p == NULL)
            die(options.folder);
        memory = pager_memory(p);
        work_thread_enter = vm_thread_enter;
        work_thread_leave = vm_thread_leave;
    }
    began = now();
    mark_begin();
    if (strcmp(options.work, "matrix") == 0)
        wrong = matrix_work(memory, matrix_size(options.size), (unsigned)options.threads);
    else
        wrong = sort_work(memory, sort_size(options.size, (unsigned)options.threads), (unsigned)options.threads);
    mark_end();
    printf("result %s\nnanoseconds %llu\nsize %zu\n", wrong ? "wrong" : "right", now() - began, options.size);
    if (options.plain) {
        struct rusage use;

        getrusage(RUSAGE_SELF, &use);
        printf("faults %ld\nfaults_with_io %ld\nmost_resident %ld\n", use.ru_minflt + use.ru_majflt, use.ru_majflt,
               use.ru_maxrss << 10);
    }
    if (p != NULL) {
        print_stats(p);
        pager_close(p);
    }
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return wrong ? 1 : 0;
}
