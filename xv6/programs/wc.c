/* wc [FILE...]: lines, words and bytes. */
#include "kernel/types.h"
#include "kernel/fcntl.h"
#include "user/user.h"

static void count(int fd, const char *name)
{
    int lines = 0, words = 0, bytes = 0, in_word = 0, got;
    char buffer[512];

    while ((got = read(fd, buffer, sizeof(buffer))) > 0)
        for (int i = 0; i < got; i++) {
            int blank = strchr(" \t\r\n", buffer[i]) != 0;

            bytes++;
            lines += buffer[i] == '\n';
            words += !blank && !in_word;
            in_word = !blank;
        }
    if (got < 0) {
        fprintf(2, "wc: cannot read %s\n", name);
        exit(1);
    }
    printf("%d %d %d %s\n", lines, words, bytes, name);
}

int main(int argc, char *argv[])
{
    if (argc < 2)
        count(0, "");
    for (int i = 1; i < argc; i++) {
        int fd = open(argv[i], O_RDONLY);

        if (fd < 0) {
            fprintf(2, "wc: cannot open %s\n", argv[i]);
            exit(1);
        }
        count(fd, argv[i]);
        close(fd);
    }
    exit(0);
}
