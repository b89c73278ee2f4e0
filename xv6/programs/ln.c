/* ln [-s] PATH NEW: another name for a file; with -s, a symbolic link. */
#include "kernel/types.h"
#include "user/user.h"

int main(int argc, char *argv[])
{
    int symbolic = argc > 1 && strcmp(argv[1], "-s") == 0;

    if (argc != 3 + symbolic) {
        fprintf(2, "usage: ln [-s] PATH NEW\n");
        exit(1);
    }
    if ((symbolic ? symlink : link)(argv[1 + symbolic], argv[2 + symbolic]) < 0) {
        fprintf(2, "ln: cannot link %s to %s\n", argv[2 + symbolic], argv[1 + symbolic]);
        exit(1);
    }
    exit(0);
}
