/* context.c: a scanner of Lua that stops at the cursor. It knows strings, comments and brackets,
 * and for every open bracket which function it belongs to and which key it is the value of. It
 * never runs anything, and text that is no Lua does it no harm. */
#include "context.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 64                    /* deeper brackets are counted, not remembered */

typedef enum { START, WORD, EQUALS, COMPARED, OPEN, COMMA, MEMBER, OTHER } token;

typedef struct { char callee[64], key[64]; bool braces; } frame;

typedef struct {
    const char *text;
    size_t n, at;
    token last;
    char word[128];                     /* the last chain of names: "a.b" */
    char key[64];                       /* the name before the last "=" or "==" */
    frame frames[MAX_DEPTH];
    size_t depth;
} scanner;

static bool name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static const frame *top(const scanner *s)
{
    static const frame none;

    return s->depth == 0 || s->depth > MAX_DEPTH ? &none : &s->frames[s->depth - 1];
}

/* Level of a long bracket at `at`: [[ is 0, [==[ is 2; -1: none. */
static int long_level(const scanner *s, size_t at)
{
    int level = 0;

    if (at >= s->n || s->text[at] != '[')
        return -1;
    while (++at < s->n && s->text[at] == '=')
        level++;
    return at < s->n && s->text[at] == '[' ? level : -1;
}

/* Moves past a long bracket; false when the cursor is inside. */
static bool skip_long(scanner *s, int level)
{
    for (s->at += (size_t)level + 2; s->at < s->n; s->at++) {
        size_t end = s->at + 1;

        if (s->text[s->at] != ']')
            continue;
        while (end < s->n && s->text[end] == '=')
            end++;
        if (end < s->n && s->text[end] == ']' && end - s->at - 1 == (size_t)level) {
            s->at = end + 1;
            return true;
        }
    }
    return false;
}

/* Moves past a comment; false when the cursor is inside. */
static bool skip_comment(scanner *s)
{
    int level = long_level(s, s->at + 2);

    if (level >= 0) {
        s->at += 2;
        return skip_long(s, level);
    }
    while (s->at < s->n && s->text[s->at] != '\n')
        s->at++;
    return s->at < s->n;
}

/* Moves past a quoted string; false when the cursor is inside. */
static bool skip_string(scanner *s)
{
    char quote = s->text[s->at++];

    for (; s->at < s->n && s->text[s->at] != '\n'; s->at++) {
        if (s->text[s->at] == '\\' && s->at + 1 < s->n)
            s->at++;
        else if (s->text[s->at] == quote) {
            s->at++;
            return true;
        }
    }
    return s->at < s->n;                /* a newline ends it: broken, but over */
}

/* Reads a chain of names, "a.b:c"; returns where it started. */
static size_t read_word(scanner *s)
{
    size_t from = s->at;

    for (; s->at < s->n; s->at++) {
        char c = s->text[s->at];
        bool doubled = s->at + 1 < s->n && s->text[s->at + 1] == c;     /* a .. b, goto ::x:: */

        if (!name_char(c) && !((c == '.' || c == ':') && !doubled))
            break;
    }
    /* a method of what a call returned keeps its colon: ":where" */
    if (s->last == MEMBER && s->text[from - 1] == ':')
        snprintf(s->word, sizeof s->word, ":%.*s", (int)(s->at - from), s->text + from);
    else
        snprintf(s->word, sizeof s->word, "%.*s", (int)(s->at - from), s->text + from);
    return from;
}

static void open_bracket(scanner *s, bool braces)
{
    if (s->depth < MAX_DEPTH) {
        frame *f = &s->frames[s->depth];

        f->braces = braces;
        snprintf(f->key, sizeof f->key, "%s", s->last == EQUALS ? s->key : "");
        if (s->last == WORD)
            snprintf(f->callee, sizeof f->callee, "%.63s", s->word);
        else if (s->last == OPEN && !top(s)->braces)    /* f({ is f{ */
            memmove(f->callee, top(s)->callee, sizeof f->callee);
        else
            f->callee[0] = 0;
    }
    s->depth++;
    s->last = OPEN;
}

