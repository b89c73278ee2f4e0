/* User traps: stores that open their page and are logged, without an entry into the program (VMTRAP_LOG). */
#include "vmtrap.h"

#define PAGES 64UL

static char *pool;
static struct vmtrap_log *ring;
static uint32_t entries;
static long number;

static void store(unsigned long page) { *(volatile char *)(pool + page * PAGE) = 1; }

/* The number of the next logged page; -1: there is none. */
static long next_page(void)
{
    uint64_t *entry = &VMTRAP_ENTRIES(ring)[ring->tail % entries];
    uint64_t at;

    if (__atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) == ring->tail)
        return -1;
    while ((at = __atomic_exchange_n(entry, 0, __ATOMIC_ACQ_REL)) == 0)
        sched_yield();
    __atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
    return (long)(at - (uintptr_t)pool) / (long)PAGE;
}

static void new_pool(uint32_t size, uint64_t also)
{
    pool = anon(PAGES * PAGE, RW);
    memset(pool, 7, PAGES * PAGE);
    entries = size;
    ring = anon(VMTRAP_LOG_SIZE(size), RW);
    number = OKAY(syscall(VMTRAP_LOG, 0, ring, size), "a log is opened");
    NEED(syscall(VMTRAP_ARM, pool, PAGES * PAGE, VMTRAP_LOGGED(number) | also));
    NEED(mprotect(pool, PAGES * PAGE, PROT_READ));
}

static void drop_pool(void)
{
    NEED(syscall(VMTRAP_LOG, number, 0, 0));
    munmap(pool, PAGES * PAGE);
    munmap(ring, VMTRAP_LOG_SIZE(entries));
}

static void logging(const char *by, uint64_t also)
{
    int in_order = 1;

    new_pool(64, also);
    IS(next_page(), -1, "%s: the log is empty", by);
    store(5);
    store(5);
    store(9);
    IS(next_page(), 5, "%s: a page is logged", by);
    IS(next_page(), 9, "%s: and the next", by);
    IS(next_page(), -1, "%s: once each", by);
    for (int round = 0; round < 20; round++) {
        mprotect(pool, PAGES * PAGE, PROT_READ);
        for (unsigned long i = 0; i < PAGES; i++)
            store((i * 7 + (unsigned long)round) % PAGES);
        for (unsigned long i = 0; i < PAGES; i++)
            in_order &= next_page() == (long)((i * 7 + (unsigned long)round) % PAGES);
    }
    CHECK(in_order && next_page() == -1, "%s: in order, around and around", by);
    drop_pool();
}

static int store_beyond(void *unused UNUSED)
{
    for (unsigned long i = 0; i < 6; i++)
        store(i);
    return 0;
}

static int load_nothing(void *unused UNUSED)
{
    mprotect(pool, PAGE, PROT_NONE);
    return *(volatile char *)pool;
}

static void full(void)
{
    new_pool(4, 0);
    DIES(store_beyond, NULL, SIGSEGV, SEGV_ACCERR, pool + 4 * PAGE,
         "a store that a full log has no room for is a fault");
    DIES(load_nothing, NULL, SIGSEGV, SEGV_ACCERR, pool, "and so is a load");
    drop_pool();
    trap_register(trap_open);
    new_pool(4, VMTRAP_FAULTS);
    trap_count = 0;
    store_beyond(NULL);
    IS(trap_count, 2, "or the handler's");
    for (long i = 0; i < 4; i++)
        IS(next_page(), i, "what was logged is there");
    store(20);
    IS(trap_count, 2, "and when there is room again");
    IS(next_page(), 20, "stores are logged");
    *(volatile char *)pool;
    mprotect(pool, PAGE, PROT_NONE);
    *(volatile char *)pool;
    IS(trap_count, 3, "a load is the handler's");
    drop_pool();
}

static void of_others(void)
{
    int status;

    new_pool(64, 0);
    if (fork() == 0) {
        store(3);
        _exit(next_page() == 3 && next_page() == -1 ? 7 : 8);
    }
    wait(&status);
    IS(WEXITSTATUS(status), 7, "a child logs in its own ring");
    IS(next_page(), -1, "and not in its parent's");
    store(3);
    IS(next_page(), 3, "the parent still does");
    drop_pool();
}

