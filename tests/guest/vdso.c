/*
 * The vDSO (vdso(7)): a shared object with the symbols that libcs look up, clocks that agree with the kernel's, and
 * the signal trampoline.
 */
#include "tap.h"
#include <elf.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/time.h>

typedef int clock_fn(clockid_t clock, struct timespec *time);
typedef int timeofday_fn(struct timeval *time, void *zone);
typedef int getcpu_fn(unsigned *cpu, unsigned *node, void *unused);

static const Elf64_Ehdr *header;
static const char *strings;
static const Elf64_Sym *symbols;
static const uint32_t *hash; /* buckets, chains */
static uint64_t bias;

static void find_tables(void)
{
    const Elf64_Phdr *segment = (const void *)((const char *)header + header->e_phoff);
    const Elf64_Dyn *dynamic = NULL;

    for (int i = 0; i < header->e_phnum; i++) {
        if (segment[i].p_type == PT_LOAD)
            bias = (uint64_t)header + segment[i].p_offset - segment[i].p_vaddr;
        if (segment[i].p_type == PT_DYNAMIC)
            dynamic = (const void *)((const char *)header + segment[i].p_offset);
    }
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        const void *at = (const void *)(bias + dynamic->d_un.d_ptr);

        if (dynamic->d_tag == DT_STRTAB)
            strings = at;
        if (dynamic->d_tag == DT_SYMTAB)
            symbols = at;
        if (dynamic->d_tag == DT_HASH)
            hash = at;
    }
}

static void *find(const char *name)
{
    for (uint32_t i = 1; hash && symbols && strings && i < hash[1]; i++)
        if (symbols[i].st_shndx != SHN_UNDEF && !strcmp(strings + symbols[i].st_name, name))
            return (void *)(bias + symbols[i].st_value);
    return NULL;
}

static int64_t ns(const struct timespec *t) { return t->tv_sec * 1000000000LL + t->tv_nsec; }

static void shape(void)
{
    header = (const void *)getauxval(AT_SYSINFO_EHDR);
    CHECK(header != NULL, "AT_SYSINFO_EHDR");
    if (!header)
        return;
    CHECK(!memcmp(header->e_ident, ELFMAG, SELFMAG) && header->e_type == ET_DYN, "it is a shared object");
    find_tables();
    CHECK(symbols && strings && hash, "with a table of symbols");
}

static void trampoline(void)
{
    const uint16_t *code = find("__vdso_rt_sigreturn");
    const uint16_t want[] = {0x0893, 0x08b0, 0x0073, 0x0000}; /* li a7, 139; ecall */

    CHECK(code && !memcmp(code, want, sizeof(want)), "__vdso_rt_sigreturn is what debuggers look for");
}

static void clocks(void)
{
    static const clockid_t ids[] = {CLOCK_REALTIME, CLOCK_MONOTONIC,          CLOCK_MONOTONIC_RAW,
                                    CLOCK_BOOTTIME, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
    clock_fn *get = (clock_fn *)find("__vdso_clock_gettime"), *resolution = (clock_fn *)find("__vdso_clock_getres");
    timeofday_fn *timeofday = (timeofday_fn *)find("__vdso_gettimeofday");
    struct timespec before, between, after;
    struct timeval tv;

    CHECK(get && resolution && timeofday, "the clocks' functions are there");
    if (!get || !resolution || !timeofday)
        return;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        int failed = syscall(SYS_clock_gettime, ids[i], &before) || get(ids[i], &between) ||
                     syscall(SYS_clock_gettime, ids[i], &after);

        CHECK(!failed && ns(&before) <= ns(&between) && ns(&between) <= ns(&after),
              "clock %d lies between two system calls", (int)ids[i]);
    }
    IS(get(99, &between), -EINVAL, "no such clock");
    IS(resolution(CLOCK_MONOTONIC, &between), 0, "clock_getres");
    CHECK(between.tv_sec == 0 && between.tv_nsec > 0 && between.tv_nsec <= 1000000, "of a millisecond or better");
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &before);
    timeofday(&tv, NULL);
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &after);
    CHECK(tv.tv_sec * 1000000LL + tv.tv_usec >= ns(&before) / 1000 &&
              tv.tv_sec * 1000000LL + tv.tv_usec <= ns(&after) / 1000,
          "gettimeofday");
}

static void *watch(void *out)
{
    clock_fn *get = (clock_fn *)find("__vdso_clock_gettime");
    struct timespec t;
    int64_t last = 0;

    for (int i = 0; i < 200000; i++) {
        get(CLOCK_MONOTONIC, &t);
        if (ns(&t) < last)
            *(int *)out = 1;
        last = ns(&t);
    }
    return NULL;
}

static void monotonic(void)
{
    pthread_t threads[3];
    int backwards = 0;

    if (!find("__vdso_clock_gettime"))
        return;
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, watch, &backwards);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    CHECK(!backwards, "the monotonic clock never steps back");
}

static void others(void)
{
    getcpu_fn *getcpu_here = (getcpu_fn *)find("__vdso_getcpu");
    unsigned cpu = 999, node = 999;

    CHECK(getcpu_here && getcpu_here(&cpu, &node, NULL) == 0 && cpu < 64 && node == 0, "getcpu");
    CHECK(find("__vdso_flush_icache") != NULL, "flush_icache is there");
}

static void body(void)
{
    shape();
    if (!header)
        return;
    trampoline();
    clocks();
    monotonic();
    others();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
