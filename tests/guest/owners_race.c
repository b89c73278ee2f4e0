/*
 * Every page has an owner, who alone says what is in it, and so knows each byte of it at any moment; in one huge page
 * there are pages of all owners. The owners do to single pages all that gives them other contents or another place:
 *
 *     owner 0   page 0 . . . page 4 . . . page 8      store, MADV_DONTNEED, MADV_FREE, mmap over it, mremap and back,
 *     owner 1   . page 1 . . . page 5 . . .           mprotect, holes, pread and pwrite, fork, process_vm_readv, mlock
 *     ...
 *
 * Meddlers do to large ranges what may change no byte: MADV_PAGEOUT, MADV_COLLAPSE, mprotect and back, sync,
 * clear_refs, dropped caches, forks, swapoff, and more memory than there is. A byte that is lost or stale ends the
 * test. And each owner has a file that he cuts and makes longer.
 *
 *     owners_race [DIR] [SECONDS (1.5) [SEED [SWAPDEVICE]]]       each of three parts takes so long
 *
 * Sources: madvise(2), mremap(2), mprotect(2), fallocate(2), process_vm_readv(2), swapon(2).
 */
#include "uffd.h"

#include <setjmp.h>
#include <stdbool.h>
#include <sys/swap.h>
#include <sys/uio.h>

#ifndef MADV_PAGEOUT
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define OWNERS 4
#define PAGES 1024UL /* of an arena: two huge ones */
#define LENGTH (PAGES * PAGE)
#define HUGE (2UL << 20)
#define WORDS 4 /* of each page that are looked at */
#define CUT_PAGES 24UL
#define SMALL_MACHINE (300UL << 20)

enum kind { ANONYMOUS, SHARED_MEMORY, SHARED_FILE, PRIVATE_FILE, KINDS };
static const char *const names[] = {"private memory", "shared memory", "a shared file", "a private file"};

struct arena {
    char *at;
    int file;
    uint64_t stamp[PAGES]; /* what the page's owner has put there; 0: zeros, or what a private file has */
    bool freed[PAGES];     /* MADV_FREE: zeros or that */
};
static struct arena arenas[KINDS];

struct owner {
    unsigned number, state;
    uint64_t stamps;
    char *elsewhere; /* room for a page of each arena */
    const char *deed;
    sigjmp_buf refused;
    volatile int refusal; /* si_code; BUS_ADRERR is told as -BUS_ADRERR */
};
static __thread struct owner *me;
static volatile int stop, wrong, protections_change;
static double seconds = 1.5;
static const char *swap_device;
static size_t memory;

static const size_t places[WORDS] = {0, 1032, 2056, PAGE - 8};

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static unsigned dice(unsigned *state, unsigned sides)
{
    *state = *state * 1103515245u + 12345u;
    return (*state >> 8) % sides;
}

static void complain(const char *what, int kind, unsigned long page, uint64_t got, uint64_t want)
{
    if (!__sync_lock_test_and_set(&wrong, 1))
        diag("%s, after %s: page %lu of %s has %#llx, not %#llx", what, me ? me->deed : "?", page, names[kind],
             (unsigned long long)got, (unsigned long long)want);
}

static uint64_t file_stamp(unsigned long page) { return 0xf11e000000000000ull + page * 16; }

/* ---- loads and stores that may be refused ---- */

static void refuse(int sig, siginfo_t *info, void *context UNUSED)
{
    if (!me)
        _exit(99);
    me->refusal = sig == SIGBUS ? -info->si_code : info->si_code;
    siglongjmp(me->refused, 1);
}

/* 0, or how it was refused. */
static int try_load(volatile uint64_t *at, uint64_t *value)
{
    if (sigsetjmp(me->refused, 0))
        return me->refusal;
    *value = *at;
    return 0;
}

static int try_store(volatile uint64_t *at, uint64_t value)
{
    if (sigsetjmp(me->refused, 0))
        return me->refusal;
    *at = value;
    return 0;
}

/* While meddlers change protections a page may be closed, and the one who should open it be hindered. */
static void open_page(volatile void *at)
{
    sched_yield();
    mprotect((void *)((uintptr_t)at & -PAGE), PAGE, RW);
}

static uint64_t load_word(volatile char *at)
{
    uint64_t value = 0;

    while (try_load((volatile uint64_t *)at, &value) == SEGV_ACCERR && protections_change)
        open_page(at);
    return value;
}

