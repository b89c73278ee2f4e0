/* SYSCALL(number, handler) lines, included twice by table.c. */
SYSCALL(58, sys_vhangup)
SYSCALL(116, sys_syslog)
