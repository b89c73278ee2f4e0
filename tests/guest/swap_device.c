/*
 * Swap files: what swapon and swapoff refuse and show; memory full of noise, which no compression makes smaller, goes
 * there and comes back whole, after a fork too, and when the file is taken away while it is in use. The rest of it is
 * for small machines. Sources: swapon(2), mkswap(8), proc(5).
 */
#include "tap.h"

#include <sys/swap.h>

#define SMALL_MACHINE (300UL << 20)
#define WORDS (PAGE / 8)

static size_t memory;

static void fill(uint64_t *at, size_t n, unsigned round)
{
    for (size_t i = 0; i < n * WORDS; i++)
        at[i] = noise(i + round * 0x100000000u);
}

static size_t wrong_words(const uint64_t *at, size_t n, unsigned round)
{
    size_t wrong = 0;

    for (size_t i = 0; i < n * WORDS; i++)
        wrong += at[i] != noise(i + round * 0x100000000u);
    return wrong;
}

/* As mkswap makes it; all of its blocks are there. LAST is what the header says. */
static void make_swap(const char *name, size_t pages, size_t last)
{
    static union {
        char bytes[PAGE];
        uint32_t words[PAGE / 4];
    } page;
    int fd = make_file(name, "", 0);

    NEED(fchmod(fd, 0600));
    memset(&page, 0, sizeof(page));
    for (size_t i = 0; i < pages; i++)
        if (write(fd, &page, PAGE) != PAGE)
            NEED(-1);
    page.words[256] = 1;
    page.words[257] = (uint32_t)last;
    memcpy(page.bytes + PAGE - 10, "SWAPSPACE2", 10);
    NEED(pwrite(fd, &page, PAGE, 0));
    NEED(fsync(fd));
    close(fd);
}

/* The figures of the line of /proc/swaps for NAME: KiB of size and use, priority. */
static int swaps_line(const char *name, long *size, long *used, long *priority)
{
    char *text = slurp("/proc/swaps"), *line = strstr(text, name);
    int found = line != NULL && sscanf(line + strlen(name), "%*s %ld %ld %ld", size, used, priority) == 3;

    free(text);
    return found;
}

static int unprivileged(void *unused UNUSED)
{
    NEED(setuid(1000));
    if (swapon("swap", 0) != -1 || errno != EPERM || swapoff("swap") != -1 || errno != EPERM)
        return 1;
    return 0;
}

static void refusals(void)
{
    int fd;

    make_swap("swap", 64, 63);
    FAILS(swapon("swap", 0x80000), EINVAL, "a flag that does not exist");
    FAILS(swapon("nothing", 0), ENOENT, "no such file");
    CHECK(swapon(".", 0) == -1 && (errno == EINVAL || errno == EISDIR),
          "a directory: swapon(2) says EINVAL, Linux EISDIR");
    FAILS(swapon("/dev/null", 0), EINVAL, "a character device");
    FAILS(swapon((const char *)8, 0), EFAULT, "a bad pointer");
    FAILS(swapoff("swap"), EINVAL, "swapoff of what is not on");
    FAILS(swapoff("nothing"), ENOENT, "swapoff of no file");
    EXITS(unprivileged, NULL, 0, "both need CAP_SYS_ADMIN");
    make_swap("long", 64, 64);
    FAILS(swapon("long", 0), EINVAL, "a header that says more than there is");
    make_swap("empty", 64, 0);
    FAILS(swapon("empty", 0), EINVAL, "a header without pages");
    fd = make_file("holes", "", 0);
    NEED(ftruncate(fd, 64 * PAGE));
    close(fd);
    FAILS(swapon("holes", 0), EINVAL, "no header");
    make_swap("holes", 3, 63);
    NEED(truncate("holes", 64 * PAGE));
    FAILS(swapon("holes", 0), EINVAL, "a file with holes");
    NEED(unlink("holes"));
    NEED(unlink("long"));
    NEED(unlink("empty"));
}

