/* Runs the programs that are named, one after another, each between two lines that say so. */
#include "kernel/types.h"
#include "user/user.h"

int main(int argc, char *argv[])
{
    for (int i = 1; i < argc; i++) {
        char *arguments[] = {argv[i], 0};
        int status = -1, pid;

        printf("# program %s\n", argv[i]);
        pid = fork();
        if (pid == 0) {
            exec(argv[i], arguments);
            exit(127);
        }
        while (pid > 0 && wait(&status) != pid)
            ;
        printf("# exit %s %d\n", argv[i], status);
    }
    exit(0);
}
