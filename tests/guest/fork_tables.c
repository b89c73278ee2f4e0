/*
 * fork of large memories: page tables are shared until somebody uses them. Trees of processes that do everything to
 * their part of one memory and compare it with a model of their own; threads that store while others fork; counters of
 * resident pages. fork_tables [DIR] [SEED [ROUNDS]]. Source: fork(2), proc_pid_status(5).
 */
#include "tap.h"

#include <pthread.h>

#define RW (PROT_READ | PROT_WRITE)
#define SPAN (2UL << 20) /* what one leaf table serves */
#define SPAN_PAGES (SPAN / PAGE)
#define PAGES (6 * SPAN_PAGES)
#define DEPTH 3

static volatile char *window; /* PAGES, at the beginning of a span */
static unsigned random_state;

static unsigned pick(unsigned below)
{
    random_state = random_state * 1103515245 + 12345;
    return (random_state >> 8) % below;
}

/* ---- one memory, one model in each process ---- */

static struct {
    char mapped, prot, byte;
} model[PAGES];

static char own_byte(void) { return (char)(1 + pick(250)); }

static void store(unsigned p)
{
    model[p].byte = own_byte();
    window[p * PAGE] = window[p * PAGE + PAGE - 1] = model[p].byte;
}

/* Whether page P is as the model says; what cannot be read is asked for by a system call, which must fail. */
static int is_right(unsigned p, int pipe_end)
{
    volatile char *at = window + p * PAGE;

    if (!model[p].mapped || model[p].prot == PROT_NONE)
        return write(pipe_end, (char *)at, 1) == -1 && errno == EFAULT;
    return at[0] == model[p].byte && at[PAGE - 1] == model[p].byte;
}

static int is_all_right(void)
{
    int fds[2], good = 1;

    if (pipe(fds))
        return 0;
    for (unsigned p = 0; p < PAGES && good; p++)
        good = is_right(p, fds[1]);
    close(fds[0]);
    close(fds[1]);
    return good;
}

/* A range that is often whole spans. */
static void pick_range(unsigned *first, unsigned *n)
{
    *n = pick(3) == 0 ? SPAN_PAGES * (1 + pick(3)) : 1 + pick(pick(2) ? 20 : 900);
    *first = pick(PAGES - *n);
    if (pick(2) == 0)
        *first = *first / SPAN_PAGES * SPAN_PAGES;
}

static int all_mapped(unsigned first, unsigned n)
{
    for (unsigned p = first; p < first + n; p++)
        if (!model[p].mapped)
            return 0;
    return 1;
}

