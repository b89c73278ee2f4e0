/*
 * Every call of the kernel with arguments that are mostly of the right kind, drawn at random: one_call(). What they
 * lead to is made by callstorm.c: `area`, descriptors below POOL, files with the names below.
 */
#ifndef STORM_CALLS_H
#define STORM_CALLS_H

#include "storm.h"
#include "uffd.h"

#include <mqueue.h>
#include <netinet/in.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

#define AREA_PAGES 128 /* of memory with holes */
#define POOL 40        /* descriptors are below, mostly */
#define RARELY 24      /* a call marked '!' is made once in so many times that it is drawn */

static char *area;
static pid_t leader; /* of the family */

/* ---- Calls ----
 *
 * One letter for each argument, see argument(); '!' before them: rarely.
 */
struct call {
    short number;
    const char *kinds;
};

/* clang-format off */
static const struct call calls[] = {
    /* extended attributes */
    {5, "PTpsm"}, {6, "PTpsm"}, {7, "fTpsm"}, {8, "PTps"}, {9, "PTps"}, {10, "fTps"}, {11, "Pps"}, {12, "Pps"},
    {13, "fps"}, {14, "PT"}, {15, "PT"}, {16, "fT"},
    /* names */
    {17, "ps"}, {33, "DPoi"}, {34, "DPo"}, {35, "DPr"}, {36, "PDP"}, {37, "DPDPr"}, {38, "DPDP"}, {276, "DPDPm"},
    {43, "Pp"}, {44, "fp"}, {45, "Pl"}, {46, "fl"}, {47, "fmll"}, {48, "DPm"}, {49, "P"}, {50, "f"}, {51, "P"},
    {52, "fo"}, {53, "DPo"}, {54, "DPuur"}, {55, "fuu"}, {56, "DPOo"}, {56, "DPOo"}, {57, "f"}, {59, "pO"},
    {61, "fps"}, {78, "DPps"}, {79, "DPpr"}, {80, "fp"}, {88, "DPtr"}, {291, "DPrip"}, {436, "ffm"}, {439, "DPmr"},
    {437, "DPps"},
    /* descriptors */
    {23, "f"}, {24, "ffO"}, {25, "fFx"}, {25, "fFx"}, {29, "fIx"}, {29, "fIp"}, {32, "fm"}, {285, "flflsm"},
    {223, "flls"},
    /* reading, writing */
    {62, "flm"}, {63, "fps"}, {64, "fps"}, {65, "fvn"}, {66, "fvn"}, {67, "fpsl"}, {68, "fpsl"}, {69, "fvnl"},
    {70, "fvnl"}, {286, "fvnlim"}, {287, "fvnlim"}, {71, "ffps"}, {75, "fvnm"}, {76, "fpfpsm"}, {77, "ffsm"},
    {213, "fls"}, {84, "flsm"}, {82, "!f"}, {83, "!f"}, {81, "!"}, {267, "!f"}, {451, "fppi"},
    /* events */
    {19, "nO"}, {20, "O"}, {21, "fmfp"}, {22, "fpntps"}, {26, "O"}, {27, "fPm"}, {28, "fn"}, {72, "nppptp"},
    {73, "pntps"}, {74, "fpsO"}, {85, "nO"}, {86, "fmtp"}, {87, "fp"}, {441, "fpntps"},
    /* processes */
    {93, "!n"}, {94, "!n"}, {95, "nwpmp"}, {96, "p"}, {98, "pmnppn"}, {98, "pmnppn"}, {99, "ps"}, {100, "wpp"},
    {220, "Cpppp"}, {435, "!ps"}, {221, "!Xvv"}, {281, "!DXvvm"}, {260, "wpmp"}, {434, "wO"}, {424, "!fgpm"},
    {438, "fnm"}, {90, "pp"}, {91, "pp"}, {92, "i"}, {97, "m"}, {117, "nwpp"}, {449, "pnmtn"},
    /* time */
    {101, "tp"}, {102, "np"}, {103, "nup"}, {107, "nep"}, {108, "np"}, {109, "n"}, {110, "nmtp"}, {111, "n"},
    {113, "np"}, {114, "np"}, {115, "nmtp"}, {153, "p"}, {169, "pp"}, {171, "p"}, {266, "np"},
    /* scheduling */
    {118, "wp"}, {119, "wnp"}, {120, "w"}, {121, "wp"}, {122, "wsp"}, {123, "wsp"}, {124, ""}, {125, "n"}, {126, "n"},
    {127, "wp"}, {274, "wpm"}, {275, "wpsm"}, {140, "nwn"}, {141, "nw"}, {30, "nwn"}, {31, "nw"},
    /* signals */
    {129, "!wg"}, {130, "!wg"}, {131, "!wwg"}, {132, "pp"}, {133, "ps"}, {134, "!gpps"}, {135, "!nSpn"}, {136, "ps"},
    {137, "pptn"}, {138, "!wgp"}, {240, "!wwgp"}, {139, "!"}, {425, "ip"}, {128, ""},
    /* who */
    {144, "n"}, {143, "nn"}, {145, "nn"}, {146, "n"}, {147, "nnn"}, {148, "ppp"}, {149, "nnn"}, {150, "ppp"},
    {154, "ww"}, {155, "w"}, {156, "w"}, {157, ""}, {158, "np"}, {159, "np"}, {160, "p"}, {163, "np"}, {165, "np"},
    {166, "o"}, {167, "nxpip"}, {167, "nxnii"}, {168, "ppp"}, {172, ""}, {178, ""}, {179, "p"}, {261, "wnpp"},
    {116, "nps"},
    /* memory */
    {214, "a"}, {215, "aL"}, {216, "aLLma"}, {222, "aLRMfl"}, {222, "aLRMfl"}, {226, "aLR"}, {226, "aLR"},
    {227, "aLm"}, {228, "aL"}, {229, "aL"}, {230, "!m"}, {231, "!"}, {232, "aLp"}, {233, "aLn"}, {233, "aLn"},
    {234, "aLmlm"}, {235, "aLnpsm"}, {236, "npsam"}, {237, "nps"}, {238, "wspp"}, {239, "wnvvn"}, {270, "wvnvnm"},
    {271, "wvnvnm"}, {279, "Tm"}, {282, "m"}, {283, "nmn"}, {284, "aLm"}, {440, "fvnnm"}, {447, "m"}, {448, "fm"},
    {462, "aLm"}, {258, "pspsm"}, {259, "aLm"}, {278, "psm"}, {288, "aLRn"}, {289, "m"}, {290, "n"}, {293, "ppnn"},
    /* objects of System V and POSIX */
    {180, "QOop"}, {181, "Q"}, {182, "fpsnt"}, {183, "fpspt"}, {184, "fe"}, {185, "fpp"}, {186, "nm"}, {187, "nnp"},
    {188, "npsnm"}, {189, "npsm"}, {190, "nnm"}, {191, "nnnp"}, {192, "npnt"}, {193, "npn"}, {194, "nLm"},
    {195, "nnp"}, {196, "nam"}, {197, "a"},
    /* sockets */
    {198, "nKn"}, {199, "nKnp"}, {200, "fAn"}, {201, "fn"}, {202, "fpp"}, {203, "fAn"}, {204, "fpp"}, {205, "fpp"},
    {206, "fpsmAn"}, {207, "fpsmpp"}, {208, "fnnpn"}, {209, "fnnpp"}, {210, "fn"}, {211, "fHm"}, {212, "fHm"},
    {242, "fppO"}, {243, "fHnmt"}, {269, "fHnm"},
    /* user traps */
    {1024, "apam"}, {1024, "AAAi"}, {1025, "n"}, {1026, "aLn"}, {1026, "aLn"}, {1027, "vn"}, {1028, "p"},
    {1029, "npL"},
};
/* clang-format on */
#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* ---- Arguments ---- */

