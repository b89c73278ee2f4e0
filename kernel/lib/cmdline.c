/* The kernel's command line, copied and cut into words once at boot. */
#include "lib/cmdline.h"
#include "lib/string.h"

#define MAX_LINE 2048
#define MAX_WORDS 64

static char text[MAX_LINE];
static char *words[MAX_WORDS];
static unsigned n_words;

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n'; }

void cmdline_init(const char *line)
{
    char *p = text;

    copy_string(text, line, sizeof(text));
    while (n_words < MAX_WORDS) {
        while (is_blank(*p))
            p++;
        if (*p == '\0')
            break;
        words[n_words++] = p;
        while (*p != '\0' && !is_blank(*p))
            p++;
        if (*p == '\0')
            break;
        *p++ = '\0';
    }
}

const char *cmdline_get(const char *name)
{
    size_t n = strlen(name);

    for (unsigned i = n_words; i-- > 0;) {
        if (strncmp(words[i], name, n) != 0)
            continue;
        if (words[i][n] == '=')
            return words[i] + n + 1;
        if (words[i][n] == '\0')
            return words[i] + n;
    }
    return NULL;
}

bool cmdline_has(const char *name) { return cmdline_get(name) != NULL; }

u64 cmdline_number(const char *name, u64 default_value)
{
    const char *value = cmdline_get(name);
    char *end;
    u64 number;

    if (value == NULL || *value == '\0')
        return default_value;
    number = strtoul(value, &end, 0);
    return *end == '\0' ? number : default_value;
}
