/* report.h: predicted against measured, collected part by part. A part is one figure of one
 * engine (its weights, its pool …); a row is one measurement of it. Errors are signed shares of
 * what was measured. */
#ifndef REPORT_H
#define REPORT_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { double error; char name[56]; } report_row;

typedef struct {
    char engine[16], part[64];
    report_row *rows;
    size_t n, cap;
} report_part;

typedef struct {
    report_part parts[64];
    size_t n;
    char notes[4096];               /* what was set aside and why, a line each */
    int loud;                       /* print every row as it comes */
} report;

static inline report *report_new(void)
{
    report *r = calloc(1, sizeof *r);

    if (!r)
        abort();
    return r;
}

static inline report_part *report_of(report *r, const char *engine, const char *part)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->parts[i].engine, engine) == 0 && strcmp(r->parts[i].part, part) == 0)
            return &r->parts[i];
    if (r->n == sizeof r->parts / sizeof *r->parts)
        abort();
    snprintf(r->parts[r->n].engine, sizeof r->parts->engine, "%s", engine);
    snprintf(r->parts[r->n].part, sizeof r->parts->part, "%s", part);
    return &r->parts[r->n++];
}

static inline void report_add(report *r, const char *engine, const char *part, const char *row,
                              double predicted, double measured)
{
    report_part *p = report_of(r, engine, part);

    if (p->n == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 64;
        p->rows = realloc(p->rows, p->cap * sizeof *p->rows);
        if (!p->rows)
            abort();
    }
    p->rows[p->n].error = (predicted - measured) / measured;
    snprintf(p->rows[p->n].name, sizeof p->rows->name, "%s", row);
    if (r->loud)
        printf("%s, %s: %-40s predicted %14.4f measured %14.4f  %+.2f %%\n", engine, part, row,
               predicted, measured, 100 * p->rows[p->n].error);
    p->n++;
}

static inline void report_note(report *r, const char *note)
{
    size_t used = strlen(r->notes);

    snprintf(r->notes + used, sizeof r->notes - used, "%s\n", note);
}

static inline int report_by_sign(const void *a, const void *b)
{
    double x = ((const report_row *)a)->error, y = ((const report_row *)b)->error;

    return (x > y) - (x < y);
}

static inline int report_by_size(const void *a, const void *b)
{
    double x = fabs(((const report_row *)a)->error), y = fabs(((const report_row *)b)->error);

    return (x > y) - (x < y);
}

typedef struct {
    double median, p90, mean, most;
    double middle, under;               /* signed median; share of rows below by more than 3 % */
    const char *worst;
    size_t n;
} report_sum;

/* Of the absolute errors: median (of an even number the mean of the middle two), the smallest
 * error that 90 % do not pass, mean, worst. Sorts the rows. */
static inline report_sum report_summary(report_part *p)
{
    report_sum s = { .n = p->n, .worst = "" };

    if (!p->n)
        return s;
    qsort(p->rows, p->n, sizeof *p->rows, report_by_sign);
    s.middle = (p->rows[(p->n - 1) / 2].error + p->rows[p->n / 2].error) / 2;
    for (size_t i = 0; i < p->n && p->rows[i].error < -0.03; i++)
        s.under += 1 / (double)p->n;
    qsort(p->rows, p->n, sizeof *p->rows, report_by_size);
    s.median = (fabs(p->rows[(p->n - 1) / 2].error) + fabs(p->rows[p->n / 2].error)) / 2;
    s.p90 = fabs(p->rows[(size_t)ceil(0.9 * (double)p->n) - 1].error);
    for (size_t i = 0; i < p->n; i++)
        s.mean += fabs(p->rows[i].error) / (double)p->n;
    s.most = p->rows[p->n - 1].error;
    s.worst = p->rows[p->n - 1].name;
    return s;
}

static inline void report_free(report *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->parts[i].rows);
    free(r);
}

/* A bound on a part: what may not get worse. Negative: not bounded. */
typedef struct {
    const char *engine, *part;
    size_t rows;
    double median, p90, mean;
    double middle, under;               /* 0: not bounded */
} report_bound;

/* How many of the bounds do not hold; each is printed. Fewer rows than recorded is one, too. */
static inline int report_check(report *r, const report_bound *bounds, size_t n)
{
    int wrong = 0;

    for (size_t i = 0; i < n; i++) {
        const report_bound *b = &bounds[i];
        report_sum s = report_summary(report_of(r, b->engine, b->part));
        int bad = s.n < b->rows || (b->median >= 0 && s.median > b->median)
               || (b->p90 >= 0 && s.p90 > b->p90) || (b->mean >= 0 && s.mean > b->mean)
               || (b->middle > 0 && s.middle > b->middle) || (b->under > 0 && s.under > b->under);

        if (bad)
            printf("%s, %s: %zu rows, median %.3f %%, 90th percentile %.3f %%, mean %.3f %%, "
                   "signed median %+.3f %%, under %.3f %%; worst %s\n", b->engine, b->part, s.n,
                   100 * s.median, 100 * s.p90, 100 * s.mean, 100 * s.middle, 100 * s.under,
                   s.worst);
        wrong += bad;
    }
    return wrong;
}

#endif
