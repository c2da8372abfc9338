/* text.c: what people type. Sizes and counts become whole numbers, exactly or not at all; names
 * are compared the way people mean them; text from files is made safe for a message. */
#include "oom.h"
#include "num.h"
#include "utf8.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- sizes and counts ---- */

/* digits x 10^exponent, still exact. */
typedef struct {
    uint64_t digits;                /* SAT_TOOLARGE: more of them than 63 bits hold, */
    bool fraction;                  /* with a point among them */
    int exponent;
} decimal;

/* Reads "24", "1.5", "7e9" from `s`; returns what follows, NULL when there is no number. */
static const char *read_decimal(const char *s, decimal *d)
{
    bool any = false;

    *d = (decimal){ 0 };
    for (; isdigit((unsigned char)*s) || (*s == '.' && !d->fraction); s++) {
        if (*s == '.') {
            d->fraction = true;
            continue;
        }
        any = true;
        d->digits = sat_add(sat_mul(d->digits, 10), (uint64_t)(*s - '0'));
        d->exponent -= d->fraction;
    }
    if (!any)
        return NULL;
    if (*s == 'e' || *s == 'E') {
        const char *digit = s + 1 + (s[1] == '+' || s[1] == '-');
        int e = 0;

        if (!isdigit((unsigned char)*digit))
            return s;
        for (; isdigit((unsigned char)*digit); digit++)
            e = e < 1000 ? e * 10 + (*digit - '0') : e;
        d->exponent += s[1] == '-' ? -e : e;
        s = digit;
    }
    return s;
}

/* Divides one of the two, whichever goes without a rest. */
static bool divide(uint64_t *one, uint64_t *other, uint64_t by)
{
    uint64_t *divided = *one % by == 0 ? one : other;

    if (*divided % by != 0)
        return false;
    *divided /= by;
    return true;
}

/* digits x 10^exponent x unit, or why not. */
typedef enum { EXACT, FRACTION, OVERFLOW } outcome;

static outcome scale(decimal d, uint64_t unit, uint64_t *out)
{
    if (d.digits == SAT_TOOLARGE)
        return d.fraction ? FRACTION : OVERFLOW;
    for (; d.exponent < 0; d.exponent++)
        if (!divide(&unit, &d.digits, 2) || !divide(&unit, &d.digits, 5))
            return FRACTION;
    for (; d.exponent > 0; d.exponent--)
        d.digits = sat_mul(d.digits, 10);
    return mul_u64(d.digits, unit, out) ? EXACT : OVERFLOW;
}

typedef struct { const char *name; uint64_t factor; } unit;

/* Bytes: decimal and binary, each by its own name. A bare "G" is refused, because half of the
 * world means one and half the other. */
static const unit byte_units[] = {
    { "", 1 }, { "B", 1 }, { "byte", 1 }, { "bytes", 1 },
    { "kB", 1000 }, { "MB", 1000000 }, { "GB", 1000000000 }, { "TB", 1000000000000 },
    { "PB", 1000000000000000 },
    { "KiB", 1u << 10 }, { "MiB", 1u << 20 }, { "GiB", 1u << 30 }, { "TiB", 1ull << 40 },
    { "PiB", 1ull << 50 },
    { "Ki", 1u << 10 }, { "Mi", 1u << 20 }, { "Gi", 1u << 30 }, { "Ti", 1ull << 40 },
    { NULL, 0 }
};

/* Counts: 32Ki tokens are 32768, 32k are 32000; 7B parameters are 7e9. */
static const unit count_units[] = {
    { "", 1 }, { "k", 1000 }, { "M", 1000000 }, { "B", 1000000000 }, { "G", 1000000000 },
    { "T", 1000000000000 }, { "Ki", 1u << 10 }, { "Mi", 1u << 20 }, { "Gi", 1u << 30 },
    { NULL, 0 }
};

