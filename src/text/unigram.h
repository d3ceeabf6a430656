/* unigram.h - inside of the T5 tokenizer, shared by unigram_open.c (files) and unigram.c (encoding). */
#ifndef TEXT_UNIGRAM_H
#define TEXT_UNIGRAM_H
#include <stdbool.h>
#include "text/charsmap.h"
#include "text/lexicon.h"
#include "text/tokenizer.h"

#define METASPACE "\xE2\x96\x81" /* U+2581, how a piece writes the space before a word */
#define METASPACE_NBYTES 3
#define NREFS 10                 /* [ref#1] .. [ref#9], [res] (spec 2.5) */

/* Which parts of a text get a metaspace in front when they have none (spec 6.4). */
typedef enum prefix_rule { PREFIX_NEVER, PREFIX_FIRST, PREFIX_ALWAYS } prefix_rule;

struct unigram {
    lexicon pieces;       /* the model's vocabulary; values are ids 0..npieces-1 */
    double *score;        /* [npieces] log probabilities */
    double unk_score;     /* of a character without a piece: the lowest score - 10 */
    int npieces;
    lexicon added;        /* cut out of the raw text: <pad>, </s>, <unk>, <extra_id_n>, ... */
    lexicon refs;         /* DreamO's ten, cut out of the mapped text */
    int first_added;      /* id of [ref#1] */
    const char **name;    /* [first_added + NREFS] borrowed from the lexicons */
    charsmap map;
    bool strip_end;       /* drop white space at the end of a part */
    bool collapse;        /* runs of two or more spaces become one metaspace */
    prefix_rule prefix;
    int32_t pad, eos, unk;
    int max_length;
};

extern const char *const unigram_ref_names[NREFS];
#endif
