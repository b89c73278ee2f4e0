/* Inside fs/: poll tables, and pipes for splicing. */
#ifndef FS_PIPE_H
#define FS_PIPE_H

#include "fs/vfs.h"

#define PIPE_BUF 4096
#define PIPE_DEFAULT_PAGES 16
#define PIPE_MAX_BYTES (1024 * KIB) /* /proc/sys/fs/pipe-max-size */

#endif
