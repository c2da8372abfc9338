/* json.c: JSON text to configuration values. cJSON builds the tree; this file keeps hostile text
 * away from it (size, depth, number of values, UTF-8), gives whole numbers back their full 63
 * bits, and refuses what has no single meaning: a key that is there twice.
 *
 * Beyond the standard, Infinity and NaN are taken, because Python writes them into config.json
 * ("time_step_limit": [0.0, Infinity]); NaN becomes null. */
#include "read.h"
#include "num.h"
#include "utf8.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The largest index of a published checkpoint is 20 MB; cJSON needs about 100 bytes a value. */
#define MAX_TEXT ((size_t)64 << 20)
#define MAX_VALUES ((size_t)4000000)
#define MAX_DEPTH 64

typedef struct {
    const char *name;           /* of the file, quoted */
    const char *text;
    size_t n;
    oom_error *err;
    oom_arena *arena;           /* where the result goes */
    oom_arena *work;            /* cJSON's tree, and what is only needed here */
    uint32_t *numbers;          /* where they start, in the order of the text */
    size_t n_numbers, cap_numbers;
    size_t next;                /* first one not yet met, while the tree is walked */
} parser;

/* ---- places and complaints ---- */

static oom_status bad(const parser *p, const char *at, const char *what)
{
    size_t line = 1, column = 1;

    for (const char *s = p->text; s < at; s++) {
        column++;
        if (*s == '\n') {
            line++;
            column = 1;
        }
    }
    return oom_fail(p->err, OOM_BADFILE, "%s: line %zu, column %zu: %s", p->name, line, column,
                    what);
}

/* ---- before cJSON ---- */

static bool digits_of_nul(const char *s, const char *end)
{
    return end - s >= 5 && memcmp(s, "u0000", 5) == 0;
}

/* Behind the string that starts at `s` (a quote); NULL, and the error filled, when it is none. */
static const char *survey_string(const parser *p, const char *s)
{
    const char *start = s, *end = p->text + p->n;

    for (s++; s < end && *s != '"';) {
        unsigned char c = (unsigned char)*s;
        uint32_t code;
        size_t len = 1;

        if (c == '\\') {
            if (digits_of_nul(++s, end))        /* would cut the string short */
                return bad(p, s - 1, "\\u0000 in a string"), NULL;
        } else if (c < 0x20) {
            return bad(p, s, "a control character"), NULL;
        } else if (c >= 0x80 &&
                   (len = utf8_next((const unsigned char *)s, (size_t)(end - s), &code)) == 0) {
            return bad(p, s, "not UTF-8 text"), NULL;
        }
        s += len;
    }
    if (s >= end)
        return bad(p, start, "a string that does not end"), NULL;
    return s + 1;
}

/* Where the next number starts, for the walk of the tree: cJSON keeps only a double of it. */
static oom_status note_number(parser *p, const char *s)
{
    if (p->n_numbers == p->cap_numbers) {
        size_t cap = p->cap_numbers ? p->cap_numbers * 4 : 1024;
        uint32_t *more = oom_arena_get(p->work, cap * sizeof *more, p->err);

        if (!more)
            return OOM_NOMEM;
        if (p->n_numbers)
            memcpy(more, p->numbers, p->n_numbers * sizeof *more);
        p->numbers = more;
        p->cap_numbers = cap;
    }
    p->numbers[p->n_numbers++] = (uint32_t)(s - p->text);
    return OOM_OK;
}

static size_t odd_number(const char *s, const char *end)
{
    if (end - s >= 8 && memcmp(s, "Infinity", 8) == 0)
        return 8;
    return end - s >= 3 && memcmp(s, "NaN", 3) == 0 ? 3 : 0;
}

static const char *after_number(const char *s, const char *end)
{
    size_t odd = odd_number(*s == '-' ? s + 1 : s, end);

    if (odd)
        return s + odd + (*s == '-');
    while (s < end && ((*s >= '0' && *s <= '9') || *s == '.' || *s == '+' || *s == '-' ||
                       *s == 'e' || *s == 'E'))
        s++;
    return s;
}

typedef struct {
    bool odd;                   /* Infinity or NaN is in it */
    bool open;                  /* a bracket is not closed */
} findings;

