/*
 * What is freed in the compressed store is free memory again, wherever it lay: of pages of all sizes four fifths go, at
 * random, and memory for other things comes out of the holes that they leave. What stays keeps its bytes, also when it
 * is read, written, shared and sent away while the store is put in order. For small machines with Quire's store.
 */
#include "tap.h"

#include <pthread.h>

#define SMALL_MACHINE (300UL << 20)
#define WORDS (PAGE / 8)

static size_t memory;
static uint64_t seed = 17;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* Page I of ROUND begins with noise, 1/10 to 6/10 of it, so that it compresses to no more than that. */
static uint64_t word_at(size_t i, size_t w, unsigned round)
{
    return w < WORDS / 10 + noise(i + round) % (WORDS / 2) ? noise(i * WORDS + w + round) : i;
}

static void fill_page(uint64_t *at, size_t i, unsigned round)
{
    for (size_t w = 0; w < WORDS; w++)
        at[i * WORDS + w] = word_at(i, w, round);
}

static int is_whole(const uint64_t *at, size_t i, unsigned round)
{
    for (size_t w = 0; w < WORDS; w++)
        if (at[i * WORDS + w] != word_at(i, w, round))
            return 0;
    return 1;
}

/* Pages that the store takes, and what is in it. */
static long store_pages(void) { return proc_value("/proc/meminfo", "Zswap") / 4; }
static long stored(void) { return proc_value("/proc/meminfo", "Zswapped") / 4; }

/* N pages that were filled and sent away. */
static uint64_t *paged_out(size_t n)
{
    uint64_t *at = anon(n * PAGE, PROT_READ | PROT_WRITE);

    NEED(madvise(at, n * PAGE, MADV_NOHUGEPAGE));
    for (size_t i = 0; i < n; i++) {
        fill_page(at, i, 0);
        if (i % 512 == 511)
            NEED(madvise(at + (i - 511) * WORDS, 512 * PAGE, MADV_PAGEOUT));
    }
    NEED(madvise(at, n * PAGE, MADV_PAGEOUT));
    return at;
}

static void give_back(uint64_t *at, size_t n, unsigned char *kept)
{
    for (size_t i = 0; i < n; i++) {
        kept[i] = next_random() % 5 == 0;
        if (!kept[i])
            NEED(madvise(at + i * WORDS, PAGE, MADV_DONTNEED));
    }
}

/* Memory runs short: more than what is free is filled with one word a page, which costs the store nothing. */
static void use_memory(void)
{
    size_t n = memory / PAGE;
    uint64_t *at = anon(n * PAGE, PROT_READ | PROT_WRITE);

    NEED(madvise(at, n * PAGE, MADV_NOHUGEPAGE));
    for (size_t i = 0; i < n; i++)
        memset(at + i * WORDS, (int)i | 1, PAGE);
    NEED(munmap(at, n * PAGE));
}

static void holes(void)
{
    size_t n = memory / PAGE, left = 0, wrong = 0;
    unsigned char *kept = malloc(n);
    long base = store_pages(), full, freed, needed, packed;
    uint64_t *at = paged_out(n);

    full = store_pages() - base;
    give_back(at, n, kept);
    freed = store_pages() - base;
    use_memory();
    packed = store_pages() - base;
    for (size_t i = 0; i < n; i++)
        left += kept[i];
    needed = (long)(full * left / n);
    diag("%zu pages take %ld, %ld when %zu are left, %ld when memory ran short; stored: %ld", n, full, freed, left,
         packed, stored());
    CHECK(packed < needed + needed / 4, "%ld pages of memory hold what would fit %ld", packed, needed);
    for (size_t i = 0; i < n; i++)
        wrong += kept[i] && !is_whole(at, i, 0);
    IS(wrong, 0, "every byte that stayed is there");
    NEED(munmap(at, n * PAGE));
    free(kept);
}

/* ---- used meanwhile ---- */

#define THREADS 3
static uint64_t *raced_at;
static size_t n_raced;
static volatile int stop;

/* Pages I, I + THREADS ... are one thread's: it looks at one, and writes it anew or gives it up. */
static void *use_own(void *argument)
{
    size_t first = (size_t)argument, wrong = 0;
    uint64_t random = first + 1;
    unsigned *round = calloc(n_raced, sizeof(*round)); /* 0: zeros */

    while (!stop) {
        size_t i;

        random = noise(random + 1);
        i = first + random % (n_raced / THREADS) * THREADS;
        wrong += round[i] != 0 ? !is_whole(raced_at, i, round[i]) : raced_at[i * WORDS + 7] != 0;
        if (random >> 60 < 6) {
            round[i] = 0;
            madvise(raced_at + i * WORDS, PAGE, MADV_DONTNEED);
        } else {
            fill_page(raced_at, i, ++round[i]);
        }
    }
    free(round);
    return (void *)wrong;
}

static uint64_t sum_of(const uint64_t *at, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum = noise(sum + at[i * WORDS + WORDS / 3]);
    return sum;
}

/* A child's copies, whose slots are its parent's, too. */
static int stays(void *argument)
{
    uint64_t before = sum_of(raced_at, 1000);

    (void)argument;
    use_memory();
    return sum_of(raced_at, 1000) != before;
}

static void raced(void)
{
    pthread_t threads[THREADS];
    size_t wrong = 0;
    void *result;

    n_raced = memory / PAGE * 3 / 4;
    raced_at = anon(n_raced * PAGE, PROT_READ | PROT_WRITE);
    NEED(madvise(raced_at, n_raced * PAGE, MADV_NOHUGEPAGE));
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, use_own, (void *)i);
    for (int i = 0; i < 4; i++) {
        use_memory();
        wrong += in_child(stays, NULL).status != 0;
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &result);
        wrong += (size_t)result;
    }
    IS(wrong, 0, "pages keep their bytes while others go and the store is put in order");
    NEED(munmap(raced_at, n_raced * PAGE));
}

static void body(void)
{
    struct sysinfo info;

    NEED(sysinfo(&info));
    memory = info.totalram * info.mem_unit;
    if (access("/proc/quire", R_OK) || memory > SMALL_MACHINE) {
        skip("holes in the compressed store", "for a small machine with Quire's store");
        return;
    }
    holes();
    raced();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