static void store_word(volatile char *at, uint64_t value)
{
    while (try_store((volatile uint64_t *)at, value) == SEGV_ACCERR && protections_change)
        open_page(at);
}

/* ---- a page's contents ---- */

static uint64_t wanted(int kind, unsigned long page, unsigned word, bool freed)
{
    uint64_t stamp = freed ? 0 : arenas[kind].stamp[page];

    if (stamp == 0)
        return kind == PRIVATE_FILE || kind == SHARED_FILE ? file_stamp(page) + word : 0;
    return stamp + word;
}

/* AT is where the page is now. */
static bool check_page(const char *what, int kind, unsigned long page, volatile char *at)
{
    uint64_t first = load_word(at);
    bool freed = arenas[kind].freed[page] && first == 0;

    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t got = i == 0 ? first : load_word(at + places[i]), want = wanted(kind, page, i, freed);

        if (got != want) {
            complain(what, kind, page, got, want);
            return false;
        }
    }
    return true;
}

static void store_page(int kind, unsigned long page, volatile char *at)
{
    uint64_t stamp = (uint64_t)(me->number + 1) << 48 | (++me->stamps << 4);

    if (dice(&me->state, 8) == 0) /* this page will not compress */
        for (size_t i = 0; i < PAGE; i += 8)
            store_word(at + i, noise((uint64_t)(uintptr_t)at + stamp + i));
    for (unsigned i = 0; i < WORDS; i++)
        store_word(at + places[i], stamp + i);
    arenas[kind].stamp[page] = stamp;
    arenas[kind].freed[page] = false;
}

/* ---- an owner's deeds, with one page ---- */

static bool forget(int kind, unsigned long page, char *at)
{
    me->deed = "MADV_DONTNEED";
    if (madvise(at, PAGE, MADV_DONTNEED) == 0 && (kind == ANONYMOUS || kind == PRIVATE_FILE)) {
        arenas[kind].stamp[page] = 0;
        arenas[kind].freed[page] = false;
    }
    return check_page("load", kind, page, at);
}

static bool give_up(int kind, unsigned long page, char *at)
{
    me->deed = "MADV_FREE";
    if (kind == ANONYMOUS && madvise(at, PAGE, MADV_FREE) == 0)
        arenas[kind].freed[page] = true;
    return check_page("load", kind, page, at);
}

static char *map_pages(int kind, unsigned long page, char *at, unsigned long n)
{
    int flags = kind == ANONYMOUS ? MAP_PRIVATE | MAP_ANONYMOUS : kind == PRIVATE_FILE ? MAP_PRIVATE : MAP_SHARED;

    return mmap(at, n * PAGE, RW, flags | MAP_FIXED, arenas[kind].file, kind == ANONYMOUS ? 0 : (off_t)(page * PAGE));
}

static bool map_over(int kind, unsigned long page, char *at)
{
    me->deed = "mmap over it";
    if (map_pages(kind, page, at, 1) != at) {
        complain("mmap", kind, page, (uint64_t)errno, 0);
        return false;
    }
    if (kind == ANONYMOUS || kind == PRIVATE_FILE) {
        arenas[kind].stamp[page] = 0;
        arenas[kind].freed[page] = false;
    }
    return check_page("load", kind, page, at);
}

/* No hole is left, into which another thread's mmap might come. */
static bool move_and_back(int kind, unsigned long page, char *at)
{
    char *there = me->elsewhere + (unsigned)kind * PAGE;
    bool good;

    me->deed = "mremap";
    if (mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, there) != there)
        return true; /* its neighbours may have another protection just now */
    good = check_page("load elsewhere", kind, page, there);
    if (dice(&me->state, 2))
        store_page(kind, page, there);
    while (mremap(there, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, at) != at)
        open_page(there);
    me->deed = "mremap and back";
    return good && check_page("load", kind, page, at);
}

