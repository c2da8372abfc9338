/* main.c: predicted against measured, for every engine that was measured: a table on the terminal,
 * or (--markdown) the text of docs/accuracy.md. --rows prints every row. An engine adds a header
 * with its rows and bounds, and a line to `engines`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "generic.h"
#include "llamacpp.h"
#include "transformers.h"
#include "vllm.h"

static void (*const engines[])(scene *s, report *r) = { accuracy_llamacpp, accuracy_vllm,
                                                         accuracy_transformers, accuracy_generic };

static void table(report *r)
{
    printf("| engine | part | rows | median | 90th percentile | mean | signed median "
           "| under by 3 %% | worst |\n"
           "|---|---|--:|--:|--:|--:|--:|--:|---|\n");
    for (size_t i = 0; i < r->n; i++) {
        report_sum s = report_summary(&r->parts[i]);

        printf("| %s | %s | %zu | %.2f %% | %.2f %% | %.2f %% | %+.2f %% | %.1f %% | "
               "%+.1f %%, %s |\n", r->parts[i].engine, r->parts[i].part, s.n, 100 * s.median,
               100 * s.p90, 100 * s.mean, 100 * s.middle, 100 * s.under, 100 * s.most, s.worst);
    }
}

int main(int argc, char **argv)
{
    scene *s = scene_new();
    report *r = report_new();
    bool markdown = argc > 1 && strcmp(argv[1], "--markdown") == 0;

    r->loud = argc > 1 && strcmp(argv[1], "--rows") == 0;
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        engines[i](s, r);
    if (markdown)
        printf("# Accuracy\n\nPredicted against measured, written by `make accuracy`. Errors are "
               "(predicted - measured) / measured;\nmedian, 90th percentile and mean are of their "
               "absolute values, the signed median is of the errors as they are;\n\"under\" is "
               "the share of rows where less than the measured total less 3 %% was predicted. What "
               "was measured, and by whom, is in\n[tests/truth](../tests/truth/README.md).\n\n");
    table(r);
    printf("\n%s", r->notes);
    report_free(r);
    scene_free(s);
    return 0;
}
