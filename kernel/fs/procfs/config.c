/*
 * /proc/config.gz: what this kernel can do, in the names of Linux's build options, so that programs that ask before
 * they try (LTP and other test suites, container tools) find out. An option is named only when what it stands for is
 * here; what programs ask about most often and is not here is said to be not set. There is no configuration to be
 * compiled: the list is written by hand and belongs to the code that it tells of.
 *
 *   gzip file (RFC 1952):  header | deflate block, stored (RFC 1951, 3.2.4) | CRC-32 | length
 *
 * Stored, since compressing two kilobytes for a reader now and then is not worth a compressor.
 */
#include "fs/procfs/internal.h"

static const char config[] = "#\n# Quire: the options of Linux that name what this kernel has\n#\n"
                             "CONFIG_RISCV=y\n"
                             "CONFIG_64BIT=y\n"
                             "CONFIG_MMU=y\n"
                             "CONFIG_SMP=y\n"
                             "CONFIG_HZ=100\n"
                             "CONFIG_HIGH_RES_TIMERS=y\n"
                             "CONFIG_POSIX_TIMERS=y\n"
                             "CONFIG_MULTIUSER=y\n"
                             "CONFIG_PRINTK=y\n"
                             "CONFIG_BINFMT_ELF=y\n"
                             "CONFIG_BINFMT_SCRIPT=y\n"
                             "CONFIG_SYSVIPC=y\n"
                             "CONFIG_POSIX_MQUEUE=y\n"
                             "CONFIG_CROSS_MEMORY_ATTACH=y\n"
                             "CONFIG_FUTEX=y\n"
                             "CONFIG_FUTEX_PI=y\n"
                             "CONFIG_EPOLL=y\n"
                             "CONFIG_SIGNALFD=y\n"
                             "CONFIG_TIMERFD=y\n"
                             "CONFIG_EVENTFD=y\n"
                             "CONFIG_MEMBARRIER=y\n"
                             "CONFIG_SWAP=y\n"
                             "CONFIG_SHMEM=y\n"
                             "CONFIG_MEMFD_CREATE=y\n"
                             "CONFIG_ADVISE_SYSCALLS=y\n"
                             "CONFIG_USERFAULTFD=y\n"
                             "CONFIG_HAVE_ARCH_USERFAULTFD_MINOR=y\n"
                             "CONFIG_HAVE_ARCH_USERFAULTFD_WP=y\n"
                             "CONFIG_TRANSPARENT_HUGEPAGE=y\n"
                             "CONFIG_MEM_SOFT_DIRTY=y\n"
                             "CONFIG_PROC_PAGE_MONITOR=y\n"
                             "CONFIG_NET=y\n"
                             "CONFIG_UNIX=y\n"
                             "CONFIG_INET=y\n"
                             "CONFIG_TTY=y\n"
                             "CONFIG_UNIX98_PTYS=y\n"
                             "CONFIG_BLK_DEV=y\n"
                             "CONFIG_VIRTIO_BLK=y\n"
                             "CONFIG_DEVTMPFS=y\n"
                             "CONFIG_EXT3_FS=y\n"
                             "CONFIG_FILE_LOCKING=y\n"
                             "CONFIG_INOTIFY_USER=y\n"
                             "CONFIG_PROC_FS=y\n"
                             "CONFIG_PROC_SYSCTL=y\n"
                             "CONFIG_SYSFS=y\n"
                             "CONFIG_TMPFS=y\n"
                             "CONFIG_TMPFS_XATTR=y\n"
                             "CONFIG_IKCONFIG=y\n"
                             "CONFIG_IKCONFIG_PROC=y\n"
                             "# CONFIG_MODULES is not set\n"
                             "# CONFIG_NUMA is not set\n"
                             "# CONFIG_KSM is not set\n"
                             "# CONFIG_HUGETLBFS is not set\n"
                             "# CONFIG_MEMORY_FAILURE is not set\n"
                             "# CONFIG_CGROUPS is not set\n"
                             "# CONFIG_NAMESPACES is not set\n"
                             "# CONFIG_SECCOMP is not set\n"
                             "# CONFIG_AIO is not set\n"
                             "# CONFIG_IO_URING is not set\n"
                             "# CONFIG_FANOTIFY is not set\n"
                             "# CONFIG_FHANDLE is not set\n"
                             "# CONFIG_KEYS is not set\n"
                             "# CONFIG_BPF_SYSCALL is not set\n"
                             "# CONFIG_PERF_EVENTS is not set\n"
                             "# CONFIG_AUDIT is not set\n"
                             "# CONFIG_QUOTA is not set\n"
                             "# CONFIG_BLK_DEV_LOOP is not set\n"
                             "# CONFIG_IPV6 is not set\n"
                             "# CONFIG_COREDUMP is not set\n";

#define LENGTH (sizeof(config) - 1)
static_assert(LENGTH <= UINT16_MAX, "fits one stored block");

/* The CRC of RFC 1952, bit by bit: no table for what is asked once in a while. */
static u32 crc32(const char *bytes, size_t n)
{
    u32 crc = ~0u;

    for (size_t i = 0; i < n; i++) {
        crc ^= (u8)bytes[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

int show_config(struct seq *s, const struct proc_target *t)
{
    static const char header[] = {0x1f, (char)0x8b, 8 /* deflate */, 0, 0, 0, 0, 0, 0, 3 /* Unix */};
    u16 lengths[2] = {(u16)LENGTH, (u16)~LENGTH};
    u32 trailer[2] = {crc32(config, LENGTH), LENGTH};

    seq_write(s, header, sizeof(header));
    seq_write(s, "\1", 1); /* the last block, and stored */
    seq_write(s, (const char *)lengths, sizeof(lengths));
    seq_write(s, config, LENGTH);
    seq_write(s, (const char *)trailer, sizeof(trailer));
    return 0;
}