static int map_anew(unsigned first, unsigned n)
{
    void *at = (void *)(window + first * PAGE);

    for (unsigned p = first; p < first + n; p++) {
        model[p].mapped = 1;
        model[p].prot = RW;
        model[p].byte = 0;
    }
    return mmap(at, n * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at;
}

static int unmap(unsigned first, unsigned n)
{
    for (unsigned p = first; p < first + n; p++)
        model[p].mapped = 0;
    return munmap((void *)(window + first * PAGE), n * PAGE) == 0;
}

static int protect(unsigned first, unsigned n)
{
    static const char prots[] = {PROT_NONE, PROT_READ, RW};
    int prot = prots[pick(3)];

    if (!all_mapped(first, n))
        return 1;
    for (unsigned p = first; p < first + n; p++)
        model[p].prot = (char)prot;
    return mprotect((void *)(window + first * PAGE), n * PAGE, prot) == 0;
}

static int drop(unsigned first, unsigned n)
{
    if (!all_mapped(first, n))
        return 1;
    for (unsigned p = first; p < first + n; p++)
        model[p].byte = 0;
    return madvise((void *)(window + first * PAGE), n * PAGE, MADV_DONTNEED) == 0;
}

/* There and back, through a place outside the window, so that it need not be one mapping here. */
static int move(unsigned first, unsigned n)
{
    char *aside = mmap(NULL, n * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *from = (char *)window;
    int good;

    from += first * PAGE;
    if (mremap(from, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, aside) != aside)
        return munmap(aside, n * PAGE) == 0 || errno == EFAULT; /* not one mapping: nothing has moved */
    good = mremap(aside, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, from) == from;
    return good;
}

static int store_some(unsigned first, unsigned n)
{
    for (unsigned p = first; p < first + n; p++)
        if (model[p].mapped && model[p].prot == RW)
            store(p);
    return 1;
}

static int act(unsigned depth, unsigned steps);

/* A child goes its own way, while the parent goes its own. */
static int split(unsigned depth, unsigned steps)
{
    unsigned seed = pick(1u << 20);
    int status, good;
    pid_t pid;

    if (depth == 0)
        return 1;
    pid = fork();
    if (pid < 0)
        return 0;
    if (pid == 0) {
        random_state = seed;
        _exit(act(depth - 1, steps) ? 0 : 1);
    }
    good = act(depth - 1, steps / 2);
    return waitpid(pid, &status, 0) == pid && status == 0 && good;
}

static int act(unsigned depth, unsigned steps)
{
    unsigned first, n;
    int good = 1;

    while (steps-- > 0 && good) {
        pick_range(&first, &n);
        switch (pick(10)) {
        case 0:
            good = unmap(first, n);
            break;
        case 1:
        case 2:
            good = map_anew(first, n);
            break;
        case 3:
            good = protect(first, n);
            break;
        case 4:
            good = drop(first, n);
            break;
        case 5:
            good = move(first, n);
            break;
        case 6:
            good = pick(3) != 0 || split(depth, steps);
            break;
        case 7:
            good = store_some(first, n);
            break;
        default:
            good = store_some(first, 1 + pick(4));
        }
        if (!good)
            dprintf(STDOUT_FILENO, "# pages %u and %u more, depth %u, %u steps to go: %s\n", first, n, depth, steps,
                    errno_name(errno));
    }
    return good && is_all_right();
}

static int tree(void *seed)
{
    random_state = (unsigned)(long)seed;
    map_anew(0, PAGES);
    store_some(0, PAGES);
    return act(DEPTH, 40) && act(DEPTH, 30) ? 0 : 1;
}

static void trees(long seed, long rounds)
{
    for (long i = 0; i < rounds; i++)
        EXITS(tree, seed + i, 0, "seed %ld: every process sees its own memory", seed + i);
}

/* ---- threads store while one forks ---- */

#define THREADS 3
static volatile int stop;

/* Counts up in the first and the last word of pages of its own; each word must still be what it left there. */
static void *count_up(void *argument)
{
    volatile char *own = window + (long)argument * SPAN;
    long lost = 0;

    for (long round = 1; !stop; round++) {
        for (unsigned p = 0; p < SPAN_PAGES; p += 16) {
            volatile long *first = (volatile long *)(own + p * PAGE), *last = first + PAGE / sizeof(long) - 1;

            lost += *first != round - 1 || *last != round - 1;
            *first = round;
            *last = round;
        }
    }
    return (void *)lost;
}

/* In a child: a moment's picture, in which the last word is never newer than the first. */
static int is_consistent(void)
{
    for (unsigned p = 0; p < SPAN_PAGES * THREADS; p += 16) {
        volatile long *first = (volatile long *)(window + p * PAGE), *last = first + PAGE / sizeof(long) - 1;
        long a = *first, b = *last;

        if (a != b && a != b + 1)
            return 0;
        *first = *last = -1; /* a store that nobody else may see */
    }
    return 1;
}

static void forks_beside_stores(long rounds)
{
    pthread_t threads[THREADS];
    long lost = 0, bad = 0;
    void *result;

    map_anew(0, PAGES);
    stop = 0;
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, count_up, (void *)i);
    for (long i = 0; i < rounds; i++) {
        int status;
        pid_t pid = fork();

        if (pid == 0)
            _exit(is_consistent() ? 0 : 1);
        bad += waitpid(pid, &status, 0) != pid || status != 0;
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &result);
        lost += (long)result;
    }
    IS(lost, 0, "no store of a thread is lost while another forks %ld times", rounds);
    IS(bad, 0, "each child has each word as it was at one moment");
}

/* ---- counters ---- */

static long status_kb(const char *name) { return proc_value("/proc/self/status", name); }

