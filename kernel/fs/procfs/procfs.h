/* /proc (proc(5)): registers the file system "proc". */
#ifndef FS_PROCFS_PROCFS_H
#define FS_PROCFS_PROCFS_H

void procfs_init(void); /* boot: before it is mounted */

#endif
