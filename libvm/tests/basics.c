/*
 * The primitives one by one: memory with one and two views, traps and what a handler may do, protections, threads.
 */
#include "tap.h"
#include "vm.h"

#include <pthread.h>
#include <stdatomic.h>
#include <setjmp.h>

#define RW (PROT_READ | PROT_WRITE)
#ifdef __SANITIZE_THREAD__ /* it has places of its own for memory, between which a terabyte is not always free */
#define MUCH (1UL << 34)
#else
#define MUCH (1UL << 40)
#endif

static size_t page;

/* --- Memory ----------------------------------------------------------------------------------------------------------
 */

static void test_memory(void)
{
    char *at, *view1, *view2;
    void *first, *second;

    CHECK(page >= 4096 && (page & (page - 1)) == 0, "a page is a power of two");
    CHECK(strcmp(vm_backend(), "signals") == 0 || strcmp(vm_backend(), "quire") == 0, "the way: %s", vm_backend());
    at = vm_alloc(10 * page, RW);
    CHECK(at != NULL, "vm_alloc");
    at[3 * page] = 7;
    IS(at[page], 0, "fresh memory is zero");
    OKAY(vm_discard(at + 3 * page, page), "vm_discard");
    IS(at[3 * page], 0, "what was discarded is zero");
    OKAY(vm_free(at, 10 * page), "vm_free");
    CHECK(vm_alloc(0, RW) == NULL && errno == EINVAL, "nothing cannot be allocated");
    FAILS(vm_free(at + 1, page), EINVAL, "only whole pages are freed");
    at = vm_alloc(MUCH, PROT_NONE);
    CHECK(at != NULL, "far more addresses than memory");
    vm_free(at, MUCH);

    OKAY(vm_map2(4 * page, RW, &first, PROT_READ, &second), "vm_map2");
    view1 = first;
    view2 = second;
    view1[2 * page] = 42;
    IS(view2[2 * page], 42, "both views are the same memory");
    OKAY(vm_protect(view1, page, PROT_NONE), "one view is closed");
    IS(view2[0], 0, "the other is not");
    OKAY(vm_discard(view1, 4 * page), "both views are discarded");
    IS(view2[2 * page], 0, "and are zero");
    vm_free(view1, 4 * page);
    vm_free(view2, 4 * page);
}

static void test_file(void)
{
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    void *first, *second;
    char byte = 0;

    CHECK(ftruncate(fd, 2 * page) == 0, "a file of two pages");
    OKAY(vm_map_file2(fd, page, page, PROT_NONE, &first, RW, &second), "vm_map_file2 of the second");
    ((char *)second)[5] = 'x';
    IS(pread(fd, &byte, 1, page + 5), 1, "the file is read");
    IS(byte, 'x', "the store reached it");
    FAILS(vm_map_file2(fd, 1, page, RW, &first, RW, &second), EINVAL, "an odd offset");
    FAILS(vm_map_file2(-1, 0, page, RW, &first, RW, &second), EBADF, "no file");
    vm_free(first, page);
    vm_free(second, page);
    close(fd);
}

/* --- Traps -----------------------------------------------------------------------------------------------------------
 */

struct seen {
    struct vm_fault fault;
    int count, prot;
};

static void open_page(struct vm_fault *fault, void *argument)
{
    struct seen *seen = argument;

    seen->fault = *fault;
    seen->count++;
    errno = ENOTTY;
    vm_fault_protect(fault, (void *)((uintptr_t)fault->address & -page), page, seen->prot);
}

