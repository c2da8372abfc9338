/* complete.c: Tab. The scanner says where the cursor stands, candidates.c what could stand there;
 * this file is Readline's side. No error crosses Readline. Names that only contain what was typed
 * are listed and replace nothing. */
#include "shell.h"

#if OOMPH_READLINE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <readline/readline.h>

#include "candidates.h"

static session *shell;
static const char *pending;             /* the lines of the block before this one */
static candidates *found;               /* of the last Tab */
static size_t not_listed;               /* bytes of the chain before a field: known, not shown */

static int find(lua_State *L)
{
    candidates_find(shell, lua_touserdata(L, 1));
    return 0;
}

/* The matches as Readline wants them: first what replaces the word. */
static char **as_matches(const question *q, const char *text)
{
    size_t n = found->n, common;
    char **matches = n ? malloc((n + 2) * sizeof *matches) : NULL;

    if (!matches)
        return NULL;
    common = strlen(found->items[0].name);
    for (size_t i = 1; i < n; i++) {
        size_t same = 0;

        while (same < common && found->items[i].name[same] == found->items[0].name[same])
            same++;
        common = same;
    }
    /* a common part that does not go on from what was typed would replace it: list only */
    matches[0] = n == 1 || candidates_starts(found->items[0].name, text)
                     ? strndup(found->items[0].name, common) : strdup(text);
    if (matches[0] && strlen(matches[0]) < strlen(text) && n > 1) {
        free(matches[0]);
        matches[0] = strdup(text);
    }
    if (n == 1) {
        rl_completion_append_character = candidates_after(shell, q, found->items[0].name);
        matches[1] = NULL;
        return matches;
    }
    for (size_t i = 0; i < n; i++)
        matches[i + 1] = strdup(found->items[i].name);
    matches[n + 1] = NULL;
    return matches;
}

static char **attempt(const char *text, int start, int end)
{
    question q = { .word = text, .empty_prompt = !pending && rl_end == 0 };
    lua_State *L = shell->L;
    size_t before = pending ? strlen(pending) + 1 : 0;
    char *all = malloc(before + (size_t)end + 1);

    (void)start;
    rl_attempted_completion_over = 1;
    rl_completion_append_character = 0; /* Readline resets it to a blank before every call */
    rl_sort_completion_matches = 0;
    if (!all)
        return NULL;
    snprintf(all, before + (size_t)end + 1, "%s%s%.*s", pending ? pending : "", pending ? "\n" : "",
             end, rl_line_buffer);
    context_read(all, strlen(all), &q.at);
    if (q.at.kind == CONTEXT_FIELD) {
        const char *field = all + q.at.word_at;

        q.methods = field[-1] == ':';
        q.word = field;
    }
    not_listed = 0;
    found = candidates_found();
    lua_pushcfunction(L, find);
    lua_pushlightuserdata(L, &q);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
        lua_pop(L, 1);
    if (q.at.kind == CONTEXT_FIELD) {    /* Readline's word is the chain: put it before each */
        size_t kept = strlen(text) > strlen(q.word) ? strlen(text) - strlen(q.word) : 0;

        not_listed = kept;
        for (size_t i = 0; i < found->n; i++) {
            char *name = NULL;

            if (asprintf(&name, "%.*s%s", (int)kept, text, found->items[i].name) > 0) {
                free(found->items[i].name);
                found->items[i].name = name;
            }
        }
    }
    free(all);
    if (found->files) {
        rl_filename_completion_desired = 1;
        return rl_completion_matches(text, rl_filename_completion_function);
    }
    return as_matches(&q, text);
}

/* ---- the list -------------------------------------------------------------------------------- */

static int columns_of(const char *s)
{
    return term_columns(s, strlen(s));
}

/* One a line with what it is, as long as the screen has room; otherwise in columns, then cut. */
static void list(char **matches, int n, int widest)
{
    int columns, rows, shown, per_line = 1, described = 0;

    term_size(&columns, &rows);
    widest -= (int)not_listed;
    for (int i = 1; i <= n; i++)
        described += (size_t)n == found->n && found->items[i - 1].about != NULL;
    if (rl_filename_completion_desired || (size_t)n != found->n) {
        rl_display_match_list(matches, n, widest);
        rl_forced_update_display();
        return;
    }
    if (!described || n > rows - 3) {
        described = 0;
        per_line = columns / (widest + 2) > 0 ? columns / (widest + 2) : 1;
    }
    shown = n <= (rows - 3) * per_line ? n : (rows - 3) * per_line;
    putc('\n', rl_outstream);
    for (int i = 0; i < shown; i++) {
        const char *name = found->items[i].name + not_listed, *about = found->items[i].about;

        if (described && about) {
            int room = columns - widest - 3;

            fprintf(rl_outstream, "%s%*s", name, widest + 2 - columns_of(name), "");
            if (room > 8 && columns_of(about) > room)
                fprintf(rl_outstream, "%.*s%s", (int)term_fit(about, room - 1), about,
                        term_utf8() ? "\u2026" : "~");
            else if (room > 8)
                fputs(about, rl_outstream);
            putc('\n', rl_outstream);
        } else if (per_line == 1 || i % per_line == per_line - 1 || i == shown - 1) {
            fprintf(rl_outstream, "%s\n", name);
        } else {
            fprintf(rl_outstream, "%s%*s", name, widest + 2 - columns_of(name), "");
        }
    }
    if (n - shown > 0)
        fprintf(rl_outstream, "%s %d more: type a few letters of the name\n",
                term_utf8() ? "\u2026" : "...", n - shown);
    rl_forced_update_display();
}

void complete_pending(const char *block)
{
    pending = block;
}

void complete_init(session *s)
{
    shell = s;
    rl_attempted_completion_function = attempt;
    rl_completer_quote_characters = "\"'";
    /* Lua's signs without ".": fields are split here */
    rl_basic_word_break_characters = " \t\n\"'\\`@$><=;|&{([,+-*/%^#~)]}:";
    rl_completer_word_break_characters = rl_basic_word_break_characters;
    rl_completion_display_matches_hook = list;
}

#else

void complete_init(session *s)
{
    (void)s;
}

void complete_pending(const char *block)
{
    (void)block;
}

#endif
