/* Addresses of xv6's machine that programs name: none of them is a program's. */
#ifndef XV6_KERNEL_MEMLAYOUT_H
#define XV6_KERNEL_MEMLAYOUT_H

#define UART0 0x10000000L
#define UART0_IRQ 10
#define VIRTIO0 0x10001000L
#define VIRTIO0_IRQ 1
#define PLIC 0x0c000000L

#define KERNBASE 0x80000000L
#define PHYSTOP (KERNBASE + 128 * 1024 * 1024)

#define TRAMPOLINE (MAXVA - PGSIZE)
#define TRAPFRAME (TRAMPOLINE - PGSIZE)
#define USYSCALL (TRAPFRAME - PGSIZE)

#endif
