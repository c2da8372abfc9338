/* complete.c: Tab. The scanner says where the cursor stands, this file gathers what could stand
 * there: names of models, devices and formats inside quotes, options inside braces, fields and
 * methods by raw access, globals. No code of the user's runs, and no error crosses Readline. Names
 * that only contain what was typed are listed and replace nothing. */
#include "shell.h"

#if OOMPH_READLINE
#include <ctype.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <readline/readline.h>

#include "bind.h"
#include "context.h"

typedef struct { char *name, *about; } candidate;

static session *shell;
static const char *pending;             /* the lines of the block before this one */
static struct { candidate *items; size_t n, cap; } found;
static size_t not_listed;               /* bytes of the chain before a field: known, not shown */

/* ---- gathering ------------------------------------------------------------------------------- */

static void forget(void)
{
    for (size_t i = 0; i < found.n; i++) {
        free(found.items[i].name);
        free(found.items[i].about);
    }
    found.n = 0;
    not_listed = 0;
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
    char head[128];
    const char *word;
    bool substring;
} filter;

static bool starts(const char *name, const char *word)
{
    return !strncasecmp(name, word, strlen(word));
}

static bool offer(void *ctx, const char *name, const char *about)
{
    const filter *f = ctx;

    if (starts(name, f->word) ? !f->substring : f->substring && strcasestr(name, f->word))
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

/* ---- inside strings -------------------------------------------------------------------------- */

static const char *option_kind(const char *key)
{
    const bind_option *o;

    for (size_t i = 0; *key && (o = bind_option_at(i)) != NULL; i++)
        if (!strcmp(o->name, key))
            return o->kind;
    return NULL;
}

/* Which catalogue the string is about; "file" and "topic" are ours. */
static const char *string_kind(const context *c)
{
    static const char *const calls[][2] = {
        { "models", "model" }, { "inspect", "model" }, { "devices", "device" }, { "help", "topic" },
        { "dofile", "file" }, { "loadfile", "file" }, { "check", "file" },
        { "io.open", "file" }, { "io.lines", "file" },
    };
    const char *kind = option_kind(c->key);

    if (!kind && (!*c->key || !strcmp(c->key, "k") || !strcmp(c->key, "v")))
        kind = option_kind(c->outer_key);       /* kv = {k = ", precision = {" */
    for (size_t i = 0; !kind && !*c->key && i < sizeof calls / sizeof *calls; i++)
        if (!strcmp(c->callee, calls[i][0]))
            kind = calls[i][1];
    return kind;
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
    lua_State *L = shell->L;

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

static bool looks_like_path(const char *word)
{
    return *word == '/' || *word == '.' || *word == '~' || strchr(word, '/') != NULL;
}

/* False: file names are wanted. */
static bool gather_string(const context *c, filter *f)
{
    const char *kind = string_kind(c);

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
        else
            bind_names(shell->catalogue, kind, offer, f);
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

static void gather_names(const context *c, filter *f)
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

        bind_names(shell->catalogue, option_kind(c->key), offer, f);
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
        if (*f->word || pending)        /* at an empty prompt: what is ours */
            environment_names(shell->L, offer_name, f);
        for (size_t i = 0; *f->word && i < sizeof keywords / sizeof *keywords; i++)
            offer_name(f, keywords[i]);
        if (*f->word)
            sort_found();               /* otherwise functions first, then options */
    }
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

/* ---- Readline's side ------------------------------------------------------------------------- */

typedef struct { context c; const char *word; bool files, methods; } request;

static int gather(lua_State *L)
{
    request *r = lua_touserdata(L, 1);
    filter f = { .word = r->word };

    switch (r->c.kind) {
    case CONTEXT_NONE:
        break;
    case CONTEXT_STRING:
        r->files = !gather_string(&r->c, &f);
        break;
    case CONTEXT_KEY:
        gather_keys(&r->c, &f);
        if (found.n == 0)
            gather_names(&r->c, &f);
        break;
    case CONTEXT_NAME:
        gather_names(&r->c, &f);
        break;
    case CONTEXT_FIELD:
        gather_fields(L, &r->c, &f, r->methods);
        break;
    }
    return 0;
}

/* What follows a completed name: a call's bracket, an option's "=". */
static int what_follows(const request *r, const char *name)
{
    const bind_doc *d;
    int next = 0;

    if (r->c.kind == CONTEXT_KEY)
        return option_kind(name) || !documented(name) ? '=' : 0;
    if (r->c.kind != CONTEXT_NAME || *name == '"')
        return 0;
    d = documented(name);
    if (d)
        return d->signature[strlen(d->name)] == '{' ? '{' : '(';
    environment_push(shell->L);
    raw_field(shell->L, name);
    if (lua_isfunction(shell->L, -1))
        next = '(';
    else if (lua_istable(shell->L, -1))
        next = '.';
    lua_pop(shell->L, 2);
    return next;
}

/* The matches as Readline wants them: first what replaces the word. */
static char **as_matches(const request *r, const char *text)
{
    size_t n = found.n, common;
    char **matches = n ? malloc((n + 2) * sizeof *matches) : NULL;

    if (!matches)
        return NULL;
    common = strlen(found.items[0].name);
    for (size_t i = 1; i < n; i++) {
        size_t same = 0;

        while (same < common && found.items[i].name[same] == found.items[0].name[same])
            same++;
        common = same;
    }
    /* a common part that does not go on from what was typed would replace it: list only */
    matches[0] = n == 1 || starts(found.items[0].name, text) ? strndup(found.items[0].name, common)
               : strdup(text);
    if (matches[0] && strlen(matches[0]) < strlen(text) && n > 1) {
        free(matches[0]);
        matches[0] = strdup(text);
    }
    if (n == 1) {
        rl_completion_append_character = what_follows(r, found.items[0].name);
        matches[1] = NULL;
        return matches;
    }
    for (size_t i = 0; i < n; i++)
        matches[i + 1] = strdup(found.items[i].name);
    matches[n + 1] = NULL;
    return matches;
}

static char **attempt(const char *text, int start, int end)
{
    request r = { .word = text };
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
    context_read(all, strlen(all), &r.c);
    if (r.c.kind == CONTEXT_FIELD) {
        const char *field = all + r.c.word_at;

        r.methods = field[-1] == ':';
        r.word = field;
    }
    forget();
    lua_pushcfunction(L, gather);
    lua_pushlightuserdata(L, &r);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
        lua_pop(L, 1);
    if (r.c.kind == CONTEXT_FIELD) {    /* Readline's word is the chain: put it before each */
        size_t kept = strlen(text) > strlen(r.word) ? strlen(text) - strlen(r.word) : 0;

        not_listed = kept;
        for (size_t i = 0; i < found.n; i++) {
            char *name = NULL;

            if (asprintf(&name, "%.*s%s", (int)kept, text, found.items[i].name) > 0) {
                free(found.items[i].name);
                found.items[i].name = name;
            }
        }
    }
    free(all);
    if (r.files) {
        rl_filename_completion_desired = 1;
        return rl_completion_matches(text, rl_filename_completion_function);
    }
    return as_matches(&r, text);
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
        described += (size_t)n == found.n && found.items[i - 1].about != NULL;
    if (rl_filename_completion_desired || (size_t)n != found.n) {
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
        const char *name = found.items[i].name + not_listed, *about = found.items[i].about;

        if (described && about) {
            int room = columns - widest - 3;

            fprintf(rl_outstream, "%s%*s", name, widest + 2 - columns_of(name), "");
            if (room > 8)
                fprintf(rl_outstream, "%.*s%s",
                        columns_of(about) > room ? (int)term_fit(about, room - 1) : (int)strlen(about), about,
                        columns_of(about) > room ? (term_utf8() ? "\u2026" : "~") : "");
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