static bool close_and_open(int kind, unsigned long page, char *at)
{
    int closed = dice(&me->state, 2) ? PROT_READ : PROT_NONE, refusal;
    uint64_t value = 0;

    me->deed = "mprotect";
    if (mprotect(at, PAGE, closed))
        return true;
    refusal = closed == PROT_NONE && dice(&me->state, 2) ? try_load((uint64_t *)at, &value)
                                                         : try_store((uint64_t *)at, 0xbad);
    if (refusal != SEGV_ACCERR && !protections_change)
        complain("refusal", kind, page, (uint64_t)refusal, SEGV_ACCERR);
    if (refusal == 0) /* a meddler opened it */
        store_page(kind, page, at);
    mprotect(at, PAGE, RW);
    me->deed = "mprotect and back";
    return check_page("load", kind, page, at);
}

/* By read and write, to what a mapping shows. */
static bool through_file(int kind, unsigned long page, char *at)
{
    uint64_t value = 0;
    unsigned word = dice(&me->state, WORDS);
    off_t place = (off_t)(page * PAGE + places[word]);

    if (kind != SHARED_MEMORY && kind != SHARED_FILE)
        return true;
    me->deed = "pread";
    if (pread(arenas[kind].file, &value, 8, place) != 8 || value != wanted(kind, page, word, false))
        complain("pread", kind, page, value, wanted(kind, page, word, false));
    me->deed = "pwrite";
    store_page(kind, page, at);
    for (word = 0; word < WORDS; word++) {
        value = arenas[kind].stamp[page] + 16 + word;
        if (pwrite(arenas[kind].file, &value, 8, (off_t)(page * PAGE + places[word])) != 8)
            complain("pwrite", kind, page, (uint64_t)errno, 0);
    }
    arenas[kind].stamp[page] += 16;
    me->stamps++;
    return check_page("load", kind, page, at);
}

static bool punch(int kind, unsigned long page, char *at)
{
    me->deed = "a hole";
    if (kind != SHARED_MEMORY ||
        fallocate(arenas[kind].file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(page * PAGE), PAGE))
        return true;
    arenas[kind].stamp[page] = 0;
    return check_page("load", kind, page, at);
}

/* The kernel's ways to another process's memory lead to one's own, too. */
static bool through_kernel(int kind, unsigned long page, char *at)
{
    uint64_t value = 0;
    struct iovec local = {&value, 8}, remote = {at + places[1], 8};

    if (!check_page("load", kind, page, at))
        return false;
    me->deed = "process_vm_readv";
    if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 8 && value != wanted(kind, page, 1, false) &&
        !arenas[kind].freed[page])
        complain("process_vm_readv", kind, page, value, wanted(kind, page, 1, false));
    if (arenas[kind].freed[page])
        return true;
    store_page(kind, page, at);
    me->deed = "process_vm_writev";
    value = wanted(kind, page, 1, false);
    store_word(at + places[1], 0);
    while (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) != 8)
        open_page(at);
    return check_page("load", kind, page, at);
}

static bool advise(int kind, unsigned long page, char *at)
{
    static const int advice[] = {MADV_PAGEOUT, MADV_COLD, MADV_WILLNEED, MADV_POPULATE_READ, MADV_POPULATE_WRITE};

    me->deed = "advice";
    madvise(at, PAGE, advice[dice(&me->state, 5)]);
    if (dice(&me->state, 4) == 0) {
        mlock(at, PAGE);
        munlock(at, PAGE);
    }
    return check_page("load", kind, page, at);
}

/* What the forking owner has is the same in the child, in private memory for good. */
static int child(void)
{
    me->deed = "fork";
    for (int kind = 0; kind < KINDS; kind++)
        for (unsigned long page = me->number; page < PAGES; page += OWNERS * (1 + dice(&me->state, 30))) {
            char *at = arenas[kind].at + page * PAGE;

            if (kind == SHARED_MEMORY || kind == SHARED_FILE)
                continue;
            if (!check_page("load in a child", kind, page, at))
                return 1;
            if (dice(&me->state, 3))
                store_page(kind, page, at);
            if (!check_page("load in a child", kind, page, at))
                return 1;
        }
    return 0;
}

static bool deed(int kind, unsigned long page, char *at, unsigned which);

