/*
 * xv6's file system as programs see it: blocks and directory entries. What lies on the disk is ext3; read() of a
 * directory gives `struct dirent` all the same. The layout of the disk is here for programs that only name it.
 */
#ifndef XV6_KERNEL_FS_H
#define XV6_KERNEL_FS_H

#define ROOTINO 1
#define BSIZE 1024

struct superblock {
    uint magic;
    uint size;
    uint nblocks;
    uint ninodes;
    uint nlog;
    uint logstart;
    uint inodestart;
    uint bmapstart;
};

#define FSMAGIC 0x10203040

#define NDIRECT 12
#define NINDIRECT (BSIZE / sizeof(uint))
#define MAXFILE (NDIRECT + NINDIRECT)

struct dinode {
    short type;
    short major;
    short minor;
    short nlink;
    uint size;
    uint addrs[NDIRECT + 1];
};

#define IPB (BSIZE / sizeof(struct dinode))
#define IBLOCK(i, sb) ((i) / IPB + (sb).inodestart)
#define BPB (BSIZE * 8)
#define BBLOCK(b, sb) ((b) / BPB + (sb).bmapstart)

#define DIRSIZ 14

/* inum 0 is an entry that is free; a name of DIRSIZ characters has no 0 after it. */
struct dirent {
    ushort inum;
    char name[DIRSIZ] __attribute__((nonstring));
};

#endif
