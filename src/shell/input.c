/* input.c: one line from a person, through Readline where it is built in. The traps it answers are
 * named where they are answered. */
#include "shell.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static session *shell;

/* Plain reading, for a pipe and for a build without Readline. */
static char *plain_line(const char *prompt)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    if (prompt) {
        fputs(prompt, stdout);
        fflush(stdout);
    }
    do {
        clearerr(stdin);
        n = getline(&line, &cap, stdin);
    } while (n < 0 && errno == EINTR && !interrupt_pending && !feof(stdin));
    if (n < 0 || interrupt_pending) {
        free(line);
        return NULL;
    }
    if (n > 0 && line[n - 1] == '\n')
        line[--n] = 0;
    if (n > 0 && line[n - 1] == '\r')   /* a file from elsewhere */
        line[--n] = 0;
    return line;
}

#if OOMPH_READLINE
#include <poll.h>
#include <readline/history.h>
#include <readline/readline.h>

static bool line_ended;                 /* after Ctrl-C: a newline was handed over */
static size_t ended;                    /* and what of the end of a paste behind it */
static volatile sig_atomic_t resized, resumed;

static void on_signal(int number)
{
    if (number == SIGWINCH)
        resized = 1;
    else
        resumed = 1;
}

/* Waits for a key or a signal; true when there is a key. Signals are blocked up to the wait itself,
 * so that none slips in between a look at its flag and the wait. */
static bool wait_for_key(int fd)
{
    struct pollfd ready = { fd, POLLIN, 0 };
    sigset_t ours, before;
    int n = -1;

    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGWINCH);
    sigaddset(&ours, SIGCONT);
    sigprocmask(SIG_BLOCK, &ours, &before);
    if (!interrupt_pending && !resized && !resumed && !rl_pending_signal())
        n = ppoll(&ready, 1, NULL, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return n > 0;
}

/* Readline keeps the same line after Ctrl-C. This reader never sits in read() with a signal
 * pending: it empties the line and hands over a newline, and the loop sees the flag. A new size is
 * answered here, too: Readline would draw inside its signal handler. Who reads on after the newline
 * is in the middle of a paste: it gets the paste's end, then the newline again. (At the end of the
 * input Readline 8.2 takes what it has for a text without setting its end.) */
static int interruptible_getc(FILE *in)
{
    history_load();                     /* the prompt is there, and nobody types this fast */
    for (;;) {
        bool key = wait_for_key(fileno(in));

        rl_check_signals();
        if (interrupt_pending && line_ended)
            return "\033[201~\n"[ended++ % 7];
        if (interrupt_pending) {
            line_ended = true;
            rl_point = rl_end;          /* a block has several rows: go on below the last */
            rl_redisplay_function();
            fputs("^C", rl_outstream);
            rl_replace_line("", 0);
            return '\n';
        }
        if (resized)
            display_resized();
        if (resumed) {                  /* whoever had the terminal left the cursor anywhere */
            fputc('\r', rl_outstream);
            rl_forced_update_display();
        }
        resized = resumed = 0;
        if (key)
            return rl_getc(in);
    }
}

static bool continued;                  /* the line goes on with a block */

static bool blank_before_cursor(void)
{
    for (int i = 0; i < rl_point; i++)
        if (rl_line_buffer[i] != ' ' && rl_line_buffer[i] != '\t')
            return false;
    return true;
}

static bool more_waits(void)
{
    struct pollfd ready = { fileno(rl_instream), POLLIN, 0 };

    return poll(&ready, 1, 0) > 0;
}

/* Tab with nothing before it is a tab in a block, and where more follows at once: a paste without
 * brackets brings indented lines. At an empty prompt it lists what there is. */
static int tab(int count, int key)
{
    if (blank_before_cursor() && (continued || rl_end > 0 || more_waits()))
        return rl_insert(count, key);
    if (rl_last_func == tab)
        rl_last_func = rl_complete;     /* the second Tab lists, as ever */
    return rl_complete(count, key);
}

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Alt-h: help on the word under the cursor. */
static int help_key(int count, int key)
{
    int from = rl_point, to = rl_point;
    char word[64];

    (void)count;
    (void)key;
    while (from > 0 && word_char(rl_line_buffer[from - 1]))
        from--;
    while (to < rl_end && word_char(rl_line_buffer[to]))
        to++;
    snprintf(word, sizeof word, "%.*s", to - from, rl_line_buffer + from);
    rl_crlf();
    lua_getglobal(shell->L, "help");
    if (*word)
        lua_pushstring(shell->L, word);
    repl_call_and_show(shell, *word ? 1 : 0);
    rl_on_new_line();
    rl_redisplay_function();
    return 0;
}

