/* term.c: what the terminal can do: its size (asked anew each time: it may have been resized while
 * a script ran), its character set, its colours. Charts ask through host.term(). */
#include "shell.h"

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

static shell_colour wanted;

void term_init(shell_colour colour)
{
    wanted = colour;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value ? value : "";
}

static bool dumb(void)
{
    return !*variable("TERM") || !strcmp(variable("TERM"), "dumb");
}

bool term_utf8(void)
{
    static int utf8 = -1;

    if (utf8 < 0) {
        /* only LC_CTYPE: LC_NUMERIC would change the decimals of strtod, printf, Lua and cJSON */
        setlocale(LC_CTYPE, "");
        utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
    }
    return utf8 && !(isatty(STDOUT_FILENO) && dumb());
}

int term_colours(int fd)
{
    if (wanted == COLOUR_NEVER)
        return 0;
    if (wanted == COLOUR_AUTO && (*variable("NO_COLOR") || !isatty(fd) || dumb()))
        return 0;
    return strstr(variable("TERM"), "256") || *variable("COLORTERM") ? 256 : 16;
}

void term_size(int *columns, int *rows)
{
    struct winsize size;

    *columns = 80;
    *rows = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        *columns = size.ws_col;
        *rows = size.ws_row;
    }
}

size_t term_char(const char *s, int *columns)
{
    mbstate_t state = { 0 };
    wchar_t c;
    size_t n = mbrtowc(&c, s, strlen(s), &state);
    int wide = n > 0 && n <= MB_CUR_MAX ? wcwidth(c) : -1;

    *columns = wide < 0 ? 1 : wide;
    return n > 0 && n <= MB_CUR_MAX ? n : *s != 0;
}

int term_columns(const char *s, size_t n_bytes)
{
    const char *end = s + n_bytes;
    int all = 0, columns;

    for (; s < end && *s; all += columns)
        s += term_char(s, &columns);
    return all;
}

size_t term_fit(const char *s, int columns)
{
    const char *at = s;
    size_t n;
    int wide;

    while ((n = term_char(at, &wide)) > 0 && (columns -= wide) >= 0)
        at += n;
    return (size_t)(at - s);
}

/* Columns of a word, which may switch colours: ESC [ ... m. */
static int word_columns(const char *s, size_t n_bytes)
{
    const char *end = s + n_bytes;
    bool escape = false;
    int all = 0, columns;

    while (s < end) {
        size_t n = term_char(s, &columns);

        escape = escape || *s == '\033';
        all += escape ? 0 : columns;
        escape = escape && *s != 'm';
        s += n;
    }
    return all;
}

void term_say(FILE *to, const char *format, ...)
{
    int columns, rows, at = 0;
    char *text;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    term_size(&columns, &rows);
    for (const char *s = text; s && *s;) {
        size_t blanks = strspn(s, " "), n = blanks + strcspn(s + blanks, " \n");
        int wide = word_columns(s, n);

        if (at > 2 && at + wide > columns && isatty(fileno(to))) {
            fputs("\n  ", to);
            s += blanks;
            n -= blanks;
            at = 2 - (int)blanks;
        }
        fwrite(s, 1, n, to);
        at = s[n] == '\n' ? 0 : at + wide;
        if (s[n] == '\n')
            putc(s[n++], to);
        s += n;
    }
    free(text);
}

int term_host(lua_State *L)
{
    int columns, rows;

    term_size(&columns, &rows);
    lua_pushinteger(L, columns);
    lua_pushinteger(L, rows);
    lua_pushboolean(L, isatty(STDOUT_FILENO));
    lua_pushinteger(L, term_colours(STDOUT_FILENO));
    lua_pushboolean(L, term_utf8());
    return 5;
}
