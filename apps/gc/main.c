/*
 * gc: a Scheme whose heap is looked after by a collector that page protection makes concurrent. See README.md.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compile.h"
#include "port.h"
#include "prims.h"
#include "stats.h"
#include "symbol.h"
#include "system.h"

extern const char prelude_text[], prelude_end[];

__asm__(".section .rodata\n"
        ".globl prelude_text, prelude_end\n"
        "prelude_text: .incbin \"" PRELUDE "\"\n"
        "prelude_end: .byte 0\n"
        ".text\n");

static bool wants_stats;
static const char *pauses_file;

static const char help[] =
    "gc [OPTION...] [FILE.scm [ARGUMENT...]]   runs a Scheme program; without one, asks for expressions\n"
    "\n"
    "  --collector=concurrent    Baker's collector by page protection, beside the program (the default)\n"
    "  --collector=generational  the young apart; old pages that were written to are found by the hardware\n"
    "  --collector=stop          copies everything while the program stands\n"
    "  --heap=SIZE               of the heap: 64M, 1G (256M); at least 4M\n"
    "  --nursery=SIZE            of what is young, for the generational collector (4M)\n"
    "  --barrier=KIND            how it finds old pages that were written to: dirty, log or protect (dirty)\n"
    "  --eval=EXPRESSION         instead of a file\n"
    "  --stats                   how often and how long the program had to wait, on standard error at the end\n"
    "  --pauses=FILE             each wait: kind, when, how long, in nanoseconds\n"
    "  --paranoid=N              collects at every N-th allocation of a primitive: for tests\n"
    "  --help\n";

void system_exit(int status)
{
    int error = ports_flush();
    bool written = !error;

    fflush(NULL);
    if (error)
        fprintf(stderr, "gc: what was written is not all there: %s\n", strerror(error));
    if (wants_stats)
        stats_print();
    if (pauses_file && stats_write(pauses_file) < 0) {
        fprintf(stderr, "gc: %s: %s\n", pauses_file, strerror(errno));
        written = false;
    }
    _exit(written || status ? status : 2);
}

static _Noreturn void misuse(const char *what)
{
    fprintf(stderr, "gc: %s: see gc --help\n", what);
    exit(2);
}

static size_t parse_size(const char *text)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    int shift = toupper((unsigned char)*end) == 'G'   ? 30
                : toupper((unsigned char)*end) == 'M' ? 20
                : toupper((unsigned char)*end) == 'K' ? 10
                                                      : 0;
    if (end == text || (*end && !shift) || (shift && end[1]) || n > (1ull << 40 >> shift))
        misuse("a number or a size such as 256M is wanted");
    return n << shift;
}

/* Evaluates all of TEXT. False when an error ended it. */
static bool run_text(struct thread *t, const char *text, const char *end)
{
    for (;;) {
        value datum = read_datum(t, &text, end, false);
        if (datum == END_OF_FILE)
            return true;
        value closure = datum == FAILED ? FAILED : compile(t, datum);
        if (closure == FAILED) {
            struct text message = {0};
            print_value(&message, t->error, true);
            fprintf(stderr, "gc: %.*s\n", (int)message.length, message.data);
            return false;
        }
        if (machine_run(t, closure) == FAILED)
            return false;
    }
}

struct options {
    enum collector collector;
    size_t heap, nursery;
    enum barrier barrier;
    size_t paranoid;
    const char *expression;
};

static int choose(const char *text, const char *const *names)
{
    for (int i = 0; names[i]; i++)
        if (!strcmp(text, names[i]))
            return i;
    misuse("unknown value of an option");
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option list[] = {
        {"collector", required_argument, NULL, 'c'},
        {"heap", required_argument, NULL, 'm'},
        {"nursery", required_argument, NULL, 'n'},
        {"barrier", required_argument, NULL, 'b'},
        {"eval", required_argument, NULL, 'e'},
        {"stats", no_argument, NULL, 's'},
        {"pauses", required_argument, NULL, 'p'},
        {"paranoid", required_argument, NULL, 'x'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    static const char *const collectors[] = {"stop", "concurrent", "generational", NULL};
    static const char *const barriers[] = {"dirty", "log", "protect", NULL};
    struct options o = {.collector = CONCURRENT, .heap = 256 << 20, .nursery = 4 << 20};

    for (int option; (option = getopt_long(argc, argv, "+", list, NULL)) != -1;) {
        switch (option) {
        case 'c':
            o.collector = choose(optarg, collectors);
            break;
        case 'm':
            o.heap = parse_size(optarg);
            break;
        case 'n':
            o.nursery = parse_size(optarg);
            break;
        case 'b':
            o.barrier = choose(optarg, barriers);
            break;
        case 'e':
            o.expression = optarg;
            break;
        case 's':
            wants_stats = true;
            break;
        case 'p':
            pauses_file = optarg;
            break;
        case 'x':
            o.paranoid = parse_size(optarg);
            break;
        case 'h':
            if (fputs(help, stdout) < 0 || fflush(stdout)) {
                perror("gc: standard output");
                exit(2);
            }
            exit(0);
        default:
            exit(2);
        }
    }
    if (o.heap < 4 << 20)
        misuse("--heap: at least 4M");
    return o;
}

/* The expression that starts the program. */
static void start_text(struct text *text, const struct options *o, const char *file)
{
    if (o->expression) {
        text_add_string(text, o->expression);
    } else if (file) {
        text_add_string(text, "(load \"");
        for (; *file; file++) {
            if (*file == '"' || *file == '\\')
                text_add_string(text, "\\");
            text_add(text, file, 1);
        }
        text_add_string(text, "\")");
    } else {
        text_add_string(text, "(%read-eval-print)");
    }
}

int main(int argc, char **argv)
{
    struct options o = parse_options(argc, argv);
    struct text start = {0};

    setlocale(LC_CTYPE, "C.UTF-8");
    stats_open();
    symbols_open();
    heap.nursery_pages = o.nursery / PAGE_BYTES;
    heap.barrier = o.barrier;
    if (heap_open(o.collector, o.heap) < 0) {
        fprintf(stderr, "gc: the heap: %s\n", strerror(errno));
        return 70;
    }
    primitives_open();
    expand_open();
    struct thread *t = thread_new();
    thread_enter(t);
    if (!run_text(t, prelude_text, prelude_end))
        return 70;
    heap.paranoid = o.paranoid;
    command_line = argv + optind;
    start_text(&start, &o, argv[optind]);
    bool good = run_text(t, start.data, start.data + start.length);
    system_exit(good ? 0 : 1);
}