/* Ctrl-x Ctrl-e: the line in the editor; Enter then runs what came back. */
static int edit_key(int count, int key)
{
    char *text;

    (void)count;
    (void)key;
    if (shell->options->sandbox) {
        rl_ding();
        return 0;
    }
    rl_crlf();
    rl_deprep_terminal();
    text = edit_text(rl_line_buffer);
    rl_prep_terminal(1);
    if (text) {
        rl_begin_undo_group();
        rl_delete_text(0, rl_end);
        rl_point = 0;
        rl_insert_text(text);
        rl_end_undo_group();
    }
    free(text);
    rl_on_new_line();
    rl_redisplay_function();
    return 0;
}

/* ---- history by its beginning ---------------------------------------------------------------- */

static int search_back(int count, int key);
static int search_on(int count, int key);

static int begins;                      /* bytes before the cursor when the search began */

static bool begins_alike(int i)
{
    const HIST_ENTRY *e = history_get(history_base + i);

    return e && strncmp(e->line, rl_line_buffer, (size_t)begins) == 0
        && strcmp(e->line, rl_line_buffer) != 0;
}

static void begin_search(void)
{
    if (rl_last_func != search_back && rl_last_func != search_on)
        begins = rl_point;
}

/* The line that was found, the cursor where it was; at the end where nothing was typed. */
static int found(void)
{
    rl_point = begins && begins < rl_end ? begins : rl_end;
    return 0;
}

/* By steps to earlier and later lines: rl_history_search_backward of Readline 8.2 leaves two lines
 * with one list of changes, which is then freed twice. */
static int search_back(int count, int key)
{
    int at = where_history(), i = at - 1;

    (void)count;
    begin_search();
    while (i >= 0 && !begins_alike(i))
        i--;
    if (i < 0)
        return rl_ding();
    rl_get_previous_history(at - i, key);
    return found();
}

/* Past the last one that begins so: back to what was typed. */
static int search_on(int count, int key)
{
    int at = where_history(), i = at + 1;

    (void)count;
    begin_search();
    if (at >= history_length)
        return rl_ding();
    while (i < history_length && !begins_alike(i))
        i++;
    rl_get_next_history(i - at, key);
    return found();
}

static char *prefilled;                 /* what the next line begins with */

bool input_edit(void)
{
    const char *text = history_before();

    if (!shell || !shell->terminal)
        return false;
    free(prefilled);
    prefilled = edit_text(text ? text : "");
    return true;
}

static int begin_line(void)
{
    display_begin();
    if (prefilled)
        rl_insert_text(prefilled);
    free(prefilled);
    prefilled = NULL;
    return 0;
}

static void bind_keys(Keymap map)
{
    rl_bind_key_in_map('\t', tab, map);
    rl_bind_keyseq_in_map("\\e[A", search_back, map);
    rl_bind_keyseq_in_map("\\e[B", search_on, map);
    rl_bind_keyseq_in_map("\\eOA", search_back, map);
    rl_bind_keyseq_in_map("\\eOB", search_on, map);
    rl_bind_keyseq_in_map("\\eh", help_key, map);
    rl_bind_keyseq_in_map("\\C-x\\C-e", edit_key, map);
}

void input_init(session *s)
{
    struct sigaction noted = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

    shell = s;
    if (!s->terminal)
        return;
    rl_catch_sigwinch = 0;
    sigaction(SIGWINCH, &noted, NULL);
    sigaction(SIGCONT, &noted, NULL);
    term_utf8();        /* LC_CTYPE first, then the name, then defaults: inputrc wins */
    rl_readline_name = "oomph";
    rl_variable_bind("show-all-if-ambiguous", "on");
    rl_variable_bind("colored-completion-prefix", term_colours(STDOUT_FILENO) ? "on" : "off");
    /* ^C is shown where the text ends; a paste longer than the screen is not redrawn */
    rl_variable_bind("echo-control-characters", "off");
    rl_variable_bind("enable-active-region", "off");
    rl_change_environment = 0;          /* children would see stale LINES and COLUMNS */
    rl_outstream = isatty(STDOUT_FILENO) ? stdout : stderr;
    rl_getc_function = interruptible_getc;
    bind_keys(emacs_standard_keymap);
    bind_keys(vi_insertion_keymap);
    rl_startup_hook = begin_line;
    complete_init(s);
    history_open(!s->options->no_history);
}

char *input_line(const char *prompt, const char *pending)
{
    char *line;

    if (!shell->terminal)
        return plain_line(NULL);
    continued = pending != NULL;
    complete_pending(pending);
    resized = resumed = 0;              /* there is no line yet to draw anew */
    line_ended = false;
    ended = 0;
    if (RL_ISSTATE(RL_STATE_INITIALIZED))
        rl_reset_screen_size();         /* it may have changed while a script ran */
    line = readline(prompt);
    if (interrupt_pending) {
        free(line);
        return NULL;
    }
    return line;
}

#else

void input_init(session *s)
{
    shell = s;
}

bool input_edit(void)
{
    return false;
}

char *input_line(const char *prompt, const char *pending)
{
    (void)pending;
    return plain_line(shell->terminal ? prompt : NULL);
}

#endif
