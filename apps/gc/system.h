/* The program as a whole. */
#ifndef GC_SYSTEM_H
#define GC_SYSTEM_H

extern char **command_line; /* the Scheme program's: its file first */

/* Writes out what is buffered and the statistics that were asked for, and ends. */
_Noreturn void system_exit(int status);

#endif