static oom_status parse(const char *s, const unit *units, const char *expected, uint64_t *out,
                        oom_error *err)
{
    const char *rest = s;
    char quoted[128];
    outcome found;
    size_t len;
    decimal d;

    oom_text_quote(s, strlen(s), quoted, sizeof quoted);
    while (isspace((unsigned char)*rest))
        rest++;
    rest = read_decimal(rest, &d);
    if (!rest)
        return oom_fail(err, OOM_BADVALUE, "\"%s\": expected %s", quoted, expected);
    while (isspace((unsigned char)*rest))
        rest++;
    for (len = strlen(rest); len && isspace((unsigned char)rest[len - 1]);)
        len--;
    for (const unit *u = units; u->name; u++) {
        if (strlen(u->name) != len || strncasecmp(u->name, rest, len) != 0)
            continue;
        found = scale(d, u->factor, out);
        if (found == EXACT)
            return OOM_OK;
        if (found == OVERFLOW)
            return oom_fail(err, OOM_TOOLARGE, "\"%s\": too large", quoted);
        return oom_fail(err, OOM_BADVALUE, "\"%s\" is not a whole number%s", quoted,
                        units == byte_units ? " of bytes" : "");
    }
    return oom_fail(err, OOM_BADVALUE, "\"%s\": expected %s", quoted, expected);
}

oom_status oom_text_bytes(const char *s, uint64_t *bytes, oom_error *err)
{
    return parse(s, byte_units, "a size such as 24GiB, 24GB or 16384MiB", bytes, err);
}

oom_status oom_text_count(const char *s, uint64_t *count, oom_error *err)
{
    return parse(s, count_units, "a number such as 8192, 32Ki or 7e9", count, err);
}

/* ---- names ---- */

#define NAME_MAX_BYTES 160      /* longer names are compared by their beginning */

/* Is s[i] mere punctuation? A dot between digits is not: opt-1.3b is not opt-13b. */
static bool is_filler(const char *s, size_t i)
{
    if (s[i] == '.')
        return i == 0 || !isdigit((unsigned char)s[i - 1]) || !isdigit((unsigned char)s[i + 1]);
    return s[i] && strchr("-_ :/", s[i]) != NULL;
}

bool oom_text_same(const char *a, const char *b)
{
    for (size_t i = 0, j = 0;; i++, j++) {
        while (is_filler(a, i))
            i++;
        while (is_filler(b, j))
            j++;
        if (tolower((unsigned char)a[i]) != tolower((unsigned char)b[j]))
            return false;
        if (!a[i])
            return true;
    }
}

/* `s` in lower case without fillers; its length. */
static size_t squeeze(const char *s, char *out)
{
    size_t n = 0;

    for (size_t i = 0; s[i] && n < NAME_MAX_BYTES - 1; i++)
        if (!is_filler(s, i))
            out[n++] = (char)tolower((unsigned char)s[i]);
    out[n] = '\0';
    return n;
}

static unsigned min_of(unsigned a, unsigned b) { return a < b ? a : b; }