static void test_trap(void)
{
    char *at = vm_alloc(8 * page, PROT_NONE);
    struct seen seen = {.prot = PROT_READ};

    OKAY(vm_trap(at, 8 * page, open_page, &seen), "vm_trap");
    errno = 0;
    IS(*(volatile char *)(at + page + 3), 0, "a load from a closed page");
    IS(errno, 0, "errno is kept");
    IS(seen.count, 1, "one trap");
    CHECK(seen.fault.address == at + page + 3, "the exact address");
    IS(seen.fault.access, VM_READ, "it was a load");
    IS(seen.fault.cause, VM_PROTECTION, "forbidden by protection");
    seen.prot = RW;
    *(volatile char *)(at + page + 3) = 5;
    IS(seen.count, 2, "a store to a page that can be read");
    IS(seen.fault.access, VM_WRITE, "it was a store");
    IS(at[page + 3], 5, "it was done");
    IS(seen.count, 2, "no trap on open pages");
    __atomic_fetch_add((int *)(at + 2 * page), 3, __ATOMIC_SEQ_CST);
    IS(*(int *)(at + 2 * page), 3, "an atomic operation");
    IS(seen.fault.access, VM_WRITE, "counts as a store");
    *(volatile double *)(at + 3 * page) = 1.5;
    IS(seen.fault.access, VM_WRITE, "of a floating-point register");
    vm_protect(at, 8 * page, PROT_NONE);
    CHECK(*(volatile double *)(at + 3 * page) == 1.5, "and loaded");
    IS(seen.fault.access, VM_READ, "is a load");
    IS(seen.count, 5, "five traps in all");

    FAILS(vm_trap(at + 1, page, open_page, &seen), EINVAL, "not a page's begin");
    FAILS(vm_trap(at, page, NULL, &seen), EINVAL, "no handler");
    FAILS(vm_protect(at, page, 64), EINVAL, "no protection");
    OKAY(vm_untrap(at, 8 * page), "vm_untrap");
    vm_free(at, 8 * page);
}

static int other_count;

static void count_and_open(struct vm_fault *fault, void *argument)
{
    other_count++;
    vm_protect((void *)((uintptr_t)fault->address & -page), page, argument ? RW : PROT_READ);
}

static void test_ranges(void)
{
    char *at = vm_alloc(9 * page, PROT_NONE);
    struct seen seen = {.prot = RW};

    vm_trap(at, 9 * page, open_page, &seen);
    OKAY(vm_trap(at + 3 * page, 3 * page, count_and_open, at), "another handler amid a range");
    other_count = 0;
    for (int i = 0; i < 9; i++)
        at[i * page] = 1;
    IS(seen.count, 6, "the pages around it have the first handler");
    IS(other_count, 3, "those within the second");
    vm_free(at, 9 * page);
    at = vm_alloc(9 * page, PROT_NONE);
    IS(seen.count, 6, "vm_free takes traps along");
    vm_free(at, 9 * page);
}

static void step_over(struct vm_fault *fault, void *argument)
{
    (*(volatile int *)argument)++;
    fault->pc = (char *)fault->pc + vm_fault_length(fault);
}

static void answer(struct vm_fault *fault, void *argument)
{
    (void)argument;
    vm_fault_set_register(fault, 10, 1234);
    vm_fault_set_register(fault, 0, 99);
    fault->pc = (char *)fault->pc + vm_fault_length(fault);
}

static void test_registers(void)
{
#ifdef __riscv
    char *at = vm_alloc(page, PROT_NONE);
    register char *a0 __asm__("a0");
    volatile int count = 0; /* the compiler does not know that a load calls a function */

    vm_trap(at, page, step_over, (void *)&count);
    *(volatile char *)at = 1;
    (void)*(volatile long *)at;
    IS(count, 2, "a handler steps over instructions");
    vm_trap(at, page, answer, NULL);
    a0 = at;
    __asm__ volatile("lw a0, 0(a0)" : "+r"(a0)::"memory");
    at = a0;
    IS((long)at, 1234, "a handler answers in the instruction's place");
#else
    (void)step_over, (void)answer;
    skip("registers", "not RISC-V");
#endif
}

static sigjmp_buf back;

static void jump(struct vm_fault *fault, void *argument)
{
    (void)argument;
    vm_fault_protect(fault, (void *)((uintptr_t)fault->address & -page), page, RW);
    vm_leave_handler();
    siglongjmp(back, 1);
}

static void test_longjmp(void)
{
    static char *volatile at;
    static volatile int jumps;

    at = vm_alloc(page, PROT_NONE);
    vm_trap(at, page, jump, NULL);
    jumps = 0;
    for (volatile int i = 0; i < 50; i++) {
        if (sigsetjmp(back, 0) == 0)
            *at = 1;
        else
            jumps++;
    }
    IS(jumps, 50, "longjmp out of handlers, and changes are dropped");
    vm_free(at, page);
}

static void too_many(struct vm_fault *fault, void *argument)
{
    char *at = argument;
    int result = 0;

    for (int i = 0; i < VM_FAULT_RANGES; i++)
        result |= vm_fault_protect(fault, at + i * page, page, RW);
    result |= vm_fault_protect(fault, at, page, RW) != -1 || errno != ENOSPC;
    other_count = result;
}