static const char *const names[] = {".",
                                    "..",
                                    "file",
                                    "file2",
                                    "dir",
                                    "dir/x",
                                    "dir/y",
                                    "link",
                                    "fifo",
                                    "socket",
                                    "",
                                    "missing/x",
                                    "loop",
                                    "/proc/self/maps",
                                    "/proc/self/mem",
                                    "/proc/self/pagemap",
                                    "/proc/self/clear_refs",
                                    "/proc/self/smaps",
                                    "/proc/self/environ",
                                    "/proc/self/oom_score_adj",
                                    "/proc/self/fd",
                                    "/proc/self/fd/9",
                                    "/proc/thread-self/comm",
                                    "/proc/self/status",
                                    "/proc/self/task",
                                    "/dev/zero",
                                    "/dev/null",
                                    "/dev/ptmx",
                                    "/dev/full",
                                    "/dev/urandom",
                                    "/dev/tty",
                                    "/dev/shm/storm"};

static long odd_number(void)
{
    static const long odd[] = {0,        -1,         1,           7,        4095,          4096,
                               4097,     65536,      -4096,       1L << 31, -4095,         1L << 32,
                               1L << 38, 1L << 47,   1L << 62,    1L << 63, ~(1L << 63),   0xffffffffL,
                               -100,     0x7fffffff, 0x80000000L, 0x1000,   0x3fffffffffL, 0x3ffffff000L};

    return pick(3) ? ONE_OF(odd) : pick(2) ? 1L << pick(64) : (long)next();
}

