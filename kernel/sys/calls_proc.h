/* SYSCALL(number, handler) lines, included twice by table.c. */
