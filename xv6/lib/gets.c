/* A line of standard input, its end included, one character at a time so that none is taken that others want. */
#include "user/user.h"

char *gets(char *to, int size)
{
    int used = 0;
    char letter;

    while (used + 1 < size && read(0, &letter, 1) == 1) {
        to[used++] = letter;
        if (letter == '\n' || letter == '\r')
            break;
    }
    to[used] = 0;
    return to;
}
