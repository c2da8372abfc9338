/* logfigure.h: a figure that stands in a line of a log, read as the form it has and kept as a fact.
 * What is looked for, and where, is enginelog.c's. */
#ifndef READ_LOGFIGURE_H
#define READ_LOGFIGURE_H

#include "enginelog.h"

#define LOG_MIB ((double)((uint64_t)1 << 20))
#define LOG_GIB ((double)((uint64_t)1 << 30))

typedef enum {
    LOG_SIZE,                   /* 15.49 GiB */
    LOG_SIZE_BEFORE,            /* the same, at the end of the text instead of its beginning */
    LOG_SIZE_IN,                /* the same, after a share: "0.9 (71.26 GiB)", "0.9, 71.26 GiB" */
    LOG_COUNT,                  /* 569,878 */
    LOG_REAL,                   /* 0.90 */
    LOG_WORD,                   /* up to a blank, a comma, a quote or a bracket */
    LOG_REST,                   /* up to the end of the line, a comma or a bracket */
    LOG_SHARES,                 /* 3,1 */
    LOG_TRUTH                   /* True, false, 1, 0, enabled, auto */
} log_form;

/* Where it is looked for and what it is then. `unit`: of a size that names none. */
typedef struct { const char *engine, *key, *phrase; log_form form; double unit; } log_row;

typedef struct {
    oom_arena *arena;
    read_fact *facts;
    size_t n, cap;
    uint32_t line;
    bool cut, failed;           /* too many facts; no memory */
    oom_error *err;
} log_reader;

/* Text in the arena: the place of a fact. NULL, and r->failed: no memory. */
const char *log_text(log_reader *r, const char *s, size_t len);
/* Keeps the figure that the text from s to end begins with; nothing where there is none. */
void log_take(log_reader *r, const log_row *w, const char *place, const char *s, const char *end);

#endif
