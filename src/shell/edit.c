/* edit.c: a text in the user's editor, $VISUAL, $EDITOR or vi, as a file that is gone afterwards */
#include "shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_BYTES (1 << 20)            /* of what comes back: a block, not a library */

static const char *editor(void)
{
    const char *visual = getenv("VISUAL"), *plain = getenv("EDITOR");

    return visual && *visual ? visual : plain && *plain ? plain : "vi";
}

/* Runs the editor as a shell would, so that it may have arguments. The terminal's signals are its
 * own while it runs. */
static bool run_editor(const char *path)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
    const char *program = editor();
    int status = -1;
    pid_t child;

    sigaction(SIGINT, &ignore, &before);
    child = fork();
    if (child == 0) {
        char command[4096];

        signal(SIGINT, SIG_DFL);
        snprintf(command, sizeof command, "%s \"$1\"", program);
        execl("/bin/sh", "sh", "-c", command, "sh", path, (char *)NULL);
        _exit(127);
    }
    if (child > 0)
        waitpid(child, &status, 0);
    sigaction(SIGINT, &before, NULL);
    if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    fprintf(stderr, "error: the editor (%s) failed: nothing is changed\n", program);
    return false;
}

static char *read_back(const char *path)
{
    FILE *in = fopen(path, "r");
    char *text = in ? calloc(1, MOST_BYTES) : NULL;
    size_t n = text ? fread(text, 1, MOST_BYTES - 1, in) : 0;

    while (n > 0 && text[n - 1] == '\n')
        text[--n] = 0;
    if (in)
        fclose(in);
    return text;
}

char *edit_text(const char *text)
{
    const char *folder = getenv("TMPDIR");
    char path[1024], *edited = NULL;
    size_t n = strlen(text);
    int fd;

    snprintf(path, sizeof path, "%s/oomph-XXXXXX.lua", folder && *folder ? folder : "/tmp");
    fd = mkstemps(path, 4);
    if (fd < 0) {
        perror("error: no file for the editor");
        return NULL;
    }
    if (write(fd, text, n) == (ssize_t)n && write(fd, "\n", 1) == 1 && run_editor(path))
        edited = read_back(path);
    close(fd);
    unlink(path);
    return edited;
}
