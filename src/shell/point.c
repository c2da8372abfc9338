/* point.c: where an error is, shown to a person: the line, and marks under the word that Lua's
 * message names. Nothing is shown where the word stands there twice: Lua gives no column. */
#include "shell.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDENT 2

typedef struct { const char *at; size_t n; } span;

/* The word between quotes after `mark`; up to the last quote, since the word may hold some. */
static bool quoted(const char *message, const char *mark, span *word)
{
    const char *at = strstr(message, mark), *end;

    if (!at)
        return false;
    at += strlen(mark);
    end = strrchr(at, '\'');
    *word = (span){ at, end ? (size_t)(end - at) : 0 };
    return word->n > 0;
}

/* What the message names. Errors of a run are pointed at in blocks only: a line is above. */
static bool named(const char *message, bool block, span *word)
{
    static const char *const kinds[] = { "(global '", "(field '", "(local '", "(upvalue '",
                                         "(method '", "(constant '" };

    if (quoted(message, "near '", word))
        return true;
    for (size_t i = 0; block && i < sizeof kinds / sizeof *kinds; i++)
        if (quoted(message, kinds[i], word)) {
            word->n = strcspn(word->at, "'");
            return true;
        }
    return false;
}

static bool in_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The word where it stands as a whole, from `from` on. */
static const char *find(span line, const char *from, span word)
{
    const char *end = line.at + line.n, *at;

    for (; (at = memmem(from, (size_t)(end - from), word.at, word.n)) != NULL; from = at + 1) {
        bool before = at > line.at && in_name(at[-1]) && in_name(*at);
        bool after = at + word.n < end && in_name(at[word.n]) && in_name(at[word.n - 1]);

        if (!before && !after)
            return at;
    }
    return NULL;
}

/* The line cut at its left, so that the word and what follows it a little are on the screen. */
static span in_sight(span line, const char *word_end)
{
    int columns, rows, step;
    size_t fitting;

    term_size(&columns, &rows);
    columns -= INDENT + 1;
    while (term_columns(line.at, (size_t)(word_end - line.at)) > columns) {
        size_t n = term_char(line.at, &step);

        line.at += n;
        line.n -= n;
    }
    fitting = term_fit(line.at, columns);
    line.n = fitting < line.n ? fitting : line.n;
    return line;
}

static void repeat(char c, int n)
{
    while (n-- > 0)
        fputc(c, stderr);
}

void point_at(const char *block, const char *message)
{
    bool is_block = strchr(block, '\n') != NULL;
    span line = { block, 0 }, word;
    const char *at;
    unsigned long number;

    if (strncmp(message, "input:", 6) != 0 || !named(message, is_block, &word))
        return;
    for (number = strtoul(message + 6, NULL, 10); number > 1 && strchr(line.at, '\n'); number--)
        line.at = strchr(line.at, '\n') + 1;
    line.n = strcspn(line.at, "\n");
    at = find(line, line.at, word);
    if (number != 1 || !at || find(line, at + 1, word))
        return;
    line = in_sight(line, at + word.n);
    fprintf(stderr, "%*s", INDENT, "");
    for (size_t i = 0; i < line.n; i++)
        fputc(line.at[i] == '\t' ? ' ' : line.at[i], stderr);
    fprintf(stderr, "\n%*s", INDENT + term_columns(line.at, (size_t)(at - line.at)), "");
    repeat('^', term_columns(at, word.n));
    fputc('\n', stderr);
}