static int child_counts(void *unused UNUSED)
{
    long before = status_kb("RssAnon");

    if (before < (long)(PAGES * PAGE >> 10))
        return 1;
    window[0] = 1;
    if (labs(status_kb("RssAnon") - before) > 64)
        return 2;
    munmap((void *)window, SPAN);
    if (labs(status_kb("RssAnon") - (before - (long)(SPAN >> 10))) > 64)
        return 3;
    munmap((void *)(window + SPAN + SPAN / 2), SPAN); /* half of one, half of another */
    if (labs(status_kb("RssAnon") - (before - 2 * (long)(SPAN >> 10))) > 64)
        return 4;
    madvise((void *)(window + 4 * SPAN), SPAN, MADV_DONTNEED);
    if (labs(status_kb("RssAnon") - (before - 3 * (long)(SPAN >> 10))) > 64)
        return 5;
    return window[4 * SPAN] == 0 && window[5 * SPAN] == '.' ? 0 : 6;
}

static void counters(void)
{
    map_anew(0, PAGES);
    for (unsigned p = 0; p < PAGES; p++)
        window[p * PAGE] = '.';
    EXITS(child_counts, NULL, 0, "a child's resident pages are its parent's, less what it unmaps");
    CHECK(status_kb("RssAnon") >= (long)(PAGES * PAGE >> 10), "the parent's stay");
    EXITS(child_counts, NULL, 0, "the same once more");
}

/* Memory that fork leaves out is left out, its neighbours in the same span are not. */
static int child_sees_wiped(void *unused UNUSED)
{
    unsigned char vec[1];

    for (unsigned p = 0; p < SPAN_PAGES; p++) {
        if (p >= 100 && p < 200) {
            if (mincore((void *)(window + p * PAGE), PAGE, vec) != -1 || errno != ENOMEM)
                return 1;
        } else if (window[p * PAGE] != (p >= 300 && p < 400 ? 0 : 'x')) {
            return 2;
        }
    }
    return window[SPAN] == 'x' ? 0 : 3;
}

static int reads_all(void *unused UNUSED)
{
    for (unsigned p = 0; p < PAGES; p++)
        if (window[p * PAGE] != 'x')
            return 1;
    return 0;
}

static void left_out(void)
{
    map_anew(0, PAGES);
    for (unsigned p = 0; p < PAGES; p++)
        window[p * PAGE] = 'x';
    EXITS(reads_all, NULL, 0, "a first child shares all tables");
    OKAY(madvise((void *)(window + 100 * PAGE), 100 * PAGE, MADV_DONTFORK), "DONTFORK for a part of a span");
    OKAY(madvise((void *)(window + 300 * PAGE), 100 * PAGE, MADV_WIPEONFORK), "WIPEONFORK for another");
    EXITS(child_sees_wiped, NULL, 0, "the child has the one not and the other empty");
}

/* Few pages, to which each child stores: later ones may get copies at once. The first page is the child's own letter,
 * the second the parent's, the third is read-only from the third round on. */
static char *few;

static int child_stores(void *letter)
{
    char mine = *(char *)letter;

    if (few[PAGE] != mine || few[0] != '.' || few[2 * PAGE] != '.')
        return 1;
    few[0] = mine;
    few[PAGE] = 'c';
    if (mine < 'c')
        few[2 * PAGE] = mine;
    return few[0] == mine && few[PAGE] == 'c' ? 0 : 2;
}

static int stores_to_third(void *unused UNUSED)
{
    few[2 * PAGE] = 'x';
    return 0;
}

static void same_stores_again(void)
{
    char letter;

    few = anon(4 * PAGE, PROT_READ | PROT_WRITE);
    memset(few, '.', 4 * PAGE);
    for (letter = 'a'; letter < 'k'; letter++) {
        few[PAGE] = letter;
        if (letter == 'c')
            NEED(mprotect(few + 2 * PAGE, PAGE, PROT_READ));
        EXITS(child_stores, &letter, 0, "child %c has its parent's bytes and keeps its own to itself", letter);
        CHECK(few[0] == '.' && few[PAGE] == letter && few[2 * PAGE] == '.', "so does the parent");
    }
    DIES(stores_to_third, NULL, SIGSEGV, SEGV_ACCERR, few + 2 * PAGE, "what children stored to is read-only since");
}

static void body(void)
{
    long seed = tap_arguments[0] ? atol(tap_arguments[0]) : 1, rounds = 6;
    char *at = anon(PAGES * PAGE + SPAN, PROT_NONE);

    if (seed != 0 && tap_arguments[0] && tap_arguments[1])
        rounds = atol(tap_arguments[1]);
    window = (char *)(((unsigned long)at + SPAN - 1) & -SPAN);
    counters();
    left_out();
    same_stores_again();
    trees(seed, rounds);
    forks_beside_stores(rounds * 20);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
