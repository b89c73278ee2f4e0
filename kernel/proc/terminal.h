/* Ties terminals (dev/tty) to sessions and groups. */
#ifndef PROC_TERMINAL_H
#define PROC_TERMINAL_H

void terminal_init(void); /* boot: before the first program */

#endif