static bool fork_once(void)
{
    int status = 0;
    pid_t pid = fork();
    bool good = true;

    if (pid == 0)
        _exit(child());
    for (unsigned i = 0; i < 30 && good; i++) { /* meanwhile */
        int kind = (int)dice(&me->state, KINDS);
        unsigned long page = dice(&me->state, PAGES / OWNERS) * OWNERS + me->number;

        good = deed(kind, page, arenas[kind].at + page * PAGE, dice(&me->state, 10));
    }
    if (pid > 0 && waitpid(pid, &status, 0) == pid && status && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
        complain("a child", 0, 0, (uint64_t)status, 0);
    return good;
}

static bool deed(int kind, unsigned long page, char *at, unsigned which)
{
    switch (which) {
    case 0:
        return forget(kind, page, at);
    case 1:
        return give_up(kind, page, at);
    case 2:
        return map_over(kind, page, at);
    case 3:
        return move_and_back(kind, page, at);
    case 4:
        return close_and_open(kind, page, at);
    case 5:
        return through_file(kind, page, at);
    case 6:
        return punch(kind, page, at);
    case 7:
        return through_kernel(kind, page, at);
    case 8:
        return advise(kind, page, at);
    default:
        if (!check_page("load", kind, page, at))
            return false;
        store_page(kind, page, at);
        me->deed = "a store";
        return true;
    }
}

static void own(void)
{
    for (unsigned long n = 0; !stop && !wrong; n++) {
        int kind = (int)dice(&me->state, KINDS);
        unsigned long page = dice(&me->state, PAGES / OWNERS) * OWNERS + me->number;
        unsigned which = dice(&me->state, 40);

        if (n % 400 == 399)
            fork_once();
        else
            deed(kind, page, arenas[kind].at + page * PAGE, which < 30 ? 9 : which - 30);
    }
}

/* ---- a file that is cut ---- */

static struct {
    char *at;
    int file;
    unsigned long pages; /* its length; and bytes more */
    unsigned more;
    uint64_t stamp[CUT_PAGES];
} cut[OWNERS];

static void complain_of_cut(const char *what, unsigned long page, uint64_t got, uint64_t want)
{
    if (!__sync_lock_test_and_set(&wrong, 1))
        diag("%s: page %lu of a file of %lu pages and %u bytes, owner %u: %#llx, not %#llx", what, page,
             cut[me->number].pages, cut[me->number].more, me->number, (unsigned long long)got,
             (unsigned long long)want);
}

/* The first word and the last of a page. */
static void look_at_cut(unsigned long page)
{
    char *at = cut[me->number].at + page * PAGE;
    unsigned long pages = cut[me->number].pages;
    bool is_there = page < pages || (page == pages && cut[me->number].more > 0);
    uint64_t first = 0, last = 0, want = cut[me->number].stamp[page];
    int refusal = try_load((uint64_t *)at, &first);

    if (refusal != (is_there ? 0 : -BUS_ADRERR))
        complain_of_cut("a load's refusal", page, (uint64_t)refusal, is_there ? 0 : (uint64_t)-BUS_ADRERR);
    if (!is_there || refusal)
        return;
    try_load((uint64_t *)(at + PAGE - 8), &last);
    if (first != want)
        complain_of_cut("the first word", page, first, want);
    if (page < pages && last != want)
        complain_of_cut("the last word", page, last, want);
    if (page == pages && last != 0 && last != want) /* past the end: zeros, or what was stored there */
        complain_of_cut("past the end", page, last, 0);
}

static void fill_cut(unsigned long page)
{
    char *at = cut[me->number].at + page * PAGE;
    uint64_t stamp = ++me->stamps << 8 | me->number;

    if (page >= cut[me->number].pages || try_store((uint64_t *)at, stamp) ||
        try_store((uint64_t *)(at + PAGE - 8), stamp))
        return;
    cut[me->number].stamp[page] = stamp;
}

static void change_length(void)
{
    unsigned long pages = dice(&me->state, CUT_PAGES - 1);
    unsigned more = dice(&me->state, 2) ? 8 + dice(&me->state, 2000) : 0;
    unsigned long old = cut[me->number].pages;

    if (ftruncate(cut[me->number].file, (off_t)(pages * PAGE + more))) {
        complain_of_cut("ftruncate", pages, (uint64_t)errno, 0);
        return;
    }
    cut[me->number].pages = pages;
    cut[me->number].more = more;
    for (unsigned long page = pages + (more > 0); page < CUT_PAGES; page++)
        cut[me->number].stamp[page] = 0;
    /* A page that was cut in its midst has a first word, and zeros behind; so that it is like others it is filled when
     * the file covers all of it again. */
    if (pages > old) {
        uint64_t last = 1;

        try_load((uint64_t *)(cut[me->number].at + old * PAGE + PAGE - 8), &last);
        if (last != 0 && last != cut[me->number].stamp[old])
            complain_of_cut("zeros behind an old end", old, last, 0);
        fill_cut(old);
    }
}

static void own_cut(void)
{
    while (!stop && !wrong) {
        unsigned long page = dice(&me->state, CUT_PAGES);
        unsigned which = dice(&me->state, 12);

        if (which == 0)
            change_length();
        else if (which == 1)
            madvise(cut[me->number].at, CUT_PAGES * PAGE, MADV_PAGEOUT);
        else if (which == 2)
            msync(cut[me->number].at + page * PAGE, PAGE, MS_ASYNC);
        else if (which < 6)
            fill_cut(page);
        else
            look_at_cut(page);
    }
}

/* ---- meddlers ---- */

static char *some_pages(unsigned *state, size_t *length)
{
    unsigned long first = dice(state, PAGES), n = 1 + dice(state, dice(state, 2) ? 16 : PAGES);

    *length = (first + n > PAGES ? PAGES - first : n) * PAGE;
    return arenas[dice(state, KINDS)].at + first * PAGE;
}

static void write_to(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, text, strlen(text)) < 0)
        sched_yield();
    if (fd >= 0)
        close(fd);
}