static void one_sign(scanner *s)
{
    char c = s->text[s->at++];
    bool doubled = s->at < s->n && s->text[s->at] == '=';

    if ((c == '=' || c == '~' || c == '<' || c == '>') && doubled) {
        s->at++;
        snprintf(s->key, sizeof s->key, "%.63s", s->last == WORD ? s->word : "");
        s->last = COMPARED;
    } else if (c == '=') {
        snprintf(s->key, sizeof s->key, "%.63s", s->last == WORD ? s->word : "");
        s->last = EQUALS;
    } else if (c == '{' || c == '(') {
        open_bracket(s, c == '{');
    } else if (c == '}' || c == ')' || c == ']') {
        s->depth -= s->depth > 0 && c != ']';
        s->last = OTHER;
    } else if (c == '.' || c == ':') {
        bool single = s->at == s->n || s->text[s->at] != c;     /* not a .. b, not ::x:: */

        s->last = single && (s->at < 2 || s->text[s->at - 2] != c) ? MEMBER : OTHER;
    } else {
        s->last = c == ',' || c == ';' ? COMMA : OTHER;
    }
}

static void set_string(scanner *s, size_t from, context *c)
{
    c->kind = CONTEXT_STRING;
    c->word_at = from + 1;
    if (s->last == EQUALS || s->last == COMPARED)
        snprintf(c->key, sizeof c->key, "%s", s->key);
    else if (s->last == WORD)           /* f "text" */
        snprintf(c->callee, sizeof c->callee, "%.63s", s->word);
}

/* The cursor is at the end of a chain of names, or after a sign. */
static void set_word(scanner *s, size_t from, token before, context *c)
{
    const char *dot = NULL;

    for (size_t i = from; i < s->n; i++)
        if (strchr(".:", s->text[i]))
            dot = s->text + i;
    c->word_at = dot ? (size_t)(dot - s->text) + 1 : from;
    if (from < s->n && isdigit((unsigned char)s->text[from])) {
        c->kind = CONTEXT_NONE;
    } else if (before == MEMBER) {      /* of what a call returns: no chain */
        c->kind = CONTEXT_FIELD;
    } else if (dot) {
        c->kind = CONTEXT_FIELD;
        snprintf(c->chain, sizeof c->chain, "%.*s", (int)(dot - s->text - (long)from),
                 s->text + from);
    } else if (top(s)->braces && (before == OPEN || before == COMMA)) {
        c->kind = CONTEXT_KEY;
    } else {
        c->kind = CONTEXT_NAME;
        c->assigned = before == EQUALS || before == COMPARED;
        if (c->assigned)
            snprintf(c->key, sizeof c->key, "%s", s->key);
    }
}

void context_read(const char *text, size_t n, context *c)
{
    scanner s = { .text = text, .n = n };

    memset(c, 0, sizeof *c);
    while (s.at < n) {
        size_t from = s.at;
        token before = s.last;
        int level = long_level(&s, s.at);

        if (isspace((unsigned char)text[s.at])) {
            s.at++;
        } else if (text[s.at] == '-' && s.at + 1 < n && text[s.at + 1] == '-') {
            if (!skip_comment(&s))
                return;
        } else if (text[s.at] == '"' || text[s.at] == '\'' || level >= 0) {
            if (!(level >= 0 ? skip_long(&s, level) : skip_string(&s))) {
                if (level < 0)
                    set_string(&s, from, c);
                break;
            }
            s.last = OTHER;
        } else if (name_char(text[s.at])) {
            read_word(&s);
            s.last = WORD;
            if (s.at == n) {
                set_word(&s, from, before, c);
                break;
            }
        } else {
            one_sign(&s);
        }
        if (s.at == n)                  /* after a sign or a blank: an empty word */
            set_word(&s, n, s.last, c);
    }
    if (n == 0)
        c->kind = CONTEXT_NAME;
    if (!*c->callee && !(c->kind == CONTEXT_STRING && s.last == WORD))
        snprintf(c->callee, sizeof c->callee, "%s", top(&s)->callee);
    snprintf(c->outer_key, sizeof c->outer_key, "%s", top(&s)->key);
}
