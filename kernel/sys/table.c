/*
 * The system-call table: which handler serves which number. Each group of calls lists its own in a calls_*.h, so that
 * one can see at a glance what exists; a number that nobody lists is ENOSYS. Calls that need the user's whole context
 * are entered through entry.S, and so have another entry where user mode is isolated.
 */
#include "sys/syscall.h"

typedef long handler(u64, u64, u64, u64, u64, u64);

#define SYSCALL(number, name) handler name;
#define WHOLE_CONTEXT_SYSCALL(number, name) handler name##_entry, isolated_##name##_entry;
#include "sys/calls_files.h"
#include "sys/calls_proc.h"
#include "sys/calls_vm.h"
#undef SYSCALL
#undef WHOLE_CONTEXT_SYSCALL

static long no_such_call(SYSCALL_ARG(0), SYSCALL_ARG(1), SYSCALL_ARG(2), SYSCALL_ARG(3), SYSCALL_ARG(4), SYSCALL_ARG(5))
{
    return -ENOSYS;
}

#pragma GCC diagnostic ignored "-Woverride-init" /* what nobody lists stays no_such_call */
#define SYSCALL(number, name) [number] = name,

const syscall_fn syscall_table[SYSCALL_COUNT] = {
    [0 ... SYSCALL_COUNT - 1] = no_such_call,
#define WHOLE_CONTEXT_SYSCALL(number, name) [number] = name##_entry,
#include "sys/calls_files.h"
#include "sys/calls_proc.h"
#include "sys/calls_vm.h"
#undef WHOLE_CONTEXT_SYSCALL
};

const syscall_fn isolated_syscall_table[SYSCALL_COUNT] = {
    [0 ... SYSCALL_COUNT - 1] = no_such_call,
#define WHOLE_CONTEXT_SYSCALL(number, name) [number] = isolated_##name##_entry,
#include "sys/calls_files.h"
#include "sys/calls_proc.h"
#include "sys/calls_vm.h"
#undef WHOLE_CONTEXT_SYSCALL
};
