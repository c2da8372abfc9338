/* logfigure.c: numbers with commas between thousands, sizes with and without units, words and
 * truths, as engines print them. A number keeps half of its last digit: no more can be read. */
#include "logfigure.h"

#include <ctype.h>
#include <string.h>

enum { LONGEST_TEXT = 512 };

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* ---- keeping ------------------------------------------------------------------------------- */

static void keep(log_reader *r, const log_row *w, read_fact fact)
{
    if (r->failed || r->cut)
        return;
    if (r->n == READ_MOST_FACTS) {
        r->cut = true;
        return;
    }
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 4 : 64;
        read_fact *more = oom_arena_get(r->arena, cap * sizeof *more, r->err);

        r->failed = !more;
        if (!more)
            return;
        if (r->n)
            memcpy(more, r->facts, r->n * sizeof *more);
        r->facts = more;
        r->cap = cap;
    }
    fact.engine = w->engine;
    fact.key = w->key;
    fact.line = r->line;
    r->facts[r->n++] = fact;
}

const char *log_text(log_reader *r, const char *s, size_t len)
{
    const char *text = oom_arena_text(r->arena, s, len, r->err);

    r->failed = r->failed || !text;
    return text;
}

static void keep_text(log_reader *r, const log_row *w, const char *place, const char *s, size_t len)
{
    if (len > 0 && len <= LONGEST_TEXT)
        keep(r, w, (read_fact){ .place = place, .text = log_text(r, s, len) });
}

/* ---- figures --------------------------------------------------------------------------------- */

static bool is(char c, const char *set) { return c != '\0' && strchr(set, c); }

static const char *past(const char *s, const char *end, const char *set)
{
    while (s < end && is(*s, set))
        s++;
    return s;
}

static const char *before(const char *start, const char *s, const char *set)
{
    while (s > start && is(s[-1], set))
        s--;
    return s;
}

static bool thousands(const char *s, const char *end)
{
    return end - s > 3 && *s == ',' && past(s + 1, s + 4, DIGITS) == s + 4;
}

/* A decimal number at s, with commas between thousands; returns where it stops, NULL when there is
 * none. *slack: half of its last digit. */
static const char *number_at(const char *s, const char *end, double *number, double *slack)
{
    bool minus = s < end && *s == '-';
    const char *first = s + minus, *at = first;
    double value = 0, place = 1;

    for (; at < end && (is(*at, DIGITS) || (at > first && thousands(at, end))); at++)
        if (*at != ',')
            value = value * 10 + (*at - '0');
    if (at == first || value >= 1e18)
        return NULL;
    if (end - at > 1 && *at == '.' && is(at[1], DIGITS))
        for (at++; at < end && is(*at, DIGITS); at++)
            if (place < 1e9) {          /* more digits than any engine prints */
                value = value * 10 + (*at - '0');
                place *= 10;
            }
    *number = (minus ? -value : value) / place;     /* rounded once: 0.95 is 0.95 */
    *slack = place > 1 ? 0.5 / place : 0;
    return at;
}

/* Bytes of the unit at s; `otherwise` where there is none. */
static double unit_at(const char *s, const char *end, double otherwise)
{
    /* "GB" of vLLM means 2^30; "MB" of Metal's limit and of torch's is what it says */
    static const struct { const char *name; double bytes; } units[] = {
        { "GiB", LOG_GIB }, { "MiB", LOG_MIB }, { "KiB", 1024 }, { "bytes", 1 }, { "B", 1 },
        { "GB", LOG_GIB }, { "MB", 1e6 },
    };
    size_t len;

    s = past(s, end, " ");
    len = (size_t)(past(s, end, LETTERS) - s);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (len == strlen(units[i].name) && strncmp(s, units[i].name, len) == 0)
            return units[i].bytes;
    return otherwise;
}

static void take_size(log_reader *r, const log_row *w, const char *place, const char *s,
                      const char *end)
{
    double number, slack, unit;
    const char *after = number_at(s, end, &number, &slack);

    if (!after)
        return;
    unit = unit_at(after, end, w->unit);
    keep(r, w, (read_fact){ .place = place, .number = number * unit, .slack = slack * unit });
}

/* Where the number begins that ends the text with its unit: "78.66/79.19 GiB)". */
static const char *size_before(const char *s, const char *end)
{
    const char *at = before(s, before(s, before(s, end, " )*"), LETTERS), " ");

    at = before(s, at, DIGITS ".");
    return at > s && at[-1] == '-' ? at - 1 : at;
}

/* Past a share and what divides it from the size. */
static const char *after_share(const char *s, const char *end)
{
    return past(past(s, end, DIGITS "."), end, " ,(");
}

static void take_number(log_reader *r, const log_row *w, const char *place, const char *s,
                        const char *end)
{
    double number, slack;

    if (number_at(past(s, end, "'\""), end, &number, &slack) && (w->form == LOG_REAL || slack == 0))
        keep(r, w, (read_fact){ .place = place, .number = number, .slack = slack });
}

static void take_truth(log_reader *r, const log_row *w, const char *place, const char *s,
                       const char *end)
{
    static const struct { const char *word; double value; } words[] = {
        { "True", 1 }, { "true", 1 }, { "enabled", 1 }, { "1", 1 },
        { "False", 0 }, { "false", 0 }, { "disabled", 0 }, { "0", 0 },
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i].word);

        if ((size_t)(end - s) >= len && strncmp(s, words[i].word, len) == 0) {
            keep(r, w, (read_fact){ .place = place, .number = words[i].value });
            return;
        }
    }
}

static void take_word(log_reader *r, const log_row *w, const char *place, const char *s,
                      const char *end)
{
    const char *stop = s = past(s, end, "'\"");

    while (stop < end && (unsigned char)*stop > ' ' && !is(*stop, ",'\")}]"))
        stop++;
    stop = before(s, stop, ".;");                   /* "model NAME..." */
    keep_text(r, w, place, s, (size_t)(stop - s));
}

static void take_rest(log_reader *r, const log_row *w, const char *place, const char *s,
                      const char *end)
{
    const char *stop = s;

    while (stop < end && (unsigned char)*stop >= ' ' && !is(*stop, ",()"))
        stop++;
    keep_text(r, w, place, s, (size_t)(before(s, stop, " ") - s));
}

void log_take(log_reader *r, const log_row *w, const char *place, const char *s, const char *end)
{
    const char *first = past(s, end, " \t:=");

    switch (w->form) {
    case LOG_SIZE: take_size(r, w, place, first, end); break;
    case LOG_SIZE_IN: take_size(r, w, place, after_share(s, end), end); break;
    case LOG_SIZE_BEFORE: take_size(r, w, place, size_before(s, end), end); break;
    case LOG_COUNT: case LOG_REAL: take_number(r, w, place, first, end); break;
    case LOG_WORD: take_word(r, w, place, first, end); break;
    case LOG_REST: take_rest(r, w, place, first, end); break;
    case LOG_SHARES:
        keep_text(r, w, place, first, (size_t)(past(first, end, DIGITS ".,/") - first));
        break;
    case LOG_TRUTH: take_truth(r, w, place, first, end); break;
    }
}
