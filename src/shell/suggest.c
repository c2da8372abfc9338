/* suggest.c: what was probably meant, where a name means nothing. Lua's own messages say the name;
 * the names there are come from the environment, from the methods our results have, and from the
 * catalogue, where a name of its was typed without quotes. */
#include "shell.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "bind.h"

#define MOST 4096                       /* names looked at */

typedef struct { const char **names; size_t n; } name_list;

static bool collect(void *ctx, const char *name)
{
    name_list *list = ctx;

    if (list->n == MOST)
        return false;
    list->names[list->n++] = name;
    return true;
}

/* The keys of the `methods` of our modules that are loaded: results exist, so theirs are. */
static void collect_methods(lua_State *L, name_list *list)
{
    static const char *const modules[] = { "oomph.result", "oomph.sweep" };
    int at = lua_gettop(L) + 1;

    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        if (lua_getfield(L, at, modules[i]) == LUA_TTABLE &&
            lua_getfield(L, -1, "methods") == LUA_TTABLE)
            for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
                if (lua_type(L, -2) == LUA_TSTRING)
                    collect(list, lua_tostring(L, -2));
        lua_settop(L, at);
    }
}

bool suggest_push(lua_State *L, const char *name, bool method)
{
    int top = lua_gettop(L);
    name_list list = { .names = lua_newuserdatauv(L, MOST * sizeof *list.names, 0) };
    const char *best[3];
    luaL_Buffer text;
    size_t n;

    if (method)
        collect_methods(L, &list);
    else
        environment_names(L, collect, &list);
    n = strlen(name) < 3 ? 0            /* everything is near to a letter or two */
      : oom_text_nearest(name, list.names, list.n, best, 3);
    if (n == 0) {
        lua_settop(L, top);
        return false;
    }
    luaL_buffinit(L, &text);
    for (size_t i = 0; i < n; i++) {
        luaL_addstring(&text, i == 0 ? "did you mean \"" : i + 1 < n ? "\", \"" : "\" or \"");
        luaL_addstring(&text, best[i]);
    }
    luaL_addstring(&text, "\"?");
    luaL_pushresult(&text);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return true;
}

/* The name after `mark` in a message, up to the quote; false when there is none. */
static bool named(const char *message, const char *mark, char *name, size_t name_bytes)
{
    const char *at = strstr(message, mark), *end;

    if (!at)
        return false;
    at += strlen(mark);
    end = strchr(at, '\'');
    if (!end || (size_t)(end - at) >= name_bytes)
        return false;
    memcpy(name, at, (size_t)(end - at));
    name[end - at] = 0;
    return true;
}

void suggest_in_message(lua_State *L)
{
    const char *message = lua_tostring(L, -1);
    char name[64];
    bool method;

    if (!message || !strstr(message, " a nil value ("))
        return;
    method = named(message, "(method '", name, sizeof name);
    if (!method && !named(message, "(global '", name, sizeof name))
        return;
    if (suggest_push(L, name, method)) {
        lua_pushfstring(L, "%s; %s", message, lua_tostring(L, -1));
        lua_replace(L, -3);
        lua_pop(L, 1);
    }
}

/* ---- notes beside an answer ------------------------------------------------------------------ */

/* What stands in the place of a string: a key that takes names, `=` or a blank, and the rest. */
typedef struct { char key[32], rest[96]; const char *kind; } unquoted;

static const bind_option *option(const char *name)
{
    const bind_option *o;

    for (size_t i = 0; (o = bind_option_at(i)) != NULL; i++)
        if (!strcmp(o->name, name))
            return o;
    return NULL;
}

/* Bytes at the start of s that a name of the catalogue may have. */
static size_t name_bytes(const char *s)
{
    size_t n = 0;

    while (isalnum((unsigned char)s[n]) || (s[n] && strchr("_-.:/+ ", s[n])))
        n++;
    return n;
}

static bool read_unquoted(const char *text, unquoted *u)
{
    const bind_option *o;
    size_t n;

    memset(u, 0, sizeof *u);
    text += strspn(text, " ");
    n = strcspn(text, " =");
    if (n < sizeof u->key) {
        memcpy(u->key, text, n);
        o = option(u->key);
        u->kind = o ? o->kind : NULL;
    }
    if (u->kind) {
        text += n + strspn(text + n, " ");
        text += *text == '=';
        text += strspn(text, " ");
    } else {
        *u->key = 0;
    }
    n = name_bytes(text);
    if (n == 0 || n >= sizeof u->rest || text[n])
        return false;
    while (n > 0 && text[n - 1] == ' ')
        n--;
    memcpy(u->rest, text, n);
    return n > 0;
}

typedef struct { const char *name; bool found; } search;

static bool same_name(void *ctx, const char *name, const char *about)
{
    search *s = ctx;

    (void)about;
    s->found = !strcasecmp(name, s->name);
    return !s->found;
}

static bool in_catalogue(read_catalogue *catalogue, const char *kind, const char *name)
{
    search s = { name, false };

    bind_names(catalogue, kind, same_name, &s);
    return s.found;
}