/* The last bytes of a page now and then: what is longer runs into the next, which may not be there. */
static char *place(void)
{
    char *page = area + pick(pick(4) ? 8 : AREA_PAGES) * PAGE;

    return page + (pick(5) ? pick(500) * 8 : PAGE - 1 - pick(40));
}

static long flags(void)
{
    long value = pick(2) ? 1L << pick(13) : 0;

    while (pick(2))
        value |= 1L << pick(20);
    return value;
}

static long length(void)
{
    static const long lengths[] = {0,    1,    8,    16,   24,    100,   128,     511,
                                   4095, 4096, 4097, 8192, 20000, 65536, 1 << 20, 1 << 30};

    return ONE_OF(lengths);
}

/* A structure of times, sizes or numbers somewhere good: two or four small words. */
static long *words(int small)
{
    long *at = (long *)(area + pick(8) * PAGE + pick(480) * 8);

    for (int i = 0; i < 4; i++)
        at[i] = pick(small);
    return at;
}

static long vector(void)
{
    long *at = (long *)(area + pick(8) * PAGE + pick(400) * 8);

    for (int i = 0; i < 8; i++) {
        at[2 * i] = (long)place();
        at[2 * i + 1] = pick(12) ? (long)pick(6000) : odd_number();
    }
    return (long)at;
}

static long socket_address(void)
{
    struct sockaddr_un *local = (void *)(area + pick(8) * PAGE + pick(300) * 8);
    struct sockaddr_in *in = (void *)local;

    if (pick(2)) {
        memset(in, 0, sizeof(*in));
        in->sin_family = AF_INET;
        in->sin_port = htons(20000 + pick(8));
        in->sin_addr.s_addr = htonl(pick(4) ? INADDR_LOOPBACK : INADDR_ANY);
    } else {
        local->sun_family = AF_UNIX;
        snprintf(local->sun_path, 20, "%s", pick(3) ? "socket" : names[pick(8)]);
        if (!pick(3))
            local->sun_path[0] = 0;
    }
    return (long)in;
}

