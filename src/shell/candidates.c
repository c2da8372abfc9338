/* candidates.c: what could stand where the cursor is: names of models, devices and formats inside
 * quotes, options inside braces, columns in what a sweep is asked, fields and methods by raw
 * access, globals. Names that only contain what was typed come where none begins with it. */
#include "candidates.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"

/* ---- gathering ------------------------------------------------------------------------------- */

static candidates found;

static void forget(void)
{
    for (size_t i = 0; i < found.n; i++) {
        free(found.items[i].name);
        free(found.items[i].about);
    }
    found.n = 0;
    found.files = false;
}

static bool add(const char *head, const char *name, const char *about)
{
    candidate c = { 0 };

    if (found.n == found.cap) {
        size_t cap = found.cap ? 2 * found.cap : 256;
        candidate *items = realloc(found.items, cap * sizeof *items);

        if (!items)
            return false;
        found.items = items;
        found.cap = cap;
    }
    if (asprintf(&c.name, "%s%s", head, name) < 0)
        return false;
    c.about = about && *about ? strdup(about) : NULL;
    found.items[found.n++] = c;
    return true;
}

/* What is being completed: candidates must start with or contain `word`, and carry `head`. */
typedef struct {
    session *s;
    char head[128];
    const char *word;
    bool substring;
} filter;

bool candidates_starts(const char *name, const char *word)
{
    return !strncasecmp(name, word, strlen(word));
}

static bool offer(void *ctx, const char *name, const char *about)
{
    const filter *f = ctx;

    if (candidates_starts(name, f->word) ? !f->substring
                                         : f->substring && strcasestr(name, f->word))
        return add(f->head, name, about);
    return true;
}

static bool offer_name(void *ctx, const char *name)
{
    return offer(ctx, name, NULL);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const candidate *)a)->name, ((const candidate *)b)->name);
}

static void sort_found(void)
{
    size_t kept = 0;

    if (found.n)
        qsort(found.items, found.n, sizeof *found.items, by_name);
    for (size_t i = 0; i < found.n; i++) {
        if (kept && !strcmp(found.items[kept - 1].name, found.items[i].name)) {
            free(found.items[i].name);
            free(found.items[i].about);
        } else {
            found.items[kept++] = found.items[i];
        }
    }
    found.n = kept;
}

/* Pushes what `name` is in the table at the top, by raw access; through an __index that is a
 * table, never one that is a function. The table stays below. */
static void raw_field(lua_State *L, const char *name)
{
    int at = lua_gettop(L);

    lua_pushvalue(L, at);
    for (int step = 0; step < 8 && lua_istable(L, -1); step++) {
        lua_pushstring(L, name);
        if (lua_rawget(L, -2) != LUA_TNIL)
            goto out;
        lua_pop(L, 1);
        if (!lua_getmetatable(L, -1))
            break;
        lua_pushliteral(L, "__index");
        lua_rawget(L, -2);
    }
    lua_pushnil(L);
out:
    lua_replace(L, at + 1);
    lua_settop(L, at + 1);
}

/* ---- inside strings -------------------------------------------------------------------------- */

static const char *option_kind(const char *key)
{
    const bind_option *o;

    for (size_t i = 0; *key && (o = bind_option_at(i)) != NULL; i++)
        if (!strcmp(o->name, key))
            return o->kind;
    return NULL;
}

/* Which catalogue the string is about; "file", "module" and "topic" are ours. */
static const char *string_kind(const context *c)
{
    static const char *const calls[][2] = {
        { "models", "model" }, { "inspect", "model" }, { "devices", "device" }, { "help", "topic" },
        { "dofile", "file" }, { "loadfile", "file" }, { "check", "file" }, { "save", "file" },
        { "io.open", "file" }, { "io.lines", "file" }, { "require", "module" },
    };
    const char *kind = option_kind(c->key);

    if (!kind && (!*c->key || !strcmp(c->key, "k") || !strcmp(c->key, "v")))
        kind = option_kind(c->outer_key);       /* kv = {k = ", precision = {" */
    for (size_t i = 0; !kind && !*c->key && i < sizeof calls / sizeof *calls; i++)
        if (!strcmp(c->callee, calls[i][0]))
            kind = calls[i][1];
    return kind;
}

/* The rows of a sweep are asked for by their columns: s:top(5, "to, s:where{fi. */
static bool wants_column(const char *callee)
{
    static const char *const methods[] = { "where", "sort", "top", "group", "best", "select",
                                           "pivot", "plot", "heatmap", "bars", "spark" };
    const char *method = strrchr(callee, ':');

    for (size_t i = 0; method && i < sizeof methods / sizeof *methods; i++)
        if (!strcmp(method + 1, methods[i]))
            return true;
    return false;
}