static bool is_word(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    return n > 0 && !text[n] && !isdigit((unsigned char)*text);
}

/* `model = llama` was taken for a variable, which is nil and clears the model. */
static bool cleared_by_name(lua_State *L, const unquoted *u)
{
    bool cleared = is_word(u->rest) && strcmp(u->rest, "nil") != 0;

    luaL_getsubtable(L, LUA_REGISTRYINDEX, BIND_SESSION);
    cleared = cleared && lua_getfield(L, -1, u->key) == LUA_TNIL;
    lua_pop(L, 1 + cleared);
    return cleared;
}

static bool note_quotes(session *s, const char *text, bool fine, bool is_nil)
{
    unquoted u;

    if (!read_unquoted(text, &u))
        return false;
    if (fine && !(u.kind ? cleared_by_name(s->L, &u) : is_nil))
        return false;
    if (!u.kind && in_catalogue(s->catalogue, "model", u.rest))
        strcpy(u.key, "model");
    else if (!u.kind && in_catalogue(s->catalogue, "device", u.rest))
        strcpy(u.key, "device");
    if (!*u.key)
        return false;
    term_say(stderr, "note: a name stands in quotes: %s = \"%s\"\n", u.key, u.rest);
    return true;
}

/* memory(seq=8192), as other languages have it, and memory seq=8192. */
static bool note_braces(const char *text)
{
    const bind_doc *d;
    const char *inner, *end;
    size_t n;

    text += strspn(text, " ");
    n = strcspn(text, " (");
    for (size_t i = 0; (d = bind_doc_at(i)) != NULL; i++)
        if (strlen(d->name) == n && !strncmp(d->name, text, n))
            break;
    inner = text + n + strspn(text + n, " (");
    end = inner + strlen(inner);
    while (end > inner && strchr(" )", end[-1]))
        end--;
    if (!d || d->signature[n] != '{' || !isalpha((unsigned char)*inner) ||
        !memchr(inner, '=', (size_t)(end - inner)) || strchr(text, '\n'))
        return false;
    term_say(stderr, "note: options stand in braces: %s{%.*s}\n", d->name, (int)(end - inner),
             inner);
    return true;
}

static void note_unknown(lua_State *L, const char *name)
{
    bool near = suggest_push(L, name, false);

    term_say(stderr, "note: nothing is called \"%s\"; %s\n", name,
             near ? lua_tostring(L, -1) : "help() lists what there is");
    lua_pop(L, near);
}

/* The option near to a name; one that only goes on from an option's, or is cut off from it, is
 * another name. */
static const char *misspelt(const char *name)
{
    const bind_option *o;
    const char *names[128], *best;
    size_t n = 0, bytes = strlen(name);

    while (n < sizeof names / sizeof *names && (o = bind_option_at(n)) != NULL)
        names[n++] = o->name;
    return bytes >= 4 && oom_text_nearest(name, names, n, &best, 1) && strlen(best) <= bytes + 1 &&
           strncmp(name, best, bytes) != 0 && strncmp(name, best, strlen(best)) != 0 ? best : NULL;
}

/* `modle = "gpt2"` is an assignment like any other, and nobody will miss the model for a while. */
static void note_misspelt(const char *text)
{
    const char *meant;
    char name[32];
    size_t bytes;

    text += strspn(text, " ");
    bytes = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    if (bytes == 0 || bytes >= sizeof name)
        return;
    memcpy(name, text, bytes);
    name[bytes] = 0;
    text += bytes + strspn(text + bytes, " ");
    if (text[0] != '=' || text[1] == '=' || option(name))
        return;
    meant = bind_option_meant(name);
    meant = meant ? meant : misspelt(name);
    if (meant)
        term_say(stderr, "note: %s is a variable of yours; did you mean \"%s\"?\n", name, meant);
}

static void note_local(const char *text)
{
    size_t n = 0;

    text += strspn(text, " \t\n");
    if (!chunk_is_local(text) || strpbrk(text, "\n;"))
        return;
    text += 6;
    while (isalnum((unsigned char)text[n]) || text[n] == '_')
        n++;
    if (n)
        term_say(stderr, "note: a local ends with its line; without `local`, %.*s stays\n", (int)n,
                 text);
}

typedef struct { session *s; const char *text; bool fine, is_nil; } outcome;

static int note(lua_State *L)
{
    const outcome *o = lua_touserdata(L, 1);
    char name[64];

    if ((!o->fine && note_braces(o->text)) || note_quotes(o->s, o->text, o->fine, o->is_nil))
        return 0;
    if (o->is_nil && chunk_is_name(o->text, name, sizeof name) && !option(name) &&
        strcmp(name, "nil") != 0) {
        note_unknown(L, name);
    } else if (o->fine) {
        note_local(o->text);
        note_misspelt(o->text);
    }
    return 0;
}

void suggest_after(session *s, const char *text, bool fine, bool is_nil)
{
    outcome o = { s, text, fine, is_nil };

    if (interrupt_pending)
        return;
    lua_pushcfunction(s->L, note);
    lua_pushlightuserdata(s->L, &o);
    session_call(s, 1);
}
