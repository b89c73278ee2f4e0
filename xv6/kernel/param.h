/* xv6's limits. The library keeps the first four; the others are here for programs that name them. */
#ifndef XV6_KERNEL_PARAM_H
#define XV6_KERNEL_PARAM_H

#define NPROC 64    /* processes */
#define NOFILE 16   /* open files of a process */
#define MAXARG 32   /* arguments of exec(), the ending 0 included */
#define USERSTACK 1 /* pages of a program's stack */

#define NCPU 8
#define NFILE 100
#define NINODE 50
#define NDEV 10
#define ROOTDEV 1
#define MAXOPBLOCKS 10
#define LOGSIZE (MAXOPBLOCKS * 3)
#define LOGBLOCKS (MAXOPBLOCKS * 3)
#define NBUF (MAXOPBLOCKS * 3)
#define FSSIZE 200000
#define MAXPATH 128

#endif
