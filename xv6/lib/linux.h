/*
 * Linux's system calls for riscv64, as far as the library needs them: numbers, constants and structures of its ABI, and
 * how to call. Results are Linux's own: 0 or more, or a negative errno.
 */
#ifndef XV6_LIB_LINUX_H
#define XV6_LIB_LINUX_H

#include "kernel/types.h"

enum {
    LINUX_dup = 23,
    LINUX_dup3 = 24,
    LINUX_mknodat = 33,
    LINUX_mkdirat = 34,
    LINUX_unlinkat = 35,
    LINUX_symlinkat = 36,
    LINUX_linkat = 37,
    LINUX_ftruncate = 46,
    LINUX_chdir = 49,
    LINUX_openat = 56,
    LINUX_close = 57,
    LINUX_pipe2 = 59,
    LINUX_getdents64 = 61,
    LINUX_lseek = 62,
    LINUX_read = 63,
    LINUX_write = 64,
    LINUX_pread64 = 67,
    LINUX_pwrite64 = 68,
    LINUX_fstat = 80,
    LINUX_exit_group = 94,
    LINUX_nanosleep = 101,
    LINUX_setitimer = 103,
    LINUX_clock_gettime = 113,
    LINUX_kill = 129,
    LINUX_sigaltstack = 132,
    LINUX_rt_sigaction = 134,
    LINUX_umask = 166,
    LINUX_prctl = 167,
    LINUX_getpid = 172,
    LINUX_munmap = 215,
    LINUX_clone = 220,
    LINUX_execve = 221,
    LINUX_mmap = 222,
    LINUX_mprotect = 226,
    LINUX_madvise = 233,
    LINUX_wait4 = 260,
    LINUX_prlimit64 = 261,
    LINUX_memfd_create = 279,
};

enum { LINUX_EINTR = 4, LINUX_EISDIR = 21, LINUX_EINVAL = 22, LINUX_ELOOP = 40 };

enum { LINUX_AT_FDCWD = -100, LINUX_AT_REMOVEDIR = 0x200 };
enum { LINUX_O_CREAT = 0100, LINUX_O_TRUNC = 01000, LINUX_O_NOFOLLOW = 0400000, LINUX_O_PATH = 010000000 };
enum { LINUX_SEEK_SET = 0, LINUX_SEEK_CUR = 1 };

enum {
    LINUX_S_IFMT = 0170000,
    LINUX_S_IFDIR = 0040000,
    LINUX_S_IFCHR = 0020000,
    LINUX_S_IFBLK = 0060000,
    LINUX_S_IFREG = 0100000,
    LINUX_S_IFLNK = 0120000
};

enum {
    LINUX_PROT_NONE = 0,
    LINUX_PROT_RW = 3,
    LINUX_MAP_SHARED = 1,
    LINUX_MAP_PRIVATE = 2,
    LINUX_MAP_FIXED = 0x10,
    LINUX_MAP_ANONYMOUS = 0x20,
    LINUX_MAP_NORESERVE = 0x4000,
    LINUX_MAP_FIXED_NOREPLACE = 0x100000
};
enum { LINUX_MADV_POPULATE_WRITE = 23 };

enum {
    LINUX_SIGILL = 4,
    LINUX_SIGTRAP = 5,
    LINUX_SIGBUS = 7,
    LINUX_SIGKILL = 9,
    LINUX_SIGSEGV = 11,
    LINUX_SIGPIPE = 13,
    LINUX_SIGCHLD = 17,
    LINUX_SIGXFSZ = 25,
    LINUX_SIGVTALRM = 26
};
#define LINUX_SIG_DFL 0UL
#define LINUX_SIG_IGN 1UL
#define LINUX_SA_SIGINFO 4UL
#define LINUX_SA_ONSTACK 0x08000000UL

enum { LINUX_RLIMIT_FSIZE = 1, LINUX_RLIMIT_NOFILE = 7 };
enum { LINUX_PR_SET_CHILD_SUBREAPER = 36 };
enum { LINUX_CLOCK_BOOTTIME = 7, LINUX_ITIMER_VIRTUAL = 1 };

struct linux_stat {
    uint64 dev, ino;
    uint mode, nlink, uid, gid;
    uint64 rdev, unused1;
    long size;
    int block_size, unused2;
    long blocks, times[6];
    uint unused3[2];
};

struct linux_dirent {
    uint64 ino;
    long next; /* where lseek() must go for what follows */
    ushort length;
    uchar type;
    char name[];
};

struct linux_sigaction {
    uint64 handler, flags, mask;
};

struct linux_stack {
    void *base;
    int flags;
    uint64 size;
};

/* The first words of siginfo, for faults. */
struct linux_siginfo {
    int signal, error, code, unused;
    uint64 address;
    uint64 rest[13];
};

/* What lies on the stack of a signal's handler, and where rt_sigreturn expects it. */
struct linux_frame {
    struct linux_siginfo info;
    uint64 context[22];   /* of ucontext, up to the registers */
    uint64 registers[32]; /* pc first */
};

_Static_assert(sizeof(struct linux_stat) == 128, "Linux's struct stat");
_Static_assert(sizeof(struct linux_siginfo) == 128, "Linux's siginfo");
_Static_assert(__builtin_offsetof(struct linux_frame, registers) == 128 + 176, "Linux's signal frame");

static inline long linux_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long a0 __asm__("a0") = a;
    register long a1 __asm__("a1") = b;
    register long a2 __asm__("a2") = c;
    register long a3 __asm__("a3") = d;
    register long a4 __asm__("a4") = e;
    register long a5 __asm__("a5") = f;
    register long a7 __asm__("a7") = number;

    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7) : "memory");
    return a0;
}

#define LINUX_ARGUMENTS(number, a, b, c, d, e, f, ...) \
    number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)
/* linux_(LINUX_close, fd) and so on: up to six arguments, the rest are 0. */
#define linux_(...) linux_call(LINUX_ARGUMENTS(__VA_ARGS__, 0, 0, 0, 0, 0, 0))

/* xv6 gives -1 for every failure. */
static inline int or_minus_one(long result) { return result < 0 ? -1 : (int)result; }

#endif
