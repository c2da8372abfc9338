/* prompt: types at a real shell, in a pseudo-terminal, what prompt.lua makes up, and looks at what
 * comes back. The session must answer after every few items, say nothing of its own insides, and
 * leave with status 0 (a sanitizer that found a leak does not).
 *
 *   prompt SECONDS [SEED]        sessions of 200 items for that long, from SEED on (1)
 *
 * What was typed when something did not hold is in $BUILD/prompt-found, as prompt.lua wrote it. */
#include <limits.h>
#include <stdint.h>

#include "../life/pty.h"

enum { ITEMS = 200 };

static char binary[PATH_MAX], lua[PATH_MAX], found[PATH_MAX], home[] = "/tmp/oomph-prompt-XXXXXX";
static char home_is[64], lsan_is[PATH_MAX + 16];
static pty shell;
static char typed[1 << 20];             /* the items of this session */
static unsigned long items;

/* What no answer may hold: a file of ours, a traceback, a sanitizer's report. */
static const char *const never[] = {
    "internal error", "stack traceback", "Sanitizer", "runtime error:", "PANIC", "core dumped",
    "lua/", "segmentation fault",
};

static bool fault(const char *what, unsigned long seed)
{
    FILE *out = fopen(found, "w");

    printf("seed %lu: %s; what was typed is in %s\n", seed, what, found);
    shell.seen[shell.n] = 0;
    printf("%s\n", shell.n > 3000 ? shell.seen + shell.n - 3000 : shell.seen);
    if (out) {
        fputs(typed, out);
        fclose(out);
    }
    return false;
}

static bool begin(void)
{
    const char *const argv[] = { binary, "--no-init", "-q", NULL };
    const char *const set[] = { home_is, "TERM=xterm-256color", "INPUTRC=/dev/null",
                                "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin", "OOMPH_MAX_MEMORY=256MiB",
                                "VISUAL=true", "EDITOR=true",   /* edit() comes back at once */
                                /* Readline has no frame pointers, and lsan.supp names a call of it */
                                "ASAN_OPTIONS=allocator_may_return_null=1:fast_unwind_on_malloc=0",
                                lsan_is, NULL };

    return pty_start(&shell, argv, set) && pty_wait(&shell, "oomph> ");
}

/* \ddd back to bytes, in place. */
static size_t decoded(char *line)
{
    char *to = line;

    for (const char *from = line; *from;) {
        if (*from == '\\') {
            *to++ = (char)((from[1] - '0') * 100 + (from[2] - '0') * 10 + (from[3] - '0'));
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    return (size_t)(to - line);
}

/* An answer that names what only we know; `lua/` is in the names of our chunks. */
static const char *said_too_much(void)
{
    shell.seen[shell.n] = 0;
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (memmem(shell.seen, shell.n, never[i], strlen(never[i])))
            return never[i];
    return NULL;
}

/* Back to an empty line, whatever is going on, and a question: is anybody there? */
static bool answers(unsigned long seed)
{
    static unsigned long question;
    const char *word;

    for (int tries = 0; tries < 3; tries++) {
        long until = pty_now_ms() + 2000;       /* something may stand behind the prompt */

        pty_type(&shell, "\003");
        while (pty_now_ms() < until && shell.fd >= 0) {
            pty_read(&shell, 30);
            if (shell.n >= 7 && !memcmp(shell.seen + shell.n - 7, "oomph> ", 7))
                break;
        }
        word = said_too_much();
        if (word)
            return fault(word, seed);
        if (pty_answers_in(&shell, 1000000 + ++question, tries < 2 ? 3000 : pty_patience_ms()))
            return true;
    }
    return fault("no answer", seed);
}

static bool session(unsigned long seed)
{
    char command[2 * PATH_MAX + 64], line[1 << 16];
    size_t at = 0;
    FILE *in;
    bool fine = begin();
    int status;

    snprintf(command, sizeof command, "'%s' --no-init '%s' %lu %d", binary, lua, seed, ITEMS);
    in = popen(command, "r");
    if (!in || !fine)
        return fault("it does not start", seed);
    typed[0] = 0;
    for (int i = 0; fine && fgets(line, sizeof line, in); i++) {
        if (at + strlen(line) < sizeof typed)
            at += (size_t)sprintf(typed + at, "%s", line);
        line[strcspn(line, "\n")] = 0;
        pty_type_bytes(&shell, line, decoded(line));
        pty_read(&shell, 10);
        items++;
        if (i % 4 == 3)
            fine = answers(seed);
    }
    pclose(in);
    if (!fine) {
        kill(shell.pid, SIGKILL);
        pty_status(&shell);
        return false;
    }
    pty_wait(&shell, "oomph> ");
    pty_type(&shell, "\004");
    status = pty_status(&shell);
    return status == 0 || fault("it did not leave with status 0", seed);
}

int main(int argc, char **argv)
{
    const char *build = getenv("BUILD"), *suppressed = getenv("LSAN_OPTIONS");
    long until = pty_now_ms() + (argc > 1 ? atol(argv[1]) : 60) * 1000;
    unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1, sessions = 0;
    char at[PATH_MAX];
    bool fine = true;

    snprintf(at, sizeof at, "%s/oomph", build ? build : "build");
    if (!realpath(at, binary) || !realpath("tests/fuzz/prompt.lua", lua)) {
        fprintf(stderr, "prompt: no %s, or not in the tree\n", at);
        return 2;
    }
    snprintf(found, sizeof found, "%.*sprompt-found", (int)(strlen(binary) - 5), binary);
    if (!mkdtemp(home) || chdir(home) != 0)
        return 2;
    snprintf(home_is, sizeof home_is, "HOME=%s", home);
    snprintf(lsan_is, sizeof lsan_is, "LSAN_OPTIONS=%s", suppressed ? suppressed : "");
    while (fine && pty_now_ms() < until) {
        fine = session(seed++);
        sessions += fine;
    }
    printf("%lu items typed in %lu sessions that were whole\n", items, sessions);
    snprintf(at, sizeof at, "rm -rf %s", home);
    (void)!system(at);
    return !fine;
}
