/* replay: plays a *.session file against the shell in a real terminal: a pseudo-terminal with a
 * terminal emulator (libvterm) behind it. What is compared is the screen, not the bytes. Prints
 * the Test Anything Protocol.
 *
 *   # a sentence             a test begins; it fails when one of its screens never comes
 *   $ NAME=value oomph -q    starts a shell (oomph alone: build/oomph) in the current terminal
 *   > text                   types the text and Enter;  >> text  types it alone
 *                            keys: <TAB> <ENTER> <ESC> <BS> <UP> <DOWN> <C-x> <M-x>
 *                            <paste FILE> brackets the file, <raw FILE> types it
 *                            <resize COLUMNS> <resize COLUMNSxROWS> <kill SIGNAL> <wait SECONDS>
 *   * text                   types it alone, every second anew until what follows has come
 *   | text                   these lines are now the last on the screen; {*} is anything, and
 *                            the time that a slow call took may stand between them
 *   ~ coloured               some cell of the screen has a colour;  ~ plain: none has
 *   ! 0                      the shell ends with this status
 *   @ 2                      terminal 2 (1 to 4) from here on
 *   % command                runs it with sh; fails when it does
 *
 * Every file has its own HOME, which is the current folder of its shells. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vterm.h>

enum { ROWS = 24, COLUMNS = 80, TERMINALS = 4, EXPECTED = 120, QUIET_MS = 15 };

typedef struct {
    VTerm *vt;
    VTermScreen *screen;
    int fd, columns, rows;
    pid_t pid;
    char held[4];                       /* the beginning of a character whose rest is to come */
    size_t n_held;
} terminal;

static terminal terminals[TERMINALS];
static terminal *t = terminals;
static char home[64], tree[2048], binary[4096];
static int done, failures;
static char sentence[256];
static bool failing;
static char again[256];                 /* what is typed until it helps */

static long now_ms(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

/* How long to wait for what must come: half of what a test file may take (tests/run), so that what
 * did not come is told. A busy machine is slow, not broken. */
static int patience_ms(void)
{
    const char *seconds = getenv("PATIENCE");

    return 500 * (seconds ? atoi(seconds) : 120);
}

/* ---- the terminal ---------------------------------------------------------------------------- */

/* Bytes of the text that end with a whole character: libvterm garbles one that comes in two. */
static size_t whole(const char *text, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)text[n - back];

        if (c < 0x80)
            return n;
        if (c >= 0xc0)
            return back < (c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : 2u) ? n - back : n;
    }
    return n;
}

/* Feeds what the shell wrote to the screen for up to `ms`; false when nothing came. */
static bool feed(int ms)
{
    struct pollfd p = { t->fd, POLLIN, 0 };
    char buf[65536];
    ssize_t n;
    size_t answer, all, now;

    if (t->fd < 0 || poll(&p, 1, ms) <= 0)
        return false;
    memcpy(buf, t->held, t->n_held);
    n = read(t->fd, buf + t->n_held, sizeof buf - t->n_held);
    if (n <= 0) {
        close(t->fd);
        t->fd = -1;
        t->n_held = 0;
        return false;
    }
    all = t->n_held + (size_t)n;
    now = whole(buf, all);
    t->n_held = all - now;
    memcpy(t->held, buf + now, t->n_held);
    vterm_input_write(t->vt, buf, now);
    while ((answer = vterm_output_read(t->vt, buf, sizeof buf)) > 0)
        (void)!write(t->fd, buf, answer);
    return true;
}

static void settle(void)
{
    while (feed(QUIET_MS))
        continue;
}

static void type(const char *s, size_t n)
{
    while (n > 0 && t->fd >= 0) {       /* the shell may be writing, too: never block on it */
        struct pollfd p = { t->fd, POLLIN | POLLOUT, 0 };
        ssize_t written;

        poll(&p, 1, patience_ms());
        if (p.revents & POLLIN)
            feed(0);
        if (!(p.revents & POLLOUT)) {
            if (p.revents & (POLLHUP | POLLERR))
                return;
            continue;
        }
        written = write(t->fd, s, n > 512 ? 512 : n);
        if (written <= 0)
            return;
        s += written;
        n -= (size_t)written;
    }
}

