/*
 * guard: runs a program with the guarded allocator (allocator.c), which lies beside this program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void usage(FILE *to)
{
    fputs("usage: guard [OPTION...] PROGRAM [ARGUMENT...]\n"
          "\n"
          "Runs a dynamically linked program with a heap in which each block has pages of its own. An access past a "
          "block's end, or\n"
          "to a block that was freed, is told on standard error, with the block's address and size, and where it was "
          "allocated and\n"
          "freed; then the program ends by SIGSEGV. So are wrong calls of free, then by SIGABRT.\n"
          "\n"
          "  --continue       tell, open the page, and go on\n"
          "  --below          catch accesses before a block rather than past its end\n"
          "  --align N        of blocks: 16; with 1 the first byte past the end is caught, but some programs want 8 or "
          "16\n"
          "  --heap N         GiB of addresses, used once before any is used again: 16\n"
          "  --statistics     at the end: blocks, and how many had no guard because the kernel has no more mappings\n"
          "\n"
          "Status: the program's; 2 when guard was called wrongly, 127 when there is no such program, 126 when it "
          "cannot be "
          "run.\n",
          to);
}

static void set(const char *name, const char *value)
{
    if (setenv(name, value, 1)) {
        perror("guard");
        exit(2);
    }
}

/* The whole of TEXT is a number of 1 to MOST, a power of two if that is wanted. */
static const char *number(const char *option, const char *text, unsigned long most, int power)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || value < 1 || value > most || (power && (value & (value - 1)))) {
        fprintf(stderr, "guard: %s: a %s from 1 to %lu is wanted\n", option, power ? "power of two" : "number", most);
        exit(2);
    }
    return text;
}

/* libguard.so beside us, before whatever is preloaded already. */
static void preload(void)
{
    char path[4096], list[8192];
    const char *before = getenv("LD_PRELOAD");
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 20);
    char *slash;

    if (length < 0) {
        perror("guard: /proc/self/exe");
        exit(2);
    }
    path[length] = 0;
    slash = strrchr(path, '/');
    strcpy(slash + 1, "libguard.so");
    if (access(path, R_OK)) {
        fprintf(stderr, "guard: %s: %s\n", path, strerror(errno));
        exit(2);
    }
    if (snprintf(list, sizeof(list), "%s%s%s", path, before && *before ? ":" : "", before ? before : "") >=
        (int)sizeof(list)) {
        fprintf(stderr, "guard: LD_PRELOAD is too long\n");
        exit(2);
    }
    set("LD_PRELOAD", list);
}

int main(int argc, char **argv)
{
    int at = 1, error;

    for (; at < argc && argv[at][0] == '-'; at++) {
        const char *option = argv[at];

        if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0) {
            usage(stdout);
            if (fflush(stdout)) {
                perror("guard: standard output");
                return 2;
            }
            return 0;
        } else if (strcmp(option, "--continue") == 0) {
            set("GUARD_CONTINUE", "1");
        } else if (strcmp(option, "--below") == 0) {
            set("GUARD_BELOW", "1");
        } else if (strcmp(option, "--statistics") == 0) {
            set("GUARD_STATISTICS", "1");
        } else if (strcmp(option, "--align") == 0 && at + 1 < argc) {
            set("GUARD_ALIGN", number(option, argv[++at], 4096, 1));
        } else if (strcmp(option, "--heap") == 0 && at + 1 < argc) {
            set("GUARD_HEAP", number(option, argv[++at], 1024, 0));
        } else if (strcmp(option, "--") == 0) {
            at++;
            break;
        } else {
            fprintf(stderr, "guard: no option '%s': see guard --help\n", option);
            return 2;
        }
    }
    if (at >= argc) {
        usage(stderr);
        return 2;
    }
    preload();
    execvp(argv[at], argv + at);
    error = errno;
    fprintf(stderr, "guard: %s: %s\n", argv[at], strerror(error));
    return error == ENOENT ? 127 : 126;
}