static void gather_columns(filter *f)
{
    lua_State *L = f->s->L;

    environment_function(L, "oomph.axes", "COLUMNS");
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
        offer_name(f, lua_tostring(L, -2));
    lua_pop(L, 1);
    environment_function(L, "oomph.axes", "AXES");
    for (lua_Integer i = 1; lua_geti(L, -1, i) == LUA_TSTRING; i++) {
        offer_name(f, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
    sort_found();
}

/* "2x h1": what stands before the last device is kept. */
static void split_devices(filter *f)
{
    const char *tail = f->word;

    for (const char *s = f->word; *s; s++)
        if ((s[0] == 'x' && s[1] == ' ' && s > f->word && isdigit((unsigned char)s[-1])) ||
            (s[0] == '+' && s[1] == ' '))
            tail = s + 2;
    if ((size_t)(tail - f->word) < sizeof f->head) {
        snprintf(f->head, sizeof f->head, "%.*s", (int)(tail - f->word), f->word);
        f->word = tail;
    }
}

static void gather_topics(filter *f)
{
    const bind_option *o;
    const bind_doc *d;
    lua_State *L = f->s->L;

    for (size_t i = 0; (d = bind_doc_at(i)) != NULL; i++)
        offer(f, d->name, d->sentence);
    for (size_t i = 0; (o = bind_option_at(i)) != NULL; i++)
        offer(f, o->name, o->sentence);
    offer(f, "options", "all options");
    environment_function(L, "oomph.help", "topics");
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
        offer(f, lua_tostring(L, -2), "a topic");
    lua_pop(L, 1);
    sort_found();
}

static void gather_modules(filter *f)
{
    lua_State *L = f->s->L;
    const char *path;

    environment_push_libraries(L);
    raw_field(L, "package");
    raw_field(L, "path");
    path = f->s->options->sandbox ? NULL : lua_tostring(L, -1);
    lookup_modules(path ? path : "", f->word, offer_name, f);
    lua_pop(L, 3);
    sort_found();
}

static bool looks_like_path(const char *word)
{
    return *word == '/' || *word == '.' || *word == '~' || strchr(word, '/') != NULL;
}

/* False: file names are wanted. */
static bool gather_string(const context *c, filter *f)
{
    const char *kind = string_kind(c);

    if (!kind && !*c->key && wants_column(c->callee))
        gather_columns(f);
    if (!kind)
        return true;
    if (!strcmp(kind, "file") || (!strcmp(kind, "model") && looks_like_path(f->word)))
        return false;
    if (!strcmp(kind, "device"))
        split_devices(f);
    for (int pass = 0; pass < 2 && found.n == 0; pass++) {
        f->substring = pass == 1;
        if (!strcmp(kind, "topic"))
            gather_topics(f);
        else if (!strcmp(kind, "module"))
            gather_modules(f);
        else
            bind_names(f->s->catalogue, kind, offer, f);
    }
    return found.n > 0 || strcmp(kind, "model") != 0;
}

/* ---- names, keys, fields --------------------------------------------------------------------- */

static const bind_doc *documented(const char *name)
{
    const bind_doc *d;

    for (size_t i = 0; (d = bind_doc_at(i)) != NULL; i++)
        if (!strcmp(d->name, name))
            return d;
    return NULL;
}

static void gather_keys(const context *c, filter *f)
{
    const bind_option *o;
    const bind_doc *d = documented(c->callee);

    if (wants_column(c->callee) && !*c->outer_key)
        gather_columns(f);
    if (!strcmp(c->outer_key, "kv")) {
        offer(f, "k", "format of the keys");
        offer(f, "v", "format of the values");
    }
    if (!d || !strchr(d->signature, '{'))
        return;
    for (int pass = 0; pass < 2 && found.n == 0; pass++) {
        f->substring = pass == 1;
        for (size_t i = 0; (o = bind_option_at(i)) != NULL; i++)
            offer(f, o->name, o->sentence);
    }
}

static void gather_names(const context *c, filter *f, bool empty_prompt)
{
    static const char *const keywords[] = {
        "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in",
        "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
    };
    const bind_option *o;
    const bind_doc *d;

    if (c->assigned && !*f->word && option_kind(c->key)) {
        /* engine=<TAB>: the names, quoted */
        size_t first = found.n;

        bind_names(f->s->catalogue, option_kind(c->key), offer, f);
        for (size_t i = first; i < found.n; i++) {
            char *quoted = NULL;

            if (asprintf(&quoted, "\"%s\"", found.items[i].name) > 0) {
                free(found.items[i].name);
                found.items[i].name = quoted;
            }
        }
        return;
    }
    for (int pass = 0; pass < 2 && found.n == 0 && (pass == 0 || strlen(f->word) > 1); pass++) {
        f->substring = pass == 1;
        for (size_t i = 0; (d = bind_doc_at(i)) != NULL; i++)
            offer(f, d->name, d->sentence);
        for (size_t i = 0; (o = bind_option_at(i)) != NULL; i++)
            offer(f, o->name, o->sentence);
        if (!empty_prompt)              /* where nothing is typed: what is ours */
            environment_names(f->s->L, offer_name, f);
        for (size_t i = 0; *f->word && i < sizeof keywords / sizeof *keywords; i++)
            offer_name(f, keywords[i]);
        if (*f->word)
            sort_found();               /* otherwise functions first, then options */
    }
}

/* Offers the string keys of the table at the top, and of the tables its reads fall through to. */
static void offer_fields(lua_State *L, filter *f, bool methods)
{
    int at = lua_gettop(L);

    for (int step = 0; step < 8 && lua_istable(L, -1); step++) {
        for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
            if (lua_type(L, -2) == LUA_TSTRING && (!methods || lua_isfunction(L, -1)) &&
                strncmp(lua_tostring(L, -2), "__", 2) != 0)
                offer_name(f, lua_tostring(L, -2));
        if (!lua_getmetatable(L, -1))
            break;
        lua_pushliteral(L, "__index");
        lua_rawget(L, -2);
    }
    lua_settop(L, at);
}

/* What a result can do: its metatable says so in a table, or is that of the results made in C,
 * whose methods are in lua/result.lua. */
static void offer_methods(lua_State *L, filter *f)
{
    int at = lua_gettop(L);

    if (!lua_getmetatable(L, at))
        return;
    raw_field(L, "__methods");
    if (lua_istable(L, -1)) {
        offer_fields(L, f, true);
    } else if (luaL_getmetatable(L, "oomph.result") == LUA_TTABLE && lua_rawequal(L, -1, at + 1)) {
        environment_function(L, "oomph.result", "methods");
        offer_fields(L, f, true);
    }
    lua_settop(L, at);
}

/* After a call nobody knows what it returns without calling it: all that results can do. */
static void gather_methods(lua_State *L, filter *f)
{
    static const char *const modules[] = { "oomph.result", "oomph.sweep" };

    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        environment_function(L, modules[i], "methods");
        offer_fields(L, f, true);
        lua_pop(L, 1);
    }
    sort_found();
}

static void gather_fields(lua_State *L, const context *c, filter *f, bool methods)
{
    char part[128];
    const char *at = c->chain;

    environment_push(L);
    while (*at) {
        size_t n = strcspn(at, ".:");

        snprintf(part, sizeof part, "%.*s", (int)n, at);
        raw_field(L, part);
        if (lua_isnil(L, -1) && at == c->chain) {       /* the first name may be a library's */
            lua_pop(L, 1);
            environment_push_libraries(L);
            raw_field(L, part);
        }
        at += n + (at[n] != 0);
    }
    if (lua_type(L, -1) == LUA_TSTRING) {
        environment_push_libraries(L);
        raw_field(L, "string");
    }
    if (lua_istable(L, -1)) {
        offer_fields(L, f, methods);
        if (methods)
            offer_methods(L, f);
    }
    sort_found();
}

/* ---- all of it ------------------------------------------------------------------------------- */

void candidates_find(session *s, const question *q)
{
    filter f = { .s = s, .word = q->word };

    forget();
    switch (q->at.kind) {
    case CONTEXT_NONE:
        break;
    case CONTEXT_STRING:
        found.files = !gather_string(&q->at, &f);
        break;
    case CONTEXT_KEY:
        gather_keys(&q->at, &f);
        if (found.n == 0)
            gather_names(&q->at, &f, false);
        break;
    case CONTEXT_NAME:
        gather_names(&q->at, &f, q->empty_prompt);
        break;
    case CONTEXT_FIELD:
        if (!*q->at.chain) {
            if (q->methods)
                gather_methods(s->L, &f);
            break;
        }
        gather_fields(s->L, &q->at, &f, q->methods);
        break;
    }
}

candidates *candidates_found(void)
{
    return &found;
}

int candidates_after(session *s, const question *q, const char *name)
{
    const bind_doc *d;
    int next = 0;

    if (q->at.kind == CONTEXT_KEY)
        return option_kind(name) || !documented(name) ? '=' : 0;
    if (q->at.kind != CONTEXT_NAME || *name == '"')
        return 0;
    d = documented(name);
    if (d)
        return d->signature[strlen(d->name)] == '{' ? '{' : '(';
    environment_push(s->L);
    raw_field(s->L, name);
    if (lua_isfunction(s->L, -1))
        next = '(';
    else if (lua_istable(s->L, -1))
        next = '.';
    lua_pop(s->L, 2);
    return next;
}
