/* The lab on copy-on-write: large processes fork, and each has its own memory all the same. */
#include "check.h"

#define LARGE (85 << 20) /* two of them are more than the 128 MiB of xv6's machine */

static char *memory;

static void test_large(void)
{
    int pid, status = -1;

    memory = sbrk(LARGE);
    for (int i = 0; i < LARGE; i += PGSIZE)
        *(int *)(memory + i) = i;
    pid = fork();
    if (pid == 0)
        exit(*(int *)(memory + LARGE - PGSIZE) == LARGE - PGSIZE ? 0 : 1);
    CHECK(pid > 0 && wait(&status) == pid && status == 0, "a process that fills the machine forks");
    sbrk(-LARGE);
}

static void test_three(void)
{
    int size = 8 << 20, good = 1;

    memory = sbrk(size);
    for (int i = 0; i < size; i += PGSIZE)
        *(int *)(memory + i) = -1;
    for (int n = 0; n < 3; n++)
        if (fork() == 0) {
            for (int i = 0; i < size; i += PGSIZE)
                *(int *)(memory + i) = getpid();
            pause(1);
            for (int i = 0; i < size; i += PGSIZE)
                if (*(int *)(memory + i) != getpid())
                    exit(1);
            exit(0);
        }
    for (int n = 0; n < 3; n++) {
        int status = -1;

        wait(&status);
        good &= status == 0;
    }
    for (int i = 0; i < size; i += PGSIZE)
        good &= *(int *)(memory + i) == -1;
    CHECK(good, "three children write all over what they share with their parent");
    sbrk(-size);
}

/* The kernel's own writes must copy, too. */
static char buffer[4 * PGSIZE];

static void test_read_into(void)
{
    int good = 1;

    buffer[0] = 99;
    for (int n = 0; n < 4; n++) {
        int ends[2], status = -1, pid;

        pipe(ends);
        pid = fork();
        if (pid == 0) {
            int got = 0;

            for (int part; got < 4 && (part = read(ends[0], buffer + PGSIZE - 2 + got, 4 - got)) > 0;)
                got += part;
            exit(buffer[PGSIZE - 2] == n && buffer[PGSIZE + 1] == n + 3 && buffer[0] == 99 ? 0 : 1);
        }
        for (char k = 0; k < 4; k++) {
            char byte = (char)(n + k);

            write(ends[1], &byte, 1);
        }
        close(ends[0]);
        close(ends[1]);
        good &= wait(&status) == pid && status == 0;
    }
    CHECK(good && buffer[PGSIZE - 2] == 0, "a pipe is read into a page that is shared");
}

static void test_chain(void)
{
    int depth = 0, status = 0, pid = 0;

    memory = sbrk(1 << 20);
    memory[0] = 0;
    while (depth < 20 && (pid = fork()) == 0) {
        depth++;
        memory[0]++;
    }
    if (pid > 0 && (wait(&status) != pid || status != 0))
        exit(1);
    if (memory[0] != depth)
        exit(1);
    if (depth)
        exit(0);
    CHECK(memory[0] == 0 && status == 0, "children of children");
    sbrk(-(1 << 20));
}

int main(void)
{
    test_large();
    test_three();
    test_read_into();
    test_chain();
    finish();
}
