/* init: starts the shell, again and again. */
#include "kernel/types.h"
#include "user/user.h"

int main(void)
{
    char *arguments[] = {"sh", 0};

    for (;;) {
        int pid = fork(), ended;

        if (pid == 0) {
            exec("/sh", arguments);
            printf("init: cannot start sh\n");
            exit(1);
        }
        while ((ended = wait(0)) != pid)
            if (ended < 0)
                exit(1);
    }
}
