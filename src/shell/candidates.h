/* candidates.h: what could stand where the cursor is. */
#ifndef OOM_CANDIDATES_H
#define OOM_CANDIDATES_H

#include "context.h"
#include "shell.h"

typedef struct { char *name, *about; } candidate;       /* about: what it is, or NULL */

typedef struct {
    candidate *items;
    size_t n, cap;
    bool files;                 /* file names are wanted, which Readline knows */
} candidates;

typedef struct {
    context at;
    const char *word;           /* what is there of the name */
    bool methods;               /* after ":" */
    bool empty_prompt;          /* nothing is typed yet */
} question;

/* Looks for them; what was found before is forgotten. Called in protected mode: memory can end.
 * Runs nothing of the user's. */
void candidates_find(session *s, const question *q);
candidates *candidates_found(void);
/* What follows a completed name: a call's bracket, an option's "="; 0: nothing. */
int candidates_after(session *s, const question *q, const char *name);
/* `name` begins with `word`, in letters of either case. */
bool candidates_starts(const char *name, const char *word);

#endif
