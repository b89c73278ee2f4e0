/*
 * userfaultfd against everything that changes memory meanwhile: several threads load and store pages that a server
 * fills in, while others drop, unmap, map, fork, protect and move them. Each page holds its own number in every word,
 * or zeros, or what its one writer stored; a word of another page, or a store that is lost, ends the test. The argument
 * is how many seconds each part runs (2); with more it is a stress test.
 */
#include "uffd.h"

#define PAGES 64
#define WORDS (PAGE / 8)

static volatile int stop, wrong;
static char *area;
static int server_fd;
static double seconds = 2;

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void complain(const char *what, long page, uint64_t word)
{
    if (!__sync_lock_test_and_set(&wrong, 1))
        diag("%s: page %ld has %#llx", what, page, (long long)word);
}

static uint64_t mark_of(long page) { return 0x1234567800000000ull + (uint64_t)page; }

/* Fills every missing page in with its mark, or now and then with zeros; unprotects every protected one. */
static void *serve(void *unused UNUSED)
{
    static __thread uint64_t page[WORDS] __attribute__((aligned(4096)));
    struct uffd_msg messages[8];
    struct pollfd p = {.fd = server_fd, .events = POLLIN};
    unsigned n = 0;

    while (!stop) {
        ssize_t got;

        poll(&p, 1, 20);
        got = read(server_fd, messages, sizeof(messages));
        for (ssize_t i = 0; i < got / (ssize_t)sizeof(messages[0]); i++) {
            char *at = (char *)((uintptr_t)messages[i].arg.pagefault.address & -PAGE);
            long index = (at - area) / (long)PAGE;
            int result;

            if (messages[i].event != UFFD_EVENT_PAGEFAULT)
                continue;
            if (messages[i].arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
                result = uffd_protect(server_fd, at, PAGE, 0);
            } else if (messages[i].arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_MINOR) {
                result = uffd_continue(server_fd, at, PAGE, 0);
            } else {
                for (size_t w = 0; w < WORDS; w++)
                    page[w] = mark_of(index);
                result = n++ % 8 ? uffd_copy(server_fd, at, page, PAGE, 0) : uffd_zero(server_fd, at, PAGE, 0);
            }
            if (result)
                uffd_wake(server_fd, at, PAGE); /* somebody was faster, or it is gone */
        }
    }
    return NULL;
}

/* Every word of a page is its mark, a zero, or a store of its writer. */
static void *check(void *seed)
{
    unsigned state = (unsigned)(long)seed * 2654435761u;

    while (!stop) {
        long page;
        uint64_t word;

        state = state * 1103515245u + 12345u;
        page = state >> 8 & (PAGES - 1);
        word = ((volatile uint64_t *)(area + page * PAGE))[state >> 16 & (WORDS - 1)];
        if (word != 0 && word != mark_of(page) && word >> 32 != 0xabcd0000u + (unsigned)page)
            complain("load", page, word);
    }
    return NULL;
}

/* The one writer of a quarter of the pages, of their first words. */
static void *write_pages(void *quarter)
{
    unsigned state = (unsigned)(long)quarter + 1;
    uint32_t n = 0;

    while (!stop) {
        long page;

        state = state * 1103515245u + 12345u;
        page = (long)(state >> 8 & (PAGES / 4 - 1)) * 4 + (long)quarter;
        ((volatile uint64_t *)(area + page * PAGE))[state >> 16 & 7] = (0xabcd0000ull + (uint64_t)page) << 32 | ++n;
    }
    return NULL;
}

static unsigned dice(unsigned *state, unsigned sides)
{
    *state = *state * 1103515245u + 12345u;
    return (*state >> 8) % sides;
}

/* A wish for a part of the area. */
static char *some_pages(unsigned *state, size_t *length)
{
    unsigned first = dice(state, PAGES), n = dice(state, 6) + 1;

    *length = (first + n > PAGES ? PAGES - first : n) * PAGE;
    return area + first * PAGE;
}

static void *drop(void *unused UNUSED)
{
    unsigned state = 7;
    size_t length;

    while (!stop) {
        char *at = some_pages(&state, &length);

        madvise(at, length, MADV_DONTNEED);
    }
    return NULL;
}

