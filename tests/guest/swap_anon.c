/*
 * Private memory beyond the machine's: what compresses goes into the compressed store and comes back whole, also when
 * it was shared by fork, protected, moved or unmapped meanwhile. For small machines.
 */
#include "tap.h"

#define SMALL_MACHINE (300UL << 20)
#define WORDS (PAGE / 8)

static size_t memory;

/* Page I of ROUND: mostly one word, a few others in between, so that each compresses to a few dozen bytes. */
static uint64_t word_at(size_t i, size_t w, unsigned round)
{
    return w % 61 == 3 ? i * 0x9e3779b97f4a7c15u + round * 77 + w : i + round;
}

static void fill(uint64_t *at, size_t first, size_t n, unsigned round)
{
    for (size_t i = first; i < first + n; i++)
        for (size_t w = 0; w < WORDS; w++)
            at[i * WORDS + w] = word_at(i, w, round);
}

static size_t wrong_pages(const uint64_t *at, size_t first, size_t n, unsigned round)
{
    size_t wrong = 0;

    for (size_t i = first; i < first + n; i++)
        for (size_t w = 0; w < WORDS; w++)
            if (at[i * WORDS + w] != word_at(i, w, round)) {
                if (wrong++ == 0)
                    diag("page %zu word %zu: %#llx", i, w, (unsigned long long)at[i * WORDS + w]);
                break;
            }
    return wrong;
}

static void four_times(void)
{
    size_t pages = 4 * memory / PAGE;
    uint64_t *at = (uint64_t *)NEED(
        (long)mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));

    fill(at, 0, pages, 1);
    CHECK(wrong_pages(at, 0, pages, 1) == 0, "%zu MiB in a machine of %zu MiB keep every byte", pages / 256,
          memory >> 20);
    fill(at, pages / 2, pages / 2, 2);
    CHECK(wrong_pages(at, 0, pages / 2, 1) == 0 && wrong_pages(at, pages / 2, pages - pages / 2, 2) == 0,
          "and so when half of it is written again");
    NEED(munmap(at, pages * PAGE));
}

static void body(void)
{
    struct sysinfo info;

    NEED(sysinfo(&info));
    memory = info.totalram * info.mem_unit;
    if (memory > SMALL_MACHINE) {
        skip("more than there is memory", "this machine has too much");
        return;
    }
    four_times();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
