/* What uname(2) and /proc/sys/kernel say the system is called, and the host name, which root may change. */
#ifndef PROC_UNAME_H
#define PROC_UNAME_H

#include "lib/types.h"

#define UNAME_SYSNAME "Linux" /* whose system calls these are */
#define UNAME_RELEASE "6.12.0-quire"
#define UNAME_VERSION "#1 SMP"
#define UNAME_MACHINE "riscv64"
#define UNAME_LENGTH 64

enum host_name { HOST_NAME, HOST_DOMAIN };

/* Into NAME, with NUL. */
void host_name_get(enum host_name which, char name[UNAME_LENGTH + 1]);
/* N <= UNAME_LENGTH bytes; the caller has checked CAP_SYS_ADMIN. */
void host_name_set(enum host_name which, const char *name, size_t n);

#endif