/* One pass over the text; what is too large, too deep or not UTF-8 never reaches cJSON. */
static oom_status survey(parser *p, findings *found)
{
    const char *end = p->text + p->n;
    size_t depth = 0, values = 0;

    if (p->n > MAX_TEXT)
        return oom_fail(p->err, OOM_TOOLARGE, "%s: %zu bytes of JSON, expected at most 64 MiB",
                        p->name, p->n);
    for (const char *s = p->text; s < end;) {
        switch (*s) {
        case '"':
            if (!(s = survey_string(p, s)))
                return OOM_BADFILE;
            continue;
        case '[': case '{':
            if (++depth > MAX_DEPTH)
                return bad(p, s, "nested more than 64 deep");
            values++;
            break;
        case ']': case '}':
            depth -= depth > 0;
            break;
        case ',':
            values++;
            break;
        case 'I': case 'N':
            if (!odd_number(s, end))
                return bad(p, s, "not JSON");
            /* fall through */
        case '-': case '0': case '1': case '2': case '3': case '4':
        case '5': case '6': case '7': case '8': case '9':
            found->odd |= odd_number(*s == '-' ? s + 1 : s, end) > 0;
            if (note_number(p, s) != OOM_OK)
                return OOM_NOMEM;
            s = after_number(s, end);
            continue;
        case ' ': case '\t': case '\n': case '\r': case ':':
            break;
        default:                        /* letters of true, false, null; the rest is not JSON */
            if (*s < 'a' || *s > 'z')
                return bad(p, s, "not JSON");
            break;
        }
        if (values > MAX_VALUES)
            return bad(p, s, "more than 4 million values");
        s++;
    }
    found->open = depth > 0;
    return OOM_OK;
}

/* A copy of the text in which Infinity and NaN are numbers of the same length; the walk looks at
 * the original. NULL: out of memory. */
static const char *without_odd_numbers(parser *p)
{
    char *copy = oom_arena_get(p->work, p->n + 1, p->err);

    if (!copy)
        return NULL;
    memcpy(copy, p->text, p->n);
    for (size_t i = 0; i < p->n_numbers; i++) {
        char *s = copy + p->numbers[i];
        size_t odd;

        s += *s == '-';
        odd = odd_number(s, copy + p->n);
        if (odd) {
            memset(s, ' ', odd);
            *s = '1';
        }
    }
    return copy;
}

/* cJSON's hooks take no context, so the arena of the parse under way is kept here. */
static _Thread_local parser *under_way;
static _Thread_local bool ran_out;

static void *hook_get(size_t bytes)
{
    void *p = oom_arena_get(under_way->work, bytes, NULL);

    if (!p)
        ran_out = true;
    return p;
}

static void hook_free(void *p) { (void)p; }     /* the arena goes at once */

static oom_status tree_of(parser *p, cJSON **tree)
{
    cJSON_Hooks hooks = { hook_get, hook_free };
    const char *text = p->text, *end = text;
    findings found = { false, false };
    oom_status status = survey(p, &found);

    if (status != OOM_OK)
        return status;
    if (found.odd)
        text = without_odd_numbers(p);
    if (!text)
        return OOM_NOMEM;
    under_way = p;
    ran_out = false;
    cJSON_InitHooks(&hooks);
    *tree = cJSON_ParseWithLengthOpts(text, p->n, &end, false);
    cJSON_InitHooks(NULL);
    under_way = NULL;
    if (ran_out)
        return oom_fail(p->err, OOM_NOMEM, "%s: out of memory", p->name);
    if (!*tree) {
        size_t at = (size_t)(end - text);

        if (at >= p->n || (found.open && at + 1 >= p->n))
            return bad(p, p->text + p->n, "the text ends too early");
        return bad(p, p->text + at, "not JSON");
    }
    for (; end < text + p->n; end++)
        if (!strchr(" \t\r\n", *end))
            return bad(p, p->text + (end - text), "expected the end of the file");
    return OOM_OK;
}

/* ---- the tree as configuration values ---- */

/* cJSON keeps numbers as double. The tree is walked in the order of the text, so the n-th number
 * met is the n-th literal of the text. */