static long message(void)
{
    struct msghdr *header = (void *)(area + pick(8) * PAGE + pick(200) * 8);
    struct cmsghdr *control = (void *)(area + pick(8) * PAGE + pick(200) * 8);

    *header = (struct msghdr){.msg_name = pick(2) ? (void *)socket_address() : NULL,
                              .msg_namelen = pick(2) * 16,
                              .msg_iov = (void *)vector(),
                              .msg_iovlen = pick(4),
                              .msg_control = pick(2) ? control : NULL,
                              .msg_controllen = pick(2) ? CMSG_SPACE(4 * sizeof(int)) : pick(100)};
    *control = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int) * pick(5)), .cmsg_level = SOL_SOCKET, .cmsg_type = 1 + pick(2)};
    for (int i = 0; i < 4; i++)
        ((int *)CMSG_DATA(control))[i] = pick(POOL);
    return (long)header;
}

static long clone_flags(void)
{
    static const long shared[] = {
        CLONE_VM,     CLONE_FS,      CLONE_FILES,         CLONE_SIGHAND,        CLONE_VFORK,        CLONE_PARENT,
        CLONE_THREAD, CLONE_SYSVSEM, CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID, CLONE_PIDFD};
    long value = pick(8) ? SIGCHLD : pick(70);

    for (int i = pick(4); i > 0; i--)
        value |= ONE_OF(shared);
    return value & CLONE_VM && pick(4) ? value & ~(CLONE_VM | CLONE_THREAD | CLONE_SIGHAND) : value;
}

static long event(void)
{
    struct sigevent *at = (void *)(area + pick(8) * PAGE + pick(400) * 8);

    memset(at, 0, sizeof(*at));
    at->sigev_notify = pick(5);
    at->sigev_signo = pick(4) ? SIGURG : pick(70);
    return (long)at;
}

static long ioctl_number(void)
{
    static const unsigned numbers[] = {
        0x5401,     0x5402,     0x5403,     0x540b,     0x540e,     0x540f, 0x5410, 0x5411,     0x5412,
        0x5413,     0x5414,     0x541b,     0x5421,     0x5422,     0x5423, 0x5424, 0x5428,     0x5429,
        0x542a,     0x5430,     0x5431,     0x5441,     0x5450,     0x5451, 0x5452, 0x80086601, 0x40086602,
        0xc020660b, 0x801c581f, 0x401c5820, 0x8008f501, 0xc0606610, 0x8912, 0x8913, 0x8927,     0x5460};
    static const unsigned long faults[] = {UFFDIO_API,    UFFDIO_REGISTER, UFFDIO_UNREGISTER,   UFFDIO_WAKE,
                                           UFFDIO_COPY,   UFFDIO_ZEROPAGE, UFFDIO_WRITEPROTECT, UFFDIO_CONTINUE,
                                           UFFDIO_POISON, UFFDIO_MOVE};

    return pick(2) ? (long)ONE_OF(numbers) : (long)ONE_OF(faults);
}

/* What an ioctl of userfaultfd or PAGEMAP_SCAN reads: addresses and lengths of pages. */
static long ranges(void)
{
    long *at = (long *)(area + pick(8) * PAGE + pick(400) * 8);

    for (int i = 0; i < 6; i++)
        at[i] = pick(3) ? (long)(area + pick(AREA_PAGES) * PAGE) : pick(2) ? (long)(1 + pick(8)) * (long)PAGE : flags();
    return (long)at;
}

static long descriptor(void) { return pick(10) ? 3 + pick(POOL - 3) : odd_number(); }

static long process(void)
{
    switch (pick(6)) {
    case 0:
        return 0;
    case 1:
        return leader;
    case 2:
        return leader + pick(40);
    case 3:
        return syscall(SYS_gettid);
    case 4:
        return pick(8) ? getpid() : odd_number();
    default:
        return getpid();
    }
}

