/* The keywords that expand.c knows, with their names; the rest of the syntax is macros in prelude.scm. */
#ifndef GC_KEYWORDS_H
#define GC_KEYWORDS_H

#define KEYWORD_LIST(X)                     \
    X(NONE, "")                             \
    X(QUOTE, "quote")                       \
    X(QUASIQUOTE, "quasiquote")             \
    X(UNQUOTE, "unquote")                   \
    X(UNQUOTE_SPLICING, "unquote-splicing") \
    X(LAMBDA, "lambda")                     \
    X(DEFINE, "define")                     \
    X(SET, "set!")                          \
    X(IF, "if")                             \
    X(BEGIN, "begin")                       \
    X(LET, "let")                           \
    X(LET_STAR, "let*")                     \
    X(LETREC, "letrec")                     \
    X(AND, "and")                           \
    X(OR, "or")                             \
    X(COND, "cond")                         \
    X(CASE, "case")                         \
    X(WHEN, "when")                         \
    X(UNLESS, "unless")                     \
    X(DO, "do")                             \
    X(ELSE, "else")                         \
    X(ARROW, "=>")                          \
    X(DEFINE_SYNTAX, "define-syntax")       \
    X(LET_SYNTAX, "let-syntax")             \
    X(LETREC_SYNTAX, "letrec-syntax")       \
    X(DEFINE_RECORD, "define-record-type")  \
    X(COND_EXPAND, "cond-expand")           \
    X(IMPORT, "import")

enum keyword {
#define X(name, text) KEYWORD_##name,
    KEYWORD_LIST(X)
#undef X
        KEYWORDS
};

#endif