static oom_value number(parser *p, const cJSON *from)
{
    const char *s, *end = p->text + p->n;
    bool minus;
    oom_value v = { .kind = OOM_REAL, .u.real = from->valuedouble };
    uint64_t digits = 0;

    assert(p->numbers);                 /* the survey met it, too */
    s = p->text + p->numbers[p->next++];
    minus = *s == '-';
    s += minus;
    if (odd_number(s, end)) {
        v.kind = *s == 'N' ? OOM_NULL : OOM_REAL;
        v.u.real = minus ? -(double)INFINITY : (double)INFINITY;
        return v;
    }
    for (; s < end && *s >= '0' && *s <= '9'; s++)
        if (!mul_u64(digits, 10, &digits) || !add_u64(digits, (uint64_t)(*s - '0'), &digits))
            return v;
    if (s < end && (*s == '.' || *s == 'e' || *s == 'E'))
        return v;
    v.kind = OOM_INT;
    v.u.i = minus ? -(int64_t)digits : (int64_t)digits;
    return v;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static oom_status refuse_twins(parser *p, const oom_member *members, size_t n)
{
    const char **keys;
    char quoted[128];

    if (n < 2)
        return OOM_OK;
    if (n <= 16) {              /* most maps: no list to sort */
        for (size_t i = 1; i < n; i++)
            for (size_t j = 0; j < i; j++)
                if (strcmp(members[i].key, members[j].key) == 0)
                    return oom_fail(p->err, OOM_BADFILE, "%s: \"%s\" is there twice", p->name,
                                    oom_text_quote(members[i].key, strlen(members[i].key), quoted,
                                                   sizeof quoted));
        return OOM_OK;
    }
    keys = oom_arena_get(p->work, n * sizeof *keys, p->err);
    if (!keys)
        return OOM_NOMEM;
    for (size_t i = 0; i < n; i++)
        keys[i] = members[i].key;
    qsort(keys, n, sizeof *keys, by_key);
    for (size_t i = 1; i < n; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            return oom_fail(p->err, OOM_BADFILE, "%s: \"%s\" is there twice", p->name,
                            oom_text_quote(keys[i], strlen(keys[i]), quoted, sizeof quoted));
    return OOM_OK;
}

static oom_status convert(parser *p, const cJSON *from, oom_value *to)
{
    size_t n = 0, i = 0;
    oom_member *members = NULL;
    oom_value *items;
    oom_status status;

    *to = (oom_value){ .kind = OOM_NULL };
    switch (from->type & 0xff) {
    case cJSON_False: case cJSON_True:
        to->kind = OOM_BOOL;
        to->u.truth = (from->type & 0xff) == cJSON_True;
        return OOM_OK;
    case cJSON_Number:
        *to = number(p, from);
        return OOM_OK;
    case cJSON_String:
        to->kind = OOM_STRING;
        to->u.text = oom_arena_text(p->arena, from->valuestring, strlen(from->valuestring), p->err);
        return to->u.text ? OOM_OK : OOM_NOMEM;
    case cJSON_Array: case cJSON_Object:
        break;
    default:
        return OOM_OK;
    }
    for (const cJSON *c = from->child; c; c = c->next)
        n++;
    items = oom_arena_get(p->arena, n * sizeof *items, p->err);
    if (!items)
        return OOM_NOMEM;
    if ((from->type & 0xff) == cJSON_Object) {
        members = oom_arena_get(p->arena, n * sizeof *members, p->err);
        if (!members)
            return OOM_NOMEM;
    }
    for (const cJSON *c = from->child; c; c = c->next, i++) {
        if ((status = convert(p, c, &items[i])) != OOM_OK)
            return status;
        if (!members)
            continue;
        members[i].value = &items[i];
        members[i].key = oom_arena_text(p->arena, c->string, strlen(c->string), p->err);
        if (!members[i].key)
            return OOM_NOMEM;
    }
    if (members) {
        to->kind = OOM_MAP;
        to->u.map.members = members;
        to->u.map.n = n;
        return refuse_twins(p, members, n);
    }
    to->kind = OOM_LIST;
    to->u.list.items = items;
    to->u.list.n = n;
    return OOM_OK;
}

oom_status read_json(oom_arena *arena, const char *name, const char *text, size_t n,
                     const oom_value **out, oom_error *err)
{
    char quoted[128];
    parser p = { .name = read_quote_path(name, quoted, sizeof quoted),
                 .text = text, .n = n, .err = err, .arena = arena };
    oom_value *root;
    oom_status status;
    cJSON *tree = NULL;

    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {      /* a byte order mark */
        p.text = text + 3;
        p.n = n - 3;
    }
    p.work = oom_arena_new(oom_arena_alloc(arena), err);
    if (!p.work)
        return OOM_NOMEM;
    status = tree_of(&p, &tree);
    if (status == OOM_OK) {
        root = oom_arena_get(arena, sizeof *root, err);
        status = root ? convert(&p, tree, root) : OOM_NOMEM;
        if (status == OOM_OK)
            *out = root;
    }
    oom_arena_free(p.work);
    return status;
}
