/*
 * Damaged programs: bits of this very ELF file's headers are changed and it is executed. Whatever comes of it, it is an
 * errno, a signal or a program that runs; the kernel stays, and nothing is left behind. The changes are the same every
 * time.
 */
#include "tap.h"

#define ROUNDS 150
#define HEADERS (64 + 56 * 12)
#define REFUSED 201

static unsigned char image[4 << 20], damaged[4 << 20];
static ssize_t length;
static uint64_t seed = 20;

static uint64_t random_number(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static void damage_once(void)
{
    size_t at = 4 + random_number() % (HEADERS - 12);
    uint64_t value = random_number() >> (random_number() % 64);

    switch (random_number() % 4) {
    case 0:
        damaged[at] = (unsigned char)value;
        break;
    case 1:
        damaged[at] ^= (unsigned char)(1 << (value % 8));
        break;
    case 2:
        memcpy(damaged + (at & ~7UL), &value, sizeof(value));
        break;
    default:
        value = -(value % 70000);
        memcpy(damaged + (at & ~7UL), &value, sizeof(value));
        break;
    }
}

static int write_program(const char *name, const void *bytes, size_t n)
{
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0755), good = fd >= 0 && write(fd, bytes, n) == (ssize_t)n;

    close(fd);
    return good;
}

/* The wait status of NAME, run with little time and no output. */
static int run(const char *name)
{
    struct rlimit second = {1, 1};
    int status, null;
    pid_t pid = fork();

    if (pid == 0) {
        setrlimit(RLIMIT_CPU, &second);
        alarm(2);
        null = open("/dev/null", O_RDWR);
        for (int fd = 0; fd < 3; fd++)
            dup2(null, fd);
        execl(name, name, "--exit", (char *)NULL);
        _exit(REFUSED);
    }
    return waitpid(pid, &status, 0) == pid ? status : -1;
}

static void body(void)
{
    int fd = open("/proc/self/exe", O_RDONLY), refused = 0, died = 0, ran = 0, lost = 0;

    length = read(fd, image, sizeof(image));
    close(fd);
    CHECK(length > HEADERS && write_program("whole", image, (size_t)length), "a copy of this program");
    IS(run("whole"), 42 << 8, "runs");
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = random_number() % 4 ? (size_t)length : random_number() % (size_t)length;
        int status;

        memcpy(damaged, image, (size_t)length);
        for (uint64_t changes = 1 + random_number() % 3; changes > 0; changes--)
            damage_once();
        unlink("broken");
        if (!write_program("broken", damaged, n))
            lost++;
        status = run("broken");
        if (status == -1)
            lost++;
        else if (WIFSIGNALED(status))
            died++;
        else if (WEXITSTATUS(status) == REFUSED)
            refused++;
        else
            ran++;
    }
    IS(lost, 0, "every damaged one can be tried");
    CHECK(refused > 0 && ran > 0, "some are refused, some run all the same");
    diag("%d refused, %d died, %d ran", refused, died, ran);
    IS(run("whole"), 42 << 8, "the whole one runs as before");
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--exit"))
        return 42;
    return tap_main(argc, argv, body);
}
