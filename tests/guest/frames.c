/*
 * Signal frames that a program has changed before it returns from the handler (sigreturn(2)), and returns without a
 * frame. The program may get wrong registers or die; the kernel gives away nothing and stays.
 */
#include "tap.h"
#include <ucontext.h>

#define ROUNDS 200

static uint64_t seed;

static uint64_t random_number(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* Words of the context become anything at all. */
static void damage(int signo UNUSED, siginfo_t *info UNUSED, void *context)
{
    uint64_t *words = context;

    for (uint64_t n = 1 + random_number() % 8; n > 0; n--) {
        uint64_t value = random_number();

        if (value % 3 == 0)
            value >>= random_number() % 64;
        words[random_number() % (sizeof(ucontext_t) / 8)] = value;
    }
}

static int hit_by_damage(void *number)
{
    struct sigaction action = {.sa_sigaction = damage, .sa_flags = SA_SIGINFO};

    seed = 88172645463325252ULL + (uint64_t)(long)number * 1000003;
    alarm(2);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    return 0;
}

static int return_without_frame(void *where)
{
    __asm__ volatile("mv sp, %0\n li a7, 139\n ecall" ::"r"(where) : "a7", "memory");
    return 0;
}

static void use_reserved(int signo UNUSED, siginfo_t *info UNUSED, void *context)
{
    ((ucontext_t *)context)->uc_mcontext.__fpregs.__q.__glibc_reserved[0] = 1;
}

static int reserved_words(void *unused UNUSED)
{
    struct sigaction action = {.sa_sigaction = use_reserved, .sa_flags = SA_SIGINFO};

    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    return 0;
}

static void block_all(int signo UNUSED, siginfo_t *info UNUSED, void *context)
{
    sigfillset(&((ucontext_t *)context)->uc_sigmask);
}

static void to_the_kernel(int signo UNUSED, siginfo_t *info UNUSED, void *context)
{
    ((ucontext_t *)context)->uc_mcontext.__gregs[REG_PC] = 0xffffffff80000000UL;
}

static int jump_into_kernel(void *unused UNUSED)
{
    struct sigaction action = {.sa_sigaction = to_the_kernel, .sa_flags = SA_SIGINFO};

    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    return 0;
}

static void body(void)
{
    struct sigaction action = {.sa_sigaction = block_all, .sa_flags = SA_SIGINFO};
    char *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigset_t mask;
    int lost = 0;

    for (long i = 0; i < ROUNDS; i++) {
        int status;
        pid_t pid = fork();

        if (pid == 0)
            _exit(hit_by_damage((void *)i));
        lost += waitpid(pid, &status, 0) != pid;
    }
    IS(lost, 0, "%d frames with damaged words", ROUNDS);
    munmap(page + PAGE, PAGE);
    IS(in_child(return_without_frame, NULL).signal, SIGSEGV, "a return with no stack is SIGSEGV");
    IS(in_child(return_without_frame, page + PAGE - 64).signal, SIGSEGV, "with a stack that ends within the frame too");
    IS(in_child(return_without_frame, (void *)0xffffffc080000000UL).signal, SIGSEGV,
       "and with the kernel's memory as the stack");
    IS(in_child(reserved_words, NULL).signal, SIGSEGV, "a reserved word that is not zero is SIGSEGV");
    IS(in_child(jump_into_kernel, NULL).signal, SIGSEGV, "a return to a kernel address is SIGSEGV");
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    CHECK(sigismember(&mask, SIGTERM) && !sigismember(&mask, SIGKILL) && !sigismember(&mask, SIGSTOP),
          "the mask that comes back with the frame cannot block SIGKILL and SIGSTOP");
}

int main(int argc, char **argv) { return tap_main(argc, argv, body); }
