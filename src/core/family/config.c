/* config.c: reading a configuration. Every question is asked by key, every wrong answer becomes
 * one line that names the key, what stands there and what was expected; after the first such
 * line all further questions answer quietly. */
#include "family.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* No count in a configuration is larger; what is multiplied from them is checked separately. */
#define MOST 4294967295u
#define MOST_LAYERS 10000u

void refuse(build *b, const char *fmt, ...)
{
    char msg[sizeof b->err->msg];
    va_list args;

    if (b->status != OOM_OK)
        return;
    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    b->status = oom_fail(b->err, OOM_BADVALUE, "%s", msg);
}

/* One path ("attn_config.kv_n_heads") below `map`. */
static const oom_value *walk(const oom_value *map, const char *path, size_t n)
{
    while (map && n) {
        const char *dot = memchr(path, '.', n);
        size_t len = dot ? (size_t)(dot - path) : n;
        char key[64];           /* ours are shorter */

        snprintf(key, sizeof key, "%.*s", (int)len, path);
        map = oom_value_get(map, key);
        path += dot ? len + 1 : len;
        n -= dot ? len + 1 : len;
    }
    return map;
}

/* The first of the alternatives that is there; *key becomes its name (the first name if none). */
static const oom_value *look(const oom_value *map, const char *keys, const char **key, int *len)
{
    *key = keys;
    *len = (int)strcspn(keys, "|");
    for (const char *p = keys; ; p++) {
        size_t n = strcspn(p, "|");
        const oom_value *v = walk(map, p, n);

        if (v) {
            *key = p;
            *len = (int)n;
            return v;
        }
        p += n;
        if (*p == '\0')
            return NULL;
    }
}

const oom_value *node(build *b, const char *keys)
{
    const char *key;
    int len;

    return look(b->cfg, keys, &key, &len);
}

bool has(build *b, const char *keys) { return node(b, keys) != NULL; }

bool is_null(build *b, const char *key)
{
    for (size_t i = 0; b->cfg->kind == OOM_MAP && i < b->cfg->u.map.n; i++)
        if (strcmp(b->cfg->u.map.members[i].key, key) == 0)
            return b->cfg->u.map.members[i].value->kind == OOM_NULL;
    return false;
}

/* What transformers' class assumes for the key. */
static bool class_says(const build *b, const char *keys, uint64_t *value)
{
    for (const class_default *d = b->defaults; d && d->key; d++)
        for (const char *p = keys; *p; p += strcspn(p, "|"), p += *p == '|')
            if (strcspn(p, "|") == strlen(d->key) && strncmp(p, d->key, strlen(d->key)) == 0) {
                *value = d->value;
                return true;
            }
    return false;
}

/* "is "32" (string)", "is a list": what stands where something else was expected. */
static const char *describe(const oom_value *v, char *buf, size_t n)
{
    char quoted[64];

    switch (v->kind) {
    case OOM_NULL:   snprintf(buf, n, "null"); break;
    case OOM_BOOL:   snprintf(buf, n, "%s", v->u.truth ? "true" : "false"); break;
    case OOM_INT:    snprintf(buf, n, "%lld", (long long)v->u.i); break;
    case OOM_REAL:   snprintf(buf, n, "%.14g", v->u.real); break;
    case OOM_STRING:
        oom_text_quote(v->u.text, strlen(v->u.text), quoted, sizeof quoted);
        snprintf(buf, n, "\"%s\" (string)", quoted);
        break;
    case OOM_LIST:   snprintf(buf, n, "a list"); break;
    case OOM_MAP:    snprintf(buf, n, "an object"); break;
    }
    return buf;
}

/* A whole number, also one written as 32.0 or 7e9. */
static bool whole(const oom_value *v, uint64_t *out)
{
    if (v->kind == OOM_INT && v->u.i >= 0) {
        *out = (uint64_t)v->u.i;
        return true;
    }
    if (v->kind == OOM_REAL && v->u.real >= 0 && v->u.real < 9007199254740992.0 /* 2^53 */
        && v->u.real == (double)(uint64_t)v->u.real) {
        *out = (uint64_t)v->u.real;
        return true;
    }
    return false;
}

/* What is built one by one is bounded: a file must not make a million layers. */
static uint64_t limit_of(const char *key, int len)
{
    static const char *const endings[] = { "layer", "layers", "modules", "depth" };

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        int n = (int)strlen(endings[i]);

        if (len >= n && memcmp(key + len - n, endings[i], (size_t)n) == 0)
            return MOST_LAYERS;
    }
    return MOST;
}

/* `v` (which stands at `key`) as a number from `least` on. */
static uint64_t number(build *b, const oom_value *v, const char *key, int len, uint64_t least)
{
    uint64_t most = limit_of(key, len), n;
    char was[96];

    if (whole(v, &n) && n >= least && n <= most)
        return n;
    refuse(b, "\"%.*s\" is %s, expected a whole number from %llu to %llu", len, key,
           describe(v, was, sizeof was), (unsigned long long)least, (unsigned long long)most);
    return least;
}