static long argument(char kind)
{
    static const int signals[] = {0, SIGURG, SIGCHLD, SIGCONT, SIGWINCH, SIGALRM, SIGSTOP, SIGUSR1, 34, 40, 64, 65, -1};
    static const int opens[] = {O_CLOEXEC, O_NONBLOCK, O_CREAT,    O_DIRECTORY, O_PATH,
                                O_APPEND,  O_TRUNC,    O_NOFOLLOW, O_SYNC,      O_TMPFILE | 2};
    static const int kinds[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW};
    static const int maps[] = {MAP_SHARED,
                               MAP_PRIVATE,
                               MAP_PRIVATE | MAP_ANONYMOUS,
                               MAP_SHARED | MAP_ANONYMOUS,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED,
                               MAP_SHARED | MAP_POPULATE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN};
    static const int rlimits[] = {0, 1, 2, 5, 8, 13};
    long value = 0;

    if (pick(20) == 0)
        return pick(2) ? odd_number() : (long)place();
    switch (kind) {
    case 'f': /* a descriptor */
        return descriptor();
    case 'D': /* where names begin */
        return pick(3) ? AT_FDCWD : descriptor();
    case 'P': /* a name */
    case 'T':
        return pick(10) ? (long)ONE_OF(names) : (long)place();
    case 'Q':
        return (long)(pick(2) ? "storm-a" : "storm-b");
    case 'X': /* what may be executed: most end at once */
        return (long)(pick(3) ? "/proc/self/exe" : ONE_OF(names));
    case 'p': /* memory, good or bad */
        return pick(20) ? (long)place() : 0;
    case 'x': /* of ioctl, fcntl, prctl: a pointer, a number */
        return pick(3) ? pick(2) ? ranges() : (long)words(5) : (long)pick(40);
    case 'v':
        return vector();
    case 'H':
        return message();
    case 's':
        return length();
    case 'l':
        return pick(4) ? (long)pick(20000) : odd_number();
    case 'n':
        return pick(8) ? (long)pick(26) : odd_number();
    case 'i':
        return (long)next();
    case 'm':
        return flags();
    case 'r':
        return pick(2) ? 0 : (long[]){0x100, 0x200, 0x400, 0x1000, 0x2000}[pick(5)];
    case 'o':
        return pick(4) ? 0700 | pick(0100) : pick(0200000);
    case 'O':
        value = pick(3);
        while (pick(2))
            value |= ONE_OF(opens);
        return value;
    case 'F':
        return pick(4) ? pick(40) : 1024 + pick(20);
    case 'I':
        return ioctl_number();
    case 't': /* soon */
        return pick(4) ? (long)(words(2)[1] = 1000, words(2)) : pick(2) ? 0 : (long)place();
    case 'u':
        return (long)words(1000);
    case 'w':
        return process();
    case 'g':
        return ONE_OF(signals);
    case 'S': /* a set without what ends the round early */
        return (long)words(1 << 20);
    case 'e':
        return event();
    case 'C':
        return clone_flags();
    case 'K':
        return ONE_OF(kinds) | (pick(2) ? SOCK_NONBLOCK : 0);
    case 'A':
        return socket_address();
    case 'a':
        return (long)(area + pick(AREA_PAGES) * PAGE) + (pick(20) ? 0 : pick(PAGE));
    case 'L':
        return pick(16) ? (long)(1 + pick(pick(3) ? 6 : AREA_PAGES)) * (long)PAGE : odd_number();
    case 'R':
        return pick(10) ? pick(8) : (long)flags();
    case 'M':
        return ONE_OF(maps) | (pick(2) ? MAP_FIXED : 0);
    case 'z':
        return ONE_OF(rlimits);
    default:
        return (long)next();
    }
}

/* prlimit, setrlimit and prctl could bar SIGKILL from nothing; what they change dies with the process. */
static void one_call(void)
{
    const struct call *call = &ONE_OF(calls);
    const char *kind = call->kinds;
    long arguments[6] = {0};
    int count = 0;

    if (*kind == '!') {
        if (pick(RARELY))
            return;
        kind++;
    }
    for (; *kind; kind++)
        arguments[count++] = argument(*kind);
    for (; count < 6; count++)
        arguments[count] = pick(2) ? 0 : argument('?');
    syscall(call->number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

#endif