/* Edit distance (insert, delete, replace, swap of neighbours); more than `limit` is limit + 1. */
static unsigned distance(const char *a, size_t na, const char *b, size_t nb, unsigned limit)
{
    unsigned rows[3][NAME_MAX_BYTES + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];

    if ((na > nb ? na - nb : nb - na) > limit)
        return limit + 1;
    for (size_t j = 0; j <= nb; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned best, *free_row = before;

        now[0] = best = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned d = last[j - 1] + (a[i - 1] != b[j - 1]);

            d = min_of(d, min_of(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d = min_of(d, before[j - 2] + 1);
            now[j] = d;
            best = min_of(best, d);
        }
        if (best > limit)
            return limit + 1;
        before = last;
        last = now;
        now = free_row;
    }
    return min_of(last[nb], limit + 1);
}

size_t oom_text_nearest(const char *s, const char *const *names, size_t n, const char **best,
                        size_t max)
{
    enum { MOST = 16 };
    unsigned rank[MOST];
    char wanted[NAME_MAX_BYTES], name[NAME_MAX_BYTES];
    size_t n_wanted = squeeze(s, wanted), found = 0;
    /* more slips than one in three letters make another word */
    unsigned limit = n_wanted < 6 ? 1 : n_wanted < 9 ? 2 : 3;

    if (n_wanted == 0)
        return 0;
    max = min_u64(max, MOST);
    for (size_t i = 0; i < n; i++) {
        size_t len = squeeze(names[i], name), at;
        unsigned r = distance(wanted, n_wanted, name, len, limit);
        bool again = false;

        if (r > limit) {
            if (!strstr(name, wanted))
                continue;
            r = 4 + (unsigned)(len - n_wanted);     /* after every near miss, shortest first */
        }
        for (at = 0; at < found; at++)
            again |= strcmp(best[at], names[i]) == 0;
        if (again)
            continue;
        for (at = found; at > 0 && rank[at - 1] > r; at--)
            ;
        if (at >= max)
            continue;
        if (found < max)
            found++;
        memmove(&rank[at + 1], &rank[at], (found - at - 1) * sizeof *rank);
        memmove(&best[at + 1], &best[at], (found - at - 1) * sizeof *best);
        rank[at] = r;
        best[at] = names[i];
    }
    return found;
}

/* ---- quoting ---- */

typedef struct { uint32_t first, last; } code_range;

/* Code points that change how the rest of the line looks: controls, zero width, direction. */
static const code_range unsafe[] = {
    { 0, 0x1f }, { 0x7f, 0x9f }, { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
    { 0xfeff, 0xfeff }, { 0, 0 }
};

/* East Asian wide and emoji blocks, roughly: two columns. */
static const code_range wide[] = {
    { 0x1100, 0x115f }, { 0x2e80, 0xa4cf }, { 0xac00, 0xd7a3 }, { 0xf900, 0xfaff },
    { 0xfe30, 0xfe6f }, { 0xff00, 0xff60 }, { 0x1f300, 0x10ffff }, { 0, 0 }
};

static bool is_in(const code_range *r, uint32_t c)
{
    for (; r->last; r++)
        if (c >= r->first && c <= r->last)
            return true;
    return false;
}

/* One code point as it is shown: its text in `out`, its columns. */
typedef struct { char text[16]; size_t n, columns; } piece;

static piece shown(const unsigned char *p, size_t bytes, uint32_t c)
{
    piece s;

    if (bytes && !is_in(unsafe, c)) {
        memcpy(s.text, p, bytes);
        s.n = bytes;
        s.columns = is_in(wide, c) ? 2 : 1;
        return s;
    }
    if (bytes && (c == '\n' || c == '\t'))
        s.n = (size_t)snprintf(s.text, sizeof s.text, c == '\n' ? "\\n" : "\\t");
    else
        s.n = (size_t)snprintf(s.text, sizeof s.text,
                               bytes < 2 ? "\\x%02x" : "\\u%04x", (unsigned)c);
    s.columns = s.n;
    return s;
}

const char *oom_text_quote(const char *s, size_t len, char *buf, size_t buf_bytes)
{
    static const char cut[] = "\xe2\x80\xa6";       /* … */
    const unsigned char *p = (const unsigned char *)s, *end = p + len;
    size_t used = 0, columns = 0;

    if (buf_bytes == 0)
        return buf;
    while (p < end) {
        uint32_t c = *p;
        size_t bytes = utf8_next(p, (size_t)(end - p), &c);
        piece next = shown(p, bytes, c);
        const unsigned char *rest = p + (bytes ? bytes : 1);

        /* the last column is for the mark that something was cut */
        if (columns + next.columns > (rest < end ? 39 : 40)
            || used + next.n + sizeof cut > buf_bytes)
            break;
        memcpy(buf + used, next.text, next.n);
        used += next.n;
        columns += next.columns;
        p = rest;
    }
    buf[used] = '\0';
    if (p < end && used + sizeof cut <= buf_bytes)
        memcpy(buf + used, cut, sizeof cut);
    return buf;
}