uint64_t need(build *b, const char *keys)
{
    const char *key;
    int len;
    const oom_value *v = look(b->cfg, keys, &key, &len);
    uint64_t n;

    if (v)
        return number(b, v, key, len, 1);
    if (b->cfg != b->whole && class_says(b, keys, &n))
        return n;
    refuse(b, "\"%.*s\" is missing, expected a whole number from 1 to %llu", len, key,
           (unsigned long long)limit_of(key, len));
    return 1;
}

static uint64_t optional(build *b, const char *keys, uint64_t otherwise, uint64_t least)
{
    const char *key;
    int len;
    const oom_value *v = look(b->cfg, keys, &key, &len);

    if (v)
        return number(b, v, key, len, least);
    class_says(b, keys, &otherwise);
    return otherwise;
}

uint64_t want(build *b, const char *keys, uint64_t otherwise)
{
    return optional(b, keys, otherwise, 0);
}

uint64_t some(build *b, const char *keys, uint64_t otherwise)
{
    return optional(b, keys, otherwise, 1);
}

bool flag(build *b, const char *keys, bool otherwise)
{
    const char *key;
    int len;
    const oom_value *v = look(b->cfg, keys, &key, &len);
    uint64_t n;
    char was[96];

    if (!v && class_says(b, keys, &n))
        return n != 0;
    if (!v)
        return otherwise;
    if (v->kind == OOM_BOOL)
        return v->u.truth;
    if (whole(v, &n) && n <= 1)
        return n == 1;
    refuse(b, "\"%.*s\" is %s, expected true or false", len, key, describe(v, was, sizeof was));
    return otherwise;
}

bool ties(build *b, bool otherwise)
{
    const char *key = "tie_word_embeddings";
    const oom_value *mine = b->cfg;
    bool tied;

    if (!has(b, key) && oom_value_get(b->whole, key))
        b->cfg = b->whole;
    tied = flag(b, key, otherwise);
    b->cfg = mine;
    return tied;
}

const char *word(build *b, const char *keys, const char *otherwise)
{
    const char *key;
    int len;
    const oom_value *v = look(b->cfg, keys, &key, &len);
    char was[96];

    if (!v)
        return otherwise;
    if (v->kind == OOM_STRING)
        return v->u.text;
    refuse(b, "\"%.*s\" is %s, expected a string", len, key, describe(v, was, sizeof was));
    return otherwise;
}

double real(build *b, const char *keys, double otherwise)
{
    const char *key;
    int len;
    const oom_value *v = look(b->cfg, keys, &key, &len);
    char was[96];

    if (!v)
        return otherwise;
    if (v->kind == OOM_REAL)
        return v->u.real;
    if (v->kind == OOM_INT)
        return (double)v->u.i;
    refuse(b, "\"%.*s\" is %s, expected a number", len, key, describe(v, was, sizeof was));
    return otherwise;
}

/* Element i of a list with an entry for each layer. MTP layers may be among them. */
static const oom_value *element(build *b, const oom_value *v, const char *key, int len, size_t i)
{
    size_t layers = b->m->shape.n_layers, with_mtp = layers + b->m->shape.n_mtp_layers;

    if (v->kind != OOM_LIST)
        return v;
    if (v->u.list.n != layers && v->u.list.n != with_mtp) {
        refuse(b, "\"%.*s\" has %zu entries, expected one for each of %zu layers", len, key,
               v->u.list.n, layers);
        return NULL;
    }
    return &v->u.list.items[min_u64(i, v->u.list.n - 1)];
}

uint64_t item(build *b, const char *keys, size_t i, uint64_t otherwise)
{
    const char *key;
    int len;
    const oom_value *v = look(b->cfg, keys, &key, &len);

    if (!v)
        return want(b, keys, otherwise);
    v = element(b, v, key, len, i);
    if (!v || v->kind == OOM_NULL)
        return otherwise;
    if (v->kind == OOM_BOOL)
        return v->u.truth;
    return number(b, v, key, len, 0);
}

bool item_is(build *b, const char *keys, size_t i, const char *text)
{
    const char *key;
    int len;
    const oom_value *v = look(b->cfg, keys, &key, &len);
    char was[96];

    v = v ? element(b, v, key, len, i) : NULL;
    if (!v || v->kind == OOM_NULL)
        return false;
    if (v->kind == OOM_STRING)
        return strcmp(v->u.text, text) == 0;
    refuse(b, "\"%.*s\" holds %s, expected a string", len, key, describe(v, was, sizeof was));
    return false;
}

bool listed(build *b, const char *keys, uint64_t i)
{
    const char *key;
    int len;
    const oom_value *v = look(b->cfg, keys, &key, &len);
    char was[96];

    if (!v)
        return false;
    if (v->kind != OOM_LIST) {
        refuse(b, "\"%.*s\" is %s, expected a list", len, key, describe(v, was, sizeof was));
        return false;
    }
    for (size_t k = 0; k < v->u.list.n; k++)
        if (number(b, &v->u.list.items[k], key, len, 0) == i)
            return true;
    return false;
}