static void test_changes(void)
{
    char *at = vm_alloc(VM_FAULT_RANGES * page, PROT_NONE);

    other_count = 1;
    vm_trap(at, VM_FAULT_RANGES * page, too_many, at);
    for (int i = 0; i < VM_FAULT_RANGES; i++)
        at[i * page] = 1;
    IS(other_count, 0, "as many changes as there may be, and ENOSPC beyond");
    vm_free(at, VM_FAULT_RANGES * page);
}

static void test_vector(void)
{
    enum { RANGES = 40 };
    struct vm_range ranges[RANGES];
    char *at = vm_alloc(2 * RANGES * page, RW);
    struct seen seen = {.prot = RW};

    vm_trap(at, 2 * RANGES * page, open_page, &seen);
    for (int i = 0; i < RANGES; i++)
        ranges[i] = (struct vm_range){at + 2 * i * page, page, PROT_NONE};
    OKAY(vm_protect_ranges(ranges, RANGES), "vm_protect_ranges");
    for (int i = 0; i < 2 * RANGES; i++)
        at[i * page] = 1;
    IS(seen.count, RANGES, "closed just these");
    ranges[3].start = at + 1;
    FAILS(vm_protect_ranges(ranges, RANGES), EINVAL, "a bad one");
    OKAY(vm_protect_ranges(ranges, 0), "none");
    vm_free(at, 2 * RANGES * page);
}

/* --- Death -----------------------------------------------------------------------------------------------------------
 */

static void fault_again(struct vm_fault *fault, void *argument)
{
    (void)fault;
    *(volatile char *)argument = 1;
}

static void die_in_handler(void *argument)
{
    char *at = argument;

    vm_trap(at, 2 * page, fault_again, at + page);
    *(volatile char *)at = 1;
}

static void die_outside(void *argument) { *(volatile char *)argument = 1; }

static int status_of(void (*function)(void *), void *argument)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        function(argument);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return status;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DIED(status) ((status) != 0) /* their handler reports and exits */
#else
#define DIED(status) (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
#endif

static void test_death(void)
{
    char *at = vm_alloc(2 * page, PROT_NONE);
    int status = status_of(die_in_handler, at);

    CHECK(DIED(status), "a fault in a handler ends the program (%#x)", status);
    status = status_of(die_outside, at);
    CHECK(DIED(status), "a fault that nobody handles too (%#x)", status);
    vm_free(at, 2 * page);
}

/* --- Threads ---------------------------------------------------------------------------------------------------------
 */

enum { THREADS = 4, THREAD_PAGES = 64 };

static char *shared;
static atomic_int openings;

static void open_shared(struct vm_fault *fault, void *argument)
{
    (void)argument;
    atomic_fetch_add(&openings, 1);
    vm_fault_protect(fault, (void *)((uintptr_t)fault->address & -page), page, RW);
}

static void *add_everywhere(void *enters)
{
    int bad = 0;

    if (enters && vm_thread_enter())
        return (void *)1;
    for (int i = 0; i < THREAD_PAGES; i++)
        bad += __atomic_fetch_add((int *)(shared + i * page), 1, __ATOMIC_SEQ_CST) < 0;
    if (enters)
        vm_thread_leave();
    return (void *)(uintptr_t)bad;
}

static void test_threads(void)
{
    pthread_t threads[THREADS];
    int bad = 0, right = 0;

    shared = vm_alloc(THREAD_PAGES * page, PROT_NONE);
    vm_trap(shared, THREAD_PAGES * page, open_shared, NULL);
    for (int i = 0; i < THREADS; i++)
        bad |= pthread_create(&threads[i], NULL, add_everywhere, i % 2 ? shared : NULL);
    for (int i = 0; i < THREADS; i++) {
        void *result;

        pthread_join(threads[i], &result);
        bad |= result != NULL;
    }
    for (int i = 0; i < THREAD_PAGES; i++)
        right += *(int *)(shared + i * page) == THREADS;
    IS(bad, 0, "threads that have entered and threads that have not");
    IS(right, THREAD_PAGES, "no addition was lost or done twice");
    CHECK(openings >= THREAD_PAGES, "each page was opened");
    vm_free(shared, THREAD_PAGES * page);
}

static void body(void)
{
    page = vm_page_size();
    test_memory();
    test_file();
    test_trap();
    test_ranges();
    test_registers();
    test_longjmp();
    test_changes();
    test_vector();
    test_death();
    test_threads();
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
