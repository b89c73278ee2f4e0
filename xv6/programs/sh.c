/*
 * A small shell: words, < > >> |, ; and & between commands, cd. "$ " is its prompt.
 *
 *     line     = pipeline { (";" | "&") pipeline }
 *     pipeline = command { "|" command }
 *     command  = { word | ("<" | ">" | ">>") word }
 */
#include "kernel/types.h"
#include "kernel/fcntl.h"
#include "kernel/param.h"
#include "user/user.h"

#define LINE 256

static char line[LINE];
static char words[2 * LINE]; /* the line's tokens, each ended by 0 */

static int is_operator(char letter) { return letter && strchr("<>|;&", letter) != 0; }

/* Puts the next token of *AT into WORDS and moves on; 0 at the line's end. */
static char *next_token(char **at, char **room)
{
    char *token = *room, *from = *at;

    while (*from && strchr(" \t\r\n", *from))
        from++;
    if (!*from)
        return 0;
    if (is_operator(*from)) {
        do
            *(*room)++ = *from++;
        while (from[-1] == '>' && *from == '>');
    } else {
        while (*from && !strchr(" \t\r\n", *from) && !is_operator(*from))
            *(*room)++ = *from++;
    }
    *(*room)++ = 0;
    *at = from;
    return token;
}

static void fail(const char *what, const char *name)
{
    fprintf(2, "sh: %s %s\n", what, name);
    exit(1);
}

static void redirect(const char *operator, const char * name)
{
    int target = operator[0] == '<' ? 0 : 1, fd;
    char skipped[512];

    close(target);
    if (target == 0)
        fd = open(name, O_RDONLY);
    else
        fd = open(name, operator[1] ? O_RDWR | O_CREATE : O_WRONLY | O_CREATE | O_TRUNC);
    if (fd != target)
        fail("cannot open", name);
    while (operator[0] == '>' && operator[1] && read(fd, skipped, sizeof(skipped)) > 0)
        ; /* to its end */
}

/* Becomes the command of TOKENS, which end with 0. */
static void run_command(char **tokens)
{
    char *arguments[MAXARG], root[LINE + 1];
    int count = 0;

    for (; *tokens; tokens++) {
        if (is_operator(**tokens)) {
            if (!tokens[1] || is_operator(*tokens[1]))
                fail("a name is missing after", *tokens);
            redirect(tokens[0], tokens[1]);
            tokens++;
        } else if (count + 1 < MAXARG) {
            arguments[count++] = *tokens;
        }
    }
    arguments[count] = 0;
    if (count == 0)
        exit(0);
    exec(arguments[0], arguments);
    root[0] = '/'; /* the programs are in the root folder */
    strcpy(root + 1, arguments[0]);
    exec(root, arguments);
    fail("cannot run", arguments[0]);
}

/* Runs what is before each "|" in a child that writes into what is after it. */
static void run_pipeline(char **tokens)
{
    for (int i = 0; tokens[i]; i++) {
        int ends[2], left;

        if (tokens[i][0] != '|')
            continue;
        tokens[i] = 0;
        if (pipe(ends) < 0 || (left = fork()) < 0)
            fail("no more", "processes");
        close(left ? 0 : 1);
        dup(ends[left ? 0 : 1]);
        close(ends[0]);
        close(ends[1]);
        if (left == 0)
            run_command(tokens);
        tokens += i + 1;
        i = -1;
    }
    run_command(tokens);
}

/* cd is the shell's own; all else runs in a child, waited for unless in the background. */
static void start(char **tokens, int background)
{
    int pid;

    if (!tokens[0])
        return;
    if (strcmp(tokens[0], "cd") == 0) {
        if (chdir(tokens[1] ? tokens[1] : "/") < 0)
            fprintf(2, "sh: cannot change to %s\n", tokens[1]);
        return;
    }
    pid = fork();
    if (pid == 0)
        run_pipeline(tokens);
    if (pid < 0)
        fprintf(2, "sh: no more processes\n");
    while (pid > 0 && !background) {
        int ended = wait(0);

        if (ended == pid || ended < 0)
            break;
    }
}

static void run_line(void)
{
    static char *tokens[LINE];
    char *at = line, *room = words, *token;
    int count = 0;

    while ((token = next_token(&at, &room))) {
        if (*token == ';' || *token == '&') {
            tokens[count] = 0;
            start(tokens, *token == '&');
            count = 0;
        } else {
            tokens[count++] = token;
        }
    }
    tokens[count] = 0;
    start(tokens, 0);
}

int main(void)
{
    for (;;) {
        fprintf(2, "$ ");
        gets(line, sizeof(line));
        if (!line[0])
            exit(0);
        run_line();
    }
}