static void read_all(const char *path)
{
    static __thread char buffer[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    while (fd >= 0 && read(fd, buffer, sizeof(buffer)) > 0)
        ;
    if (fd >= 0)
        close(fd);
}

/* Memory comes and goes; on a small machine a fifth of all. */
static void be_greedy(void)
{
    size_t length = memory < SMALL_MACHINE ? memory / 5 : 8 * HUGE;
    char *at = mmap(NULL, length, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (size_t i = 0; at != MAP_FAILED && i < length && !stop; i += 8)
        *(uint64_t *)(at + i) = noise(i);
    if (at != MAP_FAILED)
        munmap(at, length);
}

static void fork_and_go(unsigned *state)
{
    pid_t pid = fork();
    size_t length;

    if (pid == 0) {
        char *at = some_pages(state, &length);

        if (dice(state, 2) && at >= arenas[ANONYMOUS].at && at < arenas[ANONYMOUS].at + LENGTH)
            memset(at, 1, length);
        _exit(0);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
}

static void meddle_once(unsigned *state)
{
    size_t length;
    char *at = some_pages(state, &length);

    switch (dice(state, 16)) {
    case 0:
    case 1:
    case 2:
        madvise(at, length, MADV_PAGEOUT);
        break;
    case 3:
    case 4:
        madvise((char *)((uintptr_t)at & -HUGE), HUGE, MADV_COLLAPSE);
        break;
    case 5:
        madvise(at, length, MADV_COLD);
        break;
    case 6:
        write_to("/proc/self/clear_refs", dice(state, 2) ? "1" : "4");
        break;
    case 7:
        read_all(dice(state, 2) ? "/proc/self/smaps" : "/proc/self/maps");
        break;
    case 8:
        msync(at, length, dice(state, 2) ? MS_SYNC : MS_ASYNC);
        break;
    case 9:
        write_to("/proc/sys/vm/drop_caches", "1");
        break;
    case 10:
        be_greedy();
        break;
    case 11:
        madvise(at, length, MADV_POPULATE_READ);
        break;
    case 12:
        if (swap_device && dice(state, 4) == 0 && swapoff(swap_device) == 0)
            while (swapon(swap_device, 0) && errno == EBUSY)
                ;
        break;
    case 13:
        madvise(at, length, dice(state, 2) ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
        break;
    default:
        fork_and_go(state);
        break;
    }
    if (protections_change && dice(state, 2)) {
        at = some_pages(state, &length);
        mprotect(at, length, dice(state, 2) ? PROT_READ : PROT_NONE);
        mprotect(at, length, RW);
    }
}

static void *meddle(void *seed)
{
    unsigned state = (unsigned)(long)seed * 2654435761u;

    while (!stop && !wrong) {
        meddle_once(&state);
        if (dice(&state, 3) == 0)
            sleep_ms(dice(&state, 4));
    }
    return NULL;
}

/* ---- the parts ---- */

static struct owner owners[OWNERS];
static void (*owners_work)(void);

static void *be_owner(void *owner)
{
    me = owner;
    owners_work();
    return NULL;
}

static void run(const char *name, void (*work)(void), unsigned meddlers)
{
    pthread_t threads[OWNERS + 8];
    double end = now() + seconds;
    unsigned n = 0;

    owners_work = work;
    stop = 0;
    for (unsigned i = 0; i < OWNERS; i++)
        threads[n++] = start(be_owner, &owners[i]);
    for (unsigned i = 0; i < meddlers; i++)
        threads[n++] = start(meddle, (void *)(long)(owners[0].state + i + 1));
    while (now() < end && !wrong)
        sleep_ms(20);
    stop = 1;
    while (n > 0)
        finish(threads[--n]);
    CHECK(!wrong, "%s: every byte is where it belongs", name);
}

static void check_all(void)
{
    stop = 0;
    for (unsigned i = 0; i < OWNERS; i++) {
        me = &owners[i];
        for (int kind = 0; kind < KINDS; kind++)
            for (unsigned long page = i; page < PAGES && !wrong; page += OWNERS)
                check_page("at the end", kind, page, arenas[kind].at + page * PAGE);
    }
    me = NULL;
    CHECK(!wrong, "all of it at the end");
}

/* LENGTH bytes at a multiple of 2 MiB. */
static char *reserve(void)
{
    char *at = anon(LENGTH + HUGE, PROT_NONE), *aligned = (char *)(((uintptr_t)at + HUGE - 1) & -HUGE);

    if (aligned > at)
        munmap(at, (size_t)(aligned - at));
    if (at + HUGE > aligned)
        munmap(aligned + LENGTH, (size_t)(at + HUGE - aligned));
    return aligned;
}

static int make_filled_file(const char *name)
{
    static uint64_t page[PAGE / 8];
    int fd = make_file(name, "", 0);

    for (unsigned long i = 0; i < PAGES; i++) {
        for (unsigned word = 0; word < WORDS; word++)
            page[places[word] / 8] = file_stamp(i) + word;
        NEED(pwrite(fd, page, PAGE, (off_t)(i * PAGE)) - (ssize_t)PAGE);
    }
    return fd;
}

static void set_up(unsigned seed)
{
    arenas[ANONYMOUS].file = -1;
    arenas[SHARED_MEMORY].file = memfd_create("arena", MFD_CLOEXEC);
    arenas[SHARED_FILE].file = make_filled_file("shared");
    arenas[PRIVATE_FILE].file = make_filled_file("private");
    NEED(ftruncate(arenas[SHARED_MEMORY].file, LENGTH));
    for (int kind = 0; kind < KINDS; kind++) {
        arenas[kind].at = reserve();
        NEED(map_pages(kind, 0, arenas[kind].at, PAGES) == MAP_FAILED ? -1 : 0);
    }
    for (unsigned i = 0; i < OWNERS; i++) {
        char name[20];

        owners[i] = (struct owner){.number = i, .state = seed + i, .deed = "nothing"};
        owners[i].elsewhere = anon(KINDS * PAGE, RW);
        snprintf(name, sizeof(name), "cut%u", i);
        cut[i].file = i % 2 ? memfd_create(name, MFD_CLOEXEC) : make_file(name, "", 0);
        cut[i].at = mmap(NULL, CUT_PAGES * PAGE, RW, MAP_SHARED, cut[i].file, 0);
        NEED(cut[i].at == MAP_FAILED ? -1 : 0);
    }
}

static void body(void)
{
    struct sigaction action = {.sa_sigaction = refuse, .sa_flags = SA_SIGINFO | SA_NODEFER};
    unsigned seed = 1;
    struct sysinfo info;

    NEED(sysinfo(&info));
    memory = info.totalram * info.mem_unit;
    if (tap_arguments[0]) {
        seconds = atof(tap_arguments[0]);
        seed = tap_arguments[1] ? (unsigned)strtoul(tap_arguments[1], NULL, 0) : 1;
        swap_device = tap_arguments[1] ? tap_arguments[2] : NULL;
    }
    diag("seed %u", seed);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    set_up(seed);
    run("single pages", own, 2);
    protections_change = 1;
    run("single pages whose protection others change", own, 2);
    protections_change = 0;
    for (int kind = 0; kind < KINDS; kind++)
        mprotect(arenas[kind].at, LENGTH, RW);
    check_all();
    run("files that are cut", own_cut, 1);
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
