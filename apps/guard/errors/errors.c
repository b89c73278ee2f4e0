/*
 * A program with one error, chosen by its argument, to see it caught; and a measure of what the allocator costs.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile char sink;

static char *block(size_t size)
{
    char *at = malloc(size);

    memset(at, 1, size);
    return at;
}

static void overflow(void) { block(96)[96] = 1; }
static void overflow_read(void) { sink = block(4096)[4100]; }
static void slack(void)
{
    char *at = block(90);

    at[91] = 7; /* within the alignment: seen by free */
    free(at);
}
static void underflow(void) { block(96)[-1] = 1; }
static void use_after_free(void)
{
    char *at = block(100);

    free(at);
    at[10] = 1;
}
static void read_after_realloc(void)
{
    char *at = block(100), *next = realloc(at, 200);

    sink = next[50];
    sink = at[50];
}
static void double_free(void)
{
    char *at = block(100);

    free(at);
    free(at);
}
static void bad_free(void) { free(block(100) + 16); }
static void stack_free(void)
{
    char here[100];
    char *volatile at = here;

    free(at + 32);
}

static void *overflow_in_thread(void *unused)
{
    overflow();
    return unused;
}

static void thread(void)
{
    pthread_t other;

    pthread_create(&other, NULL, overflow_in_thread, NULL);
    pthread_join(other, NULL);
}

/* No error: the whole family, with content checked. */
static void correct(void)
{
    char *list[300];
    void *aligned;

    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 300; i++)
            list[i] = memset(malloc(1 + i * 37), i, 1 + i * 37);
        for (int i = 0; i < 300; i++) {
            list[i] = realloc(list[i], 5 + i * 20);
            for (int k = 0; k < 1 + i * 20 && k < 1 + i * 37; k++)
                if (list[i][k] != (char)i)
                    abort();
            free(list[i]);
        }
    }
    for (size_t align = 8; align <= 1 << 16; align *= 2)
        if (posix_memalign(&aligned, align, 100) || (uintptr_t)aligned % align)
            abort();
        else
            free(memset(aligned, 1, malloc_usable_size(aligned)));
    aligned = calloc(1000, 10);
    for (int i = 0; i < 10000; i++)
        if (((char *)aligned)[i])
            abort();
    free(aligned);
    free(NULL);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

/* malloc, a store, free: with few blocks live, and while 20,000 and 40,000 are. */
static void bench(void)
{
    static char *live[40000];
    int count = 0;

    for (int want = 0; want <= 40000; want += 20000) {
        double began;

        while (count < want)
            live[count++] = block(100), sink = live[count - 1][0];
        began = now();
        for (int i = 0; i < 2000; i++) {
            char *at = malloc(100);

            *(volatile char *)at = 1;
            free(at);
        }
        printf("malloc+store+free\t%d live\t%.0f ns\n", want, (now() - began) / 2000);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} errors[] = {
    {"overflow", overflow},
    {"overflow-read", overflow_read},
    {"slack", slack},
    {"underflow", underflow},
    {"use-after-free", use_after_free},
    {"read-after-realloc", read_after_realloc},
    {"double-free", double_free},
    {"bad-free", bad_free},
    {"stack-free", stack_free},
    {"thread", thread},
    {"correct", correct},
    {"bench", bench},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (argc == 2 && strcmp(argv[1], errors[i].name) == 0) {
            errors[i].run();
            puts("survived");
            return 0;
        }
    fputs("usage: guard-errors ERROR, one of", stderr);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        fprintf(stderr, " %s", errors[i].name);
    fputs("\n", stderr);
    return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