static void on_and_off(void)
{
    long size = 0, used = 0, priority = 0, before = proc_value("/proc/meminfo", "SwapTotal");
    struct sysinfo info;
    int fd;

    OKAY(swapon("swap", SWAP_FLAG_PREFER | 7), "a swap file is turned on");
    CHECK(swaps_line("/swap ", &size, &used, &priority) && size == 63 * 4 && priority == 7,
          "/proc/swaps shows it: %ld KiB, priority %ld", size, priority);
    CHECK(proc_value("/proc/meminfo", "SwapTotal") == before + 63 * 4, "SwapTotal has it");
    NEED(sysinfo(&info));
    CHECK(info.totalswap * info.mem_unit / 1024 == (unsigned long)before + 63 * 4, "sysinfo has it");
    FAILS(swapon("swap", 0), EBUSY, "not twice");
    FAILS(unlink("swap"), EPERM, "it keeps its name");
    fd = open("swap", O_WRONLY);
    CHECK(fd >= 0 ? write(fd, "x", 1) < 0 && errno == ETXTBSY : errno == ETXTBSY, "nobody else writes to it");
    if (fd >= 0)
        close(fd);
    FAILS(truncate("swap", 0), ETXTBSY, "it keeps its length");
    OKAY(swapoff("swap"), "and is turned off");
    CHECK(!swaps_line("/swap ", &size, &used, &priority), "/proc/swaps forgets it");
    make_swap("swap2", 64, 63);
    OKAY(swapon("swap", 0), "without a priority");
    OKAY(swapon("swap2", 0), "and another");
    CHECK(swaps_line("/swap ", &size, &used, &priority) && priority < 0, "the first has priority %ld", priority);
    used = priority;
    CHECK(swaps_line("/swap2 ", &size, &size, &priority) && priority == used - 1, "the second one less");
    OKAY(swapoff("swap"), "off");
    CHECK(swaps_line("/swap2 ", &size, &size, &priority) && priority == used, "who is left moves up to %ld", priority);
    OKAY(swapon("swap", 0), "on again");
    CHECK(swaps_line("/swap ", &size, &size, &priority) && priority == used - 1, "as the second: %ld", priority);
    OKAY(swapoff("swap"), "off");
    OKAY(swapoff("swap2"), "off");
    NEED(unlink("swap"));
    NEED(unlink("swap2"));
}

/* swapoff of what does not fit into memory costs itself its result, or its caller its life, but nobody else's. */
static void off_without_room(void)
{
    long size, used, priority;
    int status;
    pid_t pid = NEED(fork());

    if (pid == 0)
        _exit(swapoff("swap") == -1 && errno == ENOMEM ? 0 : 1);
    NEED(waitpid(pid, &status, 0));
    CHECK(status == 0 || status == SIGKILL, "swapoff of more than fits into memory does not work (status %#x)", status);
    CHECK(swaps_line("/swap ", &size, &used, &priority), "it stays on");
}

/* Half as much noise again as there is memory. */
static void too_much_noise(void)
{
    size_t pages = memory / PAGE * 3 / 2;
    long out = proc_value("/proc/vmstat", "pswpout"), in = proc_value("/proc/vmstat", "pswpin"), size, used, priority;
    uint64_t *at = anon(pages * PAGE, PROT_READ | PROT_WRITE);
    int status;
    pid_t pid;

    fill(at, pages, 1);
    CHECK(wrong_words(at, pages, 1) == 0, "%zu MiB of noise in %zu MiB of memory", pages / 256, memory >> 20);
    CHECK(proc_value("/proc/vmstat", "pswpout") - out > (long)pages / 4, "pages went to the file");
    CHECK(proc_value("/proc/vmstat", "pswpin") - in > (long)pages / 4, "and came back");
    CHECK(proc_value("/proc/self/status", "VmSwap") > (long)pages, "VmSwap: %ld KiB",
          proc_value("/proc/self/status", "VmSwap"));
    CHECK(swaps_line("/swap ", &size, &used, &priority) && used > 0, "/proc/swaps: %ld KiB in use", used);
    pid = NEED(fork());
    if (pid == 0) {
        size_t bad = wrong_words(at, pages / 4, 1);

        fill(at, pages / 8, 2);
        _exit(bad == 0 && wrong_words(at, pages / 8, 2) == 0 ? 0 : 1);
    }
    NEED(waitpid(pid, &status, 0));
    CHECK(status == 0, "a child reads and changes its copies");
    CHECK(wrong_words(at, pages, 1) == 0, "which the parent does not see");
    off_without_room();
    CHECK(wrong_words(at, pages, 1) == 0, "and nothing is lost");
    NEED(munmap(at, pages * PAGE));
    CHECK(swaps_line("/swap ", &size, &used, &priority) && used < 4096, "nothing of it stays in the file: %ld KiB",
          used);
}

/* Three times as much as there is memory, of pages that compress to a third: the store gets large, what is old in it
 * goes to the file. */
