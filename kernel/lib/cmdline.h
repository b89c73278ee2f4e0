/* The kernel's command line: words separated by blanks, `name` or `name=value`. The last one of a name counts. */
#ifndef LIB_CMDLINE_H
#define LIB_CMDLINE_H

#include "lib/types.h"

/* The value of NAME=VALUE, valid for ever; "" for a bare NAME; NULL when it is not there. */
const char *cmdline_get(const char *name);
bool cmdline_has(const char *name);
/* A decimal or 0x number, DEFAULT_VALUE when there is none or it is none. */
u64 cmdline_number(const char *name, u64 default_value);
/* Splits machine.command_line; called once by arch/, before the others. */
void cmdline_init(const char *line);

#endif