/* Row `row` of the screen as UTF-8, without trailing blanks. */
static void row_text(int row, char *out, size_t out_bytes)
{
    size_t at = 0;

    for (int column = 0; column < t->columns && at + 40 < out_bytes; column++) {
        VTermScreenCell cell = { 0 };

        vterm_screen_get_cell(t->screen, (VTermPos){ row, column }, &cell);
        if (cell.chars[0] == (uint32_t)-1)
            continue;                   /* the right half of a wide character */
        for (int i = 0; i == 0 || (i < VTERM_MAX_CHARS_PER_CELL && cell.chars[i]); i++) {
            uint32_t c = cell.chars[i] ? cell.chars[i] : ' ';

            if (c < 0x80) {
                out[at++] = (char)c;
            } else if (c < 0x800) {
                out[at++] = (char)(0xc0 | c >> 6);
                out[at++] = (char)(0x80 | (c & 0x3f));
            } else if (c < 0x10000) {
                out[at++] = (char)(0xe0 | c >> 12);
                out[at++] = (char)(0x80 | (c >> 6 & 0x3f));
                out[at++] = (char)(0x80 | (c & 0x3f));
            } else {
                out[at++] = (char)(0xf0 | c >> 18);
                out[at++] = (char)(0x80 | (c >> 12 & 0x3f));
                out[at++] = (char)(0x80 | (c >> 6 & 0x3f));
                out[at++] = (char)(0x80 | (c & 0x3f));
            }
        }
    }
    while (at > 0 && out[at - 1] == ' ')
        at--;
    out[at] = 0;
}

static int last_row(void)
{
    char text[4096];
    int row = t->rows - 1;

    for (; row > 0; row--) {
        row_text(row, text, sizeof text);
        if (*text)
            break;
    }
    return row;
}

static bool coloured(void)
{
    for (int row = 0; row < t->rows; row++)
        for (int column = 0; column < t->columns; column++) {
            VTermScreenCell cell = { 0 };

            vterm_screen_get_cell(t->screen, (VTermPos){ row, column }, &cell);
            if (!VTERM_COLOR_IS_DEFAULT_FG(&cell.fg) || !VTERM_COLOR_IS_DEFAULT_BG(&cell.bg))
                return true;
        }
    return false;
}

