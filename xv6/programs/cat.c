/* cat [FILE...]: what is in them, or in standard input. */
#include "kernel/types.h"
#include "kernel/fcntl.h"
#include "user/user.h"

static void copy(int fd, const char *name)
{
    char buffer[512];
    int got;

    while ((got = read(fd, buffer, sizeof(buffer))) > 0)
        if (write(1, buffer, got) != got) {
            fprintf(2, "cat: cannot write\n");
            exit(1);
        }
    if (got < 0) {
        fprintf(2, "cat: cannot read %s\n", name);
        exit(1);
    }
}

int main(int argc, char *argv[])
{
    if (argc < 2)
        copy(0, "standard input");
    for (int i = 1; i < argc; i++) {
        int fd = open(argv[i], O_RDONLY);

        if (fd < 0) {
            fprintf(2, "cat: cannot open %s\n", argv[i]);
            exit(1);
        }
        copy(fd, argv[i]);
        close(fd);
    }
    exit(0);
}
