/* sbrk, eager and lazy, its limits; the stack of one page; malloc. */
#include "check.h"

static char *address;

static void load(void) { exit(*(volatile char *)address); }

static void use_much_stack(void)
{
    volatile char *below = (char *)(r_sp() & ~(uint64)(PGSIZE - 1)) - 1;

    exit(*below);
}

static void test_sbrk(void)
{
    char *start = sbrk(0), *page;

    page = sbrk(PGSIZE);
    CHECK(page == start && sbrk(0) == start + PGSIZE, "sbrk returns where the heap ended");
    CHECK(page[0] == 0 && page[PGSIZE - 1] == 0, "new memory is zero");
    page[5] = 5;
    CHECK(sbrk(-PGSIZE) == start + PGSIZE && sbrk(0) == start, "memory can be given back");
    address = page + 5;
    CHECK(status_of(load) == -1, "then it is not there");
    CHECK(sbrk(PGSIZE) == start && page[5] == 0, "and comes back as zeros");
    sbrk(-PGSIZE);
    CHECK(sbrk(1) == start && sbrk(1) == start + 1 && sbrk(-2) == start + 2, "by single bytes, too");
    CHECK(sbrk(1 << 30) == SBRK_ERROR, "more than the machine has is refused at once");
    CHECK(sbrk(-(1 << 30)) == start && sbrk(0) == start, "more back than there was does nothing");
}

static void test_exhaustion(void)
{
    char *start = sbrk(0);
    int megabytes = 0;

    while (sbrk(1 << 20) != SBRK_ERROR)
        megabytes++;
    CHECK(megabytes >= 100 && megabytes <= 128, "a program may have 128 MiB");
    sbrk(-(int)(sbrk(0) - start));
    CHECK(sbrk(0) == start && sbrk(1 << 20) == start, "and have them again");
    sbrk(-(1 << 20));
}

/* Several programs share the machine's memory; what one does not get, it did not take. */
static void test_shares(void)
{
    int ends[2], pids[4], given = 0;
    char answer;

    pipe(ends);
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            answer = sbrk(40 << 20) != SBRK_ERROR;
            write(ends[1], &answer, 1);
            pause(1000);
        }
        read(ends[0], &answer, 1);
        given += answer;
    }
    CHECK(given == 3, "128 MiB are for all programs together");
    CHECK(sbrk(1 << 20) != SBRK_ERROR, "a little is left");
    sbrk(-(1 << 20));
    for (int i = 0; i < 4; i++)
        kill(pids[i]);
    while (wait(0) > 0)
        ;
    CHECK(sbrk(100 << 20) != SBRK_ERROR, "and all of it when they have gone");
    sbrk(-(100 << 20));
    close(ends[0]);
    close(ends[1]);
}

static void test_lazy(void)
{
    char *start = sbrk(0), *far;

    CHECK(sbrklazy(1 << 30) == start, "sbrklazy gives a gigabyte of addresses");
    far = start + (1 << 30) - 1;
    *far = 1;
    start[1 << 20] = 2;
    CHECK(*far == 1 && start[1 << 20] == 2 && start[1 << 24] == 0, "which are memory where they are touched");
    sbrk(-(1 << 30));
    CHECK(sbrk(0) == start, "and go back");
    address = far;
    CHECK(status_of(load) == -1, "for good");
}

/* Up to xv6's trap frame, where the machine has so many addresses. */
static void test_far(void)
{
    char *start = sbrk(0), *end = start;
    uint64 rest;

    while (sbrklazy(1 << 30) != SBRK_ERROR)
        end += 1 << 30;
    rest = TRAPFRAME - (uint64)end;
    if (rest < 1 << 30)
        CHECK(sbrklazy((int)rest) == end && sbrklazy(1) == SBRK_ERROR, "addresses end where xv6's do");
    else
        CHECK(end - start >= 1 << 30, "at least a gigabyte");
    end[-1] = 3;
    CHECK(end[-1] == 3, "the last are memory, too");
    while (sbrk(0) > start) {
        uint64 left = sbrk(0) - start;

        sbrk(-(int)(left > 1 << 30 ? 1 << 30 : left));
    }
}

static void test_stack(void)
{
    CHECK(status_of(use_much_stack) == -1, "the stack has one page");
    address = (char *)KERNBASE;
    CHECK(status_of(load) == -1, "the kernel's memory is none of ours");
    address = (char *)MAXVA;
    CHECK(status_of(load) == -1, "nor what is past MAXVA");
}

static void test_malloc(void)
{
    char *blocks[200];
    int good = 1, count = 0;
    void *last = 0;

    for (int i = 0; i < 200; i++) {
        blocks[i] = malloc(i * 37 + 1);
        good &= blocks[i] != 0 && (uint64)blocks[i] % 16 == 0;
        memset(blocks[i], i, i * 37 + 1);
    }
    for (int i = 0; i < 200; i++)
        for (int k = 0; k <= i * 37; k += 36)
            good &= blocks[i][k] == (char)i;
    CHECK(good, "malloc gives blocks that do not overlap");
    for (int i = 0; i < 200; i += 2)
        free(blocks[i]);
    for (int i = 1; i < 200; i += 2)
        free(blocks[i]);
    blocks[0] = malloc(700000);
    CHECK(blocks[0] && malloc(0) != 0, "what was freed becomes one");
    free(blocks[0]);
    for (char **block; (block = malloc(100000)); count++) {
        *block = last;
        last = block;
    }
    CHECK(count > 1000 && count < 1400, "malloc gives 0 when there is no more");
    while (last) {
        void *next = *(void **)last;

        free(last);
        last = next;
    }
    last = malloc(50 << 20);
    CHECK(last != 0, "and all is back after free");
    free(last);
}

int main(void)
{
    test_sbrk();
    test_exhaustion();
    test_shares();
    test_lazy();
    test_far();
    test_stack();
    test_malloc();
    finish();
}