static void start(char *line)
{
    static char *const base[] = { "TERM=xterm-256color", "INPUTRC=/dev/null", "LC_ALL=C.UTF-8",
                                 "PATH=/usr/local/bin:/usr/bin:/bin",
                                 NULL };
    char *argv[32], *assignments[16], *rest;
    int n_args = 0, n_assignments = 0;
    struct winsize size = { ROWS, COLUMNS, 0, 0 };

    if (t->vt)
        vterm_free(t->vt);
    if (t->fd > 0)
        close(t->fd);
    t->columns = COLUMNS;
    t->rows = ROWS;
    t->vt = vterm_new(ROWS, COLUMNS);
    vterm_set_utf8(t->vt, 1);
    t->screen = vterm_obtain_screen(t->vt);
    vterm_screen_enable_altscreen(t->screen, 1);
    vterm_screen_reset(t->screen, 1);
    for (char *word = strtok_r(line, " ", &rest); word && n_args < 31;
         word = strtok_r(NULL, " ", &rest)) {
        if (n_args == 0 && strchr(word, '=') && n_assignments < 16)
            assignments[n_assignments++] = word;
        else
            argv[n_args++] = word;
    }
    argv[n_args] = NULL;
    t->pid = forkpty(&t->fd, NULL, NULL, &size);
    if (t->pid < 0) {
        perror("forkpty");
        exit(1);
    }
    if (t->pid == 0) {
        clearenv();
        for (int i = 0; base[i]; i++)
            putenv(base[i]);
        setenv("HOME", home, 1);
        setenv("TREE", tree, 1);
        setenv("OOMPH", binary, 1);
        for (int i = 0; i < n_assignments; i++)
            putenv(assignments[i]);
        if (n_args && !strcmp(argv[0], "oomph"))
            argv[0] = binary;
        if (n_args && chdir(home) == 0)
            execvp(argv[0], argv);
        _exit(127);
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void fail(int line, const char *fmt, ...)
{
    va_list args;

    failing = true;
    printf("# line %d: ", line);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
}

static void finish(void)
{
    if (!*sentence)
        return;
    done++;
    failures += failing;
    printf("%s %d - %s\n", failing ? "not ok" : "ok", done, sentence);
    fflush(stdout);
    if (failing)
        type("\003\003", 2);            /* the next test starts on an empty line */
    failing = false;
    *sentence = 0;
}

static void type_file(const char *path, bool bracketed)
{
    char full[4096], buf[65536];
    FILE *in;
    size_t n;

    snprintf(full, sizeof full, "%s/%s", *path == '/' ? "" : home, path);
    in = fopen(full, "rb");
    if (!in) {
        perror(full);
        return;
    }
    n = fread(buf, 1, sizeof buf, in);
    fclose(in);
    if (bracketed)
        type("\033[200~", 6);
    type(buf, n);
    if (bracketed)
        type("\033[201~", 6);
}

static void key(const char *name)
{
    static const struct { const char *name, *bytes; } keys[] = {
        { "TAB", "\t" }, { "ENTER", "\r" }, { "ESC", "\033" }, { "BS", "\177" },
        { "UP", "\033[A" }, { "DOWN", "\033[B" },
    };
    char bytes[2] = { 0 };

    settle();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(name, keys[i].name)) {
            type(keys[i].bytes, strlen(keys[i].bytes));
            return;
        }
    if (!strncmp(name, "C-", 2)) {
        bytes[0] = (char)(name[2] & 0x1f);
        type(bytes, 1);
    } else if (!strncmp(name, "M-", 2)) {
        type("\033", 1);
        type(name + 2, 1);
    } else if (!strncmp(name, "paste ", 6)) {
        type_file(name + 6, true);
    } else if (!strncmp(name, "raw ", 4)) {
        type_file(name + 4, false);
    } else if (!strncmp(name, "resize ", 7)) {
        const char *by = strchr(name, 'x');
        unsigned short rows = (unsigned short)(by ? atoi(by + 1) : t->rows);
        struct winsize size = { rows, (unsigned short)atoi(name + 7), 0, 0 };

        t->columns = size.ws_col;
        t->rows = rows;
        vterm_set_size(t->vt, t->rows, t->columns);
        ioctl(t->fd, TIOCSWINSZ, &size);
    } else if (!strncmp(name, "kill ", 5)) {
        kill(t->pid, atoi(name + 5));
    } else if (!strncmp(name, "wait ", 5)) {
        for (long until = now_ms() + (long)(atof(name + 5) * 1000); now_ms() < until;)
            feed(10);
    } else {
        type("<", 1);
        type(name, strlen(name));
        type(">", 1);
    }
}

static void type_line(const char *s)
{
    while (*s) {
        const char *end = *s == '<' && s[1] >= 'A' ? strchr(s, '>') : NULL;
        char name[256];

        if (!end || end - s > 200) {
            size_t n = 1 + strcspn(s + 1, "<");

            type(s, n);
            s += n;
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)(end - s - 1), s + 1);
        key(name);
        s = end + 1;
    }
}

/* Whether `text` is what `expected` says, in which {*} is anything. */
static bool matches(const char *expected, const char *text)
{
    const char *any = strstr(expected, "{*}");

    if (!any)
        return !strcmp(expected, text);
    if (strncmp(expected, text, (size_t)(any - expected)) != 0)
        return false;
    for (text += any - expected;; text++) {
        if (matches(any + 3, text))
            return true;
        if (!*text)
            return false;
    }
}

/* "(0.7 s)": on a busy machine any call may be slow enough to say so. */
static bool is_time(const char *text)
{
    size_t n = *text == '(' ? 1 + strspn(text + 1, "0123456789.") : 0;

    return n > 1 && !strcmp(text + n, " s)");
}

static bool screen_is(char lines[][1024], int n)
{
    int row = last_row();
    char text[4096];

    while (n > 0 && row >= 0) {
        row_text(row--, text, sizeof text);
        if (matches(lines[n - 1], text))
            n--;
        else if (!is_time(text))
            return false;
    }
    return n == 0;
}

/* Two presses of Ctrl-C may reach a shell that does not run meanwhile as one. */
static void press_again(long *next)
{
    if (!*again || now_ms() < *next)
        return;
    type_line(again);
    *next = now_ms() + 1000;
}

