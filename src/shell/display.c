/* display.c: an entry taller than the screen. Readline draws all of a line, and rows that scrolled
 * away are drawn over the others: after a paste of sixty lines nobody can tell what is there. Here
 * it is handed a view, the rows around the cursor and the count of those left out, in the place of
 * the line; what is edited and returned is the line itself. */
#include "shell.h"

#if OOMPH_READLINE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <readline/readline.h>

/* Rows of the screen that no text of a view takes: a count above, one below, and one to breathe. */
#define MARGIN 3

static int wide;                        /* columns of the screen */

typedef struct { const char *at; int row, column; } place;

/* Moves over one character as Readline lays it out; false at the end. */
static bool move(place *p)
{
    int columns;
    size_t n = term_char(p->at, &columns);

    if (n == 0)
        return false;
    if (*p->at == '\n') {
        p->row++;
        p->column = 0;
    } else {
        if (*p->at == '\t')
            columns = 8 - p->column % 8;
        else if ((unsigned char)*p->at < 0x20)
            columns = 2;                /* ^X */
        if (p->column + columns > wide) {
            p->row++;
            p->column = 0;
        }
        p->column += columns;
    }
    p->at += n;
    return true;
}

/* Where the text begins, after the last line of the prompt. */
static place beginning(void)
{
    const char *prompt = rl_display_prompt ? rl_display_prompt : "";
    int columns = term_columns(prompt, strlen(prompt));

    return (place){ rl_line_buffer, columns / wide, columns % wide };
}

static int row_of(const char *at)
{
    place p = beginning();

    while (p.at < at && move(&p))
        continue;
    return p.row;
}

/* The first character of a row, or the end. */
static const char *start_of(int row)
{
    place p = beginning();
    const char *before;

    do {
        if (p.row >= row)
            return p.at;
        before = p.at;
    } while (move(&p));
    return p.row >= row ? p.at : before;
}

/* Rows first .. first + height - 1 of all, as text; *offset: what to add to a place in the line. */
static char *view_of(int first, int height, int all, int *offset)
{
    const char *dots = term_utf8() ? "\u2026" : "...";
    const char *from = start_of(first), *to = start_of(first + height);
    char above[48] = "", below[48] = "", *view;

    if (first > 0)
        snprintf(above, sizeof above, "%s %d rows above\n", dots, first);
    if (first + height < all)
        snprintf(below, sizeof below, "%s%s %d rows below", to > from && to[-1] == '\n' ? "" : "\n",
                 dots, all - first - height);
    *offset = (int)strlen(above) - (int)(from - rl_line_buffer);
    return asprintf(&view, "%s%.*s%s", above, (int)(to - from), from, below) < 0 ? NULL : view;
}

/* The part in sight; NULL where the line fits on the screen. */
static char *view(int *offset)
{
    static int first;
    int rows, all, cursor, height;

    rl_get_screen_size(&rows, &wide);
    height = rows - MARGIN;
    /* without cursor motion upwards Readline scrolls sideways, in one row */
    if (height < 1 || wide < 8 || !rl_get_termcap("up") ||
        (all = row_of(rl_line_buffer + rl_end) + 1) < rows)
        return NULL;
    cursor = row_of(rl_line_buffer + rl_point);
    if (first > all - height)
        first = all - height;
    if (first > cursor)
        first = cursor;
    if (first < cursor - height + 1)
        first = cursor - height + 1;
    return view_of(first, height, all, offset);
}

static bool in_part;                    /* a view is on the screen */

static void redisplay(void)
{
    int point = rl_point, end = rl_end, offset;
    char *line = rl_line_buffer, *part = view(&offset);

    in_part = part != NULL;
    if (part) {
        rl_line_buffer = part;
        rl_end = (int)strlen(part);
        rl_point += offset;
    }
    rl_redisplay();
    rl_line_buffer = line;
    rl_end = end;
    rl_point = point;
    free(part);
}

/* The window has another size. Where a view fills the screen or will, it begins anew. Elsewhere
 * Readline goes back to where its line began, which it does when it draws the line itself. */
void display_resized(void)
{
    int rows;

    term_size(&wide, &rows);
    if (!in_part && row_of(rl_line_buffer + rl_end) < rows - 1) {
        rl_redisplay_function = rl_redisplay;
        rl_resize_terminal();
        rl_redisplay_function = redisplay;
    } else {
        rl_reset_screen_size();
        rl_clear_screen(1, 0);
    }
}

/* Not before Readline has begun: where another draws the line from the start it leaves the brackets
 * around a paste off. */
void display_begin(void)
{
    rl_redisplay_function = redisplay;
}

#endif