/* New mappings in the place of old ones, registered again. */
static void *remap(void *unused UNUSED)
{
    unsigned state = 9;
    size_t length;

    while (!stop) {
        char *at = some_pages(&state, &length);

        if (mmap(at, length, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
            complain("mmap", -1, 0);
        uffd_wake(server_fd, at, length);
        if (dice(&state, 2))
            uffd_register(server_fd, at, length, MISSING);
    }
    return NULL;
}

static void *fork_and_check(void *unused UNUSED)
{
    while (!stop) {
        int status = 0;
        pid_t pid = fork();

        if (pid == 0) {
            for (long page = 0; page < PAGES; page++)
                for (size_t w = 0; w < WORDS; w += 61) {
                    uint64_t word = ((volatile uint64_t *)(area + page * PAGE))[w];

                    if (word != 0 && word != mark_of(page) && word >> 32 != 0xabcd0000u + (unsigned)page)
                        _exit(1);
                }
            _exit(0);
        }
        waitpid(pid, &status, 0);
        if (pid > 0 && status)
            complain("child", -1, (uint64_t)status);
    }
    return NULL;
}

static void *protect(void *unused UNUSED)
{
    unsigned state = 11;
    size_t length;

    while (!stop) {
        char *at = some_pages(&state, &length);

        uffd_protect(server_fd, at, length, dice(&state, 3) != 0);
    }
    return NULL;
}

static void *fill_unasked(void *unused UNUSED)
{
    static uint64_t page[WORDS] __attribute__((aligned(4096)));
    unsigned state = 13;

    while (!stop) {
        long index = (long)dice(&state, PAGES);

        for (size_t w = 0; w < WORDS; w++)
            page[w] = mark_of(index);
        uffd_copy(server_fd, area + index * PAGE, page, PAGE, 0);
    }
    return NULL;
}

static void *reregister(void *mode)
{
    unsigned state = 17;
    size_t length;

    while (!stop) {
        char *at = some_pages(&state, &length);

        uffd_unregister(server_fd, at, length);
        uffd_register(server_fd, at, length, (uint64_t)(long)mode);
    }
    return NULL;
}

static void run(const char *name, char *memory, uint64_t mode, void *(*const *disturbers)(void *), int count)
{
    pthread_t threads[16];
    double end = now() + seconds;
    int n = 0;

    area = memory;
    stop = 0;
    server_fd = uffd_new(O_NONBLOCK, 0);
    OKAY(uffd_register(server_fd, area, PAGES * PAGE, mode), "%s: register", name);
    threads[n++] = start(serve, NULL);
    threads[n++] = start(serve, NULL);
    threads[n++] = start(check, (void *)1);
    threads[n++] = start(check, (void *)2);
    threads[n++] = start(write_pages, (void *)0);
    threads[n++] = start(write_pages, (void *)1);
    for (int i = 0; i < count; i++)
        threads[n++] = start(disturbers[i], (void *)(long)mode);
    while (now() < end && !wrong)
        sleep_ms(20);
    stop = 1;
    sleep_ms(50);
    close(server_fd); /* wakes who still waits */
    while (n > 0)
        finish(threads[--n]);
    CHECK(!wrong, "%s: every byte is where it belongs", name);
    munmap(area, PAGES * PAGE);
}

/* ---- no store is lost where nothing drops pages ---- */

static char *kept;
static volatile long written[PAGES];

static void *count_stores(void *quarter)
{
    unsigned state = (unsigned)(long)quarter + 3;

    while (!stop) {
        long page = (long)dice(&state, PAGES / 4) * 4 + (long)quarter;
        volatile long *word = (volatile long *)(kept + page * PAGE);

        if (*word != written[page])
            complain("lost store", page, (uint64_t)*word);
        written[page] = *word = written[page] + 1;
    }
    return NULL;
}

static void keep(const char *name, char *memory, int with_fork)
{
    pthread_t threads[8];
    double end = now() + seconds;
    int n = 0;

    kept = area = memory;
    stop = 0;
    memset((void *)written, 0, sizeof(written));
    memset(kept, 0, PAGES * PAGE);
    server_fd = uffd_new(O_NONBLOCK, 0);
    OKAY(uffd_register(server_fd, kept, PAGES * PAGE, WP), "%s: register", name);
    threads[n++] = start(serve, NULL);
    for (long i = 0; i < 4; i++)
        threads[n++] = start(count_stores, (void *)i);
    threads[n++] = start(protect, NULL);
    while (now() < end && !wrong) {
        pid_t pid = with_fork ? fork() : -1;

        if (pid == 0)
            _exit(0);
        if (pid > 0)
            waitpid(pid, NULL, 0);
        sleep_ms(5);
    }
    stop = 1;
    sleep_ms(50);
    close(server_fd);
    while (n > 0)
        finish(threads[--n]);
    for (long page = 0; page < PAGES && !wrong; page++)
        if (*(long *)(kept + page * PAGE) != written[page])
            complain("at the end", page, *(uint64_t *)(kept + page * PAGE));
    CHECK(!wrong, "%s: no store is lost", name);
    munmap(kept, PAGES * PAGE);
}

/* ---- pages that move between two areas ---- */

static char *areas[2];

static void *load_moving(void *unused UNUSED)
{
    unsigned state = 23;

    while (!stop) {
        long page = (long)dice(&state, PAGES);
        uint64_t word = *(volatile uint64_t *)(areas[1] + page * PAGE);

        if (word != mark_of(page))
            complain("moved", page, word);
        madvise(areas[1] + page * PAGE, PAGE, MADV_DONTNEED);
    }
    return NULL;
}

static void *move_in(void *unused UNUSED)
{
    struct uffd_msg message;

    while (!stop) {
        long page;

        if (read(server_fd, &message, sizeof(message)) != sizeof(message)) {
            sched_yield();
            continue;
        }
        page = ((long)message.arg.pagefault.address - (long)areas[1]) / (long)PAGE;
        *(volatile uint64_t *)(areas[0] + page * PAGE) = mark_of(page);
        if (uffd_move(server_fd, areas[1] + page * PAGE, areas[0] + page * PAGE, PAGE, 0))
            uffd_wake(server_fd, areas[1] + page * PAGE, PAGE);
    }
    return NULL;
}

static void moving(void)
{
    double end = now() + seconds;
    pthread_t threads[3];

    areas[0] = anon(PAGES * PAGE, RW);
    areas[1] = anon(PAGES * PAGE, RW);
    stop = 0;
    server_fd = uffd_new(O_NONBLOCK, 0);
    uffd_register(server_fd, areas[1], PAGES * PAGE, MISSING);
    threads[0] = start(move_in, NULL);
    threads[1] = start(load_moving, NULL);
    while (now() < end && !wrong)
        sleep_ms(20);
    stop = 1;
    finish(threads[0]);
    threads[0] = start(serve, NULL); /* does nothing: stop is set */
    finish(threads[0]);
    if (wrong)
        _exit(1);
    for (long page = 0; page < PAGES; page++) { /* who waits may go */
        static uint64_t bytes_of[WORDS] __attribute__((aligned(4096)));

        bytes_of[0] = mark_of(page);
        uffd_copy(server_fd, areas[1] + page * PAGE, bytes_of, PAGE, 0);
    }
    finish(threads[1]);
    close(server_fd);
    CHECK(!wrong, "moved pages: every byte is where it belongs");
    munmap(areas[0], PAGES * PAGE);
    munmap(areas[1], PAGES * PAGE);
}

static void body(void)
{
    static void *(*const private_memory[])(void *) = {drop, remap, fork_and_check, fill_unasked, reregister};
    static void *(*const shared_memory[])(void *) = {drop, fork_and_check, fill_unasked, reregister};
    static void *(*const protected_memory[])(void *) = {drop, fork_and_check, protect};

    if (tap_arguments[0])
        seconds = atof(tap_arguments[0]);
    close(uffd_new(0, 0));
    run("private memory", anon(PAGES * PAGE, RW), MISSING, private_memory, 5);
    run("shared memory", shared(PAGES), MISSING, shared_memory, 4);
    run("shared memory, minor faults", shared(PAGES), MISSING | MINOR, shared_memory, 4);
    moving();
    if (!has_wp) {
        skip("write protection", "this kernel has none");
        return;
    }
    run("protected private memory", anon(PAGES * PAGE, RW), MISSING | WP, protected_memory, 3);
    run("protected shared memory", shared(PAGES), MISSING | WP, protected_memory, 3);
    keep("protected private memory", anon(PAGES * PAGE, RW), 0);
    keep("protected private memory and forks", anon(PAGES * PAGE, RW), 1);
    keep("protected shared memory", shared(PAGES), 1);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