static void expect(char lines[][1024], int n, int line)
{
    long until = now_ms() + patience_ms(), press = now_ms() + 100;
    int first;

    if (n == 0 || failing)
        return;
    do {
        press_again(&press);
        settle();
        if (screen_is(lines, n))
            return;
        feed(20);
    } while (now_ms() < until && t->fd >= 0);
    settle();
    if (screen_is(lines, n))
        return;
    fail(line, "this was expected at the end of the screen:");
    for (int i = 0; i < n; i++)
        printf("#   | %s\n", lines[i]);
    printf("# and this is the screen:\n");
    first = last_row();
    for (int i = 0; i <= first; i++) {
        char text[4096];

        row_text(i, text, sizeof text);
        printf("#   | %s\n", text);
    }
}

static void expect_status(int wanted, int line)
{
    long until = now_ms() + patience_ms(), press = now_ms() + 100;
    int status = 0;
    pid_t ended = 0;

    while (now_ms() < until && (ended = waitpid(t->pid, &status, WNOHANG)) == 0) {
        press_again(&press);
        feed(5);
    }
    status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (ended != t->pid)
        fail(line, "the shell goes on, status %d was expected", wanted);
    else if (status != wanted)
        fail(line, "status %d, expected %d", status, wanted);
    settle();
}

static void play(FILE *in)
{
    static char lines[EXPECTED][1024];
    char line[1024];
    int n = 0, number = 0;

    while (fgets(line, sizeof line, in)) {
        char *text = line + 1;

        number++;
        line[strcspn(line, "\n")] = 0;
        if (*line == '|') {
            if (n < EXPECTED)
                snprintf(lines[n++], sizeof *lines, "%s", *text == ' ' ? text + 1 : text);
            continue;
        }
        expect(lines, n, number - n);
        if (*line != '!')
            *again = 0;
        n = 0;
        text += *text == ' ';
        if (*line == '#') {
            finish();
            snprintf(sentence, sizeof sentence, "%s", text);
        } else if (failing) {
            continue;
        } else if (*line == '@') {
            t = &terminals[(atoi(text) - 1) & (TERMINALS - 1)];
        } else if (*line == '$') {
            start(text);
        } else if (*line == '>') {
            bool enter = line[1] != '>';

            settle();
            type_line(enter ? text : text + 1 + (text[1] == ' '));
            if (enter)
                type("\r", 1);
        } else if (*line == '*') {
            settle();
            snprintf(again, sizeof again, "%s", text);
        } else if (*line == '~') {
            if (coloured() != !strcmp(text, "coloured"))
                fail(number, "the screen is not %s", text);
        } else if (*line == '!') {
            expect_status(atoi(text), number);
        } else if (*line == '%') {
            if (system(text) != 0)
                fail(number, "failed: %s", text);
        } else if (*line) {
            fail(number, "no step: %s", line);
        }
    }
    expect(lines, n, number - n);
    finish();
}

/* Leaves a shell as people do, so that it ends by itself (and writes what it counted of its own
 * coverage); kills one that goes on. */
static void leave(terminal *left)
{
    long until = now_ms() + patience_ms(), press = now_ms() + 100;
    int status;

    t = left;
    if (t->pid <= 0)
        return;
    for (snprintf(again, sizeof again, "<C-c><C-d>"); now_ms() < until; feed(5)) {
        if (waitpid(t->pid, &status, WNOHANG) != 0)
            return;
        press_again(&press);
    }
    kill(t->pid, SIGKILL);
}

int main(int argc, char **argv)
{
    const char *build = getenv("BUILD");
    FILE *in;
    char command[128];

    if (argc != 2 || !getcwd(tree, sizeof tree)) {
        fprintf(stderr, "usage: replay FILE.session\n");
        return 2;
    }
    if (!build)
        build = "build";
    snprintf(binary, sizeof binary, "%s%s%s/oomph", *build == '/' ? "" : tree,
             *build == '/' ? "" : "/", build);
    snprintf(home, sizeof home, "/tmp/oomph-session-XXXXXX");
    if (!mkdtemp(home)) {
        perror(home);
        return 2;
    }
    in = fopen(argv[1], "r");
    if (!in) {
        perror(argv[1]);
        return 2;
    }
    setenv("HOME", home, 1);
    setenv("TREE", tree, 1);
    setenv("OOMPH", binary, 1);
    for (int i = 0; i < TERMINALS; i++)
        terminals[i].fd = -1;
    play(in);
    fclose(in);
    printf("1..%d\n", done);
    for (int i = 0; i < TERMINALS; i++)
        leave(&terminals[i]);
    snprintf(command, sizeof command, "rm -rf %s", home);
    (void)!system(command);
    return failures > 0;
}
