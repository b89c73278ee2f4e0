/* SYSCALL(number, handler) lines, included twice by table.c. */
SYSCALL(214, sys_brk)
SYSCALL(215, sys_munmap)
SYSCALL(222, sys_mmap)
SYSCALL(226, sys_mprotect)
SYSCALL(227, sys_msync)
