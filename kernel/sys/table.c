/*
 * The system-call table: which handler serves which number. Each group of calls lists its own in a calls_*.h, so that
 * one can see at a glance what exists; a number that nobody lists is ENOSYS.
 */
#include "sys/syscall.h"

#define SYSCALL(number, handler) long handler(u64, u64, u64, u64, u64, u64);
#include "sys/calls_files.h"
#include "sys/calls_proc.h"
#include "sys/calls_vm.h"
#undef SYSCALL

const syscall_fn syscall_table[SYSCALL_COUNT] = {
#define SYSCALL(number, handler) [number] = handler,
#include "sys/calls_files.h"
#include "sys/calls_proc.h"
#include "sys/calls_vm.h"
#undef SYSCALL
};