static void what_is_old(void)
{
    size_t pages = 3 * memory / PAGE, wrong = 0;
    uint64_t *at = (uint64_t *)NEED(
        (long)mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    long back = proc_value("/proc/vmstat", "zswpwb");

    for (size_t i = 0; i < pages * WORDS; i++)
        at[i] = i % 4 == 0 ? noise(i) : i / WORDS;
    for (size_t i = 0; i < pages * WORDS; i++)
        wrong += at[i] != (i % 4 == 0 ? noise(i) : i / WORDS);
    CHECK(wrong == 0, "%zu MiB that compress to a third", pages / 256);
    if (back >= 0)
        CHECK(proc_value("/proc/vmstat", "zswpwb") > back, "what was old in the store went to the file");
    NEED(munmap(at, pages * PAGE));
}

static void taken_away(void)
{
    size_t pages = memory / PAGE / 3;
    uint64_t *at = anon(pages * PAGE, PROT_READ | PROT_WRITE);

    fill(at, pages, 3);
    OKAY(madvise(at, pages * PAGE, MADV_PAGEOUT), "MADV_PAGEOUT of a third of the memory");
    CHECK(resident_pages() < (long)pages / 2, "it is not resident: %ld pages", resident_pages());
    OKAY(swapoff("swap"), "the file is taken away");
    CHECK(wrong_words(at, pages, 3) == 0, "no byte is lost");
    NEED(munmap(at, pages * PAGE));
}

#define CLUSTER "/proc/sys/vm/page-cluster"
#define AHEAD 512 /* pages */

static int set_cluster(const char *to)
{
    int fd = open(CLUSTER, O_WRONLY), done = fd >= 0 && write(fd, to, strlen(to)) == (ssize_t)strlen(to);

    close(fd);
    return done;
}

/* Noise goes to the file and comes back in no order: what is in the kernel for each page is given back in none, too. */
static void read_back_shuffled(const uint64_t *at)
{
    size_t wrong = 0;

    NEED(set_cluster("0") ? 0 : -1);
    NEED(madvise((void *)at, AHEAD * PAGE, MADV_PAGEOUT));
    for (size_t i = 0; i < AHEAD; i++) {
        size_t word = i * 197 % AHEAD * WORDS;

        wrong += at[word] != noise(word + 77 * 0x100000000u);
    }
    IS(wrong, 0, "it comes back in any order");
}

/* Noise goes to the file and comes back from below; how many pages came with others. */
static long read_back(uint64_t *at, const char *cluster, long *hits)
{
    long before = proc_value("/proc/vmstat", "swap_ra"), hits_before = proc_value("/proc/vmstat", "swap_ra_hit");

    CHECK(set_cluster(cluster), "page-cluster = %s", cluster);
    OKAY(madvise(at, AHEAD * PAGE, MADV_PAGEOUT), "noise is sent away");
    IS(wrong_words(at, AHEAD, 77), 0, "and comes back whole");
    *hits = proc_value("/proc/vmstat", "swap_ra_hit") - hits_before;
    return proc_value("/proc/vmstat", "swap_ra") - before;
}

static void read_ahead(void)
{
    uint64_t *at;
    long came, hits;

    make_swap("ahead", 1200, 1199);
    if (swapon("ahead", 0) != 0) {
        skip("read-ahead", "no swap file here");
        return;
    }
    at = (uint64_t *)anon(AHEAD * PAGE, PROT_READ | PROT_WRITE);
    NEED(madvise(at, AHEAD * PAGE, MADV_NOHUGEPAGE));
    fill(at, AHEAD, 77);
    read_back_shuffled(at);
    came = read_back(at, "3", &hits);
    CHECK(came > AHEAD / 2, "pages come with a neighbour (%ld)", came);
    CHECK(hits > came / 2, "and are asked for then (%ld)", hits);
    IS(read_back(at, "0", &hits), 0, "page-cluster = 0: none does");
    CHECK(set_cluster("3"), "as it was");
    OKAY(swapoff("ahead"), "swapoff");
    IS(wrong_words(at, AHEAD, 77), 0, "no byte is lost");
    munmap(at, AHEAD * PAGE);
    NEED(unlink("ahead"));
}

static void body(void)
{
    struct sysinfo info;

    if (geteuid() != 0) {
        skip("swap files", "only for the superuser");
        return;
    }
    NEED(sysinfo(&info));
    memory = info.totalram * info.mem_unit;
    refusals();
    on_and_off();
    read_ahead();
    if (memory > SMALL_MACHINE) {
        skip("more noise than there is memory", "this machine has too much");
        return;
    }
    make_swap("swap", memory * 2 / PAGE, memory * 2 / PAGE - 1);
    OKAY(swapon("swap", 0), "a swap file of twice the memory");
    too_much_noise();
    what_is_old();
    taken_away();
    NEED(unlink("swap"));
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
