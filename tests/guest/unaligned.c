/*
 * Misaligned loads and stores work, of every size, within pages and across them, over copy-on-write and shared pages;
 * where they must fault they do so with the address of the byte that cannot be reached. Source: RISC-V unprivileged
 * specification, 2.6; the Linux ABI (Zicclsm) that Debian's programs are built for.
 */
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)

static char *area;

#define DEFINE_CHECK(type, name)                                                \
    static int name##_works(char *at)                                           \
    {                                                                           \
        type value, back;                                                       \
        int good = 1;                                                           \
        for (size_t offset = 0; offset < 2 * sizeof(type); offset++) {          \
            for (size_t i = 0; i < sizeof(type); i++)                           \
                at[offset + i] = (char)(0x11 * (i + 1) + offset);               \
            memcpy(&value, at + offset, sizeof(type));                          \
            good &= !memcmp(&value, (const void *)(at + offset), sizeof(type)); \
            back = *(volatile type *)(at + offset); /* one load */              \
            good &= !memcmp(&back, &value, sizeof(type));                       \
            *(volatile type *)(at + offset + 1) = back; /* one store */         \
            good &= !memcmp(at + offset + 1, &value, sizeof(type));             \
        }                                                                       \
        return good;                                                            \
    }

DEFINE_CHECK(uint16_t, half)
DEFINE_CHECK(int16_t, signed_half)
DEFINE_CHECK(uint32_t, word)
DEFINE_CHECK(int32_t, signed_word)
DEFINE_CHECK(uint64_t, twice)
DEFINE_CHECK(float, single)
DEFINE_CHECK(double, dual)

static int all_work(char *at)
{
    return half_works(at) && signed_half_works(at) && word_works(at) && signed_word_works(at) && twice_works(at) &&
           single_works(at) && dual_works(at);
}

static int store_across(void *at)
{
    *(volatile uint64_t *)at = 0x1122334455667788;
    return *(volatile uint64_t *)at == 0x1122334455667788 ? 0 : 1;
}

static int load_across(void *at) { return *(volatile uint64_t *)at == 1; }

static void body(void)
{
    uint64_t sign;
    char back[8];
    int fd;

    area = anon(4 * PAGE, RW);
    CHECK(all_work(area + 64), "every size at every offset");
    CHECK(all_work(area + PAGE - 8), "across pages");
    NEED(madvise(area, 4 * PAGE, MADV_DONTNEED));
    CHECK(all_work(area + 2 * PAGE - 8), "across pages never touched before");
    *(volatile int16_t *)(area + 101) = -2;
    sign = (uint64_t)(int64_t) * (volatile int16_t *)(area + 101);
    IS(sign, -2, "a misaligned signed half is extended");
    *(volatile int32_t *)(area + 101) = -3;
    sign = (uint64_t)(int64_t) * (volatile int32_t *)(area + 101);
    IS(sign, -3, "and a word");

    memset(area, 's', 4 * PAGE);
    EXITS(store_across, area + PAGE - 3, 0, "a store across two copy-on-write pages");
    CHECK(area[PAGE - 3] == 's' && area[PAGE + 4] == 's', "which leaves the parent's alone");

    fd = make_file("file", "", 0);
    NEED(ftruncate(fd, 2 * PAGE));
    char *shared = (char *)NEED((long)mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0));
    EXITS(store_across, shared + PAGE - 5, 0, "a store across two pages of a shared file");
    IS(pread(fd, back, 8, PAGE - 5), 8, "is in the file");
    CHECK(!memcmp(back, "\x88\x77\x66\x55\x44\x33\x22\x11", 8), "byte for byte");
    NEED(munmap(shared, 2 * PAGE));
    close(fd);

    NEED(munmap(area + PAGE, PAGE));
    struct ending end = in_child(load_across, area + PAGE - 3);
    CHECK(end.signal == SIGSEGV && end.code == SEGV_MAPERR &&
              (end.address == (uintptr_t)area + PAGE || end.address == (uintptr_t)area + PAGE - 3),
          "a load that runs into nothing is SEGV_MAPERR");
    end = in_child(store_across, area + PAGE - 3);
    CHECK(end.signal == SIGSEGV && end.code == SEGV_MAPERR, "and a store");
    NEED(mprotect(area + 3 * PAGE, PAGE, PROT_READ));
    end = in_child(store_across, area + 3 * PAGE - 1);
    CHECK(end.signal == SIGSEGV && end.code == SEGV_ACCERR, "a store that runs into a protected page is SEGV_ACCERR");
    IS(area[3 * PAGE - 1], 's', "and changes nothing");
    NEED(munmap(area, 4 * PAGE));
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
