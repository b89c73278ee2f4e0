/*
 * A system call's handler: DEFINE_SYSCALL(sys_name) { ... a0 ... }. Most are in sys/; those that are all of what a
 * module does (clone, execve, wait4) stand there. sys/table.c has the numbers.
 */
#ifndef LIB_SYSCALL_H
#define LIB_SYSCALL_H

#include "lib/errno.h"
#include "lib/types.h"

#define SYSCALL_ARG(n) u64 a##n __attribute__((unused))
#define DEFINE_SYSCALL(name)                 \
    long name(u64, u64, u64, u64, u64, u64); \
    long name(SYSCALL_ARG(0), SYSCALL_ARG(1), SYSCALL_ARG(2), SYSCALL_ARG(3), SYSCALL_ARG(4), SYSCALL_ARG(5))

#endif