static int damaged(void *how)
{
    switch ((int)(intptr_t)how) {
    case 0:
        ring->head = 0x80000000;
        ring->tail = 0x7fffffff;
        break;
    case 1:
        munmap(ring, PAGE);
        break;
    case 2:
        mprotect(ring, PAGE, PROT_READ);
        break;
    case 3:
        mprotect(ring, PAGE, PROT_READ | PROT_EXEC);
        break;
    case 4:
        ring->tail = 12345;
        break;
    case 5:
        syscall(VMTRAP_LOG, number, 0, 0);
        break;
    }
    store(1);
    return 3;
}

static void damaged_rings(void)
{
    new_pool(64, 0);
    EXITS(damaged, 0, 3, "a head that the program has changed goes round");
    for (intptr_t how = 1; how < 6; how++)
        DIES(damaged, how, SIGSEGV, SEGV_ACCERR, pool + PAGE, "a ring that is gone, full or closed makes faults (%d)",
             (int)how);
    drop_pool();
}

static void *in_thread(void *index)
{
    unsigned long mine = (unsigned long)(uintptr_t)index * 16;

    trap_register(trap_open);
    for (int round = 0; round < 100; round++)
        for (unsigned long i = 0; i < 16; i++) {
            store(mine + i);
            mprotect(pool + (mine + i) * PAGE, PAGE, PROT_READ);
        }
    trap_unregister();
    return NULL;
}

static void threads(void)
{
    long count[PAGES] = {0}, total = 0, page;
    pthread_t thread[4];
    int right = 1;

    trap_register(trap_open);
    new_pool(16384, VMTRAP_FAULTS);
    trap_count = 0;
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, in_thread, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    while ((page = next_page()) >= 0) {
        count[page]++;
        total++;
    }
    for (unsigned long i = 0; i < PAGES; i++)
        right &= count[i] == 100;
    IS(total + trap_count, 6400, "threads log side by side");
    CHECK(right, "each page as often as it was opened");
    drop_pool();
}

static void errors(void)
{
    ring = anon(2 * PAGE, RW);
    FAILS(syscall(VMTRAP_LOG, 0, ring, 3), EINVAL, "a ring's size is a power of two");
    FAILS(syscall(VMTRAP_LOG, 0, ring, 1UL << 21), EINVAL, "and not too large");
    FAILS(syscall(VMTRAP_LOG, 0, (char *)ring + 8, 4), EINVAL, "it is aligned");
    FAILS(syscall(VMTRAP_LOG, 0, 0x8000, 4), EFAULT, "and there");
    FAILS(syscall(VMTRAP_LOG, 0, -4096L, 4), EFAULT, "in user memory");
    FAILS(syscall(VMTRAP_LOG, 1, 0, 0), EBADF, "a log is closed that is open");
    FAILS(syscall(VMTRAP_LOG, 99, 0, 0), EBADF, "and exists");
    FAILS(syscall(VMTRAP_LOG, 2, ring, 4), EINVAL, "a new one has no number yet");
    FAILS(syscall(VMTRAP_ARM, ring, PAGE, VMTRAP_LOGGED(3)), EBADF, "ranges are armed for logs that are open");
    for (long i = 1; i <= VMTRAP_LOGS; i++)
        IS(syscall(VMTRAP_LOG, 0, ring, 4), i, "log %ld", i);
    FAILS(syscall(VMTRAP_LOG, 0, ring, 4), EMFILE, "there are no more");
    for (long i = 1; i <= VMTRAP_LOGS; i++)
        syscall(VMTRAP_LOG, i, 0, 0);
    munmap(ring, 2 * PAGE);
}

static void vmtrap_test(void)
{
    logging("no handler", 0);
    trap_register(trap_open);
    logging("with a handler", VMTRAP_FAULTS);
    IS(trap_count, 0, "which is not entered");
    trap_unregister();
    full();
    of_others();
    trap_unregister();
    damaged_rings();
    threads();
    errors();
}

int main(int argc, char **argv) { return tap_main(argc, argv, vmtrap_body); }
