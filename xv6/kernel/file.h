/* Device numbers for mknod(). */
#ifndef XV6_KERNEL_FILE_H
#define XV6_KERNEL_FILE_H

#define CONSOLE 1

#define major(dev) ((dev) >> 16 & 0xFFFF)
#define minor(dev) ((dev)&0xFFFF)
#define mkdev(m, n) ((uint)((m) << 16 | (n)))

#endif
